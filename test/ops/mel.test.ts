import test from 'ava';
import { native } from '../../lib/native.js';
import {
  type DecibelOptions,
  kaldiFbank,
  type MelFilterbankOptions,
  melFilterbank,
  melSpectrogram,
  powerToDb,
  Spectrogram,
  whisperLogMel,
  type MelOptions,
} from '../../lib/ops/index.js';
import { randomF32, ways } from '../backends.js';
import { type ExpectedError, throwsTyped } from '../errors.js';
import { assertGolden, f32, type GoldenCase, loadGolden, tensorOf } from '../golden.js';
import { sharedPath, sharedTest } from '../shared.js';

/** The golden family's names for a librosa-like configuration, in ours. */
function bandOptions({ config: c }: GoldenCase): Required<MelFilterbankOptions> {
  return {
    sampleRate: c.sr as number,
    nFft: c.n_fft as number,
    nMels: c.n_mels as number,
    fMin: c.fmin as number,
    fMax: c.fmax as number,
    melScale: c.mel as 'slaney' | 'htk',
    norm: c.norm as 'slaney' | null,
  };
}

function melSpec(golden: GoldenCase): { kind: 'mel' } & MelOptions {
  const { config: c } = golden;
  const framing = c.center ? { padMode: c.pad as 'zero' | 'reflect' } : { center: false as const };
  return {
    kind: 'mel',
    ...bandOptions(golden),
    winLength: c.win as number,
    hopLength: c.hop as number,
    power: c.power as number,
    ...framing,
  };
}

const DB_FIELDS: Record<string, DecibelOptions> = {
  db: { ref: 'max', topDb: 80 },
  db_ref1_top80: { ref: 1, topDb: 80 },
  db_ref1_notop: { ref: 1, topDb: null },
  'db_max_amin1e-5': { ref: 'max', amin: 1e-5, topDb: 80 },
  db_max_top40: { ref: 'max', topDb: 40 },
};

const golden = loadGolden('mel');
const ofKind = (kind: string) => golden.filter((c) => c.config.kind === kind);

test('golden filterbanks', (t) => {
  t.true(ofKind('filterbank').length > 0);
  for (const c of ofKind('filterbank')) {
    const bank = melFilterbank(bandOptions(c));
    t.deepEqual([...bank.count], [...tensorOf(c, 'fb_count').data].map(Number), `${c.name} count`);
    t.deepEqual([...bank.start], [...tensorOf(c, 'fb_start').data].map(Number), `${c.name} start`);
    assertGolden(t, c, 'fb_values', bank.weights, '', { nmax: 1e-12 });
  }
});

