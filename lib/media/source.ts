import { constants, mkdtempSync, rmSync } from 'node:fs';
import { type FileHandle, open, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Readable } from 'node:stream';
import type { ReadableStream } from 'node:stream/web';
import { isUint8Array } from 'node:util/types';
import { CinefuseError, describeValue, InputError, MediaError } from '../errors.js';
import { atExit } from '../exit.js';
import { limitError, type Subject } from './limits.js';

/**
 * A media file: where it is, its bytes, or a stream of its bytes. A path is always a local regular file, never a URL.
 * A stream belongs to the call it is given to, which reads it to its end or destroys it.
 */
export type MediaInput = { path: string } | Uint8Array | NodeJS.ReadableStream | ReadableStream<Uint8Array>;

type Source =
  | { kind: 'path'; path: string }
  | { kind: 'bytes'; bytes: Uint8Array }
  | { kind: 'stream'; stream: Readable };

/** Tells the forms of input apart. @throws InputError ERR_INPUT_TYPE, ERR_INPUT_EMPTY, ERR_INPUT_VALUE */
export function classify(input: MediaInput, field: string): Source {
  if (isUint8Array(input)) {
    // To sharp a subclass, or an array of another realm (node:vm, a test runner), is none.
    const { buffer, byteOffset, byteLength } = input;
    const own = byteLength === 0 ? new Uint8Array(0) : Buffer.from(buffer, byteOffset, byteLength);
    return { kind: 'bytes', bytes: own };
  }
  if (input instanceof Readable) return { kind: 'stream', stream: input };
  if (isWebStream(input)) {
    if (input.locked) {
      throw new InputError('ERR_INPUT_VALUE', {
        field,
        expected: 'a stream that nobody else reads',
        got: 'a locked ReadableStream',
      });
    }
    return { kind: 'stream', stream: Readable.fromWeb(input) };
  }
  if (isNodeStream(input))
    return { kind: 'stream', stream: Readable.from(input as AsyncIterable<Uint8Array>) };
  const path = (input as { path?: unknown } | null | undefined)?.path;
  if (typeof path !== 'string') {
    throw new InputError('ERR_INPUT_TYPE', {
      field,
      expected: '{ path }, a Buffer, or a readable stream of bytes',
      got: describeValue(input),
    });
  }
  if (path === '')
    throw new InputError('ERR_INPUT_EMPTY', { field: `${field}.path`, expected: 'a path', got: "''" });
  if (path.includes('\0')) {
    throw new InputError('ERR_INPUT_VALUE', {
      field: `${field}.path`,
      expected: 'a path',
      got: 'a string with a NUL character',
    });
  }
  return { kind: 'path', path: resolve(path) };
}

function isWebStream(input: object | null): input is ReadableStream<Uint8Array> {
  return typeof (input as ReadableStream | null)?.getReader === 'function';
}

function isNodeStream(input: object | null): boolean {
  return (
    typeof (input as NodeJS.ReadableStream | null)?.pipe === 'function' && Symbol.asyncIterator in input!
  );
}

/**
 * Takes over an input that a call was given and may read much later, or never: an error of a stream then waits for its
 * reader instead of ending the process as an error that nobody listens for.
 *
 * @returns whether it is a stream, for `discardInput`
 */
export function adopt(input: object): boolean {
  if (isNodeStream(input)) {
    (input as NodeJS.ReadableStream).on('error', () => {});
    return true;
  }
  return isWebStream(input);
}

/** Gives up a stream that a call was given: what it has not read is let go. Does nothing to one that was read. */
export function discardInput(input: object): void {
  if (isNodeStream(input)) (input as Partial<Readable>).destroy?.();
  else if (isWebStream(input) && !input.locked) input.cancel().catch(() => {});
}

/** Gives up a stream that will not be read: its file or socket is closed. */
export function discard(source: Source): void {
  if (source.kind === 'stream') source.stream.on('error', () => {}).destroy();
}

export interface ReadOptions {
  subject: Subject;
  limit: 'maxBytes' | 'maxImageBytes';
  maxBytes: number;
  /** Ends a wait for the next piece of a stream. */
  signal: AbortSignal;
}

