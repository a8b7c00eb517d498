/** What a head forecasts for some films, in the units that it is judged in, and how well. */
import { binaryFeedback, multiclassFeedback, regressionFeedback } from '../feedback.js';
import type { BinaryHead, BundleHead, MulticlassHead, RegressionHead } from '../fusion/manifest.js';
import {
  classificationMetrics,
  expectedCalibrationError,
  pearson,
  probabilityMetrics,
  regressionErrors,
  rocAuc,
  spearman,
} from './metrics.js';
import type { RawPredictions } from './table.js';

export type JudgedHead = RegressionHead | BinaryHead | MulticlassHead;
export const isJudged = (head: BundleHead): head is JudgedHead => head.task !== 'auxiliary';

/** By name; null where a measure is not defined on these films. */
export type Scores = Record<string, number | null>;

/** Forecasts of films whose truth is known. */
export interface Forecasts {
  /** Of the table. */
  films: Int32Array;
  /** Model values (of a log10 head the logarithm), 0/1, or class numbers. */
  truth: Float64Array;
  /** Model values, or probabilities: of several classes (films, classes). */
  value: Float64Array;
  /** Ends of the intervals, of regression. */
  low?: Float64Array;
  high?: Float64Array;
}

/**
 * The head's forecasts as they would be served, of those rows whose truth is known.
 *
 * @param truth    (films of the table)
 * @param present  (rows, modalities), as it was predicted with
 */
export function forecastsOf(
  head: JudgedHead,
  { rows, heads }: RawPredictions,
  truth: Float32Array,
  modalities: readonly string[],
  present: Uint8Array,
): Forecasts {
  const known = Array.from(rows.keys()).filter((row) => !Number.isNaN(truth[rows[row]!]));
  const films = Int32Array.from(known, (row) => rows[row]!);
  const result: Forecasts = {
    films,
    truth: Float64Array.from(films, (film) => truth[film]!),
    value: new Float64Array(known.length * widthOf(head)),
  };
  const output = heads[head.name]!;
  const names = (row: number) => modalities.filter((_, m) => present[row * modalities.length + m]);
  if (head.task === 'binary') {
    known.forEach((row, i) => {
      result.value[i] = binaryFeedback(head, output[row]!, names(row)).probability;
    });
    return result;
  }
  if (head.task === 'multiclass') {
    const { length } = head.classes;
    known.forEach((row, i) => {
      const { probabilities } = multiclassFeedback(head, (c) => output[row * length + c]!, names(row));
      head.classes.forEach((name, c) => {
        result.value[i * length + c] = probabilities[name]!;
      });
    });
    return result;
  }
  const [low, high] = [new Float64Array(known.length), new Float64Array(known.length)];
  const modelValue = head.transform === 'log10' ? Math.log10 : (x: number) => x;
  const spread = head.interval.spreadHead === undefined ? undefined : heads[head.interval.spreadHead]!;
  known.forEach((row, i) => {
    const { value, interval } = regressionFeedback(head, output[row]!, spread?.[row], names(row));
    result.value[i] = modelValue(value);
    low[i] = modelValue(interval[0]);
    high[i] = modelValue(interval[1]);
  });
  return { ...result, low, high };
}

/** Values a film: 1, or the number of classes. */
export const widthOf = (head: Judged): number => (head.task === 'multiclass' ? head.classes.length : 1);

/** What scoring needs of a head. */
export type Judged =
  | Pick<RegressionHead, 'task'>
  | Pick<BinaryHead, 'task' | 'threshold'>
  | Pick<MulticlassHead, 'task' | 'classes'>;

/** Some of the films, repetitions allowed. @param at  places in the forecasts */
export function chosen(forecasts: Forecasts, at: ArrayLike<number>): Forecasts {
  const width = forecasts.value.length / forecasts.films.length;
  const pick = (values: Float64Array, each = 1) => {
    const picked = new Float64Array(at.length * each);
    if (each === 1) for (let i = 0; i < at.length; i++) picked[i] = values[at[i]!]!;
    else
      for (let i = 0; i < picked.length; i++)
        picked[i] = values[at[Math.floor(i / each)]! * each + (i % each)]!;
    return picked;
  };
  const films = new Int32Array(at.length);
  for (let i = 0; i < at.length; i++) films[i] = forecasts.films[at[i]!]!;
  return {
    films,
    truth: pick(forecasts.truth),
    value: pick(forecasts.value, width),
    ...(forecasts.low && { low: pick(forecasts.low) }),
    ...(forecasts.high && { high: pick(forecasts.high) }),
  };
}

