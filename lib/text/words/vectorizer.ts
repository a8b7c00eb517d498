/** Texts as sparse rows of term weights. */
import { z } from 'zod';
import { describeValue, InputError, throwIfCancelled } from '../../errors.js';
import { Pace } from '../../pace.js';
import { normaliseRows, type SparseRows } from './sparse.js';
import { type TermOptions, TermReader } from './terms.js';

/** Most terms of a vocabulary. */
export const MAX_TERMS = 5_000_000;

const optionsSchema = z.strictObject({
  language: z.string().min(1).default('en'),
  stopWords: z.boolean().default(true),
  stems: z.union([z.boolean(), z.literal('beside')]).default(false),
  negated: z.boolean().default(false),
  marks: z.boolean().default(false),
  ngrams: z.tuple([z.int().min(1).max(5), z.int().min(1).max(5)]).default([1, 1]),
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

type Settings = Required<{ [Key in keyof VectorizerOptions]: Exclude<VectorizerOptions[Key], undefined> }>;

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
    { signal, onProgress }: RunOptions = {},
  ): Promise<Vectorizer> {
    const settings = parseOptions(options);
    const reader = new TermReader(settings);
    const pace = new Pace();
    const frequency = new Map<string, { texts: number; last: number }>();
    for (const [i, text] of texts.entries()) {
      reader.each(text, (term) => {
        const entry = frequency.get(term);
        if (entry === undefined) frequency.set(term, { texts: 1, last: i });
        else if (entry.last !== i) {
          entry.texts++;
          entry.last = i;
        }
      });
      if (pace.due) {
        throwIfCancelled(signal);
        onProgress?.({ done: i, total: texts.length });
        await pace.rest();
      }
    }
    let kept = [...frequency].filter(([, entry]) => entry.texts >= settings.leastTexts);
    frequency.clear();
    await pace.rest();
    if (kept.length > settings.maxTerms) {
      kept.sort((a, b) => b[1].texts - a[1].texts || byName(a[0], b[0]));
      kept = kept.slice(0, settings.maxTerms);
      await pace.rest();
    }
    kept.sort((a, b) => byName(a[0], b[0]));
    await pace.rest();
    const idf = Float32Array.from(kept, ([, entry]) => Math.log((1 + texts.length) / (1 + entry.texts)) + 1);
    const terms = kept.map(([term]) => term);
    throwIfCancelled(signal);
    return new Vectorizer(terms, idf, settings);
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
    const offsets = new Int32Array(texts.length + 1);
    let columnOf = new Int32Array(Math.max(1024, 64 * texts.length));
    let values = new Float32Array(columnOf.length);
    let length = 0;
    for (const [i, text] of texts.entries()) {
      const counts = this.#counts(text);
      if (length + counts.size > columnOf.length) {
        columnOf = grown(columnOf, new Int32Array(2 * (length + counts.size)));
        values = grown(values, new Float32Array(columnOf.length));
      }
      const columns = Int32Array.from(counts.keys()).sort();
      for (const column of columns) {
        columnOf[length] = column;
        values[length++] = this.#weight(column, counts.get(column)!);
      }
      offsets[i + 1] = length;
      if (pace.due) {
        throwIfCancelled(signal);
        onProgress?.({ done: i, total: texts.length });
        await pace.rest();
      }
    }
    const rows: SparseRows = {
      rows: texts.length,
      columns: this.terms.length,
      offsets,
      columnOf: columnOf.slice(0, length),
      values: values.slice(0, length),
    };
    if (this.options.unitLength) normaliseRows(rows);
    return rows;
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

  #weight(column: number, count: number): number {
    const { weighting } = this.options;
    if (weighting === 'binary') return 1;
    return weighting === 'count' ? count : (1 + Math.log(count)) * this.idf[column]!;
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
  const { ngrams, unitLength, ...rest } = parsed.data;
  if (ngrams[0] > ngrams[1]) {
    throw new InputError('ERR_INPUT_VALUE', {
      field: 'ngrams',
      expected: 'a shortest length that is not above the longest',
      got: ngrams.join(' and '),
    });
  }
  return { ...rest, ngrams, unitLength: unitLength ?? rest.weighting === 'tfidf' };
}
