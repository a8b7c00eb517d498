/** A bundle as one .tar file: packed reproducibly, unpacked with suspicion. */
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { pipeline } from 'node:stream/promises';
import { isPathInside } from '../encoders/files.js';
import { BundleError, throwIfCancelled } from '../errors.js';
import { type BundleLimits, checkLimit } from './limits.js';

export async function packTar(directory: string, target: string): Promise<void> {
  const { pack: createPack } = await import('tar-stream');
  const pack = createPack();
  const writing = pipeline(pack, createWriteStream(target, { flags: 'wx', mode: 0o644 }));
  try {
    const names = await readdir(directory, { recursive: true });
    // The manifest first, so that a reader of the stream learns early what it has.
    for (const name of names.sort(
      (a, b) => Number(b === 'bundle.json') - Number(a === 'bundle.json') || (a < b ? -1 : 1),
    )) {
      const file = path.join(directory, name);
      const info = await stat(file);
      if (!info.isFile()) continue;
      const entry = pack.entry({
        name: name.split(path.sep).join('/'),
        size: info.size,
        mode: 0o644,
        mtime: new Date(0),
      });
      await pipeline(createReadStream(file), entry);
    }
    pack.finalize();
  } catch (error) {
    pack.destroy(error as Error);
    await writing.catch(() => {});
    throw error;
  }
  await writing;
}

/** Regular files only, inside the target only, within the limits. */
export async function unpackTar(
  source: string,
  target: string,
  limits: BundleLimits,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { extract: createExtract } = await import('tar-stream');
  const extract = createExtract();
  const reading = pipeline(createReadStream(source), extract, signal ? { signal } : {});
  // A file that ends within an entry fails the reading but leaves the entry waiting: the failure ends it.
  const broken = new AbortController();
  reading.catch((cause: unknown) => broken.abort(cause));
  let files = 0;
  let total = 0;
  try {
    for await (const entry of extract) {
      throwIfCancelled(signal);
      const { name, type, size = 0 } = entry.header;
      if (type === 'directory') {
        entry.resume();
        continue;
      }
      if (type !== 'file' || !isPathInside(name)) {
        throw new BundleError('ERR_BUNDLE_PATH', {
          file: source,
          field: name,
          expected: 'regular files with paths that stay inside the bundle',
          got: type === 'file' ? 'a path that leaves it' : `an entry of type ${type}`,
        });
      }
      total += size;
      files += 1;
      checkLimit(source, 'files', total, limits.totalBytes);
      checkLimit(source, 'files', files, limits.files);
      const file = path.join(target, name);
      await mkdir(path.dirname(file), { recursive: true });
      await pipeline(entry, createWriteStream(file, { flags: 'wx', mode: 0o600 }), {
        signal: broken.signal,
      });
    }
    await reading;
  } catch (cause) {
    throwIfCancelled(signal);
    if (cause instanceof BundleError) throw cause;
    if (['ENOSPC', 'EDQUOT', 'EROFS', 'EACCES'].includes((cause as NodeJS.ErrnoException).code ?? '')) {
      throw new BundleError('ERR_BUNDLE_WRITE', {
        file: source,
        expected: `room in ${path.dirname(target)} to unpack it`,
        got: (cause as Error).message,
        cause,
      });
    }
    throw new BundleError('ERR_BUNDLE_FORMAT', {
      file: source,
      expected: 'a directory, or a whole .tar file',
      got: ((broken.signal.reason ?? cause) as Error).message,
      cause,
    });
  }
  if (files === 0) {
    throw new BundleError('ERR_BUNDLE_FORMAT', { file: source, expected: 'a .tar with files', got: 'none' });
  }
}
