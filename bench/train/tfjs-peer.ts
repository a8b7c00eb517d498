/** TensorFlow.js on its WebAssembly backend, there where `npm run bench:peers` has installed it. */
import { peerModule } from '../peers/npm.js';

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
  const tf = peerModule<Tf>('@tensorflow/tfjs');
  if (!tf || !peerModule('@tensorflow/tfjs-backend-wasm')) return undefined;
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
