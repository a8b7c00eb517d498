import { availableParallelism } from 'node:os';
import { type Device, parseDevice } from '../device.js';
import { CancelledError, DisposedError, ModelError, throwIfCancelled } from '../errors.js';
import { nearestName } from '../nearest.js';
import { resolveInside } from './files.js';
import { checkNames, prepareFeeds } from './feeds.js';
import { checkGraph } from './graph.js';
import { Lane, releaseSessions } from './lane.js';
import { declineTelemetry } from './runtime.js';
import { SignalListeners } from '../signal-listeners.js';
import type { Trace } from '../trace.js';
import { autoWorkers, chooseThreads, type PoolOptions } from './pool-options.js';
import type { EncoderSpec } from './spec.js';
import { checkTensor, type GraphInfo, type GraphValue, type Tensor } from './tensor.js';
import type { LoadRequest, LoadResult, RunRequest, StartRequest } from './worker.js';

export type { PoolOptions } from './pool-options.js';

/** An encoder to load: its spec, and the directory in which the spec's paths are. */
export interface EncoderModel {
  spec: EncoderSpec;
  directory: string;
}

export interface RunOptions {
  /** Graph outputs wanted; default the spec's own. */
  outputs?: string[] | undefined;
  /** Copy the feeds instead of moving their buffers to the worker. */
  keepInputs?: boolean | undefined;
  signal?: AbortSignal | undefined;
}

export interface PoolDescription {
  workers: number;
  threads: number;
  cores: number;
  runtime: string;
  device: Device;
  queued: number;
  running: number;
  encoders: {
    name: string;
    version: string;
    modality: EncoderSpec['modality'];
    file: string;
    bytes: number;
    dim: number;
    device: 'cpu' | 'cuda';
    whyNotCuda?: string;
    inputs: readonly GraphValue[];
    outputs: readonly GraphValue[];
  }[];
}

interface LoadedModel {
  spec: EncoderSpec;
  request: LoadRequest;
  graph: LoadResult;
}

interface Job {
  request: RunRequest;
  transfer: ArrayBuffer[];
  settled: boolean;
  resolve: (value: Record<string, Tensor>) => void;
  reject: (error: unknown) => void;
}

/**
 * ONNX encoders in worker threads. `InferenceSession.run` occupies its thread, so none runs on the main one; runs of
 * several encoders take turns, and several workers run at once.
 */
export class EncoderPool {
  /** Of what is done for the pool's graphs: encoders record their part of it here. */
  readonly trace: Trace | undefined;
  /** Whether a batch may hold rows of several calls. */
  readonly mixCalls: boolean;
  readonly #models = new Map<string, LoadedModel>();
  readonly #lanes: Lane[];
  readonly #queues = new Map<string, Job[]>();
  #threads: number;
  readonly #options: PoolOptions;
  readonly #device: Device;
  readonly #maxQueued: number;
  readonly #running = new Set<Job>();
  readonly #signals = new SignalListeners();
  #disposed = false;

  private constructor(workers: number, threads: number, options: PoolOptions) {
    this.#threads = threads;
    this.#options = options;
    this.#device = options.device ?? 'cpu';
    this.#maxQueued = options.maxQueued ?? 256;
    this.#lanes = Array.from({ length: workers }, () => new Lane('encoder thread', options));
    this.trace = options.trace;
    this.mixCalls = options.mixCalls ?? true;
  }

  /**
   * Verifies every file of every model, loads it in every worker (in one, with workers 'auto'), and holds its graph
   * against its spec.
   *
   * @throws InputError   ERR_INPUT_VALUE     workers, threads or maxQueued out of range
   * @throws ModelError   ERR_MODEL_SPEC      a name used twice, a path that leaves the directory
   * @throws ModelError   ERR_MODEL_NOT_FOUND, ERR_MODEL_CHECKSUM, ERR_MODEL_LOAD, ERR_MODEL_IO, ERR_MODEL_RUNTIME
   * @throws BackendError ERR_BACKEND         'cuda' asked for and not to be had
   * @throws CancelledError ERR_CANCELLED
   */
  static async create(models: readonly EncoderModel[], options: PoolOptions = {}): Promise<EncoderPool> {
    return EncoderPool.#of(options).load(models, options);
  }

