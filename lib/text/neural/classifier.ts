/** A classifier of texts made of trained networks: what is fitted, kept and found again. */
import { z } from 'zod';
import { DisposedError, ModelError, throwIfCancelled } from '../../errors.js';
import type { ExecOptions } from '../../ops/exec.js';
import { checkTexts } from '../sentiment/checks.js';
import type {
  ClassifyOptions,
  Contribution,
  ReviewClassifier,
  ReviewExplanation,
} from '../sentiment/classifier.js';
import type { ReviewKindName } from '../sentiment/kinds.js';
import type { StoredTensor } from '../../formats/safetensors.js';
import { type StoredClassifier, tensorOf, writeStored } from '../sentiment/stored.js';
import { ENCODER_FILES, EncoderTexts } from './encoder-texts.js';
import { addNGrams, loadNGrams, type NGramPart, nGramContents, nGramSettingsSchema } from './n-grams.js';
import { classLogits } from './fit.js';
import { TextNetwork } from './network.js';
import { IdSequences, type Sequences, VectorSequences } from './sequences.js';
import { textNetworkSchema, textWeightShapes } from './spec.js';
import { networkWords, WordVocabulary } from './vocabulary.js';

/** Texts read at a time: what a cancellation waits for, and what is in memory. */
const GROUP = 512;
/** Words of a text that `explain` looks at, one forward pass each. */
const EXPLAINED_WORDS = 400;
const VOCABULARY = 'vocabulary.txt';

const settingsSchema = z.strictObject({
  members: z
    .array(z.strictObject({ network: textNetworkSchema, temperature: z.number().positive() }))
    .min(1)
    .max(64),
  temperature: z.number().positive(),
  vocabulary: z.strictObject({ length: z.int().min(1).max(100_000) }).nullable(),
  encoder: z
    .strictObject({
      tokens: z.strictObject({ output: z.string().min(1), dim: z.int().min(1).max(65_536) }).nullable(),
      length: z.int().min(1).max(100_000),
    })
    .nullable(),
  nGrams: nGramSettingsSchema.nullish(),
});

/** A trained network, and the temperature by which its logits are divided before they are averaged. */
export interface TextMember {
  network: TextNetwork;
  temperature: number;
}

export interface NeuralParts {
  kind: ReviewKindName;
  languages: readonly string[];
  classes: readonly string[];
  /** Belong to the classifier from here on, as the encoder does unless `ownsEncoder` is false. */
  members: readonly TextMember[];
  /** The mean of the members' logits is divided by it. */
  temperature: number;
  vocabulary: WordVocabulary | undefined;
  encoder: EncoderTexts | undefined;
  /** A linear part over n-grams beside the networks. Belongs to the classifier. */
  nGrams?: NGramPart | undefined;
  ownsEncoder?: boolean;
  exec?: Omit<ExecOptions, 'signal'> | undefined;
}

/**
 * Text networks as a classifier of reviews: probabilities are the softmax of the members' mean logits over a
 * temperature that texts held out of training chose.
 */
export class NeuralReviewClassifier implements ReviewClassifier {
  readonly kind: ReviewKindName;
  readonly languages: readonly string[];
  readonly classes: readonly string[];
  /** @internal What `exportReviewOnnx` and a further fit read. */
  readonly parts: NeuralParts;
  #disposed = false;

  constructor(parts: NeuralParts) {
    this.kind = parts.kind;
    this.languages = parts.languages;
    this.classes = parts.classes;
    this.parts = parts;
  }

