import { copyFile, rm, truncate, writeFile } from 'node:fs/promises';
import { createReadStream } from 'node:fs';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import sharp from 'sharp';
import type { Feedback } from '../../lib/feedback.js';
import { type Movie, type PredictionResult, Predictor } from '../../lib/index.js';
import { packageRoot } from '../../lib/native.js';
import { throwsTyped } from '../errors.js';
import { type Fusion, saveTiny, temporaryDirectory } from '../tiny-bundle.js';

const EXAMPLE = path.join(packageRoot(), 'examples', 'the-lighthouse-keeper');
const trailer = { path: path.join(EXAMPLE, 'trailer.mp4') };
const SYNOPSIS =
  'A man and a woman tell the story of the night a ship sank in the sea near the city, and of the war and the love that came after it.';

async function poster(seed = 1): Promise<Buffer> {
  const pixels = Buffer.from({ length: 40 * 60 * 3 } as ArrayLike<number>).map(
    (_, i) => (i * seed * 7) % 256,
  );
  return sharp(pixels, { raw: { width: 40, height: 60, channels: 3 } })
    .png()
    .toBuffer();
}

async function full(): Promise<Movie> {
  return {
    id: 'x1',
    title: 'Ship of Night',
    releaseDate: '2012-05-04',
    runtime: 101,
    budget: 3e6,
    genres: ['Drama', 'War'],
    cast: ['Ann Lee'],
    director: 'Bo Ek',
    synopsis: SYNOPSIS,
    poster: await poster(),
    trailer,
    reviews: ['A story of love and the sea that is good', 'the war in it is bad and the ship is death'],
  };
}

/** A predictor over a tiny bundle on disk, for as long as the test runs. */
async function tiny(t: ExecutionContext, fusion?: Fusion): Promise<Predictor> {
  const dir = await temporaryDirectory();
  t.teardown(() => dir[Symbol.asyncDispose]());
  return Predictor.load(await saveTiny(dir.path, fusion), { threads: 1 });
}

const shareSum = ({ modalities }: Feedback) => Object.values(modalities).reduce((a, b) => a + b, 0);

for (const fusion of [
  { kind: 'concat' },
  { kind: 'weighted-sum' },
  { kind: 'late' },
  { kind: 'hybrid' },
  { kind: 'tensor', out: 8, activation: 'relu' },
  { kind: 'low-rank', rank: 3, out: 8, activation: 'tanh' },
  { kind: 'attention', form: 'tanh' },
  { kind: 'attention', form: 'feature' },
] as Fusion[]) {
  test(`a full film and every single input, fused by ${JSON.stringify(fusion)}`, async (t) => {
    await using predictor = await tiny(t, fusion);
    const movie = await full();
    const feedback = await predictor.predict(movie);
    t.is(feedback.id, 'x1');
    t.is(feedback.title, 'Ship of Night');
    const { rating, wellReceived, boxOffice, other } = feedback;
    t.true(rating!.interval[0] <= rating!.value && rating!.value <= rating!.interval[1]);
    t.true(rating!.value >= 0 && rating!.value <= 10 && rating!.level === 0.9);
    t.true(boxOffice!.value > 0 && boxOffice!.interval[0] < boxOffice!.interval[1]);
    t.true(wellReceived!.probability > 0 && wellReceived!.probability < 1);
    t.truthy(other!.laughs);
    t.true(Math.abs(shareSum(feedback) - 1) < 1e-9, 'weights sum to 1');
    t.deepEqual(Object.keys(feedback.modalities).sort(), [...feedback.used].sort());
    const expected =
      fusion.kind === 'tensor'
        ? ['metadata', 'poster', 'trailer.video', 'trailer.audio']
        : ['synopsis', 'metadata', 'poster', 'trailer.video', 'trailer.audio'];
    t.deepEqual(feedback.used, expected as never);
    for (const input of ['trailer.video', 'trailer.audio']) {
      const moments = feedback.moments.filter((moment) => moment.input === input);
      t.true(moments.length > 1, input);
      t.true(Math.abs(moments.reduce((sum, { weight }) => sum + weight, 0) - 1) < 1e-5, input);
      t.true(moments.every(({ startMs, endMs }) => endMs > startMs));
    }
    const singles: Movie[] = [{ poster: movie.poster! }, { trailer }, { budget: 5e6 }, { title: 'Sea' }];
    if (fusion.kind !== 'tensor') singles.push({ synopsis: SYNOPSIS });
    for (const single of singles) {
      const alone = await predictor.predict(single);
      t.true(Number.isFinite(alone.rating!.value));
      t.true(Math.abs(shareSum(alone) - 1) < 1e-9);
      t.true(alone.missing.length > 0);
    }
  });
}

