import { setImmediate as nextTurn } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import test from 'ava';
import { type NativeHandle, native } from '../../lib/native.js';
import { activationSync, Linear, type LinearLayer, linear } from '../../lib/ops/index.js';
import { random, randomF32, ways } from '../backends.js';
import { type ExpectedError, throwsTyped } from '../errors.js';
import { assertGolden, f32, loadGolden } from '../golden.js';
import { assertClose, dense } from './oracle.js';

const golden = loadGolden('layers').filter((c) => c.config.kind === 'linear');

function randomLayer(inFeatures: number, outFeatures: number, seed: number): LinearLayer {
  return {
    inFeatures,
    outFeatures,
    weight: randomF32(outFeatures * inFeatures, seed),
    bias: randomF32(outFeatures, seed + 1, 3),
  };
}

for (const { label, exec } of ways()) {
  test(`golden linear layers ${label}`, async (t) => {
    t.true(golden.length > 0, 'no golden case was found');
    for (const c of golden) {
      for (const offset of [0, 1, 3]) {
        const layer: LinearLayer = {
          inFeatures: c.config.in as number,
          outFeatures: c.config.out as number,
          weight: f32(c, 'W', offset),
          bias: c.config.bias ? f32(c, 'b', offset) : undefined,
        };
        const x = f32(c, 'x', offset);
        const y = await linear(x, layer, exec);
        assertGolden(t, c, 'y', y, label);
        using prepared = await Linear.create(layer, exec);
        const out = new Float32Array(y.length + offset).subarray(offset);
        t.is(await prepared.run(x, { ...exec, out }), out);
        t.deepEqual(out, y);
        t.deepEqual(prepared.runSync(x, exec), y);
      }
    }
  });

  test(`sizes around tiles, panels and blocks against float64 ${label}`, async (t) => {
    const rows = [1, 2, 3, 4, 5, 6, 7, 11, 12, 13, 24, 25, 37];
    const outs = [1, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 65, 100];
    const ins = [1, 2, 3, 5, 31, 64, 127, 383, 384, 385, 770, 1024];
    const next = random(5);
    const pick = (list: number[]) => list[Math.floor(next() * list.length)]!;
    const sizes = [
      ...rows.map((m) => [m, pick(ins), pick(outs)] as const),
      ...outs.map((n) => [pick(rows), pick(ins), n] as const),
      ...ins.map((k) => [pick(rows), k, pick(outs)] as const),
    ];
    for (const [m, k, n] of sizes) {
      const layer = randomLayer(k, n, m + k + n);
      const x = randomF32(m * k, k);
      const { y, magnitude } = dense(x, layer);
      assertClose(t, await linear(x, layer, exec), y, magnitude, k, `${m}x${k}->${n} ${label}`);
    }
  });

  test(`a batch gives what its rows give alone ${label}`, async (t) => {
    for (const [k, n] of [
      [385, 33],
      [100, 7],
      [800, 130],
      [1024, 40],
    ] as const) {
      using layer = await Linear.create({ ...randomLayer(k, n, k), activation: 'tanh' }, exec);
      const x = randomF32(29 * k, n);
      const whole = await layer.run(x, exec);
      for (const batch of [1, 2, 4, 5, 13]) {
        for (let r = 0; r + batch <= 29; r += batch) {
          const part = await layer.run(x.subarray(r * k, (r + batch) * k), exec);
          const same = whole.slice(r * n, (r + batch) * n);
          const where = `rows ${r}..${r + batch} of ${k}->${n}`;
          if (exec.backend === 'cpu') t.deepEqual(part, same, where);
          else
            t.true(
              part.every((v, i) => Math.abs(v - same[i]!) < 2e-4),
              where,
            );
        }
      }
    }
  });

  test(`NaN and infinity stay in their rows and columns ${label}`, async (t) => {
    const [m, k, n] = [14, 50, 40];
    const layer = randomLayer(k, n, 3);
    const x = randomF32(m * k, 4);
    const clean = await linear(x, layer, exec);
    x[2 * k + 7] = Number.NaN;
    x[13 * k] = Number.POSITIVE_INFINITY;
    layer.weight[39 * k + 1] = Number.NaN;
    const y = await linear(x, layer, exec);
    y.forEach((v, i) => {
      const touched = i % n === 39 || Math.floor(i / n) === 2 || Math.floor(i / n) === 13;
      if (touched ? Number.isFinite(v) : v !== clean[i]) t.fail(`element ${i}: ${v}`);
    });
    t.pass();
  });

  test(`the activation is that of the operator, fused ${label}`, async (t) => {
    const layer = randomLayer(33, 45, 8);
    const x = randomF32(13 * 33, 9);
    const plain = await linear(x, layer, exec);
    for (const activation of [
      'relu',
      'leaky-relu',
      'tanh',
      'sigmoid',
      'gelu',
      'gelu-tanh',
      'silu',
    ] as const) {
      const fused = await linear(x, { ...layer, activation, slope: 0.2 }, exec);
      const apart = activationSync(activation, plain, { ...exec, slope: 0.2 });
      if (exec.backend !== 'cuda') t.deepEqual(fused, apart, activation);
      else
        t.true(
          fused.every((v, i) => Math.abs(v - apart[i]!) < 1e-5),
          activation,
        );
    }
  });
}

