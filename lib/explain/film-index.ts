import { readFile, stat } from 'node:fs/promises';
import {
  type CinefuseError,
  describeValue,
  InputError,
  asCinefuseError,
  CancelledError,
  DisposedError,
  throwIfCancelled,
} from '../errors.js';
import type { InputName } from '../fusion/manifest.js';
import { parseSafetensors, serializeSafetensors, type StoredTensor } from '../formats/safetensors.js';
import type { Movie, ParsedMovie } from '../movie.js';
import { Pace } from '../pace.js';
import { type KnownFilm, knownFilmOf, sameFilm, type Shared, sharedFacts } from './known-films.js';
import type { FilmPosition } from './fused-space.js';
import { inputName } from './words.js';
import { StoredVectors } from './stored-vectors.js';
import { parseHeader } from './index-header.js';
import { writeWhole } from '../write-whole.js';

export interface Outcomes {
  /** 0-10 */
  rating?: number | undefined;
  /** Worldwide gross, US dollars of the release year. */
  boxOffice?: number | undefined;
}

export interface IndexedFilm {
  movie: Movie;
  /** What became of it. Never looked at when films are compared. */
  outcomes?: Outcomes | undefined;
}

/** How near one input of two films is. */
export interface Nearness {
  input: InputName;
  /** Cosine of what the network makes of this input alone, less the mean of all films: -1 to 1. */
  similarity: number;
  /** Share of the index's films with this input that are less near. */
  nearerThan: number;
}

export interface Comparable {
  film: KnownFilm;
  outcomes: Outcomes;
  /** Cosine in fused space, less the mean of films with the same inputs: -1 to 1. */
  similarity: number;
  /** Nearest input first. */
  near: Nearness[];
  shared: Shared[];
  /** In words: which inputs are near, which facts are shared. */
  reason: string;
}

export interface BuildIndexOptions {
  signal?: AbortSignal | undefined;
  onProgress?: ((progress: { done: number; failed: number }) => void) | undefined;
  /** Films under way at a time. Default 16. */
  concurrency?: number | undefined;
}

/** The part of a Predictor that an index needs. */
interface Locator {
  locate(
    movie: Movie,
    options?: { signal?: AbortSignal | undefined; onInputError?: 'skip' },
  ): Promise<FilmPosition>;
}

/** Films of an index, at most. */
const MOST_FILMS = 1_000_000;
const MOST_BYTES = 4 * 2 ** 30;
/** Films with the same inputs from which their mean counts as that of films with these inputs. */
const ENOUGH = 20;
/** An input is called near from this share of the films on. */
const NEAR = 0.9;

/**
 * Films in the fused space of one model. Vectors are kept as 8-bit numbers, 576 bytes an input and film with the
 * shipped bundle.
 */
export class FilmIndex {
  readonly model: FilmPosition['model'];
  /** Films that could not be placed when the index was built, and why. */
  readonly problems: readonly { id: string | undefined; error: CinefuseError }[];
  readonly #films: readonly KnownFilm[];
  readonly #outcomes: readonly Outcomes[];
  /** The inputs each film has. */
  readonly #inputs: readonly (readonly InputName[])[];
  /** Films with the same inputs are one group. */
  readonly #groups: readonly string[];
  readonly #fused: StoredVectors;
  readonly #alone: ReadonlyMap<InputName, StoredVectors>;

  private constructor(parts: {
    model: FilmPosition['model'];
    problems?: FilmIndex['problems'];
    films: KnownFilm[];
    outcomes: Outcomes[];
    inputs: InputName[][];
    fused: StoredVectors;
    alone: ReadonlyMap<InputName, StoredVectors>;
  }) {
    this.model = parts.model;
    this.problems = parts.problems ?? [];
    this.#films = parts.films;
    this.#outcomes = parts.outcomes;
    this.#inputs = parts.inputs;
    this.#groups = parts.inputs.map((inputs) => inputs.join('+'));
    this.#fused = parts.fused;
    this.#alone = parts.alone;
  }

  get size(): number {
    return this.#films.length;
  }

