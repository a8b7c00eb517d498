/** The attentions in float64, plainly, and the gradients of what is computed with them by central differences. */
import type {
  AdditiveAttentionLayer,
  CrossAttentionLayer,
  ModalityAttentionLayer,
} from '../../lib/ops/index.js';

export type Numbers = Float64Array;

/** Float64 copies of the arrays of an object, to any depth; what is no array of float32 stays as it is. */
export type InFloat64<T> = T extends Float32Array
  ? Numbers
  : T extends object
    ? { [K in keyof T]: InFloat64<T[K]> }
    : T;
export function inFloat64<T>(value: T): InFloat64<T> {
  if (value instanceof Float32Array) return Float64Array.from(value) as InFloat64<T>;
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value)) return value as InFloat64<T>;
  return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, inFloat64(v)])) as InFloat64<T>;
}

export function softmax(e: number[]): number[] {
  const top = Math.max(...e);
  const x = e.map((v) => Math.exp(v - top));
  const sum = x.reduce((a, b) => a + b, 0);
  return x.map((v) => v / sum);
}

export const dot = (a: Numbers, i: number, b: Numbers, j: number, n: number): number => {
  let sum = 0;
  for (let k = 0; k < n; k++) sum += a[i + k]! * b[j + k]!;
  return sum;
};

/** x (rows, in) W' + b, W (out, in). */
export function dense(x: Numbers, W: Numbers, b: Numbers): Numbers {
  const out = b.length;
  const width = W.length / out;
  const y = new Float64Array((x.length / width) * out);
  for (let r = 0; r < y.length / out; r++) {
    for (let o = 0; o < out; o++) y[r * out + o] = b[o]! + dot(x, r * width, W, o * width, width);
  }
  return y;
}

export function norm(x: Numbers, gain: Numbers, shift: Numbers): Numbers {
  const n = gain.length;
  const y = new Float64Array(x.length);
  for (let r = 0; r < x.length; r += n) {
    const row = x.subarray(r, r + n);
    const mean = row.reduce((a, b) => a + b, 0) / n;
    const variance = row.reduce((a, b) => a + (b - mean) ** 2, 0) / n;
    for (let j = 0; j < n; j++)
      y[r + j] = ((row[j]! - mean) / Math.sqrt(variance + 1e-5)) * gain[j]! + shift[j]!;
  }
  return y;
}

/** c of attention over modalities; mask of ones where all are present. */
export function modality(
  layer: InFloat64<ModalityAttentionLayer>,
  h: Numbers,
  modalities: number,
  mask: ArrayLike<number>,
): Numbers {
  const d = layer.features;
  const batch = h.length / (modalities * d);
  const c = new Float64Array(batch * d);
  for (let r = 0; r < batch; r++) {
    const present = [...Array(modalities).keys()]
      .map((i) => r * modalities + i)
      .filter((i) => mask[i])
      .map((i) => i * d);
    if (present.length === 0) continue;
    if (layer.form === 'tanh') {
      const k = layer.w.length;
      const e = present.map((at) => {
        const z = dense(h.subarray(at, at + d), layer.W, layer.b);
        return dot(layer.w, 0, z.map(Math.tanh), 0, k);
      });
      softmax(e).forEach((a, n) => {
        for (let j = 0; j < d; j++) c[r * d + j]! += a * h[present[n]! + j]!;
      });
    } else {
      const e = present.map((at) => dense(h.subarray(at, at + d), layer.W, layer.b));
      for (let j = 0; j < d; j++) {
        softmax(e.map((row) => row[j]!)).forEach((a, n) => {
          c[r * d + j]! += a * h[present[n]! + j]!;
        });
      }
    }
  }
  return c;
}

export interface TemporalNumbers {
  query: Numbers;
  keys: Numbers;
  values: Numbers;
  steps: number;
  keyDim: number;
  valueDim: number;
  lengths: ArrayLike<number>;
  scale: number;
}
export function temporal(p: TemporalNumbers): Numbers {
  const batch = p.query.length / p.keyDim;
  const c = new Float64Array(batch * p.valueDim);
  for (let r = 0; r < batch; r++) {
    const at = r * p.steps;
    const e = Array.from(
      { length: p.lengths[r]! },
      (_, t) => p.scale * dot(p.query, r * p.keyDim, p.keys, (at + t) * p.keyDim, p.keyDim),
    );
    softmax(e).forEach((a, t) => {
      for (let j = 0; j < p.valueDim; j++) c[r * p.valueDim + j]! += a * p.values[(at + t) * p.valueDim + j]!;
    });
  }
  return c;
}

