/** Gradients of the attentions over sequences, each forward and backward in one call. */
import { type ExecOptions, execute } from './exec.js';
import { rowsOf } from './prepared.js';
import {
  type AdditiveAttentionInput,
  type AdditiveAttentionLayer,
  type CrossAttentionInput,
  type CrossAttentionLayer,
  crossWeights,
  ownLengths,
  type SpatialAttentionInput,
  type TemporalAttentionInput,
} from './sequence_attention.js';

export interface TemporalAttentionGradients {
  /** (batch, keyDim) */
  dquery: Float32Array;
  /** (batch, steps, keyDim) */
  dkeys: Float32Array;
  /** (batch, steps, valueDim) */
  dvalues: Float32Array;
}

/**
 * Gradients of `temporalAttention`: de_t = α_t dc·(V_t - c), dV_t = α_t dc, dK_t = scale de_t q, dq = scale Σ_t de_t K_t.
 *
 * @param dc  (batch, valueDim): the gradient of the loss by c
 * @returns the loss's gradients by query, keys and values; exactly 0 beyond a row's length and where it is 0
 * @throws ShapeError ERR_SHAPE        arrays that do not fit each other
 * @throws InputError ERR_INPUT_VALUE  a length outside 0..steps, a scale that is not finite
 *
 * Within the tolerances of the golden vectors; the same bits on any number of threads.
 */
export async function temporalAttentionBackward(
  input: TemporalAttentionInput & { dc: Float32Array },
  options?: ExecOptions,
): Promise<TemporalAttentionGradients> {
  const { query, keys, values, steps, keyDim, valueDim, scale = 1 / Math.sqrt(keyDim), dc } = input;
  const batch = rowsOf(query, keyDim);
  const lengths = ownLengths(input.lengths);
  const [dquery, dkeys, dvalues] = await execute(options, (addon, exec, cancel) =>
    addon.temporalAttentionBackward(
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
      dc,
    ),
  );
  return { dquery, dkeys, dvalues };
}

export interface AdditiveAttentionGradients {
  /** (batch, steps, dim) */
  dx: Float32Array;
  /** As W, b and w of the layer. */
  dW: Float32Array;
  db: Float32Array;
  dw: Float32Array;
}

/**
 * Gradients of additive attention over time (AdditiveAttention): de_t = α_t dc·(x_t - c), dz_t = de_t w ⊙ (1 - tanh²(z_t)),
 * dx_t = α_t dc + Wᵀ dz_t, dW = Σ dz_t x_tᵀ, db = Σ dz_t, dw = Σ de_t tanh(z_t).
 *
 * @param dc  (batch, dim): the gradient of the loss by c
 * @returns the loss's gradients by the input and the weights; dx is exactly 0 beyond a row's length
 * @throws ShapeError ERR_SHAPE        arrays that do not fit each other
 * @throws InputError ERR_INPUT_VALUE  a length outside 0..steps
 *
 * Within the tolerances of the golden vectors; the same bits on any number of threads.
 */
export async function additiveAttentionBackward(
  layer: AdditiveAttentionLayer,
  input: AdditiveAttentionInput & { dc: Float32Array },
  options?: ExecOptions,
): Promise<AdditiveAttentionGradients> {
  const { dim, W, b, w } = layer;
  const { x, steps, dc } = input;
  const batch = rowsOf(x, steps * dim);
  const lengths = ownLengths(input.lengths);
  const [dx, dW, db, dw] = await execute(options, (addon, exec, cancel) =>
    addon.additiveAttentionBackward(exec, cancel, batch, steps, dim, W, b, w, x, lengths, dc),
  );
  return { dx, dW, db, dw };
}

export interface SpatialAttentionGradients {
  /** (batch, channels, height, width) */
  dx: Float32Array;
  /** As w, (channels), or as query, (batch, channels). */
  dquery: Float32Array;
  /** Exactly 0: b shifts all positions alike. */
  db: number;
}

