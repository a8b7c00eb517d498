/**
 * The native addon: where it is found, and the one description of its exports. Only lib/ops and lib/fusion use it.
 */
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { BackendError } from './errors.js';

/** Int32Array [backend, isa, threads, sync, device, precision], made by lib/ops/exec.ts. */
export type NativeExec = Int32Array;
/** Int32Array(1) that native code polls; 1 cancels. */
export type NativeCancel = Int32Array | undefined;
/** A native object owned by JS; freed by `releaseHandle` or the garbage collector. */
export type NativeHandle = { readonly __brand: 'cinefuse-handle' };

/** With `exec[3]` (sync) set, the value itself; else a promise of it. */
export type NativeResult<T> = T | Promise<T>;

export interface NativeInfo {
  isas: ('baseline' | 'avx2' | 'avx512')[];
  bestIsa: 'baseline' | 'avx2' | 'avx512';
  backends: ('cpu' | 'emulated' | 'cuda')[];
  errorCodes: string[];
  optimized: boolean;
  compiler: string;
}

export interface NativeDevice {
  ordinal: number;
  usable: boolean;
  reason: string;
  name: string;
  computeCapability: string;
  multiprocessors: number;
  memoryBytes: number;
  l2Bytes: number;
  driver: number;
  runtime: number;
}

export interface NativeAddon {
  info(): NativeInfo;
  releaseHandle(handle: NativeHandle): void;

  openDeviceLibrary(backend: number, path: string, memoryCap: number): { archs: string; toolkit: string };
  devices(exec: NativeExec, cancel: NativeCancel): NativeResult<NativeDevice[]>;
  deviceMemory(
    exec: NativeExec,
    cancel: NativeCancel,
  ): NativeResult<{ inUse: number; cached: number; peak: number; cap: number }>;
  trimDevice(exec: NativeExec, cancel: NativeCancel): NativeResult<undefined>;
  resetDevice(exec: NativeExec, cancel: NativeCancel): NativeResult<undefined>;

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
  powerToDb(
    exec: NativeExec,
    cancel: NativeCancel,
    ref: number,
    amin: number,
    topDb: number,
    s: Float32Array,
    out: Float32Array | undefined,
  ): NativeResult<Float32Array>;

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

/** The package's own root: the nearest folder upward that holds binding.gyp and package.json. */
export function packageRoot(): string {
  let dir = path.dirname(fileURLToPath(import.meta.url));
  while (!existsSync(path.join(dir, 'package.json'))) {
    const parent = path.dirname(dir);
    if (parent === dir) throw new BackendError('ERR_NATIVE_LOAD', { message: 'package.json was not found' });
    dir = parent;
  }
  return dir;
}

/** The version in the package's own manifest. */
export function packageVersion(): string {
  const manifest = JSON.parse(readFileSync(path.join(packageRoot(), 'package.json'), 'utf8')) as {
    version: string;
  };
  return manifest.version;
}

function load(): NativeAddon {
  const require = createRequire(import.meta.url);
  const root = packageRoot();
  const override = process.env.CINEFUSE_NATIVE_PATH;
  const places = override
    ? [override]
    : [
        path.join(root, 'build/Release/cinefuse_native.node'),
        path.join(root, 'build-cuda/Release/cinefuse_native.node'),
      ];
  for (const file of places) {
    if (!existsSync(file)) continue;
    try {
      return require(file) as NativeAddon;
    } catch (cause) {
      // A file that is there but broken must not be passed over for an older build.
      throw new BackendError('ERR_NATIVE_LOAD', {
        file,
        message: `The native addon ${file} could not be loaded: ${(cause as Error).message}. Rebuild it: npm rebuild cinefuse`,
        cause,
      });
    }
  }
  throw new BackendError('ERR_NATIVE_LOAD', {
    message: `The native addon was not found (tried ${places.join(', ')}). If your npm blocks install scripts, allow cinefuse's or run: npm rebuild cinefuse --foreground-scripts. In a clone: npm run build`,
  });
}

let addon: NativeAddon | undefined;

/** The addon, loaded on first use. @throws BackendError ERR_NATIVE_LOAD with the places tried and the fix. */
export function native(): NativeAddon {
  addon ??= load();
  return addon;
}
