import test from 'ava';
import { planBatches, type Unit } from '../../lib/encoders/batches.js';

const unitsOf = (lengths: readonly number[]): Unit[] =>
  lengths.map((length, sample) => ({ sample, position: 0, length }));
const lengthsOf = (batches: readonly Unit[][]) => batches.map((batch) => batch.map(({ length }) => length));
/** A run costs 8 positions and its rows, padded to the longest. */
const costOf = (batches: readonly Unit[][]) =>
  batches.reduce((sum, batch) => sum + 8 + batch[0]!.length * batch.length, 0);

/** The least cost of all ways to cut the sorted list, found by trying each. */
function leastByTrying(lengths: readonly number[], maxBatch: number): number {
  if (lengths.length === 0) return 0;
  let least = Number.POSITIVE_INFINITY;
  for (let size = 1; size <= Math.min(maxBatch, lengths.length); size++) {
    least = Math.min(least, 8 + lengths[0]! * size + leastByTrying(lengths.slice(size), maxBatch));
  }
  return least;
}

test('no units, no batches', (t) => {
  t.deepEqual(planBatches([], 4), []);
});

test('units of one length fill batches of nearly equal size, in their order', (t) => {
  const batches = planBatches(unitsOf([1, 1, 1, 1, 1]), 4);
  t.deepEqual(
    batches.map((batch) => batch.map(({ sample }) => sample)),
    [
      [0, 1, 2],
      [3, 4],
    ],
  );
  t.deepEqual(
    planBatches(unitsOf(Array<number>(128).fill(1)), 64).map(({ length }) => length),
    [64, 64],
  );
});

test('lengths far apart run alone, close ones together, long ones first', (t) => {
  t.deepEqual(lengthsOf(planBatches(unitsOf([3, 120, 118, 4, 50]), 8)), [[120, 118], [50], [4, 3]]);
});

test('every unit once, never more than maxBatch, at the least cost there is', (t) => {
  let seed = 7;
  const random = () => {
    seed = (seed * 48271) % 2147483647;
    return seed / 2147483647;
  };
  for (let trial = 0; trial < 60; trial++) {
    const lengths = Array.from(
      { length: 1 + Math.floor(random() * 13) },
      () => 1 + Math.floor(random() * 128),
    );
    const maxBatch = 1 + Math.floor(random() * 6);
    const batches = planBatches(unitsOf(lengths), maxBatch);
    t.deepEqual(
      batches
        .flat()
        .map(({ sample }) => sample)
        .sort((a, b) => a - b),
      lengths.map((_, i) => i),
    );
    t.true(batches.every((batch) => batch.length >= 1 && batch.length <= maxBatch));
    const sorted = [...lengths].sort((a, b) => b - a);
    t.deepEqual(lengthsOf(batches).flat(), sorted);
    if (new Set(lengths).size > 1) t.is(costOf(batches), leastByTrying(sorted, maxBatch));
  }
});
