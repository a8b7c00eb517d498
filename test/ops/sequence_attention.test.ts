import test, { type ExecutionContext } from 'ava';
import {
  AdditiveAttention,
  type AdditiveAttentionInput,
  type AdditiveAttentionLayer,
  type AttentionOptions,
  type Backend,
  CrossAttention,
  type CrossAttentionInput,
  type CrossAttentionLayer,
  spatialAttention,
  temporalAttention,
} from '../../lib/ops/index.js';
import { random, randomF32, ways } from '../backends.js';
import { type ExpectedError, throwsTyped } from '../errors.js';
import { assertGolden, f32, type GoldenCase, loadGolden, tensorOf } from '../golden.js';

/** Layer made, run once and given back. */
async function additiveAttention(
  { dim, W, b, w, ...input }: AdditiveAttentionLayer & AdditiveAttentionInput,
  options: AttentionOptions = {},
) {
  using layer = await AdditiveAttention.create({ dim, W, b, w }, options);
  return layer.run(input, options);
}

function softmax(e: number[]): number[] {
  const top = Math.max(...e);
  const x = e.map((v) => Math.exp(v - top));
  const sum = x.reduce((a, b) => a + b, 0);
  return x.map((v) => v / sum);
}

const dot = (a: ArrayLike<number>, i: number, b: ArrayLike<number>, j: number, n: number) => {
  let sum = 0;
  for (let k = 0; k < n; k++) sum += a[i + k]! * b[j + k]!;
  return sum;
};

const close = (got: ArrayLike<number>, at: number, want: ArrayLike<number>, tolerance = 1e-5) =>
  Array.from(want).every((v, i) => Math.abs(got[at + i]! - v) <= tolerance * Math.max(1, Math.abs(v)));

/** Bit for bit on the CPU, which promises it; within tolerance on devices. */
function same(t: ExecutionContext, backend: Backend, got: Float32Array, want: Float32Array) {
  if (backend === 'cpu') t.deepEqual(got, want);
  else t.true(close(got, 0, want));
}

/** A multi-head attention case at a given offset of all its arrays. */
function crossCase(
  c: GoldenCase,
  offset: number,
): { layer: CrossAttentionLayer; input: CrossAttentionInput } {
  const { Tq, Tk, E, Ek, heads } = c.config as Record<string, number>;
  const at = (field: string) => f32(c, field, offset);
  const layer: CrossAttentionLayer = {
    width: E!,
    contextWidth: Ek!,
    heads: heads!,
    Wq: at('Wq'),
    bq: at('bq'),
    Wk: at('Wk'),
    bk: at('bk'),
    Wv: at('Wv'),
    bv: at('bv'),
    Wo: at('Wo'),
    bo: at('bo'),
  };
  if (c.config.kind === 'cross_block') {
    layer.block = {
      norm1: { weight: at('ln1_g'), bias: at('ln1_b') },
      W1: at('W1'),
      b1: at('b1'),
      W2: at('W2'),
      b2: at('b2'),
      norm2: { weight: at('ln2_g'), bias: at('ln2_b') },
    };
  }
  const present = tensorOf(c, 'present').data as Uint8Array;
  return { layer, input: { x: at('x'), context: at('ctx'), queries: Tq!, keys: Tk!, present } };
}

