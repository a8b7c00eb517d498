/** The frames operator against its plain twin, on random pictures, shapes and layouts; and what must hold of any. */
import test from 'ava';
import {
  type FrameFilter,
  type FrameInput,
  type FrameTransform,
  frameSize,
  frames,
  type ResizeTransform,
  resize,
  type YuvInput,
  yuvToRgb,
} from '../../lib/ops/index.js';
import { random, ways } from '../backends.js';
import { cropOracle, fromHalf, type Picture, resizedSize, resizeOracle, yuvOracle } from './frames-oracle.js';

type Triple = [number, number, number];
const FILTERS: FrameFilter[] = ['bilinear', 'bicubic', 'lanczos', 'box', 'bilinear-noaa'];
const NORM = { mean: [0.485, 0.456, 0.406] as Triple, std: [0.229, 0.224, 0.225] as Triple };

type Random = () => number;
const below = (next: Random, n: number) => Math.floor(next() * n);
const pick = <T>(next: Random, list: readonly T[]): T => list[below(next, list.length)]!;
/** Mostly extremes and runs, so that clamping and overshoot occur. */
function levels(next: Random, n: number): Uint8Array {
  let level = 0;
  return Uint8Array.from({ length: n }, () => {
    if (next() < 0.4) level = next() < 0.5 ? pick(next, [0, 255, 16, 235]) : below(next, 256);
    return level;
  });
}

interface Plane {
  bytes: Uint8Array;
  row: number;
  pitch: number;
}
/** Planes laid one after the other, each row followed by padding of random bytes, at an odd offset in the buffer. */
function lay(next: Random, planes: Plane[], lastRowPadded: boolean, offset: number): Uint8Array {
  const rowsOf = ({ bytes, row }: Plane) => bytes.length / row;
  const size = planes.reduce((sum, plane) => sum + plane.pitch * rowsOf(plane), 0);
  const last = planes.at(-1)!;
  const length = lastRowPadded ? size : size - last.pitch + last.row;
  const out = new Uint8Array(length + offset).subarray(offset);
  for (let i = 0; i < length; i++) out[i] = below(next, 256);
  let at = 0;
  for (const plane of planes)
    for (let r = 0; r < rowsOf(plane); r++, at += plane.pitch)
      out.set(plane.bytes.subarray(r * plane.row, (r + 1) * plane.row), at);
  return out;
}

interface Sample {
  input: FrameInput;
  /** The picture as RGB before any rounding. */
  exact: Picture;
}

function sample(next: Random, width: number, height: number, seedOfPadding = next()): Sample {
  const format = pick(next, ['rgb24', 'rgba', 'gray', 'nv12', 'i420'] as const);
  const extra = pick(next, [0, 0, 1, 7]);
  const offset = below(next, 4);
  const lastRowPadded = next() < 0.5;
  const padding = random(Math.floor(seedOfPadding * 2 ** 32));
  const area = width * height;
  if (format === 'rgb24' || format === 'rgba' || format === 'gray') {
    const channels = { rgb24: 3, rgba: 4, gray: 1 }[format];
    const bytes = levels(next, area * channels);
    const background: Triple = [below(next, 256), below(next, 256), below(next, 256)];
    const rgb = new Float64Array(area * 3);
    for (let i = 0; i < area; i++) {
      for (let c = 0; c < 3; c++) {
        const alpha = format === 'rgba' ? bytes[4 * i + 3]! : 255;
        const level = bytes[i * channels + (format === 'gray' ? 0 : c)]!;
        rgb[3 * i + c] = Math.floor((level * alpha + background[c]! * (255 - alpha)) / 255 + 0.5);
      }
    }
    const row = width * channels;
    const pitch = row + extra;
    const data = lay(padding, [{ bytes, row, pitch }], lastRowPadded, offset);
    const common = { data, width, height, ...(extra ? { pitch } : {}) };
    const input: FrameInput =
      format === 'rgba' ? { ...common, format, background } : ({ ...common, format } as FrameInput);
    return { input, exact: { rgb, width, height } };
  }
  const half = Math.ceil(width / 2);
  const chromaArea = half * Math.ceil(height / 2);
  const y = levels(next, area);
  const u = levels(next, chromaArea);
  const v = levels(next, chromaArea);
  const matrix = pick(next, ['bt601', 'bt709'] as const);
  const range = pick(next, ['limited', 'full'] as const);
  const chroma = pick(next, ['nearest', 'bilinear-left', 'bilinear-center'] as const);
  const pitch = width + extra;
  const chromaRow = format === 'nv12' ? 2 * half : half;
  const chromaPitch = chromaRow + pick(next, [0, 3]);
  const planes: Plane[] = [{ bytes: y, row: width, pitch }];
  if (format === 'nv12') {
    const uv = Uint8Array.from({ length: 2 * chromaArea }, (_, i) => (i % 2 ? v : u)[i >> 1]!);
    planes.push({ bytes: uv, row: chromaRow, pitch: chromaPitch });
  } else for (const bytes of [u, v]) planes.push({ bytes, row: chromaRow, pitch: chromaPitch });
  const data = lay(padding, planes, lastRowPadded, offset);
  return {
    input: { data, width, height, format, matrix, range, chroma, pitch, chromaPitch },
    exact: yuvOracle({ y, u, v, width, height }, matrix, range, chroma),
  };
}

