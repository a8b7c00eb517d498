import test from 'ava';
import { headFeedback, isotonicProbability } from '../../lib/feedback.js';
import { manifestSchema, type BinaryHead, type RegressionHead } from '../../lib/fusion/manifest.js';
import { calibrate, presenceSets, type UncalibratedHead } from '../../lib/train/calibrate.js';
import { conformalQuantile, fitIsotonic, fitTemperature } from '../../lib/train/calibration-curves.js';
import { expectedCalibrationError, probabilityMetrics } from '../../lib/train/metrics.js';
import { randomOf } from '../../lib/train/random.js';
import type { TableModel } from '../../lib/train/table-model.js';
import { rowsOf, sigmoid, world } from './world.js';

test('the conformal quantile is the (n+1)-corrected one, and needs films enough', (t) => {
  const values = Float64Array.from({ length: 9 }, (_, i) => 9 - i);
  t.is(conformalQuantile(values, 0.9), 9);
  t.is(conformalQuantile(values, 0.5), 5);
  t.is(
    conformalQuantile(
      Float64Array.from({ length: 99 }, (_, i) => i + 1),
      0.8,
    ),
    80,
  );
  t.is(values[0], 9, 'the values are left in their order');
  t.throws(() => conformalQuantile(values.subarray(1), 0.9), {
    code: 'ERR_DATA_EMPTY',
    message: /at least 9 films/,
  });
});

test('the temperature is found that the outputs were heated by', (t) => {
  const random = randomOf(5);
  const logits = Array.from({ length: 20_000 }, () => random.normal() * 2);
  const truth = logits.map((x) => (random.next() < sigmoid(x) ? 1 : 0));
  for (const factor of [0.25, 1, 3]) {
    const found = fitTemperature(
      logits.map((x) => x * factor),
      truth,
    );
    t.true(Math.abs(found / factor - 1) < 0.05, `${factor}: ${found}`);
  }
  // against a scan of the log loss
  const loss = (temperature: number) =>
    probabilityMetrics(
      truth,
      logits.map((x) => sigmoid(x / temperature)),
    ).logLoss;
  const found = fitTemperature(logits, truth);
  for (const other of [0.5, 0.9, 0.99, 1.01, 1.1, 2]) t.true(loss(found) <= loss(found * other));
  t.true(Number.isFinite(fitTemperature([1, 2], [1, 1])) && Number.isFinite(fitTemperature([1, 2], [0, 0])));
});

test('the temperature of a softmax is found too, and is that of the sigmoid for two classes', (t) => {
  const random = randomOf(6);
  const films = 8000;
  const logits = Float64Array.from({ length: films * 4 }, () => random.normal() * 1.5);
  const truth = Array.from({ length: films }, (_, i) => {
    const shares = Array.from(logits.subarray(i * 4, i * 4 + 4), Math.exp);
    let left = random.next() * shares.reduce((a, b) => a + b, 0);
    return shares.findIndex((share) => {
      left -= share;
      return left < 0;
    });
  });
  const found = fitTemperature(
    logits.map((x) => 2.5 * x),
    truth,
    4,
  );
  t.true(Math.abs(found / 2.5 - 1) < 0.05, `${found}`);
  const one = Array.from(logits.subarray(0, 500));
  const yes = one.map((x) => (random.next() < sigmoid(x) ? 1 : 0));
  const two = fitTemperature(
    one.flatMap((x) => [0, x]),
    yes,
    2,
  );
  t.true(Math.abs(two / fitTemperature(one, yes) - 1) < 1e-9);
});

test('isotonic: pools as done by hand, ties together, points that rise', (t) => {
  // outputs 1 2 2 3 4 5, truths 0 1 0 0 1 1: {1} 0 | {2,2,3} 1/3 | {4,5} 1
  const curve = fitIsotonic([4, 2, 1, 2, 3, 5], [1, 1, 0, 0, 0, 1]);
  t.deepEqual(curve.outputs, [1, 7 / 3, 4.5]);
  t.deepEqual(curve.probabilities, [1 / 8, 1 / 3, 7 / 8]);
  t.is(isotonicProbability(curve, -10), 1 / 8);
  t.is(isotonicProbability(curve, 99), 7 / 8);
  t.is(isotonicProbability(curve, 7 / 3), 1 / 3);
  t.true(Math.abs(isotonicProbability(curve, (1 + 7 / 3) / 2) - (1 / 8 + 1 / 3) / 2) < 1e-12);
  t.is(isotonicProbability({ outputs: [2], probabilities: [0.4] }, 2), 0.4);
});

