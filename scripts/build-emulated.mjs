// Builds the emulated CUDA backend, which tests alone use: the CUDA sources of native/sources.json with the host's C++
// compiler, no CUDA toolkit needed. Objects are kept and rebuilt when a file they include has changed.
//
//   node scripts/build-emulated.mjs              build/emulated/libcinefuse_emulated.so
//   node scripts/build-emulated.mjs address      build/emulated-address/: under AddressSanitizer and UBSan
//   node scripts/build-emulated.mjs race         build/emulated-race/: every access of shared memory is checked
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const variants = {
  plain: { folder: 'emulated', compile: ['-O2'], link: [] },
  address: {
    folder: 'emulated-address',
    compile: [
      '-O1',
      '-fsanitize=address,undefined',
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
const name = process.argv[2] ?? 'plain';
const variant = variants[name];
if (!variant) {
  console.error(`build-emulated: expected one of ${Object.keys(variants).join(', ')}, received ${name}`);
  process.exit(1);
}

const compiler = process.env.CXX || 'c++';
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
const library = path.join(folder, 'libcinefuse_emulated.so');
const lists = JSON.parse(fs.readFileSync(path.join(root, 'native/sources.json'), 'utf8'));
const emulator = new Set(lists.emulator);
const flagsOf = (source) => (emulator.has(source) ? flags : [...flags, ...(variant.kernels ?? [])]);
fs.mkdirSync(folder, { recursive: true });

const digest = (...texts) => createHash('sha256').update(texts.join('\0')).digest('hex');

/** The files that an object was made of, from the compiler's own list; undefined before the first time. */
function dependencies(file) {
  try {
    return fs
      .readFileSync(file, 'utf8')
      .replace(/\\\n/g, ' ')
      .replace(/^[^:]*:/, '')
      .trim()
      .split(/\s+/);
  } catch {
    return undefined;
  }
}

function fingerprint(source, dependencyFile) {
  const files = dependencies(dependencyFile);
  if (!files) return undefined;
  try {
    return digest(
      compiler,
      ...flagsOf(source),
      ...files.map((file) => fs.readFileSync(path.resolve(root, file), 'utf8')),
    );
  } catch {
    return undefined;
  }
}

function run(args) {
  return new Promise((resolve, reject) => {
    const child = spawn(compiler, args, { cwd: root, stdio: 'inherit' });
    child.once('error', reject);
    child.once('close', (code) =>
      code === 0 ? resolve() : reject(new Error(`${compiler} ended with code ${code}`)),
    );
  });
}

async function compile(source) {
  const stem = path.join(folder, source.replace(/\W/g, '_'));
  const object = `${stem}.o`;
  const stamp = `${stem}.sha256`;
  const now = fingerprint(source, `${stem}.d`);
  if (now && fs.existsSync(object) && fs.existsSync(stamp) && fs.readFileSync(stamp, 'utf8') === now)
    return [object, false];
  fs.rmSync(stamp, { force: true });
  await run([
    ...flagsOf(source),
    '-MMD',
    '-MF',
    `${stem}.d`,
    '-MT',
    'object',
    '-x',
    'c++',
    '-c',
    source,
    '-o',
    object,
  ]);
  fs.writeFileSync(stamp, fingerprint(source, `${stem}.d`) ?? '');
  return [object, true];
}

const waiting = [...lists.cuda, ...lists.emulator];
const objects = [];
let changed = !fs.existsSync(library);
async function worker() {
  for (let source = waiting.shift(); source; source = waiting.shift()) {
    const [object, fresh] = await compile(source);
    objects.push(object);
    changed ||= fresh;
  }
}
try {
  await Promise.all(Array.from({ length: availableParallelism() }, worker));
  objects.sort();
  const list = path.join(folder, 'objects.txt');
  changed ||= !fs.existsSync(list) || fs.readFileSync(list, 'utf8') !== objects.join('\n');
  if (changed) {
    // Linked aside: a library that a process has open must not be written over.
    const fresh = `${library}.${process.pid}`;
    await run(['-shared', ...whole, ...variant.link, ...objects, '-o', fresh, '-pthread']);
    fs.renameSync(fresh, library);
    fs.writeFileSync(list, objects.join('\n'));
  }
} catch (error) {
  console.error(`build-emulated: ${error.message}`);
  process.exit(1);
}
