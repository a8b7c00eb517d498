/** Predictor: from a film's files to its expected reception. */
import path from 'node:path';
import { inBatches } from './batches.js';
import {
  BackendError,
  CancelledError,
  CinefuseError,
  DisposedError,
  describeValue,
  InputError,
  throwIfCancelled,
} from './errors.js';
import { type Feedback, headFeedback, type SentimentFeedback, sentimentFeedback } from './feedback.js';
import type { EncodedFilm, EncodingJob, FilmEncoder } from './film-encoder.js';
import { fuseFilms, type Fused } from './fuse.js';
import type { Bundle } from './fusion/bundle.js';
import type { FusionNetwork } from './fusion/network.js';
import { LinkedSignal } from './linked-signal.js';
import type { Movie, ParsedMovie } from './movie.js';
import { type NativeInfo, native, packageRoot } from './native.js';
import { checkThreads, defaultIsa, defaultThreads, type ExecOptions } from './ops/exec.js';
import type {
  InputEmbedding,
  PredictionResult,
  PredictManyOptions,
  PredictOptions,
  PredictorDescription,
  PredictorOptions,
} from './options.js';
import { Slots } from './slots.js';
import { Stopwatch } from './stopwatch.js';
import { readText } from './text/read-text.js';

/** The rooms that a Predictor works in, loaded with the first one: importing the package stays cheap. */
async function rooms() {
  const [bundle, filmEncoder, network, movie] = await Promise.all([
    import('./fusion/bundle.js'),
    import('./film-encoder.js'),
    import('./fusion/network.js'),
    import('./movie.js'),
  ]);
  return { ...bundle, ...filmEncoder, ...network, ...movie };
}
type Rooms = Awaited<ReturnType<typeof rooms>>;

/** The bundle that comes with the package. */
export function defaultBundlePath(): string {
  return path.join(packageRoot(), 'models', 'default');
}

/**
 * Predicts how an audience will receive films. Holds a bundle's encoders and fusion network; `dispose()` (or
 * `await using`) gives all of it back. Any number may live in one process, also in worker threads.
 */
export class Predictor implements AsyncDisposable {
  readonly #rooms: Rooms;
  readonly #bundle: Bundle;
  readonly #encoder: FilmEncoder;
  readonly #network: FusionNetwork;
  readonly #jobs: readonly EncodingJob[];
  readonly #exec: ExecOptions;
  readonly #slots: Slots;
  #disposed: Promise<void> | undefined;

  private constructor(
    rooms: Rooms,
    bundle: Bundle,
    encoder: FilmEncoder,
    network: FusionNetwork,
    options: PredictorOptions,
  ) {
    const { manifest } = bundle;
    this.#rooms = rooms;
    this.#bundle = bundle;
    this.#encoder = encoder;
    this.#network = network;
    this.#jobs = manifest.modalities.map(({ name, ...job }) => ({ key: name, ...job }));
    this.#exec = options.threads === undefined ? {} : { threads: options.threads };
    this.#slots = new Slots(options.concurrency ?? 2);
  }

  /**
   * Loads a bundle: verifies it, starts its encoders off the main thread, and prepares its network.
   *
   * @param source  a bundle's directory or .tar. Default: the bundle that comes with the package
   * @throws BundleError ERR_BUNDLE_*   it is not there, damaged, of another version, or out of bounds
   * @throws ModelError ERR_MODEL_*     an encoder that cannot be loaded; onnxruntime-node is not installed
   * @throws BackendError ERR_BACKEND   'cuda' asked for and not to be had; ERR_NATIVE_LOAD: no native addon
   * @throws InputError ERR_INPUT_VALUE an option out of range
   * @throws CancelledError ERR_CANCELLED
   */
  static async load(
    source: string | undefined = undefined,
    options: PredictorOptions = {},
  ): Promise<Predictor> {
    const { signal, threads, concurrency } = options;
    throwIfCancelled(signal);
    if (threads !== undefined) checkThreads(threads);
    checkCount('concurrency', concurrency, 64);
    if (options.device === 'cuda' && !native().info().backends.includes('cuda')) {
      throw new BackendError('ERR_BACKEND', {
        field: 'device',
        expected: "'auto' or 'cpu', since this build of the addon has no CUDA operators",
        got: "'cuda'",
      });
    }
    const all = await rooms();
    const bundle = await all.loadBundle(source ?? defaultBundlePath(), {
      limits: options.bundleLimits ?? {},
      signal,
    });
    let encoder: FilmEncoder | undefined;
    try {
      encoder = await all.FilmEncoder.create(bundle, {
        ...(threads !== undefined && { threads }),
        encoderWorkers: options.encoderWorkers,
        device: options.device,
        ...(options.isolation !== undefined && { isolation: options.isolation }),
        ...(options.mediaLimits !== undefined && { limits: options.mediaLimits }),
        signal,
      });
      const network = all.FusionNetwork.create(bundle.manifest.network, bundle.networkWeights());
      return new Predictor(all, bundle, encoder, network, options);
    } catch (error) {
      await encoder?.dispose();
      await bundle.dispose();
      throw error;
    }
  }

