import { readFile, truncate, writeFile } from 'node:fs/promises';
import path from 'node:path';
import test from 'ava';
import { FilmIndex, type IndexedFilm } from '../../lib/explain/index.js';
import { StoredVectors } from '../../lib/explain/stored-vectors.js';
import { type Movie, Predictor } from '../../lib/index.js';
import { random } from '../backends.js';
import { throwsTyped } from '../errors.js';
import { type Fusion, saveTiny, temporaryDirectory } from '../tiny-bundle.js';

const WORDS = 'a the of man woman war love sea light ship death night king city family story film'.split(' ');

function films(count: number, seed = 1): IndexedFilm[] {
  const next = random(seed);
  const pick = <T>(list: readonly T[]) => list[Math.floor(next() * list.length)]!;
  return Array.from({ length: count }, (_, i) => ({
    movie: {
      id: `f${i}`,
      title: `${pick(WORDS)} ${i}`,
      releaseDate: `${1990 + Math.floor(next() * 30)}`,
      runtime: 80 + Math.floor(next() * 60),
      budget: 10 ** (5 + 3 * next()),
      genres: [pick(['Drama', 'War', 'Comedy'])],
      cast: [pick(['Ann Lee', 'Cy Orr', 'Ed Gu'])],
      director: pick(['Bo Ek', 'Di Fay']),
      synopsis: Array.from({ length: 20 }, () => pick(WORDS)).join(' '),
    },
    outcomes: { rating: 5 + 3 * next(), ...(i % 2 && { boxOffice: 1e6 }) },
  }));
}

const tinyPredictor = async (directory: string, fusion?: Fusion) =>
  Predictor.load(await saveTiny(directory, fusion), { threads: 1 });

test('a film and its twin are nearest; never itself; what they share and what is near is said', async (t) => {
  await using folder = await temporaryDirectory();
  await using predictor = await tinyPredictor(folder.path);
  const all = films(40);
  const twin: Movie = { ...all[7]!.movie, id: 'twin', title: 'Another name' };
  // One at a time: the tiny text encoder takes the padding of a shared run into its mean.
  const index = await FilmIndex.build(predictor, [...all, { movie: { id: 'broken', budget: -1 } }], {
    concurrency: 1,
  });
  t.is(index.size, 40);
  t.deepEqual(
    index.problems.map(({ id, error }) => [id, error.code]),
    [['broken', 'ERR_INPUT_VALUE']],
  );
  const nearest = await index.nearest(await predictor.locate(twin), { count: 3 });
  t.is(nearest.length, 3);
  const [first] = nearest;
  t.is(first!.film.id, 'f7');
  t.true(nearest.every(({ similarity }, i) => i === 0 || similarity <= nearest[i - 1]!.similarity));
  t.deepEqual(first!.outcomes, all[7]!.outcomes!);
  t.deepEqual(
    first!.shared.map(({ fact }) => fact),
    ['director', 'cast', 'genres', 'years', 'budget'],
  );
  const plot = first!.near.find(({ input }) => input === 'synopsis')!;
  t.true(plot.similarity > 0.9999 && plot.nearerThan === 1, JSON.stringify(plot));
  t.regex(first!.reason, /plot nearer than that of 100 % of the films; shared director/);
  t.false(
    (await index.nearest(await predictor.locate(all[7]!.movie), { count: 39 })).some(
      ({ film }) => film.id === 'f7',
    ),
  );
  const { comparables } = await predictor.explain(twin, { index, comparables: 2, maxWords: 0, draws: 0 });
  t.deepEqual(comparables, nearest.slice(0, 2));
});

