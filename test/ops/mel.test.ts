import test from 'ava';
import {
  type DecibelOptions,
  type MelFilterbankOptions,
  melFilterbank,
  powerToDb,
  Spectrogram,
  type MelOptions,
} from '../../lib/ops/index.js';
import { ways } from '../backends.js';
import { assertGolden, f32, type GoldenCase, loadGolden, tensorOf } from '../golden.js';

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
