/** The linear part over n-grams that a text network may have beside it: an NB-SVM, calibrated. */
import { z } from 'zod';
import { type LinearClassifier, loadLinear } from '../sentiment/linear-classifier.js';
import type { ClassifierContents, StoredClassifier } from '../sentiment/stored.js';

export interface NGramPart {
  classifier: LinearClassifier;
  /** Of the logits, 0 to 1; the networks' mean has the rest. */
  share: number;
}

export const nGramSettingsSchema = z.strictObject({
  share: z.number().min(0).max(1),
  settings: z.record(z.string(), z.unknown()),
});

const TENSOR = 'n_grams.';
const FILE = 'n-grams-';

/** logits (texts, classes) = (1 - share) · logits + share · log of the n-grams' probabilities, in place. */
export async function addNGrams(
  logits: Float32Array,
  { classifier, share }: NGramPart,
  texts: readonly string[],
  signal: AbortSignal | undefined,
): Promise<void> {
  const theirs = await classifier.predict(texts, { signal });
  for (let i = 0; i < logits.length; i++) {
    logits[i] = (1 - share) * logits[i]! + share * Math.log(Math.max(theirs[i]!, 1e-12));
  }
}

/** What is saved of it beside the networks, under names of its own. */
export function nGramContents({ classifier, share }: NGramPart) {
  const { settings, tensors, files } = classifier.contents();
  return {
    settings: { share, settings },
    tensors: [...tensors].map(([name, tensor]) => [TENSOR + name, tensor] as const),
    files: Object.fromEntries(Object.entries(files ?? {}).map(([name, bytes]) => [FILE + name, bytes])),
  } satisfies { settings: ClassifierContents['settings']; tensors: unknown; files: unknown };
}

/** @throws ModelError ERR_MODEL_* */
export async function loadNGrams(
  { directory, header, tensors, file }: StoredClassifier,
  { share, settings }: z.infer<typeof nGramSettingsSchema>,
): Promise<NGramPart> {
  const own = [...tensors].flatMap(([name, tensor]) =>
    name.startsWith(TENSOR) ? [[name.slice(TENSOR.length), tensor] as const] : [],
  );
  const classifier = await loadLinear({
    directory,
    header: { ...header, kind: 'nb-svm', settings },
    tensors: new Map(own),
    file: (name) => file(FILE + name),
  });
  return { classifier, share };
}
