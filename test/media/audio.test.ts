import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import * as C from 'node-av/constants';
import { MediaError } from '../../lib/errors.js';
import { MediaDecoder } from '../../lib/media/decoder.js';
import { throwsTyped } from '../errors.js';
import { type AudioPlan, flat420, sine, writeMedia } from './zoo.js';

const folder = mkdtempSync(join(tmpdir(), 'cinefuse-test-audio-'));
const decoder = new MediaDecoder();
test.after.always(async () => {
  await decoder.dispose();
  rmSync(folder, { recursive: true, force: true });
});

const file = (name: string) => join(folder, name);
const field = 'audio';

function tone(encoder: string, sampleFormat: C.AVSampleFormat, plan: Partial<AudioPlan> = {}): AudioPlan {
  const sampleRate = plan.sampleRate ?? 44100;
  return { encoder, sampleFormat, sampleRate, channels: [sine(440, sampleRate, sampleRate)], ...plan };
}

/** Amplitude and phase (radians, of a sine) of one frequency, by projection on the middle of the clip. */
function component(samples: Float32Array, frequency: number, sampleRate: number) {
  let [sin, cos, count] = [0, 0, 0];
  for (let i = Math.floor(samples.length / 4); i < (3 * samples.length) / 4; i++) {
    const angle = (2 * Math.PI * frequency * i) / sampleRate;
    sin += samples[i]! * Math.sin(angle);
    cos += samples[i]! * Math.cos(angle);
    count++;
  }
  return { amplitude: (2 * Math.hypot(sin, cos)) / count, phase: Math.atan2(cos, sin) };
}

function power(samples: Float32Array): number {
  return samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
}

// name, muxer, encoder, sample format, rate, length is exact, error of the amplitude (LAME scales by 0.95).
// FFmpeg's Ogg muxer writes Vorbis 128 samples short; an AAC stream has no place for the encoder's delay.
const FORMATS: [string, string, string, C.AVSampleFormat, number, boolean, number][] = [
  ['wav 16-bit', 'wav', 'pcm_s16le', C.AV_SAMPLE_FMT_S16, 44100, true, 1e-4],
  ['wav float', 'wav', 'pcm_f32le', C.AV_SAMPLE_FMT_FLT, 48000, true, 1e-6],
  ['flac', 'flac', 'flac', C.AV_SAMPLE_FMT_S16, 44100, true, 1e-4],
  ['mp3', 'mp3', 'libmp3lame', C.AV_SAMPLE_FMT_FLTP, 44100, true, 0.03],
  ['ogg vorbis', 'ogg', 'libvorbis', C.AV_SAMPLE_FMT_FLTP, 44100, false, 0.02],
  ['ogg opus', 'ogg', 'libopus', C.AV_SAMPLE_FMT_FLT, 48000, true, 0.03],
  ['m4a aac', 'ipod', 'aac', C.AV_SAMPLE_FMT_FLTP, 44100, true, 0.02],
  ['aac stream', 'adts', 'aac', C.AV_SAMPLE_FMT_FLTP, 44100, false, 0.02],
  ['webm opus', 'webm', 'libopus', C.AV_SAMPLE_FMT_FLT, 48000, true, 0.03],
];

for (const [name, container, encoder, sampleFormat, rate, exact, tolerance] of FORMATS) {
  test(`${name}: frequency, level, phase and length`, async (t) => {
    const path = file(`${name}.bin`);
    writeMedia(path, container, { audio: tone(encoder, sampleFormat, { sampleRate: rate }) });
    const own = await decoder.audio({ path }, { field, sampleRate: rate });
    const low = await decoder.audio({ path }, { field, sampleRate: 16000 });
    for (const { samples, sampleRate, durationMs, startMs } of [own, low]) {
      if (exact) t.is(samples.length, sampleRate, `length at ${sampleRate}`);
      else t.true(Math.abs(samples.length - sampleRate) < 0.06 * sampleRate, `length ${samples.length}`);
      t.is(durationMs, (1000 * samples.length) / sampleRate);
      t.true(startMs < 3, String(startMs));
      const { amplitude, phase } = component(samples, 440, sampleRate);
      t.true(Math.abs(amplitude - 0.5) <= tolerance + 1e-3, `amplitude ${amplitude} at ${sampleRate}`);
      // Half a sample at 16 kHz is 0.086 rad: encoder delay left in would show, resampling must not shift.
      if (exact) t.true(Math.abs(phase) < 0.02, `phase ${phase} at ${sampleRate}`);
      t.true(Math.abs(component(samples, 700, sampleRate).amplitude) < 0.01);
    }
  });
}

