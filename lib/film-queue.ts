/** Films from an iterable, one at a time. */
import { describeValue, InputError } from './errors.js';

export class FilmQueue<Item> {
  readonly #iterator: Iterator<Item> | AsyncIterator<Item>;
  #owed: Promise<unknown> | undefined;
  #finished = false;

  /** @throws InputError ERR_INPUT_TYPE  neither an iterable nor an async iterable object */
  constructor(items: Iterable<Item> | AsyncIterable<Item>, field: string) {
    const source = (Object(items) === items ? items : {}) as Partial<Iterable<Item> & AsyncIterable<Item>>;
    const iterator = source[Symbol.asyncIterator]?.() ?? source[Symbol.iterator]?.();
    if (iterator === undefined) {
      throw new InputError('ERR_INPUT_TYPE', {
        field,
        expected: 'an iterable or async iterable of films',
        got: describeValue(items),
      });
    }
    this.#iterator = iterator;
  }

  /**
   * One call at a time.
   *
   * @returns undefined at the end
   * @throws what the source throws
   */
  async next(): Promise<{ item: Item } | undefined> {
    if (this.#finished) return undefined;
    try {
      const owed = Promise.resolve(this.#iterator.next());
      this.#owed = owed;
      const { done, value } = await owed;
      if (!done) return { item: value as Item };
      this.#finished = true;
      return undefined;
    } catch (error) {
      this.#finished = true;
      throw error;
    } finally {
      this.#owed = undefined;
    }
  }

  /** Tells the source that no more is wanted. One that still owes an item is told, but not waited for. */
  async close(): Promise<void> {
    if (this.#finished) return;
    this.#finished = true;
    const closed = (async () => this.#iterator.return?.())();
    if (this.#owed === undefined) await closed;
    else closed.catch(() => {});
  }
}
