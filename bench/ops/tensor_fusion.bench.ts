/**
 * Tensor fusion against writing the outer product and multiplying it (our own operators), and against ONNX Runtime on
 * the graph that a framework exports: Concat, Mul by broadcasting, Reshape, Gemm.
 */
import { Linear, outerProduct, TensorFusion } from '../../lib/ops/index.js';
import { randomF32 } from '../../test/backends.js';
import { node, tensor } from '../../test/onnx.js';
import { type BenchCase, defineSuite } from '../harness.js';
import { type Graph, type OnnxPeer, onnxPeer, sameWithin } from './onnx-peer.js';

const SHAPES = [
  { dims: [32, 32, 32], out: 128 },
  { dims: [128, 32, 32], out: 128 },
];
const BATCHES = [1, 32, 256];

/** Stored weights, and how far their rounding may carry a result. */
const STORED = { bfloat16: 1e-2, int8: 4e-2 } as const;

const held: (Linear | TensorFusion)[] = [];
const peers: OnnxPeer[] = [];

/** Concat, Mul by broadcasting, Reshape, Gemm. */
export function graph(
  dims: number[],
  out: number,
  rows: number,
  weight: Float32Array,
  bias: Float32Array,
): Graph {
  const [d1, d2, d3] = dims.map((d) => d + 1) as [number, number, number];
  const width = d1 * d2 * d3;
  const shape = (name: string, ...sizes: number[]) =>
    tensor(name, 'int64', [sizes.length], BigInt64Array.from(sizes, BigInt));
  return {
    inputs: Object.fromEntries(dims.map((d, m) => [`h${m}`, [rows, d]])),
    output: ['y', [rows, out]],
    initializers: [
      tensor('one', 'float', [rows, 1], new Float32Array(rows).fill(1)),
      shape('s0', rows, d1, 1),
      shape('s1', rows, 1, d2),
      shape('s01', rows, d1 * d2, 1),
      shape('s2', rows, 1, d3),
      shape('sz', rows, width),
      tensor('W', 'float', [out, width], weight),
      tensor('b', 'float', [out], bias),
    ],
    nodes: [
      ...dims.map((_, m) => node('Concat', [`h${m}`, 'one'], [`c${m}`], { axis: 1 })),
      ...dims.map((_, m) => node('Reshape', [`c${m}`, `s${m}`], [`r${m}`])),
      node('Mul', ['r0', 'r1'], ['p']),
      node('Reshape', ['p', 's01'], ['p01']),
      node('Mul', ['p01', 'r2'], ['p012']),
      node('Reshape', ['p012', 'sz'], ['z']),
      node('Gemm', ['z', 'W', 'b'], ['y'], { transB: 1 }),
    ],
  };
}

async function cases(): Promise<BenchCase[]> {
  const list: BenchCase[] = [];
  for (const { dims, out } of SHAPES) {
    const width = dims.reduce((p, d) => p * (d + 1), 1);
    const weight = randomF32(out * width, 1, 0);
    const bias = randomF32(out, 2, 0);
    const fusion = await TensorFusion.create({ dims, outFeatures: out, weight, bias });
    const linear = await Linear.create({ inFeatures: width, outFeatures: out, weight, bias });
    held.push(fusion, linear);
    const stored: Record<string, TensorFusion> = {};
    for (const weightType of ['bfloat16', 'int8'] as const) {
      const layer = await TensorFusion.create({ dims, outFeatures: out, weight, bias, weightType });
      stored[`cinefuse, ${weightType} weights`] = layer;
      held.push(layer);
    }
    for (const rows of BATCHES) {
      const h = dims.map((d, m) => randomF32(rows * d, 3 + m, 0));
      const peer = await onnxPeer(graph(dims, out, rows, weight, bias));
      peers.push(peer);
      const feeds = Object.fromEntries(h.map((x, m) => [`h${m}`, x]));
      const y = new Float32Array(rows * out);
      const z = new Float32Array(rows * width);
      const materialised = new Float32Array(rows * out);
      list.push({
        name: `${dims.join('x')} -> ${out}, batch ${rows}`,
        flops: 2 * rows * width * out,
        bytes: 4 * width * out,
        items: rows,
        check: sameWithin(2e-5, {
          'cinefuse, bfloat16 weights': STORED.bfloat16,
          'cinefuse, int8 weights': STORED.int8,
        }),
        contenders: {
          cinefuse: () => fusion.run(h, { out: y }),
          ...Object.fromEntries(Object.entries(stored).map(([name, layer]) => [name, () => layer.run(h)])),
          'outer product, then linear (ours)': async () => {
            await outerProduct(h, { rows, out: z });
            return linear.run(z, { out: materialised });
          },
          'onnxruntime-node': () => peer.run(feeds),
        },
      });
    }
  }
  return list;
}

export default defineSuite('tensor_fusion', {
  cases,
  async dispose() {
    for (const layer of held) layer.dispose();
    for (const peer of peers) await peer.release();
  },
});
