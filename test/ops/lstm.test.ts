import test from 'ava';
import { Lstm, type LstmInput, lstmBackward, lstmForward } from '../../lib/ops/index.js';
import { randomF32, ways } from '../backends.js';
import { type ExpectedError, throwsTyped } from '../errors.js';
import { assertGolden, f32, type GoldenCase, loadGolden } from '../golden.js';
import { lstmReference } from './lstm-oracle.js';

const golden = loadGolden('lstm');

function goldenInput(c: GoldenCase, offset: number): LstmInput {
  const given = (field: string) => (c.tensors[field] ? f32(c, field, offset) : undefined);
  return {
    ...(c.config as { time: number; inputSize: number; hiddenSize: number; directions: 1 | 2 }),
    x: f32(c, 'x', offset),
    weightInput: f32(c, 'weight_input', offset),
    weightHidden: f32(c, 'weight_hidden', offset),
    bias: given('bias'),
    h0: given('h0'),
    c0: given('c0'),
    lengths: c.tensors.lengths && Int32Array.from(c.tensors.lengths.data as Int32Array),
  };
}

type Problem = LstmInput & { batch: number; directions: 1 | 2 };

function problem(
  batch: number,
  time: number,
  inputSize: number,
  hiddenSize: number,
  directions: 1 | 2 = 1,
  { ragged = true, states = true }: { ragged?: boolean; states?: boolean } = {},
): Problem {
  const gates = directions * 4 * hiddenSize;
  const scale = hiddenSize ** -0.5;
  const ends = directions * batch * hiddenSize;
  return {
    batch,
    time,
    inputSize,
    hiddenSize,
    directions,
    x: randomF32(batch * time * inputSize, 1, 3),
    weightInput: randomF32(gates * inputSize, 2).map((v) => v * scale),
    weightHidden: randomF32(gates * hiddenSize, 3).map((v) => v * scale),
    bias: randomF32(gates, 4).map((v) => v * 0.3),
    lengths: ragged ? Int32Array.from({ length: batch }, (_, b) => (b * 7 + 3) % (time + 1)) : undefined,
    h0: states ? randomF32(ends, 5) : undefined,
    c0: states ? randomF32(ends, 6) : undefined,
  };
}

/** The rows that `rows` names, in their order. */
function rowsOf(p: Problem, rows: number[]): Problem {
  const step = p.time * p.inputSize;
  const states = (x?: Float32Array) =>
    x &&
    Float32Array.from(
      Array.from({ length: p.directions }, (_, d) =>
        rows.map((b) => [
          ...x.subarray((d * p.batch + b) * p.hiddenSize, (d * p.batch + b + 1) * p.hiddenSize),
        ]),
      ).flat(2),
    );
  return {
    ...p,
    batch: rows.length,
    x: Float32Array.from(rows.flatMap((b) => [...p.x.subarray(b * step, (b + 1) * step)])),
    lengths: p.lengths && Int32Array.from(rows, (b) => p.lengths![b]!),
    h0: states(p.h0),
    c0: states(p.c0),
  };
}

/** Largest difference, in units of the reference's largest element. */
function worst(got: ArrayLike<number>, ref: ArrayLike<number>): number {
  let top = 1e-30;
  let error = 0;
  for (let i = 0; i < ref.length; i++) {
    top = Math.max(top, Math.abs(ref[i]!));
    error = Math.max(error, Math.abs(got[i]! - ref[i]!));
  }
  return got.length === ref.length ? error / top : Number.POSITIVE_INFINITY;
}

/** Whether the same fields hold the same bits: deepEqual of long arrays takes seconds. */
function same(a: object, b: object): boolean {
  const bytes = (x: object) =>
    Object.entries(x)
      .sort(([i], [j]) => (i < j ? -1 : 1))
      .map(([, v]) => (v ? Buffer.from(v.buffer, v.byteOffset, v.byteLength) : Buffer.alloc(0)));
  return Buffer.compare(Buffer.concat(bytes(a)), Buffer.concat(bytes(b))) === 0;
}