/** The whole input in memory: for images. @throws as checkFile and the stream's own errors, as MediaError */
export async function readBytes(source: Source, o: ReadOptions): Promise<Uint8Array> {
  if (source.kind === 'bytes') {
    checkSize(source.bytes.length, o);
    return source.bytes;
  }
  if (source.kind === 'stream') {
    const chunks: Uint8Array[] = [];
    for await (const chunk of boundedChunks(source.stream, o)) chunks.push(chunk);
    return Buffer.concat(chunks);
  }
  const size = await checkFile(source.path, o);
  const handle = await openFile(source.path, o);
  try {
    // One byte more than stat said, to notice a file that grows.
    const bytes = new Uint8Array(size + 1);
    let filled = 0;
    while (filled < bytes.length) {
      const { bytesRead } = await handle.read(bytes, filled, bytes.length - filled, filled);
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
    return bytes.subarray(0, Math.min(filled, size));
  } catch (cause) {
    throw fileError(cause, o.subject);
  } finally {
    await handle.close();
  }
}

/** The input as a file that FFmpeg can seek in; `release` removes what was written for it. */
export interface StagedFile {
  path: string;
  release(): Promise<void>;
}

/** A path is checked and used as it is; bytes and streams go to a file in a private temporary directory. */
export async function stageFile(source: Source, o: ReadOptions): Promise<StagedFile> {
  if (source.kind === 'path') {
    await checkFile(source.path, o);
    await (await openFile(source.path, o)).close();
    return { path: source.path, release: async () => {} };
  }
  if (source.kind === 'bytes') checkSize(source.bytes.length, o);
  // Synchronous, so that an exit of the process cannot come between making it and noting it. Mode 0700.
  const directory = temporaryDirectory(o.subject);
  const forget = atExit(() => rmSync(directory, { recursive: true, force: true, maxRetries: 5 }));
  const release = async () => {
    await rm(directory, { recursive: true, force: true });
    forget();
  };
  const path = join(directory, 'media');
  try {
    await writeFile(path, source.kind === 'bytes' ? source.bytes : boundedChunks(source.stream, o), {
      mode: 0o600,
      flag: 'wx',
      signal: o.signal,
    });
  } catch (cause) {
    await release();
    throw fileError(cause, o.subject);
  }
  return { path, release };
}

function temporaryDirectory(subject: Subject): string {
  try {
    return mkdtempSync(join(tmpdir(), 'cinefuse-'));
  } catch (cause) {
    throw new MediaError('ERR_MEDIA_READ', {
      ...subject,
      expected: `a temporary directory in ${tmpdir()} to put it into`,
      got: (cause as Error).message,
      cause,
    });
  }
}

/** A regular, readable, non-empty file within the limit; its size. Opens nothing: a FIFO would wait, a device act. */
async function checkFile(path: string, o: ReadOptions): Promise<number> {
  const stats = await stat(path).catch((cause: unknown) => {
    throw fileError(cause, o.subject);
  });
  if (!stats.isFile()) {
    const kind = stats.isDirectory()
      ? 'a directory'
      : stats.isFIFO()
        ? 'a FIFO'
        : stats.isSocket()
          ? 'a socket'
          : 'a device';
    throw new MediaError('ERR_MEDIA_READ', { ...o.subject, expected: 'a regular file', got: kind });
  }
  checkSize(stats.size, o);
  return stats.size;
}

function checkSize(size: number, o: ReadOptions): void {
  if (size === 0) throw emptyError(o.subject);
  if (size > o.maxBytes) throw limitError(o.subject, o.limit, o.maxBytes, `${size} bytes`);
}

function emptyError(subject: Subject): MediaError {
  return new MediaError('ERR_MEDIA_EMPTY', { ...subject, expected: 'a media file', got: '0 bytes' });
}

/** O_NONBLOCK: should the path have become a FIFO since it was checked, opening it still returns. */
async function openFile(path: string, o: ReadOptions): Promise<FileHandle> {
  try {
    return await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (cause) {
    throw fileError(cause, o.subject);
  }
}

function fileError(cause: unknown, subject: Subject): CinefuseError {
  if (cause instanceof CinefuseError) return cause;
  const code = (cause as NodeJS.ErrnoException).code;
  return code === 'ENOENT' || code === 'ENOTDIR'
    ? new MediaError('ERR_MEDIA_NOT_FOUND', {
        ...subject,
        expected: 'an existing file',
        got: 'no such file',
        cause,
      })
    : new MediaError('ERR_MEDIA_READ', {
        ...subject,
        expected: 'a readable file or stream',
        got: cause instanceof Error ? `the error "${cause.message}"` : String(cause),
        cause,
      });
}

/** Streams that a call reads or has read: a second reader would get a part of the bytes, or none. */
const taken = new WeakSet<Readable>();

async function* boundedChunks(stream: Readable, o: ReadOptions): AsyncGenerator<Uint8Array> {
  if (taken.has(stream)) {
    throw new InputError('ERR_INPUT_VALUE', {
      field: o.subject.field,
      expected: 'a stream that nobody else reads',
      got: 'one that was given before',
    });
  }
  taken.add(stream);
  const stop = () => stream.destroy();
  if (o.signal.aborted) stop();
  o.signal.addEventListener('abort', stop, { once: true });
  let total = 0;
  try {
    // Leaving the loop early, by a throw too, destroys the stream.
    for await (const chunk of stream as AsyncIterable<unknown>) {
      if (!(chunk instanceof Uint8Array)) {
        throw new InputError('ERR_INPUT_TYPE', {
          field: o.subject.field,
          expected: 'a stream of bytes (Buffer or Uint8Array)',
          got: `a stream with ${describeValue(chunk)}`,
        });
      }
      total += chunk.length;
      if (total > o.maxBytes) {
        throw limitError(o.subject, o.limit, o.maxBytes, `a stream of more than ${o.maxBytes} bytes`);
      }
      yield chunk;
    }
  } catch (cause) {
    throw fileError(cause, o.subject);
  } finally {
    o.signal.removeEventListener('abort', stop);
  }
  if (total === 0) throw emptyError(o.subject);
}

/** The first bytes of a file that has been checked. */
export async function readHead(path: string, subject: Subject): Promise<Uint8Array> {
  try {
    const handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      const { buffer, bytesRead } = await handle.read(new Uint8Array(256), 0, 256, 0);
      return buffer.subarray(0, bytesRead);
    } finally {
      await handle.close();
    }
  } catch (cause) {
    throw fileError(cause, subject);
  }
}
