/**
 * Word vectors in files.
 *
 *   word2vec         "WORDS DIM", then a line a word: the word and its numbers, with blanks between
 *   word2vec-binary  "WORDS DIM", then of each word its characters, a blank, DIM float32 (little endian), perhaps a line end
 *   glove            as word2vec without the first line
 */
import { stat } from 'node:fs/promises';
import { CinefuseError, describeValue, InputError, throwIfCancelled } from '../../errors.js';
import { Pace } from '../../pace.js';
import { writeWhole } from '../../write-whole.js';
import { ByteReader, fileError } from './byte-reader.js';

const FORMATS = ['word2vec', 'word2vec-binary', 'glove'] as const;
export type VectorFormat = (typeof FORMATS)[number];

export interface LoadVectorsOptions {
  /** Default: told from the beginning of the file. */
  format?: VectorFormat | undefined;
  /** A file of lines "WORD COUNT", as `save` and word2vec's -save-vocab write it. */
  counts?: string | undefined;
  /** Only so many first words. Default: all. */
  words?: number | undefined;
  /** What a word that stands there twice does. 'first': the later ones are passed over. Default 'error'. */
  duplicates?: 'error' | 'first' | undefined;
  signal?: AbortSignal | undefined;
  onProgress?: ((words: number) => void) | undefined;
}

export interface SaveVectorsOptions {
  /** Default 'word2vec'. */
  format?: VectorFormat | undefined;
  /** Also a file of the words' counts. */
  counts?: string | undefined;
  signal?: AbortSignal | undefined;
}

const MAX_NUMBERS = 2 ** 30;
const MAX_DIM = 4096;
const MAX_WORD_BYTES = 4096;
/** Of a line: a word and so many characters a number. */
const MAX_LINE_BYTES = MAX_WORD_BYTES + 40 * MAX_DIM;
const LINE_END = 10;
const BLANK = 32;

export interface VectorSet {
  words: readonly string[];
  dim: number;
  vectors: Float32Array;
  counts?: Float64Array | undefined;
}

const HEADER = /^\s*(\d{1,10})\s+(\d{1,10})\s*$/;

/** The form, told from the first two lines. */
async function formatOf(reader: ByteReader): Promise<VectorFormat> {
  const start = await reader.peek(1 << 16);
  const end = start.indexOf(LINE_END);
  const header = HEADER.exec(start.toString('latin1', 0, end < 0 ? start.length : end));
  if (!header) return 'glove';
  const second = start.indexOf(LINE_END, end + 1);
  const line = start.toString('latin1', end + 1, second < 0 ? start.length : second).trimEnd();
  const numbers = line.split(' ').slice(-Number(header[2]));
  const last = second < 0 && start.length === 1 << 16 ? numbers.slice(0, -1) : numbers;
  const textual = last.length > 0 && last.every((part) => part !== '' && Number.isFinite(Number(part)));
  return textual ? 'word2vec' : 'word2vec-binary';
}

/** Collects words and their numbers under the limits. */
class Collector {
  readonly words: string[] = [];
  readonly #seen = new Set<string>();
  #vectors: Float32Array;
  dim: number;

  constructor(
    readonly file: string,
    dim: number,
    readonly most: number,
    readonly firstOnly: boolean,
    expectedWords: number,
  ) {
    this.dim = dim;
    this.#vectors = new Float32Array(Math.max(1, expectedWords) * Math.max(1, dim));
  }

