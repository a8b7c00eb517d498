import test from 'ava';
import { BundleError, InputError } from '../../lib/errors.js';
import { DEFAULT_FIT, fitMetadata, fitPeople, type MetadataRow } from '../../lib/metadata/fit.js';
import { jointEffects } from '../../lib/metadata/joint.js';
import { MetadataEncoder } from '../../lib/metadata/metadata-encoder.js';
import type { MetadataFields, MetadataSpec } from '../../lib/metadata/spec.js';

/** Films in which one director is good, another bad, and a third has made one only. */
const ROWS: MetadataRow[] = Array.from({ length: 60 }, (_, i) => ({
  fields: {
    title: i % 10 === 0 ? `Saga ${i / 10 + 1}` : `Film number ${i} of many`,
    releaseDate: `${1980 + (i % 30)}-${String(1 + (i % 12)).padStart(2, '0')}-05`,
    runtime: 80 + (i % 40),
    budget: i % 3 === 0 ? 1e6 * (1 + i) : undefined,
    genres: [i % 2 ? 'Drama' : 'Comedy'],
    cast: [`Actor ${i % 7}`, 'Everybody'],
    director: i === 59 ? 'Once Only' : i % 2 ? 'Good Director' : 'Bad Director',
  },
  rating: 6 + (i % 2 ? 1 : -1) + 0.1 * (i % 3),
  logRevenue: i % 3 === 0 ? 6 + (i % 2) : undefined,
}));
const SPEC = fitMetadata(ROWS);

function featuresOf(spec: MetadataSpec, movie: MetadataFields): Record<string, number> {
  const encoder = new MetadataEncoder(spec);
  const { data } = encoder.encode(movie);
  return Object.fromEntries(encoder.featureNames.map((name, i) => [name, data[i] ?? Number.NaN]));
}

test('a vector has one finite number a feature, and the same film the same vector', (t) => {
  const encoder = new MetadataEncoder(SPEC);
  t.is(encoder.featureNames.length, encoder.dim);
  t.is(new Set(encoder.featureNames).size, encoder.dim);
  for (const { fields } of ROWS) {
    const { data } = encoder.encode(fields);
    t.is(data.length, encoder.dim);
    t.true(data.every(Number.isFinite));
    t.deepEqual(new MetadataEncoder(JSON.parse(JSON.stringify(SPEC))).encode(fields).data, data);
  }
});

test('what is not given is named, and stands at the training mean', (t) => {
  const { missing } = new MetadataEncoder(SPEC).encode({});
  t.deepEqual([...missing].sort(), [
    'budget',
    'cast',
    'director',
    'genres',
    'language',
    'releaseDate',
    'runtime',
    'title',
  ]);
  const features = featuresOf(SPEC, {});
  t.is(features.runtime, Math.fround(SPEC.means.runtime));
  t.is(features.year, Math.fround(SPEC.means.year));
  t.is(features['budget.forItsTime'], 0);
  t.is(features['cast.rating.mean'], 0);
  t.is(features['month.sin'], 0);
});

test('empty strings, zeros and blanks count as not given', (t) => {
  const blank: MetadataFields = {
    title: ' ',
    releaseDate: '',
    runtime: 0,
    budget: 0,
    genres: ['no such genre'],
    cast: ['', ' '],
    director: '',
    language: '',
  };
  const encoder = new MetadataEncoder(SPEC);
  t.deepEqual(encoder.encode(blank), encoder.encode({}));
});

test('the absence of budget and language leaves no mark of its own', (t) => {
  const names = new MetadataEncoder(SPEC).featureNames;
  t.false(names.includes('budget.known'));
  t.deepEqual(featuresOf(SPEC, { language: 'en' }), featuresOf(SPEC, {}));
  const flagged = fitMetadata(ROWS, { ...DEFAULT_FIT, budgetFlag: true });
  t.is(featuresOf(flagged, { budget: 5e6 })['budget.known'], 1);
  t.is(featuresOf(flagged, { budget: 900 })['budget.known'], 0);
});

