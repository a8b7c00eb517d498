/** What users hand in by mistake or malice: a typed error for the one film, nothing lost, nothing left behind. */
import { createReadStream } from 'node:fs';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { setTimeout as wait } from 'node:timers/promises';
import { runInNewContext } from 'node:vm';
import test, { type ExecutionContext } from 'ava';
import sharp from 'sharp';
import { type Movie, Predictor, type PredictorOptions, saveBundle } from '../../lib/index.js';
import { throwsTyped } from '../errors.js';
import { saveTiny, temporaryDirectory, tinyContents } from '../tiny-bundle.js';

async function tiny(t: ExecutionContext, options: PredictorOptions = {}): Promise<Predictor> {
  const dir = await temporaryDirectory();
  t.teardown(() => dir[Symbol.asyncDispose]());
  return Predictor.load(await saveTiny(dir.path), { threads: 1, ...options });
}

const picture = () =>
  sharp({ create: { width: 30, height: 40, channels: 3, background: '#a04020' } })
    .png()
    .toBuffer();

/** What each film of a batch came to: 'ok' or its error's code. */
async function outcomes(predictor: Predictor, movies: unknown[]): Promise<string[]> {
  const results = await predictor.predictBatch(movies as Movie[]);
  return results.map((result) => (result.ok ? 'ok' : result.error.code));
}

test('objects that throw, that are none, or that carry keys of prototypes: an error in their place', async (t) => {
  await using predictor = await tiny(t);
  const good = { title: 'Sea' };
  const boom = () => {
    throw new Error('boom');
  };
  const cases: [unknown, string][] = [
    [Object.defineProperty({}, 'title', { get: boom, enumerable: true }), 'ERR_INPUT_TYPE'],
    [Object.defineProperty({ title: 'a' }, 'id', { get: boom, enumerable: true }), 'ERR_INPUT_TYPE'],
    [new Proxy({}, { get: boom, ownKeys: boom }), 'ERR_INPUT_TYPE'],
    [Buffer.alloc(1000), 'ERR_INPUT_TYPE'],
    [JSON.parse('{"title":"a","__proto__":{"x":1}}'), 'ERR_INPUT_UNKNOWN_FIELD'],
    [JSON.parse('{"title":"a","constructor":1}'), 'ERR_INPUT_UNKNOWN_FIELD'],
    [{ title: 'a', ['x'.repeat(1e6)]: 1 }, 'ERR_INPUT_UNKNOWN_FIELD'],
    [{ synopsis: Buffer.alloc(30_000_000) }, 'ERR_INPUT_TYPE'],
    [{ poster: new Int8Array(30_000_000) }, 'ERR_INPUT_TYPE'],
    [{ poster: 'poster.jpg' }, 'ERR_INPUT_TYPE'],
    [{ director: Array.from({ length: 1001 }, () => 'x') }, 'ERR_INPUT_VALUE'],
    [{ synopsis: 'x'.repeat(4_000_001) }, 'ERR_INPUT_VALUE'],
    [{ reviews: Array.from({ length: 10_001 }, () => 'x') }, 'ERR_INPUT_VALUE'],
    [Symbol('film'), 'ERR_INPUT_TYPE'],
  ];
  const movies = [good, ...cases.map(([movie]) => movie), Object.freeze({ ...good })];
  const begin = performance.now();
  t.deepEqual(await outcomes(predictor, movies), ['ok', ...cases.map(([, code]) => code), 'ok']);
  t.true(performance.now() - begin < 5000, 'arrays of millions are not looked at element by element');
  t.is(({} as { x?: number }).x, undefined);
  const { message } = await throwsTyped(t, () => predictor.predict({ director: Array(1001).fill('x') }), {
    code: 'ERR_INPUT_VALUE',
    field: 'director',
  });
  t.regex(message, /1000 entries/);
});

