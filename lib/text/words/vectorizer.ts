/** Texts as sparse rows of term weights. */
import { z } from 'zod';
import { describeValue, InputError, throwIfCancelled } from '../../errors.js';
import { Pace } from '../../pace.js';
import { normaliseRows, type SparseRows } from './sparse.js';
import { type TermOptions, TermReader } from './terms.js';

/** Most terms of a vocabulary. */
export const MAX_TERMS = 5_000_000;

const lengths = z
  .tuple([z.int().min(1).max(5), z.int().min(1).max(5)])
  .refine(([shortest, longest]) => shortest <= longest, 'a shortest length that is not above the longest');

const optionsSchema = z.strictObject({
  language: z.string().min(1).default('en'),
  stopWords: z.boolean().default(true),
  stems: z.union([z.boolean(), z.literal('beside')]).default(false),
  negated: z.boolean().default(false),
  marks: z.boolean().default(false),
  ngrams: lengths.default([1, 1]),
  characters: lengths.optional(),
  leastTexts: z.int().min(1).default(1),
  maxTerms: z.int().min(1).max(MAX_TERMS).default(1_000_000),
  weighting: z.enum(['tfidf', 'count', 'binary']).default('tfidf'),
  unitLength: z.boolean().optional(),
});

export interface VectorizerOptions extends TermOptions {
  /** A term must be in so many texts. Default 1. */
  leastTexts?: number | undefined;
  /** Of more terms, those in most texts. Default 1,000,000, at most 5,000,000. */
  maxTerms?: number | undefined;
  /** 'tfidf' (1 + ln n)·idf, 'count' n, 'binary' 1; n: how often the term is in the text. Default 'tfidf'. */
  weighting?: 'tfidf' | 'count' | 'binary' | undefined;
  /** Rows of length 1. Default: for 'tfidf'. */
  unitLength?: boolean | undefined;
}

export interface RunOptions {
  signal?: AbortSignal | undefined;
  /** Texts done, of all. */
  onProgress?: ((progress: { done: number; total: number }) => void) | undefined;
}

type Settings = z.infer<typeof optionsSchema> & { unitLength: boolean };

/** A term found in a text. */
export interface FoundTerm {
  column: number;
  start: number;
  end: number;
}

/**
 * TF-IDF, counts or presence of words and runs of words:
 *
 *   v_t = (1 + ln n_t)·idf_t,  idf_t = ln((1 + N)/(1 + df_t)) + 1
 *
 * n_t: how often term t is in the text; df_t: texts of N with it.
 */
export class Vectorizer {
  /** By column, in code-unit order. */
  readonly terms: readonly string[];
  /** (terms) */
  readonly idf: Float32Array;
  readonly options: Readonly<Settings>;
  readonly #columns: ReadonlyMap<string, number>;
  readonly #reader: TermReader;

  private constructor(terms: readonly string[], idf: Float32Array, options: Settings) {
    this.terms = terms;
    this.idf = idf;
    this.options = options;
    this.#columns = new Map(terms.map((term, column) => [term, column]));
    this.#reader = new TermReader(options);
  }

  /**
   * The vocabulary of texts.
   *
   * @throws InputError ERR_INPUT_VALUE  an option out of its range
   * @throws CancelledError ERR_CANCELLED
   */
  static async fit(
    texts: readonly string[],
    options: VectorizerOptions = {},
    run: RunOptions = {},
  ): Promise<Vectorizer> {
    return (await Vectorizer.fitTransform(texts, options, run)).vectorizer;
  }