test('isotonic never falls and repairs what no temperature can', (t) => {
  const random = randomOf(8);
  const sample = (n: number) => {
    const x = Array.from({ length: n }, () => random.normal() * 2);
    // a floor and a ceiling: not a sigmoid of any temperature
    return { x, y: x.map((v) => (random.next() < 0.3 + 0.4 * sigmoid(4 * v) ? 1 : 0)) };
  };
  const [fit, fresh] = [sample(4000), sample(4000)];
  const curve = fitIsotonic(fit.x, fit.y);
  t.true(curve.probabilities.every((p, i) => i === 0 || p >= curve.probabilities[i - 1]!));
  t.true(curve.outputs.every((x, i) => i === 0 || x > curve.outputs[i - 1]!));
  const temperature = fitTemperature(fit.x, fit.y);
  const isotonic = expectedCalibrationError(
    fresh.y,
    fresh.x.map((x) => isotonicProbability(curve, x)),
  );
  const scaled = expectedCalibrationError(
    fresh.y,
    fresh.x.map((x) => sigmoid(x / temperature)),
  );
  t.true(isotonic < 0.03 && isotonic < scaled, `${isotonic} ${scaled}`);
});

const HEADS: UncalibratedHead[] = [
  { name: 'rating', task: 'regression', unit: 'points', mean: 6, std: 2, transform: 'none' },
  { name: 'spread', task: 'auxiliary' },
  {
    name: 'money',
    task: 'regression',
    unit: 'USD',
    mean: 7,
    std: 1,
    transform: 'log10',
    interval: { level: 0.8 },
  },
  { name: 'good', task: 'binary', positive: 'good', threshold: 0.5 },
];

test('intervals of every set of modalities hold what they say on films not used for them', async (t) => {
  const { table, model } = world(6000, 1);
  for (const spreadHead of [undefined, 'spread']) {
    const heads = await calibrate(
      model,
      table,
      rowsOf(0, 3000),
      HEADS.map((head) =>
        head.name === 'rating' ? ({ ...head, interval: { spreadHead } } as UncalibratedHead) : head,
      ),
    );
    const { interval } = heads[0] as RegressionHead;
    t.is(interval.level, 0.9);
    t.is(interval.spreadHead, spreadHead);
    t.deepEqual(Object.keys(interval.quantiles).sort(), ['*', 'a', 'a+b', 'b']);
    t.regex(interval.calibratedOn, /^3000 films/);
    t.true(interval.quantiles.a! > interval.quantiles['a+b']!, 'what knows less says less');
    const test = rowsOf(3000, 6000);
    const { heads: out } = await model.predict(test);
    const inside = { rating: 0, money: 0, known: 0, width: 0 };
    for (const [row, film] of test.entries()) {
      const got = headFeedback(heads, (name) => out[name]![row]!, film % 3 === 0 ? ['a'] : ['a', 'b']);
      const [low, high] = got.rating!.interval;
      if (low <= table.targets.rating![film]! && table.targets.rating![film]! <= high) inside.rating++;
      const money = got.other!.money as { interval: [number, number] };
      if (!Number.isNaN(table.targets.money![film]!)) {
        inside.known++;
        if (
          money.interval[0] <= table.targets.money![film]! &&
          table.targets.money![film]! <= money.interval[1]
        )
          inside.money++;
      }
    }
    t.true(Math.abs(inside.rating / test.length - 0.9) < 0.03, `rating ${inside.rating / test.length}`);
    t.true(Math.abs(inside.money / inside.known - 0.8) < 0.04, `money ${inside.money / inside.known}`);
  }
});

test('probabilities, by temperature and by curve, come true on films not used for them', async (t) => {
  const { table, model } = world(8000, 2);
  const test = rowsOf(4000, 8000);
  const truth = test.map((film) => table.targets.good![film]!);
  const { heads: out } = await model.predict(test, new Uint8Array(8000).fill(1));
  for (const probabilities of ['temperature', 'isotonic'] as const) {
    const heads = await calibrate(model, table, rowsOf(0, 4000), HEADS, { probabilities });
    const head = heads[3] as BinaryHead;
    t.is(head.isotonic !== undefined, probabilities === 'isotonic');
    t.true(Math.abs(head.temperatures['a+b']! - 3) < 0.3, `${head.temperatures['a+b']}`);
    t.true(head.temperatures.a! > head.temperatures['a+b']!, 'what knows less is less sure');
    const said = Array.from(
      test,
      (_, row) =>
        (headFeedback([head], () => out.good![row]!, ['a', 'b']).other!.good as { probability: number })
          .probability,
    );
    t.true(expectedCalibrationError(Array.from(truth), said) < 0.03);
    t.notThrows(() => manifestSchema.shape.heads.parse(JSON.parse(JSON.stringify(heads))));
  }
});