  /** A pool that holds nothing yet, its threads already reading ONNX Runtime. @throws InputError as `create` */
  static start(options: PoolOptions = {}): EncoderPool {
    const pool = EncoderPool.#of(options);
    const request: StartRequest = { kind: 'start' };
    // Without ONNX Runtime it fails, and so does what is loaded after it, with the reason.
    for (const { channel } of pool.#lanes) channel.request(request).catch(() => {});
    return pool;
  }

  static #of(options: PoolOptions): EncoderPool {
    throwIfCancelled(options.signal);
    const { workers, threads } = chooseThreads(options);
    parseDevice(options.device ?? 'cpu');
    declineTelemetry();
    return new EncoderPool(workers, threads, options);
  }

  /** For a pool that was started; once. Disposes of it when it fails. @throws as `create` */
  async load(
    models: readonly EncoderModel[],
    { signal, meanwhile }: Pick<PoolOptions, 'signal' | 'meanwhile'> = {},
  ): Promise<this> {
    const cancel = () => void this.dispose();
    signal?.addEventListener('abort', cancel, { once: true });
    try {
      throwIfCancelled(signal);
      await this.#load(models, meanwhile);
      throwIfCancelled(signal);
      return this;
    } catch (error) {
      await this.dispose();
      throwIfCancelled(signal);
      throw error;
    } finally {
      signal?.removeEventListener('abort', cancel);
    }
  }

