import type { NativeHandle } from '../native.js';
import { type Activation, activationIndex } from './activation.js';
import { type ExecOptions, execute, executeSync } from './exec.js';
import { Prepared, rowsOf } from './prepared.js';
import { type WeightType, weightTypeIndex } from './weights.js';

export interface TensorFusionLayer {
  /** Sizes of the 2 to 4 modalities' vectors, without the appended 1. */
  dims: readonly number[];
  outFeatures: number;
  /** (outFeatures, Π(dims[m]+1)), row-major, the first modality slowest, the appended 1 last in each. */
  weight: Float32Array;
  /** (outFeatures). Default: none. */
  bias?: Float32Array | undefined;
  /** Applied to the result. Default 'none'. */
  activation?: Activation;
  /** Slope of 'leaky-relu' for values <= 0. Default 0.01. */
  slope?: number;
  /** How the weights are stored. Default 'float32': nothing is rounded unless asked for. */
  weightType?: WeightType;
}

export interface FusionOptions extends ExecOptions {
  /**
   * (rows, modalities), 0 where a modality is absent: its vector then counts as 0 whatever its array holds, so that
   * only its appended 1 remains. Default: all are present.
   */
  present?: Uint8Array | undefined;
  /** Written instead of a new array: (rows, outFeatures). Must not overlap an input. */
  out?: Float32Array | undefined;
}

/**
 * Tensor fusion: y = f(W · ([h_1; 1] ⊗ [h_2; 1] ⊗ ...) + b), every product of the modalities' values weighed, without
 * ever writing the outer product.
 *
 * Rows do not touch each other: a row's result is the same, bit for bit, alone or in any batch and on any number of
 * threads, on one instruction set. NaN and infinity pass into their own row.
 *
 * Within 5e-6 of max|y| of float64 on the golden vectors, any instruction set. With 35,937 normal weights an output,
 * of max|y|: 2e-3 with `weightType` 'bfloat16', 9e-3 with 'int8', 7e-6 with `precision` 'bf16x3'. Few rows are the
 * reading of weights: stored as bfloat16 one row takes half as long, stored as int8 a third where float32 weights
 * outgrow the CPU's last cache; from some 16 rows on neither is faster than float32.
 *
 * Source: Zadeh et al. 2017, Tensor Fusion Network for Multimodal Sentiment Analysis, whose code puts the 1 first.
 */
export class TensorFusion extends Prepared {
  readonly dims: readonly number[];
  readonly outFeatures: number;

  private constructor(handle: NativeHandle, { dims, outFeatures }: TensorFusionLayer) {
    super(handle);
    this.dims = [...dims];
    this.outFeatures = outFeatures;
  }

  /**
   * Copies the weights into the order in which they are read.
   * @throws ShapeError ERR_SHAPE        weight or bias of another length than dims and outFeatures give; fewer than 2 or
   *   more than 4 dims; weights of more than 512 MiB, for which low-rank fusion is the answer
   * @throws InputError ERR_INPUT_VALUE  an unknown activation or weightType, a slope that is not finite
   * @throws BackendError ERR_MEMORY
   */
  static async create(layer: TensorFusionLayer, options?: ExecOptions): Promise<TensorFusion> {
    const activation = activationIndex(layer.activation ?? 'none', 'activation');
    const weightType = weightTypeIndex(layer.weightType);
    const handle = await execute(options, (addon, exec, cancel) =>
      addon.tensorFusionPrepare(
        exec,
        cancel,
        layer.dims,
        layer.outFeatures,
        layer.weight,
        layer.bias,
        activation,
        layer.slope ?? 0.01,
        weightType,
      ),
    );
    return new TensorFusion(handle, layer);
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
      addon.tensorFusionRun(exec, cancel, handle, rows, h, options.present, options.out),
    );
  }

  /** `run` on the calling thread: for a few rows of small weights. */
  runSync(h: readonly Float32Array[], options: Omit<FusionOptions, 'signal'> = {}): Float32Array {
    const { handle } = this;
    const rows = rowsOf(h?.[0], this.dims[0]);
    return executeSync(options, (addon, exec, cancel) =>
      addon.tensorFusionRun(exec, cancel, handle, rows, h, options.present, options.out),
    );
  }
}

export interface OuterProductOptions extends ExecOptions {
  /** As many rows in each array. Default 1: each array is one vector. */
  rows?: number;
  /** (rows, modalities), 0 where a modality is absent: its vector then counts as 0. Default: all are present. */
  present?: Uint8Array | undefined;
  /** Written instead of a new array: (rows, Π(d_m+1)). Must not overlap an input. */
  out?: Float32Array | undefined;
}

/**
 * The outer product itself: z = [h_1; 1] ⊗ [h_2; 1] ⊗ ..., row by row, the first modality slowest:
 * z[(i·(d_2+1) + j)·(d_3+1) + k] = h_1[i]·h_2[j]·h_3[k], where each modality's last index stands for the 1.
 *
 * To multiply it by weights, `TensorFusion` is faster: it never writes z.
 *
 * @param h  2 to 4 arrays, (rows, d_m), row-major
 * @returns (rows, Π(d_m+1))
 * @throws ShapeError ERR_SHAPE        arrays that `rows` does not divide, `present` or `out` of another length; a result
 *   of more than 512 MiB
 * @throws InputError ERR_INPUT_VALUE  `out` overlaps an input
 */
export async function outerProduct(
  h: readonly Float32Array[],
  options: OuterProductOptions = {},
): Promise<Float32Array> {
  const rows = options.rows ?? 1;
  const dims = Array.isArray(h) ? h.map((x) => rowsOf(x, rows)) : [];
  return execute(options, (addon, exec, cancel) =>
    addon.outerProduct(exec, cancel, dims, rows, h, options.present, options.out),
  );
}