for (const { label, exec } of ways()) {
  test(`golden mel spectrograms and decibels ${label}`, async (t) => {
    t.true(ofKind('mel').length > 0);
    for (const [i, c] of ofKind('mel').entries()) {
      const samples = f32(c, 'input', i % 4);
      const spec = melSpec(c);
      using power = await Spectrogram.create(spec);
      const { data, nBands, nFrames } = await power.run(samples, exec);
      t.deepEqual([nBands, nFrames], c.tensors.mel!.shape);
      t.is(power.frames(samples.length), nFrames);
      assertGolden(t, c, 'mel', data, label);
      for (const [field, options] of Object.entries(DB_FIELDS)) {
        if (!c.tensors[field]) continue;
        assertGolden(t, c, field, await powerToDb(data, { ...options, ...exec }), label);
        using decibels = await Spectrogram.create({ ...spec, scaling: { kind: 'db', ...options } });
        assertGolden(t, c, field, (await decibels.run(samples, exec)).data, label);
      }
    }
  });

  test(`golden Whisper log-mels ${label}`, async (t) => {
    t.true(ofKind('whisper').length > 0);
    for (const [i, c] of [...ofKind('whisper'), ...ofKind('whisper_pad30s')].entries()) {
      const nMels = c.config.n_mels as number;
      const samples = f32(c, 'input', i % 4);
      if (c.config.kind === 'whisper') {
        using whisper = await Spectrogram.create({ kind: 'whisper', nMels });
        assertGolden(t, c, 'out', (await whisper.run(samples, exec)).data, label);
        continue;
      }
      using whisper = await Spectrogram.create({ kind: 'whisper', nMels, padTo: c.config.pad_to as number });
      const { data, nFrames } = await whisper.run(samples, exec);
      t.is(nFrames, c.config.frames as number);
      const kept = c.tensors.out_head!.shape[1]!;
      const head = Array.from({ length: nMels }, (_, m) => [
        ...data.subarray(m * nFrames, m * nFrames + kept),
      ]).flat();
      assertGolden(t, c, 'out_head', head, label);
      for (let i = 0; i < data.length; i++) {
        if (i % nFrames >= kept && Math.abs(data[i]! - (c.config.rest_value as number)) > 2e-4) {
          t.fail(`${c.name}: ${data[i]} at ${i}`);
          break;
        }
      }
    }
  });

  test(`golden Kaldi filterbank energies ${label}`, async (t) => {
    t.true(ofKind('kaldi').length > 0);
    for (const [i, c] of ofKind('kaldi').entries()) {
      using kaldi = await Spectrogram.create({
        kind: 'kaldi',
        sampleRate: c.config.sr as number,
        nMels: c.config.n_mels as number,
        fMin: c.config.low_freq as number,
      });
      const { data, nBands, nFrames } = await kaldi.run(f32(c, 'input', i % 4), exec);
      t.deepEqual([nFrames, nBands], c.tensors.out!.shape);
      assertGolden(t, c, 'out', data, label);
      // The energies that are logged have a tolerance too; below the floor they cannot be seen.
      const { data: energy } = tensorOf(c, 'energy');
      const logged = Float64Array.from(data, Math.exp).map((e, i) =>
        Number(energy[i]) < 2e-7 ? Number(energy[i]) : e,
      );
      assertGolden(t, c, 'energy', logged, label);
    }
  });
}

test('bad parameters: typed errors that name the field', async (t) => {
  const x = new Float32Array(4000);
  const mel = (o: object) => () => melSpectrogram(x, { sampleRate: 16000, ...o } as never);
  const value = (field: string): ExpectedError => ({ name: 'InputError', code: 'ERR_INPUT_VALUE', field });
  const cases: [() => unknown, ExpectedError][] = [
    [mel({ nFft: 1 }), value('nFft')],
    [mel({ nFft: 65537 }), value('nFft')],
    [mel({ nFft: 400.5 }), value('nFft')],
    [mel({ nFft: '400' }), { name: 'InputError', code: 'ERR_INPUT_TYPE', field: 'nFft' }],
    [mel({ winLength: 0 }), value('winLength')],
    [mel({ nFft: 512, winLength: 513 }), value('winLength')],
    [mel({ hopLength: 0 }), value('hopLength')],
    [mel({ nMels: 0 }), value('nMels')],
    [mel({ nMels: -1 }), value('nMels')],
    [mel({ sampleRate: 0 }), value('sampleRate')],
    [mel({ sampleRate: Number.NaN }), value('sampleRate')],
    [mel({ fMin: -1 }), value('fMin')],
    [mel({ fMin: 9000 }), value('fMin')],
    [mel({ fMax: 9000 }), value('fMax')],
    [mel({ fMin: 500, fMax: 400 }), value('fMax')],
    [mel({ power: 0 }), value('power')],
    [mel({ power: Number.POSITIVE_INFINITY }), value('power')],
    [mel({ window: 'kaiser' }), value('window')],
    [mel({ padMode: 'wrap' }), value('padMode')],
    [mel({ melScale: 'bark' }), value('melScale')],
    [mel({ norm: 'l2' }), value('norm')],
    [mel({ layout: 'sideways' }), value('layout')],
    [mel({ scaling: { kind: 'cube' } }), value('scaling.kind')],
    [mel({ scaling: { kind: 'db', ref: 0 } }), value('ref')],
    [mel({ scaling: { kind: 'db', amin: 0 } }), value('amin')],
    [mel({ scaling: { kind: 'db', topDb: -1 } }), value('topDb')],
    [mel({ scaling: { kind: 'log', offset: -1 } }), value('offset')],
    [mel({ scaling: { kind: 'log', amin: 1e-40 } }), value('amin')],
    [mel({ threads: 0 }), value('threads')],
    [mel({ backend: 'opencl' as never }), { name: 'BackendError', code: 'ERR_BACKEND' }],
    [() => Spectrogram.create({ kind: 'cepstrum' } as never), value('kind')],
    [() => Spectrogram.create(undefined as never), value('kind')],
    [() => kaldiFbank(x, { preemphasis: 2 }), value('preemphasis')],
    [() => kaldiFbank(x, { frameShiftMs: 0 }), value('frameShiftMs')],
    [() => kaldiFbank(x, { frameLengthMs: 5000 }), value('frameLengthMs')],
    [() => kaldiFbank(x, { fMax: 9000 }), value('fMax')],
    [() => whisperLogMel(x, { padTo: -1 }), value('padTo')],
    [() => powerToDb(x, { amin: Number.NaN }), value('amin')],
    [() => powerToDb(x, { out: new Float32Array(3) }), { code: 'ERR_SHAPE', field: 'out' }],
    [() => melFilterbank({ sampleRate: 8000, fMin: 4000 }), value('fMin')],
  ];
  for (const [call, expected] of cases) await throwsTyped(t, call, expected);
});

