/** Answers, their sources and their limits, beyond the twenty questions. */
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import test from 'ava';
import { Bm25Index, QuestionAnswerer } from '../../lib/ask/index.js';
import type { Feedback, Movie } from '../../lib/index.js';
import { throwsTyped } from '../errors.js';
import { temporaryDirectory } from '../tiny-bundle.js';
import { exampleFilms } from './films.js';

test('BM25: scores by the formula; ties by place; unknown words', (t) => {
  const index = new Bm25Index();
  const documents = [['sea', 'storm', 'sea'], ['storm'], ['tennis', 'rival'], ['sea']];
  for (const document of documents) index.add(document);
  const found = index.search(['sea', 'sea', 'ghost'], 10);
  t.deepEqual(
    found.map(({ document }) => document),
    [3, 0],
  );
  const idf = Math.log(1 + (4 - 2 + 0.5) / (2 + 0.5));
  const average = 7 / 4;
  const expected = (n: number, length: number) =>
    (idf * n * 2.2) / (n + 1.2 * (0.25 + (0.75 * length) / average));
  t.true(Math.abs(found[1]!.score - expected(2, 3)) < 1e-12);
  t.true(Math.abs(found[0]!.score - expected(1, 1)) < 1e-12);
  t.deepEqual(
    index.search(['storm'], 1, (document) => document > 0).map(({ document }) => document),
    [1],
  );
  t.false(index.has('ghost'));
});

test('every quote stands at its place in the input it names', async (t) => {
  const [film] = await exampleFilms();
  const synopsis = 'First line,\nbroken in two. Astrid keeps the light.\n\nA third.';
  const reviews = ['Dull from the start.', 'Astrid is wonderful. The storm is the best scene.'];
  const movie: Movie = { ...film, synopsis, reviews };
  await using answerer = await QuestionAnswerer.create([movie], { embeddings: false });
  const review = await answerer.ask('Which scene is the best?');
  const [source] = review.sources;
  t.is(source!.field, 'reviews');
  t.is(source!.review, 1);
  t.is(reviews[1]!.slice(source!.start, source!.end), source!.quote);
  const wrapped = await answerer.ask('What is broken in two?');
  t.is(wrapped.text, 'First line, broken in two.');
  t.is(synopsis.slice(wrapped.sources[0]!.start, wrapped.sources[0]!.end), 'First line,\nbroken in two.');
  const line = await answerer.ask('What does the switch on the mainland do?');
  t.true(line.sources.every((one) => (one.startMs === undefined) === (one.field !== 'subtitles')));
});

test('facts that are not given, comparisons that few can take part in, people in two trades', async (t) => {
  const films: Movie[] = [
    { title: 'Sea', director: 'Ana Bo', cast: ['Ana Bo', 'Cy Do'], runtime: 90, genres: ['剧情'] },
    { title: 'War', cast: ['Ana Bo'], runtime: 90 },
    { title: 'Up', synopsis: 'A house rises.' },
  ];
  await using answerer = await QuestionAnswerer.create(films, { embeddings: false });
  const text = async (question: string) => (await answerer.ask(question)).text;
  t.is(await text('Who directed War?'), 'not known: the record has no director');
  t.is(
    await text('Which film is the longest?'),
    'Sea (90 minutes) and War (90 minutes); 1 of 3 films have no running time',
  );
  t.regex(await text('Which films did Ana Bo direct?'), /^Sea \(\d of 3 films do not say\)$/);
  t.regex(await text('Which films does Ana Bo star in?'), /^Sea, War/);
  t.is(await text('Does Cy Do star in Sea?'), 'yes');
  t.regex(await text('Does Cy Do star in War?'), /^not known/, 'a cast is never whole');
  t.is(await text('Is Sea a drama?'), 'yes', 'genres in Chinese are the same');
  t.is(await text('Is Sea a sci-fi film?'), 'no');
  t.regex(await text('Is War a drama?'), /^not known/, 'no genres on record');
  t.regex(await text('How many dramas are there?'), /^1 /);
  t.is(await text('Who directed Up?'), 'not known: the record has no director');
  t.is((await answerer.ask('What rises up?')).sources[0]!.title, 'Up');
  t.is((await answerer.ask('Who directed it?', { film: 'Sea' })).text, 'Ana Bo');
  t.is((await answerer.ask('Who directed it?', { film: 0 })).text, 'Ana Bo');
  await throwsTyped(t, () => answerer.ask('Who?', { film: 'Seа' }), {
    code: 'ERR_INPUT_VALUE',
    field: 'film',
  });
});

