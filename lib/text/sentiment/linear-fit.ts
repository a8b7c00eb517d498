/** Weights of the linear classifiers: naive Bayes, a support vector machine, and one on the other. */
import { throwIfCancelled } from '../../errors.js';
import { Pace } from '../../pace.js';
import { scaleColumns, type SparseRows } from '../words/sparse.js';
import { solveSvm } from './svm.js';

/** scores = weights · x + bias; of two classes one row, the margin of the second, else a row a class. */
export interface LinearWeights {
  weights: readonly (Float64Array | Float32Array)[];
  bias: Float64Array | Float32Array;
}

export interface LinearProblem {
  rows: SparseRows;
  /** (rows) classes by number */
  truth: Int32Array;
  classes: number;
  seed: number;
  signal?: AbortSignal | undefined;
}

export type FitWeights = (problem: LinearProblem) => Promise<LinearWeights>;

/**
 * Multinomial naive Bayes:
 *
 *   log P(c | x) = log share_c + Σ_t x_t log θ_ct + const,  θ_ct = (n_ct + α) / Σ_s (n_cs + α)
 *
 * n_ct: the sum of x_t over the texts of class c. A term that none of the texts has counts for nothing.
 */
export function naiveBayesWeights(smoothing: number): FitWeights {
  return async ({ rows, truth, classes, signal }) => {
    throwIfCancelled(signal);
    const { logs, shares } = logLikelihoods(rows, truth, classes, smoothing);
    await new Pace().rest();
    if (classes > 2) return { weights: logs, bias: Float64Array.from(shares, Math.log) };
    const margin = logs[1]!.map((value, t) => value - logs[0]![t]!);
    return { weights: [margin], bias: Float64Array.of(Math.log(shares[1]! / shares[0]!)) };
  };
}

/** log θ by class and term, 0 for terms without a text; shares of the classes. */
function logLikelihoods(
  { rows, columns, offsets, columnOf, values }: SparseRows,
  truth: Int32Array,
  classes: number,
  smoothing: number,
): { logs: Float64Array[]; shares: Float64Array } {
  const sums = Array.from({ length: classes }, () => new Float64Array(columns));
  const shares = new Float64Array(classes);
  const seen = new Uint8Array(columns);
  for (let r = 0; r < rows; r++) {
    const own = sums[truth[r]!]!;
    shares[truth[r]!]! += 1 / rows;
    for (let i = offsets[r]!; i < offsets[r + 1]!; i++) {
      own[columnOf[i]!]! += values[i]!;
      seen[columnOf[i]!] = 1;
    }
  }
  for (const own of sums) {
    let total = 0;
    for (let t = 0; t < columns; t++) if (seen[t] === 1) total += own[t]! + smoothing;
    for (let t = 0; t < columns; t++) own[t] = seen[t] === 1 ? Math.log((own[t]! + smoothing) / total) : 0;
  }
  return { logs: sums, shares };
}

/** A machine for each class against the others; of two classes one. */
export function svmWeights({ cost, tolerance, maxEpochs }: SvmSettings): FitWeights {
  return async ({ rows, truth, classes, seed, signal }) => {
    const weights: Float64Array[] = [];
    const bias: number[] = [];
    for (const positive of ownClasses(truth, classes)) {
      const solution = await solveSvm({ rows, positive, cost, tolerance, maxEpochs, seed, signal });
      weights.push(solution.weight);
      bias.push(solution.bias);
    }
    return { weights, bias: Float64Array.from(bias) };
  };
}

export interface SvmSettings {
  cost: number;
  tolerance: number;
  maxEpochs: number;
}

/** Which rows are of the class: of two classes of the second, else of each in turn. */
function ownClasses(truth: Int32Array, classes: number): Uint8Array[] {
  const own = (c: number) => Uint8Array.from(truth, (value) => (value === c ? 1 : 0));
  return classes === 2 ? [own(1)] : Array.from({ length: classes }, (_, c) => own(c));
}

/**
 * NB-SVM: a support vector machine on terms that are weighed by their naive Bayes log ratio r, its weights then drawn
 * towards their mean size, which is to trust naive Bayes where the machine has little to go by:
 *
 *   score = Σ_t x_t r_t (β w_t + (1 - β) w̄) + b,  w̄ = mean |w|,  r_t = log θ_ct - log θ_other,t
 *
 * Source: Wang and Manning, "Baselines and bigrams: simple, good sentiment and topic classification", ACL 2012.
 */
export function nbSvmWeights(
  settings: SvmSettings & { smoothing: number; interpolation: number },
): FitWeights {
  const { cost, tolerance, maxEpochs, smoothing, interpolation } = settings;
  return async ({ rows, truth, classes, seed, signal }) => {
    const weights: Float64Array[] = [];
    const bias: number[] = [];
    for (const positive of ownClasses(truth, classes)) {
      const { logs } = logLikelihoods(rows, Int32Array.from(positive), 2, smoothing);
      const ratio = logs[1]!.map((value, t) => value - logs[0]![t]!);
      const weighed = scaleColumns(rows, ratio);
      const solution = await solveSvm({ rows: weighed, positive, cost, tolerance, maxEpochs, seed, signal });
      let [size, terms] = [0, 0];
      const seen = new Uint8Array(rows.columns);
      for (const column of rows.columnOf) seen[column] = 1;
      for (let t = 0; t < rows.columns; t++) {
        size += Math.abs(solution.weight[t]!);
        terms += seen[t]!;
      }
      const mean = (1 - interpolation) * (size / Math.max(1, terms));
      weights.push(ratio.map((value, t) => value * (interpolation * solution.weight[t]! + mean)));
      bias.push(solution.bias);
    }
    return { weights, bias: Float64Array.from(bias) };
  };
}

/** @returns (rows, classes): of two classes half the margin, once with each sign */
export function linearScores(
  { offsets, columnOf, values, rows }: SparseRows,
  { weights, bias }: LinearWeights,
  classes: number,
): Float64Array {
  const scores = new Float64Array(rows * classes);
  for (let r = 0; r < rows; r++) {
    for (const [o, weight] of weights.entries()) {
      let score = bias[o]!;
      for (let i = offsets[r]!; i < offsets[r + 1]!; i++) score += values[i]! * weight[columnOf[i]!]!;
      if (classes > 2) scores[r * classes + o] = score;
      else scores.set([-score / 2, score / 2], r * 2);
    }
  }
  return scores;
}
