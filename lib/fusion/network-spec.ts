/**
 * The fusion network's description: what bundle.json says about the head, and from it the name and shape of every
 * weight. Calls no native code, so that bundles can be verified and made without the addon.
 */
import { z } from 'zod';
import { BundleError, describeValue } from '../errors.js';
import { nearestName } from '../nearest.js';
import { ACTIVATIONS } from '../ops/activation.js';
import { checkKernelFusion, kernelFusion } from './kernel-spec.js';

const width = z.int().min(1).max(65_536);
const activation = z.enum(ACTIVATIONS);
const name = z
  .string()
  .regex(
    /^[A-Za-z][A-Za-z0-9._-]{0,99}$/,
    'expected a letter, then letters, digits, ".", "_", "-" (100 at most)',
  );
const layer = z.strictObject({ out: width, activation, layerNorm: z.boolean() });

const modality = z.strictObject({
  name,
  /** Width of one input vector. */
  dim: width,
  /** Given when the input is a sequence of vectors: how it becomes one. */
  sequence: z
    .strictObject({
      pooling: z.enum(['mean', 'attention']),
      /** Width k of additive attention; default `dim`. */
      attentionDim: width.optional(),
    })
    .optional(),
  projection: layer,
});

/** Of networks that are trained by steps. */
export const steppedFusions = [
  z.strictObject({ kind: z.literal('concat') }),
  z.strictObject({ kind: z.literal('weighted-sum') }),
  z.strictObject({ kind: z.literal('late') }),
  z.strictObject({
    kind: z.literal('hybrid'),
    /** Modalities of the early side, and of the late one; default all of them on both. */
    early: z.array(name).min(1).max(32).optional(),
    late: z.array(name).min(1).max(32).optional(),
  }),
  z.strictObject({ kind: z.literal('tensor'), out: width, activation }),
  z.strictObject({ kind: z.literal('low-rank'), rank: z.int().min(1).max(1024), out: width, activation }),
  z.strictObject({
    kind: z.literal('attention'),
    form: z.enum(['tanh', 'feature']),
    /** Width k of the 'tanh' form; default the projections' width. */
    attentionDim: width.optional(),
  }),
  z.strictObject({
    kind: z.literal('cross-modal'),
    /** Of the attention; they divide the projections' width. */
    heads: z.int().min(1).max(1024),
    blocks: z.int().min(1).max(16),
    /** Width of a block's inner layer; default twice the projections' width. */
    hidden: width.optional(),
  }),
] as const;
const fusion = z.discriminatedUnion('kind', [...steppedFusions, kernelFusion]);

export const fusionNetworkSchema = z.strictObject({
  modalities: z.array(modality).min(1).max(32),
  fusion,
  trunk: z.array(layer).max(16),
  heads: z
    .array(z.strictObject({ name, out: width }))
    .min(1)
    .max(256),
});

export type FusionNetworkSpec = z.infer<typeof fusionNetworkSchema>;
export type FusionKind = FusionNetworkSpec['fusion']['kind'];

/** Most elements of all weights together: half a GiB of float32. */
const MAX_ELEMENTS = 2 ** 27;

/**
 * Checks a value against the schema, and its parts against each other: unique names, equal widths where a fusion kind
 * adds modalities up, 2 to 4 modalities for tensor and 2 to 8 for low-rank, no more weights than half a GiB.
 *
 * @param file  what to call the description in errors, e.g. the bundle's path
 * @throws BundleError ERR_BUNDLE_FORMAT  naming the field, and for an unknown field the nearest known one
 */