for (const { label, exec } of ways()) {
  test(`bad samples: the same typed errors everywhere ${label}`, async (t) => {
    using centred = await Spectrogram.create({ kind: 'mel', sampleRate: 8000, nFft: 256, nMels: 20 });
    using bare = await Spectrogram.create({ kind: 'linear', nFft: 256, hopLength: 300, center: false });
    using whisper = await Spectrogram.create({ kind: 'whisper', padTo: 8000 });
    using kaldi = await Spectrogram.create({ kind: 'kaldi' });
    const shape = (field: string): ExpectedError => ({ name: 'ShapeError', code: 'ERR_SHAPE', field });
    const x = new Float32Array(5000);
    const memory = new Float32Array(8000);
    const cases: [() => unknown, ExpectedError][] = [
      [() => centred.run(new Float32Array(0), exec), shape('samples')],
      [() => bare.run(new Float32Array(255), exec), shape('samples')],
      [() => kaldi.run(new Float32Array(399), exec), shape('samples')],
      [() => whisper.run(new Float32Array(8001), exec), shape('samples')],
      [() => whisperLogMel(new Float32Array(159), exec), shape('samples')],
      [() => centred.runBatch([x, new Float32Array(0)], exec), shape('samples[1]')],
      [() => centred.run(x, { ...exec, out: new Float32Array(7) }), shape('out')],
      [() => centred.run([1, 2] as never, exec), { code: 'ERR_INPUT_TYPE', field: 'samples[0]' }],
      [() => centred.runBatch(x as never, exec), { code: 'ERR_INPUT_TYPE', field: 'samples' }],
      [
        () => centred.run(memory.subarray(0, 256), { ...exec, out: memory.subarray(200, 300) }),
        { code: 'ERR_INPUT_VALUE', field: 'out' },
      ],
    ];
    for (const [call, expected] of cases) await throwsTyped(t, call, expected);
    t.throws(() => centred.frames(0), { code: 'ERR_SHAPE' });
    t.is(centred.frames(1), 1);

    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      for (const index of [0, 1, 17, 2048, 4243, 4990, 4999]) {
        const spoilt = new Float32Array(5000);
        spoilt[index] = bad;
        spoilt[4999] = bad;
        for (const spectrogram of [centred, bare, whisper, kaldi]) {
          await throwsTyped(t, () => spectrogram.run(spoilt, exec), {
            name: 'InputError',
            code: 'ERR_INPUT_VALUE',
            field: 'samples',
            message: new RegExp(`index ${index}$`),
          });
        }
        await throwsTyped(t, () => centred.runBatch([x, spoilt, x], exec), {
          code: 'ERR_INPUT_VALUE',
          field: 'samples[1]',
          message: new RegExp(`index ${index}$`),
        });
      }
    }
  });

  test(`extremes: silence, huge and tiny samples ${label}`, async (t) => {
    using mel = await Spectrogram.create({ kind: 'mel', sampleRate: 8000, nFft: 256, nMels: 20 });
    t.true((await mel.run(new Float32Array(1000), exec)).data.every((v) => v === 0));
    const noise = randomF32(1000, 1).map((v) => v / 2);
    const huge = await mel.run(
      noise.map((v) => v * 1e15),
      exec,
    );
    t.true(huge.data.every((v) => v > 1e20 && Number.isFinite(v)));
    const tiny = await mel.run(
      noise.map((v) => v * 1e-25),
      exec,
    );
    t.true(tiny.data.every((v) => v >= 0 && v < 1e-38));
    using db = await Spectrogram.create({
      kind: 'mel',
      sampleRate: 8000,
      nFft: 256,
      scaling: { kind: 'db', ref: 'max' },
    });
    t.true((await db.run(new Float32Array(1000), exec)).data.every((v) => Math.abs(v) < 1e-4));
  });
}

