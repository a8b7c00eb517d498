/** Texts for word vectors out of files that may be larger than memory. */
import { throwIfCancelled } from '../../errors.js';
import { ByteReader, fileError } from './byte-reader.js';

/** Of a line: the whole of War and Peace is 3 MiB. */
const MAX_LINE_BYTES = 1 << 24;
const LINE_END = 10;

export interface CorpusLinesOptions {
  /** The file is a table with tabs between its columns and a header line: the column that holds the texts. */
  column?: string | undefined;
  signal?: AbortSignal | undefined;
}

/**
 * A text a line, lines of blanks left out: of plain UTF-8 files, or of one column of tables. For `WordVectors.train`.
 *
 * @throws InputError ERR_INPUT_FILE  cannot be read, a line over 16 MiB, no such column
 */
export async function* corpusLines(
  files: readonly string[],
  { column, signal }: CorpusLinesOptions = {},
): AsyncGenerator<string> {
  for (const file of files) {
    const reader = new ByteReader(file);
    try {
      let place = -1;
      for (let line = 1; ; line++) {
        throwIfCancelled(signal);
        const bytes = await reader.until(LINE_END, MAX_LINE_BYTES);
        if (bytes === 'long')
          throw fileError(file, `lines of at most ${MAX_LINE_BYTES} bytes`, `more in line ${line}`);
        if (bytes === undefined) break;
        const text = bytes.toString('utf8').replace(/\r$/, '');
        if (column !== undefined && line === 1) {
          place = text.split('\t').indexOf(column);
          if (place < 0) throw fileError(file, `a column ${column} in line 1`, 'none');
          continue;
        }
        const own = place < 0 ? text : (text.split('\t')[place] ?? '');
        if (own.trim() !== '') yield own;
      }
    } finally {
      await reader.close();
    }
  }
}
