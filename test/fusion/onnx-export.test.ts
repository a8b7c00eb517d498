/** Every kind of network as an ONNX model, under onnxruntime-node, against FusionNetwork and the golden networks. */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test from 'ava';
import type * as Ort from 'onnxruntime-node';
import { defaultBundlePath } from '../../lib/native.js';
import { loadBundle } from '../../lib/fusion/bundle.js';
import {
  FusionNetwork,
  type FusionNetworkSpec,
  type NetworkInputs,
  type NetworkWeights,
  parseFusionNetworkSpec,
} from '../../lib/fusion/network.js';
import { exportOnnx } from '../../lib/fusion/onnx-export.js';
import { ACTIVATIONS } from '../../lib/ops/activation.js';
import { random, randomF32 } from '../backends.js';
import { throwsTyped } from '../errors.js';
import { assertGolden } from '../golden.js';
import { CASES, inputsOf, randomWeights, specOf, weightsOf } from './reference-networks.js';

const { InferenceSession, Tensor } = (
  (await import('onnxruntime-node')) as unknown as { default: typeof Ort }
).default;

let folder: string;
test.before(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'cinefuse-onnx-'));
});
test.after.always(() => rm(folder, { recursive: true, force: true }));

/** Exports, loads and runs a network: its heads and modality weights. */
async function runExported(
  network: FusionNetworkSpec,
  weights: NetworkWeights,
  { batch, modalities, present }: NetworkInputs & { present: Uint8Array },
  name: string,
): Promise<Record<string, Float32Array>> {
  const file = path.join(folder, `${name}.onnx`);
  const length = await exportOnnx({ network, weights }, file);
  const bytes = await readFile(file);
  if (bytes.length !== length) throw new Error(`${length} bytes told, ${bytes.length} written`);
  const session = await InferenceSession.create(bytes, { intraOpNumThreads: 1, interOpNumThreads: 1 });
  const feeds: Record<string, Ort.Tensor> = {
    present: new Tensor('bool', present, [batch, network.modalities.length]),
  };
  for (const { name, dim } of network.modalities) {
    const input = modalities[name]!;
    if (input instanceof Float32Array) {
      feeds[name] = new Tensor('float32', input, [batch, dim]);
      continue;
    }
    feeds[name] = new Tensor('float32', input.data, [batch, input.steps, dim]);
    const lengths = BigInt64Array.from(input.lengths ?? new Int32Array(batch).fill(input.steps), BigInt);
    feeds[`${name}.lengths`] = new Tensor('int64', lengths, [batch]);
  }
  const results = await session.run(feeds);
  await session.release();
  return Object.fromEntries(Object.entries(results).map(([key, { data }]) => [key, data as Float32Array]));
}

/** Largest difference, in units of the larger array's largest value. */
function apart(got: Float32Array, expected: Float32Array): number {
  const top = expected.reduce((most, v) => Math.max(most, Math.abs(v)), 1e-6);
  const worst = expected.reduce((most, v, i) => Math.max(most, Math.abs(v - got[i]!)), 0);
  return got.length === expected.length ? worst / top : Number.POSITIVE_INFINITY;
}

test('every golden network: the same heads and modality weights, absent inputs full of NaN', async (t) => {
  const kinds = new Set<string>();
  for (const c of CASES) {
    const spec = specOf(c);
    kinds.add(spec.fusion.kind);
    const inputs = inputsOf(c);
    using network = FusionNetwork.create(spec, weightsOf(c));
    const ours = await network.run(inputs);
    const theirs = await runExported(spec, weightsOf(c), inputs, c.name);
    for (const { name } of spec.heads) {
      assertGolden(t, c, `heads.${name}`, theirs[`heads.${name}`]!, 'exported');
      t.true(apart(theirs[`heads.${name}`]!, ours.heads[name]!) < 2e-5, `${c.name} ${name}`);
    }
    t.is(theirs.modality_weights === undefined, ours.modalityWeights === undefined, c.name);
    if (ours.modalityWeights) t.true(apart(theirs.modality_weights!, ours.modalityWeights) < 2e-5, c.name);
  }
  t.true(kinds.size >= 7, [...kinds].join());
});

