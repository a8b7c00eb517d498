import { DataError, describeValue } from '../../errors.js';
import { type Row, type RowPlace, TextRows } from './rows.js';

const MAX_LINE = 16 << 20;

/** JSON lines: an object a film, named as a film's own fields or as columns. */
export class JsonlRows extends TextRows {
  readonly filmJson = true;
  readonly columns: string[] = [];
  readonly #known = new Set<string>();

  async *scan(signal?: AbortSignal): AsyncGenerator<{ row: Row; place: RowPlace }> {
    let line = 0;
    for await (const { bytes, begin } of this.#lines(signal)) {
      line++;
      const text = bytes.toString('utf8').replace(/^\ufeff/, '');
      if (text.trim() === '') continue;
      const row = this.#parsed(text, `${this.file}:${line}`);
      for (const column of Object.keys(row)) {
        if (this.#known.has(column)) continue;
        this.#known.add(column);
        this.columns.push(column);
      }
      yield { row, place: { begin, end: begin + bytes.length } };
    }
  }

  async *#lines(signal: AbortSignal | undefined): AsyncGenerator<{ bytes: Buffer; begin: number }> {
    let begin = 0;
    let parts: Buffer[] = [];
    let held = 0;
    for await (const chunk of this.bytes(signal)) {
      let from = 0;
      for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, from)) {
        const bytes = Buffer.concat([...parts, chunk.subarray(from, end)]);
        yield { bytes, begin };
        begin += bytes.length + 1;
        parts = [];
        held = 0;
        from = end + 1;
      }
      if (from === chunk.length) continue;
      parts.push(chunk.subarray(from));
      held += chunk.length - from;
      if (held > MAX_LINE) throw this.#wrong(this.file, `lines of at most ${MAX_LINE} bytes`, 'a longer one');
    }
    if (held > 0) yield { bytes: Buffer.concat(parts), begin };
  }

  protected rowsOf(texts: readonly string[]): Row[] {
    return texts.map((text) => this.#parsed(text.replace(/^\ufeff/, ''), this.file));
  }

  #parsed(text: string, where: string): Row {
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch (cause) {
      throw this.#wrong(where, 'a JSON object a line', (cause as Error).message, cause);
    }
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw this.#wrong(where, 'a JSON object a line', describeValue(value));
    }
    return value as Row;
  }

  #wrong(file: string, expected: string, got: string, cause?: unknown): DataError {
    return new DataError('ERR_DATA_FORMAT', { file, expected, got, cause });
  }
}
