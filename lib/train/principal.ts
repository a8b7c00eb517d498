/** The leading principal directions of many vectors: Lanczos on their covariance matrix. */
import { throwIfCancelled } from '../errors.js';
import type { ExecOptions } from '../ops/exec.js';
import { linear } from '../ops/linear.js';
import { Pace } from '../pace.js';
import { randomOf } from './random.js';

export interface PrincipalDirections {
  /** Variances along the directions, falling. */
  variances: Float64Array;
  /** (directions, dim), orthonormal; of each the largest element is positive. */
  vectors: Float64Array;
}

/** Σ x xᵀ / n of centred vectors: float32 within a stretch, float64 across. */
async function covariance(
  stretches: Iterable<Float32Array>,
  dim: number,
  mean: Float64Array,
  exec: ExecOptions,
): Promise<Float64Array> {
  const sum = new Float64Array(dim * dim);
  let n = 0;
  for (const x of stretches) {
    const rows = x.length / dim;
    n += rows;
    const columns = new Float32Array(dim * rows);
    for (let row = 0; row < rows; row++) {
      for (let i = 0; i < dim; i++) columns[i * rows + row] = x[row * dim + i]! - mean[i]!;
    }
    const product = await linear(columns, { inFeatures: rows, outFeatures: dim, weight: columns }, exec);
    for (let i = 0; i < sum.length; i++) sum[i]! += product[i]!;
  }
  for (let i = 0; i < sum.length; i++) sum[i]! /= n;
  return sum;
}

/**
 * @param stretches  (n, dim) each, one vector or more in all
 * @param mean       (dim), taken off
 * @param keep       1..dim
 *
 * Deterministic, for one instruction set. Residuals |C v - λ v| within 1e-7 of the largest variance.
 */
export async function principalDirections(
  stretches: Iterable<Float32Array>,
  dim: number,
  mean: Float64Array,
  keep: number,
  exec: ExecOptions = {},
): Promise<PrincipalDirections> {
  const matrix = await covariance(stretches, dim, mean, exec);
  return leadingEigenvectors((vector) => times(matrix, vector, dim), dim, keep, exec.signal);
}

/**
 * Leading eigenvalues and eigenvectors of a symmetric positive semidefinite matrix, given by its products with vectors.
 * Residuals as of `principalDirections`. Source: Lanczos with full reorthogonalisation (Golub and Van Loan, Matrix
 * Computations, 10.3).
 */