  async #load(models: readonly EncoderModel[], meanwhile: (() => void) | undefined): Promise<void> {
    const requests: { spec: EncoderSpec; request: LoadRequest }[] = [];
    const { workers, threads } = this.#options;
    const bytes = models.reduce((sum, { spec }) => sum + bytesOf(spec), 0);
    const second = workers === 'auto' && autoWorkers(bytes, threads) > 1;
    if (second) this.#threads = chooseThreads({ workers: 2 }).threads;
    for (const { spec, directory } of models) {
      if (requests.some((other) => other.spec.name === spec.name)) {
        throw new ModelError('ERR_MODEL_SPEC', {
          field: 'name',
          expected: 'a name of its own for every encoder',
          got: `${spec.name} twice`,
        });
      }
      const path = await resolveInside(directory, spec.file, `${spec.name} file`);
      const externalData: LoadRequest['externalData'] = [];
      for (const part of spec.externalData ?? []) {
        const field = `${spec.name} externalData`;
        const partPath = await resolveInside(directory, part.file, field);
        externalData.push({ ...part, location: part.file, path: partPath, field });
      }
      requests.push({
        spec,
        request: {
          kind: 'load',
          encoder: spec.name,
          model: { path, sha256: spec.sha256, bytes: spec.bytes, field: `${spec.name} file` },
          externalData,
          threads: this.#threads,
          device: parseDevice(this.#device),
        },
      });
    }
    const loading = this.#lanes.map(async (lane, index) => {
      // Two at a time, so that a thread does not wait for this one between them.
      const begin = (i: number) => {
        if (this.#disposed) throw disposedError(); // its thread is about to end and must not be inside a load
        const graph = requests[i] && lane.load(requests[i].request);
        graph?.catch(() => {}); // awaited below, unless one before it fails
        return graph;
      };
      let next = begin(0);
      for (const [i, { spec, request }] of requests.entries()) {
        const current = next!;
        next = begin(i + 1);
        const graph = await current;
        if (index > 0) continue;
        checkGraph(spec, graph);
        this.#models.set(spec.name, { spec, request, graph });
        this.#queues.set(spec.name, []);
      }
    });
    try {
      meanwhile?.();
    } finally {
      await Promise.all(loading);
    }
    const onCpu = [...this.#models.values()].every(({ graph }) => graph.device === 'cpu');
    if (second && onCpu && !this.#disposed) this.#addLane(requests.map(({ request }) => request));
  }

  /** A further thread, which takes part as soon as it has loaded what the first one has. */
  #addLane(requests: readonly LoadRequest[]): void {
    const lane = new Lane('encoder thread', this.#options);
    this.#lanes.push(lane);
    const load = async () => {
      for (const request of requests) {
        if (this.#disposed) return;
        await lane.load(request);
      }
    };
    // What fails here fails again, and is told, when a run wants the model.
    void this.#occupy(lane, () => load().catch(() => {}));
  }

  /** The graph of a loaded encoder: the names, types and shapes it takes and gives. */
  graph(encoder: string): GraphInfo {
    return this.#model(encoder).graph;
  }

  /**
   * Runs one encoder once.
   *
   * The buffers of `feeds` move to the worker and are empty afterwards, unless `keepInputs`; a view of a part of a
   * buffer, or of a SharedArrayBuffer, is copied always.
   *
   * @param feeds  graph input name -> tensor
   * @returns graph output name -> tensor
   * @throws ModelError ERR_MODEL_IO     an input that the graph lacks, needs, or has in another type
   * @throws ShapeError ERR_SHAPE        dims that do not fit the data or the graph
   * @throws ModelError ERR_MODEL_RUN    the run failed, or its thread ended (the next run has a fresh one)
   * @throws ModelError ERR_MODEL_QUEUE  too many runs wait
   * @throws CancelledError ERR_CANCELLED  at once; a run that has begun ends unheard
   * @throws DisposedError  ERR_DISPOSED
   */
  async run(
    encoder: string,
    feeds: Record<string, Tensor>,
    { outputs, keepInputs = false, signal }: RunOptions = {},
  ): Promise<Record<string, Tensor>> {
    if (this.#disposed) throw disposedError();
    throwIfCancelled(signal);
    const { spec, graph } = this.#model(encoder);
    const wanted = outputs ?? [spec.output];
    checkNames(encoder, Object.keys(feeds), graph.inputs, wanted, graph.outputs);
    for (const input of graph.inputs) checkTensor(`${encoder} ${input.name}`, feeds[input.name]!, input);
    const queue = this.#queues.get(encoder)!;
    if (this.#queuedCount() >= this.#maxQueued) {
      throw new ModelError('ERR_MODEL_QUEUE', {
        field: encoder,
        expected: `at most ${this.#maxQueued} waiting runs`,
        got: 'one more: wait for some of them first',
      });
    }
    const { moved, transfer } = prepareFeeds(feeds, keepInputs);
    return new Promise((resolve, reject) => {
      const job: Job = {
        request: { kind: 'run', encoder, feeds: moved, outputs: wanted },
        transfer,
        settled: false,
        resolve: (value) => settle(() => resolve(value)),
        reject: (error) => settle(() => reject(error)),
      };
      const cancel = () => {
        const position = queue.indexOf(job);
        if (position >= 0) queue.splice(position, 1);
        job.reject(new CancelledError({ cause: signal?.reason }));
      };
      const settle = (report: () => void) => {
        if (job.settled) return;
        job.settled = true;
        stopListening();
        report();
      };
      const stopListening = this.#signals.add(signal, cancel);
      queue.push(job);
      this.#pump();
    });
  }

  #model(encoder: string): LoadedModel {
    const model = this.#models.get(encoder);
    if (model !== undefined) return model;
    const names = [...this.#models.keys()];
    const nearest = nearestName(encoder, names);
    throw new ModelError('ERR_MODEL_NOT_FOUND', {
      field: 'encoder',
      expected: nearest === undefined ? `one of ${names.join(', ') || '(none is loaded)'}` : `${nearest}?`,
      got: JSON.stringify(encoder),
    });
  }

  #queuedCount(): number {
    let count = 0;
    for (const queue of this.#queues.values()) count += queue.length;
    return count;
  }

  #pump(): void {
    for (const lane of this.#lanes) {
      if (lane.current !== undefined) continue;
      const job = this.#nextJob();
      if (job === undefined) return;
      this.#running.add(job);
      void this.#occupy(lane, () => this.#execute(lane, job).finally(() => this.#running.delete(job)));
    }
  }

  /** Keeps a thread for `work`, then looks for the next. */
  #occupy(lane: Lane, work: () => Promise<unknown>): Promise<void> {
    lane.current = work().then(() => {
      lane.current = undefined;
      this.#pump();
    });
    return lane.current;
  }

  /** The oldest run of the encoder whose turn it is: its queue goes to the back of the map's order. */
  #nextJob(): Job | undefined {
    for (const [encoder, queue] of this.#queues) {
      const job = queue.shift();
      if (job === undefined) continue;
      this.#queues.delete(encoder);
      this.#queues.set(encoder, queue);
      return job;
    }
    return undefined;
  }

