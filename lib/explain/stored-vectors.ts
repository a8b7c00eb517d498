/** Vectors of many films as 8-bit numbers with a scale each. */
import type { StoredTensor } from '../formats/safetensors.js';

export class StoredVectors {
  readonly dim: number;
  /** (films, dim) */
  readonly #values: Int8Array;
  /** (films): a vector is its values times this; 0: the film has none. */
  readonly #scales: Float32Array;

  private constructor(dim: number, values: Int8Array, scales: Float32Array) {
    this.dim = dim;
    this.#values = values;
    this.#scales = scales;
  }

  /** @param vectors  one a film; undefined where it has none */
  static of(vectors: readonly (Float32Array | undefined)[], dim: number): StoredVectors {
    const values = new Int8Array(vectors.length * dim);
    const scales = new Float32Array(vectors.length);
    vectors.forEach((vector, row) => {
      if (!vector) return;
      let largest = 0;
      for (const value of vector) largest = Math.max(largest, Math.abs(value));
      // A vector of zeros is there, too.
      scales[row] = largest > 0 ? largest / 127 : 1e-30;
      vector.forEach((value, i) => {
        values[row * dim + i] = Math.round(value / scales[row]!);
      });
    });
    return new StoredVectors(dim, values, scales);
  }

  /** @throws RangeError  tensors that are not what `tensors` gives */
  static from(tensors: ReadonlyMap<string, StoredTensor>, name: string, films: number): StoredVectors {
    const values = tensors.get(`${name}.values`);
    const scales = tensors.get(`${name}.scales`);
    const dim = values?.shape[1] ?? 0;
    const fits = values?.shape.length === 2 && values.shape[0] === films && scales?.data.length === films;
    const typed = values?.data instanceof Int8Array && scales?.data instanceof Float32Array;
    if (!fits || !typed || dim < 1) throw new RangeError(`no vectors of ${films} films under "${name}"`);
    const data = scales.data as Float32Array;
    if (!data.every((scale) => Number.isFinite(scale) && scale >= 0))
      throw new RangeError(`scales of "${name}"`);
    return new StoredVectors(dim, values.data as Int8Array, data);
  }

  tensors(name: string): [string, StoredTensor][] {
    const films = this.#scales.length;
    return [
      [`${name}.values`, { dtype: 'I8', shape: [films, this.dim], data: this.#values }],
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
    const query = Float64Array.from(vector, (value, i) => value - mean[i]!);
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
}
