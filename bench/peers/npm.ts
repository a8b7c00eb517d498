/** The peers from npm: installed in bench/peers alone, loaded from there, and named as missing where they are not. */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { packageRoot } from '../../lib/native.js';

const folder = path.join(packageRoot(), 'bench', 'peers');
const require = createRequire(path.join(folder, 'package.json'));

const dependencies = () =>
  Object.keys(
    (
      JSON.parse(readFileSync(path.join(folder, 'package.json'), 'utf8')) as {
        dependencies: Record<string, string>;
      }
    ).dependencies,
  );

/** Installs what is missing, without install scripts: nothing of these peers needs one. */
export function installPeers(say: (line: string) => void): void {
  const missing = dependencies().filter((name) => !existsSync(path.join(folder, 'node_modules', name)));
  if (missing.length === 0) return;
  say(
    `installing ${missing.join(', ')} into bench/peers/node_modules (about 800 MB; of the library nothing changes)`,
  );
  const { status } = spawnSync(
    'npm',
    ['install', '--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund', '--no-package-lock'],
    { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'] },
  );
  if (status !== 0) say('npm could not install them: what is missing is left out');
}

/** A peer's module. @returns undefined where it is not installed */
export function peerModule<T>(name: string): T | undefined {
  let entry: string;
  try {
    entry = require.resolve(name);
  } catch {
    return undefined;
  }
  return require(entry) as T;
}

/** Installed versions by name; null is missing. Those that the library itself uses come from beside it. */
export function npmVersions(): Record<string, string | null> {
  const root = path.join(packageRoot(), 'node_modules');
  const places: [string, string][] = [
    ...dependencies().map((name): [string, string] => [name, path.join(folder, 'node_modules')]),
    ...['onnxruntime-node', 'sharp', 'node-av'].map((name): [string, string] => [name, root]),
  ];
  return Object.fromEntries(
    places.map(([name, place]) => {
      const file = path.join(place, name, 'package.json');
      return [
        name,
        existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version : null,
      ];
    }),
  );
}
