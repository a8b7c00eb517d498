/** What this machine can do at best, measured on the spot: the floor that the operators are held against. */
import { model, node, value } from '../test/onnx.js';

export interface Floors {
  /** ONNX Runtime's float32 matrix product, 768 x 768 x 768, the best of some runs. */
  sgemmGflops: number;
  /** Bytes read plus bytes written by copying 64 MiB, one thread, the best of some runs. */
  copyGbPerSecond: number;
  threads: number;
}

const SIZE = 768;

async function sgemmGflops(threads: number): Promise<number> {
  const { InferenceSession, Tensor } = (await import('onnxruntime-node')).default;
  const dims = [SIZE, SIZE];
  const data = Float32Array.from({ length: SIZE * SIZE }, (_, i) => Math.sin(i));
  const graph = model({
    inputs: [value('a', 'float', dims), value('b', 'float', dims)],
    outputs: [value('c', 'float', dims)],
    nodes: [node('MatMul', ['a', 'b'], ['c'])],
  });
  const session = await InferenceSession.create(graph, { intraOpNumThreads: threads, interOpNumThreads: 1 });
  const feeds = { a: new Tensor('float32', data, dims), b: new Tensor('float32', data, dims) };
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 25; i++) {
    const started = process.hrtime.bigint();
    await session.run(feeds);
    best = Math.min(best, Number(process.hrtime.bigint() - started) / 1e9);
  }
  await session.release();
  return (2 * SIZE ** 3) / best / 1e9;
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
