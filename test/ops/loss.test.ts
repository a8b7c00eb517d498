import test from 'ava';
import { type Loss, type LossInput, type LossOptions, loss } from '../../lib/ops/index.js';
import { random, randomF32, ways } from '../backends.js';
import { type ExpectedError, throwsTyped } from '../errors.js';
import { assertGolden, f32, loadGolden } from '../golden.js';

const KINDS: Record<string, Loss> = {
  mse: 'mse',
  mae: 'mae',
  huber: 'huber',
  bce_with_logits: 'bce',
  cross_entropy: 'cross-entropy',
};

/** Loss and gradient in float64, as the documentation has them. */
function exact(kind: Loss, { x, target, rowWeights, classWeights }: LossInput, options: LossOptions) {
  const { delta = 1, smoothing = 0, reduction = 'mean' } = options;
  const cols = options.cols ?? 1;
  const rows = x.length / cols;
  const each: number[] = [];
  const dx = new Float64Array(x.length);
  let total = 0;
  let weights = 0;
  for (let r = 0; r < rows; r++) {
    const w = rowWeights?.[r] ?? 1;
    const row = Array.from(x.subarray(r * cols, (r + 1) * cols));
    if (kind === 'cross-entropy') {
      const known = w !== 0 && !Number.isNaN(target[r]);
      const top = Math.max(...row);
      const log = top + Math.log(row.reduce((s, v) => s + Math.exp(v - top), 0));
      const t = row.map(
        (_, c) => (classWeights?.[c] ?? 1) * (smoothing / cols + (c === target[r] ? 1 - smoothing : 0)),
      );
      const all = t.reduce((a, b) => a + b, 0);
      const value = known ? w * row.reduce((s, v, c) => s + t[c]! * (log - v), 0) : 0;
      each.push(value);
      total += value;
      if (known) weights += w * (classWeights?.[target[r]!] ?? 1);
      row.forEach((v, c) => {
        dx[r * cols + c] = known ? w * (Math.exp(v - log) * all - t[c]!) : 0;
      });
      continue;
    }
    row.forEach((v, c) => {
      const i = r * cols + c;
      const aim = target[i]!;
      const known = w !== 0 && !Number.isNaN(aim);
      const e = v - aim;
      const straight = Math.abs(e) > delta;
      const [value, slope] = {
        mse: [e * e, 2 * e],
        mae: [Math.abs(e), Math.sign(e)],
        huber: straight ? [delta * (Math.abs(e) - delta / 2), delta * Math.sign(e)] : [(e * e) / 2, e],
        bce: [Math.max(v, 0) + Math.log1p(Math.exp(-Math.abs(v))) - aim * v, 1 / (1 + Math.exp(-v)) - aim],
      }[kind] as [number, number];
      each.push(known ? w * value : 0);
      total += known ? w * value : 0;
      weights += known ? w : 0;
      dx[i] = known ? w * slope : 0;
    });
  }
  if (reduction === 'mean') {
    const scale = weights > 0 ? 1 / weights : 0;
    return { loss: [total * scale], dx: dx.map((v) => v * scale) };
  }
  return { loss: reduction === 'sum' ? [total] : each, dx };
}