type Sizes = [batch: number, time: number, inputSize: number, hiddenSize: number, directions: 1 | 2];
const ODD = (
  [
    [1, 5, 3, 15, 2],
    [4, 3, 17, 16, 1],
    [5, 4, 1, 31, 2],
    [13, 7, 8, 7, 2],
    [30, 5, 20, 12, 1],
    [2, 3, 400, 390, 1],
  ] as Sizes[]
).map((sizes) => {
  const p = problem(...sizes);
  return { p, ref: lstmReference(p) };
});

for (const { label, exec } of ways()) {
  test(`golden outputs and gradients ${label}`, async (t) => {
    t.true(golden.length >= 10, 'golden cases were not found');
    for (const c of golden) {
      for (const offset of [0, 1, 3]) {
        const input = goldenInput(c, offset);
        using layer = await Lstm.create(input);
        const served = await layer.run(input.x, { ...input, ...exec });
        const trained = await lstmForward(input, exec);
        for (const field of ['y', 'h', 'c'] as const) {
          assertGolden(t, c, field, served[field], label);
          assertGolden(t, c, field, trained[field], label);
        }
        const grads = await lstmBackward(
          {
            ...input,
            ...trained,
            dy: f32(c, 'grad_y', offset),
            dh: f32(c, 'grad_h', offset),
            dc: f32(c, 'grad_c', offset),
          },
          exec,
        );
        const found = {
          d_x: grads.x!,
          d_weight_input: grads.weightInput,
          d_weight_hidden: grads.weightHidden,
          d_bias: grads.bias,
          d_h0: grads.h0,
          d_c0: grads.c0,
        };
        for (const [field, got] of Object.entries(found)) assertGolden(t, c, field, got, label);
      }
    }
  });

  test(`odd sizes, rows of no steps, NaN behind the lengths: against float64 ${label}`, async (t) => {
    for (const { p, ref } of ODD) {
      const { batch, time, inputSize: input, hiddenSize: hidden, directions } = p;
      const x = p.x.map((v, i) =>
        Math.floor(i / input) % time >= p.lengths![Math.floor(i / input / time)]! ? Number.NaN : v,
      );
      const where = `${batch} x ${time} x ${input} -> ${directions} x ${hidden} ${label}`;
      const got = await lstmForward({ ...p, x }, exec);
      t.true(worst(got.y, ref.y) < 5e-6, `y ${where}`);
      t.true(worst(got.h, ref.h) < 5e-6, `h ${where}`);
      t.true(worst(got.c, ref.c) < 5e-6, `c ${where}`);
      const dy = got.y.map((v, i) => {
        const step = Math.floor(i / hidden / directions);
        return step % time >= p.lengths![Math.floor(step / time)]! ? Number.NaN : v;
      });
      const clean = await lstmBackward({ ...p, ...got, dy: got.y, dh: got.h }, exec);
      const dirty = await lstmBackward({ ...p, x, ...got, dy, dh: got.h }, exec);
      t.true(same(dirty, clean), `NaN behind the lengths ${where}`);
      t.false(
        Object.values(clean).some((g: Float32Array) => g.some(Number.isNaN)),
        where,
      );
    }
  });

  test(`states near 0 keep their relative accuracy, huge inputs saturate ${label}`, async (t) => {
    for (const scale of [1e-12, 1e-5, 1e-2, 30, 1e3, 1e30]) {
      const p = problem(3, 4, 5, 21, 1, { ragged: false, states: false });
      const scaled = { ...p, bias: undefined, x: p.x.map((v) => v * scale) };
      const ref = lstmReference(scaled);
      const got = await lstmForward(scaled, exec);
      t.true(worst(got.y, ref.y) < 2e-6, `${scale} ${label}: ${worst(got.y, ref.y)}`);
    }
  });

  test(`NaN stays in its row and direction ${label}`, async (t) => {
    const p = problem(17, 5, 4, 9, 2, { ragged: false });
    const clean = await lstmForward(p, exec);
    const x = p.x.slice();
    x[(11 * p.time + 2) * p.inputSize] = Number.NaN;
    const dirty = await lstmForward({ ...p, x }, exec);
    for (let i = 0; i < dirty.y.length; i++) {
      const [row, step] = [Math.floor(i / 18 / p.time), Math.floor(i / 18) % p.time];
      const touched = row === 11 && (i % 18 < 9 ? step >= 2 : step <= 2);
      if (touched) t.true(Number.isNaN(dirty.y[i]));
      else t.is(dirty.y[i], clean.y[i]);
    }
  });

  test(`no rows, no steps ${label}`, async (t) => {
    const none = await lstmForward(problem(0, 4, 3, 5, 2), exec);
    t.deepEqual([none.y.length, none.h.length, none.c.length], [0, 0, 0]);
    const p = problem(3, 0, 3, 5, 2);
    const still = await lstmForward(p, exec);
    t.deepEqual(still.h, p.h0!.slice());
    t.deepEqual(still.c, p.c0!.slice());
    const dh = randomF32(30, 9, 0);
    const grads = await lstmBackward({ ...p, ...still, dh }, exec);
    t.deepEqual(grads.h0, dh);
    t.true(grads.weightHidden.length === 2 * 20 * 5 && grads.weightHidden.every((v) => v === 0));
    t.true(grads.weightInput.every((v) => v === 0) && grads.bias.every((v) => v === 0));
  });
}

