/** How well a kind of classifier does on texts that it has not seen. */
import { describeValue, InputError, throwIfCancelled } from '../../errors.js';
import { expectedCalibrationError, rocAuc } from '../../train/metrics.js';
import { checkClasses, checkTexts } from './checks.js';
import { splitFold, stratifiedFolds } from './folds.js';
import { type FitReviewOptions, reviewKind } from './kinds.js';

/** The options of the kind, and how it is measured. */
export type CrossValidateReviewsOptions = FitReviewOptions & {
  /** Default 10. */
  folds?: number | undefined;
  /** Called when a fold is done. */
  onFold?: ((fold: ReviewFold & { done: number; total: number }) => void) | undefined;
};

export interface ReviewFold {
  /** From 1. */
  fold: number;
  /** Texts held out. */
  texts: number;
  accuracy: number;
  /** Mean -log of the probability of the true class. */
  logLoss: number;
}

export interface ReviewValidation {
  classes: string[];
  folds: ReviewFold[];
  /** Over the folds; std with n - 1. */
  accuracy: { mean: number; std: number };
  logLoss: { mean: number; std: number };
  /** Mean of the F1 of the classes, over all texts. */
  macroF1: number;
  /** Of two classes, over all texts: ranking, and how far probabilities are from frequencies (10 bins). */
  rocAuc: number | null;
  calibrationError: number | null;
  /** [true class][class of the largest probability], texts */
  confusion: number[][];
  /** (texts, classes): of each text by the classifier that has not seen it. */
  probabilities: Float32Array;
  /** (texts): the fold of each, from 0. */
  foldOf: Int32Array;
}

/**
 * Stratified cross-validation: for each fold a classifier is fitted on the others from scratch (its vocabulary too) and
 * asked about the fold.
 *
 * @throws as fitReviewClassifier; DataError ERR_DATA_EMPTY  a class with fewer texts than folds
 */
export async function crossValidateReviews(
  texts: readonly string[],
  labels: readonly string[],
  options: CrossValidateReviewsOptions,
): Promise<ReviewValidation> {
  checkTexts(texts);
  const { folds: total = 10, onFold, ...fitting } = options;
  const { classes, truth } = checkClasses(texts, labels, options.classes);
  if (!Number.isInteger(total) || total < 2 || total > texts.length) {
    throw new InputError('ERR_INPUT_VALUE', {
      field: 'folds',
      expected: `a whole number from 2 to ${texts.length}`,
      got: describeValue(total),
    });
  }
  const kind = await reviewKind(options.kind);
  const count = classes.length;
  const foldOf = stratifiedFolds(truth, count, total, options.seed ?? 0);
  const probabilities = new Float32Array(texts.length * count);
  const folds: ReviewFold[] = [];
  for (let k = 0; k < total; k++) {
    throwIfCancelled(options.signal);
    const { inside, outside } = splitFold(foldOf, k);
    const data = {
      texts: [...outside].map((text) => texts[text]!),
      truth: outside.map((text) => truth[text]!),
      classes,
      languages: options.languages ?? ['en'],
    };
    const classifier = await kind.fit(data, fitting as FitReviewOptions);
    try {
      const held = [...inside].map((text) => texts[text]!);
      const found = await classifier.predict(held, { signal: options.signal });
      let [right, loss] = [0, 0];
      for (const [i, text] of inside.entries()) {
        const row = found.subarray(i * count, (i + 1) * count);
        probabilities.set(row, text * count);
        if (likeliest(row) === truth[text]) right++;
        loss -= Math.log(Math.max(row[truth[text]!]!, 1e-7));
      }
      const n = inside.length;
      folds.push({ fold: k + 1, texts: n, accuracy: right / n, logLoss: loss / n });
    } finally {
      await classifier.dispose();
    }
    onFold?.({ ...folds[k]!, done: k + 1, total });
  }
  return {
    classes,
    folds,
    accuracy: spread(folds.map(({ accuracy }) => accuracy)),
    logLoss: spread(folds.map(({ logLoss }) => logLoss)),
    ...overall(probabilities, truth, count),
    probabilities,
    foldOf,
  };
}

function overall(
  probabilities: Float32Array,
  truth: Int32Array,
  count: number,
): Pick<ReviewValidation, 'macroF1' | 'rocAuc' | 'calibrationError' | 'confusion'> {
  const confusion = Array.from({ length: count }, () => new Array<number>(count).fill(0));
  for (const [i, c] of truth.entries()) {
    confusion[c]![likeliest(probabilities.subarray(i * count, (i + 1) * count))]!++;
  }
  const f1 = confusion.map((row, c) => {
    const called = confusion.reduce((sum, other) => sum + other[c]!, 0);
    const are = row.reduce((a, b) => a + b, 0);
    return called + are === 0 ? 0 : (2 * row[c]!) / (called + are);
  });
  const second = truth.length > 0 && count === 2 ? probabilities.filter((_, i) => i % 2 === 1) : undefined;
  return {
    confusion,
    macroF1: f1.reduce((a, b) => a + b, 0) / count,
    rocAuc: second ? rocAuc(truth, second) : null,
    calibrationError: second ? expectedCalibrationError(truth, second) : null,
  };
}

/** The place of the largest. */
export function likeliest(row: Float32Array): number {
  let best = 0;
  for (let c = 1; c < row.length; c++) if (row[c]! > row[best]!) best = c;
  return best;
}

/** Mean and (n-1) standard deviation. */
function spread(values: readonly number[]): { mean: number; std: number } {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, std: Math.sqrt(squares / (values.length - 1)) };
}
