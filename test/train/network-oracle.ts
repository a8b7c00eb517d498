/** A fusion network and its losses in plain double precision, one film at a time, as the doc comments describe them. */
import type { FusionNetworkSpec } from '../../lib/fusion/network.js';
import { crossModal } from '../ops/attention-oracle.js';
import type { HeadLoss, TrainerData } from '../../lib/train/trainer.js';

export type Weights64 = Map<string, Float64Array>;
type Layer = FusionNetworkSpec['trunk'][number];

const erf = (x: number): number => {
  // Series and continued fraction, good to double precision where it matters here (|x| < 6).
  const a = Math.abs(x);
  if (a < 3) {
    let term = a;
    let sum = a;
    for (let n = 1; n < 120; n++) {
      term *= (-a * a) / n;
      sum += term / (2 * n + 1);
    }
    return Math.sign(x) * (2 / Math.sqrt(Math.PI)) * sum;
  }
  let f = 0;
  for (let n = 60; n > 0; n--) f = n / 2 / (a + f);
  return Math.sign(x) * (1 - Math.exp(-a * a) / Math.sqrt(Math.PI) / (a + f));
};
const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
const ACTIVATIONS: Record<Layer['activation'], (x: number) => number> = {
  none: (x) => x,
  relu: (x) => Math.max(x, 0),
  'leaky-relu': (x) => (x > 0 ? x : 0.01 * x),
  tanh: Math.tanh,
  sigmoid,
  gelu: (x) => (x / 2) * (1 + erf(x / Math.SQRT2)),
  'gelu-tanh': (x) => (x / 2) * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
  silu: (x) => x * sigmoid(x),
  softplus: (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))),
};

const dot = (a: ArrayLike<number>, b: ArrayLike<number>, at = 0) => {
  let sum = 0;
  for (let i = 0; i < b.length; i++) sum += a[at + i]! * b[i]!;
  return sum;
};
function softmax(scores: number[]): number[] {
  const most = Math.max(...scores);
  const e = scores.map((s) => Math.exp(s - most));
  const sum = e.reduce((a, b) => a + b, 0);
  return e.map((x) => x / sum);
}

export class NetworkOracle {
  readonly spec: FusionNetworkSpec;
  readonly w: Weights64;

  constructor(spec: FusionNetworkSpec, weights: Weights64) {
    this.spec = spec;
    this.w = weights;
  }

  get(name: string): Float64Array {
    return this.w.get(name)!;
  }

  linear(prefix: string, x: number[]): number[] {
    const W = this.get(`${prefix}.weight`);
    return [...this.get(`${prefix}.bias`)].map((b, o) => b + dot(W, x, o * x.length));
  }

  layer(prefix: string, norm: string, x: number[], { activation, layerNorm }: Layer): number[] {
    let y = this.linear(prefix, x);
    if (layerNorm) {
      const mean = y.reduce((a, b) => a + b, 0) / y.length;
      const variance = y.reduce((a, b) => a + (b - mean) ** 2, 0) / y.length;
      const gain = this.get(`${norm}.weight`);
      const shift = this.get(`${norm}.bias`);
      y = y.map((v, i) => ((v - mean) / Math.sqrt(variance + 1e-5)) * gain[i]! + shift[i]!);
    }
    return y.map(ACTIVATIONS[activation]);
  }

  trunk(prefix: string, x: number[]): number[] {
    for (const [i, layer] of this.spec.trunk.entries()) {
      x = this.layer(`${prefix}trunk.${i}`, `${prefix}trunk.${i}.norm`, x, layer);
    }
    return this.spec.heads.flatMap(({ name }) => this.linear(`${prefix}heads.${name}`, x));
  }

  /** h of one modality of one film. */
  hidden(m: number, data: TrainerData, film: number, variant: number): number[] {
    const { name, dim, sequence, projection } = this.spec.modalities[m]!;
    const { values, steps, lengths, variants = 1 } = data.modalities[name]!;
    const mean = this.get(`modalities.${name}.scaler.mean`);
    const scale = this.get(`modalities.${name}.scaler.scale`);
    const length = steps > 1 && lengths ? lengths[film]! : steps;
    const first = ((variants > 1 ? variant : 0) * data.films + film) * steps;
    const x = Array.from({ length }, (_, t) =>
      Array.from({ length: dim }, (_, j) => (values[(first + t) * dim + j]! - mean[j]!) * scale[j]!),
    );
    let alpha = x.map(() => 1 / length);
    if (sequence?.pooling === 'attention') {
      const [W, b, w] = ['W', 'b', 'w'].map((part) => this.get(`modalities.${name}.pooling.${part}`));
      const scores = x.map((step) => {
        const hidden = [...b!].map((bias, k) => Math.tanh(bias + dot(W!, step, k * dim)));
        return dot(w!, hidden);
      });
      alpha = softmax(scores);
    }
    const pooled = Array.from({ length: dim }, (_, j) =>
      x.reduce((s, step, t) => s + alpha[t]! * step[j]!, 0),
    );
    return this.layer(`modalities.${name}.projection`, `modalities.${name}.norm`, pooled, projection);
  }

