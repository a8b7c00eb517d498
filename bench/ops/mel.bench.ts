/** Spectrograms as applications ask for them; beside other libraries: bench/peers. */
import {
  type MelFilterbank,
  melFilterbank,
  melSpectrogram,
  Spectrogram,
  type SpectrogramResult,
  type SpectrogramSpec,
} from '../../lib/ops/index.js';
import { type BenchCase, defineSuite } from '../harness.js';

const SAMPLE_RATE = 22050;
const N_FFT = 2048;

/** A voice-like sum of tones with some noise, the same in every run. */
function clip(seconds: number, sampleRate: number, scale = 1): Float32Array {
  let state = 1;
  return Float32Array.from({ length: seconds * sampleRate }, (_, i) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const t = i / sampleRate;
    const voice =
      Math.sin(2 * Math.PI * 180 * t) + 0.5 * Math.sin(2 * Math.PI * (900 + 200 * Math.sin(t)) * t);
    return scale * (0.3 * voice + 0.05 * (state / 2 ** 32 - 0.5));
  });
}

/** Real transform, window, |X|^2 and the sparse bank, a multiply and an add being two. */
function flops(nFrames: number, nFft: number, bank: MelFilterbank): number {
  return nFrames * (2.5 * nFft * Math.log2(nFft) + nFft + 1.5 * nFft + 2 * bank.weights.length);
}

function agree(results: Record<string, unknown>, atol: number): void {
  const [ours, ...others] = Object.values(results).map((r) =>
    r instanceof Float32Array ? r : (r as SpectrogramResult).data,
  );
  if (!ours) throw new Error('no result');
  const top = ours.reduce((a, b) => Math.max(a, Math.abs(b)), 0);
  for (const other of others) {
    const bad = ours.findIndex((v, i) => !(Math.abs(v - (other[i] as number)) <= atol + 1e-6 * top));
    if (bad >= 0 || other.length !== ours.length) throw new Error(`results differ at ${bad}`);
  }
}

async function cases(): Promise<BenchCase[]> {
  const bank = melFilterbank({ sampleRate: SAMPLE_RATE });
  const list: BenchCase[] = [];
  for (const [seconds, decibels] of [
    [15, false],
    [15, true],
    [150, true],
  ] as const) {
    const samples = clip(seconds, SAMPLE_RATE);
    const options = {
      sampleRate: SAMPLE_RATE,
      ...(decibels && { scaling: { kind: 'db', ref: 'max' } as const }),
    };
    const spectrogram = await Spectrogram.create({ kind: 'mel', ...options });
    const nFrames = spectrogram.frames(samples.length);
    const out = new Float32Array(spectrogram.nBands * nFrames);
    list.push({
      name: `librosa defaults, ${seconds} s of 22.05 kHz, 128 bands${decibels ? ', dB' : ''}`,
      flops: flops(nFrames, N_FFT, bank),
      bytes: samples.byteLength + out.byteLength,
      contenders: {
        'cinefuse, prepared, into out': () => spectrogram.run(samples, { out }),
        'cinefuse, one call': () => melSpectrogram(samples, options),
      },
      check: (results) => agree(results, decibels ? 0.01 : 0),
    });
  }

  const specs: [string, SpectrogramSpec, Float32Array, number, MelFilterbank][] = [
    [
      'Whisper, 30 s of 16 kHz, 80 bands',
      { kind: 'whisper' },
      clip(30, 16000),
      400,
      melFilterbank({ sampleRate: 16000, nFft: 400, nMels: 80 }),
    ],
    [
      'Kaldi, 10 s of 16 kHz, 80 bands',
      { kind: 'kaldi' },
      clip(10, 16000, 32767),
      512,
      melFilterbank({ sampleRate: 16000, nFft: 512, nMels: 80 }),
    ],
  ];
  for (const [name, spec, samples, nFft, sparse] of specs) {
    const spectrogram = await Spectrogram.create(spec);
    const nFrames = spectrogram.frames(samples.length);
    const out = new Float32Array(spectrogram.nBands * nFrames);
    list.push({
      name,
      flops: flops(nFrames, nFft, sparse),
      bytes: samples.byteLength + out.byteLength,
      contenders: { 'cinefuse, prepared, into out': () => spectrogram.run(samples, { out }) },
    });
  }
  return list;
}

export default defineSuite('mel', { cases });
