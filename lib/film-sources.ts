/** What one film hands to the encoders: every file is read or decoded at most once, when first asked for. */
import type { Embedding } from './encoders/embedding.js';
import { CinefuseError } from './errors.js';
import type { EncodeFilmsOptions, EncodingJob } from './film-encoder.js';
import type { InputName } from './fusion/manifest.js';
import type { MediaDecoder } from './media/decoder.js';
import { classify, stageFile } from './media/source.js';
import type { FrameSampling } from './media/types.js';
import type { MetadataEncoder } from './metadata/metadata-encoder.js';
import type { MediaInput, ParsedMovie } from './movie.js';
import { coversLanguage, languageName } from './text/language.js';
import { readText } from './text/read-text.js';
import type { TextThread } from './text/text-thread.js';

/** A sample for an encoder, or why there is none. */
export type Sample<T> = { sample: T } | { absent: true } | { unused: string } | { error: CinefuseError };

export class FilmSources {
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
    if (coversLanguage(covered, guess.sample, true)) return text;
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
      return input === 'subtitles' ? this.#thread.dialogue(text, { signal: this.#options.signal }) : text;
    });
  }

  image() {
    return this.#decode('poster', 'image', (media, common) => this.#media.image(media, common));
  }

  video(sampling: FrameSampling) {
    return this.#decode('trailer', `video ${JSON.stringify(sampling)}`, (media, common) =>
      this.#media.video(media, { ...common, sampling }),
    );
  }

  sound(input: 'audio' | 'trailer.audio', sampleRate: number, maxDurationMs: number | undefined) {
    const name = input === 'audio' ? 'audio' : 'trailer';
    return this.#decode(name, `sound ${input} ${sampleRate} ${maxDurationMs}`, (media, common) =>
      this.#media.audio(media, {
        ...common,
        sampleRate,
        ...(maxDurationMs !== undefined && { maxDurationMs }),
      }),
    );
  }

  #decode<T>(
    name: 'poster' | 'trailer' | 'audio',
    key: string,
    decode: (media: MediaInput, common: { field: string; signal?: AbortSignal | undefined }) => Promise<T>,
  ): Promise<Sample<T>> {
    const media = this.#film.given[name];
    if (media === undefined) return Promise.resolve({ absent: true });
    return this.#once(key, async () => {
      const source = name === 'trailer' ? await this.#trailer(media) : media;
      return this.#options.decoding.during(decode(source, { field: name, signal: this.#options.signal }));
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