  async predict(texts: readonly string[], options: ClassifyOptions = {}): Promise<Float32Array> {
    checkTexts(texts);
    const all = new Float32Array(texts.length * this.classes.length);
    for (let from = 0; from < texts.length; from += GROUP) {
      const group = texts.slice(from, from + GROUP);
      all.set(await this.#predict(group, options.signal), from * this.classes.length);
      options.onProgress?.({ done: Math.min(texts.length, from + GROUP), total: texts.length });
    }
    return all;
  }

  async #predict(texts: readonly string[], signal: AbortSignal | undefined): Promise<Float32Array> {
    throwIfCancelled(signal);
    if (this.#disposed) {
      throw new DisposedError('ERR_DISPOSED', { message: 'This classifier has been disposed of' });
    }
    const { members, temperature, vocabulary, encoder, nGrams, exec } = this.parts;
    const reads = (kind: 'words' | 'vectors') =>
      members.some(({ network }) => network.spec.input.kind === kind);
    const sequences: Record<'words' | 'vectors', Sequences | undefined> = {
      words: reads('words') ? new IdSequences(await vocabulary!.encodeAll(texts, signal)) : undefined,
      vectors: reads('vectors')
        ? new VectorSequences(await encoder!.encode(texts, { signal }), encoder!.dim)
        : undefined,
    };
    const rows = Int32Array.from(texts.keys());
    const logits: Float32Array[] = [];
    for (const { network } of members) {
      logits.push(await network.runAll(sequences[network.spec.input.kind]!, rows, { ...exec, signal }));
    }
    const mean = meanLogits(logits, members, this.classes.length);
    if (nGrams) await addNGrams(mean, nGrams, texts, signal);
    return probabilitiesOf(mean, temperature, this.classes.length);
  }

  /** Each word's score is the effect of leaving it out; of at most 400 words. */
  async explain(text: string, options: ClassifyOptions = {}): Promise<ReviewExplanation> {
    checkTexts([text], 'text');
    const { encoder, vocabulary } = this.parts;
    const most = Math.min(EXPLAINED_WORDS, encoder ? EXPLAINED_WORDS : vocabulary!.length);
    const words = networkWords(text, most);
    const without = words.map(({ start, end }) => `${text.slice(0, start)} ${text.slice(end)}`);
    const count = this.classes.length;
    const rows = await this.predict([text, '', ...without], options);
    const logits = (row: number) => Float32Array.from(rows.subarray(row * count, (row + 1) * count), logOf);
    const whole = logits(0);
    const contributions = words.map(({ start, end }, i): Contribution => {
      const left = logits(i + 2);
      return { text: text.slice(start, end), start, end, scores: whole.map((value, c) => value - left[c]!) };
    });
    return { probabilities: rows.slice(0, count), base: logits(1), additive: false, contributions };
  }

  async save(directory: string): Promise<void> {
    const { kind, languages, classes, members, temperature, vocabulary, encoder, nGrams } = this.parts;
    const beside = nGrams && nGramContents(nGrams);
    const tensors = new Map<string, StoredTensor>([
      ...(beside?.tensors ?? []),
      ...members.flatMap(({ network: { spec, weights } }, i) =>
        [...textWeightShapes(spec)].map(
          ([name, shape]) =>
            [`members.${i}.${name}`, { dtype: 'F32' as const, shape, data: weights.get(name)! }] as const,
        ),
      ),
    ]);
    await writeStored(directory, {
      kind,
      languages,
      classes,
      settings: {
        members: members.map(({ network, temperature: own }) => ({
          network: network.spec,
          temperature: own,
        })),
        temperature,
        vocabulary: vocabulary ? { length: vocabulary.length } : null,
        encoder: encoder ? { tokens: encoder.options.tokens ?? null, length: encoder.options.length } : null,
        nGrams: beside?.settings ?? null,
      },
      tensors,
      files: {
        ...(vocabulary && { [VOCABULARY]: Buffer.from(vocabulary.words.slice(2).join('\n')) }),
        ...(encoder && (await encoder.stored())),
        ...beside?.files,
      },
    });
  }

  async dispose(): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    for (const { network } of this.parts.members) network.dispose();
    await this.parts.nGrams?.classifier.dispose();
    if (this.parts.ownsEncoder !== false) await this.parts.encoder?.dispose();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose();
  }
}

