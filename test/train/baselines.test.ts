import test from 'ava';
import type { BinaryHead, MulticlassHead, RegressionHead } from '../../lib/fusion/manifest.js';
import { fitBaselines } from '../../lib/train/baselines.js';
import { bootstrap, quantileOf } from '../../lib/train/bootstrap.js';
import { designMatrix, fitLinear, linearOutputs } from '../../lib/train/linear-model.js';
import { regressionErrors, rocAuc } from '../../lib/train/metrics.js';
import { randomOf } from '../../lib/train/random.js';
import type { FilmTable } from '../../lib/train/table.js';

/** Gaussian elimination with pivots: the solution of a small system, for oracles. */
function solve(a: number[][], b: number[]): number[] {
  const rows = a.map((row, i) => [...row, b[i]!]);
  for (let k = 0; k < rows.length; k++) {
    const pivot = rows
      .slice(k)
      .reduce((best, row, i) => (Math.abs(row[k]!) > Math.abs(rows[best]![k]!) ? i + k : best), k);
    [rows[k], rows[pivot]] = [rows[pivot]!, rows[k]!];
    for (let i = 0; i < rows.length; i++) {
      if (i === k) continue;
      const factor = rows[i]![k]! / rows[k]![k]!;
      rows[i] = rows[i]!.map((value, j) => value - factor * rows[k]![j]!);
    }
  }
  return rows.map((row, i) => row.at(-1)! / row[i]!);
}

function problem(films: number, features: number, seed: number) {
  const random = randomOf(seed);
  const x = Float32Array.from({ length: films * features }, () => random.normal());
  const w = Array.from({ length: features }, () => random.normal());
  const z = Float64Array.from(
    { length: films },
    (_, i) => 1.5 + w.reduce((sum, v, j) => sum + v * x[i * features + j]!, 0),
  );
  const counts = Float64Array.from({ length: films }, (_, i) => (i % 7 === 0 ? 0 : 0.5 + random.next()));
  return { x, z, counts, random };
}

test('ridge: the solution of the normal equations, weights and films left out included', async (t) => {
  for (const [films, features] of [
    [60, 5],
    [35, 33],
    [20, 40],
  ] as const) {
    const { x, z, counts, random } = problem(films, features, films);
    const y = z.map((v) => v + 0.3 * random.normal());
    const lambda = 0.05;
    const total = counts.reduce((a, b) => a + b, 0);
    const at = (i: number, j: number) => (j === features ? 1 : x[i * features + j]!);
    const size = Array.from({ length: features + 1 }, (_, j) => j);
    const gram = size.map((j) =>
      size.map(
        (k) =>
          counts.reduce((sum, c, i) => sum + c * at(i, j) * at(i, k), 0) +
          (j === k && j < features ? lambda * total : 0),
      ),
    );
    const want = solve(
      gram,
      size.map((j) => counts.reduce((sum, c, i) => sum + c * at(i, j) * y[i]!, 0)),
    );
    // a film that is left out may hold anything
    const marred = y.map((v, i) => (counts[i] === 0 ? 1e6 : v));
    const got = await fitLinear('ridge', designMatrix(x, features), marred, counts, lambda);
    for (const [j, value] of [...got.weight, got.intercept].entries()) {
      t.true(
        Math.abs(value - want[j]!) < 2e-3 * Math.max(1, Math.abs(want[j]!)),
        `${films}: ${j}: ${value} ${want[j]}`,
      );
    }
  }
});

