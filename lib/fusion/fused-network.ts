/** The network up to its heads: what the heads read of a film, as a vector. */
import type { Bundle } from './bundle.js';
import type { FusionNetworkSpec } from './network-spec.js';
import { FusionNetwork, type NetworkWeight } from './network.js';
import { weightShapes } from './network-spec.js';

/** The one head, which gives out what it is given. */
export const FUSED = 'fused';

/** Wider vectors are brought to a shorter one that keeps their distances. */
const WIDEST = 1024;
const PROJECTED = 512;

/**
 * The bundle's network with one head in place of its own:
 *
 *   y = F                                          where F has at most 1,024 values
 *   y_j = Σ_i s_ij F_i / √512,  s_ij = ±1 by chance   else; 512 values (Johnson and Lindenstrauss 1984)
 *
 * Of a fusion with several sides of different widths (hybrid without a trunk) the shorter vectors end with zeros.
 */
export function fusedNetwork(bundle: Bundle): FusionNetwork {
  const { manifest } = bundle;
  const shapesWith = (out: number) => {
    const spec: FusionNetworkSpec = { ...manifest.network, heads: [{ name: FUSED, out }] };
    return { spec, shapes: weightShapes(spec) };
  };
  const isHead = (name: string) => name.endsWith(`heads.${FUSED}.weight`);
  const widths = [...shapesWith(1).shapes].filter(([name]) => isHead(name)).map(([, shape]) => shape[1]!);
  const widest = Math.max(...widths);
  const { spec, shapes } = shapesWith(widest > WIDEST ? PROJECTED : widest);
  const weights = new Map<string, NetworkWeight>(bundle.networkWeights());
  for (const [name, shape] of shapes) {
    if (name.endsWith(`heads.${FUSED}.bias`)) weights.set(name, { shape, data: new Float32Array(shape[0]!) });
    else if (isHead(name))
      weights.set(name, { shape, data: headWeight(shape[0]!, shape[1]!, widest > WIDEST) });
  }
  return FusionNetwork.create(spec, weights);
}

function headWeight(out: number, width: number, project: boolean): Float32Array {
  const weight = new Float32Array(out * width);
  if (!project) {
    for (let i = 0; i < width; i++) weight[i * width + i] = 1;
    return weight;
  }
  // xorshift32: the same signs whenever an index is read again.
  let state = 0x9e3779b9;
  for (let i = 0; i < weight.length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    weight[i] = (state & 1 ? 1 : -1) / Math.sqrt(out);
  }
  return weight;
}
