import test from 'ava';
import { linear, linearBackward } from '../../lib/ops/index.js';
import { random, randomF32, ways } from '../backends.js';
import { type ExpectedError, throwsTyped } from '../errors.js';
import { assertGolden, f32, loadGolden } from '../golden.js';
import { assertClose } from './oracle.js';

const golden = loadGolden('layers').filter((c) => c.config.kind === 'linear' && c.tensors.grad_y);

/** c[i][j] = Σ_k a(i, k) b(k, j), and the sum of the terms' absolute values. */
function product(
  [m, k, n]: readonly [number, number, number],
  a: (i: number, k: number) => number,
  b: (k: number, j: number) => number,
) {
  const y = new Float64Array(m * n);
  const magnitude = new Float64Array(m * n);
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < n; j++) {
      for (let q = 0; q < k; q++) {
        const term = a(i, q) * b(q, j);
        y[i * n + j]! += term;
        magnitude[i * n + j]! += Math.abs(term);
      }
    }
  }
  return { y, magnitude };
}

function problem(rows: number, inFeatures: number, outFeatures: number, seed: number) {
  return {
    inFeatures,
    outFeatures,
    x: randomF32(rows * inFeatures, seed),
    weight: randomF32(inFeatures * outFeatures, seed + 1, 3),
    dy: randomF32(rows * outFeatures, seed + 2, 2),
  };
}

for (const { label, exec } of ways()) {
  test(`golden gradients of linear layers ${label}`, async (t) => {
    t.true(golden.length > 0, 'no golden case was found');
    for (const c of golden) {
      for (const offset of [0, 1, 3]) {
        const input = {
          inFeatures: c.config.in as number,
          outFeatures: c.config.out as number,
          x: f32(c, 'x', offset),
          weight: f32(c, 'W', offset),
          dy: f32(c, 'grad_y', offset),
        };
        const { dx, dW, db } = await linearBackward(input, exec);
        assertGolden(t, c, 'd_x', dx!, label);
        assertGolden(t, c, 'd_W', dW, label);
        if (c.config.bias) assertGolden(t, c, 'd_b', db, label);
        const without = await linearBackward(input, { ...exec, inputGradient: false });
        t.is(without.dx, undefined);
        t.deepEqual([without.dW, without.db], [dW, db]);
      }
    }
  });

  test(`sizes around tiles, panels and blocks against float64 ${label}`, async (t) => {
    const sizes = [1, 2, 5, 6, 7, 12, 13, 31, 32, 33, 65, 100, 383, 385, 770];
    const next = random(3);
    const pick = (most: number) => sizes.filter((s) => s <= most)[Math.floor(next() * sizes.length) % 11]!;
    for (const size of sizes) {
      for (const at of [0, 1, 2]) {
        const [m, k, n] = [0, 1, 2].map((i) => (i === at ? size : pick(100))) as [number, number, number];
        const input = problem(m, k, n, size);
        const { dx, dW, db } = await linearBackward(input, exec);
        const { x, weight, dy } = input;
        const where = `${m}x${k}->${n} ${label}`;
        const ofX = product(
          [m, n, k],
          (i, o) => dy[i * n + o]!,
          (o, j) => weight[o * k + j]!,
        );
        const ofW = product(
          [n, m, k],
          (o, r) => dy[r * n + o]!,
          (r, j) => x[r * k + j]!,
        );
        const ofB = product(
          [1, m, n],
          () => 1,
          (r, o) => dy[r * n + o]!,
        );
        assertClose(t, dx!, ofX.y, ofX.magnitude, n, `dx ${where}`);
        assertClose(t, dW, ofW.y, ofW.magnitude, m, `dW ${where}`);
        assertClose(t, db, ofB.y, ofB.magnitude, m, `db ${where}`);
      }
    }
  });

  test(`the gradients are those of the forward layer: a step along them changes it so ${label}`, async (t) => {
    // f = Σ dy ⊙ y is linear in x, W and b each, so differences are exact up to rounding.
    const [m, k, n] = [9, 37, 21];
    const input = problem(m, k, n, 8);
    const bias = randomF32(n, 5);
    const { dx, dW, db } = await linearBackward(input, exec);
    const value = async (x: Float32Array, weight: Float32Array, b: Float32Array) => {
      const y = await linear(x, { inFeatures: k, outFeatures: n, weight, bias: b }, exec);
      return y.reduce((sum, v, i) => sum + v * input.dy[i]!, 0);
    };
    const at = await value(input.x, input.weight, bias);
    const along = (a: Float32Array, d: Float32Array) => a.map((v, i) => v + d[i]!);
    const dot = (d: Float32Array, g: Float32Array) => d.reduce((sum, v, i) => sum + v * g[i]!, 0);
    const [sx, sW, sb] = [randomF32(m * k, 11), randomF32(k * n, 12), randomF32(n, 13)];
    const cases: [string, number, number][] = [
      ['x', await value(along(input.x, sx), input.weight, bias), dot(sx, dx!)],
      ['W', await value(input.x, along(input.weight, sW), bias), dot(sW, dW)],
      ['b', await value(input.x, input.weight, along(bias, sb)), dot(sb, db)],
    ];
    for (const [what, there, slope] of cases) {
      t.true(
        Math.abs(there - at - slope) < 2e-3 * Math.max(1, Math.abs(slope)),
        `${what}: ${there - at}, ${slope}`,
      );
    }
  });

  test(`NaN and infinity stay in their rows and columns ${label}`, async (t) => {
    const [m, k, n] = [14, 50, 40];
    const input = problem(m, k, n, 3);
    const clean = await linearBackward(input, exec);
    input.dy[2 * n + 7] = Number.NaN;
    input.x[5 * k + 9] = Number.POSITIVE_INFINITY;
    input.weight[3 * k + 1] = Number.NaN;
    const { dx, dW, db } = await linearBackward(input, exec);
    const differ = (got: Float32Array, was: Float32Array, touched: (i: number) => boolean) =>
      got.findIndex((v, i) => (touched(i) ? Number.isFinite(v) : v !== was[i]));
    t.is(
      differ(dx!, clean.dx!, (i) => Math.floor(i / k) === 2 || i % k === 1),
      -1,
      'dx',
    );
    t.is(
      differ(dW, clean.dW, (i) => Math.floor(i / k) === 7 || i % k === 9),
      -1,
      'dW',
    );
    t.is(
      differ(db, clean.db, (i) => i === 7),
      -1,
      'db',
    );
  });

  test(`no rows: gradients of weights are zeros ${label}`, async (t) => {
    const { dx, dW, db } = await linearBackward(problem(0, 3, 2, 1), exec);
    t.deepEqual([dx!.length, [...dW], [...db]], [0, [0, 0, 0, 0, 0, 0], [0, 0]]);
  });
}

