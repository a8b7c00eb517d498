/** Linear layers of the sizes that projections, trunks and heads have, against ONNX Runtime's Gemm and Relu. */
import { Linear } from '../../lib/ops/index.js';
import { randomF32 } from '../../test/backends.js';
import { node, tensor } from '../../test/onnx.js';
import { type BenchCase, defineSuite } from '../harness.js';
import { type OnnxPeer, onnxPeer, sameWithin } from './onnx-peer.js';

const SIZES: [inFeatures: number, outFeatures: number][] = [
  [512, 128],
  [768, 768],
  [2048, 512],
  [384, 3],
];
const BATCHES = [1, 16, 256];

const held: Linear[] = [];
const peers: OnnxPeer[] = [];

async function cases(): Promise<BenchCase[]> {
  const list: BenchCase[] = [];
  for (const [inFeatures, outFeatures] of SIZES) {
    const weight = randomF32(outFeatures * inFeatures, 1, 0);
    const bias = randomF32(outFeatures, 2, 0);
    const layer = await Linear.create({ inFeatures, outFeatures, weight, bias, activation: 'relu' });
    held.push(layer);
    for (const rows of BATCHES) {
      const x = randomF32(rows * inFeatures, 3, 0);
      const peer = await onnxPeer({
        inputs: { x: [rows, inFeatures] },
        output: ['y', [rows, outFeatures]],
        initializers: [
          tensor('W', 'float', [outFeatures, inFeatures], weight),
          tensor('b', 'float', [outFeatures], bias),
        ],
        nodes: [node('Gemm', ['x', 'W', 'b'], ['z'], { transB: 1 }), node('Relu', ['z'], ['y'])],
      });
      peers.push(peer);
      const y = new Float32Array(rows * outFeatures);
      const flops = 2 * rows * inFeatures * outFeatures;
      list.push({
        name: `${inFeatures} -> ${outFeatures}, relu, batch ${rows}`,
        flops,
        bytes: 4 * (inFeatures * outFeatures + rows * (inFeatures + outFeatures)),
        items: rows,
        check: sameWithin(1e-5),
        contenders: {
          cinefuse: () => layer.run(x, { out: y }),
          ...(flops < 2e6 && { 'cinefuse, runSync': () => layer.runSync(x, { out: y }) }),
          'onnxruntime-node': () => peer.run({ x }),
        },
      });
    }
  }
  return list;
}

export default defineSuite('linear', {
  cases,
  async dispose() {
    for (const layer of held) layer.dispose();
    for (const peer of peers) await peer.release();
  },
});
