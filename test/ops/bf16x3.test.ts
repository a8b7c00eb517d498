/** Products of operands in two bfloat16 parts: AMX's algorithm with its instructions in plain C++, and what this CPU has. */
import test from 'ava';
import { type NativeHandle, native } from '../../lib/native.js';
import { ISAS } from '../../lib/ops/exec.js';
import {
  type ExecOptions,
  Linear,
  type LinearLayer,
  LowRankFusion,
  TensorFusion,
} from '../../lib/ops/index.js';
import { randomF32, ways } from '../backends.js';
import { throwsTyped } from '../errors.js';
import { f32, loadGolden } from '../golden.js';
import { dense } from './oracle.js';

const SOFTWARE = 4; // enum class Precision: kBf16x3Software
const run = (isa: string, threads: number, precision: number) =>
  Int32Array.of(0, ISAS.indexOf(isa as 'avx2'), threads, 1, 0, precision);

/** y by the software twin of AMX's tile instructions. */
function softwareLinear(layer: LinearLayer, x: Float32Array, isa: string, threads: number): Float32Array {
  const { inFeatures, outFeatures, weight, bias } = layer;
  const exec = run(isa, threads, SOFTWARE);
  const addon = native();
  const handle = addon.linearPrepare(
    exec,
    undefined,
    inFeatures,
    outFeatures,
    weight,
    bias,
    0,
    0,
    0,
  ) as NativeHandle;
  return addon.linearRun(exec, undefined, handle, x.length / inFeatures, x, undefined) as Float32Array;
}

function randomLayer(inFeatures: number, outFeatures: number): LinearLayer {
  return {
    inFeatures,
    outFeatures,
    weight: randomF32(outFeatures * inFeatures, inFeatures),
    bias: randomF32(outFeatures, outFeatures),
  };
}

const SIZES: [inFeatures: number, outFeatures: number, rows: number][] = [
  [1, 1, 1],
  [2, 33, 4],
  [31, 16, 5],
  [32, 17, 16],
  [33, 32, 17],
  [383, 31, 12],
  [384, 48, 33],
  [385, 65, 47],
  [800, 40, 3],
  [70, 130, 300],
];

/** High parts miss 2^-9 of a number, both parts 2^-17; of a product that is two of those and 2^-18, and rounding. */
const BOUND = 2.5 * 2 ** -17;

function close(y: Float32Array, layer: LinearLayer, x: Float32Array): number {
  const exact = dense(x, layer);
  return y.reduce(
    (worst, v, i) => Math.max(worst, Math.abs(v - exact.y[i]!) / (exact.magnitude[i]! + 1e-30)),
    0,
  );
}

for (const { label, exec } of ways({ devices: false })) {
  test(`tiles: within the bound of split operands, rows alone as in a batch ${label}`, (t) => {
    for (const [inFeatures, outFeatures, rows] of SIZES) {
      const layer = randomLayer(inFeatures, outFeatures);
      const x = randomF32(rows * inFeatures, rows);
      const y = softwareLinear(layer, x, exec.isa, exec.threads);
      const worst = close(y, layer, x);
      t.true(worst <= BOUND + 2 ** -22, `${inFeatures} -> ${outFeatures}, ${rows} rows: ${worst}`);
      t.deepEqual(y, softwareLinear(layer, x, exec.isa, 1));
      for (const r of [0, rows - 1]) {
        t.deepEqual(
          softwareLinear(layer, x.subarray(r * inFeatures, (r + 1) * inFeatures), exec.isa, exec.threads),
          y.slice(r * outFeatures, (r + 1) * outFeatures),
        );
      }
    }
  });
}

test('tiles: NaN and infinity stay in their rows and columns, large numbers stay finite', (t) => {
  const layer = randomLayer(40, 35);
  const x = randomF32(18 * 40, 1);
  const clean = softwareLinear(layer, x, 'baseline', 1);
  x[3 * 40 + 7] = Number.NaN;
  x[17 * 40] = Number.NEGATIVE_INFINITY;
  layer.weight[20 * 40 + 39] = Number.POSITIVE_INFINITY;
  const y = softwareLinear(layer, x, 'baseline', 1);
  for (let i = 0; i < y.length; i++) {
    if ([3, 17].includes(Math.floor(i / 35)) || i % 35 === 20) t.false(Number.isFinite(y[i]));
    else t.is(y[i], clean[i]);
  }
  const large = { inFeatures: 1, outFeatures: 1, weight: Float32Array.of(1) };
  t.true(Math.abs(softwareLinear(large, Float32Array.of(3e38), 'baseline', 1)[0]! / 3e38 - 1) <= BOUND);
});