  /**
   * Places films by a Predictor. A film that cannot be placed is left out and told in `problems`.
   *
   * @throws InputError ERR_INPUT_EMPTY  no film could be placed
   * @throws CancelledError ERR_CANCELLED, DisposedError ERR_DISPOSED; what the source throws
   */
  static async build(
    predictor: Locator,
    films: Iterable<IndexedFilm> | AsyncIterable<IndexedFilm>,
    { signal, onProgress, concurrency = 16 }: BuildIndexOptions = {},
  ): Promise<FilmIndex> {
    const placed: { position: FilmPosition; outcomes: Outcomes }[] = [];
    const problems: { id: string | undefined; error: CinefuseError }[] = [];
    const underWay = new Set<Promise<void>>();
    let done = 0;
    let failure: { error: unknown } | undefined;
    const place = async (at: number, { movie, outcomes = {} }: IndexedFilm) => {
      try {
        const position = await predictor.locate(movie, { signal, onInputError: 'skip' });
        placed[at] = { position: { ...position, film: withoutInputs(position.film) }, outcomes };
      } catch (cause) {
        const error = asCinefuseError(cause);
        if (error instanceof CancelledError || error instanceof DisposedError) failure ??= { error };
        else problems.push({ id: movie?.id ?? undefined, error });
      }
      onProgress?.({ done: ++done, failed: problems.length });
    };
    let count = 0;
    try {
      for await (const film of films) {
        throwIfCancelled(signal);
        if (failure) throw failure.error;
        if (count === MOST_FILMS) throw tooLarge(`more than ${MOST_FILMS}`);
        const work = place(count++, film).finally(() => underWay.delete(work));
        underWay.add(work);
        if (underWay.size >= concurrency) await Promise.race(underWay);
      }
    } finally {
      await Promise.all(underWay);
    }
    if (failure) throw failure.error;
    // In the order of the source, whichever was ready first.
    const kept = placed.filter((film) => film !== undefined);
    const first = kept[0];
    if (!first) {
      const got = problems[0] ? `none (${problems[0].error.message})` : 'none';
      throw new InputError('ERR_INPUT_EMPTY', { field: 'films', expected: 'a film that can be placed', got });
    }
    const dim = first.position.fused.length;
    const inputs = kept.map(({ position }) => position.inputs);
    const all = [...new Set(inputs.flat())];
    return new FilmIndex({
      model: first.position.model,
      problems,
      films: kept.map(({ position }) => knownFilmOf(position.film)),
      outcomes: kept.map(({ outcomes }) => ({ ...outcomes })),
      inputs,
      fused: StoredVectors.of(
        kept.map(({ position }) => position.fused),
        dim,
      ),
      alone: new Map(
        all.map((input) => [
          input,
          StoredVectors.of(
            kept.map(({ position }) => position.alone[position.inputs.indexOf(input)]),
            dim,
          ),
        ]),
      ),
    });
  }

  /**
   * The films that lie nearest in fused space, the nearest first; never the film itself (by id, or title and year).
   *
   *   similarity = cos(F - mean, F' - mean'),  each mean over the index's films with the same inputs (20 or more, else
   *   over all): a film does not resemble another by lacking a poster
   *
   * @param count  0 to 1,000
   * @throws InputError ERR_INPUT_VALUE  a position in another model's space, or a count out of its bounds
   */
  async nearest(
    position: FilmPosition,
    { count = 5, signal }: { count?: number | undefined; signal?: AbortSignal | undefined } = {},
  ): Promise<Comparable[]> {
    const { name, version } = position.model;
    if (name !== this.model.name || version !== this.model.version) {
      throw new InputError('ERR_INPUT_VALUE', {
        field: 'index',
        expected: `an index of the model ${name} ${version}`,
        got: `one of ${this.model.name} ${this.model.version}`,
      });
    }
    if (!Number.isInteger(count) || count < 0 || count > 1000) {
      const expected = 'an integer from 0 to 1000';
      throw new InputError('ERR_INPUT_VALUE', { field: 'count', expected, got: describeValue(count) });
    }
    const pace = new Pace();
    const rest = async () => {
      if (pace.due) await pace.rest();
      throwIfCancelled(signal);
    };
    const self = knownFilmOf(position.film);
    const fused = await this.#fused.cosines(
      position.fused,
      position.inputs.join('+'),
      this.#groups,
      ENOUGH,
      rest,
    );
    const order = [...fused.keys()]
      .filter((i) => !sameFilm(self, this.#films[i]!))
      .sort((a, b) => fused[b]! - fused[a]! || a - b)
      .slice(0, count);
    const alone = new Map<InputName, Float64Array>();
    for (const [at, input] of position.inputs.entries()) {
      const vectors = this.#alone.get(input);
      if (!vectors || order.length === 0) continue;
      alone.set(input, await vectors.cosines(position.alone[at]!, '', undefined, ENOUGH, rest));
    }
    const facts = position.film;
    return order.map((i): Comparable => {
      const near = [...alone]
        .filter(([input]) => this.#inputs[i]!.includes(input))
        .map(([input, own]) => ({ input, similarity: own[i]!, nearerThan: shareBelow(own, i) }))
        .sort((a, b) => b.nearerThan - a.nearerThan);
      const film = this.#films[i]!;
      const shared = sharedFacts(knownFilmOf(facts), film);
      return {
        film,
        outcomes: { ...this.#outcomes[i]! },
        similarity: fused[i]!,
        near,
        shared,
        reason: reasonOf(near, shared),
      };
    });
  }

  /** The index as a safetensors file, written whole or not at all. @throws InputError ERR_INPUT_FILE */
  async save(file: string): Promise<void> {
    const header = {
      format: 'cinefuse-film-index',
      version: 1,
      model: this.model,
      films: this.#films.map((film, i) => ({
        ...film,
        inputs: this.#inputs[i],
        outcomes: this.#outcomes[i],
      })),
    };
    const json = new TextEncoder().encode(JSON.stringify(header));
    const tensors = new Map<string, StoredTensor>([
      ['films', { dtype: 'U8', shape: [json.length], data: json }],
      ...this.#fused.tensors('fused'),
    ]);
    for (const [input, vectors] of this.#alone) {
      for (const [name, tensor] of vectors.tensors(`alone.${input}`)) tensors.set(name, tensor);
    }
    await writeWhole(file, serializeSafetensors(tensors)).catch((cause: Error) => {
      const got = cause.message;
      throw new InputError('ERR_INPUT_FILE', { file, expected: 'a place to write the index to', got, cause });
    });
  }

