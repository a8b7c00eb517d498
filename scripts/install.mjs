// npm's "install" script: builds the CPU addon with node-gyp. Never downloads headers when the Node installation
// carries them (distribution packages, Docker images). `--build`: also outside npm, without the whole rebuild.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

if (process.env.CINEFUSE_SKIP_BUILD) process.exit(0);

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const incremental = process.argv.includes('--build') && existsSync(path.join(root, 'build', 'Makefile'));

// npm tells its own node-gyp to lifecycle scripts; outside npm it lies beside npm.
function findNodeGyp() {
  const told = process.env.npm_config_node_gyp;
  if (told && existsSync(told)) return told;
  const prefix = path.resolve(process.execPath, '..', '..');
  const places = ['lib/node_modules/npm', 'share/nodejs/npm', 'share/npm'].map((dir) =>
    path.join(prefix, dir),
  );
  for (const npm of places) {
    try {
      return createRequire(path.join(npm, 'package.json')).resolve('node-gyp/bin/node-gyp.js');
    } catch {}
  }
  return undefined;
}

const gyp = findNodeGyp();
if (!gyp) {
  console.error('cinefuse: node-gyp was not found. Run this through npm: npm run build:native');
  process.exit(1);
}
const prefix = path.resolve(process.execPath, '..', '..');
const nodedir =
  process.env.npm_config_nodedir || (existsSync(path.join(prefix, 'include/node/node_api.h')) ? prefix : '');
const args = [
  gyp,
  ...(incremental ? ['configure', 'build'] : ['rebuild']),
  `--jobs=${availableParallelism()}`,
];
if (nodedir) args.push(`--nodedir=${nodedir}`);
if (process.env.CINEFUSE_VERBOSE !== '1') args.push('--silent');
const { status } = spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' });
if (status !== 0) {
  console.error(
    'cinefuse: the native addon did not build. It needs Python 3, make and a C++17 compiler (g++ or clang++).',
  );
}
process.exit(status ?? 1);
