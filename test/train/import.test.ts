import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import test, { type ExecutionContext } from 'ava';
import { importDataset, type ImportKind, type ImportOptions } from '../../lib/train/data/import.js';
import { openDataset } from '../../lib/train/data/open.js';
import { throwsTyped } from '../errors.js';
import { temporaryDirectory } from '../tiny-bundle.js';

async function folderOf(t: ExecutionContext, files: Record<string, string | Uint8Array>): Promise<string> {
  const directory = await temporaryDirectory();
  t.teardown(() => directory[Symbol.asyncDispose]());
  for (const [name, content] of Object.entries(files)) {
    const file = path.join(directory.path, name);
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, content);
  }
  return directory.path;
}

async function imported(
  t: ExecutionContext,
  kind: ImportKind,
  files: Record<string, string | Uint8Array>,
  options: ImportOptions & { from?: string } = {},
) {
  const source = await folderOf(t, files);
  const target = path.join(source, 'films');
  const { from = '.', ...rest } = options;
  const report = await importDataset(kind, path.join(source, from), target, rest);
  t.deepEqual(await readdir(target), ['movies.csv']);
  const dataset = await openDataset(target);
  t.deepEqual(dataset.problems, []);
  t.is(dataset.length, report.films);
  const rows = Array.from({ length: dataset.length }, (_, row) => row);
  const ratings = await dataset.column('rating', { type: 'number' }).catch(() => undefined);
  return { report, dataset, movies: await dataset.movies(rows), ratings: ratings?.values, source, target };
}

const tsv = (...rows: string[][]) => `${rows.map((row) => row.join('\t')).join('\n')}\n`;

const IMDB = {
  'title.basics.tsv.gz': gzipSync(
    tsv(
      'tconst titleType primaryTitle originalTitle isAdult startYear endYear runtimeMinutes genres'.split(
        ' ',
      ),
      ['tt0000001', 'movie', 'The "Sea"', 'Das Meer', '0', '1999', '\\N', '90', 'Drama,War'],
      ['tt0000002', 'short', 'Ship', 'Ship', '0', '2001', '\\N', '5', '\\N'],
      ['tt0000003', 'movie', 'Night, the', 'Night', '0', '\\N', '\\N', '\\N', '\\N'],
      ['tt0000004', 'movie', 'Adults only', 'x', '1', '2001', '\\N', '80', 'Drama'],
      ['tt0000005', 'movie', 'Unrated', 'x', '0', '2005', '\\N', '80', 'Drama'],
    ),
  ),
  'title.ratings.tsv': tsv(
    ['tconst', 'averageRating', 'numVotes'],
    ['tt0000001', '7.5', '100'],
    ['tt0000002', '8.0', '5000'],
    ['tt0000003', '5.1', '9'],
  ),
  'title.crew.tsv': tsv(
    ['tconst', 'directors', 'writers'],
    ['tt0000001', 'nm0000009,nm0000007', '\\N'],
    ['tt0000003', '\\N', 'nm0000001'],
  ),
  'title.principals.tsv': tsv(
    ['tconst', 'ordering', 'nconst', 'category', 'job', 'characters'],
    ['tt0000001', '2', 'nm0000002', 'actress', '\\N', '["She"]'],
    ['tt0000001', '1', 'nm0000001', 'actor', '\\N', '["He"]'],
    ['tt0000001', '3', 'nm0000003', 'producer', 'producer', '\\N'],
    ['tt0000003', '1', 'nm0000008', 'director', '\\N', '\\N'],
  ),
  'name.basics.tsv': tsv(
    ['nconst', 'primaryName', 'birthYear'],
    ...[1, 2, 3, 7, 8].map((n) => [`nm000000${n}`, `Person ${n}`, '\\N']),
  ),
};

