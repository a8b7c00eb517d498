/** Fitting on tables: what is learned, what comes again bit for bit, and what is left when it ends early. */
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import test from 'ava';
import { CancelledError, TrainError } from '../../lib/errors.js';
import { FusionNetwork } from '../../lib/fusion/network.js';
import { fromHalf, toHalves } from '../../lib/formats/safetensors.js';
import { native } from '../../lib/native.js';
import {
  fitTable,
  type FilmTable,
  type FittedTable,
  type FuseConfig,
  loadCheckpoint,
  parseFuseConfig,
  type TableConfig,
  tableModel,
} from '../../lib/train/index.js';
import { randomOf } from '../../lib/train/random.js';
import { scoreFitted } from '../../lib/train/validate.js';
import { temporaryDirectory } from '../tiny-bundle.js';

const FILMS = 420;
const rows = (from: number, to: number) => Int32Array.from({ length: to - from }, (_, i) => from + i);
const SPLIT = { train: rows(0, 280), valid: rows(280, 350), test: rows(350, FILMS) };

/** Facts in two variants, a poster that a third of the films lack and that holds NaN there, and one film with nothing. */
function films(): FilmTable {
  const random = randomOf(4);
  const facts = Float32Array.from({ length: 2 * FILMS * 9 }, () => random.normal());
  for (let i = 0; i < FILMS * 9; i++) facts[FILMS * 9 + i] = facts[i]! + 0.05 * random.normal();
  const poster = Float32Array.from({ length: FILMS * 12 }, () => random.normal());
  const present = new Uint8Array(2 * FILMS).fill(1);
  const rating = new Float32Array(FILMS);
  const mood = new Float32Array(FILMS);
  for (let film = 0; film < FILMS; film++) {
    if (film % 3 === 2) {
      present[2 * film + 1] = 0;
      poster.fill(Number.NaN, film * 12, film * 12 + 12);
    }
    const x = facts[film * 9]! - 0.7 * facts[film * 9 + 4]!;
    const y = present[2 * film + 1] ? poster[film * 12 + 2]! : 0;
    rating[film] = 6 + x + 0.6 * y + 0.2 * random.normal();
    mood[film] = x < -0.5 ? 0 : x < 0.5 ? 1 : 2;
    if (film % 11 === 5) rating[film] = Number.NaN;
  }
  present.fill(0, 14, 16);
  return {
    ids: Array.from({ length: FILMS }, (_, film) => `f${film}`),
    modalities: {
      facts: { dim: 9, steps: 1, values: facts, variants: 2 },
      poster: { dim: 12, steps: 1, values: poster },
    },
    present,
    targets: {
      rating,
      good: rating.map((value) => (Number.isNaN(value) ? value : Number(value > 6))),
      gross: rating.map((value) => 10 ** (value / 2)),
      mood,
    },
    weights: Float32Array.from({ length: FILMS }, (_, film) => 1 + (film % 3)),
  };
}
const TABLE = films();

const CONFIG: TableConfig = {
  seed: 3,
  targets: [
    { name: 'rating', task: 'regression', spread: true },
    { name: 'good', task: 'binary', weight: 0.5 },
    { name: 'gross', task: 'regression', transform: 'log10', loss: { kind: 'huber' } },
    {
      name: 'mood',
      task: 'multiclass',
      classes: ['low', 'middle', 'high'],
      loss: { kind: 'cross-entropy', smoothing: 0.05, classWeights: 'balanced' },
    },
  ],
  network: {
    projection: { out: 10 },
    trunk: [{ out: 12 }],
    modalities: { poster: { principalDirections: { keep: 6 }, projection: { out: 6, activation: 'tanh' } } },
  },
  training: {
    epochs: 8,
    batchSize: 32,
    optimizer: { kind: 'adamw', learningRate: 0.01, weightDecay: 0.01 },
    schedule: { kind: 'one-cycle', rise: 0.2 },
    dropout: 0.1,
    inputDropout: 0.05,
    modalityDropout: { poster: 0.1 },
    fewInputs: 0.2,
    clipNorm: 2,
    l1: 1e-5,
    earlyStopping: { metric: 'rating.rmse', patience: 3 },
    ensemble: [3, 8],
  },
};
const trained = (
  training: Partial<NonNullable<FuseConfig['training']>>,
  more: Partial<TableConfig> = {},
): TableConfig => ({
  ...CONFIG,
  ...more,
  training: { ...CONFIG.training, ...training },
});

