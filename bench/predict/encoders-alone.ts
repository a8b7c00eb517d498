/** The encoders of a bundle by themselves: what `predict` could reach at best if all else cost nothing. */
import type { EncoderModel } from '../../lib/encoders/pool.js';
import { EncoderPool } from '../../lib/encoders/pool.js';
import type { Tensor } from '../../lib/encoders/tensor.js';
import { loadBundle, type Movie, type Predictor, defaultBundlePath } from '../../lib/index.js';

/** One row of an encoder's input: the token ids of a chunk, or the values of a picture or window. */
interface Unit {
  length: number;
  data: Int32Array | Float32Array;
}

/** What one encoder was fed for some films, taken apart into rows. */
export interface Feed {
  encoder: string;
  input: string;
  type: 'int32' | 'int64' | 'float32';
  /** Of one row; the length of the row itself where the graph takes ids. */
  dims: readonly number[] | undefined;
  units: Unit[];
}

/** The rows that the encoders get while these films are forecast. */
export async function recordFeeds(predictor: Predictor, movies: readonly Movie[]): Promise<Feed[]> {
  const feeds = new Map<string, Feed>();
  const { run } = EncoderPool.prototype;
  EncoderPool.prototype.run = function (encoder, tensors, options) {
    for (const [input, tensor] of Object.entries(tensors)) addRows(feeds, encoder, input, tensor);
    return run.call(this, encoder, tensors, options);
  };
  try {
    await predictor.predictBatch(movies, { batchSize: movies.length });
  } finally {
    EncoderPool.prototype.run = run;
  }
  return [...feeds.values()];
}

function addRows(feeds: Map<string, Feed>, encoder: string, input: string, tensor: Tensor): void {
  const { type, dims, data } = tensor;
  if (type !== 'int32' && type !== 'int64' && type !== 'float32')
    throw new Error(`${encoder} ${input}: ${type}`);
  const isIds = type !== 'float32';
  const feed = feeds.get(encoder) ?? {
    encoder,
    input,
    type,
    dims: isIds ? undefined : dims.slice(1),
    units: [],
  };
  if (feed.input !== input) throw new Error(`${encoder} has more inputs than this benchmark can take apart`);
  feeds.set(encoder, feed);
  const rows = dims[0]!;
  const width = data.length / rows;
  for (let row = 0; row < rows; row++) {
    const values = data.slice(row * width, (row + 1) * width);
    if (!isIds) {
      feed.units.push({ length: 1, data: values as Float32Array });
      continue;
    }
    const ids = Int32Array.from(values as Int32Array | BigInt64Array, Number);
    // The default bundle's text encoders pad with 0 and have no other use for it.
    let length = ids.length;
    while (length > 1 && ids[length - 1] === 0) length--;
    feed.units.push({ length, data: ids.slice(0, length) });
  }
}

/** Rows of similar length together, the long ones first. */
function batchesOf(feed: Feed, size: number): Tensor[] {
  const sorted = [...feed.units].sort((a, b) => b.length - a.length);
  const batches: Tensor[] = [];
  for (let i = 0; i < sorted.length; i += size) {
    const units = sorted.slice(i, i + size);
    if (feed.dims) {
      const perRow = units[0]!.data.length;
      const data = new Float32Array(units.length * perRow);
      for (const [row, unit] of units.entries()) data.set(unit.data, row * perRow);
      batches.push({ type: 'float32', dims: [units.length, ...feed.dims], data });
      continue;
    }
    const width = units[0]!.length;
    const ids = new Int32Array(units.length * width);
    for (const [row, unit] of units.entries()) ids.set(unit.data, row * width);
    const dims = [units.length, width];
    batches.push(
      feed.type === 'int32'
        ? { type: 'int32', dims, data: ids }
        : { type: 'int64', dims, data: BigInt64Array.from(ids, BigInt) },
    );
  }
  return batches;
}

const SIZES = [1, 2, 4, 8, 16];
/** Rows of each encoder that batch sizes are tried with. */
const TRIED = 16;

/** The encoders with prepared inputs, at the workers, threads and batch sizes that were quickest here. */
export class EncodersAlone {
  private constructor(
    readonly pool: EncoderPool,
    /** `2 workers x 1 thread; image 4, text-en 8`. */
    readonly setting: string,
    private readonly work: { encoder: string; input: string; batch: Tensor }[],
  ) {}

  /** Tries every division of the threads and batch sizes, and keeps the best. */
  static async create(feeds: readonly Feed[], threads: number): Promise<EncodersAlone> {
    await using bundle = await loadBundle(defaultBundlePath());
    const used = bundle.encoders.filter(({ spec }) => feeds.some(({ encoder }) => encoder === spec.name));
    let best: { seconds: number; alone: EncodersAlone } | undefined;
    for (let workers = 1; workers <= threads; workers++) {
      if (threads % workers !== 0) continue;
      const found = await tryPool(used, feeds, workers, threads / workers);
      const seconds = await timeOf(() => found.run());
      if (best && best.seconds <= seconds) await found.dispose();
      else {
        await best?.alone.dispose();
        best = { seconds, alone: found };
      }
    }
    return best!.alone;
  }

  static of(
    pool: EncoderPool,
    workers: number,
    threads: number,
    chosen: readonly { feed: Feed; size: number }[],
  ): EncodersAlone {
    const sizes = chosen.map(({ feed, size }) => `${feed.encoder} ${size}`).join(', ');
    return new EncodersAlone(
      pool,
      `${workers} x ${threads} threads; ${sizes}`,
      chosen.flatMap(({ feed, size }) =>
        batchesOf(feed, size).map((batch) => ({ encoder: feed.encoder, input: feed.input, batch })),
      ),
    );
  }

  /** All rows through their encoders once. */
  async run(): Promise<number> {
    const results = await Promise.all(
      this.work.map(({ encoder, input, batch }) =>
        this.pool.run(encoder, { [input]: batch }, { keepInputs: true }),
      ),
    );
    return results.length;
  }

  dispose(): Promise<void> {
    return this.pool.dispose();
  }
}

/** A pool of so many workers with the batch size of each encoder that was quickest in it. */
async function tryPool(
  models: readonly EncoderModel[],
  feeds: readonly Feed[],
  workers: number,
  threads: number,
): Promise<EncodersAlone> {
  const pool = await EncoderPool.create(models, { workers, threads, maxQueued: 1e6 });
  const chosen: { feed: Feed; size: number }[] = [];
  for (const feed of feeds) {
    const { maxBatch } = models.find(({ spec }) => spec.name === feed.encoder)!.spec;
    let best = { size: 1, seconds: Number.POSITIVE_INFINITY };
    const some = { ...feed, units: feed.units.slice(0, TRIED) };
    for (const size of SIZES) {
      if (size > Math.min(4 * maxBatch, some.units.length)) break;
      const alone = EncodersAlone.of(pool, workers, threads, [{ feed: some, size }]);
      const seconds = Math.min(await timeOf(() => alone.run()), await timeOf(() => alone.run()));
      if (seconds < best.seconds) best = { size, seconds };
    }
    chosen.push({ feed, size: best.size });
  }
  return EncodersAlone.of(pool, workers, threads, chosen);
}

async function timeOf(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
}
