/** Attention over time and between modalities, against ONNX Runtime on the graphs that a framework exports. */
import {
  AdditiveAttention,
  CrossAttention,
  spatialAttention,
  temporalAttention,
} from '../../lib/ops/index.js';
import { randomF32 } from '../../test/backends.js';
import { node, tensor } from '../../test/onnx.js';
import { type BenchCase, defineSuite } from '../harness.js';
import { type OnnxPeer, onnxPeer, sameWithin } from './onnx-peer.js';

const peers: OnnxPeer[] = [];
const held: (AdditiveAttention | CrossAttention)[] = [];

async function peer(...graph: Parameters<typeof onnxPeer>): Promise<OnnxPeer> {
  const made = await onnxPeer(...graph);
  peers.push(made);
  return made;
}

function scaled(n: number, width: number, seed: number): Float32Array {
  return randomF32(n, seed, 0).map((v) => v / Math.sqrt(width));
}

function transposed(W: Float32Array, rows: number, cols: number): Float32Array {
  const turned = new Float32Array(W.length);
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < cols; j++) turned[j * rows + i] = W[i * cols + j] as number;
  return turned;
}

const axis = (n: bigint) => tensor('axis', 'int64', [1], BigInt64Array.of(n));

async function temporal(batch: number): Promise<BenchCase> {
  const [steps, dim] = [32, 512];
  const query = randomF32(batch * dim, 1, 0);
  const keys = randomF32(batch * steps * dim, 2, 0);
  const values = randomF32(batch * steps * dim, 3, 0);
  const session = await peer({
    inputs: { q: [batch, 1, dim], K: [batch, steps, dim], V: [batch, steps, dim] },
    output: ['c', [batch, 1, dim]],
    initializers: [tensor('s', 'float', [1], Float32Array.of(1 / Math.sqrt(dim)))],
    nodes: [
      node('Transpose', ['K'], ['Kt'], { perm: [0, 2, 1] }),
      node('MatMul', ['q', 'Kt'], ['p']),
      node('Mul', ['p', 's'], ['e']),
      node('Softmax', ['e'], ['a'], { axis: 2 }),
      node('MatMul', ['a', 'V'], ['c']),
    ],
  });
  const input = { query, keys, values, steps, keyDim: dim, valueDim: dim };
  return {
    name: `temporal, 32 steps of 512, batch ${batch}`,
    flops: 4 * batch * steps * dim,
    bytes: keys.byteLength + values.byteLength + 2 * query.byteLength,
    items: batch,
    contenders: {
      cinefuse: async () => (await temporalAttention(input)).c,
      'ONNX Runtime': () => session.run({ q: query, K: keys, V: values }),
    },
    check: sameWithin(1e-5),
  };
}

async function additive(batch: number): Promise<BenchCase> {
  const [steps, dim, k] = [32, 512, 128];
  const x = randomF32(batch * steps * dim, 1, 0);
  const W = scaled(k * dim, dim, 2);
  const b = scaled(k, dim, 3);
  const w = randomF32(k, 4, 0);
  const session = await peer({
    inputs: { x: [batch, steps, dim] },
    output: ['c', [batch, dim]],
    initializers: [
      tensor('Wt', 'float', [dim, k], transposed(W, k, dim)),
      tensor('b', 'float', [k], b),
      tensor('w', 'float', [k, 1], w),
      axis(1n),
    ],
    nodes: [
      node('MatMul', ['x', 'Wt'], ['p']),
      node('Add', ['p', 'b'], ['q']),
      node('Tanh', ['q'], ['z']),
      node('MatMul', ['z', 'w'], ['e']),
      node('Softmax', ['e'], ['a'], { axis: 1 }),
      node('Mul', ['a', 'x'], ['ax']),
      node('ReduceSum', ['ax', 'axis'], ['c'], { keepdims: 0 }),
    ],
  });
  const layer = await AdditiveAttention.create({ dim, W, b, w });
  held.push(layer);
  return {
    name: `additive, 32 steps of 512, k 128, batch ${batch}`,
    flops: 2 * batch * steps * dim * (k + 1),
    bytes: x.byteLength + batch * dim * 4,
    items: batch,
    contenders: {
      cinefuse: async () => (await layer.run({ x, steps })).c,
      'ONNX Runtime': () => session.run({ x }),
    },
    check: sameWithin(1e-5),
  };
}