test('bytes in any coat give the same forecast; a detached buffer is empty', async (t) => {
  await using predictor = await tiny(t);
  const bytes = await picture();
  const shared = new Uint8Array(new SharedArrayBuffer(bytes.length));
  shared.set(bytes);
  class Own extends Uint8Array {}
  const foreign = runInNewContext('Uint8Array.from(bytes)', { bytes: [...bytes] }) as Uint8Array;
  const plain = await predictor.predict({ poster: bytes });
  for (const poster of [shared, Buffer.from(shared.buffer), Own.from(bytes), foreign]) {
    t.deepEqual((await predictor.predict({ poster })).rating, plain.rating);
  }
  const detached = new Uint8Array(bytes);
  structuredClone(detached.buffer, { transfer: [detached.buffer] });
  await throwsTyped(t, () => predictor.predict({ poster: detached }), { code: 'ERR_MEDIA_EMPTY' });
});

test('a film is read at the call: what is changed afterwards changes nothing', async (t) => {
  await using dir = await temporaryDirectory();
  await using predictor = await tiny(t, { concurrency: 1 });
  const file = path.join(dir.path, 'poster.png');
  await writeFile(file, await picture());
  const poster = { path: file };
  const movie: { id: string; title: string; poster: { path: string } } = { id: '', title: 'Sea', poster };
  const calls = Array.from({ length: 6 }, (_, i) => {
    movie.id = `film ${i}`;
    return predictor.predict(movie);
  });
  poster.path = 'gone.png';
  t.deepEqual(
    (await Promise.all(calls)).map(({ id }) => id),
    Array.from({ length: 6 }, (_, i) => `film ${i}`),
  );
});

test('streams: every one is read or destroyed, and none ends the process', async (t) => {
  await using dir = await temporaryDirectory();
  await using predictor = await tiny(t, { mediaLimits: { timeoutMs: 1500 } });
  const bytes = await picture();
  const file = path.join(dir.path, 'poster.png');
  await writeFile(file, bytes);
  const streams: Readable[] = [];
  const keep = <S extends Readable>(stream: S) => {
    streams.push(stream);
    return stream;
  };
  const missing = () => keep(createReadStream(path.join(dir.path, 'none.mp4')));
  const twice = keep(createReadStream(file));
  const results = await outcomes(predictor, [
    { poster: keep(createReadStream(file)), audio: keep(createReadStream(file)) },
    { poster: twice },
    { poster: twice },
    { poster: missing() },
    { title: 'Sea', audio: missing() },
    { titel: 'Sea', poster: missing(), trailer: keep(createReadStream(file)) },
    { poster: keep(new PassThrough()) },
    {
      poster: keep(
        Readable.from(
          (async function* () {
            yield bytes.subarray(0, 60);
            throw new Error('the line is cut');
          })(),
        ),
      ),
    },
    { poster: keep(Readable.from([{ not: 'bytes' }])) },
    { poster: new Blob([new Uint8Array(bytes)]).stream() },
  ]);
  t.deepEqual(results, [
    'ok',
    'ok',
    'ERR_INPUT_VALUE',
    'ERR_MEDIA_NOT_FOUND',
    'ok',
    'ERR_INPUT_UNKNOWN_FIELD',
    'ERR_MEDIA_TIMEOUT',
    'ERR_MEDIA_READ',
    'ERR_INPUT_TYPE',
    'ok',
  ]);
  await wait(50);
  t.true(
    streams.every(({ destroyed }) => destroyed),
    'all closed',
  );
});

test('streams of films that wait for their turn in a batch: no error is unheard, none stays open', async (t) => {
  await using dir = await temporaryDirectory();
  await using predictor = await tiny(t);
  const missing = createReadStream(path.join(dir.path, 'none.mp4'));
  const films: Movie[] = Array.from({ length: 40 }, (_, i) => ({ title: `Film ${i}` }));
  const results = await predictor.predictBatch([...films, { poster: missing }], { batchSize: 1 });
  t.deepEqual(
    results.filter(({ ok }) => !ok).map((result) => !result.ok && [result.index, result.error.code]),
    [[40, 'ERR_MEDIA_NOT_FOUND']],
  );

  const waiting = new PassThrough();
  const cancelled = predictor.predictBatch([...films, { poster: waiting }], {
    batchSize: 1,
    signal: AbortSignal.abort(),
  });
  await throwsTyped(t, () => cancelled, { code: 'ERR_CANCELLED' });
  t.true(waiting.destroyed);
});

