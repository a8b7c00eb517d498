/** Intervals of means and shares of small samples. */

/** Where the truth lies with the chance `level`. */
export type Interval = [low: number, high: number];

/**
 * The interval of a mean by Student's t, cut to [0, 1]; null of fewer than two values.
 *
 *   mean ± t_{(1 + level)/2, n - 1} · s / √n
 */
export function meanInterval(values: readonly number[], level: number): Interval | null {
  const n = values.length;
  if (n < 2) return null;
  const mean = values.reduce((a, b) => a + b, 0) / n;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  const reach = studentQuantile((1 + level) / 2, n - 1) * Math.sqrt(squares / (n - 1) / n);
  return [Math.max(0, mean - reach), Math.min(1, mean + reach)];
}

/** Wilson's interval of a share of n; null of none. */
export function shareInterval(hits: number, n: number, level: number): Interval | null {
  if (n === 0) return null;
  const z = normalQuantile((1 + level) / 2);
  const centre = (hits + (z * z) / 2) / (n + z * z);
  const reach = (z / (n + z * z)) * Math.sqrt((hits * (n - hits)) / n + (z * z) / 4);
  return [Math.max(0, centre - reach), Math.min(1, centre + reach)];
}

/** To about 1e-12 for p in (1e-6, 1 - 1e-6): a rough start, then Newton's method. */
export function normalQuantile(p: number): number {
  if (p < 0.5) return -normalQuantile(1 - p);
  const t = Math.sqrt(-2 * Math.log(1 - p));
  // Abramowitz and Stegun 26.2.23 to begin with
  let z =
    t - (2.515517 + t * (0.802853 + t * 0.010328)) / (1 + t * (1.432788 + t * (0.189269 + t * 0.001308)));
  for (let step = 0; step < 3; step++) {
    const density = Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI);
    z += (p - normalCumulative(z)) / density;
  }
  return z;
}

/** By the series for small z and the continued fraction for large. */
function normalCumulative(z: number): number {
  const density = Math.exp((-z * z) / 2) / Math.sqrt(2 * Math.PI);
  if (z < 3) {
    let [term, sum] = [z, z];
    for (let k = 1; k < 100; k++) {
      term *= (z * z) / (2 * k + 1);
      sum += term;
    }
    return 0.5 + density * sum;
  }
  let fraction = z;
  for (let k = 60; k > 0; k--) fraction = z + k / fraction;
  return 1 - density / fraction;
}

/** Exact for 1 and 2 degrees of freedom; from 3 within 0.2 % at a level of 0.95, 1 % at 0.99: Cornish and Fisher. */
export function studentQuantile(p: number, freedom: number): number {
  if (freedom === 1) return Math.tan(Math.PI * (p - 0.5));
  if (freedom === 2) return (2 * p - 1) * Math.sqrt(2 / (4 * p * (1 - p)));
  const z = normalQuantile(p);
  const [g1, g2, g3, g4] = [
    (z ** 3 + z) / 4,
    (5 * z ** 5 + 16 * z ** 3 + 3 * z) / 96,
    (3 * z ** 7 + 19 * z ** 5 + 17 * z ** 3 - 15 * z) / 384,
    (79 * z ** 9 + 776 * z ** 7 + 1482 * z ** 5 - 1920 * z ** 3 - 945 * z) / 92160,
  ];
  return z + g1 / freedom + g2 / freedom ** 2 + g3 / freedom ** 3 + g4 / freedom ** 4;
}
