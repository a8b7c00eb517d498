/**
 * From films to embeddings: reads texts, decodes media, and runs every encoder of a bundle over a batch of films. What
 * goes wrong with one film stays with it.
 */
import type { Embedding, ModalityEncoder } from './encoders/embedding.js';
import type { EncoderPool, PoolDescription } from './encoders/pool.js';
import { AudioEncoder } from './audio/audio-encoder.js';
import { bundleTfidf, languageScorers } from './text-models.js';
import { CinefuseError, ModelError, throwIfCancelled } from './errors.js';
import type { Bundle } from './fusion/bundle.js';
import { FilmSources, type Sample } from './film-sources.js';
import {
  endFilmThreads,
  type FilmThreadOptions,
  type FilmThreads,
  startFilmThreads,
} from './film-threads.js';
import type { InputName } from './fusion/manifest.js';
import { MediaDecoder, type MediaDecoderOptions } from './media/decoder.js';
import type { FrameSampling, RgbImage } from './media/types.js';
import { MetadataEncoder } from './metadata/metadata-encoder.js';
import type { ParsedMovie } from './movie.js';
import type { ExecOptions } from './ops/exec.js';
import { Pace } from './pace.js';
import { PosterEncoder } from './poster/poster-encoder.js';
import type { Stopwatch } from './stopwatch.js';
import { TextSequenceEncoder, tokenizerFiles } from './text/text-encoder.js';
import { type LanguageScorer, ReviewScorer } from './text/review-scorer.js';
import type { TextThread } from './text/text-thread.js';
import type { TfidfEncoder } from './text/tfidf.js';
import type { Trace } from './trace.js';
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

export interface FilmEncoderOptions extends MediaDecoderOptions, FilmThreadOptions {
  /** Threads that were started before; the encoder takes them over, also when it fails. */
  started?: FilmThreads | undefined;
  /** How operators run. */
  exec?: Omit<ExecOptions, 'signal'> | undefined;
  trace?: Trace | undefined;
  signal?: AbortSignal | undefined;
  /** Called while the encoders' graphs are being loaded in their threads. */
  meanwhile?: (() => void) | undefined;
}

export interface EncodeFilmsOptions {
  signal?: AbortSignal | undefined;
  /** 'throw': a poster, trailer or text that cannot be read is the film's error. 'skip': the film goes on without it. */
  onInputError: 'throw' | 'skip';
  decoding: Stopwatch;
  encoding: Stopwatch;
}

const DEFAULT_SAMPLING: FrameSampling = { kind: 'uniform', count: 16 };

export class FilmEncoder implements AsyncDisposable {
  readonly #pool: EncoderPool;
  readonly #media: MediaDecoder;
  readonly #text: TextThread;
  readonly #texts = new Map<string, TextSequenceEncoder>();
  readonly #posters = new Map<string, PosterEncoder>();
  readonly #trailers = new Map<string, TrailerEncoder>();
  readonly #sounds = new Map<string, AudioEncoder>();
  readonly #tfidf: ReadonlyMap<string, TfidfEncoder>;
  readonly #metadata: MetadataEncoder | undefined;
  /** Scores reviews; undefined when the bundle cannot. */
  readonly reviews: ReviewScorer | undefined;

