import { BundleError, describeValue, InputError, ShapeError } from '../errors.js';
import type { NativeHandle } from '../native.js';
import { nearestName } from '../nearest.js';
import { ACTIVATIONS } from '../ops/activation.js';
import { type ExecOptions, execute, executeSync, type Invoke } from '../ops/exec.js';
import { KERNEL_COMBINATIONS, kernelCode, kernelNumbers } from '../ops/kernel_matrix.js';
import { Prepared } from '../ops/prepared.js';
import type { KernelFusion } from './kernel-spec.js';
import {
  crossModalHidden,
  type FusionKind,
  type FusionNetworkSpec,
  fusionSides,
  parseFusionNetworkSpec,
  weightShapes,
} from './network-spec.js';

export {
  type FusionKind,
  type FusionNetworkSpec,
  fusionNetworkSchema,
  parseFusionNetworkSpec,
  weightShapes,
} from './network-spec.js';

export interface NetworkWeight {
  shape: readonly number[];
  data: Float32Array;
}
export type NetworkWeights = ReadonlyMap<string, NetworkWeight> | Readonly<Record<string, NetworkWeight>>;

/** A sequence modality of a batch: (batch, steps, dim), of which the first lengths[row] steps of each row count. */
export interface NetworkSequence {
  data: Float32Array;
  steps: number;
  /** (batch), 1..steps where the modality is present, anything elsewhere. Default: all steps count. */
  lengths?: Int32Array | undefined;
}

export interface NetworkInputs {
  batch: number;
  /** By modality: (batch, dim), or a sequence. One left out is absent in every row. */
  modalities: Readonly<Record<string, Float32Array | NetworkSequence | undefined>>;
  /** (batch, modalities) in the order of the spec; 0 is absent. Default: what is given is present in every row. */
  present?: Uint8Array | undefined;
}

export interface NetworkOptions extends ExecOptions {
  /** Whether to give out the weights of the steps of sequences. Default false. */
  sequenceWeights?: boolean;
}

export interface NetworkOutputs {
  /** By head: (batch, out), raw: logits or standardised values. */
  heads: Record<string, Float32Array>;
  /** (batch, modalities), each row sums to 1; given for the kinds weighted-sum, late, hybrid and attention. */
  modalityWeights?: Float32Array;
  /** By sequence modality given: (batch, steps), the row's weights of its steps (1/length each for mean pooling). */
  sequenceWeights?: Record<string, Float32Array>;
}

/** In the order of `enum class FusionKind` in native/ops/fusion_network/fusion_network.h. */
const KINDS: readonly FusionKind[] = [
  'concat',
  'weighted-sum',
  'late',
  'hybrid',
  'tensor',
  'low-rank',
  'attention',
  'kernel',
  'cross-modal',
];
const NOTHING = new Float32Array(0);
/** Heads beside each other, modality weights, weights of all sequences one after the other. */
type NetworkArrays = readonly [Float32Array, Float32Array, Float32Array];

/**
 * A whole fusion head, run on a batch in one native call from a plan made once: scaler, pooling over time, projection,
 * fusion, trunk and heads. For each row and each modality m present in it:
 *
 *   x ← (x - scaler.mean) ⊙ scaler.scale     each vector
 *   x ← mean of the steps, or Σ_t α_t x_t, α = softmax_t(pooling.w · tanh(pooling.W x_t + pooling.b))
 *   h_m = act(LN(projection.weight x + projection.bias))     LN (eps 1e-5) where the layer has one
 *
 *   concat        F = [h_1 … h_M]; an absent modality's place is taken by its learned vector `absent`
 *   weighted-sum  F = Σ α_m h_m, α = softmax of fusion.logits over the modalities present
 *   attention     F = Σ α_m ⊙ h_m, as ModalityAttention, over the modalities present
 *   tensor        F = act(fusion.weight · vec([h_1;1] ⊗ … ⊗ [h_M;1]) + fusion.bias); absent: h = 0, so that all its
 *                 interactions vanish and only its constant 1 remains
 *   low-rank      F = act(Σ_r rank_weights_r Π_m ([h_m;1] · factors.m_r) + fusion.bias); absent as in tensor
 *   late          y = Σ α_m y_m of a trunk and heads for each modality, α as in weighted-sum
 *   kernel        F_j = how alike the film is to landmark j, as KernelFusion says; x in place of h_m
 *   cross-modal   F = mean of the modalities present after `blocks` blocks, in each of which every modality present
 *                 attends to the others present: with the weights fusion.blocks.i, X the h_m at first,
 *                 U = LN(X + MHA(X, others)), X ← LN(U + W2 relu(W1 U + b1) + b2), as CrossAttention with a block;
 *                 one alone attends to nothing (MHA = bo); one set of weights for all modalities
 *   hybrid        y = g · early + (1 - g) · late, g = sigmoid(fusion.gate), early as concat; each side of the modalities
 *                 that its list names. A row without any of the late ones is the early side's alone, one without any
 *                 of the early ones the late side's
 *
 *   then F ← act(LN(trunk.i.weight F + trunk.i.bias)) and y = heads.NAME.weight F + heads.NAME.bias.
 *
 * A modality's scaler becomes part of its weights when they are packed, unless its means reach so far beyond the spread
 * that this would cost accuracy: then each vector is scaled before it is multiplied.
 *
 * Nothing is imputed: an absent modality is never read, whatever its array holds. A row's result is the same, bit for
 * bit, alone and in any batch, on any number of threads, on one instruction set of the CPU. Any number of runs may go on at a
 * time; running allocates nothing but the results. All within 2e-5 of the largest value of float64 on the reference
 * networks of test/golden. Source: Zadeh et al. 2017 (tensor), Liu et al. 2018 (low-rank), Bahdanau et al. 2015
 * (attention), Vaswani et al. 2017 and Tsai et al. 2019 (cross-modal).
 */
