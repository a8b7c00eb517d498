import { Worker } from 'node:worker_threads';
import { MediaError } from '../errors.js';
import { atExit } from '../exit.js';
import {
  fromErrorData,
  type Job,
  type JobResult,
  type ProgressMessage,
  type Reply,
  type Report,
  Stopped,
} from './job.js';
import { type Lane, WORKER_FILE } from './lane.js';

/** Slots of the control block shared with the worker. */
export const STATE = 0;
export const STOP = 1;
/** Values of STATE. */
export const IDLE = 0;
const RUNNING = 1;

/** How long a stopped job may take to reach its next checkpoint before its thread is given up. */
const STOP_GRACE_MS = 10_000;
/** How long the exit of the process may wait for the same. */
const EXIT_GRACE_MS = 3_000;

/**
 * A worker thread. A running thread is never terminated: node-av calls into the engine in mid-decode, and that ends the
 * whole process when the thread is being torn down. So it is asked to stop, also before the process exits.
 */
export class ThreadLane implements Lane {
  private worker: Worker | undefined;
  private readonly control = new Int32Array(new SharedArrayBuffer(8));
  private giveUp: (() => void) | undefined;

  async run(job: Job, report: Report): Promise<JobResult> {
    const worker = this.start();
    const { control } = this;
    Atomics.store(control, STOP, 0);
    Atomics.store(control, STATE, RUNNING);
    const forget = atExit(() => {
      Atomics.store(control, STOP, 1);
      Atomics.wait(control, STATE, RUNNING, EXIT_GRACE_MS);
    });
    worker.ref();
    let timer: NodeJS.Timeout | undefined;
    let detach = () => {};
    try {
      const reply = await new Promise<Reply>((resolve, reject) => {
        const onMessage = (answer: Reply | ProgressMessage) => {
          if ('done' in answer) report(answer.done);
          else resolve(answer);
        };
        const onDeath = (cause: unknown) => {
          this.worker = undefined;
          reject(deathError(job, cause));
        };
        worker.on('message', onMessage).on('error', onDeath).on('exit', onDeath);
        detach = () => worker.off('message', onMessage).off('error', onDeath).off('exit', onDeath);
        this.giveUp = () => {
          Atomics.store(control, STOP, 1);
          timer ??= setTimeout(() => {
            this.worker = undefined;
            worker.on('message', () => worker.terminate()); // should it ever come back
            reject(new Stopped());
          }, STOP_GRACE_MS);
        };
        worker.postMessage(job);
      });
      if (!reply.ok) throw fromErrorData(reply.error);
      return reply.result;
    } finally {
      this.giveUp = undefined;
      clearTimeout(timer);
      detach();
      // A thread that was given up still runs: keep the hook that waits for it.
      if (this.worker || Atomics.load(control, STATE) !== RUNNING) forget();
      worker.unref();
    }
  }

  stop(): void {
    this.giveUp?.();
  }

  async dispose(): Promise<void> {
    const worker = this.worker;
    this.worker = undefined;
    if (!worker) return;
    // The reply comes just before the thread leaves its last native call.
    while (Atomics.load(this.control, STATE) === RUNNING) await new Promise((done) => setTimeout(done, 1));
    await worker.terminate();
  }

  private start(): Worker {
    if (this.worker) return this.worker;
    const worker = new Worker(WORKER_FILE, {
      name: 'cinefuse-media',
      workerData: { control: this.control },
      execArgv: [], // flags of the caller's own entry point, such as --input-type, are not for ours
    });
    // Deaths between jobs: the next job starts a new worker.
    const lost = () => {
      if (this.worker === worker) this.worker = undefined;
    };
    worker.on('error', lost).on('exit', lost);
    worker.unref();
    this.worker = worker;
    return worker;
  }
}

function deathError({ subject }: Job, cause: unknown): MediaError {
  return new MediaError('ERR_MEDIA_PROCESS', {
    ...subject,
    expected: 'a decoding thread that lives',
    got: cause instanceof Error ? `its end by "${cause.message}"` : `its end with code ${String(cause)}`,
    cause,
  });
}
