/** Wall time during which at least one of several overlapping pieces of work was running. */
export class Stopwatch {
  #running = 0;
  #since = 0;
  #total = 0;

  async during<T>(work: Promise<T>): Promise<T> {
    if (this.#running++ === 0) this.#since = performance.now();
    try {
      return await work;
    } finally {
      if (--this.#running === 0) this.#total += performance.now() - this.#since;
    }
  }

  get milliseconds(): number {
    return this.#total + (this.#running > 0 ? performance.now() - this.#since : 0);
  }
}
