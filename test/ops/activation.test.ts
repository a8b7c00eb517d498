import test from 'ava';
import { type Activation, activation, activationSync, logSoftmax, softmax } from '../../lib/ops/index.js';
import { random, randomF32, ways } from '../backends.js';
import { type ExpectedError, throwsTyped } from '../errors.js';
import { assertGolden, f32, loadGolden } from '../golden.js';

const NAMES: Record<string, Activation> = {
  relu: 'relu',
  tanh: 'tanh',
  sigmoid: 'sigmoid',
  gelu_erf: 'gelu',
  gelu_tanh: 'gelu-tanh',
  silu: 'silu',
  'leaky_relu_0.01': 'leaky-relu',
  softplus: 'softplus',
};

for (const { label, exec } of ways()) {
  test(`golden activations and softmaxes ${label}`, async (t) => {
    let seen = 0;
    for (const c of loadGolden('layers')) {
      const kind = c.config.kind;
      for (const offset of [0, 1, 3]) {
        if (kind === 'activation') {
          const name = NAMES[c.config.fn as string];
          if (!name) throw new Error(`no activation for golden ${c.config.fn}`);
          assertGolden(t, c, 'y', await activation(name, f32(c, 'x', offset), exec), label);
        } else if (kind === 'softmax' || kind === 'log_softmax') {
          const cols = c.tensors.x!.shape.at(-1)!;
          const run = kind === 'softmax' ? softmax : logSoftmax;
          assertGolden(t, c, 'y', await run(f32(c, 'x', offset), { ...exec, cols }), label);
        } else continue;
        seen++;
      }
    }
    t.true(seen >= 8 * 3, 'no golden case was found');
  });

  test(`lengths around the vector width equal the elementwise result ${label}`, async (t) => {
    const x = randomF32(200, 7);
    const whole = activationSync('gelu', x, exec);
    for (const n of [0, 1, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 48, 127, 130]) {
      const part = await activation('gelu', x.subarray(0, n), exec);
      t.deepEqual(part, whole.slice(0, n));
    }
  });

  test(`extremes: infinities, huge values and NaN ${label}`, async (t) => {
    const x = Float32Array.of(Number.NaN, 1e30, -1e30, Infinity, -Infinity, 0, -0, 88, -104, 3e38);
    for (const [kind, expected] of [
      ['relu', [NaN, 1e30, 0, Infinity, 0, 0, 0, 88, 0, 3e38]],
      ['sigmoid', [NaN, 1, 0, 1, 0, 0.5, 0.5, 1, 0, 1]],
      ['tanh', [NaN, 1, -1, 1, -1, 0, 0, 1, -1, 1]],
    ] as const) {
      const y = await activation(kind, x, exec);
      expected.forEach((e, i) => {
        if (Number.isNaN(e)) t.true(Number.isNaN(y[i]), `${kind} of NaN`);
        else
          t.true(
            Math.abs(y[i]! - e) <= 1e-6 * Math.max(1, Math.abs(e)) || y[i] === e,
            `${kind}(${x[i]}) = ${y[i]}`,
          );
      });
    }
    const far = await activation('softplus', Float32Array.of(-5, -12.7, -30, -80), exec);
    [-5, -12.7, -30, -80].forEach((v, i) => {
      const exact = Math.log1p(Math.exp(Math.fround(v)));
      t.true(Math.abs(far[i]! - exact) <= 2e-6 * exact, `softplus(${v}) = ${far[i]}, not ${exact}`);
    });
    const spread = await softmax(Float32Array.of(1e30, -1e30, 0, 1e30), exec);
    t.deepEqual([...spread], [0.5, 0, 0, 0.5]);
  });

  test(`softmax: a row with NaN or +infinity is NaN, others are not; -infinity has weight 0 ${label}`, async (t) => {
    for (const cols of [5, 8, 40, 300, 2000, 24580]) {
      const x = randomF32(4 * cols, cols);
      const at = cols - 2;
      x[at] = Number.NaN;
      x[cols + at] = Number.POSITIVE_INFINITY;
      x[2 * cols + at] = Number.NEGATIVE_INFINITY;
      x.fill(Number.NEGATIVE_INFINITY, 3 * cols);
      for (const run of [softmax, logSoftmax]) {
        const y = await run(x, { ...exec, cols });
        t.true(y.subarray(0, cols).every(Number.isNaN), `NaN, ${cols} columns`);
        t.true(y.subarray(3 * cols).every(Number.isNaN), `nothing but -infinity, ${cols} columns`);
        const third = y.slice(2 * cols, 3 * cols);
        t.is(third[at], run === softmax ? 0 : Number.NEGATIVE_INFINITY);
        third[at] = 0;
        t.true(third.every(Number.isFinite));
      }
      const y = await softmax(x, { ...exec, cols });
      t.true(Number.isNaN(y[cols + at]), 'infinity less infinity');
    }
  });

  test(`softmax: rows sum to 1 and a shift changes nothing ${label}`, async (t) => {
    const next = random(11);
    // Also those where a device's kernels turn from lanes to warps, blocks and several passes.
    const wide = [128, 130, 257, 512, 513, 1024, 1028, 9001, 24577];
    for (const cols of [1, 2, 4, 8, 9, 15, 16, 17, 32, 33, 64, 100, ...wide]) {
      const rows = cols > 512 ? 2 : 1 + Math.floor(next() * 40);
      const x = randomF32(rows * cols, cols);
      const y = await softmax(x, { ...exec, cols });
      const shifted = await softmax(
        x.map((v) => v + 4),
        { ...exec, cols },
      );
      for (let r = 0; r < rows; r++) {
        let sum = 0;
        for (let j = 0; j < cols; j++) sum += y[r * cols + j]!;
        t.true(Math.abs(sum - 1) < 1e-5);
      }
      t.true(y.every((v, i) => Math.abs(v - shifted[i]!) < 1e-5));
      const logarithm = await logSoftmax(x, { ...exec, cols });
      t.true(logarithm.every((v, i) => Math.abs(Math.exp(v) - y[i]!) <= 2e-6 + 2e-5 * y[i]!));
    }
  });
}

