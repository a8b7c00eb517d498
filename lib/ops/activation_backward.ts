import { ACTIVATIONS, type Activation, activationIndex } from './activation.js';
import { type ExecOptions, execute } from './exec.js';
import { rowsOf } from './prepared.js';

/** Those of `activation`, and the two that look at whole rows. */
export type DifferentiableActivation = Activation | 'softmax' | 'log-softmax';

export interface ActivationBackwardInput {
  /** What went in. */
  x: Float32Array;
  /** The forward result, as long as x. Default: computed again. */
  y?: Float32Array | undefined;
  /** The loss's gradient of y, as long as x. */
  dy: Float32Array;
}

export interface ActivationBackwardOptions extends ExecOptions {
  /** Slope of 'leaky-relu' for x <= 0. Default 0.01. */
  slope?: number;
  /** Length of a row, for 'softmax' and 'log-softmax'. Default: all of x is one row. */
  cols?: number;
  /** Written instead of a new array: as long as x; may be dy itself. */
  out?: Float32Array | undefined;
}

/**
 * Gradient of an activation: dx = dy ⊙ f'(x); of softmax dx = y ⊙ (dy - Σ_k dy_k y_k) and of log-softmax
 * dx = dy - e^y Σ_k dy_k, each row apart.
 *
 * At 0 the slope of 'relu' and 'leaky-relu' is the negative side's. Slopes are finite for infinite x, and NaN for NaN,
 * except those of 'relu' and 'leaky-relu'.
 *
 * @returns dx, as long as x, in a new array or `out`
 * @throws ShapeError ERR_SHAPE        y, dy or `out` of another length than x, or cols does not divide it
 * @throws InputError ERR_INPUT_VALUE  an unknown kind, a slope that is not finite
 *
 * Within 2e-6 + 5e-6·|dx| (softmaxes 2e-5 + 1e-4·|dx|) of float64 on the golden vectors, any instruction set.
 */
export async function activationBackward(
  kind: DifferentiableActivation,
  { x, y, dy }: ActivationBackwardInput,
  options: ActivationBackwardOptions = {},
): Promise<Float32Array> {
  const rowwise = kind === 'softmax' || kind === 'log-softmax';
  const index = rowwise ? ACTIVATIONS.length + (kind === 'softmax' ? 0 : 1) : activationIndex(kind);
  const cols = rowwise ? (options.cols ?? x?.length ?? 0) : 1;
  return execute(options, (addon, exec, cancel) =>
    addon.activationBackward(
      exec,
      cancel,
      index,
      options.slope ?? 0.01,
      rowsOf(x, cols),
      cols,
      x,
      y,
      dy,
      options.out,
    ),
  );
}
