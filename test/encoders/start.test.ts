/** Pools that start before they know their models, and workers that join later. */
import { availableParallelism } from 'node:os';
import test from 'ava';
import { EncoderPool, type PoolOptions } from '../../lib/encoders/pool.js';
import { CinefuseError, DisposedError } from '../../lib/errors.js';
import { imageModel, imageTensor, temporaryDirectory } from './fixtures.js';

const cores = availableParallelism();
const doubled = (batch: number, start = 0) =>
  Float32Array.from({ length: batch * 12 }, (_, i) => 2 * (start + i));

async function models() {
  const directory = await temporaryDirectory();
  return [await imageModel(directory, { name: 'first' }), await imageModel(directory, { name: 'second' })];
}

test('a started pool loads and runs as a created one', async (t) => {
  await using pool = EncoderPool.start({ threads: 1 });
  let threadsHadWork = false;
  await pool.load(await models(), {
    meanwhile: () => {
      threadsHadWork = true;
    },
  });
  t.true(threadsHadWork);
  const { features } = await pool.run('second', { image: imageTensor(2) });
  t.deepEqual(features!.data, doubled(2));
});

test('a pool that was started and never loaded is disposed of; what fails meanwhile fails the load', async (t) => {
  await EncoderPool.start().dispose();
  const pool = EncoderPool.start();
  const fail = () => {
    throw new Error('meanwhile');
  };
  await t.throwsAsync(pool.load(await models(), { meanwhile: fail }), { message: 'meanwhile' });
  await t.throwsAsync(pool.run('first', { image: imageTensor(1) }), { instanceOf: DisposedError });
});

test("workers 'auto': a second one joins for small encoders, and none where threads are asked for", async (t) => {
  const expected: [PoolOptions, number, number][] = [
    [{ workers: 'auto' }, Math.min(2, cores), cores >= 2 ? Math.floor(cores / 2) : 1],
    [{ workers: 'auto', threads: 1 }, 1, 1],
    [{}, 1, cores],
  ];
  for (const [options, workers, threads] of expected) {
    await using pool = await EncoderPool.create(await models(), options);
    t.like(pool.describe(), { workers, threads });
    // From the first moment on, also while the second thread loads.
    const runs = Array.from({ length: 40 }, async (_, i) => {
      const { features } = await pool.run(i % 2 ? 'first' : 'second', { image: imageTensor(1 + (i % 3), i) });
      t.deepEqual(features!.data, doubled(1 + (i % 3), i));
    });
    await Promise.all(runs);
  }
});

test("workers 'auto': encoders of more than 64 MB are not loaded twice", async (t) => {
  const [small] = await models();
  const bytes = 65 * 2 ** 20;
  const large = { ...small!, spec: { ...small!.spec, bytes } };
  // The file is not that long, which is found before anything is loaded: what counts is what the pool says of it.
  const pool = EncoderPool.start({ workers: 'auto' });
  const error = await t.throwsAsync(pool.load([large]), { instanceOf: CinefuseError });
  t.is(error.code, 'ERR_MODEL_CHECKSUM');
  t.like(pool.describe(), { workers: 1, threads: cores });
});

test('a pool is disposed of while its second thread loads', async (t) => {
  for (let i = 0; i < 5; i++) {
    const pool = await EncoderPool.create(await models(), { workers: 'auto' });
    const run = t.throwsAsync(pool.run('first', { image: imageTensor(1) }), { instanceOf: DisposedError });
    await pool.dispose();
    await run;
  }
});
