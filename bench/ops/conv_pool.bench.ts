/** TextCNN's layer over sentences and reviews, against ONNX Runtime's Conv, Relu and GlobalMaxPool; and a training step. */
import {
  ConvPool,
  type ConvPoolForwardInput,
  convPoolBackward,
  convPoolForward,
} from '../../lib/ops/index.js';
import { randomF32 } from '../../test/backends.js';
import { node, tensor } from '../../test/onnx.js';
import { type BenchCase, defineSuite } from '../harness.js';
import { type OnnxPeer, onnxPeer, sameWithin } from './onnx-peer.js';

interface Size {
  batch: number;
  steps: number;
  dim: number;
  sizes: number[];
  filters: number;
}

const SIZES: Size[] = [
  { batch: 1, steps: 40, dim: 100, sizes: [3, 4, 5], filters: 100 },
  { batch: 50, steps: 40, dim: 300, sizes: [3, 4, 5], filters: 100 },
  { batch: 64, steps: 100, dim: 100, sizes: [2, 3, 4, 5], filters: 128 },
  { batch: 8, steps: 1000, dim: 64, sizes: [3, 7], filters: 64 },
];

const held: ConvPool[] = [];
const peers: OnnxPeer[] = [];

function layerOf({ batch, steps, dim, sizes, filters }: Size): ConvPoolForwardInput {
  return {
    dim,
    steps,
    x: randomF32(batch * steps * dim, 9, 0),
    windows: sizes.map((size) => ({
      size,
      weight: randomF32(filters * size * dim, size, 0).map((v) => v / Math.sqrt(size * dim)),
      bias: randomF32(filters, size + 1, 0).map((v) => 0.1 * v),
    })),
  };
}

/** (n, a, b) -> (n, b, a). */
function turned(x: Float32Array, a: number, b: number): Float32Array {
  const to = new Float32Array(x.length);
  for (let at = 0; at < x.length; at += a * b) {
    for (let i = 0; i < a; i++) for (let j = 0; j < b; j++) to[at + j * a + i] = x[at + i * b + j] as number;
  }
  return to;
}

async function peerOf({ batch, steps, dim, sizes, filters }: Size, input: ConvPoolForwardInput) {
  const peer = await onnxPeer({
    inputs: { x: [batch, dim, steps] },
    output: ['y', [batch, sizes.length * filters, 1]],
    initializers: input.windows.flatMap(({ size, weight, bias }, i) => [
      tensor(`w${i}`, 'float', [filters, dim, size], turned(weight, size, dim)),
      tensor(`b${i}`, 'float', [filters], bias as Float32Array),
    ]),
    nodes: [
      ...sizes.flatMap((size, i) => [
        node('Conv', ['x', `w${i}`, `b${i}`], [`c${i}`], { kernel_shape: [size] }),
        node('Relu', [`c${i}`], [`r${i}`], {}),
        node('GlobalMaxPool', [`r${i}`], [`p${i}`], {}),
      ]),
      node(
        'Concat',
        [...sizes.keys()].map((i) => `p${i}`),
        ['y'],
        { axis: 1 },
      ),
    ],
  });
  peers.push(peer);
  return peer;
}

const flopsOf = ({ batch, steps, dim, sizes, filters }: Size) =>
  sizes.reduce((sum, size) => sum + 2 * batch * (steps - size + 1) * size * dim * filters, 0);
const nameOf = ({ batch, steps, dim, sizes, filters }: Size) =>
  `${batch} x ${steps} x ${dim}, windows ${sizes.join(' ')} x ${filters}`;

async function serving(size: Size): Promise<BenchCase> {
  const { batch, steps, dim, sizes, filters } = size;
  const input = layerOf(size);
  const layer = await ConvPool.create(input);
  held.push(layer);
  const peer = await peerOf(size, input);
  const x = turned(input.x, steps, dim);
  const weights = sizes.reduce((sum, s) => sum + s * dim * filters, 0);
  return {
    name: nameOf(size),
    flops: flopsOf(size),
    bytes: 4 * (weights + batch * (steps * dim + sizes.length * filters)),
    items: batch,
    contenders: {
      cinefuse: () => layer.run(input),
      'onnxruntime-node': () => peer.run({ x }),
    },
    check: sameWithin(2e-5),
  };
}

/** Forward and backward: what a trainer does to one batch. Nothing else here trains. */
function training(size: Size): BenchCase {
  const input = layerOf(size);
  const dy = randomF32(size.batch * size.sizes.length * size.filters, 7, 0);
  return {
    name: `${nameOf(size)}, forward and backward`,
    flops: flopsOf(size),
    items: size.batch,
    contenders: {
      cinefuse: async () => {
        const forward = await convPoolForward(input);
        return convPoolBackward({ ...input, ...forward, dy });
      },
    },
  };
}

export default defineSuite('conv_pool', {
  cases: async () => [
    ...(await Promise.all(SIZES.map(serving))),
    ...SIZES.filter(({ batch }) => batch > 1).map(training),
  ],
  async dispose() {
    for (const layer of held) layer.dispose();
    for (const peer of peers) await peer.release();
  },
});
