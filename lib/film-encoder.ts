/**
 * From films to embeddings: reads texts, decodes media, and runs every encoder of a bundle over a batch of films. What
 * goes wrong with one film stays with it.
 */
import type { Embedding } from './encoders/embedding.js';
import { type Device, EncoderPool, type PoolDescription } from './encoders/pool.js';
import { AudioEncoder } from './audio/audio-encoder.js';
import { CinefuseError, InputError, throwIfCancelled } from './errors.js';
import type { Bundle } from './fusion/bundle.js';
import type { BundleManifest, InputName } from './fusion/manifest.js';
import { toFloat32 } from './fusion/safetensors.js';
import { MediaDecoder, type MediaDecoderOptions } from './media/decoder.js';
import { classify, stageFile } from './media/source.js';
import type { FrameSampling } from './media/types.js';
import { MetadataEncoder } from './metadata/metadata-encoder.js';
import type { MediaInput, ParsedMovie } from './movie.js';
import { PosterEncoder } from './poster/poster-encoder.js';
import type { Stopwatch } from './stopwatch.js';
import { coversLanguage, type LanguageGuess } from './text/language.js';
import { readText } from './text/read-text.js';
import { parseSubtitles } from './text/subtitles.js';
import { TextSequenceEncoder } from './text/text-encoder.js';
import { TextThread } from './text/text-thread.js';
import { TfidfEncoder } from './text/tfidf.js';
import { TrailerEncoder } from './trailer/trailer-encoder.js';

/** One input through one encoder. */
export interface EncodingJob {
  /** Under this name the embedding comes back. */
  key: string;
  input: InputName;
  encoder: string;
  languages?: readonly string[] | undefined;
  sampling?: FrameSampling | undefined;
  maxDurationMs?: number | undefined;
}

export interface EncodedFilm {
  embeddings: Map<string, Embedding>;
  /** Inputs that were given and could not be used, and why. */
  notUsed: Map<InputName, string>;
  /** Facts that the metadata encoder could have used. */
  missingFacts: string[];
  /** What makes the film unpredictable, if anything. */
  error?: CinefuseError;
}

export interface FilmEncoderOptions extends MediaDecoderOptions {
  threads?: number | undefined;
  encoderWorkers?: number | undefined;
  device?: Device | undefined;
  signal?: AbortSignal | undefined;
}

export interface EncodeFilmsOptions {
  signal?: AbortSignal | undefined;
  /** 'throw': a poster, trailer or text that cannot be read is the film's error. 'skip': the film goes on without it. */
  onInputError: 'throw' | 'skip';
  decoding: Stopwatch;
  encoding: Stopwatch;
}

const DEFAULT_SAMPLING: FrameSampling = { kind: 'uniform', count: 16 };

/** A sample for an encoder, or why there is none. */
type Sample<T> = { sample: T } | { absent: true } | { unused: string } | { error: CinefuseError };

export class FilmEncoder implements AsyncDisposable {
  readonly #manifest: BundleManifest;
  readonly #pool: EncoderPool;
  readonly #media: MediaDecoder;
  readonly #text: TextThread;
  readonly #texts = new Map<string, TextSequenceEncoder>();
  readonly #posters = new Map<string, PosterEncoder>();
  readonly #trailers = new Map<string, TrailerEncoder>();
  readonly #sounds = new Map<string, AudioEncoder>();
  readonly #tfidf = new Map<string, TfidfEncoder>();
  readonly #metadata: MetadataEncoder | undefined;

