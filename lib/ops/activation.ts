import { describeValue, InputError } from '../errors.js';
import { type ExecOptions, execute, executeSync } from './exec.js';

/** In the order of `enum class Activation` in native/ops/activation/activation.h. */
export const ACTIVATIONS = [
  'none',
  'relu',
  'leaky-relu',
  'tanh',
  'sigmoid',
  'gelu',
  'gelu-tanh',
  'silu',
  'softplus',
] as const;
export type Activation = (typeof ACTIVATIONS)[number];

export interface ActivationOptions extends ExecOptions {
  /** Slope of 'leaky-relu' for x <= 0. Default 0.01. */
  slope?: number;
  /** Written instead of a new array: as long as x; may be x itself. */
  out?: Float32Array;
}

/** The number by which the addon knows an activation. @throws InputError ERR_INPUT_VALUE */
export function activationIndex(kind: string, field = 'kind'): number {
  const index = (ACTIVATIONS as readonly string[]).indexOf(kind);
  if (index < 0) {
    throw new InputError('ERR_INPUT_VALUE', {
      field,
      expected: `one of ${ACTIVATIONS.join(', ')}`,
      got: describeValue(kind),
    });
  }
  return index;
}

/**
 * y = f(x), elementwise, for the activations of the deep-learning frameworks.
 *
 *   relu max(x,0) · leaky-relu x>0 ? x : slope·x · tanh · sigmoid 1/(1+e^-x) · gelu x/2·(1+erf(x/√2))
 *   gelu-tanh x/2·(1+tanh(√(2/π)(x+0.044715x³))) · silu x·sigmoid(x) · softplus ln(1+e^x)
 *
 * @param x  any number of float32 values; NaN gives NaN
 * @returns as many values, in a new array or `out`
 * @throws InputError ERR_INPUT_VALUE  an unknown kind, a slope that is not finite
 * @throws ShapeError ERR_SHAPE        `out` of another length
 *
 * Within 1e-6 + 2e-6·|y| of float64 on the golden vectors, any instruction set. Source: PyTorch's definitions;
 * gelu: Hendrycks and Gimpel 2016.
 */
export async function activation(
  kind: Activation,
  x: Float32Array,
  options: ActivationOptions = {},
): Promise<Float32Array> {
  const index = activationIndex(kind);
  return execute(options, (addon, exec, cancel) =>
    addon.activation(exec, cancel, index, options.slope ?? 0.01, x.length, 1, x, options.out),
  );
}

/** `activation` on the calling thread, for some thousand values at most. */
export function activationSync(
  kind: Activation,
  x: Float32Array,
  options: Omit<ActivationOptions, 'signal'> = {},
): Float32Array {
  const index = activationIndex(kind);
  return executeSync(options, (addon, exec, cancel) =>
    addon.activation(exec, cancel, index, options.slope ?? 0.01, x.length, 1, x, options.out),
  );
}

export interface SoftmaxOptions extends ExecOptions {
  /** Length of a row; x is (x.length / cols, cols). Default: all of x is one row. */
  cols?: number;
  /** Written instead of a new array: as long as x; may be x itself. */
  out?: Float32Array;
}

/**
 * Softmax of each row: y_j = e^(x_j - max x) / Σ_k e^(x_k - max x).
 *
 * @param x  (rows, cols), row-major, finite or -inf
 * @returns (rows, cols); each row sums to 1
 * @throws ShapeError ERR_SHAPE  cols does not divide x.length, or `out` of another length
 *
 * Within 1e-5 relative of float64 on the golden vectors, any instruction set.
 */
export async function softmax(x: Float32Array, options: SoftmaxOptions = {}): Promise<Float32Array> {
  return rowwise(9, x, options);
}

/** Logarithm of `softmax`, without its underflow: y_j = x_j - max x - ln Σ_k e^(x_k - max x). */
export async function logSoftmax(x: Float32Array, options: SoftmaxOptions = {}): Promise<Float32Array> {
  return rowwise(10, x, options);
}

function rowwise(kind: number, x: Float32Array, options: SoftmaxOptions): Promise<Float32Array> {
  const cols = options.cols ?? x.length;
  return execute(options, (addon, exec, cancel) =>
    addon.activation(exec, cancel, kind, 0, Math.floor(x.length / cols), cols, x, options.out),
  );
}
