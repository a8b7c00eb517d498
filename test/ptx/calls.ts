/**
 * A program: calls of the operators that between them launch every kernel, small ones, on the emulated backend.
 * kernels.test.ts runs it under CINEFUSE_EMULATED_TRACE. Where that test names a kernel that was not launched, a call
 * is missing here.
 */
import type { KernelFusion } from '../../lib/fusion/kernel-spec.js';
import { FusionNetwork, type FusionNetworkSpec, weightShapes } from '../../lib/fusion/network.js';
import { ACTIVATIONS } from '../../lib/ops/activation.js';
import {
  AdditiveAttention,
  activation,
  CrossAttention,
  type FrameInput,
  frames,
  type Kernel,
  kernelMatrix,
  LowRankFusion,
  layerNorm,
  linear,
  linearSpectrogram,
  logSoftmax,
  lowRankFusionBackward,
  lowRankFusionForward,
  ModalityAttention,
  melSpectrogram,
  opticalFlow,
  powerToDb,
  resize,
  outerProduct,
  outerProductBackward,
  Spectrogram,
  softmax,
  spatialAttention,
  TensorFusion,
  temporalAttention,
  tensorFusionBackward,
  tensorFusionForward,
} from '../../lib/ops/index.js';
import { random, randomF32 } from '../backends.js';
import { gradientCases } from '../ops/attention-cases.js';
import { recurrent, trainedNetwork, training, words } from './training-calls.js';

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
    [250, 500, 40],
    [250, 250, 40],
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
    [800, 1, [3, 4], [10]],
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

async function fusionsInTraining() {
  for (const [dims, outFeatures, rows] of [
    [[5, 4], 3, 7],
    [[9, 8, 7], 20, 10],
    [[3, 2, 4, 5], 66, 5],
  ] as const) {
    const h = dims.map((d, m) => randomF32(rows * d, m));
    const dy = randomF32(rows * outFeatures, 4);
    const present = Uint8Array.from({ length: rows * dims.length }, (_, i) => (i % 4 === 1 ? 0 : 1));
    const width = dims.reduce((p, d) => p * (d + 1), 1);
    const layer = { dims, outFeatures, h, present, weight: randomF32(outFeatures * width, 5) };
    await tensorFusionForward({ ...layer, bias: randomF32(outFeatures, 6) }, exec);
    await tensorFusionBackward({ ...layer, dy }, exec);
    await outerProductBackward({ h, rows, dz: randomF32(rows * width, 7) }, exec);
    const rank = 3;
    const factors = dims.map((d, m) => randomF32(rank * (d + 1) * outFeatures, m));
    const lowRank = { dims, rank, outFeatures, h, present, factors };
    await lowRankFusionForward({ ...lowRank, bias: randomF32(outFeatures, 6) }, exec);
    await lowRankFusionBackward({ ...lowRank, rankWeights: randomF32(rank, 8), dy }, exec);
  }
}

