import test, { type ExecutionContext } from 'ava';
import {
  type AdditiveAttentionLayer,
  additiveAttentionBackward,
  type CrossAttentionLayer,
  crossAttentionBackward,
  crossModalBackward,
  type ExecOptions,
  type ModalityAttentionLayer,
  modalityAttentionBackward,
  spatialAttentionBackward,
  temporalAttentionBackward,
} from '../../lib/ops/index.js';
import { randomF32, ways } from '../backends.js';
import { type ExpectedError, throwsTyped } from '../errors.js';
import { assertGolden, f32, type GoldenCase, loadGolden, tensorOf } from '../golden.js';
import { crossArrays, crossLayer, type Fields, gradientCases, scaled } from './attention-cases.js';

/** The gradients of a golden case, by its own names of them. */
async function gradients(c: GoldenCase, offset: number, exec: ExecOptions): Promise<Fields> {
  const at = (field: string) => f32(c, field, offset);
  const config = c.config as Record<string, number>;
  const lengths = c.tensors.len && Int32Array.from(tensorOf(c, 'len').data as Int32Array);
  switch (c.config.kind) {
    case 'modality_feature':
    case 'modality_tanh': {
      const [, modalities, features] = tensorOf(c, 'h').shape as [number, number, number];
      const input = {
        h: at('h'),
        modalities,
        mask: tensorOf(c, 'mask').data as Uint8Array,
        dc: at('grad_c'),
      };
      if (c.config.kind === 'modality_feature') {
        const layer = { form: 'feature', features, W: at('W_a'), b: at('b_a') } as const;
        const { dh, dW, db, dw } = await modalityAttentionBackward(layer, input, exec);
        return dw.length ? {} : { d_h: dh, d_W_a: dW, d_b_a: db };
      }
      const layer = { form: 'tanh', features, W: at('W'), b: at('b'), w: at('w') } as const;
      const { dh, dW, db, dw } = await modalityAttentionBackward(layer, input, exec);
      return { d_h: dh, d_W: dW, d_b: db, d_w: dw };
    }
    case 'temporal': {
      const { T, d, dv } = config as { T: number; d: number; dv: number };
      const input = { query: at('q'), keys: at('K'), values: at('V'), steps: T, keyDim: d, valueDim: dv };
      const g = await temporalAttentionBackward({ ...input, lengths, dc: at('grad_c') }, exec);
      return { d_q: g.dquery, d_K: g.dkeys, d_V: g.dvalues };
    }
    case 'temporal_tanh': {
      const layer = { dim: config.d!, W: at('W'), b: at('b'), w: at('w') };
      const input = { x: at('x'), steps: config.T!, lengths, dc: at('grad_c') };
      const { dx, dW, db, dw } = await additiveAttentionBackward(layer, input, exec);
      return { d_x: dx, d_W: dW, d_b: db, d_w: dw };
    }
    case 'spatial_linear':
    case 'spatial_query': {
      const { C, H, W } = config as { C: number; H: number; W: number };
      const input = { x: at('x'), channels: C, height: H, width: W, dc: at('grad_c') };
      if (c.config.kind === 'spatial_query') {
        const g = await spatialAttentionBackward({ ...input, query: at('q') }, exec);
        return { d_x: g.dx, d_q: g.dquery };
      }
      const g = await spatialAttentionBackward({ ...input, w: at('w'), b: at('b')[0]! }, exec);
      return { d_x: g.dx, d_w: g.dquery, d_b: [g.db] };
    }
    case 'cross_mha':
    case 'cross_block': {
      const { Tq, Tk, E, Ek, heads } = config as Record<'Tq' | 'Tk' | 'E' | 'Ek' | 'heads', number>;
      const layer: CrossAttentionLayer = {
        width: E,
        contextWidth: Ek,
        heads,
        Wq: at('Wq'),
        bq: at('bq'),
        Wk: at('Wk'),
        bk: at('bk'),
        Wv: at('Wv'),
        bv: at('bv'),
        Wo: at('Wo'),
        bo: at('bo'),
        ...(c.config.kind === 'cross_block' && {
          block: {
            norm1: { weight: at('ln1_g'), bias: at('ln1_b') },
            W1: at('W1'),
            b1: at('b1'),
            W2: at('W2'),
            b2: at('b2'),
            norm2: { weight: at('ln2_g'), bias: at('ln2_b') },
          },
        }),
      };
      const present = tensorOf(c, 'present').data as Uint8Array;
      const input = { x: at('x'), context: at('ctx'), queries: Tq, keys: Tk, present, dy: at('grad_y') };
      const g = await crossAttentionBackward(layer, input, exec);
      const weights = Object.entries(crossArrays(g.layer)).map(([name, value]) => [`d_${name}`, value]);
      return { d_x: g.dx, d_ctx: g.dcontext, ...Object.fromEntries(weights) };
    }
    default:
      throw new Error(`an unknown kind of case: ${c.config.kind}`);
  }
}

