/** The kinds of fusion as ONNX nodes, one function a kind; formulas in the doc comment of FusionNetwork. */
import type { KernelFusion } from './kernel-spec.js';
import { type FusionNetworkSpec, fusionSides } from './network-spec.js';
import type { GraphBuilder } from '../formats/onnx-graph.js';

/** One modality's values in the graph. */
export interface ModalityValues {
  name: string;
  /** (batch, 1) bool */
  there: string;
  /** (batch, dim), scaled and pooled; anything finite where absent. */
  x: string;
  /** (batch, projection.out); zeros where absent. */
  h: string;
}

export interface FusionParts {
  g: GraphBuilder;
  spec: FusionNetworkSpec;
  arrays: ReadonlyMap<string, Float32Array>;
  /** Adds a weight to the graph, once; its own shape or another of as many elements. */
  weight: (name: string, shape?: readonly number[]) => string;
  /** Trunk and heads, of which it returns the outputs; `prefix` is '' or 'late.NAME.'. */
  trunk: (x: string, prefix: string) => string[];
  present: string;
  modalities: readonly ModalityValues[];
}

export interface Fused {
  /** One a head: (batch, out). */
  heads: string[];
  /** (batch, modalities), where the kind has them. */
  weights?: string;
}

export function addFusion(parts: FusionParts): Fused {
  const { fusion } = parts.spec;
  switch (fusion.kind) {
    case 'concat':
      return { heads: parts.trunk(concat(parts), '') };
    case 'weighted-sum': {
      const weights = presentSoftmax(parts);
      return { heads: parts.trunk(weighted(parts, weights, hidden(parts)), ''), weights };
    }
    case 'late':
    case 'hybrid':
      return lateOrHybrid(parts);
    case 'tensor':
      return { heads: parts.trunk(tensorFusion(parts, fusion), '') };
    case 'low-rank':
      return { heads: parts.trunk(lowRank(parts, fusion), '') };
    case 'attention':
      return fusion.form === 'tanh' ? tanhAttention(parts, fusion.attentionDim) : featureAttention(parts);
    case 'cross-modal':
      return { heads: parts.trunk(crossModal(parts, fusion), '') };
    case 'kernel':
      return { heads: parts.trunk(kernels(parts, fusion), '') };
  }
}

const hidden = ({ modalities }: FusionParts) => modalities.map(({ h }) => h);

function concat({ g, weight, modalities }: FusionParts): string {
  const places = modalities.map(({ name, there, h }) =>
    g.add('Where', [there, h, weight(`modalities.${name}.absent`)]),
  );
  return places.length === 1 ? places[0]! : g.add('Concat', places, { axis: 1 });
}

/** Softmax of fusion.logits over the modalities present, (batch, modalities). */
function presentSoftmax({ g, weight, present }: FusionParts): string {
  return g.maskedSoftmax(present, weight('fusion.logits'));
}

/** Σ_m weights_m values_m; weights (batch, modalities). */
function weighted({ g }: FusionParts, weights: string, values: readonly string[]): string {
  return g.total(values.map((x, m) => g.product([x, g.add('Gather', [weights, g.ints(m)], { axis: 1 })])));
}

function lateOrHybrid(parts: FusionParts): Fused {
  const { g, spec, trunk, weight, modalities, present } = parts;
  const sides = fusionSides(spec);
  const late = modalities.filter(({ name }) => sides.late.includes(name));
  const early = modalities.filter(({ name }) => sides.early.includes(name));
  const all = late.length === modalities.length;
  const places = late.map((m) => modalities.indexOf(m));
  const there = all ? present : g.add('Gather', [present, g.ints(...places)], { axis: 1 });
  const weights = g.maskedSoftmax(there, weight('fusion.logits'));
  const each = late.map(({ name, h, there }) =>
    trunk(h, `late.${name}.`).map((y) => g.add('Where', [there, y, g.float(0)])),
  );
  const outputs = spec.heads.map((_, i) =>
    weighted(
      parts,
      weights,
      each.map((heads) => heads[i]!),
    ),
  );
  const given = all ? weights : spread(parts, late, weights);
  if (spec.fusion.kind === 'late') return { heads: outputs, weights: given };
  const share = earlyShare(parts, early, late);
  const rest = g.add('Sub', [g.float(1), share]);
  const first = trunk(concat({ ...parts, modalities: early }), '');
  return {
    heads: outputs.map((y, i) => g.total([g.product([first[i]!, share]), g.product([y, rest])])),
    weights: given,
  };
}

