import test, { type ExecutionContext } from 'ava';
import {
  averagePrecision,
  classificationMetrics,
  expectedCalibrationError,
  kendallTauB,
  probabilityMetrics,
  regressionMetrics,
  reliabilityBins,
  rocAuc,
} from '../../lib/train/metrics.js';
import { meanReciprocalRank, rankingMetrics } from '../../lib/train/ranking-metrics.js';
import { randomOf } from '../../lib/train/random.js';
import { type GoldenCase, loadGolden } from '../golden.js';

const snake = (name: string) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** Every value of the golden case, nested ones too, against ours of the same name; at least one. */
function hold(t: ExecutionContext, name: string, want: unknown, got: unknown, relative = 1e-9): number {
  if (Array.isArray(want)) {
    t.is((got as unknown[]).length, want.length, name);
    return want.reduce(
      (n, value, i) => n + hold(t, `${name}[${i}]`, value, (got as unknown[])[i], relative),
      0,
    );
  }
  if (typeof want === 'object' && want !== null) {
    const ours = new Map(Object.entries(got as object).map(([key, value]) => [snake(key), value]));
    return Object.entries(want).reduce((n, [key, value]) => {
      t.true(ours.has(key), `${name}: we have no ${key}`);
      return n + hold(t, `${name}.${key}`, value, ours.get(key), relative);
    }, 0);
  }
  if (want === null) t.is(got, null, name);
  else {
    const [a, b] = [want as number, got as number];
    t.true(Math.abs(a - b) <= relative * Math.max(1, Math.abs(a)), `${name}: got ${b}, expected ${a}`);
  }
  return 1;
}

function ours(c: GoldenCase): unknown {
  const {
    kind,
    y_true: truth,
    y_pred: predicted,
    score,
    labels,
    relevance,
  } = c.config as {
    kind: string;
    y_true: number[];
    y_pred: number[];
    score: number[] & number[][];
    labels: number[];
    relevance: number[][];
  };
  if (kind === 'classification') return classificationMetrics(truth, predicted, labels);
  if (kind === 'regression') {
    const { kendallTauB: tau, ...others } = regressionMetrics(truth, predicted);
    return { ...others, kendall_tau_b: tau };
  }
  if (kind === 'auc')
    return { rocAuc: rocAuc(truth, score), averagePrecision: averagePrecision(truth, score) };
  if (kind !== 'ranking') throw new Error(`a kind that this test does not know: ${kind}`);
  const cuts = Object.keys(c.values as object).filter((key) => key.startsWith('@'));
  return {
    ...Object.fromEntries(cuts.map((cut) => [cut, rankingMetrics(relevance, score, Number(cut.slice(1)))])),
    mrr: meanReciprocalRank(relevance, score),
  };
}

const cases = loadGolden('metrics');
test('there are golden cases of every kind', (t) => {
  const kinds = new Set(cases.map(({ config }) => config.kind));
  t.deepEqual([...kinds].sort(), ['auc', 'classification', 'ranking', 'regression']);
});
for (const c of cases) {
  test(`golden: ${c.name}`, (t) => {
    const held = hold(t, c.name, c.values, ours(c), c.name === 'reg_large_offset' ? 1e-6 : 1e-9);
    t.true(held >= 2);
  });
}

test("Kendall's τ-b agrees with counting every pair", (t) => {
  const random = randomOf(3);
  for (const n of [2, 3, 7, 40, 333]) {
    const a = Array.from({ length: n }, () => random.below(n < 10 ? 3 : 12));
    const b = a.map((x) => x * 0.5 + random.below(6));
    let [score, tiesA, tiesB] = [0, 0, 0];
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < i; j++) {
        score += Math.sign(a[i]! - a[j]!) * Math.sign(b[i]! - b[j]!);
        tiesA += a[i] === a[j] ? 1 : 0;
        tiesB += b[i] === b[j] ? 1 : 0;
      }
    }
    const pairs = (n * (n - 1)) / 2;
    const want =
      tiesA === pairs || tiesB === pairs ? null : score / Math.sqrt((pairs - tiesA) * (pairs - tiesB));
    hold(t, `n=${n}`, want, kendallTauB(a, b), 1e-12);
  }
});

test('probabilities: log loss, Brier score and calibration error of a case done by hand', (t) => {
  const truth = [1, 0, 1, 1];
  const probability = [0.9, 0.2, 0.6, 0.65];
  const got = probabilityMetrics(truth, probability);
  t.true(
    Math.abs(got.logLoss + (Math.log(0.9) + Math.log(0.8) + Math.log(0.6) + Math.log(0.65)) / 4) < 1e-12,
  );
  t.true(Math.abs(got.brier - (0.01 + 0.04 + 0.16 + 0.1225) / 4) < 1e-12);
  // bins: 0.2 (came 0), 0.6 and 0.65 (both came: 1 against 0.625), 0.9 (came)
  t.true(Math.abs(got.ece - (0.25 * 0.2 + 0.5 * 0.375 + 0.25 * 0.1)) < 1e-12);
  t.deepEqual(
    reliabilityBins(truth, probability).map(({ n, frequency }) => [n, frequency]),
    [
      [1, 0],
      [2, 1],
      [1, 1],
    ],
  );
  t.is(probabilityMetrics([1, 1], [1, 1]).rocAuc, null);
  t.true(Number.isFinite(probabilityMetrics([1, 0], [0, 1]).logLoss));
  t.is(expectedCalibrationError([0, 1], [0, 1]), 0);
});

test('what no measure can be made of is refused with its name', (t) => {
  t.throws(() => regressionMetrics([1, 2], [1]), { code: 'ERR_SHAPE', message: /predicted/ });
  t.throws(() => regressionMetrics([], []), { code: 'ERR_DATA_EMPTY' });
  t.throws(() => regressionMetrics([1, Number.NaN], [1, 2]), {
    code: 'ERR_INPUT_VALUE',
    message: /truth\[1\]/,
  });
  t.throws(() => rocAuc([1, 0], [Number.NaN, 2]), { code: 'ERR_INPUT_VALUE', message: /score\[0\]/ });
  t.throws(() => classificationMetrics([0, 5], [0, 1], [0, 1]), {
    code: 'ERR_INPUT_VALUE',
    message: /labels 0, 1/,
  });
  t.throws(() => rankingMetrics([[1]], [], 1), { code: 'ERR_SHAPE' });
});
