import test from 'ava';
import {
  FusionNetwork,
  type FusionNetworkSpec,
  type NetworkInputs,
  type NetworkWeight,
} from '../../lib/fusion/network.js';
import type { Backend } from '../../lib/ops/index.js';
import { DEVICE_BACKENDS, random } from '../backends.js';
import { type ExpectedError, throwsTyped } from '../errors.js';
import { caseOf, inputsOf, specOf, weightsOf } from './reference-networks.js';

for (const backend of ['cpu', ...DEVICE_BACKENDS] as const) {
  test(`bad inputs: typed errors that name the modality and the row [${backend}]`, async (t) => {
    const c = caseOf('late');
    using network = FusionNetwork.create(specOf(c), weightsOf(c));
    const run = (changes: Partial<NetworkInputs>) => network.run({ ...inputsOf(c), ...changes }, { backend });
    const { modalities, present } = inputsOf(c);
    const infinite = (modalities.text as Float32Array).slice();
    infinite[8] = Number.POSITIVE_INFINITY;
    const video = modalities['trailer.video'] as { data: Float32Array; steps: number; lengths: Int32Array };
    const hollow = video.data.slice();
    hollow[5 * 5 * 6 + 3 * 6 + 2] = Number.NaN;
    const none = present.slice();
    none.fill(0, 9, 12);
    const cases: [Partial<NetworkInputs>, ExpectedError][] = [
      [{ batch: 0 }, { name: 'ShapeError', code: 'ERR_SHAPE', field: 'batch' }],
      [{ batch: 5 }, { code: 'ERR_SHAPE', field: 'present' }],
      [
        { present: none },
        { name: 'InputError', code: 'ERR_INPUT_EMPTY', field: 'present', message: /row 3/ },
      ],
      [{ present: present.subarray(1) }, { code: 'ERR_SHAPE', field: 'present' }],
      [
        { modalities: { ...modalities, text: infinite } },
        { code: 'ERR_INPUT_VALUE', field: 'text', message: /inf in row 1 \(step 0, feature 1\)/ },
      ],
      [
        { modalities: { ...modalities, 'trailer.video': { ...video, data: hollow } } },
        { code: 'ERR_INPUT_VALUE', field: 'trailer.video', message: /nan in row 5 \(step 3, feature 2\)/ },
      ],
      [
        {
          modalities: {
            ...modalities,
            'trailer.video': { ...video, lengths: Int32Array.of(5, 1, 3, 0, 0, 4) },
          },
        },
        { code: 'ERR_INPUT_VALUE', field: 'trailer.video', message: /1\.\.5 .*row 4.*received 0/ },
      ],
      [
        {
          modalities: {
            ...modalities,
            'trailer.video': { ...video, lengths: Int32Array.of(6, 1, 3, 0, 2, 4) },
          },
        },
        { code: 'ERR_INPUT_VALUE', field: 'trailer.video', message: /row 0.*received 6/ },
      ],
      [
        { modalities: { ...modalities, 'trailer.video': { ...video, lengths: new Int32Array(5) } } },
        { code: 'ERR_SHAPE', field: 'trailer.video.lengths' },
      ],
      [
        { modalities: { ...modalities, 'trailer.video': { ...video, steps: 4 } } },
        { code: 'ERR_SHAPE', field: 'trailer.video' },
      ],
      [
        { modalities: { ...modalities, 'trailer.video': { ...video, steps: 0 } } },
        { code: 'ERR_SHAPE', field: 'trailer.video' },
      ],
      [
        { modalities: { ...modalities, text: { data: infinite, steps: 2 } } },
        { code: 'ERR_SHAPE', field: 'text', message: /no sequence/ },
      ],
      [
        { modalities: { ...modalities, text: new Float32Array(41) } },
        { name: 'ShapeError', code: 'ERR_SHAPE', field: 'text' },
      ],
      [{ modalities: { ...modalities, text: [1] as never } }, { code: 'ERR_INPUT_TYPE', field: 'text' }],
      [{ modalities: { ...modalities, text: new Float32Array(0) } }, { code: 'ERR_SHAPE', field: 'text' }],
      [
        { modalities: { ...modalities, text: undefined } },
        { code: 'ERR_INPUT_VALUE', field: 'text', message: /no input was given/ },
      ],
      [
        { modalities: { ...modalities, txet: infinite } },
        { code: 'ERR_INPUT_UNKNOWN_FIELD', field: 'txet', message: /did you mean text/ },
      ],
      [
        { modalities: {}, present: undefined },
        { code: 'ERR_INPUT_EMPTY', field: 'present' },
      ],
    ];
    for (const [changes, expected] of cases) await throwsTyped(t, () => run(changes), expected);
  });
}

/** The message of what is wrong with some inputs. */
async function messageOf(network: FusionNetwork, inputs: NetworkInputs, backend: Backend): Promise<string> {
  // One thread: of several, the CPU names what the fastest has found.
  const outcome = await network.run(inputs, { backend, threads: 1 }).catch((error: unknown) => error);
  return outcome instanceof Error ? `${outcome.name} ${outcome.message}` : 'none';
}

