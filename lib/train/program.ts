/**
 * A FusionNetworkSpec in training, compiled to the flat program that native/ops/fusion_training walks: values, nodes,
 * where each weight lies in one array, which parts of it an update changes, and the losses.
 */
import { TrainError } from '../errors.js';
import { type FusionNetworkSpec, weightShapes } from '../fusion/network.js';
import { crossModalHidden, fusionSides } from '../fusion/network-spec.js';
import { ACTIVATIONS } from '../ops/activation.js';
import type { HeadLoss, TrainerOptions } from './trainer-types.js';

/** In the order of `enum class TrainingOp` in native/ops/fusion_training/training_program.h. */
const OPS = [
  'input',
  'additive',
  'linear',
  'activation',
  'norm',
  'dropout',
  'scatter',
  'logit-sum',
  'gate',
  'tensor',
  'low-rank',
  'modality-attention',
  'cross-modal',
] as const;
type Op = (typeof OPS)[number];

const LOSSES: readonly HeadLoss['kind'][] = ['mse', 'mae', 'huber', 'bce', 'cross-entropy', 'spread'];
const OPTIMIZERS = ['sgd', 'adam', 'adamw'];
const ALIGNMENT = 16;
/** As in `enum` order: every row of the batch. */
const ALL_ROWS = -1;

export interface Placed {
  shape: readonly number[];
  at: number;
  size: number;
}

export interface TrainingProgram {
  integers: number[];
  numbers: Float32Array;
  /** Floats of all parameters with the gaps between them, and of all constants. */
  parameterCount: number;
  constants: Float32Array;
  /** Where each weight that can be trained lies, and each scaler among the constants. */
  parameters: Map<string, Placed>;
  scalers: Map<string, Placed>;
  /** By node and by loss, for messages. */
  nodeNames: string[];
  lossNames: string[];
  /** Heads whose targets are read, in order. */
  targets: { head: string; cols: number }[];
}

interface Value {
  domain: number;
  cols: number;
  timed: boolean;
}
interface Node {
  op: Op;
  out: number;
  in: number[];
  params: number[];
  integers: number[];
  name: string;
}

export function compileTraining(options: TrainerOptions): TrainingProgram {
  return new Compiler(options).compile();
}

class Compiler {
  readonly options: TrainerOptions;
  readonly spec: FusionNetworkSpec;
  readonly values: Value[] = [];
  readonly nodes: Node[] = [];
  readonly subsets: number[][];
  readonly parameters = new Map<string, Placed>();
  readonly scalers = new Map<string, Placed>();
  readonly constants: number[] = [];
  readonly outputs: number;
  parameterCount = 0;
  drops = 0;

  constructor(options: TrainerOptions) {
    this.options = options;
    this.spec = options.spec;
    this.subsets = [this.spec.modalities.map((_, i) => i)];
    this.outputs = this.spec.heads.reduce((sum, { out }) => sum + out, 0);
  }

  compile(): TrainingProgram {
    this.place();
    const heads = this.network();
    const { spec, options, values, nodes } = this;
    const targets: TrainingProgram['targets'] = [];
    const numbers = [options.dropout ?? 0, options.inputDropout ?? 0];
    const losses = options.losses.flatMap((loss) => this.loss(loss, targets, numbers));
    const { optimizer } = options;
    numbers.push(
      optimizer.momentum ?? 0,
      optimizer.beta1 ?? 0.9,
      optimizer.beta2 ?? 0.999,
      optimizer.epsilon ?? 1e-8,
      optimizer.weightDecay ?? 0,
      optimizer.l1 ?? 0,
      optimizer.clipNorm ?? 0,
    );
    const ranges = this.ranges();
    const integers = [
      this.parameterCount,
      this.constants.length,
      heads,
      options.seed >>> 0,
      Math.floor(options.seed / 2 ** 32) >>> 0,
      spec.modalities.length,
      ...spec.modalities.flatMap(({ dim, sequence }) => [dim, sequence ? 1 : 0]),
      this.subsets.length,
      ...this.subsets.flatMap((subset) => [subset.length, ...subset]),
      values.length,
      ...values.flatMap(({ domain, cols, timed }) => [domain, cols, timed ? 1 : 0]),
      nodes.length,
      ...nodes.flatMap((node) => [
        OPS.indexOf(node.op),
        node.out,
        ...[node.in, node.params, node.integers].flatMap((list) => [list.length, ...list]),
      ]),
      targets.length,
      ...targets.map(({ cols }) => cols),
      options.losses.length,
      ...losses,
      ranges.length,
      ...ranges.flatMap(({ begin, end, decays }) => [begin, end, decays ? 1 : 0]),
      OPTIMIZERS.indexOf(optimizer.kind),
      optimizer.nesterov ? 1 : 0,
    ];
    return {
      integers,
      numbers: Float32Array.from(numbers),
      parameterCount: this.parameterCount,
      constants: Float32Array.from(this.constants),
      parameters: this.parameters,
      scalers: this.scalers,
      nodeNames: nodes.map(({ name }) => name),
      lossNames: options.losses.map(({ head }) => `heads.${head}`),
      targets,
    };
  }

