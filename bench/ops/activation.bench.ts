/** Activations and softmax against ONNX Runtime's operators and plain JavaScript. */
import { activation, softmax } from '../../lib/ops/index.js';
import { randomF32 } from '../../test/backends.js';
import { node } from '../../test/onnx.js';
import { type BenchCase, defineSuite } from '../harness.js';
import { type OnnxPeer, onnxPeer, sameWithin } from './onnx-peer.js';

const peers: OnnxPeer[] = [];

async function peer(op: string, rows: number, cols: number): Promise<OnnxPeer> {
  const made = await onnxPeer({
    inputs: { x: [rows, cols] },
    output: ['y', [rows, cols]],
    initializers: [],
    nodes: [node(op, ['x'], ['y'])],
  });
  peers.push(made);
  return made;
}

async function cases(): Promise<BenchCase[]> {
  const list: BenchCase[] = [];
  const rows = 256;
  const cols = 1024;
  const bytes = 8 * rows * cols;
  const x = randomF32(rows * cols, 1, 0);
  const y = new Float32Array(rows * cols);
  for (const [kind, op, plain] of [
    ['relu', 'Relu', (v: number) => Math.max(v, 0)],
    ['tanh', 'Tanh', Math.tanh],
    ['sigmoid', 'Sigmoid', (v: number) => 1 / (1 + Math.exp(-v))],
  ] as const) {
    const onnx = await peer(op, rows, cols);
    list.push({
      name: `${kind} ${rows} x ${cols}`,
      bytes,
      check: sameWithin(1e-5),
      contenders: {
        cinefuse: () => activation(kind, x, { out: y }),
        'onnxruntime-node': () => onnx.run({ x }),
        'plain JavaScript': () => x.map(plain),
      },
    });
  }
  const onnx = await peer('Softmax', rows, cols);
  list.push({
    name: `softmax ${rows} x ${cols}`,
    bytes,
    check: sameWithin(1e-5),
    contenders: {
      cinefuse: () => softmax(x, { cols, out: y }),
      'onnxruntime-node': () => onnx.run({ x }),
    },
  });
  return list;
}

export default defineSuite('activation', {
  cases,
  async dispose() {
    for (const made of peers) await made.release();
  },
});
