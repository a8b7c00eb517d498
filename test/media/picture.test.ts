import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import * as C from 'node-av/constants';
import { MediaDecoder } from '../../lib/media/decoder.js';
import type { VideoFrame } from '../../lib/media/types.js';
import { brightness, counting, every, flat420, level, type VideoPlan, writeMedia } from './zoo.js';

const folder = mkdtempSync(join(tmpdir(), 'cinefuse-test-picture-'));
const decoder = new MediaDecoder();
test.after.always(async () => {
  await decoder.dispose();
  rmSync(folder, { recursive: true, force: true });
});

const file = (name: string) => join(folder, name);
const field = 'trailer';
const everything = { field, sampling: { kind: 'uniform' as const, count: 4096 } };

/** Quadrants by brightness: top left 200, top right 150, bottom left 100, bottom right 50. */
function quadrants(width: number, height: number): Buffer {
  const planes = flat420(width, height, 0);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++)
      planes[y * width + x] = 200 - (y < height / 2 ? 0 : 100) - (x < width / 2 ? 0 : 50);
  }
  return planes;
}

function cornerLevels({ data, format, width, height }: VideoFrame): number[] {
  const at = (x: number, y: number) => {
    const value = data[(format === 'rgb24' ? 3 : 1) * (y * width + x)]!;
    return format === 'rgb24' ? Math.round(16 + (value * 219) / 255) : value;
  };
  const [right, bottom] = [width - 2, height - 2];
  return [at(1, 1), at(right, 1), at(1, bottom), at(right, bottom)];
}

const TURNS: [0 | 90 | 180 | 270, boolean, number[]][] = [
  [0, false, [200, 150, 100, 50]],
  [90, false, [100, 200, 50, 150]],
  [180, false, [50, 100, 150, 200]],
  [270, false, [150, 50, 200, 100]],
  [0, true, [150, 200, 50, 100]],
  [90, true, [50, 150, 100, 200]],
  [270, true, [200, 100, 150, 50]],
];

for (const [rotation, mirrored, expected] of TURNS) {
  test(`turned by ${rotation}${mirrored ? ' and mirrored' : ''}, of even and odd size`, async (t) => {
    for (const [width, height] of [
      [64, 48],
      [33, 19],
    ] as const) {
      const path = file(`turned ${rotation} ${mirrored} ${width}.mov`);
      const paint = () => quadrants(width, height);
      writeMedia(path, 'mov', {
        video: { ...counting('ffv1', { width, height, rotation, mirrored, paint }) },
      });
      const video = await decoder.video({ path }, { field, sampling: { kind: 'uniform', count: 2 } });
      const upright = rotation % 180 === 0 ? [width, height] : [height, width];
      t.deepEqual([video.width, video.height], upright);
      for (const frame of video.frames) {
        t.deepEqual([frame.width, frame.height], upright);
        for (const [i, value] of cornerLevels(frame).entries()) {
          t.true(Math.abs(value - expected[i]!) <= 1, `${width}: ${cornerLevels(frame)} for ${expected}`);
        }
      }
      const info = await decoder.probe({ path }, { field });
      t.deepEqual([info.video!.width, info.video!.height], upright);
    }
  });
}

test('odd sizes are packed without padding', async (t) => {
  for (const [width, height] of [
    [33, 19],
    [1, 1],
    [17, 2],
  ] as const) {
    const path = file(`odd ${width}`);
    writeMedia(path, 'matroska', { video: counting('ffv1', { width, height, timesMs: every(3, 40) }) });
    const { frames } = await decoder.video({ path }, everything);
    t.is(frames.length, 3);
    t.true(flat420(width, height, level(2)).equals(frames[2]!.data));
  }
});

test('10-bit, 4:2:2, 4:4:4, NV12-like, gray and RGB pixels become 8-bit i420 or rgb24', async (t) => {
  const [width, height] = [32, 16];
  const wide = (values: number[]) => {
    const samples = Uint16Array.from(values);
    return Buffer.from(samples.buffer, 0, samples.byteLength);
  };
  const flat10 = () =>
    wide([
      ...new Array(width * height).fill(4 * 120 + 1),
      ...new Array((width * height) / 4).fill(4 * 90),
      ...new Array((width * height) / 4).fill(4 * 160),
    ]);
  const plane = (share: number, value: number) => Buffer.alloc((width * height) / share, value);
  const cases: [string, () => Buffer, VideoFrame['format'], number[]][] = [
    ['yuv420p10le', flat10, 'i420', [120, 90, 160]],
    ['yuv422p', () => Buffer.concat([plane(1, 120), plane(2, 90), plane(2, 160)]), 'i420', [120, 90, 160]],
    ['yuv444p', () => Buffer.concat([plane(1, 120), plane(1, 90), plane(1, 160)]), 'i420', [120, 90, 160]],
    ['gray', () => plane(1, 99), 'rgb24', [99, 99, 99]],
    ['bgr0', () => Buffer.alloc(4 * width * height, Buffer.from([30, 60, 200, 0])), 'rgb24', [200, 60, 30]],
  ];
  for (const [pixelFormat, paint, format, expected] of cases) {
    const path = file(`pixels ${pixelFormat}`);
    writeMedia(path, 'matroska', { video: counting('ffv1', { width, height, pixelFormat, paint }) });
    const { frames } = await decoder.video({ path }, { field, sampling: { kind: 'uniform', count: 2 } });
    const { data, format: given } = frames[1]!;
    t.is(given, format, pixelFormat);
    const luma = width * height;
    const seen =
      format === 'rgb24'
        ? [data[0]!, data[1]!, data[2]!]
        : [data[5]!, data[luma + 3]!, data[luma * 1.25 + 3]!];
    t.true(
      seen.every((value, i) => Math.abs(value - expected[i]!) <= 1),
      `${pixelFormat}: ${seen}`,
    );
  }
});

