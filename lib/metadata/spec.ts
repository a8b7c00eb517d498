import { z } from 'zod';

/**
 * What a MetadataEncoder needs, as it lies in a bundle: everything was fitted on the training films, nothing is
 * computed from the film being encoded but its own fields.
 */

const finite = z.number().refine(Number.isFinite, 'a finite number');
const integers = z.array(z.int());

/**
 * People of one trade and how their earlier films did. Parallel columns: `names` is one string of name keys joined
 * by "|", the others have one number a person.
 */
const peopleTable = z
  .strictObject({
    names: z.string(),
    /** Training films of the person. */
    films: integers,
    /** Shrunken mean rating less the mean of all films, in thousandths. */
    rating: integers,
    /** Training films with known revenue. */
    revenueFilms: integers,
    /** Shrunken mean log10 revenue less the mean of all films, in thousandths. */
    revenue: integers,
  })
  .superRefine((table, context) => {
    const count = table.names === '' ? 0 : table.names.split('|').length;
    for (const column of ['films', 'rating', 'revenueFilms', 'revenue'] as const) {
      if (table[column].length !== count) {
        context.addIssue({
          code: 'custom',
          path: [column],
          message: `${count} entries, one a name; received ${table[column].length}`,
        });
      }
    }
  });

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
  people: z.strictObject({ cast: peopleTable, director: peopleTable }),
  /** Whether the vector says that a budget was given at all; see docs/model-card.md. */
  budgetFlag: z.boolean(),
  /** Knots of the piecewise-linear code of a feature, ascending. */
  knots: z.record(z.string(), z.array(finite).min(2)),
});

export type MetadataSpec = z.infer<typeof metadataSpecSchema>;
export type PeopleTable = z.infer<typeof peopleTable>;

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