test('every number of threads gives the same bits', async (t) => {
  for (const [m, k, n] of [
    [64, 700, 70],
    [200, 150, 100],
    [3, 5000, 10],
    [2000, 90, 1],
  ] as const) {
    const input = problem(m, k, n, m);
    const one = await linearBackward(input, { threads: 1 });
    for (const threads of [2, 3, 8, 16]) {
      t.deepEqual(await linearBackward(input, { threads }), one, `${m}x${k}->${n}, ${threads} threads`);
    }
  }
});

test('bad input: typed errors that name the field', async (t) => {
  const good = problem(2, 6, 4, 1);
  const cases: [() => Promise<unknown>, ExpectedError][] = [
    [() => linearBackward({ ...good, inFeatures: 5 }), { code: 'ERR_SHAPE', field: 'weight' }],
    [() => linearBackward({ ...good, inFeatures: 0 }), { code: 'ERR_SHAPE', field: 'inFeatures' }],
    [() => linearBackward({ ...good, outFeatures: 0.5 }), { code: 'ERR_INPUT_VALUE', field: 'outFeatures' }],
    [() => linearBackward({ ...good, x: good.x.subarray(1) }), { code: 'ERR_SHAPE', field: 'x' }],
    [() => linearBackward({ ...good, dy: good.dy.subarray(1) }), { code: 'ERR_SHAPE', field: 'dy' }],
    [() => linearBackward({ ...good, dy: [1] as never }), { code: 'ERR_INPUT_TYPE', field: 'dy' }],
    [
      () => linearBackward({ ...good, weight: undefined as never }),
      { code: 'ERR_INPUT_TYPE', field: 'weight' },
    ],
    [() => linearBackward(good, { signal: AbortSignal.abort() }), { code: 'ERR_CANCELLED' }],
  ];
  for (const [call, expected] of cases) await throwsTyped(t, call, expected);
});
