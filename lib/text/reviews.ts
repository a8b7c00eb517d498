import { InputError } from '../errors.js';
import { readText } from './read-text.js';

/** Most reviews of a film, given or in a file. */
export const MAX_REVIEWS = 10_000;

/**
 * The reviews of a film: as they are given, or the lines of a file that are not blank.
 *
 * @throws InputError as readText; ERR_INPUT_VALUE for a file with more than 10,000 reviews
 */
export async function readReviews(reviews: readonly string[] | { path: string }): Promise<readonly string[]> {
  if (!('path' in reviews)) return reviews;
  const text = await readText(reviews, 'reviews');
  const lines: string[] = [];
  for (let start = 0; start < text.length; ) {
    let end = text.indexOf('\n', start);
    if (end < 0) end = text.length;
    const line = text.slice(start, end).trim();
    if (line !== '' && lines.push(line) > MAX_REVIEWS) {
      throw new InputError('ERR_INPUT_VALUE', {
        field: 'reviews',
        file: reviews.path,
        expected: `at most ${MAX_REVIEWS} reviews, one a line`,
        got: 'more',
      });
    }
    start = end + 1;
  }
  return lines;
}
