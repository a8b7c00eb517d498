/** What a Predictor is told and what it tells, but for the forecast itself (feedback.ts). */
import type { Embedding } from './encoders/embedding.js';
import type { Device } from './device.js';
import type { PoolDescription } from './encoders/pool.js';
import type { CinefuseError } from './errors.js';
import type { Feedback } from './feedback.js';
import type { BundleLimits } from './fusion/limits.js';
import type { BundleManifest, InputName } from './fusion/manifest.js';
import type { MediaLimits } from './media/limits.js';
import type { Precision } from './ops/exec.js';
import type { Place } from './ops/place.js';
import type { Trace } from './trace.js';

export interface PredictorOptions {
  /** Threads of the encoders and of the operators, each in its turn. Default: the cores this process may use. */
  threads?: number | undefined;
  /**
   * Worker threads with encoder sessions, each with its own copy of the weights. Default: 2 that share the cores, where
   * `threads` is not given and the encoders take at most 64 MB together, else 1.
   */
  encoderWorkers?: number | undefined;
  /**
   * Of the operators and the encoders: 'auto' (default) uses CUDA where it works, each for itself; 'cuda' and 'cuda:1'
   * insist on it for both. `describe()` says what was had and why.
   */
  device?: Device | undefined;
  /** Of the encoders alone, whose CUDA is ONNX Runtime's own. Default: as `device`. */
  encodersDevice?: Device | undefined;
  /** Of the operators on a GPU. Default 'fp32', float32 accuracy. */
  precision?: Precision | undefined;
  /** 'process' decodes media in child processes that can be killed: for files from people you do not trust. */
  isolation?: 'thread' | 'process' | undefined;
  mediaLimits?: Partial<MediaLimits> | undefined;
  bundleLimits?: Partial<BundleLimits> | undefined;
  /** Films worked on at the same time, in all calls together; further ones wait their turn. Default 32. */
  concurrency?: number | undefined;
  /** Records what ran when, from loading to the last film. */
  trace?: Trace | undefined;
  signal?: AbortSignal | undefined;
}

export interface PredictOptions {
  signal?: AbortSignal | undefined;
  /**
   * 'throw' (default): an input that is given and cannot be read fails the film. 'skip': the forecast is made without
   * it, and `notUsed` says why.
   */
  onInputError?: 'throw' | 'skip' | undefined;
}

export interface PredictManyOptions extends PredictOptions {
  /** Half the number of films that a call has under way at a time. Default 16. */
  batchSize?: number | undefined;
  /** Told after every film. `total` is not known for a stream. */
  onProgress?: ((progress: { done: number; failed: number; total?: number }) => void) | undefined;
}

/** What came of the film at this place of the batch or stream. */
export type PredictionResult = { index: number; id?: string } & (
  | { ok: true; feedback: Feedback }
  | { ok: false; error: CinefuseError }
);

/** One input as its encoder sees it: a sequence of vectors. */
export interface InputEmbedding extends Embedding {
  input: InputName;
  encoder: string;
}

export interface PredictorDescription {
  bundle: Pick<BundleManifest, 'name' | 'version' | 'licence' | 'beforeRelease' | 'metrics' | 'card'> & {
    directory: string;
  };
  modalities: BundleManifest['modalities'];
  /** Inputs that this model leaves aside, and why. */
  notUsed: BundleManifest['notUsed'];
  network: BundleManifest['network'];
  heads: BundleManifest['heads'];
  encoders: PoolDescription;
  operators: Place & { isa: string; threads: number };
  isolation: 'thread' | 'process';
  /** How `feedback.modalities` is measured: the change of the outputs when an input is left out, as a share of all. */
  modalityWeights: 'leave-one-out';
}
