import type { Stats } from 'node:fs';
import { open, readFile, stat } from 'node:fs/promises';
import { dirname, extname, join, resolve } from 'node:path';
import { CinefuseError, describeValue, InputError } from '../errors.js';
import type { Movie } from '../movie.js';
import { type CsvReport, filmsOfCsv } from './film-csv.js';
import { type FolderField, readFilmFolder } from './folder.js';

/** One film as it was found: where, and either what it is or why it could not be read. */
export type FilmEntry = { source: string; movie: Movie } | { source: string; error: Error };

/** Fields of a film in JSON that may be `{ "path": … }`; in those marked true a bare string is a path as well. */
const FILE_FIELDS: Record<string, boolean> = {
  poster: true,
  trailer: true,
  audio: true,
  synopsis: false,
  script: false,
  subtitles: false,
  reviews: false,
};

/** Makes the paths of a film that was written in a file relative to that file. */
function resolvePaths(facts: Record<string, unknown>, folder: string): Record<string, unknown> {
  const movie = { ...facts };
  for (const [field, bare] of Object.entries(FILE_FIELDS)) {
    const value = movie[field];
    if (bare && typeof value === 'string' && value !== '') movie[field] = { path: resolve(folder, value) };
    const path = (value as { path?: unknown } | null | undefined)?.path;
    if (typeof path === 'string' && path !== '')
      movie[field] = { ...(value as object), path: resolve(folder, path) };
  }
  return movie;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function notAFilm(file: string, value: unknown, where = ''): InputError {
  return new InputError('ERR_INPUT_TYPE', {
    file,
    expected: `an object with a film's fields${where}`,
    got: describeValue(value),
  });
}

async function readJson(file: string): Promise<unknown> {
  const text = await readFile(file, 'utf8');
  try {
    return JSON.parse(text.replace(/^\ufeff/, ''));
  } catch (cause) {
    throw new InputError('ERR_INPUT_FILE', {
      file,
      expected: 'JSON',
      got: (cause as Error).message,
      cause,
    });
  }
}

async function filmOfFolder(folder: string): Promise<Movie> {
  const { facts, files } = await readFilmFolder(folder);
  let movie: Record<string, unknown> = {};
  if (facts) {
    const value = await readJson(facts);
    if (!isObject(value)) throw notAFilm(facts, value);
    movie = resolvePaths(value, folder);
  }
  for (const [field, path] of Object.entries(files) as [FolderField, string][]) {
    // What movie.json says comes before what lies in the folder.
    movie[field] ??= { path };
  }
  return movie as Movie;
}

async function* filmsOfJson(file: string): AsyncGenerator<FilmEntry> {
  const value = await readJson(file);
  const films = Array.isArray(value) ? value : [value];
  if (films.length === 0) {
    throw new InputError('ERR_INPUT_EMPTY', { file, expected: 'at least one film', got: 'an empty array' });
  }
  for (const [i, film] of films.entries()) {
    const source = Array.isArray(value) ? `${file}[${i}]` : file;
    yield isObject(film)
      ? { source, movie: resolvePaths(film, dirname(file)) as Movie }
      : { source, error: notAFilm(file, film, Array.isArray(value) ? ` at [${i}]` : '') };
  }
}

async function holdsArray(file: string): Promise<boolean> {
  const handle = await open(file);
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(4096), 0, 4096, 0);
    return /^\ufeff?\s*\[/.test(buffer.toString('utf8', 0, bytesRead));
  } finally {
    await handle.close();
  }
}

/** What a path on the command line stands for. */
export type InputKind = 'film' | 'list';

/**
 * @returns 'list' for what may hold many films (a CSV file, a JSON array, a folder with a movies.csv), 'film' for one
 * @throws InputError ERR_INPUT_FILE  not there, or neither a folder nor a .json or .csv file
 */
export async function kindOfInput(path: string): Promise<{ kind: InputKind; file: string; bytes: number }> {
  let found: Stats;
  try {
    found = await stat(path);
  } catch (cause) {
    throw new InputError('ERR_INPUT_FILE', {
      file: path,
      expected: 'a .json file, a folder or a .csv file',
      got:
        (cause as NodeJS.ErrnoException).code === 'ENOENT'
          ? 'a path where nothing is'
          : (cause as Error).message,
      cause,
    });
  }
  if (found.isDirectory()) {
    const table = join(path, 'movies.csv');
    const listed = await stat(table).catch(() => undefined);
    const own = await stat(join(path, 'movie.json')).catch(() => undefined);
    return listed && !own
      ? { kind: 'list', file: table, bytes: listed.size }
      : { kind: 'film', file: path, bytes: 0 };
  }
  const extension = extname(path).toLowerCase();
  if (extension === '.csv') return { kind: 'list', file: path, bytes: found.size };
  if (extension === '.json') {
    return { kind: (await holdsArray(path)) ? 'list' : 'film', file: path, bytes: found.size };
  }
  throw new InputError('ERR_INPUT_FILE', {
    file: path,
    expected: 'a .json file, a folder or a .csv file',
    got: `a file ${extension ? `with the ending ${extension}` : 'without an ending'}`,
  });
}

/** The films of all paths, in order, read as they are asked for. What cannot be read comes as an entry with its error. */
export async function* readFilms(paths: readonly string[], report: CsvReport): AsyncGenerator<FilmEntry> {
  for (const path of paths) {
    try {
      const { file, bytes } = await kindOfInput(path);
      if (extname(file).toLowerCase() === '.csv') yield* filmsOfCsv(file, report);
      else if (extname(file).toLowerCase() === '.json') {
        yield* filmsOfJson(file);
        report.onProgress(bytes);
      } else yield { source: path, movie: await filmOfFolder(file) };
    } catch (error) {
      yield { source: path, error: asTyped(error, path) };
    }
  }
}

function asTyped(error: unknown, path: string): Error {
  if (error instanceof CinefuseError) return error;
  return new InputError('ERR_INPUT_FILE', {
    file: path,
    expected: 'a readable file or folder',
    got: (error as Error).message,
    cause: error,
  });
}