const bytes = (data: Float32Array) => Buffer.from(data.buffer, data.byteOffset, data.byteLength);
/** Spec, every weight bit for bit, heads and history. */
function same(a: FittedTable, b: FittedTable): boolean {
  return (
    JSON.stringify([a.spec, a.heads, a.history]) === JSON.stringify([b.spec, b.heads, b.history]) &&
    a.weights.size === b.weights.size &&
    [...a.weights].every(([name, { data }]) => bytes(data).equals(bytes(b.weights.get(name)!.data)))
  );
}

test('it learns: every head beats what knows nothing of the film', async (t) => {
  const fitted = await fitTable(
    TABLE,
    SPLIT,
    trained({ ensemble: 1, epochs: 25, fewInputs: 0, earlyStopping: false }),
  );
  const { metrics } = await scoreFitted(
    fitted,
    TABLE,
    SPLIT.test,
    { targets: parseFuseConfig(CONFIG).targets },
    SPLIT.train,
    {},
  );
  t.true(metrics['rating.r2']! > 0.7, String(metrics['rating.r2']));
  t.true(metrics['gross.r2']! > 0.7, String(metrics['gross.r2']));
  t.true(metrics['good.rocAuc']! > 0.9, String(metrics['good.rocAuc']));
  t.true(metrics['mood.macroF1']! > 0.7, String(metrics['mood.macroF1']));
  const { epochs } = fitted.history[0]!;
  t.is(epochs.length, 25);
  t.true(epochs.at(-1)!.loss < 0.7 * epochs[0]!.loss);
  t.deepEqual(
    fitted.heads.map(({ task }) => task),
    ['regression', 'auxiliary', 'binary', 'regression', 'multiclass'],
  );
});

test('the same seed gives the same bits on any number of threads, another seed others', async (t) => {
  const first = await fitTable(TABLE, SPLIT, CONFIG, { threads: 1 });
  for (const threads of [1, 2, 3])
    t.true(same(first, await fitTable(TABLE, SPLIT, CONFIG, { threads })), `${threads}`);
  t.false(same(first, await fitTable(TABLE, SPLIT, trained({ ensemble: [3, 9] }))));
  for (const isa of native().info().isas) {
    const [a, b] = [
      await fitTable(TABLE, SPLIT, CONFIG, { isa }),
      await fitTable(TABLE, SPLIT, CONFIG, { isa }),
    ];
    t.true(same(a, b), isa);
  }
});

test('cancelled anywhere and resumed, a fit ends as if it had never stopped', async (t) => {
  await using folder = await temporaryDirectory();
  const whole = await fitTable(TABLE, SPLIT, CONFIG);
  for (const every of [1, 2, 5]) {
    const checkpoint = path.join(folder.path, `every-${every}`);
    for (let cuts = 0; ; cuts++) {
      const controller = new AbortController();
      let calls = 0;
      const fitting = fitTable(TABLE, SPLIT, CONFIG, {
        checkpoint,
        resume: true,
        checkpointEveryMs: cuts % 2 ? 0 : 1e9,
        signal: controller.signal,
        onProgress: ({ stage }) => {
          if (stage === 'train' && ++calls === every) controller.abort();
        },
      });
      try {
        t.true(same(whole, await fitting), `${every}, ${cuts} cuts`);
        t.true(cuts > 3);
        break;
      } catch (error) {
        t.true(error instanceof CancelledError);
        const left = await loadCheckpoint(checkpoint);
        FusionNetwork.create(left.spec, left.weights).dispose();
        t.false(left.finished);
      }
    }
    t.true((await loadCheckpoint(checkpoint)).finished);
    t.true(
      same(whole, await fitTable(TABLE, SPLIT, CONFIG, { checkpoint, resume: true })),
      'of one that is done',
    );
  }
});

