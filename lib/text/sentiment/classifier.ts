/** What every classifier of reviews can do, whatever is inside, and how one is fitted, kept and found again. */
import { checkClasses, checkTexts } from './checks.js';
import { type FitReviewOptions, type ReviewKindName, reviewKind } from './kinds.js';
import { readStored } from './stored.js';

export interface ClassifyOptions {
  signal?: AbortSignal | undefined;
  /** Texts done, of all. */
  onProgress?: ((progress: { done: number; total: number }) => void) | undefined;
}

/** What a part of a text adds to the score of each class. */
export interface Contribution {
  /** The part as it stands in the text; of a word pair, from the first word to the end of the second. */
  text: string;
  /** UTF-16 offsets, end exclusive. */
  start: number;
  end: number;
  /** (classes): added to the logits, the logarithms of the probabilities up to a constant. */
  scores: Float32Array;
}

export interface ReviewExplanation {
  /** (classes) */
  probabilities: Float32Array;
  /** (classes): the logits of a text without any known part. */
  base: Float32Array;
  /** Whether `base` and all scores add up to the logits; else each score is the effect of leaving its part out. */
  additive: boolean;
  /** In the order of the text. */
  contributions: Contribution[];
}

/** Tells the class (usually the polarity) of texts. */
export interface ReviewClassifier {
  readonly kind: ReviewKindName;
  /** ISO 639-1 codes of the texts that it was fitted on. */
  readonly languages: readonly string[];
  /** Names of the classes, in the order of the probabilities. */
  readonly classes: readonly string[];
  /**
   * @returns (texts, classes) calibrated probabilities; each row sums to 1
   * @throws InputError ERR_INPUT_TYPE, ERR_INPUT_VALUE  not texts, one over 4,000,000 characters
   * @throws CancelledError ERR_CANCELLED
   * @throws DisposedError  ERR_DISPOSED
   */
  predict(texts: readonly string[], options?: ClassifyOptions): Promise<Float32Array>;
  /** Which parts of the text made it so. Not every kind can tell. */
  explain?(text: string, options?: ClassifyOptions): Promise<ReviewExplanation>;
  /**
   * Writes the classifier into a new directory, whole or not at all.
   *
   * @throws ModelError ERR_MODEL_IO  something is there already, the disk is full, no permission
   */
  save(directory: string): Promise<void>;
  dispose(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Fits a classifier to texts with known classes.
 *
 * @param texts   of any length; a blank one is allowed
 * @param labels  the class of each text by name; two classes or more, at most 100
 * @throws InputError ERR_INPUT_TYPE, ERR_INPUT_VALUE  not texts, not labels
 * @throws ShapeError ERR_SHAPE       not one label a text
 * @throws DataError  ERR_DATA_EMPTY  a class with fewer texts than calibration needs
 * @throws TrainError ERR_TRAIN_CONFIG  an option out of its range
 * @throws CancelledError ERR_CANCELLED
 */
export async function fitReviewClassifier(
  texts: readonly string[],
  labels: readonly string[],
  options: FitReviewOptions,
): Promise<ReviewClassifier> {
  checkTexts(texts);
  const { classes, truth } = checkClasses(texts, labels, options.classes);
  const kind = await reviewKind(options.kind);
  return kind.fit({ texts, truth, classes, languages: options.languages ?? ['en'] }, options);
}

/**
 * A classifier that `save` has written: `classifier.json` says kind, version and the size and hash of every other file,
 * all of which are checked. Nothing of it is run as code.
 *
 * @throws ModelError ERR_MODEL_NOT_FOUND  no such directory, or a file is missing
 * @throws ModelError ERR_MODEL_SPEC       classifier.json does not hold what it should, or another version's
 * @throws ModelError ERR_MODEL_CHECKSUM   a file is not the one that was saved
 * @throws ModelError ERR_MODEL_LOAD       weights that do not fit their description, or over the limits
 */
export async function loadReviewClassifier(directory: string): Promise<ReviewClassifier> {
  const stored = await readStored(directory);
  return (await reviewKind(stored.header.kind)).load(stored);
}
