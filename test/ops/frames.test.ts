import test from 'ava';
import {
  type ChromaSiting,
  type FrameFilter,
  type FrameInput,
  frameSize,
  frames,
  resize,
  type YuvInput,
  yuvToRgb,
} from '../../lib/ops/index.js';
import { ways } from '../backends.js';
import { type ExpectedError, throwsTyped } from '../errors.js';
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

test('transparent pictures are laid over the background, as Pillow pastes by alpha', async (t) => {
  const data = Uint8Array.of(200, 100, 0, 255, 200, 100, 0, 0, 200, 100, 0, 128, 255, 255, 255, 1);
  const image = { data, width: 4, height: 1, format: 'rgba' } as const;
  t.deepEqual([...(await resize(image, {})).data], [200, 100, 0, 0, 0, 0, 100, 50, 0, 1, 1, 1]);
  const over = await resize({ ...image, background: [10, 20, 255] as const }, {});
  t.deepEqual([...over.data], [200, 100, 0, 10, 20, 255, 105, 60, 127, 11, 21, 255]);
});

test('sizes: the short side rounds down, the crop is taken as it is', (t) => {
  const size = (width: number, height: number, transform: Parameters<typeof frameSize>[1]) => {
    const result = frameSize({ width, height }, transform);
    return [result.width, result.height];
  };
  t.deepEqual(size(1920, 1080, { resize: 224 }), [398, 224]);
  t.deepEqual(size(680, 1000, { resize: 224 }), [224, 329]);
  t.deepEqual(size(680, 1000, { resize: 224, crop: 224 }), [224, 224]);
  t.deepEqual(size(680, 1000, { resize: [224, 100] }), [100, 224]);
  t.deepEqual(size(3, 2, {}), [3, 2]);
  t.deepEqual(size(3, 2, { crop: [5, 1] }), [1, 5]);
});

test('out is written and returned', async (t) => {
  const image = { data: new Uint8Array(12).fill(51), width: 2, height: 2 };
  const transform = { mean: [0.1, 0.1, 0.1], std: [0.1, 0.1, 0.1] } as const;
  const out = new Float32Array(13).subarray(1);
  t.is(await frames([image], transform, { out }), out);
  t.true(out.every((y) => Math.abs(y - 1) < 1e-6));
  const half = new Uint16Array(12);
  t.is(await frames([image], transform, { dtype: 'float16', out: half }), half);
  t.true(half.every((bits) => bits === 0x3c00));
  const bytes = new Uint8Array(12);
  t.is((await resize(image, {}, { out: bytes })).data, bytes);
});

