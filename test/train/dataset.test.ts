import { mkdir, utimes, writeFile } from 'node:fs/promises';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { packageRoot } from '../../lib/native.js';
import { parseMovie } from '../../lib/movie.js';
import type { DatasetConfig } from '../../lib/train/data/config.js';
import { openDataset } from '../../lib/train/data/open.js';
import type { Dataset } from '../../lib/train/data/types.js';
import { throwsTyped } from '../errors.js';
import { sharedPath, sharedTest } from '../shared.js';
import { temporaryDirectory } from '../tiny-bundle.js';

const HEADER =
  'movie_id,title,release_date,runtime,budget,genres,cast,director,original_language,overview,rating';

/** A folder with these files in it, opened. */
async function opened(
  t: ExecutionContext,
  files: Record<string, string>,
  config: Partial<DatasetConfig> = {},
): Promise<Dataset & { folder: string }> {
  const folder = await folderOf(t, files);
  const dataset = await openDataset({ path: folder, ...config });
  return Object.assign(dataset, { folder });
}

async function folderOf(t: ExecutionContext, files: Record<string, string>): Promise<string> {
  const directory = await temporaryDirectory();
  t.teardown(() => directory[Symbol.asyncDispose]());
  for (const [name, text] of Object.entries(files)) {
    const file = path.join(directory.path, name);
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, text);
  }
  return directory.path;
}

test('a folder: table, files by name, columns with their types', async (t) => {
  const dataset = await opened(t, {
    'movies.csv': `${HEADER}
a1,"Sea, the",1999-03-05,90,1000000,Drama|War,Ann Lee|Bo Ek,Bo Ek,en,"A ship.
It sinks.",7.5

b2,Ship,2004,0,0,,,,,,
`,
    'images/a1.PNG': 'x',
    'images/a1.webp': 'x',
    'images/other.jpg': 'x',
    'audio/b2.wav': 'x',
    'trailers/b2.mp4': 'x',
    'reviews/a1.txt': 'Fine.',
    'subtitles/a1.srt': 'x',
    'scripts/a1.txt': 'x',
    'synopses/b2.txt': 'Not read: the table has a column.',
  });
  t.is(dataset.length, 2);
  t.deepEqual(dataset.ids, ['a1', 'b2']);
  t.deepEqual(dataset.problems, []);
  const file = (...parts: string[]) => ({ path: path.join(dataset.folder, ...parts) });
  t.deepEqual(await dataset.movie(0), {
    id: 'a1',
    title: 'Sea, the',
    releaseDate: '1999-03-05',
    runtime: 90,
    budget: 1_000_000,
    genres: ['Drama', 'War'],
    cast: ['Ann Lee', 'Bo Ek'],
    director: ['Bo Ek'],
    language: 'en',
    synopsis: 'A ship.\nIt sinks.',
    // png comes before webp, whatever the folder's order
    poster: file('images', 'a1.PNG'),
    reviews: file('reviews', 'a1.txt'),
    script: file('scripts', 'a1.txt'),
    subtitles: file('subtitles', 'a1.srt'),
  });
  t.deepEqual(await dataset.movie(1), {
    id: 'b2',
    title: 'Ship',
    releaseDate: '2004',
    trailer: file('trailers', 'b2.mp4'),
    audio: file('audio', 'b2.wav'),
  });
  t.deepEqual(dataset.inputs, {
    title: 2,
    synopsis: 1,
    script: 1,
    subtitles: 1,
    reviews: 1,
    metadata: 2,
    poster: 1,
    'trailer.video': 1,
    'trailer.audio': 1,
    audio: 1,
  });
  const types = Object.fromEntries(dataset.columns.map(({ name, type }) => [name, type]));
  t.like(types, {
    movie_id: 'string',
    runtime: 'number',
    genres: 'list',
    release_date: 'string',
    rating: 'number',
  });
  t.deepEqual((await dataset.column('runtime', { type: 'number' })).values, Float64Array.of(90, Number.NaN));
  t.deepEqual((await dataset.column('genres', { type: 'list' })).values, [['Drama', 'War'], []]);
  t.deepEqual((await dataset.column('overview', { type: 'string' })).values, [
    'A ship.\nIt sinks.',
    undefined,
  ]);
  t.deepEqual(
    dataset.columns.filter(({ afterRelease }) => afterRelease).map(({ name }) => name),
    ['rating'],
  );
  await throwsTyped(t, () => dataset.column('raiting'), {
    code: 'ERR_DATA_COLUMN',
    message: /did you mean rating/,
  });
  await throwsTyped(t, () => dataset.column('genres', { type: 'number' }), {
    code: 'ERR_DATA_COLUMN',
    field: 'genres',
    message: /type number.*type list/,
  });
  await throwsTyped(t, () => dataset.movie(2), { code: 'ERR_INPUT_VALUE', field: 'row' });
});