test('a checkpoint of something else is refused, and nothing that is not one is taken', async (t) => {
  await using folder = await temporaryDirectory();
  const checkpoint = path.join(folder.path, 'state');
  await fitTable(TABLE, SPLIT, trained({ epochs: 2 }), { checkpoint });
  const refused = async (fit: Promise<unknown>) => {
    const error = await t.throwsAsync(fit, { instanceOf: TrainError });
    t.is(error.code, 'ERR_TRAIN_CHECKPOINT');
    t.is(error.file, checkpoint);
  };
  const resume = { checkpoint, resume: true };
  await refused(fitTable(TABLE, SPLIT, trained({ epochs: 3 }), resume));
  await refused(fitTable(TABLE, { ...SPLIT, train: rows(1, 280) }, trained({ epochs: 2 }), resume));
  const other = { ...TABLE, weights: TABLE.weights!.map((w) => w + 1) };
  await refused(fitTable(other, SPLIT, trained({ epochs: 2 }), resume));
  for (const broken of ['', 'x'.repeat(100), Buffer.alloc(64)]) {
    await writeFile(checkpoint, broken);
    await refused(fitTable(TABLE, SPLIT, trained({ epochs: 2 }), resume));
    await refused(loadCheckpoint(checkpoint));
  }
  await fitTable(TABLE, SPLIT, trained({ epochs: 1 }), { checkpoint });
  t.true((await loadCheckpoint(checkpoint)).finished, 'without resume it begins anew');
  const error = await t.throwsAsync(
    fitTable(TABLE, SPLIT, trained({ epochs: 1 }), { checkpoint: path.join(checkpoint, 'below-a-file') }),
    { instanceOf: TrainError },
  );
  t.is(error.code, 'ERR_TRAIN_WRITE');
});

test('stopping early gives back the weights of the best epoch', async (t) => {
  const stopping = { metric: 'rating.mae', patience: 2 };
  const config = trained({
    ensemble: 1,
    epochs: 60,
    schedule: { kind: 'constant' },
    earlyStopping: stopping,
  });
  const fitted = await fitTable(TABLE, SPLIT, config);
  const [history] = fitted.history;
  const values = history!.epochs.map(({ valid }) => valid!.metrics['rating.mae']!);
  t.is(history!.stopped, 'early');
  t.is(history!.bestEpoch, values.indexOf(Math.min(...values)) + 1);
  t.is(history!.epochs.length, history!.bestEpoch + 2);
  const { targets } = parseFuseConfig(config);
  const { metrics } = await scoreFitted(fitted, TABLE, SPLIT.valid, { targets }, SPLIT.train, {});
  t.true(Math.abs(metrics['rating.mae']! - Math.min(...values)) < 1e-5);
  const last = await fitTable(
    TABLE,
    SPLIT,
    trained({
      ensemble: 1,
      epochs: 60,
      schedule: { kind: 'constant' },
      earlyStopping: { ...stopping, restoreBest: false },
    }),
  );
  t.is(last.history[0]!.bestEpoch, last.history[0]!.epochs.length);
  t.false(same(fitted, last));
});

