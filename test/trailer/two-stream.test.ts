import test, { type ExecutionContext } from 'ava';
import { EncoderPool } from '../../lib/encoders/pool.js';
import { parseEncoderSpec, type VideoEncoderSpec } from '../../lib/encoders/spec.js';
import type { DecodedVideo, VideoFrame } from '../../lib/media/types.js';
import { TrailerEncoder } from '../../lib/trailer/trailer-encoder.js';
import { place, temporaryDirectory } from '../encoders/fixtures.js';
import { throwsTyped } from '../errors.js';
import { model, node, tensor, value } from '../onnx.js';

const [WIDTH, HEIGHT] = [64, 48];

/** Frames of a textured wall that moves by (dx, dy) pixels a frame, in colour. */
function moving(n: number, dx: number, dy: number): DecodedVideo {
  const frames = Array.from({ length: n }, (_, i): VideoFrame => {
    const data = new Uint8Array(3 * WIDTH * HEIGHT);
    for (let y = 0, at = 0; y < HEIGHT; y++) {
      for (let x = 0; x < WIDTH; x++) {
        const [p, q] = [x - i * dx, y - i * dy];
        const level = 45 * Math.sin(0.45 * p + 0.2 * q) + 40 * Math.cos(0.4 * q - 0.15 * p);
        for (const gain of [1, 0.8, 0.5]) data[at++] = Math.round(120 + gain * level);
      }
    }
    const timestampMs = 40 * i;
    return {
      data,
      format: 'rgb24',
      width: WIDTH,
      height: HEIGHT,
      timestampMs,
      matrix: 'bt709',
      range: 'full',
    };
  });
  return { frames, durationMs: 40 * n, width: WIDTH, height: HEIGHT, frameRate: 25 };
}

type Flow = NonNullable<VideoEncoderSpec['flow']>;

function specOf(parts: {
  inputs: object;
  clip: object;
  flow?: Flow | undefined;
  dim: number;
  file: object;
}): VideoEncoderSpec {
  const { file, ...rest } = parts;
  return parseEncoderSpec({
    specVersion: 1,
    name: 'two-stream',
    version: '1',
    modality: 'video',
    ...file,
    output: 'features',
    maxBatch: 3,
    licence: 'Apache-2.0',
    source: 'made by this test',
    transform: {
      resize: [HEIGHT, WIDTH],
      filter: 'bilinear',
      rounding: 'uint8',
      mean: [0.485, 0.456, 0.406],
      std: [0.229, 0.224, 0.225],
    },
    pooling: 'none',
    normalize: false,
    ...rest,
  }) as VideoEncoderSpec;
}

/** Axes of a flow input of `fields` fields, and the ones over which its two components are averaged. */
function flowAxes(layout: Flow['layout'], fields: number): { shape: number[]; axes: number[] } {
  if (layout === 'btchw') return { shape: [fields, 2], axes: [1, 3, 4] };
  if (layout === 'bcthw') return { shape: [2, fields], axes: [2, 3, 4] };
  return { shape: [2 * fields], axes: [2, 3] };
}

/**
 * Spatial stream: mean of each colour of the clip. Temporal: dx and dy averaged over fields and pixels, of stacked planes
 * by a convolution. Both side by side.
 */
async function twoStream(flow: Flow, frames: number, streams: 'both' | 'flow' = 'both') {
  const directory = await temporaryDirectory();
  const fields = frames - 1;
  const { shape, axes } = flowAxes(flow.layout, fields);
  const weight = new Float32Array(2 * 2 * fields).map((_, i) =>
    i % 2 === (i < 2 * fields ? 0 : 1) ? 1 / fields : 0,
  );
  const both = streams === 'both';
  const nodes = [
    ...(flow.layout === 'stacked'
      ? [
          node('Conv', ['flow', 'weight'], ['planes'], { kernel_shape: [1, 1] }),
          node('ReduceMean', ['planes'], ['temporal'], { axes, keepdims: 0 }),
        ]
      : [node('ReduceMean', ['flow'], ['temporal'], { axes, keepdims: 0 })]),
    ...(both
      ? [
          node('ReduceMean', ['frames'], ['spatial'], { axes: [1, 3, 4], keepdims: 0 }),
          node('Concat', ['spatial', 'temporal'], ['features'], { axis: 1 }),
        ]
      : [node('Identity', ['temporal'], ['features'])]),
  ];
  const dim = both ? 5 : 2;
  const graph = model({
    nodes,
    inputs: [
      ...(both ? [value('frames', 'float', ['b', frames, 3, HEIGHT, WIDTH])] : []),
      value('flow', 'float', ['b', ...shape, HEIGHT, WIDTH]),
    ],
    outputs: [value('features', 'float', ['b', dim])],
    initializers: flow.layout === 'stacked' ? [tensor('weight', 'float', [2, 2 * fields, 1, 1], weight)] : [],
  });
  const spec = specOf({
    inputs: both ? { frames: 'frames', flow: 'flow' } : { flow: 'flow' },
    clip: { frames, hop: frames - 1, layout: 'btchw' },
    flow,
    dim,
    file: await place(directory, 'two-stream.onnx', graph),
  });
  const pool = await EncoderPool.create([{ spec, directory }]);
  return { pool, encoder: new TrailerEncoder({ spec, pool }) };
}