const JSON_LINES = [
  {
    id: 1,
    title: 'Sea',
    releaseDate: '1999',
    genres: ['Drama'],
    synopsis: 'A ship.',
    poster: 'p.png',
    rating: 7,
  },
  {
    id: 2,
    title: 'Ship',
    synopsis: { path: 's.txt' },
    reviews: ['Good.', 'Bad.'],
    script: 'INT. NIGHT',
    seen: true,
  },
];

test('the same films from CSV with other line ends, TSV, JSON lines', async (t) => {
  const csv = `\ufeffid,title,releaseDate,note\r\n1,"Sea ""2""",1999,x\r\n\r\n2,"a\r\nb",2001,é\r\n3,c,,`;
  const one = await opened(t, { 'movies.csv': csv });
  t.deepEqual(one.ids, ['1', '2', '3']);
  t.deepEqual(
    (await one.movies([2, 0, 1])).map(({ title }) => title),
    ['c', 'Sea "2"', 'a\r\nb'],
  );
  t.deepEqual((await one.column('note', { type: 'string' })).values, ['x', 'é', undefined]);

  const two = await opened(t, { 'movies.tsv': 'id\ttitle\tcast\n7\tThe "Sea"\tA|B\n8\t\t\n' });
  t.deepEqual(await two.movie(0), { id: '7', title: 'The "Sea"', cast: ['A', 'B'] });
  t.like(two.problems[0], { line: 3, id: '8', why: 'nothing is told of the film' });

  const lines = JSON_LINES.map((film) => JSON.stringify(film)).join('\n\n');
  const three = await opened(t, { 'movies.jsonl': `${lines}\n`, 'p.png': 'x', 's.txt': 'x' });
  t.deepEqual(await three.movies([0, 1]), [
    {
      id: '1',
      title: 'Sea',
      releaseDate: '1999',
      genres: ['Drama'],
      synopsis: 'A ship.',
      poster: { path: path.join(three.folder, 'p.png') },
    },
    {
      id: '2',
      title: 'Ship',
      synopsis: { path: path.join(three.folder, 's.txt') },
      reviews: ['Good.', 'Bad.'],
      script: 'INT. NIGHT',
    },
  ]);
  t.deepEqual((await three.column('seen', { type: 'number' })).values, Float64Array.of(Number.NaN, 1));
  t.deepEqual((await three.column('rating', { type: 'number' })).values, Float64Array.of(7, Number.NaN));
});

const FIXTURES = path.join(packageRoot(), 'test', 'train', 'fixtures');

for (const codec of ['snappy', 'zstd']) {
  test(`Parquet that DuckDB wrote, ${codec}`, async (t) => {
    const dataset = await openDataset(path.join(FIXTURES, `films-${codec}.parquet`));
    t.deepEqual(await dataset.movie(0), {
      id: 'f1',
      title: 'Sea',
      releaseDate: '1999-03-05',
      runtime: 90,
      budget: 1000000.5,
      genres: ['Drama'],
      cast: ['Ann Lee', 'Bo Ek'],
      synopsis: 'The sea and the ship.',
    });
    t.is((await dataset.movie(2)).title, '夜');
    t.deepEqual(
      dataset.problems.map(({ line, id, column, file }) => [line, id, column, path.basename(file)]),
      [
        [1, 'f1', 'poster', 'f1.png'],
        [3, 'f3', 'poster', 'none.png'],
      ],
    );
    t.deepEqual(
      (await dataset.column('rating', { type: 'number' })).values,
      Float64Array.of(7.25, 6.5, Number.NaN),
    );
    t.deepEqual(
      (await dataset.column('dubbed', { type: 'number' })).values,
      Float64Array.of(1, 0, Number.NaN),
    );
  });
}

