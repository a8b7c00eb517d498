import type { NativeHandle } from '../native.js';
import { type ExecOptions, execute } from './exec.js';
import type { AttentionOptions, AttentionResult } from './modality_attention.js';
import { Prepared, rowsOf } from './prepared.js';

export interface TemporalAttentionInput {
  /** (batch, keyDim) */
  query: Float32Array;
  /** (batch, steps, keyDim) */
  keys: Float32Array;
  /** (batch, steps, valueDim) */
  values: Float32Array;
  steps: number;
  keyDim: number;
  valueDim: number;
  /** (batch) How many first steps of each row count, 0..steps. Default: all. */
  lengths?: Int32Array | undefined;
  /** Multiplies the scores; 1 is the unscaled form. Default 1/√keyDim. */
  scale?: number;
}

/**
 * Dot-product attention over time, one query a row: α = softmax_t(scale · q·K_t), c = Σ_t α_t V_t.
 *
 * @returns c (batch, valueDim); alpha (batch, steps), exactly 0 beyond a row's length. Length 0 gives zeros. What lies
 *   beyond the length cannot influence the result.
 * @throws ShapeError ERR_SHAPE        arrays that do not fit each other
 * @throws InputError ERR_INPUT_VALUE  a length outside 0..steps, a scale that is not finite
 *
 * Within 5e-6 of the largest value of float64 on the golden vectors. Source: Vaswani et al. 2017.
 */
export async function temporalAttention(
  input: TemporalAttentionInput,
  options: AttentionOptions = {},
): Promise<AttentionResult> {
  const { query, keys, values, steps, keyDim, valueDim, scale = 1 / Math.sqrt(keyDim) } = input;
  const batch = rowsOf(query, keyDim);
  const lengths = ownLengths(input.lengths);
  const { out } = options;
  const [c, alpha] = await execute(options, (addon, exec, cancel) =>
    addon.temporalAttention(
      exec,
      cancel,
      batch,
      steps,
      keyDim,
      valueDim,
      scale,
      query,
      keys,
      values,
      lengths,
      out?.c,
      out?.alpha,
    ),
  );
  return { c, alpha };
}

export interface AdditiveAttentionLayer {
  dim: number;
  /** (k, dim) */
  W: Float32Array;
  /** (k) */
  b: Float32Array;
  /** (k) */
  w: Float32Array;
}

export interface AdditiveAttentionInput {
  /** (batch, steps, dim) */
  x: Float32Array;
  steps: number;
  /** (batch) How many first steps of each row count, 0..steps. Default: all. */
  lengths?: Int32Array | undefined;
}

/**
 * Attention over time by learned scores, without a query, its weights made ready once:
 * e_t = w · tanh(W x_t + b), α = softmax(e), c = Σ_t α_t x_t.
 *
 * Within 5e-6 of the largest value of float64 on the golden vectors, any instruction set; a row's result is the same,
 * bit for bit, alone and in any batch. Source: Bahdanau et al. 2015.
 */
export class AdditiveAttention extends Prepared {
  readonly dim: number;

  private constructor(handle: NativeHandle, { dim }: AdditiveAttentionLayer) {
    super(handle);
    this.dim = dim;
  }

  /**
   * Copies the weights into the order in which they are read.
   * @throws ShapeError ERR_SHAPE  weights that do not fit each other
   * @throws BackendError ERR_MEMORY
   */
  static async create(layer: AdditiveAttentionLayer, options?: ExecOptions): Promise<AdditiveAttention> {
    const { dim, W, b, w } = layer;
    const handle = await execute(options, (addon, exec, cancel) =>
      addon.additiveAttentionPrepare(exec, cancel, dim, W, b, w),
    );
    return new AdditiveAttention(handle, layer);
  }