test('one modality, every activation, layer norm, and rows as they come', async (t) => {
  for (const [i, activation] of ACTIVATIONS.entries()) {
    for (const kind of ['concat', 'weighted-sum', 'late', 'hybrid'] as const) {
      const spec = parseFusionNetworkSpec({
        modalities: [{ name: 'plot', dim: 7, projection: { out: 5, activation, layerNorm: i % 2 === 0 } }],
        fusion: { kind },
        trunk: [{ out: 6, activation, layerNorm: i % 2 === 1 }],
        heads: [{ name: 'rating', out: 2 }],
      });
      const weights = randomWeights(spec, i);
      using network = FusionNetwork.create(spec, weights);
      for (const batch of [1, 5]) {
        const inputs = {
          batch,
          modalities: { plot: randomF32(batch * 7, 3, 0) },
          present: new Uint8Array(batch).fill(1),
        };
        const ours = await network.run(inputs);
        const theirs = await runExported(spec, weights, inputs, `${kind}-${activation}-${batch}`);
        t.true(apart(theirs['heads.rating']!, ours.heads.rating!) < 2e-5, `${kind} ${activation} ${batch}`);
      }
    }
  }
});

test('hybrid fusion with modalities on one side, and rows without any of a side', async (t) => {
  const projection = { out: 5, activation: 'tanh' as const, layerNorm: false };
  for (const sides of [
    { early: ['b', 'c'], late: ['a'] },
    { early: ['a'], late: ['c', 'b', 'a'] },
    { late: ['b', 'c'] },
  ]) {
    const spec = parseFusionNetworkSpec({
      modalities: ['a', 'b', 'c'].map((name) => ({ name, dim: 4, projection })),
      fusion: { kind: 'hybrid', ...sides },
      trunk: [{ out: 6, activation: 'relu', layerNorm: false }],
      heads: [{ name: 'rating', out: 2 }],
    });
    const weights = randomWeights(spec, 8);
    const batch = 7;
    const inputs = {
      batch,
      modalities: {
        a: randomF32(batch * 4, 1, 0),
        b: randomF32(batch * 4, 2, 0),
        c: randomF32(batch * 4, 3, 0),
      },
      present: Uint8Array.from({ length: batch * 3 }, (_, i) => ((Math.floor(i / 3) + 1) >> (i % 3)) & 1),
    };
    using network = FusionNetwork.create(spec, weights);
    const ours = await network.run(inputs);
    const theirs = await runExported(spec, weights, inputs, `sides-${sides.late.length}`);
    t.true(apart(theirs['heads.rating']!, ours.heads.rating!) < 2e-5, JSON.stringify(sides));
    t.true(apart(theirs.modality_weights!, ours.modalityWeights!) < 2e-5, JSON.stringify(sides));
  }
});

test('kernels in sums and products, landmarks and films with holes', async (t) => {
  const projection = { out: 19, activation: 'none' as const, layerNorm: false };
  for (const [combine, constant] of [
    ['sum', 1],
    ['product', 0.5],
    ['product', 0],
  ] as const) {
    const spec = parseFusionNetworkSpec({
      modalities: [
        { name: 'text', dim: 21, projection },
        { name: 'trailer', dim: 6, sequence: { pooling: 'attention', attentionDim: 4 }, projection },
        { name: 'facts', dim: 4, projection },
      ],
      fusion: {
        kind: 'kernel',
        combine,
        constant,
        kernels: {
          text: { kind: 'rbf', gamma: 0.05, weight: 0.6 },
          trailer: { kind: 'polynomial', gamma: 0.2, constant: 0.5, degree: 3, weight: 0.3 },
          facts: { kind: 'linear', weight: 0.3 },
        },
      },
      trunk: [],
      heads: [{ name: 'rating', out: 1 }],
    });
    const weights = randomWeights(spec, 5);
    const next = random(9);
    for (const { name } of spec.modalities) {
      const q = weights[`modalities.${name}.landmark_present`]!.data;
      for (let j = 0; j < q.length; j++) q[j] = next() < 0.75 ? 1 : 0;
    }
    const batch = 11;
    const inputs = {
      batch,
      modalities: {
        text: randomF32(batch * 21, 1, 0),
        trailer: { data: randomF32(batch * 3 * 6, 2, 0), steps: 3 },
        facts: randomF32(batch * 4, 3, 0),
      },
      present: Uint8Array.from({ length: batch * 3 }, (_, i) => (i % 3 === 0 || i % 5 !== 0 ? 1 : 0)),
    };
    using network = FusionNetwork.create(spec, weights);
    const ours = await network.run(inputs);
    const theirs = await runExported(spec, weights, inputs, `kernel-${combine}-${constant}`);
    t.true(apart(theirs['heads.rating']!, ours.heads.rating!) < 2e-5, `${combine} ${constant}`);
  }
});

