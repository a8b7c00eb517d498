import test from 'ava';
import { EncoderPool } from '../../lib/encoders/pool.js';
import { type ImageEncoderSpec, parseEncoderSpec, type VideoEncoderSpec } from '../../lib/encoders/spec.js';
import { type CinefuseError, InputError } from '../../lib/errors.js';
import { MediaDecoder } from '../../lib/media/decoder.js';
import type { DecodedVideo, VideoFrame } from '../../lib/media/types.js';
import { resize, yuvToRgb } from '../../lib/ops/frames.js';
import { PosterEncoder } from '../../lib/poster/poster-encoder.js';
import { TrailerEncoder } from '../../lib/trailer/trailer-encoder.js';
import { imageModel, place, temporaryDirectory } from '../encoders/fixtures.js';
import { model, node, value } from '../onnx.js';
import { sharedPath, sharedTest } from '../shared.js';

/** A frame of one grey level. */
function grey(level: number, timestampMs: number, size: Partial<VideoFrame> = {}): VideoFrame {
  const { width = 4, height = 4, format = 'rgb24' } = size;
  const bytes = format === 'rgb24' ? 3 * width * height : (width * height * 3) / 2;
  return {
    data: new Uint8Array(bytes).fill(level),
    format,
    width,
    height,
    timestampMs,
    matrix: 'bt601',
    range: 'full',
  };
}

function video(levels: number[], durationMs = levels.length * 100): DecodedVideo {
  const frames = levels.map((level, i) => grey(level, i * 100));
  return { frames, durationMs, width: 4, height: 4, frameRate: 10 };
}

async function imageEncoder() {
  const described = await imageModel(await temporaryDirectory());
  const pool = await EncoderPool.create([described]);
  const spec = described.spec as ImageEncoderSpec;
  return { pool, spec, encoder: new TrailerEncoder({ spec, pool }) };
}

/** Mean level of every frame of a clip: (batch, frames). */
async function videoEncoder(clip: VideoEncoderSpec['clip'], dim: number) {
  const directory = await temporaryDirectory();
  const size = clip.frames === 'all' ? 't' : clip.frames;
  const time = clip.layout === 'btchw' ? [size, 3] : [3, size];
  const axes = clip.layout === 'btchw' ? [2, 3, 4] : [1, 3, 4];
  const reduced = node('ReduceMean', ['frames'], ['levels'], { axes, keepdims: 0 });
  const whole = node('ReduceMean', ['frames'], ['levels'], { axes: [1, 2, 3, 4], keepdims: 0 });
  const column = node('Flatten', ['levels'], ['features'], { axis: clip.frames === 'all' ? 0 : 1 });
  const nodes =
    clip.frames === 'all' ? [whole, node('Unsqueeze', ['levels', 'last'], ['features'])] : [reduced, column];
  const { tensor } = await import('../onnx.js');
  const graph = model({
    nodes,
    inputs: [value('frames', 'float', ['b', ...time, 2, 2])],
    outputs: [value('features', 'float', ['b', dim])],
    initializers: clip.frames === 'all' ? [tensor('last', 'int64', [1], BigInt64Array.of(1n))] : [],
  });
  const spec = parseEncoderSpec({
    specVersion: 1,
    name: 'tiny-video',
    version: '1',
    modality: 'video',
    ...(await place(directory, 'video.onnx', graph)),
    inputs: { frames: 'frames' },
    output: 'features',
    dim,
    maxBatch: 2,
    licence: 'Apache-2.0',
    source: 'made by this test',
    transform: { resize: [2, 2], filter: 'bilinear', rounding: 'float', mean: [0, 0, 0], std: [1, 1, 1] },
    clip,
    pooling: 'none',
    normalize: false,
  }) as VideoEncoderSpec;
  const pool = await EncoderPool.create([{ spec, directory }]);
  return { pool, encoder: new TrailerEncoder({ spec, pool }) };
}

const levelsOf = (data: Float32Array) => Array.from(data, (x) => Math.round(x * 255));

