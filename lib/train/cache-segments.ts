/**
 * Segments of the embedding cache: safetensors files that are written whole, named by the SHA-256 of their bytes, and
 * never changed. A tensor a film's input, (length, dim), named by the hash of what it was made of; what an encoder has
 * refused stands in the metadata.
 */
import { createHash, randomUUID } from 'node:crypto';
import { mkdir, open, readFile, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { DataError } from '../errors.js';
import { parseSafetensors, serializeSafetensors, type StoredTensor } from '../formats/safetensors.js';

/** Vectors of one input of one film. */
export interface CachedEmbedding {
  /** (length, dim) */
  data: Float32Array;
  length: number;
}

/** Why an encoder would not take an input, which it will not the next time either. */
export interface Refusal {
  code: string;
  why: string;
}

export type CacheEntry = CachedEmbedding | { refused: Refusal };

/** What a segment's header says: enough to look things up. */
export interface SegmentIndex {
  /** By key: vectors; 0 for a refusal. */
  lengths: Map<string, number>;
  bytes: number;
}

const ENDING = '.safetensors';
const REFUSED = 'refused:';
/** Files that are being written; what a process that died has left of them is removed in time. */
export const UNFINISHED = '.unfinished-';

export const segmentName = (sha256: string) => `${sha256}${ENDING}`;

export function isSegment(name: string): boolean {
  return /^[0-9a-f]{64}\.safetensors$/.test(name);
}

/** Writes entries as one segment. @returns its name @throws DataError ERR_DATA_WRITE */
export async function writeSegment(
  directory: string,
  entries: ReadonlyMap<string, CacheEntry>,
  dim: number,
): Promise<{ name: string; bytes: number }> {
  const tensors = new Map<string, StoredTensor>();
  const metadata: Record<string, string> = {};
  for (const [key, entry] of entries) {
    if ('refused' in entry) metadata[`${REFUSED}${key}`] = JSON.stringify(entry.refused);
    else tensors.set(key, { dtype: 'F32', shape: [entry.length, dim], data: entry.data });
  }
  const bytes = serializeSafetensors(tensors, metadata);
  const name = segmentName(createHash('sha256').update(bytes).digest('hex'));
  await writeWhole(path.join(directory, name), bytes);
  return { name, bytes: bytes.length };
}

/** Writes a file so that it is there whole or not at all. @throws DataError ERR_DATA_WRITE */
export async function writeWhole(file: string, bytes: Uint8Array | string): Promise<void> {
  const directory = path.dirname(file);
  const unfinished = path.join(directory, `${UNFINISHED}${process.pid}-${randomUUID()}`);
  try {
    await mkdir(directory, { recursive: true });
    await writeFile(unfinished, bytes);
    await rename(unfinished, file);
  } catch (cause) {
    await rm(unfinished, { force: true }).catch(() => undefined);
    throw new DataError('ERR_DATA_WRITE', {
      file,
      expected: 'room and leave to write the cache of embeddings',
      got: (cause as Error).message,
      cause,
    });
  }
}

/** A segment's header; undefined when it is gone or is none. */
export async function readIndex(file: string): Promise<SegmentIndex | undefined> {
  const handle = await open(file).catch(() => undefined);
  if (!handle) return undefined;
  try {
    const { size } = await handle.stat();
    const start = Buffer.alloc(8);
    if ((await handle.read(start, 0, 8, 0)).bytesRead < 8) return undefined;
    const length = Number(start.readBigUInt64LE());
    if (length > size - 8) return undefined;
    const text = Buffer.alloc(length);
    await handle.read(text, 0, length, 8);
    const header = JSON.parse(text.toString('utf8')) as Record<string, { shape?: number[] }>;
    const lengths = new Map<string, number>();
    for (const [key, value] of Object.entries(header)) {
      if (key === '__metadata__') {
        for (const name of Object.keys(value)) {
          if (name.startsWith(REFUSED)) lengths.set(name.slice(REFUSED.length), 0);
        }
      } else lengths.set(key, value.shape?.[0] ?? 0);
    }
    return { lengths, bytes: size };
  } catch {
    return undefined;
  } finally {
    await handle.close();
  }
}

/** All of a segment, its bytes held against its name. Undefined when it is gone or damaged. */
export async function readSegment(file: string): Promise<Map<string, CacheEntry> | undefined> {
  const bytes = await readFile(file).catch(() => undefined);
  if (!bytes) return undefined;
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  if (path.basename(file) !== segmentName(sha256)) return undefined;
  const entries = new Map<string, CacheEntry>();
  for (const [key, { shape, data }] of parseSafetensors(bytes, file)) {
    if (data instanceof Float32Array) entries.set(key, { data, length: shape[0] ?? 0 });
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, 8);
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + Number(view.getBigUint64(0, true)))) as {
    __metadata__?: Record<string, string>;
  };
  for (const [name, text] of Object.entries(header.__metadata__ ?? {})) {
    if (name.startsWith(REFUSED)) {
      entries.set(name.slice(REFUSED.length), { refused: JSON.parse(text) as Refusal });
    }
  }
  return entries;
}
