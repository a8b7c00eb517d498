/** The linear classifiers: what they compute, against their definitions; what they promise on real reviews. */
import test, { type ExecutionContext } from 'ava';
import { crossValidateReviews, fitReviewClassifier, type ReviewKindName, Vectorizer } from 'cinefuse/text';
import { fitScoreCalibration, softmax } from '../../../lib/text/sentiment/score-calibration.js';
import { naiveBayesWeights, nbSvmWeights } from '../../../lib/text/sentiment/linear-fit.js';
import { solveSvm } from '../../../lib/text/sentiment/svm.js';
import { randomOf } from '../../../lib/train/random.js';
import { throwsTyped } from '../../errors.js';
import { sharedTest } from '../../shared.js';
import { LABELS, REAL, realReviews, TEXTS } from './reviews-data.js';

const KINDS: ReviewKindName[] = ['naive-bayes', 'svm', 'nb-svm'];
const near = (t: ExecutionContext, got: number, expected: number, within: number, what: string) =>
  t.true(Math.abs(got - expected) <= within, `${what}: ${got}, not ${expected}`);

for (const kind of KINDS as ('naive-bayes' | 'svm' | 'nb-svm')[]) {
  test(`${kind} learns made-up reviews; rows sum to 1; the same seed gives the same`, async (t) => {
    // Twins of one text in two folds would teach calibration that the scores are worthless.
    const options = { kind, calibrationFolds: 0 } as const;
    await using classifier = await fitReviewClassifier(TEXTS, LABELS, options);
    t.deepEqual(classifier.classes, ['negative', 'positive']);
    t.is(classifier.kind, kind);
    const found = await classifier.predict(['wonderful and moving', 'awful, dull, stupid', '']);
    for (let i = 0; i < 3; i++) near(t, found[2 * i]! + found[2 * i + 1]!, 1, 1e-6, `row ${i}`);
    t.true(found[1]! > 0.55 && found[3]! < 0.45, `${found}`);
    await using again = await fitReviewClassifier(TEXTS, LABELS, options);
    t.deepEqual(await again.predict(TEXTS), await classifier.predict(TEXTS));
  });

  test(`${kind}: what the parts of a text add, adds up to its logits`, async (t) => {
    const three = LABELS.map((label, i) => (i % 4 === 3 ? 'mixed' : label));
    for (const labels of [LABELS, three]) {
      await using classifier = await fitReviewClassifier(TEXTS, labels, { kind, calibrationFolds: 2 });
      const text = 'Not a dull moment: great acting, great music!';
      const { base, contributions, probabilities, additive } = await classifier.explain!(text);
      t.true(additive);
      const logits = Float64Array.from(base);
      for (const { scores, start, end, text: part } of contributions) {
        t.is(text.slice(start, end), part);
        for (const [c, score] of scores.entries()) logits[c]! += score;
      }
      softmax(logits);
      const predicted = await classifier.predict([text]);
      for (const [c, value] of logits.entries()) {
        near(t, probabilities[c]!, value, 1e-5, `class ${c}`);
        near(t, predicted[c]!, value, 1e-5, `class ${c}`);
      }
    }
  });
}

test('priors move the probabilities as Bayes says', async (t) => {
  for (const calibrationFolds of [0, 4]) {
    const withPriors = (priors?: number[]) =>
      fitReviewClassifier(TEXTS, LABELS, { kind: 'naive-bayes', calibrationFolds, priors });
    const [even, odd] = [await withPriors(), await withPriors([0.9, 0.1])];
    const [p, q] = [await even.predict(TEXTS), await odd.predict(TEXTS)];
    for (let i = 0; i < TEXTS.length; i++) {
      const odds = (row: Float32Array) => Math.log(row[2 * i + 1]! / row[2 * i]!);
      near(t, odds(q) - odds(p), Math.log(0.1 / 0.9), 1e-3, TEXTS[i]!);
    }
  }
});

test('naive Bayes is its formula', async (t) => {
  const { rows, vectorizer } = await Vectorizer.fitTransform(['a a b', 'b c', 'c c c', 'a'], {
    weighting: 'count',
  });
  const truth = Int32Array.of(0, 0, 1, 2);
  const found = await naiveBayesWeights(0.5)({ rows, truth, classes: 3, seed: 0 });
  const counts = [
    [2, 2, 1],
    [0, 0, 3],
    [1, 0, 0],
  ];
  const shares = [2 / 4, 1 / 4, 1 / 4];
  t.deepEqual(vectorizer.terms, ['a', 'b', 'c']);
  counts.forEach((own, c) => {
    const total = own.reduce((a, b) => a + b + 0.5, 0);
    for (const [term, n] of own.entries())
      near(t, found.weights[c]![term]!, Math.log((n + 0.5) / total), 1e-12, 'θ');
    near(t, found.bias[c]!, Math.log(shares[c]!), 1e-12, 'share');
  });
});

