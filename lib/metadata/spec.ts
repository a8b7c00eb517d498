import { z } from 'zod';

/**
 * What a MetadataEncoder needs, as it lies in a bundle: everything was fitted on the training films, nothing is
 * computed from the film being encoded but its own fields.
 */

const finite = z.number().refine(Number.isFinite, 'a finite number');
/** By hand: tables hold a hundred thousand of them, and z.array(z.int()) takes a microsecond each. */
const integers = z.custom<number[]>(
  (value) => Array.isArray(value) && value.every((item) => Number.isSafeInteger(item)),
  'a list of whole numbers',
);

/**
 * Parallel columns by name: `names` is one string of name keys joined by "|", the others have one whole number a
 * name. Means and effects are in thousandths, of rating points or of log10 dollars.
 */
function table<Columns extends string>(columns: readonly Columns[]) {
  const shape = Object.fromEntries(columns.map((column) => [column, integers])) as Record<
    Columns,
    typeof integers
  >;
  return z.strictObject({ names: z.string(), ...shape }).superRefine((value, context) => {
    const given = value as { names: string } & Record<Columns, number[]>;
    const count = given.names === '' ? 0 : given.names.split('|').length;
    for (const column of columns) {
      if (given[column].length === count) continue;
      const message = `${count} entries, one a name; received ${given[column].length}`;
      context.addIssue({ code: 'custom', path: [column], message });
    }
  });
}

/** People of one trade and how their training films did. */
const peopleTable = table([
  /** Training films. */
  'films',
  /** Shrunken mean rating less the mean of all films. */
  'rating',
  /** Training films with known revenue. */
  'revenueFilms',
  /** Shrunken mean log10 revenue less the mean of all films. */
  'revenue',
  /** What the person adds to the rating beside the film's other facts and people. */
  'ratingEffect',
  /** Likewise to log10 revenue. */
  'revenueEffect',
]);

/** Series of films by `seriesKey`. */
const seriesTable = table(['films', 'ratingEffect', 'revenueEffect']);

export const metadataSpecSchema = z.strictObject({
  version: z.literal(1),
  /** Means of the training films: what stands in for a value that is not given. */
  means: z.strictObject({
    logBudget: finite,
    runtime: finite,
    year: finite,
    rating: finite,
    logRevenue: finite,
  }),
  /** Straight line through log10 budget by year: budgets are compared with those of their time. */
  budgetTrend: z.strictObject({ year: finite, slope: finite }),
  people: z.strictObject({ cast: peopleTable, director: peopleTable, series: seriesTable }),
  /** Whether the vector says that a budget was given at all; see docs/model-card.md. */
  budgetFlag: z.boolean(),
  /** Knots of the piecewise-linear code of a feature, ascending. */
  knots: z.record(z.string(), z.array(finite).min(2)),
});

export type MetadataSpec = z.infer<typeof metadataSpecSchema>;
/** The tables that a film's own rating must not be in when its training vector is made. */
export type People = MetadataSpec['people'];

/** A film's facts, all known before release and all optional. */
export interface MetadataFields {
  readonly title?: string | undefined;
  /** YYYY-MM-DD, YYYY-MM or YYYY. */
  readonly releaseDate?: string | undefined;
  /** Minutes. */
  readonly runtime?: number | undefined;
  /** US dollars of the release year. */
  readonly budget?: number | undefined;
  readonly genres?: readonly string[] | undefined;
  /** In billing order. */
  readonly cast?: readonly string[] | undefined;
  readonly director?: string | readonly string[] | undefined;
  /** ISO 639-1 tag of the original language. */
  readonly language?: string | undefined;
}
