import { BundleError, describeValue, InputError } from '../errors.js';
import { GENRES, genresOf, LANGUAGE_GROUPS, languageGroup, nameKey } from './names.js';
import { type MetadataFields, type MetadataSpec, metadataSpecSchema } from './spec.js';
import { seriesKey, titleFeatures } from './title.js';

/** Budgets at or below this many dollars are taken as not given: such records hold other units or rubbish. */
export const LEAST_BUDGET = 1000;
/** Cast members looked at, in billing order. */
const CAST_DEPTH = 5;

type Columns<T> = { [C in Exclude<keyof T, 'names'>]: number };
type Person = Columns<MetadataSpec['people']['cast']>;
type Series = Columns<MetadataSpec['people']['series']>;

export interface EncodedMetadata {
  /** (dim) */
  data: Float32Array;
  /** Fields that were not given, or held nothing the encoder knows. */
  missing: string[];
}

/**
 * A film's facts as one vector: plain features first (see `featureNames`), then the piecewise-linear code of some
 * of them.
 *
 *   code_t(x) = clip((x - k_t) / (k_{t+1} - k_t), 0, 1),   k: the feature's knots
 *
 * People are looked up by `nameKey` in tables of training films; one who is not found counts as a newcomer: mean 0
 * (the shrunken mean of nobody), 0 films. A field that is not given is replaced by the training mean (numbers), by
 * nothing (lists), and named in `missing`; the absence of a language is never a feature.
 * Source of the code: Gorishniy et al. 2022, "On Embeddings for Numerical Features in Tabular Deep Learning".
 */
export class MetadataEncoder {
  readonly dim: number;
  readonly featureNames: readonly string[];
  readonly #spec: MetadataSpec;
  readonly #cast: Table<Person>;
  readonly #directors: Table<Person>;
  readonly #series: Table<Series>;
  readonly #coded: readonly { index: number; knots: readonly number[] }[];

