/** Cross-validation and search on tables. */
import test from 'ava';
import { CancelledError, DataError, TrainError } from '../../lib/errors.js';
import {
  crossValidateTable,
  type FilmTable,
  foldsOf,
  type SearchConfig,
  searchTable,
  type TableConfig,
} from '../../lib/train/index.js';
import { inLanes, lanesOf } from '../../lib/train/parallel.js';
import { randomOf } from '../../lib/train/random.js';
import { rateFactor } from '../../lib/train/schedule.js';
import { trialsOf, withParameters } from '../../lib/train/search-space.js';

const FILMS = 300;
const rows = (from: number, to: number) => Int32Array.from({ length: to - from }, (_, i) => from + i);
const SPLIT = { train: rows(0, 180), valid: rows(180, 240), test: rows(240, FILMS) };

function films(): FilmTable {
  const random = randomOf(9);
  const values = Float32Array.from({ length: FILMS * 6 }, () => random.normal());
  const rating = Float32Array.from({ length: FILMS }, (_, i) => values[i * 6]! + 0.3 * random.normal());
  return {
    ids: Array.from({ length: FILMS }, (_, i) => `f${i}`),
    modalities: { a: { dim: 6, steps: 1, values } },
    present: new Uint8Array(FILMS).fill(1),
    targets: { rating, good: rating.map((value) => Number(value > 0)) },
  };
}
const TABLE = films();
const CONFIG: TableConfig = {
  seed: 1,
  targets: [
    { name: 'rating', task: 'regression' },
    { name: 'good', task: 'binary' },
  ],
  network: { projection: { out: 8 }, trunk: [{ out: 8 }] },
  training: { epochs: 6, batchSize: 32, optimizer: { learningRate: 0.01 } },
};

test('folds part all films once, keep groups together, and are the same every time', (t) => {
  const groups = Array.from({ length: FILMS }, (_, i) => `director ${i % 37}`);
  for (const given of [undefined, groups]) {
    const folds = foldsOf(rows(20, FILMS), 5, 3, 0.1, given);
    t.deepEqual(folds, foldsOf(rows(20, FILMS), 5, 3, 0.1, given));
    t.deepEqual(
      [...folds.flatMap(({ test }) => [...test])].sort((a, b) => a - b),
      [...rows(20, FILMS)],
    );
    for (const { train, valid, test } of folds) {
      t.is(new Set([...train, ...valid, ...test]).size, FILMS - 20);
      t.is(train.length + valid.length + test.length, FILMS - 20);
      t.true(Math.abs(test.length - 56) <= 8 && valid.length >= 22 && valid.length <= 32, `${valid.length}`);
      if (!given) continue;
      const inTest = new Set(Array.from(test, (row) => given[row]));
      t.false([...train, ...valid].some((row) => inTest.has(given[row])));
    }
  }
  t.notDeepEqual(foldsOf(rows(0, FILMS), 5, 3, 0), foldsOf(rows(0, FILMS), 5, 4, 0));
  const error = t.throws(() => foldsOf(rows(0, 3), 4, 0, 0), { instanceOf: DataError });
  t.is(error.code, 'ERR_DATA_EMPTY');
});

test('cross-validation says the same however many folds run at a time', async (t) => {
  const one = await crossValidateTable(TABLE, rows(0, FILMS), CONFIG, { folds: 4, parallel: 1, threads: 1 });
  const more = await crossValidateTable(TABLE, rows(0, FILMS), CONFIG, { folds: 4, parallel: 3, threads: 3 });
  t.deepEqual(one, more);
  t.is(one.folds.length, 4);
  t.true(one.metrics['rating.r2']!.mean > 0.6, String(one.metrics['rating.r2']!.mean));
  const values = one.folds.map(({ score }) => score.metrics['rating.rmse']!);
  const mean = values.reduce((a, b) => a + b, 0) / 4;
  t.true(Math.abs(one.metrics['rating.rmse']!.mean - mean) < 1e-12);
  // Encoders that learn are fitted on each fold's training films: the table may differ by fold.
  const seen: number[] = [];
  await crossValidateTable(
    async (split) => {
      seen.push(split.train.length);
      return TABLE;
    },
    rows(0, FILMS),
    CONFIG,
    { folds: 3 },
  );
  t.deepEqual(seen, [200, 200, 200]);
});

const SPACE: SearchConfig['space'] = {
  'training.optimizer.learningRate': { min: 0.0001, max: 0.1, log: true },
  'network.trunk.0.out': [4, 16],
};

test('trials of a search: a grid has every one, draws are within their bounds and of their kind', (t) => {
  const of = (strategy: object, space: object = SPACE) =>
    trialsOf({ space, strategy, metric: 'loss' } as Parameters<typeof trialsOf>[0], randomOf(1));
  const steps = {
    ...SPACE,
    'training.optimizer.learningRate': { min: 0.001, max: 0.1, log: true, integer: false, steps: 3 },
  };
  const grid = of({ kind: 'grid' }, steps);
  t.is(grid.length, 6);
  t.deepEqual(
    [
      ...new Set(
        grid.map((trial) => Number((trial['training.optimizer.learningRate'] as number).toPrecision(6))),
      ),
    ],
    [0.001, 0.01, 0.1],
  );
  const drawn = of(
    { kind: 'random', trials: 200 },
    { 'training.batchSize': { min: 8, max: 10, log: false, integer: true, steps: 5 } },
  );
  t.deepEqual([...new Set(drawn.map((trial) => trial['training.batchSize']))].sort(), [10, 8, 9]);
  t.deepEqual(withParameters({ a: [{ b: 1 }] }, { 'a.0.b': 2, 'c.d': 3 }), { a: [{ b: 2 }], c: { d: 3 } });
});

