import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import test from 'ava';
import { AudioEncoder } from '../../lib/audio/audio-encoder.js';
import { EncoderPool } from '../../lib/encoders/pool.js';
import { type AudioEncoderSpec, parseEncoderSpec, parseEncoderSpecText } from '../../lib/encoders/spec.js';
import type { CinefuseError } from '../../lib/errors.js';
import { MediaDecoder } from '../../lib/media/decoder.js';
import type { DecodedAudio } from '../../lib/media/types.js';
import { packageRoot } from '../../lib/native.js';
import { Spectrogram } from '../../lib/ops/mel.js';
import { digest, place, temporaryDirectory } from '../encoders/fixtures.js';
import { model, node, value } from '../onnx.js';
import { sharedPath, sharedTest } from '../shared.js';

const RATE = 1000;

function clip(samples: ArrayLike<number>, startMs = 0): DecodedAudio {
  return {
    samples: Float32Array.from(samples),
    sampleRate: RATE,
    durationMs: (1000 * samples.length) / RATE,
    startMs,
  };
}

const ramp = (length: number) => Float32Array.from({ length }, (_, i) => i / 1000);
function noise(length: number, seed = 7): Float32Array {
  let state = seed;
  return Float32Array.from({ length }, () => {
    state = (state * 1103515245 + 12345) % 2147483648;
    return state / 1073741824 - 1;
  });
}

/** An encoder whose graph hands its window on, so that what it was fed shows. */
async function tiny(frontEnd: AudioEncoderSpec['frontEnd'], shape: (number | string)[]) {
  const directory = await temporaryDirectory();
  const dim = shape.slice(1).reduce<number>((product, size) => product * Number(size), 1);
  const graph = model({
    nodes: [node('Flatten', ['audio'], ['features'], { axis: 1 })],
    inputs: [value('audio', 'float', shape)],
    outputs: [value('features', 'float', ['b', dim])],
  });
  const spec = parseEncoderSpec({
    specVersion: 1,
    name: 'tiny-audio',
    version: '1',
    modality: 'audio',
    ...(await place(directory, 'audio.onnx', graph)),
    inputs: { audio: 'audio' },
    output: 'features',
    dim,
    maxBatch: 3,
    licence: 'Apache-2.0',
    source: 'made by this test',
    frontEnd,
    pooling: 'none',
    normalize: false,
  }) as AudioEncoderSpec;
  const pool = await EncoderPool.create([{ spec, directory }]);
  const encoder = await AudioEncoder.create({ spec, pool });
  const end = async () => {
    encoder.dispose();
    await pool.dispose();
  };
  return { spec, encoder, end };
}

const waveform = (tail: 'drop' | 'pad'): AudioEncoderSpec['frontEnd'] => ({
  kind: 'waveform',
  sampleRate: RATE,
  sampleScale: 1000,
  windowSamples: 4,
  hopSamples: 3,
  axes: ['batch', 'samples'],
  tail,
});

test('windows of a waveform: hop, tail, short clips, times', async (t) => {
  for (const tail of ['drop', 'pad'] as const) {
    const { encoder, end } = await tiny(waveform(tail), ['b', 4]);
    const results = await encoder.encode([clip(ramp(7)), clip(ramp(9), 50), clip(ramp(2))]);
    const rows = results.map(({ data, length }) =>
      Array.from({ length }, (_, i) => Array.from(data.subarray(4 * i, 4 * i + 4), Math.round)),
    );
    t.deepEqual(rows[0], [
      [0, 1, 2, 3],
      [3, 4, 5, 6],
    ]);
    t.deepEqual(rows[1]!.slice(0, 2), rows[0]);
    t.deepEqual(rows[1]!.slice(2), tail === 'pad' ? [[6, 7, 8, 0]] : []);
    t.deepEqual(rows[2], [[0, 1, 0, 0]], 'a short clip is filled in any case');
    t.deepEqual([...results[0]!.startMs!], [0, 3]);
    t.deepEqual([...results[0]!.endMs!], [4, 7]);
    t.is(results[1]!.startMs![0], 50, 'a sound track that starts late');
    t.deepEqual([...results[2]!.endMs!], [2], 'no longer than the clip');
    await end();
  }
});

const mel = (axes: ('batch' | 'channel' | 'frames' | 'mels')[]): AudioEncoderSpec['frontEnd'] => ({
  kind: 'mel',
  sampleRate: RATE,
  sampleScale: 2,
  mel: {
    convention: 'librosa',
    nFft: 64,
    winLength: 64,
    hopLength: 16,
    window: 'hann',
    padMode: 'none',
    power: 2,
    nMels: 6,
    fMin: 0,
    fMax: 500,
    melScale: 'slaney',
    norm: 'slaney',
    scaling: { kind: 'log', base: 'e', offset: 0.001, amin: 1e-10 },
  },
  featureScale: 0.5,
  featureOffset: 1,
  windowFrames: 5,
  hopFrames: 2,
  axes,
  tail: 'drop',
});

