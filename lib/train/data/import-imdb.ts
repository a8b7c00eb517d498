import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { DataError } from '../../errors.js';
import { fileNamed, type ImportedFilm, type ImportJob } from './import.js';
import { tsvRows } from './import-tables.js';

const CAST = 5;

interface Title {
  title: string;
  year: string | undefined;
  runtime: number | undefined;
  genres: string[];
  rating: number | undefined;
  votes: number | undefined;
  directors: string[];
  /** [ordering, person], of actors. */
  cast: [number, string][];
}

/**
 * IMDb's tables, each read once from front to back. In memory are the titles that are kept and the names of their people,
 * not the tables.
 */
export async function* importImdb(job: ImportJob): AsyncGenerator<ImportedFilm> {
  const { options } = job;
  const there = await readdir(job.source).catch((cause: unknown) => {
    throw notThere(job.source, (cause as Error).message);
  });
  const fileOf = (table: string) => {
    const name = fileNamed([`${table}.tsv`], there);
    return name === undefined ? undefined : path.join(job.source, name);
  };
  const basics = fileOf('title.basics');
  if (!basics) throw notThere(job.source, 'a folder without it');
  const { minVotes = 0, titleTypes = ['movie'] } = options;

  const ratings = new Map<string, [rating: number, votes: number]>();
  for await (const [id, rating, votes] of rowsOf(
    fileOf('title.ratings'),
    ['tconst', 'averageRating', 'numVotes'],
    job,
  )) {
    if (id !== undefined && Number(votes) >= minVotes) ratings.set(id, [Number(rating), Number(votes)]);
  }

  const titles = new Map<string, Title>();
  const columns = ['tconst', 'titleType', 'primaryTitle', 'isAdult', 'startYear', 'runtimeMinutes', 'genres'];
  for await (const [id, type, title, adult, year, runtime, genres] of rowsOf(basics, columns, job)) {
    if (id === undefined || title === undefined || adult === '1' || !titleTypes.includes(type ?? ''))
      continue;
    const rated = ratings.get(id);
    if (minVotes > 0 && !rated) continue;
    titles.set(id, {
      title,
      year,
      runtime: runtime === undefined ? undefined : Number(runtime),
      genres: genres?.split(',') ?? [],
      rating: rated?.[0],
      votes: rated?.[1],
      directors: [],
      cast: [],
    });
  }
  ratings.clear();

  const people = new Map<string, string | undefined>();
  for await (const [id, directors] of rowsOf(fileOf('title.crew'), ['tconst', 'directors'], job)) {
    const title = titles.get(id ?? '');
    if (!title || directors === undefined) continue;
    title.directors = directors.split(',').slice(0, 10);
    for (const person of title.directors) people.set(person, undefined);
  }
  const principals = ['tconst', 'ordering', 'nconst', 'category'];
  for await (const [id, ordering, person, category] of rowsOf(fileOf('title.principals'), principals, job)) {
    const title = titles.get(id ?? '');
    if (!title || person === undefined) continue;
    if (category === 'actor' || category === 'actress') title.cast.push([Number(ordering), person]);
    else if (category === 'director' && !title.directors.includes(person)) title.directors.push(person);
    else continue;
    people.set(person, undefined);
  }
  for await (const [id, name] of rowsOf(fileOf('name.basics'), ['nconst', 'primaryName'], job)) {
    if (id !== undefined && people.has(id)) people.set(id, name);
  }

  const namesOf = (ids: readonly string[]) => ids.flatMap((id) => people.get(id) ?? []);
  for (const [id, { title, year, runtime, genres, rating, votes, directors, cast }] of titles) {
    cast.sort((a, b) => a[0] - b[0]);
    yield {
      movie_id: id,
      imdb_id: id,
      title,
      year,
      runtime,
      genres,
      cast: namesOf(cast.slice(0, CAST).map(([, person]) => person)),
      director: namesOf(directors),
      rating,
      rating_count: votes,
    };
  }
}

async function* rowsOf(file: string | undefined, columns: readonly string[], job: ImportJob) {
  if (file === undefined) return;
  for await (const { cells } of tsvRows(file, columns, job.options.signal)) {
    job.row(file);
    yield cells;
  }
}

function notThere(source: string, got: string): DataError {
  return new DataError('ERR_DATA_NOT_FOUND', {
    file: source,
    expected: "a folder with IMDb's title.basics.tsv (or .tsv.gz)",
    got,
  });
}