function near(t: ExecutionContext, got: number | undefined, expected: number, within: number, what: string) {
  t.true(
    Math.abs((got ?? Number.NaN) - expected) <= within,
    `${what}: ${got}, expected ${expected} ± ${within}`,
  );
}

for (const layout of ['stacked', 'btchw', 'bcthw'] as const) {
  test(`a two-stream graph gets frames and their flow, ${layout}`, async (t) => {
    const { pool, encoder } = await twoStream({ bound: 20, scale: 0.05, layout }, 4);
    const videos = [moving(7, 1.5, -0.5), moving(4, -1, 1)];
    const [first, second] = await encoder.encode(videos);
    t.is(first!.length, 2);
    t.is(second!.length, 1);
    for (const [row, dx, dy] of [
      [first!.data.subarray(0, 5), 1.5, -0.5],
      [first!.data.subarray(5), 1.5, -0.5],
      [second!.data, -1, 1],
    ] as const) {
      near(t, row[3], 0.05 * dx, 0.005, 'dx');
      near(t, row[4], 0.05 * dy, 0.005, 'dy');
      near(t, row[0], (120 / 255 - 0.485) / 0.229, 0.1, 'red');
    }
    t.deepEqual([...first!.startMs!], [0, 120]);
    await pool.dispose();
  });
}

test('flow alone is a stream too; its components are clipped; a short video stands still at its end', async (t) => {
  const { pool, encoder } = await twoStream({ bound: 0.75, scale: 1, layout: 'stacked' }, 5, 'flow');
  const [clipped, short] = await encoder.encode([moving(5, 2, -0.25), moving(2, 2, 0)]);
  t.true(clipped!.data[0]! <= 0.75 && clipped!.data[0]! > 0.65, `${clipped!.data[0]}`);
  near(t, clipped!.data[1], -0.25, 0.05, 'dy');
  near(t, short!.data[0], clipped!.data[0]! / 4, 0.03, 'one moving field of four');
  await pool.dispose();
});

test('flow in a spec goes with inputs.flow, and the graph must take its planes', async (t) => {
  const file = { file: 'x.onnx', sha256: '0'.repeat(64), bytes: 1 };
  const flow: Flow = { bound: 20, scale: 0.05, layout: 'stacked' };
  const clip = { frames: 4, hop: 4, layout: 'btchw' };
  const refused = (parts: object, field: string) =>
    throwsTyped(t, () => specOf({ inputs: { flow: 'flow' }, clip, flow, dim: 2, file, ...parts }), {
      code: 'ERR_MODEL_SPEC',
      field,
    });
  await refused({ inputs: {} }, 'inputs');
  await refused({ flow: undefined }, 'flow');
  await refused({ inputs: { frames: 'frames' } }, 'flow');
  await refused({ clip: { ...clip, frames: 1 } }, 'clip.frames');
  await refused({ flow: { ...flow, bound: 0 } }, 'flow.bound');
  await refused({ flow: { ...flow, layout: 'grouped' } }, 'flow.layout');

  const directory = await temporaryDirectory();
  const graph = model({
    nodes: [node('ReduceMean', ['flow'], ['features'], { axes: [2, 3], keepdims: 0 })],
    inputs: [value('flow', 'float', ['b', 8, HEIGHT, WIDTH])],
    outputs: [value('features', 'float', ['b', 8])],
  });
  const spec = specOf({
    inputs: { flow: 'flow' },
    clip,
    flow,
    dim: 8,
    file: await place(directory, 'eight.onnx', graph),
  });
  await throwsTyped(t, () => EncoderPool.create([{ spec, directory }]), {
    code: 'ERR_MODEL_IO',
    message: /\[batch, 6, 48, 64\]/,
  });
});
