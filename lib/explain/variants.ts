/**
 * Forecasts of one film with something left out or changed. What a change does not touch is never encoded again, and
 * one and the same change is run once, whoever asks for it.
 */
import type { Embedding } from '../encoders/embedding.js';
import { InputError, throwIfCancelled } from '../errors.js';
import { headFeedback } from '../feedback.js';
import type { EncodingJob } from '../film-encoder.js';
import type { Forecast, Forecaster } from '../forecast.js';
import { type FilmEmbeddings, filmOutputs } from '../fuse.js';
import type { RgbImage } from '../media/types.js';
import type { InputName } from '../fusion/manifest.js';
import type { GivenInputs, ParsedMovie } from '../movie.js';
import type { PredictOptions } from '../options.js';
import { Pace } from '../pace.js';
import { encodeOptions } from '../predict-options.js';
import { differences, headValues, verdictsOf } from './head-values.js';
import type { Effects, HeadValue } from './types.js';

/** Films or pictures handed to the encoders at a time: between two such, calls are cancelled and tell how far they are. */
const TOGETHER = 32;

/** Embeddings by modality in place of the film's own; undefined: absent. */
export type Replacement = ReadonlyMap<string, Embedding | undefined>;

export class Variants {
  readonly film: ParsedMovie;
  readonly heads: HeadValue[];
  /** The head that parts are ranked by. */
  readonly head: string;
  /** Films run through the network so far. */
  forecasts = 0;
  readonly #forecaster: Forecaster;
  readonly #base: Forecast;
  readonly #verdicts: ReadonlyMap<string, string>;
  readonly #options: PredictOptions;
  readonly #known = new Map<string, Promise<Replacement>>();

  /** @throws InputError ERR_INPUT_VALUE  a head that the model does not have */
  constructor(
    forecaster: Forecaster,
    film: ParsedMovie,
    base: Forecast,
    options: PredictOptions & { head?: string | undefined },
  ) {
    this.#forecaster = forecaster;
    this.film = film;
    this.#base = base;
    // What a change makes unreadable counts as absent, as it would in a forecast.
    this.#options = { signal: options.signal, onInputError: 'skip' };
    this.heads = headValues(base.feedback);
    this.#verdicts = verdictsOf(base.feedback);
    const names = this.heads.map(({ head }) => head);
    const head = options.head ?? (names.includes('rating') ? 'rating' : names[0]!);
    if (!names.includes(head)) {
      const expected = `a head of the model: ${names.join(', ')}`;
      throw new InputError('ERR_INPUT_VALUE', { field: 'options.head', expected, got: head });
    }
    this.head = head;
  }

  get signal(): AbortSignal | undefined {
    return this.#options.signal;
  }

  /** The film's own embeddings, by modality. */
  get embeddings(): ReadonlyMap<string, Embedding> {
    return this.#base.encoded.embeddings;
  }

  /** Jobs that read one of these inputs. */
  jobsOf(...inputs: readonly InputName[]): EncodingJob[] {
    return this.#forecaster.jobs.filter(({ input }) => inputs.includes(input));
  }

