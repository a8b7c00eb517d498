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

// CUDA's own NaN, those of x86, and the poison of fresh memory.
const NANS = new Set([0x7fffffff, 0x7fc00000, 0xffc00000, 0xffffffff]);
// Rounding is measured against the largest number in as many words.
const NEAR = 256;
// Numbers below, as floats, are rather integers; they must agree exactly.
const LEAST = 1e-30;

/**
 * Words must agree in every bit, or as floats within `tolerance` of the largest among their neighbours. Words that no
 * one wrote hold what they held before, so they agree or are found.
 * @param half  changed words hold two half-precision numbers each, which may differ by one unit of their last place
 */
export function compareMemory(
  before: DeviceBlock[],
  traced: DeviceBlock[],
  replayed: DeviceBlock[],
  tolerance: number,
  half: boolean,
): Comparison {
  const result: Comparison = { changed: 0, worst: 0, problems: [] };
  traced.forEach((block, n) => {
    const words = Math.ceil(block.bytes.length / 4);
    const [was, expected, got] = [before[n]!, block, replayed[n]!].map((b) => {
      const padded = new Uint32Array(words);
      new Uint8Array(padded.buffer).set(b.bytes);
      return padded;
    }) as [Uint32Array, Uint32Array, Uint32Array];
    for (let from = 0; from < words; from += NEAR) {
      compareNear(was, expected, got, from, Math.min(words, from + NEAR), tolerance, half, result, n);
    }
  });
  return result;
}

function compareNear(
  was: Uint32Array,
  expected: Uint32Array,
  got: Uint32Array,
  from: number,
  to: number,
  tolerance: number,
  half: boolean,
  result: Comparison,
  block: number,
) {
  const a = new Float32Array(expected.buffer);
  const b = new Float32Array(got.buffer);
  let top = 0;
  for (let i = from; i < to; i++) {
    if (expected[i] === was[i] && got[i] === was[i]) continue;
    result.changed++;
    if (Number.isFinite(a[i]!)) top = Math.max(top, Math.abs(a[i]!));
  }
  for (let i = from; i < to; i++) {
    if (expected[i] === got[i]) continue;
    if (NANS.has(expected[i]!) && NANS.has(got[i]!) && expected[i] !== was[i] && got[i] !== was[i]) continue;
    if (half ? nearHalves(expected[i]!, got[i]!) : top >= LEAST) {
      const difference = half ? 0 : Math.abs(a[i]! - b[i]!) / top;
      if (difference <= tolerance) {
        result.worst = Math.max(result.worst, difference);
        continue;
      }
    }
    if (result.problems.length < 5) {
      const hex = (word: number) => `0x${word.toString(16).padStart(8, '0')}`;
      result.problems.push(
        `block ${block}, byte ${4 * i}: the emulator left ${hex(expected[i]!)} (${a[i]}), PTX ${hex(got[i]!)} (${b[i]}), before ${hex(was[i]!)}`,
      );
    }
  }
}

/** Two halves of a word at a time, at most one step apart. */
function nearHalves(x: number, y: number): boolean {
  const ordered = (h: number) => (h & 0x8000 ? -(h & 0x7fff) : h);
  return [0, 16].every((by) => {
    const [p, q] = [(x >>> by) & 0xffff, (y >>> by) & 0xffff];
    return p === q || ((p & 0x7c00) !== 0x7c00 && Math.abs(ordered(p) - ordered(q)) <= 1);
  });
}
