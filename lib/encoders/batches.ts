import { CinefuseError, throwIfCancelled } from '../errors.js';

/** One row of a run: a chunk, an image, a window. */
export interface Unit {
  /** The sample it belongs to. */
  sample: number;
  /** Its place in that sample's sequence. */
  position: number;
  /** What it costs along the axis that is padded to the longest of its batch; 1 where nothing is padded. */
  length: number;
}

/**
 * What a run costs beside its rows, in positions of the padded axis: reading the weights once takes about as long as
 * the arithmetic of 8 tokens, whatever the model's size (4 bytes and 2 FLOPs a weight, 25 GB/s and 110 GFLOP/s).
 */
const RUN_COST = 8;

/**
 * Batches of at most `maxBatch` units, long ones first, so that the costliest run never comes last alone: those whose
 * runs cost least together, each RUN_COST and its rows padded to the longest. Units of equal length keep their order,
 * and where all are equal the batches are of nearly equal size.
 */
export function planBatches<U extends Unit>(units: readonly U[], maxBatch: number): U[][] {
  const sorted = [...units].sort((a, b) => b.length - a.length);
  const count = sorted.length;
  if (count === 0) return [];
  if (sorted[0]!.length === sorted[count - 1]!.length) {
    const batches = Math.ceil(count / maxBatch);
    return Array.from({ length: batches }, (_, i) =>
      sorted.slice(Math.round((i * count) / batches), Math.round(((i + 1) * count) / batches)),
    );
  }
  // least[i]: the cost of the first i units; start[i]: where the last of their batches begins.
  const least = new Float64Array(count + 1);
  const start = new Int32Array(count + 1);
  for (let end = 1; end <= count; end++) {
    least[end] = Number.POSITIVE_INFINITY;
    for (let from = end - 1; from >= Math.max(0, end - maxBatch); from--) {
      const cost = least[from]! + RUN_COST + sorted[from]!.length * (end - from);
      if (cost < least[end]!) {
        least[end] = cost;
        start[end] = from;
      }
    }
  }
  const batches: U[][] = [];
  for (let end = count; end > 0; end = start[end]!) batches.unshift(sorted.slice(start[end]!, end));
  return batches;
}

/**
 * Runs every batch, `width` at a time, and writes the vectors of each unit into the sequence of its sample. A batch
 * that fails fails the samples in it; cancelling and disposing fail the whole call.
 *
 * @param lengths  vectors of every sample's sequence; 0 for a sample that takes no part
 * @param run      (units of the batch, dim) row-major
 * @returns per sample its (length, dim) data, or what went wrong
 */
export async function runBatches<U extends Unit>(
  batches: readonly U[][],
  lengths: readonly number[],
  dim: number,
  run: (batch: U[]) => Promise<Float32Array>,
  options: {
    width: number;
    signal?: AbortSignal | undefined;
    onProgress?: ((done: number, total: number) => void) | undefined;
  },
): Promise<(Float32Array | CinefuseError)[]> {
  const results: (Float32Array | CinefuseError)[] = lengths.map((length) => new Float32Array(length * dim));
  const total = batches.reduce((sum, batch) => sum + batch.length, 0);
  let done = 0;
  let next = 0;
  let stopped = false;
  const work = async () => {
    while (next < batches.length && !stopped) {
      throwIfCancelled(options.signal);
      const batch = batches[next++]!;
      try {
        const vectors = await run(batch);
        batch.forEach(({ sample, position }, row) => {
          const data = results[sample]!;
          if (data instanceof Float32Array) {
            data.set(vectors.subarray(row * dim, (row + 1) * dim), position * dim);
          }
        });
      } catch (error) {
        if (!isOfTheSamples(error)) throw error;
        for (const { sample } of batch) results[sample] = error;
      }
      done += batch.length;
      options.onProgress?.(done, total);
    }
  };
  const workers = Array.from({ length: Math.min(options.width, batches.length) }, () =>
    work().catch((error: unknown) => {
      stopped = true;
      throw error;
    }),
  );
  // All of them, so that nothing of this call runs on after it has failed.
  const outcomes = await Promise.allSettled(workers);
  const failure = outcomes.find((outcome) => outcome.status === 'rejected');
  if (failure !== undefined) throw failure.reason;
  return results;
}

/** Errors that belong to the samples of a batch rather than to the call. */
export function isOfTheSamples(error: unknown): error is CinefuseError {
  return (
    error instanceof CinefuseError &&
    error.code !== 'ERR_CANCELLED' &&
    error.code !== 'ERR_DISPOSED' &&
    error.code !== 'ERR_INTERNAL'
  );
}

/** The results, unless one is an error: then that error. */
export function allOrThrow<T extends object>(results: readonly (T | CinefuseError)[]): T[] {
  return results.map((result) => {
    if (result instanceof CinefuseError) throw result;
    return result;
  });
}
