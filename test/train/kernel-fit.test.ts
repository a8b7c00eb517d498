import { readFileSync } from 'node:fs';
import test from 'ava';
import { FusionNetwork } from '../../lib/fusion/network.js';
import { fitKernel } from '../../lib/train/kernel-fit.js';
import type {
  FilmTable,
  KernelChoice,
  KernelFitConfig,
  KernelProgress,
  TableSplit,
} from '../../lib/train/index.js';
import { tableModel } from '../../lib/train/table-model.js';
import { random, randomF32 } from '../backends.js';
import { type ExpectedError, throwsTyped } from '../errors.js';

interface Fixture {
  train: number;
  films: number;
  dims: Record<string, number>;
  x: Record<string, number[]>;
  present: number[];
  weights: number[];
  targets: Record<'rating' | 'liked' | 'genre', number[]>;
  cases: {
    kinds: Record<string, KernelChoice['kind']>;
    weights: Record<string, number>;
    combine: 'sum' | 'product';
    constant: number;
    lambda: number;
    ridge: number[];
    ridgeWithBias: number[];
    logistic: number[];
    softmaxLogProbabilities: number[];
    leaveOneOutSquares: number;
    leaveOneOutLogLoss: number;
  }[];
}
/** Made by kernel_sklearn.py beside it. */
const fixture: Fixture = JSON.parse(
  readFileSync(new URL('../../../test/train/fixtures/kernel-sklearn.json', import.meta.url), 'utf8'),
);

const range = (from: number, to: number) => Int32Array.from({ length: to - from }, (_, i) => from + i);

function fixtureTable(weights?: Float32Array): FilmTable {
  return {
    ids: Array.from({ length: fixture.films }, (_, i) => `film ${i}`),
    modalities: Object.fromEntries(
      Object.entries(fixture.dims).map(([name, dim]) => [
        name,
        { dim, steps: 1, values: Float32Array.from(fixture.x[name]!) },
      ]),
    ),
    present: Uint8Array.from(fixture.present),
    targets: Object.fromEntries(
      Object.entries(fixture.targets).map(([name, values]) => [name, Float32Array.from(values)]),
    ),
    ...(weights && { weights }),
  };
}

function fixtureConfig(c: Fixture['cases'][number]): Omit<KernelFitConfig, 'heads'> {
  const parameters: Record<string, object> = {
    linear: {},
    rbf: { gamma: 0.2 },
    polynomial: { degree: 3, gamma: 0.3, constant: 0.5 },
  };
  return {
    kernels: Object.fromEntries(
      Object.entries(c.kinds).map(([name, kind]) => [
        name,
        { kind, ...parameters[kind], weight: c.weights[name]! } as KernelChoice,
      ]),
    ),
    combine: c.combine,
    constant: c.constant,
    scalers: Object.fromEntries(
      Object.entries(fixture.dims).map(([name, dim]) => [
        name,
        { mean: new Float32Array(dim), scale: new Float32Array(dim).fill(1) },
      ]),
    ),
    jitter: 1e-12,
    seed: 1,
  };
}

const fixtureSplit: TableSplit = {
  train: range(0, fixture.train),
  valid: new Int32Array(0),
  test: range(fixture.train, fixture.films),
};

/** Outputs of the served network for some films. */
async function served(
  table: FilmTable,
  fit: { spec: FusionNetwork['spec']; weights: Parameters<typeof FusionNetwork.create>[1] },
  rows: Int32Array,
) {
  using network = FusionNetwork.create(fit.spec, fit.weights);
  return (await tableModel(network, table).predict(rows)).heads;
}

function near(got: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number): string | undefined {
  const top = Math.max(1, ...Array.from(expected, Math.abs));
  for (let i = 0; i < expected.length; i++) {
    if (!(Math.abs(got[i]! - expected[i]!) <= tolerance * top)) return `${i}: ${got[i]}, not ${expected[i]}`;
  }
  return got.length === expected.length ? undefined : `${got.length} numbers, not ${expected.length}`;
}

