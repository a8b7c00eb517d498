/** Loads and verifies bundles. The format: docs/bundle-format.md. Written by bundle-save.ts. */
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { lstat, readFile, realpath, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { hashFile } from '../encoders/files.js';
import type { EncoderModel } from '../encoders/pool.js';
import { parseEncoderSpecText } from '../encoders/spec.js';
import {
  BundleError,
  type CinefuseError,
  describeValue,
  InputError,
  ModelError,
  throwIfCancelled,
} from '../errors.js';
import { atExit } from '../exit.js';
import { type BundleLimits, checkLimit, DEFAULT_BUNDLE_LIMITS } from './limits.js';
import { type BundleManifest, parseManifest } from './manifest.js';
import { weightShapes } from './network-spec.js';
import { parseSafetensors, type StoredTensor, toFloat32 } from '../formats/safetensors.js';
import { unpackTar } from './tar.js';

export interface LoadBundleOptions {
  limits?: Partial<BundleLimits>;
  signal?: AbortSignal | undefined;
}

/** A verified bundle: its manifest, weights and the encoders it holds. `dispose()` removes what a .tar was unpacked to. */
export class Bundle implements AsyncDisposable {
  constructor(
    readonly directory: string,
    readonly manifest: BundleManifest,
    readonly encoders: readonly EncoderModel[],
    readonly tensors: ReadonlyMap<string, StoredTensor>,
    private readonly remove: (() => Promise<void>) | undefined,
  ) {}

  /** The tensor of this name, which must be there with this many values. @throws BundleError ERR_BUNDLE_SHAPE */
  tensor(name: string, shape: readonly number[]): StoredTensor {
    const tensor = this.tensors.get(name);
    if (!tensor || tensor.shape.length !== shape.length || tensor.shape.some((n, i) => n !== shape[i])) {
      throw new BundleError('ERR_BUNDLE_SHAPE', {
        file: path.join(this.directory, 'weights.safetensors'),
        field: name,
        expected: `a tensor of shape [${shape}]`,
        got: tensor ? `shape [${tensor.shape}]` : 'none',
      });
    }
    return tensor;
  }

  /** As `tensor`, as finite float32. @throws BundleError ERR_BUNDLE_FORMAT too */
  floats(name: string, shape: readonly number[]): Float32Array {
    const values = toFloat32(this.tensor(name, shape));
    let at = 0;
    while (at < values.length && Number.isFinite(values[at])) at++;
    if (at < values.length) throw this.#wrong(name, 'finite values', `${values[at]} at element ${at}`);
    return values;
  }

  /** As `tensor`, of bytes. @throws BundleError ERR_BUNDLE_FORMAT too */
  bytes(name: string, shape: readonly number[]): Int8Array {
    const { dtype, data } = this.tensor(name, shape);
    if (!(data instanceof Int8Array)) throw this.#wrong(name, 'a tensor of dtype I8', dtype);
    return data;
  }

  #wrong(field: string, expected: string, got: string): BundleError {
    const file = path.join(this.directory, 'weights.safetensors');
    return new BundleError('ERR_BUNDLE_FORMAT', { file, field, expected, got });
  }

  /** The weights of the fusion network, as float32. */
  networkWeights(): Map<string, { shape: readonly number[]; data: Float32Array }> {
    const shapes = [...weightShapes(this.manifest.network)];
    return new Map(shapes.map(([name, shape]) => [name, { shape, data: this.floats(name, shape) }]));
  }

  async dispose(): Promise<void> {
    await this.remove?.();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }
}

/**
 * Loads a bundle from a directory or a .tar file. Every file the manifest lists is there with its length, and the
 * weights and specs have their SHA-256; the ONNX files' hashes are checked where they are read, by the encoder pool.
 * Nothing in a bundle is executed, and nothing outside its directory is read: links that leave it are refused.
 *
 * @throws BundleError ERR_BUNDLE_NOT_FOUND, ERR_BUNDLE_FORMAT, ERR_BUNDLE_VERSION, ERR_BUNDLE_CHECKSUM,
 *   ERR_BUNDLE_SHAPE, ERR_BUNDLE_PATH, ERR_BUNDLE_LIMIT; ERR_BUNDLE_WRITE: no room to unpack a .tar
 */
