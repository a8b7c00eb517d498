import test from 'ava';
import {
  ConvPool,
  type ConvPoolForwardInput,
  convPoolBackward,
  convPoolForward,
} from '../../lib/ops/index.js';
import { randomF32, ways } from '../backends.js';
import { type ExpectedError, throwsTyped } from '../errors.js';
import { assertGolden, f32, type GoldenCase, loadGolden } from '../golden.js';
import { exactConvPool, randomConvPool } from './conv_pool-oracle.js';

const golden = loadGolden('conv_pool').filter((c) => c.config.kind === 'conv_pool');

function goldenInput(c: GoldenCase, offset: number): ConvPoolForwardInput {
  const { steps, dim, sizes, activation } = c.config as unknown as ConvPoolForwardInput & { sizes: number[] };
  const windows = sizes.map((size, i) => ({
    size,
    weight: f32(c, `weight${i}`, offset),
    bias: c.tensors[`bias${i}`] && f32(c, `bias${i}`, offset),
  }));
  const lengths = c.tensors.lengths?.data as Int32Array | undefined;
  return { dim, steps, activation, windows, lengths, x: f32(c, 'x', offset) };
}

const top = (values: ArrayLike<number>) =>
  Array.from(values).reduce((most, v) => Math.max(most, Math.abs(v)), 0);

