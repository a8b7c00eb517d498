/** Kernels as plain loops in double precision. */
import type { Kernel, KernelMatrixInput } from '../../lib/ops/index.js';

export function kernelOracle(kernel: Kernel, x: ArrayLike<number>, z: ArrayLike<number>): number {
  let dot = 0;
  let distance = 0;
  for (let i = 0; i < x.length; i++) {
    dot += x[i]! * z[i]!;
    distance += (x[i]! - z[i]!) ** 2;
  }
  const weight = kernel.weight ?? 1;
  if (kernel.kind === 'linear') return weight * dot;
  if (kernel.kind === 'rbf') return weight * Math.exp(-kernel.gamma * distance);
  return weight * (kernel.gamma * dot + (kernel.constant ?? 1)) ** kernel.degree;
}

export function kernelMatrixOracle(input: KernelMatrixInput): Float64Array {
  const { rows, landmarks, terms, combine, constant = 1 } = input;
  const f = new Float64Array(rows * landmarks).fill(combine === 'product' ? 1 : 0);
  for (const [m, { kernel, dim, x, z }] of terms.entries()) {
    for (let r = 0; r < rows; r++) {
      for (let j = 0; j < landmarks; j++) {
        const there =
          (input.presentX?.[r * terms.length + m] ?? 1) && (input.presentZ?.[j * terms.length + m] ?? 1);
        const k = there
          ? kernelOracle(kernel, x.subarray(r * dim, (r + 1) * dim), z.subarray(j * dim, (j + 1) * dim))
          : 0;
        const at = r * landmarks + j;
        f[at] = combine === 'product' ? f[at]! * (constant + k) : f[at]! + k;
      }
    }
  }
  return f;
}