export async function loadBundle(source: string, options: LoadBundleOptions = {}): Promise<Bundle> {
  const limits = { ...DEFAULT_BUNDLE_LIMITS, ...options.limits };
  if (typeof source !== 'string') {
    throw new InputError('ERR_INPUT_TYPE', {
      field: 'source',
      expected: "the path of a bundle's directory or .tar",
      got: describeValue(source),
    });
  }
  const info = await stat(source).catch((cause: unknown) => {
    throw notThere(source, 'a bundle: a directory with bundle.json, or a .tar of one', cause);
  });
  if (info.isDirectory()) return readBundle(source, limits, options.signal, undefined);
  if (!info.isFile()) {
    throw new BundleError('ERR_BUNDLE_FORMAT', {
      file: source,
      expected: 'a directory, or a whole .tar file',
      got: 'something else: a device, FIFO or socket',
    });
  }
  const unpacked = await unpackDirectory(source);
  try {
    await unpackTar(source, unpacked.path, limits, options.signal);
    return await readBundle(unpacked.path, limits, options.signal, unpacked.remove);
  } catch (error) {
    await unpacked.remove();
    throw error;
  }
}

/** A private temporary directory, which goes away with `remove` or, failing that, with the process. */
async function unpackDirectory(source: string): Promise<{ path: string; remove(): Promise<void> }> {
  let directory: string;
  try {
    // Synchronous, so that an exit of the process cannot come between making it and noting it.
    directory = mkdtempSync(path.join(tmpdir(), 'cinefuse-bundle-'));
  } catch (cause) {
    throw new BundleError('ERR_BUNDLE_WRITE', {
      file: source,
      expected: `a temporary directory in ${tmpdir()} to unpack it to`,
      got: (cause as Error).message,
      cause,
    });
  }
  const forget = atExit(() => rmSync(directory, { recursive: true, force: true, maxRetries: 5 }));
  const remove = async () => {
    await rm(directory, { recursive: true, force: true });
    forget();
  };
  return { path: directory, remove };
}

function notThere(file: string, expected: string, cause: unknown): BundleError {
  const missing = ['ENOENT', 'ENOTDIR'].includes((cause as NodeJS.ErrnoException).code ?? '');
  const got = missing ? 'nothing there' : (cause as Error).message;
  return new BundleError('ERR_BUNDLE_NOT_FOUND', { file, expected, got, cause });
}

async function readBundle(
  directory: string,
  limits: BundleLimits,
  signal: AbortSignal | undefined,
  remove: (() => Promise<void>) | undefined,
): Promise<Bundle> {
  const manifestFile = path.join(directory, 'bundle.json');
  const unreadable = (cause: unknown) => {
    throw notThere(manifestFile, 'a readable bundle.json', cause);
  };
  const manifestInfo = await stat(manifestFile).catch(unreadable);
  // Before it is opened: opening a FIFO would wait for a writer.
  if (!manifestInfo.isFile()) unreadable(new Error('no regular file'));
  checkLimit(manifestFile, 'bundle.json', manifestInfo.size, limits.manifestBytes);
  const text = await readFile(manifestFile, 'utf8').catch(unreadable);
  const manifest = parseManifest(parseJson(text, manifestFile), manifestFile);
  await checkFiles(directory, manifest, limits);
  throwIfCancelled(signal);

  const weightsFile = path.join(directory, 'weights.safetensors');
  checkLimit(
    weightsFile,
    'weights.safetensors',
    manifest.files['weights.safetensors']!.bytes,
    limits.weightsBytes,
  );
  const tensors = parseSafetensors(await readListed(directory, manifest, 'weights.safetensors'), weightsFile);
  const encoders: EncoderModel[] = [];
  for (const specPath of manifest.encoders) {
    throwIfCancelled(signal);
    const file = path.join(directory, specPath);
    const text = (await readListed(directory, manifest, specPath)).toString('utf8');
    encoders.push({ spec: parseEncoderSpecText(text, file), directory: path.dirname(file) });
  }
  checkEncoders(manifest, encoders, manifestFile);
  return new Bundle(directory, manifest, encoders, tensors, remove);
}

function parseJson(text: string, file: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new BundleError('ERR_BUNDLE_FORMAT', {
      file,
      expected: 'JSON',
      got: (cause as Error).message,
      cause,
    });
  }
}

