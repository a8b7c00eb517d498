import type { Stats } from 'node:fs';
import { type FileHandle, open, realpath, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Writable } from 'node:stream';
import { InputError } from '../errors.js';

/** Where the results go: standard output, or a file that appears whole or not at all. */
export interface Output {
  readonly stream: { isTTY?: boolean; columns?: number };
  /** Resolves when the other side can take more. @throws InputError ERR_INPUT_FILE  it cannot be written, the disk is full */
  write(text: string | Uint8Array): Promise<void>;
  /** The results are whole: a file takes its name now. */
  finish(): Promise<void>;
  /** The results are not whole: a file is left as it was. */
  abandon(): Promise<void>;
}

function writeTo(stream: Writable, text: string | Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(text, (error) => (error ? reject(error) : resolve()));
  });
}

function outputError(file: string | undefined, expected: string, got: string, cause?: unknown): InputError {
  return new InputError('ERR_INPUT_FILE', {
    field: file === undefined ? 'standard output' : '--output',
    file,
    expected,
    got,
    cause,
  });
}

class StandardOutput implements Output {
  readonly stream = process.stdout;
  async write(text: string | Uint8Array): Promise<void> {
    await writeTo(process.stdout, text).catch((cause: NodeJS.ErrnoException) => {
      throw outputError(undefined, 'an output that can be written to', cause.message, cause);
    });
  }
  async finish(): Promise<void> {}
  async abandon(): Promise<void> {}
}

class FileOutput implements Output {
  readonly stream = {};
  readonly #file: string;
  /** Undefined for what cannot be replaced: a device, a FIFO. */
  readonly #temporary: string | undefined;
  readonly #handle: FileHandle;

  constructor(file: string, temporary: string | undefined, handle: FileHandle) {
    this.#file = file;
    this.#temporary = temporary;
    this.#handle = handle;
  }

  async write(text: string | Uint8Array): Promise<void> {
    await this.#handle.writeFile(text).catch((cause: Error) => {
      throw outputError(this.#file, 'room for the results', cause.message, cause);
    });
  }

  async finish(): Promise<void> {
    await this.#handle.close();
    if (this.#temporary === undefined) return;
    await rename(this.#temporary, this.#file).catch(async (cause: Error) => {
      await this.#remove();
      throw outputError(this.#file, 'a file that can be replaced', cause.message, cause);
    });
  }

  async abandon(): Promise<void> {
    await this.#handle.close().catch(() => {});
    await this.#remove();
  }

  async #remove(): Promise<void> {
    if (this.#temporary !== undefined) await rm(this.#temporary, { force: true });
  }
}

/**
 * @param file  written through a temporary file beside it and renamed at the end (a device or FIFO: written as it is);
 *   undefined: standard output
 * @throws InputError ERR_INPUT_FILE  a directory; the folder is not there or cannot be written
 */
export async function openOutput(file: string | undefined): Promise<Output> {
  if (file === undefined) return new StandardOutput();
  const there: Stats | undefined = await stat(file).catch(() => undefined);
  if (there?.isDirectory()) throw outputError(file, 'a file', 'a directory');
  const inPlace = there !== undefined && !there.isFile();
  // What a link points to is replaced, not the link.
  const target = await realpath(file).catch(() => file);
  const temporary = join(dirname(target), `.${basename(target)}.${process.pid}.partial`);
  try {
    const handle = await (inPlace ? open(file, 'a') : open(temporary, 'wx'));
    return new FileOutput(target, inPlace ? undefined : temporary, handle);
  } catch (cause) {
    throw outputError(file, 'a file in a folder that can be written to', (cause as Error).message, cause);
  }
}