test('known people bring their record, unknown ones count as newcomers', (t) => {
  const good = featuresOf(SPEC, { director: 'GOOD DIRECTOR' });
  const bad = featuresOf(SPEC, { director: ['Bad Director'] });
  const unknown = featuresOf(SPEC, { director: 'Someone Else' });
  t.true(good['director.rating.mean']! > 0.5);
  t.true(bad['director.rating.mean']! < -0.5);
  t.true(good['director.ratingEffect']! > bad['director.ratingEffect']!);
  t.is(unknown['director.rating.mean'], 0);
  t.is(unknown['director.found'], 0);
  t.is(unknown['director.size'], 1);
  t.is(good['director.found'], 1);
  t.is(featuresOf(SPEC, { director: 'Once Only' })['director.found'], 1, 'one training film is a record');
  const strict = fitMetadata(ROWS, { ...DEFAULT_FIT, leastFilms: 2 });
  t.is(
    featuresOf(strict, { director: 'Once Only' })['director.found'],
    0,
    'one training film is too few here',
  );
  // twice the same name is one person; the order of the others does not change means
  const cast = (names: string[]) => featuresOf(SPEC, { cast: names });
  t.deepEqual(cast(['Everybody', 'everybody', 'Actor 1']), cast(['Everybody', 'Actor 1']));
  t.is(cast(['Actor 1', 'Actor 2'])['cast.rating.mean'], cast(['Actor 2', 'Actor 1'])['cast.rating.mean']);
});

test('a shrunken mean is the sum of differences over films plus shrinkage', (t) => {
  const mean = ROWS.reduce((sum, row) => sum + row.rating, 0) / ROWS.length;
  const own = ROWS.filter((row) => row.fields.director === 'Good Director');
  const expected =
    own.reduce((sum, row) => sum + row.rating - mean, 0) / (own.length + DEFAULT_FIT.shrinkage.director);
  const at = SPEC.people.director.names.split('|').indexOf('good director');
  t.is(SPEC.people.director.rating[at], Math.round(1000 * expected));
  t.is(SPEC.people.director.films[at], own.length);
});

test("a film's own rating is not in the tables made from the others", (t) => {
  const changed = ROWS.map((row, i) => (i < 10 ? { ...row, rating: 10 - row.rating } : row));
  t.deepEqual(fitPeople(changed.slice(10), SPEC), fitPeople(ROWS.slice(10), SPEC));
});

test('numbered films of a series are found', (t) => {
  t.true(featuresOf(SPEC, { title: 'Saga 9' })['series.films']! > 1);
  t.is(featuresOf(SPEC, { title: 'Nothing of the Kind' })['series.films'], 0);
});

test('the piecewise-linear code rises from 0 to 1 piece by piece', (t) => {
  const knots = SPEC.knots.runtime ?? [];
  t.true(knots.length > 3);
  const code = (runtime: number) =>
    knots.slice(1).map((_, piece) => featuresOf(SPEC, { runtime })[`runtime@${piece}`]!);
  t.true(code(1).every((value) => value === 0));
  t.true(code(300).every((value) => value === 1));
  const middle = (knots[1]! + knots[2]!) / 2;
  const values = code(middle);
  t.is(values[0], 1);
  t.true(Math.abs(values[1]! - 0.5) < 1e-6);
  t.true(values.slice(2).every((value) => value === 0));
});

test('numbers that are none and dates that do not exist are refused by field', (t) => {
  const encoder = new MetadataEncoder(SPEC);
  for (const value of [Number.NaN, Number.POSITIVE_INFINITY, -1]) {
    for (const field of ['runtime', 'budget'] as const) {
      const error = t.throws(() => encoder.encode({ [field]: value }), { instanceOf: InputError });
      t.is(error.code, 'ERR_INPUT_VALUE');
      t.is(error.field, field);
    }
  }
  for (const releaseDate of ['2020-02-30', '2020-13-01', 'soon', '20-1-1', '2020/01/01', '2021-02-29']) {
    const error = t.throws(() => encoder.encode({ releaseDate }), { instanceOf: InputError }, releaseDate);
    t.is(error.field, 'releaseDate');
  }
  for (const releaseDate of ['2020-02-29', '2020-02', '2020', ' 1999-1-1 ']) {
    t.notThrows(() => encoder.encode({ releaseDate }), releaseDate);
  }
});

test('a spec that does not hold together is refused', (t) => {
  const broken: [string, unknown][] = [
    ['version', { ...SPEC, version: 2 }],
    ['means', { ...SPEC, means: { ...SPEC.means, year: Number.NaN } }],
    ['people', { ...SPEC, people: { ...SPEC.people, director: { ...SPEC.people.director, films: [1] } } }],
    ['knots', { ...SPEC, knots: { runtime: [100, 90] } }],
    ['knots', { ...SPEC, knots: { nonsense: [0, 1] } }],
    ['extra', { ...SPEC, extra: 1 }],
  ];
  for (const [name, spec] of broken) {
    const error = t.throws(
      () => new MetadataEncoder(spec as MetadataSpec),
      { instanceOf: BundleError },
      name,
    );
    t.is(error.code, 'ERR_BUNDLE_FORMAT');
  }
});