test('used, notUsed and missing tell every input apart', async (t) => {
  await using predictor = await tiny(t);
  const feedback = await predictor.predict({
    title: 'Sea',
    synopsis: '一个关于大海、灯塔和一位老人的故事，他在暴风雨之夜救起了一名陌生女子。',
    script: 'FADE IN',
    audio: Buffer.from('never decoded'),
  });
  t.deepEqual(feedback.used, ['metadata']);
  const reasons = Object.fromEntries(feedback.notUsed.map(({ input, reason }) => [input, reason]));
  t.deepEqual(Object.keys(reasons).sort(), ['audio', 'script', 'synopsis']);
  t.regex(reasons.synopsis!, /Chinese.*English/);
  t.is(reasons.script, 'this model has no script encoder');
  for (const input of ['poster', 'trailer.video', 'trailer.audio', 'budget', 'cast', 'director', 'genres']) {
    t.true(feedback.missing.includes(input), input);
  }
  t.false(feedback.missing.includes('synopsis'));
  t.deepEqual(feedback.modalities, { metadata: 1 });
});

test('sentiment of reviews is reported beside the forecast and does not change it', async (t) => {
  await using predictor = await tiny(t);
  const { reviews: _, ...movie } = await full();
  const without = await predictor.predict(movie);
  const reviews = [
    'The sea and the love in this film are a story of light',
    'Ce film est une merveille absolue, je le recommande',
  ];
  const feedback = await predictor.predict({ ...movie, reviews });
  t.deepEqual(feedback.rating, without.rating);
  t.is(feedback.sentiment!.reviews, 1);
  t.deepEqual(feedback.sentiment!.languages, { en: 1 });
  t.deepEqual(
    feedback.sentiment!.notScored.map(({ index }) => index),
    [1],
  );
  t.true(feedback.notUsed.some(({ input }) => input === 'reviews'));
});

test('media may be a path, bytes, a Node stream or a web stream: the same forecast', async (t) => {
  await using dir = await temporaryDirectory();
  await using predictor = await tiny(t);
  const bytes = await poster(3);
  const file = path.join(dir.path, 'poster.png');
  await writeFile(file, bytes);
  const forms: Movie[] = [
    { poster: bytes, trailer },
    { poster: { path: file }, trailer: createReadStream(trailer.path) },
    { poster: createReadStream(file), trailer },
    { poster: new Blob([new Uint8Array(bytes)]).stream(), trailer },
  ];
  const results = [];
  for (const form of forms) results.push(await predictor.predict(form));
  for (const result of results) t.deepEqual(result.rating, results[0]!.rating);
});

