import { type ExecOptions, execute } from './exec.js';
import { rowsOf } from './prepared.js';

export interface LinearBackwardInput {
  inFeatures: number;
  outFeatures: number;
  /** (rows, inFeatures): what went in. */
  x: Float32Array;
  /** (outFeatures, inFeatures), row-major. */
  weight: Float32Array;
  /** (rows, outFeatures): the loss's gradient of the result, before any activation. */
  dy: Float32Array;
}

export interface LinearBackwardOptions extends ExecOptions {
  /** Whether dx is wanted: the first layer of a network needs none. Default true. */
  inputGradient?: boolean;
}

export interface LinearGradients {
  /** (rows, inFeatures); undefined without `inputGradient`. */
  dx: Float32Array | undefined;
  /** (outFeatures, inFeatures). */
  dW: Float32Array;
  /** (outFeatures). */
  db: Float32Array;
}

/**
 * Gradients of a fully connected layer y = x · Wᵀ + b:
 *
 *   dx = dy · W,   dW = dyᵀ · x,   db = Σ_rows dy
 *
 * On the CPU the bits do not depend on the number of threads. NaN and infinity show in the results they belong to.
 *
 * @returns dx, dW and db; 0 rows give zeros for dW and db
 * @throws ShapeError ERR_SHAPE  x, weight or dy of a length that does not fit inFeatures, outFeatures and the rows
 *
 * Within 1e-5 of the largest gradient of float64 on the golden vectors, any instruction set. Source: torch.nn.Linear.
 */
export async function linearBackward(
  input: LinearBackwardInput,
  options: LinearBackwardOptions = {},
): Promise<LinearGradients> {
  const { x, weight, dy, inFeatures, outFeatures } = input;
  const inputGradient = options.inputGradient ?? true;
  const [dx, dW, db] = await execute(options, (addon, exec, cancel) =>
    addon.linearBackward(
      exec,
      cancel,
      rowsOf(x, inFeatures),
      inFeatures,
      outFeatures,
      x,
      weight,
      dy,
      inputGradient,
    ),
  );
  return { dx: inputGradient ? dx : undefined, dW, db };
}
