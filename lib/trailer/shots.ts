import type { CellPictures } from './cells.js';
import { type Blank, findBlanks, findCuts, type FlashRun, spansOf } from './cuts.js';
import { findDissolves } from './dissolves.js';
import { findGaps, type Gap } from './fades.js';

/** A run of pictures of one camera. The times of transitions belong to no shot. */
export interface Shot {
  startMs: number;
  endMs: number;
  /** Number of its first picture in the video, and of its last. */
  first: number;
  last: number;
}

/**
 * How one shot leaves and the next comes.
 *
 * - `cut`: from one picture to the next (startMs = endMs), or with blank pictures between two abrupt ends.
 * - `fade`: out to black or white, or in from it, or both; also at the beginning and the end of a video.
 * - `dissolve`: one mixed into the other.
 */
export interface Transition {
  kind: 'cut' | 'fade' | 'dissolve';
  startMs: number;
  endMs: number;
  /** Indices of the shots it lies between; null at either end of the video. */
  from: number | null;
  to: number | null;
  /** What the picture is wholly in between, where it is. */
  through?: 'black' | 'white';
}

/** A disturbance of at most 250 ms after which the shot goes on: no boundary. */
export interface Flash {
  startMs: number;
  endMs: number;
}

export interface ShotList {
  shots: Shot[];
  transitions: Transition[];
  flashes: Flash[];
}

/** Between two shots, in numbers of pictures: the last of the one before and the first of the one after. */
interface Boundary {
  kind: Transition['kind'];
  last: number;
  first: number;
  through?: Blank['colour'];
}

/**
 * @param timesMs  when each picture appears
 * @param durationMs  when the last one ends
 */
export async function findShots(
  pictures: CellPictures,
  timesMs: Float64Array,
  durationMs: number,
  signal: AbortSignal | undefined,
  report: (done: number) => void,
): Promise<ShotList> {
  const spans = spansOf(timesMs);
  const { gaps, flashes: blinks } = findGaps(pictures, findBlanks(pictures), spans);
  const cuts = await findCuts(pictures, spans, signal, report);
  const covers = (i: number) =>
    gaps.some((gap) => i >= gap.fadeOutFrom - spans.apart && i <= gap.fadeInTo + 1 + spans.apart);
  const hard = cuts.at.filter((i) => !covers(i) && !blinks.some(({ from, to }) => i >= from && i <= to + 1));
  const barriers = [
    ...hard.map((i) => ({ from: i, to: i })),
    ...gaps.map((gap) => ({ from: gap.fadeOutFrom, to: gap.fadeInTo })),
  ];
  const dissolves = await findDissolves(pictures, spans, barriers, signal);
  const boundaries: Boundary[] = [
    ...hard.map((i): Boundary => ({ kind: 'cut', last: i - 1, first: i })),
    ...gaps.map(boundaryOf),
    ...dissolves.map(({ from, to }): Boundary => ({ kind: 'dissolve', last: from, first: to })),
  ].sort((a, b) => a.last - b.last || a.first - b.first);
  const flashes = [...cuts.flashes, ...blinks].filter(
    ({ from, to }) => !boundaries.some(({ last, first }) => from < first && to > last),
  );
  return {
    ...assemble(boundaries, pictures.count, timesMs, durationMs),
    flashes: mergeRuns(flashes).map(({ from, to }) => ({
      startMs: timesMs[from]!,
      endMs: timesMs[to + 1] ?? durationMs,
    })),
  };
}

function boundaryOf({ colour, from, to, fadeOutFrom, fadeInTo }: Gap): Boundary {
  const gradual = fadeOutFrom < from || fadeInTo > to;
  return {
    kind: gradual ? 'fade' : 'cut',
    last: fadeOutFrom - 1,
    first: fadeInTo + 1,
    through: colour,
  };
}

function mergeRuns(runs: readonly FlashRun[]): FlashRun[] {
  const merged: FlashRun[] = [];
  for (const run of [...runs].sort((a, b) => a.from - b.from)) {
    const last = merged.at(-1);
    if (last && run.from <= last.to + 1) last.to = Math.max(last.to, run.to);
    else merged.push({ ...run });
  }
  return merged;
}

function assemble(
  boundaries: readonly Boundary[],
  count: number,
  timesMs: Float64Array,
  durationMs: number,
): Pick<ShotList, 'shots' | 'transitions'> {
  const shots: Shot[] = [];
  const transitions: Transition[] = [];
  const startOf = (i: number) => timesMs[i] ?? durationMs;
  let next = 0;
  const close = (last: number) => {
    if (last < next) return;
    shots.push({ startMs: startOf(next), endMs: startOf(last + 1), first: next, last });
  };
  for (const { kind, last, first, through } of boundaries) {
    if (first <= next && next > 0) continue;
    const before = shots.length;
    close(Math.min(last, count - 1));
    const from = shots.length > before || (last < next && before > 0) ? shots.length - 1 : null;
    transitions.push({
      kind,
      startMs: startOf(Math.max(next, last + 1)),
      endMs: startOf(first),
      from,
      to: first < count ? shots.length : null,
      ...(through && { through }),
    });
    next = first;
  }
  close(count - 1);
  return { shots, transitions };
}
