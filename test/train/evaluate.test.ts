import test from 'ava';
import { fitBaselines } from '../../lib/train/baselines.js';
import { evaluate } from '../../lib/train/evaluate.js';
import type { HeadEvaluation } from '../../lib/train/evaluation.js';
import { isJudged, type JudgedHead } from '../../lib/train/head-scores.js';
import type { TableModel } from '../../lib/train/table-model.js';
import { rowsOf, WORLD_HEADS, world } from './world.js';

const SPLIT = { train: rowsOf(0, 1500), valid: rowsOf(1500, 2000) };
const TEST = rowsOf(2000, 4000);
const { table, model } = world(4000, 1);
const judgedHeads = WORLD_HEADS.filter(isJudged) as JudgedHead[];

async function judged() {
  const baselines = await fitBaselines(table, SPLIT, judgedHeads);
  return evaluate(model, table, TEST, WORLD_HEADS, { baselines, draws: 200 });
}
const once = judged();
const headOf = async (name: string): Promise<HeadEvaluation> =>
  (await once).heads.find((head) => head.name === name)!;

test('every reported head is judged on the films whose truth is known; what serves others is not', async (t) => {
  const evaluation = await once;
  t.deepEqual(
    evaluation.heads.map(({ name, task, films }) => [name, task, films]),
    [
      ['rating', 'regression', 2000],
      ['money', 'regression', 1600],
      ['good', 'binary', 2000],
      ['mood', 'multiclass', 2000],
    ],
  );
  t.is(evaluation.films, 2000);
  t.deepEqual(JSON.parse(JSON.stringify(evaluation)), evaluation, 'plain data: nothing is lost in JSON');
});

test('scores are those of the served forecasts, within their intervals', async (t) => {
  const money = await headOf('money');
  // two thirds know everything: error 0.3; the others also carry a sine
  const rmse = Math.sqrt(0.09 + 0.5 / 3);
  t.true(Math.abs(money.scores.rmse! - rmse) < 0.03, `${money.scores.rmse} ${rmse}`);
  t.is(money.unit, 'log10 of USD');
  for (const head of (await once).heads) {
    for (const [name, ends] of Object.entries(head.intervals)) {
      t.truthy(ends, `${head.name} ${name}`);
      const [low, high] = ends!;
      t.true(low <= high, `${head.name} ${name}`);
      // a percentile interval may miss a bounded score, but not the main one
      if (name === head.main)
        t.true(low <= head.scores[name]! && head.scores[name]! <= high, `${head.name} ${name}`);
    }
  }
  const good = await headOf('good');
  t.true(good.scores.rocAuc! > 0.65 && good.scores.ece! < 0.06, JSON.stringify(good.scores));
  t.is(
    good.confusion!.flat().reduce((a, b) => a + b, 0),
    2000,
  );
  const mood = await headOf('mood');
  t.true(mood.scores.accuracy! > 0.6);
  const diagonal = mood.confusion!.reduce((sum, row, i) => sum + row[i]!, 0);
  t.true(Math.abs(diagonal / 2000 - mood.scores.accuracy!) < 1e-12);
});

test('baselines stand beside it, and how much better it is, on the same films', async (t) => {
  const { baselines, scores, main } = await headOf('money');
  t.deepEqual(
    baselines.map(({ name }) => name),
    ['mean', 'ridge'],
  );
  for (const baseline of baselines) {
    t.is(baseline.gain.score, main);
    t.true(Math.abs(baseline.gain.value! - (baseline.scores[main]! - scores[main]!)) < 1e-12);
    const [low, high] = baseline.gain.interval!;
    t.true(low <= baseline.gain.value! && baseline.gain.value! <= high);
  }
  t.true(baselines[0]!.gain.interval![0] > 0, 'better than the mean beyond doubt');
  // the model adds a sine where b is missing; a line through a does not
  t.true(baselines[1]!.gain.interval![1] < 0, 'and worse than the line, beyond doubt');
});

test('each modality alone, left out, and fused, on the films that have it', async (t) => {
  const { subsets } = await headOf('money');
  t.deepEqual(
    subsets.map(({ kind, modalities }) => [kind, modalities.join('+')]),
    [
      ['fused', 'a+b'],
      ['alone', 'a'],
      ['alone', 'b'],
    ],
  );
  const [fused, a, b] = subsets;
  t.is(fused!.gain, null);
  t.deepEqual(fused!.scores, fused!.fused);
  t.is(a!.films, fused!.films);
  t.true(b!.films < 0.7 * fused!.films);
  t.true(a!.scores.rmse! > fused!.scores.rmse! && a!.gain!.interval![0] > 0);
  t.deepEqual(a!.fused, fused!.scores);
  t.true(b!.fused.rmse! < fused!.scores.rmse!, 'films that have b are the easier ones');
  const four = { modalities: ['a', 'b', 'c', 'd'] };
  const wide = { ...table.modalities, c: table.modalities.b!, d: table.modalities.b! };
  const present = new Uint8Array(4000 * 4).fill(1);
  const asked: string[] = [];
  const recording: TableModel = {
    ...four,
    async predict(rows, mask) {
      asked.push(mask!.subarray(0, 4).join(''));
      return model.predict(rows, new Uint8Array(rows.length * 2).fill(1));
    },
  };
  for (const [subsets, sets] of [
    ['each', 9],
    ['all', 15],
  ] as const) {
    asked.length = 0;
    const heads = WORLD_HEADS.slice(2, 3);
    const options = { draws: 20, subsets };
    const found = await evaluate(recording, { ...table, modalities: wide, present }, TEST, heads, options);
    t.is(found.heads[0]!.subsets.length, sets);
    t.is(new Set(asked).size, sets);
    t.is(found.heads[0]!.subsets.filter(({ kind }) => kind === 'without').length, 4);
  }
});

