// Embeddings of synopses, titles, reviews and posters, by the library's own encoders: what serving computes.
//   node training/features/embeddings.mjs
// A text that the encoder refuses (another language, nothing it knows) is absent, as it is when serving.
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { EncoderPool } from '../../dist/lib/encoders/pool.js';
import { parseEncoderSpecText } from '../../dist/lib/encoders/spec.js';
import { CinefuseError } from '../../dist/lib/errors.js';
import { MediaDecoder } from '../../dist/lib/media/decoder.js';
import { PosterEncoder } from '../../dist/lib/poster/poster-encoder.js';
import { TextSequenceEncoder } from '../../dist/lib/text/text-encoder.js';
import { BUNDLE, CACHE, readFilms, readReviews } from '../dataset.mjs';
import { writeSafetensors } from '../safetensors.mjs';

const HERE = path.dirname(fileURLToPath(import.meta.url));
const BLOCK = 256;

function model(name) {
  const file = path.resolve(HERE, `../specs/${name}.json`);
  const spec = parseEncoderSpecText(fs.readFileSync(file, 'utf8'), file);
  return { spec, directory: path.join(BUNDLE, 'encoders', name) };
}

/** Mean over the chunks of a sequence. */
function meanVector({ data, length, dim }) {
  return Float32Array.from({ length: dim }, (_, d) => {
    let sum = 0;
    for (let t = 0; t < length; t++) sum += data[t * dim + d];
    return sum / length;
  });
}

/** Mean vectors and presence of samples, block by block; `encode` gives an embedding, an error or undefined for each. */
async function exportVectors(name, samples, dim, encode) {
  const values = new Float32Array(samples.length * dim);
  const present = new Uint8Array(samples.length);
  for (let start = 0; start < samples.length; start += BLOCK) {
    const results = await encode(samples.slice(start, start + BLOCK));
    results.forEach((result, i) => {
      if (result === undefined || result instanceof CinefuseError) return;
      values.set(meanVector(result), (start + i) * dim);
      present[start + i] = 1;
    });
    if ((start / BLOCK) % 8 === 0) console.log(`${name}: ${start} of ${samples.length}`);
  }
  writeSafetensors(path.join(CACHE, `${name}-vectors.safetensors`), {
    values: { shape: [samples.length, dim], data: values },
    present: { shape: [samples.length], data: present },
  });
  const there = present.reduce((total, value) => total + value, 0);
  console.log(`${name}: ${there} of ${samples.length} encoded`);
}

/** Blank texts are absent, not errors. */
async function encodeTexts(encoder, texts) {
  const told = texts.flatMap((text, i) => (text.trim() === '' ? [] : [i]));
  const results = await encoder.encodeEach(told.map((i) => texts[i]));
  const all = texts.map(() => undefined);
  told.forEach((i, k) => {
    all[i] = results[k];
  });
  return all;
}

fs.mkdirSync(CACHE, { recursive: true });
const wanted = process.argv.slice(2);
const want = (name) => wanted.length === 0 || wanted.includes(name);
const films = readFilms();
const text = model('text-en');
const image = model('image');
const pool = await EncoderPool.create([text, image], { workers: 1, threads: 1, maxQueued: 1024 });
const encoder = await TextSequenceEncoder.create({ ...text, pool });
const texts = {
  synopsis: () => films.map((film) => film.synopsis),
  title: () => films.map((film) => film.fields.title),
  reviews: () => [...readReviews('imdb_reviews'), ...readReviews('rt_polarity')].map((review) => review.text),
};
for (const [name, read] of Object.entries(texts)) {
  if (want(name)) await exportVectors(name, read(), text.spec.dim, (block) => encodeTexts(encoder, block));
}
if (want('poster')) {
  const media = new MediaDecoder();
  const posters = new PosterEncoder({ spec: image.spec, pool });
  await exportVectors(
    'poster',
    films.map((film) => film.poster),
    image.spec.dim,
    async (files) => {
      const there = files.flatMap((file, i) => (file === undefined ? [] : [i]));
      const pictures = await Promise.all(
        there.map((i) => media.image({ path: files[i] }, { field: 'poster' })),
      );
      const results = await posters.encodeEach(pictures);
      const all = files.map(() => undefined);
      there.forEach((i, k) => {
        all[i] = results[k];
      });
      return all;
    },
  );
  await media.dispose();
}
await encoder.dispose();
await pool.dispose();
