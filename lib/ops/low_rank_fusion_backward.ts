import { type ExecOptions, execute } from './exec.js';
import { rowsOf } from './prepared.js';

export interface LowRankFusionInput {
  /** Sizes of the 2 to 8 modalities' vectors, without the appended 1. */
  dims: readonly number[];
  rank: number;
  outFeatures: number;
  /** One array a modality, (rows, dims[m]), row-major. */
  h: readonly Float32Array[];
  /** One array a modality, (rank, dims[m]+1, outFeatures), row-major; the last row of each rank meets the appended 1. */
  factors: readonly Float32Array[];
  /** (rank). Default: all 1. */
  rankWeights?: Float32Array | undefined;
  /** (rows, modalities), 0 where a modality is absent: its vector then counts as 0. Default: all are present. */
  present?: Uint8Array | undefined;
}

export interface LowRankFusionGradients {
  /** dL/dh_m, (rows, dims[m]); zeros where the modality is absent. */
  h: Float32Array[];
  /** dL/dF_m, (rank, dims[m]+1, outFeatures). */
  factors: Float32Array[];
  /** dL/dw, (rank); also where no rank weights were given. */
  rankWeights: Float32Array;
  /** dL/db, (outFeatures). */
  bias: Float32Array;
}

/**
 * Low-rank fusion with weights that change from call to call, as in training:
 * y = b + Σ_r w_r · Π_m ([h_m; 1] · F_m[r]). For weights that stay, `LowRankFusion` is faster.
 *
 * The same bits on any number of threads, on one instruction set; NaN and infinity stay in their rows.
 *
 * @param input.bias  (outFeatures). Default: none
 * @returns (rows, outFeatures)
 * @throws ShapeError ERR_SHAPE  arrays of other lengths than dims, rank and outFeatures give, or of unequal rows; fewer
 *   than 2 or more than 8 dims
 *
 * Within 5e-6 of max|y| of float64 on the golden vectors.
 */
export async function lowRankFusionForward(
  input: LowRankFusionInput & { bias?: Float32Array | undefined },
  options?: ExecOptions,
): Promise<Float32Array> {
  const { dims, rank, outFeatures, h, present, factors, rankWeights, bias } = input;
  const rows = rowsOf(h?.[0], dims?.[0]);
  return execute(options, (addon, exec, cancel) =>
    addon.lowRankFusionForward(
      exec,
      cancel,
      dims,
      rank,
      outFeatures,
      rows,
      h,
      present,
      factors,
      rankWeights,
      bias,
    ),
  );
}

/**
 * Gradients of low-rank fusion without an activation, with P_m = [h_m; 1] · F_m:
 *
 *   dP_m = dy w_r Π_{n≠m} P_n,   dF_m = [h_m; 1]ᵀ dP_m,   dh_m = dP_m F_mᵀ,   dw_r = Σ dy Π_m P_m[r],   db = Σ_rows dy
 *
 * Products without P_m are multiplied from both sides, never divided: a P_m of 0 is no special case. P is formed anew
 * here; a trainer keeps it from its forward pass. The same bits on any number of threads, on one instruction set.
 *
 * @param input.dy  (rows, outFeatures), dL/dy
 * @throws ShapeError ERR_SHAPE  as `lowRankFusionForward`; a dy of another length
 *
 * Within 1e-5 of the largest element of float64 on the golden vectors. Source: Liu et al. 2018.
 */
export async function lowRankFusionBackward(
  input: LowRankFusionInput & { dy: Float32Array },
  options?: ExecOptions,
): Promise<LowRankFusionGradients> {
  const { dims, rank, outFeatures, h, present, factors, rankWeights, dy } = input;
  const rows = rowsOf(h?.[0], dims?.[0]);
  const gradients = await execute(options, (addon, exec, cancel) =>
    addon.lowRankFusionBackward(
      exec,
      cancel,
      dims,
      rank,
      outFeatures,
      rows,
      h,
      present,
      factors,
      rankWeights,
      undefined,
      dy,
    ),
  );
  const modes = dims.length;
  const [dw, db] = gradients.splice(2 * modes) as [Float32Array, Float32Array];
  return { h: gradients.slice(0, modes), factors: gradients.slice(modes), rankWeights: dw, bias: db };
}
