import { setImmediate } from 'node:timers/promises';

/** Longest stretch of our own work on the event loop, in milliseconds. */
const STRETCH_MS = 6;

/** Breaks a long piece of work on the calling thread into stretches, so that the event loop turns in between. */
export class Pace {
  #since = performance.now();

  /** Whether it is time for `rest`. */
  get due(): boolean {
    return performance.now() - this.#since > STRETCH_MS;
  }

  async rest(): Promise<void> {
    await setImmediate();
    this.#since = performance.now();
  }
}