for (const { label, exec } of ways()) {
  test(`golden results and gradients of conv pool ${label}`, async (t) => {
    t.true(golden.length > 0, 'no golden case was found');
    for (const c of golden) {
      for (const offset of [0, 1, 3]) {
        const input = goldenInput(c, offset);
        const layer = await ConvPool.create(input, exec);
        assertGolden(t, c, 'y', await layer.run(input, exec), label);
        layer.dispose();
        const { y, argmax } = await convPoolForward(input, exec);
        assertGolden(t, c, 'y', y, label);
        const got = await convPoolBackward({ ...input, y, argmax, dy: f32(c, 'dy', offset) }, exec);
        assertGolden(t, c, 'dx', got.dx, label);
        got.windows.forEach(({ weight, bias }, i) => {
          assertGolden(t, c, `dweight${i}`, weight, label);
          if (c.tensors[`dbias${i}`]) assertGolden(t, c, `dbias${i}`, bias, label);
        });
      }
    }
  });

  test(`rows, dims and filters of every size against float64 ${label}`, async (t) => {
    const cases = [
      randomConvPool(1, 1, 1, [[1, 1]]),
      randomConvPool(5, 3, 2, [[2, 3]], 'none', 2),
      randomConvPool(
        4,
        13,
        7,
        [
          [1, 5],
          [3, 17],
          [13, 2],
        ],
        'relu',
        3,
      ),
      randomConvPool(
        7,
        50,
        33,
        [
          [3, 16],
          [4, 31],
        ],
        'tanh',
        4,
      ),
      randomConvPool(2, 120, 16, [[5, 65]], 'relu', 5),
      randomConvPool(
        3,
        40,
        130,
        [
          [3, 12],
          [5, 4],
        ],
        'none',
        6,
      ),
      randomConvPool(2, 6, 1024, [[2, 3]], 'relu', 7),
    ];
    for (const input of cases) {
      const expected = exactConvPool(input);
      const { y, argmax } = await convPoolForward(input, exec);
      const bound = 5e-6 * top(expected.y);
      const name = `${input.steps} x ${input.dim} ${label}`;
      y.forEach((v, i) => {
        if (!(Math.abs(v - expected.y[i]!) <= bound)) t.fail(`${name}: ${v} for ${expected.y[i]} at ${i}`);
      });
      // A relu at 0 is flat: where it was the largest may be told otherwise by a rounding.
      const other = argmax.filter((place, i) => place !== expected.argmax[i] && expected.y[i]! > bound);
      t.is(other.length, 0, `${name}: places`);
    }
  });

  test(`what lies beyond a row's length changes nothing, a NaN stays in its row ${label}`, async (t) => {
    const input = randomConvPool(
      6,
      20,
      9,
      [
        [3, 7],
        [5, 20],
      ],
      'relu',
      8,
    );
    input.lengths.set([20, 0, 2, 11, 20, 5]);
    const clean = await convPoolForward(input, exec);
    const dirty = { ...input, x: input.x.slice() };
    for (let b = 0; b < 6; b++) dirty.x.fill(Number.NaN, (b * 20 + input.lengths[b]!) * 9, (b + 1) * 20 * 9);
    t.deepEqual(await convPoolForward(dirty, exec), clean);
    const dy = randomF32(clean.y.length, 9);
    const gradients = await convPoolBackward({ ...input, ...clean, dy }, exec);
    t.deepEqual(await convPoolBackward({ ...dirty, ...clean, dy }, exec), gradients);

    dirty.x[3 * 20 * 9 + 4] = Number.NaN; // the fourth row's first step
    const { y, argmax } = await convPoolForward(dirty, exec);
    y.forEach((v, i) => {
      const here = Math.floor(i / 27) === 3;
      if (here ? !Number.isNaN(v) || argmax[i] !== 0 : v !== clean.y[i]) t.fail(`element ${i}: ${v}`);
    });
  });

  test(`gradients are those of finite differences ${label}`, async (t) => {
    // Straight pieces: a difference in float64 is exact unless it crosses a kink, which so small a step hardly does.
    const input = randomConvPool(
      3,
      8,
      4,
      [
        [2, 5],
        [3, 3],
      ],
      'relu',
      10,
    );
    input.lengths.set([8, 5, 2]);
    const forward = await convPoolForward(input, exec);
    const dy = randomF32(forward.y.length, 11);
    const got = await convPoolBackward({ ...input, ...forward, dy }, exec);
    const value = () => exactConvPool(input).y.reduce((sum, v, i) => sum + v * dy[i]!, 0);
    const step = 2 ** -13;
    const difference = (array: Float32Array, i: number) => {
      const kept = array[i]!;
      array[i] = kept + step;
      const [above, up] = [value(), array[i]!];
      array[i] = kept - step;
      const slope = (above - value()) / (up - array[i]!);
      array[i] = kept;
      return slope;
    };
    const pairs = [
      [input.x, got.dx],
      ...input.windows.flatMap(({ weight, bias }, i) => [
        [weight, got.windows[i]!.weight],
        [bias!, got.windows[i]!.bias],
      ]),
    ] as [Float32Array, Float32Array][];
    for (const [array, gradient] of pairs) {
      gradient.forEach((v, i) => {
        const expected = difference(array, i);
        if (Math.abs(v - expected) > 1e-4 * top(gradient)) t.fail(`${label} ${i}: ${v} for ${expected}`);
      });
    }
    t.true(got.dx.subarray((8 + 5) * 4, 2 * 8 * 4).every((v) => v === 0));
  });

  test(`no rows: empty results, gradients of zeros ${label}`, async (t) => {
    const input = { ...randomConvPool(0, 5, 3, [[2, 4]]), lengths: undefined };
    const forward = await convPoolForward(input, exec);
    t.is(forward.y.length, 0);
    const got = await convPoolBackward({ ...input, ...forward, dy: new Float32Array(0) }, exec);
    t.is(got.dx.length, 0);
    t.deepEqual([got.windows[0]!.weight, got.windows[0]!.bias], [new Float32Array(24), new Float32Array(4)]);
  });
}