for (const backend of DEVICE_BACKENDS) {
  test(`what is not finite is found where the CPU finds it [${backend}]`, async (t) => {
    const next = random(8);
    const wrong = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    for (const name of ['concat', 'attention_feature']) {
      const c = caseOf(name);
      using network = FusionNetwork.create(specOf(c), weightsOf(c));
      // Few rows, and so many that inputs are scaled by a kernel of their own.
      for (const batch of [1, 6, 300]) {
        const rows = Array.from({ length: batch }, (_, i) => i % 6);
        for (let round = 0; round < 6; round++) {
          const inputs = inputsOf(c, rows);
          const text = inputs.modalities.text as Float32Array;
          const { data } = inputs.modalities[['trailer.video', 'audio'][round % 2]!] as {
            data: Float32Array;
          };
          for (const array of round < 3 ? [data] : [data, text]) {
            for (let i = 0; i < 3; i++) {
              array[Math.floor(next() * array.length)] = wrong[Math.floor(next() * 3)]!;
            }
          }
          const say = `${name}, batch ${batch}, round ${round}`;
          t.is(await messageOf(network, inputs, backend), await messageOf(network, inputs, 'cpu'), say);
        }
      }
    }
  });
}

test('bad specs: typed errors that name the field', async (t) => {
  const good = specOf(caseOf('attention_tanh'));
  const [text, video, audio] = good.modalities as [
    FusionNetworkSpec['modalities'][number],
    FusionNetworkSpec['modalities'][number],
    FusionNetworkSpec['modalities'][number],
  ];
  const create = (changes: object) =>
    FusionNetwork.create({ ...good, ...changes } as FusionNetworkSpec, weightsOf(caseOf('attention_tanh')));
  const wide = { ...audio, projection: { ...audio.projection, out: 7 } };
  const cases: [object, string, RegExp?][] = [
    [{ modalities: [] }, 'network.modalities'],
    [{ modalities: [text, video, wide] }, 'network.modalities.2.projection.out', /received 7/],
    [{ modalities: [text, video, { ...audio, name: 'text' }] }, 'network.modalities.2.name', /second "text"/],
    [{ modalities: [text, video, { ...audio, name: '' }] }, 'network.modalities.2.name'],
    [{ modalities: [text, video, { ...audio, dims: 3 }] }, 'network.modalities.2.dims', /did you mean dim/],
    [{ modalities: [{ ...text, dim: 0 }] }, 'network.modalities.0.dim'],
    [{ fusion: { kind: 'concatenate' } }, 'network.fusion.kind'],
    [{ fusion: { kind: 'attention', form: 'feature', attentionDim: 4 } }, 'network.fusion.attentionDim'],
    [{ fusion: { kind: 'tensor', out: 3, activation: 'relu' }, modalities: [text] }, 'network.modalities'],
    [
      {
        fusion: { kind: 'tensor', out: 65_536, activation: 'relu' },
        modalities: [text, video, { ...audio, projection: { ...audio.projection, out: 4096 } }],
      },
      'network.fusion',
      /low-rank/,
    ],
    [{ trunk: [{ out: 3, activation: 'swish', layerNorm: true }] }, 'network.trunk.0.activation'],
    [{ heads: [] }, 'network.heads'],
    [{ heads: [good.heads[0], good.heads[0]] }, 'network.heads.1.name'],
  ];
  for (const [changes, field, message] of cases) {
    await throwsTyped(t, () => create(changes), {
      name: 'BundleError',
      code: 'ERR_BUNDLE_FORMAT',
      field,
      ...(message && { message }),
    });
  }
});

test('bad weights: typed errors that name the weight and both shapes', async (t) => {
  const c = caseOf('low_rank');
  const create = (name: string, weight: NetworkWeight | undefined) => {
    const weights = weightsOf(c);
    if (weight) weights.set(name, weight);
    else weights.delete(name);
    return FusionNetwork.create(specOf(c), weights);
  };
  const name = 'modalities.text.projection.weight';
  await throwsTyped(t, () => create(name, undefined), { code: 'ERR_BUNDLE_SHAPE', field: name });
  await throwsTyped(t, () => create(name, { shape: [7, 4], data: new Float32Array(28) }), {
    name: 'BundleError',
    code: 'ERR_BUNDLE_SHAPE',
    field: name,
    message: /\[4, 7\].*\[7, 4\]/,
  });
  await throwsTyped(t, () => create(name, { shape: [4, 7], data: new Float32Array(27) }), {
    code: 'ERR_BUNDLE_SHAPE',
    field: name,
  });
  await throwsTyped(t, () => create(name, { shape: [4, 7], data: new Float64Array(28) as never }), {
    code: 'ERR_BUNDLE_FORMAT',
    field: name,
  });
  const spoilt = new Float32Array(28);
  spoilt[5] = Number.NaN;
  await throwsTyped(t, () => create(name, { shape: [4, 7], data: spoilt }), {
    code: 'ERR_BUNDLE_FORMAT',
    field: name,
    message: /element 5/,
  });
});
