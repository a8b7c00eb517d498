/** Spectrograms in float64 by the definition: a sum a bin, dense filterbanks. Shares nothing with the library. */
import type { ExecutionContext } from 'ava';
import type { DecibelOptions, LinearSpectrogramOptions, MelFilterbankOptions } from '../../lib/ops/index.js';

/** Window, padding and frames by the definition, |X|^power: (bins, nFrames). */
export function linearOracle(x: ArrayLike<number>, o: LinearSpectrogramOptions): number[][] {
  const nFft = o.nFft!;
  const win = o.winLength ?? nFft;
  const hop = o.hopLength ?? Math.max(1, nFft >> 2);
  const pad = o.center === false ? 0 : nFft >> 1;
  const window = Array.from({ length: nFft }, (_, i) => {
    const k = i - Math.floor((nFft - win) / 2);
    return k < 0 || k >= win ? 0 : windowAt(o.window ?? 'hann', k, win);
  });
  const cos = Array.from({ length: nFft }, (_, i) => Math.cos((2 * Math.PI * i) / nFft));
  const sin = Array.from({ length: nFft }, (_, i) => Math.sin((2 * Math.PI * i) / nFft));
  const nFrames = 1 + Math.floor((x.length + 2 * pad - nFft) / hop);
  return Array.from({ length: (nFft >> 1) + 1 }, (_, k) =>
    Array.from({ length: nFrames }, (_, t) => {
      let re = 0;
      let im = 0;
      for (let n = 0; n < nFft; n++) {
        const value = window[n]! * sampleAt(x, t * hop + n - pad, o.padMode ?? 'zero');
        re += value * cos[(k * n) % nFft]!;
        im += value * sin[(k * n) % nFft]!;
      }
      return (re * re + im * im) ** ((o.power ?? 2) / 2);
    }),
  );
}

function windowAt(kind: string, i: number, n: number): number {
  const turn = (2 * Math.PI * i) / (kind === 'povey' ? n - 1 : n);
  switch (kind) {
    case 'hann':
      return 0.5 - 0.5 * Math.cos(turn);
    case 'hamming':
      return 0.54 - 0.46 * Math.cos(turn);
    case 'blackman':
      return 0.42 - 0.5 * Math.cos(turn) + 0.08 * Math.cos(2 * turn);
    case 'povey':
      return n === 1 ? 1 : Math.max(0, 0.5 - 0.5 * Math.cos(turn)) ** 0.85;
    default:
      return 1;
  }
}

function sampleAt(x: ArrayLike<number>, index: number, mode: string): number {
  const last = x.length - 1;
  let i = index;
  if (mode === 'edge') i = Math.min(last, Math.max(0, i));
  // one bounce after the other, as numpy.pad does
  while (mode === 'reflect' && last > 0 && (i < 0 || i > last)) i = i < 0 ? -i : 2 * last - i;
  if (mode === 'reflect' && last === 0) i = 0;
  return x[i] ?? 0;
}

/** (nMels, bins) */
export function bankOracle(o: MelFilterbankOptions): number[][] {
  const { sampleRate, nFft = 2048, nMels = 128, fMin = 0, fMax = sampleRate / 2 } = o;
  const htk = o.melScale === 'htk';
  const toMel = (f: number) => {
    if (htk) return 2595 * Math.log10(1 + f / 700);
    return f < 1000 ? (3 * f) / 200 : 15 + (27 * Math.log(f / 1000)) / Math.log(6.4);
  };
  const toHz = (m: number) => {
    if (htk) return 700 * (10 ** (m / 2595) - 1);
    return m < 15 ? (200 * m) / 3 : 1000 * 6.4 ** ((m - 15) / 27);
  };
  const [low, high] = [toMel(fMin), toMel(fMax)];
  const corner = (i: number) => toHz(low + ((high - low) * i) / (nMels + 1));
  return Array.from({ length: nMels }, (_, m) => {
    const [left, middle, right] = [corner(m), corner(m + 1), corner(m + 2)];
    const norm = o.norm === null ? 1 : 2 / (right - left);
    return Array.from({ length: (nFft >> 1) + 1 }, (_, k) => {
      const f = (k * sampleRate) / nFft;
      return norm * Math.max(0, Math.min((f - left) / (middle - left), (right - f) / (right - middle)));
    });
  });
}

export function melOracle(bank: number[][], spectrum: number[][]): number[][] {
  return bank.map((row) =>
    (spectrum[0] as number[]).map((_, t) => row.reduce((sum, w, k) => sum + w * spectrum[k]![t]!, 0)),
  );
}

export function decibelOracle(s: number[], { ref = 1, amin = 1e-10, topDb = 80 }: DecibelOptions): number[] {
  const most = s.reduce((a, b) => Math.max(a, b), 0);
  const zero = 10 * Math.log10(Math.max(amin, ref === 'max' ? most : ref));
  const db = s.map((v) => 10 * Math.log10(Math.max(amin, v)) - zero);
  const floor = topDb === null ? -Infinity : Math.max(...db) - topDb;
  return db.map((v) => Math.max(v, floor));
}

export const largest = (list: number[]) => list.reduce((a, b) => Math.max(a, Math.abs(b)), 0);

export interface Tolerance {
  atol?: number;
  rtol?: number;
  nmax?: number;
  /** Largest of the reference, where it is not that of the values compared. */
  top?: number;
}

/** |got - ref| <= atol + rtol |ref| + nmax top, top being the largest of `ref` where it is not given. */
export function close(
  t: ExecutionContext,
  got: ArrayLike<number>,
  ref: number[],
  label: string,
  { atol = 0, rtol = 0, nmax = 0, top = largest(ref) }: Tolerance,
): void {
  t.is(got.length, ref.length, label);
  const bad = ref.findIndex(
    (r, i) => !(Math.abs(got[i]! - r) <= atol + rtol * Math.abs(r) + nmax * top + 1e-30),
  );
  if (bad >= 0) t.fail(`${label}: ${got[bad]} at ${bad}, expected ${ref[bad]}, largest ${top}`);
}

/**
 * float32 transforms are off by about 1e-7 of the largest amplitude a bin, and a power p of amplitudes a by p times
 * that, or by a^p itself where a is no larger.
 */
export function tolerance(power: number): Tolerance {
  return { rtol: 1e-4, nmax: power >= 2 ? 3e-9 * power : power * 2e-6 ** Math.min(power, 1) };
}
