/** Rows of one graph, from any number of calls, in batches that cross films and calls. */
import { CancelledError, type CinefuseError, throwIfCancelled } from '../errors.js';
import { SignalListeners } from '../signal-listeners.js';
import { isOfTheSamples, planBatches, type Unit } from './batches.js';

interface QueueOptions<U extends Unit> {
  /** Units of a run, at most. */
  maxBatch: number;
  dim: number;
  /** Batches under way at a time. The others wait, and grow meanwhile. */
  width: () => number;
  /** Whether a batch may hold units of several calls. */
  mixCalls: boolean;
  /** (units of the batch, dim) row-major */
  run: (batch: U[], signal: AbortSignal) => Promise<Float32Array>;
}

interface CallOptions {
  signal?: AbortSignal | undefined;
  onProgress?: ((done: number, total: number) => void) | undefined;
}

class Call {
  readonly results: (Float32Array | CinefuseError)[];
  ended = false;
  done = 0;
  /** Of the runs that have units of it: looks whether anybody still waits for them. */
  readonly runs = new Set<() => void>();

  constructor(
    readonly total: number,
    lengths: readonly number[],
    dim: number,
    readonly onProgress: CallOptions['onProgress'],
    readonly settle: (error?: unknown) => void,
  ) {
    this.results = lengths.map((length) => new Float32Array(length * dim));
  }

  end(error?: unknown): void {
    if (this.ended) return;
    this.ended = true;
    this.settle(error);
    for (const look of this.runs) look();
  }
}

interface Entry<U> {
  unit: U;
  call: Call;
}

/** Units looked at when a batch is formed: the oldest ones. */
const MOST_PLANNED = 256;

/**
 * Forms batches of units, whoever hands them in, each when the graph has room for it. A unit that finds the graph idle
 * runs at once, so that a film alone waits for nobody; while the graph is busy those that wait come together.
 */
export class UnitQueue<U extends Unit> {
  readonly #options: QueueOptions<U>;
  readonly #signals = new SignalListeners();
  /** In order of age. */
  #waiting: Entry<U>[] = [];
  /** Parts of batches that failed, to be run again on their own. */
  readonly #again: Entry<U>[][] = [];
  #running = 0;
  #pumping = false;

  constructor(options: QueueOptions<U>) {
    this.#options = options;
  }

  /**
   * Runs units and writes the vectors of each into the sequence of its sample. A run that fails fails the samples of one
   * call only: what other calls had in it is run again without them.
   *
   * @param lengths  vectors of every sample's sequence; 0 for a sample that takes no part
   * @returns per sample its (length, dim) data, or what went wrong
   * @throws CancelledError  at once; DisposedError
   */
  async run(
    units: readonly U[],
    lengths: readonly number[],
    { signal, onProgress }: CallOptions,
  ): Promise<(Float32Array | CinefuseError)[]> {
    throwIfCancelled(signal);
    return new Promise((resolve, reject) => {
      let stopListening = () => {};
      const call = new Call(units.length, lengths, this.#options.dim, onProgress, (error) => {
        stopListening();
        if (error === undefined) resolve(call.results);
        else reject(error);
      });
      if (units.length === 0) return call.end();
      stopListening = this.#signals.add(signal, () => {
        call.end(new CancelledError({ cause: signal?.reason }));
        this.#pumpSoon();
      });
      for (const unit of units) this.#waiting.push({ unit, call });
      this.#pumpSoon();
    });
  }

  /** After what else is handed in now. */
  #pumpSoon(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    queueMicrotask(() => {
      this.#pumping = false;
      while (this.#running < this.#options.width()) {
        const batch = this.#again.shift() ?? this.#nextBatch();
        if (!batch) break;
        void this.#start(batch);
      }
    });
  }

  /** The batch that the oldest unit makes with those of its key that wait. */
  #nextBatch(): Entry<U>[] | undefined {
    this.#waiting = this.#waiting.filter(({ call }) => !call.ended);
    const first = this.#waiting[0];
    if (!first) return undefined;
    const entries: (Unit & { entry: Entry<U> })[] = [];
    for (const entry of this.#waiting) {
      if (entry.unit.key === first.unit.key && (this.#options.mixCalls || entry.call === first.call)) {
        entries.push({ ...entry.unit, entry });
      }
      if (entries.length === MOST_PLANNED) break;
    }
    const plan = planBatches(entries, this.#options.maxBatch);
    const batch = plan.find((own) => own.some(({ entry }) => entry === first))!.map(({ entry }) => entry);
    const taken = new Set(batch);
    this.#waiting = this.#waiting.filter((entry) => !taken.has(entry));
    return batch;
  }

  async #start(entries: Entry<U>[]): Promise<void> {
    this.#running++;
    const calls = [...new Set(entries.map(({ call }) => call))];
    const abandoned = new AbortController();
    const look = () => {
      if (calls.every(({ ended }) => ended)) abandoned.abort();
    };
    for (const { runs } of calls) runs.add(look);
    try {
      const { dim, run } = this.#options;
      const units = entries.map(({ unit }) => unit);
      const vectors = await run(units, abandoned.signal);
      entries.forEach(({ unit: { sample, position }, call }, row) => {
        const data = call.results[sample]!;
        if (data instanceof Float32Array) {
          data.set(vectors.subarray(row * dim, (row + 1) * dim), position * dim);
        }
      });
      count(calls, entries);
    } catch (error) {
      if (!isOfTheSamples(error)) for (const call of calls) call.end(error);
      else if (calls.length > 1) this.#apart(calls, entries);
      else {
        for (const { unit, call } of entries) call.results[unit.sample] = error;
        count(calls, entries);
      }
    } finally {
      for (const { runs } of calls) runs.delete(look);
      this.#running--;
      this.#pumpSoon();
    }
  }

  /** Each call's part of a batch on its own. */
  #apart(calls: readonly Call[], entries: readonly Entry<U>[]): void {
    for (const call of calls) {
      if (!call.ended) this.#again.push(entries.filter((entry) => entry.call === call));
    }
  }
}

function count(calls: readonly Call[], entries: readonly { call: Call }[]): void {
  for (const call of calls) {
    if (call.ended) continue;
    call.done += entries.filter((entry) => entry.call === call).length;
    call.onProgress?.(call.done, call.total);
    if (call.done === call.total) call.end();
  }
}