test('predictStream: sources that answer each other, stand still, throw at once, or are none', async (t) => {
  await using predictor = await tiny(t);
  const indexes: number[] = [];
  let answer = () => {};
  async function* dialogue(): AsyncGenerator<Movie> {
    for (let i = 0; i < 4; i++) {
      const answered = new Promise<void>((resolve) => {
        answer = resolve;
      });
      yield { title: `Film ${i}` };
      await answered;
    }
  }
  for await (const { index } of predictor.predictStream(dialogue())) {
    indexes.push(index);
    answer();
  }
  t.deepEqual(indexes, [0, 1, 2, 3], 'a source may wait for each result');

  async function* still(): AsyncGenerator<Movie> {
    yield { title: 'Sea' };
    await new Promise(() => {});
  }
  const collect = async (source: AsyncIterable<Movie> | Iterable<Movie>, signal?: AbortSignal) => {
    for await (const { index } of predictor.predictStream(source, { signal })) indexes.push(index);
  };
  await throwsTyped(t, () => collect(still(), AbortSignal.timeout(200)), { code: 'ERR_CANCELLED' });
  for await (const _ of predictor.predictStream(still())) break;

  function* throwing(): Generator<Movie> {
    yield { title: 'Sea' };
    yield { title: 'War' };
    throw new Error('the source is broken');
  }
  indexes.length = 0;
  await t.throwsAsync(() => collect(throwing()), { message: 'the source is broken' });
  t.deepEqual(indexes, [0, 1]);
  for (const none of [null, 5, 'films', {}]) {
    await throwsTyped(t, () => collect(none as never), { code: 'ERR_INPUT_TYPE', field: 'movies' });
  }

  const waiting = collect(still());
  const refused = throwsTyped(t, () => waiting, { code: 'ERR_DISPOSED' });
  await wait(50);
  await predictor.dispose();
  await refused;
});

test('options: unknown names with the nearest known one, wrong types', async (t) => {
  await using predictor = await tiny(t);
  const call = (options: object) => () => predictor.predict({ title: 'Sea' }, options as never);
  await throwsTyped(t, call({ onInputErorr: 'skip' }), {
    code: 'ERR_INPUT_UNKNOWN_FIELD',
    message: /onInputError\?/,
  });
  await throwsTyped(t, call({ signal: {} }), { code: 'ERR_INPUT_TYPE', field: 'options.signal' });
  await throwsTyped(t, call(null as never), { code: 'ERR_INPUT_TYPE' });
  await throwsTyped(t, () => Predictor.load(undefined, { thread: 1 } as never), {
    code: 'ERR_INPUT_UNKNOWN_FIELD',
    message: /threads\?/,
  });
  await throwsTyped(t, () => Predictor.load(5 as never), { code: 'ERR_INPUT_TYPE', field: 'source' });
});

test('a text of which nothing is known is not used', async (t) => {
  await using predictor = await Predictor.load();
  const feedback = await predictor.predict({ title: 'Sea', synopsis: '😀🎬 😀😀' });
  t.deepEqual(feedback.used, ['metadata', 'title']);
  t.true(feedback.notUsed.some(({ input }) => input === 'synopsis'));
  await throwsTyped(t, () => predictor.predict({ synopsis: '😀🎬' }), { code: 'ERR_INPUT_EMPTY' });
});

