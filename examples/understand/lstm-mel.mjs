/**
 * An LSTM over the mel spectrogram of clips, or over their pictures, trained in process: which of the clips does half a
 * second come from? Every fourth second of each clip is held out, whole, and says how much was learnt.
 *
 *   node examples/understand/lstm-mel.mjs                          one clip, the example film's trailer: which half of it?
 *   node examples/understand/lstm-mel.mjs speech.flac music.mp3    a class a file
 *   node examples/understand/lstm-mel.mjs --pictures a.mp4 b.mp4   over pictures instead of sound
 *   node examples/understand/lstm-mel.mjs --arrow music.mp3        forwards or backwards? Only the order of steps tells
 */
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { MediaDecoder } from 'cinefuse/media';
import {
  frames,
  Lstm,
  linear,
  linearBackward,
  loss,
  lstmBackward,
  lstmForward,
  melSpectrogram,
  optimizerStep,
} from 'cinefuse/ops';

const HIDDEN = 24;
const BATCH = 32;
const EPOCHS = 8;
const MELS = 40;
const PICTURE = { width: 16, height: 9 };

/** The steps of a clip: frames of sound, 100 a second, or small pictures, 12 a second. */
const KINDS = {
  async sound(decoder, file) {
    const { samples, sampleRate } = await decoder.audio(file, {
      field: 'clip',
      sampleRate: 16000,
      maxDurationMs: 60_000,
    });
    const { data } = await melSpectrogram(samples, {
      ...{ sampleRate, nFft: 512, winLength: 400, hopLength: 160, nMels: MELS },
      ...{ layout: 'frames-bands', scaling: { kind: 'log' } },
    });
    return { data, size: MELS, second: 100, window: 50, hop: 10 };
  },
  async pictures(decoder, file) {
    const sampling = { kind: 'fps', fps: 12, maxCount: 720 };
    const video = await decoder.video(file, { field: 'clip', sampling, maxSide: 160 });
    const data = await frames(video.frames, {
      resize: [PICTURE.height, PICTURE.width],
      mean: [0.5, 0.5, 0.5],
      std: [0.25, 0.25, 0.25],
    });
    return { data, size: 3 * PICTURE.width * PICTURE.height, second: 12, window: 6, hop: 1 };
  },
};

/** Windows of half a second, none of which reaches over the end of its second. */
function windowsOf({ data, size, second, window, hop }, label) {
  const found = [];
  const seconds = Math.floor(data.length / size / second);
  for (let s = 0; s < seconds; s++) {
    for (let t = s * second; t + window <= (s + 1) * second; t += hop) {
      found.push({ x: data.subarray(t * size, (t + window) * size), label, heldOut: s % 4 === 2 });
    }
  }
  return found;
}

/** Every window as it is, and from its end to its beginning. */
function bothWays(windows, { size, window }) {
  const turned = (x) => {
    const to = new Float32Array(x.length);
    for (let t = 0; t < window; t++) to.set(x.subarray(t * size, (t + 1) * size), (window - 1 - t) * size);
    return to;
  };
  return windows.flatMap((w) => [
    { ...w, label: 0 },
    { ...w, x: turned(w.x), label: 1 },
  ]);
}