  /** Where the numbers of a further word go; undefined for one to be passed over. */
  place(word: string, where: string): Float32Array | undefined {
    if (this.#seen.has(word)) {
      if (this.firstOnly) return undefined;
      throw fileError(this.file, 'different words', `${describeValue(word)} a second time, ${where}`);
    }
    this.#seen.add(word);
    const [from, to] = [this.words.length * this.dim, (this.words.length + 1) * this.dim];
    if (to > MAX_NUMBERS) {
      throw fileError(this.file, `at most ${MAX_NUMBERS} numbers (see the option words)`, 'more');
    }
    if (to > this.#vectors.length) {
      const larger = new Float32Array(Math.min(MAX_NUMBERS, Math.max(to, 2 * this.#vectors.length)));
      larger.set(this.#vectors);
      this.#vectors = larger;
    }
    this.words.push(word);
    return this.#vectors.subarray(from, to);
  }

  get full(): boolean {
    return this.words.length >= this.most;
  }

  done(): VectorSet {
    const vectors = this.#vectors.slice(0, this.words.length * this.dim);
    return { words: this.words, dim: this.dim, vectors };
  }
}

async function readHeader(reader: ByteReader, size: number, binary: boolean) {
  const line = await reader.until(LINE_END, 64);
  const header = Buffer.isBuffer(line) ? HEADER.exec(line.toString('latin1')) : null;
  const [rows, dim] = [Number(header?.[1]), Number(header?.[2])];
  // The least bytes of a number and of a word: a header that promises more than the file holds is none.
  const least = rows * ((binary ? 4 : 2) * dim + 1);
  if (!(rows >= 1 && dim >= 1 && dim <= MAX_DIM && least <= size)) {
    const got = header ? `${rows} and ${dim} in a file of ${size} bytes` : 'another first line';
    throw fileError(reader.file, `how many words and numbers there are (at most ${MAX_DIM}) in line 1`, got);
  }
  return { rows, dim };
}

async function readText(reader: ByteReader, size: number, glove: boolean, options: LoadVectorsOptions) {
  const { words: most = Number.POSITIVE_INFINITY, duplicates, signal, onProgress } = options;
  const header = glove ? undefined : await readHeader(reader, size, false);
  const rows = header?.rows ?? Number.POSITIVE_INFINITY;
  const dim = header?.dim ?? 0;
  const firstOnly = duplicates === 'first';
  const all = new Collector(
    reader.file,
    dim,
    Math.min(most, rows),
    firstOnly,
    header ? Math.min(rows, most) : 0,
  );
  const pace = new Pace();
  let line = header ? 1 : 0;
  while (!(header ? line - 1 >= rows || all.full : all.full)) {
    const bytes = await reader.until(LINE_END, MAX_LINE_BYTES);
    if (bytes === undefined) break;
    line++;
    const where = `in line ${line}`;
    if (bytes === 'long')
      throw fileError(reader.file, `lines of at most ${MAX_LINE_BYTES} bytes`, `more ${where}`);
    const parts = bytes.toString('utf8').trimEnd().split(' ');
    if (all.dim === 0) all.dim = parts.length - 1;
    // GloVe has words with blanks in them: the numbers are the last ones.
    const word = parts.slice(0, parts.length - all.dim).join(' ');
    if (all.dim < 1 || all.dim > MAX_DIM || word === '') {
      throw fileError(
        reader.file,
        `a word and ${all.dim || 'its'} numbers, with blanks between`,
        `${parts.length} fields ${where}`,
      );
    }
    const to = all.place(word, where);
    for (let i = 0; to && i < all.dim; i++) {
      const part = parts[parts.length - all.dim + i]!;
      const value = Number(part);
      if (part === '' || !Number.isFinite(Math.fround(value))) {
        throw fileError(reader.file, 'finite numbers', `${describeValue(part)} ${where}`);
      }
      to[i] = value;
    }
    if (pace.due) {
      throwIfCancelled(signal);
      onProgress?.(all.words.length);
      await pace.rest();
    }
  }
  if (all.words.length === 0) throw fileError(reader.file, 'word vectors', 'none');
  if (header && !all.full && line - 1 < rows) {
    throw fileError(reader.file, `${rows} words, as line 1 says`, `${line - 1}`);
  }
  return all.done();
}

async function readBinary(reader: ByteReader, size: number, options: LoadVectorsOptions) {
  const { words: most = Number.POSITIVE_INFINITY, duplicates, signal, onProgress } = options;
  const { rows, dim } = await readHeader(reader, size, true);
  const all = new Collector(
    reader.file,
    dim,
    Math.min(rows, most),
    duplicates === 'first',
    Math.min(rows, most),
  );
  const pace = new Pace();
  for (let row = 0; row < rows && !all.full; row++) {
    const where = `at word ${row + 1}`;
    const name = await reader.until(BLANK, MAX_WORD_BYTES);
    if (!Buffer.isBuffer(name)) throw fileError(reader.file, 'a word, then a blank', `neither ${where}`);
    // word2vec.c ends each row by a line end, gensim does not.
    const word = name.toString('utf8', name[0] === LINE_END ? 1 : 0);
    const bytes = await reader.take(4 * dim);
    if (!bytes)
      throw fileError(reader.file, `${rows} words of ${dim} numbers`, `the end of the file ${where}`);
    if (word === '') throw fileError(reader.file, 'a word', `none ${where}`);
    const to = all.place(word, where);
    for (let i = 0; to && i < dim; i++) {
      const value = bytes.readFloatLE(4 * i);
      if (!Number.isFinite(value)) throw fileError(reader.file, 'finite numbers', `${value} ${where}`);
      to[i] = value;
    }
    if (pace.due) {
      throwIfCancelled(signal);
      onProgress?.(all.words.length);
      await pace.rest();
    }
  }
  return all.done();
}

async function readCounts(file: string, words: readonly string[]): Promise<Float64Array> {
  const reader = new ByteReader(file);
  const counts = new Map<string, number>();
  try {
    for (let line = 1; ; line++) {
      const bytes = await reader.until(LINE_END, MAX_WORD_BYTES + 24);
      if (bytes === undefined) break;
      const match = Buffer.isBuffer(bytes) ? /^(.+)[ \t](\d{1,15})\s*$/s.exec(bytes.toString('utf8')) : null;
      if (!match) throw fileError(file, 'lines of a word and its count', `another line ${line}`);
      counts.set(match[1]!, Number(match[2]));
    }
  } finally {
    await reader.close();
  }
  return Float64Array.from(words, (word) => {
    const count = counts.get(word);
    if (count === undefined) throw fileError(file, 'a count of every word', `none of ${describeValue(word)}`);
    return count;
  });
}

function checkFormat(format: string | undefined): void {
  if (format === undefined || (FORMATS as readonly string[]).includes(format)) return;
  throw new InputError('ERR_INPUT_VALUE', {
    field: 'format',
    expected: `one of ${FORMATS.join(', ')}`,
    got: describeValue(format),
  });
}

export async function readVectors(file: string, options: LoadVectorsOptions): Promise<VectorSet> {
  checkFormat(options.format);
  const { words } = options;
  if (words !== undefined && !(Number.isInteger(words) && words >= 1)) {
    throw new InputError('ERR_INPUT_VALUE', {
      field: 'words',
      expected: 'a whole number',
      got: describeValue(words),
    });
  }
  const info = await stat(file).catch((cause: Error) => {
    throw fileError(file, 'a file of word vectors', cause.message, cause);
  });
  if (!info.isFile()) throw fileError(file, 'a file of word vectors', 'no file');
  const reader = new ByteReader(file);
  try {
    const format = options.format ?? (await formatOf(reader));
    const set =
      format === 'word2vec-binary'
        ? await readBinary(reader, info.size, options)
        : await readText(reader, info.size, format === 'glove', options);
    return options.counts === undefined
      ? set
      : { ...set, counts: await readCounts(options.counts, set.words) };
  } finally {
    await reader.close();
  }
}

/** The shortest decimals that are the same float32. */
export function decimals(value: number): string {
  if (Object.is(value, -0)) return '-0';
  for (const digits of [6, 7, 8]) {
    const text = value.toPrecision(digits);
    if (Math.fround(Number(text)) === value) return String(Number(text));
  }
  return String(Number(value.toPrecision(9)));
}

async function* rowsOf({ words, dim, vectors }: VectorSet, format: VectorFormat): AsyncGenerator<Uint8Array> {
  if (format !== 'glove') yield Buffer.from(`${words.length} ${dim}\n`);
  for (const [row, word] of words.entries()) {
    const bad = format === 'glove' ? /[\n\r]|^$/ : /\s|^$/;
    if (bad.test(word)) {
      throw new InputError('ERR_INPUT_VALUE', {
        field: `words[${row}]`,
        expected: `a word that ${format} can hold`,
        got: describeValue(word),
      });
    }
    const values = vectors.subarray(row * dim, (row + 1) * dim);
    if (format !== 'word2vec-binary') {
      yield Buffer.from(`${word} ${Array.from(values, decimals).join(' ')}\n`);
      continue;
    }
    const bytes = Buffer.alloc(4 * dim + 1, LINE_END);
    for (let i = 0; i < dim; i++) bytes.writeFloatLE(values[i]!, 4 * i);
    yield Buffer.concat([Buffer.from(`${word} `), bytes]);
  }
}

async function write(file: string, parts: AsyncIterable<Uint8Array>, signal: AbortSignal | undefined) {
  await writeWhole(file, parts, { signal }).catch((cause: Error) => {
    if (cause instanceof CinefuseError) throw cause;
    throw fileError(file, 'a file that can be written', cause.message, cause);
  });
}

export async function writeVectors(file: string, set: VectorSet, options: SaveVectorsOptions): Promise<void> {
  const { format = 'word2vec', counts: countsFile, signal } = options;
  checkFormat(format);
  const { counts } = set;
  if (countsFile !== undefined && !counts) {
    throw new InputError('ERR_INPUT_VALUE', {
      field: 'counts',
      expected: 'vectors that have counts',
      got: 'vectors without',
    });
  }
  await write(file, rowsOf(set, format), signal);
  if (countsFile === undefined || !counts) return;
  async function* lines(): AsyncGenerator<Uint8Array> {
    for (const [row, word] of set.words.entries()) yield Buffer.from(`${word} ${counts![row]}\n`);
  }
  await write(countsFile, lines(), signal);
}
