/** From a data set's columns to what a network is to learn. */
import { DataError } from '../errors.js';
import type { Condition, TargetConfig } from './config.js';
import type { Column, Dataset } from './data/types.js';
import type { TableSplit } from './table.js';

export interface DatasetTargets {
  /** By head (films): as FilmTable's; NaN where unknown or where a condition is not met. */
  targets: Record<string, Float32Array>;
  /** The same, NaN also where a film is not to be judged by. */
  judged: Record<string, Float32Array>;
  /** The configurations with thresholds and classes filled in that come of the films in training. */
  configs: TargetConfig[];
}

/**
 * @throws DataError ERR_DATA_COLUMN  no such column, or one whose values the task cannot have
 * @throws DataError ERR_DATA_EMPTY   a target that no film in training has
 */
export async function datasetTargets(
  dataset: Dataset,
  configs: readonly TargetConfig[],
  split: TableSplit,
  signal?: AbortSignal,
): Promise<DatasetTargets> {
  const result: DatasetTargets = { targets: {}, judged: {}, configs: [] };
  const where = { signal };
  for (const config of configs) {
    const { name, where: conditions = [], judgedWhere = [] } = config;
    const column = config.column ?? name;
    const learned = await meets(dataset, conditions, where);
    const judged = await meets(dataset, judgedWhere, where);
    const { values, filled } =
      config.task === 'multiclass'
        ? classNumbers(config, await dataset.column(column, where), learned, split)
        : numbers(config, await dataset.column(column, { type: 'number', ...where }), learned, split);
    result.configs.push(filled);
    result.targets[name] = values;
    result.judged[name] = values.map((value, row) => (judged(row) ? value : Number.NaN));
  }
  return result;
}

/** Whether a film meets all conditions; one whose value is unknown does not. */
async function meets(
  dataset: Dataset,
  conditions: readonly Condition[],
  options: { signal: AbortSignal | undefined },
): Promise<(row: number) => boolean> {
  const tests: ((row: number) => boolean)[] = [];
  for (const { column: name, above, atLeast, below, atMost, in: list } of conditions) {
    if (list) {
      const column = await dataset.column(name, options);
      const wanted = new Set(list.map(String));
      tests.push((row) => {
        const value = column.values[row];
        if (Array.isArray(value)) return value.some((entry) => wanted.has(entry));
        return value !== undefined && wanted.has(String(value));
      });
    }
    if ([above, atLeast, below, atMost].every((bound) => bound === undefined)) continue;
    const { values } = await dataset.column(name, { type: 'number', ...options });
    tests.push((row) => {
      const value = values[row]!;
      return (
        !Number.isNaN(value) &&
        (above === undefined || value > above) &&
        (atLeast === undefined || value >= atLeast) &&
        (below === undefined || value < below) &&
        (atMost === undefined || value <= atMost)
      );
    });
  }
  return (row) => tests.every((test) => test(row));
}

function noneKnown({ name }: TargetConfig): DataError {
  return new DataError('ERR_DATA_EMPTY', {
    field: `targets.${name}`,
    expected: 'at least one film in training whose value is known',
    got: 'none',
  });
}

function numbers(
  config: Exclude<TargetConfig, { task: 'multiclass' }>,
  column: Extract<Column, { type: 'number' }>,
  learned: (row: number) => boolean,
  { train }: TableSplit,
): { values: Float32Array; filled: TargetConfig } {
  // What has no logarithm is how tables write "unknown".
  const log = config.task === 'regression' && config.transform === 'log10';
  const values = column.values.map((value, row) =>
    learned(row) && (!log || value > 0) ? value : Number.NaN,
  );
  if (config.task === 'regression') return { values: Float32Array.from(values), filled: config };
  const known = Float64Array.from(train, (row) => values[row]!)
    .filter((value) => !Number.isNaN(value))
    .sort();
  if (known.length === 0) throw noneKnown(config);
  if (config.threshold === undefined) {
    const wrong = known.find((value) => value !== 0 && value !== 1);
    if (wrong !== undefined) {
      throw new DataError('ERR_DATA_COLUMN', {
        field: `targets.${config.name}`,
        expected: `0 and 1 in the column ${column.name}, or a threshold in the configuration`,
        got: String(wrong),
      });
    }
    return { values: Float32Array.from(values), filled: config };
  }
  const middle = (known[(known.length - 1) >> 1]! + known[known.length >> 1]!) / 2;
  const threshold = config.threshold === 'median' ? middle : config.threshold;
  const median = config.threshold === 'median' ? ', the median of the training films' : '';
  return {
    values: Float32Array.from(values, (value) => (Number.isNaN(value) ? value : Number(value >= threshold))),
    filled: {
      ...config,
      threshold,
      positive: config.positive ?? `${column.name} of at least ${Number(threshold.toPrecision(6))}${median}`,
    },
  };
}

function classNumbers(
  config: Extract<TargetConfig, { task: 'multiclass' }>,
  column: Column,
  learned: (row: number) => boolean,
  { train }: TableSplit,
): { values: Float32Array; filled: TargetConfig } {
  const nameOf = (row: number): string | undefined => {
    if (!learned(row)) return undefined;
    const value = column.values[row];
    if (Array.isArray(value)) return value[0];
    if (typeof value === 'number') return Number.isNaN(value) ? undefined : String(value);
    return value;
  };
  let { classes } = config;
  if (!classes) {
    const seen = new Set<string>();
    for (const row of train) {
      const name = nameOf(row);
      if (name !== undefined) seen.add(name);
    }
    classes = [...seen].sort(
      column.type === 'number' ? (a, b) => Number(a) - Number(b) : (a, b) => (a < b ? -1 : 1),
    );
    if (classes.length === 0) throw noneKnown(config);
    if (classes.length > 1000) {
      throw new DataError('ERR_DATA_COLUMN', {
        field: `targets.${config.name}`,
        expected: `at most 1000 classes in the column ${column.name}`,
        got: String(classes.length),
      });
    }
  }
  const numberOf = new Map(classes.map((name, i) => [name, i]));
  // A class that no film in training has cannot be learned: such a film's target is unknown.
  const values = Float32Array.from({ length: column.values.length }, (_, row) => {
    const name = nameOf(row);
    return name === undefined ? Number.NaN : (numberOf.get(name) ?? Number.NaN);
  });
  return { values, filled: { ...config, classes } };
}

/** How much each film's errors count: the column's numbers, x / (x + softness) where there is a softness. */
export async function datasetWeights(
  dataset: Dataset,
  weight: { column: string; softness: number } | undefined,
  signal?: AbortSignal,
): Promise<Float32Array | undefined> {
  if (!weight) return undefined;
  const { values } = await dataset.column(weight.column, { type: 'number', signal });
  const wrong = values.findIndex((value) => value < 0 || value === Number.POSITIVE_INFINITY);
  if (wrong >= 0) {
    throw new DataError('ERR_DATA_COLUMN', {
      field: 'data.weight.column',
      expected: `numbers of 0 or more in ${weight.column}`,
      got: `${values[wrong]} of the film ${dataset.ids[wrong]}`,
    });
  }
  const { softness } = weight;
  return Float32Array.from(values, (value) => {
    if (Number.isNaN(value)) return 0;
    return softness === 0 ? value : value / (value + softness);
  });
}