  /** @throws BundleError ERR_BUNDLE_FORMAT  the spec does not hold what it should */
  constructor(spec: MetadataSpec) {
    const parsed = metadataSpecSchema.safeParse(spec);
    if (!parsed.success) {
      const issue = parsed.error.issues[0];
      throw new BundleError('ERR_BUNDLE_FORMAT', {
        field: ['metadata', ...(issue?.path ?? [])].join('.'),
        expected: issue?.message ?? 'a metadata spec',
      });
    }
    this.#spec = parsed.data;
    this.#cast = new Table<Person>(this.#spec.people.cast);
    this.#directors = new Table<Person>(this.#spec.people.director);
    this.#series = new Table<Series>(this.#spec.people.series);
    const plain = [...this.#features({}).values.keys()];
    const coded: { index: number; knots: readonly number[] }[] = [];
    const names = [...plain];
    for (const [name, knots] of Object.entries(this.#spec.knots)) {
      const index = plain.indexOf(name);
      if (index < 0 || knots.some((knot, t) => t > 0 && !(knot > (knots[t - 1] ?? Number.NaN)))) {
        throw new BundleError('ERR_BUNDLE_FORMAT', {
          field: `metadata.knots.${name}`,
          expected: 'ascending knots of a feature the encoder has',
          got: index < 0 ? 'an unknown feature' : describeValue(knots.join(', ')),
        });
      }
      coded.push({ index, knots });
      for (let t = 0; t + 1 < knots.length; t++) names.push(`${name}@${t}`);
    }
    this.#coded = coded;
    this.featureNames = names;
    this.dim = names.length;
  }

  /**
   * @throws InputError ERR_INPUT_VALUE  a number that is not finite, or a date that is none
   */
  encode(movie: MetadataFields): EncodedMetadata {
    const { values, missing } = this.#features(movie);
    const data = new Float32Array(this.dim);
    const plain = [...values.values()];
    data.set(plain);
    let at = plain.length;
    for (const { index, knots } of this.#coded) {
      const x = plain[index] ?? 0;
      for (let t = 0; t + 1 < knots.length; t++) {
        const low = knots[t] ?? 0;
        const high = knots[t + 1] ?? 1;
        data[at++] = Math.min(1, Math.max(0, (x - low) / (high - low)));
      }
    }
    return { data, missing };
  }

  #features(movie: MetadataFields): { values: Map<string, number>; missing: string[] } {
    const { means, budgetTrend } = this.#spec;
    const values = new Map<string, number>();
    const missing: string[] = [];

    const date = parseDate(movie.releaseDate);
    if (!date) missing.push('releaseDate');
    const year = date?.year ?? means.year;
    values.set('year', year);
    const angle = date?.month === undefined ? undefined : (2 * Math.PI * (date.month - 0.5)) / 12;
    values.set('month.sin', angle === undefined ? 0 : Math.sin(angle));
    values.set('month.cos', angle === undefined ? 0 : Math.cos(angle));
    values.set('month.sin2', angle === undefined ? 0 : Math.sin(2 * angle));
    values.set('month.cos2', angle === undefined ? 0 : Math.cos(2 * angle));

    const runtime = finiteOrThrow(movie.runtime, 'runtime');
    const knownRuntime = runtime !== undefined && runtime > 0;
    if (!knownRuntime) missing.push('runtime');
    values.set('runtime', knownRuntime ? Math.min(runtime, 300) : means.runtime);

    const budget = finiteOrThrow(movie.budget, 'budget');
    const knownBudget = budget !== undefined && budget > LEAST_BUDGET;
    if (!knownBudget) missing.push('budget');
    const trend = means.logBudget + budgetTrend.slope * (year - budgetTrend.year);
    const logBudget = knownBudget ? Math.log10(budget) : trend;
    values.set('budget', logBudget);
    values.set('budget.forItsTime', logBudget - trend);
    if (this.#spec.budgetFlag) values.set('budget.known', knownBudget ? 1 : 0);

    const genres = new Set((movie.genres ?? []).flatMap(genresOf));
    if (genres.size === 0) missing.push('genres');
    for (const genre of GENRES) values.set(`genre.${genre}`, genres.has(genre) ? 1 : 0);
    values.set('genre.count', genres.size);

    const group =
      movie.language === undefined || movie.language === '' ? undefined : languageGroup(movie.language);
    if (group === undefined) missing.push('language');
    for (const name of [...Object.keys(LANGUAGE_GROUPS), 'other']) {
      values.set(`language.${name}`, group === name ? 1 : 0);
    }

    const cast = listed(movie.cast, CAST_DEPTH);
    if (cast.length === 0) missing.push('cast');
    peopleFeatures('cast', cast, this.#cast, values);
    values.set('cast.lead.rating', (this.#cast.get(cast[0] ?? '')?.rating ?? 0) / 1000);
    values.set('cast.lead.revenue', (this.#cast.get(cast[0] ?? '')?.revenue ?? 0) / 1000);

    const directors = listed(typeof movie.director === 'string' ? [movie.director] : movie.director);
    if (directors.length === 0) missing.push('director');
    peopleFeatures('director', directors, this.#directors, values);

    const title = movie.title?.trim() ?? '';
    if (title === '') missing.push('title');
    for (const [name, value] of Object.entries(titleFeatures(title))) values.set(`title.${name}`, value);
    const series = this.#series.get(seriesKey(title));
    values.set('series.films', Math.log1p(series?.films ?? 0));
    values.set('series.ratingEffect', (series?.ratingEffect ?? 0) / 1000);
    values.set('series.revenueEffect', (series?.revenueEffect ?? 0) / 1000);
    return { values, missing };
  }
}

/** How the films of the people of one trade did: mean, best and worst; what they add; how many they have made. */
function peopleFeatures(
  trade: string,
  keys: readonly string[],
  table: Table<Person>,
  values: Map<string, number>,
): void {
  const found = keys.map((key) => table.get(key)).filter((person) => person !== undefined);
  const column = (name: keyof Person) => found.map((person) => person[name]);
  const sum = (list: readonly number[]) => list.reduce((total, value) => total + value, 0);
  // newcomers count with the mean of nobody, 0, in the mean over the cast
  const size = Math.max(1, keys.length);
  const set = (name: string, value: number) => values.set(`${trade}.${name}`, value);
  set('size', keys.length);
  set('found', found.length / size);
  set('rating.mean', sum(column('rating')) / size / 1000);
  set('rating.max', Math.max(0, ...column('rating')) / 1000);
  set('rating.min', Math.min(0, ...column('rating')) / 1000);
  set('ratingEffect', sum(column('ratingEffect')) / 1000);
  set('revenue.mean', sum(column('revenue')) / size / 1000);
  set('revenue.max', Math.max(0, ...column('revenue')) / 1000);
  set('revenueEffect', sum(column('revenueEffect')) / 1000);
  set('films.sum', Math.log1p(sum(column('films'))));
  set('films.max', Math.log1p(Math.max(0, ...column('films'))));
  set('revenueFilms.sum', Math.log1p(sum(column('revenueFilms'))));
}

/** A table's rows by name key, each put together when it is asked for. */
class Table<Row extends Record<string, number>> {
  readonly #index: ReadonlyMap<string, number>;
  readonly #columns: readonly [string, readonly number[]][];

  constructor(table: { names: string } & { readonly [C in keyof Row]: readonly number[] }) {
    const { names, ...columns } = table;
    const keys = names === '' ? [] : names.split('|');
    this.#index = new Map(keys.map((key, i) => [key, i]));
    this.#columns = Object.entries(columns) as [string, readonly number[]][];
  }

  get(key: string): Row | undefined {
    const at = this.#index.get(key);
    if (at === undefined) return undefined;
    return Object.fromEntries(this.#columns.map(([name, column]) => [name, column[at] ?? 0])) as Row;
  }
}

/** Name keys, in order, each once, without empty ones; the first `most`. */
export function listed(names: readonly string[] | undefined, most = Number.POSITIVE_INFINITY): string[] {
  const keys = new Set<string>();
  for (const name of names ?? []) {
    if (keys.size >= most) break;
    const key = nameKey(name);
    if (key !== '') keys.add(key);
  }
  return [...keys];
}

/**
 * Year and, where given, month of "YYYY-MM-DD", "YYYY-MM" or "YYYY".
 * @throws InputError ERR_INPUT_VALUE  anything else that is not empty
 */
export function parseDate(text: string | undefined): { year: number; month?: number } | undefined {
  if (text === undefined || text.trim() === '') return undefined;
  const match = /^(\d{4})(?:-(\d{1,2})(?:-(\d{1,2}))?)?$/.exec(text.trim());
  const year = Number(match?.[1]);
  const month = match?.[2] === undefined ? undefined : Number(match[2]);
  const day = match?.[3] === undefined ? undefined : Number(match[3]);
  const real =
    match &&
    (month === undefined || (month >= 1 && month <= 12)) &&
    (day === undefined || (day >= 1 && day <= new Date(Date.UTC(year, month ?? 1, 0)).getUTCDate()));
  if (!real) {
    throw new InputError('ERR_INPUT_VALUE', {
      field: 'releaseDate',
      expected: 'a date as YYYY-MM-DD, YYYY-MM or YYYY',
      got: describeValue(text),
    });
  }
  return month === undefined ? { year } : { year, month };
}

function finiteOrThrow(value: number | undefined, field: string): number | undefined {
  if (value === undefined) return undefined;
  if (typeof value !== 'number' || !Number.isFinite(value) || value < 0) {
    throw new InputError('ERR_INPUT_VALUE', {
      field,
      expected: 'a finite number of at least 0',
      got: describeValue(value),
    });
  }
  return value;
}
