/** The part of calls.ts that trains. */
import type { FusionNetworkSpec } from '../../lib/fusion/network.js';
import { FusionTrainer, initialWeights } from '../../lib/train/index.js';
import { ACTIVATIONS } from '../../lib/ops/activation.js';
import {
  activationBackward,
  ConvPool,
  convPoolBackward,
  convPoolForward,
  dropout,
  embedding,
  embeddingBackward,
  layerNormBackward,
  linearBackward,
  loss,
  Lstm,
  lstmBackward,
  lstmForward,
  optimizerStep,
  squaredNorm,
} from '../../lib/ops/index.js';
import { randomF32 } from '../backends.js';
import { randomConvPool } from '../ops/conv_pool-oracle.js';

const exec = { backend: 'emulated' } as const;

/** Gradients, losses and optimisers; rows by warps and by blocks, sums in one part and in several. */
export async function training() {
  const x = randomF32(2200, 1).map((v) => 3 * v);
  const dy = randomF32(2200, 2);
  for (const kind of ACTIVATIONS) await activationBackward(kind, { x, dy }, exec);
  for (const cols of [40, 1100]) {
    for (const kind of ['softmax', 'log-softmax'] as const)
      await activationBackward(kind, { x, dy }, { ...exec, cols });
    await layerNormBackward({ x, dy, gain: randomF32(cols, 3) }, { ...exec, cols });
  }
  await layerNormBackward({ x: randomF32(900, 1), dy: randomF32(900, 2) }, { ...exec, cols: 3 });
  for (const [rows, inFeatures, outFeatures] of [
    [9, 70, 33],
    [300, 20, 10],
  ] as const) {
    await linearBackward(
      {
        ...{ inFeatures, outFeatures, x: randomF32(rows * inFeatures, 1) },
        ...{ weight: randomF32(inFeatures * outFeatures, 2), dy: randomF32(rows * outFeatures, 3) },
      },
      exec,
    );
  }
  await dropout(x, { ...exec, p: 0.3, seed: 5, stream: 2 });
  for (const kind of ['mse', 'mae', 'huber', 'bce', 'cross-entropy'] as const) {
    const cols = 5;
    const target = Float32Array.from({ length: kind === 'cross-entropy' ? 440 : 2200 }, (_, i) => i % 2);
    for (const reduction of ['mean', 'none'] as const)
      await loss(kind, { x, target }, { ...exec, cols, reduction, smoothing: 0.1 });
  }
  const state = { p: randomF32(2200, 3), g: dy, m: new Float32Array(2200), v: new Float32Array(2200) };
  for (const kind of ['sgd', 'adam', 'adamw'] as const)
    await optimizerStep(state, { ...exec, kind, learningRate: 0.1, weightDecay: 0.1, l1: 0.1, step: 1 });
  await squaredNorm(randomF32(9000, 1), exec);
}

/** A lookup and TextCNN's layer with their gradients, rows shorter than a window among them. */
export async function words() {
  const ids = Int32Array.of(3, 0, 3, -1, 8, 3);
  const options = { ...exec, dim: 70, rows: 9, paddingId: -1 };
  await embedding(ids, randomF32(9 * 70, 1), options);
  await embeddingBackward({ ids, dy: randomF32(6 * 70, 2) }, options);
  for (const activation of ['relu', 'tanh'] as const) {
    const input = randomConvPool(
      3,
      9,
      5,
      [
        [2, 35],
        [4, 3],
      ],
      activation,
    );
    input.lengths.set([9, 3, 0]);
    using layer = await ConvPool.create(input, exec);
    await layer.run(input, exec);
    const forward = await convPoolForward(input, exec);
    await convPoolBackward({ ...input, ...forward, dy: randomF32(3 * 38, 3) }, exec);
  }
}

/** Both sides of a hybrid network, films with holes, a spread, clipping. */
export async function trainedNetwork() {
  const projection = { out: 6, activation: 'tanh', layerNorm: true } as const;
  const spec: FusionNetworkSpec = {
    modalities: ['a', 'b', 'c'].map((name) => ({ name, dim: 5, projection })),
    fusion: { kind: 'hybrid', early: ['a', 'b'], late: ['b', 'c'] },
    trunk: [{ out: 4, activation: 'relu', layerNorm: false }],
    heads: [
      { name: 'y', out: 1 },
      { name: 's', out: 1 },
    ],
  };
  using trainer = FusionTrainer.create({
    spec,
    weights: initialWeights(spec, 3),
    losses: [
      { head: 'y', kind: 'mse' },
      { head: 's', kind: 'spread', of: 'y' },
    ],
    optimizer: { kind: 'adam', clipNorm: 0.1 },
    dropout: 0.1,
    seed: 1,
  });
  const films = 6;
  const data = {
    films,
    modalities: Object.fromEntries(
      spec.modalities.map(({ name, dim }, m) => [name, { dim, steps: 1, values: randomF32(films * dim, m) }]),
    ),
    targets: { y: randomF32(films, 9) },
  };
  const steps = {
    rows: Int32Array.from({ length: films }, (_, i) => i),
    batchSize: 4,
    learningRates: Float32Array.of(0.01, 0.01),
    present: Uint8Array.from({ length: films * 3 }, (_, i) => ((Math.floor(i / 3) + 1) >> (i % 3)) & 1),
  };
  await trainer.run(data, steps, exec);
  trainer.weights();
}

/** An LSTM whose units one block has, and one whose units several share; rows of unequal lengths, one of none. */
export async function recurrent() {
  for (const [batch, time, inputSize, hiddenSize, directions] of [
    [5, 4, 3, 40, 2],
    [2, 2, 3, 261, 1],
  ] as const) {
    const gates = directions * 4 * hiddenSize;
    const input = {
      ...{ inputSize, hiddenSize, directions, time },
      weightInput: randomF32(gates * inputSize, 1),
      weightHidden: randomF32(gates * hiddenSize, 2).map((v) => v * hiddenSize ** -0.5),
      bias: randomF32(gates, 3),
      x: randomF32(batch * time * inputSize, 4),
      lengths: Int32Array.from({ length: batch }, (_, b) => (b * 3) % (time + 1)),
      h0: randomF32(directions * batch * hiddenSize, 5),
      c0: randomF32(directions * batch * hiddenSize, 6),
    };
    using layer = await Lstm.create(input, exec);
    await layer.run(input.x, { ...input, ...exec });
    const forward = await lstmForward(input, exec);
    await lstmBackward({ ...input, ...forward, dy: forward.y, dh: forward.h, dc: forward.c }, exec);
  }
}
