import test from 'ava';
import { type NativeHandle, native } from '../../lib/native.js';
import { activationSync, LowRankFusion, type LowRankFusionLayer, TensorFusion } from '../../lib/ops/index.js';
import { DEVICE_BACKENDS, randomF32, ways } from '../backends.js';
import { type ExpectedError, throwsTyped } from '../errors.js';
import { assertGolden, f32, loadGolden } from '../golden.js';
import { assertClose } from './oracle.js';

const golden = loadGolden('fusion').filter((c) => c.config.kind === 'lmf');

function randomLayer(dims: number[], rank: number, outFeatures: number, seed: number): LowRankFusionLayer {
  return {
    dims,
    rank,
    outFeatures,
    factors: dims.map((d, m) => randomF32(rank * (d + 1) * outFeatures, seed + m, m)),
    rankWeights: randomF32(rank, seed + 20),
    bias: randomF32(outFeatures, seed + 30, 3),
  };
}

const randomInputs = (dims: number[], rows: number, seed: number) =>
  dims.map((d, m) => randomF32(rows * d, seed + 10 * m, 1 + m));

/** float64, and the sum of the absolute values of all terms multiplied out. */
function reference(layer: LowRankFusionLayer, h: Float32Array[], rows: number, present?: Uint8Array) {
  const { dims, rank, outFeatures: n } = layer;
  const y = new Float64Array(rows * n);
  const magnitude = new Float64Array(rows * n);
  for (let b = 0; b < rows; b++) {
    for (let o = 0; o < n; o++) {
      let sum = layer.bias?.[o] ?? 0;
      let size = Math.abs(sum);
      for (let r = 0; r < rank; r++) {
        let product = layer.rankWeights?.[r] ?? 1;
        let bound = Math.abs(product);
        dims.forEach((d, m) => {
          const at = (i: number) => layer.factors[m]![(r * (d + 1) + i) * n + o]!;
          let dot = at(d);
          let dotSize = Math.abs(dot);
          if (!present || present[b * dims.length + m]) {
            for (let i = 0; i < d; i++) {
              dot += at(i) * h[m]![b * d + i]!;
              dotSize += Math.abs(at(i) * h[m]![b * d + i]!);
            }
          }
          product *= dot;
          bound *= dotSize;
        });
        sum += product;
        size += bound;
      }
      y[b * n + o] = sum;
      magnitude[b * n + o] = size;
    }
  }
  return { y, magnitude };
}

for (const { label, exec } of ways()) {
  test(`golden low-rank fusion, weighted and plain sums ${label}`, async (t) => {
    const seen = { weighted: 0, sum: 0 };
    for (const c of golden) {
      const dims = c.config.dims as number[];
      const weighted = c.tensors.rank_weights !== undefined;
      for (const offset of [0, 1, 3]) {
        using layer = await LowRankFusion.create(
          {
            dims,
            rank: c.config.rank as number,
            outFeatures: c.config.out as number,
            factors: dims.map((_, m) => f32(c, `F${m}`, offset)),
            rankWeights: weighted ? f32(c, 'rank_weights', offset) : undefined,
            bias: c.tensors.bias ? f32(c, 'bias', offset) : undefined,
          },
          exec,
        );
        const out = new Float32Array(c.tensors.y!.data.length + offset).subarray(offset);
        const h = dims.map((_, m) => f32(c, `h${m}`, offset));
        t.is(await layer.run(h, { ...exec, out }), out);
        assertGolden(t, c, 'y', out, label);
        seen[weighted ? 'weighted' : 'sum']++;
      }
    }
    t.true(seen.weighted > 0 && seen.sum > 0, 'no golden case was found');
  });

  test(`sizes around vectors and tiles, two to eight modalities, against float64 ${label}`, async (t) => {
    const sizes: [number[], number, number, number][] = [
      [[1, 1], 1, 1, 1],
      [[3, 5], 2, 33, 13],
      [[7, 8, 9], 3, 16, 12],
      [[16, 17, 3], 5, 31, 4],
      [[5, 400], 4, 7, 25],
      [[32, 9, 1, 6], 8, 15, 37],
      [[2, 3, 2, 3, 2, 3, 2, 3], 2, 5, 6],
      [[20, 10], 4, 50, 300],
      [[40, 33, 64], 4, 64, 70],
      [[300, 20], 3, 10, 8],
      [[1500, 9, 700], 9, 40, 2],
      [[33, 4], 1, 65, 66],
      [[64, 31, 40], 9, 17, 129],
      [[8, 36, 5, 64, 2, 7, 32, 40], 3, 15, 65],
      [[3, 4], 800, 1, 10],
    ];
    for (const [dims, rank, out, rows] of sizes) {
      const layer = randomLayer(dims, rank, out, rows);
      const h = randomInputs(dims, rows, out);
      const { y, magnitude } = reference(layer, h, rows);
      using prepared = await LowRankFusion.create(layer, exec);
      const got = await prepared.run(h, exec);
      const terms = Math.max(...dims) * dims.length + rank;
      assertClose(t, got, y, magnitude, terms, `${dims} rank ${rank} -> ${out}, ${rows} rows ${label}`);
    }
  });

  test(`a batch gives what its rows give alone ${label}`, async (t) => {
    const dims = [19, 27, 8];
    using layer = await LowRankFusion.create({ ...randomLayer(dims, 4, 41, 2), activation: 'silu' }, exec);
    const rows = 53;
    const h = randomInputs(dims, rows, 3);
    const whole = await layer.run(h, exec);
    for (const batch of [1, 3, 4, 5, 13]) {
      for (let r = 0; r + batch <= rows; r += batch) {
        const part = await layer.run(
          h.map((x, m) => x.subarray(r * dims[m]!, (r + batch) * dims[m]!)),
          exec,
        );
        const same = whole.slice(r * 41, (r + batch) * 41);
        if (exec.backend === 'cpu') t.deepEqual(part, same, `rows ${r}..${r + batch}`);
        else {
          const top = same.reduce((most, v) => Math.max(most, Math.abs(v)), 1);
          t.true(
            part.every((v, i) => Math.abs(v - same[i]!) < 2e-6 * top),
            `rows ${r}..${r + batch}`,
          );
        }
      }
    }
  });

  test(`absent modalities: only their 1 remains, NaN in them never shows ${label}`, async (t) => {
    const dims = [6, 5, 7];
    for (const rows of [1, 3, 8, 40, 150]) {
      const layer = randomLayer(dims, 3, 21, rows);
      const h = randomInputs(dims, rows, 4);
      const present = Uint8Array.from({ length: rows * 3 }, (_, i) => ((i * 7 + rows) % 3 === 0 ? 0 : 1));
      const dirty = h.map((x, m) =>
        x.map((v, i) => (present[Math.floor(i / dims[m]!) * 3 + m] ? v : Number.NaN)),
      );
      const { y, magnitude } = reference(layer, h, rows, present);
      using prepared = await LowRankFusion.create(layer, exec);
      const got = await prepared.run(dirty, { ...exec, present });
      assertClose(t, got, y, magnitude, 30, `${rows} rows ${label}`);
    }
  });
}

