/** Which configurations a search tries. */
import { z } from 'zod';
import { TrainError } from '../errors.js';
import type { Random } from './random.js';

const path = z
  .string()
  .regex(
    /^[A-Za-z_][\w-]*(\.[\w-]+)+$/,
    'a path into the configuration, such as "training.optimizer.learningRate"',
  );

const dimension = z.union([
  z.array(z.json()).min(1).max(1000).describe('The values to try.'),
  z
    .strictObject({
      min: z.number(),
      max: z.number(),
      log: z.boolean().default(false).describe('Drawn evenly on a logarithmic scale.'),
      integer: z.boolean().default(false),
      steps: z.int().min(2).max(1000).default(5).describe('How many values a grid takes of it.'),
    })
    .refine(({ min, max, log }) => min < max && (!log || min > 0), 'min below max, above 0 if logarithmic'),
]);

export const searchSection = z
  .strictObject({
    space: z
      .record(path, dimension)
      .refine((space) => Object.keys(space).length > 0, 'at least one path')
      .describe('By path into this file: what to try.'),
    strategy: z
      .discriminatedUnion('kind', [
        z.strictObject({ kind: z.literal('grid') }),
        z.strictObject({ kind: z.literal('random'), trials: z.int().min(1).max(100_000).default(20) }),
        z
          .strictObject({
            kind: z.literal('halving'),
            trials: z.int().min(2).max(100_000).default(27),
            eta: z.int().min(2).max(10).default(3),
            minEpochs: z.int().min(1).default(1),
          })
          .describe(
            'Many trials of few epochs; the best 1/eta of them again with eta times as many, and so on.',
          ),
      ])
      .default({ kind: 'random', trials: 20 }),
    metric: z.string().min(1).default('loss').describe('On the valid films: "loss", or HEAD.METRIC.'),
  })
  .describe('What `cinefuse search` tries. Chosen on the valid films, never on those of test.');

export type SearchConfig = z.input<typeof searchSection>;
export type ParsedSearch = z.output<typeof searchSection>;
type Dimension = z.output<typeof dimension>;
/** A trial's values by path. */
export type Parameters = Record<string, unknown>;

/** The most trials a grid may come to. */
const MAX_GRID = 100_000;

/** The trials of a search, in a fixed order; the same seed draws the same ones. */
export function trialsOf({ space, strategy }: ParsedSearch, random: Random): Parameters[] {
  const paths = Object.entries(space);
  if (strategy.kind !== 'grid') {
    return Array.from({ length: strategy.trials }, () =>
      Object.fromEntries(paths.map(([path, dimension]) => [path, drawn(dimension, random)])),
    );
  }
  let trials: Parameters[] = [{}];
  for (const [path, dimension] of paths) {
    const values = gridOf(dimension);
    if (trials.length * values.length > MAX_GRID) {
      throw new TrainError('ERR_TRAIN_CONFIG', {
        field: 'search.space',
        expected: `a grid of at most ${MAX_GRID} trials`,
        got: 'more',
      });
    }
    trials = trials.flatMap((trial) => values.map((value) => ({ ...trial, [path]: value })));
  }
  return trials;
}

function drawn(dimension: Dimension, random: Random): unknown {
  if (Array.isArray(dimension)) return dimension[random.below(dimension.length)];
  const { min, max, log, integer } = dimension;
  if (integer && !log) return min + random.below(Math.floor(max) - min + 1);
  return between(dimension, random.next());
}

/** Where a share of the way from min to max leads. */
function between({ min, max, log, integer }: Exclude<Dimension, unknown[]>, share: number): number {
  const value = log
    ? Math.exp(Math.log(min) + share * (Math.log(max) - Math.log(min)))
    : min + share * (max - min);
  return integer ? Math.round(value) : value;
}

function gridOf(dimension: Dimension): unknown[] {
  if (Array.isArray(dimension)) return dimension;
  const { steps } = dimension;
  return [...new Set(Array.from({ length: steps }, (_, i) => between(dimension, i / (steps - 1))))];
}

/** A copy of a configuration with values set at paths; numbers in a path count into lists. */
export function withParameters<T>(config: T, parameters: Parameters): T {
  const copy = structuredClone(config);
  for (const [path, value] of Object.entries(parameters)) {
    const keys = path.split('.');
    const last = keys.pop()!;
    let inner: unknown = copy;
    for (const key of keys) {
      const next: unknown = Reflect.get(inner as object, key);
      if (typeof next === 'object' && next !== null) {
        inner = next;
        continue;
      }
      const made = {};
      Reflect.set(inner as object, key, made);
      inner = made;
    }
    Reflect.set(inner as object, last, structuredClone(value));
  }
  return copy;
}