  /**
   * @returns c (batch, dim); alpha (batch, steps), exactly 0 beyond a row's length. Length 0 gives zeros. What lies
   *   beyond the length cannot influence the result.
   * @throws ShapeError ERR_SHAPE        arrays that do not fit each other
   * @throws InputError ERR_INPUT_VALUE  a length outside 0..steps
   * @throws DisposedError ERR_DISPOSED
   */
  async run(input: AdditiveAttentionInput, options: AttentionOptions = {}): Promise<AttentionResult> {
    const { handle } = this;
    const { x, steps } = input;
    const batch = rowsOf(x, steps * this.dim);
    const lengths = ownLengths(input.lengths);
    const { out } = options;
    const [c, alpha] = await execute(options, (addon, exec, cancel) =>
      addon.additiveAttentionRun(exec, cancel, handle, batch, steps, x, lengths, out?.c, out?.alpha),
    );
    return { c, alpha };
  }
}

export type SpatialAttentionInput = {
  /** (batch, channels, height, width) */
  x: Float32Array;
  channels: number;
  height: number;
  width: number;
} & (
  | {
      /** (channels): the same scores w·x + b for every row */
      w: Float32Array;
      /** Shifts all positions alike, so it changes nothing. Default 0. */
      b?: number;
    }
  | {
      /** (batch, channels): scores scale · q·x */
      query: Float32Array;
      /** Default 1/√channels. */
      scale?: number;
    }
);

/**
 * Attention over the positions of a feature map: α = softmax over height·width of the scores, c = Σ_n α_n x_n.
 *
 * @returns c (batch, channels); alpha (batch, height, width)
 * @throws ShapeError ERR_SHAPE        arrays that do not fit each other
 * @throws InputError ERR_INPUT_VALUE  a scale or b that is not finite
 *
 * Within 5e-6 of the largest value of float64 on the golden vectors.
 */
export async function spatialAttention(
  input: SpatialAttentionInput,
  options: AttentionOptions = {},
): Promise<AttentionResult> {
  const { x, channels, height, width } = input;
  const perRow = 'query' in input;
  const query = perRow ? input.query : input.w;
  const scale = perRow ? (input.scale ?? 1 / Math.sqrt(channels)) : 1;
  const bias = perRow ? 0 : (input.b ?? 0);
  const positions = height * width;
  const batch = rowsOf(x, channels * positions);
  const { out } = options;
  const [c, alpha] = await execute(options, (addon, exec, cancel) =>
    addon.spatialAttention(
      exec,
      cancel,
      batch,
      channels,
      positions,
      perRow,
      scale,
      bias,
      x,
      query,
      out?.c,
      out?.alpha,
    ),
  );
  return { c, alpha };
}

export interface CrossAttentionLayer {
  width: number;
  contextWidth: number;
  /** Divides width. */
  heads: number;
  /** (width, width), (width) */
  Wq: Float32Array;
  bq: Float32Array;
  /** (width, contextWidth), (width) */
  Wk: Float32Array;
  bk: Float32Array;
  Wv: Float32Array;
  bv: Float32Array;
  /** (width, width), (width) */
  Wo: Float32Array;
  bo: Float32Array;
  /** What makes the attention a transformer block. Default: none. */
  block?: {
    /** Layer norm after the attention, each (width). */
    norm1: { weight: Float32Array; bias: Float32Array };
    /** (ff, width), (ff) */
    W1: Float32Array;
    b1: Float32Array;
    /** (width, ff), (width) */
    W2: Float32Array;
    b2: Float32Array;
    /** Layer norm at the end, each (width). */
    norm2: { weight: Float32Array; bias: Float32Array };
  };
}

export interface CrossAttentionInput {
  /** (batch, queries, width): what attends */
  x: Float32Array;
  /** (batch, keys, contextWidth): what is attended to */
  context: Float32Array;
  queries: number;
  keys: number;
  /** (batch, keys); 0 is absent. Default: all are present. */
  present?: Uint8Array | undefined;
}

