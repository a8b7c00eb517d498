/** What describes a spectrogram: options of every convention, and the one list of parameters that they come down to. */
import { describeValue, InputError } from '../errors.js';

// Each list in the order of its enum in native/ops/mel/mel.h.
export const WINDOWS = ['hann', 'hamming', 'blackman', 'rectangular', 'povey'] as const;
export const PAD_MODES = ['none', 'zero', 'reflect', 'edge'] as const;
export const MEL_SCALES = ['slaney', 'htk', 'kaldi'] as const;
export const SCALINGS = ['power', 'log', 'db', 'whisper'] as const;

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

const WHISPER_SAMPLE_RATE = 16000;
const WHISPER_N_FFT = 400;
const WHISPER_HOP_LENGTH = 160;
const LOWEST_ENERGY = 1e-10;
const MOST_N_FFT = 65536;
/** Kaldi's floor of energies: the float32 epsilon. */
const KALDI_AMIN = 1.1920929e-7;

/** The number by which the addon knows `value`. @throws InputError ERR_INPUT_VALUE */
export function indexIn(list: readonly string[], value: string, field: string): number {
  const index = list.indexOf(value);
  if (index >= 0) return index;
  throw new InputError('ERR_INPUT_VALUE', {
    field,
    expected: `one of ${list.join(', ')}`,
    got: describeValue(value),
  });
}

/** The parameters of native/ops/mel/mel.h, all of them. */
export interface SpectrogramPlan {
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

function framePlan(o: LinearSpectrogramOptions): SpectrogramPlan {
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

/** The filterbank with librosa's defaults. */
export function bands(o: MelFilterbankOptions) {
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

function whisperPlan(o: WhisperOptions): SpectrogramPlan {
  const options = { nFft: WHISPER_N_FFT, hopLength: WHISPER_HOP_LENGTH, padMode: 'reflect', ...o } as const;
  return {
    ...framePlan(options),
    ...bands({ sampleRate: WHISPER_SAMPLE_RATE, nFft: WHISPER_N_FFT, nMels: o.nMels ?? 80 }),
    scaling: { kind: 'whisper' },
    dropLast: true,
    padTo: o.padTo ?? 0,
  };
}

function kaldiPlan(o: KaldiOptions): SpectrogramPlan {
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

/** Every parameter of a spec, by the defaults of its kind. @throws InputError ERR_INPUT_VALUE */
export function planOf(spec: SpectrogramSpec): SpectrogramPlan {
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

/** `DecibelOptions` as the addon takes them. @throws InputError ERR_INPUT_VALUE */
export function decibels(o: DecibelOptions): { ref: number; amin: number; topDb: number } {
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