test('out is written and returned; it may be the input', async (t) => {
  const x = Float32Array.of(-1, 2, -3);
  const out = new Float32Array(3);
  t.is(await activation('relu', x, { out }), out);
  t.deepEqual([...out], [0, 2, 0]);
  t.is(await activation('relu', x, { out: x }), x);
  t.deepEqual([...x], [0, 2, 0]);
});

test('bad input: typed errors that name the field, alike in both forms', async (t) => {
  const x = new Float32Array(4);
  const detached = new Float32Array(4);
  structuredClone(detached.buffer, { transfer: [detached.buffer] });
  const cases: [() => Promise<unknown>, ExpectedError][] = [
    [() => activation('swish' as never, x), { name: 'InputError', code: 'ERR_INPUT_VALUE', field: 'kind' }],
    [() => activation('relu', [1, 2] as never), { name: 'InputError', code: 'ERR_INPUT_TYPE', field: 'x' }],
    [() => activation('relu', detached), { name: 'InputError', code: 'ERR_INPUT_TYPE', field: 'x' }],
    [
      () => activation('relu', new Float64Array(4) as never),
      { name: 'InputError', code: 'ERR_INPUT_TYPE', field: 'x' },
    ],
    [
      () => activation('relu', new Float32Array(new SharedArrayBuffer(16))),
      { name: 'InputError', code: 'ERR_INPUT_TYPE', field: 'x' },
    ],
    [
      () => activation('relu', x, { out: new Float32Array(3) }),
      { name: 'ShapeError', code: 'ERR_SHAPE', field: 'out' },
    ],
    [() => softmax(x, { cols: 3 }), { name: 'ShapeError', code: 'ERR_SHAPE', field: 'x' }],
    [() => softmax(x, { cols: 0 }), { code: 'ERR_INPUT_VALUE' }],
    [() => activation('leaky-relu', x, { slope: Number.NaN }), { code: 'ERR_INPUT_VALUE', field: 'slope' }],
    [() => activation('relu', x, { threads: 0 }), { code: 'ERR_INPUT_VALUE', field: 'threads' }],
    [
      () => activation('relu', x, { backend: 'opencl' as never }),
      { name: 'BackendError', code: 'ERR_BACKEND' },
    ],
    [() => activation('relu', x, { isa: 'sse9' as never }), { name: 'BackendError', code: 'ERR_BACKEND' }],
  ];
  for (const [call, expected] of cases) await throwsTyped(t, call, expected);
  t.throws(() => activationSync('relu', x, { out: new Float32Array(3) }), {
    name: 'ShapeError',
    code: 'ERR_SHAPE',
  });
});

test('an AbortSignal cancels before and during the work', async (t) => {
  const x = new Float32Array(1 << 22);
  await t.throwsAsync(activation('gelu', x, { signal: AbortSignal.abort('no more') }), {
    name: 'AbortError',
    code: 'ERR_CANCELLED',
  });
  const control = new AbortController();
  const running = Array.from({ length: 16 }, () => activation('gelu', x, { signal: control.signal }));
  control.abort();
  const outcomes = await Promise.allSettled(running);
  t.true(outcomes.some((o) => o.status === 'rejected' && o.reason.code === 'ERR_CANCELLED'));
});

test('an error carries the stack of its caller', async (t) => {
  const error = await t.throwsAsync(activation('relu', new Float32Array(2), { out: new Float32Array(1) }));
  t.true(error.stack!.includes('activation.test'), error.stack);
});
