import { type CinefuseError, ModelError } from '../errors.js';
import type { EncoderSpec } from './spec.js';
import type { Tensor } from './tensor.js';

/** What an encoder makes of one sample: a sequence of vectors, in order. */
export interface Embedding {
  /** (length, dim), row-major. */
  data: Float32Array;
  /** Vectors in the sequence, at least 1. */
  length: number;
  dim: number;
  /** The time that each vector covers, where the sample has time. */
  startMs?: Float64Array;
  endMs?: Float64Array;
}

export interface EncodeOptions {
  signal?: AbortSignal | undefined;
  /** What to call each sample in errors, e.g. "films[3].synopsis". */
  fields?: readonly string[] | undefined;
  /** Told after every run of the graph: units (chunks, images, windows) done and in all. */
  onProgress?: ((done: number, total: number) => void) | undefined;
}

/** One encoder over samples of one modality; batches go across the samples, so many small films cost few runs. */
export interface ModalityEncoder<Sample, Result extends Embedding = Embedding> {
  readonly spec: EncoderSpec;
  /** All samples, or the error of the first that cannot be encoded. */
  encode(samples: readonly Sample[], options?: EncodeOptions): Promise<Result[]>;
  /** A sample that cannot be encoded gives its error in its place; the others come back. Rejects only when cancelled or disposed. */
  encodeEach(samples: readonly Sample[], options?: EncodeOptions): Promise<(Result | CinefuseError)[]>;
}

type Pooling = EncoderSpec['pooling'];

/**
 * One vector of `dim` for every row of a graph's output.
 *
 *   none: the row itself; cls: its first token; mean, mean-tokens: the mean over its tokens (mean: only the first
 *   lengths[row]); mean-spatial: the mean over h x w of (dim, h, w). With `normalize` each is divided by its L2 norm.
 *
 * @param lengths  tokens of each row that are not padding; for 'mean'
 * @returns (rows, dim)
 * @throws ModelError ERR_MODEL_RUN  an output of another size, or with a number that is not finite
 */
export function poolOutput(
  output: Tensor,
  rows: number,
  spec: { name: string; dim: number; pooling: Pooling; normalize: boolean },
  lengths?: readonly number[],
): Float32Array {
  const { dim, pooling } = spec;
  const values = output.data as Float32Array;
  const perRow = values.length / rows;
  const units = perRow / dim;
  const single = pooling === 'none';
  if (output.dims[0] !== rows || !Number.isInteger(units) || units < 1 || (single && units !== 1)) {
    throw new ModelError('ERR_MODEL_RUN', {
      field: spec.name,
      expected: `${rows} rows of ${single ? dim : `a multiple of ${dim}`} values`,
      got: `an output of [${output.dims.join(', ')}]`,
    });
  }
  const result = single ? values : new Float32Array(rows * dim);
  if (!single) {
    for (let row = 0; row < rows; row++) {
      const source = values.subarray(row * perRow, (row + 1) * perRow);
      const target = result.subarray(row * dim, (row + 1) * dim);
      if (pooling === 'cls') target.set(source.subarray(0, dim));
      else if (pooling === 'mean-spatial') meanOfPlanes(source, units, target);
      else meanOfTokens(source, pooling === 'mean' ? (lengths?.[row] ?? units) : units, target);
    }
  }
  for (let row = 0; row < rows; row++) {
    finish(result.subarray(row * dim, (row + 1) * dim), spec);
  }
  return result;
}

function meanOfTokens(source: Float32Array, tokens: number, target: Float32Array): void {
  const sum = new Float64Array(target.length);
  for (let token = 0; token < tokens; token++) {
    for (let i = 0; i < sum.length; i++) sum[i]! += source[token * sum.length + i]!;
  }
  for (let i = 0; i < sum.length; i++) target[i] = sum[i]! / tokens;
}

function meanOfPlanes(source: Float32Array, size: number, target: Float32Array): void {
  for (let i = 0; i < target.length; i++) {
    let sum = 0;
    for (let j = 0; j < size; j++) sum += source[i * size + j]!;
    target[i] = sum / size;
  }
}

function finish(vector: Float32Array, { name, normalize }: { name: string; normalize: boolean }): void {
  let squares = 0;
  for (const value of vector) squares += value * value;
  if (!Number.isFinite(squares)) {
    throw new ModelError('ERR_MODEL_RUN', {
      field: name,
      expected: 'an embedding of finite numbers',
      got: 'one that overflows or holds NaN',
    });
  }
  if (!normalize || squares === 0) return;
  const scale = 1 / Math.sqrt(squares);
  for (let i = 0; i < vector.length; i++) vector[i]! *= scale;
}

/** The mean of an embedding's vectors. @returns (dim); the embedding's own data when it is one vector */
export function meanVector({ data, length, dim }: Embedding): Float32Array {
  if (length === 1) return data;
  const sum = new Float64Array(dim);
  for (let row = 0; row < length; row++) {
    for (let i = 0; i < dim; i++) sum[i]! += data[row * dim + i]!;
  }
  return Float32Array.from(sum, (value) => value / length);
}
