import test from 'ava';
import { opticalFlow } from '../../lib/ops/index.js';
import { random, ways } from '../backends.js';
import { throwsTyped } from '../errors.js';
import { assertGolden, f32, loadGolden, tensorOf } from '../golden.js';

interface FlowConfig {
  levels?: number;
  iterations?: number;
  window?: number;
  regularization?: number;
}

test('flow is that of numpy in float64, every way', async (t) => {
  for (const c of loadGolden('optical_flow')) {
    const { shape, data } = tensorOf(c, 'frames');
    const [, height = 0, width = 0] = shape;
    const frames = data instanceof Uint8Array ? data : f32(c, 'frames', 1);
    for (const { label, exec } of ways()) {
      const flow = await opticalFlow({ frames, height, width }, { ...exec, ...(c.config as FlowConfig) });
      assertGolden(t, c, 'flow', flow, label);
    }
  }
});

/** Levels of a scene of waves, as a function of the place. */
function scene(seed: number): (x: number, y: number) => number {
  const next = random(seed);
  const waves = Array.from({ length: 24 }, () => {
    const length = 5 * 10 ** next();
    const angle = 2 * Math.PI * next();
    const k = (2 * Math.PI) / length;
    return [k * Math.cos(angle), k * Math.sin(angle), 2 * Math.PI * next(), 3 * Math.sqrt(length)] as const;
  });
  return (x, y) => waves.reduce((sum, [a, b, phase, s]) => sum + s * Math.sin(a * x + b * y + phase), 128);
}

type Place = (x: number, y: number) => [number, number];

/** Two frames: the scene, and the scene after the motion whose inverse is `from`. */
function moved(seed: number, width: number, height: number, from: Place, gain = 1, offset = 0): Float32Array {
  const level = scene(seed);
  const frames = new Float32Array(2 * width * height);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      frames[y * width + x] = level(x, y);
      frames[(height + y) * width + x] = gain * level(...from(x, y)) + offset;
    }
  }
  return frames;
}

/** Mean distance of the flow from what is expected of each pixel, `margin` pixels from the edges. */
function endPointError(
  flow: Float32Array,
  width: number,
  height: number,
  expected: Place,
  margin = 8,
): number {
  let sum = 0;
  for (let y = margin; y < height - margin; y++) {
    for (let x = margin; x < width - margin; x++) {
      const [dx, dy] = expected(x, y);
      const at = 2 * (y * width + x);
      sum += Math.hypot((flow[at] as number) - dx, (flow[at + 1] as number) - dy);
    }
  }
  return sum / ((width - 2 * margin) * (height - 2 * margin));
}

const WIDTH = 160;
const HEIGHT = 96;

test('translations, zooms and turns are found to a part of a pixel', async (t) => {
  const [cx, cy] = [WIDTH / 2, HEIGHT / 2];
  const shift =
    (dx: number, dy: number): Place =>
    (x, y) => [x - dx, y - dy];
  // A pixel at c + d goes to c + zoom R(angle) d.
  const turn = (angle: number, zoom: number): [Place, Place] => {
    const [c, s] = [Math.cos(angle), Math.sin(angle)];
    return [
      (x, y) => [cx + (c * (x - cx) + s * (y - cy)) / zoom, cy + (c * (y - cy) - s * (x - cx)) / zoom],
      (x, y) => [
        zoom * (c * (x - cx) - s * (y - cy)) - (x - cx),
        zoom * (c * (y - cy) + s * (x - cx)) - (y - cy),
      ],
    ];
  };
  const cases: [string, Place, Place, number][] = [
    ['no motion', shift(0, 0), () => [0, 0], 1e-4],
    ['a quarter pixel', shift(0.25, -0.25), () => [0.25, -0.25], 0.04],
    ['three pixels', shift(3, 1.5), () => [3, 1.5], 0.05],
    ['eight pixels', shift(-8, 3), () => [-8, 3], 0.1],
    ['zoom', ...turn(0, 1.05), 0.15],
    ['turn', ...turn(0.06, 1), 0.15],
    ['both', ...turn(-0.04, 0.96), 0.15],
  ];
  for (const [name, from, expected, most] of cases) {
    const frames = moved(11, WIDTH, HEIGHT, from);
    const flow = await opticalFlow({ frames, width: WIDTH, height: HEIGHT });
    const error = endPointError(flow, WIDTH, HEIGHT, expected, 16);
    t.true(error <= most, `${name}: ${error} pixels`);
  }
});

test('a fade or another exposure is no motion', async (t) => {
  for (const [gain, offset] of [
    [0.6, 0],
    [1, 40],
    [1.3, -30],
  ] as const) {
    const frames = moved(12, WIDTH, HEIGHT, (x, y) => [x, y], gain, offset);
    const flow = await opticalFlow({ frames, width: WIDTH, height: HEIGHT });
    const error = endPointError(flow, WIDTH, HEIGHT, () => [0, 0]);
    t.true(error < 0.03, `gain ${gain}, offset ${offset}: ${error} pixels`);
  }
});