test('a batch equals its films alone; a film that fails leaves the others be', async (t) => {
  await using dir = await temporaryDirectory();
  await using predictor = await tiny(t);
  const truncated = path.join(dir.path, 'cut.mp4');
  await copyFile(trailer.path, truncated);
  await truncate(truncated, 2000);
  const good: Movie[] = [
    await full(),
    { title: 'Love', budget: 4e5 },
    { synopsis: SYNOPSIS, poster: await poster(2) },
  ];
  const bad: [Movie, string][] = [
    [{ titel: 'x' } as Movie, 'ERR_INPUT_UNKNOWN_FIELD'],
    [{ runtime: Number.NaN }, 'ERR_INPUT_VALUE'],
    [{ title: 'a', poster: Buffer.from('not an image') }, 'ERR_MEDIA_FORMAT'],
    [{ title: 'b', poster: { path: path.join(dir.path, 'none.jpg') } }, 'ERR_MEDIA_NOT_FOUND'],
    [{ title: 'c', synopsis: { path: path.join(dir.path, 'none.txt') } }, 'ERR_INPUT_FILE'],
    [{ id: 'z', script: 'only a script' }, 'ERR_INPUT_EMPTY'],
    [null as unknown as Movie, 'ERR_INPUT_TYPE'],
  ];
  const movies = [
    good[0]!,
    ...bad.slice(0, 3).map(([m]) => m),
    good[1]!,
    ...bad.slice(3).map(([m]) => m),
    good[2]!,
  ];
  const progress: object[] = [];
  const results = await predictor.predictBatch(movies, { batchSize: 4, onProgress: (p) => progress.push(p) });
  t.deepEqual(
    results.map(({ index }) => index),
    movies.map((_, i) => i),
  );
  const errors = results.flatMap((r) => (r.ok ? [] : [r.error.code]));
  t.deepEqual(
    errors as string[],
    bad.map(([, code]) => code),
  );
  t.is(results.find((r) => r.id === 'z')!.ok, false);
  t.deepEqual(progress.at(-1), { done: movies.length, failed: bad.length, total: movies.length });
  const fine = results.filter((r): r is PredictionResult & { ok: true } => r.ok);
  for (const [i, movie] of good.entries()) {
    const alone = await predictor.predict(movie);
    t.true(Math.abs(alone.rating!.value - fine[i]!.feedback.rating!.value) < 1e-5);
    t.deepEqual(alone.used, fine[i]!.feedback.used);
  }
  await throwsTyped(t, () => predictor.predict({ title: 'c', trailer: { path: truncated } }), {
    code: 'ERR_MEDIA_READ',
  });
});

test("onInputError 'skip' goes on without the broken input and says so", async (t) => {
  await using predictor = await tiny(t);
  const movie = { title: 'Sea', poster: Buffer.from('no picture') };
  await throwsTyped(t, () => predictor.predict(movie), { code: 'ERR_MEDIA_FORMAT', field: 'poster' });
  const feedback = await predictor.predict(movie, { onInputError: 'skip' });
  t.deepEqual(feedback.used, ['metadata']);
  t.is(feedback.notUsed[0]!.input, 'poster');
  await throwsTyped(t, () => predictor.predict(movie, { onInputError: 'maybe' as never }), {
    code: 'ERR_INPUT_VALUE',
  });
});

test('predictStream: order, back-pressure, early return, errors of the source', async (t) => {
  await using predictor = await tiny(t);
  let pulled = 0;
  let closed = false;
  async function* source(count: number, fail = false) {
    try {
      for (let i = 0; i < count; i++) {
        pulled++;
        yield { id: String(i), title: `Film ${i}`, budget: 1e5 * (i + 1) } as Movie;
      }
      if (fail) throw new Error('the source is broken');
    } finally {
      closed = true;
    }
  }
  const ids: string[] = [];
  for await (const result of predictor.predictStream(source(50), { batchSize: 8 })) {
    ids.push(result.id!);
    t.true(pulled <= ids.length + 3 * 8, `pulled ${pulled} at ${ids.length}`);
  }
  t.deepEqual(
    ids,
    Array.from({ length: 50 }, (_, i) => String(i)),
  );

  closed = false;
  pulled = 0;
  for await (const result of predictor.predictStream(source(1000), { batchSize: 4 }))
    if (result.index === 5) break;
  t.true(closed && pulled < 30);

  const before: number[] = [];
  await t.throwsAsync(
    async () => {
      for await (const { index } of predictor.predictStream(source(6, true), { batchSize: 4 }))
        before.push(index);
    },
    { message: 'the source is broken' },
  );
  t.deepEqual(before, [0, 1, 2, 3, 4, 5]);

  const slow = (async function* () {
    yield { title: 'first' } as Movie;
    await new Promise((resolve) => setTimeout(resolve, 300));
    yield { title: 'second' } as Movie;
  })();
  const first = await predictor.predictStream(slow, { batchSize: 16 }).next();
  t.is((first.value as PredictionResult).index, 0);
});

test('embed: every input through every encoder that reads it', async (t) => {
  await using predictor = await tiny(t);
  const embeddings = await predictor.embed({
    ...(await full()),
    script: SYNOPSIS.repeat(20),
    audio: trailer,
  });
  const names = embeddings.map(({ input, encoder }) => `${input} ${encoder}`);
  for (const expected of [
    'synopsis words',
    'synopsis terms',
    'script words',
    'metadata metadata',
    'poster colours',
    'trailer.video colours',
    'trailer.audio loudness',
    'audio loudness',
  ]) {
    t.true(names.includes(expected), expected);
  }
  for (const { data, length, dim } of embeddings) t.is(data.length, length * dim);
  t.true(embeddings.find(({ input }) => input === 'script')!.length > 5);
  const frames = embeddings.find(({ input }) => input === 'trailer.video')!;
  t.true(frames.startMs![0]! < frames.endMs![0]!);
});

