// The package as a user gets it: packs the tarball, holds its list of files against what belongs in it, installs it into
// an empty project with an empty home (the addon is built from source there), imports it both ways, predicts with the
// bundle that ships, and runs its command. Leaves nothing behind.
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const manifest = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'));

/** Every file of the package must match one of these, and every rule must match a file. */
const BELONGS = [
  [/^(package\.json|README\.md|LICENSE|CHANGELOG\.md)$/, 'what npm shows'],
  [/^dist\/lib\/.+\.(js|d\.ts)$/, 'compiled library with its types'],
  [/^native\/.+\.(cc|h|inl|json|cu|cuh)$/, 'sources of the addon and its CUDA library'],
  [/^(binding\.gyp|CMakeLists\.txt|scripts\/(build-cuda|install|sources)\.mjs)$/, 'what builds the addon'],
  [/^models\/default\/.+/, 'default bundle'],
  [/^examples\/(the-lighthouse-keeper\/.+|films\.csv)$/, 'example film'],
  [/^examples\/train\/.+\.(json|ts)$/, 'examples of training'],
  [/^examples\/understand\/.+\.(mjs|tsv)$/, 'examples of understanding'],
  [/^schemas\/.+\.json$/, 'schema for editors'],
  [/^docs\/.+\.md$/, 'documentation'],
];
/** Over this a change has put something into the package by mistake. */
const MOST_BYTES = 32 * 2 ** 20;

const say = (text) => console.log(`pack: ${text}`);
function fail(text) {
  throw new Error(text);
}

const npm = process.env.npm_execpath ? [process.execPath, process.env.npm_execpath] : ['npm'];
function run(command, args, options = {}) {
  try {
    return execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], ...options });
  } catch (error) {
    fail(
      `${path.basename(command)} ${args.join(' ')} failed\n${error.stdout ?? ''}\n${error.stderr ?? error.message}`,
    );
  }
}
const runNpm = (args, options) => run(npm[0], [...npm.slice(1), ...args], options);

