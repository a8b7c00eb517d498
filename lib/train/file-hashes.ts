/** SHA-256 of files, remembered by path, length, time and inode, so that a film's trailer is read for it once. */
import { createHash } from 'node:crypto';
import { createReadStream, type BigIntStats } from 'node:fs';
import { appendFile, mkdir, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { finished } from 'node:stream/promises';
import { CancelledError } from '../errors.js';
import { writeWhole } from './cache-segments.js';

interface Known {
  state: string;
  sha256: string;
}

/** A file changed so lately may change again without its time telling. */
const TOO_FRESH_NS = 2_000_000_000n;
/** Lines are written together, in one go that other processes cannot break into. */
const MAX_PENDING = 200;

export class FileHashes {
  readonly #file: string | undefined;
  #known: Promise<Map<string, Known>> | undefined;
  #pending: string[] = [];

  /** @param file  where they are remembered; undefined: nowhere */
  constructor(file: string | undefined) {
    this.#file = file;
  }

  /** @throws what reading the file throws; CancelledError */
  async of(file: string, signal: AbortSignal | undefined): Promise<string> {
    const info = await stat(file, { bigint: true });
    const state = `${info.size} ${info.mtimeNs} ${info.ino}`;
    this.#known ??= this.#load();
    const known = await this.#known;
    const before = known.get(file);
    if (before?.state === state) return before.sha256;
    const sha256 = await hashOf(file, signal);
    if (await settled(file, info)) {
      known.set(file, { state, sha256 });
      this.#pending.push(JSON.stringify([file, state, sha256]));
      if (this.#pending.length >= MAX_PENDING) await this.save();
    }
    return sha256;
  }

  async #load(): Promise<Map<string, Known>> {
    const known = new Map<string, Known>();
    if (this.#file === undefined) return known;
    const text = await readFile(this.#file, 'utf8').catch(() => '');
    const lines = text.split('\n');
    for (const line of lines) {
      try {
        const [file, state, sha256] = JSON.parse(line) as [string, string, string];
        if (/^[0-9a-f]{64}$/.test(sha256)) known.set(file, { state, sha256 });
      } catch {
        // a line that was cut short
      }
    }
    if (lines.length > 10_000 && lines.length > 2 * known.size) {
      const shorter = [...known].map(([file, { state, sha256 }]) => JSON.stringify([file, state, sha256]));
      await writeWhole(this.#file, `${shorter.join('\n')}\n`);
    }
    return known;
  }

  /** Writes down what is new. Failing that, files are read once more the next time. */
  async save(): Promise<void> {
    const lines = this.#pending;
    if (lines.length === 0 || this.#file === undefined) return;
    this.#pending = [];
    await mkdir(path.dirname(this.#file), { recursive: true }).catch(() => undefined);
    await appendFile(this.#file, `\n${lines.join('\n')}\n`).catch(() => undefined);
  }
}

async function hashOf(file: string, signal: AbortSignal | undefined): Promise<string> {
  const hash = createHash('sha256');
  const stream = createReadStream(file, { signal, highWaterMark: 1 << 18 });
  stream.on('data', (chunk) => hash.update(chunk));
  try {
    await finished(stream);
  } catch (cause) {
    if (signal?.aborted) throw new CancelledError({ cause: signal.reason });
    throw cause;
  }
  return hash.digest('hex');
}

/** Whether the file is still what it was before it was read, and not so new that a change might go unseen. */
async function settled(file: string, before: BigIntStats): Promise<boolean> {
  const now = await stat(file, { bigint: true });
  const age = BigInt(Date.now()) * 1_000_000n - now.mtimeNs;
  return now.size === before.size && now.mtimeNs === before.mtimeNs && age > TOO_FRESH_NS;
}