/** Every listed file is a regular file of the stated length, inside the bundle also after links are followed. */
async function checkFiles(directory: string, manifest: BundleManifest, limits: BundleLimits): Promise<void> {
  const entries = Object.entries(manifest.files);
  if (entries.length > limits.files) {
    throw new BundleError('ERR_BUNDLE_LIMIT', {
      file: directory,
      field: 'files',
      expected: `at most ${limits.files} files`,
      got: `${entries.length}`,
    });
  }
  checkLimit(
    directory,
    'files',
    entries.reduce((total, [, { bytes }]) => total + bytes, 0),
    limits.totalBytes,
  );
  const root = await realpath(directory);
  for (const [name, { bytes }] of entries) {
    const file = path.join(directory, name);
    const real = await realpath(file).catch((cause: unknown) => {
      throw notThere(file, 'the file that bundle.json lists', cause);
    });
    if (!real.startsWith(root + path.sep)) {
      throw new BundleError('ERR_BUNDLE_PATH', {
        file,
        field: `files.${name}`,
        expected: 'a file inside the bundle',
        got: 'a link that leaves it',
      });
    }
    const info = await lstat(real);
    if (!info.isFile() || info.size !== bytes) {
      throw new BundleError('ERR_BUNDLE_CHECKSUM', {
        file,
        field: `files.${name}`,
        expected: `a file of ${bytes} bytes`,
        got: info.isFile() ? `${info.size} bytes` : 'no regular file',
      });
    }
  }
}

async function readListed(directory: string, manifest: BundleManifest, name: string): Promise<Buffer> {
  const file = path.join(directory, name);
  const data = await readFile(file).catch((cause: unknown) => {
    throw notThere(file, 'the file that bundle.json lists', cause);
  });
  const sha256 = createHash('sha256').update(data).digest('hex');
  if (sha256 !== manifest.files[name]!.sha256) throw wrongChecksum(file, name, manifest, sha256);
  return data;
}

function wrongChecksum(file: string, name: string, manifest: BundleManifest, got: string): BundleError {
  return new BundleError('ERR_BUNDLE_CHECKSUM', {
    file,
    field: `files.${name}`,
    expected: `SHA-256 ${manifest.files[name]!.sha256}`,
    got,
  });
}

/** Specs have different names, agree with the manifest on their files, and hold what modalities and sentiment name. */
function checkEncoders(manifest: BundleManifest, encoders: readonly EncoderModel[], file: string): void {
  const fail = (field: string, expected: string, got: string) => {
    throw new BundleError('ERR_BUNDLE_FORMAT', { file, field, expected, got });
  };
  const dims = new Map<string, number>();
  const add = (name: string, dim: number, field: string) => {
    if (dims.has(name)) fail(field, 'encoders of different names', `${name} twice`);
    dims.set(name, dim);
  };
  encoders.forEach(({ spec }, i) => {
    add(spec.name, spec.dim, 'encoders');
    const model = path.posix.join(path.posix.dirname(manifest.encoders[i]!), spec.file);
    const listed = manifest.files[model];
    if (listed?.sha256 !== spec.sha256 || listed.bytes !== spec.bytes) {
      fail(
        `files.${model}`,
        `the length and hash of ${manifest.encoders[i]}`,
        listed ? 'others' : 'no entry',
      );
    }
  });
  for (const { name, dim } of manifest.tfidf) add(name, dim, 'tfidf');
  manifest.modalities.forEach(({ name, encoder }, i) => {
    if (encoder === 'metadata') return;
    const dim = dims.get(encoder);
    if (dim === undefined)
      fail(`modalities.${name}.encoder`, `one of ${[...dims.keys(), 'metadata']}`, encoder);
    const wanted = manifest.network.modalities[i]!.dim;
    if (dim !== wanted) {
      throw new BundleError('ERR_BUNDLE_SHAPE', {
        file,
        field: `network.modalities.${name}.dim`,
        expected: `${dim}, the dimension of ${encoder}`,
        got: `${wanted}`,
      });
    }
  });
  for (const [language, { features }] of Object.entries(manifest.sentiment ?? {})) {
    for (const feature of features) {
      if (!dims.has(feature)) fail(`sentiment.${language}.features`, `one of ${[...dims.keys()]}`, feature);
    }
  }
}

/**
 * Checks all of a bundle, the hashes of its ONNX files included.
 *
 * @throws as loadBundle, and ERR_BUNDLE_CHECKSUM for any file
 */
export async function verifyBundle(source: string, options: LoadBundleOptions = {}): Promise<BundleManifest> {
  await using bundle = await loadBundle(source, options);
  for (const name of Object.keys(bundle.manifest.files)) {
    const file = path.join(bundle.directory, name);
    const { sha256 } = await hashFile(file, { field: name, signal: options.signal }).catch(
      (error: CinefuseError) => {
        throw error instanceof ModelError
          ? new BundleError('ERR_BUNDLE_NOT_FOUND', { file, field: `files.${name}`, message: error.message })
          : error;
      },
    );
    if (sha256 !== bundle.manifest.files[name]!.sha256) {
      throw wrongChecksum(file, name, bundle.manifest, sha256);
    }
  }
  return bundle.manifest;
}