/** Rows of random terms, and classes that depend on some of them. */
async function randomProblem(count: number) {
  const random = randomOf(7);
  const texts = Array.from({ length: count }, () =>
    Array.from({ length: 3 + random.below(12) }, () => `w${random.below(60)}`).join(' '),
  );
  const { rows } = await Vectorizer.fitTransform(texts, { weighting: 'tfidf' });
  const positive = Uint8Array.from(texts, (text) =>
    /\bw[0-4]\b/.test(text) !== random.next() < 0.1 ? 1 : 0,
  );
  return { rows, positive };
}

test('a machine stands at the minimum of its objective: the gradient is zero there', async (t) => {
  const { rows, positive } = await randomProblem(300);
  for (const cost of [0.1, 1, 10]) {
    const { weight, bias, converged } = await solveSvm({
      ...{ rows, positive, cost, tolerance: 1e-9, maxEpochs: 100_000, seed: 3 },
    });
    t.true(converged);
    // of ½|(w, b)|² + C Σ max(0, 1 - y (w·x + b))²
    const gradient = Float64Array.from(weight);
    let slope = bias;
    for (let r = 0; r < rows.rows; r++) {
      const y = positive[r] ? 1 : -1;
      let score = bias;
      for (let i = rows.offsets[r]!; i < rows.offsets[r + 1]!; i++) {
        score += rows.values[i]! * weight[rows.columnOf[i]!]!;
      }
      const pull = -2 * cost * y * Math.max(0, 1 - y * score);
      slope += pull;
      for (let i = rows.offsets[r]!; i < rows.offsets[r + 1]!; i++) {
        gradient[rows.columnOf[i]!]! += pull * rows.values[i]!;
      }
    }
    const largest = gradient.reduce((most, value) => Math.max(most, Math.abs(value)), Math.abs(slope));
    t.true(largest < 1e-6, `C ${cost}: ${largest}`);
  }
});

test('NB-SVM between its two ends: trust in the machine alone, and in naive Bayes alone', async (t) => {
  const { rows, positive } = await randomProblem(200);
  const truth = Int32Array.from(positive);
  const settings = { cost: 1, tolerance: 0.01, maxEpochs: 1000, smoothing: 1 };
  const problem = { rows, truth, classes: 2, seed: 0 };
  const at = async (interpolation: number) => {
    const { weights } = await nbSvmWeights({ ...settings, interpolation })(problem);
    return weights[0]!;
  };
  const [none, half, all] = [await at(0), await at(0.5), await at(1)];
  const bayes = (await naiveBayesWeights(1)(problem)).weights[0]!;
  const scale = none[0]! / bayes[0]!;
  for (const term of bayes.keys()) {
    near(t, none[term]!, scale * bayes[term]!, 1e-9, 'naive Bayes, scaled');
    near(t, half[term]!, (none[term]! + all[term]!) / 2, 1e-9, 'half way');
  }
});

test('calibration finds what made the outcomes, and stays finite where nothing is wrong', (t) => {
  const random = randomOf(11);
  const [n, classes] = [20_000, 3];
  const scores = Float64Array.from({ length: n * classes }, () => 4 * random.normal());
  const bias = [0, 0.8, -0.5];
  const truth = Int32Array.from({ length: n }, (_, i) => {
    const p = Float64Array.from(bias, (b, c) => 0.4 * scores[i * classes + c]! + b);
    softmax(p);
    const draw = random.next();
    return draw < p[0]! ? 0 : draw < p[0]! + p[1]! ? 1 : 2;
  });
  const found = fitScoreCalibration(scores, truth, classes);
  near(t, found.sharpness, 0.4, 0.02, 'sharpness');
  for (const [c, b] of bias.entries()) near(t, found.bias[c]!, b, 0.06, `bias ${c}`);
  // outcomes that the scores tell without a fault: finite, and as sure as the number of texts allows
  const clear = fitScoreCalibration(
    Float64Array.of(-1, 1, 1, -1, -2, 2, 2, -2),
    Int32Array.of(1, 0, 1, 0),
    2,
  );
  t.true(Number.isFinite(clear.sharpness) && clear.sharpness > 0);
});

