import { describeValue, InputError } from '../errors.js';
import type { NativeHandle } from '../native.js';
import { type ExecOptions, execute, executeSync } from './exec.js';
import { Prepared } from './prepared.js';

// Each list in the order of its enum in native/ops/mel/mel.h.
const WINDOWS = ['hann', 'hamming', 'blackman', 'rectangular', 'povey'] as const;
const PAD_MODES = ['none', 'zero', 'reflect', 'edge'] as const;
const MEL_SCALES = ['slaney', 'htk', 'kaldi'] as const;
const SCALINGS = ['power', 'log', 'db', 'whisper'] as const;

export type SpectrogramWindow = (typeof WINDOWS)[number];
export type PadMode = Exclude<(typeof PAD_MODES)[number], 'none'>;
export type MelScale = 'slaney' | 'htk';

/** What becomes of |X|^power, or of the mel bands made of it. */
export type SpectrogramScaling =
  /** Nothing. */
  | { kind: 'power' }
  /** log(max(S + offset, amin)); base 'e' (default) or 10, offset default 0, amin default 1e-10. */
  | { kind: 'log'; base?: 'e' | 10; offset?: number; amin?: number }
  /** As `powerToDb`, over each clip. */
  | ({ kind: 'db' } & DecibelOptions);

export interface DecibelOptions {
  /** S of 0 dB. Default 1; 'max' is the clip's maximum. */
  ref?: number | 'max';
  /** Smaller S count as this. From 1.2e-38; default 1e-10. */
  amin?: number;
  /** Values more than this below the clip's maximum are raised to it. Default 80; null for none. */
  topDb?: number | null;
}

interface Layout {
  /** 'bands-frames' (default): (nBands, nFrames), as librosa; 'frames-bands': one frame after the other. */
  layout?: 'bands-frames' | 'frames-bands';
}

interface FrameOptions extends Layout {
  /** Length of the transform in samples, 2 to 65536. Any length; smooth ones (2, 3, 5) are fastest. Default 2048. */
  nFft?: number;
  /** Length of the window, which stands in the middle of the frame. Default nFft. */
  winLength?: number;
  /** Samples from frame to frame. Default nFft / 4. */
  hopLength?: number;
  /** Periodic, but for 'povey'. Default 'hann'. */
  window?: SpectrogramWindow;
  /** Exponent of |X|: 1 magnitude, 2 (default) power; above 0. */
  power?: number;
  /** Default { kind: 'power' }. */
  scaling?: SpectrogramScaling;
}

/** Frames centred on multiples of hopLength need padding on both sides; others start there and take none. */
type Framing = { center?: true; padMode?: PadMode } | { center: false; padMode?: undefined };

/** Bins 0 to nFft / 2 as they are. */
export type LinearSpectrogramOptions = FrameOptions & Framing;

export interface MelFilterbankOptions {
  /** Hz. */
  sampleRate: number;
  /** Default 2048. */
  nFft?: number;
  /** Bands. Default 128. */
  nMels?: number;
  /** Lower end of the lowest band in Hz. Default 0. */
  fMin?: number;
  /** Upper end of the highest band in Hz. Default sampleRate / 2. */
  fMax?: number;
  /** 'slaney' (default): linear below 1 kHz; 'htk': 2595 log10(1 + f/700). */
  melScale?: MelScale;
  /** 'slaney' (default): each band times 2 / its width in Hz; null: every band peaks at 1. */
  norm?: 'slaney' | null;
}

/** librosa's mel spectrogram; with padMode 'reflect', melScale 'htk' and norm null torchaudio's. */
export type MelOptions = MelFilterbankOptions & FrameOptions & Framing;

export interface WhisperOptions extends Layout {
  /** 80 (default), or 128 for large-v3. */
  nMels?: number;
  /** Samples to which shorter clips are filled with zeros: 480000 as the models want it. Default: as they are. */
  padTo?: number;
}

export interface KaldiOptions extends Layout {
  /** Hz. Default 16000. */
  sampleRate?: number;
  /** Default 80. */
  nMels?: number;
  /** Default 25. */
  frameLengthMs?: number;
  /** Default 10. */
  frameShiftMs?: number;
  /** Hz. Default 20. */
  fMin?: number;
  /** Hz. Default sampleRate / 2. */
  fMax?: number;
  /** Default 0.97. */
  preemphasis?: number;
  /** Symmetric. Default 'povey'. */
  window?: SpectrogramWindow;
}