test('an ensemble predicts the mean of its networks', async (t) => {
  const both = await fitTable(TABLE, SPLIT, CONFIG);
  const each = await Promise.all([3, 8].map((seed) => fitTable(TABLE, SPLIT, trained({ ensemble: [seed] }))));
  const predict = async ({ spec, weights }: FittedTable) => {
    using network = FusionNetwork.create(spec, weights);
    return (await tableModel(network, TABLE).predict(SPLIT.test)).heads;
  };
  const [mean, a, b] = [await predict(both), await predict(each[0]!), await predict(each[1]!)];
  for (const [head, values] of Object.entries(mean)) {
    const largest = values.reduce((most, value) => Math.max(most, Math.abs(value)), 1);
    const off = values.reduce(
      (most, value, i) => Math.max(most, Math.abs(value - (a[head]![i]! + b[head]![i]!) / 2)),
      0,
    );
    t.true(off < 1e-5 * largest, `${head} ${off}`);
  }
  t.is(both.spec.trunk[0]!.out, 24);
  t.deepEqual(both.history, [each[0]!.history[0]!, each[1]!.history[0]!]);
});

test('weights kept as float16 are those numbers already when they are handed out', async (t) => {
  const exact = await fitTable(TABLE, SPLIT, trained({ epochs: 2 }));
  const half = await fitTable(TABLE, SPLIT, trained({ epochs: 2, storedAs: 'float16' }));
  for (const [name, { data }] of half.weights) {
    const from = exact.weights.get(name)!.data;
    if (name.includes('.scaler.')) t.deepEqual(data, from);
    else t.deepEqual(data, Float32Array.from(toHalves(from), fromHalf), name);
  }
});

test('rounding to half is to the nearest, ties to even', (t) => {
  for (let bits = 0; bits < 0x7c00; bits++) {
    const [value, next] = [fromHalf(bits), bits === 0x7bff ? 65536 : fromHalf(bits + 1)];
    const middle = (value + next) / 2;
    const of = (x: number) => toHalves(Float32Array.of(x, -x));
    t.true(of(value)[0] === bits && of(value)[1] === (bits | 0x8000), String(bits));
    t.is(of(middle)[0], bits % 2 === 0 ? bits : bits + 1);
    t.is(of(middle - (next - value) / 8)[0], bits);
    t.is(of(middle + (next - value) / 8)[0], bits + 1);
  }
  t.deepEqual([...toHalves(Float32Array.of(Infinity, -Infinity, 1e9))], [0x7c00, 0xfc00, 0x7c00]);
  t.true(Number.isNaN(fromHalf(toHalves(Float32Array.of(Number.NaN))[0]!)));
});

test('a loss that is no longer finite stops with step and layer, and a checkpoint that can be loaded is left', async (t) => {
  await using folder = await temporaryDirectory();
  const checkpoint = path.join(folder.path, 'state');
  const config = trained({
    ensemble: 1,
    clipNorm: undefined,
    schedule: { kind: 'constant' },
    optimizer: { kind: 'sgd', learningRate: 1e18 },
  });
  const error = await t.throwsAsync(fitTable(TABLE, SPLIT, config, { checkpoint }), {
    instanceOf: TrainError,
  });
  t.is(error.code, 'ERR_TRAIN_DIVERGED');
  t.is(error.file, checkpoint);
  t.regex(error.message, /step \d+.*epoch 1, seed 3.*state/s);
  t.true(existsSync(checkpoint));
  const left = await loadCheckpoint(checkpoint);
  for (const [name, { data }] of left.weights) t.true(data.every(Number.isFinite), name);
});

