/** Several networks of one shape side by side in one, whose outputs are the mean of theirs. */
import { TrainError } from '../errors.js';
import {
  type FusionNetworkSpec,
  type NetworkWeight,
  parseFusionNetworkSpec,
  weightShapes,
} from '../fusion/network.js';

export interface MergedNetwork {
  spec: FusionNetworkSpec;
  weights: Map<string, NetworkWeight>;
}

/** @throws TrainError ERR_TRAIN_CONFIG  networks of this shape cannot be merged */
export function checkMergeable(spec: FusionNetworkSpec): void {
  const layers = [...spec.modalities.map(({ projection }) => projection), ...spec.trunk];
  const norm = layers.some(({ layerNorm }) => layerNorm);
  const attends = spec.modalities.find(({ sequence }) => sequence?.pooling === 'attention');
  if (spec.fusion.kind !== 'concat' || norm || attends) {
    const attention = attends ? `, attention over the steps of ${attends.name}` : '';
    throw new TrainError('ERR_TRAIN_CONFIG', {
      field: 'training.ensemble',
      expected: "networks of the kind 'concat' without layer norm, which merge exactly",
      got: `'${spec.fusion.kind}'${norm ? ' with layer norm' : ''}${attention}`,
    });
  }
}

/**
 * Merges networks of the kind 'concat' without layer norm: projections stand side by side, every trunk layer's weights
 * lie on the diagonal of a larger matrix, heads take 1/count of each. Exact but for rounding. The first network's
 * scalers are taken: they must be those of all.
 *
 * @throws TrainError ERR_TRAIN_CONFIG  another kind, a layer norm, no network at all
 */
export function mergeNetworks(
  spec: FusionNetworkSpec,
  networks: readonly ReadonlyMap<string, NetworkWeight>[],
): MergedNetwork {
  const count = networks.length;
  const [first] = networks;
  if (!first) {
    throw new TrainError('ERR_TRAIN_CONFIG', {
      field: 'networks',
      expected: 'one network or more',
      got: 'none',
    });
  }
  if (count === 1) return { spec, weights: new Map(first) };
  checkMergeable(spec);
  const wider = <L extends { out: number }>(layer: L): L => ({ ...layer, out: count * layer.out });
  const merged = parseFusionNetworkSpec({
    ...spec,
    modalities: spec.modalities.map((modality) => ({
      ...modality,
      projection: wider(modality.projection),
    })),
    trunk: spec.trunk.map(wider),
  });
  const shapes = weightShapes(merged);
  const weights = new Map<string, NetworkWeight>();
  const make = (name: string) => {
    const shape = shapes.get(name)!;
    const weight = { shape: [...shape], data: new Float32Array(shape.reduce((a, b) => a * b, 1)) };
    weights.set(name, weight);
    return weight.data;
  };
  const stack = (name: string) => {
    const data = make(name);
    for (const [k, network] of networks.entries()) {
      const { data: own } = network.get(name)!;
      data.set(own, k * own.length);
    }
  };

  // Where network k's input column j lies among the merged columns.
  let columns: ((k: number) => number)[] = [];
  let width = 0;
  for (const { name, projection } of spec.modalities) {
    const prefix = `modalities.${name}`;
    for (const part of ['scaler.mean', 'scaler.scale']) {
      weights.set(`${prefix}.${part}`, first.get(`${prefix}.${part}`)!);
    }
    for (const part of ['projection.weight', 'projection.bias', 'absent']) stack(`${prefix}.${part}`);
    for (let j = 0; j < projection.out; j++) {
      const start = count * width;
      columns.push((k) => start + k * projection.out + j);
    }
    width += projection.out;
  }
  const place = (name: string, out: number, height: number, factor: number, diagonal: boolean) => {
    const data = make(`${name}.weight`);
    const total = data.length / height;
    for (const [k, network] of networks.entries()) {
      const { data: own } = network.get(`${name}.weight`)!;
      const inner = own.length / out;
      for (let o = 0; o < out; o++) {
        const row = diagonal ? k * out + o : o;
        for (let j = 0; j < inner; j++) {
          data[row * total + columns[j]!(k)] = own[o * inner + j]! * factor;
        }
      }
    }
  };
  for (const [i, { out }] of spec.trunk.entries()) {
    const name = `trunk.${i}`;
    place(name, out, count * out, 1, true);
    stack(`${name}.bias`);
    columns = Array.from({ length: out }, (_, j) => (k: number) => k * out + j);
  }
  for (const { name: head, out } of spec.heads) {
    const name = `heads.${head}`;
    place(name, out, out, 1 / count, false);
    const bias = make(`${name}.bias`);
    for (const network of networks) {
      const { data } = network.get(`${name}.bias`)!;
      for (let o = 0; o < out; o++) bias[o]! += data[o]! / count;
    }
  }
  return { spec: merged, weights };
}
