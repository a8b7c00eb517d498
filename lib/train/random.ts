/** Seeded random numbers for everything in training that chooses: orders, splits, folds, initial weights. */

export interface Random {
  /** In [0, 1). */
  next(): number;
  /** An integer in [0, n). */
  below(n: number): number;
  /** Normal, mean 0, standard deviation 1. */
  normal(): number;
  /** Shuffles in place (Fisher and Yates) and returns the array. */
  shuffle<T extends { length: number; [i: number]: unknown }>(list: T): T;
  /** Where the sequence stands: for checkpoints. */
  state(): number;
}

/** A 32-bit hash of a seed and the names of what it is for, so that every use has a sequence of its own. */
export function seedOf(seed: number, ...use: (string | number)[]): number {
  let hash = 2166136261 ^ (seed >>> 0) ^ Math.imul(Math.floor(seed / 2 ** 32) >>> 0, 0x9e3779b1);
  for (const char of use.join('\u0000')) hash = Math.imul(hash ^ char.codePointAt(0)!, 16777619);
  hash = Math.imul(hash ^ (hash >>> 16), 0x7feb352d);
  hash = Math.imul(hash ^ (hash >>> 15), 0x846ca68b);
  return (hash ^ (hash >>> 16)) >>> 0;
}

/** mulberry32: the same numbers on every machine. */
export function randomOf(seed: number): Random {
  let a = seed >>> 0;
  const next = () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
  const below = (n: number) => Math.floor(next() * n);
  return {
    next,
    below,
    normal: () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next()),
    shuffle: (list) => {
      for (let i = list.length - 1; i > 0; i--) {
        const j = below(i + 1);
        [list[i], list[j]] = [list[j], list[i]];
      }
      return list;
    },
    state: () => a,
  };
}
