/**
 * Measures of forecasts against the truth. All sums are float64; `null` stands for "not defined on these films", such
 * as a correlation with a constant. As scikit-learn and SciPy have them, to 1e-9 on the golden cases.
 */
import { DataError, InputError, ShapeError } from '../errors.js';

type Numbers = ArrayLike<number>;

export interface ClassificationMetrics {
  n: number;
  accuracy: number;
  /** Means over the labels; a class that is never predicted, or never there, counts with 0. */
  macroPrecision: number;
  macroRecall: number;
  macroF1: number;
  microF1: number;
  /** Mean over the labels weighted by how often each is true. */
  weightedF1: number;
  /** By label, in the order of `labels`. */
  labels: number[];
  precision: number[];
  recall: number[];
  f1: number[];
  /** [true label][predicted label] */
  confusion: number[][];
}

export interface RegressionMetrics {
  n: number;
  rmse: number;
  mse: number;
  mae: number;
  /** 1 - Σ(t - p)² / Σ(t - t̄)²; of a constant truth 1 if perfect, else 0; null for fewer than 2 films. */
  r2: number | null;
  pearson: number | null;
  spearman: number | null;
  kendallTauB: number | null;
}

/** A share of the films with probabilities within [lower, upper): how sure the model was, and how often it was so. */
export interface ReliabilityBin {
  lower: number;
  upper: number;
  n: number;
  meanProbability: number;
  frequency: number;
}

export interface ProbabilityMetrics {
  n: number;
  /** -mean log of the probability of what came true; probabilities within 1e-7 of 0 and 1 count as that. */
  logLoss: number;
  /** mean (p - t)² */
  brier: number;
  /** Expected calibration error: mean over films of |frequency - mean probability| of their bin. */
  ece: number;
  /** null where all films are of one class. */
  rocAuc: number | null;
  /** null without a positive film. */
  averagePrecision: number | null;
}

/** Arrays of one length, 1 or more, without NaN. @returns the length */
export function checkPairs(truth: Numbers, predicted: Numbers, field = 'predicted'): number {
  const n = truth.length;
  if (predicted.length !== n) {
    throw new ShapeError('ERR_SHAPE', {
      field,
      expected: `${n} numbers, one a truth`,
      got: `${predicted.length}`,
    });
  }
  if (n === 0) throw new DataError('ERR_DATA_EMPTY', { field, expected: 'at least one film', got: 'none' });
  for (let i = 0; i < n; i++) {
    if (!Number.isNaN(truth[i]) && !Number.isNaN(predicted[i])) continue;
    throw new InputError('ERR_INPUT_VALUE', {
      field: `${Number.isNaN(truth[i]) ? 'truth' : field}[${i}]`,
      expected: 'a number',
      got: 'NaN',
    });
  }
  return n;
}

/** The places 0..n-1 by rising value; equal values keep their order. */
export function rising(values: Numbers): Uint32Array {
  return Uint32Array.from({ length: values.length }, (_, i) => i).sort(
    (a, b) => values[a]! - values[b]! || a - b,
  );
}

/**
 * Values gathered: `distinct` rising, and of each value its place there. Sorting numbers without a comparison function
 * and then looking places up is several times as fast as sorting places.
 */
function gathered(values: Numbers): { distinct: Float64Array; place: Uint32Array; counts: Uint32Array } {
  const n = values.length;
  const distinct = new Float64Array(n);
  // 0 and -0 are one value
  for (let i = 0; i < n; i++) distinct[i] = values[i]! + 0;
  distinct.sort();
  let length = 0;
  for (let i = 0; i < n; i++) {
    if (length === 0 || distinct[i] !== distinct[length - 1]) distinct[length++] = distinct[i]!;
  }
  const place = new Uint32Array(n);
  const counts = new Uint32Array(length);
  for (let i = 0; i < n; i++) {
    const value = values[i]!;
    let [low, high] = [0, length - 1];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (distinct[middle]! < value) low = middle + 1;
      else high = middle;
    }
    place[i] = low;
    counts[low]!++;
  }
  return { distinct: distinct.subarray(0, length), place, counts };
}

/** Ranks from 1; equal values share the mean of theirs. */
export function averageRanks(values: Numbers): Float64Array {
  const { place, counts } = gathered(values);
  const rank = new Float64Array(counts.length);
  for (let i = 0, before = 0; i < counts.length; before += counts[i++]!)
    rank[i] = before + (counts[i]! + 1) / 2;
  const ranks = new Float64Array(values.length);
  for (let i = 0; i < values.length; i++) ranks[i] = rank[place[i]!]!;
  return ranks;
}

const mean = (values: Numbers) => {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]!;
  return sum / values.length;
};

const isConstant = (values: Numbers) => {
  for (let i = 1; i < values.length; i++) if (values[i] !== values[0]) return false;
  return true;
};