for (const { label, exec } of ways()) {
  test(`golden losses and their gradients ${label}`, async (t) => {
    const seen = new Set<string>();
    for (const c of loadGolden('losses')) {
      if (c.tensors.pos_weight) continue;
      const kind = KINDS[c.config.kind as string];
      if (!kind) throw new Error(`no loss for golden ${c.config.kind}`);
      seen.add(kind);
      for (const offset of [0, 1, 3]) {
        const input = {
          x: f32(c, 'x', offset),
          target: f32(c, 'target', offset),
          classWeights: c.tensors.weight && f32(c, 'weight', offset),
        };
        const options = {
          ...exec,
          cols: c.tensors.x!.shape[1]!,
          delta: c.config.delta as number | undefined,
          smoothing: c.config.label_smoothing as number | undefined,
        } as LossOptions;
        for (const reduction of ['mean', 'sum', 'none'] as const) {
          const got = await loss(kind, input, { ...options, reduction });
          assertGolden(t, c, reduction, got.loss, label);
          const slopes = reduction === 'mean' ? 'd_mean' : 'd_sum';
          if (c.tensors[slopes]) assertGolden(t, c, slopes, got.dx!, label);
          const without = await loss(kind, input, { ...options, reduction, gradient: false });
          t.is(without.dx, undefined);
          t.deepEqual(without.loss, got.loss);
        }
      }
    }
    t.deepEqual([...seen].sort(), Object.values(KINDS).sort());
  });

  test(`unknown targets, weights of rows and classes, odd sizes, against float64 ${label}`, async (t) => {
    const next = random(4);
    for (const [rows, cols] of [
      [1, 1],
      [3, 1],
      [7, 5],
      [64, 3],
      [33, 17],
      [5, 130],
      [3, 1100],
      [5000, 1],
      [700, 9],
    ] as const) {
      const x = randomF32(rows * cols, rows).map((v) => 3 * v);
      const rowWeights = Float32Array.from({ length: rows }, () => Math.floor(next() * 4) / 2);
      for (const kind of Object.values(KINDS)) {
        const classes = kind === 'cross-entropy';
        const target = Float32Array.from({ length: classes ? rows : rows * cols }, () => {
          if (rows > 1 && next() < 0.2) return Number.NaN;
          return classes ? Math.floor(next() * cols) : kind === 'bce' ? next() : 4 * next() - 2;
        });
        const classWeights = classes ? randomF32(cols, 3).map((v) => Math.abs(v) + 0.1) : undefined;
        for (const reduction of ['mean', 'sum', 'none'] as const) {
          const input = { x, target, rowWeights, classWeights };
          const options = { cols, reduction, delta: 0.7, smoothing: classes ? 0.2 : 0 };
          const got = await loss(kind, input, { ...exec, ...options });
          const expected = exact(kind, input, options);
          const where = `${kind} ${reduction} ${rows}x${cols} ${label}`;
          for (const field of ['loss', 'dx'] as const) {
            t.is(got[field]!.length, expected[field].length, where);
            const top = Math.max(...Array.from(expected[field], Math.abs));
            const at = got[field]!.findIndex(
              (v, i) => !(Math.abs(v - expected[field][i]!) <= 2e-6 * top + 1e-30),
            );
            t.is(at, -1, `${field} of ${where}: ${got[field]![at]} at ${at}, not ${expected[field][at]}`);
          }
        }
      }
    }
  });

  test(`nothing known: 0; no rows: 0 ${label}`, async (t) => {
    for (const kind of Object.values(KINDS)) {
      for (const rows of [0, 3]) {
        const target = new Float32Array(kind === 'cross-entropy' ? rows : 2 * rows).fill(Number.NaN);
        for (const reduction of ['mean', 'sum'] as const) {
          const got = await loss(
            kind,
            { x: randomF32(2 * rows, 1), target },
            { ...exec, cols: 2, reduction },
          );
          t.deepEqual([...got.loss], [0], kind);
          t.true(got.dx!.every((v) => v === 0));
        }
      }
    }
  });

  test(`NaN in x shows, hidden where the target is unknown; infinities are not NaN where they need not be ${label}`, async (t) => {
    for (const kind of Object.values(KINDS)) {
      const x = Float32Array.of(Number.NaN, 0.5, 1, 2, 3, -1);
      const classes = kind === 'cross-entropy';
      const target = classes ? Float32Array.of(1, 0, 1) : Float32Array.of(1, 0, 1, 0, 1, 1);
      const options = { ...exec, cols: 2, reduction: 'sum' } as const;
      const got = await loss(kind, { x, target }, options);
      t.true(Number.isNaN(got.loss[0]), `${kind}: loss`);
      t.true(Number.isNaN(got.dx![0]), `${kind}: gradient`);
      t.true(got.dx!.subarray(2).every(Number.isFinite), `${kind}: other rows`);
      for (const hidden of [
        { target: target.map((v, i) => (i < (classes ? 1 : 2) ? Number.NaN : v)) },
        { target, rowWeights: Float32Array.of(0, 1, 1) },
      ]) {
        const other = await loss(kind, { x, ...hidden }, options);
        t.true(Number.isFinite(other.loss[0]), `${kind}: unknown`);
        t.deepEqual([...other.dx!.subarray(0, 2)], [0, 0]);
      }
    }
    const far = await loss(
      'bce',
      { x: Float32Array.of(500, -500, Infinity, -Infinity, 500), target: Float32Array.of(1, 0, 1, 0, 0) },
      { ...exec, reduction: 'none' },
    );
    t.deepEqual([...far.loss], [0, 0, 0, 0, 500]);
    t.deepEqual([...far.dx!], [0, 0, 0, 0, 1]);
  });
}