async function spatial(batch: number): Promise<BenchCase> {
  const [channels, side] = [512, 14];
  const n = side * side;
  const x = randomF32(batch * channels * n, 1, 0);
  const w = scaled(channels, channels, 2);
  const session = await peer({
    inputs: { x: [batch, channels, n] },
    output: ['c', [batch, channels, 1]],
    initializers: [tensor('w', 'float', [1, channels], w)],
    nodes: [
      node('MatMul', ['w', 'x'], ['e']),
      node('Softmax', ['e'], ['a'], { axis: 2 }),
      node('Transpose', ['a'], ['at'], { perm: [0, 2, 1] }),
      node('MatMul', ['x', 'at'], ['c']),
    ],
  });
  return {
    name: `spatial, 512 channels of 14 x 14, batch ${batch}`,
    flops: 4 * batch * channels * n,
    bytes: x.byteLength + batch * channels * 4,
    items: batch,
    contenders: {
      cinefuse: async () => (await spatialAttention({ x, channels, height: side, width: side, w })).c,
      'ONNX Runtime': () => session.run({ x }),
    },
    check: sameWithin(1e-5),
  };
}

async function cross(batch: number): Promise<BenchCase> {
  const [queries, keys, width, heads] = [32, 32, 256, 8];
  const x = randomF32(batch * queries * width, 1, 0);
  const context = randomF32(batch * keys * width, 2, 0);
  const names = ['q', 'k', 'v', 'o'] as const;
  const W = names.map((_, i) => scaled(width * width, width, 3 + i));
  const b = names.map((_, i) => scaled(width, width, 7 + i));
  const heads64 = BigInt64Array.of(BigInt(batch), -1n, BigInt(heads), BigInt(width / heads));
  const session = await peer({
    inputs: { x: [batch, queries, width], ctx: [batch, keys, width] },
    output: ['y', [batch, queries, width]],
    initializers: [
      ...names.flatMap((name, i) => [
        tensor(`W${name}`, 'float', [width, width], transposed(W[i] as Float32Array, width, width)),
        tensor(`b${name}`, 'float', [width], b[i] as Float32Array),
      ]),
      tensor('split', 'int64', [4], heads64),
      tensor('joined', 'int64', [3], BigInt64Array.of(BigInt(batch), BigInt(queries), BigInt(width))),
      tensor('s', 'float', [1], Float32Array.of(1 / Math.sqrt(width / heads))),
    ],
    nodes: [
      ...(['q', 'k', 'v'] as const).flatMap((name) => [
        node('MatMul', [name === 'q' ? 'x' : 'ctx', `W${name}`], [`p${name}`]),
        node('Add', [`p${name}`, `b${name}`], [`biased_${name}`]),
        node('Reshape', [`biased_${name}`, 'split'], [`r${name}`]),
        node('Transpose', [`r${name}`], [name], { perm: name === 'k' ? [0, 2, 3, 1] : [0, 2, 1, 3] }),
      ]),
      node('MatMul', ['q', 'k'], ['dots']),
      node('Mul', ['dots', 's'], ['e']),
      node('Softmax', ['e'], ['a'], { axis: 3 }),
      node('MatMul', ['a', 'v'], ['av']),
      node('Transpose', ['av'], ['t'], { perm: [0, 2, 1, 3] }),
      node('Reshape', ['t', 'joined'], ['j']),
      node('MatMul', ['j', 'Wo'], ['po']),
      node('Add', ['po', 'bo'], ['y']),
    ],
  });
  const input = { x, context, queries, keys };
  const [Wq, Wk, Wv, Wo] = W as [Float32Array, Float32Array, Float32Array, Float32Array];
  const [bq, bk, bv, bo] = b as [Float32Array, Float32Array, Float32Array, Float32Array];
  const layer = await CrossAttention.create({
    width,
    contextWidth: width,
    heads,
    Wq,
    bq,
    Wk,
    bk,
    Wv,
    bv,
    Wo,
    bo,
  });
  held.push(layer);
  return {
    name: `cross-modal, 32 to 32 steps of 256, 8 heads, batch ${batch}`,
    flops: batch * (2 * (2 * queries + 2 * keys) * width * width + 4 * queries * keys * width),
    bytes: 2 * x.byteLength + context.byteLength + 4 * 4 * width * width,
    items: batch,
    contenders: {
      cinefuse: async () => (await layer.run(input)).y,
      'ONNX Runtime': () => session.run({ x, ctx: context }),
    },
    check: sameWithin(1e-5),
  };
}

export default defineSuite('sequence_attention', {
  cases: async () => [
    await temporal(64),
    await temporal(512),
    await additive(64),
    await spatial(32),
    await cross(1),
    await cross(32),
  ],
  dispose: async () => {
    for (const layer of held) layer.dispose();
    for (const session of peers) await session.release();
  },
});
