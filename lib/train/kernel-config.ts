/** What a kernel fit is asked for and what it returns; `fitKernel` in kernel-fit.ts does the work. */
import type { FusionNetworkSpec, NetworkWeight } from '../fusion/network.js';
import type { ExecOptions } from '../ops/exec.js';

/** One head. The targets are those of TrainerData: standardised numbers, 0/1 or class numbers, NaN unknown. */
export type KernelHead = {
  /** Name of the head in the network, and of its targets. */
  head: string;
  /** The regularisations to choose from, or the one to take. Default: those of the configuration. */
  lambda?: number | readonly number[] | undefined;
} & ({ task: 'regression' | 'binary' } | { task: 'multiclass'; classes: number });

/** How films are compared in one modality; x, z standardised vectors (see KernelFusion for the formulas). */
export type KernelChoice =
  /** k = x · z */
  | { kind: 'linear'; weight?: number | undefined }
  /** k = exp(-gamma |x - z|²). gamma default: gammaScale (default 1) / the median of |x - z|² over pairs of films in training. */
  | { kind: 'rbf'; gamma?: number | undefined; gammaScale?: number | undefined; weight?: number | undefined }
  /** k = (gamma x · z + constant)^degree. gamma default: gammaScale (default 1) / the mean of |x|²; constant 1; degree 2. */
  | {
      kind: 'polynomial';
      degree?: number | undefined;
      gamma?: number | undefined;
      gammaScale?: number | undefined;
      constant?: number | undefined;
      weight?: number | undefined;
    };

export interface KernelFitConfig {
  heads: readonly KernelHead[];
  /** By head: (films). Default: the table's targets of that name. */
  targets?: Readonly<Record<string, Float32Array>> | undefined;
  /** By modality. Default: `{ kind: 'rbf' }`. Every kernel is first divided by its mean k(x, x), so that weights compare. */
  kernels?: Readonly<Record<string, KernelChoice>> | undefined;
  /** Default 'sum'. */
  combine?: 'sum' | 'product' | undefined;
  /** Of 'product'. Default 1. */
  constant?: number | undefined;
  /**
   * Weights of kernels that give none: 'equal', or 'alignment' (default), in proportion to each kernel's centred
   * alignment with the targets (Cortes, Mohri and Rostamizadeh 2012), least 1 % of the largest. They sum to 1; in a product their mean is 1.
   */
  weights?: 'equal' | 'alignment' | undefined;
  /** Most films in training that others are compared with. All are, where there are no more. Default 2000. */
  landmarks?: number | undefined;
  /**
   * Regularisations to choose from, as shares of the mean k(x, x) of the landmarks: Σ error + lambda · share · |f|² / 2, the error of
   * a number half its square. Default 0.01, 0.1, … 1000.
   */
  lambdas?: readonly number[] | undefined;
  /**
   * By what. 'valid': error of the films for validation. 'leave-one-out': that of each film in training by the model of all
   * others, exact for regression, to first order for classes. Default: 'valid' where such films have the target.
   */
  choose?: 'valid' | 'leave-one-out' | undefined;
  /** Whether heads have a bias, which is not regularised. Default true. */
  intercept?: boolean | undefined;
  /** Added to the landmarks' kernel matrix, as a share of its mean diagonal. Default 1e-9. */
  jitter?: number | undefined;
  /** By modality: (dim) each. Default: mean and 1 / standard deviation over the films in training. */
  scalers?: Readonly<Record<string, { mean: Float32Array; scale: Float32Array }>> | undefined;
  seed: number;
}

export interface KernelProgress {
  stage: 'kernels' | 'features' | 'heads';
  /** Of stage 'heads'. */
  head?: string;
  done: number;
  total: number;
}

export interface KernelFitOptions extends Pick<ExecOptions, 'isa' | 'threads' | 'signal'> {
  onProgress?: ((progress: KernelProgress) => void) | undefined;
}

export interface KernelHeadFit {
  /** The regularisation that was taken. */
  lambda: number;
  chosenBy: 'given' | 'valid' | 'leave-one-out';
  /** Every regularisation tried: mean squared error or mean negative log-likelihood of the films it was chosen by. */
  scores: { lambda: number; score: number }[];
  /** Films in training that have the target. */
  films: number;
  /** Steps that the solution took: 1 in closed form. */
  iterations: number;
}

export interface KernelFit {
  /** Of fusion kind 'kernel': FusionNetwork serves it with the weights. */
  spec: FusionNetworkSpec;
  weights: Map<string, NetworkWeight>;
  /** Rows of the table that are landmarks. */
  landmarks: Int32Array;
  heads: Record<string, KernelHeadFit>;
}
