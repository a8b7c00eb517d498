import { type ExecOptions, execute } from './exec.js';
import { type LstmLayer, type LstmResult, type LstmSequence, sequenceOf } from './lstm.js';

/** A layer whose weights change from call to call, and what it runs over. */
export interface LstmInput extends LstmLayer, LstmSequence {
  /** (batch, time, inputSize), row-major. */
  x: Float32Array;
}

export interface LstmForwardResult extends LstmResult {
  /** (batch, time, directions, 5, hiddenSize): i, f, g, o and c of every step, for `lstmBackward`. */
  saved: Float32Array;
}

export interface LstmBackwardInput extends Omit<LstmInput, 'bias'> {
  /** Of `lstmForward`. */
  y: Float32Array;
  /** Of `lstmForward`. */
  saved: Float32Array;
  /** dL/dy, as y; what stands behind a row's length is not read. Default: zeros. */
  dy?: Float32Array | undefined;
  /** dL/dh of the final states, (directions, batch, hiddenSize). Default: zeros. */
  dh?: Float32Array | undefined;
  /** dL/dc, as dh. */
  dc?: Float32Array | undefined;
  /** Whether dL/dx is wanted; it costs a product as large as the forward one. Default true. */
  inputGradient?: boolean;
}

export interface LstmGradients {
  /** dL/dx, (batch, time, inputSize), 0 behind a row's length; without `inputGradient`, none. */
  x: Float32Array | undefined;
  /** (directions, 4·hiddenSize, inputSize). */
  weightInput: Float32Array;
  /** (directions, 4·hiddenSize, hiddenSize). */
  weightHidden: Float32Array;
  /** (directions, 4·hiddenSize); also where no bias was given. */
  bias: Float32Array;
  /** (directions, batch, hiddenSize). */
  h0: Float32Array;
  /** (directions, batch, hiddenSize). */
  c0: Float32Array;
}

/**
 * `Lstm` with weights that change from call to call, as in training; keeps what `lstmBackward` needs. The same bits as
 * `Lstm`.
 *
 * @throws as Lstm.create and Lstm.run
 */
export async function lstmForward(input: LstmInput, options?: ExecOptions): Promise<LstmForwardResult> {
  const { inputSize, hiddenSize, directions, weightInput, weightHidden, bias } = input;
  const [y, h, c, saved] = (await execute(options, (addon, exec, cancel) =>
    addon.lstmForward(
      exec,
      cancel,
      inputSize,
      hiddenSize,
      directions ?? 1,
      weightInput,
      weightHidden,
      bias,
      ...sequenceOf(input.x, inputSize, input),
    ),
  )) as [Float32Array, Float32Array, Float32Array, Float32Array];
  return { y, h, c, saved };
}

/**
 * Gradients of an LSTM through all its steps, from the gradients of y and of the final states:
 *
 *   da = dL/d(W_x x_t + W_h h_{t-1} + b),   dW_x = Σ da x_tᵀ,  dW_h = Σ da h_{t-1}ᵀ,  db = Σ da,  dx_t = W_xᵀ da
 *
 * Sums over rows' own steps only: what stands behind their lengths in x and dy is not read. The same bits on any number
 * of threads, on one instruction set.
 *
 * @throws ShapeError ERR_SHAPE  as `lstmForward`; y, saved, dy, dh or dc of another length
 * @throws BackendError ERR_MEMORY
 *
 * Within 2e-5 of the largest element of float64 on the golden vectors. Source: Werbos 1990, Backpropagation through
 * time.
 */
export async function lstmBackward(input: LstmBackwardInput, options?: ExecOptions): Promise<LstmGradients> {
  const { inputSize, hiddenSize, directions, weightInput, weightHidden, y, saved, dy, dh, dc } = input;
  const inputGradient = input.inputGradient ?? true;
  const [dx, dInput, dHidden, bias, h0, c0] = (await execute(options, (addon, exec, cancel) =>
    addon.lstmBackward(
      exec,
      cancel,
      inputSize,
      hiddenSize,
      directions ?? 1,
      weightInput,
      weightHidden,
      undefined,
      ...sequenceOf(input.x, inputSize, input),
      y,
      saved,
      dy,
      dh,
      dc,
      inputGradient,
    ),
  )) as [Float32Array, Float32Array, Float32Array, Float32Array, Float32Array, Float32Array];
  return { x: inputGradient ? dx : undefined, weightInput: dInput, weightHidden: dHidden, bias, h0, c0 };
}
