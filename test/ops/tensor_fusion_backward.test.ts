import test from 'ava';
import {
  outerProduct,
  outerProductBackward,
  TensorFusion,
  type TensorFusionInput,
  tensorFusionBackward,
  tensorFusionForward,
} from '../../lib/ops/index.js';
import { randomF32, ways } from '../backends.js';
import { type ExpectedError, throwsTyped } from '../errors.js';
import { assertGolden, f32, loadGolden } from '../golden.js';
import { outerRow } from './oracle.js';

const golden = loadGolden('fusion').filter((c) => Object.keys(c.tensors).some((f) => f.startsWith('d_')));
const widthOf = (dims: readonly number[]) => dims.reduce((p, d) => p * (d + 1), 1);

interface Problem extends TensorFusionInput {
  rows: number;
  bias: Float32Array;
  dy: Float32Array;
}

function problem(dims: number[], outFeatures: number, rows: number, masked: boolean): Problem {
  return {
    dims,
    outFeatures,
    rows,
    h: dims.map((d, m) => randomF32(rows * d, 7 + m, m)),
    weight: randomF32(outFeatures * widthOf(dims), 3, 3),
    bias: randomF32(outFeatures, 4),
    dy: randomF32(rows * outFeatures, 5, 2),
    present: masked
      ? Uint8Array.from({ length: rows * dims.length }, (_, i) => ((i * 7 + rows) % 3 === 0 ? 0 : 1))
      : undefined,
  };
}

interface Reference {
  y: Float64Array;
  h: Float64Array[];
  weight: Float64Array;
  bias: Float64Array;
}

/** Everything in float64, straight from the definition; `dz` replaces dy W where it is given. */
function reference(p: Problem, dz?: ArrayLike<number>): Reference {
  const width = widthOf(p.dims);
  const modes = p.dims.length;
  const r64: Reference = {
    y: new Float64Array(p.rows * p.outFeatures),
    h: p.dims.map((d) => new Float64Array(p.rows * d)),
    weight: new Float64Array(p.outFeatures * width),
    bias: new Float64Array(p.outFeatures),
  };
  for (let r = 0; r < p.rows; r++) {
    const z = outerRow(p.h, p.dims, r, p.present);
    const incoming = new Float64Array(width);
    for (let o = 0; o < p.outFeatures; o++) {
      const g = p.dy[r * p.outFeatures + o]!;
      let y = p.bias[o]!;
      for (let k = 0; k < width; k++) {
        const w = p.weight[o * width + k]!;
        y += z[k]! * w;
        r64.weight[o * width + k]! += g * z[k]!;
        incoming[k]! += g * w;
      }
      r64.y[r * p.outFeatures + o] = y;
      r64.bias[o]! += g;
    }
    const value = (m: number, i: number) =>
      i === p.dims[m] ? 1 : p.present?.[r * modes + m] === 0 ? 0 : p.h[m]![r * p.dims[m]! + i]!;
    for (let k = 0; k < width; k++) {
      const index = new Array<number>(modes);
      for (let m = modes - 1, left = k; m >= 0; m--) {
        index[m] = left % (p.dims[m]! + 1);
        left = Math.floor(left / (p.dims[m]! + 1));
      }
      for (let m = 0; m < modes; m++) {
        if (index[m] === p.dims[m] || p.present?.[r * modes + m] === 0) continue;
        let product = dz ? (dz[r * width + k] as number) : incoming[k]!;
        for (let n = 0; n < modes; n++) if (n !== m) product *= value(n, index[n]!);
        r64.h[m]![r * p.dims[m]! + index[m]!]! += product;
      }
    }
  }
  return r64;
}

/** What the oracle says of every shape, with and without a mask; for all ways to run once. */
const oracle = once(() =>
  SHAPES.flatMap(([dims, out, rows]) =>
    [false, true].map((masked) => {
      const p = problem(dims, out, rows, masked);
      const dz = randomF32(rows * widthOf(dims), 11);
      return { p, dz, ref: reference(p), bare: reference(p, dz).h };
    }),
  ),
);

