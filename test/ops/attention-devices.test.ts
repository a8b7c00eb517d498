/** Attention on devices against its CPU twin: every tile and split of the kernels, every precision, what is not finite. */
import test, { type ExecutionContext } from 'ava';
import {
  AdditiveAttention,
  CrossAttention,
  type CrossAttentionLayer,
  ModalityAttention,
  type ModalityAttentionLayer,
  type Precision,
  spatialAttention,
  temporalAttention,
} from '../../lib/ops/index.js';
import { DEVICE_BACKENDS, random, randomF32 } from '../backends.js';
import { assertGolden, f32, loadGolden, tensorOf } from '../golden.js';

const CPU = { backend: 'cpu' } as const;
/** Of the largest value: float32's own error here, or what the rounding of a precision may cost. */
const NMAX = { fp32: 1e-5, tf32: 2e-3, bf16: 2e-2 } as const;

/** |got - want| <= nmax * max|want|, NaN exactly where `want` has it. */
function assertClose(
  t: ExecutionContext,
  got: ArrayLike<number>,
  want: ArrayLike<number>,
  label: string,
  nmax: number = NMAX.fp32,
) {
  t.is(got.length, want.length, label);
  let top = 0;
  for (let i = 0; i < want.length; i++) if (Number.isFinite(want[i])) top = Math.max(top, Math.abs(want[i]!));
  const bad = Array.from(want).findIndex((v, i) =>
    Number.isNaN(v) ? !Number.isNaN(got[i]) : !(Math.abs(got[i]! - v) <= nmax * top),
  );
  t.is(bad, -1, `${label}: at ${bad} got ${got[bad]}, expected ${want[bad]}`);
}

const scaled = (n: number, seed: number, by: number) => randomF32(n, seed).map((v) => v * by);

/** lengths that lie around the multiples of `near`, with 0 and all among them. */
function lengthsOf(batch: number, steps: number, near: number): Int32Array {
  const choices = [steps, 0, near, near + 1, near - 1, steps - 1, 2 * near];
  return Int32Array.from({ length: batch }, (_, i) =>
    Math.max(0, Math.min(steps, choices[i % choices.length]!)),
  );
}

function crossLayer(width: number, contextWidth: number, heads: number, ff = 0): CrossAttentionLayer {
  const w = (rows: number, cols: number, seed: number) => scaled(rows * cols, seed, 1 / Math.sqrt(cols));
  const layer: CrossAttentionLayer = {
    width,
    contextWidth,
    heads,
    Wq: w(width, width, 1),
    bq: scaled(width, 2, 0.3),
    Wk: w(width, contextWidth, 3),
    bk: scaled(width, 4, 0.3),
    Wv: w(width, contextWidth, 5),
    bv: scaled(width, 6, 0.3),
    Wo: w(width, width, 7),
    bo: scaled(width, 8, 0.3),
  };
  if (!ff) return layer;
  const norm = (seed: number) => ({ weight: randomF32(width, seed), bias: randomF32(width, seed + 1) });
  layer.block = {
    norm1: norm(11),
    W1: w(ff, width, 13),
    b1: scaled(ff, 14, 0.3),
    W2: w(width, ff, 15),
    b2: scaled(width, 16, 0.3),
    norm2: norm(17),
  };
  return layer;
}

