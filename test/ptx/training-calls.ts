/** The part of calls.ts that trains. */
import { ACTIVATIONS } from '../../lib/ops/activation.js';
import {
  activationBackward,
  dropout,
  layerNormBackward,
  linearBackward,
  loss,
  optimizerStep,
  squaredNorm,
} from '../../lib/ops/index.js';
import { randomF32 } from '../backends.js';

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
