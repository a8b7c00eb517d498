/** Which regions of a poster moved the forecast: each is painted over with the poster's mean colour. */
import type { RgbImage } from '../media/types.js';
import { drawHeat } from './heat-map.js';
import { checkOf, drawsOf, namedParts } from './check.js';
import type { Effects, PosterExplanation, Region } from './types.js';
import type { Variants } from './variants.js';

export interface PosterLimits {
  /** Along the longer side. */
  posterCells: number;
  draws: number;
  seed: number;
}

/** What covers the poster is this many cells wide and high. */
const COVER = 2;
const NAMED_REGIONS = 2;
const MOST_REGIONS = 5;

interface Grid {
  columns: number;
  rows: number;
  /** Pixel edges of the cells. */
  xs: number[];
  ys: number[];
}

/** Cells that are as good as square. */
export function gridOf(width: number, height: number, cells: number): Grid {
  const side = Math.max(width, height) / cells;
  const columns = Math.min(width, Math.max(COVER, Math.round(width / side)));
  const rows = Math.min(height, Math.max(COVER, Math.round(height / side)));
  const edges = (size: number, count: number) =>
    Array.from({ length: count + 1 }, (_, i) => Math.round((i * size) / count));
  return { columns, rows, xs: edges(width, columns), ys: edges(height, rows) };
}

/** Measures the regions of one poster. */
export async function explainPoster(
  variants: Variants,
  image: RgbImage,
  { posterCells, draws, seed }: PosterLimits,
  onProgress: (done: number, total: number) => void,
): Promise<PosterExplanation> {
  const { head } = variants;
  const { width, height } = image;
  const grid = gridOf(width, height, posterCells);
  const covers = coversOf(grid);
  const mean = meanColour(image);
  const without = (regions: readonly (readonly Region[])[], progress?: typeof onProgress) =>
    variants.pictures(regions.length, (i) => painted(image, regions[i]!, mean), progress);
  const effects = await without(
    covers.map(({ region }) => [region]),
    onProgress,
  );
  const named = apart(covers, namedParts(effects, head, covers.length)).slice(0, NAMED_REGIONS);
  let check: PosterExplanation['check'];
  if (draws > 0 && named.length > 0) {
    const random = drawsOf(seed, 'poster');
    const sets = Array.from({ length: draws }, () =>
      elsewhere(
        named.map((i) => covers[i]!.region),
        image,
        random,
      ),
    );
    const [together, ...others] = await without([named.map((i) => covers[i]!.region), ...sets]);
    check = checkOf(head, named, together, others);
  }
  const ordered = covers
    .map((_, i) => i)
    .filter((i) => effects[i])
    .sort((a, b) => Math.abs(effects[b]![head]!) - Math.abs(effects[a]![head]!));
  const first = named.filter((i) => effects[i]);
  // What was named stands first, so that the check's places are theirs.
  const kept = apart(covers, [...first, ...ordered.filter((i) => !first.includes(i))]).slice(0, MOST_REGIONS);
  const heat = { columns: grid.columns, rows: grid.rows, effects: heatOf(grid, covers, effects, head) };
  return {
    width,
    height,
    heat,
    ...(await drawHeat(image, heat)),
    regions: kept.map((i) => ({ ...covers[i]!.region, effects: effects[i]! })),
    check: check && { ...check, parts: check.parts.map((i) => kept.indexOf(i)) },
  };
}

interface Cover {
  region: Region;
  column: number;
  row: number;
}

/** Every place on the grid that covers COVER x COVER cells. */
function coversOf({ columns, rows, xs, ys }: Grid): Cover[] {
  const covers: Cover[] = [];
  const [wide, high] = [Math.min(COVER, columns), Math.min(COVER, rows)];
  for (let row = 0; row + high <= rows; row++) {
    for (let column = 0; column + wide <= columns; column++) {
      const [x, y] = [xs[column]!, ys[row]!];
      covers.push({
        region: { x, y, width: xs[column + wide]! - x, height: ys[row + high]! - y },
        column,
        row,
      });
    }
  }
  return covers;
}

/** Each cell's mean over the covers that lay on it. */
function heatOf(
  { columns, rows }: Grid,
  covers: readonly Cover[],
  effects: readonly (Effects | undefined)[],
  head: string,
): Float64Array {
  const sums = new Float64Array(columns * rows);
  const counts = new Float64Array(columns * rows);
  covers.forEach(({ column, row }, i) => {
    const effect = effects[i]?.[head];
    if (effect === undefined) return;
    for (let y = row; y < Math.min(rows, row + COVER); y++) {
      for (let x = column; x < Math.min(columns, column + COVER); x++) {
        sums[y * columns + x]! += effect;
        counts[y * columns + x]!++;
      }
    }
  });
  return sums.map((sum, i) => (counts[i]! > 0 ? sum / counts[i]! : 0));
}

const overlap = (a: Region, b: Region) =>
  a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;

/** Of these places in their order, those that lie over none before them. */
function apart(covers: readonly Cover[], places: readonly number[]): number[] {
  const kept: number[] = [];
  for (const place of places) {
    if (kept.every((other) => !overlap(covers[other]!.region, covers[place]!.region))) kept.push(place);
  }
  return kept;
}

/** Regions of the same sizes anywhere in the picture, apart from each other where a few tries find such places. */
function elsewhere(
  regions: readonly Region[],
  { width, height }: RgbImage,
  random: ReturnType<typeof drawsOf>,
): Region[] {
  const placed: Region[] = [];
  for (const region of regions) {
    let own = region;
    for (let attempt = 0; attempt < 20; attempt++) {
      own = {
        ...region,
        x: random.below(width - region.width + 1),
        y: random.below(height - region.height + 1),
      };
      if (placed.every((other) => !overlap(other, own))) break;
    }
    placed.push(own);
  }
  return placed;
}

function meanColour({ data }: RgbImage): [number, number, number] {
  const sums: [number, number, number] = [0, 0, 0];
  for (let i = 0; i < data.length; i += 3) for (let c = 0; c < 3; c++) sums[c]! += data[i + c]!;
  return sums.map((sum) => Math.round((3 * sum) / data.length)) as [number, number, number];
}

/** A copy with rectangles in one colour. */
export function painted(
  { data, width, height }: RgbImage,
  regions: readonly Region[],
  colour: readonly [number, number, number],
): RgbImage {
  const copy = Uint8Array.from(data);
  for (const region of regions) {
    for (let y = region.y; y < region.y + region.height; y++) {
      const from = 3 * (y * width + region.x);
      for (let at = from; at < from + 3 * region.width; at += 3) {
        copy[at] = colour[0];
        copy[at + 1] = colour[1];
        copy[at + 2] = colour[2];
      }
    }
  }
  return { data: copy, width, height };
}
