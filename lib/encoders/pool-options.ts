import { availableParallelism } from 'node:os';
import type { Device } from '../device.js';
import { describeValue, InputError } from '../errors.js';
import type { Trace } from '../trace.js';

export interface PoolOptions {
  /**
   * Threads that own sessions, each with its own copy of the weights. Default 1. 'auto': 2 for encoders of at most
   * 64 MB together on the CPUs of a machine with 2 cores or more; the second loads when the pool is already in use.
   */
  workers?: number | 'auto' | undefined;
  /** Threads inside one run; workers x threads <= cores. Default: the cores divided by the workers. */
  threads?: number | undefined;
  /** 'auto' takes CUDA where it works, and `describe()` says why not; 'cuda' without it is an error. Default 'cpu'. */
  device?: Device | undefined;
  /** Runs that may wait; one more is refused with ERR_MODEL_QUEUE. Default 256. */
  maxQueued?: number | undefined;
  /** V8 heap of one worker; weights and tensors live outside it. Default: V8's own. */
  maxHeapMb?: number | undefined;
  /**
   * Batches across calls and films. Which rows share a batch then depends on what else is under way, and the last digits
   * of a vector may depend on that. Default true.
   */
  mixCalls?: boolean | undefined;
  /** Records the runs. */
  trace?: Trace | undefined;
  signal?: AbortSignal | undefined;
  /** Called once the threads have their work: what the caller has to do while the graphs are loaded. */
  meanwhile?: (() => void) | undefined;
}

/** Bytes of all encoders' files up to which a second copy of the weights is taken unasked. */
const SMALL_ENCODERS = 64 * 2 ** 20;

/**
 * Workers of 'auto': two small graphs side by side are 1.1 to 1.2 times as fast as one on two threads.
 * @param bytes  of all encoders' files
 */
export function autoWorkers(bytes: number, threads: number | undefined): number {
  return threads === undefined && bytes <= SMALL_ENCODERS && availableParallelism() >= 2 ? 2 : 1;
}

/** @throws InputError ERR_INPUT_VALUE  out of range, or more threads than cores */
export function chooseThreads({ workers: asked = 1, threads, maxQueued = 256 }: PoolOptions): {
  workers: number;
  threads: number;
} {
  const workers = asked === 'auto' ? 1 : asked;
  const cores = availableParallelism();
  const check = (field: string, value: number, max: number, expected: string) => {
    if (Number.isInteger(value) && value >= 1 && value <= max) return;
    throw new InputError('ERR_INPUT_VALUE', { field, expected, got: describeValue(value) });
  };
  check('maxQueued', maxQueued, 1e6, 'a whole number from 1 to 1000000');
  check('workers', workers, cores, `a whole number from 1 to the ${cores} cores of this machine`);
  const most = Math.floor(cores / workers);
  if (threads !== undefined) {
    const expected = `a whole number from 1 to ${most}: ${workers} workers x threads <= ${cores} cores`;
    check('threads', threads, most, expected);
  }
  return { workers, threads: threads ?? most };
}