  /**
   * One film's expected reception.
   *
   * @throws InputError ERR_INPUT_*   a field that is wrong, unknown or empty; nothing that this model can use
   * @throws MediaError ERR_MEDIA_*   a poster or trailer that cannot be read (unless onInputError is 'skip')
   * @throws ModelError ERR_MODEL_*   an encoder failed
   * @throws CancelledError ERR_CANCELLED, DisposedError ERR_DISPOSED
   */
  async predict(movie: Movie, options: PredictOptions = {}): Promise<Feedback> {
    const [result] = await this.#batch([movie], 0, options);
    if (!result!.ok) throw result!.error;
    return result!.feedback;
  }

  /**
   * Many films. A film that fails has its error in its place; the others come back.
   *
   * @throws CancelledError ERR_CANCELLED, DisposedError ERR_DISPOSED  and nothing else once it runs
   */
  async predictBatch(
    movies: readonly Movie[],
    options: PredictManyOptions = {},
  ): Promise<PredictionResult[]> {
    if (!Array.isArray(movies)) {
      throw new InputError('ERR_INPUT_TYPE', {
        field: 'movies',
        expected: 'an array of films',
        got: describeValue(movies),
      });
    }
    const results: PredictionResult[] = [];
    const { onProgress, ...rest } = options;
    const total = movies.length;
    const watch =
      onProgress && ((progress: { done: number; failed: number }) => onProgress({ ...progress, total }));
    for await (const result of this.predictStream(movies, { ...rest, onProgress: watch }))
      results.push(result);
    return results;
  }

  /**
   * Films from any iterable, in order and in bounded memory: at most two batches are under way, and the source is asked
   * for more only when results are taken.
   *
   * @throws whatever the source throws, after the results of the films before it; CancelledError; DisposedError
   */
  async *predictStream(
    movies: Iterable<Movie> | AsyncIterable<Movie>,
    options: PredictManyOptions = {},
  ): AsyncGenerator<PredictionResult, void, undefined> {
    const { batchSize = 16, onProgress } = options;
    checkCount('batchSize', batchSize, 1024);
    using link = new LinkedSignal(options.signal);
    const { signal } = link;
    const batches = inBatches(movies, batchSize);
    let index = 0;
    let done = 0;
    let failed = 0;
    const underWay: Promise<PredictionResult[]>[] = [];
    let sourceError: { error: unknown } | undefined;
    let ended = false;
    try {
      for (;;) {
        while (!ended && underWay.length < 2) {
          const next = await batches.next().catch((error: unknown) => {
            sourceError = { error };
            return { done: true as const, value: undefined };
          });
          if (next.done) ended = true;
          else {
            const work = this.#batch(next.value, index, { ...options, signal });
            work.catch(() => {});
            underWay.push(work);
            index += next.value.length;
          }
        }
        const first = underWay.shift();
        if (!first) break;
        const results = await first;
        done += results.length;
        failed += results.filter(({ ok }) => !ok).length;
        onProgress?.({ done, failed });
        yield* results;
      }
      if (sourceError) throw sourceError.error;
    } catch (error) {
      throwIfCancelled(options.signal);
      throw error;
    } finally {
      link.abort();
      await Promise.allSettled(underWay);
      await batches.return(undefined);
    }
  }

