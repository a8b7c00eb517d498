/** Whether a file is a whole GGUF model, before it is given to a loader that may wait for ever for the rest of it. */
import { type FileHandle, open } from 'node:fs/promises';
import { ModelError } from '../errors.js';

/** Bytes of a model's description: vocabularies take a few million. */
const MOST_HEADER = 128 * 2 ** 20;
/** Bytes of the value types 0 to 12; 8 is a string, 9 a list. */
const SIZES = [1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8];
const STRING = 8;
const LIST = 9;

class Reader {
  #at = 0;
  readonly #bytes: Buffer;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  take(count: number): Buffer {
    if (this.#at + count > this.#bytes.length) throw new Error('a description that ends too early');
    this.#at += count;
    return this.#bytes.subarray(this.#at - count, this.#at);
  }

  uint32 = () => this.take(4).readUInt32LE();

  /** A count or a length: no more than there are bytes. */
  count = (): number => {
    const value = this.take(8).readBigUInt64LE();
    if (value > BigInt(this.#bytes.length)) throw new Error(`a length of ${value}, beyond its end`);
    return Number(value);
  };

  string = () => this.take(this.count());

  value(type: number, depth = 0): void {
    if (type === STRING) this.string();
    else if (type === LIST && depth < 4) {
      const inner = this.uint32();
      const count = this.count();
      if (inner !== STRING && inner !== LIST) this.take(count * sizeOf(inner));
      else for (let i = 0; i < count; i++) this.value(inner, depth + 1);
    } else this.take(sizeOf(type));
  }
}

function sizeOf(type: number): number {
  const size = SIZES[type];
  if (!size) throw new Error(`a value of type ${type}`);
  return size;
}

/** @throws ModelError ERR_MODEL_LOAD  no GGUF, of an unknown version, or cut off */
export async function checkGguf(file: string): Promise<void> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(file, 'r');
    const { size } = await handle.stat();
    const header = Buffer.alloc(Math.min(size, MOST_HEADER));
    await handle.read(header, 0, header.length, 0);
    checkHeader(header, size);
  } catch (cause) {
    throw new ModelError('ERR_MODEL_LOAD', {
      file,
      expected: 'a whole GGUF model',
      got: (cause as Error).message,
      cause,
    });
  } finally {
    await handle?.close();
  }
}

function checkHeader(header: Buffer, size: number): void {
  const reader = new Reader(header);
  if (reader.take(4).toString('latin1') !== 'GGUF') throw new Error('a file that does not begin with GGUF');
  const version = reader.uint32();
  if (version !== 2 && version !== 3) throw new Error(`version ${version}, not 2 or 3`);
  const tensors = reader.count();
  const values = reader.count();
  for (let i = 0; i < values; i++) {
    reader.string();
    reader.value(reader.uint32());
  }
  let last = 0n;
  for (let i = 0; i < tensors; i++) {
    reader.string();
    reader.take(8 * Math.min(reader.uint32(), 8));
    reader.uint32();
    const offset = reader.take(8).readBigUInt64LE();
    if (offset > last) last = offset;
  }
  if (tensors === 0) throw new Error('one without tensors');
  if (last >= BigInt(size)) throw new Error(`a tensor at byte ${last} of a file of ${size}`);
}