test('linear: f(ax + by) = a f(x) + b f(y) without a bias', async (t) => {
  const layer = { ...randomLayer(300, 50, 1), bias: undefined };
  const [x, y] = [randomF32(9 * 300, 2), randomF32(9 * 300, 3)];
  const sum = x.map((v, i) => 2 * v - 0.5 * y[i]!);
  const [fx, fy, fsum] = await Promise.all([x, y, sum].map((v) => linear(v, layer)));
  t.true(fsum!.every((v, i) => Math.abs(v - (2 * fx![i]! - 0.5 * fy![i]!)) < 1e-4));
});

test('every number of threads gives the same bits, k split included', async (t) => {
  for (const [m, k, n] of [
    [1, 100_000, 20],
    [3, 60_001, 33],
    [13, 40_000, 5],
    [70, 3000, 200],
  ] as const) {
    using layer = await Linear.create(randomLayer(k, n, m));
    const x = randomF32(m * k, k);
    const one = await layer.run(x, { threads: 1 });
    for (const threads of [2, 3, 8, 16]) {
      t.deepEqual(await layer.run(x, { threads }), one, `${m}x${k}->${n}, ${threads} threads`);
    }
    const { y, magnitude } = dense(x, { ...randomLayer(k, n, m) });
    assertClose(t, one, y, magnitude, k, `${m}x${k}->${n}`);
  }
});

test('no rows: an empty result', async (t) => {
  const y = await linear(new Float32Array(0), randomLayer(3, 2, 1));
  t.is(y.length, 0);
});

test('bad input: typed errors that name the field', async (t) => {
  const layer = randomLayer(6, 4, 1);
  const x = new Float32Array(12);
  using prepared = await Linear.create(layer);
  const cases: [() => Promise<unknown>, ExpectedError][] = [
    [() => Linear.create({ ...layer, inFeatures: 5 }), { code: 'ERR_SHAPE', field: 'weight' }],
    [() => Linear.create({ ...layer, inFeatures: 0 }), { code: 'ERR_SHAPE', field: 'inFeatures' }],
    [() => Linear.create({ ...layer, outFeatures: 2.5 }), { code: 'ERR_INPUT_VALUE', field: 'outFeatures' }],
    [() => Linear.create({ ...layer, bias: new Float32Array(5) }), { code: 'ERR_SHAPE', field: 'bias' }],
    [() => Linear.create({ ...layer, weight: [1] as never }), { code: 'ERR_INPUT_TYPE', field: 'weight' }],
    [
      () => Linear.create({ ...layer, activation: 'swish' as never }),
      { code: 'ERR_INPUT_VALUE', field: 'activation' },
    ],
    [() => Linear.create({ ...layer, slope: Number.NaN }), { code: 'ERR_INPUT_VALUE', field: 'slope' }],
    [() => linear(x.subarray(1), layer), { code: 'ERR_SHAPE', field: 'x' }],
    [() => linear(x, { ...layer, weight: new Float32Array(23) }), { code: 'ERR_SHAPE', field: 'weight' }],
    [() => prepared.run(x.subarray(1)), { name: 'ShapeError', code: 'ERR_SHAPE', field: 'x' }],
    [() => prepared.run([1, 2] as never), { name: 'InputError', code: 'ERR_INPUT_TYPE', field: 'x' }],
    [() => prepared.run(undefined as never), { code: 'ERR_INPUT_TYPE', field: 'x' }],
    [() => prepared.run(x, { out: new Float32Array(7) }), { code: 'ERR_SHAPE', field: 'out' }],
    [() => prepared.run(x, { out: x.subarray(0, 8) }), { code: 'ERR_INPUT_VALUE', field: 'out' }],
    [() => prepared.run(x, { backend: 'opencl' as never }), { name: 'BackendError', code: 'ERR_BACKEND' }],
    [() => prepared.run(x, { signal: AbortSignal.abort() }), { name: 'AbortError', code: 'ERR_CANCELLED' }],
  ];
  for (const [call, expected] of cases) await throwsTyped(t, call, expected);
});

