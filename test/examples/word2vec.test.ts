/** examples/understand/word2vec.mjs as a user runs it. */
import { execFile } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import test, { type ExecutionContext } from 'ava';
import { packageRoot } from '../../lib/native.js';
import { sharedPath, sharedTest } from '../shared.js';

const program = path.join(packageRoot(), 'examples', 'understand', 'word2vec.mjs');

/** The ten words it names; each a word of its own and none of the review. */
async function nearest(t: ExecutionContext, args: string[], review: string): Promise<string[]> {
  const { stdout } = await promisify(execFile)(process.execPath, [program, ...args, '--review', review]);
  t.regex(stdout, /words of 100 numbers/);
  const rows = [...stdout.matchAll(/^ {2}(\S+) +(-?\d\.\d{3})$/gm)];
  const similarities = rows.map(([, , value]) => Number(value));
  t.deepEqual(
    similarities,
    [...similarities].sort((a, b) => b - a),
  );
  t.true(similarities.every((value) => value > 0 && value <= 1));
  const words = rows.map(([, word]) => word!);
  t.is(new Set(words).size, 10);
  t.true(words.every((word) => !review.toLowerCase().split(' ').includes(word)));
  return words;
}

test('ten words of the example film nearest to a review', async (t) => {
  const words = await nearest(t, [], 'a storm and a light in the dark');
  t.deepEqual(await nearest(t, [], 'a storm and a light in the dark'), words);
});

const REVIEWS = 'data/movies/reviews/rt_polarity.tsv';
sharedTest('ten words of real reviews nearest to a review', [REVIEWS], async (t) => {
  const words = await nearest(t, [sharedPath(REVIEWS), 'text'], 'a funny and moving comedy with good acting');
  // Words of praise and of films, out of some thousands of all kinds.
  const fitting =
    /drama|warm|funny|comed|sweet|charm|perform|romantic|entertain|smart|touching|witty|humor|tale|clever|engag|thoughtful|intelligent|satisf|enjoy|amus|heart|delight|story|cast|character/;
  t.true(words.filter((word) => fitting.test(word)).length >= 3, words.join(' '));
});
