import { CinefuseError } from '../errors.js';

/** One row of a run: a chunk, an image, a window. */
export interface Unit {
  /** The sample it belongs to. */
  sample: number;
  /** Its place in that sample's sequence. */
  position: number;
  /** What it costs along the axis that is padded to the longest of its batch; 1 where nothing is padded. */
  length: number;
  /** Only units of one key fit into a run. */
  key?: string;
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
