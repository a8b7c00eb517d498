/** Films as the command finds them: JSON, folders, CSV; and what it says of those it cannot use. */
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { type FilmEntry, kindOfInput, readFilms } from '../../lib/cli/films.js';
import { CinefuseError } from '../../lib/errors.js';
import { type Movie, parseMovie } from '../../lib/movie.js';
import { packageRoot } from '../../lib/native.js';
import { sharedPath, sharedTest } from '../shared.js';

async function folderOf(t: ExecutionContext, files: Record<string, string | Buffer>): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'cinefuse-films-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  for (const [name, content] of Object.entries(files)) {
    await mkdir(path.dirname(path.join(folder, name)), { recursive: true });
    await writeFile(path.join(folder, name), content);
  }
  return folder;
}

async function read(...paths: string[]): Promise<{
  entries: FilmEntry[];
  bytes: number;
  unknown: string[];
  movies: unknown[];
  errors: CinefuseError[];
}> {
  const entries: FilmEntry[] = [];
  const unknown: string[] = [];
  let bytes = 0;
  const notes = {
    onProgress: (more: number) => {
      bytes += more;
    },
    onUnknownColumns: (columns: string[]) => void unknown.push(...columns),
  };
  for await (const entry of readFilms(paths, notes)) entries.push(entry);
  return {
    entries,
    bytes,
    unknown,
    movies: entries.flatMap((entry) => ('movie' in entry ? [entry.movie] : [])),
    errors: entries.flatMap((entry) => ('error' in entry ? [entry.error as CinefuseError] : [])),
  };
}

test('the example folder is a whole film', async (t) => {
  const folder = path.join(packageRoot(), 'examples', 'the-lighthouse-keeper');
  const { movies, errors } = await read(folder);
  t.deepEqual(errors, []);
  t.like(movies[0], {
    title: 'The Lighthouse Keeper',
    releaseDate: '2027-03-12',
    poster: { path: path.join(folder, 'poster.jpg') },
    trailer: { path: path.join(folder, 'trailer.mp4') },
    synopsis: { path: path.join(folder, 'synopsis.txt') },
    script: { path: path.join(folder, 'script.fountain') },
    subtitles: { path: path.join(folder, 'film.srt') },
  });
  t.notThrows(() => parseMovie(movies[0]));
});

test('a path relative to the working directory leads to files that are there', async (t) => {
  const folder = path.relative(process.cwd(), path.join(packageRoot(), 'examples', 'the-lighthouse-keeper'));
  const { movies, errors } = await read(folder, path.join(folder, 'movie.json'));
  t.deepEqual(errors, []);
  t.is(movies.length, 2);
  for (const field of ['poster', 'trailer', 'synopsis', 'script', 'subtitles'] as const) {
    const { path: file } = (movies[0] as Movie)[field] as { path: string };
    t.true(existsSync(file), file);
  }
});

test('the example table holds five films that all parse', async (t) => {
  const file = path.join(packageRoot(), 'examples', 'films.csv');
  const { movies, errors, unknown } = await read(file);
  t.deepEqual([errors, unknown], [[], []]);
  t.is(movies.length, 5);
  for (const movie of movies) t.notThrows(() => parseMovie(movie));
  t.like(movies[2], {
    id: 'red-meridian',
    budget: 145_000_000,
    genres: ['Science Fiction', 'Action', 'Thriller'],
  });
});

test('paths in a file are relative to it; what movie.json says comes before what lies beside it', async (t) => {
  const folder = await folderOf(t, {
    'movie.json': JSON.stringify({ title: 'A', poster: 'art/one.png', trailer: { path: '/abs/t.mp4' } }),
    'poster.jpg': 'x',
    'trailer.webm': 'x',
    'script.txt': 'x',
    'audio/theme.flac': 'x',
    'reviews.txt': 'Good.',
  });
  const { movies } = await read(folder);
  t.deepEqual(movies, [
    {
      title: 'A',
      poster: { path: path.join(folder, 'art', 'one.png') },
      trailer: { path: '/abs/t.mp4' },
      script: { path: path.join(folder, 'script.txt') },
      audio: { path: path.join(folder, 'audio', 'theme.flac') },
      reviews: { path: path.join(folder, 'reviews.txt') },
    },
  ]);
});

test('a folder without movie.json is a film when it holds any of the files', async (t) => {
  const folder = await folderOf(t, { 'synopsis.txt': 'A story.' });
  t.deepEqual((await read(folder)).movies, [{ synopsis: { path: path.join(folder, 'synopsis.txt') } }]);
});

test('a JSON array is a list of films, of which one may be wrong', async (t) => {
  const folder = await folderOf(t, { 'films.json': '\ufeff [{"title":"A"}, 7, {"title":"B"}]' });
  const file = path.join(folder, 'films.json');
  t.is((await kindOfInput(file)).kind, 'list');
  const { entries, movies, errors } = await read(file);
  t.deepEqual(movies, [{ title: 'A' }, { title: 'B' }]);
  t.is(errors[0]?.code, 'ERR_INPUT_TYPE');
  t.is(entries[1]?.source, `${file}[1]`);
});

