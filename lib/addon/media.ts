/** What the addon makes of sound and pictures. */
import type { NativeCancel, NativeExec, NativeHandle, NativeResult } from './types.js';

export interface NativeMedia {
  frames(
    exec: NativeExec,
    cancel: NativeCancel,
    images: Uint8Array[],
    descriptions: Int32Array,
    resizeH: number,
    resizeW: number,
    cropH: number,
    cropW: number,
    filter: number,
    rounding: number,
    scale: number,
    mean0: number,
    mean1: number,
    mean2: number,
    std0: number,
    std1: number,
    std2: number,
    output: number,
    out: Float32Array | Uint16Array | Uint8Array | undefined,
  ): NativeResult<Float32Array | Uint16Array | Uint8Array>;

  opticalFlow(
    exec: NativeExec,
    cancel: NativeCancel,
    n: number,
    height: number,
    width: number,
    levels: number,
    iterations: number,
    window: number,
    regularization: number,
    bytes: Uint8Array | undefined,
    floats: Float32Array | undefined,
    out: Float32Array | undefined,
  ): NativeResult<Float32Array>;

  framesSize(
    exec: NativeExec,
    cancel: NativeCancel,
    width: number,
    height: number,
    resizeH: number,
    resizeW: number,
    cropH: number,
    cropW: number,
  ): [number, number];

  mel(
    exec: NativeExec,
    cancel: NativeCancel,
    plan: NativeHandle,
    samples: Float32Array[],
    out: Float32Array | undefined,
  ): NativeResult<[values: Float32Array, nFrames: Int32Array]>;

  melFilterbank(
    exec: NativeExec,
    cancel: NativeCancel,
    sampleRate: number,
    nFft: number,
    nMels: number,
    fMin: number,
    fMax: number,
    melScale: number,
    areaNorm: boolean,
  ): { start: Int32Array; count: Int32Array; weights: Float64Array };

  melFrames(exec: NativeExec, cancel: NativeCancel, plan: NativeHandle, nSamples: number): number;

  melPlan(
    exec: NativeExec,
    cancel: NativeCancel,
    sampleRate: number,
    nFft: number,
    nMels: number | undefined,
    fMin: number,
    fMax: number,
    melScale: number,
    areaNorm: boolean,
    winLength: number,
    hopLength: number,
    window: number,
    periodic: boolean,
    padding: number,
    kaldiFrames: boolean,
    preemphasis: number,
    power: number,
    scaling: number,
    logFactor: number,
    offset: number,
    amin: number,
    ref: number,
    topDb: number,
    framesFirst: boolean,
    dropLast: boolean,
    padTo: number,
  ): NativeResult<NativeHandle>;

  powerToDb(
    exec: NativeExec,
    cancel: NativeCancel,
    ref: number,
    amin: number,
    topDb: number,
    s: Float32Array,
    out: Float32Array | undefined,
  ): NativeResult<Float32Array>;
}
