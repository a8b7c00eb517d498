/**
 * Training a tensor-fusion head, three modalities of 128 -> 32 each, their outer product -> 64 -> 1, mean squared error,
 * Adam: FusionTrainer, which never writes the product, against PyTorch, which does, on as many threads.
 *
 * The same numbers go into both, and their losses must agree. What each takes beside parameters, gradients and moments
 * is printed: by how much the process grows in its first call, after a step of one film.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { type FusionNetworkSpec, weightShapes } from '../../lib/fusion/network.js';
import { defaultThreads } from '../../lib/ops/exec.js';
import { FusionTrainer } from '../../lib/train/trainer.js';
import { type BenchCase, defineSuite } from '../harness.js';
import { PythonPeer } from './python-peer.js';

const [FILMS, DIM, WIDTH, OUT] = [512, 128, 32, 64];
const BATCHES = [32, 64];
const NAMES = ['text', 'poster', 'audio'];
const PRODUCT = (WIDTH + 1) ** NAMES.length;

const spec: FusionNetworkSpec = {
  modalities: NAMES.map((name) => ({
    name,
    dim: DIM,
    projection: { out: WIDTH, activation: 'relu', layerNorm: false },
  })),
  fusion: { kind: 'tensor', out: OUT, activation: 'relu' },
  trunk: [],
  heads: [{ name: 'rating', out: 1 }],
};

/** The same in tensor-peer.py. Without temporaries, which would raise the mark that memory is measured from. */
function numbers(salt: number, scale: number, count: number): Float32Array {
  const values = new Float32Array(count);
  for (let i = 0; i < count; i++) values[i] = (((i * 7919 + salt * 104729) % 10007) / 10007 - 0.5) * scale;
  return values;
}

const SALTS: Record<string, number> = { 'fusion.': 20, 'heads.': 22 };
for (const [m, name] of NAMES.entries()) SALTS[`modalities.${name}.projection.`] = 10 + 2 * m;

function weightsOf() {
  return Object.fromEntries(
    [...weightShapes(spec)].map(([name, shape]) => {
      const count = shape.reduce((a, b) => a * b, 1);
      const salt = Object.entries(SALTS).find(([prefix]) => name.startsWith(prefix))?.[1];
      if (salt === undefined)
        return [name, { shape, data: new Float32Array(count).fill(name.endsWith('mean') ? 0 : 1) }];
      const data = name.endsWith('bias')
        ? numbers(salt + 1, 0.1, count)
        : numbers(salt, 2 / Math.sqrt(shape[1]!), count);
      return [name, { shape, data }];
    }),
  );
}

interface Outcome {
  loss: number;
  megabytes: number;
}

/** The most memory, in megabytes, that this process has had; on Linux since it was last asked to `mark` it. */
function peak(mark: boolean): number {
  try {
    if (mark) writeFileSync('/proc/self/clear_refs', '5');
    return Number(/VmHWM:\s*(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'))![1]) / 1024;
  } catch {
    return process.resourceUsage().maxRSS / 1024;
  }
}

const held: { dispose(): void }[] = [];

async function caseOf(batch: number): Promise<BenchCase> {
  const weights = weightsOf();
  const ours = FusionTrainer.create({
    spec,
    weights,
    losses: [{ head: 'rating', kind: 'mse' }],
    optimizer: { kind: 'adam' },
    seed: 1,
  });
  held.push(ours);
  const threads = defaultThreads();
  const peer = await PythonPeer.start('tensor-peer.py', [FILMS, batch, DIM, WIDTH, OUT, threads].map(String));
  if (peer) held.push(peer);
  const data = {
    films: FILMS,
    modalities: Object.fromEntries(
      NAMES.map((name, m) => [name, { values: numbers(m + 1, 4, FILMS * DIM), dim: DIM, steps: 1 }]),
    ),
    targets: { rating: numbers(9, 4, FILMS) },
  };
  const steps = {
    rows: Int32Array.from({ length: FILMS }, (_, i) => i),
    batchSize: batch,
    learningRates: new Float32Array(FILMS / batch).fill(1e-4),
    present: new Uint8Array(FILMS * NAMES.length).fill(1),
  };
  await ours.run(data, {
    ...steps,
    rows: Int32Array.of(0),
    learningRates: Float32Array.of(1e-4),
  });
  let before: number | undefined;
  const parameters = Object.values(weights).reduce((sum, { data }) => sum + data.length, 0);
  return {
    name: `${FILMS} films, 3 x ${DIM} -> ${NAMES.map(() => WIDTH).join('x')} -> ${OUT} -> 1, batch ${batch}, ${threads} threads`,
    // Forward, gradients of the weights, gradients of the product.
    flops: FILMS * 6 * OUT * PRODUCT,
    // Each step reads and writes parameters and both moments at least.
    bytes: (FILMS / batch) * parameters * 4 * 6,
    items: FILMS,
    contenders: {
      cinefuse: async (): Promise<Outcome> => {
        before ??= peak(true);
        const { losses } = await ours.run(data, steps);
        const loss = losses.reduce((sum, v) => sum + v, 0) / losses.length;
        return { loss, megabytes: peak(false) - before };
      },
      ...(peer && { 'PyTorch (python3)': () => peer.run() }),
    },
    check(results) {
      const [[, first], ...others] = Object.entries(results) as [[string, Outcome]];
      for (const [name, { loss, megabytes }] of Object.entries(results) as [string, Outcome][])
        console.log(
          `${name}: loss ${loss.toFixed(6)}, ${megabytes.toFixed(1)} MB beside parameters, gradients and moments`,
        );
      for (const [name, { loss }] of others as [string, Outcome][])
        if (!(Math.abs(loss - first.loss) <= 1e-4 * first.loss))
          throw new Error(`${name}: loss ${loss}, cinefuse ${first.loss}`);
    },
  };
}

async function cases(): Promise<BenchCase[]> {
  const list: BenchCase[] = [];
  for (const batch of BATCHES) list.push(await caseOf(batch));
  return list;
}

export default defineSuite('train_tensor', {
  cases,
  dispose() {
    for (const one of held) one.dispose();
  },
});
