/**
 * One listener a signal, however many calls share it: a batch of films under one AbortSignal would otherwise make Node
 * warn of a leak at the eleventh.
 */
export class SignalListeners {
  readonly #entries = new Map<AbortSignal, { callbacks: Set<() => void>; listener: () => void }>();

  /** Calls `callback` once when the signal fires; the result takes it away again. */
  add(signal: AbortSignal | undefined, callback: () => void): () => void {
    if (signal === undefined) return () => {};
    let entry = this.#entries.get(signal);
    if (entry === undefined) {
      const callbacks = new Set<() => void>();
      const listener = () => {
        this.#entries.delete(signal);
        for (const each of [...callbacks]) each();
      };
      entry = { callbacks, listener };
      this.#entries.set(signal, entry);
      signal.addEventListener('abort', listener, { once: true });
    }
    const { callbacks, listener } = entry;
    callbacks.add(callback);
    return () => {
      callbacks.delete(callback);
      if (callbacks.size > 0 || this.#entries.get(signal)?.listener !== listener) return;
      this.#entries.delete(signal);
      signal.removeEventListener('abort', listener);
    };
  }
}