test('regression, two classes and several equal scikit-learn, with holes, in sums and products', async (t) => {
  t.true(fixture.cases.length >= 9);
  for (const c of fixture.cases) {
    const label = `${c.combine} ${JSON.stringify(c.kinds)} ${c.lambda}`;
    const config = fixtureConfig(c);
    const whole = await fitKernel(fixtureTable(), fixtureSplit, {
      ...config,
      heads: [
        { head: 'rating', task: 'regression', lambda: c.lambda },
        { head: 'liked', task: 'binary', lambda: c.lambda },
        { head: 'genre', task: 'multiclass', classes: 3, lambda: c.lambda },
      ],
    });
    t.is(whole.landmarks.length, fixture.train);
    const heads = await served(fixtureTable(), whole, fixtureSplit.test);
    t.is(near(heads.rating!, c.ridgeWithBias, 2e-5), undefined, label);
    t.is(near(heads.liked!, c.logistic, 1e-4), undefined, label);
    const logs = Array.from(heads.genre!, (v, at) => {
      const row = heads.genre!.subarray(at - (at % 3), at - (at % 3) + 3);
      return v - Math.log(row.reduce((sum, other) => sum + Math.exp(other), 0));
    });
    t.is(near(logs, c.softmaxLogProbabilities, 1e-4), undefined, label);

    const weights = new Float32Array(fixture.films).fill(1);
    weights.set(fixture.weights);
    const plain = await fitKernel(fixtureTable(weights), fixtureSplit, {
      ...config,
      intercept: false,
      heads: [{ head: 'rating', task: 'regression', lambda: c.lambda }],
    });
    const { rating } = await served(fixtureTable(), plain, fixtureSplit.test);
    t.is(near(rating!, c.ridge, 2e-5), undefined, `${label}, weighted, without a bias`);
  }
});

test('leave-one-out scores equal refits without the film: exactly, and for classes nearly', async (t) => {
  for (const kinds of [fixture.cases.slice(0, 3), fixture.cases.slice(3, 6), fixture.cases.slice(6, 9)]) {
    const lambdas = kinds.map(({ lambda }) => lambda);
    const { heads } = await fitKernel(fixtureTable(), fixtureSplit, {
      ...fixtureConfig(kinds[0]!),
      lambdas,
      heads: [
        { head: 'rating', task: 'regression' },
        { head: 'liked', task: 'binary' },
      ],
    });
    for (const c of kinds) {
      const scoreOf = (head: string) => heads[head]!.scores.find(({ lambda }) => lambda === c.lambda)!.score;
      t.true(Math.abs(scoreOf('rating') / c.leaveOneOutSquares - 1) < 1e-6, `${c.lambda}`);
      t.true(Math.abs(scoreOf('liked') / c.leaveOneOutLogLoss - 1) < 0.02, `${c.lambda}`);
    }
    for (const head of ['rating', 'liked']) {
      const { scores, lambda, chosenBy } = heads[head]!;
      t.is(chosenBy, 'leave-one-out');
      t.is(lambda, scores.reduce((best, s) => (s.score < best.score ? s : best)).lambda);
    }
  }
});

/** Films whose targets depend on two inputs, one of them a sequence; some lack one, some targets are unknown. */
function filmTable(films: number, seed: number): FilmTable {
  const next = random(seed);
  const text = randomF32(films * 6, seed);
  const trailer = randomF32(films * 3 * 4, seed + 1);
  const lengths = Int32Array.from({ length: films }, () => 1 + Math.floor(3 * next()));
  const present = Uint8Array.from({ length: films * 2 }, (_, i) => (i % 2 === 0 || next() < 0.8 ? 1 : 0));
  const rating = new Float32Array(films);
  for (let film = 0; film < films; film++) {
    let mean = 0;
    for (let t = 0; t < lengths[film]!; t++) mean += trailer[film * 12 + t * 4]! / lengths[film]!;
    rating[film] =
      Math.sin(2 * text[film * 6]!) + (present[2 * film + 1] ? 2 * mean * mean : 0) + 0.1 * (next() - 0.5);
    if (!present[2 * film + 1]) trailer.fill(Number.NaN, film * 12, (film + 1) * 12);
  }
  return {
    ids: Array.from({ length: films }, (_, i) => `film ${i}`),
    modalities: {
      text: { dim: 6, steps: 1, values: text },
      trailer: { dim: 4, steps: 3, values: trailer, lengths },
    },
    present,
    targets: {
      rating: rating.map((v) => (next() < 0.1 ? Number.NaN : v)),
      liked: rating.map((v) => (next() < 0.1 ? Number.NaN : v > 0.3 ? 1 : 0)),
      genre: rating.map((v) => (v < -0.3 ? 0 : v < 0.6 ? 1 : 2)),
    },
  };
}

