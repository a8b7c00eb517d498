/** Linear support vector machines on sparse rows. */
import { throwIfCancelled } from '../../errors.js';
import { Pace } from '../../pace.js';
import { randomOf, seedOf } from '../../train/random.js';
import type { SparseRows } from '../words/sparse.js';

export interface SvmProblem {
  rows: SparseRows;
  /** By row: whether it is of the class. */
  positive: Uint8Array;
  /** What a row on the wrong side costs, against the length of the weights. */
  cost: number;
  /** Ends when no dual gradient is further from its optimum. */
  tolerance: number;
  maxEpochs: number;
  seed: number;
  signal?: AbortSignal | undefined;
}

export interface SvmSolution {
  /** (columns) */
  weight: Float64Array;
  bias: number;
  epochs: number;
  converged: boolean;
}

/**
 *   min ½‖(w, b)‖² + C Σ max(0, 1 - y (w·x + b))²
 *
 * by dual coordinate descent with shrinking, float64, in an order that the seed gives; the bias is a weight like the
 * others, of a column of ones.
 *
 * @throws CancelledError ERR_CANCELLED
 * Source: Hsieh, Chang, Lin, Keerthi and Sundararajan, "A dual coordinate descent method for large-scale linear SVM",
 * ICML 2008, algorithm 3 with the L2 loss.
 */
export async function solveSvm({
  rows: { rows, columns, offsets, columnOf, values },
  positive,
  cost,
  tolerance,
  maxEpochs,
  seed,
  signal,
}: SvmProblem): Promise<SvmSolution> {
  const random = randomOf(seedOf(seed, 'svm'));
  const pace = new Pace();
  const weight = new Float64Array(columns);
  let bias = 0;
  const alpha = new Float64Array(rows);
  const diagonal = 1 / (2 * cost);
  const curvature = new Float64Array(rows);
  for (let r = 0; r < rows; r++) {
    let sum = 1 + diagonal;
    for (let i = offsets[r]!; i < offsets[r + 1]!; i++) sum += values[i]! * values[i]!;
    curvature[r] = sum;
  }
  const order = Int32Array.from({ length: rows }, (_, r) => r);
  let active = rows;
  // Rows whose gradient is above this, with alpha at its bound, are left out until the others are done.
  let shrinkAbove = Number.POSITIVE_INFINITY;
  for (let epoch = 1; epoch <= maxEpochs; epoch++) {
    random.shuffle(order.subarray(0, active));
    let [highest, lowest] = [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];
    for (let at = 0; at < active; at++) {
      const r = order[at]!;
      const y = positive[r] === 1 ? 1 : -1;
      const [from, to] = [offsets[r]!, offsets[r + 1]!];
      let score = bias;
      for (let i = from; i < to; i++) score += values[i]! * weight[columnOf[i]!]!;
      const gradient = y * score - 1 + alpha[r]! * diagonal;
      if (alpha[r] === 0 && gradient > shrinkAbove) {
        active--;
        order[at] = order[active]!;
        order[active] = r;
        at--;
        continue;
      }
      const projected = alpha[r] === 0 ? Math.min(gradient, 0) : gradient;
      highest = Math.max(highest, projected);
      lowest = Math.min(lowest, projected);
      if (Math.abs(projected) < 1e-12) continue;
      const before = alpha[r]!;
      alpha[r] = Math.max(before - gradient / curvature[r]!, 0);
      const step = (alpha[r]! - before) * y;
      bias += step;
      for (let i = from; i < to; i++) weight[columnOf[i]!]! += step * values[i]!;
      if ((at & 255) === 255 && pace.due) {
        throwIfCancelled(signal);
        await pace.rest();
      }
    }
    throwIfCancelled(signal);
    if (highest - lowest <= tolerance || active === 0) {
      if (active === rows) return { weight, bias, epochs: epoch, converged: true };
      active = rows;
      shrinkAbove = Number.POSITIVE_INFINITY;
      continue;
    }
    shrinkAbove = highest > 0 ? highest : Number.POSITIVE_INFINITY;
  }
  return { weight, bias, epochs: maxEpochs, converged: false };
}
