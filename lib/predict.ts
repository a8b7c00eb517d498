/** Predictor: from a film's files to its expected reception. */
import { setMaxListeners } from 'node:events';
import { parseDevice } from './device.js';
import {
  asCinefuseError,
  CancelledError,
  CinefuseError,
  DisposedError,
  describeValue,
  InputError,
  throwIfCancelled,
} from './errors.js';
import type { FilmChanges, WhatIf, WhatIfOptions } from './explain/what-if.js';
import type { Explanation, ExplainOptions } from './explain/types.js';
import type { FilmPosition } from './explain/fused-space.js';
import type { Feedback } from './feedback.js';
import type { FilmEncoder } from './film-encoder.js';
import type { FilmIntake } from './film-intake.js';
import { FilmQueue } from './film-queue.js';
import { endFilmThreads, startFilmThreads } from './film-threads.js';
import { Forecaster } from './forecast.js';
import type { Bundle } from './fusion/bundle.js';
import type { FusionNetwork } from './fusion/network.js';
import { LinkedSignal } from './linked-signal.js';
import type { Movie, ParsedMovie } from './movie.js';
import { defaultBundlePath } from './native.js';

import { checkThreads, defaultIsa, defaultThreads, type ExecOptions } from './ops/exec.js';
import { execAt, findPlace, type Place } from './ops/place.js';
import type {
  InputEmbedding,
  PredictionResult,
  PredictManyOptions,
  PredictOptions,
  PredictorDescription,
  PredictorOptions,
} from './options.js';
import {
  checkCount,
  checkInputErrors,
  checkOptions,
  checkTrace,
  encodeOptions,
  EXPLAIN_OPTIONS,
  LOAD_OPTIONS,
  PREDICT_MANY_OPTIONS,
  PREDICT_OPTIONS,
  WHAT_IF_OPTIONS,
} from './predict-options.js';
import { Pace } from './pace.js';
import { type Rooms, rooms } from './rooms.js';
import { SignalListeners } from './signal-listeners.js';
import { Slots } from './slots.js';
import { type Trace, traced, traceTime } from './trace.js';

/** What a stream waits for: a result, one more film (undefined: there is none), or the source's failure. */
type StreamTurn =
  | { result: PredictionResult }
  | { next: { item: Movie } | undefined }
  | { sourceError: unknown };

/**
 * Predicts how an audience will receive films. Holds a bundle's encoders and fusion network; `dispose()` (or
 * `await using`) gives all of it back. Any number may live in one process, also in worker threads.
 */
export class Predictor implements AsyncDisposable {
  readonly #rooms: Rooms;
  readonly #bundle: Bundle;
  readonly #encoder: FilmEncoder;
  readonly #network: FusionNetwork;
  readonly #place: Place;
  readonly #exec: ExecOptions;
  readonly #slots: Slots;
  readonly #forecaster: Forecaster;
  readonly #trace: Trace | undefined;
  readonly #signals = new SignalListeners();
  /** Fires when the predictor is disposed of. */
  readonly #closing = new AbortController();
  #disposed: Promise<void> | undefined;

