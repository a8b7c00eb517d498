/** All stages of one film's forecast: encode, fuse, describe. Calls of a Predictor share it. */
import { CinefuseError, InputError, throwIfCancelled } from './errors.js';
import { type Feedback, type SentimentFeedback, sentimentFeedback } from './feedback.js';
import type { EncodedFilm, EncodingJob, FilmEncoder } from './film-encoder.js';
import { FuseQueue, fuseFilms } from './fuse.js';
import type { Bundle } from './fusion/bundle.js';
import type { BundleManifest, InputName } from './fusion/manifest.js';
import { fusedNetwork } from './fusion/fused-network.js';
import type { FusionNetwork } from './fusion/network.js';
import type { ParsedMovie } from './movie.js';
import type { ExecOptions } from './ops/exec.js';
import type { PredictOptions } from './options.js';
import { encodeOptions } from './predict-options.js';
import type { Rooms } from './rooms.js';
import { type Trace, traced } from './trace.js';

/** A forecast, and the embeddings that it rests on. */
export interface Forecast {
  feedback: Feedback;
  encoded: EncodedFilm;
}

/** A film encoded before, of which only some inputs are other ones now. */
export interface KnownInputs {
  encoded: EncodedFilm;
  changed: ReadonlySet<InputName>;
}

interface ForecasterParts {
  rooms: Rooms;
  bundle: Bundle;
  encoder: FilmEncoder;
  network: FusionNetwork;
  exec: ExecOptions;
  /** Fires when the owner is disposed of. */
  closing: AbortSignal;
  trace: Trace | undefined;
}

export class Forecaster {
  readonly rooms: Rooms;
  readonly bundle: Bundle;
  readonly manifest: BundleManifest;
  readonly encoder: FilmEncoder;
  readonly network: FusionNetwork;
  readonly exec: ExecOptions;
  /** One for each modality of the network, under its name. */
  readonly jobs: readonly EncodingJob[];
  readonly #fuse: FuseQueue;
  #fused: FusionNetwork | undefined;

  constructor({ rooms, bundle, encoder, network, exec, closing, trace }: ForecasterParts) {
    const { manifest } = bundle;
    this.rooms = rooms;
    this.bundle = bundle;
    this.manifest = manifest;
    this.encoder = encoder;
    this.network = network;
    this.exec = exec;
    this.jobs = manifest.modalities.map(({ name, ...job }) => ({ key: name, ...job }));
    const own = { ...exec, signal: closing };
    this.#fuse = new FuseQueue((films) =>
      traced(trace, 'operators', `fuse ${films.length}`, () => fuseFilms(network, manifest, films, own)),
    );
  }

  /** The network up to its heads, made when first asked for. */
  fusedNetwork(): FusionNetwork {
    this.#fused ??= fusedNetwork(this.bundle);
    return this.#fused;
  }

  /** What was made here; all else stays the owner's. */
  dispose(): void {
    this.#fused?.dispose();
  }

  /**
   * @param readMs  what it took to read the film's description
   * @param known   what need not be encoded again
   * @throws as Predictor.predict
   */
  async forecast(
    film: ParsedMovie,
    options: PredictOptions,
    readMs = 0,
    known?: KnownInputs,
  ): Promise<Forecast> {
    const start = performance.now() - readMs;
    const encode = encodeOptions(options);
    const [encoded, sentiment] = await Promise.all([
      this.#encode(film, encode, known),
      this.#sentiment(film, encode),
    ]);
    if (encoded.error) throw encoded.error;
    if (sentiment instanceof CinefuseError) throw sentiment;
    if (encoded.embeddings.size === 0) throw this.rooms.nothingUsable(this.manifest, encoded);
    const fuseStart = performance.now();
    const fused = await this.#fuse.fuse(encoded);
    throwIfCancelled(options.signal);
    const end = performance.now();
    const timings = {
      readMs,
      decodeMs: encode.decoding.milliseconds,
      encodeMs: encode.encoding.milliseconds,
      fuseMs: end - fuseStart,
      totalMs: end - start,
    };
    const feedback = this.rooms.filmFeedback(this.manifest, film, encoded, fused, sentiment);
    return { feedback: { ...feedback, timings }, encoded };
  }

  async #encode(
    film: ParsedMovie,
    options: ReturnType<typeof encodeOptions>,
    known: KnownInputs | undefined,
  ): Promise<EncodedFilm> {
    if (!known) return (await this.encoder.encode([film], this.jobs, options))[0]!;
    const jobs = this.jobs.filter(({ input }) => known.changed.has(input));
    const [fresh] = await this.encoder.encode([film], jobs, options);
    const { encoded, changed } = known;
    const merged: EncodedFilm = { ...fresh!, embeddings: new Map(), notUsed: new Map(fresh!.notUsed) };
    // In the order of the modalities, as when all are encoded.
    for (const { key, input } of this.jobs) {
      const embedding = (changed.has(input) ? fresh! : encoded).embeddings.get(key);
      if (embedding) merged.embeddings.set(key, embedding);
    }
    for (const [input, reason] of encoded.notUsed) if (!changed.has(input)) merged.notUsed.set(input, reason);
    if (!changed.has('metadata')) merged.missingFacts = encoded.missingFacts;
    return merged;
  }

  /** Polarity of a film's reviews; undefined where there are none or the bundle has no scorer. */
  async #sentiment(
    { given: { reviews } }: ParsedMovie,
    options: ReturnType<typeof encodeOptions>,
  ): Promise<SentimentFeedback | CinefuseError | undefined> {
    const scorer = this.encoder.reviews;
    if (reviews === undefined || !scorer) return undefined;
    try {
      const texts = await this.rooms.readReviews(reviews);
      return sentimentFeedback(await options.encoding.during(scorer.score(texts, options)));
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      return options.onInputError === 'skip' ? undefined : error;
    }
  }
}
