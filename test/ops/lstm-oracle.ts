/** A slow, plain float64 LSTM, straight from the formula, for tests: forward only. */
import type { LstmInput } from '../../lib/ops/index.js';

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));

export interface LstmReference {
  y: Float64Array;
  h: Float64Array;
  c: Float64Array;
}

export function lstmReference(input: LstmInput & { batch: number }): LstmReference {
  const { batch, time, inputSize: n, hiddenSize: size, directions = 1, x, lengths, h0, c0 } = input;
  const { weightInput, weightHidden, bias } = input;
  const y = new Float64Array(batch * time * directions * size);
  const h = new Float64Array(directions * batch * size);
  const c = new Float64Array(directions * batch * size);
  for (let d = 0; d < directions; d++) {
    for (let b = 0; b < batch; b++) {
      const at = (d * batch + b) * size;
      let state = Float64Array.from({ length: size }, (_, u) => h0?.[at + u] ?? 0);
      const cell = Float64Array.from({ length: size }, (_, u) => c0?.[at + u] ?? 0);
      const length = lengths?.[b] ?? time;
      for (let s = 0; s < length; s++) {
        const step = d === 0 ? s : length - 1 - s;
        const gate = (g: number, u: number) => {
          const row = d * 4 * size + g * size + u;
          let sum = bias?.[row] ?? 0;
          for (let k = 0; k < n; k++) sum += weightInput[row * n + k]! * x[(b * time + step) * n + k]!;
          for (let k = 0; k < size; k++) sum += weightHidden[row * size + k]! * state[k]!;
          return sum;
        };
        const next = new Float64Array(size);
        for (let u = 0; u < size; u++) {
          cell[u] = sigmoid(gate(1, u)) * cell[u]! + sigmoid(gate(0, u)) * Math.tanh(gate(2, u));
          next[u] = sigmoid(gate(3, u)) * Math.tanh(cell[u]!);
        }
        state = next;
        y.set(state, ((b * time + step) * directions + d) * size);
      }
      h.set(state, at);
      c.set(cell, at);
    }
  }
  return { y, h, c };
}