test('intervals and probabilities are held against what they promise', async (t) => {
  const rating = (await headOf('rating')).calibration;
  if (rating.kind !== 'interval') return t.fail();
  // of the films that have everything nine in ten; the others' sine is not in the promise
  const whole = rating.byPresence.find(({ modalities }) => modalities.length === 2)!;
  t.true(Math.abs(whole.coverage - 0.9) < 0.025, `${whole.coverage}`);
  t.true(rating.byPresence.find(({ modalities }) => modalities.length === 1)!.coverage < 0.89);
  t.is(rating.bins.length, 10);
  t.is(
    rating.bins.reduce((sum, { n }) => sum + n, 0),
    2000,
  );
  t.true(rating.bins.every((bin, i) => i === 0 || bin.meanForecast > rating.bins[i - 1]!.meanForecast));
  const good = (await headOf('good')).calibration;
  if (good.kind !== 'probability') return t.fail();
  t.true(good.bins.length > 4 && good.ece < 0.06);
  t.truthy(good.eceInterval);
});

test('groups: a film may be in several, small ones are left, the gap is between the best and the worst', async (t) => {
  const [parity, rare] = (await headOf('money')).groups;
  t.deepEqual(parity!.values.map(({ value }) => value).sort(), ['even', 'not odd', 'odd']);
  t.deepEqual(
    parity!.values.find(({ value }) => value === 'even')!.scores,
    parity!.values.find(({ value }) => value === 'not odd')!.scores,
  );
  t.is(parity!.gap!.score, 'mae');
  const maes = parity!.values.map(({ scores }) => scores.mae!);
  t.true(Math.abs(parity!.gap!.value - (Math.max(...maes) - Math.min(...maes))) < 1e-12);
  t.is(parity!.values.find(({ value }) => value === parity!.gap!.worst)!.scores.mae, Math.max(...maes));
  t.deepEqual([rare!.values, rare!.left, rare!.gap], [[], 1, null]);
});

test('the worst cases are the worst, with what they had', async (t) => {
  const { worst, points } = await headOf('rating');
  t.is(worst.length, 12);
  t.true(worst.every((film, i) => i === 0 || film.error <= worst[i - 1]!.error));
  const all = Array.from(points.truth, (truth, i) => Math.abs(truth - points.forecast[i]!));
  t.true(worst[0]!.error >= Math.max(...all) - 1e-9);
  t.regex(worst[0]!.title!, /^Film </);
  t.true(
    Math.abs(Math.abs((worst[0]!.truth as number) - (worst[0]!.forecast as number)) - worst[0]!.error) <
      1e-12,
  );
  const mood = await headOf('mood');
  t.true(mood.worst.every(({ truth, forecast }) => typeof truth === 'string' && truth !== forecast));
});

test('the same seed finds the same, to the last digit', async (t) => {
  const twice = await Promise.all([1, 2].map(() => evaluate(model, table, TEST, WORLD_HEADS, { draws: 30 })));
  t.deepEqual(twice[0], twice[1]);
});

test('films that have nothing are counted, not judged; wrong rows and unknown truths are refused', async (t) => {
  const present = table.present.slice();
  present.fill(0, 2 * 2000, 2 * 2010);
  const found = await evaluate(model, { ...table, present }, TEST, WORLD_HEADS.slice(0, 2), { draws: 20 });
  t.is(found.skipped, 10);
  t.is(found.films, 1990);
  await t.throwsAsync(evaluate(model, table, Int32Array.of(1, 1), WORLD_HEADS), { code: 'ERR_INPUT_VALUE' });
  await t.throwsAsync(evaluate(model, table, Int32Array.of(4000), WORLD_HEADS), { code: 'ERR_INPUT_VALUE' });
  await t.throwsAsync(evaluate(model, table, new Int32Array(), WORLD_HEADS), { code: 'ERR_DATA_EMPTY' });
  const blank = { ...table, targets: { ...table.targets, rating: new Float32Array(4000).fill(Number.NaN) } };
  await t.throwsAsync(evaluate(model, blank, TEST, WORLD_HEADS), {
    code: 'ERR_DATA_EMPTY',
    message: /rating/,
  });
  const cancelled = AbortSignal.abort();
  await t.throwsAsync(evaluate(model, table, TEST, WORLD_HEADS, { signal: cancelled }), {
    code: 'ERR_CANCELLED',
  });
});