/** Pearson's correlation; null if either side is constant. */
export function pearson(a: Numbers, b: Numbers): number | null {
  checkPairs(a, b, 'b');
  if (isConstant(a) || isConstant(b)) return null;
  const [meanA, meanB] = [mean(a), mean(b)];
  let [aa, bb, ab] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    const [x, y] = [a[i]! - meanA, b[i]! - meanB];
    aa += x * x;
    bb += y * y;
    ab += x * y;
  }
  return Math.max(-1, Math.min(1, ab / (Math.sqrt(aa) * Math.sqrt(bb))));
}

/** Spearman's rank correlation, average ranks for ties; null if either side is constant. */
export function spearman(a: Numbers, b: Numbers): number | null {
  checkPairs(a, b, 'b');
  return pearson(averageRanks(a), averageRanks(b));
}

/** Pairs of equal neighbours in an order. */
function tiedPairs(order: Uint32Array, same: (i: number, j: number) => boolean): number {
  let pairs = 0;
  for (let from = 0; from < order.length; ) {
    let to = from + 1;
    while (to < order.length && same(order[from]!, order[to]!)) to++;
    pairs += ((to - from) * (to - from - 1)) / 2;
    from = to;
  }
  return pairs;
}

/** Sorts in place and says how many neighbours had to be swapped for it: the inversions. */
function inversions(values: Float64Array, spare: Float64Array, from: number, to: number): number {
  if (to - from < 2) return 0;
  const middle = (from + to) >> 1;
  let count = inversions(values, spare, from, middle) + inversions(values, spare, middle, to);
  for (let i = from, left = from, right = middle; i < to; i++) {
    if (right >= to || (left < middle && values[left]! <= values[right]!)) spare[i] = values[left++]!;
    else {
      spare[i] = values[right++]!;
      count += middle - left;
    }
  }
  values.set(spare.subarray(from, to), from);
  return count;
}

/** Kendall's τ-b by Knight's algorithm, n log n; null if either side is constant. */
export function kendallTauB(a: Numbers, b: Numbers): number | null {
  const n = checkPairs(a, b, 'b');
  if (isConstant(a) || isConstant(b)) return null;
  const order = Uint32Array.from({ length: n }, (_, i) => i).sort((i, j) => a[i]! - a[j]! || b[i]! - b[j]!);
  const all = (n * (n - 1)) / 2;
  const tiedA = tiedPairs(order, (i, j) => a[i] === a[j]);
  const tiedBoth = tiedPairs(order, (i, j) => a[i] === a[j] && b[i] === b[j]);
  const tiedB = tiedPairs(rising(b), (i, j) => b[i] === b[j]);
  const swaps = inversions(
    Float64Array.from(order, (i) => b[i]!),
    new Float64Array(n),
    0,
    n,
  );
  const difference = all - tiedA - tiedB + tiedBoth - 2 * swaps;
  return Math.max(-1, Math.min(1, difference / Math.sqrt(all - tiedA) / Math.sqrt(all - tiedB)));
}

/**
 * The errors alone: what regressionMetrics gives without the correlations, which need sorting.
 *
 * @param truth      (n)
 * @param predicted  (n)
 * @throws ShapeError ERR_SHAPE, DataError ERR_DATA_EMPTY, InputError ERR_INPUT_VALUE  lengths differ, are 0, NaN
 */
export function regressionErrors(
  truth: Numbers,
  predicted: Numbers,
): Pick<RegressionMetrics, 'n' | 'rmse' | 'mse' | 'mae' | 'r2'> {
  const n = checkPairs(truth, predicted);
  const centre = mean(truth);
  let [squares, absolutes, spread] = [0, 0, 0];
  for (let i = 0; i < n; i++) {
    const error = predicted[i]! - truth[i]!;
    squares += error * error;
    absolutes += Math.abs(error);
    spread += (truth[i]! - centre) ** 2;
  }
  const r2 = n < 2 ? null : isConstant(truth) ? (squares === 0 ? 1 : 0) : 1 - squares / spread;
  return { n, rmse: Math.sqrt(squares / n), mse: squares / n, mae: absolutes / n, r2 };
}

/** @throws as regressionErrors */
export function regressionMetrics(truth: Numbers, predicted: Numbers): RegressionMetrics {
  return {
    ...regressionErrors(truth, predicted),
    pearson: pearson(truth, predicted),
    spearman: spearman(truth, predicted),
    kendallTauB: kendallTauB(truth, predicted),
  };
}

/**
 * @param truth      (n) class numbers
 * @param predicted  (n) class numbers
 * @param labels     classes that the means run over; default: those that are there, in rising order
 * @throws as regressionErrors; InputError ERR_INPUT_VALUE also for a class that is not among the labels
 */
