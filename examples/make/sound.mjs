// The trailer's sound, synthesised: sea, fog horn, a few piano notes, rain and thunder, a closing chord.
import { random } from './drawing.mjs';
import { LIGHTNING, TRAILER } from './trailer.mjs';

export const SAMPLE_RATE = 48000;

const TAU = 2 * Math.PI;
const midi = (note) => 440 * 2 ** ((note - 69) / 12);
const clamp = (value) => Math.max(0, Math.min(1, value));
/** 0 before `from`, 1 after `from + rise`, 0 again after `to`. */
const envelope = (t, from, rise, to, fall) => clamp((t - from) / rise) * clamp((to - t) / fall);

/** White noise through a one-pole low pass; brown when `cutoff` is small. */
function noise(seed, cutoff) {
  const next = random(seed);
  const a = 1 - Math.exp((-TAU * cutoff) / SAMPLE_RATE);
  const gain = Math.sqrt((2 - a) / a);
  let state = 0;
  return () => {
    state += a * (next() * 2 - 1 - state);
    return state * gain;
  };
}

/** A struck string: harmonics that die the faster the higher they are. */
function piano(t, note, velocity) {
  if (t < 0) return 0;
  let sum = 0;
  const f = midi(note);
  for (let h = 1; h <= 7; h++) {
    const stretched = f * h * Math.sqrt(1 + 0.0004 * h * h);
    sum += (Math.sin(TAU * stretched * t) * Math.exp(-t * (0.9 + 0.55 * h))) / h ** 1.3;
  }
  return sum * velocity * clamp(t / 0.004);
}

function fogHorn(t) {
  const on = envelope(t, 0.35, 0.25, 2.0, 0.5);
  if (on === 0) return 0;
  const slide = 1 - 0.06 * clamp((t - 1.55) / 0.4);
  let sum = 0;
  for (let h = 1; h <= 6; h++)
    sum +=
      (Math.sin(TAU * 87.3 * slide * h * t) + 0.7 * Math.sin(TAU * 87.9 * slide * h * t + h)) / h ** 1.15;
  return sum * on * 0.16;
}

const MELODY = [
  [0.9, 69, 0.16],
  [1.6, 72, 0.14],
  [2.3, 76, 0.2],
  [2.75, 74, 0.16],
  [3.2, 72, 0.16],
  [3.65, 71, 0.17],
  [4.2, 57, 0.3],
  [4.2, 64, 0.2],
  [4.9, 56, 0.28],
  [5.55, 53, 0.3],
  [6.2, 45, 0.32],
  [6.2, 57, 0.24],
  [6.2, 64, 0.2],
  [6.28, 71, 0.18],
  [6.36, 72, 0.2],
  [6.44, 76, 0.2],
];

/** @returns {[Float32Array, Float32Array]} left and right in [-1, 1] */
export function synthesise() {
  const count = TRAILER.seconds * SAMPLE_RATE;
  const channels = [new Float32Array(count), new Float32Array(count)];
  const sea = [noise(1, 420), noise(2, 420)];
  const spray = [noise(3, 5200), noise(4, 5200)];
  const rumble = noise(5, 90);
  const crackle = noise(6, 1400);
  for (let i = 0; i < count; i++) {
    const t = i / SAMPLE_RATE;
    const stormy = envelope(t, 4.15, 0.1, 6.25, 0.25);
    const notes = MELODY.reduce((sum, [at, note, velocity]) => sum + piano(t - at, note, velocity), 0);
    const strings = [57, 60, 64, 69].reduce(
      (sum, note, k) => sum + Math.sin(TAU * midi(note) * t + k + 2.2 * Math.sin(TAU * 0.27 * t + k)),
      0,
    );
    const since = t - LIGHTNING - 0.25;
    const thunder =
      since < 0 ? 0 : rumble() * 0.5 * Math.exp(-since * 2.1) + crackle() * 0.3 * Math.exp(-since * 9);
    const tick = t > 2.3 && t < 4.2 ? Math.exp(-((t * 4) % 1) * 60) * Math.sin(TAU * 1900 * t) * 0.05 : 0;
    for (const side of [0, 1]) {
      const swell = 0.55 + 0.45 * Math.sin(TAU * 0.31 * t + 0.9 * side - 1);
      channels[side][i] =
        sea[side]() * (0.07 * swell + 0.09 * stormy) +
        spray[side]() * (0.008 * swell ** 3 + 0.045 * stormy) +
        fogHorn(t - 0.012 * side) +
        notes * 0.75 +
        strings * 0.02 * envelope(t, 2.4, 3, 6.2, 0.4) +
        thunder +
        tick;
    }
  }
  for (const channel of channels) echo(channel);
  finish(channels);
  return channels;
}

/** A hint of a room by the sea: four echoes of different length, fed back. */
function echo(channel) {
  const dry = channel.slice();
  for (const [seconds, gain] of [
    [0.0297, 0.22],
    [0.0711, 0.2],
    [0.1371, 0.17],
    [0.2113, 0.13],
  ]) {
    const delay = Math.round(seconds * SAMPLE_RATE);
    const line = new Float32Array(channel.length);
    for (let i = delay; i < channel.length; i++) {
      line[i] = dry[i - delay] + 0.45 * line[i - delay];
      channel[i] += gain * line[i];
    }
  }
}

/** Fades at both ends, softly limited, peak at 0.9. */
function finish(channels) {
  let peak = 0;
  for (const channel of channels) {
    for (let i = 0; i < channel.length; i++) {
      const t = i / SAMPLE_RATE;
      channel[i] = Math.tanh(channel[i] * 1.25) * envelope(t, 0, 0.4, TRAILER.seconds, 0.9);
      peak = Math.max(peak, Math.abs(channel[i]));
    }
  }
  for (const channel of channels) for (let i = 0; i < channel.length; i++) channel[i] *= 0.9 / peak;
}
