import { type ExecOptions, execute } from './exec.js';
import { rowsOf } from './prepared.js';

export interface LayerNormOptions extends ExecOptions {
  /** Length of a row. Default: all of x is one row. */
  cols?: number;
  /** Added to the variance. Default 1e-5. */
  eps?: number;
  /** (cols). Default: all 1. */
  gain?: Float32Array | undefined;
  /** (cols). Default: all 0. */
  bias?: Float32Array | undefined;
  /** Written instead of a new array: as long as x; may be x itself. */
  out?: Float32Array | undefined;
}

/**
 * Layer normalisation of each row: y = (x - mean) / √(variance + eps) · gain + bias, the variance biased (divided by
 * cols).
 *
 * @param x  (rows, cols), row-major; a row with a NaN or infinity becomes NaN
 * @returns (rows, cols)
 * @throws ShapeError ERR_SHAPE        cols does not divide x.length; gain, bias or `out` of another length
 * @throws InputError ERR_INPUT_VALUE  eps negative or not finite
 *
 * Within 1e-5 of max|y| of float64 on the golden vectors, any instruction set, also where the mean is a million times
 * the spread. Source: Ba, Kiros and Hinton 2016; torch.nn.LayerNorm.
 */
export async function layerNorm(x: Float32Array, options: LayerNormOptions = {}): Promise<Float32Array> {
  const cols = options.cols ?? x?.length ?? 0;
  return execute(options, (addon, exec, cancel) =>
    addon.layerNorm(
      exec,
      cancel,
      rowsOf(x, cols),
      cols,
      options.eps ?? 1e-5,
      x,
      options.gain,
      options.bias,
      options.out,
    ),
  );
}