test('Parquet of several blocks and row groups, read in any order', async (t) => {
  const dataset = await openDataset(path.join(FIXTURES, 'many.parquet'));
  t.is(dataset.length, 5000);
  const rows = [4999, 0, 4095, 4096, 2048];
  t.deepEqual(
    (await dataset.movies(rows)).map(({ id, title }) => [id, title]),
    rows.map((row) => [String(row), `Film ${row}`]),
  );
  const scores = (await dataset.column('score', { type: 'number' })).values;
  t.true(scores.every((score, row) => score === row % 7));
});

test('every bad cell and missing file is told, with its line, and the film goes on without it', async (t) => {
  const rows = Array.from({ length: 60 }, (_, i) => `ok${i},T,2001-02-03,90,2000000,Drama,A,B,en,Text,7,`);
  const dataset = await opened(t, {
    'movies.csv': `${HEADER},poster
x1,T,5/6/15,-3,cheap,Drama,A,B,english!,Text,7,images/none.jpg
x2,T,2001-13-01,9000,1e12,Drama,A,B,en,Text,7,https://example.org/p.jpg
,no id,2001,90,1,,,,,,,
${rows.join('\n')}
x3,,,,,,,,,,,`,
  });
  t.deepEqual(
    dataset.problems.map(({ line, id, column, why }) => [line, id, column, why.slice(0, 40)]),
    [
      [2, 'x1', 'release_date', 'expected a date as YYYY-MM-DD, YYYY-MM o'],
      [2, 'x1', 'runtime', 'expected minutes from above 0 to 6000, r'],
      [2, 'x1', 'original_language', 'expected an ISO 639-1 code such as "en",'],
      [2, 'x1', 'poster', 'there is no such file'],
      [2, 'x1', 'budget', 'expected a number, received the string "'],
      [3, 'x2', 'release_date', 'expected a date as YYYY-MM-DD, YYYY-MM o'],
      [3, 'x2', 'runtime', 'expected minutes from above 0 to 6000, r'],
      [3, 'x2', 'budget', 'expected dollars from 0 to 1e11, receive'],
      [3, 'x2', 'poster', 'expected the path of a local file, recei'],
      [4, undefined, 'movie_id', 'a film without an id is left out'],
      [65, 'x3', undefined, 'nothing is told of the film'],
    ],
  );
  t.is(dataset.length, 63);
  t.deepEqual(await dataset.movie(0), {
    id: 'x1',
    title: 'T',
    genres: ['Drama'],
    cast: ['A'],
    director: ['B'],
    synopsis: 'Text',
  });
  // What is left of a film is one that a Predictor takes.
  for (let row = 0; row < dataset.length - 1; row++)
    t.notThrows(async () => parseMovie(await dataset.movie(row)));
});

test('what cannot be a data set is refused by name', async (t) => {
  const refused = async (
    files: Record<string, string>,
    code: 'ERR_DATA_FORMAT' | 'ERR_DATA_COLUMN' | 'ERR_DATA_EMPTY' | 'ERR_DATA_NOT_FOUND',
    message: RegExp,
    config: object = {},
  ) => {
    const folder = await folderOf(t, files);
    await throwsTyped(t, () => openDataset({ path: folder, ...config }), { code, message });
  };
  await refused({ 'movies.csv': 'id,title\n1,a\n2,b,c\n' }, 'ERR_DATA_FORMAT', /movies\.csv:3/);
  await refused({ 'movies.csv': 'id,title\n1,a\n2,"b\n' }, 'ERR_DATA_FORMAT', /movies\.csv/);
  await refused(
    { 'movies.csv': 'id,title\n1,a\n\n1,b\n' },
    'ERR_DATA_FORMAT',
    /movies\.csv:4.*"1" again, which line 2 has/,
  );
  await refused({ 'movies.csv': 'id,id\n1,2\n' }, 'ERR_DATA_FORMAT', /"id" twice/);
  await refused({ 'movies.csv': '' }, 'ERR_DATA_FORMAT', /empty file/);
  await refused({ 'movies.csv': 'id,title\n' }, 'ERR_DATA_EMPTY', /films/);
  await refused({ 'movies.csv': 'name\nx\n' }, 'ERR_DATA_COLUMN', /movie_id or id/);
  await refused({ 'movies.jsonl': '{"id":1}\n[1]\n' }, 'ERR_DATA_FORMAT', /JSON object.*movies\.jsonl:2/);
  await refused({ 'movies.jsonl': '{"id":1}\n{"id":\n' }, 'ERR_DATA_FORMAT', /movies\.jsonl:2/);
  await refused({ 'movies.parquet': 'PAR1 and no more' }, 'ERR_DATA_FORMAT', /Apache Parquet/);
  await refused({ 'films.csv': 'id\n1\n' }, 'ERR_DATA_NOT_FOUND', /movies\.csv/);
  const table = { 'movies.csv': 'id,title\n1,a\n' };
  await refused(table, 'ERR_DATA_COLUMN', /did you mean title/, { fields: { synopsis: 'titel' } });
  await refused(table, 'ERR_DATA_COLUMN', /did you mean synopsis/, { fields: { synopsys: 'title' } });
  await refused(table, 'ERR_DATA_COLUMN', /did you mean title.*columns\.titel/, {
    columns: { titel: { type: 'string' } },
  });
  await throwsTyped(t, () => openDataset('/nowhere/at/all'), { code: 'ERR_DATA_NOT_FOUND' });
  const folder = await folderOf(t, { 'films.txt': 'x' });
  await throwsTyped(t, () => openDataset(path.join(folder, 'films.txt')), {
    code: 'ERR_DATA_FORMAT',
    message: /\.txt/,
  });
  await throwsTyped(t, () => openDataset({ path: folder, colums: {} } as never), {
    code: 'ERR_INPUT_UNKNOWN_FIELD',
    field: 'dataset.colums',
    message: /did you mean columns/,
  });
  await throwsTyped(t, () => openDataset(folder, { signal: AbortSignal.abort() }), { code: 'ERR_CANCELLED' });
});

