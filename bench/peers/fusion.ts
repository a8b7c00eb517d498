/** Tensor and low-rank fusion against ONNX Runtime, TensorFlow.js, torch and numpy, on what a framework would write. */
import { LowRankFusion, TensorFusion } from '../../lib/ops/index.js';
import { randomF32 } from '../../test/backends.js';
import { node, tensor } from '../../test/onnx.js';
import { type BenchCase, type Contender, defineSuite } from '../harness.js';
import { type Graph, type OnnxPeer, onnxPeer } from '../ops/onnx-peer.js';
import { graph as tensorFusionGraph } from '../ops/tensor_fusion.bench.js';
import { agreeing, endPeers, present, pythonPeers, shaped } from './peers.js';
import { type Tensor, tfjs } from './tfjs.js';

const STORED = 'cinefuse, weights stored as bfloat16';

const held: { dispose(): void }[] = [];
const peers: OnnxPeer[] = [];

export async function ortPeer(
  graph: Graph,
  feeds: Record<string, Float32Array>,
  kept: OnnxPeer[],
): Promise<Contender> {
  const peer = await onnxPeer(graph);
  kept.push(peer);
  return () => peer.run(feeds);
}

const int64 = (name: string, ...values: number[]) =>
  tensor(name, 'int64', [values.length], BigInt64Array.from(values, BigInt));

async function tensorTfjs(
  dims: number[],
  out: number,
  rows: number,
  weight: Float32Array,
  bias: Float32Array,
  h: Float32Array[],
): Promise<Contender | undefined> {
  const tf = await tfjs();
  if (!tf) return undefined;
  // Turned before, since its product of a turned matrix is slower.
  const turned = tf.tidy(() => tf.keep(tf.transpose(tf.tensor(weight, [out, weight.length / out]))));
  const offset = tf.tensor(bias, [out]);
  const one = tf.ones([rows, 1]);
  return () =>
    tf.tidy(() => {
      const withOne = h.map((x, m) => tf.concat([tf.tensor(x, [rows, dims[m]!]), one], 1));
      let z = withOne[0] as Tensor;
      let width = dims[0]! + 1;
      for (const [m, x] of withOne.entries()) {
        if (m === 0) continue;
        z = tf.mul(tf.reshape(z, [rows, width, 1]), tf.reshape(x, [rows, 1, dims[m]! + 1]));
        width *= dims[m]! + 1;
        z = tf.reshape(z, [rows, width]);
      }
      return tf.add(tf.matMul(z, turned), offset).dataSync();
    });
}

async function tensorCases(dims: number[], out: number): Promise<BenchCase[]> {
  const width = dims.reduce((p, d) => p * (d + 1), 1);
  const weight = randomF32(out * width, 1, 0);
  const bias = randomF32(out, 2, 0);
  const fusion = await TensorFusion.create({ dims, outFeatures: out, weight, bias });
  const stored = await TensorFusion.create({ dims, outFeatures: out, weight, bias, weightType: 'bfloat16' });
  held.push(fusion, stored);
  const list: BenchCase[] = [];
  for (const rows of [1, 32, 256]) {
    const h = dims.map((d, m) => randomF32(rows * d, 3 + m, 0));
    const feeds = Object.fromEntries(h.map((x, m) => [`h${m}`, x]));
    const y = new Float32Array(rows * out);
    const z = new Float32Array(rows * out);
    list.push({
      name: `tensor_fusion (${dims.join(', ')}) -> ${out}, batch ${rows}`,
      flops: 2 * rows * width * out,
      bytes: 4 * width * out,
      items: rows,
      contenders: {
        cinefuse: () => fusion.run(h, { out: y }),
        ...(rows === 1 && { 'cinefuse, runSync': () => fusion.runSync(h, { out: y }) }),
        [STORED]: () => stored.run(h, { out: z }),
        'onnxruntime-node': await ortPeer(tensorFusionGraph(dims, out, rows, weight, bias), feeds, peers),
        ...present({ 'TensorFlow.js, wasm': await tensorTfjs(dims, out, rows, weight, bias, h) }),
        ...(await pythonPeers(
          'tensor_fusion',
          {},
          shaped(weight, out, width),
          shaped(bias, out),
          ...h.map((x, m) => shaped(x, rows, dims[m]!)),
        )),
      },
      differs: { [STORED]: 'weights of 8 bits of precision' },
      check: agreeing((name) => ({ most: name === STORED ? 1e-2 : 2e-5 })),
    });
  }
  return list;
}