test('flow of many frames is that of each pair, whatever the threads, bit for bit', async (t) => {
  const [width, height, n] = [50, 37, 6];
  const next = random(5);
  const frames = Uint8Array.from({ length: n * width * height }, () => 256 * next());
  const size = width * height;
  for (const { label, exec } of ways()) {
    const together = await opticalFlow({ frames, width, height }, exec);
    t.is(together.length, (n - 1) * size * 2);
    for (let i = 0; i < n - 1; i++) {
      const pair = frames.slice(i * size, (i + 2) * size);
      const alone = await opticalFlow({ frames: pair, width, height }, { ...exec, threads: 1 });
      t.deepEqual(together.slice(2 * i * size, 2 * (i + 1) * size), alone, `${label} pair ${i}`);
    }
  }
});

test('bytes and floats, any offset, a given array, one frame, sizes of every kind', async (t) => {
  for (const [width, height] of [
    [1, 1],
    [2, 1],
    [15, 17],
    [16, 16],
    [17, 15],
    [31, 64],
    [33, 65],
  ] as const) {
    const next = random(width);
    const bytes = new Uint8Array(2 * width * height + 3).subarray(3);
    for (let i = 0; i < bytes.length; i++) bytes[i] = 256 * next();
    const floats = new Float32Array(bytes.length + 1).subarray(1);
    floats.set(bytes);
    const out = new Float32Array(2 * width * height + 1).subarray(1);
    for (const { label, exec } of ways()) {
      const flow = await opticalFlow({ frames: bytes, width, height }, exec);
      t.true(flow.every(Number.isFinite), label);
      t.is(await opticalFlow({ frames: floats, width, height }, { ...exec, out }), out);
      t.deepEqual(new Float32Array(out), flow, `${label} ${width} x ${height}`);
    }
    t.is((await opticalFlow({ frames: bytes.subarray(width * height), width, height })).length, 0);
  }
});

test('what cannot be run is refused by code and field', async (t) => {
  const frames = new Float32Array(2 * 20 * 10);
  const input = { frames, width: 20, height: 10 };
  await throwsTyped(t, () => opticalFlow({ ...input, width: 19 }), { code: 'ERR_SHAPE', field: 'frames' });
  await throwsTyped(t, () => opticalFlow({ ...input, width: 0 }), { code: 'ERR_SHAPE', field: 'width' });
  await throwsTyped(t, () => opticalFlow({ ...input, height: 20000 }), {
    code: 'ERR_SHAPE',
    field: 'height',
  });
  await throwsTyped(t, () => opticalFlow({ ...input, frames: new Float32Array(0) }), {
    code: 'ERR_SHAPE',
    field: 'frames',
  });
  await throwsTyped(t, () => opticalFlow({ ...input, frames: [1] as unknown as Uint8Array }), {
    code: 'ERR_INPUT_TYPE',
    field: 'frames',
  });
  await throwsTyped(t, () => opticalFlow(input, { levels: 13 }), {
    code: 'ERR_INPUT_VALUE',
    field: 'levels',
  });
  await throwsTyped(t, () => opticalFlow(input, { iterations: 0 }), {
    code: 'ERR_INPUT_VALUE',
    field: 'iterations',
  });
  await throwsTyped(t, () => opticalFlow(input, { window: Number.NaN }), {
    code: 'ERR_INPUT_VALUE',
    field: 'window',
  });
  await throwsTyped(t, () => opticalFlow(input, { regularization: 0 }), {
    code: 'ERR_INPUT_VALUE',
    field: 'regularization',
  });
  await throwsTyped(t, () => opticalFlow(input, { out: new Float32Array(3) }), {
    code: 'ERR_SHAPE',
    field: 'out',
  });
  for (const level of [Number.NaN, Number.POSITIVE_INFINITY, -1e6]) {
    const bad = frames.slice();
    bad[321] = level;
    for (const { exec } of ways()) {
      await throwsTyped(t, () => opticalFlow({ ...input, frames: bad }, exec), {
        code: 'ERR_INPUT_VALUE',
        field: 'frames',
        message: /frame 1$/,
      });
    }
  }
});

test('an AbortSignal ends a call', async (t) => {
  const frames = new Uint8Array(8 * 640 * 480);
  const controller = new AbortController();
  const call = opticalFlow({ frames, width: 640, height: 480 }, { signal: controller.signal, threads: 1 });
  controller.abort();
  await throwsTyped(t, () => call, { code: 'ERR_CANCELLED' });
});