  /** `list`: the modalities that have a logit, in whatever order; the logits are in the spec's. */
  logitSum(vectors: (number[] | undefined)[], list?: readonly string[]): number[] {
    const there = vectors.flatMap((v, m) => (v ? [m] : []));
    const logits = this.get('fusion.logits');
    const ranks = this.spec.modalities.flatMap(({ name }, m) => (!list || list.includes(name) ? [m] : []));
    const alpha = softmax(there.map((m) => logits[ranks.indexOf(m)]!));
    return vectors[there[0]!]!.map((_, j) => there.reduce((s, m, i) => s + alpha[i]! * vectors[m]![j]!, 0));
  }

  attend(hidden: number[][]): number[] {
    const { fusion } = this.spec;
    if (fusion.kind !== 'attention') throw new TypeError(fusion.kind);
    const d = hidden[0]!.length;
    const part = (name: string) => this.get(`fusion.${name}`);
    if (fusion.form === 'tanh') {
      const scores = hidden.map((h) => {
        const e = [...part('b')].map((b, k) => Math.tanh(b + dot(part('W'), h, k * d)));
        return dot(part('w'), e);
      });
      const alpha = softmax(scores);
      return hidden[0]!.map((_, j) => hidden.reduce((s, h, i) => s + alpha[i]! * h[j]!, 0));
    }
    const e = hidden.map((h) => [...part('b_a')].map((b, k) => b + dot(part('W_a'), h, k * d)));
    return hidden[0]!.map((_, j) => {
      const alpha = softmax(e.map((scores) => scores[j]!));
      return hidden.reduce((s, h, i) => s + alpha[i]! * h[j]!, 0);
    });
  }

  crossModal(hidden: number[][]): number[] {
    const { fusion } = this.spec;
    if (fusion.kind !== 'cross-modal') throw new TypeError(fusion.kind);
    const width = hidden[0]!.length;
    const blocks = Array.from({ length: fusion.blocks }, (_, i) => {
      const of = (part: string) => this.get(`fusion.blocks.${i}.${part}`);
      const norm = (n: number) => ({ weight: of(`norm${n}.weight`), bias: of(`norm${n}.bias`) });
      const attention = {
        Wq: of('Wq'),
        bq: of('bq'),
        Wk: of('Wk'),
        bk: of('bk'),
        Wv: of('Wv'),
        bv: of('bv'),
      };
      const block = {
        norm1: norm(1),
        W1: of('W1'),
        b1: of('b1'),
        W2: of('W2'),
        b2: of('b2'),
        norm2: norm(2),
      };
      const sizes = { width, contextWidth: width, heads: fusion.heads };
      return { ...sizes, ...attention, Wo: of('Wo'), bo: of('bo'), block };
    });
    const x = Float64Array.from(hidden.flat());
    return [...crossModal(blocks, x, hidden.length, new Array(hidden.length).fill(1))];
  }

  product(hidden: (number[] | undefined)[]): number[] {
    const { fusion, modalities } = this.spec;
    const ended = hidden.map((h, m) => [...(h ?? new Array(modalities[m]!.projection.out).fill(0)), 1]);
    const bias = this.get('fusion.bias');
    if (fusion.kind === 'tensor') {
      const z = ended.reduce((outer, h) => outer.flatMap((a) => h.map((b: number) => a * b)), [1]);
      const W = this.get('fusion.weight');
      return [...bias].map((b, o) => ACTIVATIONS[fusion.activation](b + dot(W, z, o * z.length)));
    }
    if (fusion.kind !== 'low-rank') throw new TypeError(fusion.kind);
    const weights = this.get('fusion.rank_weights');
    return [...bias].map((b, o) => {
      let sum = b;
      for (let r = 0; r < fusion.rank; r++) {
        let product = weights[r]!;
        for (const [m, { name }] of modalities.entries()) {
          const factor = this.get(`fusion.factors.${name}`);
          const rows = ended[m]!.length;
          product *= ended[m]!.reduce((s, x, i) => s + x * factor[(r * rows + i) * fusion.out + o]!, 0);
        }
        sum += product;
      }
      return ACTIVATIONS[fusion.activation](sum);
    });
  }