test('windows of mel frames are those of the operator, in the axes of the spec', async (t) => {
  const samples = noise(500);
  using spectrogram = await Spectrogram.create({
    kind: 'mel',
    sampleRate: RATE,
    nFft: 64,
    hopLength: 16,
    center: false,
    nMels: 6,
    layout: 'frames-bands',
    scaling: { kind: 'log', offset: 0.001 },
  });
  const { data, nFrames } = await spectrogram.run(samples.map((x) => 2 * x));
  const at = (frame: number, band: number) => Math.fround(data[6 * frame + band]! * 0.5 + 1);
  const windows = 1 + Math.floor((nFrames - 5) / 2);
  for (const [axes, shape] of [
    [
      ['batch', 'frames', 'mels', 'channel'],
      ['b', 5, 6, 1],
    ],
    [
      ['batch', 'channel', 'mels', 'frames'],
      ['b', 1, 6, 5],
    ],
  ] as const) {
    const { encoder, end } = await tiny(mel([...axes]), [...shape]);
    const [embedding] = await encoder.encode([clip(samples)]);
    t.is(embedding!.length, windows);
    for (let w = 0; w < windows; w++) {
      for (let f = 0; f < 5; f++) {
        for (let m = 0; m < 6; m++) {
          const place = shape[2] === 6 && shape[1] === 5 ? 6 * f + m : 5 * m + f;
          t.is(embedding!.data[30 * w + place], at(2 * w + f, m));
        }
      }
    }
    // Window w spans frames 2w to 2w + 4: samples 32w to 32w + 4 * 16 + 64.
    t.deepEqual([embedding!.startMs![1], embedding!.endMs![1]], [32, 160]);
    await end();
  }
});

test('batches across clips give what single clips give; a clip under one window is filled', async (t) => {
  const { encoder, end } = await tiny(mel(['batch', 'frames', 'mels']), ['b', 5, 6]);
  const clips = [500, 1, 130, 128, 127, 300].map((length, i) => clip(noise(length, i + 1)));
  const together = await encoder.encode(clips);
  t.deepEqual(
    together.map(({ length }) => length),
    [12, 1, 1, 1, 1, 6],
  );
  for (const [i, one] of clips.entries()) t.deepEqual(together[i], (await encoder.encode([one]))[0]);
  await end();
});

test('centred, Kaldi and dB front ends: as many frames as the operator gives, times within the clip', async (t) => {
  const base = mel(['batch', 'frames', 'mels']);
  if (base.kind !== 'mel' || base.mel.convention !== 'librosa') return t.fail();
  const centred = { ...base.mel, padMode: 'reflect' as const };
  const decibel = { ...base.mel, scaling: { kind: 'db' as const, amin: 1e-10, topDb: 80 } };
  const kaldi = { convention: 'kaldi' as const, nMels: 6, fMin: 20, fMax: 500, window: 'povey' as const };
  for (const settings of [centred, decibel, kaldi]) {
    const { encoder, end } = await tiny({ ...base, mel: settings, tail: 'pad' }, ['b', 5, 6]);
    for (const length of [1, 40, 63, 64, 65, 333]) {
      const [embedding] = await encoder.encode([clip(noise(length))]);
      t.true(embedding!.length >= 1 && embedding!.data.every(Number.isFinite), `${length}`);
      t.true(
        embedding!.endMs!.every((ms, i) => ms <= length && ms > embedding!.startMs![i]!),
        `${length}`,
      );
      // Samples that fill no further frame, less than one hop, belong to no window.
      t.true(embedding!.endMs!.at(-1)! > length - 16, 'with tail pad the last window reaches the last frame');
    }
    await end();
  }
});

test('bad clips give their errors, the others come back', async (t) => {
  const { encoder, end } = await tiny(waveform('drop'), ['b', 4]);
  const good = clip(ramp(10));
  const results = await encoder.encodeEach(
    [
      good,
      clip([]),
      { ...good, sampleRate: 44_100 },
      clip([0, Number.NaN, 0, 0]),
      clip([0, 0, 0, Number.POSITIVE_INFINITY]),
      good,
    ],
    { fields: ['a', 'b', 'c', 'd', 'e', 'f'].map((name) => `${name}.audio`) },
  );
  t.deepEqual(
    results.map((result) => (result as CinefuseError).code as string | undefined),
    [undefined, 'ERR_INPUT_EMPTY', 'ERR_INPUT_VALUE', 'ERR_INPUT_VALUE', 'ERR_INPUT_VALUE', undefined],
  );
  t.regex((results[2] as Error).message, /1000 Hz.*c\.audio\.sampleRate, received 44100 Hz/);
  t.is((results[3] as CinefuseError).field, 'd.audio.samples[1]');
  await t.throwsAsync(encoder.encode([good], { signal: AbortSignal.abort() }), { name: 'AbortError' });
  await end();
});

const SPEECH = 'models/audio/speech-embedding';
const YAMNET = 'models/audio/yamnet';
const JFK = 'models/samples/jfk.flac';