export class FusionNetwork extends Prepared {
  readonly spec: FusionNetworkSpec;

  private constructor(handle: NativeHandle, spec: FusionNetworkSpec) {
    super(handle);
    this.spec = spec;
  }

  /**
   * Packs the weights, once; on the calling thread (some milliseconds for a million weights).
   *
   * @param weights  those that `weightShapes(spec)` lists; others are passed over
   * @param exec     where and how `create` runs
   * @throws BundleError ERR_BUNDLE_FORMAT  a spec that does not hold what it should; a weight that is not float32 or not finite
   * @throws BundleError ERR_BUNDLE_SHAPE   a weight missing or of another shape, naming it and both shapes
   */
  static create(
    spec: FusionNetworkSpec,
    weights: NetworkWeights,
    exec?: Omit<ExecOptions, 'signal'>,
  ): FusionNetwork {
    const parsed = parseFusionNetworkSpec(spec);
    const arrays = [...weightShapes(parsed)].map(([name, shape]) => weightOf(weights, name, shape));
    if (parsed.fusion.kind === 'kernel') arrays.push(kernelParameters(parsed, parsed.fusion));
    const names = parsed.modalities.map(({ name }) => name);
    const description = describe(parsed);
    const handle = executeSync(exec, (addon, code, cancel) =>
      addon.createFusionNetwork(code, cancel, names, description, arrays),
    );
    return new FusionNetwork(handle, parsed);
  }

  /**
   * @throws InputError ERR_INPUT_EMPTY          a row without any modality present, before anything runs
   * @throws InputError ERR_INPUT_UNKNOWN_FIELD  a modality that the network does not have
   * @throws InputError ERR_INPUT_VALUE          an infinite or NaN value of a present modality (naming it and the
   *   row), a modality marked present without an input, a length outside 1..steps
   * @throws ShapeError ERR_SHAPE                arrays that do not fit the batch and the spec
   * @throws DisposedError ERR_DISPOSED
   * @throws CancelledError ERR_CANCELLED
   */
  async run(inputs: NetworkInputs, options: NetworkOptions = {}): Promise<NetworkOutputs> {
    const { invoke, finish } = this.call(inputs, options);
    return finish(await execute(options, invoke));
  }

  /** `run` on the calling thread: for a few rows of a small network, where the way to another thread costs more. */
  runSync(inputs: NetworkInputs, options: Omit<NetworkOptions, 'signal'> = {}): NetworkOutputs {
    const { invoke, finish } = this.call(inputs, options);
    return finish(executeSync(options, invoke));
  }

  private call(
    inputs: NetworkInputs,
    { sequenceWeights = false }: NetworkOptions,
  ): { invoke: Invoke<NetworkArrays>; finish: (arrays: NetworkArrays) => NetworkOutputs } {
    const { handle, spec } = this;
    const { batch } = inputs;
    if (!Number.isInteger(batch) || batch < 1) {
      throw new ShapeError('ERR_SHAPE', {
        field: 'batch',
        expected: 'a positive integer',
        got: describeValue(batch),
      });
    }
    const given = arrange(spec, inputs);
    const { present, arrays, steps, lengths } = given;
    return {
      invoke: (addon, exec, cancel) =>
        addon.fusionNetwork(
          exec,
          cancel,
          handle,
          batch,
          present,
          arrays,
          steps,
          lengths,
          sequenceWeights,
          undefined,
        ),
      finish: ([packed, modalityWeights, stepWeights]) => ({
        heads: splitHeads(spec, batch, packed),
        ...(modalityWeights.length > 0 && { modalityWeights }),
        ...(sequenceWeights && { sequenceWeights: splitSteps(spec, batch, given, stepWeights) }),
      }),
    };
  }
}

