import { type ConvPoolInput, type ConvPoolLayer, convPoolArguments } from './conv_pool.js';
import { ownInts } from './embedding.js';
import { type ExecOptions, execute } from './exec.js';
import { rowsOf } from './prepared.js';

export type ConvPoolForwardInput = ConvPoolLayer & ConvPoolInput;

export interface ConvPoolForwardResult {
  /** (batch, filters of all windows) */
  y: Float32Array;
  /** (batch, filters): the first step at which the window gave the largest sum. */
  argmax: Int32Array;
}

/**
 * `ConvPool` with weights that change from call to call, as in training; it tells also where each largest value was.
 * For weights that stay, `ConvPool` is faster.
 *
 * @throws ShapeError ERR_SHAPE        arrays that do not fit each other
 * @throws InputError ERR_INPUT_VALUE  a length outside 0..steps, an unknown activation
 *
 * The same bits as `ConvPool`.
 */
export async function convPoolForward(
  input: ConvPoolForwardInput,
  options?: ExecOptions,
): Promise<ConvPoolForwardResult> {
  const { dim, sizes, weights, biases, activation } = convPoolArguments(input);
  const { x, steps } = input;
  const batch = rowsOf(x, steps * dim);
  const lengths = ownInts(input.lengths);
  const [y, argmax] = await execute(options, (addon, exec, cancel) =>
    addon.convPoolForward(exec, cancel, dim, sizes, weights, biases, activation, batch, steps, x, lengths),
  );
  return { y, argmax };
}

export interface ConvPoolBackwardInput extends ConvPoolForwardInput, ConvPoolForwardResult {
  /** (batch, filters): the loss's gradient of y. */
  dy: Float32Array;
}

export interface ConvPoolGradients {
  /** dL/dx, (batch, steps, dim), 0 beyond a row's length; empty where it was not asked for. */
  dx: Float32Array;
  /** Of each window: weight (filters, size, dim), bias (filters), also where no bias was given. */
  windows: { weight: Float32Array; bias: Float32Array }[];
}

/**
 * Gradients of `convPoolForward`, of whose result y and argmax come: with t = argmax[b, f] and
 * g[b, f] = dy[b, f] · act'(y[b, f]),
 *
 *   dw[f, i, d] = Σ_b g[b, f] x[b, t + i, d],   dbias[f] = Σ_b g[b, f],   dx[b, t + i, d] = Σ_f g[b, f] w[f, i, d]
 *
 * relu's slope at 0 is 0. A g of exactly 0 adds nothing. The same bits on any number of threads, on one instruction set.
 *
 * @param options.inputGradient  false: dx is not computed (a first layer of fixed vectors). Default true
 * @throws ShapeError ERR_SHAPE        arrays that do not fit each other
 * @throws InputError ERR_INPUT_VALUE  a place in argmax outside its row; as `convPoolForward`
 *
 * Within 1e-5 of the largest element of float64 on the golden vectors. Source: Kim 2014; torch.nn.Conv1d and max.
 */
export async function convPoolBackward(
  input: ConvPoolBackwardInput,
  options: ExecOptions & { inputGradient?: boolean } = {},
): Promise<ConvPoolGradients> {
  const { dim, sizes, weights, biases, activation } = convPoolArguments(input);
  const { x, steps, y, dy } = input;
  const batch = rowsOf(x, steps * dim);
  const lengths = ownInts(input.lengths);
  const argmax = ownInts(input.argmax);
  const inputGradient = options.inputGradient ?? true;
  const gradients = await execute(options, (addon, exec, cancel) =>
    addon.convPoolBackward(
      exec,
      cancel,
      dim,
      sizes,
      weights,
      biases,
      activation,
      batch,
      steps,
      x,
      lengths,
      y,
      argmax,
      dy,
      inputGradient,
    ),
  );
  const [dx, ...rest] = gradients as [Float32Array, ...Float32Array[]];
  const windows = sizes.map((_, i) => ({
    weight: rest[i] as Float32Array,
    bias: rest[sizes.length + i] as Float32Array,
  }));
  return { dx, windows };
}