for (const { label, exec } of ways({ devices: false })) {
  test(`a row alone, in any batch and under any padding ${label}`, async (t) => {
    const p = problem(29, 6, 5, 20, 2);
    const width = p.directions * p.hiddenSize;
    const whole = await lstmForward(p, exec);
    for (const rows of [[7], [28, 1, 3], Array.from({ length: 14 }, (_, i) => 2 * i + 1)]) {
      const some = await lstmForward(rowsOf(p, rows), exec);
      for (const [i, b] of rows.entries()) {
        t.deepEqual(
          some.y.slice(i * p.time * width, (i + 1) * p.time * width),
          whole.y.slice(b * p.time * width, (b + 1) * p.time * width),
          `row ${b} ${label}`,
        );
      }
    }
    const length = p.lengths![9]!;
    const row = rowsOf(p, [9]);
    const cut = await lstmForward(
      { ...row, time: length, lengths: undefined, x: row.x.slice(0, length * p.inputSize) },
      exec,
    );
    const at = 9 * p.time * width;
    t.deepEqual(cut.y, whole.y.slice(at, at + length * width));
  });
}

test('every number of threads gives the same bits', async (t) => {
  for (const p of [problem(70, 6, 9, 24, 2), problem(1, 9, 400, 64, 1), problem(26, 4, 12, 300, 1)]) {
    const forward = await lstmForward(p, { threads: 1 });
    const grads = await lstmBackward({ ...p, ...forward, dy: forward.y }, { threads: 1 });
    for (const threads of [2, 3, 8]) {
      t.true(same(await lstmForward(p, { threads }), forward), `${threads} threads`);
      t.true(same(await lstmBackward({ ...p, ...forward, dy: forward.y }, { threads }), grads));
    }
  }
});

test('serving, training and runSync agree to the bit; `out` is written', async (t) => {
  const p = problem(5, 7, 6, 18, 2);
  using layer = await Lstm.create(p);
  const { saved: _, ...trained } = await lstmForward(p);
  const out = new Float32Array(trained.y.length).fill(7);
  const served = await layer.run(p.x, { ...p, out });
  t.is(served.y, out);
  t.deepEqual(served, trained);
  t.deepEqual(layer.runSync(p.x, p), trained);
});

test('central differences along random directions', async (t) => {
  const p = problem(4, 5, 3, 6, 2);
  const y = randomF32(4 * 5 * 12, 11, 0);
  const loss = async (q: Problem) => (await lstmForward(q)).y.reduce((sum, v, i) => sum + v * y[i]!, 0);
  const grads = await lstmBackward({ ...p, ...(await lstmForward(p)), dy: y });
  const step = 2 ** -7;
  for (const field of ['x', 'weightInput', 'weightHidden', 'bias', 'h0', 'c0'] as const) {
    const direction = randomF32(p[field]!.length, 21, 0);
    const moved = (s: number) => ({ ...p, [field]: p[field]!.map((v, i) => v + s * direction[i]!) });
    const numeric = ((await loss(moved(step))) - (await loss(moved(-step)))) / (2 * step);
    const slope = grads[field]!.reduce((sum, g, i) => sum + g * direction[i]!, 0);
    t.true(Math.abs(numeric - slope) <= 3e-3 * (1 + Math.abs(slope)), `${field}: ${numeric} for ${slope}`);
  }
});