test('the sound track of a video', async (t) => {
  for (const [container, videoEncoder, encoder] of [
    ['mp4', 'libx264', 'aac'],
    ['matroska', 'ffv1', 'flac'],
  ] as const) {
    const path = file(`video ${container}`);
    const format = encoder === 'aac' ? C.AV_SAMPLE_FMT_FLTP : C.AV_SAMPLE_FMT_S16;
    writeMedia(path, container, {
      video: {
        width: 32,
        height: 32,
        encoder: videoEncoder,
        timesMs: [0, 500, 1000],
        paint: () => flat420(32, 32, 90),
      },
      audio: tone(encoder, format),
    });
    const { samples } = await decoder.audio({ path }, { field, sampleRate: 22050 });
    t.is(samples.length, 22050, container);
    t.true(Math.abs(component(samples, 440, 22050).amplitude - 0.5) < 0.02);
  }
});

test('rates of 8 kHz and 96 kHz, up and down, keep frequency and length', async (t) => {
  for (const rate of [8000, 11025, 96000]) {
    const path = file(`rate ${rate}`);
    writeMedia(path, 'wav', { audio: tone('pcm_s16le', C.AV_SAMPLE_FMT_S16, { sampleRate: rate }) });
    for (const wanted of [8000, 16000, 22050, 48000]) {
      const { samples } = await decoder.audio({ path }, { field, sampleRate: wanted });
      t.is(samples.length, wanted, `${rate} -> ${wanted}`);
      const { amplitude, phase } = component(samples, 440, wanted);
      t.true(
        Math.abs(amplitude - 0.5) < 2e-3 && Math.abs(phase) < 5e-3,
        `${rate} -> ${wanted}: ${amplitude} ${phase}`,
      );
    }
  }
});

test('what lies above the new band is removed, not folded down', async (t) => {
  const path = file('high.wav');
  const channels = [sine(15_000, 44100, 44100, 0.8)];
  writeMedia(path, 'wav', { audio: tone('pcm_s16le', C.AV_SAMPLE_FMT_S16, { channels }) });
  const { samples } = await decoder.audio({ path }, { field, sampleRate: 16000 });
  t.true(power(samples.subarray(1000, 15000)) < 1e-8, String(power(samples.subarray(1000, 15000))));
});

test('an impulse stays where it is through resampling', async (t) => {
  const channel = new Float32Array(44100);
  channel[22050] = 1;
  const path = file('impulse.wav');
  writeMedia(path, 'wav', { audio: tone('pcm_f32le', C.AV_SAMPLE_FMT_FLT, { channels: [channel] }) });
  const { samples } = await decoder.audio({ path }, { field, sampleRate: 16000 });
  const peak = samples.indexOf(Math.max(...samples));
  t.is(peak, 8000);
});

test('stereo is averaged, and equal channels keep their level', async (t) => {
  const path = file('stereo.wav');
  const channels = [sine(440, 44100, 44100, 0.8), sine(1000, 44100, 44100, 0.4)];
  writeMedia(path, 'wav', { audio: tone('pcm_f32le', C.AV_SAMPLE_FMT_FLT, { channels }) });
  const { samples } = await decoder.audio({ path }, { field, sampleRate: 44100 });
  for (const i of [0, 1, 777, 44099]) {
    t.true(Math.abs(samples[i]! - (channels[0]![i]! + channels[1]![i]!) / 2) < 1e-6);
  }
  const loud = [new Float32Array(100).fill(1), new Float32Array(100).fill(1)];
  writeMedia(path, 'wav', { audio: tone('pcm_f32le', C.AV_SAMPLE_FMT_FLT, { channels: loud }) });
  t.true(
    (await decoder.audio({ path }, { field, sampleRate: 44100 })).samples.every(
      (sample) => Math.abs(sample - 1) < 1e-6,
    ),
  );
});

