import { BundleError } from '../errors.js';

export interface BundleLimits {
  /** Most bytes of bundle.json. Default 64 MiB. */
  manifestBytes: number;
  /** Most bytes of weights.safetensors. Default 2 GiB. */
  weightsBytes: number;
  /** Most bytes of all files. Default 16 GiB. */
  totalBytes: number;
  /** Most files. Default 10,000. */
  files: number;
}

export const DEFAULT_BUNDLE_LIMITS: BundleLimits = {
  manifestBytes: 64 * 2 ** 20,
  weightsBytes: 2 * 2 ** 30,
  totalBytes: 16 * 2 ** 30,
  files: 10_000,
};

/** @throws BundleError ERR_BUNDLE_LIMIT */
export function checkLimit(file: string, field: string, bytes: number, limit: number): void {
  if (bytes <= limit) return;
  throw new BundleError('ERR_BUNDLE_LIMIT', {
    file,
    field,
    expected: `at most ${limit} bytes`,
    got: `${bytes} bytes`,
  });
}