const HEADS: KernelFitConfig['heads'] = [
  { head: 'rating', task: 'regression' },
  { head: 'liked', task: 'binary' },
  { head: 'genre', task: 'multiclass', classes: 3 },
];

const split = (films: number): TableSplit => ({
  train: range(0, Math.floor(films * 0.6)),
  valid: range(Math.floor(films * 0.6), Math.floor(films * 0.8)),
  test: range(Math.floor(films * 0.8), films),
});

test('learns what it should, with all films or by Nyström; lambda is chosen on the films for validation', async (t) => {
  const table = filmTable(700, 1);
  const parts = split(700);
  for (const config of [
    { landmarks: 2000 },
    { landmarks: 150 },
    { combine: 'product' as const, weights: 'equal' as const, landmarks: 200 },
  ]) {
    const seen: KernelProgress[] = [];
    const fit = await fitKernel(
      table,
      parts,
      { heads: HEADS, seed: 3, ...config },
      { onProgress: (progress) => seen.push(progress) },
    );
    t.is(fit.landmarks.length, Math.min(config.landmarks, 420));
    t.true(fit.landmarks.every((film, i) => film < 420 && (i === 0 || film > fit.landmarks[i - 1]!)));
    const heads = await served(table, fit, parts.test);
    const known = [...parts.test.keys()].filter((i) => !Number.isNaN(table.targets.rating![parts.test[i]!]!));
    const truth = known.map((i) => table.targets.rating![parts.test[i]!]!);
    const mean = truth.reduce((a, b) => a + b, 0) / truth.length;
    const squares = (f: (i: number) => number) =>
      known.reduce((sum, i, at) => sum + (f(i) - truth[at]!) ** 2, 0);
    const r2 = 1 - squares((i) => heads.rating![i]!) / squares(() => mean);
    t.true(r2 > 0.8, `R² ${r2}`);
    const classes = [...parts.test.keys()].filter((i) => {
      const row = heads.genre!.subarray(3 * i, 3 * i + 3);
      return row.indexOf(Math.max(...row)) === table.targets.genre![parts.test[i]!];
    });
    t.true(classes.length / parts.test.length > 0.72, `${classes.length} of ${parts.test.length}`);
    for (const { head } of HEADS) {
      const { scores, lambda, chosenBy, films } = fit.heads[head]!;
      t.is(chosenBy, 'valid');
      t.is(scores.length, 6);
      t.is(lambda, scores.reduce((best, s) => (s.score < best.score ? s : best)).lambda);
      t.is(films, [...parts.train].filter((film) => !Number.isNaN(table.targets[head]![film]!)).length);
    }
    t.deepEqual([...new Set(seen.map(({ stage }) => stage))], ['kernels', 'features', 'heads']);
    t.is(seen.at(-1)!.done, seen.at(-1)!.total);
  }
});

