/** Moving numbers between the layers of a text network: no arithmetic but means. */
import type { SequenceBatch } from './sequences.js';

/** Vectors side by side: parts (n, dims[p]) -> (n, Σ dims). One part is given back as it is. */
export function joinChannels(parts: readonly Float32Array[], dims: readonly number[]): Float32Array {
  if (parts.length === 1) return parts[0]!;
  const width = dims.reduce((a, b) => a + b, 0);
  const rows = parts[0]!.length / dims[0]!;
  const all = new Float32Array(rows * width);
  let at = 0;
  for (const [p, dim] of dims.entries()) {
    const part = parts[p]!;
    for (let row = 0; row < rows; row++) {
      for (let i = 0; i < dim; i++) all[row * width + at + i] = part[row * dim + i]!;
    }
    at += dim;
  }
  return all;
}

/** `joinChannels` undone. */
export function splitChannels(all: Float32Array, dims: readonly number[]): Float32Array[] {
  if (dims.length === 1) return [all];
  const width = dims.reduce((a, b) => a + b, 0);
  const rows = all.length / width;
  let at = 0;
  return dims.map((dim) => {
    const part = new Float32Array(rows * dim);
    for (let row = 0; row < rows; row++) {
      for (let i = 0; i < dim; i++) part[row * dim + i] = all[row * width + at + i]!;
    }
    at += dim;
    return part;
  });
}

/**
 * One vector a row over its own steps: the largest number of each place with the step where it first is, or the mean. A
 * row without steps gives zeros.
 */
export function poolStates(
  y: Float32Array,
  { rows, steps, lengths }: SequenceBatch,
  dim: number,
  how: 'max' | 'mean',
): { features: Float32Array; argmax: Int32Array } {
  const features = new Float32Array(rows * dim);
  const argmax = new Int32Array(how === 'max' ? rows * dim : 0);
  for (let row = 0; row < rows; row++) {
    const length = lengths[row]!;
    for (let step = 0; step < length; step++) {
      const from = (row * steps + step) * dim;
      for (let i = 0; i < dim; i++) {
        const value = y[from + i]!;
        const place = row * dim + i;
        if (how === 'mean') features[place]! += value / length;
        else if (step === 0 || value > features[place]!) {
          features[place] = value;
          argmax[place] = step;
        }
      }
    }
  }
  return { features, argmax };
}

/** Gradient of `poolStates`: to the steps in `argmax`, or without one to all of a row's steps alike. */
export function spreadStates(
  dy: Float32Array,
  { rows, steps, lengths }: SequenceBatch,
  dim: number,
  argmax: Int32Array | undefined,
): Float32Array {
  const dx = new Float32Array(rows * steps * dim);
  for (let row = 0; row < rows; row++) {
    const length = lengths[row]!;
    for (let i = 0; i < dim && length > 0; i++) {
      const place = row * dim + i;
      if (argmax) dx[(row * steps + argmax[place]!) * dim + i] = dy[place]!;
      else for (let step = 0; step < length; step++) dx[(row * steps + step) * dim + i] = dy[place]! / length;
    }
  }
  return dx;
}
