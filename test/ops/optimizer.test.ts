import test from 'ava';
import {
  activation,
  activationBackward,
  type ExecOptions,
  linear,
  linearBackward,
  loss,
  type OptimizerStepOptions,
  optimizerStep,
  squaredNorm,
} from '../../lib/ops/index.js';
import { randomF32, ways } from '../backends.js';
import { type ExpectedError, throwsTyped } from '../errors.js';
import { assertGolden, f32, type GoldenCase, loadGolden, tensorOf } from '../golden.js';

const NAMES = ['W1', 'b1', 'W2', 'b2'] as const;
type Name = (typeof NAMES)[number];

function optionsOf({ config }: GoldenCase, step: number): OptimizerStepOptions {
  const c = config as Record<string, number>;
  return {
    kind: config.kind as OptimizerStepOptions['kind'],
    learningRate: c.lr!,
    step,
    ...(c.momentum !== undefined && { momentum: c.momentum }),
    ...(config.nesterov === true && { nesterov: true }),
    ...(c.beta1 !== undefined && { beta1: c.beta1 }),
    ...(c.beta2 !== undefined && { beta2: c.beta2 }),
    ...(c.eps !== undefined && { epsilon: c.eps }),
    ...(c.weight_decay !== undefined && { weightDecay: c.weight_decay }),
  };
}

/** One step s of a field that has one row a step. */
const at = (a: Float32Array, s: number, steps: number) =>
  a.subarray((s * a.length) / steps, ((s + 1) * a.length) / steps);

/** y = W2 relu(W1 x + b1) + b2 with mse: loss and gradients by the operators. */
async function gradients(p: Record<Name, Float32Array>, x: Float32Array, y: Float32Array, exec: ExecOptions) {
  const [hidden, out] = [p.b1.length, p.b2.length];
  const inFeatures = p.W1.length / hidden;
  const first = { inFeatures, outFeatures: hidden, weight: p.W1, bias: p.b1 };
  const second = { inFeatures: hidden, outFeatures: out, weight: p.W2, bias: p.b2 };
  const before = await linear(x, first, exec);
  const h = await activation('relu', before, exec);
  const result = await loss('mse', { x: await linear(h, second, exec), target: y }, { ...exec, cols: out });
  const of2 = await linearBackward({ ...second, x: h, dy: result.dx! }, exec);
  const dh = await activationBackward('relu', { x: before, y: h, dy: of2.dx! }, exec);
  const of1 = await linearBackward({ ...first, x, dy: dh }, { ...exec, inputGradient: false });
  return {
    loss: result.loss[0]!,
    d: { W1: of1.dW, b1: of1.db, W2: of2.dW, b2: of2.db } as Record<Name, Float32Array>,
  };
}

