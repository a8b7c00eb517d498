import type { ScannedVideo } from '../media/types.js';
import type { CellPictures } from './cells.js';
import type { Shot } from './shots.js';

/** Values at even steps of time: values[i] belongs to startMs + i · stepMs. */
export interface Curve {
  startMs: number;
  stepMs: number;
  values: number[];
}

/** How a stretch of a video looks. */
export interface Look {
  /** Mean Y, 0 black to 1 white. */
  brightness: number;
  /** Standard deviation of Y over the picture, 0 to 0.5. */
  contrast: number;
  /** Mean distance of the colours from gray, 0 to 1 (a pure primary is about 0.6). */
  saturation: number;
}

export interface PictureFigures extends Look {
  /** brightness · contrast, averaged over the pictures: low in low-key, high in high-key light. */
  lightingKey: number;
  /** Determinant of the covariance of Y, U and V over the picture (each 0 to 1), averaged: how varied colours are. */
  colorVariance: number;
  shotCount: number;
  meanShotMs: number;
  medianShotMs: number;
  shotsPerMinute: number;
}

const STEP_MS = 100;

export class LookMeter {
  readonly brightness: Float32Array;
  readonly contrast: Float32Array;
  readonly saturation: Float32Array;
  readonly variance: Float32Array;

  constructor(pictures: CellPictures) {
    const { count } = pictures;
    this.brightness = pictures.mean.map((mean) => mean / 255);
    this.contrast = pictures.deviation.map((deviation) => deviation / 255);
    this.saturation = new Float32Array(count);
    this.variance = new Float32Array(count);
    for (let i = 0; i < count; i++) [this.saturation[i], this.variance[i]] = coloursOf(pictures.at(i));
  }

  /** Means over the pictures first..last. */
  over(first: number, last: number): Look {
    return {
      brightness: mean(this.brightness, first, last),
      contrast: mean(this.contrast, first, last),
      saturation: mean(this.saturation, first, last),
    };
  }
}

/** Saturation, and the determinant of the covariance of (Y, U, V), of a picture's cells. */
function coloursOf(cells: Uint8Array): [saturation: number, variance: number] {
  // Y at the chroma's grid of 9 x 16: means of 2 x 2 cells.
  const n = 144;
  const u0 = 576;
  const v0 = 720;
  const sums = [0, 0, 0];
  const products = [0, 0, 0, 0, 0, 0];
  let saturation = 0;
  for (let row = 0; row < 9; row++) {
    for (let column = 0; column < 16; column++) {
      const at = 64 * row + 2 * column;
      const y = (cells[at]! + cells[at + 1]! + cells[at + 32]! + cells[at + 33]!) / 1020;
      const u = (cells[u0 + 16 * row + column]! - 128) / 255;
      const v = (cells[v0 + 16 * row + column]! - 128) / 255;
      saturation += Math.hypot(u, v);
      const values = [y, u, v];
      for (let a = 0, k = 0; a < 3; a++) {
        sums[a]! += values[a]!;
        for (let b = a; b < 3; b++) products[k++]! += values[a]! * values[b]!;
      }
    }
  }
  const [yy, yu, yv, uu, uv, vv] = products.map((product, k) => {
    const [a, b] = [
      [0, 0],
      [0, 1],
      [0, 2],
      [1, 1],
      [1, 2],
      [2, 2],
    ][k] as [number, number];
    return product / n - (sums[a]! / n) * (sums[b]! / n);
  }) as [number, number, number, number, number, number];
  const determinant = yy * (uu * vv - uv * uv) - yu * (yu * vv - uv * yv) + yv * (yu * uv - uu * yv);
  return [(2 * saturation) / n, Math.max(0, determinant)];
}

export function figuresOf(
  meter: LookMeter,
  shots: readonly Shot[],
  { timesMs, durationMs }: Pick<ScannedVideo, 'timesMs' | 'durationMs'>,
): PictureFigures {
  const last = timesMs.length - 1;
  const lengths = shots.map(({ startMs, endMs }) => endMs - startMs).sort((a, b) => a - b);
  const total = lengths.reduce((sum, length) => sum + length, 0);
  const middle = lengths.length >> 1;
  const median =
    lengths.length === 0
      ? 0
      : lengths.length % 2 === 1
        ? lengths[middle]!
        : (lengths[middle - 1]! + lengths[middle]!) / 2;
  return {
    ...meter.over(0, last),
    lightingKey: mean(
      meter.brightness.map((brightness, i) => brightness * meter.contrast[i]!),
      0,
      last,
    ),
    colorVariance: mean(meter.variance, 0, last),
    shotCount: shots.length,
    meanShotMs: shots.length === 0 ? 0 : total / shots.length,
    medianShotMs: median,
    shotsPerMinute: durationMs > 0 ? (60_000 * shots.length) / durationMs : 0,
  };
}

function mean(values: Float32Array, first: number, last: number): number {
  let sum = 0;
  for (let i = first; i <= last; i++) sum += values[i]!;
  return sum / (last - first + 1);
}

/** Values of pictures at any times -> their means over steps of 100 ms; a step without a picture repeats the last. */
export function curveOf(values: ArrayLike<number>, timesMs: ArrayLike<number>, durationMs: number): Curve {
  const steps = Math.max(1, Math.ceil(durationMs / STEP_MS - 1e-6));
  const sums = new Float64Array(steps);
  const counts = new Int32Array(steps);
  for (let i = 0; i < values.length; i++) {
    const at = Math.max(0, Math.min(steps - 1, Math.floor(timesMs[i]! / STEP_MS + 1e-6)));
    sums[at]! += values[i]!;
    counts[at]!++;
  }
  const curve: number[] = [];
  for (let at = 0; at < steps; at++) {
    curve.push(counts[at]! > 0 ? sums[at]! / counts[at]! : (curve.at(-1) ?? 0));
  }
  return { startMs: 0, stepMs: STEP_MS, values: curve };
}