/** @throws BundleError ERR_BUNDLE_SHAPE, ERR_BUNDLE_FORMAT, as FusionNetwork.create */
export function weightOf(weights: NetworkWeights, name: string, shape: readonly number[]): Float32Array {
  const weight = weights instanceof Map ? weights.get(name) : Reflect.get(weights, name);
  const expected = `a float32 weight of shape [${shape.join(', ')}]`;
  if (weight === undefined) {
    throw new BundleError('ERR_BUNDLE_SHAPE', { field: name, expected, got: 'none of that name' });
  }
  const { data } = weight as NetworkWeight;
  const size = shape.reduce((a, b) => a * b, 1);
  if (!(data instanceof Float32Array)) {
    throw new BundleError('ERR_BUNDLE_FORMAT', { field: name, expected, got: describeValue(data) });
  }
  const got = (weight as NetworkWeight).shape;
  if (got.length !== shape.length || got.some((n, i) => n !== shape[i]) || data.length !== size) {
    throw new BundleError('ERR_BUNDLE_SHAPE', {
      field: name,
      expected,
      got: `shape [${got.join(', ')}] with ${data.length} elements`,
    });
  }
  for (let i = 0; i < size; i++) {
    if (!Number.isFinite(data[i])) {
      throw new BundleError('ERR_BUNDLE_FORMAT', {
        field: name,
        expected: 'finite weights',
        got: `${data[i]} at element ${i}`,
      });
    }
  }
  return data;
}

/** The spec as the numbers that native/ops/fusion_network/fusion_network.cc reads. */
function describe(spec: FusionNetworkSpec): number[] {
  const layer = ({ out, activation, layerNorm }: FusionNetworkSpec['trunk'][number]) => [
    out,
    ACTIVATIONS.indexOf(activation),
    layerNorm ? 1 : 0,
  ];
  return [
    spec.modalities.length,
    ...spec.modalities.flatMap(({ dim, sequence, projection }) => [
      dim,
      sequence === undefined ? 0 : sequence.pooling === 'mean' ? 1 : 2,
      sequence?.attentionDim ?? dim,
      ...layer(projection),
    ]),
    KINDS.indexOf(spec.fusion.kind),
    ...fusionParameters(spec),
    ...kernelCodes(spec),
    spec.trunk.length,
    ...spec.trunk.flatMap(layer),
    spec.heads.length,
    ...spec.heads.map(({ out }) => out),
  ];
}

function fusionParameters(spec: FusionNetworkSpec): [number, number, number] {
  const { fusion, modalities } = spec;
  switch (fusion.kind) {
    case 'tensor':
      return [fusion.out, ACTIVATIONS.indexOf(fusion.activation), 0];
    case 'low-rank':
      return [fusion.rank, fusion.out, ACTIVATIONS.indexOf(fusion.activation)];
    case 'attention':
      return fusion.form === 'feature'
        ? [0, 0, 0]
        : [1, fusion.attentionDim ?? modalities[0]!.projection.out, 0];
    case 'hybrid': {
      const { early, late } = fusionSides(spec);
      const bits = (side: string[]) =>
        modalities.reduce((sum, { name }, i) => sum + (side.includes(name) ? 2 ** i : 0), 0);
      return [bits(early), bits(late), 0];
    }
    case 'cross-modal':
      return [fusion.heads, fusion.blocks, crossModalHidden(spec)];
    case 'kernel':
      return [KERNEL_COMBINATIONS.indexOf(fusion.combine), 0, 0];
    default:
      return [0, 0, 0];
  }
}

/** Kind and degree of each modality's kernel. */
function kernelCodes({ fusion, modalities }: FusionNetworkSpec): number[] {
  if (fusion.kind !== 'kernel') return [];
  return modalities.flatMap(({ name }) => kernelCode(fusion.kernels[name]!));
}

/** The constant, then gamma, constant and weight of each modality's kernel: what follows the weights. */
function kernelParameters({ modalities }: FusionNetworkSpec, fusion: KernelFusion): Float32Array {
  return Float32Array.from([
    fusion.constant,
    ...modalities.flatMap(({ name }) => kernelNumbers(fusion.kernels[name]!)),
  ]);
}

