import test from 'ava';
import { type NativeHandle, native } from '../../lib/native.js';
import {
  activationSync,
  Linear,
  outerProduct,
  TensorFusion,
  type TensorFusionLayer,
} from '../../lib/ops/index.js';
import { randomF32, ways } from '../backends.js';
import { type ExpectedError, throwsTyped } from '../errors.js';
import { assertGolden, f32, loadGolden } from '../golden.js';
import { assertClose, dense, outerRow } from './oracle.js';

const golden = loadGolden('fusion');

function randomLayer(dims: number[], outFeatures: number, seed: number): TensorFusionLayer {
  const width = dims.reduce((p, d) => p * (d + 1), 1);
  return {
    dims,
    outFeatures,
    weight: randomF32(outFeatures * width, seed),
    bias: randomF32(outFeatures, seed + 1, 3),
  };
}

const randomInputs = (dims: number[], rows: number, seed: number) =>
  dims.map((d, m) => randomF32(rows * d, seed + 10 * m, 1 + m));

/** Rows one after the other through the outer product in float64, rounded to float32 as the operator's factors are not. */
function reference(layer: TensorFusionLayer, h: Float32Array[], rows: number, present?: Uint8Array) {
  const width = layer.dims.reduce((p, d) => p * (d + 1), 1);
  const z = Array.from({ length: rows }, (_, r) => outerRow(h, layer.dims, r, present)).flat();
  return { width, ...dense(z, { ...layer, inFeatures: width }) };
}

for (const { label, exec } of ways()) {
  test(`golden outer products and tensor fusion layers ${label}`, async (t) => {
    const seen = { tfn: 0, tfn_linear: 0 };
    for (const c of golden) {
      const kind = c.config.kind;
      if (kind !== 'tfn' && kind !== 'tfn_linear') continue;
      const dims = c.config.dims as number[];
      for (const offset of [0, 1, 3]) {
        const h = dims.map((_, m) => f32(c, `h${m}`, offset));
        if (kind === 'tfn') {
          const z = await outerProduct(h, { ...exec, rows: c.config.batch as number });
          assertGolden(t, c, 'z', z, label);
        } else {
          using layer = await TensorFusion.create(
            {
              dims,
              outFeatures: c.config.out as number,
              weight: f32(c, 'W', offset),
              bias: f32(c, 'b', offset),
            },
            exec,
          );
          const out = new Float32Array(c.tensors.y!.data.length + offset).subarray(offset);
          t.is(await layer.run(h, { ...exec, out }), out);
          assertGolden(t, c, 'y', out, label);
        }
        seen[kind]++;
      }
    }
    t.true(seen.tfn > 0 && seen.tfn_linear > 0, 'no golden case was found');
  });

  test(`sizes around tiles and blocks, two to four modalities, against float64 ${label}`, async (t) => {
    const sizes: [number[], number, number][] = [
      [[1, 1], 1, 1],
      [[1, 1, 1, 1], 3, 5],
      [[3, 1, 2], 33, 13],
      [[7, 8], 31, 12],
      [[15, 16], 32, 4],
      [[16, 17, 3], 17, 7],
      [[5, 4, 3, 6], 20, 25],
      [[2, 400], 7, 6],
      [[400, 2], 7, 2],
      [[32, 9, 1], 65, 37],
      [[31, 1, 31], 5, 3],
    ];
    for (const [dims, out, rows] of sizes) {
      const layer = randomLayer(dims, out, rows);
      const h = randomInputs(dims, rows, out);
      const { width, y, magnitude } = reference(layer, h, rows);
      using prepared = await TensorFusion.create(layer, exec);
      assertClose(
        t,
        await prepared.run(h, exec),
        y,
        magnitude,
        width,
        `${dims} -> ${out}, ${rows} rows ${label}`,
      );
      const z = await outerProduct(h, { ...exec, rows });
      const expected = Array.from({ length: rows }, (_, r) => outerRow(h, dims, r)).flat();
      t.is(z.length, expected.length);
      t.true(z.every((v, i) => Math.abs(v - expected[i]!) <= 3e-7 * Math.abs(expected[i]!)));
    }
  });

  test(`absent modalities: only their 1 remains, NaN in them never shows ${label}`, async (t) => {
    const dims = [6, 5, 7];
    for (const rows of [1, 3, 8, 27]) {
      const layer = randomLayer(dims, 21, rows);
      const h = randomInputs(dims, rows, 4);
      const present = Uint8Array.from({ length: rows * 3 }, (_, i) => ((i * 7 + rows) % 3 === 0 ? 0 : 1));
      const dirty = h.map((x, m) =>
        x.map((v, i) => (present[Math.floor(i / dims[m]!) * 3 + m] ? v : Number.NaN)),
      );
      const { width, y, magnitude } = reference(layer, h, rows, present);
      using prepared = await TensorFusion.create(layer, exec);
      assertClose(
        t,
        await prepared.run(dirty, { ...exec, present }),
        y,
        magnitude,
        width,
        `${rows} rows ${label}`,
      );
      const z = await outerProduct(dirty, { ...exec, rows, present });
      t.deepEqual(
        z,
        await outerProduct(
          h.map((x, m) => x.map((v, i) => (present[Math.floor(i / dims[m]!) * 3 + m] ? v : 0))),
          { ...exec, rows },
        ),
      );
    }
  });

  test(`NaN and infinity stay in their rows ${label}`, async (t) => {
    const dims = [8, 9];
    const layer = randomLayer(dims, 33, 6);
    using prepared = await TensorFusion.create(layer, exec);
    for (const rows of [3, 20]) {
      const h = randomInputs(dims, rows, 7);
      const clean = await prepared.run(h, exec);
      h[1]![2 * 9 + 4] = Number.NaN;
      h[0]![0] = Number.POSITIVE_INFINITY;
      const y = await prepared.run(h, exec);
      for (let i = 0; i < y.length; i++) {
        const row = Math.floor(i / 33);
        if (row === 0 || row === 2) t.false(Number.isFinite(y[i]));
        else t.is(y[i], clean[i]);
      }
    }
  });
}

