// The films of ../shared/data/movies as training rows. The one place where the recipe reads the films' file.
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'csv-parse/sync';

const ROOT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
export const DATA = process.env.CINEFUSE_DATA ?? path.resolve(ROOT, '../shared/data/movies');
/** Everything the recipe computes on its way, outside the repository's history. */
export const CACHE = process.env.CINEFUSE_TRAIN_CACHE ?? path.join(ROOT, '.cache/training');
export const BUNDLE = path.join(ROOT, 'models/default');

const known = (text) => (Number(text) > 1000 ? Number(text) : undefined);
const list = (text) => (text === '' ? [] : text.split('|'));

/** Only what is known before release goes into `fields`; ratings and revenue stay apart as targets. */
export function readFilms() {
  const text = fs.readFileSync(path.join(DATA, 'movies.csv'), 'utf8');
  return parse(text, { columns: true }).map((row) => ({
    id: row.movie_id,
    split: row.split,
    fields: {
      title: row.title,
      releaseDate: row.release_date || row.year || undefined,
      runtime: Number(row.runtime) || undefined,
      budget: known(row.budget),
      genres: list(row.genres),
      cast: list(row.cast),
      director: list(row.director),
      language: row.original_language || undefined,
    },
    synopsis: row.overview,
    poster: row.poster === '' ? undefined : path.join(DATA, row.poster),
    year: Number(row.year),
    target: {
      rating: Number(row.rating),
      votes: Number(row.rating_count),
      // a revenue is used where both it and the budget are plausible, as in the data's own baseline
      logRevenue: known(row.revenue) && known(row.budget) ? Math.log10(Number(row.revenue)) : undefined,
      anyLogRevenue: known(row.revenue) ? Math.log10(Number(row.revenue)) : undefined,
    },
  }));
}

/** Rows of one of the tab-separated review files. */
export function readReviews(name) {
  const [head, ...lines] = fs
    .readFileSync(path.join(DATA, 'reviews', `${name}.tsv`), 'utf8')
    .split('\n')
    .filter((line) => line !== '');
  const columns = head.split('\t');
  return lines.map((line) => Object.fromEntries(line.split('\t').map((cell, i) => [columns[i], cell])));
}