function once<T>(make: () => T): () => T {
  let made: T | undefined;
  return () => {
    made ??= make();
    return made;
  };
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

const SHAPES: [number[], number, number][] = [
  [[1, 1], 1, 1],
  [[1, 1, 1, 1], 3, 5],
  [[3, 1, 2], 33, 13],
  [[7, 8], 31, 32],
  [[16, 17, 3], 17, 33],
  [[5, 4, 3, 6], 20, 25],
  [[2, 400], 7, 6],
  [[400, 2], 5, 2],
  [[23, 9, 1], 13, 37],
  [[31, 1, 31], 5, 3],
  [[1, 60, 90], 2, 5],
];

for (const { label, exec } of ways()) {
  test(`golden gradients of layers and of the bare product ${label}`, async (t) => {
    const seen = { tfn: 0, tfn_linear: 0 };
    for (const c of golden) {
      const kind = c.config.kind;
      if (kind !== 'tfn' && kind !== 'tfn_linear') continue;
      const dims = c.config.dims as number[];
      for (const offset of [0, 1, 3]) {
        const h = dims.map((_, m) => f32(c, `h${m}`, offset));
        if (kind === 'tfn') {
          const rows = c.config.batch as number;
          const dh = await outerProductBackward({ h, dz: f32(c, 'grad_z', offset), rows }, exec);
          for (const [m, got] of dh.entries()) assertGolden(t, c, `d_h${m}`, got, label);
        } else {
          const layer = { dims, outFeatures: c.config.out as number, h, weight: f32(c, 'W', offset) };
          const y = await tensorFusionForward({ ...layer, bias: f32(c, 'b', offset) }, exec);
          assertGolden(t, c, 'y', y, label);
          const got = await tensorFusionBackward({ ...layer, dy: f32(c, 'grad_y', offset) }, exec);
          for (const [m, dh] of got.h.entries()) assertGolden(t, c, `d_h${m}`, dh, label);
          assertGolden(t, c, 'd_W', got.weight, label);
          assertGolden(t, c, 'd_b', got.bias, label);
        }
        seen[kind]++;
      }
    }
    t.true(seen.tfn > 0 && seen.tfn_linear > 0, 'no golden case was found');
  });

  test(`odd shapes, absent modalities, NaN where nothing may look: against float64 ${label}`, async (t) => {
    for (const { p, dz, ref, bare: expected } of oracle()) {
      const { dims, outFeatures, rows, present } = p;
      const h = p.h.map((x, m) =>
        x.map((v, i) => (present?.[Math.floor(i / dims[m]!) * dims.length + m] === 0 ? Number.NaN : v)),
      );
      const where = `${dims} -> ${outFeatures}, ${rows} rows, ${present ? 'some absent' : 'all there'} ${label}`;
      t.true(worst(await tensorFusionForward({ ...p, h }, exec), ref.y) < 5e-6, `y ${where}`);
      const got = await tensorFusionBackward({ ...p, h }, exec);
      for (const [m, dh] of got.h.entries()) t.true(worst(dh, ref.h[m]!) < 1e-5, `dh${m} ${where}`);
      t.true(worst(got.weight, ref.weight) < 1e-5, `dW ${where}`);
      t.true(worst(got.bias, ref.bias) < 1e-5, `db ${where}`);
      const bare = await outerProductBackward({ h, dz, rows, present }, exec);
      for (const [m, dh] of bare.entries()) {
        t.true(worst(dh, expected[m]!) < 1e-5, `of the product, dh${m} ${where}`);
      }
    }
  });

  test(`what is not finite stays in its row of y and dh, and in its outputs of dW ${label}`, async (t) => {
    const p = problem([6, 5, 7], 14, 40, false);
    const clean = await tensorFusionBackward(p, exec);
    const cleanY = await tensorFusionForward(p, exec);
    p.dy[3 * 14 + 2] = Number.NaN;
    p.dy[35 * 14 + 9] = Number.POSITIVE_INFINITY;
    const got = await tensorFusionBackward(p, exec);
    got.h.forEach((dh, m) => {
      const d = p.dims[m]!;
      for (let i = 0; i < dh.length; i++) {
        const row = Math.floor(i / d);
        if (row === 3 || row === 35) t.false(Number.isFinite(dh[i]));
        else t.is(dh[i]!, clean.h[m]![i]!);
      }
    });
    const width = widthOf(p.dims);
    got.weight.forEach((v, i) => {
      const o = Math.floor(i / width);
      if (o === 2) t.is(v, Number.NaN);
      else if (o === 9) t.false(Number.isFinite(v));
      else t.is(v, clean.weight[i]!);
    });
    t.true(Number.isNaN(got.bias[2]) && got.bias[9] === Number.POSITIVE_INFINITY);
    const h = p.h.map((x) => x.slice());
    h[1]![8 * 5] = Number.NaN;
    const y = await tensorFusionForward({ ...p, h }, exec);
    y.forEach((v, i) => {
      if (Math.floor(i / 14) === 8) t.true(Number.isNaN(v));
      else t.is(v, cleanY[i]!);
    });
  });
}

test('every number of threads gives the same bits', async (t) => {
  for (const [dims, out, rows] of [
    [[32, 24, 20], 40, 64],
    [[64, 70], 3, 9],
    [[9, 8, 7], 1, 500],
  ] as const) {
    const p = problem([...dims], out, rows, true);
    const one = await tensorFusionBackward(p, { threads: 1 });
    const y = await tensorFusionForward(p, { threads: 1 });
    const dz = randomF32(rows * widthOf(dims), 3);
    const bare = await outerProductBackward({ h: p.h, dz, rows }, { threads: 1 });
    for (const threads of [2, 3, 8, 16]) {
      t.deepEqual(await tensorFusionBackward(p, { threads }), one, `${dims}, ${threads} threads`);
      t.deepEqual(await tensorFusionForward(p, { threads }), y, `${dims}, ${threads} threads`);
      t.deepEqual(await outerProductBackward({ h: p.h, dz, rows }, { threads }), bare);
    }
  }
});

test('training and serving agree, and so do the layer and the product through its weights', async (t) => {
  const p = problem([12, 9, 8], 21, 70, true);
  using served = await TensorFusion.create(p);
  const y = await tensorFusionForward(p);
  t.true(worst(y, await served.run(p.h, { present: p.present })) < 2e-6);
  const z = await outerProduct(p.h, { rows: p.rows, present: p.present });
  const width = widthOf(p.dims);
  const dz = new Float32Array(p.rows * width);
  for (let r = 0; r < p.rows; r++) {
    for (let k = 0; k < width; k++) {
      let sum = 0;
      for (let o = 0; o < 21; o++) sum += p.dy[r * 21 + o]! * p.weight[o * width + k]!;
      dz[r * width + k] = sum;
    }
  }
  const got = await tensorFusionBackward(p);
  const bare = await outerProductBackward({ h: p.h, dz, rows: p.rows, present: p.present });
  for (const [m, dh] of got.h.entries()) t.true(worst(dh, bare[m]!) < 1e-5);
  const dW = new Float64Array(21 * width);
  for (let r = 0; r < p.rows; r++) {
    for (let o = 0; o < 21; o++) {
      for (let k = 0; k < width; k++) dW[o * width + k]! += p.dy[r * 21 + o]! * z[r * width + k]!;
    }
  }
  t.true(worst(got.weight, dW) < 1e-5);
});

test('central differences of y along random directions', async (t) => {
  const p = problem([5, 4, 6], 7, 9, true);
  const loss = async (q: Problem) =>
    (await tensorFusionForward(q)).reduce((sum, v, i) => sum + v * p.dy[i]!, 0);
  const got = await tensorFusionBackward(p);
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
  await along(got.weight, (d, s) => ({ ...p, weight: moved(p.weight, d, s) }));
  await along(got.bias, (d, s) => ({ ...p, bias: moved(p.bias, d, s) }));
  for (let m = 0; m < 3; m++) {
    await along(got.h[m]!, (d, s) => ({ ...p, h: p.h.map((x, n) => (n === m ? moved(x, d, s) : x)) }));
  }
});

for (const { label, exec } of ways()) {
  test(`no rows: zero gradients ${label}`, async (t) => {
    const p = problem([3, 2], 4, 0, false);
    t.is((await tensorFusionForward(p, exec)).length, 0);
    const got = await tensorFusionBackward(p, exec);
    t.deepEqual(got, {
      h: [new Float32Array(0), new Float32Array(0)],
      weight: new Float32Array(48),
      bias: new Float32Array(4),
    });
  });
}

test('bad input: typed errors that name the field', async (t) => {
  const p = problem([3, 2], 4, 2, false);
  const backward = (change: Partial<Problem>) => () => tensorFusionBackward({ ...p, ...change });
  const forward = (change: Partial<Problem>) => () => tensorFusionForward({ ...p, ...change });
  const cases: [() => Promise<unknown>, ExpectedError][] = [];
  for (const call of [backward, forward]) {
    cases.push(
      [call({ dims: [3] }), { name: 'ShapeError', code: 'ERR_SHAPE', field: 'dims' }],
      [call({ dims: [3, 3] }), { code: 'ERR_SHAPE', field: 'weight' }],
      [call({ dims: [65535, 65535] }), { code: 'ERR_SHAPE', field: 'dims', message: /low-rank/ }],
      [call({ outFeatures: 0 }), { code: 'ERR_SHAPE', field: 'outFeatures' }],
      [call({ h: [p.h[0]!] }), { code: 'ERR_SHAPE', field: 'h' }],
      [call({ h: [p.h[0]!, p.h[0]!] }), { code: 'ERR_SHAPE', field: 'h[1]' }],
      [call({ weight: [1] as never }), { code: 'ERR_INPUT_TYPE', field: 'weight' }],
      [call({ present: new Uint8Array(3) }), { code: 'ERR_SHAPE', field: 'present' }],
    );
  }
  cases.push(
    [backward({ dy: new Float32Array(7) }), { code: 'ERR_SHAPE', field: 'dy', message: /\(2, 4\)/ }],
    [backward({ dy: undefined as never }), { code: 'ERR_INPUT_TYPE', field: 'dy' }],
    [forward({ bias: new Float32Array(3) }), { code: 'ERR_SHAPE', field: 'bias' }],
    [
      () => outerProductBackward({ h: p.h, dz: new Float32Array(23), rows: 2 }),
      { code: 'ERR_SHAPE', field: 'dz' },
    ],
    [() => outerProductBackward({ h: [p.h[0]!], dz: p.dy }), { code: 'ERR_SHAPE', field: 'dims' }],
    [
      () => tensorFusionBackward(p, { signal: AbortSignal.abort() }),
      { name: 'AbortError', code: 'ERR_CANCELLED' },
    ],
  );
  for (const [call, expected] of cases) await throwsTyped(t, call, expected);
});
