/** How a data set is read and split, as users write it. */
import { z } from 'zod';
import { describeValue, InputError } from '../../errors.js';
import { nearestName } from '../../nearest.js';

const columnName = z.string().min(1).max(300);
const share = z.number().min(0).max(1);

/** Shares of the films; what they leave of 1 is not used. */
const fractions = z
  .strictObject({ train: share, valid: share, test: share, calibration: share.optional() })
  .refine(
    ({ train, valid, test, calibration = 0 }) => train > 0 && train + valid + test + calibration < 1 + 1e-9,
    'shares that add up to 1 at most, with some for train',
  );

export const DEFAULT_FRACTIONS = { train: 0.8, valid: 0.1, test: 0.1 };

export const splitSchema = z.discriminatedUnion('kind', [
  /** The table says it: train, valid (also validation, val, dev), test, calibration. Empty cells are left out. */
  z.strictObject({ kind: z.literal('column'), column: columnName }),
  z.strictObject({
    kind: z.literal('random'),
    seed: z.int().nonnegative().default(0),
    fractions: fractions.default(DEFAULT_FRACTIONS),
    /** Films of each value are shared out alike. */
    stratify: columnName.optional(),
  }),
  /** By release: train up to a year or date, then valid, then test; films without a date are left out. */
  z.strictObject({
    kind: z.literal('time'),
    /** Dates as YYYY, YYYY-MM or YYYY-MM-DD, or years. Default: where the release date is read from. */
    column: columnName.optional(),
    trainUntil: z.union([z.string(), z.int()]),
    /** Where left out, all later films are test and the latest tenth of the earlier ones is valid. */
    validUntil: z.union([z.string(), z.int()]).optional(),
    /** Test begins after this instead of after `validUntil`. */
    testAfter: z.union([z.string(), z.int()]).optional(),
  }),
  /** Films that share a value (a director, a series) stay together. */
  z.strictObject({
    kind: z.literal('group'),
    column: columnName,
    seed: z.int().nonnegative().default(0),
    fractions: fractions.default(DEFAULT_FRACTIONS),
  }),
]);

/** As written: what has a default may be left out. */
export type SplitConfig = z.input<typeof splitSchema>;
export type Split = z.output<typeof splitSchema>;

export const datasetSchema = z.strictObject({
  /** The table (.csv, .tsv, .jsonl, .parquet), or a folder with movies.csv (or .tsv, .jsonl, .parquet) in it. */
  path: z.string().min(1),
  /** The column that holds the films' ids. Default: movie_id or id. */
  id: columnName.optional(),
  /** By field of a film: the column it is read from, or null for none. Default: by name. */
  fields: z.record(z.string(), columnName.nullable()).optional(),
  /** By column: what its name and values do not tell. */
  columns: z
    .record(
      columnName,
      z.strictObject({
        type: z.enum(['number', 'string', 'list']).optional(),
        afterRelease: z.boolean().optional(),
        /** Of a list in a text cell. Default "|". */
        separator: z.string().min(1).optional(),
        /** Cells that stand for "unknown", beside empty ones: "0", "N/A". */
        missing: z.array(z.string()).optional(),
      }),
    )
    .optional(),
  /** What paths in the table are relative to. Default: the table's folder. */
  files: z.string().min(1).optional(),
});

export type DatasetConfig = z.input<typeof datasetSchema>;

/**
 * Checks a value against one of the schemas above.
 *
 * @param where  what to call the value in errors
 * @throws InputError ERR_INPUT_TYPE, ERR_INPUT_VALUE, ERR_INPUT_UNKNOWN_FIELD  naming the field
 */
export function parseConfig<S extends z.ZodType>(schema: S, value: unknown, where: string): z.output<S> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0]!;
  const field = [where, ...issue.path.map(String)].join('.');
  if (issue.code === 'unrecognized_keys') {
    const key = issue.keys[0]!;
    const known = knownKeys(schema, value);
    const nearest = issue.path.length === 0 ? nearestName(key, known) : undefined;
    throw new InputError('ERR_INPUT_UNKNOWN_FIELD', {
      field: `${field}.${key}`,
      expected: nearest ? `a known field (did you mean ${nearest}?)` : 'a known field',
      got: 'an unknown one',
    });
  }
  const got = issue.path.reduce<unknown>(
    (inner, key) => (typeof inner === 'object' && inner !== null ? Reflect.get(inner, key) : undefined),
    value,
  );
  const type = issue.code === 'invalid_type' || (issue.code === 'invalid_union' && typeof got !== 'string');
  const kinds = schema instanceof z.ZodDiscriminatedUnion && issue.code === 'invalid_union';
  throw new InputError(type ? 'ERR_INPUT_TYPE' : 'ERR_INPUT_VALUE', {
    field,
    expected: kinds
      ? `one of ${kindsOf(schema).join(', ')}`
      : issue.message.replace(/^(Invalid \w+: )?expected /i, '').replace(/, received .*$/, ''),
    got: describeValue(got),
  });
}

function kindsOf({ options, def }: z.ZodDiscriminatedUnion): string[] {
  return options.flatMap((option) => {
    const literal = option instanceof z.ZodObject ? option.shape[def.discriminator] : undefined;
    return literal instanceof z.ZodLiteral ? [String(literal.value)] : [];
  });
}

function knownKeys(schema: z.ZodType, value: unknown): string[] {
  if (schema instanceof z.ZodObject) return Object.keys(schema.shape);
  if (!(schema instanceof z.ZodDiscriminatedUnion)) return [];
  const kind: unknown = Reflect.get(value as object, schema.def.discriminator);
  const branch = schema.options.find((option) => {
    const literal = option instanceof z.ZodObject ? option.shape[schema.def.discriminator] : undefined;
    return literal instanceof z.ZodLiteral && literal.value === kind;
  });
  return branch instanceof z.ZodObject ? Object.keys(branch.shape) : [];
}