test('5.1 is mixed by BS.775 to unit sum, without the LFE', async (t) => {
  const path = file('surround.wav');
  // left, right, centre, LFE, side left, side right
  const frequencies = [300, 500, 700, 60, 1100, 1300];
  const channels = frequencies.map((frequency) => sine(frequency, 48000, 48000, 0.9));
  writeMedia(path, 'wav', { audio: tone('pcm_f32le', C.AV_SAMPLE_FMT_FLT, { channels, sampleRate: 48000 }) });
  const { samples } = await decoder.audio({ path }, { field, sampleRate: 48000 });
  const gains = frequencies.map((frequency) => component(samples, frequency, 48000).amplitude / 0.9);
  // mono from 5.1: L and R 1/√2, C 1, surrounds 1/2, divided by their sum
  const sum = 2 * Math.SQRT1_2 + 1 + 2 * 0.5;
  const expected = [Math.SQRT1_2, Math.SQRT1_2, 1, 0, 0.5, 0.5].map((gain) => gain / sum);
  t.true(
    gains.every((gain, i) => Math.abs(gain - expected[i]!) < 2e-3),
    `${gains} for ${expected}`,
  );
});

test('channels without places are averaged', async (t) => {
  const path = file('many.wav');
  const frequencies = Array.from({ length: 11 }, (_, i) => 300 + 100 * i);
  writeFileSync(
    path,
    wav(
      frequencies.map((frequency) => sine(frequency, 8000, 8000, 0.8)),
      8000,
    ),
  );
  const { samples } = await decoder.audio({ path }, { field, sampleRate: 8000 });
  t.is(samples.length, 8000);
  for (const frequency of frequencies) {
    t.true(Math.abs(component(samples, frequency, 8000).amplitude - 0.8 / 11) < 1e-3, `${frequency}`);
  }
});

/** A float WAV with a plain header, which says nothing of places. */
function wav(channels: Float32Array[], sampleRate: number): Buffer {
  const [count, total] = [channels.length, channels[0]!.length];
  const file = Buffer.alloc(44 + 4 * count * total);
  file.write('RIFF', 0);
  file.writeUInt32LE(file.length - 8, 4);
  file.write('WAVEfmt ', 8);
  file.writeUInt32LE(16, 16);
  file.writeUInt16LE(3, 20);
  file.writeUInt16LE(count, 22);
  file.writeUInt32LE(sampleRate, 24);
  file.writeUInt32LE(4 * count * sampleRate, 28);
  file.writeUInt16LE(4 * count, 32);
  file.writeUInt16LE(32, 34);
  file.write('data', 36);
  file.writeUInt32LE(file.length - 44, 40);
  for (let i = 0; i < total; i++) {
    for (let c = 0; c < count; c++) file.writeFloatLE(channels[c]![i]!, 44 + 4 * (i * count + c));
  }
  return file;
}

test('one sample, and a few', async (t) => {
  for (const count of [1, 2, 5, 100]) {
    const bytes = wav([new Float32Array(count).fill(0.25)], 44100);
    const same = await decoder.audio(bytes, { field, sampleRate: 44100 });
    t.deepEqual([...same.samples], new Array(count).fill(0.25));
    for (const sampleRate of [8000, 16000, 96000]) {
      const { samples } = await decoder.audio(bytes, { field, sampleRate });
      t.is(samples.length, Math.ceil((count * sampleRate) / 44100), `${count} at ${sampleRate}`);
      t.true(samples.every((sample) => Number.isFinite(sample) && Math.abs(sample) <= 1));
      t.true(
        samples.some((sample) => sample > 0.04),
        `${count} at ${sampleRate}: ${samples.slice(0, 4)}`,
      );
    }
  }
});

