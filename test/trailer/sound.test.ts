/**
 * Loudness held against the signals of EBU Tech 3341 (whose results the standard states) and, on real clips, against
 * FFmpeg 5.1: ffmpeg -i CLIP -vn -af ebur128=peak=sample -f null - . Rhythm held against librosa 0.11
 * (test/golden/make-rhythm.py).
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test from 'ava';
import * as C from 'node-av/constants';
import { MediaDecoder } from '../../lib/media/decoder.js';
import { packageRoot } from '../../lib/native.js';
import { type Loudness, loudnessOf } from '../../lib/trailer/loudness.js';
import { rhythmOf } from '../../lib/trailer/rhythm.js';
import { sine, writeMedia } from '../media/zoo.js';
import { sharedPath, sharedTest } from '../shared.js';

const folder = mkdtempSync(path.join(tmpdir(), 'cinefuse-test-loudness-'));
const decoder = new MediaDecoder({ workers: 1 });
test.after.always(async () => {
  await decoder.dispose();
  rmSync(folder, { recursive: true, force: true });
});
let files = 0;

async function measured(channels: Float32Array[], sampleRate: number): Promise<Loudness> {
  const file = path.join(folder, `${files++}.wav`);
  writeMedia(file, 'wav', {
    audio: { encoder: 'pcm_f32le', sampleRate, channels, sampleFormat: C.AV_SAMPLE_FMT_FLT },
  });
  return loudnessOf(await decoder.loudness({ path: file }, { field: 'sound' }));
}

/** 1 kHz at these levels (dB of full scale) for so many seconds each. */
function tones(parts: readonly [seconds: number, db: number][], sampleRate: number): Float32Array {
  const pieces = parts.map(([seconds, db]) => sine(1000, sampleRate, seconds * sampleRate, 10 ** (db / 20)));
  const all = new Float32Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return all;
}

const near = (actual: number | null, expected: number, tolerance: number) =>
  actual !== null && Math.abs(actual - expected) <= tolerance;

for (const sampleRate of [48000, 44100, 22050]) {
  test(`stereo tones of EBU Tech 3341, cases 1 to 5, at ${sampleRate} Hz`, async (t) => {
    const cases: [[number, number][], number][] = [
      [[[20, -23]], -23],
      [[[20, -33]], -33],
      // The standard's lengths, halved: the gates decide alike.
      [
        [
          [5, -36],
          [30, -23],
          [5, -36],
        ],
        -23,
      ],
      [
        [
          [5, -72],
          [5, -36],
          [30, -23],
          [5, -36],
          [5, -72],
        ],
        -23,
      ],
      [
        [
          [20, -26],
          [20.1, -20],
          [20, -26],
        ],
        -23,
      ],
    ];
    for (const [parts, expected] of cases) {
      const channel = tones(parts, sampleRate);
      const { integratedLufs } = await measured([channel, channel], sampleRate);
      t.true(near(integratedLufs, expected, 0.1), `${JSON.stringify(parts)}: ${integratedLufs}`);
    }
  });
}

test('momentary and short-term loudness, range and peak of a tone that jumps', async (t) => {
  const channel = tones(
    [
      [20, -30],
      [20, -20],
    ],
    48000,
  );
  const { momentary, shortTerm, rangeLu, maxMomentaryLufs, maxShortTermLufs, samplePeakDb } = await measured(
    [channel, channel],
    48000,
  );
  // EBU Tech 3342, case 1: 10 LU.
  t.true(near(rangeLu, 10, 0.1));
  t.true(near(maxMomentaryLufs, -20, 0.1));
  t.true(near(maxShortTermLufs, -20, 0.1));
  t.true(near(samplePeakDb, -20, 0.01));
  const at = ({ startMs, stepMs, values }: typeof momentary, ms: number) =>
    values[Math.round((ms - startMs) / stepMs)]!;
  t.true(near(at(momentary, 19_700), -30, 0.1));
  t.true(near(at(momentary, 20_300), -20, 0.1));
  t.true(near(at(shortTerm, 18_400), -30, 0.1));
  t.true(near(at(shortTerm, 21_600), -20, 0.1));
  t.is(momentary.values.length, 397);
  t.is(shortTerm.values.length, 371);
});

test('channels: mono, one silent, surround 1.5 dB up, LFE not at all', async (t) => {
  const tone = tones([[4, -23]], 48000);
  const silent = new Float32Array(tone.length);
  const level = async (channels: Float32Array[]) => (await measured(channels, 48000)).integratedLufs;
  t.true(near(await level([tone]), -26, 0.1));
  t.true(near(await level([tone, silent]), -26, 0.1));
  // 5.1: left, right, centre, LFE, two at the back.
  const only = (place: number) => Array.from({ length: 6 }, (_, i) => (i === place ? tone : silent));
  t.true(near(await level(only(2)), -26, 0.1));
  t.is(await level(only(3)), null);
  t.true(near(await level(only(4)), -26 + 1.5, 0.1));
});

