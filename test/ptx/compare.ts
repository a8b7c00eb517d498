/** Device memory as the emulator left it, against what the PTX left. */
import type { DeviceBlock } from './run.js';

export interface Comparison {
  /** Words that the launch changed. */
  changed: number;
  /** The largest difference of floats, as a share of the largest number near by. */
  worst: number;
  /** What is no difference of rounding; the first few. */
  problems: string[];
}

// CUDA's own NaN, those of x86, and the poison of fresh memory, whole or rounded to tf32. Others may be integers.
const NANS = new Set([0x7fffffff, 0x7fc00000, 0xffc00000, 0xffffffff, 0x7fffe000, 0xffffe000]);
// Rounding is measured against the largest number in as many words.
const NEAR = 256;
// Numbers below, as floats, are rather integers; they must agree exactly.
const LEAST = 1e-30;

/** The words of a block, its last one filled up. */
function wordsOf({ bytes }: DeviceBlock): Uint32Array {
  const words = new Uint32Array(Math.ceil(bytes.length / 4));
  new Uint8Array(words.buffer).set(bytes);
  return words;
}

/** Two halves of a word at a time, at most one step apart. */
function nearHalves(x: number, y: number): boolean {
  const ordered = (h: number) => (h & 0x8000 ? -(h & 0x7fff) : h);
  return [0, 16].every((by) => {
    const [p, q] = [(x >>> by) & 0xffff, (y >>> by) & 0xffff];
    return p === q || ((p & 0x7c00) !== 0x7c00 && Math.abs(ordered(p) - ordered(q)) <= 1);
  });
}

/** Sums in float64 of numbers that differ by their float32 roundings. */
const DOUBLES_TOLERANCE = 1e-7;

/** What else a word may be a part of. */
export type Wide = 'halves' | 'doubles' | undefined;

/**
 * Words must agree in every bit, or as floats within `tolerance` of the largest among their neighbours, or where `wide`
 * says so as two half-precision numbers that are one unit of their last place apart, or in pairs as float64. Words that no one wrote
 * hold what they held before, so they agree or are found.
 */
export function compareMemory(
  before: DeviceBlock[],
  traced: DeviceBlock[],
  replayed: DeviceBlock[],
  tolerance: number,
  wide: Wide,
): Comparison {
  const result: Comparison = { changed: 0, worst: 0, problems: [] };
  traced.forEach((block, n) => {
    const [was, expected, got] = [wordsOf(before[n]!), wordsOf(block), wordsOf(replayed[n]!)];
    const [a, b] = [new Float32Array(expected.buffer), new Float32Array(got.buffer)];
    const doubles = [expected, got].map((words) => new Float64Array(words.buffer, 0, words.length >> 1));
    /** undefined: no difference of rounding. */
    const difference = (i: number, top: number): number | undefined => {
      const [x, y] = [expected[i]!, got[i]!];
      if (x !== was[i] && y !== was[i] && NANS.has(x) && NANS.has(y)) return 0;
      const [p, q] = [doubles[0]![i >> 1], doubles[1]![i >> 1]] as [number, number];
      if (wide === 'doubles' && Math.abs(p - q) <= DOUBLES_TOLERANCE * Math.abs(p)) return 0;
      const relative = top < LEAST ? Number.NaN : Math.abs(a[i]! - b[i]!) / top;
      if (relative <= tolerance) return relative;
      return wide === 'halves' && nearHalves(x, y) ? 0 : undefined;
    };
    for (let from = 0; from < expected.length; from += NEAR) {
      const to = Math.min(expected.length, from + NEAR);
      let top = 0;
      for (let i = from; i < to; i++) {
        if (expected[i] === was[i] && got[i] === was[i]) continue;
        result.changed++;
        if (Number.isFinite(a[i]!)) top = Math.max(top, Math.abs(a[i]!));
      }
      for (let i = from; i < to; i++) {
        if (expected[i] === got[i]) continue;
        const found = difference(i, top);
        if (found !== undefined) result.worst = Math.max(result.worst, found);
        else if (result.problems.length < 5) {
          const text = (word: number, float: number) => `0x${word.toString(16).padStart(8, '0')} (${float})`;
          result.problems.push(
            `block ${n}, byte ${4 * i}: the emulator left ${text(expected[i]!, a[i]!)}, PTX ${text(got[i]!, b[i]!)}, before 0x${was[i]!.toString(16)}`,
          );
        }
      }
    }
  });
  return result;
}
