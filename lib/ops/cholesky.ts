/** Dense float64 algebra for closed-form fits, on the CPU. Matrices are row-major and contiguous. */
import { TrainError } from '../errors.js';
import { type ExecOptions, execute } from './exec.js';

type CpuOptions = Pick<ExecOptions, 'isa' | 'threads' | 'signal'>;

export interface CholeskyOptions extends CpuOptions {
  /** Added to the diagonal first. Default 0. */
  shift?: number;
  /** What to call the matrix in errors. */
  name?: string;
}

/**
 * Cholesky factor of a symmetric positive definite matrix, in place: A + shift I = L Lᵀ.
 *
 * @param a  (n, n): its lower triangle becomes L, the upper one is neither read nor changed
 * @param n  1..32768
 * @returns a
 * @throws TrainError ERR_TRAIN_SINGULAR  a pivot not above n · 2⁻⁵² of the largest diagonal element, or NaN: the matrix is not
 *   positive definite in float64. The message names the row; `a` is left half done.
 * @throws ShapeError ERR_SHAPE
 *
 * Blocked, n³/3 multiply-adds. The same bits on any number of threads of one instruction set. Source: Golub and Van Loan,
 * Matrix Computations, section 4.2.
 */
export async function choleskyFactor(
  a: Float64Array,
  n: number,
  options: CholeskyOptions = {},
): Promise<Float64Array> {
  const shift = options.shift ?? 0;
  let top = 0;
  for (let i = 0; i < n; i++) top = Math.max(top, Math.abs((a[i * n + i] ?? 0) + shift));
  const least = n * Number.EPSILON * top;
  const [factor, pivot] = await execute(options, (addon, exec, cancel) =>
    addon.choleskyFactor(exec, cancel, n, shift, least, a, undefined),
  );
  if (pivot[0]! < 0) return factor;
  const name = options.name ?? 'a';
  throw new TrainError('ERR_TRAIN_SINGULAR', {
    field: name,
    expected: 'a positive definite matrix (more regularisation, or another kernel, makes one)',
    got: `${name === 'a' ? 'one' : `a ${name}`} of which row ${pivot[0]} of ${n} depends on the rows before it, or holds NaN`,
  });
}

/**
 * Solves L x = b, or Lᵀ x = b, for each row b, in place.
 *
 * @param l     (n, n), as `choleskyFactor` leaves it
 * @param b     (rows, n)
 * @returns b
 * @throws ShapeError ERR_SHAPE
 */
export async function choleskySolve(
  l: Float64Array,
  n: number,
  b: Float64Array,
  options: CpuOptions & { transposed?: boolean } = {},
): Promise<Float64Array> {
  return execute(options, (addon, exec, cancel) =>
    addon.choleskySolve(exec, cancel, n, l, options.transposed ?? false, rowsOf(b, n), b),
  );
}

/**
 * Adds the Gram matrix of weighted rows to G: G += Σ_r w_r f_r f_rᵀ, in place.
 *
 * @param f        (rows, n)
 * @param g        (n, n): the lower triangle is added to; above the diagonal stands nothing of use
 * @param weights  (rows). Default: all 1.
 * @returns g
 * @throws ShapeError ERR_SHAPE
 */
export async function addGram(
  f: Float64Array,
  n: number,
  g: Float64Array,
  options: CpuOptions & { weights?: Float64Array | undefined } = {},
): Promise<Float64Array> {
  return execute(options, (addon, exec, cancel) =>
    addon.gram(exec, cancel, rowsOf(f, n), n, f, options.weights, g),
  );
}

/**
 * A Bᵀ.
 *
 * @param a  (rows, n)
 * @param b  (columns, n)
 * @returns (rows, columns)
 */
export async function product64(
  a: Float64Array,
  b: Float64Array,
  n: number,
  options: CpuOptions = {},
): Promise<Float64Array> {
  return execute(options, (addon, exec, cancel) =>
    addon.product(exec, cancel, rowsOf(a, n), rowsOf(b, n), n, a, b, undefined),
  );
}

/**
 * Adds Aᵀ B to C, in place.
 *
 * @param a     (rows, columns)
 * @param b     (rows, n)
 * @param c     (columns, n)
 * @param rows  of a and b
 * @returns c
 */
export async function addProductTransposed(
  a: Float64Array,
  b: Float64Array,
  c: Float64Array,
  rows: number,
  options: CpuOptions = {},
): Promise<Float64Array> {
  const columns = Math.round(a.length / rows);
  const n = Math.round(b.length / rows);
  return execute(options, (addon, exec, cancel) =>
    addon.productTransposed(exec, cancel, rows, columns, n, a, b, c),
  );
}

function rowsOf(x: { readonly length: number }, n: number): number {
  const rows = Math.floor(x.length / n);
  return Number.isFinite(rows) ? rows : 0;
}