  /** Heads lie side by side, weights and biases apart, so that all of a trunk's heads are one product. */
  place(): void {
    const shapes = [...weightShapes(this.spec)];
    const isHead = (name: string) => /^(late\..+\.)?heads\./.test(name);
    const put = (name: string, shape: readonly number[], aligned: boolean) => {
      if (aligned) this.parameterCount = Math.ceil(this.parameterCount / ALIGNMENT) * ALIGNMENT;
      const size = shape.reduce((a, b) => a * b, 1);
      this.parameters.set(name, { shape, at: this.parameterCount, size });
      this.parameterCount += size;
    };
    for (const [name, shape] of shapes) {
      if (name.endsWith('.scaler.mean') || name.endsWith('.scaler.scale')) {
        this.scalers.set(name, { shape, at: this.constants.length, size: shape[0]! });
        this.constants.push(...new Array<number>(shape[0]!).fill(0));
      } else if (!isHead(name)) {
        put(name, shape, true);
      }
    }
    const shapeOf = new Map(shapes);
    const first = this.spec.heads[0]!.name;
    for (const [name] of shapes) {
      if (!isHead(name) || !name.endsWith(`heads.${first}.weight`)) continue;
      const prefix = name.slice(0, name.length - `${first}.weight`.length);
      for (const part of ['weight', 'bias']) {
        for (const [i, head] of this.spec.heads.entries()) {
          const weight = `${prefix}${head.name}.${part}`;
          put(weight, shapeOf.get(weight)!, i === 0);
        }
      }
    }
  }

  at(name: string): number {
    return this.parameters.get(name)!.at;
  }
  value(domain: number, cols: number, timed = false): number {
    return this.values.push({ domain, cols, timed }) - 1;
  }
  node(name: string, op: Op, out: number, inputs: number[], params: number[] = [], integers: number[] = []) {
    this.nodes.push({ op, out, in: inputs, params, integers, name });
    return out;
  }
  /** A node whose result has its input's rows. */
  next(name: string, op: Op, x: number, cols: number, params: number[] = [], integers: number[] = []) {
    return this.node(name, op, this.value(this.values[x]!.domain, cols), [x], params, integers);
  }
  subset(modalities: number[]): number {
    const same = this.subsets.findIndex((other) => other.join() === modalities.join());
    return same >= 0 ? same : this.subsets.push(modalities) - 1;
  }

  /** The network as the doc comment of FusionNetwork has it; gives the value of all heads. */
  network(): number {
    const { spec } = this;
    const hidden = spec.modalities.map((_, m) => this.modality(m));
    const all = spec.modalities.map((_, m) => m);
    const d = spec.modalities[0]!.projection.out;
    switch (spec.fusion.kind) {
      case 'concat':
        return this.trunk('', this.concat(all, hidden));
      case 'weighted-sum':
        return this.trunk('', this.logitSum(this.side(all, hidden, d), all, d));
      case 'late':
        return this.late(all, hidden);
      case 'hybrid': {
        const sides = fusionSides(spec);
        const [early, late] = [sides.early, sides.late].map((side) =>
          all.filter((m) => side.includes(spec.modalities[m]!.name)),
        ) as [number[], number[]];
        const both = [this.trunk('', this.concat(early, hidden)), this.late(late, hidden)];
        const subsets = [this.subset(early), this.subset(late)];
        const y = this.value(ALL_ROWS, this.outputs);
        return this.node('fusion.gate', 'gate', y, both, [this.at('fusion.gate')], subsets);
      }
      case 'tensor':
      case 'low-rank':
        return this.trunk('', this.product(hidden));
      case 'attention':
        return this.trunk('', this.attention(this.side(all, hidden, d), d));
      case 'cross-modal':
        return this.trunk('', this.crossModal(this.side(all, hidden, d), d));
      default:
        throw new TrainError('ERR_TRAIN_CONFIG', {
          field: 'spec.fusion.kind',
          expected: 'a kind that is trained by steps',
          got: `'${spec.fusion.kind}', which has a closed form (fitKernel)`,
        });
    }
  }

