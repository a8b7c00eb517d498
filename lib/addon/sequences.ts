/** Operators of the addon over sequences and over modalities: convolution, LSTM, attention. */
import type { NativeCancel, NativeExec, NativeHandle, NativeResult } from './types.js';

export interface NativeSequences {
  convPoolPrepare(
    exec: NativeExec,
    cancel: NativeCancel,
    dim: number,
    sizes: readonly number[],
    weights: readonly Float32Array[],
    biases: readonly Float32Array[],
    activation: number,
  ): NativeResult<NativeHandle>;

  convPoolRun(
    exec: NativeExec,
    cancel: NativeCancel,
    handle: NativeHandle,
    batch: number,
    steps: number,
    x: Float32Array,
    lengths: Int32Array | undefined,
    out: Float32Array | undefined,
  ): NativeResult<Float32Array>;

  convPoolForward(
    exec: NativeExec,
    cancel: NativeCancel,
    dim: number,
    sizes: readonly number[],
    weights: readonly Float32Array[],
    biases: readonly Float32Array[],
    activation: number,
    batch: number,
    steps: number,
    x: Float32Array,
    lengths: Int32Array | undefined,
  ): NativeResult<[y: Float32Array, argmax: Int32Array]>;

  convPoolBackward(
    exec: NativeExec,
    cancel: NativeCancel,
    dim: number,
    sizes: readonly number[],
    weights: readonly Float32Array[],
    biases: readonly Float32Array[],
    activation: number,
    batch: number,
    steps: number,
    x: Float32Array,
    lengths: Int32Array | undefined,
    y: Float32Array,
    argmax: Int32Array,
    dy: Float32Array,
    inputGradient: boolean,
  ): NativeResult<Float32Array[]>;

  lstmBackward(
    exec: NativeExec,
    cancel: NativeCancel,
    inputSize: number,
    hiddenSize: number,
    directions: number,
    weightInput: Float32Array,
    weightHidden: Float32Array,
    bias: undefined,
    batch: number,
    time: number,
    x: Float32Array,
    lengths: Int32Array | undefined,
    h0: Float32Array | undefined,
    c0: Float32Array | undefined,
    y: Float32Array,
    saved: Float32Array,
    dy: Float32Array | undefined,
    dh: Float32Array | undefined,
    dc: Float32Array | undefined,
    inputGradient: boolean,
  ): NativeResult<Float32Array[]>;

  lstmForward(
    exec: NativeExec,
    cancel: NativeCancel,
    inputSize: number,
    hiddenSize: number,
    directions: number,
    weightInput: Float32Array,
    weightHidden: Float32Array,
    bias: Float32Array | undefined,
    batch: number,
    time: number,
    x: Float32Array,
    lengths: Int32Array | undefined,
    h0: Float32Array | undefined,
    c0: Float32Array | undefined,
  ): NativeResult<Float32Array[]>;

  lstmPrepare(
    exec: NativeExec,
    cancel: NativeCancel,
    inputSize: number,
    hiddenSize: number,
    directions: number,
    weightInput: Float32Array,
    weightHidden: Float32Array,
    bias: Float32Array | undefined,
  ): NativeResult<NativeHandle>;

  lstmRun(
    exec: NativeExec,
    cancel: NativeCancel,
    handle: NativeHandle,
    batch: number,
    time: number,
    x: Float32Array,
    lengths: Int32Array | undefined,
    h0: Float32Array | undefined,
    c0: Float32Array | undefined,
    out: Float32Array | undefined,
  ): NativeResult<Float32Array[]>;

  modalityAttentionBackward(
    exec: NativeExec,
    cancel: NativeCancel,
    tanh: boolean,
    features: number,
    modalities: number,
    batch: number,
    W: Float32Array,
    b: Float32Array,
    w: Float32Array | undefined,
    h: Float32Array,
    mask: Uint8Array | undefined,
    dc: Float32Array,
  ): NativeResult<[dh: Float32Array, dW: Float32Array, db: Float32Array, dw: Float32Array]>;

  modalityAttentionPrepare(
    exec: NativeExec,
    cancel: NativeCancel,
    tanh: boolean,
    features: number,
    W: Float32Array,
    b: Float32Array,
    w: Float32Array | undefined,
  ): NativeResult<NativeHandle>;

  modalityAttentionRun(
    exec: NativeExec,
    cancel: NativeCancel,
    handle: NativeHandle,
    batch: number,
    modalities: number,
    h: Float32Array,
    mask: Uint8Array | undefined,
    outC: Float32Array | undefined,
    outAlpha: Float32Array | undefined,
  ): NativeResult<[c: Float32Array, alpha: Float32Array]>;

