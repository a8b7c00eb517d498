/** Distances between the small pictures of a scanned video. */
import { SCAN_CELLS, SCAN_GRID, type ScannedVideo } from '../media/types.js';

const { width: W, height: H, chromaWidth, chromaHeight } = SCAN_GRID;
const LUMA = W * H;
const CHROMA = chromaWidth * chromaHeight;
const LUMA_BINS = 16;
const CHROMA_BINS = 32;
const BINS = LUMA_BINS + 2 * CHROMA_BINS;
/** Variance that counts as noise: two flat pictures are alike whatever their dither is. */
const NOISE = 4;
/** Largest shifts tried, in cells across and down; the second is a fast pan's, tried where the first finds nothing. */
const SHIFTS = [
  [1, 1],
  [5, 3],
] as const;
const ALIKE = 0.8;
/** A picture flatter than this has no structure to compare. */
const FLAT_DEVIATION = 4;

/** How two pictures differ; every term is 0 for equal ones. */
export interface Difference {
  /** Mean absolute difference of Y, after the best small shift, plus those of U and V; in levels. */
  level: number;
  /** Half the L1 distance of the histograms of Y, U and V, summed: 0 to 3. */
  histogram: number;
  /** 1 - the correlation of Y after the best shift: 0 same structure, 1 none in common, 2 inverted. */
  structure: number;
  /** All three on one scale: above 3 another picture, below 1 the same. */
  total: number;
}

export class CellPictures {
  readonly count: number;
  /** (count): of Y, in levels. */
  readonly mean: Float32Array;
  readonly deviation: Float32Array;
  private readonly cells: Uint8Array;
  private readonly histograms: Float32Array;

  constructor({ cells, timesMs }: Pick<ScannedVideo, 'cells' | 'timesMs'>) {
    this.cells = cells;
    this.count = timesMs.length;
    this.mean = new Float32Array(this.count);
    this.deviation = new Float32Array(this.count);
    this.histograms = new Float32Array(this.count * BINS);
    for (let i = 0; i < this.count; i++) this.measure(i);
  }

  /** Y, then U, then V of a picture. */
  at(i: number): Uint8Array {
    return this.cells.subarray(i * SCAN_CELLS, (i + 1) * SCAN_CELLS);
  }

  luma(i: number): Uint8Array {
    return this.cells.subarray(i * SCAN_CELLS, i * SCAN_CELLS + LUMA);
  }

  histogram(i: number): Float32Array {
    return this.histograms.subarray(i * BINS, (i + 1) * BINS);
  }

  /** Mean of U or V of a picture; 128 is neutral. */
  chroma(i: number, plane: 'u' | 'v'): number {
    const start = i * SCAN_CELLS + LUMA + (plane === 'u' ? 0 : CHROMA);
    let sum = 0;
    for (let at = start; at < start + CHROMA; at++) sum += this.cells[at]!;
    return sum / CHROMA;
  }

  histogramDistance(i: number, j: number): number {
    let sum = 0;
    const [a, b] = [i * BINS, j * BINS];
    for (let k = 0; k < BINS; k++) sum += Math.abs(this.histograms[a + k]! - this.histograms[b + k]!);
    return sum / 2;
  }

  levelDistance(i: number, j: number): number {
    const [a, b] = [this.at(i), this.at(j)];
    let best = Number.POSITIVE_INFINITY;
    for (let dy = -1; dy <= 1; dy++) {
      for (let dx = -2; dx <= 2; dx++) best = Math.min(best, shiftedDistance(a, b, dx, dy));
    }
    let colour = 0;
    for (let k = LUMA; k < SCAN_CELLS; k++) colour += Math.abs(a[k]! - b[k]!);
    return best + colour / CHROMA;
  }

  structureDistance(i: number, j: number): number {
    if (this.deviation[i]! < FLAT_DEVIATION && this.deviation[j]! < FLAT_DEVIATION) {
      return this.plainDistance(i, j) > 12 ? 1 : 0;
    }
    const [a, b] = [this.luma(i), this.luma(j)];
    let best = -1;
    for (const [mx, my] of SHIFTS) {
      for (let dy = -my; dy <= my; dy++) {
        for (let dx = -mx; dx <= mx; dx++) best = Math.max(best, shiftedCorrelation(a, b, dx, dy));
      }
      if (best > ALIKE) break;
    }
    return 1 - best;
  }

