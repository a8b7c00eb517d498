// Builds libcinefuse_cuda.so, the operators' CUDA kernels, for given GPUs. Needs CMake 3.20 and a CUDA toolkit, 12.0 or
// newer; no GPU, no driver. In a clone cmake-js drives CMake; an installed package uses CMake itself.
//
//   npm run build:cuda                      for the GPUs of this machine; where there is none, for all common ones
//   npm run build:cuda -- --arch 80,90      for A100 and H100/H200, and by PTX for newer ones
//   npm run build:cuda -- --arch native     for the GPUs of this machine, or not at all
//   ... --addon                             the CPU addon by CMake too
//   ... --out FOLDER                        elsewhere than build-cuda (with a copy of the library at its top)
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');

function fail(text) {
  console.error(`build-cuda: ${text}`);
  process.exit(1);
}

/** What CMake calls the architectures: machine code for all, and for the last one PTX that newer GPUs can compile. */
function cmakeArchs(text) {
  if (text === undefined) return '';
  if (text === 'native') return 'native';
  const archs = text.split(',').map((arch) => arch.trim().replace(/^sm_/, ''));
  for (const arch of archs) {
    if (!/^\d{2,3}[af]?$/.test(arch))
      fail(`expected numbers like 80,90 for --arch, or native, received ${text}`);
    if (Number.parseInt(arch, 10) < 80)
      fail(`the kernels need compute capability 8.0 (Ampere) or newer, received ${arch}`);
  }
  return archs.map((arch, i) => (i + 1 < archs.length ? `${arch}-real` : arch)).join(';');
}

function run(program, args) {
  const { status, error } = spawnSync(program, args, { cwd: root, stdio: 'inherit' });
  if (error) fail(`${program} cannot be run: ${error.message}`);
  if (status !== 0) fail(`${path.basename(program)} ended with code ${status}`);
}

/** cmake-js's command, where the development dependencies are installed. */
function cmakeJs() {
  try {
    return createRequire(path.join(root, 'package.json')).resolve('cmake-js/bin/cmake-js');
  } catch {
    return undefined;
  }
}

let options;
try {
  options = parseArgs({
    options: { arch: { type: 'string' }, addon: { type: 'boolean' }, out: { type: 'string' } },
  }).values;
} catch (error) {
  fail(error.message);
}
if (spawnSync('cmake', ['--version']).status !== 0)
  fail('CMake 3.20 or newer is needed (Debian, Ubuntu: apt-get install cmake)');

const out = path.resolve(options.out ?? path.join(root, 'build-cuda'));
const definitions = {
  CINEFUSE_CUDA: 'ON',
  CINEFUSE_CUDA_ARCHS: cmakeArchs(options.arch),
  CINEFUSE_WITH_ADDON: options.addon ? 'ON' : 'OFF',
};
const driver = cmakeJs();
if (driver) {
  const args = Object.entries(definitions).map(([name, value]) => `--CD${name}=${value}`);
  // Not `compile`, which keeps an older configuration and with it the architectures of last time.
  run(process.execPath, [driver, 'configure', '--out', out, ...args]);
  run(process.execPath, [driver, 'build', '--out', out, ...args]);
} else {
  if (options.addon) fail('--addon needs the development dependencies of a clone');
  const args = Object.entries(definitions).map(([name, value]) => `-D${name}=${value}`);
  const release = `-DCMAKE_LIBRARY_OUTPUT_DIRECTORY=${path.join(out, 'Release')}`;
  run('cmake', ['-S', root, '-B', out, '-DCMAKE_BUILD_TYPE=Release', release, ...args]);
  run('cmake', ['--build', out, '--parallel']);
}
const built = path.join(out, 'Release', 'libcinefuse_cuda.so');
if (!fs.existsSync(built)) fail(`${built} was not built`);
if (options.out) {
  // Aside and then in place: a process that has the old library open keeps it whole.
  const final = path.join(out, 'libcinefuse_cuda.so');
  fs.copyFileSync(built, `${final}.new`);
  fs.renameSync(`${final}.new`, final);
  console.log(`build-cuda: ${final}`);
} else {
  console.log(`build-cuda: ${built}`);
}
