import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import * as C from 'node-av/constants';
import sharp from 'sharp';
import { MediaError } from '../../lib/errors.js';
import { MediaDecoder } from '../../lib/media/decoder.js';
import type { VideoFrame } from '../../lib/media/types.js';
import { throwsTyped } from '../errors.js';
import { flat420, sine, type VideoPlan, writeMedia } from './zoo.js';

const folder = mkdtempSync(join(tmpdir(), 'cinefuse-test-video-'));
const decoder = new MediaDecoder();
test.after.always(async () => {
  await decoder.dispose();
  rmSync(folder, { recursive: true, force: true });
});

const file = (name: string) => join(folder, name);
const field = 'trailer';
const everything = { field, sampling: { kind: 'uniform' as const, count: 4096 } };
const every = (count: number, stepMs: number) => Array.from({ length: count }, (_, i) => i * stepMs);

/** Brightness that says which picture it is. */
const level = (i: number) => 20 + 3 * i;

function counting(encoder: string, plan: Partial<VideoPlan> = {}): VideoPlan {
  const { width = 64, height = 64 } = plan;
  return {
    width,
    height,
    encoder,
    timesMs: every(60, 40),
    paint: (i) => flat420(width, height, level(i)),
    ...plan,
  };
}

/** Mean of the Y plane (or of all samples of RGB). */
function brightness({ data, format, width, height }: VideoFrame): number {
  const count = format === 'rgb24' ? 3 * width * height : width * height;
  let sum = 0;
  for (let i = 0; i < count; i++) sum += data[i]!;
  return sum / count;
}

const x264 = (parameters: string) => ({ encoderOptions: { 'x264-params': `${parameters}:crf=8` } });

/** Short enough to read in a failure: time, place and content. */
function digest(frames: VideoFrame[]): string[] {
  return frames.map(
    ({ data, ...facts }) => `${createHash('md5').update(data).digest('hex')} ${JSON.stringify(facts)}`,
  );
}

const containers: [string, string, VideoPlan][] = [
  ['mp4', 'mp4', counting('libx264', { encoderOptions: { preset: 'veryfast', crf: '10' }, bFrames: 3 })],
  [
    'mp4 one key picture',
    'mp4',
    counting('libx264', { encoderOptions: { crf: '10' }, gop: 600, bFrames: 2 }),
  ],
  ['mp4 intra refresh', 'mp4', counting('libx264', x264('intra-refresh=1:keyint=25:bframes=0'))],
  ['mp4 open groups', 'mp4', counting('libx264', { ...x264('open-gop=1:bframes=3:keyint=12'), bFrames: 3 })],
  ['mp4 moov first', 'mp4', counting('libx264', { muxerOptions: { movflags: 'faststart' } })],
  ['mp4 fragmented', 'mp4', counting('libx264', { muxerOptions: { movflags: 'frag_keyframe+empty_moov' } })],
  ['mov mpeg4', 'mov', counting('mpeg4', { encoderOptions: { qmin: '1', qmax: '2' } })],
  [
    'mp4 hevc',
    'mp4',
    counting('libx265', { encoderOptions: { 'x265-params': 'log-level=none:crf=8' }, bFrames: 3 }),
  ],
  ['mp4 av1', 'mp4', counting('libsvtav1', { encoderOptions: { preset: '12', crf: '10' } })],
  ['webm vp8', 'webm', counting('libvpx', { encoderOptions: { crf: '4', b: '2000000' } })],
  ['webm vp9', 'webm', counting('libvpx-vp9', { encoderOptions: { crf: '4', 'cpu-used': '8' } })],
  ['mkv ffv1', 'matroska', counting('ffv1')],
];

