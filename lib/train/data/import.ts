/** Brings films that people have in other shapes into the directory layout. Reads local files; downloads nothing. */
import { createWriteStream } from 'node:fs';
import { mkdir, readdir, rename, rm, stat } from 'node:fs/promises';
import path from 'node:path';
import { finished } from 'node:stream/promises';
import { CancelledError, DataError, describeValue, InputError, throwIfCancelled } from '../../errors.js';
import { importImdb } from './import-imdb.js';
import { importMovieLens } from './import-movielens.js';
import { importTmdb } from './import-tmdb.js';
import type { DataProblem } from './types.js';

export const IMPORT_KINDS = ['imdb', 'tmdb', 'movielens'] as const;
export type ImportKind = (typeof IMPORT_KINDS)[number];

export interface ImportOptions {
  /** Films with fewer votes are left out. Default 0. */
  minVotes?: number | undefined;
  /** A folder with posters named as TMDB's poster_path has it or by the film's id. */
  posters?: string | undefined;
  /** Kinds of titles to take from IMDb. Default movie. */
  titleTypes?: readonly string[] | undefined;
  /** Replaces a movies.csv that is there. Default false. */
  overwrite?: boolean | undefined;
  signal?: AbortSignal | undefined;
  onProgress?: ((progress: ImportProgress) => void) | undefined;
}

export interface ImportProgress {
  /** The file that is being read. */
  file: string;
  rows: number;
}

export interface ImportReport {
  /** The table that was written. */
  file: string;
  films: number;
  problems: DataProblem[];
}

/** One film as it will stand in movies.csv. */
export interface ImportedFilm {
  movie_id: string;
  imdb_id?: string | undefined;
  tmdb_id?: string | undefined;
  title?: string | undefined;
  year?: string | undefined;
  release_date?: string | undefined;
  overview?: string | undefined;
  genres?: readonly string[] | undefined;
  keywords?: readonly string[] | undefined;
  cast?: readonly string[] | undefined;
  director?: readonly string[] | undefined;
  budget?: number | undefined;
  revenue?: number | undefined;
  runtime?: number | undefined;
  original_language?: string | undefined;
  rating?: number | undefined;
  rating_count?: number | undefined;
  /** The name that its picture would have in `posters`. */
  poster?: string | undefined;
}

const COLUMNS: readonly (keyof ImportedFilm)[] = [
  ...(['movie_id', 'imdb_id', 'tmdb_id', 'title', 'year', 'release_date', 'overview', 'genres'] as const),
  ...(['keywords', 'cast', 'director', 'budget', 'revenue', 'runtime', 'original_language'] as const),
  ...(['rating', 'rating_count', 'poster'] as const),
];

/** What an importer is given. */
export interface ImportJob {
  source: string;
  options: ImportOptions;
  problem: (problem: DataProblem) => void;
  /** Told once a row. */
  row: (file: string) => void;
}

const IMPORTERS = { imdb: importImdb, tmdb: importTmdb, movielens: importMovieLens } as const;

/**
 * Writes `target`/movies.csv from films in another shape: IMDb's public TSV tables (title.basics, title.ratings,
 * title.crew, title.principals, name.basics; .gz too), TMDB exports (CSV or JSON, with credits and keywords beside
 * them or in them), or a MovieLens folder (movies, ratings, links; as CSV or .dat). docs/data.md says what becomes of
 * each column. The table appears whole or not at all.
 *
 * @param source  the folder, or for TMDB also one file
 * @throws DataError ERR_DATA_NOT_FOUND, ERR_DATA_READ, ERR_DATA_FORMAT, ERR_DATA_COLUMN  the source is not that
 * @throws DataError ERR_DATA_EMPTY  no film is left
 * @throws DataError ERR_DATA_WRITE  the table is there already, or cannot be written
 * @throws InputError ERR_INPUT_VALUE; CancelledError ERR_CANCELLED
 */
export async function importDataset(
  kind: ImportKind,
  source: string,
  target: string,
  options: ImportOptions = {},
): Promise<ImportReport> {
  const importer = IMPORTERS[kind];
  if (!Object.hasOwn(IMPORTERS, kind)) {
    throw new InputError('ERR_INPUT_VALUE', {
      field: 'kind',
      expected: `one of ${IMPORT_KINDS.join(', ')}`,
      got: describeValue(kind),
    });
  }
  throwIfCancelled(options.signal);
  const file = path.resolve(target, 'movies.csv');
  if (!options.overwrite && (await stat(file).catch(() => undefined))) {
    throw new DataError('ERR_DATA_WRITE', {
      file,
      expected: 'a folder without a movies.csv, or overwrite',
      got: 'one that is there',
    });
  }
  const problems: DataProblem[] = [];
  let rows = 0;
  const job: ImportJob = {
    source: path.resolve(source),
    options,
    problem: (problem) => problems.push(problem),
    row: (from) => {
      if (++rows % 50_000 === 0) options.onProgress?.({ file: from, rows });
      if (rows % 1024 === 0) throwIfCancelled(options.signal);
    },
  };
  const pictures = await Pictures.in(options.posters, path.dirname(file));
  const films = await writeFilms(file, pictures.of(importer(job)), job);
  if (films === 0) {
    throw new DataError('ERR_DATA_EMPTY', {
      file: job.source,
      expected: 'films, after those left out',
      got: 'none',
    });
  }
  return { file, films, problems };
}

