/** Tables as rows: read once from front to back when a data set is opened, then row by row where they are wanted. */
import { createHash, type Hash } from 'node:crypto';
import { type Stats, createReadStream } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { CancelledError, DataError, throwIfCancelled } from '../../errors.js';

/** By column: text in CSV; in JSON and Parquet also numbers, booleans, lists and objects. */
export type Row = Readonly<Record<string, unknown>>;

/** Where a row lies: bytes of a text file, or its number and the next in Parquet. */
export interface RowPlace {
  begin: number;
  end: number;
}

export interface RowReader {
  readonly file: string;
  /** As a film's JSON has it: texts are the text itself. Else a cell of text in a file's column is a path. */
  readonly filmJson: boolean;
  /** Columns in their order; of JSON lines complete only after a scan. */
  readonly columns: readonly string[];
  /** Every row, in order. After the last one `sha256` is known. */
  scan(signal?: AbortSignal): AsyncIterable<{ row: Row; place: RowPlace }>;
  /** The rows at these places, which rise. */
  read(places: readonly RowPlace[], signal?: AbortSignal): Promise<Row[]>;
  /** The line, from 1, on which each of these rows begins. */
  lines(places: readonly RowPlace[]): Promise<number[]>;
  /** Of the table. */
  readonly sha256: string;
}

/** Rows near each other are fetched together. */
const MAX_GAP = 4096;
const MAX_RUN = 2 ** 18;

/** What CSV and JSON lines have in common: a text file, and rows that are stretches of it. */
export abstract class TextRows implements RowReader {
  abstract readonly filmJson: boolean;
  abstract readonly columns: readonly string[];
  readonly file: string;
  readonly #opened: Stats;
  #sha256 = '';

  /** @param opened  the file's state, against which later ones are held */
  constructor(file: string, opened: Stats) {
    this.file = file;
    this.#opened = opened;
  }

  get sha256(): string {
    return this.#sha256;
  }

  abstract scan(signal?: AbortSignal): AsyncIterable<{ row: Row; place: RowPlace }>;
  /** The rows that these stretches are, which rise. */
  protected abstract rowsOf(texts: readonly string[]): Row[];

  /** The file's bytes; when the last has been read, the hash is known. */
  protected async *bytes(signal: AbortSignal | undefined): AsyncGenerator<Buffer> {
    await this.#unchanged();
    const hash: Hash = createHash('sha256');
    try {
      for await (const chunk of createReadStream(this.file, { signal, highWaterMark: 1 << 17 })) {
        hash.update(chunk as Buffer);
        yield chunk as Buffer;
      }
    } catch (cause) {
      if (signal?.aborted) throw new CancelledError({ cause: signal.reason });
      if (cause instanceof DataError) throw cause;
      throw unreadable(this.file, cause);
    }
    this.#sha256 = hash.digest('hex');
  }

  async read(places: readonly RowPlace[], signal?: AbortSignal): Promise<Row[]> {
    throwIfCancelled(signal);
    await this.#unchanged();
    const rows: Row[] = [];
    const handle = await open(this.file).catch((cause: unknown) => {
      throw unreadable(this.file, cause);
    });
    try {
      for (let first = 0; first < places.length; ) {
        const { begin } = places[first]!;
        let last = first;
        while (last + 1 < places.length) {
          const { end } = places[last]!;
          const next = places[last + 1]!;
          const apart = next.begin - end;
          if (apart < 0 || apart > MAX_GAP || next.end - begin > MAX_RUN) break;
          last++;
        }
        const bytes = Buffer.alloc(places[last]!.end - begin);
        const { bytesRead } = await handle.read(bytes, 0, bytes.length, begin);
        if (bytesRead !== bytes.length) throw changed(this.file);
        const texts = places
          .slice(first, last + 1)
          .map((place) => bytes.toString('utf8', place.begin - begin, place.end - begin));
        const run = this.rowsOf(texts);
        if (run.length !== texts.length) throw changed(this.file);
        for (const row of run) rows.push(row);
        throwIfCancelled(signal);
        first = last + 1;
      }
    } finally {
      await handle.close();
    }
    return rows;
  }

  async lines(places: readonly RowPlace[]): Promise<number[]> {
    const order = places.map((_, i) => i).sort((a, b) => places[a]!.begin - places[b]!.begin);
    const lines: number[] = new Array(places.length).fill(1);
    let line = 1;
    let at = 0;
    let next = 0;
    for await (const chunk of createReadStream(this.file, { highWaterMark: 1 << 17 })) {
      const bytes = chunk as Buffer;
      for (let i = 0; i < bytes.length && next < order.length; i++) {
        // A row's stretch may begin with empty lines.
        const blank = bytes[i] === 10 || bytes[i] === 13;
        while (next < order.length && places[order[next]!]!.begin <= at + i && !blank) {
          lines[order[next++]!] = line;
        }
        if (bytes[i] === 10) line++;
      }
      at += bytes.length;
      if (next === order.length) break;
    }
    return lines;
  }

  async #unchanged(): Promise<void> {
    const now = await stat(this.file).catch((cause: unknown) => {
      throw unreadable(this.file, cause);
    });
    if (now.size !== this.#opened.size || now.mtimeMs !== this.#opened.mtimeMs) throw changed(this.file);
  }
}

export function unreadable(file: string, cause: unknown): DataError {
  return new DataError('ERR_DATA_READ', {
    file,
    expected: 'a table that can be read',
    got: cause instanceof Error ? cause.message : String(cause),
    cause,
  });
}

export function changed(file: string): DataError {
  return new DataError('ERR_DATA_READ', {
    file,
    expected: 'the table as it was when it was opened',
    got: 'another one: open the data set again',
  });
}
