import test from 'ava';
import type { Unit } from '../../lib/encoders/batches.js';
import { UnitQueue } from '../../lib/encoders/unit-queue.js';
import { CinefuseError, ModelError } from '../../lib/errors.js';
import { throwsTyped } from '../errors.js';

interface Counted extends Unit {
  value: number;
}

const unit = (value: number, position = 0, key?: string, length = 1): Counted => ({
  ...{ sample: 0, position, length, value },
  ...(key !== undefined && { key }),
});

/** A queue whose runs end when they are told to; each value v becomes [v, 10 v]. */
function manual(width = 1, maxBatch = 4, mixCalls = true) {
  const runs: { values: number[]; end(error?: Error): Promise<void>; signal: AbortSignal }[] = [];
  const queue = new UnitQueue<Counted>({
    ...{ maxBatch, dim: 2, width: () => width, mixCalls },
    run: (batch, signal) =>
      new Promise((resolve, reject) => {
        const values = batch.map(({ value }) => value);
        const end = async (error?: Error) => {
          if (error) reject(error);
          else resolve(Float32Array.from(values.flatMap((value) => [value, 10 * value])));
          await settled();
        };
        runs.push({ values, end, signal });
      }),
  });
  return { queue, runs };
}

const settled = () => new Promise((resolve) => setImmediate(resolve));
const failure = () =>
  new ModelError('ERR_MODEL_RUN', { field: 'x', expected: 'a graph that runs', got: 'none' });

test('a unit that finds the graph idle runs at once; those that wait go together, whoever brought them', async (t) => {
  const { queue, runs } = manual();
  const calls = [queue.run([unit(1)], [1], {})];
  await settled();
  t.deepEqual(
    runs.map(({ values }) => values),
    [[1]],
  );
  const progress: number[][] = [];
  calls.push(queue.run([unit(2), unit(3, 1)], [2], { onProgress: (...seen) => progress.push(seen) }));
  calls.push(queue.run([unit(4, 0, 'other')], [1], {}));
  calls.push(queue.run([unit(5), unit(6, 1), unit(7, 2)], [3], {}));
  await runs[0]!.end();
  t.deepEqual(runs[1]!.values.length, 3, 'five of a key make batches of three and two');
  for (let i = 1; i < runs.length; i++) await runs[i]!.end();
  t.deepEqual(
    runs
      .slice(1)
      .map(({ values }) => values.length)
      .sort(),
    [1, 2, 3],
  );
  const results = (await Promise.all(calls)).map(([data]) => [...(data as Float32Array)]);
  t.deepEqual(results, [
    [1, 10],
    [2, 20, 3, 30],
    [4, 40],
    [5, 50, 6, 60, 7, 70],
  ]);
  t.deepEqual(progress.at(-1), [2, 2]);
});

test('without mixing, the batches of a call are the same whatever else waits', async (t) => {
  const alone = manual(1, 4, false);
  const units = [unit(2), unit(3, 1, undefined, 9), unit(4, 2), unit(5, 3), unit(6, 4)];
  const one = alone.queue.run(units, [5], {});
  await settled();
  for (let i = 0; i < alone.runs.length; i++) await alone.runs[i]!.end();
  await one;

  const { queue, runs } = manual(1, 4, false);
  const calls = [queue.run([unit(1)], [1], {}), queue.run(units, [5], {}), queue.run([unit(7)], [1], {})];
  await settled();
  for (let i = 0; i < runs.length; i++) await runs[i]!.end();
  await Promise.all(calls);
  const values = (own: typeof runs) => own.map((run) => run.values);
  t.deepEqual(values(runs), [[1], ...values(alone.runs), [7]]);
});

test('a batch that fails is run again call by call: only what fails then has the error', async (t) => {
  const { queue, runs } = manual();
  const first = queue.run([unit(0)], [1], {});
  await settled();
  const good = queue.run([unit(1)], [1], {});
  const bad = queue.run([unit(2)], [1], {});
  await runs[0]!.end();
  t.deepEqual(runs[1]!.values, [1, 2]);
  await runs[1]!.end(failure());
  t.deepEqual(runs[2]!.values, [1]);
  await runs[2]!.end();
  await runs[3]!.end(failure());
  t.deepEqual((await first)[0], Float32Array.of(0, 0));
  t.deepEqual((await good)[0], Float32Array.of(1, 10));
  const [error] = await bad;
  t.true(error instanceof CinefuseError && error.code === 'ERR_MODEL_RUN');
});

test('cancelling one call leaves the others of its batch; a run that nobody waits for is told so', async (t) => {
  const { queue, runs } = manual(1, 2);
  const [a, b] = [new AbortController(), new AbortController()];
  const first = queue.run([unit(1)], [1], { signal: a.signal });
  await settled();
  const second = queue.run([unit(2), unit(3, 1), unit(4, 2)], [3], { signal: a.signal });
  const third = queue.run([unit(5)], [1], { signal: b.signal });
  await runs[0]!.end();
  await first;
  t.deepEqual(runs[1]!.values, [2, 3]);
  a.abort();
  await throwsTyped(t, () => second, { code: 'ERR_CANCELLED' });
  t.true(runs[1]!.signal.aborted);
  await runs[1]!.end();
  t.deepEqual(runs[2]!.values, [5], 'what was left of the cancelled call is not run');
  t.false(runs[2]!.signal.aborted);
  await runs[2]!.end();
  t.deepEqual((await third)[0], Float32Array.of(5, 50));
  await throwsTyped(t, () => queue.run([unit(1)], [1], { signal: a.signal }), { code: 'ERR_CANCELLED' });
  t.deepEqual(await queue.run([], [0], {}), [new Float32Array(0)]);
});

test('what is wrong with no one sample ends every call of the run', async (t) => {
  const { queue, runs } = manual();
  const calls = [queue.run([unit(1)], [1], {}), queue.run([unit(2)], [1], {})];
  await settled();
  await runs[0]!.end(new Error('the thread is gone'));
  for (const outcome of await Promise.allSettled(calls))
    t.is((outcome as PromiseRejectedResult).reason.message, 'the thread is gone');
});
