/** Slow, plain float64 twins of the dense operators, and the bound that a float32 sum must keep to. */
import type { ExecutionContext } from 'ava';
import type { LinearLayer } from '../../lib/ops/index.js';

export interface Reference {
  y: Float64Array;
  /** Sum of the terms' absolute values, element by element: what rounding errors are proportional to. */
  magnitude: Float64Array;
}

/** y = x · Wᵀ + b. */
export function dense(
  x: ArrayLike<number>,
  { weight, bias, inFeatures, outFeatures }: LinearLayer,
): Reference {
  const rows = x.length / inFeatures;
  const y = new Float64Array(rows * outFeatures);
  const magnitude = new Float64Array(rows * outFeatures);
  for (let r = 0; r < rows; r++) {
    for (let o = 0; o < outFeatures; o++) {
      let sum = bias?.[o] ?? 0;
      let size = Math.abs(sum);
      for (let i = 0; i < inFeatures; i++) {
        const term = (x[r * inFeatures + i] as number) * (weight[o * inFeatures + i] as number);
        sum += term;
        size += Math.abs(term);
      }
      y[r * outFeatures + o] = sum;
      magnitude[r * outFeatures + o] = size;
    }
  }
  return { y, magnitude };
}

/**
 * Holds a float32 sum of n terms to |got - y| <= 2⁻²³·√n·magnitude·2 (errors of rounding are of random sign; four
 * standard deviations of them would be less), and at least a few units in the last place.
 */
export function assertClose(
  t: ExecutionContext,
  got: ArrayLike<number>,
  y: ArrayLike<number>,
  magnitude: ArrayLike<number>,
  n: number,
  label: string,
): void {
  t.is(got.length, y.length, `${label}: number of elements`);
  const epsilon = 2 ** -23 * Math.max(4, 2 * Math.sqrt(n));
  for (let i = 0; i < y.length; i++) {
    const error = Math.abs((got[i] as number) - (y[i] as number));
    if (!(error <= epsilon * (magnitude[i] as number) + 1e-30)) {
      t.fail(`${label}: element ${i} is ${got[i]}, expected ${y[i]} within ${epsilon * magnitude[i]!}`);
      return;
    }
  }
  t.pass();
}

/** [h_1; 1] ⊗ [h_2; 1] ⊗ ... of row r; absent modalities count as 0. */
export function outerRow(
  h: readonly ArrayLike<number>[],
  dims: readonly number[],
  r: number,
  present?: Uint8Array,
): number[] {
  let z = [1];
  dims.forEach((d, m) => {
    const there = present?.[r * dims.length + m] !== 0;
    const values = Array.from({ length: d }, (_, i) => (there ? (h[m]![r * d + i] as number) : 0)).concat(1);
    z = z.flatMap((p) => values.map((v) => p * v));
  });
  return z;
}
