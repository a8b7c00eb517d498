// Puts encoders and the scorer of reviews, made anew by the other recipes here, into models/default; its network stays.
// Train the network again afterwards if an encoder that it rests on is another.
//   node training/replace_parts.mjs
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { loadBundle } from '../dist/lib/fusion/bundle.js';
import { saveBundle } from '../dist/lib/fusion/bundle-save.js';
import { parseSafetensors } from '../dist/lib/formats/safetensors.js';
import { BUNDLE, CACHE } from './dataset.mjs';

const HERE = path.dirname(fileURLToPath(import.meta.url));
const json = (file) => JSON.parse(fs.readFileSync(file, 'utf8'));
const sha256 = (data) => createHash('sha256').update(data).digest('hex');

const files = {};
/** An encoder's spec with the lengths and hashes of its files, which go into the bundle beside it. */
function addEncoder(name) {
  const folder = path.join(BUNDLE, 'encoders', name);
  const spec = json(path.join(HERE, 'specs', `${name}.json`));
  const measured = (file) => {
    const data = fs.readFileSync(path.join(folder, file));
    files[`encoders/${name}/${file}`] = new Uint8Array(data);
    return { file, sha256: sha256(data), bytes: data.length };
  };
  for (const part of [spec, spec.tokenizer]) {
    if (!part) continue;
    const { sha256: pinned } = part;
    Object.assign(part, measured(part.file));
    if (pinned && pinned !== part.sha256) throw new Error(`${name}/${part.file} is not the file of its spec`);
  }
  if (fs.existsSync(path.join(folder, 'LICENSE'))) measured('LICENSE');
  files[`encoders/${name}/encoder.json`] = new TextEncoder().encode(`${JSON.stringify(spec, null, 2)}\n`);
  return `encoders/${name}/encoder.json`;
}

const bundle = await loadBundle(BUNDLE);
const { files: _, ...manifest } = bundle.manifest;
const encoders = ['text-en', 'text-zh', 'image', 'audio'].map(addEncoder);
const tensors = new Map(bundle.tensors);
const made = path.join(CACHE, 'sentiment.json');
if (fs.existsSync(made)) {
  const { sentiment, vocabulary } = json(made);
  const scorers = parseSafetensors(fs.readFileSync(path.join(CACHE, 'sentiment.safetensors')), 'sentiment');
  for (const [name, tensor] of scorers) tensors.set(name, tensor);
  manifest.sentiment = sentiment;
  const others = manifest.tfidf.filter(({ name }) => name !== 'reviews');
  const reviews = {
    version: 1,
    name: 'reviews',
    vocabulary: vocabulary.join('\n'),
    dim: 1,
    languages: ['en'],
  };
  manifest.tfidf = [...others, reviews];
}
await saveBundle(BUNDLE, { manifest: { ...manifest, encoders }, tensors, files }, { overwrite: true });
await bundle.dispose();
