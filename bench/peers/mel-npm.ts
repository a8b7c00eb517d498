/** Spectrograms as npm's packages make them: fft.js with a sparse bank, transformers.js, meyda. */
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { packageRoot } from '../../lib/native.js';
import { type MelFilterbank, melFilterbank } from '../../lib/ops/index.js';
import type { Contender } from '../harness.js';
import { peerModule } from './npm.js';

export interface MelWork {
  sampleRate: number;
  nFft: number;
  hopLength: number;
  nMels: number;
  decibels: boolean;
}

interface FftJs {
  createComplexArray(): number[];
  /** Pairs re, im of bins 0 to size / 2. */
  realTransform(out: number[], data: ArrayLike<number>): void;
}

function toDecibels(energies: Float32Array): Float32Array {
  let top = 0;
  for (let i = 0; i < energies.length; i++) if ((energies[i] as number) > top) top = energies[i] as number;
  const zero = 10 * Math.log10(Math.max(1e-10, top));
  for (let i = 0; i < energies.length; i++)
    energies[i] = Math.max(10 * Math.log10(Math.max(1e-10, energies[i] as number)) - zero, -80);
  return energies;
}

/** What a careful JavaScript program would do: npm's fastest FFT, and the bank's zeros left out. */
export function fftJsMel(work: MelWork, samples: Float32Array): Contender | undefined {
  const FFT = peerModule<new (size: number) => FftJs>('fft.js');
  if (!FFT) return undefined;
  const { nFft, hopLength, sampleRate, nMels, decibels } = work;
  const fft = new FFT(nFft);
  const spectrum = fft.createComplexArray();
  const frame = new Float64Array(nFft);
  const power = new Float64Array(nFft / 2 + 1);
  const window = Float64Array.from(
    { length: nFft },
    (_, i) => 0.5 - 0.5 * Math.cos((2 * Math.PI * i) / nFft),
  );
  const { start, count, weights }: MelFilterbank = melFilterbank({ sampleRate, nFft, nMels });
  const nFrames = 1 + Math.floor(samples.length / hopLength);
  return () => {
    const out = new Float32Array(nMels * nFrames);
    for (let t = 0; t < nFrames; t++) {
      const from = t * hopLength - nFft / 2;
      for (let i = 0; i < nFft; i++) {
        const at = from + i;
        const x = at < 0 || at >= samples.length ? 0 : (samples[at] as number);
        frame[i] = x * (window[i] as number);
      }
      fft.realTransform(spectrum, frame);
      for (let k = 0; k <= nFft / 2; k++) {
        const re = spectrum[2 * k] as number;
        const im = spectrum[2 * k + 1] as number;
        power[k] = re * re + im * im;
      }
      let w = 0;
      for (let m = 0; m < nMels; m++) {
        let sum = 0;
        const end = (start[m] as number) + (count[m] as number);
        for (let k = start[m] as number; k < end; k++) sum += (weights[w++] as number) * (power[k] as number);
        out[m * nFrames + t] = sum;
      }
    }
    return decibels ? toDecibels(out) : out;
  };
}

interface TransformersAudio {
  spectrogram(
    waveform: Float32Array,
    window: Float64Array,
    frameLength: number,
    hopLength: number,
    options: Record<string, unknown>,
  ): Promise<{ data: Float32Array }>;
  mel_filter_bank(
    bins: number,
    bands: number,
    fMin: number,
    fMax: number,
    sampleRate: number,
    norm: string,
    scale: string,
  ): number[][];
  window_function(length: number, name: string): Float64Array;
}

/** Its general function for spectrograms, which the package carries as a module of its own but does not export. */
export async function transformersMel(work: MelWork, samples: Float32Array): Promise<Contender | undefined> {
  const file = path.join(
    packageRoot(),
    'bench/peers/node_modules/@huggingface/transformers/src/utils/audio.js',
  );
  const audio = (await import(pathToFileURL(file).href).catch(() => undefined)) as
    | TransformersAudio
    | undefined;
  if (!audio) return undefined;
  const { sampleRate, nFft, hopLength, nMels, decibels } = work;
  const window = audio.window_function(nFft, 'hann');
  const bank = audio.mel_filter_bank(1 + nFft / 2, nMels, 0, sampleRate / 2, sampleRate, 'slaney', 'slaney');
  const options = { power: 2, pad_mode: 'constant', mel_filters: bank };
  return async () => {
    const { data } = await audio.spectrogram(samples, window, nFft, hopLength, options);
    return decibels ? toDecibels(data) : data;
  };
}

interface TransformersWhisper {
  WhisperFeatureExtractor: new (
    config: Record<string, unknown>,
  ) => (samples: Float32Array) => Promise<{ input_features: { data: Float32Array } }>;
}

export function transformersWhisper(samples: Float32Array): Contender | undefined {
  const module = peerModule<TransformersWhisper>('@huggingface/transformers');
  if (!module) return undefined;
  const extract = new module.WhisperFeatureExtractor({
    feature_size: 80,
    sampling_rate: 16000,
    n_fft: 400,
    hop_length: 160,
    n_samples: 480000,
    nb_max_frames: 3000,
  });
  return async () => (await extract(samples)).input_features.data;
}

interface Meyda {
  bufferSize: number;
  sampleRate: number;
  melBands: number;
  windowingFunction: string;
  extract(feature: 'melBands', signal: Float32Array): number[];
}

/** Frames cut by hand, as its users must, since it knows single buffers only. */
export function meydaMel(work: MelWork, samples: Float32Array): Contender | undefined {
  const meyda = peerModule<Meyda>('meyda');
  if (!meyda) return undefined;
  const { sampleRate, nFft, hopLength, nMels } = work;
  const nFrames = 1 + Math.floor(samples.length / hopLength);
  const padded = new Float32Array(samples.length + nFft);
  padded.set(samples, nFft / 2);
  return () => {
    Object.assign(meyda, { bufferSize: nFft, sampleRate, melBands: nMels, windowingFunction: 'hanning' });
    const out = new Float32Array(nMels * nFrames);
    for (let t = 0; t < nFrames; t++) {
      const bands = meyda.extract('melBands', padded.subarray(t * hopLength, t * hopLength + nFft));
      for (let m = 0; m < nMels; m++) out[m * nFrames + t] = bands[m] as number;
    }
    return out;
  };
}
