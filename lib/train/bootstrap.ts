/** How much a measure would move with another draw of films. */
import { throwIfCancelled } from '../errors.js';
import { Pace } from '../pace.js';
import { randomOf, seedOf } from './random.js';

export interface BootstrapOptions {
  /** Default 1000. */
  draws?: number | undefined;
  /** Share of the draws within an interval. Default 0.95. */
  level?: number | undefined;
  /** Default 0. Equal seeds and numbers of films draw the same films: differences of two measures may be paired. */
  seed?: number | undefined;
  signal?: AbortSignal | undefined;
  onProgress?: ((done: number, total: number) => void) | undefined;
}

/** By measure the ends of its interval; null where it is undefined on more than a tenth of the draws. */
export type BootstrapIntervals<Name extends string = string> = Record<
  Name,
  [low: number, high: number] | null
>;

/** The value below which a share of the sorted values lies, straight between neighbours. */
export function quantileOf(sorted: Float64Array, share: number): number {
  const at = share * (sorted.length - 1);
  const below = Math.floor(at);
  const above = Math.min(sorted.length - 1, below + 1);
  return sorted[below]! + (at - below) * (sorted[above]! - sorted[below]!);
}

/**
 * Percentile bootstrap over films: n of n films with repetition, time and again. The event loop turns between draws.
 *
 * @param n        films
 * @param measure  the measures on a choice of films (places 0..n-1, with repetitions)
 * Source: Efron 1979.
 */
export async function bootstrap<Name extends string>(
  n: number,
  measure: (films: Uint32Array) => Readonly<Record<Name, number | null>>,
  options: BootstrapOptions = {},
): Promise<BootstrapIntervals<Name>> {
  const { draws = 1000, level = 0.95, seed = 0, signal, onProgress } = options;
  const random = randomOf(seedOf(seed, 'bootstrap', n));
  const films = new Uint32Array(n);
  const samples = new Map<Name, number[]>();
  const pace = new Pace();
  for (let draw = 0; draw < draws; draw++) {
    if (pace.due) {
      onProgress?.(draw, draws);
      await pace.rest();
      throwIfCancelled(signal);
    }
    for (let i = 0; i < n; i++) films[i] = random.below(n);
    for (const [name, value] of Object.entries(measure(films)) as [Name, number | null][]) {
      const list = samples.get(name) ?? [];
      samples.set(name, list);
      if (value !== null && Number.isFinite(value)) list.push(value);
    }
  }
  onProgress?.(draws, draws);
  const ends = (list: number[]): [number, number] | null => {
    if (list.length < 0.9 * draws || list.length === 0) return null;
    const sorted = Float64Array.from(list).sort();
    return [quantileOf(sorted, (1 - level) / 2), quantileOf(sorted, (1 + level) / 2)];
  };
  return Object.fromEntries(
    [...samples].map(([name, list]) => [name, ends(list)]),
  ) as BootstrapIntervals<Name>;
}
