/** TensorFlow.js on its WebAssembly backend, on as many threads as it can have in Node. */
import { defaultThreads } from '../../lib/ops/index.js';
import { peerModule } from './npm.js';

/** The little of it that is used. */
export interface Tensor {
  dataSync(): Float32Array;
}
export interface Tf {
  setBackend(name: string): Promise<boolean>;
  getBackend(): string;
  tidy<T>(work: () => T): T;
  keep(x: Tensor): Tensor;
  tensor(values: Float32Array, shape: readonly number[]): Tensor;
  ones(shape: readonly number[]): Tensor;
  concat(list: Tensor[], axis: number): Tensor;
  stack(list: Tensor[], axis: number): Tensor;
  matMul(a: Tensor, b: Tensor, turnA?: boolean, turnB?: boolean): Tensor;
  reshape(x: Tensor, shape: readonly number[]): Tensor;
  transpose(x: Tensor): Tensor;
  add(a: Tensor, b: Tensor): Tensor;
  mul(a: Tensor, b: Tensor): Tensor;
  sub(a: Tensor, b: Tensor): Tensor;
  exp(x: Tensor): Tensor;
  div(a: Tensor, b: Tensor): Tensor;
  max(x: Tensor, axis: number, keepDims: boolean): Tensor;
  tanh(x: Tensor): Tensor;
  sum(x: Tensor, axis: number, keepDims?: boolean): Tensor;
}

let loaded: Promise<Tf | undefined> | undefined;

/** @returns undefined where it is not installed or WebAssembly cannot be had */
export function tfjs(): Promise<Tf | undefined> {
  loaded ??= (async () => {
    const tf = peerModule<Tf>('@tensorflow/tfjs');
    const wasm = peerModule<{ setThreadsCount(n: number): void }>('@tensorflow/tfjs-backend-wasm');
    if (!tf || !wasm) return undefined;
    wasm.setThreadsCount(defaultThreads());
    return (await tf.setBackend('wasm')) && tf.getBackend() === 'wasm' ? tf : undefined;
  })();
  return loaded;
}

/** softmax over the middle axis of (batch, m, d), whose own function knows only the last. */
export function softmaxOverModalities(tf: Tf, e: Tensor): Tensor {
  const powers = tf.exp(tf.sub(e, tf.max(e, 1, true)));
  return tf.div(powers, tf.sum(powers, 1, true));
}
