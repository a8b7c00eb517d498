import { Worker } from 'node:worker_threads';
import {
  CancelledError,
  CinefuseError,
  DisposedError,
  type ErrorCode,
  errorFromCode,
  isErrorCode,
} from '../errors.js';
import { SignalListeners } from '../signal-listeners.js';
import type { Trace } from '../trace.js';

/** What a worker answers. Errors cross as data and become errors of their class again. */
export type WorkerReply = {
  id: number;
  /** When the work began and ended, by traceTime; for a trace. */
  ran?: readonly [start: number, end: number];
} & ({ value: unknown } | { error: WireError });

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
  workerData?: object;
  maxHeapMb?: number | undefined;
  trace?: Trace | undefined;
  /** What a message is called in the trace. */
  labelOf?: (message: object) => RequestLabel;
}

export interface RequestLabel {
  name: string;
  details?: Readonly<Record<string, unknown>>;
}

/**
 * One word shared with each live thread: 1 while it is inside native code that must not be cut short (ending a thread
 * inside ONNX Runtime's binding aborts the whole process). process.exit() ends all threads, so it waits for these here.
 */
const nativeFlags = new Set<Int32Array>();
const LONGEST_WAIT_AT_EXIT_MS = 30_000;

function waitForNativeCode(): void {
  for (const flag of nativeFlags) {
    // 2 tells the thread to begin nothing more; its old value says whether it is inside.
    if (Atomics.exchange(flag, 0, 2) === 1) Atomics.wait(flag, 1, 0, LONGEST_WAIT_AT_EXIT_MS);
  }
}

function guardNativeCode(flag: Int32Array): void {
  if (nativeFlags.size === 0) process.on('exit', waitForNativeCode);
  nativeFlags.add(flag);
}

function unguardNativeCode(flag: Int32Array): void {
  nativeFlags.delete(flag);
  if (nativeFlags.size === 0) process.off('exit', waitForNativeCode);
}

/** In the thread: runs `work` so that the process does not exit in the middle of it. */
export async function insideNativeCode<T>(flag: Int32Array, work: () => Promise<T>): Promise<T> {
  // After an exit has begun nothing may start any more, and nobody is left to hear a result.
  if (Atomics.compareExchange(flag, 0, 0, 1) === 2) return new Promise<never>(() => undefined);
  try {
    return await work();
  } finally {
    if (Atomics.compareExchange(flag, 0, 1, 0) === 2) {
      Atomics.store(flag, 1, 1);
      Atomics.notify(flag, 1);
    }
  }
}

interface Pending {
  label: RequestLabel | undefined;
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
  readonly #signals = new SignalListeners();
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
    const { trace, labelOf } = this.#options;
    const label = trace && labelOf?.(message); // before its buffers move
    return new Promise((resolve, reject) => {
      const cancel = () => {
        this.#settle(id)?.reject(new CancelledError({ cause: signal?.reason }));
      };
      const stopListening = this.#signals.add(signal, cancel);
      this.#pending.set(id, { label, resolve, reject, stopListening });
      worker.ref();
      try {
        worker.postMessage({ id, ...message }, transfer);
      } catch (cause) {
        this.#settle(id)?.reject(cause);
      }
    });
  }

  /** Ends the thread as terminate() does, for good; everything pending and later fails with DisposedError. */
  async dispose(): Promise<void> {
    this.#disposed = true;
    await this.terminate(disposedError(this.#options.name));
  }

  /**
   * Ends the thread: pending requests fail with `error`, the next request starts a fresh one. A thread that may be inside
   * native code must have answered everything before this is called.
   */
  async terminate(error?: CinefuseError): Promise<void> {
    const worker = this.#worker;
    this.#worker = undefined;
    this.#rejectAll(error ?? this.#crashError('it was terminated'));
    await worker?.terminate();
  }

  #thread(): Worker {
    if (this.#worker !== undefined) return this.#worker;
    const { workerData, maxHeapMb } = this.#options;
    const nativeFlag = new Int32Array(new SharedArrayBuffer(8));
    const worker = new Worker(this.#script, {
      workerData: { ...workerData, nativeFlag },
      name: this.#options.name,
      execArgv: [], // flags of the caller's own entry point, such as --input-type, are not for ours
      ...(maxHeapMb !== undefined && { resourceLimits: { maxOldGenerationSizeMb: maxHeapMb } }),
    });
    this.#worker = worker;
    this.#generation++;
    guardNativeCode(nativeFlag);
    worker.unref();
    worker.on('message', (reply: WorkerReply) => {
      const pending = this.#settle(reply.id);
      this.#record(reply, pending?.label);
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
    worker.on('exit', (code) => {
      unguardNativeCode(nativeFlag);
      ended(`it ended with exit code ${code}`);
    });
    return worker;
  }

  #record({ ran }: WorkerReply, label: RequestLabel | undefined): void {
    if (ran && label) this.#options.trace?.add(this.#options.name, label.name, ...ran, label.details);
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