test("IMDb's tables", async (t) => {
  const { movies, ratings, dataset } = await imported(t, 'imdb', IMDB);
  t.deepEqual(movies, [
    {
      id: 'tt0000001',
      title: 'The "Sea"',
      releaseDate: '1999',
      runtime: 90,
      genres: ['Drama', 'War'],
      cast: ['Person 1', 'Person 2'],
      director: ['Person 7'],
    },
    { id: 'tt0000003', title: 'Night, the', director: ['Person 8'] },
    { id: 'tt0000005', title: 'Unrated', releaseDate: '2005', runtime: 80, genres: ['Drama'] },
  ]);
  t.deepEqual(ratings, Float64Array.of(7.5, 5.1, Number.NaN));
  t.deepEqual(
    (await dataset.column('rating_count', { type: 'number' })).values,
    Float64Array.of(100, 9, Number.NaN),
  );

  const voted = await imported(t, 'imdb', IMDB, { minVotes: 50, titleTypes: ['movie', 'short'] });
  t.deepEqual(
    voted.movies.map(({ id }) => id),
    ['tt0000001', 'tt0000002'],
  );
});

const quoted = (text: string) => `"${text.replaceAll('"', '""')}"`;

test('TMDB 5000: JSON in cells, credits beside', async (t) => {
  const genres = '[{"id": 18, "name": "Drama"}, {"id": 10752, "name": "War"}]';
  const keywords = '[{"id": 1, "name": "sea"}]';
  const cast = '[{"name": "Second", "order": 1}, {"name": "First", "order": 0}]';
  const crew = '[{"job": "Director", "name": "Ann Lee"}, {"job": "Editor", "name": "Ed"}]';
  const { movies, ratings, dataset, report } = await imported(t, 'tmdb', {
    'tmdb_5000_movies.csv': `budget,genres,id,keywords,original_language,overview,release_date,revenue,runtime,title,vote_average,vote_count
1000000,${quoted(genres)},19995,${quoted(keywords)},en,"A ship, at ""sea"".",2009-12-10,5000000,162.0,Sea,7.2,11800
0,[],20,[],xx,,,0,,Nobody,0.0,0
0,[],20,[],xx,,,0,,Nobody again,0.0,0
`,
    'tmdb_5000_credits.csv': `movie_id,title,cast,crew\n19995,Sea,${quoted(cast)},${quoted(crew)}\n`,
    'links.csv': 'movieId,imdbId,tmdbId\n1,2,3\n',
  });
  t.deepEqual(movies[0], {
    id: '19995',
    title: 'Sea',
    releaseDate: '2009-12-10',
    runtime: 162,
    budget: 1e6,
    genres: ['Drama', 'War'],
    cast: ['First', 'Second'],
    director: ['Ann Lee'],
    language: 'en',
    synopsis: 'A ship, at "sea".',
  });
  t.deepEqual(ratings, Float64Array.of(7.2, Number.NaN));
  t.deepEqual((await dataset.column('keywords', { type: 'list' })).values, [['sea'], []]);
  t.deepEqual((await dataset.column('revenue', { type: 'number' })).values, Float64Array.of(5e6, Number.NaN));
  t.deepEqual(
    report.problems.map(({ file, id }) => [path.basename(file), id]),
    [
      ['links.csv', undefined],
      ['movies.csv', '20'],
    ],
  );
});

