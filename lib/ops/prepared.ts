import { DisposedError } from '../errors.js';
import { type NativeHandle, native } from '../native.js';

/**
 * An operator whose weights were made ready once and live in native memory. Any number of calls may run on it at a
 * time. `dispose` frees it at once, or when the calls that run have ended; forgotten ones the garbage collector frees.
 */
export abstract class Prepared {
  #handle: NativeHandle | undefined;

  /** @internal */
  protected constructor(handle: NativeHandle) {
    this.#handle = handle;
  }

  get disposed(): boolean {
    return this.#handle === undefined;
  }

  /** @internal @throws DisposedError ERR_DISPOSED */
  protected get handle(): NativeHandle {
    if (this.#handle === undefined) {
      throw new DisposedError('ERR_DISPOSED', {
        message: `This ${this.constructor.name} has been disposed of`,
      });
    }
    return this.#handle;
  }

  /** Gives the memory back. A second time is harmless. */
  dispose(): void {
    if (this.#handle === undefined) return;
    native().releaseHandle(this.#handle);
    this.#handle = undefined;
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** How many whole rows of `cols` an array holds; whether they fill it, and whether it is one, the addon checks. */
export function rowsOf(x: { readonly length: number } | undefined, cols: number | undefined): number {
  const rows = Math.floor((x?.length ?? 0) / (cols ?? 0));
  return Number.isFinite(rows) ? rows : 0;
}
