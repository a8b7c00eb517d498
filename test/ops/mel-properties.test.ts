import test from 'ava';
import {
  type LinearSpectrogramOptions,
  linearSpectrogram,
  type MelOptions,
  melFilterbank,
  melSpectrogram,
  powerToDb,
  Spectrogram,
  type SpectrogramSpec,
} from '../../lib/ops/index.js';
import { DEVICE_BACKENDS, random, randomF32, ways } from '../backends.js';
import {
  bankOracle,
  close,
  decibelOracle,
  largest,
  linearOracle,
  melOracle,
  tolerance,
  type Tolerance,
} from './mel-oracle.js';

// Powers of two; smooth; odd; primes with and without a butterfly of their own, and twice such primes.
const LENGTHS = [
  2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 15, 16, 17, 18, 20, 22, 25, 27, 28, 31, 32, 33, 35, 37, 40, 48, 49, 50,
  58, 60, 62, 64, 66, 74, 81, 96, 97, 100, 121, 127, 128, 150, 160, 200, 202, 240, 256, 289, 320, 384, 400,
  441, 512,
];

/** The references are the same for every way to run, and slow. */
const references = new Map<string, number[][]>();
function once(name: string, make: () => number[][]): number[][] {
  const made = references.get(name) ?? make();
  references.set(name, made);
  return made;
}

