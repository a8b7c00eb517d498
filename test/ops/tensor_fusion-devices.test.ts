/** Tensor fusion on devices: every kernel, window and split, every precision, what is absent and what is not finite. */
import test, { type ExecutionContext } from 'ava';
import { outerProduct, type Precision, TensorFusion, type TensorFusionLayer } from '../../lib/ops/index.js';
import { DEVICE_BACKENDS, randomF32 } from '../backends.js';
import { throwsTyped } from '../errors.js';
import { assertGolden, f32, loadGolden } from '../golden.js';
import { assertClose, dense, outerRow, type Reference } from './oracle.js';

const golden = loadGolden('fusion').filter((c) => c.config.kind === 'tfn_linear');

/** Relative to the largest result. */
const NMAX = { tf32: 2e-3, bf16: 2e-2 } as const;
const PRECISIONS = ['fp32', 'tf32', 'bf16'] as const;

const widthOf = (dims: readonly number[]) => dims.reduce((p, d) => p * (d + 1), 1);

function randomLayer(dims: readonly number[], outFeatures: number, seed: number): TensorFusionLayer {
  return {
    dims,
    outFeatures,
    weight: randomF32(outFeatures * widthOf(dims), seed),
    bias: randomF32(outFeatures, seed + 1, 3),
  };
}

const randomInputs = (dims: readonly number[], rows: number, seed: number) =>
  dims.map((d, m) => randomF32(rows * d, seed + 10 * m, 1 + m));

function reference(
  layer: TensorFusionLayer,
  h: Float32Array[],
  rows: number,
  present?: Uint8Array,
): Reference {
  const z = Array.from({ length: rows }, (_, r) => outerRow(h, layer.dims, r, present)).flat();
  return dense(z, { ...layer, inFeatures: widthOf(layer.dims) });
}

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

// dims, outFeatures, rows. Rows around the kernels' heights (8, 16, 32, 64, 128, 256), outFeatures around units of 16,
// warps of 64 and column tiles of 128, sizes around steps of 8 and 16, windows of 32 to 80 values, and sizes of 1.
const SHAPES: [number[], number, number][] = [
  [[1, 1], 1, 9],
  [[1, 1, 1, 1], 3, 33],
  [[8, 3], 16, 8],
  [[16, 3], 17, 16],
  [[17, 5], 15, 17],
  [[9, 1, 7], 64, 32],
  [[7, 6, 5], 65, 31],
  [[33, 2], 48, 63],
  [[32, 4], 80, 64],
  [[31, 3, 2], 33, 65],
  [[4, 15], 128, 127],
  [[8, 8], 127, 128],
  [[3, 9], 129, 129],
  [[5, 2], 200, 255],
  [[2, 7], 32, 257],
  [[81, 1], 5, 10],
  [[90, 85], 4, 11],
  [[3, 100, 2], 18, 40],
  [[4, 3, 5, 6], 20, 12],
  [[2, 1, 40, 3], 7, 70],
  [[12, 10, 9], 100, 1],
  [[12, 10, 9], 100, 2],
  [[5, 41, 3], 16, 3],
  [[90, 3], 130, 4],
  [[6, 5, 4, 3], 9, 5],
  [[1, 200], 65, 7],
];
// On a GPU with more multiprocessors than the emulated one it takes more to fill them.
const LARGE_SHAPES: [number[], number, number][] = [
  [[32, 32, 32], 128, 1],
  [[32, 32, 32], 128, 70],
  [[64, 48], 130, 1000],
  [[16, 15, 17], 64, 700],
];

