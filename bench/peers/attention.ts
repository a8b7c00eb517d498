/** Attention over 4 modalities of 512 features, both forms, against ONNX Runtime, TensorFlow.js, torch and numpy. */
import { ModalityAttention } from '../../lib/ops/index.js';
import { randomF32 } from '../../test/backends.js';
import { node, tensor } from '../../test/onnx.js';
import { type BenchCase, type Contender, defineSuite } from '../harness.js';
import type { Graph, OnnxPeer } from '../ops/onnx-peer.js';
import { ortPeer } from './fusion.js';
import { agreeing, endPeers, present, pythonPeers, shaped } from './peers.js';
import { softmaxOverModalities, tfjs } from './tfjs.js';

const MODALITIES = 4;
const FEATURES = 512;
const K = 128;
const peers: OnnxPeer[] = [];
const held: ModalityAttention[] = [];

const scaled = (n: number, seed: number) => randomF32(n, seed, 0).map((v) => v / Math.sqrt(FEATURES));

function transposed(W: Float32Array, rows: number, cols: number): Float32Array {
  const turned = new Float32Array(W.length);
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < cols; j++) turned[j * rows + i] = W[i * cols + j] as number;
  return turned;
}

/** Both forms end alike: softmax over the modalities, weighted sum. */
function graphOf(batch: number, scores: { nodes: Buffer[]; initializers: Buffer[] }): Graph {
  return {
    inputs: { h: [batch, MODALITIES, FEATURES] },
    output: ['c', [batch, FEATURES]],
    initializers: [...scores.initializers, tensor('axis', 'int64', [1], BigInt64Array.of(1n))],
    nodes: [
      ...scores.nodes,
      node('Softmax', ['e'], ['a'], { axis: 1 }),
      node('Mul', ['a', 'h'], ['ah']),
      node('ReduceSum', ['ah', 'axis'], ['c'], { keepdims: 0 }),
    ],
  };
}

async function tfjsPeer(
  h: Float32Array,
  batch: number,
  [turned, width]: [Float32Array, number],
  b: Float32Array,
  w?: Float32Array,
): Promise<Contender | undefined> {
  const tf = await tfjs();
  if (!tf) return undefined;
  const W = tf.tensor(turned, [FEATURES, width]);
  const offset = tf.tensor(b, [width]);
  const score = w && tf.tensor(w, [K, 1]);
  return () =>
    tf.tidy(() => {
      const x = tf.tensor(h, [batch * MODALITIES, FEATURES]);
      const p = tf.add(tf.matMul(x, W), offset);
      const e = score ? tf.matMul(tf.tanh(p), score) : p;
      const alpha = softmaxOverModalities(tf, tf.reshape(e, [batch, MODALITIES, score ? 1 : FEATURES]));
      return tf.sum(tf.mul(alpha, tf.reshape(x, [batch, MODALITIES, FEATURES])), 1).dataSync();
    });
}

async function attentionCase(form: 'feature' | 'tanh', batch: number): Promise<BenchCase> {
  const width = form === 'feature' ? FEATURES : K;
  const h = randomF32(batch * MODALITIES * FEATURES, 1, 0);
  const W = scaled(width * FEATURES, 2);
  const b = scaled(width, 3);
  const w = randomF32(K, 7, 0);
  const turned = transposed(W, width, FEATURES);
  const layer = await ModalityAttention.create(
    form === 'feature' ? { form, features: FEATURES, W, b } : { form, features: FEATURES, W, b, w },
  );
  held.push(layer);
  const input = { h, modalities: MODALITIES };
  const out = {
    c: new Float32Array(batch * FEATURES),
    alpha: new Float32Array(batch * MODALITIES * (form === 'feature' ? FEATURES : 1)),
  };
  const initializers = [tensor('Wt', 'float', [FEATURES, width], turned), tensor('b', 'float', [width], b)];
  const graph = graphOf(
    batch,
    form === 'feature'
      ? { initializers, nodes: [node('MatMul', ['h', 'Wt'], ['p']), node('Add', ['p', 'b'], ['e'])] }
      : {
          initializers: [...initializers, tensor('w', 'float', [K, 1], w)],
          nodes: [
            node('MatMul', ['h', 'Wt'], ['p']),
            node('Add', ['p', 'b'], ['q']),
            node('Tanh', ['q'], ['z']),
            node('MatMul', ['z', 'w'], ['e']),
          ],
        },
  );
  return {
    name:
      form === 'feature'
        ? `attention per feature, 4 x 512, batch ${batch}`
        : `attention tanh-scored, 4 x 512, k 128, batch ${batch}`,
    flops: 2 * batch * MODALITIES * FEATURES * (form === 'feature' ? FEATURES : K + 1),
    bytes: h.byteLength + out.c.byteLength + out.alpha.byteLength,
    items: batch,
    contenders: {
      cinefuse: async () => (await layer.run(input, { out })).c,
      'onnxruntime-node': await ortPeer(graph, { h }, peers),
      // At 4096 it takes seconds a call.
      ...present(
        batch <= 256
          ? {
              'TensorFlow.js, wasm': await tfjsPeer(
                h,
                batch,
                [turned, width],
                b,
                form === 'tanh' ? w : undefined,
              ),
            }
          : {},
      ),
      ...(await pythonPeers(
        `attention_${form}`,
        {},
        shaped(h, batch, MODALITIES, FEATURES),
        shaped(W, width, FEATURES),
        shaped(b, width),
        ...(form === 'tanh' ? [shaped(w, K)] : []),
      )),
    },
    check: agreeing(() => ({ most: 2e-5 })),
  };
}

export default defineSuite('attention', {
  cases: async () => [
    await attentionCase('feature', 256),
    await attentionCase('feature', 4096),
    await attentionCase('tanh', 256),
    await attentionCase('tanh', 4096),
  ],
  async dispose() {
    for (const layer of held) layer.dispose();
    for (const peer of peers) await peer.release();
    await endPeers();
  },
});
