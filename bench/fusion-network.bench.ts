/**
 * A whole head in one call: four modalities, the trailer pooled by attention over time, fusion by attention, a trunk
 * layer and three outputs; against ONNX Runtime on the same network as a graph.
 */
import {
  FusionNetwork,
  type FusionNetworkSpec,
  type NetworkWeight,
  weightShapes,
} from '../lib/fusion/network.js';
import { randomF32 } from '../test/backends.js';
import { node, tensor } from '../test/onnx.js';
import { type BenchCase, defineSuite } from './harness.js';
import { type Graph, type OnnxPeer, onnxPeer, sameWithin } from './ops/onnx-peer.js';

export const STEPS = 16;
const D = 128;
export const SPEC: FusionNetworkSpec = {
  modalities: [
    { name: 'synopsis', dim: 512, projection: { out: D, activation: 'relu', layerNorm: false } },
    { name: 'poster', dim: 1280, projection: { out: D, activation: 'relu', layerNorm: false } },
    {
      name: 'trailer',
      dim: 1280,
      sequence: { pooling: 'attention', attentionDim: 64 },
      projection: { out: D, activation: 'relu', layerNorm: false },
    },
    { name: 'metadata', dim: 220, projection: { out: D, activation: 'relu', layerNorm: false } },
  ],
  fusion: { kind: 'attention', form: 'tanh', attentionDim: 64 },
  trunk: [{ out: 64, activation: 'relu', layerNorm: false }],
  heads: [
    { name: 'rating', out: 1 },
    { name: 'wellReceived', out: 1 },
    { name: 'boxOffice', out: 1 },
  ],
};

const networks: FusionNetwork[] = [];
const peers: OnnxPeer[] = [];

export function weights(): Map<string, NetworkWeight> {
  return new Map(
    [...weightShapes(SPEC)].map(([name, shape], i) => {
      const size = shape.reduce((a, b) => a * b, 1);
      const scale = 1 / Math.sqrt(shape.length > 1 ? (shape.at(-1) as number) : 1);
      return [name, { shape, data: randomF32(size, i + 1, 0).map((v) => v * scale) }];
    }),
  );
}