test('gradients are the slopes of the losses', async (t) => {
  const [rows, cols] = [6, 4];
  const x = randomF32(rows * cols, 2).map((v) => 2 * v);
  for (const kind of Object.values(KINDS)) {
    const classes = kind === 'cross-entropy';
    const target = classes
      ? Float32Array.of(0, 3, 1, 2, 2, 0)
      : randomF32(rows * cols, 3).map((v) => (kind === 'bce' ? (v > 0 ? 1 : 0) : v));
    const options = { cols, smoothing: classes ? 0.1 : 0 };
    const { dx } = await loss(kind, { x, target }, options);
    const h = 2 ** -7;
    for (let i = 0; i < x.length; i++) {
      if (kind === 'mae' && Math.abs(x[i]! - target[i]!) <= h) continue;
      const value = async (d: number) =>
        (await loss(kind, { x: x.map((v, j) => (j === i ? v + d : v)), target }, options)).loss[0]!;
      const slope = ((await value(h)) - (await value(-h))) / (2 * h);
      t.true(Math.abs(dx![i]! - slope) < 1e-4, `${kind}, ${i}: ${dx![i]}, ${slope}`);
    }
  }
});

test('every number of threads and instruction set gives the same bits', async (t) => {
  const [rows, cols] = [3000, 7];
  const x = randomF32(rows * cols, 2);
  const target = Float32Array.from({ length: rows }, (_, i) => i % cols);
  const one = await loss('cross-entropy', { x, target }, { threads: 1 });
  for (const { exec } of ways({ devices: false }))
    t.deepEqual(await loss('cross-entropy', { x, target }, exec), one);
});

test('bad input: typed errors that name the field', async (t) => {
  const good = { x: new Float32Array(6), target: new Float32Array(6) };
  const classes = { x: new Float32Array(6), target: Float32Array.of(0, 1) };
  const three = Float32Array.of(1, 1, 1);
  const value = (field: string): ExpectedError => ({ code: 'ERR_INPUT_VALUE', field });
  const shape = (field: string): ExpectedError => ({ code: 'ERR_SHAPE', field });
  const cases: [() => Promise<unknown>, ExpectedError][] = [
    [() => loss('rmse' as never, good), value('kind')],
    [() => loss('mse', good, { reduction: 'max' as never }), value('reduction')],
    [() => loss('mse', { ...good, target: three }), shape('target')],
    [() => loss('mse', good, { cols: 4 }), shape('x')],
    [() => loss('mse', { ...good, rowWeights: three }), shape('rowWeights')],
    [() => loss('mse', { ...good, rowWeights: Float32Array.of(1, 1, 1, -1, 1, 1) }), value('rowWeights')],
    [() => loss('mse', { ...good, classWeights: three }, { cols: 3 }), shape('classWeights')],
    [() => loss('huber', good, { delta: 0 }), value('delta')],
    [() => loss('bce', { ...good, target: good.target.map(() => 1.5) }), value('target')],
    [() => loss('cross-entropy', classes, { smoothing: 1 }), value('smoothing')],
    [() => loss('cross-entropy', { ...classes, target: Float32Array.of(0, 3) }), value('target')],
    [() => loss('cross-entropy', { ...classes, target: Float32Array.of(0, 0.5) }), value('target')],
    [() => loss('cross-entropy', { ...classes, target: Float32Array.of(-1, 0) }), value('target')],
    [() => loss('cross-entropy', { ...classes, classWeights: new Float32Array(2) }), shape('classWeights')],
    [
      () => loss('cross-entropy', { ...classes, classWeights: Float32Array.of(1, NaN, 1) }),
      value('classWeights'),
    ],
    [() => loss('mse', { ...good, x: [1] as never }), { code: 'ERR_INPUT_TYPE', field: 'x' }],
  ];
  for (const [call, expected] of cases) await throwsTyped(t, call, expected);
});