for (const backend of DEVICE_BACKENDS) {
  const device = { backend };

  test(`temporal: whole rows, chunks of steps, columns by turns [${backend}]`, async (t) => {
    for (const [batch, steps, keyDim, valueDim] of [
      [1, 1, 1, 1],
      [2, 31, 32, 33],
      [3, 33, 3, 4],
      [9, 100, 64, 128],
      [1, 700, 128, 128],
      [2, 2049, 8, 8],
      [7, 5000, 3, 5],
      [3, 20, 4, 1104],
      [2, 7, 5, 601],
    ] as const) {
      const query = randomF32(batch * keyDim, 1);
      const keys = randomF32(batch * steps * keyDim, 2);
      const values = randomF32(batch * steps * valueDim, 3);
      const input = { query, keys, values, steps, keyDim, valueDim };
      for (const lengths of [undefined, lengthsOf(batch, steps, 256)]) {
        const label = `${batch}x${steps} ${keyDim} ${valueDim} ${lengths ? 'lengths' : ''}`;
        for (let r = 0; lengths && r < batch; r++) {
          keys.fill(Number.NaN, (r * steps + lengths[r]!) * keyDim, (r + 1) * steps * keyDim);
          values.fill(Number.NaN, (r * steps + lengths[r]!) * valueDim, (r + 1) * steps * valueDim);
        }
        const want = await temporalAttention({ ...input, lengths }, CPU);
        const got = await temporalAttention({ ...input, lengths }, device);
        assertClose(t, got.c, want.c, `c ${label}`);
        assertClose(t, got.alpha, want.alpha, `alpha ${label}`);
        t.deepEqual(await temporalAttention({ ...input, lengths }, device), got, 'the same call twice');
      }
    }
  });

  test(`temporal: NaN and infinity among the steps that count, as on the CPU [${backend}]`, async (t) => {
    const [batch, steps, keyDim, valueDim] = [5, 600, 64, 8];
    const query = randomF32(batch * keyDim, 1).map(Math.abs);
    const keys = randomF32(batch * steps * keyDim, 2);
    const values = randomF32(batch * steps * valueDim, 3);
    keys[70 * keyDim] = Number.NaN;
    keys.fill(Number.NEGATIVE_INFINITY, steps * keyDim, 2 * steps * keyDim); // no score is finite
    keys.fill(Number.NEGATIVE_INFINITY, (2 * steps + 3) * keyDim, (2 * steps + 4) * keyDim);
    keys[(3 * steps + 500) * keyDim] = Number.POSITIVE_INFINITY;
    values[(4 * steps + 9) * valueDim + 2] = Number.NaN;
    for (const only of [steps, 40]) {
      // A row is split into chunks, or not.
      const lengths = new Int32Array(batch).fill(only);
      const input = { query, keys, values, steps, keyDim, valueDim, lengths };
      const want = await temporalAttention(input, CPU);
      const got = await temporalAttention(input, device);
      assertClose(t, got.c, want.c, 'c');
      assertClose(t, got.alpha, want.alpha, 'alpha');
    }
  });

  test(`additive: batches taken in pieces, steps in chunks [${backend}]`, async (t) => {
    for (const [batch, steps, dim, k] of [
      [12, 64, 128, 64],
      [1, 500, 65, 33],
      [3, 1, 1, 1],
      [2, 33, 32, 7],
    ] as const) {
      const W = scaled(k * dim, 1, 1 / Math.sqrt(dim));
      using layer = await AdditiveAttention.create({ dim, W, b: randomF32(k, 2), w: randomF32(k, 3) });
      const x = randomF32(batch * steps * dim, 4);
      const lengths = lengthsOf(batch, steps, 32);
      for (let r = 0; r < batch; r++)
        x.fill(Number.NaN, (r * steps + lengths[r]!) * dim, (r + 1) * steps * dim);
      const want = await layer.run({ x, steps, lengths }, CPU);
      const got = await layer.run({ x, steps, lengths }, device);
      assertClose(t, got.c, want.c, `c ${batch}x${steps} ${dim} ${k}`);
      assertClose(t, got.alpha, want.alpha, `alpha ${batch}x${steps} ${dim} ${k}`);
      const none = await layer.run({ x: new Float32Array(0), steps }, device);
      t.deepEqual([none.c.length, none.alpha.length], [0, 0]);
    }
  });

  test(`spatial: every shape of tile, maps in parts, more channels than a block holds [${backend}]`, async (t) => {
    for (const [batch, channels, height, width] of [
      [1, 1, 1, 1],
      [3, 5, 1, 4],
      [2, 33, 7, 7],
      [150, 3, 2, 5],
      [12, 4, 3, 3],
      [2, 36, 1, 33],
      [1, 8, 9, 13],
      [1, 4, 11, 23],
      [9, 516, 3, 5],
      [1, 4, 17, 17],
      [2, 512, 7, 7],
      [1, 513, 4, 9],
      [1, 512, 6, 6],
      [1, 1030, 3, 5],
      [1, 1030, 4, 5],
      [1, 2049, 3, 3],
      [1, 2049, 2, 4],
      [2, 4100, 3, 5],
      [1, 8, 63, 65],
      [2, 8, 64, 40],
      [1, 300, 1, 1],
    ] as const) {
      const n = height * width;
      const x = randomF32(batch * channels * n, channels);
      const w = scaled(channels, 1, 1 / Math.sqrt(channels));
      const query = scaled(batch * channels, 2, 2);
      const label = `${batch}x${channels} ${height}x${width}`;
      for (const input of [
        { x, channels, height, width, w, b: -2 },
        { x, channels, height, width, query },
      ]) {
        const want = await spatialAttention(input, CPU);
        const got = await spatialAttention(input, device);
        assertClose(t, got.c, want.c, `c ${label}`, 2e-5);
        assertClose(t, got.alpha, want.alpha, `alpha ${label}`, 2e-5);
      }
    }
    const none = await spatialAttention(
      { x: new Float32Array(0), channels: 2, height: 3, width: 3, w: new Float32Array(2), b: 0 },
      device,
    );
    t.deepEqual([none.c.length, none.alpha.length], [0, 0]);
  });

  test(`spatial: NaN and infinity stay in their map, as on the CPU [${backend}]`, async (t) => {
    for (const [channels, height, width] of [
      [6, 5, 5],
      [8, 5, 5],
      [6, 8, 8],
      [4100, 2, 3],
    ] as const) {
      const n = height * width;
      const x = randomF32(4 * channels * n, 3);
      x[channels * n + 3] = Number.NaN;
      // Every score -infinity; one of them -infinity.
      x.fill(Number.NEGATIVE_INFINITY, 2 * channels * n, 2 * channels * n + n);
      x[3 * channels * n + 2] = Number.NEGATIVE_INFINITY;
      const input = { x, channels, height, width, w: scaled(channels, 1, 0.1).map(Math.abs), b: 0 };
      const want = await spatialAttention(input, CPU);
      const got = await spatialAttention(input, device);
      assertClose(t, got.alpha, want.alpha, `alpha ${channels}`, 2e-5);
      assertClose(t, got.c, want.c, `c ${channels}`, 2e-5);
    }
  });

  test(`modalities: four, eight and more; batches taken in pieces [${backend}]`, async (t) => {
    const next = random(3);
    for (const [batch, modalities, features] of [
      [1, 1, 1],
      [5, 4, 32],
      [5, 5, 33],
      [3, 8, 64],
      [3, 9, 36],
      [2, 64, 7],
      [300, 3, 64],
    ] as const) {
      const h = randomF32(batch * modalities * features, features);
      const mask = Uint8Array.from({ length: batch * modalities }, () => (next() < 0.7 ? 1 : 0));
      mask.fill(0, 0, modalities);
      for (let i = 0; i < mask.length; i++)
        if (!mask[i]) h.fill(Number.NaN, i * features, (i + 1) * features);
      const k = 19;
      const W = (rows: number) => scaled(rows * features, 1, 1 / Math.sqrt(features));
      const layers: ModalityAttentionLayer[] = [
        { form: 'feature', features, W: W(features), b: randomF32(features, 2) },
        { form: 'tanh', features, W: W(k), b: randomF32(k, 2), w: randomF32(k, 3) },
      ];
      for (const weights of layers) {
        using layer = await ModalityAttention.create(weights);
        // One prepared layer serves both by turns.
        for (const given of [mask, undefined, mask]) {
          const input = { h: given ? h : h.map((v) => v || 0), modalities, mask: given };
          const want = await layer.run(input, CPU);
          const got = await layer.run(input, device);
          const label = `${weights.form} ${batch}x${modalities} ${features} ${given ? 'mask' : ''}`;
          assertClose(t, got.c, want.c, `c ${label}`);
          assertClose(t, got.alpha, want.alpha, `alpha ${label}`);
        }
        const none = await layer.run({ h: new Float32Array(0), modalities }, device);
        t.deepEqual([none.c.length, none.alpha.length], [0, 0]);
      }
    }
  });

  test(`cross: widths of head and numbers of queries and keys around the tiles [${backend}]`, async (t) => {
    for (const [batch, queries, keys, width, heads, ff] of [
      [2, 8, 1, 8, 1, 0],
      [1, 17, 31, 30, 2, 0],
      [2, 16, 33, 48, 3, 0],
      [1, 65, 32, 40, 2, 24],
      [1, 9, 65, 96, 3, 0],
      [1, 33, 40, 64, 1, 0],
      [1, 20, 35, 65, 1, 10],
      [1, 40, 30, 256, 2, 0],
      [1, 10, 12, 130, 1, 0],
      [2, 3, 40, 36, 3, 8],
    ] as const) {
      const context = 10;
      using cross = await CrossAttention.create(crossLayer(width, context, heads, ff));
      const present = Uint8Array.from({ length: batch * keys }, (_, i) => (i % 4 ? 1 : 0));
      if (batch > 1) present.fill(0, 0, keys);
      const ctx = randomF32(batch * keys * context, 10);
      for (let i = 0; i < present.length; i++)
        if (!present[i]) ctx.fill(Number.NaN, i * context, (i + 1) * context);
      const x = randomF32(batch * queries * width, 9);
      for (const given of [present, undefined]) {
        const input = { x, context: given ? ctx : randomF32(ctx.length, 10), queries, keys, present: given };
        for (const weights of [true, false]) {
          const want = await cross.run(input, { ...CPU, weights });
          const got = await cross.run(input, { ...device, weights });
          const label = `${batch}x${queries}x${keys} ${width}/${heads} ${given ? 'mask' : ''}`;
          assertClose(t, got.y, want.y, `y ${label}`, 2e-5);
          assertClose(t, got.alpha, want.alpha, `alpha ${label}`, 2e-5);
        }
      }
    }
  });

  test(`cross: NaN in a key that is present shows in its row of the batch alone [${backend}]`, async (t) => {
    const [batch, queries, keys, width, context] = [3, 12, 40, 16, 6];
    using cross = await CrossAttention.create(crossLayer(width, context, 2));
    const ctx = randomF32(batch * keys * context, 10);
    ctx[(keys + 3) * context] = Number.NaN;
    const present = new Uint8Array(batch * keys).fill(1);
    present[2 * keys - 1] = 0;
    const input = { x: randomF32(batch * queries * width, 9), context: ctx, queries, keys, present };
    const want = await cross.run(input, { ...CPU, weights: true });
    const got = await cross.run(input, { ...device, weights: true });
    assertClose(t, got.y, want.y, 'y', 2e-5);
    assertClose(t, got.alpha, want.alpha, 'alpha', 2e-5);
    t.true(got.y.some(Number.isNaN));
  });

  for (const precision of ['tf32', 'bf16'] satisfies Precision[]) {
    test(`golden attention within what ${precision} may cost [${backend}]`, async (t) => {
      const exec = { ...device, precision };
      const tolerance = { nmax: NMAX[precision] };
      const seen = new Set<string>();
      for (const c of loadGolden('attention')) {
        const kind = c.config.kind as string;
        const shape = (field: string) => tensorOf(c, field).shape as [number, number, number];
        const check = (result: { c: Float32Array; alpha: Float32Array }) => {
          assertGolden(t, c, 'c', result.c, precision, tolerance);
          assertGolden(t, c, 'alpha', result.alpha, precision, tolerance);
          seen.add(kind);
        };
        if (kind === 'modality_feature' || kind === 'modality_tanh') {
          const [, modalities, features] = shape('h');
          using layer = await ModalityAttention.create(
            kind === 'modality_feature'
              ? { form: 'feature', features, W: f32(c, 'W_a'), b: f32(c, 'b_a') }
              : { form: 'tanh', features, W: f32(c, 'W'), b: f32(c, 'b'), w: f32(c, 'w') },
          );
          const mask = tensorOf(c, 'mask').data as Uint8Array;
          check(await layer.run({ h: f32(c, 'h'), modalities, mask }, exec));
        } else if (kind === 'temporal_tanh') {
          const [, steps, dim] = shape('x');
          using layer = await AdditiveAttention.create({
            dim,
            W: f32(c, 'W'),
            b: f32(c, 'b'),
            w: f32(c, 'w'),
          });
          const lengths = tensorOf(c, 'len').data as Int32Array;
          check(await layer.run({ x: f32(c, 'x'), steps, lengths }, exec));
        } else if (kind === 'cross_mha') {
          const { Tq, Tk, E, Ek, heads } = c.config as Record<string, number>;
          const at = (field: string) => f32(c, field);
          using cross = await CrossAttention.create({
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
          });
          const present = tensorOf(c, 'present').data as Uint8Array;
          const input = { x: at('x'), context: at('ctx'), queries: Tq!, keys: Tk!, present };
          const { y } = await cross.run(input, exec);
          assertGolden(t, c, 'y', y, precision, tolerance);
          seen.add(kind);
        }
      }
      t.is(seen.size, 4);
    });
  }
}
