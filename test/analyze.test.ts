/** One film in one call. */
import path from 'node:path';
import test from 'ava';
import { analyzeFilm } from '../lib/analyze.js';
import { packageRoot } from '../lib/native.js';
import { TextModels } from '../lib/text-models.js';
import { throwsTyped } from './errors.js';

const example = (file: string) => ({
  path: path.join(packageRoot(), 'examples', 'the-lighthouse-keeper', file),
});

let loading: Promise<TextModels> | undefined;
const models = () => {
  loading ??= TextModels.load({ threads: 1 });
  return loading;
};
test.after.always(async () => (await loading)?.dispose());

test('every text and the trailer; what is not given is said', async (t) => {
  const seen: string[] = [];
  const reviews = ['A wonderful film with superb acting.', 'Dull, slow, a waste of time.', '12345'];
  const film = await analyzeFilm(
    {
      id: 'x',
      synopsis: example('synopsis.txt'),
      subtitles: example('film.srt'),
      reviews,
      trailer: example('trailer.mp4'),
    },
    {
      models: await models(),
      keywords: { count: 4, method: 'tfidf' },
      trailer: { motion: false, sound: false, keyFrames: { maxCount: 2 } },
      onProgress: ({ input, done, total }) => {
        seen.push(input);
        t.is(done, seen.length);
        t.is(total, 4);
      },
    },
  );
  t.deepEqual(seen.sort(), ['reviews', 'subtitles', 'synopsis', 'trailer']);
  t.is(film.id, 'x');
  t.deepEqual(film.missing, ['script']);
  t.deepEqual(film.notRead, []);
  for (const input of ['synopsis', 'subtitles', 'reviews'] as const)
    t.is(film.keywords[input]?.length, 4, input);
  const { document, start, end } = film.keywords.reviews![0]!.spans[0]!;
  t.is(reviews[document]!.slice(start, end).toLowerCase(), film.keywords.reviews![0]!.term.toLowerCase());
  const cue = film.keywords.subtitles![0]!.spans[0]!;
  const said = film.subtitles!.cues[cue.document]!.text.slice(cue.start, cue.end);
  t.is(said.slice(0, 3).toLowerCase(), film.keywords.subtitles![0]!.term.slice(0, 3).toLowerCase());
  t.true(film.synopsis!.warmest!.tone > film.synopsis!.grimmest!.tone);
  t.is(film.reviews!.tone!.count, 2);
  t.is(film.trailer!.sound, null);
  t.true(film.trailer!.pictures!.keyFrames.length > 0 && film.trailer!.pictures!.keyFrames.length <= 2);
});

test('parts that are not wanted are left out', async (t) => {
  const movie = {
    synopsis: example('synopsis.txt'),
    script: example('script.fountain'),
    trailer: example('trailer.mp4'),
  };
  const words = await analyzeFilm(movie, { models: await models(), sentiment: false, trailer: false });
  t.is(words.synopsis, undefined);
  t.is(words.trailer, undefined);
  t.is(words.script!.tone, null);
  t.true(words.keywords.script!.length > 0);
  const tone = await analyzeFilm({ synopsis: movie.synopsis }, { models: await models(), keywords: false });
  t.deepEqual(tone.keywords, { synopsis: [] });
  t.is(typeof tone.synopsis!.tone, 'number');
});

test('an input that cannot be read: the film’s error, or a line of its own', async (t) => {
  const movie = {
    synopsis: example('synopsis.txt'),
    script: example('none.fountain'),
    trailer: example('synopsis.txt'),
  };
  const own = await models();
  await throwsTyped(t, () => analyzeFilm({ ...movie, trailer: null }, { models: own }), {
    code: 'ERR_INPUT_FILE',
    field: 'script',
  });
  const film = await analyzeFilm(movie, { models: own, onInputError: 'skip' });
  t.deepEqual(film.notRead.map(({ input }) => input).sort(), ['script', 'trailer']);
  t.is(typeof film.synopsis!.tone, 'number');
});

test('nothing to analyse, unknown fields, cancelling', async (t) => {
  await throwsTyped(t, () => analyzeFilm({ title: 'Only a title' }), {
    code: 'ERR_INPUT_EMPTY',
    field: 'movie',
  });
  await throwsTyped(t, () => analyzeFilm({ plot: 'x' } as object), { code: 'ERR_INPUT_UNKNOWN_FIELD' });
  const synopsis = example('synopsis.txt');
  await throwsTyped(t, () => analyzeFilm({ synopsis }, { signal: AbortSignal.abort() }), {
    code: 'ERR_CANCELLED',
  });
  const late = new AbortController();
  const call = analyzeFilm(
    { synopsis, script: example('script.fountain') },
    { models: await models(), signal: late.signal, onProgress: () => late.abort() },
  );
  await throwsTyped(t, () => call, { code: 'ERR_CANCELLED' });
});

test('another language: no key words and no tone, and that is no error', async (t) => {
  const synopsis =
    'Det var en gång en flicka som bodde i skogen och hon hade aldrig sett havet eller staden.';
  const film = await analyzeFilm({ synopsis }, { models: await models() });
  t.deepEqual(film.keywords.synopsis, []);
  t.deepEqual(film.synopsis, { tone: null });
});