test('a CSV: quotes, lists, zeros, a BOM, CRLF, other columns', async (t) => {
  const folder = await folderOf(t, {
    'movies.csv': [
      '\ufeffmovie_id,title,release_date,year,genres,cast,budget,runtime,original_language,overview,rating,mood,poster',
      'a1,"Say ""Yes"", Now",2027-01-02,2027,Drama | Comedy,A|B,0,0,en,"Line one,',
      'line two",7.5,sad,art/a.jpg',
      'a2,  Plain ,,1999,,,1000000,95.5,,,,,',
    ].join('\r\n'),
  });
  const file = path.join(folder, 'movies.csv');
  const { entries, movies, errors, unknown, bytes } = await read(file);
  t.deepEqual(errors, []);
  t.deepEqual(movies, [
    {
      id: 'a1',
      title: 'Say "Yes", Now',
      releaseDate: '2027-01-02',
      genres: ['Drama', 'Comedy'],
      cast: ['A', 'B'],
      language: 'en',
      synopsis: 'Line one,\r\nline two',
      poster: { path: path.join(folder, 'art', 'a.jpg') },
    },
    { id: 'a2', title: 'Plain', releaseDate: '1999', budget: 1_000_000, runtime: 95.5 },
  ]);
  t.deepEqual(unknown, ['mood']);
  t.true(bytes > 200);
  t.regex(entries[1]?.source ?? '', /movies\.csv row 2$/);
});

test('rows that cannot be used do not take the others with them; a broken quote ends the file', async (t) => {
  const folder = await folderOf(t, {
    'bad.csv': 'title,budget\nA,1e6\nB,lots\nC,2e6\nD,"3\n',
  });
  const { entries, movies, errors } = await read(path.join(folder, 'bad.csv'));
  t.deepEqual(
    movies.map((movie) => (movie as { title: string }).title),
    ['A', 'C'],
  );
  t.deepEqual(
    errors.map(({ code, field }) => [code, field]),
    [
      ['ERR_INPUT_TYPE', 'budget'],
      ['ERR_INPUT_FILE', undefined],
    ],
  );
  t.regex(errors[0]?.message ?? '', /number.*budget.*"lots"/);
  t.is(entries.length, 4);
});

test('a CSV without any known column is refused by its header', async (t) => {
  const folder = await folderOf(t, { 'x.csv': 'a,b\n1,2\n' });
  const { movies, errors } = await read(path.join(folder, 'x.csv'));
  t.is(movies.length, 0);
  t.is(errors[0]?.code, 'ERR_INPUT_FILE');
  t.regex(errors[0]?.message ?? '', /header line/);
});

for (const [what, files, target, code, message] of [
  ['a path where nothing is', {}, 'none.json', 'ERR_INPUT_FILE', /nothing is/],
  ['a file of another kind', { 'a.txt': 'x' }, 'a.txt', 'ERR_INPUT_FILE', /ending \.txt/],
  ['an empty folder', { 'sub/x.bin': '' }, 'sub2', 'ERR_INPUT_FILE', /nothing is/],
  ['a folder without film files', { 'sub/x.bin': '' }, 'sub', 'ERR_INPUT_EMPTY', /movie\.json/],
  ['broken JSON', { 'a.json': '{"title": ' }, 'a.json', 'ERR_INPUT_FILE', /JSON/],
  ['JSON that is no film', { 'a.json': '"title"' }, 'a.json', 'ERR_INPUT_TYPE', /object/],
  ['an empty array', { 'a.json': '[]' }, 'a.json', 'ERR_INPUT_EMPTY', /at least one film/],
  ['an empty JSON file', { 'a.json': '' }, 'a.json', 'ERR_INPUT_FILE', /JSON/],
] as const) {
  test(`refused with a typed error, and the next path is read: ${what}`, async (t) => {
    const folder = await folderOf(t, { ...files, 'good.json': '{"title":"Good"}' });
    const { errors, movies } = await read(path.join(folder, target), path.join(folder, 'good.json'));
    t.deepEqual(movies, [{ title: 'Good' }]);
    t.true(errors[0] instanceof CinefuseError);
    t.is(errors[0]?.code, code);
    t.regex(errors[0]?.message ?? '', message);
  });
}

test.serial('100,000 rows are read in the memory of a few', async (t) => {
  const row = `t,"${'word '.repeat(100)}",2000\n`;
  const folder = await folderOf(t, { 'big.csv': `title,overview,year\n${row.repeat(100_000)}` });
  let count = 0;
  let most = Number.NEGATIVE_INFINITY;
  let before = 0;
  const notes = { onProgress: () => {}, onUnknownColumns: () => {} };
  for await (const entry of readFilms([path.join(folder, 'big.csv')], notes)) {
    if ('movie' in entry) count++;
    if (count === 10_000) before = process.memoryUsage().rss;
    if (count > 10_000 && count % 5000 === 0) most = Math.max(most, process.memoryUsage().rss - before);
  }
  t.is(count, 100_000);
  // The file is 52 MB; held as strings its films would take twice that.
  t.true(most < 50e6, `grew by ${(most / 1e6).toFixed(0)} MB`);
});

sharedTest('the 11,159 films of the evaluation data all parse', ['data/movies/movies.csv'], async (t) => {
  const { movies, errors, unknown } = await read(sharedPath('data', 'movies', 'movies.csv'));
  t.deepEqual(errors, []);
  t.deepEqual(unknown, []);
  t.is(movies.length, 11_159);
  for (const movie of movies) t.notThrows(() => parseMovie(movie));
});
