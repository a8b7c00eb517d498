import { Worker } from 'node:worker_threads';
import {
  CancelledError,
  CinefuseError,
  DisposedError,
  type ErrorCode,
  errorFromCode,
  isErrorCode,
} from '../errors.js';

/** What a worker answers. Errors cross as data and become errors of their class again. */
export type WorkerReply = { id: number } & ({ value: unknown } | { error: WireError });

export interface WireError {
  code: ErrorCode;
  message: string;
  field?: string | undefined;
  file?: string | undefined;
  expected?: string | undefined;
  got?: string | undefined;
  cause?: string | undefined;
}

/** An error as data. What is not ours becomes `code`, with its message kept. */
export function toWireError(error: unknown, code: ErrorCode): WireError {
  if (error instanceof CinefuseError) {
    const { field, file, expected, got, cause } = error;
    return {
      code: error.code,
      message: error.message,
      field,
      file,
      expected,
      got,
      cause: cause instanceof Error ? cause.message : undefined,
    };
  }
  return { code, message: error instanceof Error ? error.message : String(error) };
}

function fromWireError({ code, cause, ...details }: WireError): CinefuseError {
  return errorFromCode(isErrorCode(code) ? code : 'ERR_INTERNAL', {
    ...details,
    cause: cause === undefined ? undefined : new Error(cause),
  });
}

export interface ChannelOptions {
  /** What the thread is, for the error when it ends unasked: "the encoder thread". */
  name: string;
  /** Code of the error that the pending requests get when the thread ends unasked. */
  crashCode: ErrorCode;
  workerData?: unknown;
  maxHeapMb?: number | undefined;
}

interface Pending {
  resolve: (value: unknown) => void;
  reject: (error: unknown) => void;
  stopListening: () => void;
}

/**
 * One worker thread behind a request-reply call. The thread starts with the first request; when it dies, the pending
 * requests fail with a typed error and the next request starts a fresh one. A thread without pending requests does not
 * keep the process alive.
 */
export class WorkerChannel {
  readonly #script: URL;
  readonly #options: ChannelOptions;
  readonly #pending = new Map<number, Pending>();
  #worker: Worker | undefined;
  #generation = 0;
  #nextId = 1;
  #disposed = false;

  constructor(script: URL, options: ChannelOptions) {
    this.#script = script;
    this.#options = options;
  }

  /** Counts the threads started so far: what an earlier thread had loaded is gone when this has changed. */
  get generation(): number {
    return this.#generation;
  }

  get running(): boolean {
    return this.#worker !== undefined;
  }

  /** Starts the thread if there is none. */
  start(): void {
    this.#thread();
  }

  /**
   * @param message   cloned into the thread as `{ id, ...message }`
   * @param transfer  buffers that move there, and are empty here afterwards
   * @throws CancelledError  at once when `signal` fires; what the thread still answers is discarded
   * @throws DisposedError   after dispose()
   */
  request(message: object, transfer: ArrayBuffer[] = [], signal?: AbortSignal): Promise<unknown> {
    if (this.#disposed) return Promise.reject(disposedError(this.#options.name));
    if (signal?.aborted) return Promise.reject(new CancelledError({ cause: signal.reason }));
    const worker = this.#thread();
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      const cancel = () => {
        this.#settle(id)?.reject(new CancelledError({ cause: signal?.reason }));
      };
      signal?.addEventListener('abort', cancel, { once: true });
      const stopListening = () => signal?.removeEventListener('abort', cancel);
      this.#pending.set(id, { resolve, reject, stopListening });
      worker.ref();
      try {
        worker.postMessage({ id, ...message }, transfer);
      } catch (cause) {
        this.#settle(id)?.reject(cause);
      }
    });
  }

  /** Ends the thread after the request it is working on; everything pending fails with DisposedError. */
  async dispose(): Promise<void> {
    this.#disposed = true;
    await this.terminate(disposedError(this.#options.name));
  }

  /** Ends the thread as a crash would: pending requests fail with `error`, the next request starts a fresh thread. */
  async terminate(error?: CinefuseError): Promise<void> {
    const worker = this.#worker;
    this.#worker = undefined;
    this.#rejectAll(error ?? this.#crashError('it was terminated'));
    await worker?.terminate();
  }

  #thread(): Worker {
    if (this.#worker !== undefined) return this.#worker;
    const { workerData, maxHeapMb } = this.#options;
    const worker = new Worker(this.#script, {
      workerData,
      name: this.#options.name,
      ...(maxHeapMb !== undefined && { resourceLimits: { maxOldGenerationSizeMb: maxHeapMb } }),
    });
    this.#worker = worker;
    this.#generation++;
    worker.unref();
    worker.on('message', (reply: WorkerReply) => {
      const pending = this.#settle(reply.id);
      if ('error' in reply) pending?.reject(fromWireError(reply.error));
      else pending?.resolve(reply.value);
    });
    const ended = (reason: unknown) => {
      if (this.#worker !== worker) return;
      this.#worker = undefined;
      this.#rejectAll(this.#crashError(reason));
    };
    worker.on('error', ended);
    worker.on('messageerror', ended);
    worker.on('exit', (code) => ended(`it ended with exit code ${code}`));
    return worker;
  }

  #settle(id: number): Pending | undefined {
    const pending = this.#pending.get(id);
    this.#pending.delete(id);
    pending?.stopListening();
    if (this.#pending.size === 0) this.#worker?.unref();
    return pending;
  }

  #rejectAll(error: CinefuseError): void {
    for (const id of [...this.#pending.keys()]) this.#settle(id)?.reject(error);
  }

  #crashError(reason: unknown): CinefuseError {
    const message = reason instanceof Error ? reason.message : String(reason);
    return errorFromCode(this.#options.crashCode, {
      message: `The ${this.#options.name} ended unexpectedly: ${message}`,
      expected: `a running ${this.#options.name}`,
      got: message,
      cause: reason instanceof Error ? reason : undefined,
    });
  }
}

function disposedError(name: string): DisposedError {
  return new DisposedError('ERR_DISPOSED', { message: `The owner of the ${name} was disposed` });
}