export function parseFusionNetworkSpec(value: unknown, file?: string): FusionNetworkSpec {
  const parsed = fusionNetworkSchema.safeParse(value);
  if (!parsed.success) throw issueError(parsed.error.issues[0]!, value, file);
  const spec = parsed.data;
  const fail = (field: string, expected: string, got: string): never => {
    throw new BundleError('ERR_BUNDLE_FORMAT', { field: `network.${field}`, file, expected, got });
  };
  const unique = (list: { name: string }[], field: string) => {
    const seen = new Set<string>();
    for (const [i, { name }] of list.entries()) {
      if (seen.has(name)) fail(`${field}.${i}.name`, 'unique names', `a second "${name}"`);
      seen.add(name);
    }
  };
  unique(spec.modalities, 'modalities');
  unique(spec.heads, 'heads');
  const { kind } = spec.fusion;
  const [first, ...rest] = spec.modalities;
  if (kind === 'weighted-sum' || kind === 'attention' || kind === 'cross-modal') {
    for (const [i, other] of rest.entries()) {
      if (other.projection.out !== first!.projection.out) {
        const expected = `${first!.projection.out}, the width of ${first!.name}, since '${kind}' adds the modalities up`;
        fail(`modalities.${i + 1}.projection.out`, expected, String(other.projection.out));
      }
    }
  }
  if (spec.modalities.length < 2 && (kind === 'tensor' || kind === 'low-rank')) {
    fail('modalities', `at least 2 for '${kind}'`, String(spec.modalities.length));
  }
  if (spec.modalities.length > 4 && kind === 'tensor') {
    fail('modalities', "at most 4 for 'tensor' ('low-rank' takes 8)", String(spec.modalities.length));
  }
  if (spec.modalities.length > 8 && kind === 'low-rank') {
    fail('modalities', "at most 8 for 'low-rank'", String(spec.modalities.length));
  }
  if (spec.fusion.kind === 'attention' && spec.fusion.form === 'feature' && spec.fusion.attentionDim) {
    fail('fusion.attentionDim', "no attentionDim with the form 'feature'", String(spec.fusion.attentionDim));
  }
  if (spec.fusion.kind === 'cross-modal' && first!.projection.out % spec.fusion.heads !== 0) {
    fail('fusion.heads', `heads that divide the width ${first!.projection.out}`, String(spec.fusion.heads));
  }
  if (spec.fusion.kind === 'hybrid') checkSides(spec, fail);
  if (spec.fusion.kind === 'kernel') checkKernelFusion(spec.fusion, spec.modalities, spec.trunk, fail);
  for (const [i, { sequence }] of spec.modalities.entries()) {
    if (sequence?.pooling === 'mean' && sequence.attentionDim) {
      fail(
        `modalities.${i}.sequence.attentionDim`,
        "no attentionDim with pooling 'mean'",
        String(sequence.attentionDim),
      );
    }
  }
  let elements = 0;
  for (const shape of weightShapes(spec).values()) elements += shape.reduce((a, b) => a * b, 1);
  if (elements > MAX_ELEMENTS) {
    const hint = kind === 'tensor' ? " ('low-rank' needs far fewer)" : '';
    fail('fusion', `at most ${MAX_ELEMENTS} weights${hint}`, String(elements));
  }
  return spec;
}

/**
 * Every weight of a network: its name in weights.safetensors and its shape, all float32, in the order in which the
 * native plan reads them. The forward pass that they belong to is in the doc comment of FusionNetwork.
 *
 * @throws BundleError ERR_BUNDLE_FORMAT  two weights would have one name (names of modalities or heads with dots)
 */
export function weightShapes(spec: FusionNetworkSpec): Map<string, readonly number[]> {
  const shapes = new Map<string, readonly number[]>();
  const add = (weight: string, ...shape: number[]) => {
    if (shapes.has(weight)) {
      throw new BundleError('ERR_BUNDLE_FORMAT', {
        field: 'network',
        expected: 'names from which every weight gets a name of its own',
        got: `two weights named ${weight}`,
      });
    }
    shapes.set(weight, shape);
  };
  const addLayer = (
    prefix: string,
    norm: string,
    from: number,
    { out, layerNorm }: z.infer<typeof layer>,
  ) => {
    add(`${prefix}.weight`, out, from);
    add(`${prefix}.bias`, out);
    if (layerNorm) {
      add(`${norm}.weight`, out);
      add(`${norm}.bias`, out);
    }
  };
  const addTrunk = (prefix: string, from: number) => {
    let inner = from;
    for (const [i, trunk] of spec.trunk.entries()) {
      addLayer(`${prefix}trunk.${i}`, `${prefix}trunk.${i}.norm`, inner, trunk);
      inner = trunk.out;
    }
    for (const head of spec.heads) {
      add(`${prefix}heads.${head.name}.weight`, head.out, inner);
      add(`${prefix}heads.${head.name}.bias`, head.out);
    }
  };

  const { fusion } = spec;
  const sides = fusionSides(spec);
  const widthOf = (modality: string) =>
    spec.modalities.find((other) => other.name === modality)!.projection.out;
  for (const { name, dim, sequence, projection } of spec.modalities) {
    const prefix = `modalities.${name}`;
    add(`${prefix}.scaler.mean`, dim);
    add(`${prefix}.scaler.scale`, dim);
    if (sequence?.pooling === 'attention') {
      const k = sequence.attentionDim ?? dim;
      add(`${prefix}.pooling.W`, k, dim);
      add(`${prefix}.pooling.b`, k);
      add(`${prefix}.pooling.w`, k);
    }
    if (fusion.kind === 'kernel') {
      add(`${prefix}.landmarks`, projection.out, dim);
      add(`${prefix}.landmark_present`, projection.out);
      continue;
    }
    addLayer(`${prefix}.projection`, `${prefix}.norm`, dim, projection);
    if (fusion.kind === 'concat' || sides.early.includes(name)) add(`${prefix}.absent`, projection.out);
  }

  const outs = spec.modalities.map(({ projection }) => projection.out);
  const d = outs[0]!;
  const all = outs.reduce((sum, out) => sum + out, 0);
  switch (fusion.kind) {
    case 'concat':
      addTrunk('', all);
      break;
    case 'weighted-sum':
      add('fusion.logits', outs.length);
      addTrunk('', d);
      break;
    case 'late':
    case 'hybrid':
      add('fusion.logits', sides.late.length);
      for (const name of sides.late) addTrunk(`late.${name}.`, widthOf(name));
      if (fusion.kind === 'hybrid') {
        add('fusion.gate', 1);
        addTrunk(
          '',
          sides.early.reduce((sum, name) => sum + widthOf(name), 0),
        );
      }
      break;
    case 'tensor': {
      const size = outs.reduce((product, out) => product * (out + 1), 1);
      add('fusion.weight', fusion.out, size);
      add('fusion.bias', fusion.out);
      addTrunk('', fusion.out);
      break;
    }
    case 'low-rank':
      for (const [i, { name }] of spec.modalities.entries()) {
        add(`fusion.factors.${name}`, fusion.rank, outs[i]! + 1, fusion.out);
      }
      add('fusion.rank_weights', fusion.rank);
      add('fusion.bias', fusion.out);
      addTrunk('', fusion.out);
      break;
    case 'attention':
      if (fusion.form === 'tanh') {
        const k = fusion.attentionDim ?? d;
        add('fusion.W', k, d);
        add('fusion.b', k);
        add('fusion.w', k);
      } else {
        add('fusion.W_a', d, d);
        add('fusion.b_a', d);
      }
      addTrunk('', d);
      break;
    case 'cross-modal': {
      const hidden = crossModalHidden(spec);
      for (let i = 0; i < fusion.blocks; i++) {
        const block = `fusion.blocks.${i}`;
        for (const part of ['q', 'k', 'v', 'o']) {
          add(`${block}.W${part}`, d, d);
          add(`${block}.b${part}`, d);
        }
        add(`${block}.norm1.weight`, d);
        add(`${block}.norm1.bias`, d);
        add(`${block}.W1`, hidden, d);
        add(`${block}.b1`, hidden);
        add(`${block}.W2`, d, hidden);
        add(`${block}.b2`, d);
        add(`${block}.norm2.weight`, d);
        add(`${block}.norm2.bias`, d);
      }
      addTrunk('', d);
      break;
    }
    case 'kernel':
      addTrunk('', d);
      break;
  }
  return shapes;
}

