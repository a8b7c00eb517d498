/** The three fits that calibration rests on, each from plain numbers. */
import { DataError } from '../errors.js';
import type { IsotonicCurve } from '../fusion/manifest.js';
import { checkPairs, rising } from './metrics.js';

/**
 * Split-conformal quantile: the ⌈(n+1)·level⌉-th smallest value. An interval of this half width holds the truth of a
 * further film of the same kind with a chance of at least `level`, whatever the model.
 *
 * @param values  (n) absolute residuals
 * @throws DataError ERR_DATA_EMPTY  fewer values than the level needs: 9 for 0.9
 * Source: Papadopoulos et al. 2002; Lei et al. 2018.
 */
export function conformalQuantile(values: Float64Array, level: number): number {
  // (n+1)·level in floating point may lie a hair above the whole number that it is
  const rank = Math.ceil((values.length + 1) * level - 1e-9);
  if (rank > values.length) {
    throw new DataError('ERR_DATA_EMPTY', {
      field: 'calibration',
      expected: `at least ${Math.ceil(level / (1 - level) - 1e-9)} films for intervals of level ${level}`,
      got: `${values.length}`,
    });
  }
  return values.slice().sort()[Math.max(0, rank - 1)]!;
}

const HOTTEST = 100;

/**
 * The temperature T of least log loss of sigmoid(output / T), or of softmax(outputs / T), within 1/100 to 100.
 *
 * @param outputs  (n) logits, or (n, classes)
 * @param truth    (n) 0 or 1, or class numbers
 * @param classes  more than 1 for a softmax; default 1
 */
export function fitTemperature(outputs: ArrayLike<number>, truth: ArrayLike<number>, classes = 1): number {
  const n = truth.length;
  checkPairs(classes === 1 ? truth : new Float64Array(n * classes), outputs, 'outputs');
  // The loss is convex in β = 1/T: its slope has one zero, found by halving log β.
  const slope = classes === 1 ? sigmoidSlope(outputs, truth) : softmaxSlope(outputs, truth, classes);
  let [low, high] = [-Math.log(HOTTEST), Math.log(HOTTEST)];
  for (let step = 0; step < 40; step++) {
    const middle = (low + high) / 2;
    if (slope(Math.exp(middle)) > 0) high = middle;
    else low = middle;
  }
  return Math.exp(-(low + high) / 2);
}

function sigmoidSlope(outputs: ArrayLike<number>, truth: ArrayLike<number>) {
  return (beta: number) => {
    let sum = 0;
    for (let i = 0; i < truth.length; i++) {
      sum += outputs[i]! * (1 / (1 + Math.exp(-beta * outputs[i]!)) - truth[i]!);
    }
    return sum;
  };
}

function softmaxSlope(outputs: ArrayLike<number>, truth: ArrayLike<number>, classes: number) {
  return (beta: number) => {
    let sum = 0;
    for (let i = 0; i < truth.length; i++) {
      let most = Number.NEGATIVE_INFINITY;
      for (let c = 0; c < classes; c++) most = Math.max(most, outputs[i * classes + c]!);
      let [weights, mean] = [0, 0];
      for (let c = 0; c < classes; c++) {
        const weight = Math.exp(beta * (outputs[i * classes + c]! - most));
        weights += weight;
        mean += weight * outputs[i * classes + c]!;
      }
      sum += mean / weights - outputs[i * classes + truth[i]!]!;
    }
    return sum;
  };
}

/**
 * The non-falling curve of least squares through 0/1 outcomes, by pooling adjacent violators; each pool stands as one
 * point, at its mean output, and serving joins the points by straight lines (centred isotonic regression: no steps,
 * and films of different outputs keep their order). No probability is closer to 0 or 1 than 1/(n+2).
 *
 * @param outputs  (n) logits
 * @param truth    (n) 0 or 1
 * Source: Ayer et al. 1955; Oron and Flournoy 2017.
 */
export function fitIsotonic(outputs: ArrayLike<number>, truth: ArrayLike<number>): IsotonicCurve {
  const n = checkPairs(truth, outputs, 'outputs');
  const pools: { films: number; outputs: number; hits: number }[] = [];
  const order = rising(outputs);
  for (let from = 0; from < n; ) {
    // films of one output are one pool from the start
    let pool = { films: 0, outputs: 0, hits: 0 };
    const value = outputs[order[from]!]!;
    for (; from < n && outputs[order[from]!] === value; from++) {
      pool = {
        films: pool.films + 1,
        outputs: pool.outputs + value,
        hits: pool.hits + truth[order[from]!]!,
      };
    }
    for (
      let last = pools.at(-1);
      last && last.hits * pool.films >= pool.hits * last.films;
      last = pools.at(-1)
    ) {
      pools.pop();
      pool = {
        films: pool.films + last.films,
        outputs: pool.outputs + last.outputs,
        hits: pool.hits + last.hits,
      };
    }
    pools.push(pool);
  }
  const edge = 1 / (n + 2);
  const curve: IsotonicCurve = { outputs: [], probabilities: [] };
  for (const { films, outputs: sum, hits } of pools) {
    const at = sum / films;
    // means of neighbours may round to one number
    if (curve.outputs.length > 0 && at <= curve.outputs.at(-1)!) continue;
    curve.outputs.push(at);
    curve.probabilities.push(Math.min(1 - edge, Math.max(edge, hits / films)));
  }
  return curve;
}