  private constructor(
    rooms: Rooms,
    bundle: Bundle,
    encoder: FilmEncoder,
    network: FusionNetwork,
    place: Place,
    options: PredictorOptions,
  ) {
    this.#rooms = rooms;
    this.#bundle = bundle;
    this.#encoder = encoder;
    this.#network = network;
    this.#place = place;
    this.#exec = execOf(place, options);
    this.#slots = new Slots(options.concurrency ?? 32);
    const closing = this.#closing.signal;
    const { trace } = options;
    this.#forecaster = new Forecaster({ rooms, bundle, encoder, network, exec: this.#exec, closing, trace });
    this.#trace = options.trace;
    setMaxListeners(0, this.#closing.signal);
  }

  /**
   * Loads a bundle: verifies it, starts its encoders off the main thread, and prepares its network.
   *
   * @param source  a bundle's directory or .tar. Default: the bundle that comes with the package
   * @throws BundleError ERR_BUNDLE_*   it is not there, damaged, of another version, or out of bounds
   * @throws ModelError ERR_MODEL_*     an encoder that cannot be loaded; onnxruntime-node is not installed
   * @throws BackendError ERR_BACKEND   a GPU asked for and not to be had; ERR_NATIVE_LOAD: no native addon
   * @throws InputError ERR_INPUT_VALUE, ERR_INPUT_TYPE, ERR_INPUT_UNKNOWN_FIELD  a wrong option
   * @throws CancelledError ERR_CANCELLED
   */
  static async load(
    source: string | undefined = undefined,
    options: PredictorOptions = {},
  ): Promise<Predictor> {
    checkOptions(options, LOAD_OPTIONS);
    const { signal, threads, concurrency, trace } = options;
    checkTrace(trace);
    throwIfCancelled(signal);
    if (threads !== undefined) checkThreads(threads);
    checkCount('concurrency', concurrency, 1024);
    const { device = 'auto', encodersDevice = device } = options;
    const place = await findPlace(parseDevice(device), options.precision);
    parseDevice(encodersDevice, 'encodersDevice');
    const { encoderWorkers } = options;
    const threadOptions = { threads, encoderWorkers, device: encodersDevice, trace };
    const started = await startFilmThreads(threadOptions);
    let bundle: Bundle | undefined;
    let encoder: FilmEncoder | undefined;
    let network: FusionNetwork | undefined;
    try {
      const all = await traced(trace, 'load', 'modules', rooms);
      const limits = options.bundleLimits ?? {};
      const found = await traced(trace, 'load', 'bundle', () =>
        all.loadBundle(source ?? defaultBundlePath(), { limits, signal }),
      );
      bundle = found;
      encoder = await traced(trace, 'load', 'encoders', () =>
        all.FilmEncoder.create(found, {
          ...threadOptions,
          started,
          exec: execOf(place, options),
          ...(options.isolation !== undefined && { isolation: options.isolation }),
          ...(options.mediaLimits !== undefined && { limits: options.mediaLimits }),
          signal,
          meanwhile: () => {
            const start = traceTime();
            network = all.FusionNetwork.create(found.manifest.network, found.networkWeights());
            trace?.add('load', 'network', start, traceTime());
          },
        }),
      );
      return new Predictor(all, bundle, encoder, network!, place, options);
    } catch (error) {
      await Promise.all([encoder?.dispose(), endFilmThreads(started)]);
      network?.dispose();
      await bundle?.dispose();
      throw error;
    }
  }

  /**
   * One film's expected reception. The film is read at the call: later changes of the object make no difference, but
   * for the contents of buffers. Its streams are read or destroyed when the call ends.
   *
   * @throws InputError ERR_INPUT_*   a field that is wrong, unknown or empty; nothing that this model can use
   * @throws MediaError ERR_MEDIA_*   a poster or trailer that cannot be read (unless onInputError is 'skip')
   * @throws ModelError ERR_MODEL_*   an encoder failed
   * @throws CancelledError ERR_CANCELLED, DisposedError ERR_DISPOSED
   */
  async predict(movie: Movie, options: PredictOptions = {}): Promise<Feedback> {
    checkOptions(options, PREDICT_OPTIONS);
    checkInputErrors(options);
    const result = await this.#film(this.#rooms.takeFilm(movie), 0, options);
    if (!result.ok) throw result.error;
    return result.feedback;
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
    checkOptions(options, PREDICT_MANY_OPTIONS);
    const results: PredictionResult[] = [];
    const { onProgress, ...rest } = options;
    const total = movies.length;
    const watch =
      onProgress && ((progress: { done: number; failed: number }) => onProgress({ ...progress, total }));
    const release = this.#rooms.holdStreams(movies);
    try {
      for await (const result of this.predictStream(movies, { ...rest, onProgress: watch }))
        results.push(result);
    } finally {
      release();
    }
    return results;
  }

  /**
   * Films from any iterable, in order and in bounded memory: at most two batches of films are under way, each for
   * itself, and the source is asked for more only when results are taken. Results do not wait for a source that is slow.
   *
   * @throws whatever the source throws, after the results of the films before it; CancelledError; DisposedError
   * @throws InputError ERR_INPUT_TYPE  not an iterable; ERR_INPUT_VALUE, ERR_INPUT_UNKNOWN_FIELD  a wrong option
   */
  async *predictStream(
    movies: Iterable<Movie> | AsyncIterable<Movie>,
    options: PredictManyOptions = {},
  ): AsyncGenerator<PredictionResult, void, undefined> {
    checkOptions(options, PREDICT_MANY_OPTIONS);
    checkInputErrors(options);
    const { batchSize = 16, onProgress } = options;
    checkCount('batchSize', batchSize, 1024);
    if (this.#disposed) throw disposedError();
    throwIfCancelled(options.signal);
    using link = new LinkedSignal(this.#signals, options.signal, this.#closing.signal);
    const source = new FilmQueue(movies, 'movies');
    const own = { ...options, signal: link.signal };
    const pace = new Pace();
    const underWay: Promise<StreamTurn>[] = [];
    let asked: Promise<StreamTurn> | undefined;
    let sourceError: { error: unknown } | undefined;
    let ended = false;
    let index = 0;
    let done = 0;
    let failed = 0;
    try {
      for (;;) {
        if (!ended && underWay.length < 2 * batchSize) {
          asked ??= source.next().then(
            (next) => ({ next }),
            (error: unknown) => ({ sourceError: error }),
          );
        }
        // The source first: while it is quick, films are begun before one is given out.
        const first = underWay[0];
        if (!asked && !first) break;
        const turn = await link.race([asked, first].filter((promise) => promise !== undefined));
        if ('result' in turn) {
          underWay.shift();
          done++;
          if (!turn.result.ok) failed++;
          onProgress?.({ done, failed });
          yield turn.result;
          continue;
        }
        asked = undefined;
        if ('next' in turn && turn.next) {
          const work = this.#film(this.#rooms.takeFilm(turn.next.item), index++, own);
          const result = work.then((own) => ({ result: own }));
          result.catch(() => {});
          underWay.push(result);
          if (pace.due) await pace.rest();
        } else {
          ended = true;
          if ('sourceError' in turn) sourceError = { error: turn.sourceError };
        }
      }
      if (sourceError) throw sourceError.error;
    } catch (error) {
      throwIfCancelled(options.signal);
      if (this.#disposed && error instanceof CancelledError) throw disposedError();
      throw error;
    } finally {
      link.abort();
      await Promise.allSettled(underWay);
      await source.close();
    }
  }

  /**
   * Every input of a film through every encoder of the bundle that reads it, also those the forecast leaves aside.
   *
   * @throws as predict
   */
  async embed(movie: Movie, options: PredictOptions = {}): Promise<InputEmbedding[]> {
    checkOptions(options, PREDICT_OPTIONS);
    checkInputErrors(options);
    return this.#withFilm(movie, options, async (film, own) => {
      const jobs = this.#encoder.everyJob();
      const [encoded] = await this.#encoder.encode([film], jobs, encodeOptions(own));
      if (encoded!.error) throw encoded!.error;
      return jobs.flatMap(({ key, input, encoder }): InputEmbedding[] => {
        const embedding = encoded!.embeddings.get(key);
        return embedding ? [{ ...embedding, input, encoder }] : [];
      });
    });
  }

  /**
   * Why the forecast is what it is: what each input, fact, sentence, word, stretch of time and region of the poster
   * did to it, measured by leaving it out. docs/explain.md says how, and what it does not say.
   *
   * @throws as predict; InputError ERR_INPUT_VALUE  a head that the model does not have, a count out of its bounds
   */
  async explain(movie: Movie, options: ExplainOptions = {}): Promise<Explanation> {
    checkOptions(options, EXPLAIN_OPTIONS);
    checkInputErrors(options);
    return this.#withFilm(movie, options, async (film, own) => {
      const { explainFilm } = await import('./explain/explain.js');
      return explainFilm(this.#forecaster, film, own);
    });
  }

  /**
   * The forecast of the film as it is and with some fields changed (null takes one away), and what each change does
   * alone. What is not changed is encoded once.
   *
   * @throws as predict, also for the changed film
   */
  async whatIf(movie: Movie, changes: FilmChanges, options: WhatIfOptions = {}): Promise<WhatIf> {
    checkOptions(options, WHAT_IF_OPTIONS);
    checkInputErrors(options);
    return this.#withFilm(movie, options, async (film, own) => {
      const { whatIfFilm } = await import('./explain/what-if.js');
      return whatIfFilm(this.#forecaster, film, changes, own);
    });
  }