export async function leadingEigenvectors(
  multiply: (vector: Float64Array) => Float64Array,
  dim: number,
  keep: number,
  signal?: AbortSignal,
): Promise<PrincipalDirections> {
  const random = randomOf(dim);
  const pace = new Pace();
  const basis: Float64Array[] = [];
  const diagonal: number[] = [];
  const beside: number[] = [];
  let next: Float64Array = Float64Array.from({ length: dim }, () => random.normal());
  let ritz: { values: Float64Array; vectors: Float64Array } = {
    values: new Float64Array(0),
    vectors: new Float64Array(0),
  };
  for (let k = 0; k < dim; k++) {
    orthonormalise(next, basis, () => random.normal());
    basis.push(next);
    const product = multiply(next);
    throwIfCancelled(signal);
    if (pace.due) await pace.rest();
    diagonal.push(dot(product, next));
    // What the basis has no part in; twice, since once leaves rounding.
    for (let pass = 0; pass < 2; pass++) takeOff(product, basis);
    const norm = Math.sqrt(dot(product, product));
    const largest = Math.max(...diagonal);
    const whole = k === dim - 1;
    beside.push(norm > 1e-12 * largest ? norm : 0);
    if (whole || (k + 1 >= keep + 8 && (k + 1 - keep) % 16 === 8)) {
      ritz = tridiagonalEigen(diagonal, beside);
      const size = k + 1;
      const off = (i: number) => norm * Math.abs(ritz.vectors[(size - 1) * size + i]!);
      if (whole || Array.from({ length: keep }, (_, i) => off(i)).every((e) => e <= 1e-7 * largest)) break;
    }
    next = product;
  }
  const size = basis.length;
  const vectors = new Float64Array(keep * dim);
  for (let d = 0; d < keep; d++) {
    const vector = vectors.subarray(d * dim, (d + 1) * dim);
    for (let k = 0; k < size; k++) {
      const share = ritz.vectors[k * size + d]!;
      for (let i = 0; i < dim; i++) vector[i]! += share * basis[k]![i]!;
    }
    let largest = 0;
    for (let i = 1; i < dim; i++) if (Math.abs(vector[i]!) > Math.abs(vector[largest]!)) largest = i;
    if (vector[largest]! < 0) for (let i = 0; i < dim; i++) vector[i] = -vector[i]!;
  }
  return { variances: ritz.values.slice(0, keep).map((value) => Math.max(0, value)), vectors };
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

function times(matrix: Float64Array, vector: Float64Array, dim: number): Float64Array {
  return Float64Array.from({ length: dim }, (_, i) => dot(matrix.subarray(i * dim, (i + 1) * dim), vector));
}

function takeOff(vector: Float64Array, basis: readonly Float64Array[]): void {
  for (const other of basis) {
    const share = dot(vector, other);
    for (let i = 0; i < vector.length; i++) vector[i]! -= share * other[i]!;
  }
}

/** Length 1, at right angles to the basis; where nothing is left of it, any such vector. */
function orthonormalise(vector: Float64Array, basis: readonly Float64Array[], normal: () => number): void {
  for (;;) {
    const before = Math.sqrt(dot(vector, vector));
    for (let pass = 0; pass < 2; pass++) takeOff(vector, basis);
    const norm = Math.sqrt(dot(vector, vector));
    if (norm > 1e-10 * before && norm > 1e-150) {
      for (let i = 0; i < vector.length; i++) vector[i]! /= norm;
      return;
    }
    for (let i = 0; i < vector.length; i++) vector[i] = normal();
  }
}

/**
 * Eigenvalues, falling, and eigenvectors (columns of the row-major result) of a symmetric tridiagonal matrix, by
 * implicit QL (EISPACK's tql2).
 */
function tridiagonalEigen(diagonal: readonly number[], beside: readonly number[]) {
  const n = diagonal.length;
  const d = Float64Array.from(diagonal);
  const e = Float64Array.from({ length: n }, (_, i) => (i < n - 1 ? beside[i]! : 0));
  const z = new Float64Array(n * n);
  for (let i = 0; i < n; i++) z[i * n + i] = 1;
  for (let l = 0; l < n; l++) {
    for (let tries = 0; tries < 60; tries++) {
      let m = l;
      while (m < n - 1) {
        const size = Math.abs(d[m]!) + Math.abs(d[m + 1]!);
        if (Math.abs(e[m]!) <= Number.EPSILON * size) break;
        m++;
      }
      if (m === l) break;
      let g = (d[l + 1]! - d[l]!) / (2 * e[l]!);
      let r = Math.hypot(g, 1);
      g = d[m]! - d[l]! + e[l]! / (g + (g >= 0 ? r : -r));
      let [s, c, p] = [1, 1, 0];
      let i = m - 1;
      for (; i >= l; i--) {
        const f = s * e[i]!;
        const b = c * e[i]!;
        r = Math.hypot(f, g);
        e[i + 1] = r;
        if (r === 0) {
          d[i + 1]! -= p;
          e[m] = 0;
          break;
        }
        s = f / r;
        c = g / r;
        g = d[i + 1]! - p;
        r = (d[i]! - g) * s + 2 * c * b;
        p = s * r;
        d[i + 1] = g + p;
        g = c * r - b;
        for (let k = 0; k < n; k++) {
          const high = z[k * n + i + 1]!;
          const low = z[k * n + i]!;
          z[k * n + i + 1] = s * low + c * high;
          z[k * n + i] = c * low - s * high;
        }
      }
      if (r === 0 && i >= l) continue;
      d[l]! -= p;
      e[l] = g;
      e[m] = 0;
    }
  }
  const order = Array.from({ length: n }, (_, i) => i).sort((a, b) => d[b]! - d[a]!);
  const vectors = new Float64Array(n * n);
  for (let k = 0; k < n; k++) for (let i = 0; i < n; i++) vectors[k * n + i] = z[k * n + order[i]!]!;
  return { values: Float64Array.from(order, (i) => d[i]!), vectors };
}
