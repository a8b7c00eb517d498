import type { CellPictures } from './cells.js';
import type { Blank, FlashRun, Spans } from './cuts.js';

/** A blank stretch with what leads into it and out of it. */
export interface Gap {
  colour: Blank['colour'];
  /** The blank pictures. */
  from: number;
  to: number;
  /** First picture that is changing before the blank; `from` where the picture stops at once. */
  fadeOutFrom: number;
  /** Last picture that is changing after the blank; `to` where the picture is there at once. */
  fadeInTo: number;
}

/** Total difference of two pictures of one shot. */
const ALIKE = 1.5;
/** Longest fade, in seconds. */
const LONGEST = 5;
/** Of the whole way to the blank, one step of a fade is at most this much; a larger one is a cut. */
const LARGEST_STEP = 0.55;
/** A step that is smaller than this share of the way already gone ends the fade. */
const STANDSTILL = 0.015;

/**
 * Blank stretches as gaps between shots; those that are over within 250 ms, between two pictures that are alike, are
 * flashes instead.
 */
export function findGaps(
  pictures: CellPictures,
  blanks: readonly Blank[],
  spans: Spans,
): { gaps: Gap[]; flashes: FlashRun[] } {
  const gaps: Gap[] = [];
  const flashes: FlashRun[] = [];
  for (const blank of blanks) {
    const { from, to } = blank;
    const fadeOutFrom = from - fadeLength(pictures, from, -1, spans);
    const fadeInTo = to + fadeLength(pictures, to, 1, spans);
    const brief = fadeInTo - fadeOutFrom < spans.flash && from > 0 && to < pictures.count - 1;
    if (brief && pictures.difference(fadeOutFrom - 1, fadeInTo + 1).total < ALIKE) flashes.push({ from, to });
    else gaps.push({ ...blank, fadeOutFrom, fadeInTo });
  }
  return { gaps, flashes };
}

/** Pictures beside a blank one that are on their way to it, going in `direction` from it; 0 for a cut. */
function fadeLength(pictures: CellPictures, edge: number, direction: 1 | -1, spans: Spans): number {
  const blank = pictures.at(edge);
  const distance = (i: number) => {
    const picture = pictures.at(i);
    let sum = 0;
    for (let k = 0; k < picture.length; k++) sum += Math.abs(picture[k]! - blank[k]!);
    return sum / picture.length;
  };
  const most = Math.round(LONGEST * spans.framesPerSecond);
  const way: number[] = [0];
  let still = 0;
  for (let n = 1; n <= most; n++) {
    const i = edge + direction * n;
    if (i < 0 || i >= pictures.count) break;
    const now = distance(i);
    const last = way.at(-1)!;
    if (now < last - 0.3) break;
    still = now - last < Math.max(0.05, STANDSTILL * last) ? still + 1 : 0;
    way.push(now);
    if (still === 2) break;
  }
  way.length -= still;
  const whole = way.at(-1)!;
  const steps = way.slice(1).map((now, n) => now - way[n]!);
  const gradual = steps.length >= 3 && Math.max(...steps) <= LARGEST_STEP * whole;
  // The last picture of the walk is the shot at full strength.
  return gradual ? steps.length - 1 : 0;
}