for (const { label, exec } of ways()) {
  test(`golden trajectories: a network trained by the operators alone ${label}`, async (t) => {
    const cases = loadGolden('optim');
    t.true(cases.length > 0, 'no golden case was found');
    for (const c of cases) {
      const steps = c.config.steps as number;
      const p = Object.fromEntries(NAMES.map((n) => [n, f32(c, n, 1)])) as Record<Name, Float32Array>;
      const m = Object.fromEntries(NAMES.map((n) => [n, new Float32Array(p[n].length)]));
      const v = Object.fromEntries(NAMES.map((n) => [n, new Float32Array(p[n].length)]));
      const [X, Y] = [f32(c, 'X'), f32(c, 'Y')];
      const got: Record<string, number[]> = { loss: [], norm: [] };
      for (const n of NAMES) [got[n], got[`d_${n}`]] = [[], []];
      for (let s = 0; s < steps; s++) {
        const { loss: value, d } = await gradients(p, at(X, s, steps), at(Y, s, steps), exec);
        got.loss!.push(value);
        const norms = await Promise.all(NAMES.map((n) => squaredNorm(d[n], exec)));
        const norm = Math.sqrt(norms.reduce((a, b) => a + b, 0));
        got.norm!.push(norm);
        const most = c.config.clip_grad_norm as number | undefined;
        const gradientScale = most === undefined ? 1 : Math.min(1, most / (norm + 1e-6));
        for (const n of NAMES) {
          const state = { p: p[n], g: d[n], m: m[n], v: v[n] };
          await optimizerStep(state, { ...exec, ...optionsOf(c, s + 1), gradientScale });
          got[n]!.push(...p[n]);
          got[`d_${n}`]!.push(...d[n]);
        }
      }
      assertGolden(t, c, 'loss', got.loss!, label);
      if (c.tensors.grad_norm) assertGolden(t, c, 'grad_norm', got.norm!, label);
      for (const n of NAMES) {
        assertGolden(t, c, `${n}_after`, got[n]!, label);
        if (c.tensors[`d_${n}`]) assertGolden(t, c, `d_${n}`, got[`d_${n}`]!, label);
      }
      t.is(tensorOf(c, 'loss').data.length, steps);
    }
  });

  test(`against float64: every kind and option, sizes around vectors ${label}`, async (t) => {
    const options: Omit<OptimizerStepOptions, 'step'>[] = [
      { kind: 'sgd', learningRate: 0.1 },
      { kind: 'sgd', learningRate: 0.1, momentum: 0.8, weightDecay: 0.1, gradientScale: 0.5 },
      { kind: 'sgd', learningRate: 0.1, momentum: 0.8, nesterov: true, l1: 0.05 },
      { kind: 'adam', learningRate: 0.02, l1: 0.03 },
      { kind: 'adam', learningRate: 0.02, beta1: 0.5, beta2: 0.7, epsilon: 0.01, weightDecay: 0.2 },
      { kind: 'adamw', learningRate: 0.02, weightDecay: 0.3, l1: 0.01, gradientScale: 2 },
    ];
    for (const n of [1, 3, 4, 5, 8, 15, 16, 17, 33, 129, 1027]) {
      for (const option of options) {
        const state = {
          p: randomF32(n, n, 1),
          g: randomF32(n, 10 * n, 2),
          m: new Float32Array(n + 3).subarray(3),
          v: new Float32Array(n + 2).subarray(2),
        };
        state.p[0] = 0;
        const [p, m, v] = [Float64Array.from(state.p), new Float64Array(n), new Float64Array(n)];
        for (let step = 1; step <= 4; step++) {
          state.g.set(randomF32(n, 10 * n + step));
          await optimizerStep(state, { ...exec, ...option, step });
          exactStep(p, state.g, m, v, { ...option, step });
        }
        const worst = p.reduce((most, x, i) => Math.max(most, Math.abs(x - state.p[i]!)), 0);
        t.true(worst < 2e-6, `${JSON.stringify(option)} of ${n} ${label}: ${worst}`);
      }
    }
  });

  test(`a NaN in the gradient reaches its own parameter alone ${label}`, async (t) => {
    for (const kind of ['sgd', 'adam', 'adamw'] as const) {
      const state = () => ({
        p: randomF32(50, 1),
        g: randomF32(50, 2),
        m: new Float32Array(50),
        v: new Float32Array(50),
      });
      const [clean, dirty] = [state(), state()];
      dirty.g[17] = Number.NaN;
      for (const s of [clean, dirty]) {
        await optimizerStep(s, {
          ...exec,
          kind,
          learningRate: 0.1,
          momentum: kind === 'sgd' ? 0.9 : 0,
          step: 1,
        });
      }
      t.is(
        dirty.p.findIndex((v, i) => (i === 17 ? !Number.isNaN(v) : v !== clean.p[i])),
        -1,
        kind,
      );
    }
  });

  test(`the squared norm is that of float64 ${label}`, async (t) => {
    for (const n of [0, 1, 5, 16, 33, 1000, 16_384, 100_001]) {
      const g = randomF32(n, n);
      const expected = g.reduce((sum, v) => sum + v * v, 0);
      const got = await squaredNorm(g, exec);
      t.true(Math.abs(got - expected) <= 1e-12 * expected, `${n}: ${got}, ${expected}`);
    }
    const large = await squaredNorm(Float32Array.of(3e38, 3e38), exec);
    t.true(Math.abs(large / (2 * Math.fround(3e38) ** 2) - 1) < 1e-12, 'beyond float32');
    t.true(Number.isNaN(await squaredNorm(Float32Array.of(1, Number.NaN), exec)));
  });
}