test('too few films, a target that is not there, a class that is none, a level that is no share: refused', async (t) => {
  const { table, model } = world(100, 3);
  await t.throwsAsync(calibrate(model, table, rowsOf(0, 8), HEADS, { minFilms: 1 }), {
    code: 'ERR_DATA_EMPTY',
    message: /at least 9 calibration films/,
  });
  await t.throwsAsync(calibrate(model, { ...table, targets: {} }, rowsOf(0, 100), HEADS), {
    code: 'ERR_DATA_COLUMN',
    message: /targets.rating/,
  });
  const wrong = { ...table.targets, good: table.targets.rating! };
  await t.throwsAsync(calibrate(model, { ...table, targets: wrong }, rowsOf(0, 100), HEADS), {
    code: 'ERR_DATA_COLUMN',
    message: /a class number from 0 to 1, or NaN/,
  });
  await t.throwsAsync(calibrate(model, table, rowsOf(0, 100), HEADS, { level: 1 }), {
    code: 'ERR_TRAIN_CONFIG',
  });
  const nowhere = [{ ...HEADS[0]!, interval: { spreadHead: 'nowhere' } } as UncalibratedHead];
  await t.throwsAsync(calibrate(model, table, rowsOf(0, 100), nowhere), {
    code: 'ERR_TRAIN_CONFIG',
    message: /nowhere/,
  });
  await t.throwsAsync(calibrate(model, table, rowsOf(0, 100), HEADS, { signal: AbortSignal.abort() }), {
    code: 'ERR_CANCELLED',
  });
});

test('one figure for all sets, heads of several classes, and probabilities left as they are', async (t) => {
  const { table, model } = world(600, 4);
  const mood: UncalibratedHead = { name: 'mood', task: 'multiclass', classes: ['low', 'high'] };
  const twoOutputs: TableModel = {
    ...model,
    async predict(rows, mask) {
      const { heads } = await model.predict(rows, mask);
      return {
        rows,
        heads: {
          ...heads,
          mood: new Float32Array(rows.length * 2).map((_, i) => (i % 2 ? heads.good![i >> 1]! : 0)),
        },
      };
    },
  };
  const both = { ...table, targets: { ...table.targets, mood: table.targets.good! } };
  const [, , , good, several] = await calibrate(twoOutputs, both, rowsOf(0, 600), [...HEADS, mood], {
    byPresence: false,
  });
  t.deepEqual(Object.keys((good as BinaryHead).temperatures), ['*']);
  t.true(
    Math.abs((several as BinaryHead).temperatures['*']! / (good as BinaryHead).temperatures['*']! - 1) < 1e-6,
  );
  const plain = await calibrate(model, table, rowsOf(0, 600), HEADS, { probabilities: 'none' });
  t.deepEqual((plain[3] as BinaryHead).temperatures, { '*': 1 });
  t.is((plain[3] as BinaryHead).calibratedOn, 'not calibrated');
  const wrong = { ...both.targets, mood: table.targets.good!.map((x) => x * 2) };
  await t.throwsAsync(calibrate(twoOutputs, { ...table, targets: wrong }, rowsOf(0, 600), [mood]), {
    code: 'ERR_DATA_COLUMN',
    message: /class number from 0 to 1/,
  });
});

test('of many modalities the likeliest sets are taken: those seen, each alone, each left out', (t) => {
  const names = Array.from({ length: 8 }, (_, m) => `m${m}`);
  const seen = Uint8Array.of(1, 1, 0, 0, 0, 0, 0, 1);
  const own = new Uint8Array(80);
  for (let film = 0; film < 10; film++) own.set(seen, film * 8);
  const sets = presenceSets(names, own, 10, 20).map((set) => set.join(''));
  t.is(sets.length, 20);
  t.is(new Set(sets).size, 20);
  t.deepEqual(sets.slice(0, 4), ['11111111', '11000001', '10000000', '01000000']);
  t.is(presenceSets(['a', 'b', 'c'], new Uint8Array(), 0, 64).length, 7);
});

test('a manifest refuses a curve that falls or has points to spare', (t) => {
  const head = (isotonic: unknown) => [
    {
      name: 'good',
      task: 'binary',
      positive: 'p',
      temperatures: { '*': 1 },
      threshold: 0.5,
      calibratedOn: '',
      isotonic,
    },
  ];
  const parse = (isotonic: unknown) => manifestSchema.shape.heads.safeParse(head(isotonic)).success;
  t.true(parse({ '*': { outputs: [0, 1], probabilities: [0.2, 0.2] } }));
  t.false(parse({ '*': { outputs: [0, 1], probabilities: [0.3, 0.2] } }));
  t.false(parse({ '*': { outputs: [1, 1], probabilities: [0.2, 0.3] } }));
  t.false(parse({ '*': { outputs: [0, 1], probabilities: [0.2] } }));
  t.false(parse({ a: { outputs: [0], probabilities: [0.2] } }));
});
