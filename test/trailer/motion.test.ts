import test from 'ava';
import { MediaDecoder } from '../../lib/media/decoder.js';
import type { GrayFrames } from '../../lib/media/types.js';
import { cameraMove } from '../../lib/trailer/camera.js';
import { videoMotion } from '../../lib/trailer/motion.js';
import { random } from '../backends.js';
import { throwsTyped } from '../errors.js';
import { sharedPath, sharedTest } from '../shared.js';

const WIDTH = 160;
const HEIGHT = 90;

/** Levels of a scene of waves, as a function of the place. */
function scene(seed: number): (x: number, y: number) => number {
  const next = random(seed);
  const waves = Array.from({ length: 20 }, () => {
    const length = 6 * 8 ** next();
    const angle = 2 * Math.PI * next();
    const k = (2 * Math.PI) / length;
    return [k * Math.cos(angle), k * Math.sin(angle), 2 * Math.PI * next(), 3 * Math.sqrt(length)] as const;
  });
  return (x, y) => waves.reduce((sum, [a, b, phase, s]) => sum + s * Math.sin(a * x + b * y + phase), 128);
}

type Draw = (frame: number, x: number, y: number) => number;

function video(n: number, draw: Draw, indices = Int32Array.from({ length: n }, (_, i) => i)): GrayFrames {
  const data = new Uint8Array(n * WIDTH * HEIGHT);
  for (let at = 0, i = 0; i < n; i++) {
    for (let y = 0; y < HEIGHT; y++) {
      for (let x = 0; x < WIDTH; x++) data[at++] = Math.max(0, Math.min(255, Math.round(draw(i, x, y))));
    }
  }
  return { data, width: WIDTH, height: HEIGHT, indices };
}

const timesAt = (fps: number, n: number) => Float64Array.from({ length: n }, (_, i) => (1000 * i) / fps);
const meanOf = (values: Float32Array) => values.reduce((sum, x) => sum + x, 0) / values.length;

function near(
  t: import('ava').ExecutionContext,
  got: number,
  expected: number,
  within: number,
  what: string,
) {
  t.true(Math.abs(got - expected) <= within, `${what}: ${got}, expected ${expected} ± ${within}`);
}

test('a pan is camera and nothing else, in picture widths a second', async (t) => {
  const level = scene(1);
  const motion = await videoMotion(
    video(6, (i, x, y) => level(x - 2 * i, y + 0.5 * i)),
    timesAt(25, 6),
  );
  t.deepEqual([...motion.timesMs], [40, 80, 120, 160, 200]);
  near(t, meanOf(motion.mean), (Math.hypot(2, 0.5) / WIDTH) * 25, 0.02, 'mean');
  near(t, meanOf(motion.high), (Math.hypot(2, 0.5) / WIDTH) * 25, 0.03, 'high');
  near(t, meanOf(motion.camera.panX), (2 / WIDTH) * 25, 0.01, 'pan right');
  near(t, meanOf(motion.camera.panY), (-0.5 / WIDTH) * 25, 0.01, 'pan down');
  near(t, meanOf(motion.camera.zoom), 0, 0.02, 'zoom');
  near(t, meanOf(motion.camera.roll), 0, 0.02, 'roll');
  t.true(meanOf(motion.camera.share) > 0.95, `share ${meanOf(motion.camera.share)}`);
});

test('zoom and roll are told apart and from a pan', async (t) => {
  const level = scene(2);
  const [cx, cy] = [(WIDTH - 1) / 2, (HEIGHT - 1) / 2];
  const turned = (zoom: number, angle: number): Draw => {
    return (i, x, y) => {
      const [c, s, z] = [Math.cos(angle * i), Math.sin(angle * i), (1 + zoom) ** i];
      return level(cx + (c * (x - cx) + s * (y - cy)) / z, cy + (c * (y - cy) - s * (x - cx)) / z);
    };
  };
  const times = timesAt(25, 4);
  const zoomed = (await videoMotion(video(4, turned(0.02, 0)), times)).camera;
  near(t, meanOf(zoomed.zoom), 0.5, 0.05, 'zoom');
  near(t, meanOf(zoomed.roll), 0, 0.03, 'roll of a zoom');
  const rolled = (await videoMotion(video(4, turned(0, 0.02)), times)).camera;
  near(t, meanOf(rolled.roll), 0.5, 0.05, 'roll');
  near(t, meanOf(rolled.zoom), 0, 0.03, 'zoom of a roll');
  near(t, meanOf(rolled.panX), 0, 0.03, 'pan of a roll');
});