test('every batch and number of threads gives the same bits; run, runSync and forward agree', async (t) => {
  const input = randomConvPool(
    40,
    60,
    50,
    [
      [3, 30],
      [4, 30],
      [5, 30],
    ],
    'relu',
    12,
  );
  const one = await convPoolForward(input, { threads: 1 });
  const dy = randomF32(one.y.length, 13);
  const gradients = await convPoolBackward({ ...input, ...one, dy }, { threads: 1 });
  for (const threads of [2, 3, 8]) {
    t.deepEqual(await convPoolForward(input, { threads }), one, `${threads} threads`);
    t.deepEqual(
      await convPoolBackward({ ...input, ...one, dy }, { threads }),
      gradients,
      `${threads} threads`,
    );
  }
  const layer = await ConvPool.create(input);
  t.is(layer.filters, 90);
  t.deepEqual(await layer.run(input), one.y);
  t.deepEqual(layer.runSync(input), one.y);
  const out = new Float32Array(one.y.length + 1).subarray(1);
  t.is(await layer.run(input, { out }), out);
  t.deepEqual(out, one.y);
  for (const b of [0, 17]) {
    const x = input.x.subarray(b * 3000, (b + 1) * 3000);
    const alone = await layer.run({ x, steps: 60, lengths: input.lengths.slice(b, b + 1) });
    t.deepEqual(alone, one.y.slice(b * 90, (b + 1) * 90));
  }
  layer.dispose();
  await throwsTyped(t, () => layer.run(input), { code: 'ERR_DISPOSED' });
  const none = await convPoolBackward({ ...input, ...one, dy }, { inputGradient: false });
  t.is(none.dx.length, 0);
  t.deepEqual(none.windows, gradients.windows);
});

test('bad input: typed errors that name the field', async (t) => {
  const good = { ...randomConvPool(2, 5, 3, [[2, 4]]), lengths: undefined };
  const window = good.windows[0]!;
  const short = new Float32Array(5);
  const forward = (change: object) => () => convPoolForward({ ...good, ...change });
  const done = await convPoolForward(good);
  const backward = (change: object) => () =>
    convPoolBackward({ ...good, ...done, dy: new Float32Array(8), ...change });
  const cases: [() => Promise<unknown>, ExpectedError][] = [
    [forward({ dim: 0 }), { code: 'ERR_SHAPE', field: 'dim' }],
    [forward({ steps: 4 }), { code: 'ERR_SHAPE', field: 'x' }],
    [forward({ steps: 0 }), { code: 'ERR_SHAPE', field: 'steps' }],
    [forward({ windows: [] }), { code: 'ERR_SHAPE', field: 'windows' }],
    [forward({ windows: Array(17).fill(window) }), { code: 'ERR_SHAPE', field: 'windows' }],
    [forward({ windows: [{ ...window, size: 0 }] }), { code: 'ERR_SHAPE', field: 'windows.size' }],
    [forward({ windows: [{ ...window, weight: short }] }), { code: 'ERR_SHAPE', field: 'windows[0].weight' }],
    [forward({ windows: [{ ...window, bias: short }] }), { code: 'ERR_SHAPE', field: 'windows[0].bias' }],
    [forward({ activation: 'gelu' }), { code: 'ERR_INPUT_VALUE', field: 'activation' }],
    [forward({ lengths: new Int32Array(3) }), { code: 'ERR_SHAPE', field: 'lengths' }],
    [
      forward({ lengths: Int32Array.of(5, 6) }),
      { code: 'ERR_INPUT_VALUE', field: 'lengths', message: /\[1\]/ },
    ],
    [forward({ lengths: Int32Array.of(-1, 5) }), { code: 'ERR_INPUT_VALUE', field: 'lengths' }],
    [forward({ x: 'x' }), { code: 'ERR_INPUT_TYPE', field: 'x' }],
    [backward({ dy: short }), { code: 'ERR_SHAPE', field: 'dy' }],
    [backward({ argmax: new Int32Array(8).fill(4) }), { code: 'ERR_INPUT_VALUE', field: 'argmax' }],
    [backward({ lengths: Int32Array.of(1, 1) }), { code: 'ERR_INPUT_VALUE', field: 'argmax' }],
  ];
  done.argmax.fill(3);
  for (const [call, expected] of cases) await throwsTyped(t, call, expected);
  const layer = await ConvPool.create(good);
  await throwsTyped(t, () => layer.run(good, { out: good.x.subarray(0, 8) }), {
    code: 'ERR_INPUT_VALUE',
    field: 'out',
  });
  layer.dispose();
});