test('an image encoder gives a vector a frame, with the time until the next one', async (t) => {
  const { pool, encoder } = await imageEncoder();
  const [embedding] = await encoder.encode([{ ...video([10, 20, 30, 40, 50]), durationMs: 470 }]);
  t.like(embedding, { length: 5, dim: 12 });
  t.deepEqual(
    levelsOf(embedding!.data),
    [20, 40, 60, 80, 100].flatMap((level) => Array(12).fill(level)),
  );
  t.deepEqual([...embedding!.startMs!], [0, 100, 200, 300, 400]);
  t.deepEqual([...embedding!.endMs!], [100, 200, 300, 400, 470]);
  await pool.dispose();
});

test('one frame is a sequence of one', async (t) => {
  const { pool, encoder } = await imageEncoder();
  const [embedding] = await encoder.encode([{ ...video([7]), durationMs: 0 }]);
  t.is(embedding!.length, 1);
  t.deepEqual([...embedding!.endMs!], [0]);
  await pool.dispose();
});

test('NV12 and I420 frames give what their RGB gives', async (t) => {
  const { pool, encoder, spec } = await imageEncoder();
  for (const format of ['nv12', 'i420'] as const) {
    const frame = grey(0, 0, { format, width: 6, height: 4 });
    frame.data.set(frame.data.map((_, i) => (i * 37) % 256));
    const direct = { frames: [frame], durationMs: 100, width: 6, height: 4, frameRate: 0 };
    const rgb = await yuvToRgb({ ...frame, format });
    const [a] = await encoder.encode([direct]);
    const [b] = await new PosterEncoder({ spec, pool }).encode([rgb]);
    // Rounded to 8 bits on the way in one of them only; doubled by the graph.
    t.true(
      a!.data.every((x, i) => Math.abs(x - b!.data[i]!) <= 2 / 255),
      format,
    );
  }
  await pool.dispose();
});

test('batches across videos of several sizes give what single videos give', async (t) => {
  const { pool, encoder } = await imageEncoder();
  const videos = [3, 1, 6, 2].map((length, v) => {
    const frames = Array.from({ length }, (_, i) => grey(10 * v + i, 40 * i, { width: 4 + v, height: 4 }));
    return { frames, durationMs: 40 * length, width: 4 + v, height: 4, frameRate: 25 };
  });
  const together = await encoder.encode(videos);
  for (const [i, one] of videos.entries()) t.deepEqual(together[i], (await encoder.encode([one]))[0]);
  await pool.dispose();
});

for (const layout of ['btchw', 'bcthw'] as const) {
  test(`clips of a video encoder, ${layout}: hop, end of the video, short videos`, async (t) => {
    const { pool, encoder } = await videoEncoder({ frames: 3, hop: 2, layout }, 3);
    const [even, odd, exact, short] = await encoder.encode([
      video([1, 2, 3, 4, 5]),
      video([1, 2, 3, 4, 5, 6]),
      video([1, 2, 3]),
      video([8, 9]),
    ]);
    t.deepEqual(levelsOf(even!.data), [1, 2, 3, 3, 4, 5]);
    t.deepEqual(levelsOf(odd!.data), [1, 2, 3, 3, 4, 5, 4, 5, 6], 'the last clip ends with the video');
    t.deepEqual(levelsOf(exact!.data), [1, 2, 3]);
    t.deepEqual(levelsOf(short!.data), [8, 9, 9], 'the last frame is repeated');
    t.deepEqual([...odd!.startMs!], [0, 200, 300]);
    t.deepEqual([...odd!.endMs!], [300, 500, 600]);
    t.deepEqual([...short!.endMs!], [200]);
    await pool.dispose();
  });
}

test('a whole video as one clip; videos of different lengths are not mixed', async (t) => {
  const { pool, encoder } = await videoEncoder({ frames: 'all', layout: 'btchw' }, 1);
  const results = await encoder.encode([video([10, 20]), video([30, 30, 60]), video([40, 50])]);
  t.deepEqual(
    results.map(({ data }) => levelsOf(data)),
    [[15], [40], [45]],
  );
  t.deepEqual([...results[1]!.endMs!], [300]);
  await pool.dispose();
});

