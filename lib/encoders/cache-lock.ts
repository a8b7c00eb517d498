import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { ModelError } from '../errors.js';
import { writeWhole } from '../write-whole.js';

/**
 * What was fetched first: trust on first use. A file whose preset pins no hash is held against the hash that it had when
 * it was fetched for the first time, so that a moved branch or a changed mirror is noticed.
 */
const lockSchema = z.object({
  lockVersion: z.literal(1),
  /** "repository@revision:path" -> what it was. */
  files: z.record(
    z.string(),
    z.object({
      sha256: z.string().regex(/^[0-9a-f]{64}$/),
      bytes: z.int().nonnegative(),
      commit: z.string(),
      trust: z.enum(['pinned', 'first-use']),
    }),
  ),
});

export type CacheLock = z.infer<typeof lockSchema>;
export type LockEntry = CacheLock['files'][string];

export async function readLock(file: string): Promise<CacheLock> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return { lockVersion: 1, files: {} };
    throw error;
  }
  try {
    return lockSchema.parse(JSON.parse(text));
  } catch (cause) {
    throw new ModelError('ERR_MODEL_CHECKSUM', {
      file,
      expected: 'the record of what was fetched, as cinefuse writes it',
      got: 'something else: restore the file, or remove it to trust the cached files anew',
      cause,
    });
  }
}

/** Writes under way in this process, by file: each reads what the one before it wrote. */
const writing = new Map<string, Promise<void>>();

/** Adds entries to the lock; whole or not at all. */
export async function writeLock(file: string, entries: CacheLock['files']): Promise<void> {
  const before = writing.get(file) ?? Promise.resolve();
  const own = before.catch(() => {}).then(() => replaceLock(file, entries));
  writing.set(file, own);
  try {
    await own;
  } finally {
    if (writing.get(file) === own) writing.delete(file);
  }
}

async function replaceLock(file: string, entries: CacheLock['files']): Promise<void> {
  const lock = await readLock(file);
  Object.assign(lock.files, entries);
  await writeWhole(file, `${JSON.stringify(lock, null, 2)}\n`, { createFolder: true });
}
