/** Scalers that become part of the weights: the same results, wherever the means lie, and the same errors. */
import test from 'ava';
import { FusionNetwork, type NetworkInputs, type NetworkOutputs } from '../../lib/fusion/network.js';
import { ways } from '../backends.js';
import { throwsTyped } from '../errors.js';
import type { GoldenCase } from '../golden.js';
import { CASES, inputsOf, specOf, weightsOf } from './reference-networks.js';

const NETWORKS = CASES.filter((c) => specOf(c).fusion.kind !== 'kernel');
/** In steps of 2^-8, so that adding 1024 loses nothing. */
const coarse = (data: Float32Array) => data.map((v) => Math.round(v * 256) / 256);

/** The network and its inputs moved by as much as their means: what remains after scaling is the same, exactly. */
function moved(c: GoldenCase, by: number, exec: object): [FusionNetwork, NetworkInputs] {
  const weights = weightsOf(c);
  const offsets = new Map<string, number>();
  for (const { name, sequence } of specOf(c).modalities) {
    // Pooling by the mean adds up before it scales: the sum of large numbers has errors of its own.
    offsets.set(name, sequence?.pooling === 'mean' ? 0 : by);
    const mean = `modalities.${name}.scaler.mean`;
    const { shape, data } = weights.get(mean)!;
    weights.set(mean, { shape, data: coarse(data).map((v) => v + offsets.get(name)!) });
  }
  const { modalities, ...rest } = inputsOf(c);
  const move = (name: string, data: Float32Array) => coarse(data).map((v) => v + offsets.get(name)!);
  return [
    FusionNetwork.create(specOf(c), weights, exec),
    {
      ...rest,
      modalities: Object.fromEntries(
        Object.entries(modalities).map(([name, input]) => [
          name,
          input instanceof Float32Array ? move(name, input) : { ...input!, data: move(name, input!.data) },
        ]),
      ),
    },
  ];
}

function largestDifference(a: NetworkOutputs, b: NetworkOutputs): number {
  let most = 0;
  for (const [name, heads] of Object.entries(a.heads)) {
    const top = heads.reduce((largest, v) => Math.max(largest, Math.abs(v)), 1e-3);
    for (const [i, v] of heads.entries()) most = Math.max(most, Math.abs(v - b.heads[name]![i]!) / top);
  }
  return most;
}

for (const { label, exec } of ways()) {
  test(`means near the spread or far beyond it change nothing ${label}`, async (t) => {
    t.true(NETWORKS.length > 0);
    for (const c of NETWORKS) {
      const [near, inputs] = moved(c, 0, exec);
      const [far, farInputs] = moved(c, 1024, exec);
      const expected = await near.run(inputs, exec);
      const difference = largestDifference(expected, await far.run(farInputs, exec));
      t.true(difference < 1e-5, `${c.name} ${label}: ${difference}`);
      near.dispose();
      far.dispose();
    }
  });
}

test('an infinite step that attention would saturate is found, and one beyond the length is not read', async (t) => {
  for (const by of [0, 1024]) {
    for (const c of NETWORKS) {
      const [network, inputs] = moved(c, by, {});
      for (const { name, sequence } of network.spec.modalities) {
        const input = inputs.modalities[name];
        if (!sequence || !input || input instanceof Float32Array) continue;
        const column = network.spec.modalities.findIndex((m) => m.name === name);
        const row = [0, 1, 2, 3, 4, 5].find((r) => inputs.present![r * 3 + column])!;
        const length = input.lengths![row]!;
        const dim = input.data.length / inputs.batch / input.steps;
        const data = input.data.slice();
        data[(row * input.steps + length) * dim - 1] = Number.POSITIVE_INFINITY;
        const broken = { ...inputs, modalities: { ...inputs.modalities, [name]: { ...input, data } } };
        const error = await throwsTyped(t, () => network.run(broken), {
          code: 'ERR_INPUT_VALUE',
          field: name,
        });
        t.true(error.message.includes(`row ${row} (step ${length - 1}, feature ${dim - 1})`), error.message);
      }
      t.truthy(await network.run(inputs));
      network.dispose();
    }
  }
});
