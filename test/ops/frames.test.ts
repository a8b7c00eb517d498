import test from 'ava';
import {
  type ChromaSiting,
  type FrameFilter,
  frames,
  resize,
  type YuvInput,
  yuvToRgb,
} from '../../lib/ops/index.js';
import { ways } from '../backends.js';
import { assertGolden, type GoldenCase, type GoldenTensor, loadGolden, tensorOf } from '../golden.js';

type Triple = [number, number, number];
interface YuvConfig {
  width: number;
  height: number;
  pitch?: number;
  matrix: 'bt601' | 'bt709';
  range: 'limited' | 'full';
  chroma: string;
}
const PLAIN = { mean: [0, 0, 0] as Triple, std: [1, 1, 1] as Triple };

function transformOf(c: GoldenCase) {
  const { resize, crop, filter, mean, std } = c.config;
  return {
    resize: resize as number | [number, number],
    ...(crop ? { crop: crop as [number, number] } : {}),
    filter: (filter as string).replace('_', '-') as FrameFilter,
    mean: mean as Triple,
    std: std as Triple,
  };
}

/** A copy of uint8 data that starts `offset` bytes into its buffer. */
function bytes(data: GoldenTensor['data'], offset = 0): Uint8Array {
  const array = new Uint8Array(data.length + offset).subarray(offset);
  array.set(data as Uint8Array);
  return array;
}

function yuvFrames(c: GoldenCase, offset: number): YuvInput[] {
  const { width, height, pitch, matrix, range, chroma } = c.config as unknown as YuvConfig;
  const common = {
    width,
    height,
    matrix,
    range,
    chroma: chroma.replace('_', '-') as ChromaSiting,
    ...(pitch ? { pitch } : {}),
  };
  const join = (...fields: string[]) =>
    bytes(Buffer.concat(fields.map((f) => tensorOf(c, f).data as Uint8Array)), offset);
  const list: YuvInput[] = [{ ...common, format: 'nv12', data: join('y', 'uv') }];
  if (c.tensors.u) list.push({ ...common, format: 'i420', data: join('y', 'u', 'v') });
  return list;
}

for (const { label, exec } of ways()) {
  test(`golden: Pillow's bytes and the float path ${label}`, async (t) => {
    let seen = 0;
    for (const c of loadGolden('image').filter((c) => c.config.kind === 'resize')) {
      const { shape, data } = tensorOf(c, 'input');
      const transform = transformOf(c);
      for (const offset of [0, 1, 3]) {
        const image = { data: bytes(data, offset), width: shape[1]!, height: shape[0]! };
        if (c.tensors.pil_u8) {
          const picture = await resize(image, transform, exec);
          assertGolden(t, c, 'pil_u8', picture.data, label);
          t.deepEqual([picture.height, picture.width, 3], tensorOf(c, 'pil_u8').shape);
          const planes = await frames([image], { ...transform, rounding: 'uint8' }, exec);
          const { data: u8 } = tensorOf(c, 'pil_u8');
          const area = planes.length / 3;
          let worst = 0;
          planes.forEach((y, i) => {
            const k = Math.floor(i / area);
            const expected = (Number(u8[(i % area) * 3 + k]) / 255 - transform.mean[k]!) / transform.std[k]!;
            worst = Math.max(worst, Math.abs(y - expected));
          });
          t.true(worst < 1e-6, `${c.name}: normalised Pillow off by ${worst}`);
        }
        const out = await frames([image], { ...transform, rounding: 'float' }, exec);
        assertGolden(t, c, 'float_ref', out, label, { atol: 1e-5 });
        seen++;
      }
    }
    t.true(seen > 0);
  });

  test(`golden: YUV to RGB, float and bytes ${label}`, async (t) => {
    let seen = 0;
    for (const c of loadGolden('image').filter((c) => c.config.kind === 'yuv420_to_rgb')) {
      const rgb = tensorOf(c, 'rgb').data;
      const area = rgb.length / 3;
      for (const frame of [...yuvFrames(c, 0), ...yuvFrames(c, 1)]) {
        assertGolden(t, c, 'rgb', await frames([frame], { ...PLAIN, rounding: 'float' }, exec), label);
        const picture = await yuvToRgb(frame, exec);
        let worst = 0;
        picture.data.forEach((level, i) => {
          const exact = 255 * Number(rgb[(i % 3) * area + Math.floor(i / 3)]);
          worst = Math.max(worst, Math.abs(level - exact));
        });
        t.true(worst <= 0.51, `${c.name}: bytes off by ${worst}`);
        if (c.tensors.opencv_u8) {
          const y = tensorOf(c, 'y').data;
          const theirs = tensorOf(c, 'opencv_u8').data;
          t.true(
            picture.data.every(
              (v, i) => Number(y[Math.floor(i / 3)]) < 16 || Math.abs(v - Number(theirs[i])) <= 2,
            ),
          );
        }
        seen++;
      }
    }
    t.true(seen > 0);
  });

  test(`golden: batches of NV12 frames ${label}`, async (t) => {
    let seen = 0;
    for (const c of loadGolden('image').filter((c) => c.config.kind === 'nv12_preprocess')) {
      const { width, height, matrix, range } = c.config as unknown as YuvConfig;
      const { data, shape } = tensorOf(c, 'nv12');
      const size = data.length / shape[0]!;
      for (const offset of [0, 1, 3]) {
        const all = bytes(data, offset);
        const clip = Array.from(
          { length: shape[0]! },
          (_, i): YuvInput => ({
            data: all.subarray(i * size, (i + 1) * size),
            format: 'nv12',
            width,
            height,
            matrix,
            range,
          }),
        );
        const out = await frames(clip, { ...transformOf(c), rounding: 'float' }, exec);
        assertGolden(t, c, 'out', out, label, { atol: 1e-5 });
        seen++;
      }
    }
    t.true(seen > 0);
  });
}