test('cancelling: before, while running, in a stream', async (t) => {
  await using predictor = await tiny(t);
  const movie = await full();
  await throwsTyped(t, () => predictor.predict(movie, { signal: AbortSignal.abort() }), {
    code: 'ERR_CANCELLED',
  });
  const control = new AbortController();
  const running = Promise.allSettled(
    Array.from({ length: 6 }, () => predictor.predict(movie, { signal: control.signal })),
  );
  setTimeout(() => control.abort(new Error('enough')), 30);
  for (const outcome of await running) {
    if (outcome.status === 'rejected') t.is(outcome.reason.name, 'AbortError');
  }
  t.truthy(await predictor.predict({ title: 'Sea' }), 'the predictor goes on');
  const stop = new AbortController();
  await throwsTyped(
    t,
    async () => {
      const movies = Array.from({ length: 200 }, (_, i) => ({ title: `t${i}`, poster: movie.poster! }));
      for await (const { index } of predictor.predictStream(movies, { signal: stop.signal, batchSize: 4 })) {
        if (index === 3) stop.abort();
      }
    },
    { code: 'ERR_CANCELLED' },
  );
});

test('dispose: running and waiting calls end, later ones are refused, twice is once', async (t) => {
  const predictor = await tiny(t);
  const movie = await full();
  const calls = Promise.allSettled(Array.from({ length: 8 }, () => predictor.predict(movie)));
  await new Promise((resolve) => setTimeout(resolve, 20));
  await predictor.dispose();
  await predictor.dispose();
  for (const outcome of await calls) {
    if (outcome.status === 'rejected') t.is(outcome.reason.code, 'ERR_DISPOSED', String(outcome.reason));
  }
  await throwsTyped(t, () => predictor.predict(movie), { code: 'ERR_DISPOSED' });
  await throwsTyped(t, () => predictor.embed(movie), { code: 'ERR_DISPOSED' });
});

test('options out of range, CUDA that is not there, a bundle that is not there', async (t) => {
  await using dir = await temporaryDirectory();
  const bundle = await saveTiny(dir.path);
  for (const options of [
    { threads: 0 },
    { concurrency: 0 },
    { encoderWorkers: 1000 },
    { isolation: 'vm' as never },
  ]) {
    await throwsTyped(t, () => Predictor.load(bundle, options), { code: 'ERR_INPUT_VALUE' });
  }
  await throwsTyped(t, () => Predictor.load(bundle, { mediaLimits: { maxBites: 3 } as never }), {
    code: 'ERR_INPUT_UNKNOWN_FIELD',
  });
  await throwsTyped(t, () => Predictor.load(path.join(dir.path, 'none')), { code: 'ERR_BUNDLE_NOT_FOUND' });
  await throwsTyped(t, () => Predictor.load(bundle, { signal: AbortSignal.abort() }), {
    code: 'ERR_CANCELLED',
  });
  await rm(path.join(bundle, 'encoders/words/model.onnx'));
  await throwsTyped(t, () => Predictor.load(bundle), { code: 'ERR_BUNDLE_NOT_FOUND' });
});

test('describe says what the model is and what runs where', async (t) => {
  await using predictor = await tiny(t);
  const { bundle, encoders, operators, modalityWeights, heads } = predictor.describe();
  t.is(bundle.name, 'tiny');
  t.is(encoders.encoders.length, 3);
  t.is(operators.backend, 'cpu');
  t.regex(operators.whyNotCuda!, /library of the backend 'cuda'|device|driver/);
  t.is(modalityWeights, 'leave-one-out');
  t.is(heads.length, 5);
});

test('media in child processes: the same forecast', async (t) => {
  await using dir = await temporaryDirectory();
  const bundle = await saveTiny(dir.path);
  await using inside = await Predictor.load(bundle);
  await using apart = await Predictor.load(bundle, { isolation: 'process' });
  const movie = { poster: await poster(5), trailer };
  t.deepEqual((await apart.predict(movie)).rating, (await inside.predict(movie)).rating);
});
