/** A poster with what its regions did laid over it. */
import type { RgbImage } from '../media/types.js';

const MOST_SIDE = 480;
/** Blue raises the forecast, orange lowers it: told apart also by those who see red and green alike. */
const RAISES = [37, 99, 235];
const LOWERS = [217, 87, 12];
const STRONGEST = 0.8;

interface Heat {
  columns: number;
  rows: number;
  effects: Float64Array;
}

/** @returns the poster as a JPEG, and as a PNG the gray poster under the heat; each at most 480 pixels a side */
export async function drawHeat(
  { data, width, height }: RgbImage,
  heat: Heat,
): Promise<{ picture: Uint8Array; heatMap: Uint8Array }> {
  const { default: sharp } = await import('sharp');
  const small = await sharp(data, { raw: { width, height, channels: 3 } })
    .resize({ width: MOST_SIDE, height: MOST_SIDE, fit: 'inside', withoutEnlargement: true })
    .raw()
    .toBuffer({ resolveWithObject: true });
  const raw = { width: small.info.width, height: small.info.height, channels: 3 as const };
  const [picture, heatMap] = await Promise.all([
    sharp(small.data, { raw }).jpeg({ quality: 82 }).toBuffer(),
    sharp(overlaid(small.data, raw.width, raw.height, heat), { raw })
      .png({ compressionLevel: 9 })
      .toBuffer(),
  ]);
  return { picture, heatMap };
}

function overlaid(rgb: Uint8Array, width: number, height: number, heat: Heat): Uint8Array {
  const most = heat.effects.reduce((best, effect) => Math.max(best, Math.abs(effect)), 0);
  const result = new Uint8Array(rgb.length);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const at = 3 * (y * width + x);
      const gray = 0.5 * (0.299 * rgb[at]! + 0.587 * rgb[at + 1]! + 0.114 * rgb[at + 2]!) + 96;
      const effect = most > 0 ? effectAt(heat, (x + 0.5) / width, (y + 0.5) / height) / most : 0;
      const share = STRONGEST * Math.min(1, Math.abs(effect));
      const colour = effect > 0 ? RAISES : LOWERS;
      for (let c = 0; c < 3; c++) result[at + c] = Math.round((1 - share) * gray + share * colour[c]!);
    }
  }
  return result;
}

/** Between the middles of four cells: bilinear. @param x, y  shares of the picture, 0 to 1 */
function effectAt({ columns, rows, effects }: Heat, x: number, y: number): number {
  const place = (share: number, count: number) => {
    const at = Math.min(count - 1, Math.max(0, share * count - 0.5));
    const low = Math.min(count - 1, Math.floor(at));
    return { low, high: Math.min(count - 1, low + 1), part: at - low };
  };
  const [h, v] = [place(x, columns), place(y, rows)];
  const row = (r: number) =>
    effects[r * columns + h.low]! * (1 - h.part) + effects[r * columns + h.high]! * h.part;
  return row(v.low) * (1 - v.part) + row(v.high) * v.part;
}
