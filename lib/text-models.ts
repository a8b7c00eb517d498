/**
 * The text half of a bundle, without its network: encoders of texts, TF-IDF, and the tone of reviews. For what reads
 * texts and forecasts nothing: reviews, keywords, scripts, questions.
 */
import type { Device } from './device.js';
import type { EncoderPool } from './encoders/pool.js';
import { ModelError } from './errors.js';
import { endFilmThreads, startFilmThreads } from './film-threads.js';
import type { Bundle } from './fusion/bundle.js';
import { defaultBundlePath } from './native.js';
import { type LanguageScorer, ReviewScorer } from './text/review-scorer.js';
import { TextSequenceEncoder } from './text/text-encoder.js';
import type { TextThread } from './text/text-thread.js';
import { TfidfEncoder } from './text/tfidf.js';

export interface TextModelsOptions {
  /** A bundle's directory or .tar. Default: the one that comes with the package. */
  bundle?: string | undefined;
  /** Threads of the encoders. Default: the cores this process may use. */
  threads?: number | undefined;
  encoderWorkers?: number | undefined;
  device?: Device | undefined;
  signal?: AbortSignal | undefined;
}

export class TextModels implements AsyncDisposable {
  readonly #pool: EncoderPool;
  readonly #bundle: Bundle;
  /** Tells languages and tokenizes off the main thread. */
  readonly thread: TextThread;
  /** By name: encoders of texts as sequences of chunks. */
  readonly encoders: ReadonlyMap<string, TextSequenceEncoder>;
  readonly tfidf: ReadonlyMap<string, TfidfEncoder>;
  /** Scores reviews; undefined when the bundle cannot. */
  readonly reviews: ReviewScorer | undefined;

  private constructor(
    bundle: Bundle,
    pool: EncoderPool,
    thread: TextThread,
    encoders: ReadonlyMap<string, TextSequenceEncoder>,
  ) {
    this.#pool = pool;
    this.#bundle = bundle;
    this.thread = thread;
    this.encoders = encoders;
    this.tfidf = bundleTfidf(bundle);
    const scorers = languageScorers(bundle);
    const parts = { texts: encoders, tfidf: this.tfidf };
    this.reviews = scorers.size > 0 ? new ReviewScorer(scorers, parts, thread) : undefined;
  }

  /**
   * @throws BundleError ERR_BUNDLE_*  as loadBundle; ModelError ERR_MODEL_*, BackendError  as EncoderPool.load
   * @throws CancelledError ERR_CANCELLED
   */
  static async load(options: TextModelsOptions = {}): Promise<TextModels> {
    const { loadBundle } = await import('./fusion/bundle.js');
    const bundle = await loadBundle(options.bundle ?? defaultBundlePath(), {
      signal: options.signal,
    });
    const started = await startFilmThreads(options);
    try {
      const { pool, text: thread } = started;
      const models = bundle.encoders.filter(({ spec }) => spec.modality === 'text');
      await pool.load(models, { signal: options.signal });
      const encoders = new Map<string, TextSequenceEncoder>();
      for (const { spec, directory } of models) {
        if (spec.modality !== 'text') continue;
        const encoder = await TextSequenceEncoder.create({ spec, directory, pool, thread });
        // What is wrong with the tokenizer is found here.
        const [tried] = await encoder.encodeEach(['a']);
        if (tried instanceof ModelError) throw tried;
        encoders.set(spec.name, encoder);
      }
      return new TextModels(bundle, pool, thread, encoders);
    } catch (error) {
      await Promise.all([endFilmThreads(started), bundle.dispose()]);
      throw error;
    }
  }

  /** The first encoder that reads this language (ISO 639-1), or any. */
  encoderFor(language: string): TextSequenceEncoder | undefined {
    return [...this.encoders.values()].find(
      ({ spec }) => spec.languages === 'any' || spec.languages.includes(language),
    );
  }

  async dispose(): Promise<void> {
    await endFilmThreads({ pool: this.#pool, text: this.thread });
    await this.#bundle.dispose();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }
}

/** The bundle's TF-IDF members with their tensors. @throws BundleError ERR_BUNDLE_SHAPE, ERR_BUNDLE_FORMAT */
export function bundleTfidf(bundle: Bundle): Map<string, TfidfEncoder> {
  const tfidf = new Map<string, TfidfEncoder>();
  for (const spec of bundle.manifest.tfidf) {
    const nTerms = spec.vocabulary.split('\n').length;
    const encoder = new TfidfEncoder(spec, {
      idf: bundle.floats(`tfidf.${spec.name}.idf`, [nTerms]),
      projection: bundle.bytes(`tfidf.${spec.name}.projection`, [nTerms, spec.dim]),
      scale: bundle.floats(`tfidf.${spec.name}.scale`, [spec.dim]),
    });
    tfidf.set(spec.name, encoder);
  }
  return tfidf;
}

/** The sentiment section with its tensors. */
export function languageScorers(bundle: Bundle): Map<string, LanguageScorer> {
  const dims = new Map<string, number>([
    ...bundle.encoders.map(({ spec }): [string, number] => [spec.name, spec.dim]),
    ...bundle.manifest.tfidf.map(({ name, dim }): [string, number] => [name, dim]),
  ]);
  return new Map(
    Object.entries(bundle.manifest.sentiment ?? {}).map(([language, { features, temperature }]) => {
      const dim = features.reduce((sum, name) => sum + (dims.get(name) ?? 0), 0);
      const weight = bundle.floats(`sentiment.${language}.weight`, [dim]);
      const bias = bundle.floats(`sentiment.${language}.bias`, [1])[0]!;
      return [language, { features, temperature, weight, bias }];
    }),
  );
}
