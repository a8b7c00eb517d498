/** Fitting text networks as kinds of review classifiers: 'text-cnn', 'lstm' and 'encoder'. */
import { DataError, describeValue, TrainError } from '../../errors.js';
import type { ExecOptions } from '../../ops/exec.js';
import { fitTemperature } from '../../train/calibration-curves.js';
import { seedOf } from '../../train/random.js';
import type { FitCommonOptions, LabelledTexts, ReviewKind, ReviewKindName } from '../sentiment/kinds.js';
import { LinearClassifier } from '../sentiment/linear-classifier.js';
import { type NbSvmOptions, nbSvmKind } from '../sentiment/linear-kinds.js';
import { loadNeuralClassifier, meanLogits, NeuralReviewClassifier, type TextMember } from './classifier.js';
import type { EncoderTexts } from './encoder-texts.js';
import { addNGrams, type NGramPart } from './n-grams.js';
import { fitTextNetwork, parseTraining, type TextFit, type TextTrainingOptions } from './fit.js';
import { initialTextWeights, type WordVectorSource } from './initialise.js';
import { TextNetwork } from './network.js';
import { holdOut, IdSequences, type Sequences, VectorSequences } from './sequences.js';
import { type TextNetworkBody, type TextNetworkSpec, textNetworkSchema } from './spec.js';
import { type VocabularyOptions, WordVocabulary } from './vocabulary.js';

export interface TextNetworkOptions extends TextTrainingOptions {
  /** Networks of different seeds whose logits are averaged. Default 1. */
  members?: number | undefined;
  /** Sizes of layers with ReLU before the output. Default none. */
  dense?: readonly number[] | undefined;
  /** Where the operators run. */
  exec?: Omit<ExecOptions, 'signal'> | undefined;
}

/** How words become vectors. */
export interface WordInputOptions {
  vocabulary?: VocabularyOptions | undefined;
  /** Length of a word's vector. Default: of `vectors`, or 100. */
  dim?: number | undefined;
  /** Vectors to start from; words without one start at random. */
  vectors?: WordVectorSource | undefined;
  /** What training does with them: changes them ('tuned'), leaves them, or has a copy of each ('both'). Default 'tuned'. */
  channels?: 'tuned' | 'static' | 'both' | undefined;
  /**
   * A classifier of the same kind and options that was fitted to other texts: its vocabulary, extended by these texts'
   * words, and its weights but for the output's are where this one starts. Where it has several members, those of the
   * new one start from them in turn.
   */
  start?: NeuralReviewClassifier | undefined;
}

export interface TextCnnOptions extends TextNetworkOptions, WordInputOptions {
  /** Default [3, 4, 5]. */
  windows?: readonly number[] | undefined;
  /** Of each window. Default 100. */
  filters?: number | undefined;
  activation?: 'relu' | 'tanh' | undefined;
  /** Token vectors of an ONNX encoder, read by further members. The fit leaves it the caller's. */
  encoder?: EncoderTexts | undefined;
  /** How the members that read the encoder's vectors differ. */
  onEncoder?: (Pick<TextCnnOptions, 'windows' | 'filters'> & TextNetworkOptions) | undefined;
  /** false: no members that read words. Default true. */
  words?: boolean | undefined;
  /**
   * A linear part over n-grams beside the networks (wide and deep): an NB-SVM of the same texts, whose logits count as
   * much as those of the words' and of the encoder's members. Not part of an ONNX export. Default false.
   */
  nGrams?: boolean | NbSvmOptions | undefined;
}

export interface LstmOptions extends TextNetworkOptions, WordInputOptions {
  /** Numbers in a state, of each direction. Default 64. */
  hidden?: number | undefined;
  /** Default 1. */
  layers?: number | undefined;
  /** Default true. */
  bidirectional?: boolean | undefined;
  /** Default 'max'. */
  pooling?: 'last' | 'max' | undefined;
}

export interface EncoderOptions extends TextNetworkOptions {
  /** Stays the caller's. */
  encoder: EncoderTexts;
}

/** One group of members: networks that differ by their seeds alone. */
interface Group {
  network: Omit<TextNetworkSpec, 'outputs'>;
  options: TextNetworkOptions;
}

const WORD_DIM = 100;

/** @throws TrainError ERR_TRAIN_CONFIG */
function configError(field: string, expected: string, got: unknown): TrainError {
  return new TrainError('ERR_TRAIN_CONFIG', { field, expected, got: describeValue(got) });
}

class NeuralFit {
  readonly data: LabelledTexts;
  readonly options: FitCommonOptions & WordInputOptions;
  readonly encoder: EncoderTexts | undefined;
  #vocabulary: WordVocabulary | undefined;
  readonly #sequences = new Map<string, Sequences>();

  constructor(data: LabelledTexts, options: FitCommonOptions & WordInputOptions, encoder?: EncoderTexts) {
    this.data = data;
    this.options = options;
    this.encoder = encoder;
  }