for (const [ending, row] of [
  ['csv', (i: number) => `${i},Film ${i}`],
  ['jsonl', (i: number) => JSON.stringify({ id: i, title: `Film ${i}` })],
] as const) {
  test(`opening ${ending} tells how far it is, and can be cancelled`, async (t) => {
    const lines = Array.from({ length: 30_000 }, (_, i) => row(i));
    const folder = await folderOf(t, {
      [`movies.${ending}`]: `${ending === 'csv' ? 'id,title\n' : ''}${lines.join('\n')}\n`,
    });
    const told: number[] = [];
    const dataset = await openDataset(folder, { onProgress: ({ films }) => told.push(films) });
    t.is(told.at(-1), 30_000);
    t.true(told.length > 10);
    t.deepEqual((await dataset.movie(29_999)).title, 'Film 29999');
    const controller = new AbortController();
    const cancelled = openDataset(folder, {
      signal: controller.signal,
      onProgress: ({ films }) => {
        if (films >= 5000) controller.abort();
      },
    });
    await throwsTyped(t, () => cancelled, { code: 'ERR_CANCELLED' });
    await throwsTyped(t, () => dataset.column('title', { signal: AbortSignal.abort() }), {
      code: 'ERR_CANCELLED',
    });
  });
}

test('a configuration says what names do not', async (t) => {
  const dataset = await opened(
    t,
    {
      'movies.csv':
        'key,name,plot_text,tags,stars,profit_guess,age_rating\nk1,Sea,"A ship.","a, b",0,5,12\nk2,Ship,,c,8,?,16\n',
    },
    {
      id: 'key',
      fields: { title: 'name', synopsis: 'plot_text' },
      columns: {
        tags: { type: 'list', separator: ',' },
        stars: { missing: ['0'] },
        profit_guess: { afterRelease: false },
      },
    },
  );
  t.deepEqual(await dataset.movie(0), { id: 'k1', title: 'Sea', synopsis: 'A ship.' });
  t.deepEqual((await dataset.column('tags', { type: 'list' })).values, [['a', 'b'], ['c']]);
  t.deepEqual((await dataset.column('stars', { type: 'number' })).values, Float64Array.of(Number.NaN, 8));
  const after = dataset.columns.filter(({ afterRelease }) => afterRelease).map(({ name }) => name);
  t.deepEqual(after, ['tags', 'stars']);
});

