import type { Stats } from 'node:fs';
import { Readable } from 'node:stream';
import { CsvError, parse } from 'csv-parse';
import { parse as parseSync } from 'csv-parse/sync';
import { DataError, describeValue } from '../../errors.js';
import { type Row, type RowPlace, TextRows } from './rows.js';

const MAX_RECORD = 4 << 20;

/** CSV: UTF-8, RFC 4180, a header line. TSV: tabs between the cells, no quoting. */
export class CsvRows extends TextRows {
  readonly filmJson = false;
  columns: readonly string[] = [];
  readonly #dialect: { delimiter: string; quote: string | false };

  constructor(file: string, opened: Stats) {
    super(file, opened);
    const tabs = /\.tsv$/i.test(file);
    this.#dialect = { delimiter: tabs ? '\t' : ',', quote: tabs ? false : '"' };
  }

  async *scan(signal?: AbortSignal): AsyncGenerator<{ row: Row; place: RowPlace }> {
    const parser = parse({
      ...this.#dialect,
      bom: true,
      skip_empty_lines: true,
      max_record_size: MAX_RECORD,
      info: true,
      columns: false,
    });
    const input = Readable.from(this.bytes(signal), { objectMode: false });
    input.on('error', (error) => parser.destroy(error));
    input.pipe(parser);
    let begin = 0;
    let header = false;
    try {
      for await (const { record, info } of parser as AsyncIterable<{
        record: string[];
        info: { bytes: number };
      }>) {
        if (header) yield { row: this.#named(record), place: { begin, end: info.bytes } };
        else this.#header(record);
        header = true;
        begin = info.bytes;
      }
    } catch (cause) {
      if (!(cause instanceof CsvError)) throw cause;
      const { lines } = cause as CsvError & { lines?: number };
      throw new DataError('ERR_DATA_FORMAT', {
        file: lines === undefined ? this.file : `${this.file}:${lines}`,
        expected: this.#dialect.quote
          ? 'CSV as in RFC 4180, every row as long as the header'
          : 'rows of tab-separated cells',
        got: cause.message,
        cause,
      });
    } finally {
      input.destroy();
      parser.destroy();
    }
    if (!header) {
      throw new DataError('ERR_DATA_FORMAT', {
        file: this.file,
        expected: 'a header line and a film a line',
        got: 'an empty file',
      });
    }
  }

  protected rowsOf(texts: readonly string[]): Row[] {
    const records = parseSync(texts.join(''), {
      ...this.#dialect,
      skip_empty_lines: true,
      max_record_size: MAX_RECORD,
    }) as string[][];
    return records.map((record) => this.#named(record));
  }

  #named(record: readonly string[]): Row {
    const row: Record<string, string> = Object.create(null);
    this.columns.forEach((column, i) => {
      row[column] = record[i] ?? '';
    });
    return row;
  }

  #header(record: readonly string[]): void {
    const names = record.map((name) => name.trim());
    const twice = names.find((name, i) => names.indexOf(name) !== i);
    if (twice !== undefined) {
      throw new DataError('ERR_DATA_FORMAT', {
        file: this.file,
        field: twice,
        expected: 'columns of different names',
        got: `${describeValue(twice)} twice`,
      });
    }
    this.columns = names;
  }
}
