/** The fusion kind 'kernel' served: against plain loops in double precision. */
import test from 'ava';
import { FusionNetwork, type FusionNetworkSpec, parseFusionNetworkSpec } from '../../lib/fusion/network.js';
import type { Kernel } from '../../lib/ops/index.js';
import { random, randomF32, ways } from '../backends.js';
import { throwsTyped } from '../errors.js';
import { kernelOracle } from '../ops/kernel-oracle.js';
import { randomWeights } from './reference-networks.js';

const LANDMARKS = 37;
const KERNELS: Record<string, Kernel> = {
  text: { kind: 'rbf', gamma: 0.05, weight: 0.6 },
  trailer: { kind: 'polynomial', gamma: 0.2, constant: 0.5, degree: 3, weight: 0.1 },
  facts: { kind: 'linear', weight: 0.3 },
};

function specOf(combine: 'sum' | 'product', constant: number, landmarks = LANDMARKS): FusionNetworkSpec {
  const projection = { out: landmarks, activation: 'none' as const, layerNorm: false };
  return parseFusionNetworkSpec({
    modalities: [
      { name: 'text', dim: 21, projection },
      { name: 'trailer', dim: 6, sequence: { pooling: 'mean' }, projection },
      { name: 'facts', dim: 4, projection },
    ],
    fusion: { kind: 'kernel', combine, constant, kernels: KERNELS },
    trunk: [],
    heads: [
      { name: 'rating', out: 1 },
      { name: 'genre', out: 3 },
    ],
  });
}

function weightsOf(spec: FusionNetworkSpec, seed: number) {
  const next = random(seed);
  const weights = randomWeights(spec, seed);
  for (const { name } of spec.modalities) {
    const { data } = weights[`modalities.${name}.landmark_present`]!;
    for (let j = 0; j < data.length; j++) data[j] = next() < 0.75 ? 1 : 0;
    weights[`modalities.${name}.landmarks`]!.data = weights[`modalities.${name}.landmarks`]!.data.map(
      (v) => 3 * v,
    );
  }
  return weights;
}

const STEPS = 5;

/** Films of which some lack some inputs, whose numbers are NaN then. */
function inputsOf(batch: number, seed: number) {
  const next = random(seed);
  const present = Uint8Array.from({ length: batch * 3 }, (_, i) => (i % 3 === 0 || next() < 0.7 ? 1 : 0));
  const lengths = Int32Array.from({ length: batch }, () => 1 + Math.floor(next() * STEPS));
  const text = randomF32(batch * 21, seed);
  const facts = randomF32(batch * 4, seed + 1);
  const trailer = randomF32(batch * STEPS * 6, seed + 2);
  for (let r = 0; r < batch; r++) {
    if (!present[3 * r + 1]) trailer.fill(Number.NaN, r * STEPS * 6, (r + 1) * STEPS * 6);
    else trailer.fill(Number.NaN, (r * STEPS + lengths[r]!) * 6, (r + 1) * STEPS * 6);
    if (!present[3 * r + 2]) facts.fill(Number.NaN, r * 4, (r + 1) * 4);
  }
  return { batch, modalities: { text, trailer: { data: trailer, steps: STEPS, lengths }, facts }, present };
}

/** All heads of a row, one after the other. */
function oracle(
  spec: FusionNetworkSpec,
  weights: ReturnType<typeof weightsOf>,
  inputs: ReturnType<typeof inputsOf>,
  row: number,
): number[] {
  if (spec.fusion.kind !== 'kernel') throw new Error(spec.fusion.kind);
  const { combine, constant, kernels } = spec.fusion;
  const data = (name: string) => weights[name]!.data;
  const f = new Float64Array(LANDMARKS).fill(combine === 'sum' ? 0 : 1);
  for (const [m, { name, dim }] of spec.modalities.entries()) {
    const has = inputs.present[3 * row + m] === 1;
    const input = inputs.modalities[name as 'text' | 'trailer' | 'facts'];
    const x = new Float64Array(dim);
    const [all, steps, length] =
      input instanceof Float32Array ? [input, 1, 1] : [input.data, input.steps, input.lengths[row]!];
    for (let t = 0; t < length; t++) {
      for (let i = 0; i < dim; i++) x[i] = x[i]! + all[(row * steps + t) * dim + i]! / length;
    }
    for (let i = 0; i < dim; i++) {
      x[i] =
        (x[i]! - data(`modalities.${name}.scaler.mean`)[i]!) * data(`modalities.${name}.scaler.scale`)[i]!;
    }
    for (let j = 0; j < LANDMARKS; j++) {
      const z = data(`modalities.${name}.landmarks`).subarray(j * dim, (j + 1) * dim);
      const q = data(`modalities.${name}.landmark_present`)[j]!;
      const k = has ? q * kernelOracle(kernels[name]!, x, z) : 0;
      f[j] = combine === 'sum' ? f[j]! + k : f[j]! * (constant + k);
    }
  }
  return spec.heads.flatMap(({ name, out }) =>
    Array.from({ length: out }, (_, o) =>
      f.reduce(
        (sum, v, j) => sum + v * data(`heads.${name}.weight`)[o * LANDMARKS + j]!,
        data(`heads.${name}.bias`)[o]!,
      ),
    ),
  );
}

const CASES = [
  ['sum', 1],
  ['product', 1],
  ['product', 0],
  ['product', 0.3],
] as const;

