/** The backends, and where the libraries of those beside the CPU are found. */
import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import path from 'node:path';
import { BackendError, describeValue, InputError } from '../errors.js';
import { native, packageRoot, packageVersion } from '../native.js';

export const BACKENDS = ['cpu', 'emulated', 'cuda'] as const;
export type Backend = (typeof BACKENDS)[number];

/** A backend whose kernels lie in a library of their own, opened on first use. */
export type DeviceBackend = Exclude<Backend, 'cpu'>;

/** Where the library of a backend is looked for, first to last. */
function places(backend: DeviceBackend): string[] {
  const root = packageRoot();
  if (backend === 'emulated') {
    const override = process.env.CINEFUSE_EMULATED_LIBRARY;
    return [override || path.join(root, 'build/emulated/libcinefuse_emulated.so')];
  }
  const override = process.env.CINEFUSE_CUDA_LIBRARY;
  return override ? [override] : [path.join(root, 'build-cuda/Release/libcinefuse_cuda.so'), cudaCacheFile()];
}

/** Where `cinefuse build-cuda` puts the library it builds for an installed package. */
export function cudaCacheFile(): string {
  const cache = process.env.XDG_CACHE_HOME || path.join(homedir(), '.cache');
  return path.join(cache, 'cinefuse', 'cuda', packageVersion(), 'libcinefuse_cuda.so');
}

/** Bytes of device memory that operators may take on one device: CINEFUSE_CUDA_MEMORY_MB, or no cap. */
function memoryCap(): number {
  const asked = process.env.CINEFUSE_CUDA_MEMORY_MB;
  if (!asked) return 0;
  const megabytes = Number(asked);
  if (!Number.isFinite(megabytes) || megabytes <= 0) {
    throw new InputError('ERR_INPUT_VALUE', {
      field: 'CINEFUSE_CUDA_MEMORY_MB',
      expected: 'a number of megabytes above 0',
      got: describeValue(asked),
    });
  }
  return Math.floor(megabytes * 1e6);
}

export interface DeviceLibrary {
  file: string;
  /** What its kernels were built for, as nvcc names it: '80-real,90'. */
  archs: string;
  toolkit: string;
}

const libraries = new Map<DeviceBackend, DeviceLibrary>();

/**
 * The library of a backend, opened if it is not yet.
 * @throws BackendError ERR_BACKEND  not found (with the places), not loadable, of another version
 */
export function openLibrary(backend: DeviceBackend): DeviceLibrary {
  const known = libraries.get(backend);
  if (known) return known;
  const tried = places(backend);
  const file = tried.find((place) => existsSync(place));
  if (file === undefined) {
    const how =
      backend === 'cuda'
        ? 'Build it: npm run build:cuda (in a clone), npx cinefuse build-cuda (installed)'
        : 'It is for tests: node scripts/build-emulated.mjs';
    throw new BackendError('ERR_BACKEND', {
      field: 'backend',
      message: `The library of the backend '${backend}' was not found (tried ${tried.join(', ')}). ${how}`,
    });
  }
  try {
    const library = { file, ...native().openDeviceLibrary(BACKENDS.indexOf(backend), file, memoryCap()) };
    libraries.set(backend, library);
    return library;
  } catch (cause) {
    if (cause instanceof InputError) throw cause;
    throw new BackendError('ERR_BACKEND', {
      field: 'backend',
      file,
      message: (cause as Error).message,
      cause,
    });
  }
}
