/**
 * A program: calls of the operators that between them launch every kernel, small ones, on the emulated backend.
 * kernels.test.ts runs it under CINEFUSE_EMULATED_TRACE. Where that test names a kernel that was not launched, a call
 * is missing here.
 */
import { FusionNetwork, type FusionNetworkSpec, weightShapes } from '../../lib/fusion/network.js';
import { ACTIVATIONS } from '../../lib/ops/activation.js';
import {
  activation,
  LowRankFusion,
  layerNorm,
  linear,
  linearSpectrogram,
  logSoftmax,
  melSpectrogram,
  powerToDb,
  outerProduct,
  Spectrogram,
  softmax,
  TensorFusion,
} from '../../lib/ops/index.js';
import { randomF32 } from '../backends.js';

const exec = { backend: 'emulated' } as const;
const PRECISIONS = ['fp32', 'tf32', 'bf16'] as const;

async function activations() {
  const x = randomF32(2211, 1).map((v) => 3 * v);
  for (const kind of ACTIVATIONS) await activation(kind, x, exec);
}

/** One row shape each: a few lanes a row to a block a row to rows that no block can hold; by one number and by four. */
const ROW_LENGTHS = [16, 32, 64, 128, 256, 512, 1024, 1100, 7, 31, 61, 127, 255, 511, 1101, 24580];

async function rows() {
  for (const cols of ROW_LENGTHS) {
    const n = cols > 2000 ? 1 : 3;
    const x = randomF32(n * cols, cols);
    await softmax(x, { ...exec, cols });
    if (cols < 600) await logSoftmax(x, { ...exec, cols });
    await layerNorm(x, { ...exec, cols, gain: randomF32(cols, 1), bias: randomF32(cols, 2) });
  }
}

async function denseLayers() {
  // rows, outFeatures, inFeatures: few rows by one column and by four, tiles of all sizes, split and not
  const shapes = [
    [1, 5, 700],
    [2, 5, 700],
    [3, 5, 701],
    [7, 9, 40],
    [1, 260, 150],
    [2, 260, 150],
    [4, 260, 150],
    [6, 260, 150],
    [1, 20, 2000],
    [2, 20, 2000],
    [4, 20, 2000],
    [6, 20, 2000],
    [33, 40, 520],
    [40, 70, 33],
    [100, 100, 64],
    [256, 256, 40],
  ] as const;
  for (const precision of PRECISIONS) {
    for (const [n, outFeatures, inFeatures] of shapes) {
      const layer = {
        inFeatures,
        outFeatures,
        weight: randomF32(outFeatures * inFeatures, n),
        bias: randomF32(outFeatures, 2),
        activation: 'gelu',
      } as const;
      await linear(randomF32(n * inFeatures, 3), layer, { ...exec, precision });
    }
  }
}

async function lowRank() {
  // few rows, tiles of one rank and of four, and many ranks of few outputs, which are products of their own
  for (const [rank, outFeatures, dims, rows] of [
    [3, 10, [7, 20], [1, 3, 9, 70]],
    [4, 40, [64, 150, 32], [1, 3, 9, 70]],
    [1, 70, [33, 8], [70]],
    [2000, 2, [3, 4], [10]],
  ] as const) {
    const layer = {
      dims,
      rank,
      outFeatures,
      factors: dims.map((d, m) => randomF32(rank * (d + 1) * outFeatures, m)),
    };
    const fusion = await LowRankFusion.create(layer, exec);
    for (const precision of PRECISIONS) {
      for (const n of rows) {
        const h = dims.map((d, m) => randomF32(n * d, m));
        await fusion.run(h, { ...exec, precision });
      }
    }
    fusion.dispose();
  }
}

