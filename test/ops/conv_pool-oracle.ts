/** conv_pool in float64, term by term as its documentation has it. */
import type { ConvPoolForwardInput } from '../../lib/ops/index.js';
import { random, randomF32 } from '../backends.js';

export interface Places {
  y: Float64Array;
  argmax: Int32Array;
}

export function exactConvPool(input: ConvPoolForwardInput): Places {
  const { dim, windows, activation = 'relu', x, steps, lengths } = input;
  const batch = x.length / steps / dim;
  const filters = windows.map(({ size, weight }) => weight.length / size / dim);
  const width = filters.reduce((a, b) => a + b, 0);
  const y = new Float64Array(batch * width).fill(Number.NEGATIVE_INFINITY);
  const argmax = new Int32Array(batch * width);
  let at = 0;
  for (let b = 0; b < batch; b++) {
    const length = lengths?.[b] ?? steps;
    windows.forEach(({ size, weight, bias }, w) => {
      for (let f = 0; f < filters[w]!; f++, at++) {
        for (let t = 0; t <= Math.max(length - size, 0); t++) {
          let sum = bias?.[f] ?? 0;
          for (let i = 0; i < size && t + i < length; i++) {
            for (let d = 0; d < dim; d++) {
              sum += weight[(f * size + i) * dim + d]! * x[(b * steps + t + i) * dim + d]!;
            }
          }
          if (sum > y[at]! || (Number.isNaN(sum) && !Number.isNaN(y[at]!))) {
            y[at] = sum;
            argmax[at] = t;
          }
        }
        if (activation === 'tanh') y[at] = Math.tanh(y[at]!);
        if (activation === 'relu' && y[at]! < 0) y[at] = 0;
      }
    });
  }
  return { y, argmax };
}

/** A layer and rows of random values; lengths from 0 to the steps, the first row whole. */
export function randomConvPool(
  batch: number,
  steps: number,
  dim: number,
  windows: readonly (readonly [size: number, filters: number])[],
  activation: 'none' | 'relu' | 'tanh' = 'relu',
  seed = 1,
): ConvPoolForwardInput & { lengths: Int32Array } {
  const next = random(seed);
  const lengths = Int32Array.from({ length: batch }, (_, b) =>
    b === 0 ? steps : Math.floor(next() * (steps + 1)),
  );
  return {
    dim,
    steps,
    activation,
    lengths,
    x: randomF32(batch * steps * dim, seed),
    windows: windows.map(([size, filters], i) => ({
      size,
      weight: randomF32(filters * size * dim, seed + i + 1).map((v) => v / Math.sqrt(size * dim)),
      bias: randomF32(filters, seed + i + 20),
    })),
  };
}
