import { setMaxListeners } from 'node:events';

/**
 * A signal of our own that fires with the caller's: any number of listeners may hang on it without a warning, and
 * `dispose` takes the one listener off the caller's signal again, which may outlive the call by far.
 */
export class LinkedSignal implements Disposable {
  readonly #controller = new AbortController();
  readonly #parent: AbortSignal | undefined;
  readonly #follow = () => this.#controller.abort(this.#parent?.reason);

  constructor(parent: AbortSignal | undefined) {
    setMaxListeners(0, this.#controller.signal);
    this.#parent = parent;
    if (parent?.aborted) this.#follow();
    else parent?.addEventListener('abort', this.#follow, { once: true });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  abort(): void {
    this.#controller.abort();
  }

  dispose(): void {
    this.#parent?.removeEventListener('abort', this.#follow);
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
