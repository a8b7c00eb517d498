/** Small networks of every kind with films for them: some modalities absent, some targets unknown. */
import { type FusionNetworkSpec, type NetworkWeight, weightShapes } from '../../lib/fusion/network.js';
import type { HeadLoss, TrainerData, TrainerOptions } from '../../lib/train/trainer.js';
import { random, randomF32 } from '../backends.js';
import type { Weights64 } from './network-oracle.js';

export const FILMS = 13;

const layer = (out: number, activation: 'tanh' | 'gelu' | 'relu' | 'silu', layerNorm = false) => ({
  out,
  activation,
  layerNorm,
});

export const KINDS = [
  'concat',
  'weighted-sum',
  'late',
  'hybrid',
  'tensor',
  'low-rank',
  'tanh',
  'feature',
  'cross-modal',
  'sides',
  'apart',
] as const;
export type Kind = (typeof KINDS)[number];

/** Three modalities: a vector, a sequence attended to, a sequence averaged. */
export function specOf(kind: Kind): FusionNetworkSpec {
  const same = kind === 'weighted-sum' || kind === 'tanh' || kind === 'feature' || kind === 'cross-modal';
  const fusion: FusionNetworkSpec['fusion'] =
    kind === 'tensor'
      ? { kind, out: 6, activation: 'tanh' }
      : kind === 'low-rank'
        ? { kind, rank: 3, out: 6, activation: 'gelu' }
        : kind === 'tanh'
          ? { kind: 'attention', form: 'tanh', attentionDim: 3 }
          : kind === 'feature'
            ? { kind: 'attention', form: 'feature' }
            : kind === 'cross-modal'
              ? { kind, heads: 5, blocks: 2, hidden: 6 }
              : kind === 'sides'
                ? { kind: 'hybrid', early: ['audio', 'trailer.video'], late: ['audio', 'text'] }
                : kind === 'apart'
                  ? { kind: 'hybrid', early: ['text', 'audio'], late: ['trailer.video'] }
                  : { kind };
  return {
    modalities: [
      { name: 'text', dim: 7, projection: layer(5, 'gelu', true) },
      {
        name: 'trailer.video',
        dim: 6,
        sequence: { pooling: 'attention', attentionDim: 4 },
        projection: layer(same ? 5 : 3, 'tanh'),
      },
      { name: 'audio', dim: 4, sequence: { pooling: 'mean' }, projection: layer(same ? 5 : 4, 'silu', true) },
    ],
    fusion,
    trunk: [layer(8, 'silu', true), layer(5, 'tanh')],
    heads: [
      { name: 'rating', out: 1 },
      { name: 'spread', out: 1 },
      { name: 'well', out: 1 },
      { name: 'genre', out: 4 },
      { name: 'mood', out: 2 },
    ],
  };
}

export const LOSSES: HeadLoss[] = [
  { head: 'rating', kind: 'huber', delta: 0.7 },
  { head: 'spread', kind: 'spread', of: 'rating', weight: 0.3 },
  { head: 'well', kind: 'bce', weight: 0.5 },
  { head: 'genre', kind: 'cross-entropy', smoothing: 0.1, classWeights: [1, 2, 0.5, 1.5], weight: 0.7 },
  { head: 'mood', kind: 'mse', weight: 1.3 },
];

export function weightsOf(spec: FusionNetworkSpec, seed: number): Map<string, NetworkWeight> {
  const weights = new Map<string, NetworkWeight>();
  for (const [name, shape] of weightShapes(spec)) {
    const size = shape.reduce((a, b) => a * b, 1);
    const scale = 1 / Math.sqrt(shape.length > 1 ? shape.at(-1)! : 2);
    const shift = name.endsWith('.scale') || /norm\d?\.weight$/.test(name) ? 1 : 0;
    weights.set(name, {
      shape,
      data: randomF32(size, seed + weights.size).map((x) => x * scale * (shift ? 0.3 : 1) + shift),
    });
  }
  return weights;
}

export function weights64(weights: ReadonlyMap<string, NetworkWeight>): Weights64 {
  return new Map([...weights].map(([name, { data }]) => [name, Float64Array.from(data)]));
}

export interface Films {
  data: TrainerData;
  present: Uint8Array;
  variants: Uint8Array;
}

/** What is absent, past a length or of another variant's film is NaN where it must not be read. */
export function filmsOf(spec: FusionNetworkSpec, seed = 7): Films {
  const next = random(seed);
  const count = spec.modalities.length;
  const present = Uint8Array.from({ length: FILMS * count }, () => (next() < 0.6 ? 1 : 0));
  for (let film = 0; film < FILMS; film++) {
    if (!present.subarray(film * count, (film + 1) * count).includes(1))
      present[film * count + (film % count)] = 1;
  }
  const variants = Uint8Array.from({ length: FILMS }, () => (next() < 0.5 ? 1 : 0));
  const modalities: Record<string, TrainerData['modalities'][string]> = {};
  for (const [m, { name, dim, sequence }] of spec.modalities.entries()) {
    const steps = sequence ? 5 - m : 1;
    const several = m === 0 ? 2 : 1;
    const values = randomF32(several * FILMS * steps * dim, seed + m);
    const lengths = Int32Array.from({ length: FILMS }, () => 1 + Math.floor(next() * steps));
    for (let film = 0; film < FILMS; film++) {
      const there = present[film * count + m];
      for (let variant = 0; variant < several; variant++) {
        const first = (variant * FILMS + film) * steps;
        const used =
          !there || (several > 1 && variant !== variants[film]) ? 0 : sequence ? lengths[film]! : 1;
        values.fill(Number.NaN, (first + used) * dim, (first + steps) * dim);
      }
    }
    modalities[name] = {
      dim,
      steps,
      values,
      ...(several > 1 && { variants: several }),
      ...(sequence && { lengths }),
    };
  }
  const unknown = (x: number) => (next() < 0.2 ? Number.NaN : x);
  const targets = {
    rating: Float32Array.from({ length: FILMS }, () => unknown(3 * next() - 1.5)),
    well: Float32Array.from({ length: FILMS }, () => unknown(next() < 0.5 ? 0 : 1)),
    genre: Float32Array.from({ length: FILMS }, () => unknown(Math.floor(next() * 4))),
    mood: Float32Array.from({ length: FILMS * 2 }, () => unknown(2 * next() - 1)),
  };
  const weights = Float32Array.from({ length: FILMS }, () => (next() < 0.2 ? 0 : 0.2 + next()));
  return { data: { films: FILMS, modalities, targets, weights }, present, variants };
}

export function optionsOf(kind: Kind, more: Partial<TrainerOptions> = {}): TrainerOptions {
  const spec = specOf(kind);
  return {
    spec,
    weights: weightsOf(spec, 100),
    losses: LOSSES,
    optimizer: { kind: 'adamw', weightDecay: 0.01, clipNorm: 1 },
    seed: 5,
    ...more,
  };
}