  modality(m: number): number {
    const { name, dim, sequence, projection } = this.spec.modalities[m]!;
    const prefix = `modalities.${name}`;
    const attends = sequence?.pooling === 'attention';
    const scaler = ['mean', 'scale'].map((part) => this.scalers.get(`${prefix}.scaler.${part}`)!.at);
    let x = this.node(prefix, 'input', this.value(m, dim, attends), [], scaler, [m, attends ? 0 : 1]);
    if (sequence && attends) {
      const params = ['W', 'b', 'w'].map((part) => this.at(`${prefix}.pooling.${part}`));
      x = this.next(`${prefix}.pooling`, 'additive', x, dim, params, [m, sequence.attentionDim ?? dim]);
    }
    x = this.drop(`${prefix}.dropout`, x, true);
    return this.layer(`${prefix}.projection`, `${prefix}.norm`, x, projection);
  }

  layer(prefix: string, norm: string, x: number, layer: FusionNetworkSpec['trunk'][number]): number {
    let y = this.linear(prefix, x, layer.out);
    if (layer.layerNorm) {
      y = this.next(norm, 'norm', y, layer.out, [this.at(`${norm}.weight`), this.at(`${norm}.bias`)]);
    }
    return this.activate(prefix, y, layer.activation);
  }

  linear(prefix: string, x: number, out: number): number {
    return this.next(prefix, 'linear', x, out, [this.at(`${prefix}.weight`), this.at(`${prefix}.bias`)]);
  }

  activate(name: string, x: number, activation: (typeof ACTIVATIONS)[number]): number {
    const { cols } = this.values[x]!;
    const kind = ACTIVATIONS.indexOf(activation);
    const y = activation === 'none' ? x : this.next(`${name}.activation`, 'activation', x, cols, [], [kind]);
    return this.drop(`${name}.dropout`, y, false);
  }

  drop(name: string, x: number, ofInput: boolean): number {
    const p = ofInput ? this.options.inputDropout : this.options.dropout;
    if (!p) return x;
    return this.next(name, 'dropout', x, this.values[x]!.cols, [], [ofInput ? 1 : 0, this.drops++]);
  }

  trunk(prefix: string, x: number): number {
    for (const [i, layer] of this.spec.trunk.entries()) {
      x = this.layer(`${prefix}trunk.${i}`, `${prefix}trunk.${i}.norm`, x, layer);
    }
    const first = `${prefix}heads.${this.spec.heads[0]!.name}`;
    const params = [this.at(`${first}.weight`), this.at(`${first}.bias`)];
    return this.next(`${prefix}heads`, 'linear', x, this.outputs, params);
  }

  scatter(m: number, x: number, out: number, column: number, absent = -1): void {
    const name = `modalities.${this.spec.modalities[m]!.name}`;
    this.node(name, 'scatter', out, [x], [absent], [m, column]);
  }

  /** The modalities' vectors beside each other, where one is absent its learned vector. */
  concat(modalities: number[], hidden: number[]): number {
    const widths = modalities.map((m) => this.values[hidden[m]!]!.cols);
    const out = this.value(
      ALL_ROWS,
      widths.reduce((a, b) => a + b, 0),
    );
    let column = 0;
    for (const [i, m] of modalities.entries()) {
      this.scatter(m, hidden[m]!, out, column, this.at(`modalities.${this.spec.modalities[m]!.name}.absent`));
      column += widths[i]!;
    }
    return out;
  }

  /** (rows, modalities, d), zeros where one is absent. */
  side(modalities: number[], parts: number[], d: number): number {
    const out = this.value(ALL_ROWS, modalities.length * d);
    for (const [i, m] of modalities.entries()) this.scatter(m, parts[m]!, out, i * d);
    return out;
  }

  logitSum(x: number, modalities: number[], d: number): number {
    return this.next('fusion', 'logit-sum', x, d, [this.at('fusion.logits')], [this.subset(modalities)]);
  }

  late(modalities: number[], hidden: number[]): number {
    const heads: number[] = [];
    for (const m of modalities) heads[m] = this.trunk(`late.${this.spec.modalities[m]!.name}.`, hidden[m]!);
    return this.logitSum(this.side(modalities, heads, this.outputs), modalities, this.outputs);
  }

