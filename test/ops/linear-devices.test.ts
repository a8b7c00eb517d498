/** Dense products on devices: every tile and split of their kernels, every precision, what is not finite. */
import test, { type ExecutionContext } from 'ava';
import { Linear, type LinearLayer, linear, type Precision } from '../../lib/ops/index.js';
import { DEVICE_BACKENDS, randomF32 } from '../backends.js';
import { throwsTyped } from '../errors.js';
import { assertGolden, f32, loadGolden } from '../golden.js';
import { assertClose, dense, type Reference } from './oracle.js';

const golden = loadGolden('layers').filter((c) => c.config.kind === 'linear');

function randomLayer(inFeatures: number, outFeatures: number, seed: number): LinearLayer {
  return {
    inFeatures,
    outFeatures,
    weight: randomF32(outFeatures * inFeatures, seed),
    bias: randomF32(outFeatures, seed + 1, 3),
  };
}

/** Relative to the largest result. */
const NMAX = { tf32: 2e-3, bf16: 2e-2 } as const;

/** float32: as close as its rounding allows; else within the precision's share of the largest result. */
function assertPrecise(
  t: ExecutionContext,
  precision: Precision,
  y: Float32Array,
  { y: expected, magnitude }: Reference,
  terms: number,
  label: string,
): void {
  if (precision === 'fp32') {
    assertClose(t, y, expected, magnitude, terms, label);
    return;
  }
  const top = expected.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
  const bound = NMAX[precision] * Math.max(top, Math.sqrt(terms) / 4);
  const worst = y.findIndex((v, i) => !(Math.abs(v - expected[i]!) <= bound));
  t.is(worst, -1, `${label}: element ${worst} is ${y[worst]}, expected ${expected[worst]}`);
}

// Rows, inFeatures, outFeatures: around tiles of 32x64, 64x64 and 128x128 and their chunks of 32; rows beginning
// anywhere; splits of inFeatures; few rows of few and of many columns.
const SHAPES: [number, number, number][] = [
  [33, 32, 64],
  [31, 33, 65],
  [40, 500, 7],
  [64, 64, 63],
  [65, 31, 64],
  [63, 100, 129],
  [70, 97, 200],
  [127, 36, 128],
  [128, 32, 128],
  [250, 37, 500],
  [129, 64, 257],
  [256, 37, 256],
  [300, 1, 1],
  [257, 4, 131],
  [36, 1500, 70],
  [9, 20_000, 5],
  [33, 4001, 20],
  [1, 40_000, 3],
  [1, 1030, 700],
  [2, 260, 1100],
  [4, 129, 1300],
  [7, 1000, 600],
  [8, 5, 2],
  [5, 3000, 33],
  [30, 70, 50],
];
// On a GPU with more multiprocessors than the emulated one it takes more to fill them.
const LARGE_SHAPES: [number, number, number][] = [
  [1000, 132, 1500],
  [1537, 256, 1600],
  [700, 2049, 130],
  [1, 300_000, 128],
];

