/** What this machine can do at best, measured on the spot: the floor that the operators are held against. */
import { Linear } from '../lib/ops/index.js';
import { model, node, value } from '../test/onnx.js';

export interface Floors {
  /** float32 matrix product, 768 x 768 x 768: the best of some runs of ours and ONNX Runtime's. */
  sgemmGflops: number;
  /** Bytes read plus bytes written by copying 64 MiB, one thread, the best of some runs. */
  copyGbPerSecond: number;
  threads: number;
}

const SIZE = 768;

const RUNS = 25;

export const sgemmInput = () => Float32Array.from({ length: SIZE * SIZE }, (_, i) => Math.sin(i));
/** Of a product that takes so many seconds. */
export const sgemmRate = (seconds: number) => (2 * SIZE ** 3) / seconds / 1e9;
export const SGEMM_SIZE = SIZE;

async function fastest(call: () => Promise<unknown>): Promise<number> {
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i < RUNS; i++) {
    const started = process.hrtime.bigint();
    await call();
    best = Math.min(best, Number(process.hrtime.bigint() - started) / 1e9);
  }
  return best;
}

async function sgemmGflops(threads: number): Promise<number> {
  const { InferenceSession, Tensor } = (await import('onnxruntime-node')).default;
  const dims = [SIZE, SIZE];
  const data = sgemmInput();
  const graph = model({
    inputs: [value('a', 'float', dims), value('b', 'float', dims)],
    outputs: [value('c', 'float', dims)],
    nodes: [node('MatMul', ['a', 'b'], ['c'])],
  });
  const session = await InferenceSession.create(graph, { intraOpNumThreads: threads, interOpNumThreads: 1 });
  const feeds = { a: new Tensor('float32', data, dims), b: new Tensor('float32', data, dims) };
  const theirs = await fastest(() => session.run(feeds));
  await session.release();
  const layer = await Linear.create({ inFeatures: SIZE, outFeatures: SIZE, weight: data });
  const out = new Float32Array(data.length);
  const ours = await fastest(() => layer.run(data, { out, threads }));
  layer.dispose();
  return sgemmRate(Math.min(theirs, ours));
}

function copyGbPerSecond(): number {
  const from = new Float32Array(1 << 24).fill(1);
  const to = new Float32Array(from.length);
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 15; i++) {
    const started = process.hrtime.bigint();
    to.set(from);
    best = Math.min(best, Number(process.hrtime.bigint() - started) / 1e9);
  }
  return (2 * from.byteLength) / best / 1e9;
}

/** @param threads  that the matrix product may use: as many as the operators have in the same run */
export async function measureFloors(threads: number): Promise<Floors> {
  return { sgemmGflops: await sgemmGflops(threads), copyGbPerSecond: copyGbPerSecond(), threads };
}