/** The weights of some modalities in the places of all, 0 for the others. */
function spread({ g, modalities }: FusionParts, some: readonly ModalityValues[], weights: string): string {
  const columns = modalities.map((m) => {
    const at = some.indexOf(m);
    const column = at < 0 ? g.float(0) : g.add('Gather', [weights, g.ints(at)], { axis: 1 });
    return g.add('Where', [m.there, column, g.float(0)]);
  });
  return g.add('Concat', columns, { axis: 1 });
}

/** The gate, or all or nothing in rows where no modality of one side is there: (batch, 1) unless all are on both. */
function earlyShare(
  { g, weight, modalities }: FusionParts,
  early: readonly ModalityValues[],
  late: readonly ModalityValues[],
): string {
  const gate = g.add('Sigmoid', [weight('fusion.gate')]);
  if (early.length === modalities.length && late.length === modalities.length) return gate;
  const any = (side: readonly ModalityValues[]) =>
    side.map(({ there }) => there).reduce((a, b) => g.add('Or', [a, b]));
  const both = g.add('Where', [any(early), gate, g.float(0)]);
  return g.add('Where', [any(late), both, g.float(1)]);
}

/** [h; 1] */
const withOne = (g: GraphBuilder, h: string) =>
  g.add('Pad', [h, g.ints(0, 0, 0, 1), g.float(1)], { mode: 'constant' });

function tensorFusion(
  { g, spec, weight, modalities }: FusionParts,
  fusion: Extract<FusionNetworkSpec['fusion'], { kind: 'tensor' }>,
): string {
  let z = withOne(g, modalities[0]!.h);
  let width = spec.modalities[0]!.projection.out + 1;
  for (const [i, { h }] of modalities.slice(1).entries()) {
    const size = spec.modalities[i + 1]!.projection.out + 1;
    const outer = g.product([g.reshape(z, -1, width, 1), g.reshape(withOne(g, h), -1, 1, size)]);
    width *= size;
    z = g.reshape(outer, -1, width);
  }
  return g.activation(fusion.activation, g.linear(z, weight('fusion.weight'), weight('fusion.bias')));
}

function lowRank(
  { g, weight, modalities }: FusionParts,
  fusion: Extract<FusionNetworkSpec['fusion'], { kind: 'low-rank' }>,
): string {
  const projected = modalities.map(({ name, h }) => {
    const one = g.add('Unsqueeze', [withOne(g, h), g.ints(0)]);
    return g.add('MatMul', [one, weight(`fusion.factors.${name}`)]);
  });
  const ranks = g.reshape(weight('fusion.rank_weights'), fusion.rank, 1, 1);
  const sum = g.sum(g.product([...projected, ranks]), 0, false);
  return g.activation(fusion.activation, g.add('Add', [sum, weight('fusion.bias')]));
}

function tanhAttention(parts: FusionParts, attentionDim: number | undefined): Fused {
  const { g, spec, weight, present, trunk } = parts;
  const k = attentionDim ?? spec.modalities[0]!.projection.out;
  const scores = hidden(parts).map((h) =>
    g.add('MatMul', [
      g.add('Tanh', [g.linear(h, weight('fusion.W'), weight('fusion.b'))]),
      g.reshape(weight('fusion.w'), k, 1),
    ]),
  );
  const all = scores.length === 1 ? scores[0]! : g.add('Concat', scores, { axis: 1 });
  const weights = g.maskedSoftmax(present, all);
  return { heads: trunk(weighted(parts, weights, hidden(parts)), ''), weights };
}

/** A softmax for each feature; a modality's weight is the mean over its features. */
function featureAttention(parts: FusionParts): Fused {
  const { g, weight, present, trunk } = parts;
  const stack = (values: readonly string[]) => {
    const rows = values.map((x) => g.add('Unsqueeze', [x, g.ints(1)]));
    return rows.length === 1 ? rows[0]! : g.add('Concat', rows, { axis: 1 });
  };
  const scores = hidden(parts).map((h) => g.linear(h, weight('fusion.W_a'), weight('fusion.b_a')));
  const mask = g.add('Unsqueeze', [present, g.ints(2)]);
  const alpha = g.maskedSoftmax(mask, stack(scores));
  const sum = g.sum(g.product([alpha, stack(hidden(parts))]), 1, false);
  return {
    heads: trunk(sum, ''),
    weights: g.add('ReduceMean', [alpha], { axes: [2], keepdims: 0 }),
  };
}

