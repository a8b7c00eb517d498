import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import test from 'ava';
import { WorkerChannel } from '../../lib/encoders/worker-channel.js';
import { DisposedError, MediaError, ModelError } from '../../lib/errors.js';
import { temporaryDirectory } from './fixtures.js';

/** A thread that does as it is told. */
const SCRIPT = `
import { parentPort, workerData } from 'node:worker_threads';
parentPort.on('message', ({ id, what, value }) => {
  if (what === 'echo') parentPort.postMessage({ id, value });
  if (what === 'data') parentPort.postMessage({ id, value: workerData.word });
  if (what === 'silence') return;
  if (what === 'fail') parentPort.postMessage({ id, error: { code: 'ERR_MEDIA_FORMAT', message: 'm', field: 'f', cause: 'c' } });
  if (what === 'oddly') parentPort.postMessage({ id, error: { code: 'ERR_OF_NO_TABLE', message: 'm' } });
  if (what === 'throw') throw new Error('the thread threw');
  if (what === 'exit') process.exit(9);
  if (what === 'eat') { const all = []; for (;;) all.push(new Array(1e5).fill({})); }
});`;

async function channel(options: { maxHeapMb?: number } = {}): Promise<WorkerChannel> {
  const file = join(await temporaryDirectory(), 'worker.mjs');
  await writeFile(file, SCRIPT);
  return new WorkerChannel(pathToFileURL(file), {
    name: 'test thread',
    crashCode: 'ERR_MODEL_RUN',
    workerData: { word: 'hello' },
    ...options,
  });
}

test('answers, errors as their class, unknown codes as internal', async (t) => {
  const thread = await channel();
  t.is(await thread.request({ what: 'echo', value: 5 }), 5);
  t.is(await thread.request({ what: 'data' }), 'hello');
  const error = await t.throwsAsync(thread.request({ what: 'fail' }), {
    instanceOf: MediaError,
    message: 'm',
  });
  t.like(error, { code: 'ERR_MEDIA_FORMAT', field: 'f' });
  t.is((error.cause as Error).message, 'c');
  await t.throwsAsync(thread.request({ what: 'oddly' }), { code: 'ERR_INTERNAL' });
  await thread.dispose();
});

for (const [what, words] of [
  ['throw', /the thread threw/],
  ['exit', /exit code 9/],
  ['eat', /memory/],
] as const) {
  test(`a thread that ends (${what}) fails all that is pending; the next request has a fresh one`, async (t) => {
    const thread = await channel({ maxHeapMb: 20 });
    const generations = [];
    for (let round = 0; round < 2; round++) {
      const pending = thread.request({ what: 'silence' });
      const failed = t.throwsAsync(pending, {
        instanceOf: ModelError,
        code: 'ERR_MODEL_RUN',
        message: words,
      });
      await t.throwsAsync(thread.request({ what }), { instanceOf: ModelError, message: words });
      await failed;
      generations.push(thread.generation);
      t.false(thread.running);
    }
    t.deepEqual(generations, [1, 2]);
    t.is(await thread.request({ what: 'echo', value: 1 }), 1);
    await thread.dispose();
  });
}

test('cancelling answers at once and the late answer is dropped', async (t) => {
  const thread = await channel();
  const controller = new AbortController();
  const pending = thread.request({ what: 'silence' }, [], controller.signal);
  controller.abort('why');
  const error = await t.throwsAsync(pending, { name: 'AbortError' });
  t.is(error.cause, 'why');
  await t.throwsAsync(thread.request({ what: 'echo' }, [], controller.signal), { name: 'AbortError' });
  t.is(await thread.request({ what: 'echo', value: 2 }, [], new AbortController().signal), 2);
  await thread.dispose();
});

test('what cannot be cloned is refused and nothing stays pending', async (t) => {
  const thread = await channel();
  const error = await t.throwsAsync(thread.request({ what: 'echo', value: () => 1 }), { any: true });
  t.is((error as Error).name, 'DataCloneError');
  t.is(await thread.request({ what: 'echo', value: 3 }), 3);
  await thread.dispose();
});

test('buffers move', async (t) => {
  const thread = await channel();
  const data = new Float32Array([1, 2]);
  t.deepEqual(await thread.request({ what: 'echo', value: data }, [data.buffer]), new Float32Array([1, 2]));
  t.is(data.length, 0);
  await thread.dispose();
});

test('dispose fails what is pending and what comes', async (t) => {
  const thread = await channel();
  const pending = t.throwsAsync(thread.request({ what: 'silence' }), { instanceOf: DisposedError });
  await thread.dispose();
  await pending;
  await t.throwsAsync(thread.request({ what: 'echo' }), { instanceOf: DisposedError });
});

test('many threads add one listener to the process, and take it away', async (t) => {
  const before = process.listenerCount('exit');
  const threads = await Promise.all(Array.from({ length: 4 }, () => channel()));
  await Promise.all(threads.map((thread) => thread.request({ what: 'echo' })));
  t.true(process.listenerCount('exit') <= before + 1);
  await Promise.all(threads.map((thread) => thread.dispose()));
});