/** Every kind of spectrogram, as plain data: what `Spectrogram.create` prepares. */
export type SpectrogramSpec =
  | ({ kind: 'mel' } & MelOptions)
  | ({ kind: 'linear' } & LinearSpectrogramOptions)
  | ({ kind: 'whisper' } & WhisperOptions)
  | ({ kind: 'kaldi' } & KaldiOptions);

export interface SpectrogramResult {
  /** (nBands, nFrames), or (nFrames, nBands) where the layout says so; row-major. */
  data: Float32Array;
  nBands: number;
  nFrames: number;
}

export interface SpectrogramRunOptions extends ExecOptions {
  /** Written instead of a new array: room for all frames of all clips, end to end. Must not overlap the samples. */
  out?: Float32Array | undefined;
}

const WHISPER_SAMPLE_RATE = 16000;
const WHISPER_N_FFT = 400;
const WHISPER_HOP_LENGTH = 160;
const LOWEST_ENERGY = 1e-10;
const MOST_N_FFT = 65536;
/** Kaldi's floor of energies: the float32 epsilon. */
const KALDI_AMIN = 1.1920929e-7;

function indexIn(list: readonly string[], value: string, field: string): number {
  const index = list.indexOf(value);
  if (index >= 0) return index;
  throw new InputError('ERR_INPUT_VALUE', {
    field,
    expected: `one of ${list.join(', ')}`,
    got: describeValue(value),
  });
}

/** The parameters of native/ops/mel/mel.h, all of them. */
interface Plan {
  sampleRate: number;
  nFft: number;
  nMels: number | undefined;
  fMin: number;
  fMax: number;
  melScale: (typeof MEL_SCALES)[number];
  norm: 'slaney' | null;
  winLength: number;
  hopLength: number;
  window: SpectrogramWindow;
  periodic: boolean;
  padMode: (typeof PAD_MODES)[number];
  kaldiFrames: boolean;
  preemphasis: number;
  power: number;
  scaling: SpectrogramScaling | { kind: 'whisper' };
  layout: 'bands-frames' | 'frames-bands';
  dropLast: boolean;
  padTo: number;
}

function framePlan(o: LinearSpectrogramOptions): Plan {
  const nFft = o.nFft ?? 2048;
  return {
    sampleRate: 0,
    nFft,
    nMels: undefined,
    fMin: 0,
    fMax: 0,
    melScale: 'slaney',
    norm: null,
    winLength: o.winLength ?? nFft,
    hopLength: o.hopLength ?? Math.max(1, Math.floor(nFft / 4)),
    window: o.window ?? 'hann',
    periodic: o.window !== 'povey',
    padMode: o.center === false ? 'none' : (o.padMode ?? 'zero'),
    kaldiFrames: false,
    preemphasis: 0,
    power: o.power ?? 2,
    scaling: o.scaling ?? { kind: 'power' },
    layout: o.layout ?? 'bands-frames',
    dropLast: false,
    padTo: 0,
  };
}

function bands(o: MelFilterbankOptions) {
  return {
    sampleRate: o.sampleRate,
    nFft: o.nFft ?? 2048,
    nMels: o.nMels ?? 128,
    fMin: o.fMin ?? 0,
    fMax: o.fMax ?? o.sampleRate / 2,
    melScale: o.melScale ?? 'slaney',
    norm: o.norm === undefined ? 'slaney' : o.norm,
  } as const;
}

function whisperPlan(o: WhisperOptions): Plan {
  const options = { nFft: WHISPER_N_FFT, hopLength: WHISPER_HOP_LENGTH, padMode: 'reflect', ...o } as const;
  return {
    ...framePlan(options),
    ...bands({ sampleRate: WHISPER_SAMPLE_RATE, nFft: WHISPER_N_FFT, nMels: o.nMels ?? 80 }),
    scaling: { kind: 'whisper' },
    dropLast: true,
    padTo: o.padTo ?? 0,
  };
}

