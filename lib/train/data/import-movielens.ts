import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { DataError } from '../../errors.js';
import { fileNamed, type ImportedFilm, type ImportJob } from './import.js';
import { linesOf, sourceRows } from './import-tables.js';

interface Stars {
  sum: number;
  count: number;
}

/** A MovieLens folder: movies.csv, ratings.csv and links.csv, or the older movies.dat and ratings.dat. */
export async function* importMovieLens(job: ImportJob): AsyncGenerator<ImportedFilm> {
  const { minVotes = 0, signal } = job.options;
  const there = await readdir(job.source).catch(() => []);
  const fileOf = (...names: string[]) => {
    const name = fileNamed(names, there);
    return name === undefined ? undefined : path.join(job.source, name);
  };
  const movies = fileOf('movies.csv', 'movies.dat');
  if (!movies) {
    throw new DataError('ERR_DATA_NOT_FOUND', {
      file: job.source,
      expected: 'a MovieLens folder, with movies.csv or movies.dat',
      got: there.length === 0 ? 'no such folder, or an empty one' : 'a folder without',
    });
  }
  const stars = await starsOf(fileOf('ratings.csv', 'ratings.dat'), job);
  const links = new Map<string, { imdb: string | undefined; tmdb: string | undefined }>();
  const linksFile = fileOf('links.csv');
  if (linksFile) {
    for await (const { row } of sourceRows(linksFile, signal)) {
      job.row(linksFile);
      const { movieId, imdbId, tmdbId } = row as Record<string, string | undefined>;
      // MovieLens drops the zeros in front.
      const imdb = imdbId ? `tt${imdbId.padStart(7, '0')}` : undefined;
      if (movieId !== undefined) links.set(movieId, { imdb, tmdb: tmdbId?.replace(/\.0$/, '') || undefined });
    }
  }
  for await (const { id, title, genres } of moviesOf(movies, job)) {
    const rated = stars.get(id);
    if ((rated?.count ?? 0) < minVotes) continue;
    const { name, year } = titleAndYear(title);
    const link = links.get(id);
    yield {
      movie_id: link?.imdb ?? id,
      imdb_id: link?.imdb,
      tmdb_id: link?.tmdb,
      title: name,
      year,
      genres: genres === '(no genres listed)' || genres === '' ? [] : genres.split('|'),
      // Half to five stars, as points of ten.
      rating: rated && Math.round((2000 * rated.sum) / rated.count) / 1000,
      rating_count: rated?.count ?? 0,
    };
  }
}

async function* moviesOf(
  file: string,
  job: ImportJob,
): AsyncGenerator<{ id: string; title: string; genres: string }> {
  if (/\.dat(\.gz)?$/i.test(file)) {
    for await (const { text, line } of linesOf(file, job.options.signal, 'latin1')) {
      if (text === '') continue;
      job.row(file);
      const [id, title, genres] = text.split('::');
      if (id && title !== undefined) yield { id, title, genres: genres ?? '' };
      else job.problem({ file, line, why: 'expected id::title::genres' });
    }
    return;
  }
  for await (const { row, line } of sourceRows(file, job.options.signal)) {
    job.row(file);
    const { movieId, title, genres = '' } = row as Record<string, string | undefined>;
    if (movieId && title !== undefined) yield { id: movieId, title, genres };
    else job.problem({ file, line, why: 'expected movieId, title and genres' });
  }
}

/** Sum and number of each film's stars. Plain lines of numbers: tens of millions of them take no CSV parser. */
async function starsOf(file: string | undefined, job: ImportJob): Promise<Map<string, Stars>> {
  const stars = new Map<string, Stars>();
  if (file === undefined) return stars;
  const separator = /\.dat(\.gz)?$/i.test(file) ? '::' : ',';
  for await (const { text, line } of linesOf(file, job.options.signal)) {
    if (text === '' || (line === 1 && /^\ufeff?"?userId/i.test(text))) continue;
    job.row(file);
    const [, film, value] = text.split(separator);
    const rating = Number(value);
    if (!film || !(rating > 0 && rating <= 5)) {
      job.problem({ file, line, why: 'expected a user, a film, and a rating up to 5' });
      continue;
    }
    const known = stars.get(film);
    if (known) {
      known.sum += rating;
      known.count++;
    } else stars.set(film, { sum: rating, count: 1 });
  }
  return stars;
}

/** "Matrix, The (1999)" is The Matrix, of 1999. */
function titleAndYear(text: string): { name: string; year: string | undefined } {
  const match = /^(.*?)\s*\((\d{4})(?:[-–]\d{0,4})?\)\s*$/s.exec(text.trim());
  const name = match?.[1] ?? text.trim();
  const moved = /^(.*), (The|A|An|La|Le|Les|L'|Il|El|Los|Las|Der|Die|Das)$/.exec(name);
  if (!moved) return { name, year: match?.[2] };
  const article = moved[2]!;
  return {
    name: article.endsWith("'") ? `${article}${moved[1]}` : `${article} ${moved[1]}`,
    year: match?.[2],
  };
}
