import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile, realpath, stat } from 'node:fs/promises';
import { isAbsolute, join, relative, sep } from 'node:path';
import { finished } from 'node:stream/promises';
import { CancelledError, ModelError, throwIfCancelled } from '../errors.js';

/** Whether a path written in a spec is relative and cannot climb out of its directory, on any platform. */
export function isPathInside(path: string): boolean {
  if (path.includes('\\') || path.includes('\0') || path.startsWith('/') || /^[A-Za-z]:/.test(path))
    return false;
  return path.split('/').every((part) => part !== '' && part !== '.' && part !== '..');
}

/**
 * The real path of a file named in a spec.
 *
 * @throws ModelError ERR_MODEL_SPEC       a path, or a link behind it, that leaves the directory
 * @throws ModelError ERR_MODEL_NOT_FOUND  no such file
 */
export async function resolveInside(directory: string, path: string, field: string): Promise<string> {
  if (!isPathInside(path)) {
    throw new ModelError('ERR_MODEL_SPEC', {
      field,
      expected: 'a relative path that stays inside the directory of the spec',
      got: JSON.stringify(path),
    });
  }
  const file = join(directory, path);
  let root: string;
  let real: string;
  try {
    [root, real] = await Promise.all([realpath(directory), realpath(file)]);
  } catch (cause) {
    throw notFound(file, field, cause);
  }
  const inside = relative(root, real);
  if (inside === '..' || inside.startsWith(`..${sep}`) || isAbsolute(inside)) {
    throw new ModelError('ERR_MODEL_SPEC', {
      field,
      file,
      expected: 'a file inside the directory of the spec',
      got: 'a link that leaves it',
    });
  }
  if (!(await stat(real)).isFile()) throw notFound(file, field);
  return real;
}

export interface ExpectedFile {
  path: string;
  sha256: string;
  bytes: number;
  field: string;
}

/**
 * Reads a whole file and checks length and hash of the very bytes that are returned.
 *
 * @throws ModelError ERR_MODEL_NOT_FOUND, ERR_MODEL_CHECKSUM
 */
export async function readVerified({ path, sha256, bytes, field }: ExpectedFile): Promise<Buffer> {
  const actualBytes = await fileSize(path, field);
  // Before the hash: a wrong length needs no reading, and a huge file never gets into memory.
  if (actualBytes !== bytes) throw wrongLength(path, field, bytes, actualBytes);
  const data = await readFile(path).catch((cause: unknown) => {
    throw notFound(path, field, cause);
  });
  if (data.byteLength !== bytes) throw wrongLength(path, field, bytes, data.byteLength);
  const actual = createHash('sha256').update(data).digest('hex');
  if (actual !== sha256) throw wrongHash(path, field, sha256, actual);
  return data;
}

/**
 * SHA-256 and length of a file, streamed.
 *
 * @throws ModelError ERR_MODEL_NOT_FOUND
 * @throws CancelledError ERR_CANCELLED
 */
export async function hashFile(
  path: string,
  options: { signal?: AbortSignal | undefined; field?: string } = {},
): Promise<{ sha256: string; bytes: number }> {
  throwIfCancelled(options.signal);
  const hash = createHash('sha256');
  let bytes = 0;
  const stream = createReadStream(path, { signal: options.signal ?? undefined, highWaterMark: 1 << 18 });
  stream.on('data', (chunk) => {
    hash.update(chunk);
    bytes += chunk.length;
  });
  try {
    await finished(stream);
  } catch (cause) {
    if (options.signal?.aborted) throw new CancelledError({ cause: options.signal.reason });
    throw notFound(path, options.field, cause);
  }
  return { sha256: hash.digest('hex'), bytes };
}

/**
 * Checks length and hash of a file without keeping it.
 *
 * @throws ModelError ERR_MODEL_NOT_FOUND, ERR_MODEL_CHECKSUM
 * @throws CancelledError ERR_CANCELLED
 */
export async function verifyFile(
  { path, sha256, bytes, field }: ExpectedFile,
  signal?: AbortSignal,
): Promise<void> {
  const size = await fileSize(path, field);
  if (size !== bytes) throw wrongLength(path, field, bytes, size);
  const actual = await hashFile(path, { signal, field });
  if (actual.sha256 !== sha256) throw wrongHash(path, field, sha256, actual.sha256);
}

async function fileSize(path: string, field: string): Promise<number> {
  const status = await stat(path).catch((cause: unknown) => {
    throw notFound(path, field, cause);
  });
  return status.size;
}

function wrongLength(file: string, field: string, bytes: number, got: number): ModelError {
  return new ModelError('ERR_MODEL_CHECKSUM', {
    field,
    file,
    expected: `a file of ${bytes} bytes`,
    got: `one of ${got}: fetch or copy it again`,
  });
}

function wrongHash(file: string, field: string, expected: string, got: string): ModelError {
  return new ModelError('ERR_MODEL_CHECKSUM', {
    field,
    file,
    expected: `SHA-256 ${expected}`,
    got: `${got}: the file was changed or damaged, fetch or copy it again`,
  });
}

function notFound(file: string, field: string | undefined, cause?: unknown): ModelError {
  return new ModelError('ERR_MODEL_NOT_FOUND', {
    field,
    file,
    expected: 'a readable file',
    got: cause instanceof Error ? cause.message : 'something that is not a file',
    cause,
  });
}