for (const { label, exec } of ways()) {
  test(`golden temporal, spatial and cross-modal attention ${label}`, async (t) => {
    const seen = new Map<string, number>();
    for (const c of loadGolden('attention')) {
      const kind = c.config.kind as string;
      if (kind.startsWith('modality')) continue;
      for (const offset of [0, 1, 3]) {
        const at = (field: string) => f32(c, field, offset);
        if (kind === 'cross_mha' || kind === 'cross_block') {
          const { layer, input } = crossCase(c, offset);
          using cross = await CrossAttention.create(layer, exec);
          const { y, alpha } = await cross.run(input, { ...exec, weights: kind === 'cross_mha' });
          assertGolden(t, c, 'y', y, label);
          if (kind === 'cross_mha') assertGolden(t, c, 'alpha', alpha, label);
          else t.is(alpha.length, 0);
          continue;
        }
        let result: { c: Float32Array; alpha: Float32Array };
        if (kind === 'temporal') {
          const [, steps, keyDim] = tensorOf(c, 'K').shape as [number, number, number];
          const valueDim = tensorOf(c, 'V').shape[2]!;
          const lengths = tensorOf(c, 'len').data as Int32Array;
          const input = { query: at('q'), keys: at('K'), values: at('V'), steps, keyDim, valueDim, lengths };
          result = await temporalAttention(input, exec);
        } else if (kind === 'temporal_tanh') {
          const [, steps, dim] = tensorOf(c, 'x').shape as [number, number, number];
          const lengths = tensorOf(c, 'len').data as Int32Array;
          const input = { x: at('x'), steps, dim, lengths, W: at('W'), b: at('b'), w: at('w') };
          result = await additiveAttention(input, exec);
        } else {
          const [, channels, height, width] = tensorOf(c, 'x').shape as [number, number, number, number];
          const map = { x: at('x'), channels, height, width };
          result = await spatialAttention(
            kind === 'spatial_linear' ? { ...map, w: at('w'), b: at('b')[0]! } : { ...map, query: at('q') },
            exec,
          );
        }
        assertGolden(t, c, 'c', result.c, label);
        assertGolden(t, c, 'alpha', result.alpha, label);
      }
      seen.set(kind, (seen.get(kind) ?? 0) + 1);
    }
    t.deepEqual([...seen.keys()].sort(), [
      'cross_block',
      'cross_mha',
      'spatial_linear',
      'spatial_query',
      'temporal',
      'temporal_tanh',
    ]);
  });

  test(`temporal: random shapes, lengths and scales against float64; what is beyond a length is not seen ${label}`, async (t) => {
    const next = random(17);
    for (let round = 0; round < 30; round++) {
      const batch = 1 + Math.floor(next() * 12);
      const steps = 1 + Math.floor(next() * 70);
      const keyDim = 1 + Math.floor(next() * 70);
      const valueDim = 1 + Math.floor(next() * 150);
      const scale = [1, undefined, 0.3][round % 3];
      const query = randomF32(batch * keyDim, round);
      const keys = randomF32(batch * steps * keyDim, round + 1);
      const values = randomF32(batch * steps * valueDim, round + 2);
      const lengths = Int32Array.from({ length: batch }, () => Math.floor(next() * (steps + 1)));
      for (let r = 0; r < batch; r++) {
        keys.fill(Number.NaN, (r * steps + lengths[r]!) * keyDim, (r + 1) * steps * keyDim);
        values.fill(Number.NaN, (r * steps + lengths[r]!) * valueDim, (r + 1) * steps * valueDim);
      }
      const { c, alpha } = await temporalAttention(
        { query, keys, values, steps, keyDim, valueDim, lengths, ...(scale !== undefined && { scale }) },
        exec,
      );
      for (let r = 0; r < batch; r++) {
        const length = lengths[r]!;
        const e = Array.from(
          { length },
          (_, s) =>
            (scale ?? 1 / Math.sqrt(keyDim)) * dot(query, r * keyDim, keys, (r * steps + s) * keyDim, keyDim),
        );
        const a = softmax(e);
        const expected = new Float64Array(valueDim);
        for (let s = 0; s < length; s++)
          for (let j = 0; j < valueDim; j++) expected[j]! += a[s]! * values[(r * steps + s) * valueDim + j]!;
        const whole = [...a, ...new Array<number>(steps - length).fill(0)];
        t.true(close(alpha, r * steps, whole, 2e-5), `alpha, round ${round} row ${r}`);
        t.true(close(c, r * valueDim, expected, 2e-5), `c, round ${round} row ${r}`);
        t.true(alpha.subarray(r * steps + length, (r + 1) * steps).every((v) => v === 0));
      }
    }
  });

  test(`additive: random shapes and lengths against float64; a batch equals its rows alone, on the CPU bit for bit ${label}`, async (t) => {
    const next = random(23);
    for (let round = 0; round < 20; round++) {
      const batch = 1 + Math.floor(next() * 9);
      const steps = round === 7 ? 200 : 1 + Math.floor(next() * 40);
      const dim = 1 + Math.floor(next() * 50);
      const k = 1 + Math.floor(next() * 40);
      const x = randomF32(batch * steps * dim, round);
      const W = randomF32(k * dim, round + 1).map((v) => v / Math.sqrt(dim));
      const b = randomF32(k, round + 2);
      const w = randomF32(k, round + 3);
      const lengths = Int32Array.from({ length: batch }, () => Math.floor(next() * (steps + 1)));
      for (let r = 0; r < batch; r++)
        x.fill(Number.NaN, (r * steps + lengths[r]!) * dim, (r + 1) * steps * dim);
      const { c, alpha } = await additiveAttention({ x, steps, dim, lengths, W, b, w }, exec);
      for (let r = 0; r < batch; r++) {
        const length = lengths[r]!;
        const e = Array.from({ length }, (_, s) => {
          let score = 0;
          for (let i = 0; i < k; i++)
            score += w[i]! * Math.tanh(b[i]! + dot(W, i * dim, x, (r * steps + s) * dim, dim));
          return score;
        });
        const a = softmax(e);
        const expected = new Float64Array(dim);
        for (let s = 0; s < length; s++)
          for (let j = 0; j < dim; j++) expected[j]! += a[s]! * x[(r * steps + s) * dim + j]!;
        t.true(
          close(alpha, r * steps, [...a, ...new Array<number>(steps - length).fill(0)]),
          `alpha, round ${round}`,
        );
        t.true(close(c, r * dim, expected), `c, round ${round} row ${r}`);
      }
      const last = x.subarray((batch - 1) * steps * dim);
      const alone = await additiveAttention(
        { x: last, steps, dim, lengths: lengths.slice(-1), W, b, w },
        exec,
      );
      same(t, exec.backend, alone.c, c.slice((batch - 1) * dim));
    }
  });

  test(`spatial: random maps against float64; a shift of all scores changes nothing ${label}`, async (t) => {
    const next = random(29);
    for (let round = 0; round < 12; round++) {
      const [batch, channels, height, width] = [4, 40, 9, 15].map(
        (most) => 1 + Math.floor(next() * most),
      ) as [number, number, number, number];
      const n = height * width;
      const x = randomF32(batch * channels * n, round);
      const w = randomF32(channels, round + 1).map((v) => v / Math.sqrt(channels));
      const { c, alpha } = await spatialAttention({ x, channels, height, width, w, b: 3 }, exec);
      const same = new Float32Array(batch * channels);
      for (let r = 0; r < batch; r++) same.set(w, r * channels);
      const other = await spatialAttention({ x, channels, height, width, query: same, scale: 1 }, exec);
      t.true(close(other.c, 0, c));
      for (let r = 0; r < batch; r++) {
        const e = Array.from({ length: n }, (_, p) => {
          let score = 0;
          for (let i = 0; i < channels; i++) score += w[i]! * x[(r * channels + i) * n + p]!;
          return score;
        });
        const a = softmax(e);
        const expected = Array.from({ length: channels }, (_, i) => dot(a, 0, x, (r * channels + i) * n, n));
        t.true(close(alpha, r * n, a));
        t.true(close(c, r * channels, expected));
      }
    }
  });

  test(`cross: the order of keys does not matter, absent ones are not seen ${label}`, async (t) => {
    const [batch, queries, keys, width, contextWidth, heads] = [3, 7, 19, 24, 10, 3];
    const scaled = (n: number, seed: number) => randomF32(n, seed).map((v) => v / Math.sqrt(width));
    using cross = await CrossAttention.create({
      width,
      contextWidth,
      heads,
      Wq: scaled(width * width, 1),
      bq: scaled(width, 2),
      Wk: scaled(width * contextWidth, 3),
      bk: scaled(width, 4),
      Wv: scaled(width * contextWidth, 5),
      bv: scaled(width, 6),
      Wo: scaled(width * width, 7),
      bo: scaled(width, 8),
    });
    const present = Uint8Array.from({ length: batch * keys }, (_, i) => (i < keys ? 0 : i % 3 ? 1 : 0));
    const context = randomF32(batch * keys * contextWidth, 10);
    for (let i = 0; i < present.length; i++)
      if (!present[i]) context.fill(Number.NaN, i * contextWidth, (i + 1) * contextWidth);
    const input: CrossAttentionInput = {
      x: randomF32(batch * queries * width, 9),
      context,
      queries,
      keys,
      present,
    };
    const { y, alpha } = await cross.run(input, { ...exec, weights: true });
    for (let q = 0; q < queries; q++) t.deepEqual(y.slice(q * width, (q + 1) * width), scaled(width, 8));
    for (let i = 0; i < batch * heads * queries; i++) {
      const sum = alpha.subarray(i * keys, (i + 1) * keys).reduce((a, b) => a + b, 0);
      t.true(Math.abs(sum - (i < heads * queries ? 0 : 1)) < 1e-5);
    }
    const turned = { ...input, context: new Float32Array(context.length), present: new Uint8Array(present) };
    for (let i = 0; i < batch * keys; i++) {
      const to = i - (i % keys) + ((i + 5) % keys);
      turned.context.set(context.subarray(i * contextWidth, (i + 1) * contextWidth), to * contextWidth);
      turned.present[to] = present[i]!;
    }
    const other = await cross.run(turned, exec);
    t.true(close(other.y, 0, y));
    const one = {
      ...input,
      x: input.x.subarray(2 * queries * width),
      context: context.subarray(2 * keys * contextWidth),
      present: present.subarray(2 * keys),
    };
    same(t, exec.backend, (await cross.run(one, exec)).y, y.slice(2 * queries * width));
  });
}