/** The network as nodes; `y` is (batch, 3), the heads beside each other. */
export function graph(batch: number, all: Map<string, NetworkWeight>): Graph {
  const initializers: Buffer[] = [];
  const nodes: Buffer[] = [];
  const at = (name: string) => all.get(name) as NetworkWeight;
  const put = (name: string) => {
    initializers.push(tensor(name, 'float', [...at(name).shape], at(name).data));
    return name;
  };
  /** The transposed weight, for MatMul. */
  const putTurned = (name: string) => {
    const { shape, data } = at(name);
    const [rows, cols] = shape.length === 2 ? (shape as [number, number]) : [1, shape[0] as number];
    const turned = new Float32Array(data.length);
    for (let i = 0; i < rows; i++)
      for (let j = 0; j < cols; j++) turned[j * rows + i] = data[i * cols + j] as number;
    initializers.push(tensor(`${name}.t`, 'float', [cols, rows], turned));
    return `${name}.t`;
  };
  /** Σ_t softmax_t(w · tanh(W x_t + b)) x_t over axis 1 of (batch, t, dim). */
  const attend = (x: string, prefix: string, to: string) => {
    nodes.push(
      node('MatMul', [x, putTurned(`${prefix}.W`)], [`${to}.p`]),
      node('Add', [`${to}.p`, put(`${prefix}.b`)], [`${to}.q`]),
      node('Tanh', [`${to}.q`], [`${to}.z`]),
      node('MatMul', [`${to}.z`, putTurned(`${prefix}.w`)], [`${to}.e`]),
      node('Softmax', [`${to}.e`], [`${to}.a`], { axis: 1 }),
      node('Mul', [`${to}.a`, x], [`${to}.ax`]),
      node('ReduceSum', [`${to}.ax`, 'axis'], [to], { keepdims: 0 }),
    );
  };
  initializers.push(
    tensor('axis', 'int64', [1], BigInt64Array.of(1n)),
    tensor('stacked', 'int64', [3], BigInt64Array.of(BigInt(batch), 1n, BigInt(D))),
  );
  for (const { name, sequence } of SPEC.modalities) {
    const prefix = `modalities.${name}`;
    nodes.push(
      node('Sub', [name, put(`${prefix}.scaler.mean`)], [`${name}.c`]),
      node('Mul', [`${name}.c`, put(`${prefix}.scaler.scale`)], [`${name}.s`]),
    );
    if (sequence) attend(`${name}.s`, `${prefix}.pooling`, `${name}.x`);
    nodes.push(
      node(
        'Gemm',
        [
          sequence ? `${name}.x` : `${name}.s`,
          put(`${prefix}.projection.weight`),
          put(`${prefix}.projection.bias`),
        ],
        [`${name}.g`],
        { transB: 1 },
      ),
      node('Relu', [`${name}.g`], [`${name}.r`]),
      node('Reshape', [`${name}.r`, 'stacked'], [`${name}.h`]),
    );
  }
  nodes.push(
    node(
      'Concat',
      SPEC.modalities.map(({ name }) => `${name}.h`),
      ['h'],
      { axis: 1 },
    ),
  );
  attend('h', 'fusion', 'fused');
  nodes.push(
    node('Gemm', ['fused', put('trunk.0.weight'), put('trunk.0.bias')], ['t'], { transB: 1 }),
    node('Relu', ['t'], ['trunk']),
    ...SPEC.heads.map(({ name }) =>
      node('Gemm', ['trunk', put(`heads.${name}.weight`), put(`heads.${name}.bias`)], [`y.${name}`], {
        transB: 1,
      }),
    ),
    node(
      'Concat',
      SPEC.heads.map(({ name }) => `y.${name}`),
      ['y'],
      { axis: 1 },
    ),
  );
  return {
    inputs: Object.fromEntries(
      SPEC.modalities.map(({ name, dim, sequence }) => [name, sequence ? [batch, STEPS, dim] : [batch, dim]]),
    ),
    output: ['y', [batch, SPEC.heads.length]],
    initializers,
    nodes,
  };
}

async function networkCase(batch: number): Promise<BenchCase> {
  const all = weights();
  const network = FusionNetwork.create(SPEC, all);
  const peer = await onnxPeer(graph(batch, all));
  networks.push(network);
  peers.push(peer);
  const data = Object.fromEntries(
    SPEC.modalities.map(({ name, dim, sequence }, i) => [
      name,
      randomF32(batch * (sequence ? STEPS : 1) * dim, 90 + i, 0),
    ]),
  );
  const modalities = { ...data, trailer: { data: data.trailer as Float32Array, steps: STEPS } };
  const multiplies = SPEC.modalities.reduce(
    (sum, { dim, sequence }) => sum + D * dim + (sequence ? STEPS * dim * 65 : 0),
    4 * D * 65 + D * 64 + 64 * 3,
  );
  const bytes = Object.values(data).reduce((sum, x) => sum + x.byteLength, 0);
  return {
    name: `4 modalities, 16 steps of trailer, attention fusion, 3 outputs, batch ${batch}`,
    flops: 2 * batch * multiplies,
    bytes: bytes + [...all.values()].reduce((sum, w) => sum + w.data.byteLength, 0),
    items: batch,
    contenders: {
      'cinefuse, one call': async () => {
        const { heads } = await network.run({ batch, modalities });
        const y = new Float32Array(batch * 3);
        for (const [i, { name }] of SPEC.heads.entries())
          for (let r = 0; r < batch; r++) y[r * 3 + i] = (heads[name] as Float32Array)[r] as number;
        return y;
      },
      'ONNX Runtime': () => peer.run(data),
    },
    check: sameWithin(2e-5),
  };
}

export default defineSuite('fusion-network', {
  cases: async () => [await networkCase(1), await networkCase(16), await networkCase(64)],
  dispose: async () => {
    for (const network of networks) network.dispose();
    for (const peer of peers) await peer.release();
  },
});