  /** Where the network puts a film: what FilmIndex compares. @throws as predict */
  async locate(movie: Movie, options: PredictOptions = {}): Promise<FilmPosition> {
    checkOptions(options, PREDICT_OPTIONS);
    checkInputErrors(options);
    return this.#withFilm(movie, options, async (film, own) => {
      const { locateFilm } = await import('./explain/fused-space.js');
      return locateFilm(this.#forecaster, film, own);
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
        ...this.#place,
        isa: defaultIsa(),
        threads: this.#exec.threads ?? defaultThreads(),
      },
      isolation: this.#encoder.isolation,
      modalityWeights: 'leave-one-out',
    };
  }

  /** Gives everything back. Calls that run or wait end with DisposedError. May be called twice. */
  dispose(): Promise<void> {
    this.#disposed ??= (async () => {
      this.#slots.refuseAll(disposedError());
      this.#closing.abort();
      await this.#encoder.dispose();
      this.#network.dispose();
      this.#forecaster.dispose();
      await this.#bundle.dispose();
    })();
    return this.#disposed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  /** One film's work in its turn; its streams are read or let go when that ends. */
  async #withFilm<T, Options extends PredictOptions>(
    movie: Movie,
    options: Options,
    work: (film: ParsedMovie, options: Options) => Promise<T>,
  ): Promise<T> {
    const { film, release } = this.#rooms.takeFilm(movie);
    const turn = this.#inTurn(options.signal, async (signal) => {
      if (film instanceof CinefuseError) throw film;
      return work(film, { ...options, signal });
    });
    return turn.catch((error: unknown) => Promise.reject(asCinefuseError(error))).finally(release);
  }

  async #inTurn<T>(
    callersSignal: AbortSignal | undefined,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    if (this.#disposed) throw disposedError();
    throwIfCancelled(callersSignal);
    using link = new LinkedSignal(this.#signals, callersSignal);
    await this.#slots.acquire(link.signal);
    try {
      return await work(link.signal);
    } catch (error) {
      if (this.#disposed && !callersSignal?.aborted) throw disposedError();
      throw error;
    } finally {
      this.#slots.release();
    }
  }

  /** Film -> result, when its turn comes. */
  async #film(intake: FilmIntake, index: number, options: PredictOptions): Promise<PredictionResult> {
    const { film } = intake;
    try {
      if (this.#disposed) throw disposedError();
      throwIfCancelled(options.signal);
      if (film instanceof CinefuseError) throw film;
      const { feedback } = await this.#inTurn(options.signal, (signal) =>
        traced(this.#trace, 'films', `film ${film.id ?? film.title ?? index}`, () =>
          this.#forecaster.forecast(film, { ...options, signal }, intake.readMs),
        ),
      );
      return this.#rooms.resultOf(feedback, index, intake);
    } catch (error) {
      if (error instanceof CancelledError || error instanceof DisposedError) throw error;
      return this.#rooms.resultOf(asCinefuseError(error), index, intake);
    } finally {
      intake.release();
    }
  }
}

function execOf(place: Place, { threads }: PredictorOptions): ExecOptions {
  return { ...execAt(place), ...(threads !== undefined && { threads }) };
}

function disposedError(): DisposedError {
  return new DisposedError('ERR_DISPOSED', { message: 'The Predictor has been disposed of' });
}