  /**
   * @throws InputError ERR_INPUT_FILE  not there, larger than 4 GiB, or no film index
   */
  static async load(file: string): Promise<FilmIndex> {
    const wrong = (got: string, cause?: unknown) =>
      new InputError('ERR_INPUT_FILE', {
        file,
        expected: 'a film index that FilmIndex.save wrote',
        got,
        cause,
      });
    const info = await stat(file).catch((cause: NodeJS.ErrnoException) => {
      throw wrong(cause.code === 'ENOENT' ? 'nothing there' : cause.message, cause);
    });
    if (!info.isFile() || info.size > MOST_BYTES)
      throw wrong(info.isFile() ? `${info.size} bytes` : 'no file');
    try {
      const tensors = parseSafetensors(await readFile(file), file);
      const { model, films, inputs, outcomes } = parseHeader(tensors.get('films')?.data);
      const all = [...new Set(inputs.flat())];
      const alone = all.map((input): [InputName, StoredVectors] => [
        input,
        StoredVectors.from(tensors, `alone.${input}`, films.length),
      ]);
      const fused = StoredVectors.from(tensors, 'fused', films.length);
      for (const [, { dim }] of alone) {
        if (dim !== fused.dim) throw new RangeError(`vectors of ${dim} beside others of ${fused.dim}`);
      }
      return new FilmIndex({ model, films, outcomes, inputs, fused, alone: new Map(alone) });
    } catch (cause) {
      throw wrong((cause as Error).message, cause);
    }
  }
}

/** Names and facts only: media and texts are let go. */
function withoutInputs({ id, title, given: { metadata } }: ParsedMovie): ParsedMovie {
  return {
    ...(id !== undefined && { id }),
    ...(title !== undefined && { title }),
    given: metadata ? { metadata } : {},
  };
}

function tooLarge(got: string): InputError {
  return new InputError('ERR_INPUT_VALUE', { field: 'films', expected: `at most ${MOST_FILMS} films`, got });
}

function shareBelow(values: Float64Array, at: number): number {
  let below = 0;
  let count = 0;
  for (let i = 0; i < values.length; i++) {
    if (i === at || Number.isNaN(values[i]!)) continue;
    count++;
    if (values[i]! < values[at]!) below++;
  }
  return count === 0 ? 1 : below / count;
}

function reasonOf(near: readonly Nearness[], shared: readonly Shared[]): string {
  const close = near.filter(({ nearerThan }) => nearerThan >= NEAR);
  const parts = close.map(
    ({ input, nearerThan }) =>
      `${inputName(input)} nearer than that of ${Math.floor(nearerThan * 1000) / 10} % of the films`,
  );
  const facts = shared.map(({ fact, values }) => `${fact}: ${values.join(', ')}`);
  if (facts.length > 0) parts.push(`shared ${facts.join('; ')}`);
  return parts.length > 0 ? parts.join('; ') : 'near as a whole, in no input by itself';
}