test('vectors worked out by hand', (t) => {
  const table = {
    names: 'ann lee|bo',
    films: [3, 2],
    rating: [500, -250],
    revenueFilms: [1, 0],
    revenue: [100, 0],
  };
  const people = { ...table, ratingEffect: [40, -10], revenueEffect: [5, 0] };
  const spec: MetadataSpec = {
    version: 1,
    means: { logBudget: 7, runtime: 100, year: 2000, rating: 6, logRevenue: 7 },
    budgetTrend: { year: 1995, slope: 0.02 },
    people: {
      cast: people,
      director: people,
      series: { names: 'saga', films: [4], ratingEffect: [-30], revenueEffect: [600] },
    },
    budgetFlag: true,
    knots: { runtime: [60, 100, 140] },
  };
  const features = featuresOf(spec, {
    title: 'The Saga 3',
    releaseDate: '2015-04-01',
    runtime: 120,
    budget: 1e8,
    genres: ['爱情', 'Drama'],
    cast: ['Bo', 'Ann Lee', 'Nobody'],
    director: 'Ann  Lée',
    language: 'fr',
  });
  const expected: Record<string, number> = {
    year: 2015,
    'month.sin': Math.sin((2 * Math.PI * 3.5) / 12),
    'month.cos2': Math.cos((4 * Math.PI * 3.5) / 12),
    runtime: 120,
    'runtime@0': 1,
    'runtime@1': 0.5,
    budget: 8,
    'budget.forItsTime': 8 - 7.4,
    'budget.known': 1,
    'genre.Romance': 1,
    'genre.Drama': 1,
    'genre.Comedy': 0,
    'genre.count': 2,
    'language.romance': 1,
    'cast.size': 3,
    'cast.found': 2 / 3,
    'cast.rating.mean': 0.25 / 3,
    'cast.rating.max': 0.5,
    'cast.rating.min': -0.25,
    'cast.ratingEffect': 0.03,
    'cast.films.sum': Math.log(6),
    'cast.films.max': Math.log(4),
    'cast.lead.rating': -0.25,
    'director.rating.mean': 0.5,
    'director.revenueEffect': 0.005,
    'series.films': Math.log(5),
    'series.ratingEffect': -0.03,
    'series.revenueEffect': 0.6,
    'title.sequel': 1,
    'title.article': 1,
    'title.words': 0.75,
  };
  for (const [name, value] of Object.entries(expected)) {
    t.true(
      Math.abs((features[name] ?? Number.NaN) - value) < 1e-6,
      `${name}: ${features[name]} for ${value}`,
    );
  }
});

test('joint effects solve the ridge equations', (t) => {
  // two plain features, three people; the gradient of the objective must vanish
  const films = 40;
  const plain = Float64Array.from({ length: films * 2 }, (_, i) => Math.sin(i * 1.7));
  const members = Array.from({ length: films }, (_, i) => [...new Set([i % 3, (i * 7) % 3])]);
  const target = Float64Array.from({ length: films }, (_, i) => Math.cos(i * 0.9) + (i % 3));
  const penalty = Float64Array.of(1, 2, 3);
  const effects = jointEffects({ plain, nPlain: 2, members, penalty, plainPenalty: 5, target });
  // the plain coefficients that belong to these effects, by Cramer's rule on the 2 x 2 normal equations
  const centre = target.reduce((sum, value) => sum + value, 0) / films;
  const rest = target.map(
    (value, i) => value - centre - members[i]!.reduce((sum, p) => sum + effects[p]!, 0),
  );
  const column = (j: number) => Array.from({ length: films }, (_, i) => plain[i * 2 + j]!);
  const dot = (a: ArrayLike<number>, b: ArrayLike<number>) =>
    Array.from(a).reduce((sum, value, i) => sum + value * b[i]!, 0);
  const [u, v] = [column(0), column(1)];
  const [a, b, d] = [dot(u, u) + 5, dot(u, v), dot(v, v) + 5];
  const [p, q] = [dot(u, rest), dot(v, rest)];
  const w = [(p * d - q * b) / (a * d - b * b), (q * a - p * b) / (a * d - b * b)];
  const residual = rest.map((value, i) => value - w[0]! * u[i]! - w[1]! * v[i]!);
  for (let person = 0; person < 3; person++) {
    const pull = residual.reduce((sum, value, i) => sum + (members[i]!.includes(person) ? value : 0), 0);
    t.true(Math.abs(pull - penalty[person]! * effects[person]!) < 0.01);
  }
});