  async #execute(lane: Lane, job: Job): Promise<void> {
    try {
      job.resolve(await lane.run(this.#model(job.request.encoder).request, job.request, job.transfer));
    } catch (error) {
      job.reject(error);
    }
  }

  /** Runs of an encoder that keep the threads busy: one on each, and one ready to follow. */
  get runsAhead(): number {
    return this.#lanes.length + 1;
  }

  /** What runs where: threads, device and why not CUDA, and each graph's inputs and outputs. */
  describe(): PoolDescription {
    const models = [...this.#models.values()];
    return {
      workers: this.#lanes.length,
      threads: this.#threads,
      cores: availableParallelism(),
      runtime: models[0]?.graph.runtime ?? 'onnxruntime-node (nothing loaded)',
      device: this.#device,
      queued: this.#queuedCount(),
      running: this.#running.size,
      encoders: models.map(({ spec, graph }) => ({
        name: spec.name,
        version: spec.version,
        modality: spec.modality,
        file: spec.file,
        bytes: spec.bytes,
        dim: spec.dim,
        device: graph.device,
        ...(graph.whyNotCuda !== undefined && { whyNotCuda: graph.whyNotCuda }),
        inputs: graph.inputs,
        outputs: graph.outputs,
      })),
    };
  }

  /**
   * Replaces every worker thread once its current run is done, which gives back the memory that ONNX Runtime's arenas
   * keep. Waiting and later runs get the fresh threads; models are verified and loaded again with the first of them.
   */
  async restart(): Promise<void> {
    await Promise.all(
      this.#lanes.map(async (lane) => {
        while (lane.current !== undefined) await lane.current;
        await this.#occupy(lane, async () => {
          await releaseSessions(lane.channel);
          await lane.channel.terminate();
        });
      }),
    );
  }

  /**
   * Frees sessions and ends the threads. Whatever runs or waits fails with DisposedError at once; the promise resolves when
   * the graph that was running has ended, since ONNX Runtime cannot be interrupted. May be called twice.
   */
  async dispose(): Promise<void> {
    this.#disposed = true;
    const jobs = [...this.#running, ...[...this.#queues.values()].flatMap((queue) => queue.splice(0))];
    for (const job of jobs) job.reject(disposedError());
    await Promise.all(
      this.#lanes.map(async ({ channel }) => {
        await releaseSessions(channel);
        await channel.dispose();
      }),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose();
  }
}

/** Of the files that a session is made of. */
function bytesOf({ bytes, externalData = [] }: EncoderSpec): number {
  return externalData.reduce((sum, part) => sum + part.bytes, bytes);
}

function disposedError(): DisposedError {
  return new DisposedError('ERR_DISPOSED', { message: 'The encoder pool was disposed' });
}
