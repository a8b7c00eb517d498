import { type ExecOptions, execute } from './exec.js';

export interface DropoutOptions extends ExecOptions {
  /** Chance of an element to become 0, in [0, 1). */
  p: number;
  /** Of the run, a safe integer. */
  seed: number;
  /** Of this use of the seed (a step, a layer), a safe integer. Default 0. */
  stream?: number;
  /** Written instead of a new array: as long as x; may be x itself. */
  out?: Float32Array | undefined;
}

/**
 * Dropout: y_i = keep_i ? x_i / (1 - p) : 0, keep_i with chance 1 - p.
 *
 * Which elements stay depends on (seed, stream, i) alone, by the counter-based Philox4x32-10: the same on every backend,
 * instruction set and number of threads. The gradient is this very function of dy, with the same seed and stream.
 *
 * @param x  any number of values; a dropped NaN becomes 0
 * @returns as many values, in a new array or `out`
 * @throws InputError ERR_INPUT_VALUE  p outside [0, 1), a seed or stream that is no safe integer
 * @throws ShapeError ERR_SHAPE        `out` of another length
 *
 * Source: Srivastava et al. 2014; Salmon et al. 2011 (Philox).
 */
export async function dropout(x: Float32Array, options: DropoutOptions): Promise<Float32Array> {
  const { p, seed, stream = 0, out } = options;
  return execute(options, (addon, exec, cancel) => addon.dropout(exec, cancel, p, seed, stream, x, out));
}
