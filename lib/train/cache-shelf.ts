import { readdir, rm, stat, utimes } from 'node:fs/promises';
import path from 'node:path';
import {
  type CacheEntry,
  isSegment,
  readIndex,
  readSegment,
  type SegmentIndex,
  writeSegment,
  writeWhole,
} from './cache-segments.js';

/** What is put in is written when it comes to so much, so that a run that is broken off loses little. */
const FLUSH_BYTES = 8 * 2 ** 20;
const FLUSH_ENTRIES = 4096;
/** Segments smaller than this are joined when there are many. */
const SMALL_BYTES = 2 * 2 ** 20;
const MANY_SMALL = 48;
/** The time of last use is written at most this often. */
const TOUCH_AFTER_MS = 3_600_000;

/**
 * The embeddings of one recipe. Looked up in an index in memory, which is read from the segments' headers; what other
 * processes write afterwards is seen with `refresh`.
 */
export class CacheShelf {
  readonly dim: number;
  readonly #directory: string | undefined;
  /** By key: the segment's name; undefined for what is only in memory. */
  readonly #where = new Map<string, string | undefined>();
  readonly #lengths = new Map<string, number>();
  readonly #segments = new Map<string, SegmentIndex>();
  /** Not written yet; all there is when there is no directory. */
  #fresh = new Map<string, CacheEntry>();
  #freshBytes = 0;
  #writing: Promise<void> = Promise.resolve();

  private constructor(directory: string | undefined, dim: number) {
    this.#directory = directory;
    this.dim = dim;
  }

  /** @throws DataError ERR_DATA_WRITE */
  static async open(directory: string | undefined, recipe: string, dim: number): Promise<CacheShelf> {
    const shelf = new CacheShelf(directory, dim);
    if (directory !== undefined) {
      const file = path.join(directory, 'recipe.json');
      // For people; what is looked up is the folder's name.
      if (!(await stat(file).catch(() => undefined))) await writeWhole(file, `${recipe}\n`);
      await shelf.refresh();
    }
    return shelf;
  }

  /** Looks for segments that have come or gone. */
  async refresh(): Promise<void> {
    if (this.#directory === undefined) return;
    const names = new Set((await readdir(this.#directory).catch(() => [])).filter(isSegment));
    for (const name of [...this.#segments.keys()]) if (!names.has(name)) this.#forget(name);
    for (const name of [...names].sort()) {
      if (this.#segments.has(name)) continue;
      const index = await readIndex(path.join(this.#directory, name));
      if (index) this.#learn(name, index);
    }
  }

  #learn(name: string, index: SegmentIndex): void {
    this.#segments.set(name, index);
    for (const [key, length] of index.lengths) {
      if (this.#fresh.has(key)) continue;
      this.#where.set(key, name);
      this.#lengths.set(key, length);
    }
  }

  #forget(name: string): void {
    const index = this.#segments.get(name);
    this.#segments.delete(name);
    for (const key of index?.lengths.keys() ?? []) {
      if (this.#where.get(key) !== name) continue;
      this.#where.delete(key);
      this.#lengths.delete(key);
    }
  }

  has(key: string): boolean {
    return this.#where.has(key);
  }

  /** Vectors of an entry, 0 when it is a refusal; undefined when it is not there. */
  length(key: string): number | undefined {
    return this.#lengths.get(key);
  }

  /** Puts an entry in; it is written with others, at the latest by `flush`. */
  put(key: string, entry: CacheEntry): void {
    this.#fresh.set(key, entry);
    this.#where.set(key, undefined);
    this.#lengths.set(key, 'refused' in entry ? 0 : entry.length);
    this.#freshBytes += 'refused' in entry ? 100 : entry.data.byteLength;
    const full = this.#freshBytes >= FLUSH_BYTES || this.#fresh.size >= FLUSH_ENTRIES;
    // What goes wrong comes out of the next flush.
    if (full && this.#directory !== undefined) this.flush().catch(() => undefined);
  }

  /** Writes what is not written yet. @throws DataError ERR_DATA_WRITE */
  flush(): Promise<void> {
    const directory = this.#directory;
    if (directory === undefined) return Promise.resolve();
    const turn = this.#writing
      .catch(() => undefined)
      .then(async () => {
        if (this.#fresh.size === 0) return;
        const batch = this.#fresh;
        this.#fresh = new Map();
        this.#freshBytes = 0;
        try {
          const { name, bytes } = await writeSegment(directory, batch, this.dim);
          const lengths = new Map([...batch.keys()].map((key) => [key, this.#lengths.get(key) ?? 0]));
          this.#learn(name, { lengths, bytes });
        } catch (error) {
          // Still wanted by who reads, and to be written when there is room again.
          for (const [key, entry] of batch) if (!this.#fresh.has(key)) this.#fresh.set(key, entry);
          throw error;
        }
      });
    this.#writing = turn;
    return turn;
  }

  /**
   * Hands over the entries of these keys, a segment at a time.
   *
   * @returns the keys that are not to be had (any more), which are to be made again
   */
  async read(keys: Iterable<string>, take: (key: string, entry: CacheEntry) => void): Promise<string[]> {
    await this.#writing.catch(() => undefined);
    const gone: string[] = [];
    const bySegment = new Map<string, string[]>();
    for (const key of keys) {
      const fresh = this.#fresh.get(key);
      const name = this.#where.get(key);
      if (fresh) take(key, fresh);
      else if (name === undefined) gone.push(key);
      else if (bySegment.has(name)) bySegment.get(name)!.push(key);
      else bySegment.set(name, [key]);
    }
    for (const [name, wanted] of bySegment) {
      const file = path.join(this.#directory!, name);
      const entries = await readSegment(file);
      if (!entries) {
        // Joined with others by another process, removed to make room, or damaged.
        await rm(file, { force: true });
        this.#forget(name);
        gone.push(...wanted);
        continue;
      }
      await touch(file);
      for (const key of wanted) {
        const entry = entries.get(key);
        if (entry && ('refused' in entry || entry.data.length === entry.length * this.dim)) take(key, entry);
        else {
          this.#where.delete(key);
          this.#lengths.delete(key);
          gone.push(key);
        }
      }
    }
    return gone;
  }

  /** Joins small segments when there are many. Whoever reads one that is gone looks again. */
  async tidy(): Promise<void> {
    await this.flush();
    if (this.#directory === undefined) return;
    const small = [...this.#segments].filter(([, { bytes }]) => bytes < SMALL_BYTES);
    if (small.length < MANY_SMALL) return;
    const joined = new Map<string, CacheEntry>();
    const old: string[] = [];
    for (const [name] of small) {
      const entries = await readSegment(path.join(this.#directory, name));
      if (!entries) continue;
      for (const [key, entry] of entries) joined.set(key, entry);
      old.push(name);
    }
    const { name, bytes } = await writeSegment(this.#directory, joined, this.dim);
    for (const gone of old) {
      if (gone === name) continue;
      await rm(path.join(this.#directory, gone), { force: true });
      this.#forget(gone);
    }
    const lengths = new Map([...joined].map(([key, entry]) => [key, 'refused' in entry ? 0 : entry.length]));
    this.#learn(name, { lengths, bytes });
  }
}

/** Notes that a file was used now. */
export async function touch(file: string): Promise<void> {
  const info = await stat(file).catch(() => undefined);
  if (!info || Date.now() - info.mtimeMs < TOUCH_AFTER_MS) return;
  const now = new Date();
  await utimes(file, now, now).catch(() => undefined);
}
