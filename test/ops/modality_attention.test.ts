import test from 'ava';
import {
  type AttentionOptions,
  ModalityAttention,
  type ModalityAttentionInput,
  type ModalityAttentionLayer,
} from '../../lib/ops/index.js';
import { random, randomF32, ways } from '../backends.js';
import { type ExpectedError, throwsTyped } from '../errors.js';
import { assertGolden, f32, loadGolden, tensorOf } from '../golden.js';

/** Layer made, run once and given back. */
async function attend(
  input: ModalityAttentionInput,
  layer: ModalityAttentionLayer,
  options: AttentionOptions = {},
) {
  const { out, ...exec } = options;
  using attention = await ModalityAttention.create(layer, exec);
  return attention.run(input, options);
}

function weights(form: 'feature' | 'tanh', d: number, k: number, seed: number): ModalityAttentionLayer {
  const scale = (n: number, at: number) => randomF32(n, at).map((v) => v / Math.sqrt(d));
  return form === 'feature'
    ? { form, features: d, W: scale(d * d, seed), b: randomF32(d, seed + 1) }
    : { form, features: d, W: scale(k * d, seed), b: randomF32(k, seed + 1), w: randomF32(k, seed + 2) };
}

/** The formula in float64, one row. */
function oracle(h: Float32Array, mask: ArrayLike<number>, d: number, weights: ModalityAttentionLayer) {
  const m = mask.length;
  const c = new Float64Array(d);
  const present = [...Array(m).keys()].filter((i) => mask[i]);
  const score = (i: number, j: number) => {
    let sum = weights.b[j]!;
    for (let f = 0; f < d; f++) sum += weights.W[j * d + f]! * h[i * d + f]!;
    return sum;
  };
  const softmax = (e: number[]) => {
    const top = Math.max(...e);
    const x = e.map((v) => Math.exp(v - top));
    const sum = x.reduce((a, b) => a + b, 0);
    return x.map((v) => v / sum);
  };
  const alpha = new Float64Array(weights.form === 'feature' ? m * d : m);
  if (weights.form === 'feature') {
    for (let j = 0; j < d; j++) {
      softmax(present.map((i) => score(i, j))).forEach((a, n) => {
        alpha[present[n]! * d + j] = a;
        c[j]! += a * h[present[n]! * d + j]!;
      });
    }
  } else {
    const { w } = weights;
    const e = present.map((i) => w.reduce((sum, v, j) => sum + v * Math.tanh(score(i, j)), 0));
    softmax(e).forEach((a, n) => {
      alpha[present[n]!] = a;
      for (let j = 0; j < d; j++) c[j]! += a * h[present[n]! * d + j]!;
    });
  }
  return { c, alpha };
}