  /** All heads of one film beside each other. */
  outputs(data: TrainerData, present: Uint8Array, film: number, variant = 0): number[] {
    const { modalities, fusion } = this.spec;
    const hidden = modalities.map((_, m) =>
      present[film * modalities.length + m] ? this.hidden(m, data, film, variant) : undefined,
    );
    const there = hidden.filter((h) => h !== undefined);
    const lists: { early?: string[] | undefined; late?: string[] | undefined } =
      fusion.kind === 'hybrid' ? fusion : {};
    const on = (list: readonly string[] | undefined, m: number) =>
      !list || list.includes(modalities[m]!.name);
    const early = hidden.map((h, m) => (on(lists.early, m) ? h : undefined));
    const concat = () =>
      hidden.flatMap((h, m) =>
        on(lists.early, m) ? (h ?? [...this.get(`modalities.${modalities[m]!.name}.absent`)]) : [],
      );
    const sided = hidden.map((h, m) => (on(lists.late, m) ? h : undefined));
    const late = () =>
      this.logitSum(
        sided.map((h, m) => h && this.trunk(`late.${modalities[m]!.name}.`, h)),
        lists.late,
      );
    switch (fusion.kind) {
      case 'concat':
        return this.trunk('', concat());
      case 'weighted-sum':
        return this.trunk('', this.logitSum(hidden));
      case 'late':
        return late();
      case 'hybrid': {
        if (sided.every((h) => h === undefined)) return this.trunk('', concat());
        const l = late();
        if (early.every((h) => h === undefined)) return l;
        const g = sigmoid(this.get('fusion.gate')[0]!);
        return this.trunk('', concat()).map((e, j) => g * e + (1 - g) * l[j]!);
      }
      case 'attention':
        return this.trunk('', this.attend(there));
      case 'cross-modal':
        return this.trunk('', this.crossModal(there));
      case 'tensor':
      case 'low-rank':
        return this.trunk('', this.product(hidden));
      default:
        throw new TypeError(fusion.kind);
    }
  }
}

/**
 * One loss of a batch: the mean over the films whose target is known, each with its weight. `held` are the outputs that
 * 'spread' takes its residuals from, which gradients do not go through.
 */
export function lossOf(
  spec: FusionNetworkSpec,
  loss: HeadLoss,
  outputs: number[][],
  data: TrainerData,
  films: readonly number[],
  held = outputs,
): number {
  const columnOf = (head: string) => {
    const at = spec.heads.findIndex(({ name }) => name === head);
    return spec.heads.slice(0, at).reduce((sum, { out }) => sum + out, 0);
  };
  const { out } = spec.heads.find(({ name }) => name === loss.head)!;
  const column = columnOf(loss.head);
  const targets = data.targets[loss.kind === 'spread' ? loss.of : loss.head]!;
  let sum = 0;
  let count = 0;
  for (const [r, film] of films.entries()) {
    const weight = data.weights?.[film] ?? 1;
    const x = outputs[r]!.slice(column, column + out);
    if (loss.kind === 'cross-entropy') {
      const target = targets[film]!;
      if (Number.isNaN(target)) continue;
      const smoothing = loss.smoothing ?? 0;
      const p = softmax(x);
      const classWeight = (c: number) => loss.classWeights?.[c] ?? 1;
      for (let c = 0; c < out; c++) {
        const t = (c === target ? 1 - smoothing : 0) + smoothing / out;
        sum -= weight * t * Math.log(p[c]!) * classWeight(c);
      }
      count += weight * classWeight(target);
      continue;
    }
    for (let j = 0; j < out; j++) {
      const target = targets[film * out + j]!;
      if (Number.isNaN(target)) continue;
      sum +=
        weight *
        elementLoss(loss, x[j]!, target, loss.kind === 'spread' ? held[r]![columnOf(loss.of) + j]! : 0);
      count += weight;
    }
  }
  return count === 0 ? 0 : sum / count;
}

function elementLoss(loss: HeadLoss, x: number, target: number, of: number): number {
  const e = x - target;
  switch (loss.kind) {
    case 'mse':
      return e * e;
    case 'mae':
      return Math.abs(e);
    case 'huber': {
      const delta = loss.delta ?? 1;
      return Math.abs(e) <= delta ? (e * e) / 2 : delta * (Math.abs(e) - delta / 2);
    }
    case 'bce':
      return Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))) - target * x;
    case 'spread':
      return x + Math.abs(target - of) * Math.exp(-x);
    default:
      throw new TypeError(loss.kind);
  }
}