/**
 * The speech at the level of the reference, which mixed stereo as (L + R) / sqrt(2), FFmpeg's way with floats; our
 * decoder takes the mean.
 */
async function jfk(): Promise<DecodedAudio> {
  await using decoder = new MediaDecoder();
  const audio = await decoder.audio({ path: sharedPath(JFK) }, { field: 'audio', sampleRate: 16_000 });
  return { ...audio, samples: audio.samples.map((x) => x * Math.SQRT2) };
}

interface AudioGolden {
  audio: {
    yamnet: { windows: number; embedding_head_window0: number[]; top3: string };
    speech_embedding: { mel_frames: number; embedding_head_window0: number[] };
  };
}
const golden = async () =>
  JSON.parse(await readFile(sharedPath('models/golden.json'), 'utf8')) as AudioGolden;

sharedTest(
  'the speech embedding behind our mel equals it behind its own front-end graph',
  [SPEECH, JFK],
  async (t) => {
    const file = join(packageRoot(), 'training/specs/audio.json');
    const spec = parseEncoderSpecText(await readFile(file, 'utf8'), file) as AudioEncoderSpec;
    await using pool = await EncoderPool.create([{ spec, directory: sharedPath(SPEECH) }]);
    using encoder = await AudioEncoder.create({ spec, pool });
    const audio = await jfk();
    const [embedding] = await encoder.encode([audio]);
    const { mel_frames, embedding_head_window0 } = (await golden()).audio.speech_embedding;
    t.is(embedding!.length, 1 + Math.floor((mel_frames - 76) / 8));
    const head = embedding!.data.subarray(0, embedding_head_window0.length);
    const worst = Math.max(...embedding_head_window0.map((x, i) => Math.abs(x - head[i]!)));

    // The published graph, on the same samples, window by window through the same embedding.
    const { InferenceSession, Tensor } = (await import('onnxruntime-node')).default;
    const front = await InferenceSession.create(sharedPath(SPEECH, 'melspectrogram.onnx'));
    const scaled = audio.samples.map((x) => x * 32_767);
    const { output } = await front.run({ input: new Tensor('float32', scaled, [1, scaled.length]) });
    await front.release();
    const theirs = (output!.data as Float32Array).map((x) => x / 10 + 2);
    let difference = 0;
    for (const w of [0, 17, 64, embedding!.length - 1]) {
      const window = theirs.slice(w * 8 * 32, (w * 8 + 76) * 32);
      const result = await pool.run('audio', {
        input_1: { type: 'float32', dims: [1, 76, 32, 1], data: window },
      });
      const reference = result.conv2d_19!.data as Float32Array;
      reference.forEach((x, i) => {
        difference = Math.max(difference, Math.abs(x - embedding!.data[96 * w + i]!));
      });
    }
    t.log({ worst, difference });
    t.true(difference < 0.01, `${difference} of about 16`);
    t.true(worst < 0.05, `${worst}`);
  },
);

sharedTest(
  'YAMNet on the waveform gives the reference embedding and hears speech',
  [YAMNET, JFK],
  async (t) => {
    const directory = sharedPath(YAMNET);
    const data = await readFile(join(directory, 'model.onnx'));
    const common = {
      specVersion: 1,
      version: '1',
      modality: 'audio',
      file: 'model.onnx',
      sha256: digest(data),
      bytes: data.length,
      inputs: { audio: 'waveform' },
      maxBatch: 16,
      licence: 'Apache-2.0',
      source: 'test',
      frontEnd: {
        kind: 'waveform',
        sampleRate: 16_000,
        sampleScale: 1,
        windowSamples: 15_600,
        hopSamples: 7680,
        axes: ['batch', 'samples'],
        tail: 'drop',
      },
      pooling: 'none',
      normalize: false,
    };
    const embeddings = parseEncoderSpec({
      ...common,
      name: 'embeddings',
      output: 'embeddings',
      dim: 1024,
    }) as AudioEncoderSpec;
    const scores = parseEncoderSpec({
      ...common,
      name: 'scores',
      output: 'scores',
      dim: 521,
    }) as AudioEncoderSpec;
    await using pool = await EncoderPool.create([
      { spec: embeddings, directory },
      { spec: scores, directory },
    ]);
    const audio = await jfk();
    const { windows, embedding_head_window0 } = (await golden()).audio.yamnet;
    using encoder = await AudioEncoder.create({ spec: embeddings, pool });
    using judge = await AudioEncoder.create({ spec: scores, pool });
    const [vectors] = await encoder.encode([audio]);
    t.is(vectors!.length, windows);
    const worst = Math.max(...embedding_head_window0.map((x, i) => Math.abs(x - vectors!.data[i]!)));
    t.true(worst < 0.01, `${worst}`);
    const [judged] = await judge.encode([audio]);
    let speech = 0;
    for (let w = 0; w < windows; w++) speech += judged!.data[521 * w]! / windows;
    t.true(Math.abs(speech - 0.936) < 0.01, `speech ${speech}`);
  },
);