test('Nyström is the best function over its landmarks: normal equations in plain loops', async (t) => {
  const table = filmTable(120, 5);
  const parts: TableSplit = { train: range(0, 100), valid: new Int32Array(0), test: range(100, 120) };
  const fit = await fitKernel(table, parts, {
    heads: [{ head: 'rating', task: 'regression', lambda: 0.5 }],
    landmarks: 12,
    intercept: false,
    seed: 1,
  });
  if (fit.spec.fusion.kind !== 'kernel') return t.fail();
  // F of all films, read from the served network one landmark at a time.
  const weights = new Map(fit.weights);
  const f: number[][] = [];
  for (let j = 0; j < 12; j++) {
    const one = new Float32Array(12);
    one[j] = 1;
    weights.set('heads.rating.weight', { shape: [1, 12], data: one });
    f.push([...(await served(table, { spec: fit.spec, weights }, range(0, 120))).rating!]);
  }
  const diagonal = [...fit.landmarks].reduce((sum, film, j) => sum + f[j]![film]! / 12, 0);
  const known = [...parts.train].filter((film) => !Number.isNaN(table.targets.rating![film]!));
  const a = f.map((left) => f.map((right) => known.reduce((sum, i) => sum + left[i]! * right[i]!, 0)));
  for (const [i, row] of a.entries()) {
    for (let j = 0; j < 12; j++) row[j]! += 0.5 * diagonal * f[j]![fit.landmarks[i]!]!;
    row.push(known.reduce((sum, film) => sum + f[i]![film]! * table.targets.rating![film]!, 0));
  }
  for (let i = 0; i < 12; i++) {
    const pivot = a.slice(i).reduce((best, row) => (Math.abs(row[i]!) > Math.abs(best[i]!) ? row : best));
    a[a.indexOf(pivot)] = a[i]!;
    a[i] = pivot;
    for (const row of a) {
      if (row === pivot) continue;
      const share = row[i]! / pivot[i]!;
      for (let j = i; j <= 12; j++) row[j]! -= share * pivot[j]!;
    }
  }
  const dual = a.map((row, i) => row[12]! / row[i]!);
  const expected = Array.from(parts.test, (film) => dual.reduce((sum, v, j) => sum + v * f[j]![film]!, 0));
  t.is(near((await served(table, fit, parts.test)).rating!, expected, 1e-4), undefined);
});

test('the same seed gives the same bits on any number of threads; another seed other landmarks', async (t) => {
  const table = filmTable(300, 2);
  const config = { heads: HEADS, landmarks: 60, seed: 1 };
  const one = await fitKernel(table, split(300), config, { threads: 1 });
  for (const threads of [2, 5]) t.deepEqual(await fitKernel(table, split(300), config, { threads }), one);
  const other = await fitKernel(table, split(300), { ...config, seed: 2 });
  t.notDeepEqual(other.landmarks, one.landmarks);
});

test('alignment gives weight to the input that tells of the target', async (t) => {
  const table = filmTable(300, 4);
  const noise = { ...table.modalities.text!, values: randomF32(300 * 6, 99) };
  const three: FilmTable = {
    ...table,
    modalities: { text: table.modalities.text!, noise },
    present: new Uint8Array(600).fill(1),
  };
  const { spec } = await fitKernel(three, split(300), { heads: HEADS.slice(0, 1), seed: 1 });
  if (spec.fusion.kind !== 'kernel') return t.fail();
  t.true(spec.fusion.kernels.text!.weight > 3 * spec.fusion.kernels.noise!.weight);
});

test('films given twice need jitter; kernels that do not, and weights beyond float32, are refused', async (t) => {
  const table = filmTable(60, 3);
  const { text } = table.modalities;
  const twice = { ...text!, values: text!.values.slice() };
  twice.values.copyWithin(0, 6, 12);
  const films: FilmTable = {
    ...table,
    modalities: { text: twice },
    present: new Uint8Array(60).fill(1),
  };
  const config = { heads: HEADS.slice(0, 1), seed: 1 };
  await throwsTyped(t, () => fitKernel(films, split(60), { ...config, jitter: 0 }), {
    name: 'TrainError',
    code: 'ERR_TRAIN_SINGULAR',
    field: 'kernel matrix',
  });
  await t.notThrowsAsync(fitKernel(films, split(60), config));
  // A kernel so wide that all films are nearly alike: only huge weights of both signs would tell them apart.
  const wide = { kind: 'rbf', gammaScale: 0.01 } as const;
  const straight = { kernels: { text: wide }, jitter: 1e-11, lambdas: [1e-9] };
  await throwsTyped(t, () => fitKernel(films, split(60), { ...config, ...straight }), {
    code: 'ERR_TRAIN_SINGULAR',
    field: 'heads.rating',
    message: /float32/,
  });
});

