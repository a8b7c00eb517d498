/** The linear kinds of classifiers: their options, defaults, and how one is fitted and calibrated. */
import { z } from 'zod';
import { describeValue, TrainError, throwIfCancelled } from '../../errors.js';
import { takeRows } from '../words/sparse.js';
import { Vectorizer, type VectorizerOptions } from '../words/vectorizer.js';
import type { FitCommonOptions, LabelledTexts, ReviewKind, ReviewKindName } from './kinds.js';
import { splitFold, stratifiedFolds } from './folds.js';
import { LinearClassifier, loadLinear } from './linear-classifier.js';
import {
  type FitWeights,
  type LinearWeights,
  linearScores,
  naiveBayesWeights,
  nbSvmWeights,
  svmWeights,
} from './linear-fit.js';
import { fitScoreCalibration, type ScoreCalibration } from './score-calibration.js';

/** What the linear kinds share. */
export interface LinearOptions {
  /** Terms and how they are weighed. Default: by language, see docs/reviews.md. */
  features?: VectorizerOptions | undefined;
  /**
   * Folds whose held-out scores the probabilities are calibrated on; 0: the softmax of the scores as they are, which
   * compare but promise nothing. Default 5.
   */
  calibrationFolds?: number | undefined;
  /**
   * Shares of the classes where the classifier will be used, in the order of `classes`. Default: as in the texts that it
   * is fitted on.
   */
  priors?: readonly number[] | undefined;
}

export interface NaiveBayesOptions extends LinearOptions {
  /** Added to the count of every term: α. Default 1. */
  smoothing?: number | undefined;
}

export interface SvmOptions extends LinearOptions {
  /** What a text on the wrong side costs: C. Default 1 (0.5 for English). */
  cost?: number | undefined;
  /** The largest violation that ends the fit. Default 0.1. */
  tolerance?: number | undefined;
  /** Default 1000. */
  maxEpochs?: number | undefined;
}

export interface NbSvmOptions extends SvmOptions {
  /** α of the log ratios. Default 1. */
  smoothing?: number | undefined;
  /** How far the machine is trusted against naive Bayes, 0 to 1: β. Default 0.25. */
  interpolation?: number | undefined;
}

/** Words with their stems beside them, pairs, marks, and words under a negation; of Chinese words and characters. */
function defaultFeatures(language: string): VectorizerOptions {
  if (language === 'zh') return { language, marks: true, characters: [1, 2] };
  return { language, marks: true, ngrams: [1, 2], stems: 'beside', negated: true };
}

const positive = z.number().positive();
const settingsSchema = z.object({
  smoothing: positive.default(1),
  cost: positive.default(1),
  tolerance: positive.default(0.1),
  maxEpochs: z.int().min(1).max(1_000_000).default(1000),
  interpolation: z.number().min(0).max(1).default(0.25),
  calibrationFolds: z.union([z.literal(0), z.int().min(2).max(100)]).default(5),
  priors: z.array(positive).optional(),
  seed: z.int().min(0).default(0),
});

type Settings = z.infer<typeof settingsSchema>;

function parseSettings(options: object, classes: readonly string[]): Settings {
  const parsed = settingsSchema.safeParse(options);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    const field = issue?.path.join('.') ?? '';
    throw new TrainError('ERR_TRAIN_CONFIG', {
      field,
      expected: issue?.message ?? 'options of a classifier',
      got: describeValue((options as Record<string, unknown>)[field]),
    });
  }
  const { priors } = parsed.data;
  if (priors !== undefined && priors.length !== classes.length) {
    throw new TrainError('ERR_TRAIN_CONFIG', {
      field: 'priors',
      expected: `${classes.length} shares, one a class`,
      got: `${priors.length}`,
    });
  }
  return parsed.data;
}

interface LinearKind {
  kind: ReviewKindName;
  weighting: 'tfidf' | 'count' | 'binary';
  /** What differs from the general defaults. */
  defaults: (language: string) => Partial<Settings>;
  weights: (settings: Settings) => FitWeights;
}