for (const { label, exec } of ways()) {
  test(`every length of transform equals the definition ${label}`, async (t) => {
    for (const [i, nFft] of LENGTHS.entries()) {
      const x = randomF32(nFft + 3 * i, nFft, i % 5);
      const options = { nFft, hopLength: Math.max(1, nFft >> 1), window: 'hamming' as const };
      const { data, nBands, nFrames } = await linearSpectrogram(x, { ...options, ...exec });
      const ref = once(`length ${nFft}`, () => linearOracle(x, options));
      t.deepEqual([nBands, nFrames], [ref.length, ref[0]!.length], `${nFft}`);
      close(t, data, ref.flat(), `nFft ${nFft} ${label}`, tolerance(2));
    }
  });

  test(`fuzz of parameters and lengths against the definition ${label}`, async (t) => {
    const next = random(2024);
    const pick = <T>(list: readonly T[]): T => list[Math.floor(next() * list.length)]!;
    for (let round = 0; round < 60; round++) {
      const nFft = pick([4, 10, 16, 31, 32, 50, 63, 64, 74, 100, 128, 150, 256]);
      const options: LinearSpectrogramOptions = {
        nFft,
        winLength: 1 + Math.floor(next() * nFft),
        hopLength: 1 + Math.floor(next() * 1.5 * nFft),
        window: pick(['hann', 'hamming', 'blackman', 'rectangular', 'povey']),
        power: pick([0.5, 1, 1.5, 2, 2, 3]),
        ...pick([
          { center: false as const },
          { padMode: 'zero' as const },
          { padMode: 'reflect' as const },
          { padMode: 'edge' as const },
        ]),
      };
      const least = options.center === false ? nFft : 1;
      const n = least + Math.floor(next() * pick([2, nFft, 10 * nFft, 40 * options.hopLength!]));
      const x = randomF32(n, round, round % 7);
      const spectrum = once(`round ${round}`, () => linearOracle(x, options));
      const what = `${JSON.stringify(options)} n ${n} ${label}`;
      const linear = await linearSpectrogram(x, { ...options, ...exec });
      close(t, linear.data, spectrum.flat(), what, tolerance(options.power!));

      const sampleRate = pick([8000, 22050, 44100]);
      const fMin = next() * 0.2 * sampleRate;
      const bands = {
        sampleRate,
        nFft,
        nMels: 1 + Math.floor(next() * 50),
        fMin,
        fMax: fMin + 1 + next() * (0.5 * sampleRate - fMin - 1),
        melScale: pick(['slaney', 'htk'] as const),
        norm: pick(['slaney', null] as const),
      };
      const bank = bankOracle(bands);
      const ref = melOracle(bank, spectrum).flat();
      const mel = await melSpectrogram(x, { ...options, ...bands, ...exec } as MelOptions);
      // Errors are those of the loudest bin, which may lie outside all bands.
      const weight = Math.max(...bank.map((row) => row.reduce((a, b) => a + b)));
      const top = largest(spectrum.flat()) * weight;
      close(t, mel.data, ref, `${what} ${JSON.stringify(bands)}`, { ...tolerance(options.power!), top });

      const db = {
        ref: pick([1, 'max', 0.01] as const),
        amin: pick([1e-10, 1e-3]),
        topDb: pick([80, 20, null]),
      };
      close(t, await powerToDb(mel.data, { ...db, ...exec }), decibelOracle([...mel.data], db), what, {
        atol: 1e-4,
      });
    }
  });

  test(`alone, in a batch, on any threads: the same bits ${label}`, async (t) => {
    const lengths = [1, 2, 700, 5000, 161, 3, 20000, 1024, 9999];
    const clips = lengths.map((n, i) => randomF32(n, n, i % 5));
    const specs: [SpectrogramSpec, Tolerance][] = [
      [
        { kind: 'mel', sampleRate: 16000, nFft: 512, nMels: 40, scaling: { kind: 'db', ref: 'max' } },
        { atol: 1e-4 },
      ],
      [
        { kind: 'mel', sampleRate: 16000, nFft: 401, nMels: 20, padMode: 'reflect', layout: 'frames-bands' },
        tolerance(2),
      ],
      [{ kind: 'linear', nFft: 74, power: 1 }, tolerance(1)],
      [{ kind: 'whisper', padTo: 20000 }, { atol: 1e-5 }],
    ];
    for (const [spec, within] of specs) {
      using spectrogram = await Spectrogram.create(spec);
      const total = clips.reduce((sum, x) => sum + spectrogram.frames(x.length), 0) * spectrogram.nBands;
      const out = new Float32Array(total + 3).subarray(3);
      const batch = await spectrogram.runBatch(clips, { ...exec, out });
      t.is(batch.length, clips.length);
      t.is(batch[0]!.data.buffer, out.buffer);
      for (const [i, x] of clips.entries()) {
        const alone = await spectrogram.run(x, { isa: exec.isa, threads: 1 });
        const what = `${spec.kind} clip ${i}`;
        if (exec.backend === 'cpu') {
          t.deepEqual(batch[i], alone, what);
        } else {
          t.is(batch[i]!.nFrames, alone.nFrames);
          close(t, batch[i]!.data, [...alone.data], `${what} ${label}`, within);
        }
      }
      t.deepEqual(await spectrogram.runBatch([], exec), []);
    }
  });

  test(`scaling by a power of two, a shift by hops, padding by hand: exact ${label}`, async (t) => {
    const x = randomF32(6000, 3);
    using power = await Spectrogram.create({ kind: 'mel', sampleRate: 8000, nFft: 300, hopLength: 100 });
    const { data, nBands, nFrames } = await power.run(x, exec);
    const doubled = await power.run(
      x.map((v) => 2 * v),
      exec,
    );
    t.deepEqual(
      doubled.data,
      data.map((v) => 4 * v),
    );

    const shifted = new Float32Array(6700);
    shifted.set(x, 700);
    const later = await power.run(shifted, exec);
    t.is(later.nFrames, nFrames + 7);
    for (let b = 0; b < nBands; b++) {
      const row = data.subarray(b * nFrames + 2, (b + 1) * nFrames);
      t.deepEqual(later.data.subarray(b * (nFrames + 7) + 9, (b + 1) * (nFrames + 7)), row);
    }

    using padded = await Spectrogram.create({ kind: 'whisper', padTo: 9000 });
    using plain = await Spectrogram.create({ kind: 'whisper' });
    const byHand = new Float32Array(9000);
    byHand.set(x);
    t.deepEqual(await padded.run(x, exec), await plain.run(byHand, exec));
  });

  test(`layouts, scalings and the parts of a mel spectrogram agree ${label}`, async (t) => {
    const x = randomF32(3000, 9);
    const bank = { sampleRate: 16000, nFft: 256, nMels: 37 };
    const { data, nBands, nFrames } = await melSpectrogram(x, { ...bank, ...exec });
    const turned = await melSpectrogram(x, { ...bank, ...exec, layout: 'frames-bands' });
    t.deepEqual(
      turned.data,
      data.map((_, i) => data[(i % nBands) * nFrames + Math.floor(i / nBands)]!),
    );

    const linear = await linearSpectrogram(x, { nFft: 256, ...exec });
    const { start, count, weights } = melFilterbank(bank);
    let at = 0;
    const ref = Array.from(start, (from, m) => {
      const row = weights.subarray(at, at + count[m]!);
      at += count[m]!;
      return Array.from({ length: nFrames }, (_, f) =>
        row.reduce((sum, w, i) => sum + w * linear.data[(from + i) * nFrames + f]!, 0),
      );
    });
    close(t, data, ref.flat(), label, { rtol: 2e-6 });

    for (const base of ['e', 10] as const) {
      const scaling = { kind: 'log', base, offset: 0.001, amin: 0.01 } as const;
      const logged = await melSpectrogram(x, { ...bank, ...exec, scaling });
      const factor = base === 10 ? Math.LOG10E : 1;
      close(
        t,
        logged.data,
        Array.from(data, (v) => factor * Math.log(Math.max(v + 0.001, 0.01))),
        label,
        { atol: 2e-6 },
      );
    }
    const db = { ref: 'max', topDb: 30 } as const;
    const fused = await melSpectrogram(x, { ...bank, ...exec, scaling: { kind: 'db', ...db } });
    const apart = await powerToDb(data, { ...db, ...exec });
    if (exec.backend === 'cpu') t.deepEqual(fused.data, apart);
    else close(t, fused.data, [...apart], label, { atol: 1e-4 });
  });
}