test('cancelled before and during: CancelledError', async (t) => {
  const table = filmTable(400, 1);
  const config = { heads: HEADS, seed: 1 };
  await throwsTyped(t, () => fitKernel(table, split(400), config, { signal: AbortSignal.abort() }), {
    code: 'ERR_CANCELLED',
  });
  const controller = new AbortController();
  await throwsTyped(
    t,
    () =>
      fitKernel(table, split(400), config, {
        signal: controller.signal,
        onProgress: ({ stage }) => stage === 'heads' && controller.abort(),
      }),
    { code: 'ERR_CANCELLED' },
  );
});

test('what cannot be fitted: typed errors that name the field', async (t) => {
  const table = filmTable(60, 6);
  const config: KernelFitConfig = { heads: HEADS, seed: 1 };
  const targets = (values: number[]) => ({ targets: { rating: Float32Array.from(values) } });
  const one = { heads: HEADS.slice(0, 1) };
  const noValid = { ...split(60), valid: new Int32Array(0) };
  const cases: [Partial<KernelFitConfig>, ExpectedError, TableSplit?][] = [
    [{ heads: [] }, { code: 'ERR_TRAIN_CONFIG', field: 'heads' }],
    [{ heads: [HEADS[0]!, HEADS[0]!] }, { code: 'ERR_TRAIN_CONFIG', field: 'heads.1.head' }],
    [{ lambdas: [1, 0] }, { code: 'ERR_TRAIN_CONFIG', field: 'lambdas' }],
    [{ kernels: { poster: { kind: 'rbf' } } }, { code: 'ERR_TRAIN_CONFIG', field: 'kernels.poster' }],
    [{ landmarks: 0 }, { code: 'ERR_TRAIN_CONFIG', field: 'landmarks' }],
    [{ jitter: -1 }, { code: 'ERR_TRAIN_CONFIG', field: 'jitter' }],
    [{ heads: [{ head: 'profit', task: 'regression' }] }, { code: 'ERR_DATA_COLUMN', field: 'profit' }],
    [
      { ...one, ...targets([1, 2]) },
      { code: 'ERR_DATA_COLUMN', field: 'rating' },
    ],
    [
      { ...one, ...targets(Array(60).fill(Number.NaN)) },
      { code: 'ERR_DATA_EMPTY', field: 'rating' },
    ],
    [{ ...one, ...targets(Array(60).fill(Number.POSITIVE_INFINITY)) }, { code: 'ERR_DATA_COLUMN' }],
    [
      { heads: [{ head: 'rating', task: 'binary' }], ...targets(Array(60).fill(0.5)) },
      { code: 'ERR_DATA_COLUMN', field: 'rating' },
    ],
    [
      { heads: [{ head: 'rating', task: 'binary' }], ...targets(Array(60).fill(1)) },
      { code: 'ERR_DATA_EMPTY', field: 'rating' },
    ],
    [{ heads: HEADS.slice(2) }, { code: 'ERR_TRAIN_CONFIG', field: 'choose' }, noValid],
    [{ ...one, choose: 'valid' }, { code: 'ERR_DATA_EMPTY', field: 'rating' }, noValid],
  ];
  for (const [change, expected, parts] of cases) {
    await throwsTyped(t, () => fitKernel(table, parts ?? split(60), { ...config, ...change }), expected);
  }
  const bad = { ...table.modalities.text!, values: table.modalities.text!.values.slice() };
  bad.values[20] = Number.NaN;
  await throwsTyped(
    t,
    () => fitKernel({ ...table, modalities: { ...table.modalities, text: bad } }, split(60), config),
    { code: 'ERR_INPUT_VALUE', field: 'modalities.text', message: /film 3/ },
  );
});