function linearKind({
  kind,
  weighting,
  defaults,
  weights,
}: LinearKind): ReviewKind<LinearOptions & FitCommonOptions> {
  return {
    load: loadLinear,
    async fit(data, options) {
      const language = data.languages[0]!;
      const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
      const settings = parseSettings({ ...defaults(language), ...given }, data.classes);
      const features = { weighting, ...(options.features ?? defaultFeatures(language)) };
      return fitLinear(kind, data, features, settings, weights(settings), options);
    },
  };
}

async function fitLinear(
  kind: ReviewKindName,
  { texts, truth, classes, languages }: LabelledTexts,
  features: VectorizerOptions,
  settings: Settings,
  fitWeights: FitWeights,
  { signal, onProgress }: FitCommonOptions,
): Promise<LinearClassifier> {
  const { seed, calibrationFolds: folds, priors } = settings;
  const total = folds + 2;
  const { vectorizer, rows } = await Vectorizer.fitTransform(texts, features, { signal });
  onProgress?.({ step: 'terms', done: 1, total });
  const count = classes.length;
  let calibration: ScoreCalibration | undefined;
  if (folds > 0) {
    const fold = stratifiedFolds(truth, count, folds, seed);
    const scores = new Float64Array(texts.length * count);
    for (let k = 0; k < folds; k++) {
      throwIfCancelled(signal);
      const { inside, outside } = splitFold(fold, k);
      const own = Int32Array.from(outside, (text) => truth[text]!);
      const fitted = await fitWeights({
        rows: takeRows(rows, outside),
        truth: own,
        classes: count,
        seed,
        signal,
      });
      const held = linearScores(takeRows(rows, inside), fitted, count);
      inside.forEach((text, i) => {
        scores.set(held.subarray(i * count, (i + 1) * count), text * count);
      });
      onProgress?.({ step: 'calibration', done: k + 2, total });
    }
    calibration = fitScoreCalibration(scores, truth, count);
  }
  const fitted = await fitWeights({ rows, truth, classes: count, seed, signal });
  onProgress?.({ step: 'fit', done: total, total });
  return new LinearClassifier({
    kind,
    languages,
    classes,
    vectorizer,
    ...calibrated(fitted, calibration, shifts(truth, count, priors)),
    calibratedOn: folds > 0 ? texts.length : 0,
  });
}

/** By class: the logarithm of its share where the classifier is used, over its share among the texts. */
function shifts(truth: Int32Array, classes: number, priors: readonly number[] | undefined): Float64Array {
  const shift = new Float64Array(classes);
  if (priors === undefined) return shift;
  for (const c of truth) shift[c]!++;
  return shift.map((texts, c) => Math.log(priors[c]! / texts));
}

/** Weights whose scores are calibrated logits. */
function calibrated(
  { weights, bias }: LinearWeights,
  calibration: ScoreCalibration | undefined,
  shift: Float64Array,
): { weights: Float32Array[]; bias: Float32Array } {
  const sharpness = calibration?.sharpness ?? 1;
  const added = shift.map((value, c) => value + (calibration?.bias[c] ?? 0));
  // Of two classes there is one row: the margin of the second over the first.
  const offsets = weights.length === 1 ? Float64Array.of(added[1]! - added[0]!) : added;
  return {
    weights: weights.map((weight) => Float32Array.from(weight, (value) => value * sharpness)),
    bias: Float32Array.from(bias, (value, o) => value * sharpness + offsets[o]!),
  };
}

export const naiveBayesKind = linearKind({
  kind: 'naive-bayes',
  weighting: 'count',
  defaults: () => ({}),
  weights: ({ smoothing }) => naiveBayesWeights(smoothing),
});

export const svmKind = linearKind({
  kind: 'svm',
  weighting: 'tfidf',
  defaults: (language) => ({ cost: language === 'en' ? 0.5 : 1 }),
  weights: svmWeights,
});

export const nbSvmKind = linearKind({
  kind: 'nb-svm',
  weighting: 'binary',
  defaults: () => ({}),
  weights: nbSvmWeights,
});
