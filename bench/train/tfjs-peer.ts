/**
 * TensorFlow.js on its WebAssembly backend, there where it is installed: beside this package, or in the folder that
 * CINEFUSE_BENCH_TFJS names (npm install @tensorflow/tfjs @tensorflow/tfjs-backend-wasm). It is no dependency.
 */
import { createRequire } from 'node:module';
import path from 'node:path';
import { packageRoot } from '../../lib/native.js';

/** The little of it that is used. */
interface Tf {
  setBackend(name: string): Promise<boolean>;
  getBackend(): string;
  tensor2d(values: Float32Array, shape: [number, number]): Tensor;
  sequential(options: { layers: unknown[] }): Model;
  layers: { dense(options: { units: number; activation?: string; inputShape?: number[] }): unknown };
  train: { adam(learningRate: number): unknown };
}
interface Tensor {
  dispose(): void;
}
interface Model {
  compile(options: { optimizer: unknown; loss: string }): void;
  fit(x: Tensor, y: Tensor, options: { epochs: number; batchSize: number; verbose: 0 }): Promise<unknown>;
  dispose(): void;
}

export interface TfjsPeer {
  epoch(): Promise<unknown>;
  dispose(): void;
}

/** A network of two layers on data of its own. @returns undefined where TensorFlow.js is not installed */
export async function tfjsPeer(
  films: number,
  features: number,
  hidden: number,
  batchSize: number,
  values: Float32Array,
  targets: Float32Array,
): Promise<TfjsPeer | undefined> {
  const require = createRequire(path.join(process.env.CINEFUSE_BENCH_TFJS ?? packageRoot(), 'package.json'));
  let tf: Tf;
  try {
    tf = require('@tensorflow/tfjs') as Tf;
    require('@tensorflow/tfjs-backend-wasm');
  } catch {
    return undefined;
  }
  await tf.setBackend('wasm');
  if (tf.getBackend() !== 'wasm') return undefined;
  const model = tf.sequential({
    layers: [
      tf.layers.dense({ units: hidden, activation: 'relu', inputShape: [features] }),
      tf.layers.dense({ units: 1 }),
    ],
  });
  model.compile({ optimizer: tf.train.adam(1e-4), loss: 'meanSquaredError' });
  const x = tf.tensor2d(values, [films, features]);
  const y = tf.tensor2d(targets, [films, 1]);
  return {
    epoch: () => model.fit(x, y, { epochs: 1, batchSize, verbose: 0 }),
    dispose() {
      for (const held of [model, x, y]) held.dispose();
    },
  };
}
