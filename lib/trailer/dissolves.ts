import { Pace } from '../pace.js';
import { throwIfCancelled } from '../errors.js';
import { SCAN_CELLS } from '../media/types.js';
import type { CellPictures } from './cells.js';
import type { Spans } from './cuts.js';

export interface Dissolve {
  /** Last picture of the old shot alone, first of the new one alone. */
  from: number;
  to: number;
}

/** Lengths looked for, in seconds; what lies between them is found by the nearest and measured then. */
const LENGTHS = [0.2, 0.33, 0.5, 0.75, 1, 1.5, 2.25, 3];
/** Root mean square between the two pictures, in levels. */
const DIFFERENT = 12;
/** What a mixture may have that neither picture explains, as a share of their distance: movement in both shots. */
const RESIDUE = 0.27;
/** The two pictures must be unlike in structure, and in most places: a caption that appears is none. */
const STRUCTURE = 0.35;
const CHANGED = { levels: 8, share: 0.6 };
/** Steps of the mixture: none backward, none so large that it is a cut. */
const BACKWARD = -0.06;
const LARGEST_STEP = 0.45;

/** What was on screen up to so many seconds before must not be what comes: else something passed, as an explosion does. */
const BEFORE = 0.5;
const SAME_STRUCTURE = 0.2;

interface Found extends Dissolve {
  distance: number;
  residue: number;
}

/**
 * Dissolves: stretches whose pictures are mixtures a·A + (1 - a)·B of their two ends, a falling from 1 to 0.
 *
 * Movement in front of a camera gives pictures between two others too, but no mixtures of them: what is left over tells.
 *
 * @param barriers  pictures that no dissolve contains (cuts, fades)
 */
export async function findDissolves(
  pictures: CellPictures,
  spans: Spans,
  barriers: readonly { from: number; to: number }[],
  signal: AbortSignal | undefined,
): Promise<Dissolve[]> {
  const pace = new Pace();
  const { count } = pictures;
  const barred = new Int32Array(count + 1);
  for (const { from, to } of barriers) {
    for (let i = Math.max(0, from); i <= Math.min(count - 1, to); i++) barred[i + 1] = 1;
  }
  for (let i = 1; i <= count; i++) barred[i]! += barred[i - 1]!;
  const found: Found[] = [];
  const lengths = [...new Set(LENGTHS.map((s) => Math.max(4, Math.round(s * spans.framesPerSecond))))];
  for (const length of lengths) {
    for (let from = 0; from + length < count; from++) {
      if (pace.due) {
        await pace.rest();
        throwIfCancelled(signal);
      }
      if (barred[from + length + 1]! > barred[from]!) continue;
      const dissolve = mixture(pictures, from, from + length);
      if (dissolve) found.push(dissolve);
    }
  }
  const before = Math.round(BEFORE * spans.framesPerSecond);
  return widest(found)
    .map((window) => trimmed(pictures, window))
    .filter(({ from, to }) => !returns(pictures, from, to, before));
}

function returns(pictures: CellPictures, from: number, to: number, before: number): boolean {
  for (let i = from; i >= Math.max(0, from - before); i--) {
    if (pictures.structureDistance(i, to) < SAME_STRUCTURE) return true;
  }
  return false;
}

/** Of overlapping windows the one whose ends differ most; of nearly equal ones the shortest. */
function widest(found: readonly Found[]): Found[] {
  const chosen: Found[] = [];
  const order = [...found].sort((a, b) => b.distance - a.distance || a.to - a.from - (b.to - b.from));
  for (const window of order) {
    const overlapping = chosen.find(({ from, to }) => window.from < to && from < window.to);
    if (!overlapping) chosen.push({ ...window });
  }
  return chosen.sort((a, b) => a.from - b.from);
}

/** Takes off the pictures at either end that are already one shot alone. */
function trimmed(pictures: CellPictures, window: Found): Dissolve {
  const line = new Line(pictures, window.from, window.to);
  let { from, to } = window;
  while (from + 1 < to && line.place(from + 1).share < 0.03) from++;
  while (to - 1 > from && line.place(to - 1).share > 0.97) to--;
  return { from, to };
}

function mixture(pictures: CellPictures, from: number, to: number): Found | undefined {
  const line = new Line(pictures, from, to);
  if (line.distance < DIFFERENT) return undefined;
  const middle = line.place((from + to) >> 1);
  if (middle.residue > RESIDUE || middle.share < 0.2 || middle.share > 0.8) return undefined;
  let last = 0;
  let residue = 0;
  for (let i = from + 1; i <= to; i++) {
    const { share, residue: left } = i === to ? { share: 1, residue: 0 } : line.place(i);
    if (left > RESIDUE || share - last < BACKWARD || share - last > LARGEST_STEP) return undefined;
    last = share;
    residue = Math.max(residue, left);
  }
  if (line.changedShare() < CHANGED.share || pictures.structureDistance(from, to) < STRUCTURE)
    return undefined;
  return { from, to, distance: line.distance, residue };
}

/** The straight line from one picture to another, in the space of all cells. */
class Line {
  /** Root mean square of the difference of the two ends. */
  readonly distance: number;
  private readonly squared: number;
  private readonly a: Uint8Array;
  private readonly b: Uint8Array;

  constructor(
    private readonly pictures: CellPictures,
    from: number,
    to: number,
  ) {
    this.a = pictures.at(from);
    this.b = pictures.at(to);
    let sum = 0;
    for (let k = 0; k < SCAN_CELLS; k++) sum += (this.b[k]! - this.a[k]!) ** 2;
    this.squared = sum;
    this.distance = Math.sqrt(sum / SCAN_CELLS);
  }

  /** How far along the line a picture lies, 0 to 1, and how far off it, in lengths of the line. */
  place(i: number): { share: number; residue: number } {
    const { a, b } = this;
    const picture = this.pictures.at(i);
    let along = 0;
    let squares = 0;
    for (let k = 0; k < SCAN_CELLS; k++) {
      const d = picture[k]! - a[k]!;
      along += d * (b[k]! - a[k]!);
      squares += d * d;
    }
    const share = along / this.squared;
    return { share, residue: Math.sqrt(Math.max(0, squares / this.squared - share * share)) };
  }

  changedShare(): number {
    let changed = 0;
    for (let k = 0; k < SCAN_CELLS; k++) {
      if (Math.abs(this.b[k]! - this.a[k]!) > CHANGED.levels) changed++;
    }
    return changed / SCAN_CELLS;
  }
}