for (const { label, exec } of ways({ devices: false })) {
  test(`a batch gives what its rows give alone ${label}`, async (t) => {
    const dims = [9, 7, 8];
    using layer = await TensorFusion.create({ ...randomLayer(dims, 40, 2), activation: 'gelu' }, exec);
    const rows = 29;
    const h = randomInputs(dims, rows, 3);
    const whole = await layer.run(h, exec);
    for (const batch of [1, 3, 4, 5, 13]) {
      for (let r = 0; r + batch <= rows; r += batch) {
        const part = await layer.run(
          h.map((x, m) => x.subarray(r * dims[m]!, (r + batch) * dims[m]!)),
          exec,
        );
        t.deepEqual(part, whole.slice(r * 40, (r + batch) * 40), `rows ${r}..${r + batch}`);
      }
    }
  });
}

test('it equals the outer product through a linear layer, activation and all', async (t) => {
  const dims = [10, 11, 12];
  const layer = randomLayer(dims, 50, 1);
  const rows = 15;
  const h = randomInputs(dims, rows, 2);
  const z = await outerProduct(h, { rows });
  const { width, y, magnitude } = reference(layer, h, rows);
  using linear = await Linear.create({ ...layer, inFeatures: width });
  using fusion = await TensorFusion.create(layer);
  t.deepEqual(await fusion.run(h), await linear.run(z), 'the same sums in the same order');
  assertClose(t, await fusion.run(h), y, magnitude, width, 'float64');
  using relu = await TensorFusion.create({ ...layer, activation: 'leaky-relu', slope: 0.3 });
  t.deepEqual(await relu.run(h), activationSync('leaky-relu', await fusion.run(h), { slope: 0.3 }));
});

test('it is linear in each modality alone, the appended 1 apart', async (t) => {
  const dims = [6, 7, 5];
  using layer = await TensorFusion.create({ ...randomLayer(dims, 9, 1), bias: undefined });
  const [a, b, c] = randomInputs(dims, 4, 2) as [Float32Array, Float32Array, Float32Array];
  const at = (scale: number) => layer.run([a, b.map((v) => v * scale), c]);
  const [y0, y1, y2] = await Promise.all([at(0), at(1), at(2)]);
  t.true(y2.every((v, i) => Math.abs(v - y0[i]! - 2 * (y1[i]! - y0[i]!)) < 1e-4));
});

test('every number of threads gives the same bits, k split included', async (t) => {
  for (const [dims, out, rows] of [
    [[40, 40, 30], 24, 1],
    [[40, 40, 30], 24, 9],
    [[24, 24, 24], 100, 40],
    [[4, 4, 4], 10, 4000],
  ] as const) {
    using layer = await TensorFusion.create(randomLayer([...dims], out, rows));
    const h = randomInputs([...dims], rows, 5);
    const one = await layer.run(h, { threads: 1 });
    for (const threads of [2, 3, 8, 16]) {
      t.deepEqual(
        await layer.run(h, { threads }),
        one,
        `${dims} -> ${out}, ${rows} rows, ${threads} threads`,
      );
    }
  }
});

test('no rows: an empty result', async (t) => {
  using layer = await TensorFusion.create(randomLayer([3, 2], 4, 1));
  t.is((await layer.run([new Float32Array(0), new Float32Array(0)])).length, 0);
});

