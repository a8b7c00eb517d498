/** LSTMs over sentences, spectrogram frames and feature sequences, against ONNX Runtime's LSTM; and a training step. */
import { Lstm, type LstmLayer, lstmBackward, lstmForward } from '../../lib/ops/index.js';
import { randomF32 } from '../../test/backends.js';
import { node, tensor } from '../../test/onnx.js';
import { type BenchCase, defineSuite } from '../harness.js';
import { type OnnxPeer, onnxPeer } from './onnx-peer.js';

interface Size {
  batch: number;
  time: number;
  inputSize: number;
  hiddenSize: number;
  directions: 1 | 2;
}

const SIZES: Size[] = [
  { batch: 1, time: 100, inputSize: 128, hiddenSize: 128, directions: 1 },
  { batch: 1, time: 1000, inputSize: 80, hiddenSize: 64, directions: 2 },
  { batch: 64, time: 100, inputSize: 16, hiddenSize: 32, directions: 2 },
  { batch: 64, time: 100, inputSize: 300, hiddenSize: 128, directions: 2 },
  { batch: 32, time: 40, inputSize: 512, hiddenSize: 512, directions: 1 },
];

const held: Lstm[] = [];
const peers: OnnxPeer[] = [];

function weightsOf({ inputSize, hiddenSize, directions }: Size): LstmLayer & { bias: Float32Array } {
  const gates = directions * 4 * hiddenSize;
  const scale = hiddenSize ** -0.5;
  return {
    inputSize,
    hiddenSize,
    directions,
    weightInput: randomF32(gates * inputSize, 1, 0).map((v) => v * scale),
    weightHidden: randomF32(gates * hiddenSize, 2, 0).map((v) => v * scale),
    bias: randomF32(gates, 3, 0).map((v) => v * 0.3),
  };
}

/** Gates i, f, g, o -> ONNX's i, o, f, c. */
function reordered(w: Float32Array, { directions }: Size): Float32Array {
  const block = w.length / directions / 4;
  const to = new Float32Array(w.length);
  for (let d = 0; d < directions; d++) {
    [0, 3, 1, 2].forEach((gate, i) => {
      const from = (d * 4 + gate) * block;
      to.set(w.subarray(from, from + block), (d * 4 + i) * block);
    });
  }
  return to;
}

/** (a, b, n) -> (b, a, n). */
function swapped(x: Float32Array, a: number, b: number): Float32Array {
  const n = x.length / a / b;
  const to = new Float32Array(x.length);
  for (let i = 0; i < a; i++) {
    for (let j = 0; j < b; j++) {
      to.set(x.subarray((i * b + j) * n, (i * b + j + 1) * n), (j * a + i) * n);
    }
  }
  return to;
}

async function peerOf(size: Size, layer: LstmLayer & { bias: Float32Array }): Promise<OnnxPeer> {
  const { batch, time, inputSize, hiddenSize, directions } = size;
  const bias = reordered(layer.bias, size);
  const block = 4 * hiddenSize;
  const both = new Float32Array(2 * bias.length); // ONNX adds two
  for (let d = 0; d < directions; d++) both.set(bias.subarray(d * block, (d + 1) * block), 2 * d * block);
  const peer = await onnxPeer({
    inputs: { x: [time, batch, inputSize] },
    output: ['y', [time, directions, batch, hiddenSize]],
    initializers: [
      tensor('W', 'float', [directions, block, inputSize], reordered(layer.weightInput, size)),
      tensor('R', 'float', [directions, block, hiddenSize], reordered(layer.weightHidden, size)),
      tensor('B', 'float', [directions, 2 * block], both),
    ],
    nodes: [
      node('LSTM', ['x', 'W', 'R', 'B'], ['y'], {
        hidden_size: hiddenSize,
        direction: directions === 2 ? 'bidirectional' : 'forward',
      }),
    ],
  });
  peers.push(peer);
  return peer;
}

async function serving(size: Size): Promise<BenchCase> {
  const { batch, time, inputSize, hiddenSize, directions } = size;
  const weights = weightsOf(size);
  const layer = await Lstm.create(weights);
  held.push(layer);
  const peer = await peerOf(size, weights);
  const x = randomF32(batch * time * inputSize, 5, 0);
  const turned = swapped(x, batch, time);
  const gates = directions * 4 * hiddenSize;
  const out = new Float32Array(batch * time * directions * hiddenSize);
  const flops = 2 * batch * time * gates * (inputSize + hiddenSize);
  return {
    name: `${batch} x ${time} x ${inputSize} -> ${directions} x ${hiddenSize}`,
    flops,
    bytes: 4 * (gates * (inputSize + hiddenSize) + batch * time * (inputSize + directions * hiddenSize)),
    items: batch,
    contenders: {
      cinefuse: async () => (await layer.run(x, { time, out })).y,
      ...(batch === 1 && { 'cinefuse, runSync': () => layer.runSync(x, { time, out }).y }),
      'onnxruntime-node': () => peer.run({ x: turned }),
    },
    check: (results) => {
      // (time, directions, batch, hidden) -> (batch, time, directions, hidden)
      const theirs = swapped(results['onnxruntime-node'] as Float32Array, time * directions, batch);
      const ours = results.cinefuse as Float32Array;
      const worst = ours.reduce((most, v, i) => Math.max(most, Math.abs(v - (theirs[i] as number))), 0);
      if (!(worst < 2e-5)) throw new Error(`the two differ by ${worst}`);
    },
  };
}

/** Forward and backward: what a trainer does to one batch. Nothing else here trains. */
function training(size: Size): BenchCase {
  const { batch, time, inputSize, hiddenSize, directions } = size;
  const layer = weightsOf(size);
  const x = randomF32(batch * time * inputSize, 5, 0);
  const gates = directions * 4 * hiddenSize;
  return {
    name: `${batch} x ${time} x ${inputSize} -> ${directions} x ${hiddenSize}, forward and backward`,
    flops: 6 * batch * time * gates * (inputSize + hiddenSize),
    items: batch,
    contenders: {
      cinefuse: async () => {
        const forward = await lstmForward({ ...layer, time, x });
        return lstmBackward({ ...layer, time, x, ...forward, dy: forward.y });
      },
    },
  };
}

export default defineSuite('lstm', {
  cases: async () => [
    ...(await Promise.all(SIZES.map(serving))),
    ...SIZES.filter((size) => size.batch > 1).map(training),
  ],
  async dispose() {
    for (const layer of held) layer.dispose();
    for (const peer of peers) await peer.release();
  },
});