/** Which modalities go into which side of 'hybrid', in the spec's order; of 'late' all into the late one. */
export function fusionSides({ fusion, modalities }: FusionNetworkSpec): { early: string[]; late: string[] } {
  const names = modalities.map((other) => other.name);
  const { early, late } = fusion.kind === 'hybrid' ? fusion : {};
  return {
    early: fusion.kind === 'hybrid' ? names.filter((other) => !early || early.includes(other)) : [],
    late:
      fusion.kind === 'hybrid' || fusion.kind === 'late'
        ? names.filter((other) => !late || late.includes(other))
        : [],
  };
}

function checkSides(
  spec: FusionNetworkSpec,
  fail: (field: string, expected: string, got: string) => never,
): void {
  if (spec.fusion.kind !== 'hybrid') return;
  const names = spec.modalities.map((other) => other.name);
  for (const side of ['early', 'late'] as const) {
    for (const [i, other] of (spec.fusion[side] ?? []).entries()) {
      const field = `fusion.${side}.${i}`;
      if (!names.includes(other)) fail(field, `one of ${names.join(', ')}`, other);
      if (spec.fusion[side]?.indexOf(other) !== i) fail(field, 'every modality once', `a second "${other}"`);
    }
  }
  const { early, late } = fusionSides(spec);
  const idle = names.find((other) => !early.includes(other) && !late.includes(other));
  if (idle !== undefined) fail('fusion.late', `${idle} on one side at least`, 'it on neither');
}

/** Width of the inner layer of every block of 'cross-modal'; 0 for the other kinds. */
export function crossModalHidden({ fusion, modalities }: FusionNetworkSpec): number {
  return fusion.kind === 'cross-modal' ? (fusion.hidden ?? 2 * modalities[0]!.projection.out) : 0;
}

function issueError(issue: z.core.$ZodIssue, value: unknown, file: string | undefined): BundleError {
  const at = (path: readonly PropertyKey[]) =>
    path.reduce<unknown>(
      (inner, key) => (typeof inner === 'object' && inner !== null ? Reflect.get(inner, key) : undefined),
      value,
    );
  const field = ['network', ...issue.path.map(String)].join('.');
  if (issue.code === 'unrecognized_keys') {
    const key = issue.keys[0]!;
    const nearest = nearestName(key, KNOWN_FIELDS);
    return new BundleError('ERR_BUNDLE_FORMAT', {
      field: `${field}.${key}`,
      file,
      expected: nearest === undefined ? 'only known fields' : `a known field (did you mean ${nearest}?)`,
      got: 'an unknown field',
    });
  }
  return new BundleError('ERR_BUNDLE_FORMAT', {
    field,
    file,
    expected: issue.message.replace(/^(Invalid \w+: )?expected /i, '').replace(/, received .*$/, ''),
    got: describeValue(at(issue.path)),
  });
}

const KNOWN_FIELDS = [
  ...Object.keys(fusionNetworkSchema.shape),
  ...Object.keys(modality.shape),
  ...Object.keys(layer.shape),
  ...['kind', 'form', 'attentionDim', 'rank', 'out', 'activation', 'pooling'],
  ...['heads', 'blocks', 'hidden', 'early', 'late'],
  ...['combine', 'constant', 'kernels', 'gamma', 'degree', 'weight'],
];
