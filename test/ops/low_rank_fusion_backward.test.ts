import test from 'ava';
import {
  LowRankFusion,
  type LowRankFusionInput,
  lowRankFusionBackward,
  lowRankFusionForward,
} from '../../lib/ops/index.js';
import { randomF32, ways } from '../backends.js';
import { type ExpectedError, throwsTyped } from '../errors.js';
import { assertGolden, f32, loadGolden } from '../golden.js';

const golden = loadGolden('fusion').filter((c) => c.config.kind === 'lmf' && c.tensors.d_h0 !== undefined);

interface Problem extends LowRankFusionInput {
  rows: number;
  bias: Float32Array;
  dy: Float32Array;
}

interface Options {
  masked?: boolean;
  weighted?: boolean;
}

function problem(
  dims: number[],
  rank: number,
  outFeatures: number,
  rows: number,
  { masked = true, weighted = true }: Options = {},
): Problem {
  return {
    dims,
    rank,
    outFeatures,
    rows,
    h: dims.map((d, m) => randomF32(rows * d, 7 + m, m)),
    factors: dims.map((d, m) => randomF32(rank * (d + 1) * outFeatures, 17 + m, 3).map((v) => v * 0.5)),
    rankWeights: weighted ? randomF32(rank, 3) : undefined,
    bias: randomF32(outFeatures, 4),
    dy: randomF32(rows * outFeatures, 5, 2),
    present: masked
      ? Uint8Array.from({ length: rows * dims.length }, (_, i) => ((i * 7 + rows) % 3 === 0 ? 0 : 1))
      : undefined,
  };
}

/** Everything in float64, straight from the definition. */
function reference(p: Problem) {
  const { dims, rank, outFeatures: out, rows } = p;
  const modes = dims.length;
  const y = new Float64Array(rows * out);
  const h = dims.map((d) => new Float64Array(rows * d));
  const factors = p.factors.map((f) => new Float64Array(f.length));
  const rankWeights = new Float64Array(rank);
  const bias = new Float64Array(out);
  for (let row = 0; row < rows; row++) {
    const value = (m: number, i: number) =>
      i === dims[m] ? 1 : p.present?.[row * modes + m] === 0 ? 0 : p.h[m]![row * dims[m]! + i]!;
    for (let o = 0; o < out; o++) {
      const g = p.dy[row * out + o]!;
      let sum = p.bias[o]!;
      bias[o]! += g;
      for (let r = 0; r < rank; r++) {
        const w = p.rankWeights?.[r] ?? 1;
        const at = (m: number, i: number) => (r * (dims[m]! + 1) + i) * out + o;
        const projected = dims.map((d, m) => {
          let s = 0;
          for (let i = 0; i <= d; i++) s += value(m, i) * p.factors[m]![at(m, i)]!;
          return s;
        });
        const product = projected.reduce((a, b) => a * b, 1);
        sum += w * product;
        rankWeights[r]! += g * product;
        for (let m = 0; m < modes; m++) {
          const others = projected.reduce((a, b, n) => (n === m ? a : a * b), g * w);
          for (let i = 0; i <= dims[m]!; i++) {
            factors[m]![at(m, i)]! += others * value(m, i);
            if (i < dims[m]! && p.present?.[row * modes + m] !== 0) {
              h[m]![row * dims[m]! + i]! += others * p.factors[m]![at(m, i)]!;
            }
          }
        }
      }
      y[row * out + o] = sum;
    }
  }
  return { y, h, factors, rankWeights, bias };
}

/** Largest difference, in units of the reference's largest element. */
function worst(got: ArrayLike<number>, ref: ArrayLike<number>): number {
  let top = 1e-30;
  let error = 0;
  for (let i = 0; i < ref.length; i++) {
    top = Math.max(top, Math.abs(ref[i] as number));
    error = Math.max(error, Math.abs((got[i] as number) - (ref[i] as number)));
  }
  return got.length === ref.length ? error / top : Number.POSITIVE_INFINITY;
}

const SHAPES: [number[], number, number, number][] = [
  [[1, 1], 1, 1, 1],
  [[3, 4], 2, 5, 7],
  [[16, 17, 18], 4, 40, 33],
  [[5, 3, 2, 4, 6, 2, 3, 1], 3, 7, 40],
  [[20, 30], 8, 32, 12],
  [[12, 6], 20, 3, 65],
  [[2, 400], 3, 33, 3],
];

