/** Layers, losses and optimisers of the addon. */
import type { NativeCancel, NativeExec, NativeHandle, NativeResult } from './types.js';

export interface NativeLayers {
  activation(
    exec: NativeExec,
    cancel: NativeCancel,
    kind: number,
    slope: number,
    rows: number,
    cols: number,
    x: Float32Array,
    out: Float32Array | undefined,
  ): NativeResult<Float32Array>;

  activationBackward(
    exec: NativeExec,
    cancel: NativeCancel,
    kind: number,
    slope: number,
    rows: number,
    cols: number,
    x: Float32Array,
    y: Float32Array | undefined,
    dy: Float32Array,
    out: Float32Array | undefined,
  ): NativeResult<Float32Array>;

  embedding(
    exec: NativeExec,
    cancel: NativeCancel,
    ids: Int32Array,
    rows: number,
    dim: number,
    paddingId: number | undefined,
    table: Float32Array,
    out: Float32Array | undefined,
  ): NativeResult<Float32Array>;

  embeddingBackward(
    exec: NativeExec,
    cancel: NativeCancel,
    ids: Int32Array,
    rows: number,
    dim: number,
    paddingId: number | undefined,
    dy: Float32Array,
  ): NativeResult<Float32Array>;

  dropout(
    exec: NativeExec,
    cancel: NativeCancel,
    p: number,
    seed: number,
    stream: number,
    x: Float32Array,
    out: Float32Array | undefined,
  ): NativeResult<Float32Array>;

  layerNorm(
    exec: NativeExec,
    cancel: NativeCancel,
    rows: number,
    cols: number,
    eps: number,
    x: Float32Array,
    gain: Float32Array | undefined,
    bias: Float32Array | undefined,
    out: Float32Array | undefined,
  ): NativeResult<Float32Array>;

  layerNormBackward(
    exec: NativeExec,
    cancel: NativeCancel,
    rows: number,
    cols: number,
    eps: number,
    x: Float32Array,
    gain: Float32Array | undefined,
    dy: Float32Array,
  ): NativeResult<[dx: Float32Array, dgain: Float32Array, dbias: Float32Array]>;

  linear(
    exec: NativeExec,
    cancel: NativeCancel,
    inFeatures: number,
    outFeatures: number,
    weight: Float32Array,
    bias: Float32Array | undefined,
    activation: number,
    slope: number,
    rows: number,
    x: Float32Array,
    out: Float32Array | undefined,
  ): NativeResult<Float32Array>;

  linearPrepare(
    exec: NativeExec,
    cancel: NativeCancel,
    inFeatures: number,
    outFeatures: number,
    weight: Float32Array,
    bias: Float32Array | undefined,
    activation: number,
    slope: number,
    weightType: number,
  ): NativeResult<NativeHandle>;

  linearRun(
    exec: NativeExec,
    cancel: NativeCancel,
    handle: NativeHandle,
    rows: number,
    x: Float32Array,
    out: Float32Array | undefined,
  ): NativeResult<Float32Array>;

  linearBackward(
    exec: NativeExec,
    cancel: NativeCancel,
    rows: number,
    inFeatures: number,
    outFeatures: number,
    x: Float32Array,
    weight: Float32Array,
    dy: Float32Array,
    inputGradient: boolean,
  ): NativeResult<[dx: Float32Array, dW: Float32Array, db: Float32Array]>;

  loss(
    exec: NativeExec,
    cancel: NativeCancel,
    kind: number,
    reduction: number,
    rows: number,
    cols: number,
    delta: number,
    smoothing: number,
    x: Float32Array,
    target: Float32Array,
    classWeights: Float32Array | undefined,
    rowWeights: Float32Array | undefined,
    gradient: boolean,
  ): NativeResult<[loss: Float32Array, dx: Float32Array]>;

  optimizerStep(
    exec: NativeExec,
    cancel: NativeCancel,
    kind: number,
    nesterov: boolean,
    learningRate: number,
    momentum: number,
    beta1: number,
    beta2: number,
    epsilon: number,
    weightDecay: number,
    l1: number,
    step: number,
    gradientScale: number,
    g: Float32Array,
    p: Float32Array,
    m: Float32Array | undefined,
    v: Float32Array | undefined,
  ): NativeResult<unknown>;

  squaredNorm(exec: NativeExec, cancel: NativeCancel, g: Float32Array): NativeResult<Float64Array>;
}
