import { Readable } from 'node:stream';
import test from 'ava';
import { givenInputNames, type Movie, parseMovie } from '../lib/movie.js';
import { type ExpectedError, throwsTyped } from './errors.js';

test('a full description is parsed; null, undefined and empty lists are "not given"', (t) => {
  const poster = Buffer.from('x');
  const trailer = Readable.from([]);
  const movie: Movie = {
    id: '7',
    title: 'Sea',
    releaseDate: '2027-03-12',
    runtime: 104,
    budget: 12e6,
    genres: ['Drama'],
    cast: [],
    director: 'A',
    language: 'en',
    synopsis: 'text',
    script: { path: 's.txt' },
    subtitles: null,
    reviews: [],
    poster,
    trailer,
    audio: { path: 'a.wav' },
  };
  const parsed = parseMovie(movie);
  t.is(parsed.id, '7');
  t.is(parsed.given.poster, poster);
  t.is(parsed.given.trailer, trailer);
  t.deepEqual(parsed.given.metadata, {
    title: 'Sea',
    releaseDate: '2027-03-12',
    runtime: 104,
    budget: 12e6,
    genres: ['Drama'],
    director: 'A',
    language: 'en',
  });
  t.deepEqual(givenInputNames(parsed), [
    'title',
    'synopsis',
    'script',
    'poster',
    'trailer.video',
    'trailer.audio',
    'audio',
    'metadata',
  ]);
});

test('every single input is enough', (t) => {
  for (const movie of [
    { title: 'x' },
    { synopsis: 'x' },
    { poster: { path: 'p' } },
    { reviews: ['good'] },
    { budget: 5 },
    { trailer: new ReadableStream() },
  ] as Movie[]) {
    t.true(Object.keys(parseMovie(movie).given).length > 0);
  }
});

test('bad input: code, field, what was expected and what came', async (t) => {
  const cases: [unknown, ExpectedError][] = [
    [null, { code: 'ERR_INPUT_TYPE', field: 'movie' }],
    ['film.json', { code: 'ERR_INPUT_TYPE', field: 'movie' }],
    [[], { code: 'ERR_INPUT_TYPE', field: 'movie' }],
    [{}, { code: 'ERR_INPUT_EMPTY', field: 'movie' }],
    [{ id: 'x' }, { code: 'ERR_INPUT_EMPTY' }],
    [{ id: 'x', cast: [], title: null }, { code: 'ERR_INPUT_EMPTY' }],
    [{ titel: 'x' }, { code: 'ERR_INPUT_UNKNOWN_FIELD', field: 'titel', message: /did you mean title\?/ }],
    [
      { title: 'x', qqq: 1 },
      { code: 'ERR_INPUT_UNKNOWN_FIELD', field: 'qqq', message: /synopsis/ },
    ],
    [{ poster: { path: 'x', size: 3 } }, { code: 'ERR_INPUT_TYPE', field: 'poster', message: /Buffer/ }],
    [{ synopsis: { path: 'x', size: 3 } }, { code: 'ERR_INPUT_UNKNOWN_FIELD', field: 'synopsis.size' }],
    [{ title: '' }, { code: 'ERR_INPUT_VALUE', field: 'title', message: /empty/ }],
    [{ title: 5 }, { code: 'ERR_INPUT_TYPE', field: 'title', message: /string.*received the number 5/ }],
    [{ synopsis: '   ' }, { code: 'ERR_INPUT_VALUE', field: 'synopsis' }],
    [{ synopsis: 3 }, { code: 'ERR_INPUT_TYPE', field: 'synopsis' }],
    [{ synopsis: { path: '' } }, { code: 'ERR_INPUT_VALUE', field: 'synopsis.path' }],
    [{ runtime: Number.NaN }, { code: 'ERR_INPUT_VALUE', field: 'runtime', message: /finite/ }],
    [{ budget: Number.POSITIVE_INFINITY }, { code: 'ERR_INPUT_VALUE', field: 'budget' }],
    [{ budget: -1 }, { code: 'ERR_INPUT_VALUE', field: 'budget' }],
    [{ runtime: 0 }, { code: 'ERR_INPUT_VALUE', field: 'runtime' }],
    [{ runtime: '104' }, { code: 'ERR_INPUT_TYPE', field: 'runtime' }],
    [{ releaseDate: '12.03.2027' }, { code: 'ERR_INPUT_VALUE', field: 'releaseDate' }],
    [{ releaseDate: '2027-02-30' }, { code: 'ERR_INPUT_VALUE', field: 'releaseDate' }],
    [{ genres: 'Drama' }, { code: 'ERR_INPUT_TYPE', field: 'genres' }],
    [{ cast: ['A', ''] }, { code: 'ERR_INPUT_VALUE', field: 'cast.1' }],
    [{ cast: ['A', 2] }, { code: 'ERR_INPUT_TYPE', field: 'cast.1' }],
    [{ director: 4 }, { code: 'ERR_INPUT_TYPE', field: 'director', message: /name/ }],
    [{ language: 'English language' }, { code: 'ERR_INPUT_VALUE', field: 'language' }],
    [{ reviews: ['good', ' '] }, { code: 'ERR_INPUT_VALUE', field: 'reviews.1' }],
    [{ reviews: 'good' }, { code: 'ERR_INPUT_TYPE', field: 'reviews' }],
    [{ poster: 'poster.jpg' }, { code: 'ERR_INPUT_TYPE', field: 'poster', message: /\{ path \}/ }],
    [{ trailer: 12 }, { code: 'ERR_INPUT_TYPE', field: 'trailer' }],
  ];
  for (const [movie, expected] of cases) {
    const error = await throwsTyped(t, () => parseMovie(movie), expected);
    t.false(/undefined|\[object/.test(error.message), error.message);
  }
});
