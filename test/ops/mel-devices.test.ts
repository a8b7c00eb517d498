/** Spectrograms and decibels on devices, held against the CPU: shapes around the kernels' tiles, and their borders. */
import test, { type ExecutionContext } from 'ava';
import { CinefuseError } from '../../lib/errors.js';
import { type Backend, powerToDb, Spectrogram, type SpectrogramSpec } from '../../lib/ops/index.js';
import { DEVICE_BACKENDS, random, randomF32 } from '../backends.js';
import { throwsTyped } from '../errors.js';
import { close, type Tolerance, tolerance } from './mel-oracle.js';

/** Clips of any lengths on the device equal the CPU's, in one call, and again in a second one bit for bit. */
async function agrees(
  t: ExecutionContext,
  spec: SpectrogramSpec,
  clips: Float32Array[],
  backend: Backend,
  within: Tolerance,
): Promise<void> {
  using spectrogram = await Spectrogram.create(spec);
  const expected = await spectrogram.runBatch(clips);
  const got = await spectrogram.runBatch(clips, { backend });
  for (const [i, { data, nFrames }] of expected.entries()) {
    const what = `${backend} ${JSON.stringify(spec)} clip ${i} of ${clips[i]!.length}`;
    t.is(got[i]!.nFrames, nFrames, what);
    close(t, got[i]!.data, [...data], what, within);
  }
  t.deepEqual(await spectrogram.runBatch(clips, { backend }), got, 'the same call gives the same bits');
}

/** Clips that have `frames` frames each, and some samples that no frame reaches. */
function clipsOf(frames: number[], nFft: number, hopLength: number, center: boolean): Float32Array[] {
  return frames.map((n, i) => {
    const least = (n - 1) * hopLength + (center ? nFft % 2 : nFft);
    return randomF32(Math.max(1, least) + ((5 * i) % hopLength), n + i, i % 5);
  });
}

