/** The reference networks of test/golden/network.*, as FusionNetwork takes them. */
import {
  type FusionNetworkSpec,
  type NetworkInputs,
  type NetworkWeight,
  weightShapes,
} from '../../lib/fusion/network.js';
import { randomF32 } from '../backends.js';
import { f32, type GoldenCase, loadGolden, tensorOf } from '../golden.js';

export const CASES = loadGolden('network');
export const SEQUENCES = ['trailer.video', 'audio'];

export function specOf(c: GoldenCase): FusionNetworkSpec {
  return c.config.spec as FusionNetworkSpec;
}

export function caseOf(name: string): GoldenCase {
  return CASES.find((c) => c.name === name)!;
}

export function weightsOf(c: GoldenCase): Map<string, NetworkWeight> {
  const weights = new Map<string, NetworkWeight>();
  for (const field of Object.keys(c.tensors)) {
    if (!field.startsWith('weights.')) continue;
    weights.set(field.slice('weights.'.length), { shape: tensorOf(c, field).shape, data: f32(c, field, 1) });
  }
  return weights;
}

/** The inputs of a case, or of some of its rows; what is absent is filled with NaN. */
export function inputsOf(c: GoldenCase, rows = [0, 1, 2, 3, 4, 5]): NetworkInputs & { present: Uint8Array } {
  const all = tensorOf(c, 'present').data as Uint8Array;
  const present = Uint8Array.from(rows.flatMap((r) => [...all.subarray(r * 3, r * 3 + 3)]));
  const pick = (name: string, column: number) => {
    const whole = f32(c, `inputs.${name}`, 3);
    const size = whole.length / 6;
    const data = new Float32Array(rows.length * size);
    for (const [i, r] of rows.entries()) {
      data.set(whole.subarray(r * size, (r + 1) * size), i * size);
      if (!present[i * 3 + column]) data.fill(Number.NaN, i * size, (i + 1) * size);
    }
    return data;
  };
  const sequence = (name: string, column: number) => {
    const steps = tensorOf(c, `inputs.${name}`).shape[1]!;
    const data = pick(name, column);
    const all = tensorOf(c, `lengths.${name}`).data as Int32Array;
    const lengths = Int32Array.from(rows, (r) => all[r]!);
    const dim = data.length / rows.length / steps;
    for (const [i, length] of lengths.entries()) {
      data.fill(Number.NaN, (i * steps + length) * dim, (i + 1) * steps * dim);
    }
    return { data, steps, lengths };
  };
  return {
    batch: rows.length,
    modalities: {
      text: pick('text', 0),
      'trailer.video': sequence('trailer.video', 1),
      audio: sequence('audio', 2),
    },
    present,
  };
}

export function randomWeights(spec: FusionNetworkSpec, seed: number): Record<string, NetworkWeight> {
  return Object.fromEntries(
    [...weightShapes(spec)].map(([name, shape], i) => {
      const size = shape.reduce((a, b) => a * b, 1);
      const scale = 1 / Math.sqrt(shape.length > 1 ? shape.at(-1)! : 1);
      return [name, { shape, data: randomF32(size, seed + i).map((v) => v * scale) }];
    }),
  );
}
