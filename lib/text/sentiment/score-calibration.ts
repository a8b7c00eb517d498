/** From scores to probabilities that come true as often as they say. */

/** probabilities = softmax(sharpness · scores + bias) */
export interface ScoreCalibration {
  sharpness: number;
  /** (classes), the first 0 */
  bias: Float64Array;
}

const STEPS = 100;
const ENOUGH = 1e-9;
/** Keeps the fit finite where the scores tell the classes apart without a fault. */
const RIDGE = 1e-6;
const LEAST_SHARPNESS = 1e-4;

/**
 * The sharpness and biases of least log loss, by Newton's method: temperature scaling with a bias a class, which for two
 * classes is Platt's. Targets are softened as Platt's are, so that no probability becomes 0 or 1.
 *
 * @param scores  (n, classes), of texts that the classifier was not fitted on
 * @param truth   (n) classes by number
 * Source: Platt 1999; Guo et al. 2017; Alexandari, Kundaje and Shrikumar 2020 (bias-corrected temperature scaling).
 */
export function fitScoreCalibration(
  scores: Float64Array,
  truth: Int32Array,
  classes: number,
): ScoreCalibration {
  const n = truth.length;
  const counts = new Float64Array(classes);
  for (const c of truth) counts[c]!++;
  // parameters: the sharpness, then the biases of all classes but the first
  const parameters = new Float64Array(classes);
  parameters[0] = 1 / Math.max(rootMeanSquare(scores), 1e-12);
  let loss = Number.POSITIVE_INFINITY;
  let damping = 0;
  let accepted = parameters.slice();
  for (let step = 0; step < STEPS; step++) {
    const found = derivatives(scores, truth, counts, parameters);
    if (!(found.loss <= loss)) {
      // too far: half way back towards the last parameters that were better
      if (++damping > 30) break;
      parameters.forEach((value, i) => {
        parameters[i] = (value + accepted[i]!) / 2;
      });
      continue;
    }
    const gain = loss - found.loss;
    loss = found.loss;
    accepted = parameters.slice();
    damping = 0;
    if (gain < ENOUGH * n) break;
    const move = solve(found.hessian, found.gradient, classes);
    for (let i = 0; i < classes; i++) parameters[i]! -= move[i]!;
    parameters[0] = Math.max(parameters[0]!, LEAST_SHARPNESS);
  }
  const bias = new Float64Array(classes);
  bias.set(accepted.subarray(1), 1);
  return { sharpness: accepted[0]!, bias };
}

function rootMeanSquare(values: Float64Array): number {
  return Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / Math.max(1, values.length));
}

function derivatives(
  scores: Float64Array,
  truth: Int32Array,
  counts: Float64Array,
  parameters: Float64Array,
): { loss: number; gradient: Float64Array; hessian: Float64Array } {
  const classes = counts.length;
  const gradient = new Float64Array(classes);
  const hessian = new Float64Array(classes * classes);
  const p = new Float64Array(classes);
  let loss = 0;
  for (let i = 0; i < truth.length; i++) {
    const row = scores.subarray(i * classes, (i + 1) * classes);
    for (let c = 0; c < classes; c++) p[c] = parameters[0]! * row[c]! + (c > 0 ? parameters[c]! : 0);
    const log = softmax(p);
    const hit = (counts[truth[i]!]! + 1) / (counts[truth[i]!]! + classes);
    const miss = (1 - hit) / (classes - 1);
    let [mean, squares, slope] = [0, 0, 0];
    for (let c = 0; c < classes; c++) {
      const target = c === truth[i] ? hit : miss;
      loss -= target * log[c]!;
      mean += p[c]! * row[c]!;
      squares += p[c]! * row[c]! * row[c]!;
      slope += (p[c]! - target) * row[c]!;
      if (c > 0) gradient[c]! += p[c]! - target;
    }
    gradient[0]! += slope;
    hessian[0]! += squares - mean * mean;
    for (let a = 1; a < classes; a++) {
      const cross = p[a]! * (row[a]! - mean);
      hessian[a]! += cross;
      hessian[a * classes]! += cross;
      for (let b = 1; b < classes; b++) hessian[a * classes + b]! += p[a]! * ((a === b ? 1 : 0) - p[b]!);
    }
  }
  for (let a = 0; a < classes; a++) hessian[a * classes + a]! += RIDGE * truth.length;
  return { loss, gradient, hessian };
}

/** Replaces logits by their softmax. @returns its logarithms */
export function softmax(logits: Float64Array): Float64Array {
  const most = logits.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  let sum = 0;
  for (const value of logits) sum += Math.exp(value - most);
  const log = logits.map((value) => value - most - Math.log(sum));
  for (let c = 0; c < logits.length; c++) logits[c] = Math.exp(log[c]!);
  return log;
}

/** x of A x = b for a positive definite A, by Gaussian elimination. */
function solve(matrix: Float64Array, b: Float64Array, n: number): Float64Array {
  const a = matrix.slice();
  const x = b.slice();
  for (let k = 0; k < n; k++) {
    for (let i = k + 1; i < n; i++) {
      const factor = a[i * n + k]! / a[k * n + k]!;
      for (let j = k; j < n; j++) a[i * n + j]! -= factor * a[k * n + j]!;
      x[i]! -= factor * x[k]!;
    }
  }
  for (let k = n - 1; k >= 0; k--) {
    for (let j = k + 1; j < n; j++) x[k]! -= a[k * n + j]! * x[j]!;
    x[k]! /= a[k * n + k]!;
  }
  return x;
}
