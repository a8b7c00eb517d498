/** A classifier whose logits are a sum over the terms of a text. */
import { z } from 'zod';
import { DisposedError, ModelError, throwIfCancelled } from '../../errors.js';
import { MAX_TERMS, Vectorizer, type VectorizerOptions } from '../words/vectorizer.js';
import { checkTexts } from './checks.js';
import type { ClassifyOptions, Contribution, ReviewClassifier, ReviewExplanation } from './classifier.js';
import type { ReviewKindName } from './kinds.js';
import { type LinearWeights, linearScores } from './linear-fit.js';
import { softmax } from './score-calibration.js';
import { type ClassifierContents, type StoredClassifier, tensorOf, writeStored } from './stored.js';

export interface LinearParts {
  kind: ReviewKindName;
  languages: readonly string[];
  classes: readonly string[];
  vectorizer: Vectorizer;
  /** Calibrated: their scores are logits. */
  weights: Float32Array[];
  bias: Float32Array;
  /** Whether and on how many texts the probabilities were calibrated; 0: they are not. */
  calibratedOn: number;
}

const VOCABULARY = 'vocabulary.txt';
/** Texts whose terms are held at a time. */
const GROUP = 4096;

export class LinearClassifier implements ReviewClassifier {
  readonly kind: ReviewKindName;
  readonly languages: readonly string[];
  readonly classes: readonly string[];
  /** Texts that the probabilities were calibrated on; 0 of one that was not. */
  readonly calibratedOn: number;
  #parts: LinearParts | undefined;

  constructor(parts: LinearParts) {
    this.kind = parts.kind;
    this.languages = parts.languages;
    this.classes = parts.classes;
    this.calibratedOn = parts.calibratedOn;
    this.#parts = parts;
  }

  async predict(texts: readonly string[], options: ClassifyOptions = {}): Promise<Float32Array> {
    const { vectorizer, weights, bias } = this.#open();
    const { signal, onProgress } = options;
    checkTexts(texts);
    throwIfCancelled(signal);
    const count = this.classes.length;
    const probabilities = new Float32Array(texts.length * count);
    const linear: LinearWeights = { weights, bias };
    for (let first = 0; first < texts.length; first += GROUP) {
      const group = texts.slice(first, first + GROUP);
      const rows = await vectorizer.transform(group, {
        signal,
        onProgress: ({ done }) => onProgress?.({ done: first + done, total: texts.length }),
      });
      const logits = linearScores(rows, linear, count);
      for (let i = 0; i < group.length; i++) {
        const row = logits.subarray(i * count, (i + 1) * count);
        softmax(row);
        probabilities.set(row, (first + i) * count);
      }
    }
    onProgress?.({ done: texts.length, total: texts.length });
    return probabilities;
  }

  /** What each term adds to the logits; terms of one place (a word and its stem) count together. */
  async explain(text: string, options: ClassifyOptions = {}): Promise<ReviewExplanation> {
    const { vectorizer, weights, bias } = this.#open();
    checkTexts([text], 'text');
    throwIfCancelled(options.signal);
    const count = this.classes.length;
    const rows = await vectorizer.transform([text], { signal: options.signal });
    const value = new Map<number, number>();
    rows.columnOf.forEach((column, i) => {
      value.set(column, rows.values[i]!);
    });
    const found = vectorizer.find(text);
    const times = new Map<number, number>();
    for (const { column } of found) times.set(column, (times.get(column) ?? 0) + 1);
    const places = new Map<string, Contribution>();
    for (const { column, start, end } of found) {
      const share = value.get(column)! / times.get(column)!;
      let place = places.get(`${start} ${end}`);
      if (place === undefined) {
        place = { text: text.slice(start, end), start, end, scores: new Float32Array(count) };
        places.set(`${start} ${end}`, place);
      }
      weights.forEach((weight, o) => {
        if (count > 2) place.scores[o]! += share * weight[column]!;
        else {
          place.scores[0]! -= (share * weight[column]!) / 2;
          place.scores[1]! += (share * weight[column]!) / 2;
        }
      });
    }
    const contributions = [...places.values()].sort((a, b) => a.start - b.start || a.end - b.end);
    const base = count > 2 ? bias.slice() : Float32Array.of(-bias[0]! / 2, bias[0]! / 2);
    const logits = linearScores(rows, { weights, bias }, count);
    softmax(logits);
    return { probabilities: Float32Array.from(logits), base, additive: true, contributions };
  }