  private constructor(bundle: Bundle, pool: EncoderPool, media: MediaDecoder, text: TextThread) {
    this.#manifest = bundle.manifest;
    this.#pool = pool;
    this.#media = media;
    this.#text = text;
    for (const spec of bundle.manifest.tfidf) {
      const nTerms = spec.vocabulary.split('\n').length;
      this.#tfidf.set(
        spec.name,
        new TfidfEncoder(spec, {
          idf: toFloat32(bundle.tensor(`tfidf.${spec.name}.idf`, [nTerms])),
          projection: bundle.tensor(`tfidf.${spec.name}.projection`, [nTerms, spec.dim]).data as Int8Array,
          scale: toFloat32(bundle.tensor(`tfidf.${spec.name}.scale`, [spec.dim])),
        }),
      );
    }
    this.#metadata = bundle.manifest.metadata && new MetadataEncoder(bundle.manifest.metadata);
  }

  /** @throws ModelError, BackendError as EncoderPool.create; BundleError ERR_BUNDLE_SHAPE */
  static async create(bundle: Bundle, options: FilmEncoderOptions): Promise<FilmEncoder> {
    const media = new MediaDecoder(options);
    const text = new TextThread();
    const pool = await EncoderPool.create(bundle.encoders, {
      threads: options.threads,
      workers: options.encoderWorkers,
      device: options.device ?? 'auto',
      signal: options.signal,
    });
    try {
      const encoder = new FilmEncoder(bundle, pool, media, text);
      for (const { spec, directory } of bundle.encoders) {
        if (spec.modality === 'text') {
          const parts = { spec, directory, pool, thread: text };
          encoder.#texts.set(spec.name, await TextSequenceEncoder.create(parts));
        } else if (spec.modality === 'audio')
          encoder.#sounds.set(spec.name, new AudioEncoder({ spec, pool }));
        else {
          if (spec.modality === 'image') encoder.#posters.set(spec.name, new PosterEncoder({ spec, pool }));
          encoder.#trailers.set(spec.name, new TrailerEncoder({ spec, pool }));
        }
      }
      return encoder;
    } catch (error) {
      await Promise.all([pool.dispose(), text.dispose(), media.dispose()]);
      throw error;
    }
  }

  describe(): PoolDescription {
    return this.#pool.describe();
  }

  get isolation(): 'thread' | 'process' {
    return this.#media.isolation;
  }

  /** Jobs that make an embedding of every input by every encoder that can read it. */
  everyJob(): EncodingJob[] {
    const jobs: EncodingJob[] = [];
    const add = (input: InputName, names: Iterable<string>) => {
      for (const encoder of names) jobs.push({ key: `${input} ${encoder}`, input, encoder });
    };
    for (const input of ['title', 'synopsis', 'script', 'subtitles', 'reviews'] as const) {
      add(input, this.#texts.keys());
      add(input, this.#tfidf.keys());
    }
    if (this.#metadata) add('metadata', ['metadata']);
    add('poster', this.#posters.keys());
    add('trailer.video', this.#trailers.keys());
    add('trailer.audio', this.#sounds.keys());
    add('audio', this.#sounds.keys());
    return jobs;
  }

  /** One result a film, in order. Rejects only when cancelled or disposed. */
  async encode(
    films: readonly ParsedMovie[],
    jobs: readonly EncodingJob[],
    options: EncodeFilmsOptions,
  ): Promise<EncodedFilm[]> {
    throwIfCancelled(options.signal);
    const sources = films.map((film) => new FilmSources(film, jobs, this.#media, this.#text, options));
    const results = films.map((): EncodedFilm => {
      return { embeddings: new Map(), notUsed: new Map(), missingFacts: [] };
    });
    // Two modalities may rest on the same input and encoder: encoded once.
    const groups = new Map<string, EncodingJob[]>();
    for (const job of jobs) {
      const { key: _, ...what } = job;
      const group = JSON.stringify(what);
      groups.set(group, [...(groups.get(group) ?? []), job]);
    }
    try {
      await Promise.all(
        [...groups.values()].map((group) => this.#encodeGroup(group, sources, results, options)),
      );
    } finally {
      await Promise.all(sources.map((source) => source.release()));
    }
    return results;
  }

  async #encodeGroup(
    group: readonly EncodingJob[],
    sources: readonly FilmSources[],
    results: readonly EncodedFilm[],
    options: EncodeFilmsOptions,
  ): Promise<void> {
    const job = group[0]!;
    const outcomes = await this.#run(job, sources, options);
    outcomes.forEach((outcome, i) => {
      const result = results[i]!;
      if ('absent' in outcome) return;
      if ('sample' in outcome) {
        for (const { key } of group) result.embeddings.set(key, outcome.sample);
      } else if ('unused' in outcome) result.notUsed.set(job.input, outcome.unused);
      else if (outcome.error.code === 'ERR_INPUT_LANGUAGE' || options.onInputError === 'skip') {
        result.notUsed.set(job.input, outcome.error.message);
      } else result.error ??= outcome.error;
      if (job.encoder === 'metadata') result.missingFacts = sources[i]!.missingFacts;
    });
  }

  #run(
    job: EncodingJob,
    sources: readonly FilmSources[],
    options: EncodeFilmsOptions,
  ): Promise<Sample<Embedding>[]> {
    const { encoder, input } = job;
    if (encoder === 'metadata') {
      return Promise.resolve(sources.map((source) => source.metadata(this.#metadata!)));
    }
    const tfidf = this.#tfidf.get(encoder);
    if (tfidf) {
      return this.#each(
        sources,
        (source) => source.text(job, tfidf.languages),
        async (texts) =>
          texts.map((text): Embedding => ({ data: tfidf.encode(text), length: 1, dim: tfidf.dim })),
      );
    }
    const { signal } = options;
    const fields = (count: number) => Array.from({ length: count }, () => input);
    const timed = <T>(work: Promise<T>) => options.encoding.during(work);
    const text = this.#texts.get(encoder);
    if (text) {
      return this.#each(
        sources,
        (source) => source.text(job, text.spec.languages),
        (samples) => timed(text.encodeEach(samples, { signal, fields: fields(samples.length) })),
      );
    }
    if (input === 'poster') {
      const poster = this.#posters.get(encoder)!;
      return this.#each(
        sources,
        (source) => source.image(),
        (samples) => timed(poster.encodeEach(samples, { signal, fields: fields(samples.length) })),
      );
    }
    if (input === 'trailer.video') {
      const trailer = this.#trailers.get(encoder)!;
      return this.#each(
        sources,
        (source) => source.video(job.sampling ?? DEFAULT_SAMPLING),
        (samples) => timed(trailer.encodeEach(samples, { signal, fields: fields(samples.length) })),
      );
    }
    const sound = this.#sounds.get(encoder)!;
    const { sampleRate } = sound.spec.frontEnd;
    return this.#each(
      sources,
      (source) => source.sound(input as 'audio' | 'trailer.audio', sampleRate, job.maxDurationMs),
      (samples) => timed(sound.encodeEach(samples, { signal, fields: fields(samples.length) })),
    );
  }

  /** Gets every film's sample, encodes those there are together, and puts the results back in their places. */
  async #each<T>(
    sources: readonly FilmSources[],
    sampleOf: (source: FilmSources) => Promise<Sample<T>>,
    encode: (samples: T[]) => Promise<(Embedding | CinefuseError)[]>,
  ): Promise<Sample<Embedding>[]> {
    const samples = await Promise.all(sources.map(sampleOf));
    const there = samples.flatMap((sample, i) => ('sample' in sample ? [{ i, sample: sample.sample }] : []));
    const outcomes = samples as Sample<unknown>[] as Sample<Embedding>[];
    if (there.length === 0) return outcomes;
    const embeddings = await encode(there.map(({ sample }) => sample));
    embeddings.forEach((embedding, j) => {
      outcomes[there[j]!.i] =
        embedding instanceof CinefuseError ? { error: embedding } : { sample: embedding };
    });
    return outcomes;
  }

  /**
   * Vectors of reviews, each the features of the sentiment section end to end.
   *
   * @returns per review its vector, or why there is none
   */
  async encodeReviews(
    reviews: readonly string[],
    features: readonly string[],
    options: EncodeFilmsOptions,
  ): Promise<(Float32Array | CinefuseError)[]> {
    const parts = await Promise.all(
      features.map(async (name): Promise<(Embedding | CinefuseError)[]> => {
        const tfidf = this.#tfidf.get(name);
        if (tfidf) return reviews.map((text) => ({ data: tfidf.encode(text), length: 1, dim: tfidf.dim }));
        const encoder = this.#texts.get(name);
        if (!encoder) throw new InputError('ERR_INPUT_VALUE', { field: `sentiment feature ${name}` });
        const fields = reviews.map((_, i) => `reviews.${i}`);
        return options.encoding.during(encoder.encodeEach(reviews, { signal: options.signal, fields }));
      }),
    );
    return reviews.map((_, i) => {
      const own = parts.map((part) => part[i]!);
      const failed = own.find((part) => part instanceof CinefuseError);
      if (failed) return failed;
      return concatenate((own as Embedding[]).map(meanVector));
    });
  }

  detectLanguage(text: string, signal: AbortSignal | undefined): Promise<LanguageGuess> {
    return this.#text.detectLanguage(text, { signal });
  }

  /** Languages in which reviews can be scored. */
  get sentiment(): NonNullable<BundleManifest['sentiment']> {
    return this.#manifest.sentiment ?? {};
  }

  async dispose(): Promise<void> {
    await Promise.all([this.#pool.dispose(), this.#text.dispose(), this.#media.dispose()]);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }
}

/** The mean of an embedding's vectors. */
export function meanVector({ data, length, dim }: Embedding): Float32Array {
  if (length === 1) return data;
  const sum = new Float64Array(dim);
  for (let row = 0; row < length; row++) for (let i = 0; i < dim; i++) sum[i]! += data[row * dim + i]!;
  return Float32Array.from(sum, (value) => value / length);
}

function concatenate(parts: readonly Float32Array[]): Float32Array {
  const whole = new Float32Array(parts.reduce((total, part) => total + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** What one film hands to the encoders: every file is read or decoded at most once, when first asked for. */
class FilmSources {
  missingFacts: string[] = [];
  readonly #film: ParsedMovie;
  readonly #trailerJobs: number;
  readonly #media: MediaDecoder;
  readonly #thread: TextThread;
  readonly #options: EncodeFilmsOptions;
  readonly #memo = new Map<string, Promise<Sample<never>>>();
  #staged: Promise<{ path: string; release(): Promise<void> }> | undefined;

  constructor(
    film: ParsedMovie,
    jobs: readonly EncodingJob[],
    media: MediaDecoder,
    thread: TextThread,
    options: EncodeFilmsOptions,
  ) {
    this.#film = film;
    this.#trailerJobs = jobs.filter(({ input }) => input.startsWith('trailer.')).length;
    this.#media = media;
    this.#thread = thread;
    this.#options = options;
  }

  metadata(encoder: MetadataEncoder): Sample<Embedding> {
    const { metadata } = this.#film.given;
    if (!metadata) return { absent: true };
    try {
      const { data, missing } = encoder.encode(metadata);
      this.missingFacts = missing;
      return { sample: { data, length: 1, dim: encoder.dim } };
    } catch (error) {
      if (error instanceof CinefuseError) return { error };
      throw error;
    }
  }

  /** A text in a language that the job and its encoder cover; in another one it is not used. */
  async text(job: EncodingJob, encoderLanguages: readonly string[] | 'any'): Promise<Sample<string>> {
    const text = await this.#text(job.input);
    const covered = job.languages ?? encoderLanguages;
    if (!('sample' in text) || covered === 'any') return text;
    const guess = await this.#once(`language ${job.input}`, async () =>
      this.#thread.detectLanguage(text.sample, { signal: this.#options.signal }),
    );
    if (!('sample' in guess)) return guess;
    if (coversLanguage(covered, guess.sample)) return text;
    const unused = `it seems to be in ${languageName(guess.sample.language)}; ${job.encoder} reads ${covered.map(languageName).join(', ')}`;
    return { unused };
  }

  #text(input: InputName): Promise<Sample<string>> {
    const { given } = this.#film;
    const { reviews } = given;
    const value =
      input === 'reviews' && Array.isArray(reviews)
        ? reviews.join('\n')
        : given[input as 'title' | 'synopsis' | 'script' | 'subtitles'];
    if (value === undefined) return Promise.resolve({ absent: true });
    return this.#once(`text ${input}`, async () => {
      const text = await readText(value, input);
      return input === 'subtitles' ? subtitleText(text) : text;
    });
  }

  image() {
    return this.#decode('poster', 'poster', 'image', (media, common) => this.#media.image(media, common));
  }

  video(sampling: FrameSampling) {
    return this.#decode('trailer', 'trailer', `video ${JSON.stringify(sampling)}`, (media, common) =>
      this.#media.video(media, { ...common, sampling }),
    );
  }

  sound(input: 'audio' | 'trailer.audio', sampleRate: number, maxDurationMs: number | undefined) {
    const name = input === 'audio' ? 'audio' : 'trailer';
    return this.#decode(name, name, `sound ${input} ${sampleRate} ${maxDurationMs}`, (media, common) =>
      this.#media.audio(media, {
        ...common,
        sampleRate,
        ...(maxDurationMs !== undefined && { maxDurationMs }),
      }),
    );
  }

  #decode<T>(
    name: 'poster' | 'trailer' | 'audio',
    field: string,
    key: string,
    decode: (media: MediaInput, common: { field: string; signal?: AbortSignal | undefined }) => Promise<T>,
  ): Promise<Sample<T>> {
    const media = this.#film.given[name];
    if (media === undefined) return Promise.resolve({ absent: true });
    return this.#once(key, async () => {
      const source = name === 'trailer' ? await this.#trailer(media) : media;
      return this.#options.decoding.during(decode(source, { field, signal: this.#options.signal }));
    });
  }

  /** A trailer that comes as a stream and is wanted for picture and sound is put into a file first. */
  async #trailer(media: MediaInput): Promise<MediaInput> {
    if (this.#trailerJobs < 2) return media;
    const source = classify(media, 'trailer');
    if (source.kind !== 'stream') return media;
    this.#staged ??= stageFile(source, {
      subject: { field: 'trailer' },
      limit: 'maxBytes',
      maxBytes: this.#media.limits.maxBytes,
      signal: this.#options.signal ?? new AbortController().signal,
    });
    return { path: (await this.#staged).path };
  }

  #once<T>(key: string, work: () => Promise<T>): Promise<Sample<T>> {
    const known = this.#memo.get(key) as Promise<Sample<T>> | undefined;
    if (known) return known;
    const promise = work().then(
      (sample): Sample<T> => ({ sample }),
      (error): Sample<T> => {
        if (!(error instanceof CinefuseError)) throw error;
        if (error.code === 'ERR_CANCELLED' || error.code === 'ERR_DISPOSED') throw error;
        const trailer = error.field === 'trailer' && error.code === 'ERR_MEDIA_EMPTY';
        return trailer ? { unused: error.message } : { error };
      },
    );
    this.#memo.set(key, promise as Promise<Sample<never>>);
    return promise;
  }

  async release(): Promise<void> {
    const staged = await this.#staged?.catch(() => undefined);
    await staged?.release();
  }
}

function subtitleText(source: string): string {
  const cues = parseSubtitles(source);
  return cues.length > 0 ? cues.map(({ text }) => text).join('\n') : source;
}

const languageNames = new Intl.DisplayNames(['en'], { type: 'language' });

function languageName(code: string): string {
  if (code === 'und') return 'no language that can be told';
  try {
    return languageNames.of(code) ?? code;
  } catch {
    return code;
  }
}
