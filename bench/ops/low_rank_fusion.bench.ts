/** Low-rank fusion against ONNX Runtime: one batched MatMul a modality, Mul, ReduceSum over the ranks, Add. */
import { LowRankFusion } from '../../lib/ops/index.js';
import { randomF32 } from '../../test/backends.js';
import { node, tensor } from '../../test/onnx.js';
import { type BenchCase, defineSuite } from '../harness.js';
import { type OnnxPeer, onnxPeer, sameWithin } from './onnx-peer.js';

const SHAPES = [
  { dims: [128, 128, 128], rank: 8, out: 128, batches: [1, 32, 256] },
  { dims: [768, 512, 128], rank: 4, out: 128, batches: [1, 256] },
];

const held: LowRankFusion[] = [];
const peers: OnnxPeer[] = [];

async function cases(): Promise<BenchCase[]> {
  const list: BenchCase[] = [];
  for (const shape of SHAPES) list.push(...(await casesOf(shape)));
  return list;
}

async function casesOf({ dims, rank, out, batches }: (typeof SHAPES)[number]): Promise<BenchCase[]> {
  const factors = dims.map((d, m) => randomF32(rank * (d + 1) * out, m, 0));
  const rankWeights = randomF32(rank, 4, 0);
  const bias = randomF32(out, 5, 0);
  const layer = await LowRankFusion.create({ dims, rank, outFeatures: out, factors, rankWeights, bias });
  const rounded = await LowRankFusion.create({
    dims,
    rank,
    outFeatures: out,
    factors,
    rankWeights,
    bias,
    weightType: 'bfloat16',
  });
  held.push(layer, rounded);
  const list: BenchCase[] = [];
  for (const rows of batches) {
    const h = dims.map((d, m) => randomF32(rows * d, 6 + m, 0));
    const peer = await onnxPeer({
      inputs: Object.fromEntries(dims.map((d, m) => [`h${m}`, [rows, d]])),
      output: ['y', [rows, out]],
      initializers: [
        tensor('one', 'float', [rows, 1], new Float32Array(rows).fill(1)),
        ...dims.map((d, m) => tensor(`F${m}`, 'float', [rank, d + 1, out], factors[m] as Float32Array)),
        tensor('w', 'float', [rank, 1, 1], rankWeights),
        tensor('b', 'float', [out], bias),
        tensor('ranks', 'int64', [1], BigInt64Array.of(0n)),
      ],
      nodes: [
        ...dims.flatMap((_, m) => [
          node('Concat', [`h${m}`, 'one'], [`c${m}`], { axis: 1 }),
          node('MatMul', [`c${m}`, `F${m}`], [`g${m}`]),
        ]),
        node('Mul', ['g0', 'g1'], ['g01']),
        node('Mul', ['g01', 'g2'], ['g012']),
        node('Mul', ['g012', 'w'], ['g']),
        node('ReduceSum', ['g', 'ranks'], ['s'], { keepdims: 0 }),
        node('Add', ['s', 'b'], ['y']),
      ],
    });
    peers.push(peer);
    const feeds = Object.fromEntries(h.map((x, m) => [`h${m}`, x]));
    const y = new Float32Array(rows * out);
    list.push({
      name: `${dims.join(', ')}, rank ${rank} -> ${out}, batch ${rows}`,
      flops: 2 * rows * rank * out * dims.reduce((sum, d) => sum + d + 1, 0),
      bytes: factors.reduce((sum, f) => sum + f.byteLength, 0),
      items: rows,
      check: sameWithin(1e-5, { 'cinefuse, bfloat16 weights': 1.5e-2 }),
      contenders: {
        cinefuse: () => layer.run(h, { out: y }),
        'cinefuse, runSync': () => layer.runSync(h, { out: y }),
        'cinefuse, bfloat16 weights': () => rounded.run(h),
        'onnxruntime-node': () => peer.run(feeds),
      },
    });
  }
  return list;
}

export default defineSuite('low_rank_fusion', {
  cases,
  async dispose() {
    for (const layer of held) layer.dispose();
    for (const peer of peers) await peer.release();
  },
});
