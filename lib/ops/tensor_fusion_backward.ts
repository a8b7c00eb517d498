import { type ExecOptions, execute } from './exec.js';
import { rowsOf } from './prepared.js';

export interface TensorFusionInput {
  /** Sizes of the 2 to 4 modalities' vectors, without the appended 1. */
  dims: readonly number[];
  outFeatures: number;
  /** One array a modality, (rows, dims[m]), row-major. */
  h: readonly Float32Array[];
  /** (outFeatures, Π(dims[m]+1)), row-major, the first modality slowest, the appended 1 last in each. */
  weight: Float32Array;
  /** (rows, modalities), 0 where a modality is absent: its vector then counts as 0. Default: all are present. */
  present?: Uint8Array | undefined;
}

export interface TensorFusionGradients {
  /** dL/dh_m, (rows, dims[m]); zeros where the modality is absent. */
  h: Float32Array[];
  /** dL/dW, (outFeatures, Π(dims[m]+1)). */
  weight: Float32Array;
  /** dL/db, (outFeatures). */
  bias: Float32Array;
}

/**
 * Tensor fusion with weights that change from call to call, as in training: y = W z + b with
 * z = [h_1; 1] ⊗ [h_2; 1] ⊗ ..., of which no more than a block is ever in memory. For weights that stay, `TensorFusion`
 * is faster.
 *
 * The same bits on any number of threads, on one instruction set; NaN and infinity stay in their rows.
 *
 * @param input.bias  (outFeatures). Default: none
 * @returns (rows, outFeatures)
 * @throws ShapeError ERR_SHAPE  arrays of other lengths than dims and outFeatures give, or of unequal rows; fewer than
 *   2 or more than 4 dims; weights of more than 512 MiB
 *
 * Within 5e-6 of max|y| of float64 on the golden vectors.
 */
export async function tensorFusionForward(
  input: TensorFusionInput & { bias?: Float32Array | undefined },
  options?: ExecOptions,
): Promise<Float32Array> {
  const { dims, outFeatures, h, present, weight, bias } = input;
  const rows = rowsOf(h?.[0], dims?.[0]);
  return execute(options, (addon, exec, cancel) =>
    addon.tensorFusionForward(exec, cancel, dims, outFeatures, rows, h, present, weight, bias),
  );
}

/**
 * Gradients of tensor fusion without an activation, y = W z + b:
 *
 *   dW = dyᵀ z,   db = Σ_rows dy,   dh_m[i] = Σ over the other modes of (dy W) ⊙ their [h; 1]
 *
 * Neither z nor dy W is ever written whole. The same bits on any number of threads, on one instruction set.
 *
 * @param input.dy  (rows, outFeatures), dL/dy
 * @throws ShapeError ERR_SHAPE  as `tensorFusionForward`; a dy of another length
 *
 * Within 1e-5 of the largest element of float64 on the golden vectors. Source: Zadeh et al. 2017.
 */
export async function tensorFusionBackward(
  input: TensorFusionInput & { dy: Float32Array },
  options?: ExecOptions,
): Promise<TensorFusionGradients> {
  const { dims, outFeatures, h, present, weight, dy } = input;
  const rows = rowsOf(h?.[0], dims?.[0]);
  const gradients = await execute(options, (addon, exec, cancel) =>
    addon.tensorFusionBackward(exec, cancel, dims, outFeatures, rows, h, present, weight, undefined, dy),
  );
  const [dW, db] = gradients.splice(dims.length) as [Float32Array, Float32Array];
  return { h: gradients, weight: dW, bias: db };
}

/**
 * Gradients of the outer product z = [h_1; 1] ⊗ [h_2; 1] ⊗ ...: dh_m[i] = Σ over the other modes of dz ⊙ their [h; 1].
 *
 * @param input.h     2 to 4 arrays, (rows, d_m), row-major
 * @param input.dz    (rows, Π(d_m+1)), dL/dz
 * @param input.rows  as many rows in each array. Default 1: each array is one vector
 * @param input.present  (rows, modalities), 0 where a modality is absent: its dh is 0
 * @returns dL/dh_m, (rows, d_m)
 * @throws ShapeError ERR_SHAPE  arrays that `rows` does not divide, a `dz` of another length; a product of over 512 MiB
 *
 * Within 1e-5 of the largest element of float64 on the golden vectors.
 */
export async function outerProductBackward(
  input: { h: readonly Float32Array[]; dz: Float32Array; rows?: number; present?: Uint8Array | undefined },
  options?: ExecOptions,
): Promise<Float32Array[]> {
  const { h, dz, rows = 1, present } = input;
  const dims = Array.isArray(h) ? h.map((x) => rowsOf(x, rows)) : [];
  return execute(options, (addon, exec, cancel) =>
    addon.outerProductBackward(exec, cancel, dims, rows, h, present, dz),
  );
}