function transformFor(
  next: Random,
  width: number,
  height: number,
): ResizeTransform & { filter: FrameFilter } {
  const side = () => 1 + below(next, next() < 0.2 ? 90 : 40);
  const kind = below(next, 4);
  const slim = Math.max(width, height) > 20 * Math.min(width, height);
  const result =
    kind === 0
      ? undefined
      : kind === 1 && !slim
        ? side()
        : kind === 2
          ? ([height, side()] as const) // one pass only
          : ([side(), side()] as const);
  const crop = next() < 0.5 ? undefined : next() < 0.3 ? side() : ([side(), side()] as const);
  return { resize: result, crop, filter: pick(next, FILTERS) };
}

function expected(exact: Picture, t: ReturnType<typeof transformFor>, pillow: boolean): Picture {
  const [width, height] = resizedSize(exact, t.resize);
  const resized = resizeOracle(exact, width, height, t.filter, pillow);
  if (t.crop === undefined) return resized;
  return cropOracle(resized, typeof t.crop === 'number' ? [t.crop, t.crop] : t.crop);
}

/** Byte for byte; deepEqual would take its time over each element. */
const same = (a: ArrayBufferView, b: ArrayBufferView) =>
  Buffer.from(a.buffer, a.byteOffset, a.byteLength).equals(Buffer.from(b.buffer, b.byteOffset, b.byteLength));
const isYuv = (input: FrameInput): input is YuvInput => input.format === 'nv12' || input.format === 'i420';

