/** What kernels of a fit compare: standardised vectors of films, and the kernels chosen for them. */
import type { FusionNetworkSpec } from '../fusion/network.js';
import type { KernelFusion } from '../fusion/kernel-spec.js';
import { type Kernel, kernelMatrix64 } from '../ops/kernel_matrix.js';
import type { ExecOptions } from '../ops/exec.js';
import type { KernelChoice, KernelFitConfig } from './kernel-config.js';
import type { InputScaler } from './inputs.js';
import type { FilmTable } from './table.js';

/** Films that a kernel's width and weight are judged by. */
const JUDGED = 512;

/** Some films of a table, as FusionNetwork standardises them. */
export interface KernelBlock {
  rows: number;
  /** One a modality: (rows, dim). */
  vectors: Float32Array[];
  /** (rows, modalities) */
  present: Uint8Array;
}

/** Whether FusionNetwork takes a modality of the table as a sequence. */
export function isSequence({ steps, lengths }: FilmTable['modalities'][string]): boolean {
  return steps > 1 || lengths !== undefined;
}

/** The mean over the steps of each film, standardised; of several variants the first. */
export function kernelBlock(
  table: FilmTable,
  scalers: Readonly<Record<string, InputScaler>>,
  films: Int32Array,
): KernelBlock {
  const names = Object.keys(table.modalities);
  const count = names.length;
  const present = new Uint8Array(films.length * count);
  films.forEach((film, row) => {
    present.set(table.present.subarray(film * count, (film + 1) * count), row * count);
  });
  const vectors = names.map((name, m) => {
    const { dim, steps, values, lengths } = table.modalities[name]!;
    const { mean, scale } = scalers[name]!;
    const x = new Float32Array(films.length * dim);
    films.forEach((film, row) => {
      if (!present[row * count + m]) return;
      const length = lengths ? lengths[film]! : steps;
      const to = x.subarray(row * dim, (row + 1) * dim);
      for (let t = 0; t < length; t++) {
        const from = (film * steps + t) * dim;
        for (let i = 0; i < dim; i++) to[i]! += values[from + i]! / length;
      }
      for (let i = 0; i < dim; i++) to[i] = (to[i]! - mean[i]!) * scale[i]!;
    });
    return x;
  });
  return { rows: films.length, vectors, present };
}

/** Kernel matrix between some films and the landmarks: (rows, landmarks), float64. */
export async function kernelBetween(
  spec: FusionNetworkSpec & { fusion: KernelFusion },
  films: KernelBlock,
  landmarks: KernelBlock,
  exec: ExecOptions,
): Promise<Float64Array> {
  const { combine, constant, kernels } = spec.fusion;
  return kernelMatrix64(
    {
      rows: films.rows,
      landmarks: landmarks.rows,
      combine,
      constant,
      presentX: films.present,
      presentZ: landmarks.present,
      terms: spec.modalities.map(({ name, dim }, m) => ({
        kernel: kernels[name]!,
        dim,
        x: films.vectors[m]!,
        z: landmarks.vectors[m]!,
      })),
    },
    exec,
  );
}

/**
 * The kernels of a fit with all their numbers: widths from the films themselves, weights divided by each kernel's mean
 * k(x, x).
 *
 * @param targets  what alignment looks at: (landmarks) each, NaN unknown
 */
