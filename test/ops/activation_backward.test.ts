import test from 'ava';
import { activation, activationBackward, logSoftmax, softmax } from '../../lib/ops/index.js';
import { randomF32, ways } from '../backends.js';
import { type ExpectedError, throwsTyped } from '../errors.js';
import { assertGolden, f32, loadGolden } from '../golden.js';

const NAMES = {
  relu: 'relu',
  tanh: 'tanh',
  sigmoid: 'sigmoid',
  gelu_erf: 'gelu',
  gelu_tanh: 'gelu-tanh',
  silu: 'silu',
  'leaky_relu_0.01': 'leaky-relu',
  softplus: 'softplus',
} as const;
const ELEMENTWISE = Object.values(NAMES);

for (const { label, exec } of ways()) {
  test(`golden gradients of activations and softmaxes ${label}`, async (t) => {
    let seen = 0;
    for (const c of loadGolden('layers')) {
      const kind = c.config.kind;
      if (!c.tensors.grad_y) continue;
      for (const offset of [0, 1, 3]) {
        const [x, dy] = [f32(c, 'x', offset), f32(c, 'grad_y', offset)];
        if (kind === 'activation') {
          const name = NAMES[c.config.fn as keyof typeof NAMES];
          if (!name) throw new Error(`no activation for golden ${c.config.fn}`);
          assertGolden(t, c, 'd_x', await activationBackward(name, { x, dy }, exec), label);
          const y = await activation(name, x, exec);
          assertGolden(
            t,
            c,
            'd_x',
            await activationBackward(name, { x, y, dy }, { ...exec, out: dy }),
            label,
          );
        } else if (kind === 'softmax' || kind === 'log_softmax') {
          const cols = c.tensors.x!.shape.at(-1)!;
          const name = kind === 'softmax' ? 'softmax' : 'log-softmax';
          assertGolden(t, c, 'd_x', await activationBackward(name, { x, dy }, { ...exec, cols }), label);
        } else continue;
        seen++;
      }
    }
    t.true(seen >= 8 * 3, 'no golden case was found');
  });

  test(`lengths around the vector width equal the elementwise result ${label}`, async (t) => {
    const [x, dy] = [randomF32(200, 7), randomF32(200, 8, 3)];
    for (const kind of ELEMENTWISE) {
      const whole = await activationBackward(kind, { x, dy }, exec);
      for (const n of [0, 1, 3, 5, 8, 15, 17, 33, 127]) {
        const part = await activationBackward(kind, { x: x.subarray(0, n), dy: dy.subarray(0, n) }, exec);
        t.deepEqual(part, whole.slice(0, n), `${kind}, ${n}`);
      }
    }
  });

  test(`softmax gradients against differences of the forward pass, rows of every length ${label}`, async (t) => {
    for (const cols of [1, 3, 8, 17, 40, 130, 513, 1100, 1101]) {
      const [x, dy] = [randomF32(3 * cols, cols), randomF32(3 * cols, cols + 1)];
      for (const kind of ['softmax', 'log-softmax'] as const) {
        const dx = await activationBackward(kind, { x, dy }, { ...exec, cols });
        for (let r = 0; r < 3; r++) {
          const row = (a: Float32Array) => Array.from(a.subarray(r * cols, (r + 1) * cols));
          const exact = exactSoftmaxGradient(kind === 'log-softmax', row(x), row(dy));
          const worst = Math.max(...row(dx).map((v, i) => Math.abs(v - exact[i]!)));
          t.true(worst < 2e-5, `${kind} of ${cols}: ${worst}`);
        }
      }
    }
  });

  test(`extremes: slopes of infinite and huge values are finite, NaN gives NaN ${label}`, async (t) => {
    const x = Float32Array.of(1e30, -1e30, Infinity, -Infinity, 200, -200, Number.NaN, 0);
    const dy = new Float32Array(8).fill(2);
    for (const [kind, right, left] of [
      ['relu', 2, 0],
      ['leaky-relu', 2, 0.2],
      ['tanh', 0, 0],
      ['sigmoid', 0, 0],
      ['gelu', 2, 0],
      ['gelu-tanh', 2, 0],
      ['silu', 2, 0],
      ['softplus', 2, 0],
    ] as const) {
      const dx = await activationBackward(kind, { x, dy }, { ...exec, slope: 0.1 });
      for (let i = 0; i < 6; i++) {
        const expected = i % 2 ? left : right;
        t.true(Math.abs(dx[i]! - expected) < 1e-6, `${kind} at ${x[i]}: ${dx[i]}`);
      }
      if (!kind.includes('relu')) t.true(Number.isNaN(dx[6]), `${kind} of NaN`);
      if (kind.includes('relu')) t.is(dx[7], Math.fround(left), 'the negative side at 0');
    }
  });

  test(`softmax gradients: a row with NaN is NaN, others are not ${label}`, async (t) => {
    for (const cols of [5, 40, 700]) {
      const [x, dy] = [randomF32(3 * cols, 1), randomF32(3 * cols, 2)];
      x[cols + 2] = Number.NaN;
      for (const kind of ['softmax', 'log-softmax'] as const) {
        const dx = await activationBackward(kind, { x, dy }, { ...exec, cols });
        dx.forEach((v, i) => {
          if (Number.isNaN(v) !== (Math.floor(i / cols) === 1)) t.fail(`${kind}: element ${i} is ${v}`);
        });
      }
    }
    t.pass();
  });
}

