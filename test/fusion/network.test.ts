import test from 'ava';
import {
  FusionNetwork,
  type FusionNetworkSpec,
  type NetworkInputs,
  type NetworkOutputs,
  type NetworkWeight,
  weightShapes,
} from '../../lib/fusion/network.js';
import { random, randomF32, ways } from '../backends.js';
import { type ExpectedError, throwsTyped } from '../errors.js';
import { assertGolden, f32, type GoldenCase, loadGolden, tensorOf } from '../golden.js';

const CASES = loadGolden('network');
const SEQUENCES = ['trailer.video', 'audio'];

function specOf(c: GoldenCase): FusionNetworkSpec {
  return c.config.spec as FusionNetworkSpec;
}

function caseOf(name: string): GoldenCase {
  return CASES.find((c) => c.name === name)!;
}

function weightsOf(c: GoldenCase): Map<string, NetworkWeight> {
  const weights = new Map<string, NetworkWeight>();
  for (const field of Object.keys(c.tensors)) {
    if (!field.startsWith('weights.')) continue;
    weights.set(field.slice('weights.'.length), { shape: tensorOf(c, field).shape, data: f32(c, field, 1) });
  }
  return weights;
}

/** The inputs of a case, or of some of its rows; what is absent is filled with NaN. */
function inputsOf(c: GoldenCase, rows = [0, 1, 2, 3, 4, 5]): NetworkInputs & { present: Uint8Array } {
  const all = tensorOf(c, 'present').data as Uint8Array;
  const present = Uint8Array.from(rows.flatMap((r) => [...all.subarray(r * 3, r * 3 + 3)]));
  const pick = (name: string, column: number) => {
    const whole = f32(c, `inputs.${name}`, 3);
    const size = whole.length / 6;
    const data = new Float32Array(rows.length * size);
    for (const [i, r] of rows.entries()) {
      data.set(whole.subarray(r * size, (r + 1) * size), i * size);
      if (!present[i * 3 + column]) data.fill(Number.NaN, i * size, (i + 1) * size);
    }
    return data;
  };
  const sequence = (name: string, column: number) => {
    const steps = tensorOf(c, `inputs.${name}`).shape[1]!;
    const data = pick(name, column);
    const all = tensorOf(c, `lengths.${name}`).data as Int32Array;
    const lengths = Int32Array.from(rows, (r) => all[r]!);
    const dim = data.length / rows.length / steps;
    for (const [i, length] of lengths.entries()) {
      data.fill(Number.NaN, (i * steps + length) * dim, (i + 1) * steps * dim);
    }
    return { data, steps, lengths };
  };
  return {
    batch: rows.length,
    modalities: {
      text: pick('text', 0),
      'trailer.video': sequence('trailer.video', 1),
      audio: sequence('audio', 2),
    },
    present,
  };
}

function randomWeights(spec: FusionNetworkSpec, seed: number): Record<string, NetworkWeight> {
  return Object.fromEntries(
    [...weightShapes(spec)].map(([name, shape], i) => {
      const size = shape.reduce((a, b) => a * b, 1);
      const scale = 1 / Math.sqrt(shape.length > 1 ? shape.at(-1)! : 1);
      return [name, { shape, data: randomF32(size, seed + i).map((v) => v * scale) }];
    }),
  );
}

for (const { label, exec } of ways()) {
  test(`every kind of fusion equals the float64 reference ${label}`, async (t) => {
    for (const c of CASES) {
      using network = FusionNetwork.create(specOf(c), weightsOf(c), exec);
      const result = await network.run(inputsOf(c), { ...exec, sequenceWeights: true });
      t.deepEqual(
        Object.keys(result.heads),
        specOf(c).heads.map(({ name }) => name),
      );
      for (const [name, data] of Object.entries(result.heads)) {
        assertGolden(t, c, `heads.${name}`, data, label);
      }
      t.is(result.modalityWeights !== undefined, 'modalityWeights' in c.tensors);
      if (result.modalityWeights) assertGolden(t, c, 'modalityWeights', result.modalityWeights, label);
      for (const name of SEQUENCES) {
        assertGolden(t, c, `sequenceWeights.${name}`, result.sequenceWeights![name]!, label);
      }
    }
    t.is(new Set(CASES.map((c) => specOf(c).fusion.kind)).size, 7);
  });

  test(`a row alone equals the row in a batch, bit for bit ${label}`, async (t) => {
    for (const c of CASES) {
      using network = FusionNetwork.create(specOf(c), weightsOf(c));
      // 200 rows: several tasks, and several blocks of rows in each
      const rows = Array.from({ length: 200 }, (_, i) => (i * 7) % 6);
      const whole = await network.run(inputsOf(c, rows), { ...exec, sequenceWeights: true });
      for (let r = 0; r < 6; r++) {
        const one = await network.run(inputsOf(c, [r]), { ...exec, sequenceWeights: true });
        const slices = (result: NetworkOutputs, at: number, batch: number) =>
          [
            ...Object.values(result.heads),
            ...Object.values(result.sequenceWeights!),
            ...(result.modalityWeights ? [result.modalityWeights] : []),
          ].map((all) => [...all.subarray((at * all.length) / batch, ((at + 1) * all.length) / batch)]);
        const at = rows.lastIndexOf(r);
        t.deepEqual(slices(whole, at, rows.length), slices(one, 0, 1), `${c.name} row ${r}`);
      }
    }
  });
}