async function spectrograms() {
  const samples = randomF32(1500, 1);
  const mel = { ...exec, sampleRate: 16000, nMels: 20 };
  await melSpectrogram(samples, { ...mel, nFft: 400, hopLength: 160, scaling: { kind: 'db' } });
  await melSpectrogram(samples, { ...mel, nFft: 251, hopLength: 200 });
  // one too long for shared memory, and every fast length
  await melSpectrogram(samples, { ...mel, nFft: 65536, hopLength: 30000 });
  for (const nFft of [256, 512, 1024, 2048]) {
    await melSpectrogram(samples, { ...mel, nFft, hopLength: 160 });
    await linearSpectrogram(samples, { ...exec, nFft, layout: 'frames-bands', hopLength: 500 });
  }
  const whisper = await Spectrogram.create({ kind: 'whisper' }, exec);
  await whisper.runBatch([samples, samples.subarray(0, 900)], exec);
  whisper.dispose();
  const kaldi = await Spectrogram.create({ kind: 'kaldi', sampleRate: 16000 }, exec);
  await kaldi.run(samples, exec);
  kaldi.dispose();
  await powerToDb(
    samples.map((v) => v * v),
    exec,
  );
}

async function tensorFusion() {
  for (const [dims, outFeatures] of [
    [[7, 5, 3], 9],
    [[33, 20], 40],
    [[3, 4, 2, 5], 130],
  ] as const) {
    const size = dims.reduce<number>((product, d) => product * (d + 1), outFeatures);
    const fusion = await TensorFusion.create(
      { dims, outFeatures, weight: randomF32(size, 1), bias: randomF32(outFeatures, 2), activation: 'relu' },
      exec,
    );
    for (const n of [1, 2, 3, 7, 12, 30, 70]) {
      const h = dims.map((d, m) => randomF32(n * d, m));
      const present = Uint8Array.from({ length: n * dims.length }, (_, i) => (i % 7 ? 1 : 0));
      await outerProduct(h, { ...exec, rows: n, present });
      for (const precision of PRECISIONS) await fusion.run(h, { ...exec, precision, present });
    }
    fusion.dispose();
  }
}

/** Weights of every shape; a text, and two sequences of which some rows and steps are not there. */
async function networks() {
  const kinds: FusionNetworkSpec['fusion'][] = [
    { kind: 'concat' },
    { kind: 'weighted-sum' },
    { kind: 'late' },
    { kind: 'hybrid' },
    { kind: 'tensor', out: 6, activation: 'relu' },
    { kind: 'low-rank', rank: 2, out: 6, activation: 'relu' },
    { kind: 'attention', form: 'tanh', attentionDim: 5 },
    { kind: 'attention', form: 'feature' },
  ];
  const steps = 5;
  for (const fusion of kinds) {
    const spec: FusionNetworkSpec = {
      modalities: [
        { name: 'text', dim: 40, projection: { out: 8, activation: 'gelu', layerNorm: true } },
        {
          name: 'video',
          dim: 6,
          sequence: { pooling: 'attention', attentionDim: 5 },
          projection: { out: 8, activation: 'silu', layerNorm: false },
        },
        {
          name: 'audio',
          dim: 3,
          sequence: { pooling: 'mean' },
          projection: { out: 8, activation: 'tanh', layerNorm: true },
        },
      ],
      fusion,
      trunk: [{ out: 9, activation: 'leaky-relu', layerNorm: true }],
      heads: [
        { name: 'rating', out: 1 },
        { name: 'audience', out: 3 },
      ],
    };
    const weights = Object.fromEntries(
      [...weightShapes(spec)].map(([name, shape], i) => {
        const size = shape.reduce((a, b) => a * b, 1);
        return [name, { shape, data: randomF32(size, i).map((v) => v / Math.sqrt(shape.at(-1)!)) }];
      }),
    );
    const network = await FusionNetwork.create(spec, weights, exec);
    for (const batch of [1, 3, 7]) {
      const lengths = Int32Array.from({ length: batch }, (_, row) => 1 + (row % steps));
      const modalities = {
        text: randomF32(batch * 40, 1),
        video: { data: randomF32(batch * steps * 6, 2), steps, lengths },
        audio: { data: randomF32(batch * steps * 3, 3), steps, lengths },
      };
      const present = Uint8Array.from({ length: 3 * batch }, (_, i) => (i % 4 === 3 ? 0 : 1));
      await network.run({ batch, modalities, present }, { ...exec, sequenceWeights: true });
    }
    network.dispose();
  }
}

for (const calls of [activations, rows, denseLayers, lowRank, tensorFusion, spectrograms, networks]) {
  const started = performance.now();
  await calls();
  console.log(`${calls.name}: ${Math.round(performance.now() - started)} ms`);
}