function exactStep(
  p: Float64Array,
  g: Float32Array,
  m: Float64Array,
  v: Float64Array,
  o: OptimizerStepOptions,
): void {
  const { learningRate: lr, momentum = 0, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, step } = o;
  const { weightDecay = 0, l1 = 0, gradientScale = 1 } = o;
  for (let i = 0; i < p.length; i++) {
    let d = g[i]! * gradientScale + l1 * Math.sign(p[i]!);
    if (o.kind !== 'adamw') d += weightDecay * p[i]!;
    if (o.kind === 'sgd') {
      m[i] = step === 1 ? d : momentum * m[i]! + d;
      p[i]! -= lr * (momentum === 0 ? d : o.nesterov ? d + momentum * m[i]! : m[i]!);
      continue;
    }
    if (o.kind === 'adamw') p[i]! *= 1 - lr * weightDecay;
    m[i] = beta1 * m[i]! + (1 - beta1) * d;
    v[i] = beta2 * v[i]! + (1 - beta2) * d * d;
    p[i]! -= (lr * (m[i]! / (1 - beta1 ** step))) / (Math.sqrt(v[i]! / (1 - beta2 ** step)) + epsilon);
  }
}

test('every number of threads gives the same bits', async (t) => {
  const n = 100_003;
  const g = randomF32(n, 2);
  const run = async (threads: number) => {
    const state = { p: randomF32(n, 1), g, m: new Float32Array(n), v: new Float32Array(n) };
    for (let step = 1; step < 4; step++) {
      await optimizerStep(state, { kind: 'adam', learningRate: 0.01, step, threads });
    }
    return [state.p, state.m, state.v, await squaredNorm(g, { threads })];
  };
  const one = await run(1);
  for (const threads of [2, 3, 8]) t.deepEqual(await run(threads), one);
});

test('bad input: typed errors that name the field, and nothing changed', async (t) => {
  const four = () => new Float32Array(4).fill(1);
  const state = { p: four(), g: four(), m: four(), v: four() };
  const adam = { kind: 'adam', learningRate: 0.1, step: 1 } as const;
  const both = new Float32Array(6);
  const value = (field: string): ExpectedError => ({ code: 'ERR_INPUT_VALUE', field });
  const cases: [() => Promise<unknown>, ExpectedError][] = [
    [() => optimizerStep(state, { ...adam, kind: 'lion' as never }), value('kind')],
    [() => optimizerStep(state, { ...adam, learningRate: -1 }), value('learningRate')],
    [() => optimizerStep(state, { ...adam, learningRate: Number.NaN }), value('learningRate')],
    [() => optimizerStep(state, { ...adam, beta1: 1 }), value('beta1')],
    [() => optimizerStep(state, { ...adam, beta2: -0.1 }), value('beta2')],
    [() => optimizerStep(state, { ...adam, epsilon: -1 }), value('epsilon')],
    [() => optimizerStep(state, { ...adam, weightDecay: -1 }), value('weightDecay')],
    [() => optimizerStep(state, { ...adam, l1: Infinity }), value('l1')],
    [() => optimizerStep(state, { ...adam, step: 0 }), value('step')],
    [() => optimizerStep(state, { ...adam, gradientScale: Number.NaN }), value('gradientScale')],
    [() => optimizerStep(state, { ...adam, kind: 'sgd', nesterov: true }), value('nesterov')],
    [() => optimizerStep({ ...state, v: undefined }, adam), { code: 'ERR_INPUT_TYPE', field: 'v' }],
    [
      () => optimizerStep({ p: state.p, g: state.g }, { ...adam, kind: 'sgd', momentum: 0.5 }),
      { code: 'ERR_INPUT_TYPE', field: 'm' },
    ],
    [() => optimizerStep({ ...state, p: new Float32Array(3) }, adam), { code: 'ERR_SHAPE', field: 'p' }],
    [() => optimizerStep({ ...state, m: new Float32Array(3) }, adam), { code: 'ERR_SHAPE', field: 'm' }],
    [() => optimizerStep({ ...state, p: both.subarray(0, 4), m: both.subarray(2, 6) }, adam), value('m')],
    [() => optimizerStep({ ...state, v: state.p }, adam), value('v')],
    [() => squaredNorm([1] as never), { code: 'ERR_INPUT_TYPE', field: 'g' }],
  ];
  for (const [call, expected] of cases) await throwsTyped(t, call, expected);
  for (const array of Object.values(state)) t.true(array.every((v) => v === 1));
});
