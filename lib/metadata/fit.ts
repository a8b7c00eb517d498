import { LEAST_BUDGET, listed, MetadataEncoder, parseDate } from './metadata-encoder.js';
import type { MetadataFields, MetadataSpec, PeopleTable } from './spec.js';

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
  /** People with fewer training films are left out of the tables. */
  readonly leastFilms: number;
  readonly budgetFlag: boolean;
  /** Pieces of the piecewise-linear code, by feature. */
  readonly pieces: Readonly<Record<string, number>>;
}

export const DEFAULT_FIT: MetadataFitOptions = {
  shrinkage: { cast: 4, director: 2 },
  leastFilms: 1,
  budgetFlag: true,
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

/**
 * The spec of a MetadataEncoder from training films. A person's mean is shrunken towards the mean of all films:
 *
 *   m = Σ (y_i - ȳ) / (n + k),   n films of the person, k = `shrinkage`
 *
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
  const rating = mean(rows.map((row) => row.rating));
  const logRevenue = mean(rows.map((row) => row.logRevenue));
  const both = years
    .map((year, i) => ({ year, budget: budgets[i] }))
    .filter(
      (pair): pair is { year: number; budget: number } =>
        pair.year !== undefined && pair.budget !== undefined,
    );
  const budgetYear = mean(both.map((pair) => pair.year));
  const logBudget = mean(both.map((pair) => pair.budget));
  const spread = both.reduce((total, pair) => total + (pair.year - budgetYear) ** 2, 0);
  const slope =
    spread > 0
      ? both.reduce((total, pair) => total + (pair.year - budgetYear) * (pair.budget - logBudget), 0) / spread
      : 0;
  const spec: MetadataSpec = {
    version: 1,
    means: {
      logBudget: round(logBudget),
      runtime: round(mean(rows.map(({ fields: { runtime } }) => (runtime ? runtime : undefined)))),
      year: round(mean(years)),
      rating: round(rating),
      logRevenue: round(logRevenue),
    },
    budgetTrend: { year: round(budgetYear), slope: round(slope) },
    people: fitPeople(rows, options),
    budgetFlag: options.budgetFlag,
    knots: {},
  };
  return { ...spec, knots: knotsOf(rows, spec, options.pieces) };
}

/**
 * The tables of people alone. For the training vectors of some films, take the spec of all films with the tables of
 * the other films: `{ ...spec, people: fitPeople(others) }`.
 */
export function fitPeople(
  rows: readonly MetadataRow[],
  options: MetadataFitOptions = DEFAULT_FIT,
): MetadataSpec['people'] {
  const rating = mean(rows.map((row) => row.rating));
  const logRevenue = mean(rows.map((row) => row.logRevenue));
  const { shrinkage, leastFilms } = options;
  const directors = ({ fields: { director } }: MetadataRow) =>
    listed(typeof director === 'string' ? [director] : director);
  return {
    cast: tableOf(rows, (row) => listed(row.fields.cast), rating, logRevenue, shrinkage.cast, leastFilms),
    director: tableOf(rows, directors, rating, logRevenue, shrinkage.director, leastFilms),
  };
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

function tableOf(
  rows: readonly MetadataRow[],
  peopleOf: (row: MetadataRow) => string[],
  meanRating: number,
  meanRevenue: number,
  shrinkage: number,
  leastFilms: number,
): PeopleTable {
  const people = new Map<string, { films: number; rating: number; revenueFilms: number; revenue: number }>();
  for (const row of rows) {
    for (const key of peopleOf(row)) {
      const person = people.get(key) ?? { films: 0, rating: 0, revenueFilms: 0, revenue: 0 };
      person.films += 1;
      person.rating += row.rating - meanRating;
      if (row.logRevenue !== undefined) {
        person.revenueFilms += 1;
        person.revenue += row.logRevenue - meanRevenue;
      }
      people.set(key, person);
    }
  }
  const kept = [...people]
    .filter(([, person]) => person.films >= leastFilms)
    .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0));
  return {
    names: kept.map(([name]) => name).join('|'),
    films: kept.map(([, person]) => person.films),
    rating: kept.map(([, person]) => Math.round((1000 * person.rating) / (person.films + shrinkage))),
    revenueFilms: kept.map(([, person]) => person.revenueFilms),
    revenue: kept.map(([, person]) =>
      Math.round((1000 * person.revenue) / (person.revenueFilms + shrinkage)),
    ),
  };
}

function mean(values: readonly (number | undefined)[]): number {
  let total = 0;
  let count = 0;
  for (const value of values) {
    if (value === undefined) continue;
    total += value;
    count += 1;
  }
  return count === 0 ? 0 : total / count;
}

/** Six digits after the point: enough for a feature, short in JSON. */
function round(value: number): number {
  return Math.round(value * 1e6) / 1e6;
}
