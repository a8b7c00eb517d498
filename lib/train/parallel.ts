/** Several fits at a time without more threads than there are cores. */
import { availableParallelism } from 'node:os';
import { CancelledError } from '../errors.js';

export interface Lanes {
  /** Fits at a time. */
  parallel: number;
  /** Threads of each. */
  threads: number;
}

/**
 * How to share out the cores. Small networks gain more from several fits at a time than from several threads in one,
 * so each fit has one thread as long as there are fits for all cores.
 *
 * @param jobs      fits to do
 * @param parallel  default: as many as there are cores, jobs and threads of Node's pool
 * @param threads   for all together; default CINEFUSE_THREADS, or the cores of this process
 */
export function lanesOf(jobs: number, parallel?: number, threads?: number): Lanes {
  const cores = threads ?? (Number(process.env.CINEFUSE_THREADS) || availableParallelism());
  // A native call takes one thread of the pool for as long as it runs; one is left for files.
  const pool = Math.max(1, (Number(process.env.UV_THREADPOOL_SIZE) || 4) - 1);
  const lanes = Math.max(1, Math.min(parallel ?? cores, jobs, pool, Math.max(cores, 1)));
  return { parallel: lanes, threads: Math.max(1, Math.floor(cores / lanes)) };
}

/** Runs jobs in order, some at a time. The first failure cancels the others through `signal` and is thrown. */
export async function inLanes<T>(
  jobs: readonly ((signal: AbortSignal, lane: number) => Promise<T>)[],
  parallel: number,
  outer: AbortSignal | undefined,
): Promise<T[]> {
  const results: T[] = new Array<T>(jobs.length);
  const inner = new AbortController();
  const signal = outer ? AbortSignal.any([outer, inner.signal]) : inner.signal;
  let next = 0;
  let failure: unknown;
  const work = async (lane: number) => {
    while (next < jobs.length && !signal.aborted) {
      const i = next++;
      try {
        results[i] = await jobs[i]!(signal, lane);
      } catch (error) {
        failure ??= error;
        inner.abort(error);
      }
    }
  };
  await Promise.all(Array.from({ length: parallel }, (_, lane) => work(lane)));
  if (failure !== undefined) throw failure;
  if (outer?.aborted) throw new CancelledError({ cause: outer.reason });
  return results;
}