const REFUSED: [string, string, TableConfig, Partial<FilmTable>?][] = [
  ['ERR_TRAIN_CONFIG', 'network.modalities.sound', { ...CONFIG, network: { modalities: { sound: {} } } }],
  ['ERR_TRAIN_CONFIG', 'training.modalityDropout.sound', trained({ modalityDropout: { sound: 0.1 } })],
  ['ERR_TRAIN_CONFIG', 'training.frozen', trained({ frozen: ['no.such'] })],
  ['ERR_TRAIN_CONFIG', 'training.earlyStopping.metric', trained({ earlyStopping: { metric: 'rating.rms' } })],
  ['ERR_DATA_COLUMN', 'targets.other', { ...CONFIG, targets: [{ name: 'other', task: 'regression' }] }],
  ['ERR_DATA_COLUMN', 'targets.rating', { ...CONFIG, targets: [{ name: 'rating', task: 'binary' }] }],
  [
    'ERR_DATA_EMPTY',
    'targets.rating',
    CONFIG,
    { targets: { ...TABLE.targets, rating: new Float32Array(FILMS).fill(Number.NaN) } },
  ],
  [
    'ERR_DATA_EMPTY',
    'targets.good',
    CONFIG,
    { targets: { ...TABLE.targets, good: new Float32Array(FILMS) } },
  ],
  [
    'ERR_DATA_COLUMN',
    'targets.gross',
    CONFIG,
    { targets: { ...TABLE.targets, gross: new Float32Array(FILMS) } },
  ],
  ['ERR_DATA_COLUMN', 'weights', CONFIG, { weights: new Float32Array(FILMS) }],
  ['ERR_DATA_COLUMN', 'present', CONFIG, { present: new Uint8Array(3) }],
  ['ERR_INPUT_VALUE', 'modalities.poster', CONFIG, { present: new Uint8Array(2 * FILMS).fill(1) }],
];
for (const [i, [code, field, config, change]] of REFUSED.entries()) {
  test(`what does not fit is refused before any step, ${i + 1}: ${field}`, async (t) => {
    let steps = 0;
    const onProgress = ({ stage }: { stage: string }) => {
      if (stage === 'train') steps++;
    };
    const error = await t.throwsAsync(fitTable({ ...TABLE, ...change }, SPLIT, config, { onProgress }));
    t.is((error as TrainError).code, code as TrainError['code'], error.message);
    t.is((error as TrainError).field, field);
    t.is(steps, 0);
  });
}

test('every fusion kind is fitted, and progress ends where it should', async (t) => {
  const fusions: NonNullable<NonNullable<TableConfig['network']>['fusion']>[] = [
    { kind: 'weighted-sum' },
    { kind: 'late' },
    { kind: 'hybrid' },
    { kind: 'tensor', out: 8, activation: 'relu' },
    { kind: 'low-rank', rank: 3, out: 8, activation: 'silu' },
    { kind: 'attention', form: 'tanh' },
    { kind: 'attention', form: 'feature' },
    { kind: 'cross-modal', heads: 2, blocks: 1, hidden: 16 },
  ];
  for (const fusion of fusions) {
    const config: TableConfig = {
      ...trained({ ensemble: 1, epochs: 6 }),
      targets: [{ name: 'rating', task: 'regression' }],
      network: { fusion, projection: { out: 8 }, trunk: [{ out: 8, layerNorm: true }] },
    };
    let last = { done: 0, total: 1 };
    const fitted = await fitTable(TABLE, SPLIT, config, { onProgress: (progress) => (last = progress) });
    const { epochs } = fitted.history[0]!;
    t.true(epochs.at(-1)!.loss < epochs[0]!.loss, fusion.kind);
    if (epochs.length === 6) t.is(last.done, last.total);
  }
});

test('kernels are solved by the same call, and what belongs to steps is refused with them', async (t) => {
  const config: TableConfig = {
    targets: [{ name: 'rating', task: 'regression' }],
    network: { fusion: { kind: 'kernel', kernels: { facts: { kind: 'linear' }, poster: { kind: 'rbf' } } } },
  };
  const fitted = await fitTable(TABLE, SPLIT, config);
  const { targets } = parseFuseConfig(config);
  const { metrics } = await scoreFitted(fitted, TABLE, SPLIT.test, { targets }, SPLIT.train, {});
  t.true(metrics['rating.r2']! > 0.7, String(metrics['rating.r2']));
  t.true(fitted.kernel!.rating!.lambda > 0);
  const error = await t.throwsAsync(fitTable(TABLE, SPLIT, { ...config, training: { ensemble: 2 } }), {
    instanceOf: TrainError,
  });
  t.is(error.field, 'training.ensemble');
});
