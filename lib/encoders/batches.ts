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

/** Padding may at most make up this share of a batch's longest unit. */
const MOST_PADDING = 0.3;

/**
 * Batches of at most `maxBatch` units of similar length: long ones first, so that the costliest run never comes last
 * alone. Units of equal length keep their order.
 */
export function planBatches<U extends Unit>(units: readonly U[], maxBatch: number): U[][] {
  const sorted = [...units].sort((a, b) => b.length - a.length);
  const batches: U[][] = [];
  for (const unit of sorted) {
    const open = batches.at(-1);
    const fits =
      open !== undefined && open.length < maxBatch && unit.length >= open[0]!.length * (1 - MOST_PADDING);
    if (fits) open.push(unit);
    else batches.push([unit]);
  }
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