for (const backend of DEVICE_BACKENDS) {
  for (const precision of ['fp32', 'tf32', 'bf16'] as const) {
    const exec = { backend, precision };
    const label = `[${backend} ${precision}]`;

    test(`tiles and splits of every size against float64 ${label}`, async (t) => {
      for (const [m, k, n] of backend === 'cuda' ? [...SHAPES, ...LARGE_SHAPES] : SHAPES) {
        const layer = randomLayer(k, n, m + k + n);
        const x = randomF32(m * k, k);
        using prepared = await Linear.create(layer, exec);
        const y = await prepared.run(x, exec);
        assertPrecise(t, precision, y, dense(x, layer), k, `${m}x${k}->${n} ${label}`);
        t.deepEqual(await prepared.run(x, exec), y, `${m}x${k}->${n} ${label}: again`);
      }
    });

    test(`golden linear layers at their precision ${label}`, async (t) => {
      t.true(golden.length > 0, 'no golden case was found');
      for (const c of golden) {
        const layer: LinearLayer = {
          inFeatures: c.config.in as number,
          outFeatures: c.config.out as number,
          weight: f32(c, 'W'),
          bias: c.config.bias ? f32(c, 'b') : undefined,
        };
        const tolerance = precision === 'fp32' ? undefined : { nmax: NMAX[precision] };
        assertGolden(t, c, 'y', await linear(f32(c, 'x'), layer, exec), label, tolerance);
      }
    });

    test(`NaN and infinity as on the CPU, rows apart ${label}`, async (t) => {
      for (const [m, k, n] of [
        [6, 70, 33],
        [70, 70, 70],
        [150, 40, 260],
        [40, 3000, 20],
      ] as const) {
        const layer = randomLayer(k, n, 3);
        layer.weight.fill(0, 0, k); // 0 · infinity
        layer.weight.fill(0.5, k, 2 * k); // nothing left over by rounding
        const x = randomF32(m * k, 4);
        const clean = await linear(x, layer, exec);
        x[2 * k + 7] = Number.NaN;
        x[(m - 1) * k] = Number.POSITIVE_INFINITY;
        x[(m - 2) * k + k - 1] = Number.NEGATIVE_INFINITY;
        x[(m - 3) * k + 5] = 3e38; // infinity times most weights; not for all of them
        layer.weight[(n - 1) * k + 1] = Number.NaN;
        layer.weight[(n - 2) * k + 1] = Number.POSITIVE_INFINITY;
        const y = await linear(x, layer, exec);
        const cpu = await linear(x, layer, { backend: 'cpu' });
        // Matrix units may stop at the largest number.
        const most = precision === 'fp32' ? Number.MAX_VALUE : 1e38;
        const kind = (v: number) => (Math.abs(v) < most ? 0 : Math.sign(v));
        const other = y.findIndex((v, i) => !Object.is(kind(v), kind(cpu[i]!)));
        t.is(other, -1, `${m}x${k}->${n}: element ${other} is ${y[other]}, on the CPU ${cpu[other]}`);
        const changed = y.findIndex((v, i) => {
          const row = Math.floor(i / n);
          const touched = i % n >= n - 2 || row === 2 || row >= m - 3;
          return !touched && v !== clean[i];
        });
        t.is(changed, -1, `${m}x${k}->${n}: element ${changed} changed`);
      }
    });
  }

  test(`float32 up to its largest numbers [${backend}]`, async (t) => {
    // 3.4028e38 rounds to infinity in TF32.
    const layer = { inFeatures: 40, outFeatures: 70, weight: new Float32Array(70 * 40).fill(1 / 64) };
    for (const rows of [3, 80]) {
      const x = randomF32(rows * 40, 1);
      const largest = 3.4028234e38;
      x[40] = largest;
      const y = await linear(x, layer, { backend });
      t.true(Math.abs(y[70]! / (largest / 64) - 1) < 1e-6, `${rows} rows: ${y[70]}`);
      t.true(y.every(Number.isFinite));
    }
  });

  test(`no rows, cancelled, bad input: as on the CPU [${backend}]`, async (t) => {
    const layer = randomLayer(6, 4, 1);
    using prepared = await Linear.create(layer);
    const x = new Float32Array(12);
    t.is((await prepared.run(new Float32Array(0), { backend })).length, 0);
    for (const way of [{ backend }, {}]) {
      await throwsTyped(t, () => prepared.run(x.subarray(1), way), { code: 'ERR_SHAPE', field: 'x' });
      await throwsTyped(t, () => prepared.run(x, { ...way, out: new Float32Array(7) }), {
        code: 'ERR_SHAPE',
        field: 'out',
      });
      await throwsTyped(t, () => prepared.run(x, { ...way, out: x.subarray(0, 8) }), {
        code: 'ERR_INPUT_VALUE',
        field: 'out',
      });
      await throwsTyped(t, () => prepared.run(x, { ...way, signal: AbortSignal.abort() }), {
        code: 'ERR_CANCELLED',
      });
    }
    await throwsTyped(t, () => prepared.run(x, { backend, device: 63 }), {
      name: 'BackendError',
      code: 'ERR_BACKEND',
    });
    prepared.dispose();
    await throwsTyped(t, () => prepared.run(x, { backend }), { code: 'ERR_DISPOSED' });
  });

  test(`one layer on the CPU and on the device by turns, many calls at once [${backend}]`, async (t) => {
    const layer = randomLayer(131, 90, 1);
    using prepared = await Linear.create({ ...layer, activation: 'gelu' });
    const inputs = [1, 3, 17, 33, 70].map((rows) => randomF32(rows * 131, rows));
    const cpu = await Promise.all(inputs.map((x) => prepared.run(x)));
    for (let turn = 0; turn < 2; turn++) {
      const results = await Promise.all(inputs.map((x) => prepared.run(x, { backend })));
      results.forEach((y, i) => {
        t.true(
          y.every((v, j) => Math.abs(v - cpu[i]![j]!) < 5e-5),
          `turn ${turn}, input ${i}`,
        );
      });
      t.deepEqual(await prepared.run(inputs[2]!), cpu[2]);
    }
  });
}