/** Against float64 differences, where those were taken; errors relative to the largest gradient of the array. */
function near(t: ExecutionContext, got: ArrayLike<number>, want: Float64Array, label: string): void {
  t.is(got.length, want.length, label);
  const top = want.reduce((m, v) => Math.max(m, Number.isNaN(v) ? 0 : Math.abs(v)), 0);
  const bad = want.findIndex(
    (v, i) => !Number.isNaN(v) && !(Math.abs(got[i]! - v) <= 5e-5 * Math.max(1, top)),
  );
  t.is(bad, -1, `${label} at ${bad}: got ${got[bad]}, expected ${want[bad]}`);
}

const KINDS = [
  'modality_feature',
  'modality_tanh',
  'temporal',
  'temporal_tanh',
  'spatial_linear',
  'spatial_query',
  'cross_mha',
  'cross_block',
];

for (const { label, exec } of ways()) {
  test(`golden gradients of every attention ${label}`, async (t) => {
    const seen = new Map(KINDS.map((kind) => [kind, 0]));
    for (const g of loadGolden('attention')) {
      if (!Object.keys(g.tol).some((field) => field.startsWith('d_'))) continue;
      for (const offset of [0, 1]) {
        const got = await gradients(g, offset, exec);
        for (const field of Object.keys(g.tol).filter((name) => name.startsWith('d_'))) {
          assertGolden(t, g, field, got[field] ?? [], label);
        }
      }
      const kind = g.config.kind as string;
      seen.set(kind, seen.get(kind)! + 1);
    }
    for (const [kind, count] of seen) t.true(count >= 1, `no golden case of ${kind}`);
  });

  test(`gradients against float64 differences; nothing of the absent shows ${label}`, async (t) => {
    const names = new Set<string>();
    for (const { name, expected, run } of gradientCases()) {
      const got = await run(exec);
      for (const [field, want] of Object.entries(expected)) near(t, got[field]!, want, `${field} of ${name}`);
      names.add(name.split(',')[0]!);
    }
    t.is(names.size, 7);
  });

  test(`NaN of one row stays in its gradients of the input ${label}`, async (t) => {
    const [modalities, features] = [3, 21];
    const h = randomF32(2 * modalities * features, 1);
    h[0] = Number.NaN;
    const layer: ModalityAttentionLayer = {
      form: 'tanh',
      features,
      W: scaled(5 * features, 2, features),
      b: randomF32(5, 3),
      w: randomF32(5, 4),
    };
    const { dh, dW } = await modalityAttentionBackward(
      layer,
      { h, modalities, dc: randomF32(2 * features, 5) },
      exec,
    );
    t.true(dh.subarray(0, features).some(Number.isNaN));
    t.true(dh.subarray(modalities * features).every(Number.isFinite));
    t.true(dW.some(Number.isNaN));
  });
}

test('the same bits on any number of threads', async (t) => {
  const [batch, modalities, features] = [333, 5, 40];
  const h = randomF32(batch * modalities * features, 1);
  const mask = Uint8Array.from({ length: batch * modalities }, (_, i) => (i % 7 < 4 ? 1 : 0));
  const dc = randomF32(batch * features, 2);
  const tanh: ModalityAttentionLayer = {
    form: 'tanh',
    features,
    W: scaled(24 * features, 3, features),
    b: randomF32(24, 4),
    w: randomF32(24, 5),
  };
  const feature: ModalityAttentionLayer = {
    form: 'feature',
    features,
    W: scaled(features * features, 6, features),
    b: randomF32(features, 7),
  };
  const block = crossLayer(40, 40, 4, 80, 900);
  const runs = await Promise.all(
    [1, 2, 3, 8].map(async (threads) => [
      await modalityAttentionBackward(tanh, { h, modalities, mask, dc }, { threads }),
      await modalityAttentionBackward(feature, { h, modalities, mask, dc }, { threads }),
      await additiveAttentionBackward(
        { ...tanh, dim: features },
        { x: h, steps: modalities, dc },
        { threads },
      ),
      await spatialAttentionBackward(
        { x: h, channels: features, height: modalities, width: 1, w: feature.b, dc },
        { threads },
      ),
      await crossModalBackward([block, block], { h, modalities, mask, dc }, { threads }),
      await crossAttentionBackward(
        block,
        { x: h, context: h, queries: modalities, keys: modalities, present: mask, dy: h },
        { threads },
      ),
    ]),
  );
  for (const other of runs.slice(1)) t.deepEqual(other, runs[0]);
});