export function additive(
  { dim, W, b, w }: InFloat64<AdditiveAttentionLayer>,
  x: Numbers,
  steps: number,
  lengths: ArrayLike<number>,
): Numbers {
  const batch = x.length / (steps * dim);
  const c = new Float64Array(batch * dim);
  for (let r = 0; r < batch; r++) {
    const rows = x.subarray(r * steps * dim, (r * steps + lengths[r]!) * dim);
    const z = dense(rows, W, b).map(Math.tanh);
    const e = Array.from({ length: lengths[r]! }, (_, t) => dot(w, 0, z, t * w.length, w.length));
    softmax(e).forEach((a, t) => {
      for (let j = 0; j < dim; j++) c[r * dim + j]! += a * rows[t * dim + j]!;
    });
  }
  return c;
}

/** query (channels), shared by all rows, or (batch, channels). */
export function spatial(x: Numbers, query: Numbers, channels: number, positions: number, scale: number) {
  const batch = x.length / (channels * positions);
  const c = new Float64Array(batch * channels);
  for (let r = 0; r < batch; r++) {
    const q = query.length === channels ? 0 : r * channels;
    const e = Array.from({ length: positions }, (_, n) => {
      let sum = 0;
      for (let i = 0; i < channels; i++) sum += query[q + i]! * x[(r * channels + i) * positions + n]!;
      return scale * sum;
    });
    softmax(e).forEach((a, n) => {
      for (let i = 0; i < channels; i++) c[r * channels + i]! += a * x[(r * channels + i) * positions + n]!;
    });
  }
  return c;
}

/** Whether query t of row r sees key k. */
export type Sees = (r: number, t: number, k: number) => boolean;

/** Multi-head attention, or with a block the whole block. x (batch, queries, width), context (batch, keys, ...). */
export function cross(
  layer: InFloat64<CrossAttentionLayer>,
  x: Numbers,
  context: Numbers,
  queries: number,
  keys: number,
  sees: Sees,
): Numbers {
  const { width, heads } = layer;
  const inner = width / heads;
  const q = dense(x, layer.Wq, layer.bq);
  const k = dense(context, layer.Wk, layer.bk);
  const v = dense(context, layer.Wv, layer.bv);
  const attended = new Float64Array(x.length);
  for (let i = 0; i < x.length / width; i++) {
    const r = Math.floor(i / queries);
    const seen = [...Array(keys).keys()].filter((n) => sees(r, i % queries, n)).map((n) => r * keys + n);
    for (let head = 0; head < width; head += inner) {
      const e = seen.map((n) => dot(q, i * width + head, k, n * width + head, inner) / Math.sqrt(inner));
      softmax(e).forEach((a, n) => {
        for (let j = head; j < head + inner; j++) attended[i * width + j]! += a * v[seen[n]! * width + j]!;
      });
    }
  }
  const y = dense(attended, layer.Wo, layer.bo);
  if (!layer.block) return y;
  const { norm1, W1, b1, W2, b2, norm2 } = layer.block;
  const u = norm(
    y.map((value, i) => value + x[i]!),
    norm1.weight,
    norm1.bias,
  );
  const hidden = dense(u, W1, b1).map((value) => Math.max(0, value));
  const second = dense(hidden, W2, b2).map((value, i) => value + u[i]!);
  return norm(second, norm2.weight, norm2.bias);
}

/** c of the fusion kind 'cross-modal': each row's vectors that are there, through blocks of attention to the others. */
export function crossModal(
  layers: readonly InFloat64<CrossAttentionLayer>[],
  h: Numbers,
  modalities: number,
  mask: ArrayLike<number>,
): Numbers {
  const d = layers[0]!.width;
  const batch = h.length / (modalities * d);
  const c = new Float64Array(batch * d);
  for (let r = 0; r < batch; r++) {
    const there = [...Array(modalities).keys()].map((i) => r * modalities + i).filter((i) => mask[i]);
    let x = Float64Array.from(there.flatMap((i) => [...h.subarray(i * d, (i + 1) * d)]));
    for (const layer of layers) {
      x = cross(layer, x, x, there.length, there.length, (_, t, k) => t !== k) as typeof x;
    }
    for (const [i, value] of x.entries()) c[r * d + (i % d)]! += value / there.length;
  }
  return c;
}

/**
 * Central differences of Σ weight ⊙ compute() by the elements of `by`, at most `most` of them spread over the array;
 * compute() must read `by`. The others are NaN.
 */
export function differences(by: Numbers, weight: Float32Array, compute: () => Numbers, most = 60): Numbers {
  const loss = () => compute().reduce((sum, value, i) => sum + value * weight[i]!, 0);
  const gradient = new Float64Array(by.length).fill(Number.NaN);
  const stride = Math.max(1, by.length / most);
  for (let at = 0; at < by.length; at += stride) {
    const i = Math.floor(at);
    const value = by[i]!;
    if (Number.isNaN(value)) {
      gradient[i] = 0;
      continue;
    }
    const step = 1e-5 * Math.max(1, Math.abs(value));
    by[i] = value + step;
    const above = loss();
    by[i] = value - step;
    gradient[i] = (above - loss()) / (2 * step);
    by[i] = value;
  }
  return gradient;
}
