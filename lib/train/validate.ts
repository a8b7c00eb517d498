/** How a network does on some films: losses as they are trained by, and measures by which to stop or to choose. */
import { TrainError } from '../errors.js';
import { FusionNetwork, type FusionNetworkSpec, type NetworkWeights } from '../fusion/network.js';
import { nearestName } from '../nearest.js';
import type { ExecOptions } from '../ops/exec.js';
import type { ParsedFuseConfig } from './config.js';
import type { FittedHead, FittedTable } from './fit-types.js';
import { selectModalities, withAny } from './inputs.js';
import {
  classificationMetrics,
  pearson,
  probabilityMetrics,
  regressionMetrics,
  spearman,
} from './metrics.js';
import type { FilmTable, RawPredictions } from './table.js';
import { tableModel } from './table-model.js';
import { type FittedTargets, fitTargets } from './targets.js';
import type { HeadLoss } from './trainer-types.js';

export interface Validation {
  /** The weighted sum of the heads' losses, without weight decay and dropout. */
  loss: number;
  /** By head; a head that no film has a target of is not in it. */
  losses: Record<string, number>;
  /** `HEAD.METRIC`: those that are defined on these films. */
  metrics: Record<string, number>;
}

/** Measures by task, and whether more is better. */
export const METRICS = {
  regression: { rmse: false, mse: false, mae: false, r2: true, pearson: true, spearman: true },
  binary: {
    logLoss: false,
    brier: false,
    ece: false,
    rocAuc: true,
    averagePrecision: true,
    accuracy: true,
    macroF1: true,
    macroPrecision: true,
    macroRecall: true,
  },
  multiclass: { logLoss: false, accuracy: true, macroF1: true, macroPrecision: true, macroRecall: true },
} as const;

/** The outputs of a network over a table's films. */
export async function predictRows(
  spec: FusionNetworkSpec,
  weights: NetworkWeights,
  table: FilmTable,
  rows: Int32Array,
  exec: ExecOptions,
): Promise<RawPredictions> {
  const { signal, ...where } = exec;
  using network = FusionNetwork.create(spec, weights, where);
  return await tableModel(network, table, where).predict(rows, undefined, signal);
}

/**
 * @param table    with the network's modalities
 * @param targets  as trained towards; the losses' films are those whose target is known
 */
export async function validate(
  spec: FusionNetworkSpec,
  weights: NetworkWeights,
  table: FilmTable,
  targets: FittedTargets,
  rows: Int32Array,
  exec: ExecOptions,
): Promise<Validation> {
  const { heads } = await predictRows(spec, weights, table, rows, exec);
  const losses: Record<string, number> = {};
  let sum = 0;
  for (const loss of targets.losses) {
    const mean = meanLoss(loss, heads, targets.targets, rows);
    if (mean === undefined) continue;
    losses[loss.head] = mean;
    sum += (loss.weight ?? 1) * mean;
  }
  const metrics: Record<string, number> = {};
  for (const head of targets.heads) {
    const found = headMetrics(head, heads[head.name]!, targets.targets[head.name], rows);
    for (const [name, value] of Object.entries(found)) {
      if (value !== null) metrics[`${head.name}.${name}`] = value;
    }
  }
  return { loss: sum, losses, metrics };
}

/**
 * A fitted network's losses and measures on films of the table that it was fitted on.
 *
 * @param rows   films to score it on; those without any of its modalities are left out
 * @param train  the films it was trained on: scales and classes come of them
 */
export async function scoreFitted(
  { spec, weights }: Pick<FittedTable, 'spec' | 'weights'>,
  whole: FilmTable,
  rows: Int32Array,
  { targets }: Pick<ParsedFuseConfig, 'targets'>,
  train: Int32Array,
  exec: ExecOptions,
): Promise<Validation> {
  const table = selectModalities(
    whole,
    spec.modalities.map(({ name }) => name),
  );
  const fitted = fitTargets(targets, table, withAny(train, table));
  return validate(spec, weights, table, fitted, withAny(rows, table), exec);
}

/** softplus(x) = log(1 + e^x), without overflow. */
const softplus = (x: number) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));