for (const { label, exec } of ways()) {
  test(`golden gradients ${label}`, async (t) => {
    t.true(golden.length > 0, 'no golden case was found');
    for (const c of golden) {
      const dims = c.config.dims as number[];
      for (const offset of [0, 1, 3]) {
        const weighted = c.config.weighted as boolean;
        const input = {
          dims,
          rank: c.config.rank as number,
          outFeatures: c.config.out as number,
          h: dims.map((_, m) => f32(c, `h${m}`, offset)),
          factors: dims.map((_, m) => f32(c, `F${m}`, offset)),
          rankWeights: weighted ? f32(c, 'rank_weights', offset) : undefined,
        };
        const bias = weighted ? f32(c, 'bias', offset) : undefined;
        assertGolden(t, c, 'y', await lowRankFusionForward({ ...input, bias }, exec), label);
        const got = await lowRankFusionBackward({ ...input, dy: f32(c, 'grad_y', offset) }, exec);
        dims.forEach((_, m) => {
          assertGolden(t, c, `d_h${m}`, got.h[m]!, label);
          assertGolden(t, c, `d_F${m}`, got.factors[m]!, label);
        });
        if (!weighted) continue;
        assertGolden(t, c, 'd_rank_weights', got.rankWeights, label);
        assertGolden(t, c, 'd_bias', got.bias, label);
      }
    }
  });

  test(`odd shapes, absent modalities, NaN where nothing may look: against float64 ${label}`, async (t) => {
    for (const [dims, rank, out, rows] of SHAPES) {
      for (const options of [{ masked: false }, { weighted: false }]) {
        const p = problem(dims, rank, out, rows, options);
        const ref = reference(p);
        const h = p.h.map((x, m) =>
          x.map((v, i) => (p.present?.[Math.floor(i / dims[m]!) * dims.length + m] === 0 ? Number.NaN : v)),
        );
        const where = `${dims} rank ${rank} -> ${out}, ${rows} rows ${JSON.stringify(options)} ${label}`;
        t.true(worst(await lowRankFusionForward({ ...p, h }, exec), ref.y) < 5e-6, `y ${where}`);
        const got = await lowRankFusionBackward({ ...p, h }, exec);
        dims.forEach((_, m) => {
          t.true(worst(got.h[m]!, ref.h[m]!) < 1e-5, `dh${m} ${where}`);
          t.true(worst(got.factors[m]!, ref.factors[m]!) < 1e-5, `dF${m} ${where}`);
        });
        t.true(worst(got.rankWeights, ref.rankWeights) < 1e-5, `dw ${where}`);
        t.true(worst(got.bias, ref.bias) < 1e-5, `db ${where}`);
      }
    }
  });

  test(`a projection of exactly 0 has its gradient, and NaN stays in its row ${label}`, async (t) => {
    const p = problem([4, 3, 5], 2, 6, 37, { masked: false });
    const zero = { ...p, factors: p.factors.map((f, m) => (m === 1 ? new Float32Array(f.length) : f)) };
    const ref = reference(zero);
    const got = await lowRankFusionBackward(zero, exec);
    t.true(worst(got.factors[1]!, ref.factors[1]!) < 1e-5);
    t.true(got.factors[1]!.some((v) => v !== 0));
    t.true(got.factors[0]!.every((v) => v === 0));
    const clean = await lowRankFusionBackward(p, exec);
    const h = p.h.map((x) => x.slice());
    h[2]![33 * 5 + 1] = Number.NaN;
    const dirty = await lowRankFusionBackward({ ...p, h }, exec);
    dirty.h.forEach((dh, m) => {
      for (let i = 0; i < dh.length; i++) {
        const row = Math.floor(i / p.dims[m]!);
        if (row !== 33) t.is(dh[i], clean.h[m]![i]);
        else t.is(Number.isNaN(dh[i]), m !== 2);
      }
    });
  });
}

test('every number of threads gives the same bits', async (t) => {
  for (const [dims, rank, out, rows] of [
    [[40, 30, 20], 8, 64, 64],
    [[20, 10], 16, 1, 500],
    [[300, 5], 3, 50, 9],
  ] as const) {
    const p = problem([...dims], rank, out, rows);
    const one = await lowRankFusionBackward(p, { threads: 1 });
    const y = await lowRankFusionForward(p, { threads: 1 });
    for (const threads of [2, 3, 8, 16]) {
      t.deepEqual(await lowRankFusionBackward(p, { threads }), one, `${dims}, ${threads} threads`);
      t.deepEqual(await lowRankFusionForward(p, { threads }), y, `${dims}, ${threads} threads`);
    }
  }
});

