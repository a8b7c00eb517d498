/** Where training starts: weights drawn by a seed. */
import {
  type FusionNetworkSpec,
  type NetworkWeight,
  parseFusionNetworkSpec,
  weightShapes,
} from '../fusion/network.js';
import { randomOf, seedOf } from './random.js';

/**
 * Weights to start from, every one drawn from a sequence of its own (seed and name), so that a network keeps the same
 * numbers in the parts that it shares with another.
 *
 *   layers      uniform in ±1/√in, biases too, as torch.nn.Linear has them; norms: gain 1, shift 0
 *   tensor      uniform in ±1/√Π(d_m+1)
 *   low-rank    normal, deviation 1/√(d_m+1), the factors of the appended 1 at 1: each modality starts beside the
 *               constants of the others, since products of noise alone do not train; rank weights 1/rank
 *   attentions  uniform as layers
 *   absent, logits  0;  gate 1;  scalers: mean 0, scale 1, unless they are given
 *
 * Source: He et al. 2015 (the uniform of Linear is its form with a = √5).
 *
 * @param scalers  weights that replace what is drawn, by name: fitted scalers, a pretrained part
 */
export function initialWeights(
  spec: FusionNetworkSpec,
  seed: number,
  scalers: ReadonlyMap<string, NetworkWeight> = new Map(),
): Map<string, NetworkWeight> {
  const weights = new Map<string, NetworkWeight>();
  const shapes = weightShapes(parseFusionNetworkSpec(spec));
  for (const [name, shape] of shapes) {
    weights.set(name, scalers.get(name) ?? { shape: [...shape], data: draw(seed, name, shape, shapes) });
  }
  return weights;
}

function draw(
  seed: number,
  name: string,
  shape: readonly number[],
  shapes: ReadonlyMap<string, readonly number[]>,
): Float32Array {
  const data = new Float32Array(shape.reduce((a, b) => a * b, 1));
  const constant = constantOf(name, shape);
  if (constant !== undefined) return data.fill(constant);
  const random = randomOf(seedOf(seed, 'weights', name));
  if (name.startsWith('fusion.factors.')) {
    const [, rows, out] = shape as [number, number, number];
    const deviation = 1 / Math.sqrt(rows);
    return data.map((_, i) => (Math.floor(i / out) % rows === rows - 1 ? 1 : random.normal() * deviation));
  }
  const bound = 1 / Math.sqrt(fanIn(name, shape, shapes));
  return data.map(() => (2 * random.next() - 1) * bound);
}

function constantOf(name: string, shape: readonly number[]): number | undefined {
  if (shape.length > 1) return undefined;
  if (/\.scaler\.scale$|\.norm\d?\.weight$|^fusion\.gate$/.test(name)) return 1;
  if (/\.scaler\.mean$|\.norm\d?\.bias$|\.absent$|^fusion\.logits$/.test(name)) return 0;
  return name === 'fusion.rank_weights' ? 1 / shape[0]! : undefined;
}

/** Numbers that one output sums up: of a bias those of its layer's matrix, of a vector of scores its own length. */
function fanIn(
  name: string,
  shape: readonly number[],
  shapes: ReadonlyMap<string, readonly number[]>,
): number {
  if (shape.length > 1) return shape.at(-1)!;
  const matrix = name.replace(/\.bias$/, '.weight').replace(/\.b(_a|[qkvo12])?$/, '.W$1');
  return (shapes.get(matrix) ?? shape).at(-1)!;
}