  /** Effects of what each replacement changes; undefined where it leaves nothing to forecast from. */
  async effects(replacements: readonly Replacement[]): Promise<(Effects | undefined)[]> {
    const { network, manifest, exec } = this.#forecaster;
    const films = replacements.map((replacement): FilmEmbeddings => {
      const embeddings = new Map(this.embeddings);
      for (const [name, embedding] of replacement) {
        if (embedding) embeddings.set(name, embedding);
        else embeddings.delete(name);
      }
      return { embeddings };
    });
    this.forecasts += films.length;
    const outputs = await filmOutputs(network, manifest, films, { ...exec, signal: this.signal });
    return outputs.map((own) => {
      if (!own) return undefined;
      const said = headFeedback(manifest.heads, own.output, own.present);
      return differences(this.heads, headValues(said, this.#verdicts));
    });
  }

  /** Effects of leaving whole inputs out, each for itself. */
  async without(inputs: readonly InputName[]): Promise<(Effects | undefined)[]> {
    return this.effects(
      inputs.map((input) => new Map(this.jobsOf(input).map(({ key }) => [key, undefined]))),
    );
  }

  /**
   * Effects of the changes of these other descriptions of the film.
   *
   * @param inputs   the inputs that the changes touch
   * @param changes  fields in place of the film's own, each with a key that tells it from the others; undefined: taken away
   */
  async changed(
    inputs: readonly InputName[],
    changes: readonly { key: string; given: Changed }[],
    onProgress?: (done: number, total: number) => void,
  ): Promise<(Effects | undefined)[]> {
    const jobs = this.jobsOf(...inputs);
    const replacements: Replacement[] = [];
    for (let from = 0; from < changes.length; from += TOGETHER) {
      throwIfCancelled(this.signal);
      const part = changes.slice(from, from + TOGETHER);
      const films = part.map(
        ({ given }): ParsedMovie => ({ ...this.film, given: merged(this.film.given, given) }),
      );
      const encoding = part.map(({ key }, i) => {
        const name = `${inputs.join('+')}\u0000${key}`;
        const known = this.#known.get(name) ?? this.#encode(films[i]!, jobs);
        this.#known.set(name, known);
        return known;
      });
      await Promise.allSettled(encoding);
      replacements.push(...(await Promise.all(encoding)));
      onProgress?.(replacements.length, changes.length);
    }
    return this.effects(replacements);
  }

  /** Embeddings of another film, by the modalities that read these inputs. */
  encoded(film: ParsedMovie, inputs: readonly InputName[]): Promise<Replacement> {
    return this.#encode(film, this.jobsOf(...inputs));
  }

  async #encode(film: ParsedMovie, jobs: readonly EncodingJob[]): Promise<Replacement> {
    const options = encodeOptions(this.#options);
    const [encoded] = await this.#forecaster.encoder.encode([film], jobs, options);
    return new Map(jobs.map(({ key }) => [key, encoded!.embeddings.get(key)]));
  }

  /**
   * Effects of other pictures in the poster's place.
   *
   * @param picture  the i-th, made when its turn comes: they are as large as the poster
   */
  async pictures(
    count: number,
    picture: (i: number) => RgbImage,
    onProgress?: (done: number, total: number) => void,
  ): Promise<(Effects | undefined)[]> {
    const jobs = this.jobsOf('poster');
    const replacements: Replacement[] = [];
    const pace = new Pace();
    const { width, height } = picture(0);
    const together = Math.max(1, Math.min(TOGETHER, Math.floor(MOST_PIXELS / (width * height))));
    while (replacements.length < count) {
      throwIfCancelled(this.signal);
      const from = replacements.length;
      const part: RgbImage[] = [];
      for (let i = from; i < Math.min(count, from + together); i++) {
        part.push(picture(i));
        if (pace.due) await pace.rest();
      }
      const options = encodeOptions(this.#options);
      const { encoder } = this.#forecaster;
      const encoded = await Promise.all(
        jobs.map(async (job) => [job.key, await encoder.encodePictures(job, part, options)] as const),
      );
      replacements.push(...part.map((_, i) => new Map(encoded.map(([key, own]) => [key, own[i]]))));
      onProgress?.(replacements.length, count);
    }
    return this.effects(replacements);
  }
}

/** Of all pictures that are there at a time. */
const MOST_PIXELS = 16_000_000;

/** Inputs in place of the film's own; undefined: taken away. */
export type Changed = Partial<{ [K in keyof GivenInputs]: GivenInputs[K] | undefined }>;

function merged(given: GivenInputs, changes: Changed): GivenInputs {
  const result: Changed = { ...given, ...changes };
  const entries = Object.entries(result).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries) as GivenInputs;
}
