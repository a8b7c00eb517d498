/**
 * An epoch of 5,000 films x 2,048 features -> 256 -> 1, batch 64, mean squared error, Adam: ours in FusionTrainer,
 * against PyTorch on as many threads, where python3 has it, and TensorFlow.js, where it is installed.
 */
import type { FusionNetworkSpec } from '../../lib/fusion/network.js';
import { defaultThreads } from '../../lib/ops/exec.js';
import { initialWeights } from '../../lib/train/initialise.js';
import { FusionTrainer } from '../../lib/train/trainer.js';
import { randomF32 } from '../../test/backends.js';
import { type BenchCase, defineSuite } from '../harness.js';
import { PythonPeer } from './python-peer.js';
import { type TfjsPeer, tfjsPeer } from './tfjs-peer.js';

const [FILMS, FEATURES, HIDDEN, BATCH] = [5000, 2048, 256, 64];

const spec: FusionNetworkSpec = {
  modalities: [
    { name: 'film', dim: FEATURES, projection: { out: HIDDEN, activation: 'relu', layerNorm: false } },
  ],
  fusion: { kind: 'concat' },
  trunk: [],
  heads: [{ name: 'rating', out: 1 }],
};

let trainer: FusionTrainer | undefined;
let peer: PythonPeer | undefined;
let tfjs: TfjsPeer | undefined;

async function cases(): Promise<BenchCase[]> {
  const ours = FusionTrainer.create({
    spec,
    weights: Object.fromEntries(initialWeights(spec, 1)),
    losses: [{ head: 'rating', kind: 'mse' }],
    optimizer: { kind: 'adam' },
    seed: 1,
  });
  trainer = ours;
  const threads = defaultThreads();
  peer = await PythonPeer.start('epoch-peer.py', [FILMS, FEATURES, HIDDEN, BATCH, threads].map(String));
  const [values, rating] = [randomF32(FILMS * FEATURES, 1, 0), randomF32(FILMS, 2, 0)];
  const data = {
    films: FILMS,
    modalities: { film: { values, dim: FEATURES, steps: 1 } },
    targets: { rating },
  };
  tfjs = await tfjsPeer(FILMS, FEATURES, HIDDEN, BATCH, values, rating);
  const steps = {
    rows: Int32Array.from({ length: FILMS }, (_, i) => (i * 1237) % FILMS),
    batchSize: BATCH,
    learningRates: new Float32Array(Math.ceil(FILMS / BATCH)).fill(1e-4),
    present: new Uint8Array(FILMS).fill(1),
  };
  const parameters = HIDDEN * (FEATURES + 2) + 1;
  return [
    {
      name: `${FILMS} films, ${FEATURES} -> ${HIDDEN} -> 1, batch ${BATCH}, Adam, ${threads} threads`,
      // Forward, and gradients of weights and of what goes into the second layer.
      flops: FILMS * (4 * HIDDEN * FEATURES + 6 * HIDDEN),
      // Each step reads and writes parameters and both moments at least, and reads its films.
      bytes: steps.learningRates.length * parameters * 4 * 6 + 4 * FILMS * FEATURES,
      items: FILMS,
      contenders: {
        cinefuse: () => ours.run(data, steps),
        ...(peer && { 'PyTorch (python3)': () => peer!.run() }),
        ...(tfjs && { 'TensorFlow.js, wasm': () => tfjs!.epoch() }),
      },
    },
  ];
}

export default defineSuite('epoch', {
  cases,
  dispose() {
    trainer?.dispose();
    peer?.dispose();
    tfjs?.dispose();
  },
});
