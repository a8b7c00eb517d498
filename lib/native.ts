/**
 * The native addon: where it is found, and the one description of its exports. Only lib/ops and lib/fusion use it.
 */
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { NativeFitting } from './addon/fitting.js';
import type { NativeFusion } from './addon/fusion.js';
import type { NativeLayers } from './addon/layers.js';
import type { NativeMedia } from './addon/media.js';
import type { NativeSequences } from './addon/sequences.js';
import type { NativeCancel, NativeExec, NativeHandle, NativeResult } from './addon/types.js';
import { BackendError } from './errors.js';

export type { NativeCancel, NativeExec, NativeHandle, NativeResult } from './addon/types.js';

export interface NativeInfo {
  isas: ('baseline' | 'avx2' | 'avx512')[];
  bestIsa: 'baseline' | 'avx2' | 'avx512';
  backends: ('cpu' | 'emulated' | 'cuda')[];
  errorCodes: string[];
  optimized: boolean;
  compiler: string;
}

export interface NativeDevice {
  ordinal: number;
  usable: boolean;
  reason: string;
  name: string;
  computeCapability: string;
  multiprocessors: number;
  memoryBytes: number;
  l2Bytes: number;
  driver: number;
  runtime: number;
}

export interface NativeAddon extends NativeLayers, NativeSequences, NativeFusion, NativeMedia, NativeFitting {
  info(): NativeInfo;
  releaseHandle(handle: NativeHandle): void;
  openDeviceLibrary(backend: number, path: string, memoryCap: number): { archs: string; toolkit: string };
  devices(exec: NativeExec, cancel: NativeCancel): NativeResult<NativeDevice[]>;
  deviceMemory(
    exec: NativeExec,
    cancel: NativeCancel,
  ): NativeResult<{ inUse: number; cached: number; peak: number; cap: number }>;
  trimDevice(exec: NativeExec, cancel: NativeCancel): NativeResult<undefined>;
  resetDevice(exec: NativeExec, cancel: NativeCancel): NativeResult<undefined>;
}

/** The package's own root: the nearest folder upward that holds binding.gyp and package.json. */
export function packageRoot(): string {
  let dir = path.dirname(fileURLToPath(import.meta.url));
  while (!existsSync(path.join(dir, 'package.json'))) {
    const parent = path.dirname(dir);
    if (parent === dir) throw new BackendError('ERR_NATIVE_LOAD', { message: 'package.json was not found' });
    dir = parent;
  }
  return dir;
}

/** The bundle that comes with the package. */
export function defaultBundlePath(): string {
  return path.join(packageRoot(), 'models', 'default');
}

/** The version in the package's own manifest. */
export function packageVersion(): string {
  const manifest = JSON.parse(readFileSync(path.join(packageRoot(), 'package.json'), 'utf8')) as {
    version: string;
  };
  return manifest.version;
}

function load(): NativeAddon {
  const require = createRequire(import.meta.url);
  const root = packageRoot();
  const override = process.env.CINEFUSE_NATIVE_PATH;
  const places = override
    ? [override]
    : [
        path.join(root, 'build/Release/cinefuse_native.node'),
        path.join(root, 'build-cuda/Release/cinefuse_native.node'),
      ];
  for (const file of places) {
    if (!existsSync(file)) continue;
    try {
      return require(file) as NativeAddon;
    } catch (cause) {
      // A file that is there but broken must not be passed over for an older build.
      throw new BackendError('ERR_NATIVE_LOAD', {
        file,
        message: `The native addon ${file} could not be loaded: ${(cause as Error).message}. Rebuild it: npm rebuild cinefuse`,
        cause,
      });
    }
  }
  throw new BackendError('ERR_NATIVE_LOAD', {
    message: `The native addon was not found (tried ${places.join(', ')}). If your npm blocks install scripts, allow cinefuse's or run: npm rebuild cinefuse --foreground-scripts. In a clone: npm run build`,
  });
}

let addon: NativeAddon | undefined;

/** The addon, loaded on first use. @throws BackendError ERR_NATIVE_LOAD with the places tried and the fix. */
export function native(): NativeAddon {
  addon ??= load();
  return addon;
}