test('many reviews: each in its place', async (t) => {
  await using predictor = await tiny(t);
  const reviews = Array.from({ length: 300 }, (_, i) =>
    i % 100 === 99 ? '这部电影很好看，我很喜欢。' : `the love and the sea in story number ${i} are good`,
  );
  const { sentiment } = await predictor.predict({ title: 'Sea', reviews });
  t.is(sentiment!.reviews, 297);
  t.deepEqual(
    sentiment!.notScored.map(({ index }) => index),
    [99, 199, 299],
  );
  t.regex(sentiment!.notScored[2]!.reason, /reviews\.299/);
  await using dir = await temporaryDirectory();
  const file = path.join(dir.path, 'reviews.txt');
  await writeFile(file, 'the sea\n'.repeat(10_001));
  await throwsTyped(t, () => predictor.predict({ title: 'Sea', reviews: { path: file } }), {
    code: 'ERR_INPUT_VALUE',
    file,
  });
});

test('bundles: values that are not finite, tensors of another dtype, files that are no files', async (t) => {
  await using dir = await temporaryDirectory();
  for (const name of ['heads.rating.weight', 'tfidf.terms.idf', 'tfidf.terms.scale', 'sentiment.en.weight']) {
    const contents = tinyContents();
    const stored = contents.tensors.get(name)!;
    const data = Float32Array.from(stored.data as Float32Array);
    data[0] = Number.NaN;
    const tensors = new Map(contents.tensors).set(name, { ...stored, data });
    const target = path.join(dir.path, name);
    await saveBundle(target, { ...contents, tensors });
    await throwsTyped(t, () => Predictor.load(target), { code: 'ERR_BUNDLE_FORMAT', field: name });
  }
  const contents = tinyContents();
  const name = 'tfidf.terms.projection';
  const stored = contents.tensors.get(name)!;
  const data = BigInt64Array.from(stored.data as Int8Array, BigInt);
  const tensors = new Map(contents.tensors).set(name, { ...stored, dtype: 'I64' as const, data });
  await saveBundle(path.join(dir.path, 'wide'), { ...contents, tensors });
  await throwsTyped(t, () => Predictor.load(path.join(dir.path, 'wide')), {
    code: 'ERR_BUNDLE_FORMAT',
    field: name,
  });
  const bundle = await saveTiny(dir.path);
  await rm(path.join(bundle, 'bundle.json'));
  await mkdir(path.join(bundle, 'bundle.json'));
  await throwsTyped(t, () => Predictor.load(bundle), { code: 'ERR_BUNDLE_NOT_FOUND' });
  await throwsTyped(t, () => Predictor.load('/dev/zero'), { code: 'ERR_BUNDLE_FORMAT' });
  await throwsTyped(t, () => saveBundle('/proc/bundle', tinyContents()), { code: 'ERR_BUNDLE_WRITE' });
  await throwsTyped(t, () => saveBundle(path.join(dir.path, 'x'), null as never), { code: 'ERR_INPUT_TYPE' });
});

test('storms: 200 calls at once, half of them cancelled; no warning, no temporary file', async (t) => {
  const warnings: Error[] = [];
  const note = (warning: Error) => warnings.push(warning);
  process.on('warning', note);
  t.teardown(() => process.off('warning', note));
  const before = (await readdir(tmpdir())).filter((name) => /^cinefuse-[A-Za-z0-9]{6}$/.test(name));
  await using predictor = await tiny(t);
  const poster = await picture();
  const storm = new AbortController();
  const calls = Array.from({ length: 200 }, (_, i) =>
    predictor.predict(
      { title: `Film ${i}`, poster: i % 4 === 0 ? Readable.from([poster]) : poster },
      i % 2 === 0 ? { signal: storm.signal } : {},
    ),
  );
  setTimeout(() => storm.abort(), 60);
  const settled = await Promise.allSettled(calls);
  settled.forEach((outcome, i) => {
    if (outcome.status === 'fulfilled') return;
    t.is(outcome.reason.code, 'ERR_CANCELLED');
    t.is(i % 2, 0, 'only those with the signal');
  });
  await wait(20);
  t.deepEqual(warnings, []);
  const after = (await readdir(tmpdir())).filter((name) => /^cinefuse-[A-Za-z0-9]{6}$/.test(name));
  t.deepEqual(
    after.filter((name) => !before.includes(name)),
    [],
  );
});
