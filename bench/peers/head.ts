/** A whole head, four modalities to three outputs, against ONNX Runtime on it (exported, and written by hand) and torch. */
import { onnxModel } from '../../lib/fusion/onnx-export.js';
import { FusionNetwork } from '../../lib/fusion/network.js';
import { defaultThreads } from '../../lib/ops/index.js';
import { randomF32 } from '../../test/backends.js';
import { graph, SPEC, STEPS, weights } from '../fusion-network.bench.js';
import { type BenchCase, type Contender, defineSuite } from '../harness.js';
import type { OnnxPeer } from '../ops/onnx-peer.js';
import { ortPeer } from './fusion.js';
import { agreeing, endPeers, pythonPeers, shaped } from './peers.js';

const held: FusionNetwork[] = [];
const peers: OnnxPeer[] = [];
const sessions: { release(): Promise<void> }[] = [];

/** (batch, 3) of the heads, which have one output each. */
function beside(batch: number, heads: Record<string, Float32Array>): Float32Array {
  const y = new Float32Array(batch * SPEC.heads.length);
  for (const [i, { name }] of SPEC.heads.entries())
    for (let r = 0; r < batch; r++) y[r * SPEC.heads.length + i] = heads[name]![r] as number;
  return y;
}

/** What `exportOnnx` writes, all modalities present. */
async function exported(
  batch: number,
  all: ReturnType<typeof weights>,
  data: Record<string, Float32Array>,
): Promise<Contender> {
  const { InferenceSession, Tensor } = (await import('onnxruntime-node')).default;
  const session = await InferenceSession.create(Buffer.concat(onnxModel(SPEC, all)), {
    intraOpNumThreads: defaultThreads(),
    interOpNumThreads: 1,
    graphOptimizationLevel: 'all',
  });
  sessions.push(session);
  const count = SPEC.modalities.length;
  return async () => {
    const feeds: Record<string, InstanceType<typeof Tensor>> = {
      present: new Tensor('bool', new Uint8Array(batch * count).fill(1), [batch, count]),
    };
    for (const { name, dim, sequence } of SPEC.modalities) {
      feeds[name] = new Tensor('float32', data[name]!, sequence ? [batch, STEPS, dim] : [batch, dim]);
      if (sequence)
        feeds[`${name}.lengths`] = new Tensor('int64', new BigInt64Array(batch).fill(BigInt(STEPS)), [batch]);
    }
    const outputs = await session.run(feeds);
    return beside(
      batch,
      Object.fromEntries(
        SPEC.heads.map(({ name }) => [name, outputs[`heads.${name}`]!.data as Float32Array]),
      ),
    );
  };
}

async function headCase(batch: number): Promise<BenchCase> {
  const all = weights();
  const network = FusionNetwork.create(SPEC, all);
  held.push(network);
  const data = Object.fromEntries(
    SPEC.modalities.map(({ name, dim, sequence }, i) => [
      name,
      randomF32(batch * (sequence ? STEPS : 1) * dim, 90 + i, 0),
    ]),
  );
  const modalities = { ...data, trailer: { data: data.trailer!, steps: STEPS } };
  const width = SPEC.modalities[0]!.projection!.out;
  const multiplies = SPEC.modalities.reduce(
    (sum, { dim, sequence }) => sum + width * dim + (sequence ? STEPS * dim * 65 : 0),
    4 * width * 65 + width * 64 + 64 * 3,
  );
  const inputBytes = Object.values(data).reduce((sum, x) => sum + x.byteLength, 0);
  return {
    name: `head: 4 modalities, 16 steps of trailer, attention fusion, 3 outputs, batch ${batch}`,
    flops: 2 * batch * multiplies,
    bytes: inputBytes + [...all.values()].reduce((sum, w) => sum + w.data.byteLength, 0),
    items: batch,
    contenders: {
      cinefuse: async () => beside(batch, (await network.run({ batch, modalities })).heads),
      'cinefuse, runSync': () => beside(batch, network.runSync({ batch, modalities }).heads),
      'onnxruntime-node, graph by hand': await ortPeer(graph(batch, all), data, peers),
      'onnxruntime-node, exportOnnx': await exported(batch, all, data),
      ...(await pythonPeers(
        'head',
        {
          weights: [...all.keys()],
          modalities: SPEC.modalities.map(({ name }) => name),
          heads: SPEC.heads.map(({ name }) => name),
        },
        ...[...all.values()].map(({ data, shape }) => shaped(data, ...shape)),
        ...SPEC.modalities.map(({ name, dim, sequence }) =>
          sequence ? shaped(data[name]!, batch, STEPS, dim) : shaped(data[name]!, batch, dim),
        ),
      )),
    },
    check: agreeing(() => ({ most: 2e-5 })),
  };
}

export default defineSuite('head', {
  cases: async () => [await headCase(1), await headCase(16), await headCase(64)],
  async dispose() {
    for (const network of held) network.dispose();
    for (const peer of peers) await peer.release();
    for (const session of sessions) await session.release();
    await endPeers();
  },
});
