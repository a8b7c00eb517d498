/** Vectors of words: trained on a corpus or read from a file, compared, and made into vectors of texts. */
import { CinefuseError, describeValue, InputError, throwIfCancelled } from '../../errors.js';
import { nearestName } from '../../nearest.js';
import { linear } from '../../ops/linear.js';
import { Pace } from '../../pace.js';
import { WordReader } from '../words/tokens.js';
import { type LoadVectorsOptions, readVectors, type SaveVectorsOptions, writeVectors } from './files.js';
import { type TrainVectorsOptions, trainVectors } from './train.js';
import type { VectorCorpus } from './vocabulary.js';

export interface SimilarWord {
  word: string;
  /** Cosine of the two vectors, -1 to 1. */
  similarity: number;
}

export interface SimilarOptions {
  /** Default 10. */
  count?: number | undefined;
  /** Words that are not to come back, besides those asked about. */
  exclude?: Iterable<string> | undefined;
  /** Only among so many first words: of a trained or a published set the most frequent ones. Default: all. */
  among?: number | undefined;
  signal?: AbortSignal | undefined;
}

export interface EncodeTextsOptions {
  /**
   * 'mean': each known word counts alike. 'sif': a word of share p of all words counts a / (a + p), a = 1e-3, so that the
   * common ones hardly count (Arora et al. 2017); the vectors must come with counts. Default 'mean'.
   */
  weighting?: 'mean' | 'sif' | undefined;
  /** A direction that is taken out of every text, as `commonDirection` finds it: (dim), length 1. Default: none. */
  common?: Float32Array | undefined;
  /** Of the texts (ISO 639-1). Default 'en'. */
  language?: string | undefined;
  signal?: AbortSignal | undefined;
  onProgress?: ((done: number, total: number) => void) | undefined;
}

const SIF_A = 1e-3;

function unknownWord(word: string, known: readonly string[]): InputError {
  const near = nearestName(word, known.slice(0, 50_000));
  return new InputError('ERR_INPUT_VALUE', {
    field: 'word',
    message: `There is no vector of the word '${String(word).slice(0, 60)}'${near === undefined ? '' : `; did you mean '${near}'?`}`,
  });
}

function normalised(x: Float32Array): Float32Array {
  const length = Math.sqrt(x.reduce((sum, v) => sum + v * v, 0));
  return length > 0 ? x.map((v) => v / length) : x;
}

/**
 * Word vectors by CBOW or skip-gram with negative sampling, or read from a file in word2vec's or GloVe's form.
 *
 * The most frequent words come first. Words of a trained set are those of `words()` of this subpath: NFKC, lower case.
 * Source: Mikolov et al. 2013, Efficient Estimation of Word Representations in Vector Space.
 */
export class WordVectors {
  readonly words: readonly string[];
  readonly dim: number;
  /** (words, dim), row-major. Not to be changed. */
  readonly vectors: Float32Array;
  /** How often each word occurred: of trained vectors, and of those loaded with their counts. */
  readonly counts: Float64Array | undefined;
  readonly #places: Map<string, number>;
  #units: Float32Array | undefined;