test("the Movies Dataset: Python's lists, rows broken in two, posters by their names", async (t) => {
  const cast = `[{'cast_id': 14, 'name': "Rosie O'Donnell", 'order': 1, 'profile_path': None}, {'name': 'Zo\\xeb "Z" \\'Q\\'', 'order': 0, 'adult': False}]`;
  const source = {
    'movies_metadata.csv': `adult,budget,genres,id,imdb_id,original_language,overview,poster_path,release_date,revenue,runtime,title,vote_average,vote_count
False,30000000,"[{'id': 16, 'name': 'Animation'}]",862,tt0114709,en,Led by Woody.,/rhIRbceoE9lR4veEXuwCC2wARtG.jpg,1995-10-30,373554033.0,81.0,Toy Story,7.7,5415.0
False,0,[],1997-08-20,0,x,,,1,,,,,
`,
    'credits.csv': `cast,crew,id\n${quoted(cast)},"[{'job': 'Director', 'name': 'John Lasseter'}]",862\n`,
    'keywords.csv': `id,keywords\n862,"[{'id': 931, 'name': 'jealousy'}]"\n`,
    'pictures/rhIRbceoE9lR4veEXuwCC2wARtG.jpg': 'x',
  };
  const folder = await folderOf(t, source);
  const { problems, films } = await importDataset('tmdb', folder, path.join(folder, 'pictures'), {
    posters: path.join(folder, 'pictures'),
  });
  t.is(films, 1);
  t.like(problems, [{ line: 3, why: 'expected a film\'s number as id, received "1997-08-20"' }]);
  const dataset = await openDataset(path.join(folder, 'pictures'));
  t.like(await dataset.movie(0), {
    id: '862',
    cast: [`Zoë "Z" 'Q'`, "Rosie O'Donnell"],
    director: ['John Lasseter'],
    runtime: 81,
    poster: { path: path.join(folder, 'pictures', 'rhIRbceoE9lR4veEXuwCC2wARtG.jpg') },
  });
  const table = await readFile(path.join(folder, 'pictures', 'movies.csv'), 'utf8');
  t.regex(table, /,rhIRbceoE9lR4veEXuwCC2wARtG\.jpg\n$/);
});

test('one CSV with lists in text; short years only with the year told', async (t) => {
  const header =
    'id,imdb_id,budget,revenue,original_title,cast,director,overview,runtime,genres,release_date,vote_count,vote_average,release_year';
  const { movies, report } = await imported(
    t,
    'tmdb',
    {
      'tmdb-movies.csv': `${header}
1,tt1,0,0,Sea,A|B,C,Text,90,Drama|War,6/9/15,10,6.5,2015
2,tt2,0,0,Old,"A, B",C,Text,90,"Drama, Science Fiction",10/11/66,10,6.5,1966
3,tt3,0,0,When,A,C,Text,90,Drama,6/9/15,10,6.5,
`,
    },
    { from: 'tmdb-movies.csv' },
  );
  t.deepEqual(
    movies.map(({ releaseDate }) => releaseDate),
    ['2015-06-09', '1966-10-11', undefined],
  );
  t.deepEqual(movies[1]!.genres, ['Drama', 'Science Fiction']);
  t.like(report.problems, [{ id: '3', column: 'release_date' }]);
});

test("the API's answers: an array, lines, a film a file", async (t) => {
  const film = (id: number) => ({
    id,
    imdb_id: `tt${id}`,
    title: `Film ${id}`,
    release_date: '2020-01-02',
    overview: 'Text',
    genres: [{ id: 18, name: 'Drama' }],
    credits: { cast: [{ name: 'A', order: 0 }], crew: [{ job: 'Director', name: 'D' }] },
    keywords: { keywords: [{ id: 1, name: 'sea' }] },
    vote_average: 6,
    vote_count: id,
  });
  for (const [files, ids] of [
    [{ 'films.json': JSON.stringify([film(1), film(2)]) }, ['1', '2']],
    [{ 'films.jsonl.gz': gzipSync(`${JSON.stringify(film(1))}\n${JSON.stringify(film(2))}\n`) }, ['1', '2']],
    [{ '1.json': JSON.stringify(film(1)), '2.json': JSON.stringify(film(2), undefined, 2) }, ['1', '2']],
  ] as const) {
    const { movies } = await imported(t, 'tmdb', files);
    t.deepEqual(
      movies.map(({ id }) => id),
      ids,
    );
    t.like(movies[1], {
      genres: ['Drama'],
      cast: ['A'],
      director: ['D'],
      synopsis: 'Text',
      releaseDate: '2020-01-02',
    });
  }
});