function exactSoftmaxGradient(log: boolean, x: number[], dy: number[]): number[] {
  const top = Math.max(...x);
  const e = x.map((v) => Math.exp(v - top));
  const total = e.reduce((a, b) => a + b, 0);
  const y = e.map((v) => v / total);
  const sum = dy.reduce((s, d, i) => s + (log ? d : d * y[i]!), 0);
  return dy.map((d, i) => (log ? d - y[i]! * sum : y[i]! * (d - sum)));
}

test('gradients are the slopes of the forward pass', async (t) => {
  const x = Float32Array.from({ length: 161 }, (_, i) => (i - 80) / 13 + 0.003);
  const dy = new Float32Array(x.length).fill(1);
  const h = 2 ** -6;
  for (const kind of ELEMENTWISE) {
    const [up, down] = await Promise.all(
      [h, -h].map((d) =>
        activation(
          kind,
          x.map((v) => v + d),
        ),
      ),
    );
    const dx = await activationBackward(kind, { x, dy });
    dx.forEach((v, i) => {
      const slope = (up![i]! - down![i]!) / (2 * h);
      if (Math.abs(x[i]!) > h || !kind.includes('relu'))
        t.true(Math.abs(v - slope) < 4e-4, `${kind} at ${x[i]}: ${v}, ${slope}`);
    });
  }
  for (const [kind, run] of [
    ['softmax', softmax],
    ['log-softmax', logSoftmax],
  ] as const) {
    const row = x.map((v) => v / 4);
    const weights = randomF32(x.length, 4);
    const dx = await activationBackward(kind, { x: row, dy: weights });
    for (const at of [0, 50, 160]) {
      const value = async (d: number) =>
        (await run(row.map((v, i) => (i === at ? v + d : v)))).reduce((s, y, i) => s + y * weights[i]!, 0);
      const slope = ((await value(0.05)) - (await value(-0.05))) / 0.1;
      t.true(Math.abs(dx[at]! - slope) < 2e-3 * Math.max(1, Math.abs(slope)), `${kind}: ${dx[at]}, ${slope}`);
    }
  }
});

test('bad input: typed errors that name the field', async (t) => {
  const [x, dy] = [new Float32Array(4), new Float32Array(4)];
  const short = new Float32Array(3);
  const cases: [() => Promise<unknown>, ExpectedError][] = [
    [() => activationBackward('swish' as never, { x, dy }), { code: 'ERR_INPUT_VALUE', field: 'kind' }],
    [() => activationBackward('relu', { x, dy: short }), { code: 'ERR_SHAPE', field: 'dy' }],
    [() => activationBackward('tanh', { x, y: short, dy }), { code: 'ERR_SHAPE', field: 'y' }],
    [() => activationBackward('relu', { x, dy: [1] as never }), { code: 'ERR_INPUT_TYPE', field: 'dy' }],
    [() => activationBackward('softmax', { x, dy }, { cols: 3 }), { code: 'ERR_SHAPE', field: 'x' }],
    [
      () => activationBackward('leaky-relu', { x, dy }, { slope: Number.NaN }),
      { code: 'ERR_INPUT_VALUE', field: 'slope' },
    ],
    [() => activationBackward('relu', { x, dy }, { out: short }), { code: 'ERR_SHAPE', field: 'out' }],
  ];
  for (const [call, expected] of cases) await throwsTyped(t, call, expected);
});
