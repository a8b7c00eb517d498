import { describeValue, InputError } from '../errors.js';
import { type ExecOptions, execute } from './exec.js';

export const KERNELS = ['linear', 'rbf', 'polynomial'] as const;
export const KERNEL_COMBINATIONS = ['sum', 'product'] as const;

/** How alike two vectors are. `weight` (default 1, at least 0) multiplies the kernel. */
export type Kernel =
  /** x · z */
  | { kind: 'linear'; weight?: number | undefined }
  /** exp(-gamma |x - z|²); gamma above 0 */
  | { kind: 'rbf'; gamma: number; weight?: number | undefined }
  /** (gamma x · z + constant)^degree; gamma above 0, constant at least 0 (default 1), degree 1..16 */
  | {
      kind: 'polynomial';
      gamma: number;
      degree: number;
      constant?: number | undefined;
      weight?: number | undefined;
    };

/** One modality of rows and landmarks. */
export interface KernelInput {
  kernel: Kernel;
  /** Width of a vector. */
  dim: number;
  /** (rows, dim) */
  x: Float32Array;
  /** (landmarks, dim) */
  z: Float32Array;
}

export interface KernelMatrixInput {
  rows: number;
  landmarks: number;
  /** One a modality, 1 to 32. */
  terms: readonly KernelInput[];
  /** (rows, modalities), 0 where absent: such vectors are never read. Default: all present. */
  presentX?: Uint8Array | undefined;
  /** (landmarks, modalities) */
  presentZ?: Uint8Array | undefined;
  /** Default 'sum'. */
  combine?: 'sum' | 'product' | undefined;
  /** Of 'product', at least 0. Default 1. */
  constant?: number | undefined;
}

/**
 * Kernel matrix between films and landmarks over all their modalities:
 *
 *   sum       F = Σ_m weight_m p_m q_m k_m(x_m, z_m)
 *   product   F = Π_m (constant + weight_m p_m q_m k_m(x_m, z_m))
 *
 * p_m and q_m are 1 where the row and the landmark have the modality and 0 elsewhere. So an absent modality is a feature
 * map of zeros, and either form is positive semidefinite whatever is missing. With constant 1 the product is the kernel of
 * tensor fusion; with 0 it is the plain product, in which a film that lacks a modality is like no other.
 *
 * @returns (rows, landmarks). A NaN or infinity spoils the elements of its own row or landmark and no others.
 * @throws ShapeError ERR_SHAPE        arrays that do not fit rows, landmarks and dims
 * @throws InputError ERR_INPUT_VALUE  a gamma, constant, weight or degree out of range
 *
 * Beside a block of rows a thread only a copy of the landmarks is held. Against float64: linear and polynomial within 1e-5 of
 * the sum of the products' magnitudes, rbf within 1e-6 (1 + gamma (|x|² + |z|²)). Source: Schölkopf and Smola 2002.
 */
export async function kernelMatrix(
  input: KernelMatrixInput,
  options: ExecOptions & { out?: Float32Array | undefined } = {},
): Promise<Float32Array> {
  const call = encode(input);
  return execute(options, (addon, exec, cancel) => addon.kernelMatrix(exec, cancel, ...call, options.out));
}

/** As `kernelMatrix`, in float64 throughout and on the CPU alone: for fits, whose factorisations need the digits. */
export async function kernelMatrix64(
  input: KernelMatrixInput,
  options: ExecOptions & { out?: Float64Array | undefined } = {},
): Promise<Float64Array> {
  const call = encode(input);
  return execute(options, (addon, exec, cancel) => addon.kernelMatrix64(exec, cancel, ...call, options.out));
}

/** The arguments of the native call, in its order. */
function encode({ rows, landmarks, terms, presentX, presentZ, combine, constant }: KernelMatrixInput) {
  const shapes = terms.flatMap(({ dim, kernel }, i) => [dim, ...kernelCode(kernel, `terms.${i}.kernel`)]);
  const numbers = Float64Array.from([constant ?? 1, ...terms.flatMap(({ kernel }) => kernelNumbers(kernel))]);
  return [
    rows,
    landmarks,
    indexOf(KERNEL_COMBINATIONS, combine ?? 'sum', 'combine'),
    shapes,
    numbers,
    terms.map(({ x }) => x),
    terms.map(({ z }) => z),
    presentX,
    presentZ,
  ] as const;
}

function indexOf(names: readonly string[], name: string, field: string): number {
  const index = names.indexOf(name);
  if (index >= 0) return index;
  throw new InputError('ERR_INPUT_VALUE', {
    field,
    expected: `one of ${names.join(', ')}`,
    got: describeValue(name),
  });
}

/** @internal A kernel's kind and degree as native code numbers them. */
export function kernelCode(kernel: Kernel, field = 'kernel'): [number, number] {
  return [indexOf(KERNELS, kernel.kind, `${field}.kind`), kernel.kind === 'polynomial' ? kernel.degree : 1];
}

/** @internal A kernel's gamma, constant and weight. */
export function kernelNumbers(kernel: Kernel): [number, number, number] {
  const weight = kernel.weight ?? 1;
  if (kernel.kind === 'linear') return [1, 0, weight];
  return [kernel.gamma, kernel.kind === 'polynomial' ? (kernel.constant ?? 1) : 0, weight];
}