test('a forecast is an answer only where one is given, and is called one', async (t) => {
  const forecast = {
    rating: { value: 6.94, interval: [6, 7.7], level: 0.9, unit: 'points' },
    boxOffice: { value: 1.2345e7, interval: [1e6, 9e7], level: 0.9, unit: 'USD' },
  } as unknown as Feedback;
  const films: Movie[] = [{ title: 'Sea' }, { title: 'War' }];
  await using answerer = await QuestionAnswerer.create(films, { forecasts: [forecast], embeddings: false });
  t.is((await answerer.ask('How is Sea rated?')).text, '6.9 of 10 (90 %: 6.0 to 7.7), a forecast');
  t.is(
    (await answerer.ask('How much will Sea earn?')).text,
    '$12,300,000 (90 %: $1,000,000 to $90,000,000), a forecast',
  );
  t.false((await answerer.ask('How is War rated?')).known);
});

test('texts that cannot be read: an error, or left out and said', async (t) => {
  await using dir = await temporaryDirectory();
  const broken = path.join(dir.path, 'script.txt');
  await writeFile(broken, Buffer.from([0xff, 0xfe, 0x00]));
  const film: Movie = { title: 'Sea', synopsis: 'A storm comes.', script: { path: broken } };
  const make = (options: object) => QuestionAnswerer.create([film], { embeddings: false, ...options });
  await throwsTyped(t, () => make({}), { code: 'ERR_INPUT_FILE', field: 'script', file: broken });
  await using answerer = await make({ onInputError: 'skip' });
  t.is(answerer.films[0]!.notRead[0]!.input, 'script');
  t.is((await answerer.ask('What comes? A storm?')).sources[0]!.quote, 'A storm comes.');
});

test('wrong films and questions; cancelling; disposing', async (t) => {
  await throwsTyped(t, () => QuestionAnswerer.create([]), { code: 'ERR_INPUT_EMPTY', field: 'movies' });
  await throwsTyped(t, () => QuestionAnswerer.create({} as never), {
    code: 'ERR_INPUT_TYPE',
    field: 'movies',
  });
  await throwsTyped(t, () => QuestionAnswerer.create([{ titel: 'Sea' } as never]), {
    code: 'ERR_INPUT_UNKNOWN_FIELD',
  });
  const films = await exampleFilms();
  await throwsTyped(t, () => QuestionAnswerer.create(films, { signal: AbortSignal.abort() }), {
    code: 'ERR_CANCELLED',
  });
  const stages = new Set<string>();
  const answerer = await QuestionAnswerer.create(films, {
    threads: 1,
    onProgress: ({ stage, done, total }) => {
      stages.add(stage);
      t.true(done > 0 && done <= total);
    },
  });
  t.deepEqual([...stages], ['read', 'embed']);
  await throwsTyped(t, () => answerer.ask(''), { code: 'ERR_INPUT_EMPTY', field: 'question' });
  await throwsTyped(t, () => answerer.ask(5 as never), { code: 'ERR_INPUT_TYPE', field: 'question' });
  await throwsTyped(t, () => answerer.ask('x'.repeat(1001)), { code: 'ERR_INPUT_VALUE', field: 'question' });
  await throwsTyped(t, () => answerer.ask('Who?', { signal: AbortSignal.abort() }), {
    code: 'ERR_CANCELLED',
  });
  for (const question of [
    '?',
    '!!!',
    '))(*[',
    'who who who',
    '🎬',
    'a'.repeat(999),
    '$1 million over under than',
  ]) {
    t.is(typeof (await answerer.ask(question)).text, 'string', question);
  }
  const same = await Promise.all(
    Array.from({ length: 8 }, () => answerer.ask('What do the trees grow into?')),
  );
  t.is(new Set(same.map(({ text }) => text)).size, 1);
  await answerer.dispose();
  await throwsTyped(t, () => answerer.ask('Who?'), { code: 'ERR_DISPOSED' });
});