test('handles: disposed, of another class, none at all; disposed during a call', async (t) => {
  const layer = await Linear.create(randomLayer(512, 512, 1));
  const x = randomF32(256 * 512, 2);
  const expected = await layer.run(x);
  const running = [layer.run(x), layer.run(x)];
  layer.dispose();
  layer.dispose();
  t.true(layer.disposed);
  for (const y of await Promise.all(running)) t.deepEqual(y, expected);
  await throwsTyped(t, () => layer.run(x), { name: 'DisposedError', code: 'ERR_DISPOSED' });
  await throwsTyped(t, () => layer.runSync(x), { name: 'DisposedError', code: 'ERR_DISPOSED' });
  const exec = Int32Array.of(0, 0, 1, 1, 0, 0);
  for (const handle of [{}, undefined, 7, x]) {
    const error = t.throws(() =>
      native().linearRun(exec, undefined, handle as NativeHandle, 1, x, undefined),
    );
    t.is((error as Error & { code?: string }).code, 'ERR_HANDLE');
  }
});

test('many calls at once give what they give alone, and the event loop goes on', async (t) => {
  using layer = await Linear.create({ ...randomLayer(256, 96, 1), activation: 'gelu' });
  const inputs = Array.from({ length: 40 }, (_, i) => randomF32((1 + (i % 17)) * 256, i));
  const expected = inputs.map((x) => layer.runSync(x));
  let turns = 0;
  let done = false;
  const results = Promise.all(inputs.map((x, i) => layer.run(x, { threads: 1 + (i % 4) }))).finally(() => {
    done = true;
  });
  while (!done) {
    turns++;
    await nextTurn();
  }
  t.deepEqual(await results, expected);
  t.true(turns > 0);
});

test('two JS threads use the addon at once', async (t) => {
  const source = `
    const { parentPort, workerData } = require('node:worker_threads');
    import(workerData.ops).then(async ({ Linear }) => {
      const layer = await Linear.create(workerData.layer);
      const results = [];
      for (let i = 0; i < 50; i++) results.push(await layer.run(workerData.x));
      layer.dispose();
      parentPort.postMessage(results);
    });`;
  const layer = randomLayer(200, 70, 1);
  const x = randomF32(9 * 200, 2);
  const expected = await linear(x, layer);
  const workerData = { ops: new URL('../../lib/ops/index.js', import.meta.url).href, layer, x };
  const threads = [1, 2].map(
    () =>
      new Promise<Float32Array[]>((resolve, reject) => {
        const worker = new Worker(source, { eval: true, workerData });
        worker.on('message', resolve);
        worker.on('error', reject);
      }),
  );
  const here = Array.from({ length: 50 }, () => linear(x, layer));
  for (const results of [...(await Promise.all(threads)), await Promise.all(here)]) {
    t.is(results.length, 50);
    for (const y of results) t.deepEqual(y, expected);
  }
});