  /**
   * @param words    different words, the most frequent first
   * @param vectors  (words, dim)
   * @throws InputError ERR_INPUT_VALUE  no words, a word twice, arrays that do not fit each other
   */
  constructor(words: readonly string[], vectors: Float32Array, counts?: Float64Array) {
    if (words.length === 0 || vectors.length === 0 || vectors.length % words.length !== 0) {
      throw new InputError('ERR_INPUT_VALUE', {
        field: 'vectors',
        expected: 'a whole number of values for each word',
        got: `${vectors.length} values for ${words.length} words`,
      });
    }
    if (counts && counts.length !== words.length) {
      throw new InputError('ERR_INPUT_VALUE', {
        field: 'counts',
        expected: `${words.length} counts, one a word`,
        got: String(counts.length),
      });
    }
    this.words = words;
    this.vectors = vectors;
    this.counts = counts;
    this.dim = vectors.length / words.length;
    this.#places = new Map(words.map((word, place) => [word, place]));
    if (this.#places.size !== words.length) {
      const twice = words.find((word, place) => this.#places.get(word) !== place);
      throw new InputError('ERR_INPUT_VALUE', {
        field: 'words',
        expected: 'different words',
        got: `${describeValue(twice)} twice`,
      });
    }
  }

  /**
   * Learns vectors from texts.
   *
   * @param corpus  texts, or arrays of words (sentences, say); windows do not reach over the end of one
   * @throws InputError ERR_INPUT_EMPTY     no word occurs `minCount` times
   * @throws InputError ERR_INPUT_TYPE      something in the corpus is neither a text nor words
   * @throws InputError ERR_INPUT_VALUE     an option out of its range, a corpus past 2^30 words
   * @throws TrainError ERR_TRAIN_DIVERGED  the learning rate is too high
   * @throws CancelledError ERR_CANCELLED
   */
  static async train(corpus: VectorCorpus, options: TrainVectorsOptions = {}): Promise<WordVectors> {
    const { words, vectors, counts } = await trainVectors(corpus, options);
    return new WordVectors(words, vectors, counts);
  }

  /**
   * Reads vectors that word2vec, gensim, GloVe, fastText or `save` wrote.
   * @throws InputError ERR_INPUT_FILE  not there, not of the form, past the limits; the message names the line
   */
  static async load(file: string, options: LoadVectorsOptions = {}): Promise<WordVectors> {
    const { words, vectors, counts } = await readVectors(file, options);
    return new WordVectors(words, vectors, counts);
  }

  /**
   * Writes them, whole or not at all. Text forms keep every bit.
   * @throws InputError ERR_INPUT_FILE   it cannot be written
   * @throws InputError ERR_INPUT_VALUE  a word that the form cannot hold; counts asked for that there are not
   */
  async save(file: string, options: SaveVectorsOptions = {}): Promise<void> {
    await writeVectors(file, this, options);
  }

  has(word: string): boolean {
    return this.#places.has(word);
  }

  /** (dim), a view of `vectors`; undefined for a word that has none. */
  vector(word: string): Float32Array | undefined {
    const place = this.#places.get(word);
    return place === undefined ? undefined : this.vectors.subarray(place * this.dim, (place + 1) * this.dim);
  }

  /** Cosine of two words' vectors. @throws InputError ERR_INPUT_VALUE  a word without a vector */
  similarity(a: string, b: string): number {
    const [x, y] = [normalised(this.#known(a)), normalised(this.#known(b))];
    return x.reduce((sum, v, i) => sum + v * y[i]!, 0);
  }

  /**
   * The words nearest to a word, to a vector, or to the mean direction of several words, by cosine; of equals the more
   * frequent first.
   *
   * @throws InputError ERR_INPUT_VALUE  a word without a vector, a vector of another length, a count that is none
   */
  async mostSimilar(
    query: string | readonly string[] | Float32Array,
    options: SimilarOptions = {},
  ): Promise<SimilarWord[]> {
    if (query instanceof Float32Array) return this.#nearest(query, [], options);
    const asked = typeof query === 'string' ? [query] : query;
    const sum = new Float32Array(this.dim);
    for (const word of asked) {
      const unit = normalised(this.#known(word));
      for (let i = 0; i < this.dim; i++) sum[i]! += unit[i]!;
    }
    return this.#nearest(sum, asked, options);
  }

  /**
   * What is to `c` as `b` is to `a`: the words nearest to b - a + c, of vectors of length 1 (man : king = woman : ?).
   * @throws InputError ERR_INPUT_VALUE  a word without a vector
   */
  async analogy(a: string, b: string, c: string, options: SimilarOptions = {}): Promise<SimilarWord[]> {
    const [x, y, z] = [a, b, c].map((word) => normalised(this.#known(word))) as [
      Float32Array,
      Float32Array,
      Float32Array,
    ];
    const target = x.map((v, i) => y[i]! - v + z[i]!);
    return this.#nearest(target, [a, b, c], options);
  }

  /**
   * Vectors of texts: of their known words the weighted mean; of a text without any, zeros.
   *
   * @returns (texts, dim)
   * @throws InputError ERR_INPUT_VALUE  'sif' without counts; a `common` of another length
   */
  async encode(texts: readonly string[], options: EncodeTextsOptions = {}): Promise<Float32Array> {
    const { common, signal, onProgress } = options;
    const weights = this.#weights(options.weighting ?? 'mean');
    if (common && common.length !== this.dim) {
      throw new InputError('ERR_INPUT_VALUE', {
        field: 'common',
        expected: `${this.dim} values`,
        got: String(common.length),
      });
    }
    const reader = new WordReader({ language: options.language ?? 'en' });
    const pace = new Pace();
    const { dim } = this;
    const all = new Float32Array(texts.length * dim);
    for (const [row, text] of texts.entries()) {
      throwIfCancelled(signal);
      const to = all.subarray(row * dim, (row + 1) * dim);
      let known = 0;
      reader.each(text, (word) => {
        const place = this.#places.get(word);
        if (place === undefined) return;
        const weight = weights?.[place] ?? 1;
        known++;
        for (let i = 0; i < dim; i++) to[i]! += weight * this.vectors[place * dim + i]!;
      });
      for (let i = 0; i < dim && known > 0; i++) to[i]! /= known;
      if (common) {
        const along = to.reduce((sum, v, i) => sum + v * common[i]!, 0);
        for (let i = 0; i < dim; i++) to[i]! -= along * common[i]!;
      }
      if (pace.due) {
        onProgress?.(row + 1, texts.length);
        await pace.rest();
      }
    }
    onProgress?.(texts.length, texts.length);
    return all;
  }

  /**
   * The direction that the vectors of these texts share most: what 'sif' takes out of every text. The first singular
   * vector of (texts, dim), by fifty steps of the power method from a fixed start.
   * @returns (dim), length 1
   */
  async commonDirection(texts: readonly string[], options: EncodeTextsOptions = {}): Promise<Float32Array> {
    const { dim } = this;
    const rows = await this.encode(texts, { weighting: 'sif', ...options, common: undefined });
    let direction = new Float64Array(dim).fill(1 / Math.sqrt(dim));
    const pace = new Pace();
    for (let step = 0; step < 50; step++) {
      const next = new Float64Array(dim);
      for (let row = 0; row < texts.length; row++) {
        let along = 0;
        for (let i = 0; i < dim; i++) along += direction[i]! * rows[row * dim + i]!;
        for (let i = 0; i < dim; i++) next[i]! += along * rows[row * dim + i]!;
        if (row % 256 === 0 && pace.due) await pace.rest();
      }
      throwIfCancelled(options.signal);
      const length = Math.sqrt(next.reduce((sum, v) => sum + v * v, 0));
      if (!(length > 0)) break;
      direction = next.map((v) => v / length);
    }
    return Float32Array.from(direction);
  }

  /** `encode` by the means of words, as `extractKeywords` takes it. */
  readonly embed = async (
    terms: readonly string[],
    { signal }: { signal?: AbortSignal | undefined } = {},
  ): Promise<Float32Array[]> => {
    const all = await this.encode(terms, { signal });
    return terms.map((_, row) => all.subarray(row * this.dim, (row + 1) * this.dim));
  };

  /**
   * The table of other words in another order, for `embedding`: rows of words without a vector are zeros.
   * @returns table (words, dim); known: how many have a vector
   */
  tableOf(words: readonly string[]): { table: Float32Array; known: number } {
    const table = new Float32Array(words.length * this.dim);
    let known = 0;
    for (const [row, word] of words.entries()) {
      const vector = this.vector(word);
      if (!vector) continue;
      table.set(vector, row * this.dim);
      known++;
    }
    return { table, known };
  }

  #known(word: string): Float32Array {
    const vector = this.vector(word);
    if (!vector) throw unknownWord(word, this.words);
    return vector;
  }

  #weights(weighting: string): Float64Array | undefined {
    if (weighting === 'mean') return undefined;
    if (weighting !== 'sif' || !this.counts) {
      throw new InputError('ERR_INPUT_VALUE', {
        field: 'weighting',
        expected:
          weighting === 'sif' ? 'vectors with counts for it (load them with `counts`)' : "'mean' or 'sif'",
        got: weighting === 'sif' ? 'vectors without' : describeValue(weighting),
      });
    }
    const total = this.counts.reduce((a, b) => a + b, 0);
    return this.counts.map((count) => SIF_A / (SIF_A + count / total));
  }

  async #nearest(
    query: Float32Array,
    asked: Iterable<string>,
    options: SimilarOptions,
  ): Promise<SimilarWord[]> {
    const { count = 10, exclude = [], signal } = options;
    const among = Math.min(options.among ?? this.words.length, this.words.length);
    if (!Number.isInteger(count) || count < 0 || !Number.isInteger(among) || among < 1) {
      throw new InputError('ERR_INPUT_VALUE', {
        field: 'count',
        expected: 'whole numbers of words for count and among',
        got: `${count} and ${options.among}`,
      });
    }
    if (query.length !== this.dim) {
      throw new InputError('ERR_INPUT_VALUE', {
        field: 'query',
        expected: `${this.dim} values`,
        got: String(query.length),
      });
    }
    this.#units ??= await this.#unitRows();
    const weight = this.#units.subarray(0, among * this.dim);
    const layer = { inFeatures: this.dim, outFeatures: among, weight };
    const cosines = await linear(normalised(query), layer, { signal });
    const left = new Set([...asked, ...exclude].map((word) => this.#places.get(word)));
    return bestPlaces(cosines, count + left.size)
      .filter((place) => !left.has(place))
      .slice(0, count)
      .map((place) => ({ word: this.words[place]!, similarity: cosines[place]! }));
  }

  async #unitRows(): Promise<Float32Array> {
    const units = new Float32Array(this.vectors.length);
    const pace = new Pace();
    for (let row = 0; row < this.words.length; row++) {
      const [from, to] = [row * this.dim, (row + 1) * this.dim];
      units.set(normalised(this.vectors.subarray(from, to)), from);
      if (row % 256 === 0 && pace.due) await pace.rest();
    }
    return units;
  }
}

/** The places of the largest values, the largest first, of equals the first. */
function bestPlaces(values: Float32Array, count: number): number[] {
  const best: number[] = [];
  for (let place = 0; place < values.length && count > 0; place++) {
    const value = values[place]!;
    if (Number.isNaN(value))
      throw new CinefuseError('ERR_INTERNAL', { message: 'A similarity is not a number' });
    if (best.length === count && value <= values[best.at(-1)!]!) continue;
    let at = best.length;
    while (at > 0 && values[best[at - 1]!]! < value) at--;
    best.splice(at, 0, place);
    if (best.length > count) best.pop();
  }
  return best;
}
