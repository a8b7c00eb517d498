import { type ExecOptions, execute } from './exec.js';
import { rowsOf } from './prepared.js';

export interface LayerNormBackwardInput {
  /** (rows, cols): what went in. */
  x: Float32Array;
  /** (rows, cols): the loss's gradient of the result. */
  dy: Float32Array;
  /** (cols). Default: all 1. */
  gain?: Float32Array | undefined;
}

export interface LayerNormBackwardOptions extends ExecOptions {
  /** Length of a row. Default: all of x is one row. */
  cols?: number;
  /** Added to the variance. Default 1e-5. */
  eps?: number;
}

export interface LayerNormGradients {
  /** (rows, cols). */
  dx: Float32Array;
  /** (cols). */
  dgain: Float32Array;
  /** (cols). */
  dbias: Float32Array;
}

/**
 * Gradients of layer normalisation, x̂ = (x - mean) / √(variance + eps):
 *
 *   dgain = Σ_rows dy ⊙ x̂,   dbias = Σ_rows dy
 *   dx = (g ⊙ dy - mean(g ⊙ dy) - x̂ · mean(g ⊙ dy ⊙ x̂)) / √(variance + eps), means over the row
 *
 * On the CPU the bits do not depend on the number of threads. A row with a NaN or infinity makes its dx and all of
 * dgain NaN.
 *
 * @throws ShapeError ERR_SHAPE        cols does not divide x.length; dy or gain of another length
 * @throws InputError ERR_INPUT_VALUE  eps negative or not finite
 *
 * Within 1e-5 of the largest gradient of float64 on the golden vectors, any instruction set.
 * Source: Ba, Kiros and Hinton 2016; torch.nn.LayerNorm.
 */
export async function layerNormBackward(
  { x, dy, gain }: LayerNormBackwardInput,
  options: LayerNormBackwardOptions = {},
): Promise<LayerNormGradients> {
  const cols = options.cols ?? x?.length ?? 0;
  const [dx, dgain, dbias] = await execute(options, (addon, exec, cancel) =>
    addon.layerNormBackward(exec, cancel, rowsOf(x, cols), cols, options.eps ?? 1e-5, x, gain, dy),
  );
  return { dx, dgain, dbias };
}