for (const [name, container, plan] of containers) {
  test(`${name}: every picture, its number and its time`, async (t) => {
    const path = file(`${name}.bin`);
    writeMedia(path, container, { video: plan });
    const { frames, width, height, durationMs, frameRate } = await decoder.video({ path }, everything);
    t.is(frames.length, 60);
    t.deepEqual([width, height], [64, 64]);
    t.deepEqual(
      frames.map((frame) => frame.timestampMs),
      plan.timesMs,
    );
    for (const [i, frame] of frames.entries()) {
      t.is(frame.format, 'i420');
      t.is(frame.data.length, 64 * 64 * 1.5);
      t.true(Math.abs(brightness(frame) - level(i)) < 1.5, `picture ${i}: ${brightness(frame)}`);
    }
    t.true(Math.abs(durationMs - 2400) < 1, String(durationMs));
    t.true(Math.abs(frameRate - 25) < 0.01, String(frameRate));
  });

  test(`${name}: uniform, fps and key-picture sampling take the same pictures as decoding everything`, async (t) => {
    const path = file(`${name} sampling.bin`);
    writeMedia(path, container, { video: plan });
    const all = (await decoder.video({ path }, everything)).frames;
    const at = (ms: number) => all.filter((frame) => frame.timestampMs <= ms).at(-1)!;
    for (const count of [1, 2, 3, 7, 24, 59]) {
      const { frames } = await decoder.video({ path }, { field, sampling: { kind: 'uniform', count } });
      const expected = Array.from({ length: count }, (_, i) => at(((i + 0.5) * 2400) / count));
      t.deepEqual(digest(frames), digest(expected), `uniform ${count}`);
    }
    const fps = await decoder.video({ path }, { field, sampling: { kind: 'fps', fps: 5, maxCount: 100 } });
    t.deepEqual(digest(fps.frames), digest(every(12, 200).map(at)));
    const capped = await decoder.video({ path }, { field, sampling: { kind: 'fps', fps: 5, maxCount: 4 } });
    t.deepEqual(digest(capped.frames), digest(every(4, 600).map(at)));
    const keys = await decoder.video({ path }, { field, sampling: { kind: 'keyframes', maxCount: 100 } });
    t.true(keys.frames.length >= 1 && keys.frames[0]!.timestampMs === 0);
    t.deepEqual(digest(keys.frames), digest(keys.frames.map((frame) => at(frame.timestampMs))));
    if (name === 'mkv ffv1')
      t.deepEqual(
        keys.frames.map((f) => f.timestampMs),
        every(5, 480),
      );
    const two = await decoder.video({ path }, { field, sampling: { kind: 'keyframes', maxCount: 2 } });
    t.true(two.frames.length === Math.min(2, keys.frames.length));
  });
}

test('variable frame rate: pictures by their own times, not by their number', async (t) => {
  const timesMs = [0, 20, 40, 60, 80, 100, 1000, 2000, 2040, 4000];
  for (const [container, encoder] of [
    ['mp4', 'libx264'],
    ['matroska', 'ffv1'],
  ] as const) {
    const path = file(`variable ${container}`);
    writeMedia(path, container, { video: counting(encoder, { timesMs }) });
    const all = await decoder.video({ path }, everything);
    t.deepEqual(
      all.frames.map((frame) => frame.timestampMs),
      timesMs,
    );
    const { frames } = await decoder.video(
      { path },
      { field, sampling: { kind: 'fps', fps: 2, maxCount: 99 } },
    );
    // 0, 0.5, 1 ... s: on screen are the pictures of 0, 100, 1000, 2000, 2040 and (at 4.0 s and later) 4000 ms
    t.deepEqual(
      [...new Set(frames.map((frame) => frame.timestampMs))].slice(0, 5),
      [0, 100, 1000, 2000, 2040],
    );
    t.is(frames.at(-1)!.timestampMs, 4000);
  }
});

test('a file of one picture gives it once, however many are asked for', async (t) => {
  for (const [container, encoder, lastless] of [
    ['mp4', 'libx264', false],
    ['mp4', 'libx264', true],
    ['webm', 'libvpx', false],
    ['mov', 'ffv1', true],
  ] as const) {
    const path = file(`single ${container} ${lastless}`);
    writeMedia(path, container, { video: counting(encoder, { timesMs: [0], lastless }) });
    for (const sampling of [
      { kind: 'uniform', count: 8 },
      { kind: 'fps', fps: 30, maxCount: 8 },
      { kind: 'keyframes', maxCount: 8 },
    ] as const) {
      const { frames } = await decoder.video({ path }, { field, sampling });
      t.is(frames.length, 1, `${container} ${lastless} ${sampling.kind}`);
      t.is(frames[0]!.timestampMs, 0);
      t.true(Math.abs(brightness(frames[0]!) - level(0)) < 2);
    }
  }
});

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

test('a clip that starts late, and its sound, are on one clock', async (t) => {
  const path = file('late.mkv');
  writeMedia(path, 'matroska', {
    video: counting('ffv1', { timesMs: every(10, 40).map((time) => time + 500) }),
    audio: {
      encoder: 'pcm_s16le',
      sampleRate: 8000,
      channels: [sine(440, 8000, 8000)],
      sampleFormat: C.AV_SAMPLE_FMT_S16,
    },
  });
  const { frames } = await decoder.video({ path }, everything);
  t.is(frames[0]!.timestampMs, 500);
  t.is((await decoder.audio({ path }, { field, sampleRate: 8000 })).startMs, 0);
});

const png = () =>
  sharp({ create: { width: 8, height: 8, channels: 3, background: '#345' } })
    .png()
    .toBuffer();

