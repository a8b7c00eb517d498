/** Training one text network to its end. */
import { throwIfCancelled, TrainError } from '../../errors.js';
import type { ExecOptions } from '../../ops/exec.js';
import { randomOf, seedOf } from '../../train/random.js';
import { TextNetwork } from './network.js';
import { drawBatches, type Sequences } from './sequences.js';
import type { TextNetworkSpec, TextWeights } from './spec.js';
import { TextTrainer } from './trainer.js';

export interface TextTrainingOptions {
  /** Times that every text is seen, at most. Default 10. */
  epochs?: number | undefined;
  /** Default 50. */
  batchSize?: number | undefined;
  /** Of Adam. Default 0.001. */
  learningRate?: number | undefined;
  /** Decoupled; of weights, not of tables and biases. Default 0. */
  weightDecay?: number | undefined;
  /** Share of a text's features that a step leaves out. Default 0.5. */
  dropout?: number | undefined;
  /** Share of the numbers of the words' vectors that a step leaves out. Default 0.3. */
  inputDropout?: number | undefined;
  /**
   * Share of each class held out: what early stopping and calibration look at. Default 0.1; never 0, since
   * probabilities are calibrated.
   */
  validation?: number | undefined;
  /** Epochs without a smaller loss on the texts held out until training ends; false: all epochs. Default 2. */
  patience?: number | false | undefined;
}

export type ParsedTraining = { [K in keyof TextTrainingOptions]-?: NonNullable<TextTrainingOptions[K]> };

/** @throws TrainError ERR_TRAIN_CONFIG */
export function parseTraining(options: TextTrainingOptions): ParsedTraining {
  const between = (
    name: keyof TextTrainingOptions,
    least: number,
    most: number,
    whole: boolean,
    value: number,
  ) => {
    if (typeof value === 'number' && value >= least && value <= most && (!whole || Number.isInteger(value))) {
      return value;
    }
    throw new TrainError('ERR_TRAIN_CONFIG', {
      field: name,
      expected: `${whole ? 'an integer' : 'a number'} from ${least} to ${most}`,
      got: String(value),
    });
  };
  return {
    epochs: between('epochs', 1, 10_000, true, options.epochs ?? 10),
    batchSize: between('batchSize', 1, 4096, true, options.batchSize ?? 50),
    learningRate: between('learningRate', 0, 10, false, options.learningRate ?? 1e-3),
    weightDecay: between('weightDecay', 0, 10, false, options.weightDecay ?? 0),
    dropout: between('dropout', 0, 0.95, false, options.dropout ?? 0.5),
    inputDropout: between('inputDropout', 0, 0.95, false, options.inputDropout ?? 0.3),
    validation: between('validation', 0.01, 0.9, false, options.validation ?? 0.1),
    patience:
      options.patience === false ? false : between('patience', 1, 10_000, true, options.patience ?? 2),
  };
}

export interface TextEpoch {
  epoch: number;
  /** Mean over the epoch's steps, dropout and all. */
  loss: number;
  /** On the texts held out. */
  validLoss: number;
  validAccuracy: number;
}

export interface TextFit {
  weights: TextWeights;
  epochs: TextEpoch[];
  /** The epoch, from 1, whose weights these are. */
  best: number;
  /** (valid rows, outputs): logits of the texts held out, by these weights. */
  validLogits: Float32Array;
}

export interface TextFitInput {
  spec: TextNetworkSpec;
  weights: ReadonlyMap<string, Float32Array>;
  sequences: Sequences;
  /** Class of each sequence. */
  truth: Int32Array;
  train: Int32Array;
  valid: Int32Array;
  training: ParsedTraining;
  seed: number;
  exec?: Omit<ExecOptions, 'signal'> | undefined;
  signal?: AbortSignal | undefined;
  /** After every step. */
  onStep?: ((done: number, total: number, last: TextEpoch | undefined) => void) | undefined;
}

/**
 * Trains by Adam; keeps the weights of the epoch with the smallest loss on the texts held out (with `patience` false:
 * of the last one). The same seed gives the same weights bit for bit, on any number of threads of one instruction set.
 *
 * @throws TrainError ERR_TRAIN_DIVERGED
 * @throws CancelledError ERR_CANCELLED  between two steps
 */
export async function fitTextNetwork(input: TextFitInput): Promise<TextFit> {
  const { spec, sequences, truth, train, valid, training, seed, exec, signal } = input;
  const weights = new Map([...input.weights].map(([name, data]) => [name, data.slice()]));
  const { batchSize, epochs, patience } = training;
  const trainer = new TextTrainer({ spec, weights, ...training, seed: seedOf(seed, 'text dropout'), exec });
  const steps = Math.ceil(train.length / batchSize);
  const list: TextEpoch[] = [];
  let best: { at: number; loss: number; weights: TextWeights; logits: Float32Array } | undefined;
  for (let epoch = 1; epoch <= epochs; epoch++) {
    const batches = drawBatches(sequences, train, batchSize, randomOf(seedOf(seed, 'text order', epoch)));
    let sum = 0;
    for (const [i, rows] of batches.entries()) {
      throwIfCancelled(signal);
      sum +=
        rows.length *
        (await trainer.step(
          sequences.batch(rows),
          Float32Array.from(rows, (row) => truth[row]!),
        ));
      input.onStep?.((epoch - 1) * steps + i + 1, epochs * steps, list.at(-1));
    }
    const logits = await logitsOf(spec, weights, sequences, valid, exec, signal);
    const judged = judge(logits, spec.outputs, valid, truth);
    list.push({ epoch, loss: sum / train.length, ...judged });
    if (best === undefined || patience === false || judged.validLoss < best.loss) {
      const kept = new Map([...weights].map(([name, data]) => [name, data.slice()]));
      best = { at: epoch, loss: judged.validLoss, weights: kept, logits };
    }
    input.onStep?.(epoch * steps, epochs * steps, list.at(-1));
    if (patience !== false && epoch - best.at >= patience) break;
  }
  return { weights: best!.weights, epochs: list, best: best!.at, validLogits: best!.logits };
}

async function logitsOf(
  spec: TextNetworkSpec,
  weights: TextWeights,
  sequences: Sequences,
  rows: Int32Array,
  exec: Omit<ExecOptions, 'signal'> | undefined,
  signal: AbortSignal | undefined,
): Promise<Float32Array> {
  using network = await TextNetwork.create(spec, weights, exec);
  // Awaited here: the network is disposed of on return.
  return await network.runAll(sequences, rows, { ...exec, signal });
}

/** Mean log loss and accuracy of logits. */
function judge(logits: Float32Array, outputs: number, rows: Int32Array, truth: Int32Array) {
  let loss = 0;
  let right = 0;
  rows.forEach((row, i) => {
    const own = classLogits(logits.subarray(i * outputs, (i + 1) * outputs));
    const most = Math.max(...own);
    const sum = own.reduce((total, value) => total + Math.exp(value - most), 0);
    loss += most + Math.log(sum) - own[truth[row]!]!;
    if (own.indexOf(most) === truth[row]) right++;
  });
  return { validLoss: loss / rows.length, validAccuracy: right / rows.length };
}

/** A logit for each class: of a sigmoid, 0 for the first class. */
export function classLogits(logits: Float32Array): Float32Array {
  return logits.length === 1 ? Float32Array.of(0, logits[0]!) : logits;
}
