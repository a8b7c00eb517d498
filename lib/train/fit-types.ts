/** What fitting takes and gives, whether of a table or of a data set. */
import type { FusionNetworkSpec, NetworkWeight } from '../fusion/network.js';
import type { ExecOptions } from '../ops/exec.js';
import type { KernelHeadFit } from './kernel-config.js';

/** Where a fit stands. */
export interface FitProgress {
  stage: 'encode' | 'prepare' | 'train' | 'calibrate' | 'save';
  /** Network of an ensemble, 1..members. */
  member: number;
  members: number;
  /** Epoch, 1..epochs. */
  epoch: number;
  epochs: number;
  /** Steps done and to do, over all members; of films while encoding. */
  done: number;
  total: number;
  /** Mean loss of the epoch so far. */
  loss?: number;
  /** Of the last finished epoch. */
  record?: EpochRecord;
  elapsedMs: number;
  /** Expected; undefined before there is anything to go by. Early stopping may make it less. */
  remainingMs?: number;
}

/** One epoch's figures. The same seed gives the same ones, bit for bit. */
export interface EpochRecord {
  epoch: number;
  /** Of its last step. */
  learningRate: number;
  /** Mean over its steps, with dropout. */
  loss: number;
  /** By head. */
  losses: Record<string, number>;
  /** Largest Euclidean norm of the gradients, before clipping. */
  gradientNorm: number;
  /** On the valid films, without dropout; undefined when there are none. */
  valid?: { loss: number; losses: Record<string, number>; metrics: Record<string, number> };
}

export interface MemberHistory {
  seed: number;
  epochs: EpochRecord[];
  /** Whose weights are kept. */
  bestEpoch: number;
  stopped: 'epochs' | 'early';
}

/** What is known of a head once it is fitted, before calibration. */
export type FittedHead =
  | {
      name: string;
      task: 'regression';
      /** model value = output * std + mean, of the training films */
      mean: number;
      std: number;
      transform: 'none' | 'log10';
      unit: string;
      min?: number;
      max?: number;
      /** The head whose output o gives the spread e^o, in units of std. */
      spreadHead?: string;
    }
  | { name: string; task: 'binary'; positive: string }
  | { name: string; task: 'multiclass'; classes: string[] }
  | { name: string; task: 'auxiliary' };

/** A fitted network, ready for FusionNetwork. */
export interface FittedTable {
  /** Over the table's own vectors, an ensemble merged: what is served. */
  spec: FusionNetworkSpec;
  weights: Map<string, NetworkWeight>;
  heads: FittedHead[];
  /** A member of the ensemble each; none of the fusion kind 'kernel', which is solved. */
  history: MemberHistory[];
  /** Of the fusion kind 'kernel': by head, how it was solved. */
  kernel?: Record<string, KernelHeadFit>;
}

export interface FitOptions extends ExecOptions {
  onProgress?: ((progress: FitProgress) => void) | undefined;
  /**
   * File that the state is written to, atomically: after epochs, when cancelled, when a loss is no longer finite. With
   * `resume` a fit goes on from it as if it had never stopped, bit for bit.
   */
  checkpoint?: string | undefined;
  /** Least time between checkpoints. Default 30 000; 0 writes after every epoch. */
  checkpointEveryMs?: number | undefined;
  /** Whether to go on from `checkpoint` if it is there. Default false: it begins anew. */
  resume?: boolean | undefined;
}
