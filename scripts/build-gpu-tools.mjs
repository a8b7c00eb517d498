// Builds the programs of `npm run verify:gpu` against the emulated backend, so that a machine without a GPU can see that
// they work: build/gpu-tools/cinefuse_verify and cinefuse_bench. Links what node-gyp has compiled of the operators.
import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { build, root } from './compile.mjs';

const objects = path.join(root, 'build/Release/obj.target');
const operators = readdirSync(objects, { recursive: true, encoding: 'utf8' })
  .filter((file) => /\/native\/(core|ops)\/.*\.o$/.test(file) && !/_node\.o$/.test(file))
  .map((file) => path.join(objects, file))
  .sort();
if (operators.length === 0) {
  console.error('build-gpu-tools: the addon is not built: npm run build');
  process.exit(1);
}
const { emulator } = JSON.parse(readFileSync(path.join(root, 'native/sources.json'), 'utf8'));
const sourcesIn = (folder) =>
  readdirSync(path.join(root, folder))
    .filter((file) => /\.(cc|cu)$/.test(file))
    .map((file) => `${folder}/${file}`);
const flags = [
  '-std=c++17',
  '-O1',
  '-Wall',
  '-Wextra',
  '-Werror',
  '-Wno-unknown-pragmas',
  '-DCINEFUSE_EMULATED',
];
const folder = path.join(root, 'build', 'gpu-tools');
try {
  for (const [program, sources] of [
    ['cinefuse_verify', sourcesIn('test/gpu')],
    ['cinefuse_bench', [...sourcesIn('bench/gpu'), ...emulator]],
  ]) {
    await build({
      sources,
      flagsOf: () => flags,
      folder,
      link: [...operators, '-ldl', '-pthread'],
      target: path.join(folder, program),
    });
  }
} catch (error) {
  console.error(`build-gpu-tools: ${error.message}`);
  process.exit(1);
}