test('bad input: typed errors that name the field', async (t) => {
  const good = { data: new Uint8Array(12), width: 2, height: 2 };
  const yuv = {
    data: new Uint8Array(6),
    width: 2,
    height: 2,
    format: 'nv12',
    matrix: 'bt709',
    range: 'full',
  };
  const norm = { mean: [0, 0, 0], std: [1, 1, 1] };
  const run = (image: object, transform: object = {}, options: object = {}) =>
    frames([good, image as FrameInput], { ...norm, ...transform } as never, options as never);
  const value = 'ERR_INPUT_VALUE';
  const type = 'ERR_INPUT_TYPE';
  const shape = 'ERR_SHAPE';
  const cases: [() => Promise<unknown>, ExpectedError][] = [
    [() => run({ ...good, data: new Uint8Array(11) }), { code: shape, field: 'images[1].data' }],
    [() => run({ ...good, data: new Uint8Array(13) }), { code: shape, field: 'images[1].data' }],
    [() => run({ ...good, data: new Uint8Array(0) }), { code: shape, field: 'images[1].data' }],
    [() => run({ ...good, data: [1, 2] }), { code: type, field: 'images[1]' }],
    [() => run({ ...good, data: new Float32Array(12) }), { code: type, field: 'images[1]' }],
    [
      () => run({ ...good, data: new Uint8Array(new SharedArrayBuffer(12)) }),
      { code: type, field: 'images[1]' },
    ],
    [() => run({ ...good, width: 0 }), { code: value, field: 'images[1].width' }],
    [() => run({ ...good, height: -1 }), { code: value, field: 'images[1].height' }],
    [() => run({ ...good, height: 1.5 }), { code: value, field: 'images[1].height' }],
    [() => run({ ...good, width: Number.NaN }), { code: value, field: 'images[1].width' }],
    [() => run({ ...good, width: 2 ** 31 }), { code: value, field: 'images[1].width' }],
    [() => run({ ...good, width: 2 ** 24 + 1 }), { code: value, field: 'images[1].width' }],
    [() => run({ ...good, width: 2 ** 24, height: 2 ** 24 }), { code: shape, field: 'images[1].data' }],
    [() => run({ ...good, width: '2' }), { code: type, field: 'images[1].width' }],
    [() => run({ ...good, pitch: 5 }), { code: shape, field: 'images[1].pitch' }],
    [() => run({ ...good, format: 'bgr24' }), { code: value, field: 'images[1].format' }],
    [() => run({ ...good, format: 'rgba' }), { code: shape, field: 'images[1].data' }],
    [
      () => run({ data: new Uint8Array(16), width: 2, height: 2, format: 'rgba', background: [0, 0, 256] }),
      { code: value, field: 'images[1].background' },
    ],
    [() => run(null as never), { code: type, field: 'images[1]' }],
    [() => run({ ...yuv, data: new Uint8Array(5) }), { code: shape, field: 'images[1].data' }],
    [() => run({ ...yuv, chromaPitch: 1 }), { code: shape, field: 'images[1].chromaPitch' }],
    [() => run({ ...yuv, matrix: 'bt2020' }), { code: value, field: 'images[1].matrix' }],
    [() => run({ ...yuv, range: undefined }), { code: value, field: 'images[1].range' }],
    [() => run({ ...yuv, chroma: 'cosited' }), { code: value, field: 'images[1].chroma' }],
    [() => run({ data: new Uint8Array(9), width: 1, height: 3 }), { code: shape, field: 'images[1]' }],
    [() => run(good, { filter: 'nearest' }), { code: value, field: 'filter' }],
    [() => run(good, { rounding: 'int8' }), { code: value, field: 'rounding' }],
    [() => run(good, { resize: 0 }), { code: value, field: 'resize' }],
    [() => run(good, { resize: [4, 2.5] }), { code: value, field: 'resize' }],
    [() => run(good, { resize: [4] }), { code: type, field: 'resize' }],
    [() => run(good, { resize: 'small' }), { code: type, field: 'resize' }],
    [() => run(good, { resize: 2 ** 25 }), { code: value, field: 'resize' }],
    [() => run(good, { resize: [2 ** 24, 2 ** 24] }), { code: 'ERR_MEMORY', field: 'out' }],
    [() => run(good, { crop: [3, -1] }), { code: value, field: 'crop' }],
    [() => run(good, { mean: [0, Number.NaN, 0] }), { code: value, field: 'mean' }],
    [() => run(good, { mean: 0 }), { code: type, field: 'mean' }],
    [() => run(good, { std: [1, 0, 1] }), { code: value, field: 'std' }],
    [() => run(good, { std: [1, 1] }), { code: type, field: 'std' }],
    [() => run(good, { scale: Number.POSITIVE_INFINITY }), { code: value, field: 'scale' }],
    [() => run(good, {}, { out: new Float32Array(23) }), { code: shape, field: 'out' }],
    [() => run(good, {}, { dtype: 'float16', out: new Float32Array(24) }), { code: type, field: 'out' }],
    [() => run(good, {}, { dtype: 'float64' }), { code: value, field: 'dtype' }],
    [() => run(good, {}, { backend: 'opencl' as never }), { code: 'ERR_BACKEND', field: 'backend' }],
    [() => frames([], norm as never), { code: 'ERR_INPUT_EMPTY', field: 'images' }],
    [() => frames(good as never, norm as never), { code: type, field: 'images' }],
    [() => yuvToRgb(good as never), { code: value, field: 'frame.format' }],
    [() => resize({ ...good, data: new Uint8Array(3) }, {}), { code: shape, field: 'images[0].data' }],
  ];
  for (const [call, expected] of cases) await throwsTyped(t, call, expected);
  t.throws(() => frameSize({ width: 1, height: 5000 }, { resize: 4096 }), { code: shape });
});

test('an AbortSignal cancels before and during the work', async (t) => {
  const image = { data: new Uint8Array(3 * 2000 * 1500), width: 2000, height: 1500 };
  const transform = { mean: [0, 0, 0], std: [1, 1, 1], resize: 500, filter: 'lanczos' } as const;
  await t.throwsAsync(frames([image], transform, { signal: AbortSignal.abort('no more') }), {
    name: 'AbortError',
    code: 'ERR_CANCELLED',
  });
  const control = new AbortController();
  const clip = Array.from({ length: 8 }, () => image);
  const running = Array.from({ length: 8 }, () => frames(clip, transform, { signal: control.signal }));
  control.abort();
  const outcomes = await Promise.allSettled(running);
  t.true(outcomes.some((o) => o.status === 'rejected' && o.reason.code === 'ERR_CANCELLED'));
});
