/** Kernel matrices between films and landmarks, against ONNX Runtime's graph of the same formula. */
import { kernelMatrix } from '../../lib/ops/index.js';
import { randomF32 } from '../../test/backends.js';
import { node, tensor } from '../../test/onnx.js';
import { type BenchCase, defineSuite } from '../harness.js';
import { type OnnxPeer, onnxPeer, sameWithin } from './onnx-peer.js';

const peers: OnnxPeer[] = [];

async function cases(): Promise<BenchCase[]> {
  const list: BenchCase[] = [];
  for (const [rows, landmarks, dim] of [
    [64, 1000, 128],
    [1024, 2000, 512],
  ] as const) {
    const gamma = 0.5 / dim;
    const x = randomF32(rows * dim, 1, 0);
    const z = randomF32(landmarks * dim, 2, 0);
    const squares = Float32Array.from({ length: landmarks }, (_, j) =>
      z.subarray(j * dim, (j + 1) * dim).reduce((sum, v) => sum + v * v, 0),
    );
    const peer = await onnxPeer({
      inputs: { x: [rows, dim] },
      output: ['y', [rows, landmarks]],
      initializers: [
        tensor(
          'z',
          'float',
          [landmarks, dim],
          z.map((v) => -2 * v),
        ),
        tensor('s', 'float', [landmarks], squares),
        tensor('g', 'float', [1], Float32Array.of(-gamma)),
      ],
      nodes: [
        node('Gemm', ['x', 'z', 's'], ['d'], { transB: 1 }),
        node('ReduceSumSquare', ['x'], ['n'], { axes: [1], keepdims: 1 }),
        node('Add', ['d', 'n'], ['e']),
        node('Mul', ['e', 'g'], ['f']),
        node('Exp', ['f'], ['y']),
      ],
    });
    peers.push(peer);
    const out = new Float32Array(rows * landmarks);
    const terms = [{ kernel: { kind: 'rbf', gamma } as const, dim, x, z }];
    list.push({
      name: `rbf, ${rows} films, ${landmarks} landmarks of ${dim}`,
      flops: 2 * rows * landmarks * dim,
      bytes: 4 * (rows * dim + landmarks * dim + rows * landmarks),
      items: rows,
      check: sameWithin(1e-5),
      contenders: {
        cinefuse: () => kernelMatrix({ rows, landmarks, terms }, { out }),
        'onnxruntime-node': () => peer.run({ x }),
      },
    });
  }
  return list;
}

export default defineSuite('kernel_matrix', {
  cases,
  async dispose() {
    for (const peer of peers) await peer.release();
  },
});