test('logistic: the gradient is nothing at the solution, from any start', async (t) => {
  const [films, features, lambda] = [400, 12, 0.01];
  const { x, z, counts, random } = problem(films, features, 9);
  const y = z.map((v) => (random.next() < 1 / (1 + Math.exp(-v)) ? 1 : 0));
  const design = designMatrix(x, features);
  const cold = await fitLinear('logistic', design, y, counts, lambda);
  const far = await fitLinear('logistic', design, y, counts, lambda, {
    weight: new Float64Array(features).fill(2),
    intercept: -3,
  });
  const total = counts.reduce((a, b) => a + b, 0);
  for (const model of [cold, far]) {
    const outputs = await linearOutputs(x, model);
    for (let j = 0; j <= features; j++) {
      let slope = j < features ? lambda * total * model.weight[j]! : 0;
      for (let i = 0; i < films; i++) {
        slope +=
          counts[i]! * (1 / (1 + Math.exp(-outputs[i]!)) - y[i]!) * (j < features ? x[i * features + j]! : 1);
      }
      t.true(Math.abs(slope / total) < 1e-4, `${j}: ${slope / total}`);
    }
  }
  t.true(cold.weight.every((v, j) => Math.abs(v - far.weight[j]!) < 1e-2));
});

const rows = (from: number, to: number) => Int32Array.from({ length: to - from }, (_, i) => from + i);
const heads = {
  rating: {
    name: 'rating',
    task: 'regression',
    unit: 'points',
    mean: 0,
    std: 1,
    transform: 'none',
    interval: { level: 0.9, quantiles: { '*': 1 }, calibratedOn: '' },
  } satisfies RegressionHead,
  good: {
    name: 'good',
    task: 'binary',
    positive: '',
    temperatures: { '*': 1 },
    threshold: 0.5,
    calibratedOn: '',
  } satisfies BinaryHead,
  mood: {
    name: 'mood',
    task: 'multiclass',
    classes: ['low', 'middle', 'high'],
    temperatures: { '*': 1 },
    calibratedOn: '',
  } satisfies MulticlassHead,
};

/** Facts that matter, a sequence whose mean matters and that a third of the films lack, and something constant. */
function filmTable(films: number): FilmTable {
  const random = randomOf(11);
  const facts = Float32Array.from({ length: films * 3 }, () => 100 + 10 * random.normal());
  const steps = 4;
  const frames = Float32Array.from({ length: films * steps * 2 }, () => random.normal());
  const lengths = Int32Array.from({ length: films }, () => 1 + random.below(steps));
  const present = new Uint8Array(films * 3).fill(1);
  const rating = new Float32Array(films);
  for (let i = 0; i < films; i++) {
    let mean = 0;
    for (let s = 0; s < lengths[i]!; s++) mean += frames[(i * steps + s) * 2]! / lengths[i]!;
    // what lies beyond a sequence's end is never read
    frames.fill(Number.NaN, (i * steps + lengths[i]!) * 2, (i + 1) * steps * 2);
    if (i % 3 === 0) {
      present[i * 3 + 1] = 0;
      frames.fill(Number.NaN, i * steps * 2, (i + 1) * steps * 2);
      mean = -2;
    }
    rating[i] = 0.1 * (facts[i * 3]! - 100) + mean + 0.2 * random.normal();
  }
  return {
    ids: Array.from({ length: films }, (_, i) => `${i}`),
    modalities: {
      facts: { dim: 3, steps: 1, values: facts },
      frames: { dim: 2, steps, values: frames, lengths },
      constant: { dim: 1, steps: 1, values: new Float32Array(films).fill(5) },
    },
    present,
    targets: {
      rating: rating.map((v, i) => (i % 11 === 0 ? Number.NaN : v)),
      good: rating.map((v) => (v > -0.5 ? 1 : 0)),
      mood: rating.map((v) => (v < -1.5 ? 0 : v < 0.5 ? 1 : 2)),
    },
  };
}

