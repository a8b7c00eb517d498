/**
 * A bundle that was trained on trailers uses them. Trained here, on the real clips: random features of the mean frame
 * and the mean sound of each clip, and a ridge regression on top; too few films to mean anything, enough to show that
 * what goes into a bundle comes out of `predict`.
 */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import test from 'ava';
import { meanVector } from '../../lib/encoders/embedding.js';
import { saveBundle } from '../../lib/fusion/bundle-save.js';
import type { BundleManifest } from '../../lib/fusion/manifest.js';
import { type FusionNetworkSpec, weightShapes } from '../../lib/fusion/network-spec.js';
import type { StoredTensor } from '../../lib/formats/safetensors.js';
import { defaultBundlePath, type InputEmbedding, loadBundle, Predictor } from '../../lib/index.js';
import { random } from '../backends.js';
import { sharedPath, sharedTest } from '../shared.js';
import { temporaryDirectory } from '../tiny-bundle.js';

const MEDIA = 'data/movies/media';
/** Ratings: the films' own; 3 for the clips that are no film. */
const CLIPS: [file: string, rating: number][] = [
  ['bbb_opening_30s_480p.mp4', 6.5],
  ['bbb_trailer.webm', 6.5],
  ['tears_of_steel_battle.webm', 5.4],
  ['toy_crystal.mp4', 3],
  ['toy_elf.mp4', 3],
  ['toy_frog.mp4', 3],
];
const WIDTH = 24;

/** Solves (A + λI) x = b for symmetric positive A, by Gaussian elimination. */
function solve(a: number[][], b: number[], lambda: number): number[] {
  const n = b.length;
  const m = a.map((row, i) => [...row.map((v, j) => v + (i === j ? lambda : 0)), b[i]!]);
  for (let i = 0; i < n; i++) {
    for (let r = i + 1; r < n; r++) {
      const f = m[r]![i]! / m[i]![i]!;
      for (let c = i; c <= n; c++) m[r]![c]! -= f * m[i]![c]!;
    }
  }
  const x = new Array<number>(n).fill(0);
  for (let i = n - 1; i >= 0; i--) {
    let sum = m[i]![n]!;
    for (let c = i + 1; c < n; c++) sum -= m[i]![c]! * x[c]!;
    x[i] = sum / m[i]![i]!;
  }
  return x;
}