function kaldiPlan(o: KaldiOptions): Plan {
  const sampleRate = o.sampleRate ?? 16000;
  const samplesOf = (ms: number, most: number, field: string) => {
    const samples = Math.floor(sampleRate * ms * 0.001);
    if (samples >= 1 && samples <= most) return samples;
    throw new InputError('ERR_INPUT_VALUE', {
      field,
      expected: `1 to ${most} samples at ${sampleRate} Hz`,
      got: `${describeValue(ms)}, in milliseconds`,
    });
  };
  const winLength = samplesOf(o.frameLengthMs ?? 25, MOST_N_FFT, 'frameLengthMs');
  let nFft = 2;
  while (nFft < winLength) nFft *= 2;
  return {
    ...framePlan({
      nFft,
      winLength,
      hopLength: samplesOf(o.frameShiftMs ?? 10, 2 ** 31 - 1, 'frameShiftMs'),
      center: false,
    }),
    ...bands({ sampleRate, nFft, nMels: o.nMels ?? 80, fMin: o.fMin ?? 20, norm: null }),
    fMax: o.fMax ?? sampleRate / 2,
    melScale: 'kaldi',
    window: o.window ?? 'povey',
    periodic: false,
    kaldiFrames: true,
    preemphasis: o.preemphasis ?? 0.97,
    scaling: { kind: 'log', amin: KALDI_AMIN },
    layout: o.layout ?? 'frames-bands',
  };
}

function planOf(spec: SpectrogramSpec): Plan {
  switch (spec?.kind) {
    case 'mel':
      return { ...framePlan(spec), ...bands(spec) };
    case 'linear':
      return framePlan(spec);
    case 'whisper':
      return whisperPlan(spec);
    case 'kaldi':
      return kaldiPlan(spec);
    default:
      throw new InputError('ERR_INPUT_VALUE', {
        field: 'kind',
        expected: "one of 'mel', 'linear', 'whisper', 'kaldi'",
        got: describeValue((spec as { kind?: unknown } | undefined)?.kind),
      });
  }
}

function decibels(o: DecibelOptions): { ref: number; amin: number; topDb: number } {
  if (typeof o.ref === 'number' && !(o.ref > 0)) {
    throw new InputError('ERR_INPUT_VALUE', {
      field: 'ref',
      expected: "'max' or a positive number",
      got: describeValue(o.ref),
    });
  }
  return {
    ref: o.ref === 'max' ? 0 : (o.ref ?? 1), // 0 stands for the maximum
    amin: o.amin ?? LOWEST_ENERGY,
    topDb: o.topDb === null ? Number.POSITIVE_INFINITY : (o.topDb ?? 80),
  };
}

async function prepare(p: Plan, options: ExecOptions | undefined): Promise<NativeHandle> {
  const melScale = indexIn(MEL_SCALES, p.melScale, 'melScale');
  if (p.norm !== null) indexIn(['slaney'], p.norm, 'norm');
  const window = indexIn(WINDOWS, p.window, 'window');
  const padding = indexIn(PAD_MODES, p.padMode, 'padMode');
  const framesFirst = indexIn(['bands-frames', 'frames-bands'], p.layout, 'layout') === 1;
  const scaling = indexIn(SCALINGS, p.scaling.kind, 'scaling.kind');
  const log: Partial<Extract<SpectrogramScaling, { kind: 'log' }>> =
    p.scaling.kind === 'log' ? p.scaling : {};
  const { ref, amin, topDb } = decibels(p.scaling.kind === 'db' ? p.scaling : {});
  return execute(options, (addon, exec, cancel) =>
    addon.melPlan(
      exec,
      cancel,
      p.sampleRate,
      p.nFft,
      p.nMels,
      p.fMin,
      p.fMax,
      melScale,
      p.norm === 'slaney',
      p.winLength,
      p.hopLength,
      window,
      p.periodic,
      padding,
      p.kaldiFrames,
      p.preemphasis,
      p.power,
      scaling,
      log.base === 10 ? Math.LOG10E : 1,
      log.offset ?? 0,
      log.amin ?? amin,
      ref,
      topDb,
      framesFirst,
      p.dropLast,
      p.padTo,
    ),
  );
}

