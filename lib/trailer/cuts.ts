import { Pace } from '../pace.js';
import { throwIfCancelled } from '../errors.js';
import type { CellPictures, Difference } from './cells.js';

/** Numbers of pictures that stand for spans of time, at a video's own rate. */
export interface Spans {
  framesPerSecond: number;
  /** A disturbance no longer than this, after which the same picture returns, is a flash: 250 ms. */
  flash: number;
  /** Neighbours that say what is usual: 250 ms on either side. */
  around: number;
  /** Boundaries closer than this are one: 100 ms. */
  apart: number;
}

export function spansOf(timesMs: Float64Array): Spans {
  const steps = Array.from(timesMs.subarray(1), (time, i) => time - timesMs[i]!).sort((a, b) => a - b);
  const step = steps[steps.length >> 1] ?? 40;
  const framesPerSecond = step > 0 ? 1000 / step : 25;
  const framesIn = (seconds: number) => Math.round(seconds * framesPerSecond);
  return {
    framesPerSecond,
    flash: Math.max(1, framesIn(0.25)),
    around: Math.max(3, framesIn(0.25)),
    apart: Math.max(1, framesIn(0.1)),
  };
}

/** A run of pictures that are black or white all over. */
export interface Blank {
  /** First and last picture. */
  from: number;
  to: number;
  colour: 'black' | 'white';
}

/** Levels of a blank picture: title cards and night scenes are not that flat. */
const BLANK = { deviation: 2.5, black: 20, white: 235, chroma: 10 };

export function findBlanks(pictures: CellPictures): Blank[] {
  const blanks: Blank[] = [];
  for (let i = 0; i < pictures.count; i++) {
    const colour = blankColour(pictures, i);
    const last = blanks.at(-1);
    if (!colour) continue;
    if (last?.to === i - 1 && last.colour === colour) last.to = i;
    else blanks.push({ from: i, to: i, colour });
  }
  return blanks;
}

function blankColour(pictures: CellPictures, i: number): Blank['colour'] | undefined {
  const mean = pictures.mean[i]!;
  if (pictures.deviation[i]! > BLANK.deviation || (mean > BLANK.black && mean < BLANK.white))
    return undefined;
  const coloured = (['u', 'v'] as const).some(
    (plane) => Math.abs(pictures.chroma(i, plane) - 128) > BLANK.chroma,
  );
  return coloured ? undefined : mean <= BLANK.black ? 'black' : 'white';
}

/** A disturbance that is no boundary. */
export interface FlashRun {
  from: number;
  to: number;
}

export interface Cuts {
  /** Pictures with which something else begins, ascending. */
  at: number[];
  flashes: FlashRun[];
}

/** total of a step: certain by itself; where its neighbours are half as large; where they are nearly still. */
const CERTAIN = { total: 3.2, structure: 0.35, ratio: 1.5 };
const LIKELY = { total: 2, structure: 0.3, ratio: 2.2 };
const STILL = { total: 1.2, structure: 0.3, ratio: 5 };
/**
 * What must be left between every picture shortly before and every one shortly after a step: a share of its total, at most
 * what two unlike pictures have.
 */
const LASTING = { share: 0.55, most: 3 };

/**
 * Abrupt changes of the whole picture that last.
 *
 * A step from one picture to the next is one where it is large on all three scales of `Difference`, larger than the steps
 * around it (which a fast pan is not) and where nothing within 250 ms after it is like anything within 250 ms before it
 * (which a flash, a strobe or a single damaged picture is not).
 */
export async function findCuts(
  pictures: CellPictures,
  spans: Spans,
  signal: AbortSignal | undefined,
  report: (done: number) => void,
): Promise<Cuts> {
  const pace = new Pace();
  const { count } = pictures;
  const steps: Difference[] = [{ level: 0, histogram: 0, structure: 0, total: 0 }];
  for (let i = 1; i < count; i++) {
    steps.push(pictures.difference(i - 1, i));
    if (!pace.due) continue;
    await pace.rest();
    throwIfCancelled(signal);
    report(i / count);
  }
  const candidates = steps.flatMap((step, i) => (i > 0 && stands(step, i, steps, spans) ? [i] : []));
  const at: number[] = [];
  const flashes: FlashRun[] = [];
  for (const i of candidates) {
    const back = returnsAt(pictures, steps, i, spans);
    if (back === undefined) at.push(i);
    else if (back > i && !(flashes.at(-1) && flashes.at(-1)!.to >= i - 1)) {
      flashes.push({ from: i, to: back - 1 });
    }
    if (pace.due) {
      await pace.rest();
      throwIfCancelled(signal);
    }
  }
  return { at, flashes };
}

function stands(
  step: Difference,
  i: number,
  steps: readonly Difference[],
  { around, apart }: Spans,
): boolean {
  if (step.total < STILL.total) return false;
  for (let j = Math.max(1, i - apart); j <= Math.min(steps.length - 1, i + apart); j++) {
    const other = steps[j]!.total;
    if (other > step.total || (other === step.total && j < i)) return false;
  }
  const others = [...steps.slice(Math.max(1, i - around), i), ...steps.slice(i + 1, i + 1 + around)].map(
    ({ total }) => total,
  );
  others.sort((a, b) => a - b);
  const usual = others[others.length >> 1] ?? 0;
  const ratio = step.total / (usual + 0.2);
  return [CERTAIN, LIKELY, STILL].some(
    (bound) => step.total >= bound.total && step.structure >= bound.structure && ratio >= bound.ratio,
  );
}

/**
 * Where the picture before a step comes back, if it does within a flash's time: the picture at which it does; i itself
 * where the step leads back from a disturbance before it.
 */
function returnsAt(
  pictures: CellPictures,
  steps: readonly Difference[],
  i: number,
  { flash }: Spans,
): number | undefined {
  const bound = Math.min(LASTING.most, LASTING.share * steps[i]!.total);
  for (let after = i; after <= Math.min(pictures.count - 1, i + flash); after++) {
    for (let before = i - 1; before >= Math.max(0, i - 1 - flash); before--) {
      if (after === i && before === i - 1) continue;
      if (pictures.difference(before, after).total < bound) return after;
    }
  }
  return undefined;
}