test('an empty batch gives empty gradients of the input and zeros of the weights', async (t) => {
  const none = new Float32Array(0);
  const layer = crossLayer(4, 3, 2, 5, 1);
  const input = { x: none, context: none, queries: 2, keys: 2, dy: none };
  const g = await crossAttentionBackward(layer, input);
  t.is(g.dx.length + g.dcontext.length, 0);
  for (const [name, value] of Object.entries(crossArrays(g.layer))) {
    t.true(
      Array.from(value).every((v) => v === 0),
      name,
    );
  }
});

test('bad input: typed errors that name the field', async (t) => {
  const f = (n: number) => new Float32Array(n);
  const modal: ModalityAttentionLayer = { form: 'tanh', features: 4, W: f(12), b: f(3), w: f(3) };
  const input = { h: f(24), modalities: 3, dc: f(8) };
  const time = { query: f(8), keys: f(24), values: f(30), steps: 3, keyDim: 4, valueDim: 5, dc: f(10) };
  const added: AdditiveAttentionLayer = { dim: 4, W: f(12), b: f(3), w: f(3) };
  const map = { x: f(24), channels: 4, height: 3, width: 1, dc: f(8) };
  const layer = crossLayer(4, 3, 2, 5, 1);
  const between = { x: f(8), context: f(9), queries: 2, keys: 3, dy: f(8) };
  const square = crossLayer(4, 4, 2, 5, 1);
  const film = { h: f(24), modalities: 3, dc: f(8) };
  const cases: [() => Promise<unknown>, ExpectedError][] = [
    [() => modalityAttentionBackward(modal, { ...input, dc: f(7) }), { code: 'ERR_SHAPE', field: 'dc' }],
    [() => modalityAttentionBackward(modal, { ...input, h: f(23) }), { code: 'ERR_SHAPE', field: 'h' }],
    [
      () => modalityAttentionBackward(modal, { ...input, mask: new Uint8Array(5) }),
      { code: 'ERR_SHAPE', field: 'mask' },
    ],
    [() => modalityAttentionBackward({ ...modal, W: f(11) }, input), { code: 'ERR_SHAPE', field: 'W' }],
    [
      () => modalityAttentionBackward({ ...modal, form: 'dot' } as never, input),
      { code: 'ERR_INPUT_VALUE', field: 'form' },
    ],
    [
      () => modalityAttentionBackward(modal, { ...input, dc: [] as never }),
      { code: 'ERR_INPUT_TYPE', field: 'dc' },
    ],
    [
      () => modalityAttentionBackward(modal, input, { signal: AbortSignal.abort() }),
      { code: 'ERR_CANCELLED' },
    ],
    [() => temporalAttentionBackward({ ...time, dc: f(9) }), { code: 'ERR_SHAPE', field: 'dc' }],
    [
      () => temporalAttentionBackward({ ...time, lengths: Int32Array.of(1, 4) }),
      { code: 'ERR_INPUT_VALUE', field: 'lengths' },
    ],
    [
      () => temporalAttentionBackward({ ...time, scale: Number.NaN }),
      { code: 'ERR_INPUT_VALUE', field: 'scale' },
    ],
    [
      () => additiveAttentionBackward(added, { x: f(24), steps: 3, dc: f(9) }),
      { code: 'ERR_SHAPE', field: 'dc' },
    ],
    [
      () => additiveAttentionBackward({ ...added, b: f(2) }, { x: f(24), steps: 3, dc: f(8) }),
      { code: 'ERR_SHAPE', field: 'b' },
    ],
    [() => spatialAttentionBackward({ ...map, w: f(4), dc: f(9) }), { code: 'ERR_SHAPE', field: 'dc' }],
    [() => spatialAttentionBackward({ ...map, w: f(3) }), { code: 'ERR_SHAPE', field: 'w' }],
    [() => crossAttentionBackward(layer, { ...between, dy: f(7) }), { code: 'ERR_SHAPE', field: 'dy' }],
    [() => crossAttentionBackward({ ...layer, Wk: f(11) }, between), { code: 'ERR_SHAPE', field: 'Wk' }],
    [() => crossModalBackward([square, layer], film), { code: 'ERR_SHAPE', field: 'blocks.1' }],
    [() => crossModalBackward([], film), { code: 'ERR_SHAPE', field: 'width' }],
    [() => crossModalBackward([square], { ...film, dc: f(7) }), { code: 'ERR_SHAPE', field: 'dc' }],
    [() => crossModalBackward([{ ...square, Wo: f(15) }], film), { code: 'ERR_SHAPE', field: 'Wo' }],
    [() => crossAttentionBackward({ ...layer, heads: 3 }, between), { code: 'ERR_SHAPE', field: 'heads' }],
  ];
  for (const [call, expected] of cases) await throwsTyped(t, call, expected);
});
