import type { Stats } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import type { AsyncBuffer, FileMetaData } from 'hyparquet';
import { hashFile } from '../../encoders/files.js';
import { DataError, throwIfCancelled } from '../../errors.js';
import { changed, type Row, type RowPlace, type RowReader, unreadable } from './rows.js';

/** Rows decoded together. A row group's columns are decoded from their beginning for each such block. */
const BLOCK = 4096;
const KEPT = 2;

/** Apache Parquet, by hyparquet: rows in blocks, of which the last few stay in memory. */
export class ParquetRows implements RowReader {
  readonly filmJson = false;
  readonly file: string;
  readonly columns: readonly string[];
  #sha256 = '';
  readonly #opened: Stats;
  readonly #metadata: FileMetaData;
  readonly #blocks = new Map<number, Promise<Row[]>>();

  private constructor(file: string, opened: Stats, metadata: FileMetaData, columns: readonly string[]) {
    this.file = file;
    this.#opened = opened;
    this.#metadata = metadata;
    this.columns = columns;
  }

  /** @throws DataError ERR_DATA_READ, ERR_DATA_FORMAT */
  static async open(file: string, opened: Stats): Promise<ParquetRows> {
    const { parquetMetadataAsync, parquetSchema } = await import('hyparquet');
    return withBuffer(file, opened, async (buffer) => {
      const metadata = await parquetMetadataAsync(buffer).catch((cause: unknown) => {
        throw damaged(file, cause);
      });
      const columns = parquetSchema(metadata).children.map(({ element }) => element.name);
      return new ParquetRows(file, opened, metadata, columns);
    });
  }

  get sha256(): string {
    return this.#sha256;
  }

  async *scan(signal?: AbortSignal): AsyncGenerator<{ row: Row; place: RowPlace }> {
    const total = Number(this.#metadata.num_rows);
    if (this.#sha256 === '') this.#sha256 = (await hashFile(this.file, { signal })).sha256;
    for (let start = 0; start < total; start += BLOCK) {
      throwIfCancelled(signal);
      const rows = await this.#block(start / BLOCK);
      for (let i = 0; i < rows.length; i++) {
        yield { row: rows[i]!, place: { begin: start + i, end: start + i + 1 } };
      }
    }
  }

  async read(places: readonly RowPlace[], signal?: AbortSignal): Promise<Row[]> {
    const rows: Row[] = [];
    for (const { begin } of places) {
      throwIfCancelled(signal);
      const block = await this.#block(Math.floor(begin / BLOCK));
      rows.push(block[begin % BLOCK]!);
    }
    return rows;
  }

  async lines(places: readonly RowPlace[]): Promise<number[]> {
    return places.map(({ begin }) => begin + 1);
  }

  #block(number: number): Promise<Row[]> {
    const known = this.#blocks.get(number);
    if (known) {
      this.#blocks.delete(number);
      this.#blocks.set(number, known);
      return known;
    }
    const rows = this.#decode(number);
    this.#blocks.set(number, rows);
    rows.catch(() => this.#blocks.delete(number));
    for (const old of this.#blocks.keys()) {
      if (this.#blocks.size <= KEPT) break;
      this.#blocks.delete(old);
    }
    return rows;
  }

  async #decode(number: number): Promise<Row[]> {
    const { parquetReadObjects } = await import('hyparquet');
    const { compressors } = await import('hyparquet-compressors');
    return withBuffer(this.file, this.#opened, (buffer) =>
      parquetReadObjects({
        file: buffer,
        metadata: this.#metadata,
        compressors,
        rowStart: number * BLOCK,
        rowEnd: Math.min((number + 1) * BLOCK, Number(this.#metadata.num_rows)),
        useOffsetIndex: true,
      }).catch((cause: unknown) => {
        throw cause instanceof DataError ? cause : damaged(this.file, cause);
      }),
    );
  }
}

async function withBuffer<T>(
  file: string,
  opened: Stats,
  use: (buffer: AsyncBuffer) => Promise<T>,
): Promise<T> {
  let handle: FileHandle;
  try {
    handle = await open(file);
  } catch (cause) {
    throw unreadable(file, cause);
  }
  try {
    const now = await handle.stat();
    if (now.size !== opened.size || now.mtimeMs !== opened.mtimeMs) throw changed(file);
    return await use({
      byteLength: now.size,
      slice: async (start, end = now.size) => {
        const bytes = new Uint8Array(end - start);
        const { bytesRead } = await handle.read(bytes, 0, bytes.length, start);
        if (bytesRead !== bytes.length) throw changed(file);
        return bytes.buffer;
      },
    });
  } finally {
    await handle.close();
  }
}

function damaged(file: string, cause: unknown): DataError {
  return new DataError('ERR_DATA_FORMAT', {
    file,
    expected: 'an Apache Parquet file',
    got: cause instanceof Error ? cause.message : String(cause),
    cause,
  });
}