test('bad videos give their errors, the others come back', async (t) => {
  const { pool, encoder } = await imageEncoder();
  const good = video([1, 2]);
  const cut = video([1, 2]);
  cut.frames[1]!.data = new Uint8Array(5);
  const results = await encoder.encodeEach([{ ...good, frames: [] }, good, cut], {
    fields: ['a.trailer', 'b.trailer', 'c.trailer'],
  });
  t.deepEqual(
    results.map((result) => (result as CinefuseError).code as string | undefined),
    ['ERR_INPUT_EMPTY', undefined, 'ERR_SHAPE'],
  );
  t.is((results[2] as CinefuseError).field, 'c.trailer.frames[1]');
  await t.throwsAsync(encoder.encode([{ ...good, frames: [] }]), { instanceOf: InputError });
  await pool.dispose();
});

const TPOOL = 'models/video/mobilenetv2-tpool';
const MOVIES = 'data/movies/media';

sharedTest('the real video graph gives the mean and deviation of its frames', [TPOOL, MOVIES], async (t) => {
  const directory = sharedPath(TPOOL);
  const { readdir } = await import('node:fs/promises');
  const clip = (await readdir(sharedPath(MOVIES))).find((name) => name.endsWith('.mp4'));
  if (clip === undefined) return t.fail('no mp4 among the clips');
  const { readFile } = await import('node:fs/promises');
  const { digest } = await import('../encoders/fixtures.js');
  const data = await readFile(sharedPath(TPOOL, 'model.onnx'));
  const common = {
    specVersion: 1,
    version: '1',
    file: 'model.onnx',
    sha256: digest(data),
    bytes: data.length,
    maxBatch: 1,
    licence: 'Apache-2.0',
    source: 'test',
    modality: 'video',
    inputs: { frames: 'frames' },
    transform: {
      resize: [224, 224],
      filter: 'bilinear',
      rounding: 'uint8',
      mean: [0.5, 0.5, 0.5],
      std: [0.5, 0.5, 0.5],
    },
    clip: { frames: 'all', layout: 'btchw' },
    normalize: false,
  };
  const pooled = parseEncoderSpec({
    ...common,
    name: 'pooled',
    output: 'features',
    dim: 3840,
    pooling: 'none',
  });
  const first = parseEncoderSpec({
    ...common,
    name: 'first',
    output: 'frame_features',
    dim: 1280,
    pooling: 'mean-tokens',
  });
  await using pool = await EncoderPool.create([
    { spec: pooled, directory },
    { spec: first, directory },
  ]);
  await using decoder = new MediaDecoder();
  const decoded = await decoder.video(
    { path: sharedPath(MOVIES, clip) },
    { field: 'trailer', sampling: { kind: 'uniform', count: 4 }, maxSide: 480 },
  );
  const [all] = await new TrailerEncoder({ spec: pooled as VideoEncoderSpec, pool }).encode([decoded]);
  const [mean] = await new TrailerEncoder({ spec: first as VideoEncoderSpec, pool }).encode([decoded]);
  t.is(all!.length, 1);
  // The graph's first 1280 values are the mean over time that our pooling takes of its frame features.
  const worst = mean!.data.reduce((most, x, i) => Math.max(most, Math.abs(x - all!.data[i]!)), 0);
  t.true(worst < 1e-4, `${worst}`);
  // Frame by frame through RGB with Pillow's resize gives the same picture to the graph.
  const rgb = await Promise.all(
    decoded.frames.map((frame) => resize(frame, { resize: [224, 224], filter: 'bilinear' })),
  );
  const viaRgb: DecodedVideo = {
    ...decoded,
    frames: rgb.map((picture, i) => ({ ...decoded.frames[i]!, ...picture, format: 'rgb24' })),
  };
  const [again] = await new TrailerEncoder({ spec: pooled as VideoEncoderSpec, pool }).encode([viaRgb]);
  const difference = again!.data.reduce((most, x, i) => Math.max(most, Math.abs(x - all!.data[i]!)), 0);
  t.true(difference < 1e-3, `${difference}`);
});