for (const { label, exec } of ways()) {
  test(`random pictures equal the plain twin ${label}`, async (t) => {
    const next = random(2024);
    for (let round = 0; round < 150; round++) {
      const [width, height] = [1 + below(next, 70), 1 + below(next, 50)];
      const { input, exact } = sample(next, width, height);
      const transform = transformFor(next, width, height);
      const what = `round ${round}: ${JSON.stringify({ ...input, data: input.data.length, ...transform })} ${label}`;

      const out = await frames([input], { ...NORM, ...transform, rounding: 'float' }, exec);
      const float = expected(exact, transform, false);
      const area = float.width * float.height;
      t.is(out.length, 3 * area, what);
      let worst = 0;
      out.forEach((y, i) => {
        const c = Math.floor(i / area);
        const ref = (float.rgb[(i % area) * 3 + c]! / 255 - NORM.mean[c]!) / NORM.std[c]!;
        worst = Math.max(worst, Math.abs(y - ref));
      });
      t.true(worst < 1e-5, `${what}: float off by ${worst}`);

      let source = exact;
      if (isYuv(input)) {
        const { data } = await yuvToRgb(input, exec);
        const off = data.reduce((m, level, i) => Math.max(m, Math.abs(level - exact.rgb[i]!)), 0);
        t.true(off <= 0.51, `${what}: RGB off by ${off}`);
        source = { ...exact, rgb: Float64Array.from(data) };
      }
      const picture = await resize(input, transform, exec);
      const bytes = expected(source, transform, true);
      t.deepEqual([picture.width, picture.height], [bytes.width, bytes.height], what);
      t.deepEqual(frameSize(input, transform), { width: bytes.width, height: bytes.height });
      t.true(same(picture.data, Uint8Array.from(bytes.rgb)), `${what}: not Pillow's bytes`);
    }
  });

  test(`extreme shapes equal the plain twin ${label}`, async (t) => {
    const next = random(7);
    const shapes: [number, number, ResizeTransform][] = [
      [1, 1, {}],
      [1, 1, { resize: [3, 5], crop: 9 }],
      [1, 5000, { resize: [7, 3] }],
      [5000, 1, { resize: [3, 7] }],
      [5000, 1, { resize: 2, crop: [3, 40] }],
      [2, 900, { resize: [900, 1] }],
      [3, 2, { resize: [200, 300] }],
      [700, 5, { resize: [64, 700], crop: [1, 1] }],
      [257, 255, { resize: [1, 1] }],
      [40, 30, { crop: [200, 3] }],
      [2601, 9, { resize: [4, 300] }], // several strips of columns
      [903, 41, { resize: [7, 60], crop: [6, 51] }],
    ];
    for (const [width, height, shape] of shapes) {
      for (const filter of FILTERS) {
        const { input, exact } = sample(next, width, height);
        const transform = { ...shape, filter };
        const what = `${width} x ${height} ${JSON.stringify(transform)} ${input.format} ${label}`;
        const out = await frames(
          [input],
          { mean: [0, 0, 0], std: [1, 1, 1], ...transform, rounding: 'float' },
          exec,
        );
        const float = expected(exact, transform as never, false);
        const area = float.width * float.height;
        const worst = out.reduce(
          (m, y, i) => Math.max(m, Math.abs(y - float.rgb[(i % area) * 3 + Math.floor(i / area)]! / 255)),
          0,
        );
        t.true(worst < 2e-6, `${what}: off by ${worst}`);
        if (isYuv(input)) continue;
        const picture = await resize(input, transform, exec);
        t.true(same(picture.data, Uint8Array.from(expected(exact, transform as never, true).rgb)), what);
      }
    }
  });

  test(`a batch gives what its pictures give alone, whatever the padding holds ${label}`, async (t) => {
    const next = random(99);
    const sizes = Array.from({ length: 9 }, () => [1 + below(next, 300), 1 + below(next, 200)] as const);
    const make = (padding: number) => {
      const again = random(5);
      return sizes.map(([w, h]) => sample(again, w, h, padding).input);
    };
    for (const rounding of ['uint8', 'float'] as const) {
      const transform: FrameTransform = {
        ...NORM,
        resize: [48, 40],
        crop: [50, 32],
        filter: 'bicubic',
        rounding,
      };
      const batch = await frames(make(0.1), transform, exec);
      t.true(same(await frames(make(0.7), transform, exec), batch), 'the padding shows');
      const size = 3 * 50 * 32;
      for (const [i, image] of make(0.3).entries()) {
        t.true(
          same(await frames([image], transform, exec), batch.subarray(i * size, (i + 1) * size)),
          `picture ${i}`,
        );
      }
    }
  });

  test(`a picture of the wanted size is copied, a constant one stays constant ${label}`, async (t) => {
    const next = random(3);
    for (const filter of FILTERS) {
      const data = levels(next, 61 * 43 * 3);
      const image = { data, width: 61, height: 43 };
      t.true(same((await resize(image, { resize: [43, 61], filter }, exec)).data, data));
      for (const level of [0, 1, 128, 254, 255]) {
        const flat = { data: new Uint8Array(97 * 31 * 3).fill(level), width: 97, height: 31 };
        for (const size of [
          [5, 7],
          [80, 200],
          [31, 13],
        ] as const) {
          const { data: out } = await resize(flat, { resize: size, filter }, exec);
          t.true(
            out.every((v) => v === level),
            `${filter} ${level} ${size} ${label}`,
          );
          const scaled = { scale: 1, mean: [0, 0, 0] as Triple, std: [1, 1, 1] as Triple };
          const y = await frames([flat], { ...scaled, resize: size, filter, rounding: 'float' }, exec);
          t.true(
            y.every((v) => Math.abs(v - level) <= 3e-5 * level),
            `float ${filter} ${level} ${size} ${label}`,
          );
        }
      }
    }
  });

  test(`float16 is float32 rounded to nearest even, from subnormals to infinity ${label}`, async (t) => {
    const next = random(12);
    for (const rounding of ['uint8', 'float'] as const) {
      for (const scale of [1 / 255, 1e-9, 3e-7, 300]) {
        const { input } = sample(next, 90, 60);
        const transform: FrameTransform = {
          resize: [21, 37],
          crop: [23, 35],
          rounding,
          scale,
          mean: [0.5 * scale, 0, -scale],
          std: [0.25, 1, 1],
        };
        const singles = await frames([input], transform, exec);
        const halves = await frames([input], transform, { ...exec, dtype: 'float16' });
        t.is(halves.length, singles.length);
        const bad = singles.findIndex((x, i) => {
          const bits = halves[i]!;
          const got = fromHalf(bits);
          if (Math.abs(x) >= 65520) return got !== Math.sign(x) * Number.POSITIVE_INFINITY;
          const error = Math.abs(got - x);
          return [bits - 1, bits + 1].some((other) => {
            if ((other & 0x7fff) >= 0x7c00 || (other ^ bits) & 0x8000) return false;
            const theirs = Math.abs(fromHalf(other) - x);
            return theirs < error || (theirs === error && bits % 2 === 1);
          });
        });
        t.is(bad, -1, `scale ${scale}: ${singles[bad]} became ${fromHalf(halves[bad] ?? 0)} ${label}`);
      }
    }
  });
}