test('a disposed spectrogram says so; a running call ends well', async (t) => {
  const x = new Float32Array(400000).fill(0.25);
  const mel = await Spectrogram.create({ kind: 'mel', sampleRate: 16000 });
  const before = await mel.run(x);
  const running = mel.run(x);
  mel.dispose();
  t.deepEqual(await running, before);
  t.true(mel.disposed);
  await throwsTyped(t, () => mel.run(x), { name: 'DisposedError', code: 'ERR_DISPOSED' });
  await throwsTyped(t, () => mel.frames(5), { name: 'DisposedError', code: 'ERR_DISPOSED' });
  mel.dispose();
});

test("another operator's handle is refused", async (t) => {
  const addon = native();
  const exec = Int32Array.of(0, 0, 1, 1, 0, 0);
  const linear = addon.linearPrepare(exec, undefined, 1, 1, Float32Array.of(1), undefined, 0, 0, 0);
  for (const handle of [linear, {}, undefined, 5]) {
    const error = t.throws(() =>
      addon.mel(exec, undefined, handle as never, [Float32Array.of(1)], undefined),
    );
    t.is((error as NodeJS.ErrnoException).code, 'ERR_HANDLE');
  }
});

test('an AbortSignal cancels before and during the work', async (t) => {
  const x = new Float32Array(4_000_000);
  using mel = await Spectrogram.create({ kind: 'mel', sampleRate: 16000 });
  await t.throwsAsync(mel.run(x, { signal: AbortSignal.abort('no more') }), {
    name: 'AbortError',
    code: 'ERR_CANCELLED',
  });
  const control = new AbortController();
  const running = Array.from({ length: 12 }, () => mel.run(x, { signal: control.signal }));
  control.abort();
  const outcomes = await Promise.allSettled(running);
  t.true(outcomes.some((o) => o.status === 'rejected' && o.reason.code === 'ERR_CANCELLED'));
});

const SPEECH_FRONT_END = 'models/audio/speech-embedding/melspectrogram.onnx';
sharedTest("the speech embedding's front end equals its published graph", [SPEECH_FRONT_END], async (t) => {
  const { InferenceSession, Tensor } = (await import('onnxruntime-node')).default;
  const session = await InferenceSession.create(sharedPath(SPEECH_FRONT_END));
  const voice = f32(golden.find((c) => c.name === 'whisper80_voice_20001')!, 'input');
  const samples = voice.map((v) => Math.round(v * 32767));
  const { output } = await session.run({ input: new Tensor('float32', samples, [1, samples.length]) });
  await session.release();
  using spectrogram = await Spectrogram.create({
    kind: 'mel',
    sampleRate: 16000,
    nFft: 512,
    winLength: 400,
    hopLength: 160,
    center: false,
    nMels: 32,
    fMin: 60,
    fMax: 3800,
    scaling: { kind: 'db', topDb: 80 },
    layout: 'frames-bands',
  });
  const { data, nBands, nFrames } = await spectrogram.run(samples);
  t.deepEqual(output!.dims, [1, 1, nFrames, nBands]);
  const theirs = output!.data as Float32Array;
  const worst = data.reduce((most, v, i) => Math.max(most, Math.abs(v - theirs[i]!)), 0);
  t.true(worst < 0.01, `${worst} dB`);
});