test('cross-validation: every text once, by a classifier that has not seen it', async (t) => {
  const folds: number[] = [];
  const found = await crossValidateReviews(TEXTS, LABELS, {
    kind: 'nb-svm',
    folds: 4,
    seed: 5,
    calibrationFolds: 2,
    onFold: ({ fold }) => folds.push(fold),
  });
  t.deepEqual(folds, [1, 2, 3, 4]);
  t.deepEqual(
    found.folds.map(({ texts }) => texts),
    [4, 4, 4, 4],
  );
  const right = found.confusion[0]![0]! + found.confusion[1]![1]!;
  near(t, found.accuracy.mean, right / TEXTS.length, 1e-12, 'accuracy');
  t.is(
    found.confusion.flat().reduce((a, b) => a + b),
    TEXTS.length,
  );
});

test('fitting refuses what it cannot use', async (t) => {
  const fitting = (texts: unknown, labels: unknown, options: object = {}) =>
    fitReviewClassifier(
      texts as string[],
      labels as string[],
      { kind: 'svm', ...options } as { kind: 'svm' },
    );
  await throwsTyped(t, () => fitting('a', ['x']), { code: 'ERR_INPUT_TYPE', field: 'texts' });
  await throwsTyped(t, () => fitting(['a', 1], ['x', 'y']), { code: 'ERR_INPUT_TYPE', field: 'texts[1]' });
  await throwsTyped(t, () => fitting(['a'], []), { code: 'ERR_SHAPE', field: 'labels' });
  await throwsTyped(t, () => fitting(['a', 'b'], ['x', 'x']), { code: 'ERR_DATA_EMPTY' });
  await throwsTyped(t, () => fitting(['a', 'b'], ['x', 'y']), { code: 'ERR_DATA_EMPTY', field: 'labels' });
  await throwsTyped(t, () => fitting(['a', 'b'], ['x', 'z'], { classes: ['x', 'y'] }), {
    code: 'ERR_INPUT_VALUE',
  });
  await throwsTyped(t, () => fitting(TEXTS, LABELS, { kind: 'magic' }), {
    code: 'ERR_INPUT_VALUE',
    field: 'kind',
  });
  await throwsTyped(t, () => fitting(TEXTS, LABELS, { cost: -1 }), {
    code: 'ERR_TRAIN_CONFIG',
    field: 'cost',
  });
  await throwsTyped(t, () => fitting(TEXTS, LABELS, { priors: [1] }), {
    code: 'ERR_TRAIN_CONFIG',
    field: 'priors',
  });
  const signal = AbortSignal.abort();
  await throwsTyped(t, () => fitting(TEXTS, LABELS, { signal }), { code: 'ERR_CANCELLED' });
});

sharedTest('NB-SVM: at least 79.4 % of rt_polarity in ten folds', [REAL.rt], async (t) => {
  const { texts, labels } = realReviews('rt');
  const options = { kind: 'nb-svm', calibrationFolds: 0, seed: 0 } as const;
  const { accuracy } = await crossValidateReviews(texts, labels, options);
  t.true(accuracy.mean >= 0.794, `${accuracy.mean}`);
});

sharedTest(
  'Chinese comments: their test split, and how far probabilities are to be believed',
  [REAL.zh],
  async (t) => {
    const { texts, labels, splits } = realReviews('zh');
    const rows = [...texts.keys()].filter((i) => labels[i] !== 'neutral');
    const of = (split: string[]) => rows.filter((i) => split.includes(splits[i]!));
    const train = of(['train', 'valid']);
    await using classifier = await fitReviewClassifier(
      train.map((i) => texts[i]!),
      train.map((i) => labels[i]!),
      { kind: 'nb-svm', languages: ['zh'] },
    );
    const judged = of(['test']);
    const found = await classifier.predict(judged.map((i) => texts[i]!));
    let [right, surplus] = [0, 0];
    for (const [k, i] of judged.entries()) {
      const p = found[2 * k + 1]!;
      if (p > 0.5 === (labels[i] === 'positive')) right++;
      surplus += p - (labels[i] === 'positive' ? 1 : 0);
    }
    t.true(right / judged.length >= 0.87, `${right / judged.length} of ${judged.length}`);
    t.true(Math.abs(surplus / judged.length) < 0.05, `${surplus / judged.length}`);
  },
);