test('left out is the same as marked absent; presence defaults to what is given', async (t) => {
  for (const c of CASES) {
    using network = FusionNetwork.create(specOf(c), weightsOf(c));
    const { modalities } = inputsOf(c, [3]); // only the text is there
    const marked = await network.run({ batch: 1, modalities, present: Uint8Array.of(1, 0, 0) });
    const left = await network.run({ batch: 1, modalities: { text: modalities.text } });
    t.deepEqual(left.heads, marked.heads, c.name);
    t.deepEqual(left.modalityWeights, marked.modalityWeights, c.name);
    const all = inputsOf(c, [0]);
    t.deepEqual(
      (await network.run({ batch: 1, modalities: all.modalities })).heads,
      (await network.run(all)).heads,
      c.name,
    );
  }
});

test('modality weights sum to 1 over the present; weights of steps over the steps that count', async (t) => {
  for (const c of CASES) {
    using network = FusionNetwork.create(specOf(c), weightsOf(c));
    const inputs = inputsOf(c);
    const result = await network.run(inputs, { sequenceWeights: true });
    const sums = (all: Float32Array) => {
      const width = all.length / 6;
      return [0, 1, 2, 3, 4, 5].map((r) => all.subarray(r * width, (r + 1) * width).reduce((a, b) => a + b));
    };
    const { modalityWeights, sequenceWeights } = result;
    if (modalityWeights) {
      t.true(sums(modalityWeights).every((sum) => Math.abs(sum - 1) < 1e-5));
      t.true(modalityWeights.every((a, i) => inputs.present[i] || a === 0));
    }
    for (const name of SEQUENCES) {
      const column = name === 'audio' ? 2 : 1;
      const expected = [0, 1, 2, 3, 4, 5].map((r) => inputs.present[r * 3 + column]!);
      t.true(sums(sequenceWeights![name]!).every((sum, r) => Math.abs(sum - expected[r]!) < 1e-5));
    }
  }
});

test('a sequence of one vector a row may come as plain vectors', async (t) => {
  const c = caseOf('hybrid');
  using network = FusionNetwork.create(specOf(c), weightsOf(c));
  const data = randomF32(4 * 6, 1);
  const plain = await network.run({ batch: 4, modalities: { 'trailer.video': data } });
  const packed = await network.run({ batch: 4, modalities: { 'trailer.video': { data, steps: 1 } } });
  t.deepEqual(plain, packed);
});

test('long sequences, beyond one block of scores', async (t) => {
  const c = caseOf('weighted_sum');
  using network = FusionNetwork.create(specOf(c), weightsOf(c));
  const steps = 150;
  const one = randomF32(6, 2);
  const data = new Float32Array(3 * steps * 6);
  for (let i = 0; i < 3 * steps; i++) data.set(one, i * 6);
  const lengths = Int32Array.of(150, 70, 1);
  const result = await network.run(
    { batch: 3, modalities: { 'trailer.video': { data, steps, lengths } } },
    { sequenceWeights: true },
  );
  // Equal steps: every weight is 1/length, and the result that of one step.
  const weights = result.sequenceWeights!['trailer.video']!;
  for (const [r, length] of lengths.entries()) {
    for (let s = 0; s < steps; s++) {
      t.true(Math.abs(weights[r * steps + s]! - (s < length ? 1 / length : 0)) < 1e-6);
    }
  }
  const { rating } = result.heads;
  t.true(Math.abs(rating![0]! - rating![2]!) < 1e-5 && Math.abs(rating![1]! - rating![2]!) < 1e-5);
});

test('runs on one network at the same time do not disturb each other', async (t) => {
  const c = caseOf('attention_feature');
  using network = FusionNetwork.create(specOf(c), weightsOf(c));
  const next = random(3);
  const jobs = Array.from({ length: 60 }, () =>
    Array.from({ length: 1 + Math.floor(next() * 90) }, () => Math.floor(next() * 6)),
  );
  const alone = [];
  for (const rows of jobs) alone.push(await network.run(inputsOf(c, rows)));
  const together = await Promise.all(
    jobs.map((rows, i) => network.run(inputsOf(c, rows), { threads: 1 + (i % 3) })),
  );
  t.deepEqual(together, alone);
});