/** Deterministic numbers in [0, 1). */
function random(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Every number of a step less its mean, by its spread, both of the windows that are learnt from. */
function standardise(windows, size) {
  const mean = new Float64Array(size);
  const square = new Float64Array(size);
  let steps = 0;
  for (const { x, heldOut } of windows) {
    if (heldOut) continue;
    steps += x.length / size;
    x.forEach((v, i) => {
      mean[i % size] += v;
      square[i % size] += v * v;
    });
  }
  const spread = square.map((s, i) => Math.sqrt(Math.max(1e-6, s / steps - (mean[i] / steps) ** 2)));
  for (const w of windows) w.x = w.x.map((v, i) => (v - mean[i % size] / steps) / spread[i % size]);
}

const gather = (windows) => {
  const length = windows[0].x.length;
  const x = new Float32Array(windows.length * length);
  for (const [i, w] of windows.entries()) x.set(w.x, i * length);
  return x;
};
/** (directions, rows, hidden) -> (rows, directions · hidden), and back. */
const sideBySide = (h, rows) => swap(h, 2, rows);
const byDirection = (h, rows) => swap(h, rows, 2);
function swap(h, a, b) {
  const to = new Float32Array(h.length);
  for (let i = 0; i < h.length; i++) {
    const [u, j, k] = [i % HIDDEN, Math.floor(i / HIDDEN) % b, Math.floor(i / HIDDEN / b)];
    to[(j * a + k) * HIDDEN + u] = h[i];
  }
  return to;
}

/** A bidirectional LSTM whose last states go through one dense layer, learnt with Adam. */
async function train(windows, { size, window }, classes) {
  const next = random(7);
  const init = (n, scale) => Float32Array.from({ length: n }, () => (next() * 2 - 1) * scale);
  const gates = 2 * 4 * HIDDEN;
  const lstm = {
    ...{ inputSize: size, hiddenSize: HIDDEN, directions: 2, time: window },
    weightInput: init(gates * size, size ** -0.5),
    weightHidden: init(gates * HIDDEN, HIDDEN ** -0.5),
    bias: new Float32Array(gates),
  };
  const dense = {
    ...{ inFeatures: 2 * HIDDEN, outFeatures: classes },
    weight: init(classes * 2 * HIDDEN, HIDDEN ** -0.5),
    bias: new Float32Array(classes),
  };
  const moments = new Map();
  const adam = async (p, g, step) => {
    if (!moments.has(p)) moments.set(p, { m: new Float32Array(p.length), v: new Float32Array(p.length) });
    await optimizerStep({ p, g, ...moments.get(p) }, { kind: 'adam', learningRate: 3e-3, step });
  };
  let step = 0;
  for (let epoch = 1; epoch <= EPOCHS; epoch++) {
    const order = windows
      .map((w) => [next(), w])
      .sort(([a], [b]) => a - b)
      .map(([, w]) => w);
    let total = 0;
    for (let first = 0; first < order.length; first += BATCH) {
      const batch = order.slice(first, first + BATCH);
      const x = gather(batch);
      const forward = await lstmForward({ ...lstm, x });
      const h = sideBySide(forward.h, batch.length);
      const logits = await linear(h, dense);
      const target = Float32Array.from(batch, (w) => w.label);
      const { loss: value, dx } = await loss('cross-entropy', { x: logits, target }, { cols: classes });
      const head = await linearBackward({ ...dense, x: h, dy: dx });
      const dh = byDirection(head.dx, batch.length);
      const grads = await lstmBackward({ ...lstm, x, ...forward, dh, inputGradient: false });
      step++;
      await adam(dense.weight, head.dW, step);
      await adam(dense.bias, head.db, step);
      for (const name of ['weightInput', 'weightHidden', 'bias']) await adam(lstm[name], grads[name], step);
      total += value[0] * batch.length;
    }
    console.log(`epoch ${epoch}: loss ${(total / order.length).toFixed(4)}`);
  }
  return { lstm, dense };
}

/** How many of the windows the network gives to their own clip. */
async function right(windows, { lstm, dense }) {
  const layer = await Lstm.create(lstm);
  const { h } = await layer.run(gather(windows), { time: lstm.time });
  layer.dispose();
  const logits = await linear(sideBySide(h, windows.length), dense);
  const n = dense.outFeatures;
  return windows.filter((w, i) => {
    const row = logits.subarray(i * n, (i + 1) * n);
    return row.indexOf(Math.max(...row)) === w.label;
  }).length;
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { pictures: { type: 'boolean', default: false }, arrow: { type: 'boolean', default: false } },
});
const files = positionals.length
  ? positionals
  : [fileURLToPath(new URL('../the-lighthouse-keeper/trailer.mp4', import.meta.url))];
const decoder = new MediaDecoder();
const clips = [];
for (const file of files)
  clips.push(await KINDS[values.pictures ? 'pictures' : 'sound'](decoder, { path: file }));
await decoder.dispose();
if (clips.length === 1 && !values.arrow) {
  const { data, size, second } = clips[0];
  const half = Math.floor(data.length / size / second / 2) * second * size;
  clips.push({ ...clips[0], data: data.subarray(half) });
  clips[0] = { ...clips[0], data: data.subarray(0, half) };
}
const found = clips.flatMap(windowsOf);
const windows = values.arrow ? bothWays(found, clips[0]) : found;
const classes = values.arrow ? 2 : clips.length;
standardise(windows, clips[0].size);
const heldOut = windows.filter((w) => w.heldOut);
const network = await train(
  windows.filter((w) => !w.heldOut),
  clips[0],
  classes,
);
const hits = await right(heldOut, network);
const counts = Array.from({ length: classes }, (_, label) => heldOut.filter((w) => w.label === label).length);
const percent = (share) => `${(100 * share).toFixed(1)} %`;
console.log(
  `held out: ${hits} of ${heldOut.length} windows right, ${percent(hits / heldOut.length)}; ` +
    `always the commonest answer: ${percent(Math.max(...counts) / heldOut.length)}`,
);
