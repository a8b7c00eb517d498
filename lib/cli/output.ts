import { createWriteStream } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Writable } from 'node:stream';
import { InputError } from '../errors.js';

/** Where the results go: standard output, or a file that appears whole or not at all. */
export interface Output {
  readonly stream: { isTTY?: boolean; columns?: number };
  /** Resolves when the other side can take more. */
  write(text: string): Promise<void>;
  /** The results are whole: a file takes its name now. */
  finish(): Promise<void>;
  /** The results are not whole: a file is left as it was. */
  abandon(): Promise<void>;
}

function writeTo(stream: Writable, text: string): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(text, (error) => (error ? reject(error) : resolve()));
  });
}

class StandardOutput implements Output {
  readonly stream = process.stdout;
  write(text: string): Promise<void> {
    return writeTo(process.stdout, text);
  }
  async finish(): Promise<void> {}
  async abandon(): Promise<void> {}
}

class FileOutput implements Output {
  readonly stream = {};
  readonly #file: string;
  readonly #temporary: string;
  readonly #writer: Writable;

  constructor(file: string, temporary: string, writer: Writable) {
    this.#file = file;
    this.#temporary = temporary;
    this.#writer = writer;
  }

  write(text: string): Promise<void> {
    return writeTo(this.#writer, text);
  }

  async finish(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#writer.once('error', reject);
      this.#writer.end(resolve);
    });
    await rename(this.#temporary, this.#file);
  }

  async abandon(): Promise<void> {
    await new Promise<void>((resolve) => this.#writer.once('close', resolve).destroy());
    await rm(this.#temporary, { force: true });
  }
}

/**
 * @param file  written through a temporary file beside it and renamed at the end; undefined: standard output
 * @throws InputError ERR_INPUT_FILE  the folder is not there or cannot be written
 */
export async function openOutput(file: string | undefined): Promise<Output> {
  if (file === undefined) return new StandardOutput();
  const temporary = join(dirname(file), `.${basename(file)}.${process.pid}.partial`);
  const writer = createWriteStream(temporary, { flags: 'wx' });
  await new Promise<void>((resolve, reject) => {
    writer.once('open', () => resolve());
    writer.once('error', (cause) =>
      reject(
        new InputError('ERR_INPUT_FILE', {
          field: '--output',
          file,
          expected: 'a file in a folder that can be written to',
          got: cause.message,
          cause,
        }),
      ),
    );
  });
  return new FileOutput(file, temporary, writer);
}