/**
 * Spectrograms of mono clips by one set of parameters, with windows, twiddles and filterbank made ready once.
 *
 *   S[b, t] = Σ_k B[b, k] · |Σ_n w[n] · x[t·hopLength + n − pad] · e^(−2πikn/nFft)|^power
 *
 * pad = ⌊nFft/2⌋ for centred frames, else 0; nFrames = 1 + ⌊(nSamples + 2·pad − nFft)/hopLength⌋. `kind` chooses the
 * convention: 'mel' librosa and torchaudio, 'linear' without bands, 'whisper' openai-whisper's log-mel, 'kaldi' the
 * log filterbank energies of Kaldi. Clips do not touch each other: alone or in any batch, on any number of threads, a
 * clip's result is the same, bit for bit, on one instruction set.
 *
 * Within 1e-4·|S| + 1e-9·max S of float64 on the golden vectors (power 2), 0.01 dB, 2e-4 (Whisper), any instruction
 * set. Sources: librosa.feature.melspectrogram; whisper/audio.py; Kaldi's compute-fbank-feats.
 */
export class Spectrogram extends Prepared {
  /** @internal */
  private constructor(
    handle: NativeHandle,
    /** Mel bands, or bins of 'linear'. */
    readonly nBands: number,
  ) {
    super(handle);
  }

  /**
   * @throws InputError ERR_INPUT_VALUE, ERR_INPUT_TYPE  a parameter out of range, named by `field`
   * @throws BackendError ERR_MEMORY
   */
  static async create(spec: SpectrogramSpec, options?: ExecOptions): Promise<Spectrogram> {
    const plan = planOf(spec);
    return new Spectrogram(await prepare(plan, options), plan.nMels ?? Math.floor(plan.nFft / 2) + 1);
  }

  /**
   * Frames of a clip of `nSamples`.
   * @throws ShapeError ERR_SHAPE  the clip is too short for one frame, or longer than padTo
   */
  frames(nSamples: number): number {
    const { handle } = this;
    return executeSync(undefined, (addon, exec, cancel) => addon.melFrames(exec, cancel, handle, nSamples));
  }

  /**
   * @param samples  (nSamples), finite; in [-1, 1] but for Kaldi, whose models expect 16-bit integers' range
   * @throws ShapeError ERR_SHAPE        too few samples for a frame, more than padTo, or `out` of another length
   * @throws InputError ERR_INPUT_VALUE  a sample that is not finite, by its index; `out` overlaps the samples
   * @throws DisposedError ERR_DISPOSED
   * @throws CancelledError ERR_CANCELLED
   */
  async run(samples: Float32Array, options: SpectrogramRunOptions = {}): Promise<SpectrogramResult> {
    const { handle } = this;
    const [data, nFrames] = await execute(options, (addon, exec, cancel) =>
      addon.mel(exec, cancel, handle, [samples], options.out),
    );
    return { data, nBands: this.nBands, nFrames: nFrames[0] as number };
  }

  /**
   * Clips of any lengths in one call; the threads share them all.
   * @returns one result a clip, all views of one array (of `out` where given)
   * @throws as run, `field` being samples[i]
   */
  async runBatch(
    clips: readonly Float32Array[],
    options: SpectrogramRunOptions = {},
  ): Promise<SpectrogramResult[]> {
    const { handle, nBands } = this;
    const [data, nFrames] = await execute(options, (addon, exec, cancel) =>
      addon.mel(exec, cancel, handle, clips as Float32Array[], options.out),
    );
    let at = 0;
    return Array.from(nFrames, (frames) => {
      const begin = at;
      at += frames * nBands;
      return { data: data.subarray(begin, at), nBands, nFrames: frames };
    });
  }
}

async function once(
  spec: SpectrogramSpec,
  samples: Float32Array,
  options: SpectrogramRunOptions,
): Promise<SpectrogramResult> {
  const spectrogram = await Spectrogram.create(spec, options);
  try {
    return await spectrogram.run(samples, options);
  } finally {
    spectrogram.dispose();
  }
}

/**
 * Mel spectrogram of one clip by librosa's defaults: `Spectrogram` of kind 'mel' for one call. Keep a `Spectrogram` for
 * many clips.
 *
 * @param samples  (nSamples) at `sampleRate` Hz, finite, at least 1
 * @returns (nMels, nFrames), nFrames = 1 + ⌊nSamples/hopLength⌋ for even nFft and centred frames
 * @throws as Spectrogram.create and Spectrogram.run
 */
