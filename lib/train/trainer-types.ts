/** What a FusionTrainer takes and gives. */
import type { FusionNetworkSpec, NetworkWeight, NetworkWeights } from '../fusion/network.js';
import type { TableModality } from './table.js';

/**
 * What one head's outputs x are to be, and how much it counts. Films whose target is NaN do not count, and the mean is
 * over those that do, each with its weight.
 *
 *   mse (x - t)²   mae |x - t|   huber as in `loss`, delta default 1   bce of a logit, t 0..1
 *   cross-entropy  of logits, t a class number
 *   spread         x + |t - y| e^-x of another head's output y and target t, with y held fixed: the logarithm of the
 *                  scale of a Laplace distribution around y, by which intervals are normalised
 */
export type HeadLoss = {
  /** A head's name. A head without a loss is not trained but for what it shares with others. */
  head: string;
  /** Factor of this loss in the sum that is trained. Default 1. */
  weight?: number;
} & (
  | { kind: 'mse' | 'mae' | 'bce' }
  | { kind: 'huber'; delta?: number }
  | { kind: 'cross-entropy'; smoothing?: number; classWeights?: readonly number[] }
  | { kind: 'spread'; of: string }
);

/** As in the operator `optimizerStep`. */
export interface OptimizerOptions {
  kind: 'sgd' | 'adam' | 'adamw';
  /** Of 'sgd', 0..1. Default 0. */
  momentum?: number;
  /** Of 'sgd' with momentum. Default false. */
  nesterov?: boolean;
  /** Default 0.9. */
  beta1?: number;
  /** Default 0.999. */
  beta2?: number;
  /** Default 1e-8. */
  epsilon?: number;
  /** L2 of 'sgd' and 'adam', decoupled in 'adamw'. Default 0. */
  weightDecay?: number;
  /** Default 0. */
  l1?: number;
  /** Largest Euclidean norm of all gradients together. Default: none. */
  clipNorm?: number;
  /** Whether weightDecay and l1 concern all weights. Default false: those of two dimensions and more only. */
  decayBiases?: boolean;
}

export interface TrainerOptions {
  spec: FusionNetworkSpec;
  /** Those of `weightShapes(spec)` to start from, scalers included, which are never trained. */
  weights: NetworkWeights;
  losses: readonly HeadLoss[];
  optimizer: OptimizerOptions;
  /** Chance of each number to be dropped after each activation of projections, fusion and trunk. Default 0. */
  dropout?: number;
  /** The same for the modalities' vectors, scaled and pooled. Default 0. */
  inputDropout?: number;
  /** Of dropout. */
  seed: number;
  /** Names of weights that stay as they are. */
  frozen?: readonly string[];
}

/** Films as numbers. Nothing in it is copied before a run ends. */
export interface TrainerData {
  films: number;
  /** By modality. One left out is absent in every film. */
  modalities: Readonly<Record<string, TableModality>>;
  /** By head: (films), or (films, out) for a head with several outputs that is no classifier: standardised values, 0..1,
   * or class numbers; NaN where unknown. */
  targets: Readonly<Record<string, Float32Array>>;
  /** (films), >= 0: how much each film's losses count. Default 1. */
  weights?: Float32Array | undefined;
}

/** Some steps of training, run in one call. */
export interface TrainerSteps {
  /** Films, batch after batch. */
  rows: Int32Array;
  /** Films a step; the last step may have fewer. */
  batchSize: number;
  /** One a step: ⌈rows.length / batchSize⌉. */
  learningRates: Float32Array;
  /** (films, modalities) in the order of the spec, 0 = absent; what modality dropout hides is 0 here. */
  present: Uint8Array;
  /** (films): which of its variants each film shows, where a modality has several. Default 0. */
  variants?: Uint8Array | undefined;
}

/** What a call's steps were like, before each step's update. */
export interface TrainerResult {
  /** (steps): the weighted sum of the heads' losses, without weight decay. */
  losses: Float32Array;
  /** (steps, losses) in the order of the options; 0 where no film of the step has the target. */
  headLosses: Float32Array;
  /** (steps): Euclidean norm of all gradients together, before clipping. */
  gradientNorms: Float32Array;
}

/** What exact resumption needs beside the weights. */
export interface TrainerState {
  /** Steps done. */
  step: number;
  /** The optimiser's moments: `first.WEIGHT` and, of the Adams, `second.WEIGHT`. */
  moments: ReadonlyMap<string, NetworkWeight>;
}
