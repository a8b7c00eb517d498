/**
 * Video pictures as films have them: most colours lie within the cube, some do not, and those are clamped before the
 * resize. The CPU may resize luma and chroma each for itself then, and must come out as if it had not.
 */
import test from 'ava';
import { frames, type YuvInput } from '../../lib/ops/index.js';
import { random, ways } from '../backends.js';
import { fromHalf, resizeOracle, yuvOracle } from './frames-oracle.js';

const NORM = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] } as const;

interface Video {
  input: YuvInput;
  planes: { y: Uint8Array; u: Uint8Array; v: Uint8Array; width: number; height: number };
}

/** Mild colours and grey; about `share` of the picture, in spots, far beyond what RGB can show. */
function video(
  width: number,
  height: number,
  share: number,
  seed: number,
  shape: Pick<YuvInput, 'format' | 'matrix' | 'range'>,
): Video {
  const next = random(seed);
  const [halfWidth, halfHeight] = [Math.ceil(width / 2), Math.ceil(height / 2)];
  const y = Uint8Array.from({ length: width * height }, () => 90 + 60 * next());
  const u = Uint8Array.from({ length: halfWidth * halfHeight }, () => 128 + 16 * (next() - 0.5));
  const v = u.map((level) => 256 - level);
  for (let spots = Math.ceil((share * width * height) / 24); share > 0 && spots > 0; spots--) {
    const [left, top] = [Math.floor(next() * width), Math.floor(next() * height)];
    const level = next() < 0.5 ? 0 : 255;
    for (let i = top; i < Math.min(height, top + 4); i++) {
      for (let j = left; j < Math.min(width, left + 6); j++) {
        y[i * width + j] = level;
        if (level === 0) u[(i >> 1) * halfWidth + (j >> 1)] = 255 * (spots & 1);
      }
    }
  }
  const pitch = width + (seed % 3);
  const luma = new Uint8Array(pitch * height).fill(9);
  for (let i = 0; i < height; i++) luma.set(y.subarray(i * width, (i + 1) * width), i * pitch);
  const planes = shape.format === 'nv12' ? [luma, interleave(u, v)] : [luma, u, v];
  const size = planes.reduce((sum, plane) => sum + plane.length, 0);
  const data = new Uint8Array(size + 1).subarray(1);
  let at = 0;
  for (const plane of planes) {
    data.set(plane, at);
    at += plane.length;
  }
  const chromaPitch = shape.format === 'nv12' ? 2 * halfWidth : halfWidth;
  return { input: { ...shape, data, width, height, pitch, chromaPitch }, planes: { y, u, v, width, height } };
}

function interleave(u: Uint8Array, v: Uint8Array): Uint8Array {
  return Uint8Array.from({ length: 2 * u.length }, (_, i) => (i % 2 ? v : u)[i >> 1]!);
}

const SIZES = [
  [300, 170, 40, 31],
  [131, 77, 33, 20],
  [2060, 26, 70, 9], // more columns than one word of flags has bits for
  [97, 64, 97, 16], // one pass leaves its side as it is
  [64, 200, 17, 180],
] as const;

test('within 1e-5 of the plain twin, however much is clamped; the same on any number of threads', async (t) => {
  for (const [number, [width, height, w, h]] of SIZES.entries()) {
    for (const share of [0, 0.01, 0.1, 0.6]) {
      const shape = {
        format: number % 2 ? 'i420' : 'nv12',
        matrix: share < 0.05 ? 'bt601' : 'bt709',
        range: share > 0 && share < 0.2 ? 'limited' : 'full',
      } as const;
      const { input, planes } = video(width, height, share, 10 * number + 1, shape);
      const rgb = yuvOracle(planes, shape.matrix, shape.range, 'nearest');
      const expected = resizeOracle(rgb, w, h, 'bilinear', false).rgb;
      const area = w * h;
      const results = new Map<string, Float32Array>();
      for (const { label, exec } of ways()) {
        const what = `${width} x ${height} to ${w} x ${h}, ${share} clamped, ${shape.format} ${label}`;
        const transform = { ...NORM, resize: [h, w], rounding: 'float' } as const;
        const out = await frames([input], transform, exec);
        let worst = 0;
        for (let i = 0; i < out.length; i++) {
          const c = Math.floor(i / area);
          const level = expected[3 * (i % area) + c]! / 255;
          worst = Math.max(worst, Math.abs(out[i]! - (level - NORM.mean[c]!) / NORM.std[c]!));
        }
        t.true(worst < 1e-5, `${what}: off by ${worst}`);
        const key = `${exec.backend} ${exec.isa}`;
        t.deepEqual(
          out,
          results.get(key) ?? out,
          `${what}: another result than with another number of threads`,
        );
        results.set(key, out);
        const half = await frames([input], transform, { ...exec, dtype: 'float16' });
        t.true(
          half.every(
            (bits, i) =>
              Math.abs(fromHalf(bits) - out[i]!) <= 2 ** -11 * Math.max(2 ** -14, Math.abs(out[i]!)) * 1.001,
          ),
          `${what}: float16`,
        );
      }
    }
  }
});
