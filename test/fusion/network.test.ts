import test from 'ava';
import {
  FusionNetwork,
  type FusionNetworkSpec,
  type NetworkOutputs,
  type NetworkSequence,
  weightShapes,
} from '../../lib/fusion/network.js';
import { ACTIVATIONS } from '../../lib/ops/activation.js';
import {
  type Activation,
  activation,
  AdditiveAttention,
  layerNorm,
  linear,
  TensorFusion,
} from '../../lib/ops/index.js';
import { random, randomF32, ways } from '../backends.js';
import { throwsTyped } from '../errors.js';
import { assertGolden } from '../golden.js';
import {
  CASES,
  caseOf,
  inputsOf,
  randomWeights,
  SEQUENCES,
  specOf,
  weightsOf,
} from './reference-networks.js';

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
    t.is(new Set(CASES.map((c) => specOf(c).fusion.kind)).size, 8);
  });
}

for (const { label, exec } of ways({ devices: false })) {
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

test('weightShapes names what the reference networks hold, no more and no less', (t) => {
  for (const c of CASES) {
    const shapes = [...weightShapes(specOf(c))].map(([name, shape]) => `${name} ${shape}`);
    const held = [...weightsOf(c)].map(([name, { shape }]) => `${name} ${shape}`);
    t.deepEqual(shapes.sort(), held.sort(), c.name);
  }
});

test('a large network equals its operators called one by one', async (t) => {
  const spec: FusionNetworkSpec = {
    modalities: [
      { name: 'text', dim: 900, projection: { out: 20, activation: 'gelu', layerNorm: true } },
      {
        name: 'video',
        dim: 430,
        sequence: { pooling: 'attention', attentionDim: 90 },
        projection: { out: 33, activation: 'relu', layerNorm: false },
      },
    ],
    fusion: { kind: 'tensor', out: 70, activation: 'tanh' },
    trunk: [{ out: 450, activation: 'silu', layerNorm: false }],
    heads: [{ name: 'y', out: 3 }],
  };
  const weights = randomWeights(spec, 40);
  const w = (name: string) => weights[name]!.data;
  const [batch, steps] = [37, 71];
  const text = randomF32(batch * 900, 1);
  const video = randomF32(batch * steps * 430, 2);
  const lengths = Int32Array.from({ length: batch }, (_, r) => 1 + ((r * 13) % steps));

  const scaled = (x: Float32Array, name: string, dim: number) =>
    x.map(
      (v, i) =>
        (v - w(`modalities.${name}.scaler.mean`)[i % dim]!) * w(`modalities.${name}.scaler.scale`)[i % dim]!,
    );
  const layer = (
    x: Float32Array,
    prefix: string,
    [inFeatures, outFeatures]: [number, number],
    kind: Activation = 'none',
  ) =>
    linear(x, {
      inFeatures,
      outFeatures,
      weight: w(`${prefix}.weight`),
      bias: w(`${prefix}.bias`),
      activation: kind,
    });
  const plain = await layer(scaled(text, 'text', 900), 'modalities.text.projection', [900, 20]);
  const normed = await layerNorm(plain, {
    gain: w('modalities.text.norm.weight'),
    bias: w('modalities.text.norm.bias'),
    cols: 20,
  });
  using pooling = await AdditiveAttention.create({
    dim: 430,
    W: w('modalities.video.pooling.W'),
    b: w('modalities.video.pooling.b'),
    w: w('modalities.video.pooling.w'),
  });
  const pooled = await pooling.run({ x: scaled(video, 'video', 430), steps, lengths });
  using fusion = await TensorFusion.create({
    dims: [20, 33],
    outFeatures: 70,
    weight: w('fusion.weight'),
    bias: w('fusion.bias'),
    activation: 'tanh',
  });
  const fused = await fusion.run([
    await activation('gelu', normed),
    await layer(pooled.c, 'modalities.video.projection', [430, 33], 'relu'),
  ]);
  const expected = await layer(await layer(fused, 'trunk.0', [70, 450], 'silu'), 'heads.y', [450, 3]);

  using network = FusionNetwork.create(spec, weights);
  const { heads, sequenceWeights } = await network.run(
    { batch, modalities: { text, video: { data: video, steps, lengths } } },
    { sequenceWeights: true },
  );
  t.true(heads.y!.every((v, i) => Math.abs(v - expected[i]!) < 1e-5));
  t.true(sequenceWeights!.video!.every((v, i) => Math.abs(v - pooled.alpha[i]!) < 1e-6));
});

test('random networks: what is absent changes nothing, and all instruction sets and backends agree', async (t) => {
  const next = random(77);
  const int = (least: number, most: number) => least + Math.floor(next() * (most - least + 1));
  const layer = (out: number): FusionNetworkSpec['trunk'][number] => ({
    out,
    activation: ACTIVATIONS[int(0, ACTIVATIONS.length - 1)]!,
    layerNorm: next() < 0.5,
  });
  const fusions: FusionNetworkSpec['fusion'][] = [
    { kind: 'concat' },
    { kind: 'weighted-sum' },
    { kind: 'late' },
    { kind: 'hybrid' },
    { kind: 'tensor', out: 20, activation: 'tanh' },
    { kind: 'low-rank', rank: 4, out: 20, activation: 'none' },
    { kind: 'attention', form: 'tanh' },
    { kind: 'attention', form: 'feature' },
  ];
  for (let round = 0; round < 40; round++) {
    const fusion = fusions[round % fusions.length]!;
    const equal = fusion.kind === 'weighted-sum' || fusion.kind === 'attention';
    const width = int(1, 40);
    const spec: FusionNetworkSpec = {
      modalities: Array.from({ length: int(2, 4) }, (_, i) => ({
        name: `m${i}`,
        dim: int(1, 60),
        ...(next() < 0.4 && { sequence: { pooling: next() < 0.3 ? 'mean' : 'attention' } as const }),
        projection: layer(equal ? width : int(1, fusion.kind === 'tensor' ? 6 : 40)),
      })),
      fusion,
      trunk: Array.from({ length: int(0, 2) }, () => layer(int(1, 50))),
      heads: Array.from({ length: int(1, 3) }, (_, i) => ({ name: `h${i}`, out: int(1, 4) })),
    };
    const batch = int(1, 100);
    const count = spec.modalities.length;
    const present = Uint8Array.from({ length: batch * count }, (_, i) =>
      i % count === Math.floor(i / count) % count || next() < 0.6 ? 1 : 0,
    );
    const clean: Record<string, NetworkSequence | Float32Array> = {};
    const soiled: Record<string, NetworkSequence | Float32Array> = {};
    for (const [m, { name, dim, sequence }] of spec.modalities.entries()) {
      const steps = sequence ? int(1, 40) : 1;
      const lengths = Int32Array.from({ length: batch }, () => int(1, steps));
      const data = randomF32(batch * steps * dim, round * 10 + m);
      const dirty = data.slice();
      for (let r = 0; r < batch; r++) {
        const from = present[r * count + m] ? (sequence ? lengths[r]! : 1) : 0;
        dirty.fill(Number.NaN, (r * steps + from) * dim, (r + 1) * steps * dim);
      }
      clean[name] = sequence ? { data, steps, lengths } : data;
      soiled[name] = sequence ? { data: dirty, steps, lengths } : dirty;
    }
    using network = FusionNetwork.create(spec, randomWeights(spec, round));
    const say = `round ${round}: ${JSON.stringify(fusion)}, ${count} modalities, batch ${batch}`;
    const plain = await network.run({ batch, modalities: clean, present }, { isa: 'baseline', threads: 1 });
    const baseline = await network.run({ batch, modalities: soiled, present }, { isa: 'baseline' });
    t.deepEqual(baseline, plain, say);
    for (const { exec } of ways()) {
      const { heads } = await network.run({ batch, modalities: soiled, present }, exec);
      for (const [name, y] of Object.entries(heads)) {
        const top = Math.max(1, ...plain.heads[name]!.map(Math.abs));
        const worst = Math.max(...y.map((v, i) => Math.abs(v - plain.heads[name]![i]!)));
        t.true(worst <= 2e-5 * top, `${say}, ${name}: ${worst} of ${top}`);
      }
    }
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
