import { z } from 'zod';
import { BundleError, ShapeError, throwIfCancelled } from '../errors.js';
import { Pace } from '../pace.js';

/**
 * TF-IDF of words and word pairs, brought to a short dense vector by a learned projection.
 */

export const tfidfSpecSchema = z.strictObject({
  version: z.literal(1),
  name: z.string().min(1),
  /** Terms in the order of the projection's rows, joined by line ends; a pair is two words with a space between. */
  vocabulary: z.string().min(1),
  /** Length of the dense vector. */
  dim: z.int().min(1),
  /** Languages (ISO 639-1) of the texts it was fitted on. */
  languages: z.array(z.string()).min(1),
});

export type TfidfSpec = z.infer<typeof tfidfSpecSchema>;

export interface TfidfTensors {
  /** (nTerms) */
  idf: Float32Array;
  /** (nTerms, dim) row-major: value = `projection` · `scale` of its column. */
  projection: Int8Array;
  /** (dim) */
  scale: Float32Array;
}

/** Common words without weight of their own. No negation is among them, nor a word that turns the sense (but, only, too). */
export const STOP_WORDS: ReadonlySet<string> = new Set(
  `a about after all also am an and are as at be because been before being by can could did do does doing down during
  each for from further had has have having he her here hers herself him himself his how i if in into is it its itself
  just me more most my myself of off on once or other our ours ourselves out over own s same she should so some such t
  than that the their theirs them themselves then there these they this those through to under until up was we were
  what when where which while who whom why will with would you your yours yourself yourselves`
    .split(/\s+/)
    .filter((word) => word !== ''),
);

