import type { LoudnessBlocks } from '../media/types.js';
import type { Curve } from './figures.js';

/** Loudness by ITU-R BS.1770-5 and EBU Tech 3341 and 3342. Silence has none: null. */
export interface Loudness {
  /** LUFS, gated at -70 LUFS and at 10 LU below what is left. */
  integratedLufs: number | null;
  /** LU between the 10th and the 95th percentile of short-term loudness; 0 for less than two values. */
  rangeLu: number;
  maxMomentaryLufs: number | null;
  maxShortTermLufs: number | null;
  /** Largest sample of any channel in dB of full scale (not the true peak between samples). */
  samplePeakDb: number | null;
  /** LUFS of 400 ms around each time, every 100 ms; not below -120. */
  momentary: Curve;
  /** LUFS of 3 s around each time, every 100 ms; not below -120. */
  shortTerm: Curve;
}

const BLOCK_MS = 100;
const SILENCE = -120;
const ABSOLUTE_GATE = -70;

const lufs = (energy: number) => (energy > 0 ? -0.691 + 10 * Math.log10(energy) : Number.NEGATIVE_INFINITY);
const energyOf = (level: number) => 10 ** ((level + 0.691) / 10);

/** What a level means of is at least one block long; a sound shorter than a window has no value of it. */
export function loudnessOf({ energies, peak, startMs }: LoudnessBlocks): Loudness {
  const momentary = slidingMean(energies, 4);
  const shortTerm = slidingMean(energies, 30);
  return {
    integratedLufs: finite(lufs(gatedMean(momentary, 10))),
    rangeLu: range(shortTerm),
    maxMomentaryLufs: finite(lufs(largest(momentary))),
    maxShortTermLufs: finite(lufs(largest(shortTerm))),
    samplePeakDb: peak > 0 ? 20 * Math.log10(peak) : null,
    momentary: curve(momentary, startMs + 2 * BLOCK_MS),
    shortTerm: curve(shortTerm, startMs + 15 * BLOCK_MS),
  };
}

const finite = (value: number) => (Number.isFinite(value) ? value : null);

function curve(energies: Float64Array, startMs: number): Curve {
  const values = Array.from(energies, (energy) => Math.max(SILENCE, lufs(energy)));
  return { startMs, stepMs: BLOCK_MS, values };
}

function slidingMean(energies: Float64Array, width: number): Float64Array {
  const means = new Float64Array(Math.max(0, energies.length - width + 1));
  for (let i = 0; i < means.length; i++) {
    // Summed anew each time: a running sum would leave the rounding of loud parts in the silence after them.
    let sum = 0;
    for (let k = 0; k < width; k++) sum += energies[i + k]!;
    means[i] = sum / width;
  }
  return means;
}

function largest(values: Float64Array): number {
  return values.reduce((most, value) => Math.max(most, value), 0);
}

/** Mean of the energies above -70 LUFS and above their mean less `relative` LU. */
function gatedMean(energies: Float64Array, relative: number): number {
  const loud = energies.filter((energy) => energy > energyOf(ABSOLUTE_GATE));
  const gate = average(loud) * 10 ** (-relative / 10);
  return average(loud.filter((energy) => energy > gate));
}

function average(values: Float64Array): number {
  return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;
}

function range(energies: Float64Array): number {
  const loud = energies.filter((energy) => energy > energyOf(ABSOLUTE_GATE));
  const gate = average(loud) * 10 ** (-20 / 10);
  const kept = loud.filter((energy) => energy >= gate).sort();
  if (kept.length < 2) return 0;
  const at = (share: number) => lufs(kept[Math.round(share * (kept.length - 1))]!);
  return at(0.95) - at(0.1);
}
