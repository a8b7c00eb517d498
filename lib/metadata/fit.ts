import { jointEffects } from './joint.js';
import { LEAST_BUDGET, listed, MetadataEncoder, parseDate } from './metadata-encoder.js';
import type { MetadataFields, MetadataSpec, People } from './spec.js';
import { seriesKey } from './title.js';

/** One film of a training set: its facts and how it did. */
export interface MetadataRow {
  readonly fields: MetadataFields;
  readonly rating: number;
  /** log10 of US dollars, where known. */
  readonly logRevenue: number | undefined;
}

export interface MetadataFitOptions {
  /** Films that the mean of all counts for when a person's own mean is taken. */
  readonly shrinkage: { readonly cast: number; readonly director: number };
  /** Ridge penalties of the joint effects. */
  readonly penalty: { readonly cast: number; readonly director: number; readonly series: number };
  /** People and series with fewer training films are left out of the tables. */
  readonly leastFilms: number;
  readonly budgetFlag: boolean;
  /** Pieces of the piecewise-linear code, by feature. */
  readonly pieces: Readonly<Record<string, number>>;
}

export const DEFAULT_FIT: MetadataFitOptions = {
  shrinkage: { cast: 4, director: 2 },
  penalty: { cast: 15, director: 5, series: 5 },
  leastFilms: 1,
  budgetFlag: false,
  pieces: {
    year: 8,
    runtime: 10,
    budget: 8,
    'budget.forItsTime': 6,
    'cast.rating.mean': 8,
    'cast.revenue.mean': 6,
    'cast.films.sum': 5,
    'director.rating.mean': 8,
    'director.revenue.mean': 6,
  },
};

/** Features that come out of the tables of people and series. */
const OF_PEOPLE = /^(?:cast|director|series)\./;
const PLAIN_PENALTY = 20;

/**
 * The spec of a MetadataEncoder from training films. A person's mean is shrunken towards the mean of all films:
 *
 *   m = Σ (y_i - ȳ) / (n + k),   n films of the person, k = `shrinkage`
 *
 * and a person's effect is what he or she adds beside the film's other facts and people (`jointEffects`).
 * A spec fitted on a film holds that film's rating in its tables: see `fitPeople` for its own training vector.
 */
export function fitMetadata(
  rows: readonly MetadataRow[],
  options: MetadataFitOptions = DEFAULT_FIT,
): MetadataSpec {
  const years = rows.map((row) => parseDate(row.fields.releaseDate)?.year);
  const budgets = rows.map(({ fields: { budget } }) =>
    budget !== undefined && budget > LEAST_BUDGET ? Math.log10(budget) : undefined,
  );
  const both = years
    .map((year, i) => ({ year, budget: budgets[i] }))
    .filter(
      (pair): pair is { year: number; budget: number } =>
        pair.year !== undefined && pair.budget !== undefined,
    );
  const budgetYear = mean(both.map((pair) => pair.year));
  const logBudget = mean(both.map((pair) => pair.budget));
  const spread = both.reduce((total, pair) => total + (pair.year - budgetYear) ** 2, 0);
  const covariance = both.reduce(
    (total, pair) => total + (pair.year - budgetYear) * (pair.budget - logBudget),
    0,
  );
  const bare: MetadataSpec = {
    version: 1,
    means: {
      logBudget: round(logBudget),
      runtime: round(mean(rows.map(({ fields: { runtime } }) => (runtime ? runtime : undefined)))),
      year: round(mean(years)),
      rating: round(mean(rows.map((row) => row.rating))),
      logRevenue: round(mean(rows.map((row) => row.logRevenue))),
    },
    budgetTrend: { year: round(budgetYear), slope: spread > 0 ? round(covariance / spread) : 0 },
    people: NOBODY,
    budgetFlag: options.budgetFlag,
    knots: {},
  };
  const own = Object.entries(options.pieces).filter(([name]) => !OF_PEOPLE.test(name));
  const coded = { ...bare, knots: knotsOf(rows, bare, Object.fromEntries(own)) };
  const full = { ...coded, people: fitPeople(rows, coded, options) };
  return { ...full, knots: knotsOf(rows, full, options.pieces) };
}

const NOBODY: People = {
  cast: {
    names: '',
    films: [],
    rating: [],
    revenueFilms: [],
    revenue: [],
    ratingEffect: [],
    revenueEffect: [],
  },
  director: {
    names: '',
    films: [],
    rating: [],
    revenueFilms: [],
    revenue: [],
    ratingEffect: [],
    revenueEffect: [],
  },
  series: { names: '', films: [], ratingEffect: [], revenueEffect: [] },
};

/**
 * The tables of people and series alone. For the training vectors of some films, take the spec of all films with
 * the tables of the other films: `{ ...spec, people: fitPeople(others, spec) }`.
 */
