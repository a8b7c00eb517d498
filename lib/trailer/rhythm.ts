import { throwIfCancelled } from '../errors.js';
import type { DecodedAudio } from '../media/types.js';
import type { ExecOptions } from '../ops/exec.js';
import { Spectrogram } from '../ops/mel.js';
import { Pace } from '../pace.js';
import type { Curve } from './figures.js';

export interface Rhythm {
  /** Mean rise of the mel bands from frame to frame, in dB: high where sounds begin. 43 values a second. */
  onsetStrength: Curve;
  /** When sounds begin, in ms of the clip. */
  onsetsMs: number[];
  /** Beats a minute of the whole; null without any onset. */
  tempoBpm: number | null;
  /** Beats a minute of the 8 s around each time; 0 where there is no onset. */
  tempo: Curve;
}

/** librosa's defaults. */
export const RHYTHM_SAMPLE_RATE = 22050;
const HOP_LENGTH = 512;
const N_FFT = 2048;
const N_MELS = 128;
const MS_PER_FRAME = (1000 * HOP_LENGTH) / RHYTHM_SAMPLE_RATE;
/** Frames of the window whose autocorrelation tells the tempo: 8 s. */
const WINDOW = Math.floor((8 * RHYTHM_SAMPLE_RATE) / HOP_LENGTH);
/** Every so many frames the tempo is looked at: 186 ms. */
const TEMPO_STEP = 8;
const PRIOR = { bpm: 120, octaves: 1, most: 320 };

/**
 * Onset strength, onsets and tempo of a sound, as librosa 0.11 has them: `onset.onset_strength`, `onset.onset_detect` and
 * `feature.tempo` with their defaults (the tempogram every eighth frame).
 *
 * @param audio  mono at RHYTHM_SAMPLE_RATE
 */
export async function rhythmOf(
  audio: DecodedAudio,
  exec: Omit<ExecOptions, 'signal'> = {},
  signal?: AbortSignal,
): Promise<Rhythm> {
  using spectrogram = await Spectrogram.create(
    {
      kind: 'mel',
      sampleRate: RHYTHM_SAMPLE_RATE,
      nFft: N_FFT,
      hopLength: HOP_LENGTH,
      nMels: N_MELS,
      padMode: 'zero',
      scaling: { kind: 'db' },
      layout: 'frames-bands',
    },
    { ...exec, signal },
  );
  const { data, nFrames } = await spectrogram.run(audio.samples, { ...exec, signal });
  const strength = await onsetStrength(data, nFrames, signal);
  const tempogram = await tempogramOf(strength, signal);
  const { startMs } = audio;
  const overall = new Float64Array(WINDOW);
  for (const frame of tempogram) for (let lag = 0; lag < WINDOW; lag++) overall[lag]! += frame[lag]!;
  const heard = strength.some((value) => value > 0);
  return {
    onsetStrength: { startMs, stepMs: MS_PER_FRAME, values: Array.from(strength) },
    onsetsMs: peaksOf(strength).map((frame) => startMs + frame * MS_PER_FRAME),
    tempoBpm: heard ? tempoOf(overall.map((sum) => sum / tempogram.length)) : null,
    tempo: {
      startMs,
      stepMs: TEMPO_STEP * MS_PER_FRAME,
      values: tempogram.map((frame) => (frame[0]! > 0 ? tempoOf(frame) : 0)),
    },
  };
}

async function onsetStrength(
  mel: Float32Array,
  nFrames: number,
  signal: AbortSignal | undefined,
): Promise<Float32Array> {
  const pace = new Pace();
  // A frame's centre is half a window before its end: what rises between two frames sounds that much later.
  const shift = 1 + Math.floor(N_FFT / (2 * HOP_LENGTH));
  const strength = new Float32Array(nFrames);
  for (let frame = shift; frame < nFrames; frame++) {
    const now = (frame - shift + 1) * N_MELS;
    let sum = 0;
    for (let band = now; band < now + N_MELS; band++) sum += Math.max(0, mel[band]! - mel[band - N_MELS]!);
    strength[frame] = sum / N_MELS;
    if (!pace.due) continue;
    await pace.rest();
    throwIfCancelled(signal);
  }
  return strength;
}

/** Autocorrelations of Hann windows over the strength, each scaled to 1 at lag 0. */
async function tempogramOf(strength: Float32Array, signal: AbortSignal | undefined): Promise<Float64Array[]> {
  const pace = new Pace();
  const half = WINDOW >> 1;
  const length = strength.length;
  const padded = new Float64Array(length + 2 * half);
  padded.set(strength, half);
  // Beyond both ends the strength goes down to 0 in a straight line.
  for (let i = 0; i < half; i++) {
    padded[i] = (strength[0]! * i) / half;
    padded[half + length + i] = (strength[length - 1]! * (half - 1 - i)) / half;
  }
  const hann = Float64Array.from(
    { length: WINDOW },
    (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / WINDOW),
  );
  const frames: Float64Array[] = [];
  const windowed = new Float64Array(WINDOW);
  for (let start = 0; start < length; start += TEMPO_STEP) {
    for (let i = 0; i < WINDOW; i++) windowed[i] = padded[start + i]! * hann[i]!;
    const frame = new Float64Array(WINDOW);
    for (let lag = 0; lag < WINDOW; lag++) {
      let sum = 0;
      for (let i = lag; i < WINDOW; i++) sum += windowed[i]! * windowed[i - lag]!;
      frame[lag] = sum;
    }
    const most = frame.reduce((best, value) => Math.max(best, Math.abs(value)), 0);
    if (most > 0) for (let lag = 0; lag < WINDOW; lag++) frame[lag]! /= most;
    frames.push(frame);
    if (!pace.due) continue;
    await pace.rest();
    throwIfCancelled(signal);
  }
  return frames;
}

/** The lag of the largest autocorrelation, weighted by how common its tempo is. */
function tempoOf(autocorrelation: Float64Array): number {
  let best = 0;
  let most = Number.NEGATIVE_INFINITY;
  for (let lag = 1; lag < WINDOW; lag++) {
    const bpm = 60_000 / (MS_PER_FRAME * lag);
    if (bpm >= PRIOR.most) continue;
    const prior = -0.5 * (Math.log2(bpm / PRIOR.bpm) / PRIOR.octaves) ** 2;
    const weight = Math.log1p(1e6 * autocorrelation[lag]!) + prior;
    if (weight > most) [best, most] = [bpm, weight];
  }
  return best;
}

/** Frames that are the highest around them, and 7 % of the whole range above the mean around them. */
function peaksOf(strength: Float32Array): number[] {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (const value of strength) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  if (!(high > low)) return [];
  const x = strength.map((value) => (value - low) / (high - low));
  const per = (seconds: number) => Math.floor((seconds * RHYTHM_SAMPLE_RATE) / HOP_LENGTH);
  const [before, averageBefore, averageAfter, wait] = [per(0.03), per(0.1), per(0.1) + 1, per(0.03)];
  const peaks: number[] = [];
  for (let n = 0; n < x.length; n++) {
    const around = x.subarray(Math.max(0, n - before), n + 1);
    if (x[n]! < around.reduce((most, value) => Math.max(most, value), 0)) continue;
    const near = x.subarray(Math.max(0, n - averageBefore), n + averageAfter);
    const mean = near.reduce((sum, value) => sum + value, 0) / near.length;
    if (x[n]! < mean + 0.07) continue;
    if (peaks.length > 0 && n - peaks.at(-1)! <= wait) continue;
    peaks.push(n);
  }
  return peaks;
}