test('baselines of a table: the mean says the same of all, the linear model finds what is linear', async (t) => {
  const table = filmTable(900);
  const seen: number[] = [];
  const found = await fitBaselines(
    table,
    { train: rows(0, 600), valid: rows(600, 700) },
    Object.values(heads),
    {
      onProgress: (done, total) => seen.push(done / total),
    },
  );
  t.is(seen.at(-1), 1);
  const test = rows(700, 900);
  const truth = Float64Array.from(test, (film) => table.targets.rating![film]!);
  const known = Array.from(test.keys()).filter((i) => !Number.isNaN(truth[i]!));
  const [mean, ridge] = await Promise.all(found.rating!.map((baseline) => baseline.predict(test)));
  t.is(new Set(mean).size, 1);
  const score = (said: Float64Array) =>
    regressionErrors(
      known.map((i) => truth[i]!),
      known.map((i) => said[i]!),
    ).r2!;
  t.true(score(mean!) < 0.02 && score(ridge!) > 0.9, `${score(mean!)} ${score(ridge!)}`);
  t.deepEqual(
    found.rating!.map(({ name }) => name),
    ['mean', 'ridge'],
  );
  t.regex(found.rating![1]!.about, /545 training films/);

  const good = Float64Array.from(test, (film) => table.targets.good![film]!);
  const [majority, logistic] = await Promise.all(found.good!.map((baseline) => baseline.predict(test)));
  const share = rows(0, 600).reduce((sum, film) => sum + table.targets.good![film]!, 0) / 600;
  t.true(Math.abs(majority![0]! - share) < 1e-9);
  t.true(rocAuc(good, logistic!)! > 0.95);

  const [, mood] = await Promise.all(found.mood!.map((baseline) => baseline.predict(test)));
  t.is(mood!.length, 600);
  let right = 0;
  for (let i = 0; i < 200; i++) {
    const three = mood!.subarray(i * 3, i * 3 + 3);
    t.true(Math.abs(three[0]! + three[1]! + three[2]! - 1) < 1e-9);
    if (three.indexOf(Math.max(...three)) === table.targets.mood![test[i]!]) right++;
  }
  t.true(right / 200 > 0.7, `${right}`);
});

test('a large table is drawn from, the same films each time; no known target is refused', async (t) => {
  const table = filmTable(300);
  const split = { train: rows(0, 250), valid: rows(250, 300) };
  const [a, b] = await Promise.all(
    [1, 2].map(() => fitBaselines(table, split, [heads.rating], { maxValues: 700 })),
  );
  t.regex(a!.rating![1]!.about, /drawn training films/);
  t.deepEqual(await a!.rating![1]!.predict(split.valid), await b!.rating![1]!.predict(split.valid));
  const unknown = { ...table, targets: { rating: new Float32Array(300).fill(Number.NaN) } };
  await t.throwsAsync(fitBaselines(unknown, split, [heads.rating]), { code: 'ERR_DATA_EMPTY' });
  await t.throwsAsync(fitBaselines(table, split, [heads.rating], { signal: AbortSignal.abort() }), {
    code: 'ERR_CANCELLED',
  });
});

test('bootstrap: as wide as theory says, the same for the same seed, null where undefined', async (t) => {
  const random = randomOf(2);
  const values = Float64Array.from({ length: 400 }, () => random.normal());
  const measure = (films: Uint32Array) => ({
    mean: films.reduce((sum, film) => sum + values[film]!, 0) / films.length,
    never: null,
  });
  const found = await bootstrap(400, measure, { draws: 2000 });
  const [low, high] = found.mean!;
  // ± 1.96/√400
  t.true(Math.abs((high - low) / (2 * 1.96 * 0.05) - 1) < 0.15, `${low} ${high}`);
  t.is(found.never, null);
  t.deepEqual(await bootstrap(400, measure, { draws: 2000 }), found);
  t.notDeepEqual(await bootstrap(400, measure, { draws: 2000, seed: 1 }), found);
  await t.throwsAsync(bootstrap(100_000, measure, { signal: AbortSignal.abort() }), {
    code: 'ERR_CANCELLED',
  });
  t.is(quantileOf(Float64Array.of(1, 2, 3, 4), 0.5), 2.5);
});
