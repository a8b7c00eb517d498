/** The fusion kind 'kernel' by its configuration: fitTable, crossValidateTable, a bundle's worth of heads. */
import test from 'ava';
import { FusionNetwork } from '../../lib/fusion/network.js';
import {
  crossValidateTable,
  type FilmTable,
  fitTable,
  type TableConfig,
  type TableSplit,
} from '../../lib/train/index.js';
import { tableModel } from '../../lib/train/table-model.js';
import { random, randomF32 } from '../backends.js';
import { throwsTyped } from '../errors.js';

const FILMS = 400;

function films(): FilmTable {
  const next = random(1);
  const text = randomF32(FILMS * 5, 1);
  const facts = randomF32(FILMS * 2, 2);
  const rating = Float32Array.from(
    { length: FILMS },
    (_, i) => 6 + 1.5 * Math.sin(2 * text[5 * i]!) + facts[2 * i]! ** 2 + 0.2 * (next() - 0.5),
  );
  return {
    ids: Array.from({ length: FILMS }, (_, i) => `film ${i}`),
    modalities: {
      text: { dim: 5, steps: 1, values: text },
      facts: { dim: 2, steps: 1, values: facts },
    },
    present: Uint8Array.from({ length: FILMS * 2 }, (_, i) => (i % 2 === 0 || next() < 0.9 ? 1 : 0)),
    targets: { rating, liked: rating.map((v) => (v > 6.3 ? 1 : 0)) },
  };
}

const rows = (from: number, to: number) => Int32Array.from({ length: to - from }, (_, i) => from + i);
const split: TableSplit = { train: rows(0, 280), valid: rows(280, 340), test: rows(340, FILMS) };
const config: TableConfig = {
  seed: 1,
  targets: [
    { name: 'rating', task: 'regression' },
    { name: 'liked', task: 'binary' },
  ],
  network: { fusion: { kind: 'kernel', combine: 'sum', landmarks: 200 } },
};

test('fitTable solves it, in the units of the target, the same every time', async (t) => {
  const table = films();
  const fitted = await fitTable(table, split, config);
  t.is(fitted.spec.fusion.kind, 'kernel');
  t.deepEqual(
    fitted.heads.map(({ name }) => name),
    ['rating', 'liked'],
  );
  using network = FusionNetwork.create(fitted.spec, fitted.weights);
  const { heads } = await tableModel(network, table).predict(split.test);
  const [head] = fitted.heads;
  if (head?.task !== 'regression') return t.fail();
  const { mean, std } = head;
  const truth = (row: number) => table.targets.rating![split.test[row]!]!;
  const squares = (f: (row: number) => number) =>
    [...split.test.keys()].reduce((sum, row) => sum + (f(row) - truth(row)) ** 2, 0);
  const r2 = 1 - squares((row) => heads.rating![row]! * std + mean) / squares(() => mean);
  t.true(r2 > 0.75, `${r2}`);
  const right = [...split.test.keys()].filter((row) => heads.liked![row]! > 0 === truth(row) > 6.3).length;
  t.true(right / split.test.length > 0.8, `${right} of ${split.test.length}`);
  t.deepEqual((await fitTable(table, split, config)).weights, fitted.weights);
});

test('crossValidateTable runs it', async (t) => {
  const { folds } = await crossValidateTable(films(), rows(0, FILMS), config, { folds: 3 });
  t.is(folds.length, 3);
});

test('settings of stepped training are refused by their names', async (t) => {
  const change = (fields: Partial<TableConfig>) => fitTable(films(), split, { ...config, ...fields });
  await throwsTyped(t, () => change({ training: { ensemble: 3 } }), {
    code: 'ERR_TRAIN_CONFIG',
    field: 'training.ensemble',
  });
  await throwsTyped(t, () => change({ network: { fusion: { kind: 'kernel', landmarks: 0 } } }), {
    code: 'ERR_TRAIN_CONFIG',
    field: 'network.fusion.landmarks',
  });
});