/**
 * Gradients of `spatialAttention`: de_n = α_n dc·(x_n - c), dx_n = α_n dc + scale de_n q, dq = scale Σ_n de_n x_n, over the
 * rows too where all share one w.
 *
 * @param dc  (batch, channels): the gradient of the loss by c
 * @throws ShapeError ERR_SHAPE        arrays that do not fit each other
 * @throws InputError ERR_INPUT_VALUE  a scale or b that is not finite
 *
 * Within the tolerances of the golden vectors; the same bits on any number of threads.
 */
export async function spatialAttentionBackward(
  input: SpatialAttentionInput & { dc: Float32Array },
  options?: ExecOptions,
): Promise<SpatialAttentionGradients> {
  const { x, channels, height, width, dc } = input;
  const perRow = 'query' in input;
  const query = perRow ? input.query : input.w;
  const scale = perRow ? (input.scale ?? 1 / Math.sqrt(channels)) : 1;
  const bias = perRow ? 0 : (input.b ?? 0);
  const positions = height * width;
  const batch = rowsOf(x, channels * positions);
  const [dx, dquery, db] = await execute(options, (addon, exec, cancel) =>
    addon.spatialAttentionBackward(
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
      dc,
    ),
  );
  return { dx, dquery, db: db[0]! };
}

export interface CrossAttentionGradients {
  /** (batch, queries, width) */
  dx: Float32Array;
  /** (batch, keys, contextWidth) */
  dcontext: Float32Array;
  /** The weights' gradients, named and shaped as the weights; with the layer's sizes. */
  layer: CrossAttentionLayer;
}

/**
 * Gradients of multi-head attention or of its block (CrossAttention).
 *
 * @param dy  (batch, queries, width): the gradient of the loss by y
 * @returns the loss's gradients by x, by the context and by every weight. Absent keys get exactly 0 and may hold anything;
 *   that of bk is exactly 0, since bk shifts all scores of a query alike.
 * @throws ShapeError ERR_SHAPE  weights or arrays that do not fit each other, heads that do not divide the width
 *
 * Within the tolerances of the golden vectors; the same bits on any number of threads.
 */
export async function crossAttentionBackward(
  layer: CrossAttentionLayer,
  input: CrossAttentionInput & { dy: Float32Array },
  options?: ExecOptions,
): Promise<CrossAttentionGradients> {
  const { width, contextWidth, heads } = layer;
  const { weights, ff } = crossWeights(layer);
  const { x, context, queries, keys, present, dy } = input;
  const batch = rowsOf(x, queries * width);
  const [dx, dcontext, ...gradients] = await execute(options, (addon, exec, cancel) =>
    addon.crossAttentionBackward(
      exec,
      cancel,
      width,
      contextWidth,
      heads,
      ff,
      weights,
      batch,
      queries,
      keys,
      x,
      context,
      present,
      dy,
    ),
  );
  return { dx: dx!, dcontext: dcontext!, layer: crossGradients(layer, gradients) };
}

/** @internal The gradients of a layer's weights, in the order of the addon, in the layer's form. */
export function crossGradients(
  layer: CrossAttentionLayer,
  gradients: readonly Float32Array[],
): CrossAttentionLayer {
  const { width, contextWidth, heads } = layer;
  const [Wq, bq, Wk, bk, Wv, bv, Wo, bo] = gradients as Eight;
  const [gain1, shift1, W1, b1, W2, b2, gain2, shift2] = gradients.slice(8) as Eight;
  const attention = { width, contextWidth, heads, Wq, bq, Wk, bk, Wv, bv, Wo, bo };
  if (!layer.block) return attention;
  const norm1 = { weight: gain1, bias: shift1 };
  const norm2 = { weight: gain2, bias: shift2 };
  return { ...attention, block: { norm1, W1, b1, W2, b2, norm2 } };
}

type F = Float32Array;
type Eight = [F, F, F, F, F, F, F, F];