sharedTest('a bundle trained on the real clips predicts from trailers', [MEDIA], async (t) => {
  t.timeout(300_000);
  await using dir = await temporaryDirectory();
  await using shipped = await loadBundle(defaultBundlePath());
  const clip = (file: string) => ({ trailer: { path: sharedPath(MEDIA, file) } });

  // The features: both encoders of the shipped bundle that read trailers.
  let imageEncoder = '';
  let soundEncoder = '';
  const means: { frames: Float32Array; sound: Float32Array }[] = [];
  {
    await using predictor = await Predictor.load();
    for (const [file] of CLIPS) {
      const embeddings = await predictor.embed(clip(file));
      const of = (input: string) => embeddings.find((e): e is InputEmbedding => e.input === input)!;
      const [video, audio] = [of('trailer.video'), of('trailer.audio')];
      t.true(video.length > 4 && audio.length > 4, file);
      imageEncoder = video.encoder;
      soundEncoder = audio.encoder;
      means.push({ frames: meanVector(video), sound: meanVector(audio) });
    }
  }

  const layer = { out: WIDTH, activation: 'tanh' as const, layerNorm: false };
  const network: FusionNetworkSpec = {
    modalities: [
      { name: 'frames', dim: means[0]!.frames.length, sequence: { pooling: 'mean' }, projection: layer },
      { name: 'sound', dim: means[0]!.sound.length, sequence: { pooling: 'mean' }, projection: layer },
    ],
    fusion: { kind: 'concat' },
    trunk: [],
    heads: [{ name: 'rating', out: 1 }],
  };
  const tensors = new Map<string, StoredTensor>();
  const next = random(9);
  for (const [name, shape] of weightShapes(network)) {
    const data = new Float32Array(shape.reduce((x, y) => x * y, 1));
    if (name.endsWith('scaler.scale')) data.fill(1);
    if (name.endsWith('projection.weight'))
      for (let i = 0; i < data.length; i++) data[i] = (next() * 2 - 1) / Math.sqrt(shape[1]!);
    tensors.set(name, { dtype: 'F32', shape, data });
  }
  const project = (name: string, x: Float32Array) => {
    const w = tensors.get(`modalities.${name}.projection.weight`)!.data as Float32Array;
    return Array.from({ length: WIDTH }, (_, o) => {
      let sum = 0;
      for (let i = 0; i < x.length; i++) sum += w[o * x.length + i]! * x[i]!;
      return Math.tanh(sum);
    });
  };
  const rows = means.map(({ frames, sound }) => [
    ...project('frames', frames),
    ...project('sound', sound),
    1,
  ]);
  const gram = rows[0]!.map((_, i) => rows[0]!.map((__, j) => rows.reduce((s, r) => s + r[i]! * r[j]!, 0)));
  const targets = rows[0]!.map((_, i) => rows.reduce((s, r, k) => s + r[i]! * CLIPS[k]![1], 0));
  const weights = solve(gram, targets, 1e-6);
  tensors.set('heads.rating.weight', {
    dtype: 'F32',
    shape: [1, 2 * WIDTH],
    data: Float32Array.from(weights.slice(0, 2 * WIDTH)),
  });
  tensors.set('heads.rating.bias', { dtype: 'F32', shape: [1], data: Float32Array.of(weights[2 * WIDTH]!) });

  const files: Record<string, string> = {};
  for (const name of Object.keys(shipped.manifest.files)) {
    if (name !== 'weights.safetensors') files[name] = path.join(shipped.directory, name);
  }
  const modality = (name: string, input: 'trailer.video' | 'trailer.audio', encoder: string) => ({
    name,
    input,
    encoder,
  });
  const manifest: Omit<BundleManifest, 'files'> = {
    format: 'cinefuse-bundle',
    formatVersion: 1,
    name: 'clips',
    version: '1',
    licence: 'none',
    encoders: shipped.manifest.encoders,
    tfidf: [],
    modalities: [
      modality('frames', 'trailer.video', imageEncoder),
      modality('sound', 'trailer.audio', soundEncoder),
    ],
    network,
    heads: [
      {
        name: 'rating',
        task: 'regression',
        unit: 'points',
        mean: 0,
        std: 1,
        transform: 'none',
        interval: { level: 0.9, quantiles: { '*': 2 }, calibratedOn: 'nothing' },
      },
    ],
    notUsed: {},
    beforeRelease: true,
    metrics: {},
    training: {},
    card: {},
  };
  const target = path.join(dir.path, 'clips');
  await saveBundle(target, { manifest, tensors, files });

  await using predictor = await Predictor.load(target);
  const results = await predictor.predictBatch(CLIPS.map(([file]) => clip(file)));
  results.forEach((result, i) => {
    const [file, rating] = CLIPS[i]!;
    if (!result.ok) throw result.error;
    const { feedback } = result;
    t.deepEqual(feedback.used, ['trailer.video', 'trailer.audio']);
    t.true(
      Math.abs(feedback.rating!.value - rating) < 0.5,
      `${file}: ${feedback.rating!.value} for ${rating}`,
    );
    t.true(feedback.modalities['trailer.video']! > 0 && feedback.modalities['trailer.audio']! > 0);
    t.true(feedback.moments.length > 8);
  });
  // As bytes, and with the sound alone of a file that has no picture.
  const bytes = await predictor.predict({ trailer: await readFile(sharedPath(MEDIA, CLIPS[3]![0])) });
  t.deepEqual(bytes.rating, (results[3] as { feedback: typeof bytes }).feedback.rating);
  const music = await predictor.predict({ trailer: { path: sharedPath(MEDIA, 'music_viper.mp3') } });
  t.deepEqual(music.used, ['trailer.audio']);
  t.is(music.notUsed[0]!.input, 'trailer.video');
});

test('the picture and sound of the example trailer embed', async (t) => {
  await using predictor = await Predictor.load();
  const example = path.join(
    defaultBundlePath(),
    '..',
    '..',
    'examples',
    'the-lighthouse-keeper',
    'trailer.mp4',
  );
  const inputs = (await predictor.embed({ trailer: { path: example } })).map(({ input }) => input);
  t.true(inputs.includes('trailer.video') && inputs.includes('trailer.audio'));
});