test('inputs changed after the call has begun: presence and lengths that were checked are those that count', async (t) => {
  const c = caseOf('late');
  using network = FusionNetwork.create(specOf(c), weightsOf(c));
  const inputs = inputsOf(c);
  const expected = await network.run(inputsOf(c));
  const running = network.run(inputs);
  inputs.present.fill(0);
  (inputs.modalities.audio as { lengths: Int32Array }).lengths.fill(1 << 20);
  t.deepEqual(await running, expected);
});

test('disposal: at once for new calls, after the running ones for memory', async (t) => {
  const c = caseOf('concat');
  const network = FusionNetwork.create(specOf(c), weightsOf(c));
  const expected = await network.run(inputsOf(c));
  const running = network.run(inputsOf(c));
  network.dispose();
  network.dispose();
  t.true(network.disposed);
  t.deepEqual(await running, expected);
  await throwsTyped(t, () => network.run(inputsOf(c)), { name: 'DisposedError', code: 'ERR_DISPOSED' });
});

test('an AbortSignal cancels before and during a run', async (t) => {
  const c = caseOf('tensor');
  using network = FusionNetwork.create(specOf(c), weightsOf(c));
  const rows = Array.from({ length: 40_000 }, (_, i) => i % 6);
  const inputs = inputsOf(c, rows);
  await throwsTyped(t, () => network.run(inputs, { signal: AbortSignal.abort() }), { code: 'ERR_CANCELLED' });
  const control = new AbortController();
  const running = Array.from({ length: 8 }, () =>
    network.run(inputs, { signal: control.signal, threads: 1 }),
  );
  control.abort();
  const outcomes = await Promise.allSettled(running);
  t.true(outcomes.some((o) => o.status === 'rejected' && o.reason.code === 'ERR_CANCELLED'));
  t.is((await network.run(inputsOf(c))).heads.rating!.length, 6);
});

test('2,000 runs leave the memory as it was', async (t) => {
  const c = caseOf('hybrid');
  const network = FusionNetwork.create(specOf(c), weightsOf(c));
  const inputs = inputsOf(c, [0, 1, 2, 3, 4, 5, 0, 1]);
  const run = async (times: number) => {
    for (let i = 0; i < times; i++) await network.run(inputs);
  };
  await run(500);
  const before = process.memoryUsage().rss;
  await run(2000);
  const grown = process.memoryUsage().rss - before;
  t.true(grown < 24 * 2 ** 20, `${(grown / 2 ** 20).toFixed(1)} MiB more after 2,000 runs`);
  network.dispose();
});

test('bad inputs: typed errors that name the modality and the row', async (t) => {
  const c = caseOf('late');
  using network = FusionNetwork.create(specOf(c), weightsOf(c));
  const run = (changes: Partial<NetworkInputs>) => network.run({ ...inputsOf(c), ...changes });
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
    [{ present: none }, { name: 'InputError', code: 'ERR_INPUT_EMPTY', field: 'present', message: /row 3/ }],
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
  await throwsTyped(t, () => create(name, undefined), { code: 'ERR_BUNDLE_FORMAT', field: name });
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

test('weightShapes names what the reference networks hold, no more and no less', (t) => {
  for (const c of CASES) {
    const shapes = [...weightShapes(specOf(c))].map(([name, shape]) => `${name} ${shape}`);
    const held = [...weightsOf(c)].map(([name, { shape }]) => `${name} ${shape}`);
    t.deepEqual(shapes.sort(), held.sort(), c.name);
  }
});

test('a wide network with many modalities and heads runs, weights in a plain object', async (t) => {
  const spec: FusionNetworkSpec = {
    modalities: Array.from({ length: 32 }, (_, i) => ({
      name: `m${i}`,
      dim: 1 + i * 3,
      projection: { out: 24, activation: 'gelu', layerNorm: i % 2 === 0 },
    })),
    fusion: { kind: 'attention', form: 'feature' },
    trunk: [{ out: 40, activation: 'silu', layerNorm: true }],
    heads: Array.from({ length: 20 }, (_, i) => ({ name: `h${i}`, out: 1 + (i % 4) })),
  };
  using network = FusionNetwork.create(spec, randomWeights(spec, 1));
  const batch = 9;
  const modalities = Object.fromEntries(
    spec.modalities.map(({ name, dim }, i) => [name, randomF32(batch * dim, i)]),
  );
  const { heads, modalityWeights } = await network.run({ batch, modalities });
  t.is(Object.keys(heads).length, 20);
  t.true(Object.values(heads).every((y) => y.every(Number.isFinite)));
  t.is(modalityWeights!.length, batch * 32);
});
