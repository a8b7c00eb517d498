/**
 * Embeddings that were made before, by the hash of what they were made of and of how: a second fit encodes nothing. A
 * folder that any number of processes may use at once.
 */
import { createHash } from 'node:crypto';
import { readdir, readFile, rm, stat } from 'node:fs/promises';
import { homedir } from 'node:os';
import path from 'node:path';
import { describeValue, InputError, throwIfCancelled } from '../errors.js';
import { CacheShelf, touch } from './cache-shelf.js';
import { isSegment, readSegment, UNFINISHED, writeWhole } from './cache-segments.js';
import { FileHashes } from './file-hashes.js';

export interface EmbeddingCacheOptions {
  /** Default: CINEFUSE_EMBEDDINGS, else `cinefuse/embeddings` in the user's cache folder. null: in memory only. */
  directory?: string | null | undefined;
  /** When the cache is larger, what was not used for longest is removed. Default 20 GiB. */
  maxBytes?: number | undefined;
}

export interface CacheReport {
  segments: number;
  /** Embeddings and refusals. */
  entries: number;
  bytes: number;
  /** Segments that are not what their names say. They have been removed: what they held is made anew. */
  damaged: string[];
}

const DEFAULT_MAX_BYTES = 20 * 2 ** 30;
const UNFINISHED_AGE_MS = 86_400_000;
/** Files that begin with the SHA-256 of what follows. */
const SEALED = '.sealed';

export class EmbeddingCache {
  readonly directory: string | undefined;
  readonly files: FileHashes;
  readonly #maxBytes: number;
  readonly #saved = new Map<string, Uint8Array>();
  readonly #shelves = new Map<string, Promise<CacheShelf>>();

  /** Nothing is read or made before the first shelf is opened. @throws InputError ERR_INPUT_VALUE */
  constructor(options: EmbeddingCacheOptions = {}) {
    const { maxBytes = DEFAULT_MAX_BYTES, directory = defaultDirectory() } = options;
    if (!(maxBytes >= 0)) {
      throw new InputError('ERR_INPUT_VALUE', {
        field: 'cache.maxBytes',
        expected: 'a number of bytes',
        got: describeValue(maxBytes),
      });
    }
    this.directory = directory === null ? undefined : path.resolve(directory);
    this.#maxBytes = maxBytes;
    this.files = new FileHashes(this.directory && path.join(this.directory, 'files.jsonl'));
  }

  /**
   * Where embeddings made by one recipe are.
   *
   * @param recipe  plain data: all that they depend on beside the input itself
   * @param dim     width of one vector
   * @throws DataError ERR_DATA_WRITE
   */
  shelf(recipe: object, dim: number): Promise<CacheShelf> {
    const text = JSON.stringify(sorted({ format: 1, ...recipe }));
    const name = createHash('sha256').update(text).digest('hex').slice(0, 40);
    const known = this.#shelves.get(name);
    if (known) return known;
    const directory = this.directory && path.join(this.directory, 'shelves', name);
    const shelf = CacheShelf.open(directory, text, dim);
    this.#shelves.set(name, shelf);
    shelf.catch(() => this.#shelves.delete(name));
    return shelf;
  }

  /** What was saved under this key, if it is there and whole. */
  async load(key: string): Promise<Uint8Array | undefined> {
    if (this.directory === undefined) return this.#saved.get(key);
    const file = this.#fileOf(key);
    const bytes = await readWhole(file);
    if (bytes) await touch(file);
    return bytes;
  }

  /** Keeps bytes that are looked up by key: tables fitted on a data set. @throws DataError ERR_DATA_WRITE */
  async save(key: string, bytes: Uint8Array): Promise<void> {
    if (this.directory === undefined) this.#saved.set(key, bytes);
    else
      await writeWhole(
        this.#fileOf(key),
        Buffer.concat([createHash('sha256').update(bytes).digest(), bytes]),
      );
  }

  #fileOf(key: string): string {
    return path.join(this.directory!, 'shelves', 'fitted', `${key}${SEALED}`);
  }

  /** Reads all of the cache and removes what is damaged. @throws CancelledError ERR_CANCELLED */
  async verify(options: { signal?: AbortSignal | undefined } = {}): Promise<CacheReport> {
    const report: CacheReport = { segments: 0, entries: 0, bytes: 0, damaged: [] };
    for (const { file, bytes } of await this.#segments()) {
      throwIfCancelled(options.signal);
      const entries = file.endsWith(SEALED) ? await readWhole(file) : await readSegment(file);
      if (entries) {
        report.segments++;
        report.entries += entries instanceof Map ? entries.size : 1;
        report.bytes += bytes;
      } else if (await exists(file)) {
        report.damaged.push(file);
        await rm(file, { force: true });
      }
    }
    return report;
  }

  /** Brings the cache down to its size, what was used last staying, and clears away what crashed processes left. */
  async prune(): Promise<{ bytes: number; removed: number }> {
    await this.files.save();
    const segments = await this.#segments(true);
    segments.sort((a, b) => a.usedMs - b.usedMs);
    let bytes = segments.reduce((sum, segment) => sum + segment.bytes, 0);
    let removed = 0;
    for (const segment of segments) {
      if (bytes <= this.#maxBytes) break;
      await rm(segment.file, { force: true });
      bytes -= segment.bytes;
      removed++;
    }
    return { bytes, removed };
  }

  async #segments(clear = false): Promise<{ file: string; bytes: number; usedMs: number }[]> {
    if (this.directory === undefined) return [];
    const root = path.join(this.directory, 'shelves');
    const found: { file: string; bytes: number; usedMs: number }[] = [];
    for (const shelf of await readdir(root).catch(() => [])) {
      for (const name of await readdir(path.join(root, shelf)).catch(() => [])) {
        const file = path.join(root, shelf, name);
        const info = await stat(file).catch(() => undefined);
        if (!info) continue;
        if (isSegment(name) || name.endsWith(SEALED))
          found.push({ file, bytes: info.size, usedMs: info.mtimeMs });
        else if (clear && name.startsWith(UNFINISHED) && Date.now() - info.mtimeMs > UNFINISHED_AGE_MS) {
          await rm(file, { force: true });
        }
      }
    }
    return found;
  }
}

function defaultDirectory(): string {
  const { CINEFUSE_EMBEDDINGS, XDG_CACHE_HOME } = process.env;
  return (
    CINEFUSE_EMBEDDINGS ||
    path.join(XDG_CACHE_HOME || path.join(homedir(), '.cache'), 'cinefuse', 'embeddings')
  );
}

async function readWhole(file: string): Promise<Uint8Array | undefined> {
  const bytes = await readFile(file).catch(() => undefined);
  if (!bytes || bytes.length < 32) return undefined;
  const content = bytes.subarray(32);
  return createHash('sha256').update(content).digest().equals(bytes.subarray(0, 32)) ? content : undefined;
}

async function exists(file: string): Promise<boolean> {
  return stat(file).then(
    () => true,
    () => false,
  );
}

/** With the keys of every object in their order, so that equal recipes are equal texts. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).filter(([, inner]) => inner !== undefined);
  return Object.fromEntries(
    entries.sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, inner]) => [key, sorted(inner)]),
  );
}