test('a thing before a still background is no camera', async (t) => {
  const [back, front] = [scene(3), scene(4)];
  const motion = await videoMotion(
    video(5, (i, x, y) => {
      const [dx, dy] = [x - 60 - 2 * i, y - 45];
      return dx * dx + dy * dy < 22 * 22 ? front(dx, dy) : back(x, y);
    }),
    timesAt(25, 5),
  );
  near(t, meanOf(motion.camera.panX), 0, 0.02, 'pan');
  t.true(meanOf(motion.camera.share) < 0.2, `share ${meanOf(motion.camera.share)}`);
  t.true(meanOf(motion.high) > 3 * meanOf(motion.mean), 'few pixels move, and fast');
});

test('cameraMove of an exact field is exact, also with a third of it in other motion', (t) => {
  const flow = new Float32Array(2 * WIDTH * HEIGHT);
  const [cx, cy] = [(WIDTH - 1) / 2, (HEIGHT - 1) / 2];
  const fill = (things: boolean) => {
    for (let y = 0, at = 0; y < HEIGHT; y++) {
      for (let x = 0; x < WIDTH; x++, at += 2) {
        const other = things && x < WIDTH / 3;
        flow[at] = other ? -7 : 1.5 + 0.03 * (x - cx) - 0.02 * (y - cy);
        flow[at + 1] = other ? 5 : -0.75 + 0.02 * (x - cx) + 0.03 * (y - cy);
      }
    }
  };
  for (const things of [false, true]) {
    fill(things);
    const move = cameraMove(flow, WIDTH, HEIGHT);
    near(t, move.dx, 1.5, things ? 0.1 : 1e-5, 'dx');
    near(t, move.dy, -0.75, things ? 0.1 : 1e-5, 'dy');
    near(t, move.zoom, 0.03, things ? 0.002 : 1e-6, 'zoom');
    near(t, move.roll, 0.02, things ? 0.002 : 1e-6, 'roll');
    if (!things) near(t, move.share, 1, 1e-6, 'share');
  }
  t.deepEqual(cameraMove(new Float32Array(2), 1, 1), { dx: 0, dy: 0, zoom: 0, roll: 0, share: 0 });
});

test('pairs are those of neighbours within a shot; uneven times count; long runs are cut without losing a pair', async (t) => {
  const level = scene(5);
  const pan: Draw = (i, x, y) => level(x - i, y);
  const taken = Int32Array.from([0, 1, 10, 11, 12, 13]);
  const times = Float64Array.from({ length: 14 }, (_, i) => 40 * i + (i > 11 ? 40 : 0));
  const motion = await videoMotion(
    video(6, (i, x, y) => pan(taken[i]!, x, y), taken),
    times,
    { shots: [13] },
  );
  t.deepEqual([...motion.timesMs], [40, 440, 520]);
  near(t, motion.camera.panX[2]!, motion.camera.panX[1]! / 2, 0.005, 'twice the time, half the speed');

  const still = video(70, (_, x, y) => level(x, y));
  const shares: number[] = [];
  const long = await videoMotion(still, timesAt(24, 70), { onProgress: (share) => shares.push(share) });
  t.is(long.timesMs.length, 69);
  t.true(long.mean.every((x) => x < 1e-3));
  t.deepEqual(shares, [32 / 69, 64 / 69, 1]);

  const none = await videoMotion(
    video(1, () => 0),
    [0],
  );
  t.is(none.timesMs.length, 0);
  await throwsTyped(t, () => videoMotion(still, timesAt(24, 70), { signal: AbortSignal.abort() }), {
    code: 'ERR_CANCELLED',
  });
});

sharedTest(
  'a real clip: motion where there is some, none across its cuts',
  ['data/movies/media/toy_elf.mp4'],
  async (t) => {
    await using decoder = new MediaDecoder();
    const scan = await decoder.scan(
      { path: sharedPath('data/movies/media/toy_elf.mp4') },
      { field: 'video', maxGray: 120 },
    );
    const motion = await videoMotion(scan.gray, scan.timesMs);
    t.true(motion.mean.length > 50, `${motion.mean.length} pairs`);
    t.true(
      motion.mean.every((x) => x >= 0 && x < 3),
      `${Math.max(...motion.mean)}`,
    );
    t.true(meanOf(motion.mean) > 0.001, `${meanOf(motion.mean)}`);
    t.true(motion.camera.share.every((x) => x >= 0 && x <= 1));
  },
);