test('Parseval: the bins of a frame hold the energy of its samples', async (t) => {
  for (const nFft of [64, 75, 74, 551, 1103, 2048]) {
    const x = randomF32(5 * nFft, nFft);
    const { data, nFrames } = await linearSpectrogram(x, {
      nFft,
      hopLength: nFft,
      window: 'rectangular',
      center: false,
    });
    for (let f = 0; f < nFrames; f++) {
      let samples = 0;
      for (const v of x.subarray(f * nFft, (f + 1) * nFft)) samples += v * v;
      let bins = 0;
      for (let k = 0; k <= nFft >> 1; k++) {
        bins += (k === 0 || 2 * k === nFft ? 1 : 2) * data[k * nFrames + f]!;
      }
      t.true(Math.abs(bins / nFft / samples - 1) < 1e-6, `nFft ${nFft}: ${bins / nFft} and ${samples}`);
    }
  }
});

test('long transforms of every sort equal the definition', async (t) => {
  for (const nFft of [551, 640, 1000, 1023, 1103, 1102, 2047, 2206, 3000, 4096]) {
    const x = randomF32(nFft, nFft);
    const options = { nFft, hopLength: nFft, center: false as const };
    const reference = linearOracle(x, options).flat();
    for (const backend of ['cpu', ...DEVICE_BACKENDS] as const) {
      const { data } = await linearSpectrogram(x, { ...options, backend });
      close(t, data, reference, `nFft ${nFft} ${backend}`, tolerance(2));
    }
  }
});

for (const backend of DEVICE_BACKENDS) {
  test(`transforms too long for shared memory equal the CPU's [${backend}]`, async (t) => {
    for (const nFft of [24000, 28000, 32768, 20011, 65536]) {
      const x = randomF32(nFft, nFft);
      const options = { nFft, hopLength: nFft - 7, window: 'blackman' } as const;
      const { data } = await linearSpectrogram(x, { ...options, backend });
      close(t, data, [...(await linearSpectrogram(x, options)).data], `nFft ${nFft}`, tolerance(2));
    }
  });
}

test('a tone stands in its bin; a loud frame leaves its neighbours silent', async (t) => {
  const tone = Float32Array.from({ length: 8192 }, (_, i) => Math.sin((2 * Math.PI * 32 * i) / 1024));
  const { data, nFrames } = await linearSpectrogram(tone, { nFft: 1024, hopLength: 1024, center: false });
  for (let k = 0; k <= 512; k++) {
    const amplitude = Math.sqrt(data[k * nFrames + 3]!) / 512;
    const expected = k === 32 ? 0.5 : k === 31 || k === 33 ? 0.25 : 0;
    t.true(Math.abs(amplitude - expected) < 1e-6, `bin ${k}: ${amplitude}`);
  }
  const burst = new Float32Array(16 * 512);
  burst.fill(1e4, 5 * 512, 6 * 512);
  const frames = await linearSpectrogram(burst, { nFft: 512, hopLength: 512, center: false });
  for (let f = 0; f < 16; f++) {
    let sum = 0;
    for (let k = 0; k <= 256; k++) sum += frames.data[k * 16 + f]!;
    t.is(sum > 0, f === 5, `frame ${f}: ${sum}`);
  }
});

test('one-call forms that keep what they prepared do not mix their parameters up', async (t) => {
  const x = randomF32(6000, 5, 0);
  const specs: MelOptions[] = [
    { sampleRate: 16000, nFft: 512 },
    { sampleRate: 16000, nFft: 512, norm: null },
    { sampleRate: 16000, nFft: 512, power: 1 },
    { sampleRate: 16000, nFft: 512, scaling: { kind: 'db' } },
    { sampleRate: 16000, nFft: 512, scaling: { kind: 'db', ref: 'max' } },
    { sampleRate: 16000, nFft: 512, scaling: { kind: 'db', topDb: null } },
    { sampleRate: 16000, nFft: 512, scaling: { kind: 'log', base: 10 } },
  ];
  // In both directions, more sets than are kept, and all at the same time.
  const order = [...specs, ...[...specs].reverse(), specs[0]!, specs[0]!];
  const together = await Promise.all(order.map((spec) => melSpectrogram(x, spec)));
  for (const [i, spec] of order.entries()) {
    const prepared = await Spectrogram.create({ kind: 'mel', ...spec });
    const { data } = await prepared.run(x);
    prepared.dispose();
    const again = await melSpectrogram(x, spec);
    t.deepEqual(again.data, data, `${i}`);
    t.deepEqual(together[i]!.data, data, `${i}, all at once`);
  }
  // What only looks like a kept set is refused as ever.
  await t.throwsAsync(melSpectrogram(x, { ...specs[1], norm: 'null' } as never), { code: 'ERR_INPUT_VALUE' });
  await t.throwsAsync(melSpectrogram(x, { ...specs[0], nFft: '512' } as never), { code: 'ERR_INPUT_TYPE' });
});