export function fitPeople(
  rows: readonly MetadataRow[],
  spec: MetadataSpec,
  options: MetadataFitOptions = DEFAULT_FIT,
): People {
  const { leastFilms } = options;
  const groups = {
    cast: grouped(rows, leastFilms, ({ cast }) => listed(cast)),
    director: grouped(rows, leastFilms, ({ director }) =>
      listed(typeof director === 'string' ? [director] : director),
    ),
    series: grouped(rows, leastFilms, ({ title }) => [seriesKey(title ?? '')].filter((key) => key !== '')),
  };
  const effects = effectsOf(rows, spec, groups, options);
  const meanRating = mean(rows.map((row) => row.rating));
  const meanRevenue = mean(rows.map((row) => row.logRevenue));
  const table = (trade: keyof typeof groups) => {
    const kept = [...groups[trade]].sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
    // + 0: no negative zero, which JSON would lose.
    const column = (measure: (group: Group) => number) =>
      kept.map(([, group]) => Math.round(measure(group)) + 0);
    const shrunken = (values: readonly (number | undefined)[], centre: number, k: number) => {
      const known = values.filter((value) => value !== undefined);
      return known.reduce((total, value) => total + value - centre, 0) / (known.length + k);
    };
    const k = trade === 'director' ? options.shrinkage.director : options.shrinkage.cast;
    const revenues = ({ films }: Group) => films.map((i) => rows[i]?.logRevenue);
    const ratings = ({ films }: Group) => films.map((i) => rows[i]?.rating);
    return {
      names: kept.map(([name]) => name).join('|'),
      films: column(({ films }) => films.length),
      rating: column((group) => 1000 * shrunken(ratings(group), meanRating, k)),
      revenueFilms: column((group) => revenues(group).filter((value) => value !== undefined).length),
      revenue: column((group) => 1000 * shrunken(revenues(group), meanRevenue, k)),
      ratingEffect: column(({ index }) => 1000 * effects.rating[index]!),
      revenueEffect: column(({ index }) => 1000 * effects.revenue[index]!),
    };
  };
  const { names, films, ratingEffect, revenueEffect } = table('series');
  return {
    cast: table('cast'),
    director: table('director'),
    series: { names, films, ratingEffect, revenueEffect },
  };
}

/** The films (row numbers) of one person or series, and its column in the joint regression. */
interface Group {
  films: number[];
  index: number;
}

function grouped(
  rows: readonly MetadataRow[],
  leastFilms: number,
  keysOf: (fields: MetadataFields) => string[],
): Map<string, Group> {
  const groups = new Map<string, Group>();
  rows.forEach((row, i) => {
    for (const key of keysOf(row.fields)) {
      const group = groups.get(key);
      if (group) group.films.push(i);
      else groups.set(key, { films: [i], index: -1 });
    }
  });
  return new Map([...groups].filter(([, group]) => group.films.length >= leastFilms));
}

/** Joint effects on rating and on revenue; gives each group its column. */
function effectsOf(
  rows: readonly MetadataRow[],
  spec: MetadataSpec,
  groups: Record<'cast' | 'director' | 'series', Map<string, Group>>,
  { penalty }: MetadataFitOptions,
): { rating: Float64Array; revenue: Float64Array } {
  const encoder = new MetadataEncoder({ ...spec, people: NOBODY });
  const columns = encoder.featureNames.flatMap((name, j) => (OF_PEOPLE.test(name) ? [] : [j]));
  const vectors = rows.map((row) => encoder.encode(row.fields).data);
  const members: number[][] = rows.map(() => []);
  const penalties: number[] = [];
  for (const trade of ['cast', 'director', 'series'] as const) {
    for (const group of groups[trade].values()) {
      group.index = penalties.push(penalty[trade]) - 1;
      for (const i of group.films) members[i]?.push(group.index);
    }
  }
  const solve = (targetOf: (row: MetadataRow) => number | undefined): Float64Array => {
    const kept = rows.flatMap((row, i) => (targetOf(row) === undefined ? [] : [i]));
    const plain = new Float64Array(kept.length * columns.length);
    columns.forEach((column, j) => {
      const values = kept.map((i) => vectors[i]?.[column] ?? 0);
      const centre = mean(values);
      const std = Math.sqrt(mean(values.map((value) => (value - centre) ** 2)));
      values.forEach((value, i) => {
        plain[i * columns.length + j] = std > 1e-6 ? (value - centre) / std : 0;
      });
    });
    return jointEffects({
      plain,
      nPlain: columns.length,
      members: kept.map((i) => members[i] ?? []),
      penalty: Float64Array.from(penalties),
      plainPenalty: PLAIN_PENALTY,
      target: Float64Array.from(kept, (i) => targetOf(rows[i]!) ?? 0),
    });
  };
  return { rating: solve((row) => row.rating), revenue: solve((row) => row.logRevenue) };
}

/** Knots at even quantiles of each feature over the training films, equal ones merged. */
function knotsOf(
  rows: readonly MetadataRow[],
  spec: MetadataSpec,
  pieces: Readonly<Record<string, number>>,
): Record<string, number[]> {
  const encoder = new MetadataEncoder(spec);
  const vectors = rows.map((row) => encoder.encode(row.fields).data);
  const knots: Record<string, number[]> = {};
  for (const [name, count] of Object.entries(pieces)) {
    const index = encoder.featureNames.indexOf(name);
    const sorted = Float32Array.from(vectors, (vector) => vector[index] ?? 0).sort();
    const at = (q: number) => round(sorted[Math.round(q * (sorted.length - 1))] ?? 0);
    const edges = Array.from({ length: count + 1 }, (_, t) => at(0.002 + (0.996 * t) / count));
    const distinct = edges.filter((edge, t) => t === 0 || edge > (edges[t - 1] ?? 0));
    if (distinct.length >= 2) knots[name] = distinct;
  }
  return knots;
}

function mean(values: readonly (number | undefined)[]): number {
  const known = values.filter((value) => value !== undefined);
  return known.reduce((total, value) => total + value, 0) / Math.max(1, known.length);
}

/** Six digits after the point: enough for a feature, short in JSON. */
function round(value: number): number {
  return Math.round(value * 1e6) / 1e6 + 0;
}
