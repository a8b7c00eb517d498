/** Layer normalisation against ONNX Runtime's LayerNormalization. */
import { layerNorm } from '../../lib/ops/index.js';
import { randomF32 } from '../../test/backends.js';
import { node, tensor } from '../../test/onnx.js';
import { type BenchCase, defineSuite } from '../harness.js';
import { type OnnxPeer, onnxPeer, sameWithin } from './onnx-peer.js';

const peers: OnnxPeer[] = [];

async function cases(): Promise<BenchCase[]> {
  const list: BenchCase[] = [];
  for (const [rows, cols] of [
    [1, 512],
    [256, 512],
    [4096, 768],
  ] as const) {
    const x = randomF32(rows * cols, 1, 0);
    const gain = randomF32(cols, 2, 0);
    const bias = randomF32(cols, 3, 0);
    const peer = await onnxPeer({
      inputs: { x: [rows, cols] },
      output: ['y', [rows, cols]],
      initializers: [tensor('g', 'float', [cols], gain), tensor('b', 'float', [cols], bias)],
      nodes: [node('LayerNormalization', ['x', 'g', 'b'], ['y'])], // its defaults: the last axis, eps 1e-5
    });
    peers.push(peer);
    const y = new Float32Array(rows * cols);
    list.push({
      name: `${rows} x ${cols}`,
      bytes: 8 * rows * cols,
      items: rows,
      check: sameWithin(1e-5),
      contenders: {
        cinefuse: () => layerNorm(x, { cols, gain, bias, out: y }),
        'onnxruntime-node': () => peer.run({ x }),
      },
    });
  }
  return list;
}

export default defineSuite('layer_norm', {
  cases,
  async dispose() {
    for (const peer of peers) await peer.release();
  },
});