/** The measure by which forecasts of a head are compared first, and whether more of it is better. */
export function mainScore(head: Judged): { name: string; higherIsBetter: boolean } {
  if (head.task === 'regression') return { name: 'rmse', higherIsBetter: false };
  return { name: head.task === 'binary' ? 'rocAuc' : 'macroF1', higherIsBetter: true };
}

/** One score alone, for the many draws of a bootstrap: as in scoresOf. */
export function scoreOf(head: Judged, forecasts: Forecasts, name: string): number | null {
  const { truth, value } = forecasts;
  if (name === 'rmse' || name === 'mae') return regressionErrors(truth, value)[name];
  if (name === 'rocAuc') return rocAuc(truth, value);
  if (name === 'accuracy' && head.task !== 'regression') {
    let right = 0;
    for (let i = 0; i < truth.length; i++) if (saidOf(head, forecasts, i) === truth[i]) right++;
    return right / truth.length;
  }
  return scoresOf(head, forecasts)[name] ?? null;
}

/** The class that is said of the i-th film. */
export function saidOf(
  head: Exclude<Judged, { task: 'regression' }>,
  { value }: Forecasts,
  i: number,
): number {
  if (head.task === 'binary') return value[i]! >= head.threshold ? 1 : 0;
  return likeliest(value, i, head.classes.length);
}

/** Whether more of a measure is better; undefined for those where neither is: bias, width, coverage. */
export function isHigherBetter(score: string): boolean | undefined {
  if (['rmse', 'mae', 'logLoss', 'brier', 'ece'].includes(score)) return false;
  return ['bias', 'coverage', 'meanWidth'].includes(score) ? undefined : true;
}

export function scoresOf(head: Judged, forecasts: Forecasts): Scores {
  if (head.task === 'regression') return regressionScores(forecasts);
  if (head.task === 'binary') return binaryScores(forecasts, head.threshold);
  return multiclassScores(forecasts, head.classes.length);
}

function regressionScores({ truth, value, low, high }: Forecasts): Scores {
  const { rmse, mae, r2 } = regressionErrors(truth, value);
  const scores: Scores = {
    rmse,
    mae,
    r2,
    pearson: pearson(truth, value),
    spearman: spearman(truth, value),
    bias: bias(truth, value),
  };
  if (low && high) {
    let [inside, width] = [0, 0];
    for (let i = 0; i < truth.length; i++) {
      if (low[i]! <= truth[i]! && truth[i]! <= high[i]!) inside++;
      width += high[i]! - low[i]!;
    }
    scores.coverage = inside / truth.length;
    scores.meanWidth = width / truth.length;
  }
  return scores;
}

function binaryScores({ truth, value }: Forecasts, threshold: number): Scores {
  const said = value.map((p) => (p >= threshold ? 1 : 0));
  const classes = classificationMetrics(truth, said, [0, 1]);
  const { logLoss, brier, ece, rocAuc, averagePrecision } = probabilityMetrics(truth, value);
  return {
    accuracy: classes.accuracy,
    macroF1: classes.macroF1,
    rocAuc,
    averagePrecision,
    precision: classes.precision[1]!,
    recall: classes.recall[1]!,
    f1: classes.f1[1]!,
    logLoss,
    brier,
    ece,
    bias: bias(truth, value),
  };
}

function multiclassScores({ truth, value }: Forecasts, classes: number): Scores {
  const n = truth.length;
  const said = Float64Array.from(truth, (_, i) => likeliest(value, i, classes));
  const sure = said.map((c, i) => value[i * classes + c]!);
  const right = said.map((c, i) => (c === truth[i] ? 1 : 0));
  const labels = Array.from({ length: classes }, (_, c) => c);
  const { accuracy, macroPrecision, macroRecall, macroF1, weightedF1 } = classificationMetrics(
    truth,
    said,
    labels,
  );
  let log = 0;
  for (let i = 0; i < n; i++) log -= Math.log(Math.max(1e-7, value[i * classes + truth[i]!]!));
  // of the class that was said: how sure, and how often right
  const ece = expectedCalibrationError(right, sure);
  return {
    accuracy,
    macroF1,
    macroPrecision,
    macroRecall,
    weightedF1,
    logLoss: log / n,
    ece,
    bias: bias(right, sure),
  };
}

/** The class of the largest probability of film `i`, of equal ones the first. */
export function likeliest(probabilities: Float64Array, i: number, classes: number): number {
  let best = 0;
  for (let c = 1; c < classes; c++) {
    if (probabilities[i * classes + c]! > probabilities[i * classes + best]!) best = c;
  }
  return best;
}

/** Mean of forecast - truth. */
function bias(truth: Float64Array, value: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < truth.length; i++) sum += value[i]! - truth[i]!;
  return sum / truth.length;
}