  temporalAttentionBackward(
    exec: NativeExec,
    cancel: NativeCancel,
    batch: number,
    steps: number,
    keyDim: number,
    valueDim: number,
    scale: number,
    query: Float32Array,
    keys: Float32Array,
    values: Float32Array,
    lengths: Int32Array | undefined,
    dc: Float32Array,
  ): NativeResult<[dquery: Float32Array, dkeys: Float32Array, dvalues: Float32Array]>;

  temporalAttention(
    exec: NativeExec,
    cancel: NativeCancel,
    batch: number,
    steps: number,
    keyDim: number,
    valueDim: number,
    scale: number,
    query: Float32Array,
    keys: Float32Array,
    values: Float32Array,
    lengths: Int32Array | undefined,
    outC: Float32Array | undefined,
    outAlpha: Float32Array | undefined,
  ): NativeResult<[c: Float32Array, alpha: Float32Array]>;

  additiveAttentionBackward(
    exec: NativeExec,
    cancel: NativeCancel,
    batch: number,
    steps: number,
    dim: number,
    W: Float32Array,
    b: Float32Array,
    w: Float32Array,
    x: Float32Array,
    lengths: Int32Array | undefined,
    dc: Float32Array,
  ): NativeResult<[dx: Float32Array, dW: Float32Array, db: Float32Array, dw: Float32Array]>;

  additiveAttentionPrepare(
    exec: NativeExec,
    cancel: NativeCancel,
    dim: number,
    W: Float32Array,
    b: Float32Array,
    w: Float32Array,
  ): NativeResult<NativeHandle>;

  additiveAttentionRun(
    exec: NativeExec,
    cancel: NativeCancel,
    handle: NativeHandle,
    batch: number,
    steps: number,
    x: Float32Array,
    lengths: Int32Array | undefined,
    outC: Float32Array | undefined,
    outAlpha: Float32Array | undefined,
  ): NativeResult<[c: Float32Array, alpha: Float32Array]>;

  spatialAttentionBackward(
    exec: NativeExec,
    cancel: NativeCancel,
    batch: number,
    channels: number,
    positions: number,
    queryPerRow: boolean,
    scale: number,
    bias: number,
    x: Float32Array,
    query: Float32Array,
    dc: Float32Array,
  ): NativeResult<[dx: Float32Array, dquery: Float32Array, dbias: Float32Array]>;

  spatialAttention(
    exec: NativeExec,
    cancel: NativeCancel,
    batch: number,
    channels: number,
    positions: number,
    queryPerRow: boolean,
    scale: number,
    bias: number,
    x: Float32Array,
    query: Float32Array,
    outC: Float32Array | undefined,
    outAlpha: Float32Array | undefined,
  ): NativeResult<[c: Float32Array, alpha: Float32Array]>;

  crossAttentionBackward(
    exec: NativeExec,
    cancel: NativeCancel,
    width: number,
    contextWidth: number,
    heads: number,
    ff: number,
    weights: readonly Float32Array[],
    batch: number,
    queries: number,
    keys: number,
    x: Float32Array,
    context: Float32Array,
    present: Uint8Array | undefined,
    dy: Float32Array,
  ): NativeResult<Float32Array[]>;

  crossModalBackward(
    exec: NativeExec,
    cancel: NativeCancel,
    features: number,
    heads: number,
    hidden: number,
    blocks: number,
    weights: readonly Float32Array[],
    batch: number,
    modalities: number,
    h: Float32Array,
    mask: Uint8Array | undefined,
    dc: Float32Array,
  ): NativeResult<Float32Array[]>;

  crossAttentionPrepare(
    exec: NativeExec,
    cancel: NativeCancel,
    width: number,
    contextWidth: number,
    heads: number,
    ff: number,
    weights: readonly Float32Array[],
  ): NativeResult<NativeHandle>;

  crossAttentionRun(
    exec: NativeExec,
    cancel: NativeCancel,
    handle: NativeHandle,
    batch: number,
    queries: number,
    keys: number,
    x: Float32Array,
    context: Float32Array,
    present: Uint8Array | undefined,
    giveAlpha: boolean,
    outY: Float32Array | undefined,
    outAlpha: Float32Array | undefined,
  ): NativeResult<[y: Float32Array, alpha: Float32Array]>;
}