test('a search finds the better ones, the same however many trials run at a time; failures are listed', async (t) => {
  const search: SearchConfig = {
    space: { ...SPACE, 'training.dropout': [0, 2] },
    strategy: { kind: 'random', trials: 8 },
    metric: 'rating.r2',
  };
  const one = await searchTable(TABLE, SPLIT, CONFIG, search, { parallel: 1, threads: 1 });
  const more = await searchTable(TABLE, SPLIT, CONFIG, search, { parallel: 3, threads: 3 });
  t.deepEqual(one, more);
  const scores = one.trials.map(({ score }) => score);
  const known = scores.filter((score) => score !== undefined);
  t.deepEqual(
    known,
    [...known].sort((a, b) => b - a),
  );
  t.true(known.length > 0 && known.length < 8, 'a dropout of 2 is refused');
  t.regex(one.trials.at(-1)!.error!, /training\.dropout/);
  t.is(one.best.score, known[0]);
  t.deepEqual(
    [one.config.training!.optimizer!.learningRate],
    [one.best.parameters['training.optimizer.learningRate']],
  );
});

test('successive halving gives the best third three times the epochs', async (t) => {
  const search: SearchConfig = { space: SPACE, strategy: { kind: 'halving', trials: 9, minEpochs: 1 } };
  const config = { ...CONFIG, training: { ...CONFIG.training, epochs: 9 } };
  let total = 0;
  const { trials } = await searchTable(TABLE, SPLIT, config, search, {
    onProgress: (progress) => (total = progress.total),
  });
  t.is(total, 9 + 3 + 1);
  t.deepEqual(
    trials.map(({ epochs }) => epochs),
    [9, 3, 3, 1, 1, 1, 1, 1, 1],
  );
});

test('a search that cannot be is refused, and one that is cancelled ends', async (t) => {
  const refused = async (search: SearchConfig, field: string) => {
    const error = await t.throwsAsync(searchTable(TABLE, SPLIT, CONFIG, search), { instanceOf: TrainError });
    t.is(error.field, field);
  };
  await refused({ space: { 'data.split': ['a'] } }, 'search.space.data.split');
  await refused({ space: SPACE, metric: 'rating.r3' }, 'search.metric');
  const all = searchTable(TABLE, SPLIT, CONFIG, {
    space: { 'training.epochs': [0] },
    strategy: { kind: 'grid' },
  });
  t.is((await t.throwsAsync(all, { instanceOf: TrainError })).code, 'ERR_TRAIN_DIVERGED');
  const controller = new AbortController();
  const running = searchTable(
    TABLE,
    SPLIT,
    CONFIG,
    { space: SPACE, strategy: { kind: 'random', trials: 30 } },
    {
      signal: controller.signal,
      onProgress: ({ done }) => {
        if (done === 2) controller.abort();
      },
    },
  );
  await t.throwsAsync(running, { instanceOf: CancelledError });
});

test('lanes never take more threads than there are', (t) => {
  for (let threads = 1; threads <= 16; threads++) {
    for (const jobs of [1, 2, 5, 40]) {
      const lanes = lanesOf(jobs, undefined, threads);
      t.true(lanes.parallel * lanes.threads <= threads && lanes.parallel <= jobs && lanes.threads >= 1);
    }
  }
});

test('a failure in one lane ends the others and is what is thrown', async (t) => {
  let started = 0;
  const jobs = Array.from({ length: 6 }, (_, i) => async (signal: AbortSignal) => {
    started++;
    if (i === 1) throw new RangeError('no');
    await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }));
    return i;
  });
  await t.throwsAsync(inLanes(jobs, 2, undefined), { instanceOf: RangeError });
  t.is(started, 2);
});

test('schedules: one-cycle as PyTorch has it, warm-ups from below, falls where they should be', (t) => {
  const cycle = { kind: 'one-cycle', rise: 0.3, start: 0.04, end: 4e-6 } as const;
  // torch.optim.lr_scheduler.OneCycleLR(max_lr=1, total_steps=10, pct_start=0.3)
  const expected = [0.04, 0.52, 1, 0.9504844, 0.8117456, 0.6112606, 0.3887434, 0.1882584, 0.0495196, 4e-6];
  for (const [step, value] of expected.entries()) {
    t.true(
      Math.abs(rateFactor(cycle, step, 10, 5) - value) < 2e-6,
      `${step}: ${rateFactor(cycle, step, 10, 5)}`,
    );
  }
  const at = (schedule: Parameters<typeof rateFactor>[0]) =>
    Array.from({ length: 10 }, (_, step) => Number(rateFactor(schedule, step, 10, 2).toFixed(6)));
  t.deepEqual(at({ kind: 'constant', warmup: 0.3 }), [0.25, 0.5, 0.75, 1, 1, 1, 1, 1, 1, 1]);
  t.deepEqual(at({ kind: 'linear', warmup: 0, end: 0 }), [1, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1]);
  t.deepEqual(
    at({ kind: 'step', warmup: 0, every: 2, factor: 0.1 }),
    [1, 1, 1, 1, 0.1, 0.1, 0.1, 0.1, 0.01, 0.01],
  );
  t.is(at({ kind: 'cosine', warmup: 0, end: 0.2 })[5], 0.6);
});
