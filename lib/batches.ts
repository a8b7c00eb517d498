/** Groups what an iterable gives. */
import { describeValue, InputError } from './errors.js';

/** How long a batch that has begun waits for the next item of a slow source. */
const PATIENCE_MS = 5;

/** Full batches, and sooner those that a slow source has ready: the next item is waited for 5 ms at most. */
export class Batches<Item> {
  readonly #iterator: Iterator<Item> | AsyncIterator<Item>;
  readonly #isAsync: boolean;
  readonly #size: number;
  #next: Promise<IteratorResult<Item>> | undefined;
  #finished = false;
  #failure: { error: unknown } | undefined;

  /** @throws InputError ERR_INPUT_TYPE  neither an iterable nor an async iterable object */
  constructor(items: Iterable<Item> | AsyncIterable<Item>, size: number, field: string) {
    const source = (Object(items) === items ? items : {}) as Partial<Iterable<Item> & AsyncIterable<Item>>;
    this.#isAsync = typeof source[Symbol.asyncIterator] === 'function';
    const iterator = source[Symbol.asyncIterator]?.() ?? source[Symbol.iterator]?.();
    if (iterator === undefined) {
      throw new InputError('ERR_INPUT_TYPE', {
        field,
        expected: 'an iterable or async iterable of films',
        got: describeValue(items),
      });
    }
    this.#iterator = iterator;
    this.#size = size;
  }

  /**
   * One call at a time.
   *
   * @returns undefined at the end
   * @throws what the source throws, after the items before it
   */
  async next(): Promise<Item[] | undefined> {
    const batch: Item[] = [];
    while (batch.length < this.#size && !this.#finished) {
      this.#next ??= this.#ask();
      const hurry = batch.length > 0 && this.#isAsync;
      const item = await (hurry ? Promise.race([this.#next, slow()]) : this.#next);
      if (item === 'slow') break;
      this.#next = undefined;
      if (item.done) this.#finished = true;
      else batch.push(item.value);
    }
    if (batch.length === 0 && this.#failure) throw this.#failure.error;
    return batch.length > 0 ? batch : undefined;
  }

  async #ask(): Promise<IteratorResult<Item>> {
    try {
      return await this.#iterator.next();
    } catch (error) {
      this.#failure = { error };
      return { done: true, value: undefined };
    }
  }

  /** Tells the source that no more is wanted. One that still owes an item is told, but not waited for. */
  async close(): Promise<void> {
    if (this.#finished) return;
    this.#finished = true;
    const closed = (async () => this.#iterator.return?.())();
    if (this.#next === undefined) await closed;
    else closed.catch(() => {});
  }
}

async function slow(): Promise<'slow'> {
  await new Promise((resolve) => setTimeout(resolve, PATIENCE_MS));
  return 'slow';
}
