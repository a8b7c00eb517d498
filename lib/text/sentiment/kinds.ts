/** The table of kinds of classifiers: a line here, a type there, and fit, load and cross-validation know it. */
import { describeValue, InputError } from '../../errors.js';
import type { EncoderOptions, LstmOptions, TextCnnOptions } from '../neural/kinds.js';
import type { ReviewClassifier } from './classifier.js';
import type { NaiveBayesOptions, NbSvmOptions, SvmOptions } from './linear-kinds.js';
import type { StoredClassifier } from './stored.js';

/** The options of each kind beyond those that all have. */
export interface ReviewKindOptions {
  'naive-bayes': NaiveBayesOptions;
  svm: SvmOptions;
  'nb-svm': NbSvmOptions;
  'text-cnn': TextCnnOptions;
  lstm: LstmOptions;
  encoder: EncoderOptions;
}

export type ReviewKindName = keyof ReviewKindOptions;

/** Options that every kind has. */
export interface FitCommonOptions {
  /** Names of the classes in the wanted order. Default: those that occur, by name ("negative" before "positive"). */
  classes?: readonly string[] | undefined;
  /** ISO 639-1 codes of the texts. Default ['en']. */
  languages?: readonly string[] | undefined;
  /** Default 0. */
  seed?: number | undefined;
  signal?: AbortSignal | undefined;
  onProgress?: ((progress: FitReviewProgress) => void) | undefined;
}

export interface FitReviewProgress {
  /** What is being done, e.g. "epoch". */
  step: string;
  done: number;
  total: number;
  /** Accuracy on texts held out, where the kind measures it. */
  accuracy?: number | undefined;
}

export type FitReviewOptions = {
  [Kind in ReviewKindName]: { kind: Kind } & FitCommonOptions & ReviewKindOptions[Kind];
}[ReviewKindName];

/** Checked texts with their classes. */
export interface LabelledTexts {
  texts: readonly string[];
  /** (texts) places in `classes` */
  truth: Int32Array;
  classes: readonly string[];
  languages: readonly string[];
}

/** One kind of classifier. */
export interface ReviewKind<Options = FitReviewOptions> {
  fit(data: LabelledTexts, options: Options): Promise<ReviewClassifier>;
  /** Makes a classifier of what its `save` wrote. */
  load(stored: StoredClassifier): Promise<ReviewClassifier>;
}

type Kinds = {
  [Kind in ReviewKindName]: () => Promise<ReviewKind<FitCommonOptions & ReviewKindOptions[Kind]>>;
};

const KINDS: Kinds = {
  'naive-bayes': async () => (await import('./linear-kinds.js')).naiveBayesKind,
  svm: async () => (await import('./linear-kinds.js')).svmKind,
  'nb-svm': async () => (await import('./linear-kinds.js')).nbSvmKind,
  'text-cnn': async () => (await import('../neural/kinds.js')).TEXT_CNN,
  lstm: async () => (await import('../neural/kinds.js')).LSTM,
  encoder: async () => (await import('../neural/kinds.js')).ENCODER,
};

/** @throws InputError ERR_INPUT_VALUE  no such kind */
export async function reviewKind(name: string): Promise<ReviewKind> {
  const open = Object.hasOwn(KINDS, name) ? KINDS[name as ReviewKindName] : undefined;
  if (open === undefined) {
    throw new InputError('ERR_INPUT_VALUE', {
      field: 'kind',
      expected: `one of ${Object.keys(KINDS).join(', ')}`,
      got: describeValue(name),
    });
  }
  return (await open()) as ReviewKind;
}