export function classificationMetrics(
  truth: Numbers,
  predicted: Numbers,
  labels: readonly number[] = [...new Set([...Array.from(truth), ...Array.from(predicted)])].sort(
    (a, b) => a - b,
  ),
): ClassificationMetrics {
  const n = checkPairs(truth, predicted);
  const places = new Map(labels.map((label, i) => [label, i]));
  const placeOf = (label: number, field: string) => {
    const place = places.get(label);
    if (place === undefined) {
      throw new InputError('ERR_INPUT_VALUE', {
        field,
        expected: `one of the labels ${labels.join(', ')}`,
        got: `${label}`,
      });
    }
    return place;
  };
  const confusion = labels.map(() => labels.map(() => 0));
  for (let i = 0; i < n; i++) {
    confusion[placeOf(truth[i]!, 'truth')]![placeOf(predicted[i]!, 'predicted')]!++;
  }
  const share = (a: number, b: number) => (b === 0 ? 0 : a / b);
  const support = confusion.map((row) => row.reduce((a, b) => a + b, 0));
  const said = labels.map((_, j) => confusion.reduce((sum, row) => sum + row[j]!, 0));
  const hits = labels.map((_, i) => confusion[i]![i]!);
  const precision = hits.map((hit, i) => share(hit, said[i]!));
  const recall = hits.map((hit, i) => share(hit, support[i]!));
  const f1 = hits.map((hit, i) => share(2 * hit, said[i]! + support[i]!));
  const accuracy = hits.reduce((a, b) => a + b, 0) / n;
  return {
    n,
    accuracy,
    macroPrecision: mean(precision),
    macroRecall: mean(recall),
    macroF1: mean(f1),
    // with one label a film, micro precision, recall and F1 are all the accuracy
    microF1: accuracy,
    weightedF1: f1.reduce((sum, value, i) => sum + value * support[i]!, 0) / n,
    labels: [...labels],
    precision,
    recall,
    f1,
    confusion,
  };
}

/**
 * Area under the ROC curve: the chance that a positive film scores above a negative one, ties half.
 *
 * @param truth  (n) 0 or 1
 * @param score  (n) any increasing function of the probability
 * @returns null where all films are of one class
 */
export function rocAuc(truth: Numbers, score: Numbers): number | null {
  checkPairs(truth, score, 'score');
  const ranks = averageRanks(score);
  let [positives, rankSum] = [0, 0];
  for (let i = 0; i < truth.length; i++) {
    if (truth[i] !== 1) continue;
    positives++;
    rankSum += ranks[i]!;
  }
  const negatives = truth.length - positives;
  if (positives === 0 || negatives === 0) return null;
  return (rankSum - (positives * (positives + 1)) / 2) / (positives * negatives);
}

/** Σ (recall_k - recall_k-1) · precision_k over the thresholds, ties together; null without a positive film. */
export function averagePrecision(truth: Numbers, score: Numbers): number | null {
  checkPairs(truth, score, 'score');
  const { place, counts } = gathered(score);
  const positives = new Uint32Array(counts.length);
  for (let i = 0; i < truth.length; i++) if (truth[i] === 1) positives[place[i]!]!++;
  let [hits, said, sum] = [0, 0, 0];
  for (let i = counts.length - 1; i >= 0; i--) {
    hits += positives[i]!;
    said += counts[i]!;
    sum += positives[i]! * (hits / said);
  }
  return hits === 0 ? null : sum / hits;
}

/** Films in bins of equal width by probability, for the calibration plot. Empty bins are left out. */
export function reliabilityBins(truth: Numbers, probability: Numbers, bins = 10): ReliabilityBin[] {
  const n = checkPairs(truth, probability, 'probability');
  const all = Array.from({ length: bins }, () => ({ n: 0, said: 0, came: 0 }));
  for (let i = 0; i < n; i++) {
    const bin = all[Math.min(bins - 1, Math.max(0, Math.floor(probability[i]! * bins)))]!;
    bin.n++;
    bin.said += probability[i]!;
    bin.came += truth[i]!;
  }
  return all.flatMap((bin, i) =>
    bin.n === 0
      ? []
      : {
          lower: i / bins,
          upper: (i + 1) / bins,
          n: bin.n,
          meanProbability: bin.said / bin.n,
          frequency: bin.came / bin.n,
        },
  );
}

/** Expected calibration error over bins of equal width. @param probability  (n) of the truth being 1 */
export function expectedCalibrationError(truth: Numbers, probability: Numbers, bins = 10): number {
  return reliabilityBins(truth, probability, bins).reduce(
    (sum, bin) => sum + (bin.n / truth.length) * Math.abs(bin.frequency - bin.meanProbability),
    0,
  );
}

const CLIP = 1e-7;

/**
 * @param truth        (n) 0 or 1
 * @param probability  (n) of 1
 */
export function probabilityMetrics(truth: Numbers, probability: Numbers, bins = 10): ProbabilityMetrics {
  const n = checkPairs(truth, probability, 'probability');
  let [log, square] = [0, 0];
  for (let i = 0; i < n; i++) {
    const p = Math.min(1 - CLIP, Math.max(CLIP, probability[i]!));
    log -= truth[i] === 1 ? Math.log(p) : Math.log1p(-p);
    square += (probability[i]! - truth[i]!) ** 2;
  }
  return {
    n,
    logLoss: log / n,
    brier: square / n,
    ece: expectedCalibrationError(truth, probability, bins),
    rocAuc: rocAuc(truth, probability),
    averagePrecision: averagePrecision(truth, probability),
  };
}