test('MovieLens, new and old', async (t) => {
  const { movies, ratings, dataset } = await imported(t, 'movielens', {
    'movies.csv': `movieId,title,genres\n1,Toy Story (1995),Adventure|Animation\n2,"American President, The (1995)",(no genres listed)\n3,No year,Drama\n`,
    'ratings.csv':
      'userId,movieId,rating,timestamp\n1,1,4.0,964982703\n2,1,4.5,964982931\n1,3,0.5,1\n1,9,x,1\n',
    'links.csv': 'movieId,imdbId,tmdbId\n1,0114709,862\n2,112346,\n',
  });
  t.deepEqual(movies, [
    { id: 'tt0114709', title: 'Toy Story', releaseDate: '1995', genres: ['Adventure', 'Animation'] },
    { id: 'tt0112346', title: 'The American President', releaseDate: '1995' },
    { id: '3', title: 'No year', genres: ['Drama'] },
  ]);
  t.deepEqual(ratings, Float64Array.of(8.5, Number.NaN, 1));
  t.deepEqual((await dataset.column('rating_count', { type: 'number' })).values, Float64Array.of(2, 0, 1));
  const old = await imported(
    t,
    'movielens',
    {
      'movies.dat': Buffer.from(
        "1::Misérables, Les (1995)::Drama|Children's\n\n2::Unrated (2000)::Drama\n",
        'latin1',
      ),
      'ratings.dat': '1::1::5::978300760\n2::1::3::978302109\n',
    },
    { minVotes: 1 },
  );
  t.deepEqual(old.movies, [
    { id: '1', title: 'Les Misérables', releaseDate: '1995', genres: ['Drama', "Children's"] },
  ]);
  t.deepEqual(old.ratings, Float64Array.of(8));
});

test('what is no such source is refused, and nothing half-written is left', async (t) => {
  const folder = await folderOf(t, {
    'movies.csv': 'id,name\n1,x\n',
    'a/title.basics.tsv': 'tconst\tgenres\n',
    'b/title.basics.tsv.gz': 'no gzip',
  });
  const target = path.join(folder, 'out');
  const refused = (
    kind: string,
    from: string,
    code: Parameters<typeof throwsTyped>[2]['code'],
    message: RegExp,
  ) =>
    throwsTyped(t, () => importDataset(kind as ImportKind, path.join(folder, from), target), {
      code,
      message,
    });
  await refused('imdb', '.', 'ERR_DATA_NOT_FOUND', /title\.basics/);
  await refused('imdb', 'a', 'ERR_DATA_COLUMN', /titleType/);
  await refused('imdb', 'b', 'ERR_DATA_FORMAT', /title\.basics\.tsv\.gz/);
  await refused('tmdb', 'nowhere', 'ERR_DATA_NOT_FOUND', /TMDB/);
  await refused('tmdb', 'movies.csv', 'ERR_DATA_NOT_FOUND', /overview/);
  await refused('movielens', 'a', 'ERR_DATA_NOT_FOUND', /movies\.dat/);
  await refused('movielens', '.', 'ERR_DATA_EMPTY', /films/);
  await refused('letterboxd', '.', 'ERR_INPUT_VALUE', /imdb, tmdb, movielens/);
  t.deepEqual(await readdir(target).catch(() => []), []);
  const good = await folderOf(t, IMDB);
  await importDataset('imdb', good, good);
  await throwsTyped(t, () => importDataset('imdb', good, good), {
    code: 'ERR_DATA_WRITE',
    message: /overwrite/,
  });
  t.is((await importDataset('imdb', good, good, { overwrite: true })).films, 3);
  await throwsTyped(t, () => importDataset('imdb', good, target, { signal: AbortSignal.abort() }), {
    code: 'ERR_CANCELLED',
  });
});
