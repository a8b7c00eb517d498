import type { PoolOptions } from './pool-options.js';
import type { Tensor } from './tensor.js';
import { type RequestLabel, WorkerChannel } from './worker-channel.js';
import type { LoadRequest, LoadResult, RunRequest, WorkerRequest } from './worker.js';

/** A worker thread and what it has loaded. */
export class Lane {
  readonly channel: WorkerChannel;
  /** What the thread is doing for the pool; undefined when idle. */
  current: Promise<void> | undefined;
  #loaded = new Set<string>();
  #generation = 0;

  constructor(name: string, { maxHeapMb, trace }: PoolOptions) {
    this.channel = new WorkerChannel(new URL('./worker.js', import.meta.url), {
      name,
      crashCode: 'ERR_MODEL_RUN',
      maxHeapMb,
      trace,
      labelOf: (message) => labelOf(message as WorkerRequest),
    });
  }

  #hasLoaded(encoder: string): boolean {
    return this.channel.running && this.#generation === this.channel.generation && this.#loaded.has(encoder);
  }

  async load(request: LoadRequest): Promise<LoadResult> {
    this.channel.start();
    const generation = this.channel.generation;
    if (this.#generation !== generation) {
      this.#generation = generation;
      this.#loaded.clear();
    }
    const result = (await this.channel.request(request)) as LoadResult;
    if (this.#generation === generation) this.#loaded.add(request.encoder);
    return result;
  }

  /** Runs on a thread that has the model: the thread may have died since the last look, so the last look is here. */
  async run(load: LoadRequest, run: RunRequest, transfer: ArrayBuffer[]): Promise<Record<string, Tensor>> {
    while (!this.#hasLoaded(load.encoder)) await this.load(load);
    return (await this.channel.request(run, transfer)) as Record<string, Tensor>;
  }
}

/** Waits for what the thread is doing and frees its sessions; a thread that was never started or died has none. */
export async function releaseSessions(channel: WorkerChannel): Promise<void> {
  if (channel.running) await channel.request({ kind: 'release' }).catch(() => undefined);
}

function labelOf(request: WorkerRequest): RequestLabel {
  if (request.kind === 'start') return { name: 'load the runtime' };
  if (request.kind === 'release') return { name: 'release' };
  if (request.kind === 'load') return { name: `load ${request.encoder}` };
  const dims = Object.values(request.feeds)[0]?.dims ?? [];
  return { name: request.encoder, details: { dims } };
}
