// Builds the emulated CUDA backend, which tests alone use: the CUDA sources of native/sources.json with the host's C++
// compiler, no CUDA toolkit needed. Objects are kept and rebuilt when a file they include has changed.
//
//   node scripts/build-emulated.mjs              build/emulated/libcinefuse_emulated.so
//   node scripts/build-emulated.mjs address      build/emulated-address/: under AddressSanitizer and UBSan
//   node scripts/build-emulated.mjs race         build/emulated-race/: every access of a kernel is checked
//   node scripts/build-emulated.mjs VARIANT FILE.cc    build/emulated.../FILE: a program of kernels of its own
//
// Exit code 3: the compiler has no runtime for that variant.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { build, compiler, root } from './compile.mjs';

const variants = {
  plain: { folder: 'emulated', compile: ['-O2'], link: [] },
  address: {
    folder: 'emulated-address',
    compile: [
      '-O1',
      '-fsanitize=address,undefined',
      // Found by AddressSanitizer alone, at a third of the compiler's time.
      '-fno-sanitize=null,object-size,pointer-overflow,vptr',
      '-fno-sanitize-recover=undefined',
      '-fno-omit-frame-pointer',
      '-Wno-maybe-uninitialized', // instrumented code hides from the compiler what the plain build shows it
    ],
    link: ['-fsanitize=address,undefined'],
  },
  // Instrumented as for ThreadSanitizer, but its hooks are the emulator's own (emulator/race.cc): not linked with it.
  race: {
    folder: 'emulated-race',
    compile: ['-O1', '-DCINEFUSE_RACE_CHECK'],
    kernels: ['-fsanitize=thread', '-Wno-tsan', '-Wno-maybe-uninitialized'],
    link: [],
  },
};
const [name = 'plain', program] = process.argv.slice(2);
const variant = variants[name];
if (!variant) {
  console.error(`build-emulated: expected one of ${Object.keys(variants).join(', ')}, received ${name}`);
  process.exit(1);
}

const flags = [
  '-std=c++17',
  '-g1',
  '-fPIC',
  '-fvisibility=hidden',
  '-ffp-contract=off',
  '-Wall',
  '-Wextra',
  '-Werror',
  '-Wno-unknown-pragmas',
  '-DCINEFUSE_EMULATED',
  '-DCINEFUSE_CUDA_ARCHS="emulated"',
  ...variant.compile,
];
// Nothing may be missing: a library that lacks a symbol would fail only where it is used.
const whole = process.platform === 'linux' ? ['-Wl,-z,defs'] : [];
const folder = path.join(root, 'build', variant.folder);
const lists = JSON.parse(fs.readFileSync(path.join(root, 'native/sources.json'), 'utf8'));
const emulator = new Set(lists.emulator);
const flagsOf = (source) => (emulator.has(source) ? flags : [...flags, ...(variant.kernels ?? [])]);

if (variant.link.length > 0) {
  const probe = path.join(os.tmpdir(), `cinefuse-probe-${process.pid}`);
  const { status } = spawnSync(compiler, [...variant.link, '-x', 'c++', '-', '-o', probe], {
    input: 'int main() {}',
  });
  fs.rmSync(probe, { force: true });
  if (status !== 0) {
    console.error(`build-emulated: ${compiler} cannot link ${variant.link.join(' ')}: no such runtime here`);
    process.exit(3);
  }
}

try {
  await build({
    sources: program
      ? [path.relative(root, path.resolve(program)), ...lists.emulator]
      : [...lists.cuda, ...lists.emulator],
    flagsOf,
    folder,
    link: [...(program ? [] : ['-shared', ...whole]), ...variant.link, '-pthread', '-ldl'],
    target: path.join(folder, program ? path.basename(program, '.cc') : 'libcinefuse_emulated.so'),
  });
} catch (error) {
  console.error(`build-emulated: ${error.message}`);
  process.exit(1);
}