test("matrix and range are the file's, or by custom where it says nothing", async (t) => {
  const cases: [Partial<VideoPlan>, VideoFrame['matrix'], VideoFrame['range']][] = [
    [{ width: 32, height: 16 }, 'bt601', 'limited'],
    [{ width: 1280, height: 720, timesMs: every(2, 40) }, 'bt709', 'limited'],
    [
      { width: 32, height: 16, colorSpace: C.AVCOL_SPC_BT709, colorRange: C.AVCOL_RANGE_MPEG },
      'bt709',
      'limited',
    ],
    [
      { width: 32, height: 16, colorSpace: C.AVCOL_SPC_SMPTE170M, colorRange: C.AVCOL_RANGE_JPEG },
      'bt601',
      'full',
    ],
  ];
  for (const [i, [plan, matrix, range]] of cases.entries()) {
    const path = file(`colours ${i}.mp4`);
    writeMedia(path, 'mp4', { video: counting('libx264', plan) });
    const { frames } = await decoder.video({ path }, { field, sampling: { kind: 'uniform', count: 1 } });
    t.deepEqual([frames[0]!.matrix, frames[0]!.range], [matrix, range], String(i));
  }
});

test('HDR (PQ, BT.2020, 10-bit) is toned down to 8-bit BT.709', async (t) => {
  const [width, height] = [64, 32];
  // PQ codes of about 0.1, 10, 100 and 1000 cd/m², 10-bit limited
  const codes = [119, 327, 509, 722];
  const paint = (i: number) => {
    const samples = new Uint16Array(width * height * 1.5).fill(512);
    samples.fill(codes[i]!, 0, width * height);
    return Buffer.from(samples.buffer);
  };
  const path = file('hdr.mkv');
  writeMedia(path, 'matroska', {
    video: counting('ffv1', {
      width,
      height,
      timesMs: every(4, 40),
      paint,
      pixelFormat: 'yuv420p10le',
      colorSpace: C.AVCOL_SPC_BT2020_NCL,
      colorRange: C.AVCOL_RANGE_MPEG,
      colorTransfer: C.AVCOL_TRC_SMPTE2084,
      colorPrimaries: C.AVCOL_PRI_BT2020,
    }),
  });
  const { frames } = await decoder.video({ path }, everything);
  t.is(frames.length, 4);
  t.deepEqual(
    [...new Set(frames.map(({ matrix, range, format }) => `${matrix} ${range} ${format}`))],
    ['bt709 limited i420'],
  );
  const levels = frames.map(brightness);
  t.true(
    levels.every((value, i) => i === 0 || value > levels[i - 1]! + 10),
    levels.join(),
  );
  // 100 cd/m², the white of an ordinary screen, must be bright: without toning down it would stay at 509 / 4
  t.true(levels[2]! > 140 && levels[3]! <= 236, levels.join());
  for (const { data } of frames) t.true(Math.abs(data[width * height]! - 128) <= 2, 'gray stays gray');
});

test('BT.2020 without HDR is rewritten as BT.709', async (t) => {
  const path = file('wide.mkv');
  writeMedia(path, 'matroska', {
    video: counting('ffv1', {
      timesMs: every(2, 40),
      paint: () => flat420(64, 64, 120, 90, 180),
      colorSpace: C.AVCOL_SPC_BT2020_NCL,
      colorRange: C.AVCOL_RANGE_MPEG,
    }),
  });
  const { frames } = await decoder.video({ path }, everything);
  t.is(frames[0]!.matrix, 'bt709');
  // R'G'B' by BT.2020 (Kr 0.2627, Kb 0.0593), then Y'CbCr by BT.709 (Kr 0.2126, Kb 0.0722)
  const [y, cb, cr] = [(120 - 16) / 219, (90 - 128) / 224, (180 - 128) / 224];
  const [r, b] = [y + 2 * (1 - 0.2627) * cr, y + 2 * (1 - 0.0593) * cb];
  const g = (y - 0.2627 * r - 0.0593 * b) / (1 - 0.2627 - 0.0593);
  const y709 = 0.2126 * r + 0.7152 * g + 0.0722 * b;
  const expected = [16 + 219 * y709, 128 + (224 * (b - y709)) / 1.8556, 128 + (224 * (r - y709)) / 1.5748];
  const { data } = frames[0]!;
  const seen = [data[0]!, data[64 * 64]!, data[64 * 64 * 1.25]!];
  t.true(
    seen.every((value, i) => Math.abs(value - expected[i]!) <= 2),
    `${seen} for ${expected}`,
  );
});

test('maxSide scales down only, keeping the shape', async (t) => {
  const path = file('scaled.mov');
  writeMedia(path, 'mov', {
    video: counting('ffv1', { width: 120, height: 60, rotation: 90, paint: () => quadrants(120, 60) }),
  });
  const small = await decoder.video(
    { path },
    { field, sampling: { kind: 'uniform', count: 2 }, maxSide: 40 },
  );
  t.deepEqual([small.width, small.height], [20, 40]);
  t.is(small.frames[0]!.data.length, 20 * 40 * 1.5);
  t.true(cornerLevels(small.frames[0]!).every((value, i) => Math.abs(value - [100, 200, 50, 150][i]!) <= 2));
  const same = await decoder.video(
    { path },
    { field, sampling: { kind: 'uniform', count: 2 }, maxSide: 4000 },
  );
  t.deepEqual([same.width, same.height], [60, 120]);
});