for (const backend of DEVICE_BACKENDS) {
  for (const [precision, nmax] of [
    ['tf32', 2e-3],
    ['bf16', 2e-2],
  ] as const) {
    test(`lower precision keeps to its share of the largest result [${backend} ${precision}]`, async (t) => {
      const exec = { backend, precision };
      for (const c of golden) {
        const dims = c.config.dims as number[];
        using layer = await LowRankFusion.create({
          dims,
          rank: c.config.rank as number,
          outFeatures: c.config.out as number,
          factors: dims.map((_, m) => f32(c, `F${m}`)),
          rankWeights: c.tensors.rank_weights ? f32(c, 'rank_weights') : undefined,
          bias: c.tensors.bias ? f32(c, 'bias') : undefined,
        });
        const h = dims.map((_, m) => f32(c, `h${m}`));
        assertGolden(t, c, 'y', await layer.run(h, exec), precision, { nmax });
      }
      for (const [dims, rank, out, rows] of [
        [[128, 64, 100], 4, 64, 1],
        [[128, 64, 100], 4, 64, 3],
        [[128, 64, 100], 4, 64, 21],
        [[64, 32], 4, 48, 130],
        [[65, 32, 70], 2, 70, 90],
      ] as const) {
        const layer = randomLayer([...dims], rank, out, rows);
        const h = randomInputs([...dims], rows, 4);
        const { y } = reference(layer, h, rows);
        const top = y.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
        using prepared = await LowRankFusion.create(layer);
        const got = await prepared.run(h, exec);
        const worst = got.reduce((most, v, i) => Math.max(most, Math.abs(v - y[i]!)), 0);
        t.true(worst <= nmax * top, `${dims} ${rows} rows: ${worst / top}`);
        t.deepEqual(await prepared.run(h, exec), got);
      }
    });
  }

  test(`NaN and infinity stay in their rows; no rows; one layer here and there by turns [${backend}]`, async (t) => {
    const dims = [30, 21];
    const layer = { ...randomLayer(dims, 3, 17, 1), activation: 'tanh' as const };
    using prepared = await LowRankFusion.create(layer, { backend });
    t.is((await prepared.run([new Float32Array(0), new Float32Array(0)], { backend })).length, 0);
    for (const rows of [4, 90]) {
      const h = randomInputs(dims, rows, 2);
      const clean = await prepared.run(h, { backend });
      h[0]![2 * 30 + 1] = Number.NaN;
      h[1]![3 * 21] = Number.POSITIVE_INFINITY;
      const [cpu, y, again] = [
        await prepared.run(h),
        await prepared.run(h, { backend }),
        await prepared.run(h),
      ];
      t.deepEqual(again, cpu);
      const other = y.findIndex((v, i) =>
        Math.floor(i / 17) === 2 || Math.floor(i / 17) === 3
          ? Number.isNaN(v) !== Number.isNaN(cpu[i]!)
          : v !== clean[i] || Math.abs(v - cpu[i]!) > 1e-5,
      );
      t.is(other, -1, `${rows} rows: ${y[other]}, on the CPU ${cpu[other]}`);
    }
    const h = randomInputs(dims, 3, 2);
    for (const way of [{}, { backend }]) {
      await throwsTyped(t, () => prepared.run([h[0]!, h[0]!], way), { code: 'ERR_SHAPE', field: 'h[1]' });
      await throwsTyped(t, () => prepared.run(h, { ...way, present: new Uint8Array(5) }), {
        code: 'ERR_SHAPE',
        field: 'present',
      });
      await throwsTyped(t, () => prepared.run(h, { ...way, signal: AbortSignal.abort() }), {
        code: 'ERR_CANCELLED',
      });
    }
  });
}