  product(hidden: number[]): number {
    const { fusion } = this.spec;
    if (fusion.kind !== 'tensor' && fusion.kind !== 'low-rank') throw new TypeError(fusion.kind);
    const parts = hidden.map((h, m) => {
      const out = this.value(ALL_ROWS, this.values[h]!.cols);
      this.scatter(m, h, out, 0);
      return out;
    });
    const y = this.value(ALL_ROWS, fusion.out);
    if (fusion.kind === 'tensor') {
      this.node('fusion', 'tensor', y, parts, [this.at('fusion.weight'), this.at('fusion.bias')]);
    } else {
      const factors = this.spec.modalities.map(({ name }) => this.at(`fusion.factors.${name}`));
      const params = [...factors, this.at('fusion.rank_weights'), this.at('fusion.bias')];
      this.node('fusion', 'low-rank', y, parts, params, [fusion.rank]);
    }
    return this.activate('fusion', y, fusion.activation);
  }

  attention(x: number, d: number): number {
    const { fusion } = this.spec;
    if (fusion.kind !== 'attention') throw new TypeError(fusion.kind);
    const feature = fusion.form === 'feature';
    const params = feature
      ? [this.at('fusion.W_a'), this.at('fusion.b_a'), -1]
      : [this.at('fusion.W'), this.at('fusion.b'), this.at('fusion.w')];
    const k = feature ? d : (fusion.attentionDim ?? d);
    return this.next('fusion', 'modality-attention', x, d, params, [feature ? 0 : 1, k]);
  }

  crossModal(x: number, d: number): number {
    const { fusion } = this.spec;
    if (fusion.kind !== 'cross-modal') throw new TypeError(fusion.kind);
    const params = [...this.parameters].filter(([name]) => name.startsWith('fusion.blocks.'));
    return this.next(
      'fusion',
      'cross-modal',
      x,
      d,
      params.map(([, { at }]) => at),
      [fusion.heads, crossModalHidden(this.spec), fusion.blocks],
    );
  }

  loss(loss: HeadLoss, targets: TrainingProgram['targets'], numbers: number[]): number[] {
    const column = this.column(loss.head);
    const out = this.spec.heads.find(({ name }) => name === loss.head)!.out;
    const head = loss.kind === 'spread' ? loss.of : loss.head;
    const cols = loss.kind === 'cross-entropy' ? 1 : out;
    let target = targets.findIndex((other) => other.head === head);
    if (target < 0) target = targets.push({ head, cols }) - 1;
    if (targets[target]!.cols !== cols) {
      throw new TrainError('ERR_TRAIN_CONFIG', {
        field: `losses.${loss.head}`,
        expected: 'losses of one head that take the same targets',
        got: 'class numbers beside values',
      });
    }
    let classWeights = -1;
    if (loss.kind === 'cross-entropy' && loss.classWeights) {
      classWeights = this.constants.length;
      this.constants.push(...loss.classWeights);
    }
    numbers.push(
      loss.weight ?? 1,
      loss.kind === 'huber' ? (loss.delta ?? 1) : 1,
      loss.kind === 'cross-entropy' ? (loss.smoothing ?? 0) : 0,
    );
    const of = loss.kind === 'spread' ? this.column(loss.of) : 0;
    return [LOSSES.indexOf(loss.kind), column, out, target, of, classWeights];
  }

  column(head: string): number {
    const at = this.spec.heads.findIndex(({ name }) => name === head);
    return this.spec.heads.slice(0, at).reduce((sum, { out }) => sum + out, 0);
  }

  /** The stretches of the parameters that updates change, as long as they can be. */
  ranges(): { begin: number; end: number; decays: boolean }[] {
    const frozen = new Set(this.options.frozen);
    const ranges: { begin: number; end: number; decays: boolean }[] = [];
    let open: (typeof ranges)[number] | undefined;
    for (const [name, { at, size, shape }] of this.parameters) {
      const decays = shape.length > 1 || this.options.optimizer.decayBiases === true;
      if (frozen.has(name)) {
        open = undefined;
      } else if (open?.decays === decays) {
        open.end = at + size; // with the gap before it, which holds zeros and keeps them
      } else {
        open = { begin: at, end: at + size, decays };
        ranges.push(open);
      }
    }
    return ranges;
  }
}