for (const backend of DEVICE_BACKENDS) {
  for (const precision of PRECISIONS) {
    const exec = { backend, precision };
    const label = `[${backend} ${precision}]`;

    test(`kernels, windows and splits of every size against float64 ${label}`, async (t) => {
      for (const [dims, out, rows] of backend === 'cuda' ? [...SHAPES, ...LARGE_SHAPES] : SHAPES) {
        const layer = randomLayer(dims, out, rows);
        const h = randomInputs(dims, rows, out);
        const where = `${dims} -> ${out}, ${rows} rows ${label}`;
        using prepared = await TensorFusion.create(layer, exec);
        const y = await prepared.run(h, exec);
        assertPrecise(t, precision, y, reference(layer, h, rows), widthOf(dims), where);
        t.deepEqual(await prepared.run(h, exec), y, `${where}: again`);
      }
    });

    test(`golden layers ${label}`, async (t) => {
      t.true(golden.length > 0, 'no golden case was found');
      for (const c of golden) {
        const dims = c.config.dims as number[];
        using layer = await TensorFusion.create({
          dims,
          outFeatures: c.config.out as number,
          weight: f32(c, 'W', 1),
          bias: f32(c, 'b', 3),
        });
        const y = await layer.run(
          dims.map((_, m) => f32(c, `h${m}`, m)),
          exec,
        );
        assertGolden(t, c, 'y', y, label, precision === 'fp32' ? undefined : { nmax: NMAX[precision] });
      }
    });

    test(`any rows of a batch are as they are alone, absent modalities unread ${label}`, async (t) => {
      const dims = [9, 6, 7];
      const layer = { ...randomLayer(dims, 40, 3), activation: 'gelu' } as const;
      const plain = { ...layer, activation: 'none' } as const;
      using activated = await TensorFusion.create(layer);
      using prepared = await TensorFusion.create(plain);
      for (const rows of [1, 6, 8, 9, 30, 65]) {
        const h = randomInputs(dims, rows, rows);
        const present = Uint8Array.from({ length: rows * 3 }, (_, i) => ((i * 7 + rows) % 3 === 0 ? 0 : 1));
        const dirty = h.map((x, m) =>
          x.map((v, i) => (present[Math.floor(i / dims[m]!) * 3 + m] ? v : Number.NaN)),
        );
        const expected = reference(plain, h, rows, present);
        const y = await prepared.run(dirty, { ...exec, present });
        assertPrecise(t, precision, y, expected, widthOf(dims), `${rows} rows ${label}`);
        const smooth = await activated.run(dirty, { ...exec, present });
        const cpu = await activated.run(dirty, { present });
        const bound = precision === 'fp32' ? 1e-4 : NMAX[precision] * 20;
        t.true(
          smooth.every((v, i) => Math.abs(v - cpu[i]!) <= bound),
          `gelu, ${rows} rows ${label}`,
        );
      }
    });

    test(`what is not finite stays in its row and is what the CPU makes of it ${label}`, async (t) => {
      const dims = [6, 9, 5];
      const layer = randomLayer(dims, 35, 8);
      layer.weight.forEach((v, i) => {
        layer.weight[i] = Math.abs(v) + 0.01;
      });
      using prepared = await TensorFusion.create(layer);
      for (const rows of [4, 13, 40]) {
        const h = randomInputs(dims, rows, 5).map((x) => x.map((v) => Math.abs(v) + 0.1));
        const clean = await prepared.run(h, exec);
        h[0]![1] = Number.POSITIVE_INFINITY; // row 0: infinite times positive numbers alone
        h[1]![9 + 2] = Number.NaN; // row 1
        h[2]![2 * 5 + 4] = Number.NEGATIVE_INFINITY; // row 2
        h[0]![3 * 6] = Number.POSITIVE_INFINITY; // row 3: infinite less infinite
        h[1]![3 * 9] = -1;
        const y = await prepared.run(h, exec);
        const cpu = await prepared.run(h);
        for (let i = 0; i < y.length; i++) {
          const row = Math.floor(i / 35);
          t.is(y[i], row > 3 ? clean[i] : cpu[i], `row ${row} of ${rows} ${label}`);
          if (row === 0) t.is(y[i], Number.POSITIVE_INFINITY);
        }
      }
    });
  }

  test(`numbers that the matrix units round to infinity [${backend}]`, async (t) => {
    const layer: TensorFusionLayer = {
      dims: [1, 1],
      outFeatures: 2,
      weight: Float32Array.of(1, 0, 0, 0, 0, 0.5, 0, 0),
    };
    using prepared = await TensorFusion.create(layer);
    const rows = 12;
    const big = 3.4028e38; // a tenth of a TF32 unit below the largest float
    const h = [new Float32Array(rows).fill(big), new Float32Array(rows).fill(1)];
    const y = await prepared.run(h, { backend });
    const cpu = await prepared.run(h);
    t.deepEqual(y, cpu);
    t.true(y.every(Number.isFinite));
  });

  test(`weights that are not finite show in their column of every row [${backend}]`, async (t) => {
    const dims = [5, 4];
    const layer = randomLayer(dims, 20, 2);
    layer.weight[3 * 30 + 7] = Number.NaN;
    layer.weight[11 * 30 + 2] = Number.POSITIVE_INFINITY;
    using prepared = await TensorFusion.create(layer);
    for (const precision of PRECISIONS) {
      for (const rows of [3, 18]) {
        const h = randomInputs(dims, rows, 3).map((x) => x.map((v) => Math.abs(v) + 0.1));
        const y = await prepared.run(h, { backend, precision });
        y.forEach((v, i) => {
          const column = i % 20;
          const expected =
            column === 3 ? Number.NaN : column === 11 ? Number.POSITIVE_INFINITY : Number.isFinite(v) && v;
          t.is(v, expected as number, `row ${Math.floor(i / 20)}, column ${column} ${precision}`);
        });
      }
    }
  });

  test(`one prepared layer on the CPU and on a device by turns [${backend}]`, async (t) => {
    const dims = [7, 8];
    const layer = { ...randomLayer(dims, 30, 4), activation: 'leaky-relu', slope: 0.2 } as const;
    using prepared = await TensorFusion.create(layer);
    const h = randomInputs(dims, 21, 6);
    const cpu = await prepared.run(h);
    const device = await prepared.run(h, { backend });
    t.true(device.every((v, i) => Math.abs(v - cpu[i]!) <= 1e-5 * (1 + Math.abs(cpu[i]!))));
    t.deepEqual(await prepared.run(h), cpu);
    t.deepEqual(await prepared.run(h, { backend }), device);
    const out = new Float32Array(21 * 30 + 1).subarray(1);
    t.is(await prepared.run(h, { backend, out }), out);
    t.deepEqual(out, device);
  });

  test(`outer products of any width, at any place in four floats [${backend}]`, async (t) => {
    const shapes: [number[], number][] = [
      [[1, 1], 1],
      [[2, 2], 3],
      [[1, 2, 1], 5],
      [[6, 4, 2], 9],
      [[3, 2, 4, 1], 7],
      [[30, 40], 4],
      [[2, 500], 3],
    ];
    for (const [dims, rows] of shapes) {
      const h = randomInputs(dims, rows, rows);
      const present = Uint8Array.from({ length: rows * dims.length }, (_, i) => (i % 5 === 3 ? 0 : 1));
      for (const mask of [undefined, present]) {
        const z = await outerProduct(h, { backend, rows, present: mask });
        t.deepEqual(z, await outerProduct(h, { rows, present: mask }), `${dims}, ${rows} rows`);
      }
    }
  });

  test(`no rows, bad input and a signal as on the CPU [${backend}]`, async (t) => {
    const layer = randomLayer([3, 2], 4, 1);
    using prepared = await TensorFusion.create(layer);
    const none = [new Float32Array(0), new Float32Array(0)];
    t.is((await prepared.run(none, { backend })).length, 0);
    const h = randomInputs([3, 2], 2, 1);
    await throwsTyped(t, () => prepared.run([h[0]!], { backend }), { code: 'ERR_SHAPE', field: 'h' });
    await throwsTyped(t, () => prepared.run(h, { backend, present: new Uint8Array(3) }), {
      code: 'ERR_SHAPE',
      field: 'present',
    });
    await throwsTyped(t, () => prepared.run(h, { backend, out: h[0]! }), { code: 'ERR_SHAPE', field: 'out' });
    await throwsTyped(t, () => prepared.run(h, { backend, signal: AbortSignal.abort() }), {
      name: 'AbortError',
      code: 'ERR_CANCELLED',
    });
  });
}