export async function chooseKernels(
  table: FilmTable,
  config: KernelFitConfig,
  landmarks: KernelBlock,
  targets: readonly Float64Array[],
  exec: ExecOptions,
): Promise<Record<string, Kernel>> {
  const names = Object.keys(table.modalities);
  const product = config.combine === 'product';
  const chosen: { name: string; kernel: Kernel; given: number | undefined; alignment: number }[] = [];
  for (const [m, name] of names.entries()) {
    const choice = config.kernels?.[name] ?? { kind: 'rbf' };
    const { dim } = table.modalities[name]!;
    const judged: number[] = [];
    for (let j = 0; j < landmarks.rows && judged.length < JUDGED; j++) {
      if (landmarks.present[j * names.length + m]) judged.push(j);
    }
    if (judged.length === 0) {
      chosen.push({ name, kernel: withNumbers(choice, 1, 1), given: 0, alignment: 0 });
      continue;
    }
    const x = new Float32Array(judged.length * dim);
    for (const [row, j] of judged.entries()) {
      x.set(landmarks.vectors[m]!.subarray(j * dim, (j + 1) * dim), row * dim);
    }
    const n = judged.length;
    const terms = [{ kernel: { kind: 'linear' } as const, dim, x, z: x }];
    const dots = await kernelMatrix64({ rows: n, landmarks: n, terms }, exec);
    const kernel = withNumbers(choice, medianDistance(dots, n), meanDiagonal(dots, n));
    const k = kernelOfDots(kernel, dots, n);
    const diagonal = meanDiagonal(k, n);
    kernel.weight = diagonal > 0 ? 1 / diagonal : 0;
    const aligned = targets.map((y) =>
      alignment(
        k,
        Float64Array.from(judged, (j) => y[j]!),
      ),
    );
    chosen.push({
      name,
      kernel,
      given: choice.weight,
      alignment: aligned.reduce((sum, a) => sum + a / targets.length, 0),
    });
  }
  const best = Math.max(...chosen.map(({ alignment: a }) => a));
  const free = chosen.filter(({ given }) => given === undefined);
  const share = (a: number) => (config.weights === 'equal' || !(best > 0) ? 1 : Math.max(a, 0.01 * best));
  const total = free.reduce((sum, { alignment: a }) => sum + share(a), 0);
  return Object.fromEntries(
    chosen.map(({ name, kernel, given, alignment: a }) => {
      const weight = given ?? (share(a) / total) * (product ? free.length : 1);
      return [name, { ...kernel, weight: weight * kernel.weight! }];
    }),
  );
}

function withNumbers(choice: KernelChoice, distance: number, square: number): Kernel {
  const weight = 1;
  switch (choice.kind) {
    case 'linear':
      return { kind: 'linear', weight };
    case 'rbf':
      return { kind: 'rbf', gamma: choice.gamma ?? (choice.gammaScale ?? 1) / distance, weight };
    case 'polynomial':
      return {
        kind: 'polynomial',
        gamma: choice.gamma ?? (choice.gammaScale ?? 1) / square,
        constant: choice.constant ?? 1,
        degree: choice.degree ?? 2,
        weight,
      };
  }
}

function meanDiagonal(k: Float64Array, n: number): number {
  let sum = 0;
  for (let i = 0; i < n; i++) sum += k[i * n + i]!;
  return sum > 0 ? sum / n : 1;
}

/** Median of |x - z|² over all pairs; 1 where all vectors are one. */
function medianDistance(dots: Float64Array, n: number): number {
  const distances: number[] = [];
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < i; j++) distances.push(dots[i * n + i]! + dots[j * n + j]! - 2 * dots[i * n + j]!);
  }
  const sorted = Float64Array.from(distances).sort();
  const median = sorted[sorted.length >> 1] ?? 0;
  return median > 0 ? median : 1;
}

function kernelOfDots(kernel: Kernel, dots: Float64Array, n: number): Float64Array {
  if (kernel.kind === 'linear') return dots;
  return dots.map((dot, at) => {
    if (kernel.kind === 'polynomial') return (kernel.gamma * dot + (kernel.constant ?? 1)) ** kernel.degree;
    const [i, j] = [Math.floor(at / n), at % n];
    return Math.exp(-kernel.gamma * Math.max(0, dots[i * n + i]! + dots[j * n + j]! - 2 * dot));
  });
}

/** Centred alignment of a kernel matrix with y yᵀ over the films whose y is known, 0 where it is negative. */
function alignment(k: Float64Array, y: Float64Array): number {
  const n = y.length;
  const known = [...y.keys()].filter((i) => !Number.isNaN(y[i]!));
  if (known.length < 2) return 0;
  const mean = known.reduce((sum, i) => sum + y[i]!, 0) / known.length;
  const rows = new Map(
    known.map((i) => [i, known.reduce((sum, j) => sum + k[i * n + j]!, 0) / known.length]),
  );
  const whole = known.reduce((sum, i) => sum + rows.get(i)!, 0) / known.length;
  let dot = 0;
  let norm = 0;
  let square = 0;
  for (const i of known) {
    square += (y[i]! - mean) ** 2;
    for (const j of known) {
      const centred = k[i * n + j]! - rows.get(i)! - rows.get(j)! + whole;
      dot += centred * (y[i]! - mean) * (y[j]! - mean);
      norm += centred * centred;
    }
  }
  return norm > 0 && square > 0 ? Math.max(0, dot / (Math.sqrt(norm) * square)) : 0;
}
