/** Vectors of many films: the mean of all, and what each is beside it as 8-bit numbers with a scale. */
import type { StoredTensor } from '../formats/safetensors.js';

interface Totals {
  sums: Map<string, { sum: Float64Array; count: number }>;
  all: { sum: Float64Array; count: number };
}

export class StoredVectors {
  readonly dim: number;
  /** (dim) */
  readonly #mean: Float32Array;
  /** (films, dim) */
  readonly #values: Int8Array;
  /** (films): a vector is the mean and its values times this; 0: the film has none. */
  readonly #scales: Float32Array;
  readonly #known = new Map<readonly string[] | undefined, Totals>();

  private constructor(mean: Float32Array, values: Int8Array, scales: Float32Array) {
    this.dim = mean.length;
    this.#mean = mean;
    this.#values = values;
    this.#scales = scales;
  }

  /** @param vectors  one a film; undefined where it has none */
  static of(vectors: readonly (Float32Array | undefined)[], dim: number): StoredVectors {
    const values = new Int8Array(vectors.length * dim);
    const scales = new Float32Array(vectors.length);
    const there = vectors.filter((vector) => vector !== undefined);
    const sum = new Float64Array(dim);
    for (const vector of there) for (let i = 0; i < dim; i++) sum[i]! += vector[i]!;
    const mean = Float32Array.from(sum, (total) => total / Math.max(1, there.length));
    vectors.forEach((vector, row) => {
      if (!vector) return;
      let largest = 0;
      for (let i = 0; i < dim; i++) largest = Math.max(largest, Math.abs(vector[i]! - mean[i]!));
      // A vector that is the mean is there, too.
      const scale = Math.fround(largest > 0 ? largest / 127 : 1e-30);
      scales[row] = scale;
      for (let i = 0; i < dim; i++) values[row * dim + i] = Math.round((vector[i]! - mean[i]!) / scale);
    });
    return new StoredVectors(mean, values, scales);
  }

  /** @throws RangeError  tensors that are not what `tensors` gives */
  static from(tensors: ReadonlyMap<string, StoredTensor>, name: string, films: number): StoredVectors {
    const values = tensors.get(`${name}.values`);
    const scales = tensors.get(`${name}.scales`);
    const mean = tensors.get(`${name}.mean`);
    const dim = values?.shape[1] ?? 0;
    const fits = values?.shape.length === 2 && values.shape[0] === films && scales?.data.length === films;
    const typed = [mean, scales].every(
      (tensor) => tensor?.data instanceof Float32Array && tensor.data.every(Number.isFinite),
    );
    if (!fits || !typed || !(values.data instanceof Int8Array) || dim < 1 || mean?.data.length !== dim)
      throw new RangeError(`no vectors of ${films} films under "${name}"`);
    const data = scales.data as Float32Array;
    if (data.some((scale) => scale < 0)) throw new RangeError(`scales of "${name}"`);
    return new StoredVectors(mean.data as Float32Array, values.data, data);
  }

  tensors(name: string): [string, StoredTensor][] {
    const films = this.#scales.length;
    return [
      [`${name}.values`, { dtype: 'I8', shape: [films, this.dim], data: this.#values }],
      [`${name}.mean`, { dtype: 'F32', shape: [this.dim], data: this.#mean }],
      [`${name}.scales`, { dtype: 'F32', shape: [films], data: this.#scales }],
    ];
  }

  /**
   * Cosine of a vector with every film's, each less the mean of its group.
   *
   * @param group   the vector's group
   * @param groups  of the films; undefined: all are one
   * @param enough  films that a group needs for a mean of its own; smaller ones take that of all
   * @param rest    called between films
   * @returns (films); NaN for a film without a vector
   */
  async cosines(
    vector: Float32Array,
    group: string,
    groups: readonly string[] | undefined,
    enough: number,
    rest: () => Promise<void>,
  ): Promise<Float64Array> {
    const { dim } = this;
    const films = this.#scales.length;
    const { sums, all } = await this.#totals(groups, rest);
    const means = new Map<string, Float64Array>();
    const meanOf = (key: string) => {
      const known = means.get(key);
      if (known) return known;
      const own = sums.get(key);
      const { sum, count } = own && own.count >= enough ? own : all;
      const mean = sum.map((total) => total / Math.max(1, count));
      means.set(key, mean);
      return mean;
    };
    const mean = meanOf(group);
    const query = Float64Array.from(vector, (value, i) => value - this.#mean[i]! - mean[i]!);
    const norm = Math.hypot(...query);
    const result = new Float64Array(films).fill(Number.NaN);
    for (let row = 0; row < films; row++) {
      if (row % 64 === 0) await rest();
      const scale = this.#scales[row]!;
      if (scale === 0) continue;
      const own = meanOf(groups?.[row] ?? '');
      let dot = 0;
      let square = 0;
      for (let i = 0; i < dim; i++) {
        const value = scale * this.#values[row * dim + i]! - own[i]!;
        dot += value * query[i]!;
        square += value * value;
      }
      const length = norm * Math.sqrt(square);
      result[row] = length > 0 ? dot / length : 0;
    }
    return result;
  }

  /** Sums over each group and over all, made once. */
  async #totals(groups: readonly string[] | undefined, rest: () => Promise<void>): Promise<Totals> {
    const known = this.#known.get(groups);
    if (known) return known;
    const { dim } = this;
    const films = this.#scales.length;
    const sums = new Map<string, { sum: Float64Array; count: number }>();
    const all = { sum: new Float64Array(dim), count: 0 };
    for (let row = 0; row < films; row++) {
      if (row % 64 === 0) await rest();
      const scale = this.#scales[row]!;
      if (scale === 0) continue;
      const key = groups?.[row] ?? '';
      const own = sums.get(key) ?? { sum: new Float64Array(dim), count: 0 };
      sums.set(key, own);
      own.count++;
      all.count++;
      for (let i = 0; i < dim; i++) {
        const value = scale * this.#values[row * dim + i]!;
        own.sum[i]! += value;
        all.sum[i]! += value;
      }
    }
    const totals = { sums, all };
    this.#known.set(groups, totals);
    return totals;
  }
}