export interface CrossAttentionOptions extends ExecOptions {
  /** Whether alpha is given out. Default false: then it is empty. */
  weights?: boolean;
  /** Written instead of new arrays; of exactly the results' lengths. */
  out?: { y?: Float32Array | undefined; alpha?: Float32Array | undefined } | undefined;
}

export interface CrossAttentionResult {
  /** (batch, queries, width) */
  y: Float32Array;
  /** (batch, heads, queries, keys), or empty when not asked for */
  alpha: Float32Array;
}

/**
 * Multi-head attention of one modality to another, its weights made ready once:
 *
 *   Q = x Wqᵀ + bq, K = ctx Wkᵀ + bk, V = ctx Wvᵀ + bv,   α_h = softmax(Q_h K_hᵀ / √(width/heads))
 *   y = [α_1 V_1 … α_H V_H] Woᵀ + bo
 *
 * and with a block, norms after the sums and eps 1e-5: u = LN(x + y), y ← LN(u + W2 relu(W1 u + b1) + b2).
 *
 * Within 5e-6 (with a block 1e-5) of the largest value of float64 on the golden vectors, any instruction set; a row of
 * the batch has the same result alone. Source: Vaswani et al. 2017; between modalities: Tsai et al. 2019.
 */
export class CrossAttention extends Prepared {
  readonly width: number;
  readonly contextWidth: number;
  readonly heads: number;

  private constructor(handle: NativeHandle, { width, contextWidth, heads }: CrossAttentionLayer) {
    super(handle);
    this.width = width;
    this.contextWidth = contextWidth;
    this.heads = heads;
  }

  /**
   * Copies the weights into the order in which they are read.
   * @throws ShapeError ERR_SHAPE  a weight of another length than the widths give, heads that do not divide the width
   * @throws BackendError ERR_MEMORY
   */
  static async create(layer: CrossAttentionLayer, options?: ExecOptions): Promise<CrossAttention> {
    const { width, contextWidth, heads } = layer;
    const { weights, ff } = crossWeights(layer);
    const handle = await execute(options, (addon, exec, cancel) =>
      addon.crossAttentionPrepare(exec, cancel, width, contextWidth, heads, ff, weights),
    );
    return new CrossAttention(handle, layer);
  }

  /**
   * @returns y (batch, queries, width). Absent keys have weight exactly 0 and may hold anything; with none present the
   *   attention's part is bo.
   * @throws ShapeError ERR_SHAPE  arrays that do not fit each other
   * @throws DisposedError ERR_DISPOSED
   */
  async run(input: CrossAttentionInput, options: CrossAttentionOptions = {}): Promise<CrossAttentionResult> {
    const { handle } = this;
    const { x, context, queries, keys, present } = input;
    const batch = rowsOf(x, queries * this.width);
    const { out, weights = false } = options;
    const [y, alpha] = await execute(options, (addon, exec, cancel) =>
      addon.crossAttentionRun(
        exec,
        cancel,
        handle,
        batch,
        queries,
        keys,
        x,
        context,
        present,
        weights,
        out?.y,
        out?.alpha,
      ),
    );
    return { y, alpha };
  }
}

/** @internal The arrays of a layer in the order in which the addon takes them, and the width of its block, 0 for none. */
export function crossWeights(layer: CrossAttentionLayer): { weights: Float32Array[]; ff: number } {
  const { Wq, bq, Wk, bk, Wv, bv, Wo, bo, block } = layer;
  const weights = [Wq, bq, Wk, bk, Wv, bv, Wo, bo];
  if (!block) return { weights, ff: 0 };
  const { norm1, W1, b1, W2, b2, norm2 } = block;
  weights.push(norm1.weight, norm1.bias, W1, b1, W2, b2, norm2.weight, norm2.bias);
  return { weights, ff: b1.length };
}

/** @internal A copy: the addon checks lengths before it starts, and what it indexes with must not change after that. */
export function ownLengths(lengths: Int32Array | undefined): Int32Array | undefined {
  return lengths instanceof Int32Array ? lengths.slice() : lengths;
}
