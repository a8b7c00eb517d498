import type { NativeHandle } from '../native.js';
import { type Activation, activationIndex } from './activation.js';
import { type ExecOptions, execute, executeSync } from './exec.js';
import { Prepared, rowsOf } from './prepared.js';
import type { FusionOptions } from './tensor_fusion.js';
import { type WeightType, weightTypeIndex } from './weights.js';

export interface LowRankFusionLayer {
  /** Sizes of the 2 to 8 modalities' vectors, without the appended 1. */
  dims: readonly number[];
  rank: number;
  outFeatures: number;
  /** One array a modality, (rank, dims[m]+1, outFeatures), row-major; the last row of each rank meets the appended 1. */
  factors: readonly Float32Array[];
  /** (rank). Default: all 1, the plain sum over ranks. */
  rankWeights?: Float32Array | undefined;
  /** (outFeatures). Default: none. */
  bias?: Float32Array | undefined;
  /** Applied to the result. Default 'none'. */
  activation?: Activation;
  /** Slope of 'leaky-relu' for values <= 0. Default 0.01. */
  slope?: number;
  /** How the weights are stored. Default 'float32': nothing is rounded unless asked for. */
  weightType?: WeightType;
}

/**
 * Low-rank fusion: y = f(b + Σ_r w_r · Π_m ([h_m; 1] · F_m[r])). Tensor fusion with weights of rank `rank`, at the cost
 * of Σ dims instead of Π dims.
 *
 * Rows do not touch each other: a row's result is the same, bit for bit, alone or in any batch and on any number of
 * threads, on one instruction set. NaN and infinity pass into their own row.
 *
 * Within 5e-6 of max|y| of float64 on the golden vectors, any instruction set. Source: Liu et al. 2018, Efficient
 * Low-rank Multimodal Fusion with Modality-Specific Factors, whose code puts the 1 first.
 */
export class LowRankFusion extends Prepared {
  readonly dims: readonly number[];
  readonly rank: number;
  readonly outFeatures: number;

  private constructor(handle: NativeHandle, { dims, rank, outFeatures }: LowRankFusionLayer) {
    super(handle);
    this.dims = [...dims];
    this.rank = rank;
    this.outFeatures = outFeatures;
  }

  /**
   * Copies the factors into the order in which they are read.
   * @throws ShapeError ERR_SHAPE        factors, rankWeights or bias of another length than dims, rank and outFeatures
   *   give; fewer than 2 or more than 8 dims
   * @throws InputError ERR_INPUT_VALUE  an unknown activation or weightType, a slope that is not finite
   * @throws BackendError ERR_MEMORY
   */
  static async create(layer: LowRankFusionLayer, options?: ExecOptions): Promise<LowRankFusion> {
    const activation = activationIndex(layer.activation ?? 'none', 'activation');
    const weightType = weightTypeIndex(layer.weightType);
    const handle = await execute(options, (addon, exec, cancel) =>
      addon.lowRankFusionPrepare(
        exec,
        cancel,
        layer.dims,
        layer.rank,
        layer.outFeatures,
        layer.factors,
        layer.rankWeights,
        layer.bias,
        activation,
        layer.slope ?? 0.01,
        weightType,
      ),
    );
    return new LowRankFusion(handle, layer);
  }

  /**
   * @param h  one array a modality, (rows, dims[m]), row-major; rows may be 0
   * @returns (rows, outFeatures), in a new array or `out`
   * @throws ShapeError ERR_SHAPE        arrays of unequal rows, `present` or `out` of another length
   * @throws InputError ERR_INPUT_VALUE  `out` overlaps an input
   * @throws DisposedError ERR_DISPOSED
   */
  async run(h: readonly Float32Array[], options: FusionOptions = {}): Promise<Float32Array> {
    const { handle } = this;
    const rows = rowsOf(h?.[0], this.dims[0]);
    return execute(options, (addon, exec, cancel) =>
      addon.lowRankFusionRun(exec, cancel, handle, rows, h, options.present, options.out),
    );
  }

  /** `run` on the calling thread: for a few rows of small factors. */
  runSync(h: readonly Float32Array[], options: Omit<FusionOptions, 'signal'> = {}): Float32Array {
    const { handle } = this;
    const rows = rowsOf(h?.[0], this.dims[0]);
    return executeSync(options, (addon, exec, cancel) =>
      addon.lowRankFusionRun(exec, cancel, handle, rows, h, options.present, options.out),
    );
  }
}