test('inputs known only after release are refused', async (t) => {
  const files = {
    'movies.csv': 'id,title,revenue,verdict,reviews\n1,Sea,100,Good,r.txt\n',
    'r.txt': 'Fine.',
  };
  const plain = await opened(t, files);
  t.notThrows(() => plain.refuseLeaks(['title', 'metadata', 'poster']));
  await throwsTyped(t, () => plain.refuseLeaks(['title', 'reviews']), {
    code: 'ERR_DATA_LEAK',
    field: 'reviews',
  });
  t.notThrows(() => plain.refuseLeaks(['reviews'], { beforeRelease: false }));
  await throwsTyped(t, () => plain.refuseLeaks(['metadata'], { targets: ['title'], beforeRelease: false }), {
    code: 'ERR_DATA_LEAK',
    field: 'title',
    message: /a target/,
  });
  const mapped = await opened(t, files, { fields: { budget: 'revenue' } });
  await throwsTyped(t, () => mapped.refuseLeaks(['metadata']), {
    code: 'ERR_DATA_LEAK',
    field: 'revenue',
    message: /the column revenue, known only after/,
  });
  const said = await opened(t, files, {
    fields: { synopsis: 'verdict' },
    columns: { verdict: { afterRelease: true }, reviews: { afterRelease: false } },
  });
  await throwsTyped(t, () => said.refuseLeaks(['synopsis']), { code: 'ERR_DATA_LEAK', field: 'verdict' });
  t.notThrows(() => said.refuseLeaks(['reviews']));
  const folder = await opened(t, { 'movies.csv': 'id,title\n1,Sea\n', 'reviews/1.txt': 'Fine.' });
  await throwsTyped(t, () => folder.refuseLeaks(['reviews']), { code: 'ERR_DATA_LEAK', field: 'reviews' });
});

test('a table that changes after it was opened is noticed', async (t) => {
  const dataset = await opened(t, { 'movies.csv': 'id,title\n1,Sea\n2,Ship\n' });
  t.is((await dataset.movie(1)).title, 'Ship');
  await writeFile(dataset.path, 'id,title\n1,Sea\n2,Shop\n');
  await utimes(dataset.path, new Date(), new Date(Date.now() + 5000));
  await throwsTyped(t, () => dataset.movies([1]), {
    code: 'ERR_DATA_READ',
    message: /open the data set again/,
  });
});

test('the hash is that of the table and of how it is read', async (t) => {
  const files = { 'movies.csv': 'id,title\n1,Sea\n' };
  const [a, b, c] = [await opened(t, files), await opened(t, files), await opened(t, files, { id: 'id' })];
  t.is(a.sha256, b.sha256);
  t.not(a.sha256, c.sha256);
  const d = await opened(t, { 'movies.csv': 'id,title\n1,See\n' });
  t.not(a.sha256, d.sha256);
});

test('many unnamed and odd cells: every film comes back whole, whatever its cells hold', async (t) => {
  const cells = [
    '',
    '0',
    '-1',
    'NaN',
    '1e999',
    'null',
    '\\N',
    'x',
    '2001',
    '"a|b|"',
    '"  "',
    '"é\n""q"""',
    'true',
  ];
  const columns = [
    'title',
    'year',
    'release_date',
    'runtime',
    'budget',
    'genres',
    'cast',
    'language',
    'overview',
  ];
  let seed = 7;
  const next = () => {
    seed = (seed * 1103515245 + 12345) % 2147483648;
    return seed;
  };
  const lines = Array.from({ length: 300 }, (_, i) =>
    [`r${i}`, ...columns.map(() => cells[(next() >> 8) % cells.length])].join(','),
  );
  const dataset = await opened(t, { 'movies.csv': `id,${columns.join(',')}\n${lines.join('\n')}\n` });
  t.is(dataset.length, 300);
  const movies = await dataset.movies(Array.from({ length: 300 }, (_, i) => i));
  for (const [i, movie] of movies.entries()) {
    t.is(movie.id, `r${i}`);
    if (Object.keys(movie).length > 1) t.notThrows(() => parseMovie(movie), lines[i]);
  }
});

sharedTest(
  'the real films: all of them, their posters, their own split',
  ['data/movies/movies.csv'],
  async (t) => {
    const dataset = await openDataset(sharedPath('data', 'movies'));
    t.is(dataset.length, 11_159);
    t.is(dataset.inputs.poster, 6_963);
    t.is(dataset.inputs.synopsis, 11_142);
    t.deepEqual(dataset.problems, []);
    const split = await dataset.split({ kind: 'column', column: 'split' });
    t.deepEqual([split.train.length, split.valid.length, split.test.length], [8_927, 1_115, 1_117]);
    const after = dataset.columns.filter(({ afterRelease }) => afterRelease).map(({ name }) => name);
    t.deepEqual(after, ['keywords', 'revenue', 'rating', 'rating_count']);
    const revenue = await dataset.column('revenue', { type: 'number' });
    t.is(revenue.filled, 11_159 - 6_365);
  },
);