  async save(directory: string): Promise<void> {
    await writeStored(directory, this.contents());
  }

  /** @internal What `save` writes: also kept within the files of a classifier that this one is part of. */
  contents(): ClassifierContents {
    const { vectorizer, weights, bias } = this.#open();
    const terms = vectorizer.terms.length;
    const all = new Float32Array(weights.length * terms);
    weights.forEach((weight, o) => {
      all.set(weight, o * terms);
    });
    return {
      kind: this.kind,
      languages: this.languages,
      classes: this.classes,
      settings: { features: vectorizer.options, terms, calibratedOn: this.calibratedOn },
      tensors: new Map([
        ['weight', { dtype: 'F32', shape: [weights.length, terms], data: all }],
        ['bias', { dtype: 'F32', shape: [bias.length], data: bias }],
        ['idf', { dtype: 'F32', shape: [terms], data: vectorizer.idf }],
      ]),
      files: { [VOCABULARY]: new TextEncoder().encode(vectorizer.terms.join('\n')) },
    };
  }

  /** Lets go of the weights. */
  async dispose(): Promise<void> {
    this.#parts = undefined;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  #open(): LinearParts {
    if (this.#parts !== undefined) return this.#parts;
    throw new DisposedError('ERR_DISPOSED', { message: 'The classifier has been disposed' });
  }
}

const settingsSchema = z.strictObject({
  features: z.record(z.string(), z.unknown()),
  terms: z.int().min(0).max(MAX_TERMS),
  calibratedOn: z.int().min(0),
});

/** @throws ModelError ERR_MODEL_SPEC, ERR_MODEL_LOAD, ERR_MODEL_CHECKSUM, ERR_MODEL_NOT_FOUND */
export async function loadLinear(stored: StoredClassifier): Promise<LinearClassifier> {
  const { header, directory } = stored;
  const bad = (expected: string, got?: string, cause?: unknown) =>
    new ModelError('ERR_MODEL_SPEC', { file: directory, field: 'settings', expected, got, cause });
  const parsed = settingsSchema.safeParse(header.settings);
  if (!parsed.success) throw bad(parsed.error.issues[0]?.message ?? 'settings of a linear classifier');
  const { terms: count, calibratedOn, features } = parsed.data;
  const outputs = header.classes.length > 2 ? header.classes.length : 1;
  const all = tensorOf(stored, 'weight', 'F32', [outputs, count]).data as Float32Array;
  const bias = tensorOf(stored, 'bias', 'F32', [outputs]).data as Float32Array;
  const idf = tensorOf(stored, 'idf', 'F32', [count]).data as Float32Array;
  for (const [field, values] of Object.entries({ weight: all, bias, idf })) {
    if (values.every(Number.isFinite)) continue;
    throw new ModelError('ERR_MODEL_LOAD', { field, file: directory, expected: 'finite numbers' });
  }
  const list = new TextDecoder().decode(await stored.file(VOCABULARY));
  let vectorizer: Vectorizer;
  try {
    vectorizer = Vectorizer.of(list === '' ? [] : list.split('\n'), idf, features as VectorizerOptions);
  } catch (cause) {
    throw bad('the features that the weights are of', (cause as Error).message, cause);
  }
  return new LinearClassifier({
    kind: header.kind as ReviewKindName,
    languages: header.languages,
    classes: header.classes,
    vectorizer,
    weights: Array.from({ length: outputs }, (_, o) => all.subarray(o * count, (o + 1) * count)),
    bias,
    calibratedOn,
  });
}
