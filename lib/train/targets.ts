/** From a table's targets to heads, their losses and what the network is trained towards. */
import { DataError, TrainError } from '../errors.js';
import { type MulticlassTarget, spreadHeadOf, type TargetConfig } from './config.js';
import type { FittedHead } from './fit-types.js';
import type { FilmTable } from './table.js';
import type { HeadLoss } from './trainer-types.js';

export interface FittedTargets {
  heads: FittedHead[];
  /** Of the network. */
  outputs: { name: string; out: number }[];
  losses: HeadLoss[];
  /** By head (films): standardised, 0/1 or class numbers; NaN where unknown. */
  targets: Record<string, Float32Array>;
}

/**
 * Scales and classes come of the films in training only.
 *
 * @throws DataError ERR_DATA_COLUMN   a target that the table lacks, or values that the task cannot have
 * @throws DataError ERR_DATA_EMPTY    a target that no film in training has, or of one class only
 * @throws TrainError ERR_TRAIN_CONFIG class weights that do not fit the classes
 */
export function fitTargets(
  configs: readonly TargetConfig[],
  table: FilmTable,
  train: Int32Array,
): FittedTargets {
  const result: FittedTargets = { heads: [], outputs: [], losses: [], targets: {} };
  for (const [i, config] of configs.entries()) {
    const values = targetOf(config, table);
    const known = train.filter((row) => !Number.isNaN(values[row]!));
    if (known.length === 0) {
      throw new DataError('ERR_DATA_EMPTY', {
        field: `targets.${config.name}`,
        expected: 'at least one film in training whose value is known',
        got: 'none',
      });
    }
    const { name, weight } = config;
    if (config.task === 'regression') addRegression(result, config, values, known);
    else if (config.task === 'binary') {
      checkClasses(config.name, values, 2);
      const positives = known.filter((row) => values[row] === 1).length;
      if (positives === 0 || positives === known.length) {
        throw new DataError('ERR_DATA_EMPTY', {
          field: `targets.${name}`,
          expected: 'films of both classes in training',
          got: `${known.length}, all ${positives === 0 ? 'negative' : 'positive'}`,
        });
      }
      result.heads.push({ name, task: 'binary', positive: config.positive ?? positiveClass(config) });
      result.outputs.push({ name, out: 1 });
      result.losses.push({ head: name, weight, kind: 'bce' });
      result.targets[name] = values;
    } else addClasses(result, config, values, known, `targets.${i}`);
  }
  return result;
}

/** What the positive class is, where the configuration does not say. */
function positiveClass({ name, column, threshold }: Extract<TargetConfig, { task: 'binary' }>): string {
  if (threshold === undefined) return name;
  const bound = threshold === 'median' ? 'the median of the training films' : String(threshold);
  return `${column ?? name} of at least ${bound}`;
}

function targetOf({ name, task, ...config }: TargetConfig, table: FilmTable): Float32Array {
  const values = Object.hasOwn(table.targets, name) ? table.targets[name]! : undefined;
  if (!values || values.length !== table.ids.length) {
    throw new DataError('ERR_DATA_COLUMN', {
      field: `targets.${name}`,
      expected: `a number for each of the ${table.ids.length} films`,
      got: values
        ? `${values.length}`
        : `none of that name (there are ${Object.keys(table.targets).join(', ') || 'none'})`,
    });
  }
  const log = task === 'regression' && 'transform' in config && config.transform === 'log10';
  const wrong = values.findIndex(
    (value) => Math.abs(value) === Number.POSITIVE_INFINITY || (log && value <= 0),
  );
  if (wrong >= 0) {
    throw new DataError('ERR_DATA_COLUMN', {
      field: `targets.${name}`,
      expected: log ? 'numbers above 0, since their logarithm is learned, or NaN' : 'finite numbers or NaN',
      got: `${values[wrong]} of the film ${table.ids[wrong]}`,
    });
  }
  return values;
}

function addRegression(
  result: FittedTargets,
  config: Extract<TargetConfig, { task: 'regression' }>,
  values: Float32Array,
  known: Int32Array,
): void {
  const { name, weight, transform, unit, min, max, loss, spread } = config;
  const model = (row: number) => (transform === 'log10' ? Math.log10(values[row]!) : values[row]!);
  let mean = 0;
  for (const row of known) mean += model(row);
  mean /= known.length;
  let squares = 0;
  for (const row of known) squares += (model(row) - mean) ** 2;
  // Of one value all over, the value itself is all there is to learn.
  const std = Math.sqrt(squares / known.length) || 1;
  const spreadHead = spread ? spreadHeadOf(name) : undefined;
  result.heads.push({
    name,
    task: 'regression',
    mean,
    std,
    transform,
    unit,
    ...(min !== undefined && { min }),
    ...(max !== undefined && { max }),
    ...(spreadHead !== undefined && { spreadHead }),
  });
  result.outputs.push({ name, out: 1 });
  result.losses.push({ head: name, weight, ...loss });
  result.targets[name] = Float32Array.from(values, (_, row) => (model(row) - mean) / std);
  if (spreadHead === undefined) return;
  result.heads.push({ name: spreadHead, task: 'auxiliary' });
  result.outputs.push({ name: spreadHead, out: 1 });
  const spreadWeight = typeof spread === 'object' ? spread.weight : 1;
  result.losses.push({ head: spreadHead, weight: spreadWeight, kind: 'spread', of: name });
}

function checkClasses(name: string, values: Float32Array, count: number): void {
  const wrong = values.findIndex(
    (value) => !Number.isNaN(value) && !(Number.isInteger(value) && value >= 0 && value < count),
  );
  if (wrong < 0) return;
  throw new DataError('ERR_DATA_COLUMN', {
    field: `targets.${name}`,
    expected: count === 2 ? '0, 1 or NaN' : `class numbers from 0 to ${count - 1}, or NaN`,
    got: `${values[wrong]}`,
  });
}

function addClasses(
  result: FittedTargets,
  config: MulticlassTarget,
  values: Float32Array,
  known: Int32Array,
  field: string,
): void {
  const { name, weight, loss } = config;
  const highest = known.reduce((most, row) => Math.max(most, values[row]!), 0);
  const classes = config.classes ?? Array.from({ length: highest + 1 }, (_, c) => String(c));
  checkClasses(name, values, classes.length);
  const counts = classes.map(() => 0);
  for (const row of known) counts[values[row]!]!++;
  if (counts.filter((films) => films > 0).length < 2) {
    throw new DataError('ERR_DATA_EMPTY', {
      field: `targets.${name}`,
      expected: 'films of two classes or more in training',
      got: `${known.length} of one`,
    });
  }
  let classWeights: number[] | undefined;
  if (loss.classWeights === 'balanced') {
    const there = counts.filter((films) => films > 0).length;
    classWeights = counts.map((films) => (films === 0 ? 0 : known.length / (there * films)));
  } else if (loss.classWeights) {
    classWeights = loss.classWeights;
    if (classWeights.length !== classes.length) {
      throw new TrainError('ERR_TRAIN_CONFIG', {
        field: `${field}.loss.classWeights`,
        expected: `${classes.length} weights, one a class`,
        got: String(classWeights.length),
      });
    }
  }
  result.heads.push({ name, task: 'multiclass', classes });
  result.outputs.push({ name, out: classes.length });
  result.losses.push({
    head: name,
    weight,
    kind: 'cross-entropy',
    smoothing: loss.smoothing,
    ...(classWeights && { classWeights }),
  });
  result.targets[name] = values;
}