const PICTURES = ['jpg', 'jpeg', 'png', 'webp'];

/** The posters that are there, by their names. */
class Pictures {
  readonly #folder: string;
  readonly #table: string;
  readonly #names: ReadonlySet<string>;

  private constructor(folder: string, table: string, names: ReadonlySet<string>) {
    this.#folder = folder;
    this.#table = table;
    this.#names = names;
  }

  static async in(folder: string | undefined, table: string): Promise<Pictures> {
    if (folder === undefined) return new Pictures('', table, new Set());
    const names = await readdir(folder).catch((cause: unknown) => {
      throw new DataError('ERR_DATA_NOT_FOUND', {
        file: folder,
        field: 'posters',
        expected: 'a folder of pictures',
        got: (cause as Error).message,
        cause,
      });
    });
    return new Pictures(path.resolve(folder), table, new Set(names));
  }

  async *of(films: AsyncIterable<ImportedFilm>): AsyncGenerator<ImportedFilm> {
    for await (const film of films) yield { ...film, poster: this.#posterOf(film) };
  }

  #posterOf({ poster, movie_id, imdb_id, tmdb_id }: ImportedFilm): string | undefined {
    const ids = [movie_id, imdb_id, tmdb_id].filter((id) => id !== undefined);
    const named = ids.flatMap((id) => PICTURES.map((ending) => `${id}.${ending}`));
    const found = [poster ?? '', ...named].find((name) => name !== '' && this.#names.has(name));
    if (found === undefined) return undefined;
    const file = path.join(this.#folder, found);
    const inside = path.relative(this.#table, file);
    return inside.startsWith('..') || path.isAbsolute(inside) ? file : inside.split(path.sep).join('/');
  }
}

async function writeFilms(
  file: string,
  films: AsyncIterable<ImportedFilm>,
  { problem, options: { signal } }: ImportJob,
): Promise<number> {
  const unfinished = `${file}.${process.pid}.unfinished`;
  const failed = (cause: unknown) =>
    new DataError('ERR_DATA_WRITE', {
      file,
      expected: 'room and leave to write the table',
      got: (cause as Error).message,
      cause,
    });
  await mkdir(path.dirname(file), { recursive: true }).catch((cause: unknown) => {
    throw failed(cause);
  });
  const output = createWriteStream(unfinished);
  const broken = new Promise<never>((_, reject) => {
    output.on('error', (cause) => reject(failed(cause)));
  });
  broken.catch(() => undefined);
  const ids = new Set<string>();
  let whole = false;
  try {
    output.write(`${COLUMNS.join(',')}\n`);
    for await (const film of films) {
      if (ids.has(film.movie_id)) {
        problem({ file, id: film.movie_id, why: 'the source has the film twice; the first is kept' });
        continue;
      }
      ids.add(film.movie_id);
      if (!output.write(`${COLUMNS.map((column) => csvCell(film[column])).join(',')}\n`)) {
        await Promise.race([broken, new Promise<void>((resolve) => output.once('drain', () => resolve()))]);
      }
      if (signal?.aborted) throw new CancelledError({ cause: signal.reason });
    }
    output.end();
    await Promise.race([broken, finished(output)]);
    whole = ids.size > 0;
    if (whole) {
      await rename(unfinished, file).catch((cause: unknown) => {
        throw failed(cause);
      });
    }
  } finally {
    output.destroy();
    if (!whole) await rm(unfinished, { force: true });
  }
  return ids.size;
}

function csvCell(value: ImportedFilm[keyof ImportedFilm]): string {
  if (value === undefined) return '';
  // "|" separates: within a name it becomes a slash.
  const text = Array.isArray(value)
    ? value.map((item) => item.replaceAll('|', '/')).join('|')
    : String(value);
  return /[",\n\r]/.test(text) || /^\s|\s$/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** The first of these names in a folder, .gz too. */
export function fileNamed(names: readonly string[], there: readonly string[]): string | undefined {
  const lower = new Map(there.map((name) => [name.toLowerCase(), name]));
  for (const name of names) {
    const found = lower.get(name) ?? lower.get(`${name}.gz`);
    if (found !== undefined) return found;
  }
  return undefined;
}