  /** What reads words, after the texts have told which there are. */
  async words(): Promise<TextNetworkSpec['input']> {
    const {
      vectors,
      channels = 'tuned',
      dim = vectors?.dim ?? WORD_DIM,
      start,
      vocabulary,
      signal,
    } = this.options;
    if (!['tuned', 'static', 'both'].includes(channels)) {
      throw configError('channels', 'tuned, static or both', channels);
    }
    if (vectors !== undefined && vectors.dim !== dim)
      throw configError('dim', `${vectors.dim}, as vectors have it`, dim);
    const known = start?.parts.vocabulary;
    const own = { ...vocabulary, known, signal };
    this.#vocabulary = await WordVocabulary.fit(this.data.texts, own);
    const tables = { tuned: [true], static: [false], both: [true, false] }[channels];
    return { kind: 'words', rows: this.#vocabulary.rows, channels: tables.map((tuned) => ({ dim, tuned })) };
  }

  async sequencesOf(kind: 'words' | 'vectors'): Promise<Sequences> {
    const { texts } = this.data;
    const { signal, onProgress } = this.options;
    const ready = this.#sequences.get(kind);
    if (ready) return ready;
    const made =
      kind === 'words'
        ? new IdSequences(await this.#vocabulary!.encodeAll(texts, signal))
        : new VectorSequences(
            await this.encoder!.encode(texts, {
              signal,
              onProgress: (done) => onProgress?.({ step: 'encode', done, total: texts.length }),
            }),
            this.encoder!.dim,
          );
    this.#sequences.set(kind, made);
    return made;
  }

  async fit(
    kind: ReviewKindName,
    groups: readonly Group[],
    nGrams?: NbSvmOptions,
  ): Promise<NeuralReviewClassifier> {
    const { texts, truth, classes, languages } = this.data;
    const { seed = 0, signal, onProgress } = this.options;
    const outputs = classes.length === 2 ? 1 : classes.length;
    const trainings = groups.map(({ options }) => parseTraining(options));
    const shares = trainings.map(({ validation }) => validation);
    const { train, valid } = holdOut(
      truth,
      classes.length,
      Math.max(...shares),
      seedOf(seed, 'text held out'),
    );
    if (train.length === 0 || classes.some((_, c) => !train.some((row) => truth[row] === c))) {
      throw new DataError('ERR_DATA_EMPTY', {
        field: 'labels',
        expected: 'two texts of every class or more: one is held out',
        got: `${texts.length} texts`,
      });
    }
    let beside: NGramPart | undefined;
    let mean: Float32Array;
    const networks: TextMember[] = [];
    const validLogits: Float32Array[] = [];
    const counts = groups.map(({ options }) => options.members ?? 1);
    if (counts.some((count) => !Number.isInteger(count) || count < 1 || count > 64)) {
      throw configError('members', 'an integer from 1 to 64', counts.join(', '));
    }
    const total = counts.reduce((a, b) => a + b, 0);
    try {
      for (const [g, { network, options }] of groups.entries()) {
        const parsed = textNetworkSchema.safeParse({ ...network, outputs });
        if (!parsed.success) {
          const issue = parsed.error.issues[0];
          throw new TrainError('ERR_TRAIN_CONFIG', {
            field: issue?.path.join('.') ?? 'options',
            expected: issue?.message ?? 'a text network',
          });
        }
        const spec = parsed.data;
        const sequences = await this.sequencesOf(spec.input.kind);
        for (let m = 0; m < counts[g]!; m++) {
          const number = networks.length;
          const own = seedOf(seed, 'text member', number);
          const fit: TextFit = await fitTextNetwork({
            spec,
            weights: this.#initial(spec, own, m),
            sequences,
            truth,
            train,
            valid,
            training: trainings[g]!,
            seed: own,
            exec: options.exec,
            signal,
            onStep: (done, all, last) =>
              onProgress?.({
                step: total > 1 ? `network ${number + 1} of ${total}` : 'train',
                done,
                total: all,
                accuracy: last?.validAccuracy,
              }),
          });
          const temperature = temperatureOf(
            meanLogits([fit.validLogits], [{ temperature: 1 }], classes.length),
            truth,
            valid,
            classes.length,
          );
          networks.push({ network: await TextNetwork.create(spec, fit.weights, options.exec), temperature });
          validLogits.push(fit.validLogits);
        }
      }
      mean = meanLogits(validLogits, networks, classes.length);
      if (nGrams) {
        beside = await this.#nGrams(train, nGrams, 1 / (groups.length + 1));
        const held = Array.from(valid, (row) => texts[row]!);
        await addNGrams(mean, beside, held, signal);
      }
    } catch (error) {
      for (const { network } of networks) network.dispose();
      throw error;
    }
    return new NeuralReviewClassifier({
      kind,
      languages,
      classes,
      members: networks,
      temperature: temperatureOf(mean, truth, valid, classes.length),
      vocabulary: this.#vocabulary,
      encoder: this.encoder,
      nGrams: beside,
      ownsEncoder: false,
      exec: groups[0]?.options.exec,
    });
  }

  /** The linear part, of the texts that the networks are trained on. */
  async #nGrams(train: Int32Array, own: NbSvmOptions, share: number): Promise<NGramPart> {
    const { texts, truth, classes, languages } = this.data;
    const { seed, signal, onProgress } = this.options;
    const data: LabelledTexts = {
      texts: Array.from(train, (row) => texts[row]!),
      truth: Int32Array.from(train, (row) => truth[row]!),
      classes,
      languages,
    };
    const classifier = await nbSvmKind.fit(data, { seed, signal, onProgress, ...own });
    if (!(classifier instanceof LinearClassifier)) throw new Error('not linear');
    return { classifier, share };
  }

  /** @param member  number of the network within its group */
  #initial(spec: TextNetworkSpec, seed: number, member: number) {
    const { vectors, start } = this.options;
    const channels = spec.input.kind === 'words' ? spec.input.channels.length : 0;
    const words = this.#vocabulary?.words;
    const weights = initialTextWeights(
      spec,
      seed,
      words,
      Array<WordVectorSource | undefined>(channels).fill(vectors),
    );
    const same = (start?.parts.members ?? []).filter(
      ({ network }) => network.spec.input.kind === spec.input.kind,
    );
    const from = same[member % Math.max(1, same.length)]?.network;
    if (start === undefined || (from === undefined && spec.input.kind === 'vectors')) return weights;
    if (from === undefined || JSON.stringify(from.spec.body) !== JSON.stringify(spec.body)) {
      throw configError('start', `a classifier with ${JSON.stringify(spec.body)}`, from?.spec.body);
    }
    for (const [name, data] of from.weights) {
      const target = weights.get(name);
      if (name.startsWith('head.') || target === undefined) continue;
      // A table may have got further rows behind those that it had.
      if (data.length > target.length || (data.length < target.length && !name.startsWith('embedding.'))) {
        throw configError('start', `${target.length} numbers in ${name}`, `${data.length}`);
      }
      target.set(data);
    }
    return weights;
  }
}