  /** `fit`, and `transform` of the same texts, which are read once. */
  static async fitTransform(
    texts: readonly string[],
    options: VectorizerOptions = {},
    { signal, onProgress }: RunOptions = {},
  ): Promise<{ vectorizer: Vectorizer; rows: SparseRows }> {
    const settings = parseOptions(options);
    const reader = new TermReader(settings);
    const pace = new Pace();
    // Terms are numbered as they come, and anew when it is known which stay.
    const numbers = new Map<string, number>();
    let frequency = new Int32Array(1 << 16);
    const entries = new RowWriter(texts.length);
    for (const [i, text] of texts.entries()) {
      const counts = new Map<number, number>();
      reader.each(text, (term) => {
        let number = numbers.get(term);
        if (number === undefined) {
          number = numbers.size;
          numbers.set(term, number);
          if (number === frequency.length) frequency = grown(frequency, new Int32Array(2 * number));
        }
        counts.set(number, (counts.get(number) ?? 0) + 1);
      });
      for (const [number, count] of counts) {
        frequency[number]!++;
        entries.add(number, count);
      }
      entries.endRow();
      if (pace.due) {
        throwIfCancelled(signal);
        onProgress?.({ done: i, total: texts.length });
        await pace.rest();
      }
    }
    let kept = [...numbers].filter(([, number]) => frequency[number]! >= settings.leastTexts);
    await pace.rest();
    if (kept.length > settings.maxTerms) {
      kept.sort((a, b) => frequency[b[1]]! - frequency[a[1]]! || byName(a[0], b[0]));
      kept = kept.slice(0, settings.maxTerms);
      await pace.rest();
    }
    kept.sort((a, b) => byName(a[0], b[0]));
    await pace.rest();
    throwIfCancelled(signal);
    const idf = Float32Array.from(
      kept,
      ([, number]) => Math.log((1 + texts.length) / (1 + frequency[number]!)) + 1,
    );
    const columns = new Int32Array(numbers.size).fill(-1);
    kept.forEach(([, number], column) => {
      columns[number] = column;
    });
    const vectorizer = new Vectorizer(
      kept.map(([term]) => term),
      idf,
      settings,
    );
    const counted = entries.rows(numbers.size);
    const renumbered = new RowWriter(texts.length);
    for (let r = 0; r < texts.length; r++) {
      const counts = new Map<number, number>();
      for (let i = counted.offsets[r]!; i < counted.offsets[r + 1]!; i++) {
        const column = columns[counted.columnOf[i]!]!;
        if (column >= 0) counts.set(column, counted.values[i]!);
      }
      vectorizer.#write(renumbered, counts);
      if (pace.due) await pace.rest();
    }
    throwIfCancelled(signal);
    return { vectorizer, rows: vectorizer.#finish(renumbered) };
  }

  /**
   * A vectorizer of a vocabulary that was fitted before.
   *
   * @param idf  (terms)
   * @throws InputError ERR_INPUT_VALUE  options out of range, a term twice, not one idf a term
   */
  static of(terms: readonly string[], idf: Float32Array, options: VectorizerOptions): Vectorizer {
    const vectorizer = new Vectorizer(terms, idf, parseOptions(options));
    if (idf.length === terms.length && vectorizer.#columns.size === terms.length) return vectorizer;
    throw new InputError('ERR_INPUT_VALUE', {
      field: 'terms',
      expected: `${idf.length} different terms, one for each idf`,
      got: `${vectorizer.#columns.size} different of ${terms.length}`,
    });
  }

  /**
   * @returns (texts, terms); terms that are not in the vocabulary count for nothing
   * @throws CancelledError ERR_CANCELLED
   */
  async transform(texts: readonly string[], { signal, onProgress }: RunOptions = {}): Promise<SparseRows> {
    const pace = new Pace();
    const rows = new RowWriter(texts.length);
    for (const [i, text] of texts.entries()) {
      this.#write(rows, this.#counts(text));
      if (pace.due) {
        throwIfCancelled(signal);
        onProgress?.({ done: i, total: texts.length });
        await pace.rest();
      }
    }
    return this.#finish(rows);
  }

  /** Terms of the vocabulary in a text, in the order of their ends. */
  find(text: string): FoundTerm[] {
    const found: FoundTerm[] = [];
    this.#reader.each(text, (term, start, end) => {
      const column = this.#columns.get(term);
      if (column !== undefined) found.push({ column, start, end });
    });
    return found;
  }

  #counts(text: string): Map<number, number> {
    const counts = new Map<number, number>();
    this.#reader.each(text, (term) => {
      const column = this.#columns.get(term);
      if (column !== undefined) counts.set(column, (counts.get(column) ?? 0) + 1);
    });
    return counts;
  }

  /** A row of weights, by rising column. */
  #write(rows: RowWriter, counts: ReadonlyMap<number, number>): void {
    const columns = Int32Array.from(counts.keys()).sort();
    for (const column of columns) rows.add(column, this.#weight(column, counts.get(column)!));
    rows.endRow();
  }

  #finish(writer: RowWriter): SparseRows {
    const rows = writer.rows(this.terms.length);
    if (this.options.unitLength) normaliseRows(rows);
    return rows;
  }

  #weight(column: number, count: number): number {
    const { weighting } = this.options;
    if (weighting === 'binary') return 1;
    return weighting === 'count' ? count : (1 + Math.log(count)) * this.idf[column]!;
  }
}

/** Sparse rows, written one after the other. */
class RowWriter {
  readonly #offsets: Int32Array;
  #columnOf: Int32Array;
  #values: Float32Array;
  #length = 0;
  #row = 0;

  constructor(rows: number) {
    this.#offsets = new Int32Array(rows + 1);
    this.#columnOf = new Int32Array(Math.max(1024, 64 * rows));
    this.#values = new Float32Array(this.#columnOf.length);
  }

  add(column: number, value: number): void {
    if (this.#length === this.#columnOf.length) {
      this.#columnOf = grown(this.#columnOf, new Int32Array(2 * this.#length));
      this.#values = grown(this.#values, new Float32Array(2 * this.#length));
    }
    this.#columnOf[this.#length] = column;
    this.#values[this.#length++] = value;
  }

  endRow(): void {
    this.#offsets[++this.#row] = this.#length;
  }

  rows(columns: number): SparseRows {
    return {
      rows: this.#row,
      columns,
      offsets: this.#offsets,
      columnOf: this.#columnOf.slice(0, this.#length),
      values: this.#values.slice(0, this.#length),
    };
  }
}

function byName(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function grown<T extends Int32Array | Float32Array>(from: T, to: T): T {
  to.set(from);
  return to;
}

function parseOptions(options: VectorizerOptions): Settings {
  const parsed = optionsSchema.safeParse(options);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    const field = issue?.path.join('.') ?? '';
    throw new InputError('ERR_INPUT_VALUE', {
      field,
      expected: issue?.message ?? 'options of a vectorizer',
      got: describeValue(options[field as keyof VectorizerOptions]),
    });
  }
  const { unitLength, ...rest } = parsed.data;
  return { ...rest, unitLength: unitLength ?? rest.weighting === 'tfidf' };
}