export async function melSpectrogram(
  samples: Float32Array,
  options: MelOptions & SpectrogramRunOptions,
): Promise<SpectrogramResult> {
  return once({ ...options, kind: 'mel' }, samples, options);
}

/** |X|^power of every bin, (1 + nFft/2, nFrames): `Spectrogram` of kind 'linear' for one call. */
export async function linearSpectrogram(
  samples: Float32Array,
  options: LinearSpectrogramOptions & SpectrogramRunOptions = {},
): Promise<SpectrogramResult> {
  return once({ ...options, kind: 'linear' }, samples, options);
}

/**
 * Input of the Whisper models: g = log10(max(S, 1e-10)), raised to max g − 8, then (g + 4)/4. Frames of 400 samples
 * every 160, centred, reflected; the last one dropped.
 *
 * @param samples  (nSamples) at 16 kHz in [-1, 1], at least 160
 * @returns (nMels, ⌊n/160⌋), n = padTo or nSamples
 * @throws as Spectrogram.create and Spectrogram.run
 */
export async function whisperLogMel(
  samples: Float32Array,
  options: WhisperOptions & SpectrogramRunOptions = {},
): Promise<SpectrogramResult> {
  return once({ ...options, kind: 'whisper' }, samples, options);
}

/**
 * Kaldi's log filterbank energies: frames without padding (snip_edges), their mean removed, pre-emphasis, window, FFT
 * of the next power of two, triangles straight in mel = 1127 ln(1 + f/700), ln(max(·, 1.19e-7)). No dither.
 *
 * @param samples  (nSamples) in the range of 16-bit integers, at least one frame long
 * @returns (nFrames, nMels), nFrames = 1 + ⌊(nSamples − frame)/shift⌋
 * @throws as Spectrogram.create and Spectrogram.run
 */
export async function kaldiFbank(
  samples: Float32Array,
  options: KaldiOptions & SpectrogramRunOptions = {},
): Promise<SpectrogramResult> {
  return once({ ...options, kind: 'kaldi' }, samples, options);
}

/**
 * Decibels of energies: 10·log10(max(S, amin)) − 10·log10(max(ref, amin)), raised to its maximum − topDb.
 *
 * @param s  energies, at least 0; the maximum is over all of them
 * @returns as many values, in a new array or `out` (which may be `s`)
 * @throws InputError ERR_INPUT_VALUE  ref, amin or topDb out of range
 * @throws ShapeError ERR_SHAPE        `out` of another length
 *
 * Within 1e-4 dB of float64. Source: librosa.power_to_db.
 */
export async function powerToDb(
  s: Float32Array,
  options: DecibelOptions & SpectrogramRunOptions = {},
): Promise<Float32Array> {
  const { ref, amin, topDb } = decibels(options);
  return execute(options, (addon, exec, cancel) =>
    addon.powerToDb(exec, cancel, ref, amin, topDb, s, options.out),
  );
}

/** Rows of a sparse matrix: row i holds count[i] weights from column start[i]; the rows' weights end to end. */
export interface MelFilterbank {
  start: Int32Array;
  count: Int32Array;
  weights: Float64Array;
}

/**
 * Triangular mel filters over the bins 0 to nFft / 2, in float64; sides straight in Hz.
 *
 *   B[m, k] = max(0, min((f_k − f_m)/(f_{m+1} − f_m), (f_{m+2} − f_k)/(f_{m+2} − f_{m+1}))),  f_k = k·sampleRate/nFft
 *
 * @returns (nMels, 1 + nFft/2), sparse; a band narrower than a bin may be empty
 * @throws InputError ERR_INPUT_VALUE  a parameter out of range
 *
 * Within 1e-14 of the peak of librosa.filters.mel. Source: Slaney 1998; HTK.
 */
export function melFilterbank(options: MelFilterbankOptions): MelFilterbank {
  const b = bands(options);
  const melScale = indexIn(MEL_SCALES, b.melScale, 'melScale');
  if (b.norm !== null) indexIn(['slaney'], b.norm, 'norm');
  return executeSync(undefined, (addon, exec, cancel) =>
    addon.melFilterbank(
      exec,
      cancel,
      b.sampleRate,
      b.nFft,
      b.nMels,
      b.fMin,
      b.fMax,
      melScale,
      b.norm === 'slaney',
    ),
  );
}