test('without the gradient of x the others are the same; absent gradients count as zeros', async (t) => {
  const p = problem(6, 4, 5, 8, 2);
  const forward = await lstmForward(p);
  const all = await lstmBackward({ ...p, ...forward, dy: forward.y });
  const { x, ...others } = await lstmBackward({ ...p, ...forward, dy: forward.y, inputGradient: false });
  t.is(x, undefined);
  t.deepEqual({ ...others, x: all.x }, all);
  const zeros = new Float32Array(forward.h.length);
  t.deepEqual(await lstmBackward({ ...p, ...forward, dy: forward.y, dh: zeros, dc: zeros }), all);
});

test('bad input: typed errors that name the field', async (t) => {
  const p = problem(2, 3, 4, 5, 1);
  const forward = await lstmForward(p);
  const cases: [() => Promise<unknown>, ExpectedError][] = [];
  const bad = (change: Partial<Problem>, expected: ExpectedError) => {
    cases.push([() => lstmForward({ ...p, ...change }), expected]);
    cases.push([() => lstmBackward({ ...p, ...forward, ...change }), expected]);
  };
  bad({ inputSize: 0 }, { name: 'ShapeError', code: 'ERR_SHAPE', field: 'inputSize' });
  bad({ hiddenSize: 2 ** 15 }, { code: 'ERR_SHAPE', field: 'hiddenSize' });
  bad({ directions: 3 as 2 }, { code: 'ERR_SHAPE', field: 'directions' });
  bad({ weightInput: new Float32Array(3) }, { code: 'ERR_SHAPE', field: 'weightInput' });
  bad({ weightHidden: new Float32Array(3) }, { code: 'ERR_SHAPE', field: 'weightHidden' });
  bad({ x: new Float32Array(25) }, { code: 'ERR_SHAPE', field: 'x' });
  bad({ time: -1 }, { code: 'ERR_SHAPE', field: 'time' });
  bad({ lengths: new Int32Array(3) }, { code: 'ERR_SHAPE', field: 'lengths' });
  bad({ lengths: Int32Array.of(1, 4) }, { name: 'InputError', code: 'ERR_INPUT_VALUE', field: 'lengths[1]' });
  bad({ lengths: Int32Array.of(-1, 2) }, { code: 'ERR_INPUT_VALUE', field: 'lengths[0]' });
  bad({ h0: new Float32Array(9) }, { code: 'ERR_SHAPE', field: 'h0' });
  bad({ c0: new Float32Array(11) }, { code: 'ERR_SHAPE', field: 'c0' });
  for (const field of ['y', 'saved', 'dy', 'dh', 'dc'] as const) {
    cases.push([
      () => lstmBackward({ ...p, ...forward, [field]: new Float32Array(1) }),
      { code: 'ERR_SHAPE', field },
    ]);
  }
  const layer = await Lstm.create(p);
  cases.push(
    [() => lstmForward({ ...p, bias: new Float32Array(3) }), { code: 'ERR_SHAPE', field: 'bias' }],
    [
      () => layer.run(p.x, { ...p, out: p.x.subarray(0, 30) }),
      { code: p.x.length >= 30 ? 'ERR_INPUT_VALUE' : 'ERR_SHAPE', field: 'out' },
    ],
    [
      () => layer.run(p.x, { ...p, signal: AbortSignal.abort() }),
      { name: 'AbortError', code: 'ERR_CANCELLED' },
    ],
  );
  for (const [call, expected] of cases) await throwsTyped(t, call, expected);
  layer.dispose();
  await throwsTyped(t, () => layer.run(p.x, p), { name: 'DisposedError', code: 'ERR_DISPOSED' });
});

test('a run is cancelled after it has begun', async (t) => {
  const p = problem(1, 20_000, 8, 128, 1, { ragged: false });
  using layer = await Lstm.create(p);
  const aborter = new AbortController();
  const running = layer.run(p.x, { ...p, signal: aborter.signal });
  aborter.abort();
  await throwsTyped(t, () => running, { name: 'AbortError', code: 'ERR_CANCELLED' });
});