test('it is tensor fusion with the weights that its factors multiply out to', async (t) => {
  const dims = [4, 3, 5];
  const layer = randomLayer(dims, 3, 6, 1);
  const shape = dims.map((d) => d + 1);
  const width = shape.reduce((p, d) => p * d, 1);
  const weight = new Float32Array(6 * width);
  for (let o = 0; o < 6; o++) {
    for (let k = 0; k < width; k++) {
      const index = [
        Math.floor(k / (shape[1]! * shape[2]!)),
        Math.floor(k / shape[2]!) % shape[1]!,
        k % shape[2]!,
      ];
      for (let r = 0; r < 3; r++) {
        weight[o * width + k]! += index.reduce(
          (p, i, m) => p * layer.factors[m]![(r * shape[m]! + i) * 6 + o]!,
          layer.rankWeights![r]!,
        );
      }
    }
  }
  const h = randomInputs(dims, 11, 2);
  using low = await LowRankFusion.create(layer);
  using full = await TensorFusion.create({ dims, outFeatures: 6, weight, bias: layer.bias });
  const expected = await full.run(h);
  const top = Math.max(...expected.map(Math.abs));
  t.true((await low.run(h)).every((v, i) => Math.abs(v - expected[i]!) < 1e-5 * top));
  using relu = await LowRankFusion.create({ ...layer, activation: 'relu' });
  t.deepEqual(await relu.run(h), activationSync('relu', await low.run(h)));
});

test('every number of threads gives the same bits', async (t) => {
  for (const rows of [1, 5, 100, 1000]) {
    const dims = [128, 64, 100];
    using layer = await LowRankFusion.create(randomLayer(dims, 8, 64, rows));
    const h = randomInputs(dims, rows, 5);
    const one = await layer.run(h, { threads: 1 });
    for (const threads of [2, 3, 8]) {
      t.deepEqual(await layer.run(h, { threads }), one, `${rows} rows, ${threads} threads`);
    }
  }
});

test('bad input: typed errors that name the field', async (t) => {
  const layer = randomLayer([3, 2], 2, 4, 1);
  using prepared = await LowRankFusion.create(layer);
  const h = [new Float32Array(6), new Float32Array(4)];
  const create = (change: Partial<LowRankFusionLayer>) => () => LowRankFusion.create({ ...layer, ...change });
  const cases: [() => Promise<unknown>, ExpectedError][] = [
    [create({ dims: [3] }), { name: 'ShapeError', code: 'ERR_SHAPE', field: 'dims' }],
    [create({ dims: [3, 3] }), { code: 'ERR_SHAPE', field: 'factors[1]' }],
    [create({ factors: [layer.factors[0]!] }), { code: 'ERR_SHAPE', field: 'factors' }],
    [create({ factors: [layer.factors[0]!, [1] as never] }), { code: 'ERR_INPUT_TYPE', field: 'factors[1]' }],
    [create({ rank: 0 }), { code: 'ERR_SHAPE', field: 'rank' }],
    [create({ outFeatures: -1 }), { code: 'ERR_SHAPE', field: 'outFeatures' }],
    [create({ rankWeights: new Float32Array(3) }), { code: 'ERR_SHAPE', field: 'rankWeights' }],
    [create({ bias: new Float32Array(0) }), { code: 'ERR_SHAPE', field: 'bias' }],
    [create({ activation: 'softmax' as never }), { code: 'ERR_INPUT_VALUE', field: 'activation' }],
    [() => prepared.run([h[0]!, h[0]!]), { code: 'ERR_SHAPE', field: 'h[1]' }],
    [() => prepared.run(h, { present: new Uint8Array(5) }), { code: 'ERR_SHAPE', field: 'present' }],
    [() => prepared.run(h, { out: new Float32Array(9) }), { code: 'ERR_SHAPE', field: 'out' }],
    [() => prepared.run(h, { threads: 0 }), { code: 'ERR_INPUT_VALUE', field: 'threads' }],
  ];
  for (const [call, expected] of cases) await throwsTyped(t, call, expected);
  prepared.dispose();
  await throwsTyped(t, () => prepared.run(h), { name: 'DisposedError', code: 'ERR_DISPOSED' });
  const exec = Int32Array.of(0, 0, 1, 1, 0, 0);
  const error = t.throws(() =>
    native().lowRankFusionRun(exec, undefined, {} as NativeHandle, 1, [], undefined, undefined),
  );
  t.is((error as Error & { code?: string }).code, 'ERR_HANDLE');
});
