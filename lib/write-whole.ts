import { randomUUID } from 'node:crypto';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { throwIfCancelled } from './errors.js';
import { Pace } from './pace.js';

/** Bytes that are written at a time, of contents in parts. */
const AT_ONCE = 2 ** 20;

/**
 * Writes a file so that it is there whole or not at all: into a draft beside it, which takes the file's name when all of
 * it is on the disk. Several may write the same file at once: the last one stays.
 *
 * @param content  all of it, or its parts in order
 * @returns its length in bytes
 * @throws what the file system says, untyped: the caller knows what the file is. What the parts throw;
 *   CancelledError ERR_CANCELLED
 */
export async function writeWhole(
  file: string,
  content: string | Uint8Array | Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  { signal, createFolder = false }: { signal?: AbortSignal | undefined; createFolder?: boolean } = {},
): Promise<number> {
  const folder = path.dirname(path.resolve(file));
  if (createFolder) await mkdir(folder, { recursive: true });
  const draft = path.join(folder, `.${path.basename(file)}.${randomUUID()}.partial`);
  try {
    const handle = await open(draft, 'wx', 0o644);
    let total = 0;
    try {
      let held: Uint8Array[] = [];
      let bytes = 0;
      const flush = async () => {
        throwIfCancelled(signal);
        await handle.writeFile(held.length === 1 ? held[0]! : Buffer.concat(held));
        total += bytes;
        held = [];
        bytes = 0;
      };
      const pace = new Pace();
      for await (const part of partsOf(content)) {
        held.push(part);
        bytes += part.length;
        if (bytes >= AT_ONCE) await flush();
        if (pace.due) await pace.rest();
      }
      await flush();
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(draft, file);
    return total;
  } catch (error) {
    // The first failure is the one that tells.
    await rm(draft, { force: true }).catch(() => {});
    throw error;
  }
}

function partsOf(
  content: string | Uint8Array | Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
): Iterable<Uint8Array> | AsyncIterable<Uint8Array> {
  if (typeof content === 'string') return [Buffer.from(content)];
  return content instanceof Uint8Array ? [content] : content;
}
