/**
 * A program: calls of the operators that between them launch every kernel, small ones, on the emulated backend.
 * kernels.test.ts runs it under CINEFUSE_EMULATED_TRACE. Where that test names a kernel that was not launched, a call
 * is missing here.
 */
import { ACTIVATIONS } from '../../lib/ops/activation.js';
import {
  activation,
  LowRankFusion,
  layerNorm,
  linear,
  logSoftmax,
  melSpectrogram,
  powerToDb,
  Spectrogram,
  softmax,
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
  for (const [rank, outFeatures, dims] of [
    [3, 10, [7, 20]],
    [4, 40, [64, 150, 32]],
  ] as const) {
    const layer = {
      dims,
      rank,
      outFeatures,
      factors: dims.map((d, m) => randomF32(rank * (d + 1) * outFeatures, m)),
    };
    const fusion = await LowRankFusion.create(layer, exec);
    for (const precision of ['fp32', 'bf16'] as const) {
      for (const n of [1, 3, 9, 70]) {
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

for (const calls of [activations, rows, denseLayers, lowRank, spectrograms]) {
  const started = performance.now();
  await calls();
  console.log(`${calls.name}: ${Math.round(performance.now() - started)} ms`);
}