function mp3(): Buffer {
  const path = file('plain.mp3');
  const sampleFormat = C.AV_SAMPLE_FMT_FLTP;
  const channels = [sine(440, 44100, 44100)];
  writeMedia(path, 'mp3', { audio: { encoder: 'libmp3lame', sampleRate: 44100, channels, sampleFormat } });
  return readFileSync(path);
}

/** An ID3v2.3 tag with one attached picture. */
function id3Cover(picture: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from('\0image/png\0\x03\0', 'latin1'), picture]);
  const frame = Buffer.alloc(10);
  frame.write('APIC');
  frame.writeUInt32BE(body.length, 4);
  const size = frame.length + body.length;
  const sevenBits = [21, 14, 7, 0].map((shift) => (size >> shift) & 127);
  return Buffer.concat([Buffer.from('ID3\x03\0\0', 'latin1'), Buffer.from(sevenBits), frame, body]);
}

test('no video: a sound file, cover art, a picture, a text', async (t) => {
  const sound = file('sound.wav');
  writeMedia(sound, 'wav', {
    audio: {
      encoder: 'pcm_s16le',
      sampleRate: 8000,
      channels: [sine(440, 8000, 800)],
      sampleFormat: C.AV_SAMPLE_FMT_S16,
    },
  });
  await throwsTyped(t, () => decoder.video({ path: sound }, everything), {
    code: 'ERR_MEDIA_EMPTY',
    field,
    file: sound,
  });
  const withCover = file('cover.mp3');
  writeFileSync(withCover, Buffer.concat([id3Cover(await png()), mp3()]));
  await throwsTyped(t, () => decoder.video({ path: withCover }, everything), {
    code: 'ERR_MEDIA_EMPTY',
    file: withCover,
  });
  t.is((await decoder.audio({ path: withCover }, { field, sampleRate: 8000 })).samples.length, 8000);
  const text = file('text.mp4');
  writeFileSync(text, 'not a video at all, whatever it is called');
  await throwsTyped(t, () => decoder.video({ path: text }, everything), {
    code: 'ERR_MEDIA_FORMAT',
    file: text,
  });
});

test('cut off and damaged files throw, wherever they are cut', async (t) => {
  for (const [name, container, plan] of containers) {
    const path = file(`whole ${name}`);
    writeMedia(path, container, { video: { ...plan, paint: noise(plan) } });
    const bytes = readFileSync(path);
    t.is((await decoder.video({ path }, everything)).frames.length, 60);
    for (const share of [0.001, 0.1, 0.5, 0.9]) {
      const cut = bytes.subarray(0, Math.ceil(share * bytes.length));
      const error = await t.throwsAsync<MediaError>(
        decoder.video(cut, everything),
        { instanceOf: MediaError },
        `${name} cut at ${share}`,
      );
      t.regex(error.code, /^ERR_MEDIA_(READ|FORMAT|EMPTY)$/, `${name} ${share}`);
    }
  }
});

/** Pictures that compress badly, so that a file's bytes are mostly pictures. */
function noise({ width, height }: VideoPlan): (i: number) => Buffer {
  return (i) => {
    const planes = flat420(width, height, 0);
    let state = 12345 + i;
    for (let at = 0; at < planes.length; at++) {
      state = (Math.imul(state, 1103515245) + 12345) >>> 0;
      planes[at] = 40 + (state >>> 24) / 2;
    }
    return planes;
  };
}

test('limits of a video: duration, frame size, pictures, decoded bytes', async (t) => {
  const path = file('limits.mp4');
  writeMedia(path, 'mp4', { video: counting('libx264') });
  const limited = async (limits: object, message: RegExp) => {
    await using strict = new MediaDecoder({ limits });
    await throwsTyped(t, () => strict.video({ path }, { field, sampling: { kind: 'uniform', count: 8 } }), {
      code: 'ERR_MEDIA_LIMIT',
      message,
    });
  };
  await limited({ maxDurationMs: 1000 }, /at most 1000 ms \(limit maxDurationMs\) for trailer/);
  await limited(
    { maxFramePixels: 3000 },
    /at most 3000 pixels a picture \(limit maxFramePixels\) for trailer .* 64 x 64/,
  );
  await limited(
    { maxFrames: 7 },
    /at most 7 pictures \(limit maxFrames\) for trailer.sampling.count, received 8/,
  );
  await limited(
    { maxDecodedBytes: 30_000 },
    /at most 30000 bytes of decoded samples \(limit maxDecodedBytes\)/,
  );
  await limited({ maxBytes: 500 }, /at most 500 bytes \(limit maxBytes\)/);
});
