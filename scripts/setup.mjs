// Makes a clone ready to run: npm dependencies, the native addon, the compiled TypeScript. Each step runs only when
// what it depends on has changed, so `npm start` and `npm test` call this first every time (about 0.1 s when all is
// fresh). Uses Node alone, since it runs before anything is installed. Progress goes to stderr; stdout stays clean.
//
//   node scripts/setup.mjs            bring everything up to date
//   node scripts/setup.mjs --tests    also the CUDA kernels compiled for the host, which tests run
//   node scripts/setup.mjs --check    say what is stale, change nothing; exit code 1 if anything is
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const inRoot = (...parts) => path.join(root, ...parts);
const cache = inRoot('.cache');
const logFile = path.join(cache, 'setup.log');
const manifest = JSON.parse(fs.readFileSync(inRoot('package.json'), 'utf8'));

class SetupError extends Error {}

// ---- what is stale

/** The files below `folder` whose names pass, sorted, relative to the project. */
function filesBelow(folder, pass) {
  const found = [];
  const visit = (directory) => {
    for (const entry of fs.readdirSync(inRoot(directory), { withFileTypes: true })) {
      const name = path.posix.join(directory, entry.name);
      if (entry.name === 'node_modules') continue;
      if (entry.isDirectory()) visit(name);
      else if (pass(name)) found.push(name);
    }
  };
  if (fs.existsSync(inRoot(folder))) visit(folder);
  return found.sort();
}

function hashOf(files, ...facts) {
  const hash = createHash('sha256').update(JSON.stringify(facts));
  for (const file of files) {
    if (!fs.existsSync(inRoot(file))) continue;
    hash.update(`\0${file}\0`).update(fs.readFileSync(inRoot(file)));
  }
  return hash.digest('hex');
}

function readText(file) {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}