function checkFiles({ files, unpackedSize, size }) {
  const strange = files.map(({ path }) => path).filter((file) => !BELONGS.some(([rule]) => rule.test(file)));
  if (strange.length > 0) fail(`these files do not belong in the package:\n  ${strange.join('\n  ')}`);
  for (const [rule, what] of BELONGS) {
    const matching = files.filter(({ path }) => rule.test(path));
    if (matching.length === 0) fail(`the package has no ${what}`);
    const bytes = matching.reduce((sum, { size }) => sum + size, 0);
    say(`${String(matching.length).padStart(4)} files ${(bytes / 1024).toFixed(0).padStart(6)} KB  ${what}`);
  }
  const listed = new Set(files.map(({ path }) => path));
  const promised = [manifest.main, manifest.types, ...Object.values(manifest.bin)];
  for (const entry of Object.values(manifest.exports))
    promised.push(...(typeof entry === 'string' ? [entry] : Object.values(entry)));
  for (const file of promised)
    if (!listed.has(file.replace(/^\.\//, '')))
      fail(`package.json names ${file}, which is not in the package`);
  say(`tarball ${(size / 1024).toFixed(0)} KB, unpacked ${(unpackedSize / 1024).toFixed(0)} KB`);
  if (unpackedSize > MOST_BYTES) fail(`the package is larger than ${MOST_BYTES} bytes`);
}

/** The environment of someone who has Node and a compiler, and nothing else: no home, no npm settings of ours. */
function strangersEnvironment(home) {
  const kept = [
    'PATH',
    'LANG',
    'TERM',
    'CC',
    'CXX',
    'PYTHON',
    'HTTP_PROXY',
    'HTTPS_PROXY',
    'NO_PROXY',
    'NODE_EXTRA_CA_CERTS',
  ];
  const env = Object.fromEntries(
    kept.flatMap((name) => (process.env[name] ? [[name, process.env[name]]] : [])),
  );
  return { ...env, HOME: home, ONNXRUNTIME_NODE_INSTALL: 'skip', SKIP_FFMPEG: 'true', NO_COLOR: '1' };
}

const CHECK = `
const film = { title: 'A Test', genres: ['Drama'], runtime: 100, synopsis: 'A keeper refuses to put out the light of a lighthouse.' };
export async function check({ Predictor, CinefuseError }, ops, how) {
  const predictor = await Predictor.load();
  try {
    const { rating, used } = await predictor.predict(film);
    if (!(rating.interval[0] <= rating.value && rating.value <= rating.interval[1])) throw new Error('no sane rating');
    if (!used.includes('synopsis') || !used.includes('metadata')) throw new Error('inputs were not used: ' + used);
    const error = await predictor.predict({ sinopsis: 'x' }).catch((e) => e);
    if (!(error instanceof CinefuseError)) throw new Error('no typed error');
  } finally {
    await predictor.dispose();
  }
  const sums = await ops.softmax(Float32Array.of(1, 2, 3));
  if (Math.abs(sums[0] + sums[1] + sums[2] - 1) > 1e-6) throw new Error('cinefuse/ops does not compute');
  console.log(how + ' works');
}
`;

function checkInstalled(tarball, folder) {
  const project = path.join(folder, 'project');
  const home = path.join(folder, 'home');
  for (const made of [project, home]) mkdirSync(made);
  const env = strangersEnvironment(home);
  const options = { cwd: project, env };
  writeFileSync(
    path.join(project, 'package.json'),
    JSON.stringify({ name: 'stranger', private: true, type: 'module' }),
  );
  const started = Date.now();
  // npm 12 asks its user to allow install scripts; 10 and 11 know the flag as an unknown one.
  runNpm(
    ['install', '--no-audit', '--no-fund', '--prefer-offline', '--foreground-scripts', tarball],
    options,
  );
  say(`installed into an empty project in ${((Date.now() - started) / 1000).toFixed(0)} s`);
  const installed = path.join(project, 'node_modules', 'cinefuse');
  if (!existsSync(path.join(installed, 'build', 'Release', 'cinefuse_native.node')))
    fail('the addon was not built');

  writeFileSync(path.join(project, 'check.js'), CHECK);
  writeFileSync(
    path.join(project, 'esm.js'),
    "import * as cinefuse from 'cinefuse'; import * as ops from 'cinefuse/ops'; import { check } from './check.js'; await check(cinefuse, ops, 'import');",
  );
  writeFileSync(
    path.join(project, 'cjs.cjs'),
    "const { check } = require('./check.js'); check(require('cinefuse'), require('cinefuse/ops'), 'require()').catch((e) => { console.error(e); process.exit(1); });",
  );
  for (const file of ['esm.js', 'cjs.cjs']) say(run(process.execPath, [file], options).trim());

  const film = path.join(installed, 'examples', 'the-lighthouse-keeper');
  const bin = path.join(project, 'node_modules', '.bin', 'cinefuse');
  const result = JSON.parse(run(bin, ['predict', film, '--json'], options));
  if (!result.ok || result.title !== 'The Lighthouse Keeper')
    fail('the command did not predict the example film');
  for (const input of ['synopsis', 'metadata', 'poster'])
    if (!result.used.includes(input)) fail(`the example film's ${input} was not used`);
  say(`cinefuse predict: rating ${result.rating.value.toFixed(1)}, used ${result.used.join(', ')}`);
  const version = run(bin, ['--version'], options).trim();
  if (version !== manifest.version) fail(`cinefuse --version says ${version}`);
}

const folder = mkdtempSync(path.join(tmpdir(), 'cinefuse-pack-'));
try {
  const [packed] = JSON.parse(
    runNpm(['pack', '--json', '--ignore-scripts', '--pack-destination', folder], { cwd: root }),
  );
  checkFiles(packed);
  const tarball = path.join(folder, packed.filename);
  if (statSync(tarball).size !== packed.size) fail('npm pack reported another size');
  checkInstalled(tarball, folder);
  say('the package is good');
} catch (error) {
  console.error(`pack: ${error.message}`);
  process.exitCode = 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
