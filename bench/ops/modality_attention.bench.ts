/** Attention over 4 modalities of 512 features, both forms, against ONNX Runtime on the same graph and plain loops. */
import { ModalityAttention } from '../../lib/ops/index.js';
import { randomF32 } from '../../test/backends.js';
import { node, tensor } from '../../test/onnx.js';
import { type BenchCase, defineSuite } from '../harness.js';
import { type OnnxPeer, onnxPeer, sameWithin } from './onnx-peer.js';

const MODALITIES = 4;
const FEATURES = 512;
const K = 128;
const peers: OnnxPeer[] = [];
const held: ModalityAttention[] = [];

function scaled(n: number, seed: number): Float32Array {
  return randomF32(n, seed, 0).map((v) => v / Math.sqrt(FEATURES));
}

/** Plain JavaScript, as one would write it with typed arrays. */
function loops(h: Float32Array, batch: number, W: Float32Array, b: Float32Array): Float32Array {
  const c = new Float32Array(batch * FEATURES);
  const e = new Float32Array(MODALITIES);
  for (let r = 0; r < batch; r++) {
    for (let j = 0; j < FEATURES; j++) {
      let top = Number.NEGATIVE_INFINITY;
      for (let i = 0; i < MODALITIES; i++) {
        const at = (r * MODALITIES + i) * FEATURES;
        let sum = b[j] as number;
        for (let f = 0; f < FEATURES; f++) sum += (W[j * FEATURES + f] as number) * (h[at + f] as number);
        e[i] = sum;
        if (sum > top) top = sum;
      }
      let total = 0;
      let value = 0;
      for (let i = 0; i < MODALITIES; i++) {
        const weight = Math.exp((e[i] as number) - top);
        total += weight;
        value += weight * (h[(r * MODALITIES + i) * FEATURES + j] as number);
      }
      c[r * FEATURES + j] = value / total;
    }
  }
  return c;
}

async function feature(batch: number): Promise<BenchCase> {
  const h = randomF32(batch * MODALITIES * FEATURES, 1, 0);
  const W = scaled(FEATURES * FEATURES, 2);
  const b = scaled(FEATURES, 3);
  const turned = new Float32Array(W.length);
  for (let i = 0; i < FEATURES; i++)
    for (let j = 0; j < FEATURES; j++) turned[j * FEATURES + i] = W[i * FEATURES + j] as number;
  const peer = await onnxPeer({
    inputs: { h: [batch, MODALITIES, FEATURES] },
    output: ['c', [batch, FEATURES]],
    initializers: [
      tensor('Wt', 'float', [FEATURES, FEATURES], turned),
      tensor('b', 'float', [FEATURES], b),
      tensor('axis', 'int64', [1], BigInt64Array.of(1n)),
    ],
    nodes: [
      node('MatMul', ['h', 'Wt'], ['p']),
      node('Add', ['p', 'b'], ['e']),
      node('Softmax', ['e'], ['a'], { axis: 1 }),
      node('Mul', ['a', 'h'], ['ah']),
      node('ReduceSum', ['ah', 'axis'], ['c'], { keepdims: 0 }),
    ],
  });
  peers.push(peer);
  const out = {
    c: new Float32Array(batch * FEATURES),
    alpha: new Float32Array(batch * MODALITIES * FEATURES),
  };
  const input = { h, modalities: MODALITIES };
  const layer = await ModalityAttention.create({ form: 'feature', features: FEATURES, W, b });
  held.push(layer);
  return {
    name: `per feature, 4 x 512, batch ${batch}`,
    // as the formula stands: a product for every modality
    flops: 2 * batch * MODALITIES * FEATURES * FEATURES,
    bytes: h.byteLength + out.c.byteLength + out.alpha.byteLength,
    items: batch,
    contenders: {
      cinefuse: async () => (await layer.run(input, { out })).c,
      'ONNX Runtime': () => peer.run({ h }),
      ...(batch <= 256 && { 'plain JavaScript': () => loops(h, batch, W, b) }),
    },
    check: sameWithin(1e-5),
  };
}

async function tanh(batch: number): Promise<BenchCase> {
  const h = randomF32(batch * MODALITIES * FEATURES, 4, 0);
  const W = scaled(K * FEATURES, 5);
  const b = scaled(K, 6);
  const w = randomF32(K, 7, 0);
  const turned = new Float32Array(W.length);
  for (let i = 0; i < K; i++)
    for (let j = 0; j < FEATURES; j++) turned[j * K + i] = W[i * FEATURES + j] as number;
  const peer = await onnxPeer({
    inputs: { h: [batch, MODALITIES, FEATURES] },
    output: ['c', [batch, FEATURES]],
    initializers: [
      tensor('Wt', 'float', [FEATURES, K], turned),
      tensor('b', 'float', [K], b),
      tensor('w', 'float', [K, 1], w),
      tensor('axis', 'int64', [1], BigInt64Array.of(1n)),
    ],
    nodes: [
      node('MatMul', ['h', 'Wt'], ['p']),
      node('Add', ['p', 'b'], ['q']),
      node('Tanh', ['q'], ['z']),
      node('MatMul', ['z', 'w'], ['e']),
      node('Softmax', ['e'], ['a'], { axis: 1 }),
      node('Mul', ['a', 'h'], ['ah']),
      node('ReduceSum', ['ah', 'axis'], ['c'], { keepdims: 0 }),
    ],
  });
  peers.push(peer);
  const out = { c: new Float32Array(batch * FEATURES), alpha: new Float32Array(batch * MODALITIES) };
  const input = { h, modalities: MODALITIES };
  const layer = await ModalityAttention.create({ form: 'tanh', features: FEATURES, W, b, w });
  held.push(layer);
  return {
    name: `tanh-scored, 4 x 512, k 128, batch ${batch}`,
    flops: 2 * batch * MODALITIES * FEATURES * (K + 1),
    bytes: h.byteLength + out.c.byteLength + out.alpha.byteLength,
    items: batch,
    contenders: {
      cinefuse: async () => (await layer.run(input, { out })).c,
      'ONNX Runtime': () => peer.run({ h }),
    },
    check: sameWithin(1e-5),
  };
}

export default defineSuite('modality_attention', {
  cases: async () => [
    await feature(1),
    await feature(256),
    await feature(4096),
    await tanh(256),
    await tanh(4096),
  ],
  dispose: async () => {
    for (const layer of held) layer.dispose();
    for (const peer of peers) await peer.release();
  },
});