const WORD = /[\p{L}\p{N}]+(?:['’][\p{L}]+)*/gu;

/**
 * The words of a text: NFKC, lower case, runs of letters and digits with inner apostrophes ("don't" is one word,
 * written with a straight apostrophe; a possessive 's is dropped), without stop words. Negations stay.
 */
export function wordsOf(text: string): string[] {
  const words = text.normalize('NFKC').toLowerCase().match(WORD) ?? [];
  return words
    .map((word) => word.replaceAll('’', "'").replace(/'s$/, ''))
    .filter((word) => !STOP_WORDS.has(word));
}

/** Words, and pairs of neighbouring words, with how often each occurs in the parts of a text. */
class TermCounter {
  readonly counts = new Map<string, number>();
  #last: string | undefined;

  add(part: string): void {
    for (const word of wordsOf(part)) {
      this.#count(word);
      if (this.#last !== undefined) this.#count(`${this.#last} ${word}`);
      this.#last = word;
    }
  }

  #count(term: string): void {
    this.counts.set(term, (this.counts.get(term) ?? 0) + 1);
  }
}

/** Words, and pairs of neighbouring words, with how often each occurs. */
export function termCounts(text: string): Map<string, number> {
  const counter = new TermCounter();
  counter.add(text);
  return counter.counts;
}

/** About so many characters are a millisecond's work. */
const PART = 16_384;

/** Parts of a text that end where no word can go on: before white space. Together they have the words of the whole. */
function* partsOf(text: string): Generator<string> {
  const blank = /\s/gu;
  for (let start = 0; start < text.length; ) {
    blank.lastIndex = start + PART;
    const end = text.length - start > PART ? (blank.exec(text)?.index ?? text.length) : text.length;
    yield text.slice(start, end);
    start = end;
  }
}

/**
 *   v_t = (1 + ln n_t) · idf_t,  y = Pᵀ v / ‖v‖
 *
 * n_t: occurrences of term t in the text; P: the projection (nTerms, dim). A text without a known term gives zeros.
 */
export class TfidfEncoder {
  readonly dim: number;
  readonly languages: readonly string[];
  readonly #index: ReadonlyMap<string, number>;
  readonly #tensors: TfidfTensors;

  /**
   * @throws BundleError ERR_BUNDLE_FORMAT  the spec does not hold what it should
   * @throws ShapeError  ERR_SHAPE  tensors that do not fit the spec
   */
  constructor(spec: TfidfSpec, tensors: TfidfTensors) {
    const parsed = tfidfSpecSchema.safeParse(spec);
    if (!parsed.success) {
      const issue = parsed.error.issues[0];
      throw new BundleError('ERR_BUNDLE_FORMAT', {
        field: ['tfidf', ...(issue?.path ?? [])].join('.'),
        expected: issue?.message ?? 'a TF-IDF spec',
      });
    }
    const terms = parsed.data.vocabulary.split('\n');
    this.dim = parsed.data.dim;
    this.languages = parsed.data.languages;
    for (const [name, expected] of [
      ['idf', terms.length],
      ['projection', terms.length * this.dim],
      ['scale', this.dim],
    ] as const) {
      if (tensors[name].length !== expected) {
        throw new ShapeError('ERR_SHAPE', {
          field: `tfidf.${name}`,
          expected: `${expected} values`,
          got: `${tensors[name].length}`,
        });
      }
    }
    this.#index = new Map(terms.map((term, i) => [term, i]));
    this.#tensors = tensors;
  }

  /** Every term with its idf. */
  *terms(): Generator<[term: string, idf: number]> {
    for (const [term, index] of this.#index) yield [term, this.#tensors.idf[index]!];
  }

  /** The L2-normalised sparse vector: [index of term, value], by rising index. */
  sparse(text: string): [index: number, value: number][] {
    return this.#sparse(termCounts(text));
  }

  #sparse(counts: ReadonlyMap<string, number>): [index: number, value: number][] {
    const entries: [number, number][] = [];
    for (const [term, count] of counts) {
      const index = this.#index.get(term);
      if (index !== undefined) entries.push([index, (1 + Math.log(count)) * (this.#tensors.idf[index] ?? 0)]);
    }
    const norm = Math.sqrt(entries.reduce((total, [, value]) => total + value * value, 0));
    return entries.map(([index, value]): [number, number] => [index, value / norm]).sort(([a], [b]) => a - b);
  }

  /** @returns (dim) */
  encode(text: string): Float32Array {
    return this.#project(this.sparse(text));
  }

  /**
   * Many texts, or long ones: as `encode`, with rests for the event loop.
   *
   * @returns per text (dim), and whether any of its terms is known
   * @throws CancelledError ERR_CANCELLED
   */
  async encodeEach(
    texts: readonly string[],
    { signal }: { signal?: AbortSignal | undefined } = {},
  ): Promise<{ data: Float32Array; known: boolean }[]> {
    const pace = new Pace();
    const results: { data: Float32Array; known: boolean }[] = [];
    for (const text of texts) {
      const counter = new TermCounter();
      for (const part of partsOf(text)) {
        counter.add(part);
        if (pace.due) await pace.rest();
        throwIfCancelled(signal);
      }
      const terms = this.#sparse(counter.counts);
      results.push({ data: this.#project(terms), known: terms.length > 0 });
    }
    return results;
  }

  #project(terms: readonly [index: number, value: number][]): Float32Array {
    const { projection, scale } = this.#tensors;
    const sums = new Float64Array(this.dim);
    for (const [index, value] of terms) {
      const row = index * this.dim;
      for (let d = 0; d < this.dim; d++) sums[d]! += value * projection[row + d]!;
    }
    return Float32Array.from(sums, (sum, d) => sum * scale[d]!);
  }
}

/**
 * Vocabulary and idf of a set of texts: terms in at least `leastTexts` of them, the most frequent `maxTerms`.
 *
 *   idf_t = ln((1 + N) / (1 + df_t)) + 1
 *
 * @returns terms in code-unit order with their idf
 */
export function fitVocabulary(
  texts: readonly string[],
  { leastTexts, maxTerms }: { leastTexts: number; maxTerms: number },
): { terms: string[]; idf: Float32Array } {
  const frequency = new Map<string, number>();
  for (const text of texts) {
    for (const term of termCounts(text).keys()) frequency.set(term, (frequency.get(term) ?? 0) + 1);
  }
  const byName = ([a]: [string, number], [b]: [string, number]) => (a < b ? -1 : a > b ? 1 : 0);
  const kept = [...frequency]
    .filter(([, count]) => count >= leastTexts)
    .sort((a, b) => b[1] - a[1] || byName(a, b))
    .slice(0, maxTerms)
    .sort(byName);
  return {
    terms: kept.map(([term]) => term),
    idf: Float32Array.from(kept, ([, count]) => Math.log((1 + texts.length) / (1 + count)) + 1),
  };
}
