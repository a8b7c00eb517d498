/** The test an explanation puts itself to, and how parts are named for it. */
import { randomOf, seedOf } from '../train/random.js';
import type { Check, Effects } from './types.js';

/** The parts with the largest effects of one sign, that sign which moves the head more: at most `most` of them. */
export function namedParts(effects: readonly (Effects | undefined)[], head: string, most: number): number[] {
  const sides = [1, -1].map((sign) => {
    const places = effects
      .map((own, i) => [i, sign * (own?.[head] ?? 0)] as const)
      .filter(([, effect]) => effect > 0)
      .sort((a, b) => b[1] - a[1])
      .slice(0, most);
    return { places: places.map(([i]) => i), sum: places.reduce((total, [, effect]) => total + effect, 0) };
  });
  return (sides[0]!.sum >= sides[1]!.sum ? sides[0]! : sides[1]!).places;
}

/** @returns undefined where something of it could not be forecast */
export function checkOf(
  head: string,
  parts: readonly number[],
  named: Effects | undefined,
  random: readonly (Effects | undefined)[],
): Check | undefined {
  const sizes = random.flatMap((effects) => (effects ? [Math.abs(effects[head]!)] : []));
  if (!named || sizes.length === 0) return undefined;
  const effect = named[head]!;
  return {
    head,
    parts: [...parts],
    named: effect,
    random: sizes.reduce((a, b) => a + b, 0) / sizes.length,
    draws: sizes.length,
    beaten: sizes.filter((size) => size < Math.abs(effect)).length,
  };
}

/** Random numbers of their own for every use. */
export function drawsOf(seed: number, ...use: string[]) {
  return randomOf(seedOf(seed, 'explain', ...use));
}