/** Why node_modules does not hold what package-lock.json names, or undefined when it does. */
function staleDependencies() {
  const wanted = JSON.parse(fs.readFileSync(inRoot('package-lock.json'), 'utf8')).packages;
  const installed = readText(inRoot('node_modules', '.package-lock.json'));
  if (installed === undefined) return 'nothing is installed';
  const have = JSON.parse(installed).packages;
  const direct = new Set(
    Object.keys(manifest.optionalDependencies ?? {}).map((name) => `node_modules/${name}`),
  );
  for (const [place, entry] of Object.entries(wanted)) {
    if (place === '' || entry.link) continue;
    const name = place.replace(/^.*node_modules\//, '');
    if (have[place] && have[place].version !== entry.version)
      return `${name} ${have[place].version} is installed, ${entry.version} is wanted`;
    if (!have[place] && (!entry.optional || direct.has(place))) return `${name} is not installed`;
    if (have[place] && !fs.existsSync(inRoot(place))) return `${name} was removed`;
  }
  return undefined;
}

const nativeStamp = inRoot('build', 'setup.sha256');
const nativeHash = () =>
  hashOf(
    ['binding.gyp', 'scripts/install.mjs', 'scripts/sources.mjs', ...filesBelow('native', () => true)],
    process.platform,
    process.arch,
    process.env.CXX ?? '',
    process.env.CXXFLAGS ?? '',
  );

function staleAddon() {
  if (!fs.existsSync(inRoot('binding.gyp'))) return undefined;
  if (filesBelow('build/Release', (name) => name.endsWith('.node')).length === 0)
    return 'it was not built yet';
  return readText(nativeStamp) === nativeHash() ? undefined : 'its sources changed';
}

// The CUDA kernels compiled for the host: only tests need them, and only with --tests are they built.
const emulatedStamp = inRoot('build', 'emulated', 'setup.sha256');
const emulatedHash = () =>
  hashOf(
    [
      'scripts/build-emulated.mjs',
      'native/sources.json',
      ...filesBelow('native', (name) => /\.(cu|cuh|h)$|^native\/cuda\/.*\.cc$/.test(name)),
    ],
    process.arch,
    process.env.CXX ?? '',
  );

function staleEmulated() {
  if (!process.argv.includes('--tests')) return undefined;
  const library = inRoot('build', 'emulated', 'libcinefuse_emulated.so');
  if (!fs.existsSync(library)) return 'they were not built yet';
  return readText(emulatedStamp) === emulatedHash() ? undefined : 'their sources changed';
}

async function buildEmulated() {
  const hash = emulatedHash();
  fs.rmSync(emulatedStamp, { force: true });
  await runStep([process.execPath, inRoot('scripts', 'build-emulated.mjs')]);
  fs.writeFileSync(emulatedStamp, hash);
}

const sourceFolders = ['lib', 'test', 'bench'];
const sources = () =>
  sourceFolders.flatMap((folder) => filesBelow(folder, (name) => /\.[cm]?ts$/.test(name)));
const typescriptStamp = inRoot('dist', 'setup.sha256');
const typescriptHash = () => hashOf(['tsconfig.json', 'package-lock.json', ...sources()]);

function staleTypescript() {
  if (!fs.existsSync(inRoot('dist'))) return 'it was not compiled yet';
  return readText(typescriptStamp) === typescriptHash() ? undefined : 'its sources changed';
}

// ---- how each step is done

/** npm as it was called, or else npm beside this Node, or else npm on the PATH. */
function npmCommand() {
  const called = process.env.npm_execpath;
  if (called && /npm-cli\.[cm]?js$/.test(called)) return [process.execPath, called];
  const beside = path.resolve(
    process.execPath,
    '..',
    '..',
    'lib',
    'node_modules',
    'npm',
    'bin',
    'npm-cli.js',
  );
  return fs.existsSync(beside) ? [process.execPath, beside] : ['npm'];
}

async function installDependencies() {
  // Our own install script (the addon) is a step of its own; the others only download what is not needed here.
  await runStep([...npmCommand(), 'ci', '--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline'], {
    ONNXRUNTIME_NODE_INSTALL: 'skip',
    SKIP_FFMPEG: 'true',
  });
}

function firstThatRuns(commands) {
  return commands.filter(Boolean).find((command) => {
    const [program, ...rest] = command.split(' ');
    return spawnSync(program, [...rest, '--version'], { stdio: 'ignore' }).status === 0;
  });
}

function requireBuildTools() {
  const missing = [];
  if (!firstThatRuns([process.env.PYTHON, process.env.npm_config_python, 'python3', 'python']))
    missing.push('Python 3 (node-gyp is written in it)');
  if (!firstThatRuns([process.env.CXX, 'c++', 'g++', 'clang++']))
    missing.push('a C++17 compiler (g++ or clang++)');
  if (!firstThatRuns([process.env.MAKE, 'make', 'gmake'])) missing.push('make');
  if (missing.length === 0) return;
  const advice =
    process.platform === 'darwin'
      ? 'xcode-select --install'
      : 'Debian, Ubuntu: apt-get install python3 g++ make\n  Fedora: dnf install python3 gcc-c++ make\n  Alpine: apk add python3 g++ make';
  throw new SetupError(
    `Building the native addon needs ${missing.join(' and ')}, not found on the PATH.\nInstall with\n  ${advice}\n` +
      'or set PYTHON, CXX and MAKE to where they are.',
  );
}

async function buildAddon() {
  requireBuildTools();
  const hash = nativeHash();
  fs.rmSync(nativeStamp, { force: true });
  await runStep([process.execPath, inRoot('scripts', 'install.mjs'), '--build']);
  fs.writeFileSync(nativeStamp, hash);
}

async function compileTypescript() {
  const hash = typescriptHash();
  fs.rmSync(typescriptStamp, { force: true });
  await runStep([process.execPath, inRoot('node_modules', 'typescript', 'bin', 'tsc'), '-p', root]);
  removeOrphans();
  fs.writeFileSync(typescriptStamp, hash);
}

/** Deletes compiled files whose source is gone, lest a removed test still run. */
function removeOrphans() {
  const compiled = new Set(
    sources().flatMap((source) => {
      const stem = path.posix.join('dist', source.replace(/\.ts$/, ''));
      return [`${stem}.js`, `${stem}.js.map`, `${stem}.d.ts`];
    }),
  );
  for (const folder of sourceFolders)
    for (const file of filesBelow(`dist/${folder}`, () => true))
      if (!compiled.has(file)) fs.rmSync(inRoot(file));
}

// ---- running a step, one setup at a time

let child;

/** Runs a command with its output in the log; rejects with the log's tail. */
function runStep([program, ...args], env = {}) {
  const log = fs.openSync(logFile, 'a');
  fs.writeSync(log, `\n$ ${[path.basename(program), ...args].join(' ')}\n`);
  const from = fs.fstatSync(log).size;
  return new Promise((resolve, reject) => {
    child = spawn(program, args, { cwd: root, stdio: ['ignore', log, log], env: { ...process.env, ...env } });
    child.once('error', (error) => reject(new SetupError(`Could not run ${program}: ${error.message}`)));
    child.once('close', (code, signal) => {
      fs.closeSync(log);
      child = undefined;
      if (code === 0) return resolve();
      const tail = fs
        .readFileSync(logFile)
        .subarray(from)
        .toString()
        .trimEnd()
        .split('\n')
        .slice(-40)
        .join('\n');
      reject(
        new SetupError(
          `${tail}\n\n${path.basename(program)} ${args[0] ?? ''} ended with ${signal ?? `code ${code}`}.`,
        ),
      );
    });
  });
}

const lockFile = path.join(cache, 'setup.lock');

function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

/** Waits until no other setup runs in this clone. The lock of a process that has died is taken over. */
async function takeLock() {
  fs.mkdirSync(cache, { recursive: true });
  for (let waited = 0; ; waited++) {
    try {
      fs.writeFileSync(lockFile, String(process.pid), { flag: 'wx' });
      return;
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    }
    const owner = readText(lockFile);
    const age = fs.statSync(lockFile, { throwIfNoEntry: false })?.mtimeMs;
    const abandoned = owner ? !isAlive(Number(owner)) : age !== undefined && Date.now() - age > 10_000;
    if (abandoned) {
      // Renamed first, so that of two that see this only one removes it.
      const aside = `${lockFile}.${process.pid}`;
      try {
        fs.renameSync(lockFile, aside);
        fs.rmSync(aside);
      } catch {}
      continue;
    }
    if (waited === 5) progress(`waiting for another setup of this clone (process ${owner})`);
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

function releaseLock() {
  if (readText(lockFile) === String(process.pid)) fs.rmSync(lockFile, { force: true });
}

function progress(text) {
  process.stderr.write(`setup: ${text}\n`);
}

/** Says what is being done, with the seconds on a terminal while it lasts. */
async function step(title, reason, work) {
  const started = Date.now();
  const seconds = () => ((Date.now() - started) / 1000).toFixed(1);
  let ticker;
  if (process.stderr.isTTY) {
    ticker = setInterval(() => process.stderr.write(`\rsetup: ${title} (${reason}) ... ${seconds()} s`), 100);
  } else {
    progress(`${title} (${reason}) ...`);
  }
  try {
    await work();
  } finally {
    clearInterval(ticker);
    if (ticker) process.stderr.write('\r\u001b[K');
  }
  progress(`${title}: done in ${seconds()} s`);
}

function requireNode() {
  const [, major, minor] = /(\d+)\.(\d+)/.exec(manifest.engines.node);
  const [haveMajor, haveMinor] = process.versions.node.split('.').map(Number);
  if (haveMajor > Number(major) || (haveMajor === Number(major) && haveMinor >= Number(minor))) return;
  throw new SetupError(`cinefuse needs Node ${manifest.engines.node}; this is ${process.version}.`);
}

const steps = [
  { title: 'installing dependencies', stale: staleDependencies, work: installDependencies },
  { title: 'building the native addon', stale: staleAddon, work: buildAddon },
  { title: 'building the emulated CUDA kernels', stale: staleEmulated, work: buildEmulated },
  { title: 'compiling TypeScript', stale: staleTypescript, work: compileTypescript },
];

async function main() {
  requireNode();
  if (process.argv.includes('--check')) {
    const stale = steps.map(({ title, stale }) => [title, stale()]).filter(([, reason]) => reason);
    for (const [title, reason] of stale) progress(`${title} is due: ${reason}`);
    process.exitCode = stale.length > 0 ? 1 : 0;
    return;
  }
  if (!steps.some(({ stale }) => stale())) return;
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.once(signal, () => {
      child?.kill(signal);
      releaseLock();
      process.exit(signal === 'SIGINT' ? 130 : 143);
    });
  }
  await takeLock();
  try {
    fs.writeFileSync(logFile, '');
    for (const { title, stale, work } of steps) {
      const reason = stale();
      if (reason) await step(title, reason, work);
    }
  } finally {
    releaseLock();
  }
}

main().catch((error) => {
  process.stderr.write(`\n${error instanceof SetupError ? error.message : error.stack}\n`);
  if (fs.existsSync(logFile))
    process.stderr.write(`The whole log: ${path.relative(process.cwd(), logFile)}\n`);
  process.stderr.write('Setup failed.\n');
  process.exitCode = 1;
});