test('bad input: typed errors that name the field and point to low-rank fusion', async (t) => {
  const dims = [3, 2];
  const layer = randomLayer(dims, 4, 1);
  using prepared = await TensorFusion.create(layer);
  const h = [new Float32Array(6), new Float32Array(4)];
  const create = (change: Partial<TensorFusionLayer>) => () => TensorFusion.create({ ...layer, ...change });
  const cases: [() => Promise<unknown>, ExpectedError][] = [
    [create({ dims: [3] }), { name: 'ShapeError', code: 'ERR_SHAPE', field: 'dims' }],
    [create({ dims: [3, 2, 1, 1, 1] }), { code: 'ERR_SHAPE', field: 'dims' }],
    [create({ dims: [3, 0] }), { code: 'ERR_SHAPE', field: 'dims' }],
    [create({ dims: [3, 2.5] }), { code: 'ERR_INPUT_VALUE', field: 'dims' }],
    [create({ dims: [3, 3] }), { code: 'ERR_SHAPE', field: 'weight' }],
    [
      create({ dims: [32, 32, 32, 32], outFeatures: 128 }),
      { code: 'ERR_SHAPE', field: 'dims', message: /607 MB.*low-rank fusion/ },
    ],
    [create({ dims: [65535, 65535, 65535, 65535] }), { code: 'ERR_SHAPE', field: 'dims' }],
    [create({ outFeatures: 0 }), { code: 'ERR_SHAPE', field: 'outFeatures' }],
    [create({ bias: new Float32Array(3) }), { code: 'ERR_SHAPE', field: 'bias' }],
    [create({ bias: new Float32Array(0) }), { code: 'ERR_SHAPE', field: 'bias' }],
    [create({ activation: 'softmax' as never }), { code: 'ERR_INPUT_VALUE', field: 'activation' }],
    [() => prepared.run([h[0]!]), { code: 'ERR_SHAPE', field: 'h' }],
    [() => prepared.run([h[0]!, h[0]!]), { code: 'ERR_SHAPE', field: 'h[1]' }],
    [() => prepared.run([h[0]!, [1, 2, 3, 4] as never]), { code: 'ERR_INPUT_TYPE', field: 'h[1]' }],
    [() => prepared.run(undefined as never), { code: 'ERR_INPUT_TYPE', field: 'h' }],
    [() => prepared.run(h, { present: new Uint8Array(3) }), { code: 'ERR_SHAPE', field: 'present' }],
    [() => prepared.run(h, { present: [1] as never }), { code: 'ERR_INPUT_TYPE', field: 'present' }],
    [() => prepared.run(h, { out: new Float32Array(9) }), { code: 'ERR_SHAPE', field: 'out' }],
    [
      () => outerProduct([new Float32Array(4), new Float32Array(3)], { out: new Float32Array(19) }),
      { code: 'ERR_SHAPE', field: 'out' },
    ],
    [
      () => {
        const memory = new Float32Array(12);
        return prepared.run([h[0]!, memory.subarray(0, 4)], { out: memory.subarray(2, 10) });
      },
      { code: 'ERR_INPUT_VALUE', field: 'out' },
    ],
    [() => outerProduct([h[0]!]), { code: 'ERR_SHAPE', field: 'dims' }],
    [() => outerProduct(h, { rows: 3 }), { code: 'ERR_SHAPE', field: 'h[1]' }],
    [
      () => outerProduct([new Float32Array(1000), new Float32Array(1000), new Float32Array(1000)]),
      { code: 'ERR_SHAPE', field: 'h', message: /LowRankFusion/ },
    ],
    [() => prepared.run(h, { signal: AbortSignal.abort() }), { name: 'AbortError', code: 'ERR_CANCELLED' }],
  ];
  for (const [call, expected] of cases) await throwsTyped(t, call, expected);
});

test('handles: disposed, disposed during a call, of another class', async (t) => {
  const layer = await TensorFusion.create(randomLayer([20, 20, 20], 64, 1));
  const h = randomInputs([20, 20, 20], 64, 2);
  const expected = await layer.run(h);
  const running = [layer.run(h), layer.run(h)];
  layer.dispose();
  for (const y of await Promise.all(running)) t.deepEqual(y, expected);
  await throwsTyped(t, () => layer.run(h), { name: 'DisposedError', code: 'ERR_DISPOSED' });

  const exec = Int32Array.of(0, 0, 1, 1, 0, 0);
  const linear = native().linearPrepare(
    exec,
    undefined,
    1,
    1,
    new Float32Array(1),
    undefined,
    0,
    0,
    0,
  ) as NativeHandle;
  const error = t.throws(
    () => native().tensorFusionRun(exec, undefined, linear, 1, [], undefined, undefined),
    {
      message: /TensorFusion.*Linear/,
    },
  );
  t.is((error as Error & { code?: string }).code, 'ERR_HANDLE');
  native().releaseHandle(linear);
  const gone = t.throws(() => native().linearRun(exec, undefined, linear, 0, new Float32Array(0), undefined));
  t.is((gone as Error & { code?: string }).code, 'ERR_DISPOSED');
});

test('a signal ends a long call', async (t) => {
  const dims = [63, 63, 63];
  using layer = await TensorFusion.create(randomLayer(dims, 32, 1));
  const h = randomInputs(dims, 512, 2);
  const control = new AbortController();
  const calls = Array.from({ length: 4 }, () => layer.run(h, { signal: control.signal, threads: 2 }));
  setTimeout(() => control.abort(), 1);
  for (const outcome of await Promise.allSettled(calls)) {
    t.is(outcome.status === 'rejected' && outcome.reason.code, 'ERR_CANCELLED');
  }
});
