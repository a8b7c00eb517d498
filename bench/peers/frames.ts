/** Pictures and video frames to the planes an image encoder takes, against libvips, swscale, Pillow, OpenCV and torch. */
import sharp from 'sharp';
import { defaultThreads, type FrameTransform, frames } from '../../lib/ops/index.js';
import { type BenchCase, type Contender, defineSuite } from '../harness.js';
import { type Colours, MEAN, normalise, nv12, picture, SIDE, STD } from '../ops/frames.bench.js';
import { peerModule } from './npm.js';
import { agreeing, endPeers, present, pythonPeers, shaped } from './peers.js';
import { swscalePeers } from './swscale.js';

interface Processor {
  RawImage: new (data: Uint8ClampedArray, width: number, height: number, channels: number) => unknown;
  ViTImageProcessor: new (
    config: Record<string, unknown>,
  ) => (image: unknown) => Promise<{ pixel_values: { data: Float32Array } }>;
}

/** transformers.js as a model's preprocessor configuration asks for it. */
function transformersImage(
  data: Uint8Array,
  width: number,
  height: number,
  resample: number,
): Contender | undefined {
  const module = peerModule<Processor>('@huggingface/transformers');
  if (!module) return undefined;
  const process = new module.ViTImageProcessor({
    do_resize: true,
    do_rescale: true,
    do_normalize: true,
    size: { width: SIDE, height: SIDE },
    resample,
    image_mean: MEAN,
    image_std: STD,
  });
  const image = new module.RawImage(new Uint8ClampedArray(data.buffer, 0, data.length), width, height, 3);
  return async () => (await process(image)).pixel_values.data;
}

const TRANSFORM: FrameTransform = { resize: [SIDE, SIDE], filter: 'bilinear', mean: MEAN, std: STD };
const NOT_ANTIALIASED = 'not antialiased';

async function pictureCase(what: string, width: number, height: number): Promise<BenchCase> {
  const data = picture(width, height, 3);
  const image = { data, width, height };
  const linear = 'transformers.js ViTImageProcessor, bilinear';
  const lanczos = 'transformers.js ViTImageProcessor, lanczos';
  const [out, bytesOut] = [new Float32Array(3 * SIDE * SIDE), new Float32Array(3 * SIDE * SIDE)];
  return {
    name: `${what} RGB -> ${SIDE}, bilinear, normalised planes`,
    bytes: data.length + 4 * 3 * SIDE * SIDE,
    items: 1,
    contenders: {
      'cinefuse, float, into out': () => frames([image], { ...TRANSFORM, rounding: 'float' }, { out }),
      "cinefuse, Pillow's bytes, into out": () =>
        frames([image], { ...TRANSFORM, rounding: 'uint8' }, { out: bytesOut }),
      'cinefuse, float': () => frames([image], { ...TRANSFORM, rounding: 'float' }),
      "cinefuse, Pillow's bytes": () => frames([image], { ...TRANSFORM, rounding: 'uint8' }),
      'sharp linear + JavaScript': async () =>
        normalise(
          await sharp(data, { raw: { width, height, channels: 3 } })
            .resize(SIDE, SIDE, { fit: 'fill', kernel: 'linear' })
            .raw()
            .toBuffer(),
        ),
      ...present({
        [linear]: transformersImage(data, width, height, 2),
        [lanczos]: transformersImage(data, width, height, 1),
      }),
      ...(await pythonPeers('frames', { side: SIDE, mean: MEAN, std: STD }, shaped(data, height, width, 3))),
    },
    differs: {
      [linear]: NOT_ANTIALIASED,
      [lanczos]: 'wider filter',
      'OpenCV linear + numpy (Python)': NOT_ANTIALIASED,
    },
    check: agreeing((name) => {
      if (/^Open.*linear/.test(name) || name === linear) return undefined;
      // One level of 8 bits is 0.0175 of about 2.6; filters of another shape differ more at edges.
      return /^(cinefuse|Pillow|torch)/.test(name) ? { most: 0.015, mean: 0.004 } : { mean: 0.02 };
    }),
  };
}

async function videoCase(colours: Colours): Promise<BenchCase> {
  const [width, height, count] = [1920, 1080, 16];
  const size = (width * height * 3) / 2;
  const all = new Uint8Array(count * size);
  const clip = Array.from({ length: count }, (_, i) => {
    const frame = nv12(width, height, i + 1, colours);
    all.set(frame.data, i * size);
    return { ...frame, data: all.subarray(i * size, (i + 1) * size) };
  });
  const out = new Float32Array(count * 3 * SIDE * SIDE);
  return {
    name: `${count} NV12 1080p${colours === 'film' ? ' of film colours' : ''} -> ${SIDE}, bilinear, normalised planes`,
    bytes: all.length + count * 4 * 3 * SIDE * SIDE,
    items: count,
    contenders: {
      'cinefuse, float, into out': () => frames(clip, { ...TRANSFORM, rounding: 'float' }, { out }),
      'cinefuse, float': () => frames(clip, { ...TRANSFORM, rounding: 'float' }),
      "cinefuse, Pillow's bytes": () => frames(clip, { ...TRANSFORM, rounding: 'uint8' }),
      ...present(await swscalePeers(clip, SIDE, defaultThreads(), normalise)),
      ...(await pythonPeers(
        'nv12',
        { side: SIDE, mean: MEAN, std: STD, width, height },
        shaped(all, all.length),
      )),
    },
    // swscale alone does less than is asked for, and counts all the same. Chroma is sited differently by each.
    check: agreeing((name) =>
      name.startsWith('swscale') && !name.endsWith('JavaScript') ? undefined : { mean: 0.03 },
    ),
  };
}

export default defineSuite('frames', {
  cases: async (): Promise<BenchCase[]> => {
    sharp.concurrency(defaultThreads());
    sharp.cache(false);
    return [
      await pictureCase('1920x1080', 1920, 1080),
      await pictureCase('poster 680x1000', 680, 1000),
      await videoCase('saturated'),
      await videoCase('film'),
    ];
  },
  dispose: endPeers,
});
