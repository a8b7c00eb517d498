/** What the addon fits without gradients: kernels, linear systems, word vectors. */
import type { NativeCancel, NativeExec, NativeResult } from './types.js';

export interface NativeFitting {
  kernelMatrix(
    exec: NativeExec,
    cancel: NativeCancel,
    rows: number,
    landmarks: number,
    combine: number,
    shapes: readonly number[],
    numbers: Float64Array,
    x: readonly Float32Array[],
    z: readonly Float32Array[],
    presentX: Uint8Array | undefined,
    presentZ: Uint8Array | undefined,
    out: Float32Array | undefined,
  ): NativeResult<Float32Array>;

  kernelMatrix64(
    exec: NativeExec,
    cancel: NativeCancel,
    rows: number,
    landmarks: number,
    combine: number,
    shapes: readonly number[],
    numbers: Float64Array,
    x: readonly Float32Array[],
    z: readonly Float32Array[],
    presentX: Uint8Array | undefined,
    presentZ: Uint8Array | undefined,
    out: Float64Array | undefined,
  ): NativeResult<Float64Array>;

  choleskyFactor(
    exec: NativeExec,
    cancel: NativeCancel,
    n: number,
    shift: number,
    least: number,
    a: Float64Array,
    pivot: Int32Array | undefined,
  ): NativeResult<[a: Float64Array, pivot: Int32Array]>;

  choleskySolve(
    exec: NativeExec,
    cancel: NativeCancel,
    n: number,
    l: Float64Array,
    transposed: boolean,
    rows: number,
    b: Float64Array,
  ): NativeResult<Float64Array>;

  gram(
    exec: NativeExec,
    cancel: NativeCancel,
    rows: number,
    n: number,
    f: Float64Array,
    weights: Float64Array | undefined,
    g: Float64Array,
  ): NativeResult<Float64Array>;

  product(
    exec: NativeExec,
    cancel: NativeCancel,
    rows: number,
    columns: number,
    n: number,
    a: Float64Array,
    b: Float64Array,
    out: Float64Array | undefined,
  ): NativeResult<Float64Array>;

  productTransposed(
    exec: NativeExec,
    cancel: NativeCancel,
    rows: number,
    columns: number,
    n: number,
    a: Float64Array,
    b: Float64Array,
    c: Float64Array,
  ): NativeResult<Float64Array>;

  wordVectors(
    exec: NativeExec,
    cancel: NativeCancel,
    tokens: Int32Array,
    rows: number,
    stride: number,
    vectors: Float32Array,
    contexts: Float32Array,
    keep: Float32Array,
    cut: Float32Array,
    other: Int32Array,
    window: number,
    negatives: number,
    skipGram: boolean,
    rate: number,
    lastRate: number,
    seed: number,
    stream: number,
  ): NativeResult<unknown>;
}
