/** A data set's films with what became of them, as FilmIndex.build takes them. */
import { LEAST_BUDGET } from '../metadata/metadata-encoder.js';
import type { Dataset } from '../train/data/types.js';
import type { IndexedFilm } from './film-index.js';

/** Films read at a time. */
const TOGETHER = 64;

export interface DatasetFilmsOptions {
  /** Columns of outcomes; one that the table does not have is no outcome. Default rating and revenue. */
  rating?: string | undefined;
  boxOffice?: string | undefined;
  /** Rows to take. Default: all. */
  rows?: readonly number[] | undefined;
  /** The first so many of them. */
  limit?: number | undefined;
  signal?: AbortSignal | undefined;
}

/** @throws DataError as Dataset.movies and Dataset.column */
export async function* datasetFilms(
  dataset: Dataset,
  { rating = 'rating', boxOffice = 'revenue', rows, limit, signal }: DatasetFilmsOptions = {},
): AsyncGenerator<IndexedFilm> {
  const numbers = async (name: string) =>
    dataset.columns.some((column) => column.name === name && column.type === 'number')
      ? (await dataset.column(name, { type: 'number', signal })).values
      : undefined;
  const [ratings, grosses] = [await numbers(rating), await numbers(boxOffice)];
  const all = rows ?? Array.from({ length: dataset.length }, (_, i) => i);
  const taken = all.slice(0, limit ?? all.length);
  for (let from = 0; from < taken.length; from += TOGETHER) {
    const part = taken.slice(from, from + TOGETHER);
    const movies = await dataset.movies(part, { signal });
    for (const [i, row] of part.entries()) {
      const [stars, gross] = [ratings?.[row] ?? Number.NaN, grosses?.[row] ?? Number.NaN];
      yield {
        movie: movies[i]!,
        outcomes: {
          ...(Number.isFinite(stars) && { rating: stars }),
          // As with budgets: 0 is unknown, and a few dollars are another unit.
          ...(gross > LEAST_BUDGET && { boxOffice: gross }),
        },
      };
    }
  }
}
