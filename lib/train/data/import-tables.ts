/** The files that importers read: rows of CSV, TSV or JSON, plain or gzipped, one at a time. */
import { createReadStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { createGunzip } from 'node:zlib';
import { CsvError, parse } from 'csv-parse';
import { CancelledError, DataError } from '../../errors.js';

/** By column. In JSON anything, else text. */
export type SourceRow = Readonly<Record<string, unknown>>;

/** JSON that is not a line a film is read whole. */
const MAX_JSON_BYTES = 2 ** 30;

function bytesOf(file: string, signal: AbortSignal | undefined): Readable {
  const input = createReadStream(file, { signal, highWaterMark: 1 << 18 });
  if (!/\.gz$/i.test(file)) return input;
  const unzipped = createGunzip();
  input.on('error', (error) => unzipped.destroy(error));
  unzipped.on('close', () => input.destroy());
  return input.pipe(unzipped);
}

/** What goes wrong while a file is read, as an error of the data set. */
async function* reading<T>(
  file: string,
  signal: AbortSignal | undefined,
  rows: AsyncIterable<T>,
): AsyncGenerator<T> {
  try {
    yield* rows;
  } catch (cause) {
    if (signal?.aborted) throw new CancelledError({ cause: signal.reason });
    if (cause instanceof DataError) throw cause;
    const format = cause instanceof CsvError || String((cause as { code?: unknown }).code).startsWith('Z_');
    throw new DataError(format ? 'ERR_DATA_FORMAT' : 'ERR_DATA_READ', {
      file,
      expected: 'a table that can be read to its end',
      got: (cause as Error).message,
      cause,
    });
  }
}

/** Lines of text, with their numbers from 1. */
export async function* linesOf(
  file: string,
  signal: AbortSignal | undefined,
  encoding: BufferEncoding = 'utf8',
): AsyncGenerator<{ text: string; line: number }> {
  async function* lines() {
    const bytes = bytesOf(file, signal);
    const reader = createInterface({
      input: bytes.setEncoding(encoding),
      crlfDelay: Number.POSITIVE_INFINITY,
    });
    // The interface swallows what goes wrong with its input.
    let failure: Error | undefined;
    bytes.on('error', (error) => {
      failure = error;
      reader.close();
    });
    let line = 0;
    for await (const text of reader) yield { text, line: ++line };
    if (failure) throw failure;
  }
  yield* reading(file, signal, lines());
}

/** Rows of a tab-separated file with a header, nothing quoted, as IMDb writes them; `\N` is nothing. */
export async function* tsvRows(
  file: string,
  columns: readonly string[],
  signal: AbortSignal | undefined,
): AsyncGenerator<{ cells: (string | undefined)[]; line: number }> {
  let places: number[] | undefined;
  for await (const { text, line } of linesOf(file, signal)) {
    const cells = text.split('\t');
    if (!places) {
      places = columns.map((column) => cells.indexOf(column));
      const absent = columns.find((_, i) => places![i]! < 0);
      if (absent !== undefined) throw missingColumn(file, absent, cells);
      continue;
    }
    yield {
      cells: places.map((at) => {
        const cell = cells[at];
        return cell === undefined || cell === '' || cell === '\\N' ? undefined : cell;
      }),
      line,
    };
  }
}

export function missingColumn(file: string, column: string, columns: readonly string[]): DataError {
  return new DataError('ERR_DATA_COLUMN', {
    file,
    field: column,
    expected: 'the column in the header line',
    got: columns.slice(0, 30).join(', '),
  });
}

/** Rows of a .csv, .jsonl or .json file (.gz too). A .json holds an array of objects, or one object. */
export async function* sourceRows(
  file: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<{ row: SourceRow; line: number }> {
  const name = file.replace(/\.gz$/i, '');
  if (/\.(jsonl|ndjson)$/i.test(name)) {
    for await (const { text, line } of linesOf(file, signal)) {
      if (text.trim() !== '') yield { row: objectOf(text, `${file}:${line}`), line };
    }
  } else if (/\.json$/i.test(name)) yield* jsonRows(file);
  else yield* reading(file, signal, csvRows(file, signal));
}

async function* csvRows(file: string, signal: AbortSignal | undefined) {
  const parser = parse({
    bom: true,
    columns: true,
    skip_empty_lines: true,
    relax_column_count: true,
    relax_quotes: true,
    max_record_size: 32 << 20,
    info: true,
  });
  const bytes = bytesOf(file, signal);
  bytes.on('error', (error) => parser.destroy(error));
  bytes.pipe(parser);
  try {
    for await (const { record, info } of parser as AsyncIterable<{
      record: SourceRow;
      info: { lines: number };
    }>) {
      yield { row: record, line: info.lines };
    }
  } finally {
    bytes.destroy();
  }
}

async function* jsonRows(file: string): AsyncGenerator<{ row: SourceRow; line: number }> {
  const { size } = await stat(file);
  if (size > MAX_JSON_BYTES) {
    throw new DataError('ERR_DATA_FORMAT', {
      file,
      expected: `at most ${MAX_JSON_BYTES} bytes of JSON; more of them as JSON lines`,
      got: `${size}`,
    });
  }
  const text = await readFile(file, 'utf8');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // One object after the other, a line each, under the name .json.
    let line = 0;
    for (const part of text.split('\n')) {
      line++;
      if (part.trim() !== '') yield { row: objectOf(part, `${file}:${line}`), line };
    }
    return;
  }
  const rows = Array.isArray(value) ? value : [value];
  for (const [i, row] of rows.entries()) {
    if (typeof row === 'object' && row !== null) yield { row: row as SourceRow, line: i + 1 };
  }
}

function objectOf(text: string, where: string): SourceRow {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as SourceRow;
  } catch {
    // told below
  }
  throw new DataError('ERR_DATA_FORMAT', {
    file: where,
    expected: 'a JSON object',
    got: JSON.stringify(text.slice(0, 60)),
  });
}

/** The columns of a table, without reading further than its beginning. */
export async function headerOf(file: string): Promise<string[]> {
  for await (const { row } of sourceRows(file, undefined)) return Object.keys(row);
  return [];
}
