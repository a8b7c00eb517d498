/** Heads that PyTorch trained (fixtures/torch_heads.py), read by their names, say what they said there. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { FusionNetwork, type FusionNetworkSpec, weightShapes } from '../../lib/fusion/network.js';
import { readNetworkWeights } from '../../lib/fusion/network-weights.js';
import { parseSafetensors, serializeSafetensors } from '../../lib/formats/safetensors.js';
import { throwsTyped } from '../errors.js';

// Compiled into dist/test/fusion; the fixtures stay where they are.
const fixtures = fileURLToPath(new URL('../../../test/fusion/fixtures/', import.meta.url));
const specs = JSON.parse(await readFile(path.join(fixtures, 'torch-heads.json'), 'utf8')) as Record<
  string,
  FusionNetworkSpec
>;
const films = parseSafetensors(await readFile(path.join(fixtures, 'torch-heads.safetensors')), 'films');
const floats = (name: string) => films.get(name)!.data as Float32Array;
const fileOf = (kind: string) => path.join(fixtures, `torch-${kind}.safetensors`);

test('heads of every kind give what PyTorch gave, absent inputs unread', async (t) => {
  const present = films.get('present')!.data as Uint8Array;
  t.true(present.includes(0) && Object.keys(specs).length === 9);
  for (const [kind, spec] of Object.entries(specs)) {
    using network = FusionNetwork.create(spec, await readNetworkWeights(fileOf(kind), spec));
    const modalities = Object.fromEntries(
      spec.modalities.map(({ name, dim }, m) => [
        name,
        floats(`inputs.${name}`).map((v, i) => (present[Math.floor(i / dim) * 3 + m] ? v : Number.NaN)),
      ]),
    );
    const { heads } = await network.run({ batch: 8, modalities, present });
    for (const { name } of spec.heads) {
      const expected = floats(`${kind}.${name}`);
      const top = expected.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
      t.is(heads[name]!.length, expected.length);
      t.true(
        heads[name]!.every((v, i) => Math.abs(v - expected[i]!) <= 5e-6 * top),
        `${kind} ${name}`,
      );
    }
  }
});

test('a file of another framework: names renamed, double precision rounded, scalers filled in', async (t) => {
  const spec = specs.tensor!;
  const folder = await mkdtemp(path.join(tmpdir(), 'cinefuse-torch-'));
  try {
    const ours = await readNetworkWeights(fileOf('tensor'), spec);
    const theirs = new Map(
      [...parseSafetensors(await readFile(fileOf('tensor')), 'tensor')].map(([name, { shape, data }]) => [
        `model.${name}`,
        { dtype: 'F64' as const, shape, data: Float64Array.from(data as Float32Array) },
      ]),
    );
    theirs.set('step', { dtype: 'F64', shape: [1], data: Float64Array.of(7) });
    const file = path.join(folder, 'theirs.safetensors');
    await writeFile(file, serializeSafetensors(theirs));
    const rename = (name: string) => /^model\.(.*)/.exec(name)?.[1];
    t.deepEqual(await readNetworkWeights(file, spec, { rename }), ours);
    t.deepEqual([...ours.keys()], [...weightShapes(spec).keys()]);
    t.deepEqual(ours.get('modalities.text.scaler.scale')!.data, new Float32Array(6).fill(1));
    await throwsTyped(t, () => readNetworkWeights(file, spec), {
      code: 'ERR_BUNDLE_FORMAT',
      file,
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

test('what does not fit is named, with the file', async (t) => {
  const file = fileOf('concat');
  const concat = specs.concat!;
  await throwsTyped(t, () => readNetworkWeights(file, specs['weighted-sum']!), {
    code: 'ERR_BUNDLE_FORMAT',
    file,
    field: 'modalities.text.absent',
  });
  const wide = { ...concat, trunk: [{ ...concat.trunk[0]!, out: 9 }] };
  await throwsTyped(t, () => readNetworkWeights(file, wide), {
    code: 'ERR_BUNDLE_SHAPE',
    file,
    field: 'trunk.0.weight',
    message: /\[9, 12\].*\[5, 12\]/,
  });
  const more = { ...concat, heads: [...concat.heads, { name: 'sentiment', out: 1 }] };
  await throwsTyped(t, () => readNetworkWeights(file, more), {
    code: 'ERR_BUNDLE_SHAPE',
    file,
    field: 'heads.sentiment.weight',
  });
  await throwsTyped(t, () => readNetworkWeights(`${file}.not`, concat), {
    code: 'ERR_BUNDLE_NOT_FOUND',
    file: `${file}.not`,
  });
  await throwsTyped(t, () => readNetworkWeights(path.join(fixtures, 'torch-heads.json'), concat), {
    code: 'ERR_BUNDLE_FORMAT',
    file: path.join(fixtures, 'torch-heads.json'),
  });
  const rename = (name: string) => (name === 'trunk.0.weight' ? 'trunk.0.weigth' : name);
  await throwsTyped(t, () => readNetworkWeights(file, concat, { rename }), {
    code: 'ERR_BUNDLE_FORMAT',
    field: 'trunk.0.weight',
    message: /did you mean trunk\.0\.weight/,
  });
});
