/** Writes bundles, whole or not at all. */
import { createHash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { lstat, mkdir, open, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { isPathInside } from '../encoders/files.js';
import { BundleError, describeValue, InputError, throwIfCancelled } from '../errors.js';
import { loadBundle } from './bundle.js';
import { type BundleManifest, parseManifest } from './manifest.js';
import { type StoredTensor, serializeSafetensors } from '../formats/safetensors.js';
import { packTar } from './tar.js';

/** What goes into a bundle: the manifest but for `files`, the tensors, and the other files by path in the bundle. */
export interface BundleContents {
  manifest: Omit<BundleManifest, 'files'>;
  tensors: ReadonlyMap<string, StoredTensor>;
  /** Path in the bundle -> path of a file to copy, or the bytes. */
  files: Record<string, string | Uint8Array>;
}

export interface SaveBundleOptions {
  /** Whether what is at the target may be replaced. Default false. */
  overwrite?: boolean;
  signal?: AbortSignal | undefined;
}

/**
 * Writes a bundle: into a new directory beside the target, which takes the target's place only when it is whole and
 * passes `loadBundle`. With a target ending in .tar, one file.
 *
 * @param target  directory or .tar; what is there is replaced only with `overwrite`
 * @throws BundleError ERR_BUNDLE_WRITE   the target is there, the disk is full, no permission; nothing is left behind
 * @throws InputError ERR_INPUT_TYPE      no path, no contents
 * @throws BundleError as loadBundle, for contents that do not make a valid bundle
 */
export async function saveBundle(
  target: string,
  contents: BundleContents,
  options: SaveBundleOptions = {},
): Promise<BundleManifest> {
  if (typeof target !== 'string' || target === '') throw wrongType('target', 'a path', target);
  for (const part of ['manifest', 'tensors', 'files'] as const) {
    const value: unknown = (contents as Partial<BundleContents> | null | undefined)?.[part];
    if (typeof value !== 'object' || value === null) throw wrongType(`contents.${part}`, 'an object', value);
  }
  const parent = path.dirname(path.resolve(target));
  const tag = `.${path.basename(target)}.${randomBytes(6).toString('hex')}`;
  const draft = path.join(parent, `${tag}.new`);
  const writing = async <T>(work: Promise<T>): Promise<T> => {
    try {
      return await work;
    } catch (cause) {
      if (cause instanceof BundleError) throw cause;
      throw new BundleError('ERR_BUNDLE_WRITE', {
        file: target,
        message: `The bundle ${target} could not be written: ${(cause as Error).message}`,
        cause,
      });
    }
  };
  if (!options.overwrite && (await lstat(target).catch(() => undefined))) {
    throw new BundleError('ERR_BUNDLE_WRITE', {
      file: target,
      expected: 'a target that is not there yet (or overwrite: true)',
      got: 'an existing one',
    });
  }
  // The draft itself not recursively: where nothing can be made (/proc), Node's recursive mkdir tries for ever.
  await writing(mkdir(parent, { recursive: true }).then(() => mkdir(draft)));
  try {
    const listed: BundleManifest['files'] = {};
    const all: Record<string, string | Uint8Array> = {
      ...contents.files,
      'weights.safetensors': serializeSafetensors(contents.tensors),
    };
    for (const [name, source] of Object.entries(all).sort(([a], [b]) => (a < b ? -1 : 1))) {
      throwIfCancelled(options.signal);
      if (!isPathInside(name)) {
        throw new BundleError('ERR_BUNDLE_PATH', {
          field: `files.${name}`,
          expected: 'a relative path that stays inside the bundle',
          got: JSON.stringify(name),
        });
      }
      const file = path.join(draft, name);
      await writing(mkdir(path.dirname(file), { recursive: true }));
      listed[name] = await writing(writeHashed(file, source));
    }
    const manifest = parseManifest({ ...contents.manifest, files: listed }, 'bundle.json');
    await writing(writeHashed(path.join(draft, 'bundle.json'), Buffer.from(manifestText(manifest))));
    await (await loadBundle(draft, { signal: options.signal })).dispose();
    if (target.endsWith('.tar')) {
      const tar = `${draft}.tar`;
      try {
        await writing(packTar(draft, tar));
        await writing(rename(tar, target));
      } finally {
        await rm(tar, { force: true });
      }
    } else {
      // rename() cannot replace a directory that has files: the old one steps aside first, and comes back on failure.
      const old = path.join(parent, `${tag}.old`);
      const replaced = await rename(target, old).then(
        () => true,
        () => false,
      );
      try {
        await writing(rename(draft, target));
      } catch (error) {
        if (replaced) await rename(old, target);
        throw error;
      }
      await rm(old, { recursive: true, force: true });
    }
    return manifest;
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

function wrongType(field: string, expected: string, got: unknown): InputError {
  return new InputError('ERR_INPUT_TYPE', { field, expected, got: describeValue(got) });
}

/** Copies a file or writes bytes, synced to disk, and tells their hash. */
async function writeHashed(
  file: string,
  source: string | Uint8Array,
): Promise<{ sha256: string; bytes: number }> {
  const hash = createHash('sha256');
  let bytes = 0;
  const handle = await open(file, 'wx', 0o644);
  try {
    for await (const chunk of typeof source === 'string' ? createReadStream(source) : [source]) {
      hash.update(chunk as Uint8Array);
      bytes += (chunk as Uint8Array).byteLength;
      await handle.writeFile(chunk as Uint8Array);
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
  return { sha256: hash.digest('hex'), bytes };
}

/** Numbers of a list. One to a line, tables of people would make a bundle.json half blanks. */
const NUMBERS = /\[\n\s+(-?\d[-+.\deE]*(?:,\n\s+-?\d[-+.\deE]*)*)\n\s+\]/g;

/** Readable JSON, with lists of numbers in one line. */
function manifestText(manifest: BundleManifest): string {
  const text = JSON.stringify(manifest, null, 1);
  return `${text.replace(NUMBERS, (_, numbers: string) => `[${numbers.replace(/\s+/g, '')}]`)}\n`;
}
