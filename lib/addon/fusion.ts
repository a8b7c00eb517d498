/** Fusion operators of the addon, whole networks and their training. */
import type { NativeCancel, NativeExec, NativeHandle, NativeResult } from './types.js';

export interface NativeFusion {
  createFusionNetwork(
    exec: NativeExec,
    cancel: NativeCancel,
    names: readonly string[],
    description: readonly number[],
    weights: readonly Float32Array[],
  ): NativeResult<NativeHandle>;

  fusionNetwork(
    exec: NativeExec,
    cancel: NativeCancel,
    handle: NativeHandle,
    batch: number,
    present: Uint8Array,
    inputs: readonly Float32Array[],
    steps: readonly number[],
    lengths: Int32Array | undefined,
    sequenceWeights: boolean,
    out: Float32Array | undefined,
  ): NativeResult<[heads: Float32Array, modalityWeights: Float32Array, sequenceWeights: Float32Array]>;

  createFusionTrainer(
    exec: NativeExec,
    cancel: NativeCancel,
    names: readonly string[],
    program: readonly number[],
    numbers: Float32Array,
    parameters: Float32Array,
    constants: Float32Array,
  ): NativeResult<NativeHandle>;

  fusionTrainerRun(
    exec: NativeExec,
    cancel: NativeCancel,
    handle: NativeHandle,
    films: number,
    values: readonly Float32Array[],
    shapes: readonly number[],
    lengths: Int32Array | undefined,
    targets: readonly Float32Array[],
    weights: Float32Array | undefined,
    present: Uint8Array,
    variants: Uint8Array | undefined,
    rows: Int32Array,
    batchSize: number,
    learningRates: Float32Array,
  ): NativeResult<
    [losses: Float32Array, headLosses: Float32Array, gradientNorms: Float32Array, end: Int32Array]
  >;
  fusionTrainerRead(
    exec: NativeExec,
    cancel: NativeCancel,
    handle: NativeHandle,
    which: number,
  ): NativeResult<Float32Array>;

  fusionTrainerWrite(
    exec: NativeExec,
    cancel: NativeCancel,
    handle: NativeHandle,
    which: number,
    values: Float32Array,
  ): NativeResult<undefined>;

  fusionTrainerStep(
    exec: NativeExec,
    cancel: NativeCancel,
    handle: NativeHandle,
    step: number | undefined,
  ): NativeResult<number>;

  lowRankFusionBackward(
    exec: NativeExec,
    cancel: NativeCancel,
    dims: readonly number[],
    rank: number,
    outFeatures: number,
    rows: number,
    h: readonly Float32Array[],
    present: Uint8Array | undefined,
    factors: readonly Float32Array[],
    rankWeights: Float32Array | undefined,
    bias: undefined,
    dy: Float32Array,
  ): NativeResult<Float32Array[]>;

  lowRankFusionForward(
    exec: NativeExec,
    cancel: NativeCancel,
    dims: readonly number[],
    rank: number,
    outFeatures: number,
    rows: number,
    h: readonly Float32Array[],
    present: Uint8Array | undefined,
    factors: readonly Float32Array[],
    rankWeights: Float32Array | undefined,
    bias: Float32Array | undefined,
  ): NativeResult<Float32Array>;

  lowRankFusionPrepare(
    exec: NativeExec,
    cancel: NativeCancel,
    dims: readonly number[],
    rank: number,
    outFeatures: number,
    factors: readonly Float32Array[],
    rankWeights: Float32Array | undefined,
    bias: Float32Array | undefined,
    activation: number,
    slope: number,
    weightType: number,
  ): NativeResult<NativeHandle>;

  lowRankFusionRun(
    exec: NativeExec,
    cancel: NativeCancel,
    handle: NativeHandle,
    rows: number,
    h: readonly Float32Array[],
    present: Uint8Array | undefined,
    out: Float32Array | undefined,
  ): NativeResult<Float32Array>;

  outerProduct(
    exec: NativeExec,
    cancel: NativeCancel,
    dims: readonly number[],
    rows: number,
    h: readonly Float32Array[],
    present: Uint8Array | undefined,
    out: Float32Array | undefined,
  ): NativeResult<Float32Array>;

  outerProductBackward(
    exec: NativeExec,
    cancel: NativeCancel,
    dims: readonly number[],
    rows: number,
    h: readonly Float32Array[],
    present: Uint8Array | undefined,
    dz: Float32Array,
  ): NativeResult<Float32Array[]>;

  tensorFusionBackward(
    exec: NativeExec,
    cancel: NativeCancel,
    dims: readonly number[],
    outFeatures: number,
    rows: number,
    h: readonly Float32Array[],
    present: Uint8Array | undefined,
    weight: Float32Array,
    bias: undefined,
    dy: Float32Array,
  ): NativeResult<Float32Array[]>;

  tensorFusionForward(
    exec: NativeExec,
    cancel: NativeCancel,
    dims: readonly number[],
    outFeatures: number,
    rows: number,
    h: readonly Float32Array[],
    present: Uint8Array | undefined,
    weight: Float32Array,
    bias: Float32Array | undefined,
  ): NativeResult<Float32Array>;

  tensorFusionPrepare(
    exec: NativeExec,
    cancel: NativeCancel,
    dims: readonly number[],
    outFeatures: number,
    weight: Float32Array,
    bias: Float32Array | undefined,
    activation: number,
    slope: number,
    weightType: number,
  ): NativeResult<NativeHandle>;

  tensorFusionRun(
    exec: NativeExec,
    cancel: NativeCancel,
    handle: NativeHandle,
    rows: number,
    h: readonly Float32Array[],
    present: Uint8Array | undefined,
    out: Float32Array | undefined,
  ): NativeResult<Float32Array>;
}