  /**
   * Every input of a film through every encoder of the bundle that reads it, also those the forecast leaves aside.
   *
   * @throws as predict
   */
  async embed(movie: Movie, options: PredictOptions = {}): Promise<InputEmbedding[]> {
    const film = this.#rooms.parseMovie(movie);
    return this.#inTurn(options.signal, async (signal) => {
      const jobs = this.#encoder.everyJob();
      const [encoded] = await this.#encoder.encode([film], jobs, encodeOptions({ ...options, signal }));
      if (encoded!.error) throw encoded!.error;
      return jobs.flatMap(({ key, input, encoder }): InputEmbedding[] => {
        const embedding = encoded!.embeddings.get(key);
        return embedding ? [{ ...embedding, input, encoder }] : [];
      });
    });
  }

  /** The model, what it was measured to do, and what runs where. */
  describe(): PredictorDescription {
    const { manifest, directory } = this.#bundle;
    const { name, version, licence, beforeRelease, metrics, card } = manifest;
    return {
      bundle: { name, version, licence, beforeRelease, metrics, card, directory },
      modalities: manifest.modalities,
      notUsed: manifest.notUsed,
      network: manifest.network,
      heads: manifest.heads,
      encoders: this.#encoder.describe(),
      operators: {
        backend: 'cpu',
        isa: defaultIsa(),
        threads: this.#exec.threads ?? defaultThreads(),
        cuda: cudaState(native().info()),
      },
      isolation: this.#encoder.isolation,
      modalityWeights: 'leave-one-out',
    };
  }

  /** Gives everything back. Calls that run or wait end with DisposedError. May be called twice. */
  dispose(): Promise<void> {
    this.#disposed ??= (async () => {
      this.#slots.refuseAll(disposedError());
      await this.#encoder.dispose();
      this.#network.dispose();
      await this.#bundle.dispose();
    })();
    return this.#disposed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  async #inTurn<T>(
    callersSignal: AbortSignal | undefined,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    if (this.#disposed) throw disposedError();
    throwIfCancelled(callersSignal);
    using link = new LinkedSignal(callersSignal);
    await this.#slots.acquire(link.signal);
    try {
      return await work(link.signal);
    } catch (error) {
      if (this.#disposed && !(error instanceof CancelledError)) throw disposedError();
      throw error;
    } finally {
      this.#slots.release();
    }
  }

  /** Films -> results, all stages: parse, encode, fuse, describe. */
  #batch(movies: readonly Movie[], firstIndex: number, options: PredictOptions): Promise<PredictionResult[]> {
    return this.#inTurn(options.signal, async (signal) => {
      const start = performance.now();
      const outcomes: (CinefuseError | Feedback)[] = [];
      const films: { at: number; film: ParsedMovie }[] = [];
      movies.forEach((movie, at) => {
        try {
          films.push({ at, film: this.#rooms.parseMovie(movie) });
        } catch (error) {
          if (!(error instanceof CinefuseError)) throw error;
          outcomes[at] = error;
        }
      });
      const readMs = performance.now() - start;
      const encode = encodeOptions({ ...options, signal });
      const parsed = films.map(({ film }) => film);
      const [encoded, sentiments] = await Promise.all([
        this.#encoder.encode(parsed, this.#jobs, encode),
        Promise.all(parsed.map((film) => this.#sentiment(film, encode))),
      ]);

      const ready: {
        at: number;
        film: ParsedMovie;
        encoded: EncodedFilm;
        sentiment: SentimentFeedback | undefined;
      }[] = [];
      films.forEach(({ at, film }, i) => {
        const sentiment = sentiments[i];
        const failure = encoded[i]!.error ?? (sentiment instanceof CinefuseError ? sentiment : undefined);
        if (failure) outcomes[at] = failure;
        else if (encoded[i]!.embeddings.size === 0) outcomes[at] = this.#nothingUsable(encoded[i]!);
        else
          ready.push({
            at,
            film,
            encoded: encoded[i]!,
            sentiment: sentiment as SentimentFeedback | undefined,
          });
      });
      const fuseStart = performance.now();
      const fused = await fuseFilms(
        this.#network,
        this.#bundle.manifest,
        ready.map((film) => film.encoded),
        { ...this.#exec, signal },
      );
      const end = performance.now();
      const timings = {
        readMs,
        decodeMs: encode.decoding.milliseconds,
        encodeMs: encode.encoding.milliseconds,
        fuseMs: end - fuseStart,
        totalMs: end - start,
      };
      ready.forEach(({ at, film, encoded: own, sentiment }, i) => {
        outcomes[at] = { ...this.#feedback(film, own, sentiment, fused[i]!), timings };
      });
      return movies.map((movie, at): PredictionResult => {
        const outcome = outcomes[at]!;
        const id = (movie as Movie | null)?.id;
        const place = { index: firstIndex + at, ...(typeof id === 'string' && { id }) };
        return outcome instanceof CinefuseError
          ? { ...place, ok: false, error: outcome }
          : { ...place, ok: true, feedback: outcome };
      });
    });
  }

  #nothingUsable({ notUsed }: EncodedFilm): InputError {
    const inputs = [...new Set(this.#jobs.map(({ input }) => input))];
    const reasons = [...notUsed].map(([input, reason]) => `${input}: ${reason}`);
    return new InputError('ERR_INPUT_EMPTY', {
      field: 'movie',
      expected: `at least one input that this model can use (${inputs.join(', ')})`,
      got: reasons.length > 0 ? `none (${reasons.join('; ')})` : 'none of them',
    });
  }

  #feedback(
    film: ParsedMovie,
    { notUsed, missingFacts }: EncodedFilm,
    sentiment: SentimentFeedback | undefined,
    { output, present, weights, moments }: Fused,
  ): Omit<Feedback, 'timings'> {
    const { manifest } = this.#bundle;
    const given = this.#rooms.givenInputNames(film);
    const used = [...weights.keys()];
    const usable = [...new Set(this.#jobs.map(({ input }) => input))];
    const reasons: Feedback['notUsed'] = [];
    for (const input of given) {
      // A title is part of the facts; named apart only if a modality wants it.
      if (used.includes(input) || (input === 'title' && !usable.includes('title'))) continue;
      const reason = notUsed.get(input) ?? manifest.notUsed[input] ?? 'this model has no part that reads it';
      reasons.push({ input, reason });
    }
    return {
      ...(film.id !== undefined && { id: film.id }),
      ...(film.title !== undefined && { title: film.title }),
      ...headFeedback(manifest.heads, output, present),
      ...(sentiment && { sentiment }),
      used,
      notUsed: reasons,
      missing: [...usable.filter((input) => !given.includes(input)), ...missingFacts],
      modalities: Object.fromEntries(weights),
      moments,
      model: { name: manifest.name, version: manifest.version, beforeRelease: manifest.beforeRelease },
    };
  }

  /** Polarity of a film's reviews; undefined where there are none or the bundle has no scorer. */
  async #sentiment(
    { given: { reviews } }: ParsedMovie,
    options: ReturnType<typeof encodeOptions>,
  ): Promise<SentimentFeedback | CinefuseError | undefined> {
    const scorer = this.#encoder.reviews;
    if (reviews === undefined || !scorer) return undefined;
    try {
      const texts =
        'path' in reviews
          ? (await readText(reviews, 'reviews')).split(/\r?\n/).filter((line) => line.trim() !== '')
          : reviews;
      return sentimentFeedback(await options.encoding.during(scorer.score(texts, options)));
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      return options.onInputError === 'skip' ? undefined : error;
    }
  }
}

function encodeOptions({ signal, onInputError = 'throw' }: PredictOptions) {
  if (onInputError !== 'throw' && onInputError !== 'skip') {
    throw new InputError('ERR_INPUT_VALUE', {
      field: 'onInputError',
      expected: "'throw' or 'skip'",
      got: describeValue(onInputError),
    });
  }
  return { signal, onInputError, decoding: new Stopwatch(), encoding: new Stopwatch() };
}

function cudaState({ backends }: NativeInfo): { available: boolean; reason?: string } {
  if (backends.includes('cuda')) return { available: true };
  return { available: false, reason: 'this build of the addon has no CUDA operators' };
}

function checkCount(field: string, value: number | undefined, most: number): void {
  if (value === undefined || (Number.isInteger(value) && value >= 1 && value <= most)) return;
  throw new InputError('ERR_INPUT_VALUE', {
    field,
    expected: `an integer from 1 to ${most}`,
    got: describeValue(value),
  });
}

function disposedError(): DisposedError {
  return new DisposedError('ERR_DISPOSED', { message: 'The Predictor has been disposed of' });
}