test('cross-modal blocks, modalities alone among them', async (t) => {
  const projection = { out: 12, activation: 'relu' as const, layerNorm: false };
  for (const [heads, blocks, hidden] of [
    [1, 1, undefined],
    [3, 2, 7],
  ] as const) {
    const spec = parseFusionNetworkSpec({
      modalities: ['text', 'poster', 'facts'].map((name) => ({ name, dim: 6, projection })),
      fusion: { kind: 'cross-modal', heads, blocks, hidden },
      trunk: [{ out: 8, activation: 'gelu', layerNorm: true }],
      heads: [{ name: 'rating', out: 2 }],
    });
    const weights = randomWeights(spec, 5);
    const batch = 9;
    const inputs = {
      batch,
      modalities: Object.fromEntries(
        spec.modalities.map(({ name }, m) => [name, randomF32(batch * 6, m, 0)]),
      ),
      // One alone, two, or all three.
      present: Uint8Array.from({ length: batch * 3 }, (_, i) => {
        const [row, m] = [Math.floor(i / 3), i % 3];
        return row < 3 ? Number(m === row) : row < 6 ? Number(m !== row - 3) : 1;
      }),
    };
    using network = FusionNetwork.create(spec, weights);
    const ours = await network.run(inputs);
    const theirs = await runExported(spec, weights, inputs, `cross-modal-${heads}`);
    t.true(apart(theirs['heads.rating']!, ours.heads.rating!) < 2e-5, `${heads} heads, ${blocks} blocks`);
  }
});

test('the default bundle exports from its directory', async (t) => {
  await using bundle = await loadBundle(defaultBundlePath());
  const file = path.join(folder, 'default.onnx');
  t.true((await exportOnnx(bundle, file)) > 1000);
  const session = await InferenceSession.create(file);
  t.deepEqual(
    session.outputNames.filter((name) => name.startsWith('heads.')).sort(),
    bundle.manifest.network.heads.map(({ name }) => `heads.${name}`).sort(),
  );
  await session.release();
});

test('a wrong place, weights that lack one and a signal: typed errors, and nothing left behind', async (t) => {
  const c = CASES[0]!;
  const [network, weights] = [specOf(c), weightsOf(c)];
  const own = await mkdtemp(path.join(folder, 'own-'));
  const nowhere = path.join(own, 'not', 'there', 'a.onnx');
  await throwsTyped(t, () => exportOnnx({ network, weights }, nowhere), {
    code: 'ERR_BUNDLE_WRITE',
    file: nowhere,
  });
  weights.delete('heads.rating.weight');
  const some = path.join(own, 'some');
  await writeFile(some, 'what was there');
  await throwsTyped(t, () => exportOnnx({ network, weights }, some), {
    code: 'ERR_BUNDLE_SHAPE',
    field: 'heads.rating.weight',
  });
  await throwsTyped(
    t,
    () => exportOnnx({ network, weights: weightsOf(c) }, some, { signal: AbortSignal.abort() }),
    { name: 'AbortError', code: 'ERR_CANCELLED' },
  );
  t.is(await readFile(some, 'utf8'), 'what was there');
  t.deepEqual(await readdir(own), ['some']);
});
