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
import { brightness, counting, every, flat420, level, sine, type VideoPlan, writeMedia } from './zoo.js';

const folder = mkdtempSync(join(tmpdir(), 'cinefuse-test-video-'));
const decoder = new MediaDecoder();
test.after.always(async () => {
  await decoder.dispose();
  rmSync(folder, { recursive: true, force: true });
});

const file = (name: string) => join(folder, name);
const field = 'trailer';
const everything = { field, sampling: { kind: 'uniform' as const, count: 4096 } };

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