for (const { label, exec } of ways()) {
  test(`golden modality attention ${label}`, async (t) => {
    let seen = 0;
    for (const g of loadGolden('attention')) {
      const { kind } = g.config;
      if (kind !== 'modality_feature' && kind !== 'modality_tanh') continue;
      const [, modalities, features] = tensorOf(g, 'h').shape as [number, number, number];
      for (const offset of [0, 1, 3]) {
        const result = await attend(
          { h: f32(g, 'h', offset), modalities, mask: tensorOf(g, 'mask').data as Uint8Array },
          kind === 'modality_feature'
            ? { form: 'feature', features, W: f32(g, 'W_a', offset), b: f32(g, 'b_a') }
            : { form: 'tanh', features, W: f32(g, 'W', offset), b: f32(g, 'b'), w: f32(g, 'w', offset) },
          exec,
        );
        assertGolden(t, g, 'c', result.c, label);
        assertGolden(t, g, 'alpha', result.alpha, label);
      }
      seen++;
    }
    t.true(seen >= 4, 'no golden case was found');
  });

  test(`random shapes and masks against float64; weights sum to 1 over the present ${label}`, async (t) => {
    const next = random(5);
    for (let round = 0; round < 26; round++) {
      const form = round % 2 ? 'feature' : 'tanh';
      const batch = 1 + Math.floor(next() * 20);
      const modalities = round === 20 ? 11 : round === 21 ? 64 : 1 + Math.floor(next() * 8);
      const features = [1, 3, 7, 16, 17, 32, 33, 48, 64, 65, 130][Math.floor(next() * 11)]!;
      const k = 1 + Math.floor(next() * 40);
      const h = randomF32(batch * modalities * features, round);
      const w = weights(form, features, k, 100 + round);
      const mask = Uint8Array.from({ length: batch * modalities }, () => (next() < 0.6 ? 1 : 0));
      // What is absent holds the worst there is; nothing of it may show.
      for (let i = 0; i < mask.length; i++)
        if (!mask[i]) h.fill(Number.NaN, i * features, (i + 1) * features);
      const { c, alpha } = await attend({ h, modalities, mask }, w, exec);
      const size = form === 'feature' ? features : 1;
      for (let r = 0; r < batch; r++) {
        const rowMask = mask.subarray(r * modalities, (r + 1) * modalities);
        const rowH = h.subarray(r * modalities * features, (r + 1) * modalities * features);
        const expected = oracle(rowH, rowMask, features, w);
        const close = (got: Float32Array, want: Float64Array, at: number) =>
          want.every((v, i) => Math.abs(got[at + i]! - v) <= 1e-5 * Math.max(1, Math.abs(v)));
        t.true(close(c, expected.c, r * features), `c ${form} round ${round} row ${r}`);
        t.true(close(alpha, expected.alpha, r * modalities * size), `alpha ${form} round ${round} row ${r}`);
        for (let j = 0; j < size; j++) {
          let sum = 0;
          for (let i = 0; i < modalities; i++) {
            const a = alpha[(r * modalities + i) * size + j]!;
            sum += a;
            if (!rowMask[i]) t.is(a, 0);
          }
          t.true(Math.abs(sum - (rowMask.includes(1) ? 1 : 0)) < 1e-5);
        }
      }
    }
  });

  test(`a batch equals its rows alone, on the CPU bit for bit; order of modalities does not matter ${label}`, async (t) => {
    const [batch, modalities, features] = [70, 4, 37];
    for (const form of ['feature', 'tanh'] as const) {
      const h = randomF32(batch * modalities * features, 3);
      const mask = Uint8Array.from({ length: batch * modalities }, (_, i) => (i % 5 ? 1 : 0));
      const w = weights(form, features, 9, 4);
      const whole = await attend({ h, modalities, mask }, w, exec);
      const row = modalities * features;
      for (const r of [0, 1, 33, 69]) {
        const one = { h: h.subarray(r * row, (r + 1) * row), modalities };
        const alone = await attend(
          { ...one, mask: mask.subarray(r * modalities, (r + 1) * modalities) },
          w,
          exec,
        );
        const expected = whole.c.slice(r * features, (r + 1) * features);
        if (exec.backend === 'cpu') t.deepEqual(alone.c, expected);
        else t.true(alone.c.every((v, i) => Math.abs(v - expected[i]!) < 1e-5));
      }
      const turned = new Float32Array(h.length);
      const turnedMask = new Uint8Array(mask.length);
      for (let i = 0; i < batch * modalities; i++) {
        const to = i - (i % modalities) + ((i + 1) % modalities);
        turned.set(h.subarray(i * features, (i + 1) * features), to * features);
        turnedMask[to] = mask[i]!;
      }
      const other = await attend({ h: turned, modalities, mask: turnedMask }, w, exec);
      t.true(other.c.every((v, i) => Math.abs(v - whole.c[i]!) < 1e-5));
    }
  });

  test(`one modality present: it comes through untouched; NaN in a present one stays in its row ${label}`, async (t) => {
    const features = 21;
    for (const form of ['feature', 'tanh'] as const) {
      const h = randomF32(2 * 3 * features, 8);
      const w = weights(form, features, 5, 9);
      const only = await attend({ h, modalities: 3, mask: Uint8Array.of(0, 1, 0, 0, 0, 1) }, w, exec);
      t.deepEqual(only.c.slice(0, features), h.slice(features, 2 * features));
      t.deepEqual(only.c.slice(features), h.slice(5 * features));
      h[0] = Number.NaN;
      const { c } = await attend({ h, modalities: 3 }, w, exec);
      t.true(Number.isNaN(c[0]));
      t.true(c.subarray(features).every(Number.isFinite));
    }
  });
}

