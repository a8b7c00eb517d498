/** `runSync` of everything prepared: what `run` gives, at once, with errors thrown where they happen. */
import test from 'ava';
import { FusionNetwork } from '../../lib/fusion/network.js';
import { LowRankFusion, ModalityAttention, TensorFusion } from '../../lib/ops/index.js';
import { CASES, inputsOf, specOf, weightsOf } from '../fusion/reference-networks.js';
import { randomF32, ways } from '../backends.js';

const DIMS = [5, 7, 3];
const OUT = 9;
const ROWS = 6;
const h = DIMS.map((dim, i) => randomF32(ROWS * dim, 20 + i));
const present = Uint8Array.from({ length: ROWS * DIMS.length }, (_, i) => (i % 5 === 2 ? 0 : 1));
const product = DIMS.reduce((size, dim) => size * (dim + 1), 1);

const tensorLayer = {
  dims: DIMS,
  outFeatures: OUT,
  weight: randomF32(OUT * product, 1),
  bias: randomF32(OUT, 2),
};
const lowRankLayer = {
  dims: DIMS,
  rank: 2,
  outFeatures: OUT,
  factors: DIMS.map((dim, i) => randomF32(2 * (dim + 1) * OUT, 3 + i)),
};
const attentionLayer = {
  form: 'tanh' as const,
  features: 21,
  W: randomF32(4 * 21, 7),
  b: randomF32(4, 8),
  w: randomF32(4, 9),
};
const vectors = randomF32(ROWS * 3 * 21, 10);

for (const { label, exec } of ways()) {
  test(`runSync gives what run gives ${label}`, async (t) => {
    using tensor = await TensorFusion.create(tensorLayer, exec);
    using lowRank = await LowRankFusion.create(lowRankLayer, exec);
    using attention = await ModalityAttention.create(attentionLayer, exec);
    const options = { ...exec, present };
    t.deepEqual(tensor.runSync(h, options), await tensor.run(h, options));
    t.deepEqual(lowRank.runSync(h, options), await lowRank.run(h, options));
    const input = { h: vectors, modalities: 3, mask: present };
    t.deepEqual(attention.runSync(input, exec), await attention.run(input, exec));
    for (const c of CASES) {
      using network = FusionNetwork.create(specOf(c), weightsOf(c), exec);
      const all = { ...exec, sequenceWeights: true };
      t.deepEqual(network.runSync(inputsOf(c), all), await network.run(inputsOf(c), all), c.name);
    }
  });
}

test('an array given as out is written and handed back', async (t) => {
  using tensor = await TensorFusion.create(tensorLayer);
  using attention = await ModalityAttention.create(attentionLayer);
  const out = new Float32Array(ROWS * OUT);
  t.is(tensor.runSync(h, { out }), out);
  t.deepEqual(out, await tensor.run(h));
  const c = new Float32Array(ROWS * 21);
  const result = attention.runSync({ h: vectors, modalities: 3 }, { out: { c } });
  t.is(result.c, c);
  t.is(result.alpha.length, ROWS * 3);
});

test('errors are thrown at once, typed, with the stack of the caller', async (t) => {
  const tensor = await TensorFusion.create(tensorLayer);
  const lowRank = await LowRankFusion.create(lowRankLayer);
  const attention = await ModalityAttention.create(attentionLayer);
  const [c] = CASES;
  const network = FusionNetwork.create(specOf(c!), weightsOf(c!));
  const held = [tensor, lowRank, attention, network];
  const inputs = inputsOf(c!);
  const [name] = Object.keys(inputs.modalities);
  const wrong = { ...inputs.modalities, [name!]: randomF32(1, 1) };
  const calls: [() => unknown, string][] = [
    [() => tensor.runSync(h.slice(1)), 'ERR_SHAPE'],
    [() => tensor.runSync(h, { out: new Float32Array(1) }), 'ERR_SHAPE'],
    [() => lowRank.runSync(h, { present: present.subarray(1) }), 'ERR_SHAPE'],
    [() => attention.runSync({ h: vectors, modalities: 65 }), 'ERR_SHAPE'],
    [() => network.runSync({ ...inputs, batch: 0 }), 'ERR_SHAPE'],
    [() => network.runSync({ ...inputs, modalities: wrong }), 'ERR_SHAPE'],
    [() => network.runSync(inputs, { threads: 0 }), 'ERR_INPUT_VALUE'],
  ];
  for (const [call, code] of calls) {
    const error = t.throws(call) as Error & { code?: string };
    t.is(error.code, code);
    t.true(error.stack!.startsWith(`${error.name}: ${error.message}\n`), error.stack);
    t.true(error.stack!.includes('run-sync.test'), error.stack);
  }
  for (const layer of held) layer.dispose();
  for (const call of [
    () => tensor.runSync(h),
    () => lowRank.runSync(h),
    () => attention.runSync({ h: vectors, modalities: 3 }),
    () => network.runSync(inputs),
  ]) {
    t.throws(call, { name: 'DisposedError', code: 'ERR_DISPOSED' });
  }
});