  private constructor(facts: FactEncoders, pool: EncoderPool, media: MediaDecoder, text: TextThread) {
    const { tfidf, metadata, scorers } = facts;
    this.#pool = pool;
    this.#media = media;
    this.#text = text;
    this.#tfidf = tfidf;
    this.#metadata = metadata;
    const encoders = { texts: this.#texts, tfidf };
    this.reviews = scorers.size > 0 ? new ReviewScorer(scorers, encoders, text) : undefined;
  }

  /** @throws ModelError, BackendError as EncoderPool.create; BundleError ERR_BUNDLE_SHAPE */
  static async create(bundle: Bundle, options: FilmEncoderOptions): Promise<FilmEncoder> {
    const media = new MediaDecoder(options);
    const started = options.started ?? (await startFilmThreads(options));
    const { pool, text } = started;
    try {
      openTokenizers(bundle, text);
      let facts: FactEncoders | undefined;
      await pool.load(bundle.encoders, {
        signal: options.signal,
        meanwhile: () => {
          facts = factEncoders(bundle);
          options.meanwhile?.();
        },
      });
      const encoder = new FilmEncoder(facts!, pool, media, text);
      const { exec = {} } = options;
      for (const { spec, directory } of bundle.encoders) {
        if (spec.modality === 'text') {
          const parts = { spec, directory, pool, thread: text };
          const sequences = await TextSequenceEncoder.create(parts);
          encoder.#texts.set(spec.name, sequences);
          // Reads the tokenizer: what is wrong with it is found here, and the first film does not wait for it.
          const [tried] = await sequences.encodeEach(['a']);
          if (tried instanceof ModelError) throw tried;
        } else if (spec.modality === 'audio') {
          encoder.#sounds.set(spec.name, await AudioEncoder.create({ spec, pool, exec }));
        } else {
          if (spec.modality === 'image') {
            encoder.#posters.set(spec.name, new PosterEncoder({ spec, pool, exec }));
          }
          encoder.#trailers.set(spec.name, new TrailerEncoder({ spec, pool, exec }));
        }
      }
      return encoder;
    } catch (error) {
      await Promise.all([endFilmThreads(started), media.dispose()]);
      throw error;
    }
  }

  describe(): PoolDescription {
    return this.#pool.describe();
  }

  /** Bytes of a poster's file, at most. */
  get maxImageBytes(): number {
    return this.#media.limits.maxImageBytes;
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

  /**
   * One result a film, in order. Every film goes its own way: batches form where films meet at an encoder, with those
   * of other calls too. Rejects only when cancelled or disposed.
   */
  async encode(
    films: readonly ParsedMovie[],
    jobs: readonly EncodingJob[],
    options: EncodeFilmsOptions,
  ): Promise<EncodedFilm[]> {
    throwIfCancelled(options.signal);
    const groups = jobGroups(jobs);
    const pace = new Pace();
    const underWay: Promise<EncodedFilm>[] = [];
    for (const film of films) {
      const encoded = this.#encodeFilm(film, jobs, groups, options);
      encoded.catch(() => {}); // awaited below
      underWay.push(encoded);
      if (pace.due) await pace.rest();
    }
    await Promise.allSettled(underWay);
    return Promise.all(underWay);
  }

  /** A film's inputs, for those who change them before they are encoded. The caller releases them. */
  sources(film: ParsedMovie, options: EncodeFilmsOptions): FilmSources {
    return new FilmSources(film, [], this.#media, this.#text, options);
  }

  /** Pictures in a poster's place through the encoder of a job. One that it cannot read is undefined. */
  async encodePictures(
    { encoder }: EncodingJob,
    pictures: readonly RgbImage[],
    { signal, encoding }: EncodeFilmsOptions,
  ): Promise<(Embedding | undefined)[]> {
    const results = await encoding.during(this.#posters.get(encoder)!.encodeEach(pictures, { signal }));
    return results.map((result) => (result instanceof CinefuseError ? undefined : result));
  }

  async #encodeFilm(
    film: ParsedMovie,
    jobs: readonly EncodingJob[],
    groups: readonly EncodingJob[][],
    options: EncodeFilmsOptions,
  ): Promise<EncodedFilm> {
    const source = new FilmSources(film, jobs, this.#media, this.#text, options);
    const result: EncodedFilm = { embeddings: new Map(), notUsed: new Map(), missingFacts: [] };
    try {
      await Promise.all(groups.map((group) => this.#encodeGroup(group, source, result, options)));
    } finally {
      await source.release();
    }
    return result;
  }

  async #encodeGroup(
    group: readonly EncodingJob[],
    source: FilmSources,
    result: EncodedFilm,
    options: EncodeFilmsOptions,
  ): Promise<void> {
    const job = group[0]!;
    const outcome = await this.#run(job, source, options);
    if ('absent' in outcome) return;
    if ('sample' in outcome) {
      for (const { key } of group) result.embeddings.set(key, outcome.sample);
    } else if ('unused' in outcome) result.notUsed.set(job.input, outcome.unused);
    else if (outcome.error.code === 'ERR_INPUT_LANGUAGE' || options.onInputError === 'skip') {
      result.notUsed.set(job.input, outcome.error.message);
    } else result.error ??= outcome.error;
    if (job.encoder === 'metadata') result.missingFacts = source.missingFacts;
  }

  async #run(job: EncodingJob, source: FilmSources, options: EncodeFilmsOptions): Promise<Sample<Embedding>> {
    const { encoder, input } = job;
    if (encoder === 'metadata') return source.metadata(this.#metadata!);
    const through =
      <T>(room: ModalityEncoder<T>) =>
      async (sample: T) => {
        const work = room.encodeEach([sample], { signal: options.signal, fields: [input] });
        return (await options.encoding.during(work))[0]!;
      };
    const tfidf = this.#tfidf.get(encoder);
    if (tfidf) {
      return encodeSample(await source.text(job, tfidf.languages), async (text) => {
        const [terms] = await options.encoding.during(tfidf.encodeEach([text], { signal: options.signal }));
        // Zeros would pass for a text that was read.
        return terms!.known
          ? { data: terms!.data, length: 1, dim: tfidf.dim }
          : `${encoder} knows none of its words`;
      });
    }
    const text = this.#texts.get(encoder);
    if (text) return encodeSample(await source.text(job, text.spec.languages), through(text));
    if (input === 'poster') {
      return encodeSample(await source.image(), through(this.#posters.get(encoder)!));
    }
    if (input === 'trailer.video') {
      const sampling = job.sampling ?? DEFAULT_SAMPLING;
      return encodeSample(await source.video(sampling), through(this.#trailers.get(encoder)!));
    }
    const sound = this.#sounds.get(encoder)!;
    const { sampleRate } = sound.spec.frontEnd;
    const clip = source.sound(input as 'audio' | 'trailer.audio', sampleRate, job.maxDurationMs);
    return encodeSample(await clip, through(sound));
  }

  async dispose(): Promise<void> {
    await Promise.all([this.#pool.dispose(), this.#text.dispose(), this.#media.dispose()]);
    for (const sound of this.#sounds.values()) sound.dispose();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }
}

/** What needs no graph: made while the graphs are loaded. */
interface FactEncoders {
  tfidf: ReadonlyMap<string, TfidfEncoder>;
  metadata: MetadataEncoder | undefined;
  scorers: Map<string, LanguageScorer>;
}

function factEncoders(bundle: Bundle): FactEncoders {
  const { manifest } = bundle;
  const metadata = manifest.metadata && new MetadataEncoder(manifest.metadata);
  return { tfidf: bundleTfidf(bundle), metadata, scorers: languageScorers(bundle) };
}

/** Lets the text thread read tokenizers and language tables beside the graphs; what is wrong with them shows later. */
function openTokenizers(bundle: Bundle, thread: TextThread): void {
  for (const { spec, directory } of bundle.encoders) {
    if (spec.modality !== 'text') continue;
    tokenizerFiles({ spec, directory })
      .then((files) => thread.prepare('a', files))
      .catch(() => {});
  }
}

/** Two modalities may rest on the same input and encoder: encoded once. */
function jobGroups(jobs: readonly EncodingJob[]): EncodingJob[][] {
  const groups = new Map<string, EncodingJob[]>();
  for (const job of jobs) {
    const { key: _, ...what } = job;
    const group = JSON.stringify(what);
    groups.set(group, [...(groups.get(group) ?? []), job]);
  }
  return [...groups.values()];
}

/** The sample's embedding; a string says why there is none. */
async function encodeSample<T>(
  outcome: Sample<T>,
  encode: (sample: T) => Promise<Embedding | CinefuseError | string>,
): Promise<Sample<Embedding>> {
  if (!('sample' in outcome)) return outcome;
  const embedding = await encode(outcome.sample);
  if (embedding instanceof CinefuseError) return { error: embedding };
  return typeof embedding === 'string' ? { unused: embedding } : { sample: embedding };
}
