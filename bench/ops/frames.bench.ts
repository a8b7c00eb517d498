/** Pictures and video frames to normalised planes; bicubic against sharp (libvips). bench/peers has the other peers. */
import sharp from 'sharp';
import {
  defaultThreads,
  type FrameTransform,
  frames,
  type RgbPicture,
  resize,
  type YuvInput,
} from '../../lib/ops/index.js';
import { type BenchCase, defineSuite } from '../harness.js';

export const MEAN = [0.485, 0.456, 0.406] as const;
export const STD = [0.229, 0.224, 0.225] as const;
export const SIDE = 224;

/** Gradients, edges and some noise, the same in every run. */
export function picture(width: number, height: number, channels: number, seed = 1): Uint8Array {
  let state = seed;
  const data = new Uint8Array(width * height * channels);
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let c = 0; c < channels; c++, i++) {
        state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
        const wave = 100 * Math.sin((x * (c + 2)) / 90) * Math.cos(y / 70);
        data[i] = 128 + wave + ((x >> 7) + (y >> 7)) * 3 + (state >>> 28);
      }
    }
  }
  return data;
}

/** Half of the saturated ones is beyond what RGB can show, and clamped; of films it is a tenth or less. */
export type Colours = 'saturated' | 'film';

export function nv12(width: number, height: number, seed: number, colours: Colours): YuvInput {
  const data = new Uint8Array((width * height * 3) / 2);
  const [y, uv] = [picture(width, height, 1, seed), picture(width / 2, height / 2, 2, seed + 1)];
  data.set(colours === 'film' ? y.map((v) => 30 + v * 0.75) : y);
  data.set(
    uv.map((v) => (colours === 'film' ? 112 + v / 8 : 64 + v / 2)),
    width * height,
  );
  return { data, width, height, format: 'nv12', matrix: 'bt601', range: 'limited' }; // swscale's own choice
}

/** What a program without us does after the resize. */
export function normalise(rgb: Uint8Array, out = new Float32Array(rgb.length), offset = 0): Float32Array {
  const area = rgb.length / 3;
  for (let c = 0; c < 3; c++) {
    const scale = 1 / (255 * (STD[c] as number));
    const shift = -(MEAN[c] as number) / (STD[c] as number);
    const plane = offset + c * area;
    for (let i = 0; i < area; i++) out[plane + i] = (rgb[3 * i + c] as number) * scale + shift;
  }
  return out;
}

/** libvips to a square, by its bicubic filter. */
async function vips({ data, width, height }: RgbPicture): Promise<Uint8Array> {
  return sharp(data, { raw: { width, height, channels: 3 } })
    .resize(SIDE, SIDE, { fit: 'fill', kernel: 'cubic' })
    .raw()
    .toBuffer();
}

/** Filters differ a little in their taps and rounding; a wrong picture, plane order or normalisation differs much more. */
function agree(results: Record<string, unknown>): void {
  const [first, ...others] = Object.entries(results) as [string, ArrayLike<number>][];
  const [name, ours] = first!;
  const span = ours instanceof Uint8Array ? 255 : 4.4;
  for (const [other, theirs] of others) {
    let sum = 0;
    for (let i = 0; i < ours.length; i++) sum += Math.abs((ours[i] as number) - (theirs[i] as number));
    const mean = sum / ours.length / span;
    if (ours.length !== theirs.length || !(mean < 0.02)) {
      throw new Error(`${name} and ${other} differ by ${(100 * mean).toFixed(2)} % of the range on average`);
    }
  }
}

function cases(): BenchCase[] {
  sharp.concurrency(defaultThreads());
  sharp.cache(false);
  const common: FrameTransform = { resize: [SIDE, SIDE], mean: MEAN, std: STD };
  const list: BenchCase[] = [];
  for (const [what, width, height] of [
    ['1080p', 1920, 1080],
    ['poster 680x1000', 680, 1000],
  ] as const) {
    const image = { data: picture(width, height, 3), width, height };
    const bytes = image.data.length + 4 * 3 * SIDE * SIDE;
    for (const filter of ['bilinear', 'bicubic'] as const) {
      list.push({
        name: `${what} RGB -> ${SIDE}, ${filter}, normalised planes`,
        bytes,
        items: 1,
        contenders: {
          'cinefuse float': () => frames([image], { ...common, filter, rounding: 'float' }),
          "cinefuse uint8 (Pillow's)": () => frames([image], { ...common, filter, rounding: 'uint8' }),
          ...(filter === 'bicubic' && {
            'sharp cubic + JavaScript': async () => normalise(await vips(image)),
          }),
        },
        check: agree,
      });
    }
    list.push({
      name: `${what} RGB -> ${SIDE}, bicubic, RGB bytes`,
      bytes: image.data.length + 3 * SIDE * SIDE,
      items: 1,
      contenders: {
        'cinefuse resize': async () =>
          (await resize(image, { resize: [SIDE, SIDE], filter: 'bicubic' })).data,
        'sharp cubic': () => vips(image),
      },
      check: agree,
    });
  }
  for (const colours of ['saturated', 'film'] as const) {
    const clip = Array.from({ length: 16 }, (_, i) => nv12(1920, 1080, i + 1, colours));
    list.push({
      name: `16 NV12 1080p${colours === 'film' ? ' of film colours' : ''} -> ${SIDE}, bilinear, normalised planes`,
      bytes: clip.reduce((sum, { data }) => sum + data.length + 4 * 3 * SIDE * SIDE, 0),
      items: clip.length,
      contenders: {
        'cinefuse float': () => frames(clip, { ...common, rounding: 'float' }),
        "cinefuse uint8 (Pillow's)": () => frames(clip, { ...common, rounding: 'uint8' }),
      },
      check: agree,
    });
  }
  return list;
}

export default defineSuite('frames', { cases });