test('a header without samples is empty; samples beyond 1 are clipped; NaN is refused', async (t) => {
  await throwsTyped(t, () => decoder.audio(wav([new Float32Array(0)], 8000), { field, sampleRate: 8000 }), {
    code: 'ERR_MEDIA_EMPTY',
    field,
  });
  const loud = await decoder.audio(wav([Float32Array.of(3, -2, 0.5, Infinity)], 8000), {
    field,
    sampleRate: 8000,
  });
  t.deepEqual([...loud.samples], [1, -1, 0.5, 1]);
  await throwsTyped(
    t,
    () => decoder.audio(wav([Float32Array.of(0, Number.NaN)], 8000), { field, sampleRate: 8000 }),
    {
      code: 'ERR_MEDIA_READ',
      message: /not a number/,
    },
  );
});

test('maxDurationMs takes the beginning', async (t) => {
  const path = file('long.flac');
  const channels = [sine(440, 44100, 44100 * 5)];
  writeMedia(path, 'flac', { audio: tone('flac', C.AV_SAMPLE_FMT_S16, { channels }) });
  const whole = await decoder.audio({ path }, { field, sampleRate: 16000 });
  const part = await decoder.audio({ path }, { field, sampleRate: 16000, maxDurationMs: 1234.5 });
  t.is(whole.samples.length, 80000);
  t.is(part.samples.length, 19752);
  t.deepEqual(part.samples.subarray(0, 19000), whole.samples.subarray(0, 19000));
  const more = await decoder.audio({ path }, { field, sampleRate: 16000, maxDurationMs: 60_000 });
  t.is(more.samples.length, 80000);
});

test('limits of sound: duration and decoded bytes; the part asked for is what counts', async (t) => {
  const bytes = wav([sine(440, 8000, 16000)], 8000);
  await using short = new MediaDecoder({ limits: { maxDurationMs: 1500 } });
  await throwsTyped(t, () => short.audio(bytes, { field, sampleRate: 8000 }), {
    code: 'ERR_MEDIA_LIMIT',
    message: /at most 1500 ms \(limit maxDurationMs\) for audio/,
  });
  t.is((await short.audio(bytes, { field, sampleRate: 8000, maxDurationMs: 1500 })).samples.length, 12000);
  await using small = new MediaDecoder({ limits: { maxDecodedBytes: 4 * 15999 } });
  await throwsTyped(t, () => small.audio(bytes, { field, sampleRate: 8000 }), {
    code: 'ERR_MEDIA_LIMIT',
    message: /limit maxDecodedBytes/,
  });
});

test('a video without sound, and a file that is neither', async (t) => {
  const path = file('silent.mp4');
  writeMedia(path, 'mp4', {
    video: { width: 32, height: 32, encoder: 'libx264', timesMs: [0, 40], paint: () => flat420(32, 32, 90) },
  });
  await throwsTyped(t, () => decoder.audio({ path }, { field, sampleRate: 8000 }), {
    code: 'ERR_MEDIA_EMPTY',
    field,
    file: path,
    message: /sound track/,
  });
  await throwsTyped(t, () => decoder.audio(Buffer.alloc(5000, 'lorem ipsum '), { field, sampleRate: 8000 }), {
    code: 'ERR_MEDIA_FORMAT',
    field,
  });
});

test('sound files that are cut off throw where the format lets it be seen, and never give more than there is', async (t) => {
  for (const [name, container, encoder, sampleFormat, rate] of FORMATS) {
    const path = file(`cut ${name}`);
    writeMedia(path, container, { audio: tone(encoder, sampleFormat, { sampleRate: rate }) });
    const bytes = readFileSync(path);
    for (const share of [0.01, 0.5, 0.93]) {
      const cut = bytes.subarray(0, Math.ceil(share * bytes.length));
      const outcome = await decoder.audio(cut, { field, sampleRate: rate }).catch((error: unknown) => error);
      if (outcome instanceof MediaError)
        t.regex(outcome.code, /^ERR_MEDIA_(READ|FORMAT|EMPTY)$/, `${name} ${share}`);
      else {
        t.regex(name, /mp3|aac stream|ogg/, `${name} at ${share} gave a result`);
        t.true((outcome as { samples: Float32Array }).samples.length < rate);
      }
    }
  }
});
