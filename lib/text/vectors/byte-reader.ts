/** Files too large to be held, by pieces. */
import { createReadStream } from 'node:fs';
import { InputError } from '../../errors.js';

const CHUNK = 1 << 20;

export function fileError(file: string, expected: string, got: string, cause?: unknown): InputError {
  return new InputError('ERR_INPUT_FILE', { file, expected, got, cause });
}

/** Reads a file by pieces whose ends the format decides. */
export class ByteReader {
  readonly #chunks: AsyncIterator<Buffer>;
  #held: Buffer = Buffer.alloc(0);
  #at = 0;
  #ended = false;

  constructor(readonly file: string) {
    this.#chunks = createReadStream(file, { highWaterMark: CHUNK })[Symbol.asyncIterator]();
  }

  async #more(): Promise<boolean> {
    if (this.#ended) return false;
    const { value, done } = await this.#chunks.next().catch((cause: Error) => {
      throw fileError(this.file, 'a file that can be read', cause.message, cause);
    });
    if (done) this.#ended = true;
    else {
      this.#held = Buffer.concat([this.#held.subarray(this.#at), value]);
      this.#at = 0;
    }
    return !done;
  }

  /** What is there of the next `bytes`, without taking it. */
  async peek(bytes: number): Promise<Buffer> {
    while (this.#held.length - this.#at < bytes && (await this.#more())) {}
    return this.#held.subarray(this.#at, this.#at + bytes);
  }

  /** `bytes` bytes; undefined where there are fewer. */
  async take(bytes: number): Promise<Buffer | undefined> {
    const there = await this.peek(bytes);
    if (there.length < bytes) return undefined;
    this.#at += bytes;
    return there;
  }

  /** Up to `mark`, which is taken and left out; undefined at the end of the file. 'long' past `most` bytes. */
  async until(mark: number, most: number): Promise<Buffer | 'long' | undefined> {
    for (let searched = 0; ; ) {
      const found = this.#held.indexOf(mark, this.#at + searched);
      if (found >= 0 && found - this.#at > most) return 'long';
      if (found >= 0) {
        const part = this.#held.subarray(this.#at, found);
        this.#at = found + 1;
        return part;
      }
      searched = this.#held.length - this.#at;
      if (searched > most) return 'long';
      if (await this.#more()) continue;
      const rest = this.#held.subarray(this.#at);
      this.#at = this.#held.length;
      return rest.length > 0 ? rest : undefined;
    }
  }

  async close(): Promise<void> {
    await this.#chunks.return?.();
  }
}