/** Every modality as a token that attends to the others present, then the mean of those present. */
function crossModal(
  { g, spec, weight, present, modalities }: FusionParts,
  fusion: Extract<FusionNetworkSpec['fusion'], { kind: 'cross-modal' }>,
): string {
  const count = modalities.length;
  const d = spec.modalities[0]!.projection.out;
  const size = d / fusion.heads;
  const tokens = modalities.map(({ h }) => g.add('Unsqueeze', [h, g.ints(1)]));
  let x = tokens.length === 1 ? tokens[0]! : g.add('Concat', tokens, { axis: 1 });
  // (batch, 1, queries, keys): the key is there, and another modality.
  const numbers = Array.from({ length: count }, (_, i) => i);
  const same = g.add('Equal', [
    g.constant('int64', [count, 1], numbers),
    g.constant('int64', [1, count], numbers),
  ]);
  const keys = g.add('Unsqueeze', [present, g.ints(1, 2)]);
  const mask = g.add('And', [keys, g.add('Not', [same])]);
  const dense = (from: string, block: string, part: string) => {
    const turned = g.add('Transpose', [weight(`${block}.W${part}`)], { perm: [1, 0] });
    return g.add('Add', [g.add('MatMul', [from, turned]), weight(`${block}.b${part}`)]);
  };
  for (let i = 0; i < fusion.blocks; i++) {
    const block = `fusion.blocks.${i}`;
    const split = (part: string, perm: number[]) =>
      g.add('Transpose', [g.reshape(dense(x, block, part), -1, count, fusion.heads, size)], { perm });
    const dots = g.add('MatMul', [split('q', [0, 2, 1, 3]), split('k', [0, 2, 3, 1])]);
    const alpha = g.maskedSoftmax(mask, g.product([dots, g.float(1 / Math.sqrt(size))]), 3);
    // With nobody else there the softmax is even, and counts for nothing.
    const attended = g.add('MatMul', [g.add('Where', [mask, alpha, g.float(0)]), split('v', [0, 2, 1, 3])]);
    const joined = g.reshape(g.add('Transpose', [attended], { perm: [0, 2, 1, 3] }), -1, count, d);
    const norm = (y: string, name: string) =>
      g.layerNorm(y, weight(`${block}.${name}.weight`), weight(`${block}.${name}.bias`));
    const u = norm(g.add('Add', [x, dense(joined, block, 'o')]), 'norm1');
    const inner = g.add('Relu', [dense(u, block, '1')]);
    x = norm(g.add('Add', [u, dense(inner, block, '2')]), 'norm2');
  }
  const there = g.add('Unsqueeze', [present, g.ints(2)]);
  const sum = g.sum(g.add('Where', [there, x, g.float(0)]), 1, false);
  return g.add('Div', [sum, g.sum(g.add('Cast', [present], { to: 1 }), 1, true)]);
}

function kernels({ g, spec, arrays, weight, modalities }: FusionParts, fusion: KernelFusion): string {
  const parts = modalities.map(({ name, x, there }, m) => {
    const kernel = fusion.kernels[name]!;
    const { dim } = spec.modalities[m]!;
    const name_z = `modalities.${name}.landmarks`;
    const z = arrays.get(name_z)!;
    const count = z.length / dim;
    const dots = g.add('MatMul', [x, g.add('Transpose', [weight(name_z)], { perm: [1, 0] })]);
    let k = dots;
    if (kernel.kind === 'rbf') {
      const squares = Array.from({ length: count }, (_, j) =>
        z.subarray(j * dim, (j + 1) * dim).reduce((sum, v) => sum + v * v, 0),
      );
      const own = g.sum(g.product([x, x]), 1, true);
      const apart = g.total([own, g.constant('float', [1, count], squares), g.product([dots, g.float(-2)])]);
      k = g.add('Exp', [g.product([g.add('Max', [apart, g.float(0)]), g.float(-kernel.gamma)])]);
    } else if (kernel.kind === 'polynomial') {
      const base = g.add('Add', [g.product([dots, g.float(kernel.gamma)]), g.float(kernel.constant)]);
      k = g.add('Pow', [base, g.float(kernel.degree)]);
    }
    const counted = g.product([k, weight(`modalities.${name}.landmark_present`), g.float(kernel.weight)]);
    return g.add('Where', [there, counted, g.float(0)]);
  });
  if (fusion.combine === 'sum') return g.total(parts);
  return g.product(parts.map((k) => g.add('Add', [k, g.float(fusion.constant)])));
}
