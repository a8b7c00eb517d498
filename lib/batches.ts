/** Groups what an iterable gives. */

/** Full batches, and sooner those that a slow source has ready: the next item is waited for 5 ms at most. */
export async function* inBatches<Item>(
  items: Iterable<Item> | AsyncIterable<Item>,
  batchSize: number,
): AsyncGenerator<Item[], void, undefined> {
  const isAsync = Symbol.asyncIterator in items;
  const iterator = isAsync ? items[Symbol.asyncIterator]() : (items as Iterable<Item>)[Symbol.iterator]();
  let next: Promise<IteratorResult<Item>> | undefined;
  let finished = false;
  let failure: { error: unknown } | undefined;
  try {
    while (!finished) {
      const batch: Item[] = [];
      while (batch.length < batchSize && !finished) {
        next ??= Promise.resolve(iterator.next());
        const item: IteratorResult<Item> | 'slow' = await (batch.length > 0 && isAsync
          ? Promise.race([next, waited(5)])
          : next
        ).catch((error: unknown) => {
          failure = { error };
          return { done: true as const, value: undefined };
        });
        if (item === 'slow') break;
        next = undefined;
        if (item.done) finished = true;
        else batch.push(item.value);
      }
      if (batch.length > 0) yield batch;
    }
    if (failure) throw failure.error;
  } finally {
    if (!finished) await iterator.return?.();
  }
}

async function waited(milliseconds: number): Promise<'slow'> {
  await new Promise((resolve) => setTimeout(resolve, milliseconds));
  return 'slow';
}
