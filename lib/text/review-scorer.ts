import { meanVector } from '../encoders/embedding.js';
import { CinefuseError, InputError } from '../errors.js';
import { coversLanguage, type LanguageGuess } from './language.js';
import type { TextSequenceEncoder } from './text-encoder.js';
import type { TextThread } from './text-thread.js';
import type { TfidfEncoder } from './tfidf.js';

/** How the reviews of one language are scored: probability = sigmoid((w·x + b) / temperature). */
export interface LanguageScorer {
  /** Names of encoders and TF-IDF members whose vectors, end to end, are x; a sequence counts with its mean. */
  features: readonly string[];
  temperature: number;
  weight: Float32Array;
  bias: number;
}

export interface ScoreOptions {
  signal?: AbortSignal | undefined;
  /** The language of all of them, where it is known: sentences are too short to tell it. */
  language?: string | undefined;
  /** Told after every group: reviews done and in all. */
  onProgress?: ((done: number, total: number) => void) | undefined;
}

export interface ReviewScores {
  /** By place in the list: the probability of being positive, or why there is none. */
  probabilities: (number | CinefuseError)[];
  /** By place: the language whose scorer was used. */
  languages: (string | undefined)[];
}

/** Reviews worked on together. */
const GROUP = 128;

/** Polarity of reviews, each by the scorer of its language. */
export class ReviewScorer {
  readonly #scorers: ReadonlyMap<string, LanguageScorer>;
  readonly #texts: ReadonlyMap<string, TextSequenceEncoder>;
  readonly #tfidf: ReadonlyMap<string, TfidfEncoder>;
  readonly #thread: TextThread;

  constructor(
    scorers: ReadonlyMap<string, LanguageScorer>,
    encoders: { texts: ReadonlyMap<string, TextSequenceEncoder>; tfidf: ReadonlyMap<string, TfidfEncoder> },
    thread: TextThread,
  ) {
    this.#scorers = scorers;
    this.#texts = encoders.texts;
    this.#tfidf = encoders.tfidf;
    this.#thread = thread;
  }

  get languages(): string[] {
    return [...this.#scorers.keys()];
  }

  /** The language whose scorer takes texts that seem to be in this one. */
  languageOf(guess: LanguageGuess): string | undefined {
    if (guess.candidates.length === 0) return undefined;
    return this.languages.find((covered) => coversLanguage([covered], guess));
  }

  /**
   * @throws ModelError ERR_MODEL_*  an encoder failed; CancelledError; DisposedError. A review that cannot be scored has
   *   its InputError in its place instead: ERR_INPUT_LANGUAGE, ERR_INPUT_EMPTY
   */
  async score(reviews: readonly string[], options: ScoreOptions = {}): Promise<ReviewScores> {
    const scores: ReviewScores = { probabilities: [], languages: [] };
    // Ten thousand at once would hold the event loop.
    for (let first = 0; first < reviews.length; first += GROUP) {
      const group = await this.#scoreGroup(reviews.slice(first, first + GROUP), first, options);
      scores.probabilities.push(...group.probabilities);
      scores.languages.push(...group.languages);
      options.onProgress?.(scores.languages.length, reviews.length);
    }
    return scores;
  }

  async #scoreGroup(reviews: readonly string[], first: number, options: ScoreOptions): Promise<ReviewScores> {
    const read = await Promise.all(reviews.map((text) => this.#languageOf(text, options)));
    const languages = read.map(({ own }) => own);
    const probabilities = read.map(
      ({ seen }, i): number | CinefuseError =>
        new InputError('ERR_INPUT_LANGUAGE', {
          field: `reviews.${first + i}`,
          expected: `a review in ${this.languages.join(' or ')}`,
          got: seen === 'und' ? 'one without words' : `one that seems to be in ${seen}`,
        }),
    );
    await Promise.all(
      [...this.#scorers].map(async ([language, scorer]) => {
        const places = languages.flatMap((own, i) => (own === language ? [i] : []));
        if (places.length === 0) return;
        const texts = places.map((place) => reviews[place]!);
        const fields = places.map((place) => `reviews.${first + place}`);
        const parts = await Promise.all(
          scorer.features.map((name) => this.#encode(name, texts, fields, options.signal)),
        );
        places.forEach((place, i) => {
          probabilities[place] = probabilityOf(
            scorer,
            parts.map((part) => part[i]!),
          );
        });
      }),
    );
    return { probabilities, languages };
  }

  /** The language that the text seems to be in, or is said to be in, and the scorer's language that covers it. */
  async #languageOf(
    text: string,
    { language, signal }: ScoreOptions,
  ): Promise<{ seen: string; own: string | undefined }> {
    if (language !== undefined) {
      const seen = /[\p{L}\p{N}]/u.test(text) ? language : 'und';
      return { seen, own: this.#scorers.has(seen) ? seen : undefined };
    }
    const guess = await this.#thread.detectLanguage(text, { signal });
    return { seen: guess.language, own: this.languageOf(guess) };
  }

  async #encode(
    name: string,
    texts: readonly string[],
    fields: readonly string[],
    signal: AbortSignal | undefined,
  ): Promise<(Float32Array | CinefuseError)[]> {
    const tfidf = this.#tfidf.get(name);
    if (tfidf) return (await tfidf.encodeEach(texts, { signal })).map(({ data }) => data);
    const embeddings = await this.#texts.get(name)!.encodeEach(texts, { signal, fields });
    return embeddings.map((embedding) =>
      embedding instanceof CinefuseError ? embedding : meanVector(embedding),
    );
  }
}

function probabilityOf(
  { weight, bias, temperature }: LanguageScorer,
  parts: readonly (Float32Array | CinefuseError)[],
): number | CinefuseError {
  let score = bias;
  let at = 0;
  for (const part of parts) {
    if (part instanceof CinefuseError) return part;
    for (const value of part) score += weight[at++]! * value;
  }
  return 1 / (1 + Math.exp(-score / temperature));
}
