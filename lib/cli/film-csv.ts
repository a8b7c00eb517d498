import { createReadStream } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { CsvError, parse } from 'csv-parse';
import { describeValue, InputError } from '../errors.js';
import type { Movie } from '../movie.js';
import type { FilmEntry } from './films.js';

/** Columns that carry something else than input: names, joins, and what is known only after a film's release. */
const LEFT_ASIDE = new Set([
  'imdb_id',
  'tmdb_id',
  'keywords',
  'revenue',
  'rating',
  'rating_count',
  'split',
  'original_title',
]);

type Row = Record<string, string>;
type Reader = (value: string, column: string, folder: string) => unknown;

const text: Reader = (value) => value;
const list: Reader = (value) =>
  value
    .split('|')
    .map((item) => item.trim())
    .filter(Boolean);
const file: Reader = (value, _column, folder) => ({ path: resolve(folder, value) });
/** 0 stands for unknown in these tables. */
const amount: Reader = (value, column) => {
  const number = Number(value);
  if (Number.isFinite(number)) return number > 0 ? number : undefined;
  throw new InputError('ERR_INPUT_TYPE', {
    field: column,
    expected: 'a number, or nothing',
    got: describeValue(value),
  });
};

const COLUMNS: Record<string, [keyof Movie, Reader]> = {
  movie_id: ['id', text],
  id: ['id', text],
  title: ['title', text],
  release_date: ['releaseDate', text],
  /** Stands in where release_date is empty. */
  year: ['releaseDate', text],
  runtime: ['runtime', amount],
  budget: ['budget', amount],
  genres: ['genres', list],
  cast: ['cast', list],
  director: ['director', list],
  original_language: ['language', text],
  language: ['language', text],
  overview: ['synopsis', text],
  synopsis: ['synopsis', text],
  poster: ['poster', file],
  trailer: ['trailer', file],
  audio: ['audio', file],
  reviews: ['reviews', file],
  script: ['script', file],
  subtitles: ['subtitles', file],
};

function movieOf(row: Row, folder: string): Movie {
  const movie: Record<string, unknown> = {};
  for (const [column, [field, read]] of Object.entries(COLUMNS)) {
    const value = row[column]?.trim();
    if (!value) continue;
    const parsed = read(value, column, folder);
    if (parsed !== undefined) movie[field] ??= parsed;
  }
  return movie as Movie;
}

export interface CsvReport {
  /** Bytes read since the last call. */
  onProgress: (bytes: number) => void;
  /** Columns that nothing is done with, once. */
  onUnknownColumns: (columns: string[]) => void;
}

/**
 * The films of a CSV file (UTF-8, RFC 4180, header line; columns as in a movies.csv of TMDB data), read as they are
 * asked for: a file of any length takes the memory of a few rows. Paths are relative to the file. A row that cannot
 * be used comes as an error; so does a break in the file's syntax, which ends it.
 */
export async function* filmsOfCsv(path: string, report: CsvReport): AsyncGenerator<FilmEntry> {
  const folder = dirname(path);
  const input = createReadStream(path);
  const parser = parse({
    bom: true,
    columns: (header: string[]) => {
      const names = header.map((name) => name.trim());
      if (!names.some((name) => COLUMNS[name])) {
        throw new InputError('ERR_INPUT_FILE', {
          file: path,
          expected: `a header line with some of ${Object.keys(COLUMNS).join(', ')}`,
          got: describeValue(names.join(',')),
        });
      }
      const unknown = names.filter((name) => !COLUMNS[name] && !LEFT_ASIDE.has(name));
      if (unknown.length > 0) report.onUnknownColumns(unknown);
      return names;
    },
    skip_empty_lines: true,
    max_record_size: 4 << 20,
    info: true,
  });
  input.on('error', (error) => parser.destroy(error));
  input.pipe(parser);
  let bytes = 0;
  try {
    for await (const { record, info } of parser as AsyncIterable<{
      record: Row;
      info: { records: number; bytes: number };
    }>) {
      report.onProgress(info.bytes - bytes);
      bytes = info.bytes;
      const source = `${path} row ${info.records}`;
      try {
        yield { source, movie: movieOf(record, folder) };
      } catch (error) {
        yield { source, error: error as Error };
      }
    }
  } catch (cause) {
    yield { source: path, error: fileError(path, cause) };
  } finally {
    input.destroy();
  }
}

function fileError(path: string, cause: unknown): Error {
  if (cause instanceof InputError) return cause;
  const line = cause instanceof CsvError ? (cause as CsvError & { lines?: number }).lines : undefined;
  return new InputError('ERR_INPUT_FILE', {
    file: line === undefined ? path : `${path}:${line}`,
    expected: 'a CSV file in UTF-8 with a header line',
    got: (cause as Error).message,
    cause,
  });
}