function temperatureOf(logits: Float32Array, truth: Int32Array, valid: Int32Array, classes: number): number {
  return fitTemperature(
    logits,
    Int32Array.from(valid, (row) => truth[row]!),
    classes,
  );
}

function cnnBody({
  windows = [3, 4, 5],
  filters = 100,
  activation = 'relu',
}: TextCnnOptions): TextNetworkBody {
  return { kind: 'text-cnn', windows: [...windows], filters, activation };
}

export const TEXT_CNN: ReviewKind<FitCommonOptions & TextCnnOptions> = {
  async fit(data, options) {
    const { encoder, words = true, onEncoder } = options;
    if (!words && !encoder) throw configError('words', 'true where there is no encoder', words);
    const fit = new NeuralFit(data, options, encoder);
    const groups: Group[] = [];
    if (words) {
      const network = { input: await fit.words(), body: cnnBody(options), dense: [...(options.dense ?? [])] };
      groups.push({ network, options });
    }
    if (encoder) {
      const own = { ...options, ...onEncoder };
      const input = { kind: 'vectors' as const, dim: encoder.dim };
      groups.push({ network: { input, body: cnnBody(own), dense: [...(own.dense ?? [])] }, options: own });
    }
    const { nGrams = false } = options;
    if (typeof nGrams !== 'boolean' && (typeof nGrams !== 'object' || nGrams === null)) {
      throw configError('nGrams', 'true, false or options of an NB-SVM', nGrams);
    }
    return fit.fit('text-cnn', groups, nGrams === true ? {} : nGrams || undefined);
  },
  load: loadNeuralClassifier,
};

export const LSTM: ReviewKind<FitCommonOptions & LstmOptions> = {
  async fit(data, options) {
    const { hidden = 64, layers = 1, bidirectional = true, pooling = 'max', dense = [] } = options;
    const fit = new NeuralFit(data, options);
    const body: TextNetworkBody = {
      kind: 'lstm',
      hidden,
      layers,
      directions: bidirectional ? 2 : 1,
      pooling,
    };
    const network = { input: await fit.words(), body, dense: [...dense] };
    return fit.fit('lstm', [{ network, options }]);
  },
  load: loadNeuralClassifier,
};

export const ENCODER: ReviewKind<FitCommonOptions & EncoderOptions> = {
  async fit(data, options) {
    const { encoder, dense = [] } = options;
    const input = { kind: 'vectors' as const, dim: encoder.dim };
    const network = { input, body: { kind: 'mean' as const }, dense: [...dense] };
    return new NeuralFit(data, options, encoder).fit('encoder', [{ network, options }]);
  },
  load: loadNeuralClassifier,
};