function meanLoss(
  loss: HeadLoss,
  outputs: Readonly<Record<string, Float32Array>>,
  targets: Readonly<Record<string, Float32Array>>,
  rows: Int32Array,
): number | undefined {
  const output = outputs[loss.head]!;
  const of = loss.kind === 'spread' ? loss.of : loss.head;
  const target = targets[of]!;
  const width = output.length / rows.length;
  let sum = 0;
  let count = 0;
  for (const [i, row] of rows.entries()) {
    const truth = target[row]!;
    if (Number.isNaN(truth)) continue;
    const x = output[i * width]!;
    const error = Math.abs(x - truth);
    switch (loss.kind) {
      case 'mse':
        sum += error * error;
        break;
      case 'mae':
        sum += error;
        break;
      case 'huber': {
        const delta = loss.delta ?? 1;
        sum += error <= delta ? 0.5 * error * error : delta * (error - 0.5 * delta);
        break;
      }
      case 'bce':
        sum += softplus(x) - truth * x;
        break;
      case 'spread':
        sum += x + Math.abs(truth - outputs[of]![i]!) * Math.exp(-x);
        break;
      case 'cross-entropy': {
        // Unsmoothed and unweighted: how probable what came true was.
        const logits = output.subarray(i * width, (i + 1) * width);
        const most = Math.max(...logits);
        const total = logits.reduce((all, logit) => all + Math.exp(logit - most), 0);
        sum += most + Math.log(total) - logits[truth]!;
        break;
      }
    }
    count++;
  }
  return count === 0 ? undefined : sum / count;
}

function headMetrics(
  head: FittedHead,
  output: Float32Array,
  target: Float32Array | undefined,
  rows: Int32Array,
): Record<string, number | null> {
  if (head.task === 'auxiliary' || !target) return {};
  const known = Array.from(rows.keys()).filter((i) => !Number.isNaN(target[rows[i]!]!));
  if (known.length === 0) return {};
  if (head.task === 'regression') {
    const value = (standardised: number) => standardised * head.std + head.mean;
    const truth = Float64Array.from(known, (i) => value(target[rows[i]!]!));
    const predicted = Float64Array.from(known, (i) => value(output[i]!));
    const { rmse, mse, mae, r2 } = regressionMetrics(truth, predicted);
    return { rmse, mse, mae, r2, pearson: pearson(truth, predicted), spearman: spearman(truth, predicted) };
  }
  const truth = Float64Array.from(known, (i) => target[rows[i]!]!);
  if (head.task === 'binary') {
    const probability = Float64Array.from(known, (i) => 1 / (1 + Math.exp(-output[i]!)));
    const { logLoss, brier, ece, rocAuc, averagePrecision } = probabilityMetrics(truth, probability);
    const said = Float64Array.from(known, (i) => (output[i]! >= 0 ? 1 : 0));
    const { accuracy, macroF1, macroPrecision, macroRecall } = classificationMetrics(truth, said, [0, 1]);
    return { logLoss, brier, ece, rocAuc, averagePrecision, accuracy, macroF1, macroPrecision, macroRecall };
  }
  const count = head.classes.length;
  let logs = 0;
  const said = Float64Array.from(known, (i, at) => {
    const logits = output.subarray(i * count, (i + 1) * count);
    const most = Math.max(...logits);
    const total = logits.reduce((all, logit) => all + Math.exp(logit - most), 0);
    logs += most + Math.log(total) - logits[truth[at]!]!;
    return logits.indexOf(most);
  });
  const labels = Array.from({ length: count }, (_, c) => c);
  const { accuracy, macroF1, macroPrecision, macroRecall } = classificationMetrics(truth, said, labels);
  return { logLoss: logs / known.length, accuracy, macroF1, macroPrecision, macroRecall };
}

/**
 * What a name of a measure in the configuration stands for.
 *
 * @param field  of the configuration, for errors
 * @throws TrainError ERR_TRAIN_CONFIG  no such measure of these heads, naming the nearest
 */
export function metricOf(
  name: string,
  heads: readonly FittedHead[],
  field: string,
): { read: (validation: Validation) => number | undefined; moreIsBetter: boolean } {
  if (name === 'loss') return { read: ({ loss }) => loss, moreIsBetter: false };
  const known = new Map<string, boolean>();
  for (const head of heads) {
    if (head.task === 'auxiliary') continue;
    for (const [metric, more] of Object.entries(METRICS[head.task]))
      known.set(`${head.name}.${metric}`, more);
  }
  const moreIsBetter = known.get(name);
  if (moreIsBetter === undefined) {
    const nearest = nearestName(name, known.keys());
    throw new TrainError('ERR_TRAIN_CONFIG', {
      field,
      expected: `"loss" or one of ${[...known.keys()].join(', ')}${nearest ? ` (did you mean ${nearest}?)` : ''}`,
      got: JSON.stringify(name),
    });
  }
  return { read: ({ metrics }) => metrics[name], moreIsBetter };
}