/** What `NeuralReviewClassifier.save` wrote. @throws ModelError ERR_MODEL_* */
export async function loadNeuralClassifier(stored: StoredClassifier): Promise<NeuralReviewClassifier> {
  const { header, directory } = stored;
  const parsed = settingsSchema.safeParse(header.settings);
  const bad = (field: string, expected: string, got?: string) =>
    new ModelError('ERR_MODEL_SPEC', { file: directory, field: `settings.${field}`, expected, got });
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw bad(issue?.path.join('.') ?? '', issue?.message ?? 'the settings of a text network');
  }
  const { members, temperature, vocabulary: words, encoder: from, nGrams } = parsed.data;
  let vocabulary: WordVocabulary | undefined;
  if (words) {
    const text = new TextDecoder().decode(await stored.file(VOCABULARY));
    vocabulary = new WordVocabulary(text === '' ? [] : text.split('\n'), words.length);
  }
  for (const [i, { network }] of members.entries()) {
    const { input, outputs } = network;
    const wanted = header.classes.length === 2 ? 1 : header.classes.length;
    if (outputs !== wanted) throw bad(`members.${i}.network.outputs`, `${wanted}`, `${outputs}`);
    if (
      input.kind === 'words'
        ? input.rows !== vocabulary?.rows
        : input.dim !== (from?.tokens?.dim ?? input.dim)
    ) {
      throw bad(`members.${i}.network.input`, 'what vocabulary and encoder give', JSON.stringify(input));
    }
    if (input.kind === 'vectors' && !from) throw bad('encoder', 'an encoder', 'none');
  }
  const networks: TextMember[] = [];
  for (const [i, { network: spec, temperature: own }] of members.entries()) {
    const weights = new Map(
      [...textWeightShapes(spec)].map(([name, shape]) => [
        name,
        tensorOf(stored, `members.${i}.${name}`, 'F32', shape).data as Float32Array,
      ]),
    );
    networks.push({ network: await TextNetwork.create(spec, weights), temperature: own });
  }
  let encoder: EncoderTexts | undefined;
  if (from) {
    // Checked against classifier.json before anything reads them.
    for (const name of Object.values(ENCODER_FILES)) await stored.file(name);
    const { tokens, length } = from;
    encoder = await EncoderTexts.open(`${directory}/${ENCODER_FILES.spec}`, {
      tokens: tokens ?? undefined,
      length,
    });
  }
  const { kind, languages, classes } = header;
  const beside = nGrams ? await loadNGrams(stored, nGrams) : undefined;
  return new NeuralReviewClassifier({
    kind: kind as ReviewKindName,
    languages,
    classes,
    members: networks,
    temperature,
    vocabulary,
    encoder,
    nGrams: beside,
  });
}

function logOf(probability: number): number {
  return Math.log(Math.max(probability, 1e-12));
}

/** The mean over the members of their logits by class, each over its temperature. @returns (texts, classes) */
export function meanLogits(
  logits: readonly Float32Array[],
  members: readonly { temperature: number }[],
  classes: number,
): Float32Array {
  const outputs = classes === 2 ? 1 : classes;
  const texts = logits[0]!.length / outputs;
  const mean = new Float32Array(texts * classes);
  logits.forEach((own, m) => {
    const share = 1 / (members[m]!.temperature * logits.length);
    for (let text = 0; text < texts; text++) {
      classLogits(own.subarray(text * outputs, (text + 1) * outputs)).forEach((value, c) => {
        mean[text * classes + c]! += value * share;
      });
    }
  });
  return mean;
}

function probabilitiesOf(logits: Float32Array, temperature: number, classes: number): Float32Array {
  const all = new Float32Array(logits.length);
  for (let at = 0; at < logits.length; at += classes) {
    const row = logits.subarray(at, at + classes);
    const most = row.reduce((a, b) => Math.max(a, b));
    const weights = Float64Array.from(row, (value) => Math.exp((value - most) / temperature));
    const sum = weights.reduce((a, b) => a + b, 0);
    weights.forEach((weight, c) => {
      all[at + c] = weight / sum;
    });
  }
  return all;
}
