import type { NativeHandle } from '../native.js';
import { type ExecOptions, execute, executeSync } from './exec.js';
import { Prepared } from './prepared.js';
import {
  bands,
  type DecibelOptions,
  decibels,
  indexIn,
  type KaldiOptions,
  type LinearSpectrogramOptions,
  MEL_SCALES,
  type MelFilterbankOptions,
  type MelOptions,
  PAD_MODES,
  planOf,
  SCALINGS,
  type SpectrogramPlan,
  type SpectrogramScaling,
  type SpectrogramSpec,
  WINDOWS,
  type WhisperOptions,
} from './spectrogram-spec.js';

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

async function prepare(p: SpectrogramPlan, options: ExecOptions | undefined): Promise<NativeHandle> {
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

/** What the one-call forms prepared last: making windows and twiddles takes longer than the spectrogram of a second. */
const recent = new Map<string, Spectrogram>();
const MOST_RECENT = 4;
const LONGEST_KEPT = 8192; // samples of a transform: some hundred kilobytes of tables

/** Names every value of a plan with its type, or undefined where one is no plain value and the addon has to judge it. */
function keyOf(plan: SpectrogramPlan): string | undefined {
  const values = Object.entries({ ...plan, ...plan.scaling, scaling: undefined });
  if (!(plan.nFft <= LONGEST_KEPT) || values.some(([, v]) => typeof v === 'object' && v !== null))
    return undefined;
  return values.map(([name, v]) => `${name} ${typeof v} ${String(v)}`).join('\n');
}

async function once(
  spec: SpectrogramSpec,
  samples: Float32Array,
  options: SpectrogramRunOptions,
): Promise<SpectrogramResult> {
  const key = keyOf(planOf(spec));
  const kept = key !== undefined ? recent.get(key) : undefined;
  const spectrogram = kept ?? (await Spectrogram.create(spec, options));
  if (key === undefined) {
    try {
      return await spectrogram.run(samples, options);
    } finally {
      spectrogram.dispose();
    }
  }
  // The last one used goes to the end; what falls off the front is freed once no call holds it.
  recent.delete(key);
  recent.set(key, spectrogram);
  if (recent.size > MOST_RECENT) recent.delete(recent.keys().next().value as string);
  return spectrogram.run(samples, options);
}

/**
 * Mel spectrogram of one clip by librosa's defaults: `Spectrogram` of kind 'mel' for one call. The last few sets of
 * parameters stay ready; a `Spectrogram` of one's own is for many clips.
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