test('an empty batch gives empty results; out is written and returned', async (t) => {
  const w = weights('tanh', 4, 3, 1);
  const none = await attend({ h: new Float32Array(0), modalities: 2 }, w);
  t.deepEqual([none.c.length, none.alpha.length], [0, 0]);
  const out = { c: new Float32Array(4), alpha: new Float32Array(2) };
  const result = await attend({ h: randomF32(8, 1), modalities: 2 }, w, { out });
  t.is(result.c, out.c);
  t.is(result.alpha, out.alpha);
  t.true(out.c.some((v) => v !== 0));
});

test('a layer serves many calls at a time, and none once disposed of', async (t) => {
  const features = 33;
  const layer = await ModalityAttention.create(weights('feature', features, 0, 1));
  const inputs = Array.from({ length: 20 }, (_, i) => randomF32((1 + i) * 3 * features, i));
  const alone = [];
  for (const h of inputs) alone.push(await layer.run({ h, modalities: 3 }));
  t.deepEqual(await Promise.all(inputs.map((h) => layer.run({ h, modalities: 3 }))), alone);
  const running = layer.run({ h: inputs[0]!, modalities: 3 });
  layer.dispose();
  t.deepEqual(await running, alone[0]);
  await throwsTyped(t, () => layer.run({ h: inputs[0]!, modalities: 3 }), {
    name: 'DisposedError',
    code: 'ERR_DISPOSED',
  });
});

test('bad input: typed errors that name the field', async (t) => {
  const input = { h: new Float32Array(24), modalities: 3 };
  const w = weights('tanh', 4, 3, 1) as ModalityAttentionLayer & { form: 'tanh' };
  const f = weights('feature', 4, 0, 1);
  const cases: [() => Promise<unknown>, ExpectedError][] = [
    [() => attend({ ...input, h: new Float32Array(23) }, w), { code: 'ERR_SHAPE', field: 'h' }],
    [() => attend({ ...input, modalities: 0 }, w), { code: 'ERR_SHAPE', field: 'modalities' }],
    [() => attend({ ...input, modalities: 65 }, w), { code: 'ERR_SHAPE', field: 'modalities' }],
    [() => attend({ ...input, mask: new Uint8Array(5) }, w), { code: 'ERR_SHAPE', field: 'mask' }],
    [() => attend(input, { ...w, W: new Float32Array(11) }), { code: 'ERR_SHAPE', field: 'W' }],
    [() => attend(input, { ...w, w: new Float32Array(2) }), { code: 'ERR_SHAPE', field: 'w' }],
    [() => attend(input, { ...f, b: new Float32Array(3) }), { code: 'ERR_SHAPE', field: 'b' }],
    [() => attend(input, { ...w, form: 'dot' } as never), { code: 'ERR_INPUT_VALUE', field: 'form' }],
    [() => attend({ ...input, h: new Float64Array(24) as never }, w), { code: 'ERR_INPUT_TYPE', field: 'h' }],
    [() => attend(input, w, { out: { c: new Float32Array(7) } }), { code: 'ERR_SHAPE', field: 'out.c' }],
    [() => attend(input, w, { signal: AbortSignal.abort() }), { code: 'ERR_CANCELLED' }],
  ];
  for (const [call, expected] of cases) await throwsTyped(t, call, expected);
});