interface Arranged {
  present: Uint8Array;
  /** One a modality; empty for one that is absent in every row. */
  arrays: Float32Array[];
  steps: number[];
  /** (modalities, batch) */
  lengths: Int32Array | undefined;
}

/** What is given is present in every row. */
function presenceOf(inputs: readonly unknown[], batch: number): Uint8Array {
  const count = inputs.length;
  const present = new Uint8Array(batch * count);
  for (let i = 0; i < count; i++) {
    if (inputs[i] === undefined) continue;
    for (let at = i; at < present.length; at += count) present[at] = 1;
  }
  return present;
}

/**
 * The inputs in the spec's order. Presence and lengths are copied: the addon checks them before it starts, and what it
 * follows must not change after that.
 */
function arrange(spec: FusionNetworkSpec, { batch, modalities, present }: NetworkInputs): Arranged {
  const names = spec.modalities.map(({ name }) => name);
  const count = names.length;
  for (const name of Object.keys(modalities)) {
    if (names.includes(name)) continue;
    const nearest = nearestName(name, names);
    throw new InputError('ERR_INPUT_UNKNOWN_FIELD', {
      field: name,
      expected: nearest
        ? `a modality of the network (did you mean ${nearest}?)`
        : `one of ${names.join(', ')}`,
      got: 'an unknown modality',
    });
  }
  const inputs = names.map((name) => (Object.hasOwn(modalities, name) ? modalities[name] : undefined));
  if (present !== undefined && (!(present instanceof Uint8Array) || present.length !== batch * count)) {
    throw new ShapeError('ERR_SHAPE', {
      field: 'present',
      expected: `a Uint8Array of shape (${batch}, ${count})`,
      got: describeValue(present),
    });
  }
  const arranged: Arranged = {
    present: present?.slice() ?? presenceOf(inputs, batch),
    arrays: [],
    steps: [],
    lengths: undefined,
  };
  for (const [i, input] of inputs.entries()) {
    const { dim, name } = spec.modalities[i]!;
    const sequence = input === undefined || input instanceof Float32Array ? undefined : input;
    const data = sequence ? sequence.data : (input as Float32Array | undefined);
    if (input !== undefined && !(data instanceof Float32Array)) {
      throw new InputError('ERR_INPUT_TYPE', {
        field: name,
        expected: 'a Float32Array, or one as `data` of a sequence',
        got: describeValue(input),
      });
    }
    if (data?.length === 0) {
      throw new ShapeError('ERR_SHAPE', {
        field: name,
        expected: `vectors of ${dim}`,
        got: 'an empty array',
      });
    }
    arranged.arrays.push(data ?? NOTHING);
    arranged.steps.push(sequence?.steps ?? 1);
    if (sequence?.lengths === undefined) continue;
    if (!(sequence.lengths instanceof Int32Array) || sequence.lengths.length !== batch) {
      throw new ShapeError('ERR_SHAPE', {
        field: `${name}.lengths`,
        expected: `an Int32Array of ${batch}`,
        got: describeValue(sequence.lengths),
      });
    }
    arranged.lengths ??= Int32Array.from({ length: batch * count }, (_, at) => {
      const other = inputs[Math.floor(at / batch)];
      return other === undefined || other instanceof Float32Array ? 1 : other.steps;
    });
    arranged.lengths.set(sequence.lengths, i * batch);
  }
  return arranged;
}

function splitHeads(
  spec: FusionNetworkSpec,
  batch: number,
  packed: Float32Array,
): Record<string, Float32Array> {
  const { heads } = spec;
  const all = packed.length / batch;
  const result: Record<string, Float32Array> = {};
  let column = 0;
  for (const { name, out } of heads) {
    const data = all === out ? packed : new Float32Array(batch * out);
    for (let row = 0; all !== out && row < batch; row++) {
      const from = row * all + column;
      for (let i = 0; i < out; i++) data[row * out + i] = packed[from + i]!;
    }
    result[name] = data;
    column += out;
  }
  return result;
}

function splitSteps(
  spec: FusionNetworkSpec,
  batch: number,
  { arrays, steps }: Arranged,
  packed: Float32Array,
): Record<string, Float32Array> {
  const result: Record<string, Float32Array> = {};
  let at = 0;
  for (const [i, { name, sequence }] of spec.modalities.entries()) {
    if (!sequence || arrays[i]!.length === 0) continue;
    const size = batch * steps[i]!;
    result[name] = packed.slice(at, at + size);
    at += size;
  }
  return result;
}