test('saved and loaded it says the same; damaged or foreign files are told', async (t) => {
  await using folder = await temporaryDirectory();
  await using predictor = await tinyPredictor(folder.path);
  const index = await FilmIndex.build(predictor, films(12));
  const file = path.join(folder.path, 'films.index');
  await index.save(file);
  const loaded = await FilmIndex.load(file);
  const position = await predictor.locate(films(1, 9)[0]!.movie);
  t.deepEqual(await loaded.nearest(position), await index.nearest(position));
  const wrong = (name: string) =>
    throwsTyped(t, () => FilmIndex.load(path.join(folder.path, name)), { code: 'ERR_INPUT_FILE' });
  await wrong('absent');
  await writeFile(path.join(folder.path, 'text'), 'no index');
  await wrong('text');
  const bytes = await readFile(file);
  for (const [name, from, to] of [
    ['format', '"cinefuse-film-index"', '"cinefuse-film-indeX"'],
    ['input', '"synopsis"', '"synopsiS"'],
    ['outcome', '"rating":', '"ratinG":'],
  ] as const) {
    const changed = Buffer.from(bytes);
    const at = changed.indexOf(from);
    t.true(at > 0);
    changed.write(to, at);
    await writeFile(path.join(folder.path, name), changed);
    await wrong(name);
  }
  await truncate(file, bytes.length - 100);
  await wrong('films.index');
  await throwsTyped(t, () => index.save(path.join(folder.path, 'no', 'folder')), { code: 'ERR_INPUT_FILE' });
  const { model, ...rest } = position;
  await throwsTyped(t, () => index.nearest({ ...rest, model: { ...model, version: '2' } }), {
    code: 'ERR_INPUT_VALUE',
    field: 'index',
  });
  await throwsTyped(t, () => index.nearest(position, { count: -1 }), {
    code: 'ERR_INPUT_VALUE',
    field: 'count',
  });
  await throwsTyped(t, () => FilmIndex.build(predictor, []), { code: 'ERR_INPUT_EMPTY' });
  const gone = new AbortController();
  gone.abort();
  await throwsTyped(t, () => FilmIndex.build(predictor, films(3), { signal: gone.signal }), {
    code: 'ERR_CANCELLED',
  });
});

for (const fusion of [
  { kind: 'late' },
  { kind: 'hybrid' },
  { kind: 'weighted-sum' },
  { kind: 'attention', form: 'tanh' },
] as const) {
  test(`positions exist for fusion ${JSON.stringify(fusion)}`, async (t) => {
    await using folder = await temporaryDirectory();
    await using predictor = await tinyPredictor(folder.path, fusion);
    const { inputs, fused, alone } = await predictor.locate(films(1)[0]!.movie);
    t.deepEqual(inputs, ['synopsis', 'metadata']);
    t.is(alone.length, 2);
    t.true([fused, ...alone].every((vector) => vector.length === 8 && vector.every(Number.isFinite)));
    t.true(fused.some((value) => value !== 0));
  });
}

test('cosines of stored vectors against plain arithmetic in double precision', async (t) => {
  const next = random(5);
  const dim = 13;
  const vectors = Array.from({ length: 60 }, (_, i) =>
    i === 4 ? undefined : Float32Array.from({ length: dim }, () => next() * 2 - 1 + (i % 2)),
  );
  const groups = vectors.map((_, i) => (i % 2 ? 'odd' : 'even'));
  const stored = StoredVectors.of(vectors, dim);
  const query = vectors[11]!;
  const got = await stored.cosines(query, 'odd', groups, 20, async () => {});
  const meanOf = (group: string) => {
    const own = vectors.filter((vector, i) => vector && groups[i] === group) as Float32Array[];
    return Array.from(
      { length: dim },
      (_, d) => own.reduce((sum, vector) => sum + vector[d]!, 0) / own.length,
    );
  };
  const means = { odd: meanOf('odd'), even: meanOf('even') };
  t.true(Number.isNaN(got[4]));
  vectors.forEach((vector, i) => {
    if (!vector) return;
    const a = Array.from(query, (value, d) => value - means.odd[d]!);
    const b = Array.from(vector, (value, d) => value - means[groups[i] as 'odd' | 'even'][d]!);
    const dot = a.reduce((sum, value, d) => sum + value * b[d]!, 0);
    // 8-bit values are off by half a 127th of the largest.
    t.true(Math.abs(got[i]! - dot / (Math.hypot(...a) * Math.hypot(...b))) < 0.01, `${i}`);
  });
  const few = await stored.cosines(query, 'odd', groups, 1000, async () => {});
  const one = await stored.cosines(query, '', undefined, 1, async () => {});
  t.deepEqual(few, one, 'groups that are too small take the mean of all');
});