test('tiles: tensor fusion of the golden vectors within 2e-5 of the largest result', (t) => {
  const exec = run('baseline', 1, SOFTWARE);
  const addon = native();
  let seen = 0;
  for (const c of loadGolden('fusion')) {
    if (c.config.kind !== 'tfn_linear') continue;
    const dims = c.config.dims as number[];
    const rows = c.config.batch as number;
    const handle = addon.tensorFusionPrepare(
      exec,
      undefined,
      dims,
      c.config.out as number,
      f32(c, 'W'),
      f32(c, 'b'),
      0,
      0,
      0,
    ) as NativeHandle;
    const h = dims.map((_, m) => f32(c, `h${m}`));
    const y = addon.tensorFusionRun(exec, undefined, handle, rows, h, undefined, undefined) as Float32Array;
    const expected = f32(c, 'y');
    const top = expected.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
    const worst = y.reduce((most, v, i) => Math.max(most, Math.abs(v - expected[i]!)), 0);
    t.true(worst <= 2e-5 * top, `${c.name}: ${worst / top}`);
    seen++;
  }
  t.true(seen > 0);
});

test("'bf16x3' by this CPU's own instructions, or an error that says why not", async (t) => {
  const exec: ExecOptions = { precision: 'bf16x3' };
  const layer = randomLayer(50, 40);
  using first = await Linear.create(layer);
  try {
    first.runSync(new Float32Array(50), exec);
  } catch {
    await throwsTyped(t, () => first.run(new Float32Array(50), exec), {
      name: 'BackendError',
      code: 'ERR_BACKEND',
      field: 'precision',
      message: /AMX or AVX512-BF16/,
    });
    return;
  }
  for (const [inFeatures, outFeatures, rows] of SIZES) {
    const layer = randomLayer(inFeatures, outFeatures);
    const x = randomF32(rows * inFeatures, rows);
    using linear = await Linear.create(layer);
    const y = await linear.run(x, { ...exec, threads: 1 });
    const worst = close(y, layer, x);
    t.true(worst <= BOUND + 2 ** -22, `${inFeatures} -> ${outFeatures}, ${rows} rows: ${worst}`);
    for (const threads of [2, 3, 8]) t.deepEqual(await linear.run(x, { ...exec, threads }), y);
    const tiles = softwareLinear(layer, x, 'avx512', 1);
    const top = y.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
    t.true(
      tiles.every((v, i) => Math.abs(v - y[i]!) <= 5e-6 * top),
      'as the tiles give',
    );
  }
  const dims = [9, 12, 7];
  const h = dims.map((d, m) => randomF32(30 * d, m));
  const factors = dims.map((d, m) => randomF32(2 * (d + 1) * 33, 20 + m));
  for (const fusion of [
    await TensorFusion.create({ dims, outFeatures: 33, weight: randomF32(1040 * 33, 1) }),
    await LowRankFusion.create({ dims, rank: 2, outFeatures: 33, factors }),
  ]) {
    const expected = await fusion.run(h);
    const y = await fusion.run(h, exec);
    const top = expected.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
    const worst = y.reduce((most, v, i) => Math.max(most, Math.abs(v - expected[i]!)), 0);
    t.true(worst > 0 && worst <= 2e-5 * top, `${worst / top}`);
    fusion.dispose();
  }
});

test("'bf16x3' is refused on other backends and instruction sets", async (t) => {
  using layer = await Linear.create(randomLayer(4, 4));
  const x = new Float32Array(4);
  for (const exec of [{ isa: 'baseline' }, { backend: 'emulated' }] satisfies ExecOptions[]) {
    await throwsTyped(t, () => layer.run(x, { ...exec, precision: 'bf16x3' }), {
      name: 'BackendError',
      code: 'ERR_BACKEND',
      field: 'precision',
    });
  }
});
