import { setMaxListeners } from 'node:events';
import { CancelledError } from './errors.js';
import type { SignalListeners } from './signal-listeners.js';

/**
 * A signal of our own that fires with any of its parents: any number of listeners may hang on it without a warning, and
 * `dispose` takes the one listener off the parents again, which may outlive the call by far.
 */
export class LinkedSignal implements Disposable {
  readonly #controller = new AbortController();
  readonly #stopFollowing: (() => void)[];

  /** @param listeners  one for all calls of an owner, so that they hang only one listener on a signal they share */
  constructor(listeners: SignalListeners, ...parents: (AbortSignal | undefined)[]) {
    setMaxListeners(0, this.#controller.signal);
    this.#stopFollowing = parents.map((parent) => {
      const follow = () => this.#controller.abort(parent?.reason);
      if (parent?.aborted) follow();
      return listeners.add(parent, follow);
    });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  abort(): void {
    this.#controller.abort();
  }

  /**
   * The first of the promises that settles.
   *
   * @throws CancelledError  the signal fires before
   */
  async race<T>(promises: readonly Promise<T>[]): Promise<T> {
    const { signal } = this;
    let stop = () => {};
    const stopped = new Promise<never>((_, reject) => {
      stop = () => reject(new CancelledError({ cause: signal.reason }));
    });
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop, { once: true });
    try {
      return await Promise.race([...promises, stopped]);
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }

  dispose(): void {
    for (const stop of this.#stopFollowing) stop();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
