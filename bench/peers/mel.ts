/** Spectrograms by librosa's defaults and as Whisper takes them, against npm's and Python's. */
import {
  type MelFilterbank,
  melFilterbank,
  melSpectrogram,
  Spectrogram,
  type SpectrogramResult,
} from '../../lib/ops/index.js';
import { type BenchCase, type Contender, defineSuite } from '../harness.js';
import { fftJsMel, type MelWork, meydaMel, transformersMel, transformersWhisper } from './mel-npm.js';
import { agreeing, endPeers, present, pythonPeers, shaped } from './peers.js';

/** A voice-like sum of tones with some noise, the same in every run. */
export function voice(seconds: number, sampleRate: number): Float32Array {
  let state = 1;
  return Float32Array.from({ length: seconds * sampleRate }, (_, i) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const t = i / sampleRate;
    const tones =
      Math.sin(2 * Math.PI * 180 * t) + 0.5 * Math.sin(2 * Math.PI * (900 + 200 * Math.sin(t)) * t);
    return 0.3 * tones + 0.05 * (state / 2 ** 32 - 0.5);
  });
}

/** Window, real transform, |X|^2 and the sparse bank, a multiply and an add being two. */
function flops(nFrames: number, nFft: number, bank: MelFilterbank): number {
  return nFrames * (2.5 * nFft * Math.log2(nFft) + nFft + 1.5 * nFft + 2 * bank.weights.length);
}

const data = (run: () => Promise<SpectrogramResult>) => async () => (await run()).data;

async function librosaCase(seconds: number, decibels: boolean): Promise<BenchCase> {
  const work: MelWork = { sampleRate: 22050, nFft: 2048, hopLength: 512, nMels: 128, decibels };
  const samples = voice(seconds, work.sampleRate);
  const options = {
    sampleRate: work.sampleRate,
    ...(decibels && { scaling: { kind: 'db', ref: 'max' } as const }),
  };
  const prepared = await Spectrogram.create({ kind: 'mel', ...options });
  const nFrames = prepared.frames(samples.length);
  const out = new Float32Array(work.nMels * nFrames);
  return {
    name: `librosa defaults, ${seconds} s of 22.05 kHz, 128 bands, ${decibels ? 'dB' : 'linear'}`,
    flops: flops(nFrames, work.nFft, melFilterbank({ sampleRate: work.sampleRate })),
    bytes: samples.byteLength + out.byteLength,
    contenders: {
      'cinefuse, prepared, into out': data(() => prepared.run(samples, { out })),
      'cinefuse, prepared': data(() => prepared.run(samples)),
      'cinefuse, one call': data(() => melSpectrogram(samples, options)),
      ...present({
        'fft.js, sparse bank': fftJsMel(work, samples),
        'transformers.js spectrogram': await transformersMel(work, samples),
        ...(seconds <= 15 && { 'meyda melBands': meydaMel(work, samples) }),
      }),
      ...(await pythonPeers('mel', { ...work }, shaped(samples, samples.length))),
    },
    differs: { 'meyda melBands': 'log(1 + S) of a filterbank of its own' },
    // 0.01 dB of 80; energies to 1e-4 of the largest, since some of them calculate in float32.
    check: agreeing((name) => (name.startsWith('meyda') ? undefined : { most: decibels ? 6e-4 : 1e-4 })),
  };
}

async function whisperCase(): Promise<BenchCase> {
  const samples = voice(30, 16000);
  const prepared = await Spectrogram.create({ kind: 'whisper' });
  const nFrames = prepared.frames(samples.length);
  const out = new Float32Array(80 * nFrames);
  const whisper: Record<string, Contender | undefined> = {
    'transformers.js WhisperFeatureExtractor': transformersWhisper(samples),
  };
  return {
    name: 'Whisper, 30 s of 16 kHz, 80 bands',
    flops: flops(nFrames, 400, melFilterbank({ sampleRate: 16000, nFft: 400, nMels: 80 })),
    bytes: samples.byteLength + out.byteLength,
    contenders: {
      'cinefuse, prepared, into out': data(() => prepared.run(samples, { out })),
      'cinefuse, prepared': data(() => prepared.run(samples)),
      ...present(whisper),
      ...(await pythonPeers(
        'whisper',
        { sampleRate: 16000, nFft: 400, hopLength: 160, nMels: 80 },
        shaped(samples, samples.length),
      )),
    },
    check: agreeing(() => ({ most: 1e-3 })),
  };
}

export default defineSuite('mel', {
  cases: async (): Promise<BenchCase[]> => [
    await librosaCase(15, true),
    await librosaCase(15, false),
    await librosaCase(150, false),
    await whisperCase(),
  ],
  dispose: endPeers,
});