for (const backend of DEVICE_BACKENDS) {
  test(`frames around an item's, either layout: as the CPU [${backend}]`, async (t) => {
    const sizes = [
      { nFft: 256, hopLength: 64, frames: [1, 31, 32, 33, 4, 64, 65] },
      { nFft: 400, hopLength: 160, frames: [1, 15, 16, 17, 20, 33] },
      { nFft: 512, hopLength: 131, frames: [1, 15, 16, 17, 32, 3] },
      { nFft: 1024, hopLength: 256, frames: [1, 16, 17, 8] },
      { nFft: 2048, hopLength: 512, frames: [1, 7, 8, 9] },
      { nFft: 300, hopLength: 75, frames: [1, 7, 8, 9, 17, 40] },
      { nFft: 74, hopLength: 30, frames: [1, 31, 32, 33, 2] },
    ];
    for (const { nFft, hopLength, frames } of sizes) {
      for (const layout of ['bands-frames', 'frames-bands'] as const) {
        for (const center of [true, false]) {
          const framing = center ? { padMode: 'reflect' as const } : { center: false as const };
          const spec = { kind: 'mel' as const, sampleRate: 16000, nFft, hopLength, layout, ...framing };
          const clips = clipsOf(frames, nFft, hopLength, center);
          await agrees(t, { ...spec, nMels: 40 }, clips, backend, tolerance(2));
        }
      }
    }
  });

  test(`bands: none, one, more than bins; powers; hops without overlap [${backend}]`, async (t) => {
    for (const nFft of [256, 400, 512, 1024, 2048, 96, 75]) {
      const base = { nFft, hopLength: nFft >> 1, window: 'hamming' as const };
      const clips = clipsOf([1, 6, 19], nFft, base.hopLength, true);
      for (const layout of ['bands-frames', 'frames-bands'] as const) {
        for (const power of [0.5, 1]) {
          await agrees(t, { kind: 'linear', ...base, layout, power }, clips, backend, tolerance(power));
        }
        const mel = { kind: 'mel' as const, sampleRate: 22050, layout };
        for (const nMels of [1, 127, nFft + 3]) {
          await agrees(t, { ...mel, ...base, nMels }, clips, backend, tolerance(2));
        }
        for (const hopLength of [1, nFft, nFft + 1, 40 * nFft]) {
          const apart = clipsOf([1, 3, 18], nFft, Math.min(hopLength, 6000), true);
          await agrees(t, { ...mel, ...base, hopLength, nMels: 20 }, apart, backend, tolerance(2));
        }
      }
    }
  });

  test(`padding of every kind, of clips much shorter than a frame [${backend}]`, async (t) => {
    const lengths = [1, 2, 3, 5, 9, 31, 100, 199, 200, 201, 399, 511, 700, 2600, 4099];
    const clips = lengths.map((n, i) => randomF32(n, n, i % 4));
    for (const padMode of ['zero', 'reflect', 'edge'] as const) {
      for (const nFft of [401, 400, 512, 606]) {
        const spec = { kind: 'mel' as const, sampleRate: 16000, nFft, hopLength: 100, nMels: 24, padMode };
        await agrees(t, spec, clips, backend, tolerance(2));
      }
    }
    await agrees(t, { kind: 'whisper', padTo: 9000 }, clips, backend, { atol: 2e-5 });
    await agrees(t, { kind: 'whisper', padTo: 4099 }, clips, backend, { atol: 2e-5 });
  });

  test(`Kaldi's frames: offsets far from zero, windows of their own length [${backend}]`, async (t) => {
    const clips = [400, 401, 560, 2800, 5531].map((n, i) =>
      randomF32(n, n, i % 4).map((v, k) => 3000 * v + 9000 * Math.sin(k / 90) + 5000),
    );
    for (const sampleRate of [8000, 16000, 22050]) {
      const spec = { kind: 'kaldi' as const, sampleRate, nMels: 23 };
      const long = clips.filter((x) => x.length > 0.025 * sampleRate);
      await agrees(t, spec, long, backend, { atol: 2e-3 });
    }
    await agrees(t, { kind: 'kaldi', preemphasis: 0 }, clips, backend, { atol: 2e-3 });
  });

  test(`scalings by a clip's own maximum, in batches [${backend}]`, async (t) => {
    const clips = [700, 4000, 1, 2650].map((n, i) => randomF32(n, n, i).map((v) => v * 10 ** (i - 2)));
    clips.push(new Float32Array(900));
    for (const nFft of [400, 300]) {
      for (const ref of ['max', 1, 0.003] as const) {
        for (const topDb of [80, 12, null]) {
          const scaling = { kind: 'db' as const, ref, topDb };
          const spec = { kind: 'mel' as const, sampleRate: 16000, nFft, hopLength: 160, nMels: 33, scaling };
          await agrees(t, spec, clips, backend, { atol: 2e-3 });
        }
      }
    }
  });

  test(`many short clips in one call [${backend}]`, async (t) => {
    const next = random(77);
    const clips = Array.from({ length: 150 }, (_, i) => randomF32(1 + Math.floor(next() * 900), i, i % 7));
    await agrees(t, { kind: 'whisper', nMels: 20, padTo: 960 }, clips, backend, { atol: 2e-5 });
  });

  test(`a sample that is not finite: the CPU's own error [${backend}]`, async (t) => {
    const specs: SpectrogramSpec[] = [
      { kind: 'mel', sampleRate: 16000, nFft: 512, nMels: 20 },
      { kind: 'linear', nFft: 400, hopLength: 400, center: false },
      { kind: 'linear', nFft: 256, hopLength: 700 },
      { kind: 'linear', nFft: 302 },
      { kind: 'kaldi' },
    ];
    for (const spec of specs) {
      using spectrogram = await Spectrogram.create(spec);
      for (const [index, value] of [
        [0, Number.NaN],
        [777, Number.POSITIVE_INFINITY],
        [1023, Number.NEGATIVE_INFINITY],
        [2999, Number.NaN],
      ] as const) {
        const clips = [1500, 3000, 2000, 3000].map((n) => randomF32(n, n));
        clips[1]![index] = value;
        clips[1]![2999] = Number.NaN;
        clips[3]![5] = Number.NaN;
        for (const batch of [clips, [clips[1]!], [clips[0]!, clips[2]!, clips[3]!]]) {
          const expected = await t.throwsAsync(spectrogram.runBatch(batch), { instanceOf: CinefuseError });
          const { code, message } = expected!;
          const got = await throwsTyped(t, () => spectrogram.runBatch(batch, { backend }), { code });
          t.is(got.message, message);
          t.is((got as { field?: string }).field, (expected as { field?: string }).field);
        }
      }
      t.is((await spectrogram.runBatch([randomF32(1000, 1)], { backend })).length, 1, 'it goes on');
    }
  });

  test(`one prepared spectrogram, backends by turns; many calls at a time [${backend}]`, async (t) => {
    using spectrogram = await Spectrogram.create({ kind: 'mel', sampleRate: 16000, nFft: 400, nMels: 30 });
    const x = randomF32(3000, 4);
    const expected = await spectrogram.run(x);
    const first = await spectrogram.run(x, { backend });
    t.deepEqual(await spectrogram.run(x), expected);
    close(t, first.data, [...expected.data], backend, tolerance(2));
    for (const got of await Promise.all(Array.from({ length: 6 }, () => spectrogram.run(x, { backend })))) {
      t.deepEqual(got, first);
    }
    t.deepEqual(await spectrogram.runBatch([], { backend }), []);
    await throwsTyped(t, () => spectrogram.run(x, { backend, signal: AbortSignal.abort() }), {
      code: 'ERR_CANCELLED',
    });
  });

  test(`decibels of any number of values, in place, by every reference [${backend}]`, async (t) => {
    t.is((await powerToDb(new Float32Array(0), { backend })).length, 0);
    for (const n of [1, 2, 3, 4, 5, 33, 1023, 1024, 1025, 40001]) {
      const s = randomF32(n, n, n % 4).map((v) => v ** 8);
      for (const ref of ['max', 0.02] as const) {
        for (const topDb of n > 5000 ? [80] : [80, 5, null]) {
          const options = { ref, topDb, amin: n % 2 ? 1e-10 : 1e-3 };
          const expected = [...(await powerToDb(s, options))];
          const y = await powerToDb(s, { ...options, backend });
          close(t, y, expected, `${n} values, ref ${ref}, topDb ${topDb}`, { atol: 1e-4 });
          const own = s.slice();
          t.is(await powerToDb(own, { ...options, backend, out: own }), own);
          t.deepEqual(own, y);
        }
      }
    }
    for (const extreme of [0, 1e-45, 1e38]) {
      const s = Float32Array.of(extreme, 1, extreme);
      const y = await powerToDb(s, { ref: 'max', topDb: null, backend });
      close(t, y, [...(await powerToDb(s, { ref: 'max', topDb: null }))], `${extreme}`, { atol: 1e-4 });
    }
  });
}