test('bad input: typed errors that name the field', async (t) => {
  const f = (n: number) => new Float32Array(n);
  const temporal = { query: f(4), keys: f(12), values: f(6), steps: 3, keyDim: 2, valueDim: 1 };
  const additive = { x: f(12), steps: 3, dim: 2, W: f(8), b: f(4), w: f(4) };
  const spatial = { x: f(24), channels: 2, height: 3, width: 4, w: f(2) };
  const layer: CrossAttentionLayer = {
    width: 4,
    contextWidth: 3,
    heads: 2,
    Wq: f(16),
    bq: f(4),
    Wk: f(12),
    bk: f(4),
    Wv: f(12),
    bv: f(4),
    Wo: f(16),
    bo: f(4),
  };
  const block = {
    norm1: { weight: f(4), bias: f(4) },
    W1: f(20),
    b1: f(5),
    W2: f(20),
    b2: f(4),
    norm2: { weight: f(4), bias: f(4) },
  };
  const cross = await CrossAttention.create(layer);
  const input: CrossAttentionInput = { x: f(8), context: f(9), queries: 2, keys: 3 };
  const disposed = await CrossAttention.create({ ...layer, block });
  t.is((await disposed.run(input)).y.length, 8);
  disposed.dispose();
  const cases: [() => Promise<unknown>, ExpectedError][] = [
    [() => temporalAttention({ ...temporal, keys: f(11) }), { code: 'ERR_SHAPE', field: 'keys' }],
    [() => temporalAttention({ ...temporal, values: f(7) }), { code: 'ERR_SHAPE', field: 'values' }],
    [() => temporalAttention({ ...temporal, steps: 0 }), { code: 'ERR_SHAPE', field: 'steps' }],
    [() => temporalAttention({ ...temporal, keyDim: 0 }), { code: 'ERR_SHAPE', field: 'keyDim' }],
    [
      () => temporalAttention({ ...temporal, scale: Number.NaN }),
      { code: 'ERR_INPUT_VALUE', field: 'scale' },
    ],
    [
      () => temporalAttention({ ...temporal, lengths: Int32Array.of(1, 4) }),
      { code: 'ERR_INPUT_VALUE', field: 'lengths', message: /0\.\.3.*received 4 at \[1\]/ },
    ],
    [
      () => temporalAttention({ ...temporal, lengths: Int32Array.of(1, -1) }),
      { code: 'ERR_INPUT_VALUE', field: 'lengths' },
    ],
    [
      () => temporalAttention({ ...temporal, lengths: Int32Array.of(1) }),
      { code: 'ERR_SHAPE', field: 'lengths' },
    ],
    [
      () => temporalAttention({ ...temporal, lengths: [1, 2] as never }),
      { code: 'ERR_INPUT_TYPE', field: 'lengths' },
    ],
    [() => temporalAttention(temporal, { out: { alpha: f(5) } }), { code: 'ERR_SHAPE', field: 'out.alpha' }],
    [() => additiveAttention({ ...additive, W: f(7) }), { code: 'ERR_SHAPE', field: 'W' }],
    [() => additiveAttention({ ...additive, b: f(3) }), { code: 'ERR_SHAPE', field: 'b' }],
    [() => additiveAttention({ ...additive, x: f(13) }), { code: 'ERR_SHAPE', field: 'x' }],
    [() => spatialAttention({ ...spatial, w: f(3) }), { code: 'ERR_SHAPE', field: 'w' }],
    [() => spatialAttention({ ...spatial, x: f(25) }), { code: 'ERR_SHAPE', field: 'x' }],
    [() => spatialAttention({ ...spatial, b: Number.POSITIVE_INFINITY }), { code: 'ERR_INPUT_VALUE' }],
    [() => CrossAttention.create({ ...layer, heads: 3 }), { code: 'ERR_SHAPE', field: 'heads' }],
    [() => CrossAttention.create({ ...layer, Wv: f(11) }), { code: 'ERR_SHAPE', field: 'Wv' }],
    [
      () => CrossAttention.create({ ...layer, block: { ...block, W2: f(19) } }),
      { code: 'ERR_SHAPE', field: 'block.W2' },
    ],
    [
      () => CrossAttention.create({ ...layer, block: { ...block, norm2: { weight: f(4), bias: f(5) } } }),
      { code: 'ERR_SHAPE', field: 'block.norm2.bias' },
    ],
    [() => cross.run({ ...input, context: f(8) }), { code: 'ERR_SHAPE', field: 'context' }],
    [() => cross.run({ ...input, x: f(9) }), { code: 'ERR_SHAPE', field: 'x' }],
    [() => cross.run({ ...input, keys: 0 }), { code: 'ERR_SHAPE', field: 'keys' }],
    [() => cross.run({ ...input, present: new Uint8Array(2) }), { code: 'ERR_SHAPE', field: 'present' }],
    [() => cross.run(input, { out: { y: f(7) } }), { code: 'ERR_SHAPE', field: 'out.y' }],
    [() => cross.run(input, { signal: AbortSignal.abort() }), { code: 'ERR_CANCELLED' }],
    [() => disposed.run(input), { name: 'DisposedError', code: 'ERR_DISPOSED' }],
  ];
  for (const [call, expected] of cases) await throwsTyped(t, call, expected);
});