/** One batched MatMul a modality, Mul, ReduceSum over the ranks, Add. */
function lowRankGraph(
  dims: number[],
  rank: number,
  out: number,
  rows: number,
  factors: Float32Array[],
  rankWeights: Float32Array,
  bias: Float32Array,
): Graph {
  return {
    inputs: Object.fromEntries(dims.map((d, m) => [`h${m}`, [rows, d]])),
    output: ['y', [rows, out]],
    initializers: [
      tensor('one', 'float', [rows, 1], new Float32Array(rows).fill(1)),
      ...dims.map((d, m) => tensor(`F${m}`, 'float', [rank, d + 1, out], factors[m]!)),
      tensor('w', 'float', [rank, 1, 1], rankWeights),
      tensor('b', 'float', [out], bias),
      int64('ranks', 0),
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
  };
}

async function lowRankTfjs(
  dims: number[],
  rank: number,
  out: number,
  rows: number,
  factors: Float32Array[],
  rankWeights: Float32Array,
  bias: Float32Array,
  h: Float32Array[],
): Promise<Contender | undefined> {
  const tf = await tfjs();
  if (!tf) return undefined;
  // All ranks of a modality beside each other: one product instead of one a rank.
  const beside = factors.map((f, m) => {
    const inputs = dims[m]! + 1;
    const wide = new Float32Array(f.length);
    for (let r = 0; r < rank; r++)
      for (let i = 0; i < inputs; i++)
        wide.set(f.subarray((r * inputs + i) * out, (r * inputs + i + 1) * out), (i * rank + r) * out);
    return tf.tensor(wide, [inputs, rank * out]);
  });
  const [weights, offset, one] = [
    tf.tensor(rankWeights, [rank, 1]),
    tf.tensor(bias, [out]),
    tf.ones([rows, 1]),
  ];
  return () =>
    tf.tidy(() => {
      const products = h.map((x, m) =>
        tf.matMul(tf.concat([tf.tensor(x, [rows, dims[m]!]), one], 1), beside[m]!),
      );
      const product = tf.reshape(
        products.reduce((a, b) => tf.mul(a, b)),
        [rows, rank, out],
      );
      return tf.add(tf.sum(tf.mul(product, weights), 1), offset).dataSync();
    });
}

async function lowRankCases(dims: number[], rank: number, out: number): Promise<BenchCase[]> {
  const factors = dims.map((d, m) => randomF32(rank * (d + 1) * out, m, 0));
  const rankWeights = randomF32(rank, 4, 0);
  const bias = randomF32(out, 5, 0);
  const layer = await LowRankFusion.create({ dims, rank, outFeatures: out, factors, rankWeights, bias });
  held.push(layer);
  const list: BenchCase[] = [];
  for (const rows of [1, 256]) {
    const h = dims.map((d, m) => randomF32(rows * d, 6 + m, 0));
    const feeds = Object.fromEntries(h.map((x, m) => [`h${m}`, x]));
    const y = new Float32Array(rows * out);
    const graph = lowRankGraph(dims, rank, out, rows, factors, rankWeights, bias);
    list.push({
      name: `low_rank_fusion (${dims.join(', ')}), rank ${rank} -> ${out}, batch ${rows}`,
      flops: 2 * rows * rank * out * dims.reduce((sum, d) => sum + d + 1, 0),
      bytes: factors.reduce((sum, f) => sum + f.byteLength, 0),
      items: rows,
      contenders: {
        cinefuse: () => layer.run(h, { out: y }),
        ...(rows === 1 && { 'cinefuse, runSync': () => layer.runSync(h, { out: y }) }),
        'onnxruntime-node': await ortPeer(graph, feeds, peers),
        ...present({
          'TensorFlow.js, wasm': await lowRankTfjs(dims, rank, out, rows, factors, rankWeights, bias, h),
        }),
        ...(await pythonPeers(
          'low_rank_fusion',
          {},
          shaped(rankWeights, rank),
          shaped(bias, out),
          ...factors.map((f, m) => shaped(f, rank, dims[m]! + 1, out)),
          ...h.map((x, m) => shaped(x, rows, dims[m]!)),
        )),
      },
      check: agreeing(() => ({ most: 2e-5 })),
    });
  }
  return list;
}

export default defineSuite('fusion', {
  cases: async () => [
    ...(await tensorCases([32, 32, 32], 128)),
    ...(await tensorCases([128, 32, 32], 128)),
    ...(await lowRankCases([768, 512, 128], 4, 128)),
  ],
  async dispose() {
    for (const layer of held) layer.dispose();
    for (const peer of peers) await peer.release();
    await endPeers();
  },
});