  difference(i: number, j: number): Difference {
    const level = this.levelDistance(i, j);
    const histogram = this.histogramDistance(i, j);
    // Pictures that hardly differ need no search for a shift.
    const structure = level < 2 ? 0 : this.structureDistance(i, j);
    return { level, histogram, structure, total: 2 * histogram + 2 * structure + level / 40 };
  }

  /** Of mean brightness and colour alone. */
  private plainDistance(i: number, j: number): number {
    return (
      Math.abs(this.mean[i]! - this.mean[j]!) +
      Math.abs(this.chroma(i, 'u') - this.chroma(j, 'u')) +
      Math.abs(this.chroma(i, 'v') - this.chroma(j, 'v'))
    );
  }

  private measure(i: number): void {
    const picture = this.at(i);
    let sum = 0;
    let squares = 0;
    for (let k = 0; k < LUMA; k++) {
      const y = picture[k]!;
      sum += y;
      squares += y * y;
    }
    this.mean[i] = sum / LUMA;
    this.deviation[i] = Math.sqrt(Math.max(0, squares / LUMA - (sum / LUMA) ** 2));
    const target = this.histogram(i);
    fillHistogram(picture.subarray(0, LUMA), target.subarray(0, LUMA_BINS));
    const [u, v] = [LUMA, LUMA + CHROMA];
    const bins = LUMA_BINS + CHROMA_BINS;
    fillHistogram(picture.subarray(u, v), target.subarray(LUMA_BINS, bins));
    fillHistogram(picture.subarray(v, SCAN_CELLS), target.subarray(bins));
  }
}

/** Each sample counts in the two bins it lies between: a small change of all is a small change of the histogram. */
function fillHistogram(samples: Uint8Array, bins: Float32Array): void {
  const last = bins.length - 1;
  const share = 1 / samples.length;
  for (const sample of samples) {
    const place = (sample * bins.length) / 256 - 0.5;
    const low = Math.floor(place);
    const part = place - low;
    bins[Math.max(0, low)]! += share * (1 - part);
    bins[Math.min(last, low + 1)]! += share * part;
  }
}

function shiftedDistance(a: Uint8Array, b: Uint8Array, dx: number, dy: number): number {
  const [x0, x1] = [Math.max(0, dx), W + Math.min(0, dx)];
  const [y0, y1] = [Math.max(0, dy), H + Math.min(0, dy)];
  const shift = dy * W + dx;
  let sum = 0;
  for (let y = y0; y < y1; y++) {
    for (let at = y * W + x0, end = y * W + x1; at < end; at++) sum += Math.abs(a[at]! - b[at - shift]!);
  }
  return sum / ((x1 - x0) * (y1 - y0));
}

function shiftedCorrelation(a: Uint8Array, b: Uint8Array, dx: number, dy: number): number {
  const [x0, x1] = [Math.max(0, dx), W + Math.min(0, dx)];
  const [y0, y1] = [Math.max(0, dy), H + Math.min(0, dy)];
  const shift = dy * W + dx;
  let sumA = 0;
  let sumB = 0;
  let squaresA = 0;
  let squaresB = 0;
  let products = 0;
  for (let y = y0; y < y1; y++) {
    for (let at = y * W + x0, end = y * W + x1; at < end; at++) {
      const p = a[at]!;
      const q = b[at - shift]!;
      sumA += p;
      sumB += q;
      squaresA += p * p;
      squaresB += q * q;
      products += p * q;
    }
  }
  const n = (x1 - x0) * (y1 - y0);
  const noise = NOISE * n;
  const a2 = squaresA - (sumA * sumA) / n + noise;
  const b2 = squaresB - (sumB * sumB) / n + noise;
  return (products - (sumA * sumB) / n + noise) / Math.sqrt(a2 * b2);
}