async function spectrograms() {
  // loud, then far below what decibels of its top keep
  const samples = randomF32(1500, 1).map((v, i) => (i < 700 ? v : 1e-6 * v));
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
    [[3, 4, 2, 5], 256],
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

/** Gradients: the cases of their tests launch every kernel. */
async function attentionGradients() {
  for (const { run } of gradientCases()) await run(exec);
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
    { kind: 'cross-modal', heads: 2, blocks: 2, hidden: 10 },
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
    // Many rows: inputs are scaled by a kernel of their own.
    for (const batch of fusion.kind === 'concat' ? [260, 1, 3, 7] : [1, 3, 7]) {
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

async function attentions() {
  for (const features of [12, 13]) {
    const [W, b] = [randomF32(features * features, 1), randomF32(features, 2)];
    const byFeature = await ModalityAttention.create({ form: 'feature', features, W, b }, exec);
    const byTanh = await ModalityAttention.create(
      { form: 'tanh', features, W: randomF32(5 * features, 1), b: randomF32(5, 2), w: randomF32(5, 3) },
      exec,
    );
    for (const modalities of [3, 7, 20]) {
      const h = randomF32(5 * modalities * features, modalities);
      const mask = Uint8Array.from({ length: 5 * modalities }, (_, i) => (i % 3 ? 1 : 0));
      for (const layer of [byFeature, byTanh]) await layer.run({ h, modalities, mask }, exec);
    }
    byFeature.dispose();
    byTanh.dispose();
  }
  for (const [keyDim, valueDim] of [
    [8, 12],
    [8, 13],
    [7, 12],
    [7, 13],
  ] as const) {
    for (const steps of [9, 700]) {
      const batch = 2;
      await temporalAttention(
        {
          query: randomF32(batch * keyDim, 1),
          keys: randomF32(batch * steps * keyDim, 2),
          values: randomF32(batch * steps * valueDim, 3),
          steps,
          keyDim,
          valueDim,
          lengths: Int32Array.of(steps, 5),
        },
        exec,
      );
    }
  }
  const dim = 20;
  const additive = await AdditiveAttention.create(
    { dim, W: randomF32(6 * dim, 1), b: randomF32(6, 2), w: randomF32(6, 3) },
    exec,
  );
  await additive.run({ x: randomF32(2 * 30 * dim, 4), steps: 30, lengths: Int32Array.of(30, 7) }, exec);
  additive.dispose();
  const [width, contextWidth, heads] = [12, 10, 3];
  const square = (seed: number) => randomF32(width * width, seed);
  const cross = await CrossAttention.create(
    {
      ...{ width, contextWidth, heads },
      ...{ Wq: square(1), Wk: randomF32(width * contextWidth, 2) },
      ...{ Wv: randomF32(width * contextWidth, 3), Wo: square(4) },
      ...{
        bq: randomF32(width, 5),
        bk: randomF32(width, 6),
        bv: randomF32(width, 7),
        bo: randomF32(width, 8),
      },
    },
    exec,
  );
  const [queries, keys] = [4, 9];
  const present = Uint8Array.from({ length: 2 * keys }, (_, i) => (i % 4 ? 1 : 0));
  await cross.run(
    {
      ...{ x: randomF32(2 * queries * width, 1), context: randomF32(2 * keys * contextWidth, 2) },
      ...{ queries, keys, present },
    },
    { ...exec, weights: true },
  );
  cross.dispose();
  // heads of every width that the tiles have, with queries enough for them
  for (const headWidth of [12, 20, 40, 72]) {
    const [all, of] = [2 * headWidth, (2 * headWidth) ** 2];
    const tiled = await CrossAttention.create(
      {
        ...{ width: all, contextWidth: all, heads: 2 },
        ...{ Wq: randomF32(of, 1), Wk: randomF32(of, 2), Wv: randomF32(of, 3), Wo: randomF32(of, 4) },
        ...{ bq: randomF32(all, 5), bk: randomF32(all, 6), bv: randomF32(all, 7), bo: randomF32(all, 8) },
      },
      exec,
    );
    for (const precision of ['fp32', 'tf32'] as const) {
      const input = { x: randomF32(9 * all, 1), context: randomF32(20 * all, 2), queries: 9, keys: 20 };
      await tiled.run(input, { ...exec, precision, weights: true });
    }
    tiled.dispose();
  }
}

async function spatial() {
  // as many channels as each shape of a block holds, few of them with many positions: split
  for (const [channels, sides] of [
    [20, [24, 25]],
    [300, [4, 5]],
    [700, [4, 5]],
    [1300, [4, 5]],
    [3000, [4, 5]],
    [5000, [4, 5]],
    // rows that begin anywhere: held whole, or by shape
    [8, [7, 11, 15]],
    [701, [5]],
    [1301, [5]],
    [3001, [5]],
  ] as const) {
    for (const side of sides) {
      const x = randomF32(channels * side * side, channels);
      const w = randomF32(channels, 1);
      await spatialAttention({ x, channels, height: side, width: side, w, b: 0.5 }, exec);
    }
  }
}

async function pictures() {
  const next = random(1);
  const data = (n: number) => Uint8Array.from({ length: n }, () => Math.floor(256 * next()));
  const [width, height] = [37, 26];
  const half = [19, 13] as const;
  const chroma = 2 * half[0] * half[1];
  const yuv = { matrix: 'bt601', range: 'limited', width, height } as const;
  const images: FrameInput[] = [
    { width, height, data: data(3 * width * height) },
    { width, height, format: 'rgba', data: data(4 * width * height), background: [1, 2, 3] },
    { width, height, format: 'gray', data: data(width * height) },
    { ...yuv, format: 'nv12', pitch: 38, data: data(38 * height + chroma) },
    { ...yuv, format: 'i420', pitch: 38, data: data(38 * height + chroma) },
    { ...yuv, format: 'nv12', pitch: 38, data: data(38 * height + chroma), chroma: 'bilinear-left' },
    { ...yuv, format: 'nv12', pitch: 38, data: data(38 * height + chroma), chroma: 'bilinear-center' },
  ];
  const normal = { mean: [0.4, 0.5, 0.6], std: [0.2, 0.3, 0.4] } as const;
  for (const image of images) {
    const batch = [image, image];
    await frames(batch, { ...normal, resize: 16, crop: 12 }, exec);
    await frames(batch, { ...normal, resize: 40, filter: 'bicubic' }, { ...exec, dtype: 'float16' });
    await frames(batch, { ...normal, resize: [20, 30], filter: 'lanczos', rounding: 'float' }, exec);
    await frames(batch, { ...normal, crop: 20, rounding: 'float' }, { ...exec, dtype: 'float16' });
    await resize(image, { resize: [9, 50] }, exec);
  }
}

/** Standing alone and in a network: all kernels, in sums and products, some modalities missing. */
async function kernels() {
  const kinds: Kernel[] = [
    { kind: 'linear', weight: 0.4 },
    { kind: 'rbf', gamma: 0.02, weight: 0.5 },
    { kind: 'polynomial', gamma: 0.1, constant: 1, degree: 3, weight: 0.1 },
  ];
  const [rows, landmarks] = [9, 150];
  const terms = kinds.map((kernel, m) => {
    const dim = 20 + 7 * m;
    return { kernel, dim, x: randomF32(rows * dim, m), z: randomF32(landmarks * dim, m + 5) };
  });
  const presentX = Uint8Array.from({ length: rows * 3 }, (_, i) => (i % 4 === 2 ? 0 : 1));
  const presentZ = Uint8Array.from({ length: landmarks * 3 }, (_, i) => (i % 7 === 3 ? 0 : 1));
  for (const combine of ['sum', 'product'] as const) {
    await kernelMatrix({ rows, landmarks, terms, combine, presentX, presentZ }, exec);
    const projection = { out: landmarks, activation: 'none', layerNorm: false } as const;
    const spec: FusionNetworkSpec = {
      modalities: terms.map(({ dim }, m) => ({ name: `m${m}`, dim, projection })),
      fusion: {
        kind: 'kernel',
        combine,
        constant: 1,
        kernels: { m0: kinds[0]!, m1: kinds[1]!, m2: kinds[2]! } as KernelFusion['kernels'],
      },
      trunk: [],
      heads: [{ name: 'y', out: 2 }],
    };
    const weights = Object.fromEntries(
      [...weightShapes(spec)].map(([name, shape], i) => {
        const data = randomF32(
          shape.reduce((a, b) => a * b, 1),
          i,
        );
        return [name, { shape, data }];
      }),
    );
    using network = FusionNetwork.create(spec, weights, exec);
    const modalities = Object.fromEntries(terms.map(({ x }, m) => [`m${m}`, x]));
    await network.run({ batch: rows, modalities, present: presentX }, exec);
  }
}

/** Two levels, bytes and floats; what moves is noise, so that every system is well posed. */
async function motion() {
  const [height, width] = [33, 38];
  const floats = randomF32(2 * height * width, 9).map((v) => 128 + 60 * v);
  for (const frames of [floats, Uint8Array.from(floats, Math.abs)]) {
    await opticalFlow({ frames, height, width }, { ...exec, iterations: 1, window: 1 });
  }
}

for (const calls of [
  activations,
  rows,
  denseLayers,
  lowRank,
  tensorFusion,
  fusionsInTraining,
  attentions,
  attentionGradients,
  spatial,
  spectrograms,
  pictures,
  networks,
  kernels,
  training,
  trainedNetwork,
  recurrent,
  words,
  motion,
]) {
  const started = performance.now();
  await calls();
  console.log(`${calls.name}: ${Math.round(performance.now() - started)} ms`);
}