test('training and serving agree', async (t) => {
  const p = problem([12, 9, 8], 5, 21, 70);
  using served = await LowRankFusion.create(p);
  t.true(worst(await lowRankFusionForward(p), await served.run(p.h, { present: p.present })) < 2e-6);
});

test('central differences of y along random directions', async (t) => {
  const p = problem([5, 4, 6], 3, 7, 9);
  const loss = async (q: Problem) =>
    (await lowRankFusionForward(q)).reduce((sum, v, i) => sum + v * p.dy[i]!, 0);
  const got = await lowRankFusionBackward(p);
  const step = 2 ** -6;
  const along = async (gradient: Float32Array, change: (direction: Float32Array, s: number) => Problem) => {
    const direction = randomF32(gradient.length, 21, 0);
    const slope = gradient.reduce((sum, g, i) => sum + g * direction[i]!, 0);
    // y is linear in each array alone, so the difference is exact but for rounding.
    const numeric =
      ((await loss(change(direction, step))) - (await loss(change(direction, -step)))) / (2 * step);
    t.true(Math.abs(numeric - slope) <= 2e-3 * (1 + Math.abs(slope)), `${numeric} for ${slope}`);
  };
  const moved = (x: Float32Array, d: Float32Array, s: number) => x.map((v, i) => v + s * d[i]!);
  await along(got.rankWeights, (d, s) => ({ ...p, rankWeights: moved(p.rankWeights!, d, s) }));
  await along(got.bias, (d, s) => ({ ...p, bias: moved(p.bias, d, s) }));
  for (let m = 0; m < 3; m++) {
    const swap = (list: readonly Float32Array[], d: Float32Array, s: number) =>
      list.map((x, n) => (n === m ? moved(x, d, s) : x));
    await along(got.h[m]!, (d, s) => ({ ...p, h: swap(p.h, d, s) }));
    await along(got.factors[m]!, (d, s) => ({ ...p, factors: swap(p.factors, d, s) }));
  }
});

for (const { label, exec } of ways()) {
  test(`no rows: zero gradients ${label}`, async (t) => {
    const p = problem([3, 2], 2, 4, 0);
    t.is((await lowRankFusionForward(p, exec)).length, 0);
    t.deepEqual(await lowRankFusionBackward(p, exec), {
      h: [new Float32Array(0), new Float32Array(0)],
      factors: [new Float32Array(32), new Float32Array(24)],
      rankWeights: new Float32Array(2),
      bias: new Float32Array(4),
    });
  });
}

test('bad input: typed errors that name the field', async (t) => {
  const p = problem([3, 2], 2, 4, 2, { masked: false });
  const cases: [() => Promise<unknown>, ExpectedError][] = [];
  for (const run of [lowRankFusionBackward, lowRankFusionForward]) {
    const call = (change: Partial<Problem>) => () => run({ ...p, ...change });
    cases.push(
      [call({ dims: [3] }), { name: 'ShapeError', code: 'ERR_SHAPE', field: 'dims' }],
      [call({ rank: 0 }), { code: 'ERR_SHAPE', field: 'rank' }],
      [call({ outFeatures: 3 }), { code: 'ERR_SHAPE', field: 'factors[0]' }],
      [call({ factors: [p.factors[0]!] }), { code: 'ERR_SHAPE', field: 'factors' }],
      [call({ rankWeights: new Float32Array(3) }), { code: 'ERR_SHAPE', field: 'rankWeights' }],
      [call({ h: [p.h[0]!, p.h[0]!] }), { code: 'ERR_SHAPE', field: 'h[1]' }],
      [call({ present: new Uint8Array(3) }), { code: 'ERR_SHAPE', field: 'present' }],
    );
  }
  cases.push(
    [
      () => lowRankFusionBackward({ ...p, dy: new Float32Array(7) }),
      { code: 'ERR_SHAPE', field: 'dy', message: /\(2, 4\)/ },
    ],
    [() => lowRankFusionForward({ ...p, bias: new Float32Array(3) }), { code: 'ERR_SHAPE', field: 'bias' }],
    [
      () => lowRankFusionBackward(p, { signal: AbortSignal.abort() }),
      { name: 'AbortError', code: 'ERR_CANCELLED' },
    ],
  );
  for (const [call, expected] of cases) await throwsTyped(t, call, expected);
});