for (const { label, exec } of ways()) {
  test(`kernels between films and landmarks, in sums and products, with holes ${label}`, async (t) => {
    for (const [combine, constant] of CASES) {
      const spec = specOf(combine, constant);
      const weights = weightsOf(spec, 7);
      using network = FusionNetwork.create(spec, weights, exec);
      for (const batch of [1, 3, 70, 300]) {
        const inputs = inputsOf(batch, batch);
        const { heads } = await network.run(inputs, exec);
        const expected = Array.from({ length: batch }, (_, r) => oracle(spec, weights, inputs, r));
        const top = Math.max(...expected.flat().map(Math.abs));
        for (let r = 0; r < batch; r++) {
          const got = [heads.rating![r]!, ...heads.genre!.subarray(3 * r, 3 * r + 3)];
          for (const [o, v] of got.entries()) {
            t.true(Math.abs(v - expected[r]![o]!) <= 2e-5 * top, `${combine} ${constant} ${batch}: ${v}`);
          }
        }
      }
    }
  });

  test(`a modality that no film of the batch has; a film like no landmark gets the bias ${label}`, async (t) => {
    const spec = specOf('sum', 1);
    const weights = weightsOf(spec, 3);
    using network = FusionNetwork.create(spec, weights, exec);
    const { modalities, batch, present } = inputsOf(4, 9);
    const only = present.map((v, i) => (i % 3 === 0 ? v : 0));
    t.deepEqual(
      (await network.run({ batch, modalities: { text: modalities.text } }, exec)).heads,
      (await network.run({ batch, modalities, present: only }, exec)).heads,
    );
    const far = await network.run({ batch: 1, modalities: { text: new Float32Array(21).fill(1e4) } }, exec);
    t.deepEqual([...far.heads.genre!], [...weights['heads.genre.bias']!.data]);
  });

  test(`what is not finite is refused by its name and place ${label}`, async (t) => {
    using network = FusionNetwork.create(specOf('product', 1), weightsOf(specOf('product', 1), 1), exec);
    const { modalities } = inputsOf(2, 2);
    const text = modalities.text.slice();
    text[21 + 4] = Number.NaN;
    await throwsTyped(t, () => network.run({ batch: 2, modalities: { text } }, exec), {
      code: 'ERR_INPUT_VALUE',
      field: 'text',
      message: /row 1 .*feature 4/,
    });
  });
}

for (const { label, exec } of ways({ devices: false })) {
  test(`a row alone equals the row in a batch, bit for bit ${label}`, async (t) => {
    const spec = specOf('product', 1);
    using network = FusionNetwork.create(spec, weightsOf(spec, 7));
    const inputs = inputsOf(200, 5);
    const whole = await network.run(inputs, exec);
    for (const r of [0, 63, 64, 131, 199]) {
      const part = (all: Float32Array, size: number) => all.slice(r * size, (r + 1) * size);
      const { text, trailer, facts } = inputs.modalities;
      const one = await network.run(
        {
          batch: 1,
          modalities: {
            text: part(text, 21),
            trailer: {
              data: part(trailer.data, 6 * STEPS),
              steps: STEPS,
              lengths: trailer.lengths.slice(r, r + 1),
            },
            facts: part(facts, 4),
          },
          present: inputs.present.slice(3 * r, 3 * r + 3),
        },
        exec,
      );
      t.is(one.heads.rating![0], whole.heads.rating![r]);
      t.deepEqual(one.heads.genre, part(whole.heads.genre!, 3));
    }
  });
}

test('a description that does not hold: typed errors that name the field', async (t) => {
  const good = specOf('sum', 1);
  const change = (fields: object, projection: object = {}, fusion: object = {}) => ({
    ...good,
    modalities: good.modalities.map((m, i) =>
      i === 1 ? { ...m, projection: { ...m.projection, ...projection } } : m,
    ),
    fusion: { ...good.fusion, ...fusion },
    ...fields,
  });
  const cases: [object, string][] = [
    [change({}, { out: 36 }), 'network.modalities.1.projection.out'],
    [change({}, { activation: 'relu' }), 'network.modalities.1.projection'],
    [change({}, { layerNorm: true }), 'network.modalities.1.projection'],
    [change({ trunk: [{ out: 3, activation: 'none', layerNorm: false }] }), 'network.trunk'],
    [change({}, {}, { kernels: { ...KERNELS, facts: undefined } }), 'network.fusion.kernels.facts'],
    [
      change({}, {}, { kernels: { text: KERNELS.text, trailer: KERNELS.trailer } }),
      'network.fusion.kernels.facts',
    ],
    [change({}, {}, { kernels: { ...KERNELS, poster: KERNELS.text } }), 'network.fusion.kernels.poster'],
    [change({}, {}, { combine: 'mean' }), 'network.fusion.combine'],
    [change({}, {}, { constant: -1 }), 'network.fusion.constant'],
  ];
  for (const [spec, field] of cases) {
    await throwsTyped(t, () => parseFusionNetworkSpec(spec), { code: 'ERR_BUNDLE_FORMAT', field });
  }
  const weights = weightsOf(good, 1);
  delete weights['modalities.text.landmarks'];
  await throwsTyped(t, () => FusionNetwork.create(good, weights), {
    code: 'ERR_BUNDLE_SHAPE',
    field: 'modalities.text.landmarks',
  });
});