test('silence, and sound shorter than a block, have no loudness', async (t) => {
  for (const length of [48000 * 2, 100, 1]) {
    const { integratedLufs, maxMomentaryLufs, samplePeakDb, rangeLu } = await measured(
      [new Float32Array(length)],
      48000,
    );
    t.deepEqual([integratedLufs, maxMomentaryLufs, samplePeakDb, rangeLu], [null, null, null, 0]);
  }
});

const CLIPS: Record<string, [integrated: number, range: number, peak: number]> = {
  'bbb_opening_30s_480p.mp4': [-21.6, 17.7, -0.8],
  'tears_of_steel_battle.webm': [-8.8, 11.4, 1.2],
  'music_viper.mp3': [-10.7, 6.9, 0.3],
  'music_outfoxing.mp3': [-11.0, 7.3, 0.2],
};
for (const [name, [integrated, range, peak]] of Object.entries(CLIPS)) {
  const need = `data/movies/media/${name}`;
  sharedTest(`${name}: loudness as FFmpeg's ebur128 has it`, [need], async (t) => {
    const loudness = loudnessOf(await decoder.loudness({ path: sharedPath(need) }, { field: 'sound' }));
    // FFmpeg prints tenths, and its range comes from a histogram of tenths.
    t.true(near(loudness.integratedLufs, integrated, 0.06), String(loudness.integratedLufs));
    t.true(near(loudness.rangeLu, range, 0.15), String(loudness.rangeLu));
    t.true(near(loudness.samplePeakDb, peak, 0.06), String(loudness.samplePeakDb));
  });
}

const RATE = 22050;

/** The sound of make-rhythm.py. */
function beats(): Float32Array {
  const samples = new Float64Array(RATE * 8);
  let state = 12345n;
  for (let i = 0; i < samples.length; i++) {
    state = (1103515245n * state + 12345n) % 2n ** 31n;
    samples[i] = 0.02 * Math.sin((2 * Math.PI * 110 * i) / RATE) + 0.004 * (Number(state) / 2 ** 31 - 0.5);
  }
  for (let beat = 0; beat * 0.48 < 8 - 0.4; beat++) {
    const pitch = 330 * (1 + (beat % 4));
    for (let i = 0; i < samples.length; i++) {
      const since = i / RATE - (0.2 + beat * 0.48);
      if (since >= 0) samples[i]! += 0.4 * Math.exp(-18 * since) * Math.sin(2 * Math.PI * pitch * since);
    }
  }
  return Float32Array.from(samples);
}

const sound = (samples: Float32Array, startMs = 0) => ({
  samples,
  sampleRate: RATE,
  durationMs: (1000 * samples.length) / RATE,
  startMs,
});

test('onset strength, onsets and tempo equal librosa', async (t) => {
  const golden = JSON.parse(
    readFileSync(path.join(packageRoot(), 'test', 'golden', 'rhythm.json'), 'utf8'),
  ) as { strength: number[]; onsets: number[]; tempo: number };
  const { onsetStrength, onsetsMs, tempoBpm, tempo } = await rhythmOf(sound(beats(), 500));
  t.is(onsetStrength.values.length, golden.strength.length);
  for (const [i, expected] of golden.strength.entries()) {
    t.true(Math.abs(onsetStrength.values[i]! - expected) <= 2e-3, `frame ${i}: ${onsetStrength.values[i]}`);
  }
  t.deepEqual(
    onsetsMs.map((ms) => Math.round((ms - 500) / onsetStrength.stepMs)),
    golden.onsets,
  );
  t.is(onsetStrength.startMs, 500);
  t.true(Math.abs(tempoBpm! - golden.tempo) < 1e-4);
  // 125 beats a minute lies between two lags; the curve sees it throughout.
  const middle = tempo.values.slice(4, -4);
  t.true(middle.every((bpm) => Math.abs(bpm - 125) < 5));
});

test('silence has no tempo and no onset; a single sample is enough', async (t) => {
  for (const length of [RATE, 1]) {
    const { tempoBpm, onsetsMs, onsetStrength, tempo } = await rhythmOf(sound(new Float32Array(length)));
    t.is(tempoBpm, null);
    t.deepEqual(onsetsMs, []);
    t.true(onsetStrength.values.every((value) => value === 0));
    t.true(tempo.values.every((value) => value === 0));
  }
});
