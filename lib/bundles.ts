/** Bundles for users of the package: the functions of lib/fusion, loaded when first called. */
import type { Bundle, LoadBundleOptions } from './fusion/bundle.js';
import type { BundleContents, SaveBundleOptions } from './fusion/bundle-save.js';
import type { BundleManifest } from './fusion/manifest.js';

export type { Bundle, LoadBundleOptions } from './fusion/bundle.js';
export type { BundleContents, SaveBundleOptions } from './fusion/bundle-save.js';

/** Loads a bundle from a directory or .tar with every check. @throws BundleError ERR_BUNDLE_* */
export async function loadBundle(source: string, options?: LoadBundleOptions): Promise<Bundle> {
  return (await import('./fusion/bundle.js')).loadBundle(source, options);
}

/** Checks all of a bundle, the hashes of its ONNX files included. @throws BundleError ERR_BUNDLE_* */
export async function verifyBundle(source: string, options?: LoadBundleOptions): Promise<BundleManifest> {
  return (await import('./fusion/bundle.js')).verifyBundle(source, options);
}

/** Writes a bundle, whole or not at all. @throws BundleError ERR_BUNDLE_WRITE and those of loadBundle */
export async function saveBundle(
  target: string,
  contents: BundleContents,
  options?: SaveBundleOptions,
): Promise<BundleManifest> {
  return (await import('./fusion/bundle-save.js')).saveBundle(target, contents, options);
}

/** Writes the fusion network of a bundle, or of a description and weights, as an ONNX model: lib/fusion/onnx-export.ts. */
export async function exportOnnx(
  ...args: Parameters<typeof import('./fusion/onnx-export.js').exportOnnx>
): Promise<number> {
  return (await import('./fusion/onnx-export.js')).exportOnnx(...args);
}
