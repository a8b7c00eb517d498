/** Films for the benchmarks of `predict`: real ones where the shared material is at hand, the example film otherwise. */
import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { filmsOfCsv } from '../../lib/cli/film-csv.js';
import type { Movie } from '../../lib/index.js';
import { packageRoot } from '../../lib/native.js';

const EXAMPLE = path.join(packageRoot(), 'examples', 'the-lighthouse-keeper');
const SHARED = process.env.CINEFUSE_SHARED ?? path.join(packageRoot(), '..', 'shared');
const TABLE = path.join(SHARED, 'data', 'movies', 'movies.csv');

/** The example film under another name: facts, a synopsis of two chunks, and a poster of 680 x 1000. */
export function exampleFilm(i: number): Movie {
  return {
    title: `The Lighthouse Keeper ${i}`,
    releaseDate: '2027-03-12',
    runtime: 104,
    budget: 12e6,
    genres: ['Drama', 'Mystery'],
    cast: ['Tove Askerud'],
    director: 'Maren Oyelund',
    synopsis: { path: path.join(EXAMPLE, 'synopsis.txt') },
    poster: { path: path.join(EXAMPLE, 'poster.jpg') },
  };
}

/** Options of a Predictor on so many threads; of all cores, those that a user has who says nothing. */
export function threadOptions(threads: number): { threads?: number } {
  return threads < availableParallelism() ? { threads } : {};
}

export interface Films {
  /** What they are, for the names of the cases. */
  name: 'real films' | 'example film';
  movies: Movie[];
}

/** At most `count` real films with facts, synopsis and poster, or the example film that often. */
export async function someFilms(count: number): Promise<Films> {
  if (!existsSync(TABLE)) {
    return { name: 'example film', movies: Array.from({ length: count }, (_, i) => exampleFilm(i)) };
  }
  const movies: Movie[] = [];
  for await (const entry of filmsOfCsv(TABLE, { onProgress: () => {}, onUnknownColumns: () => {} })) {
    if (!('movie' in entry) || !entry.movie.poster || !entry.movie.synopsis) continue;
    movies.push(entry.movie);
    if (movies.length === count) break;
  }
  return { name: 'real films', movies };
}

/** `count` films, beginning again with the first when they run out. */
export function* repeated({ movies }: Films, count: number): Generator<Movie> {
  for (let i = 0; i < count; i++) yield movies[i % movies.length]!;
}
