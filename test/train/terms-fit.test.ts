import test from 'ava';
import { TfidfEncoder } from '../../lib/text/tfidf.js';
import { randomOf } from '../../lib/train/random.js';
import { fitTerms, type TermsOptions } from '../../lib/train/terms-fit.js';

const WORDS = Array.from({ length: 40 }, (_, i) => `word${String.fromCharCode(97 + (i % 26))}${i}`);
const OPTIONS: TermsOptions = {
  name: 'terms',
  languages: ['en'],
  directions: 3,
  leastTexts: 4,
  maxTerms: 200,
  penalty: 2,
  folds: 5,
  seed: 3,
};

function films(count: number) {
  const random = randomOf(1);
  const texts = Array.from({ length: count }, () =>
    Array.from({ length: 12 }, () => WORDS[Math.floor(random.next() ** 2 * WORDS.length)]).join(' '),
  );
  const target = Float64Array.from(texts, (text) => (text.includes(WORDS[5]!) ? 1 : 0) + random.next());
  const train = Array.from({ length: count - 20 }, (_, i) => i);
  return { texts, target, train };
}

test('films that were not trained on have the vectors of serving', async (t) => {
  const { texts, target, train } = films(120);
  const fitted = (await fitTerms(texts, train, [target], OPTIONS))!;
  const encoder = new TfidfEncoder(fitted.spec, fitted.tensors);
  t.is(encoder.dim, 4);
  for (let row = 100; row < 120; row++) {
    t.deepEqual(fitted.values.slice(row * 4, row * 4 + 4), encoder.encode(texts[row]!));
  }
  // leading directions are those of serving for all films
  t.deepEqual(fitted.values.slice(0, 3), encoder.encode(texts[0]!).slice(0, 3));
});

test("a film's own target has no part in its own vector", async (t) => {
  const { texts, target, train } = films(120);
  const before = (await fitTerms(texts, train, [target], OPTIONS))!;
  const other = target.slice();
  other[7] = 50;
  const after = (await fitTerms(texts, train, [other], OPTIONS))!;
  t.is(after.values[7 * 4 + 3], before.values[7 * 4 + 3]);
  t.notDeepEqual(after.values, before.values, 'others feel it');
});

test("a target's direction solves the ridge equations", async (t) => {
  const { texts, target, train } = films(120);
  const { spec, tensors } = (await fitTerms(texts, train, [target], OPTIONS))!;
  const encoder = new TfidfEncoder(spec, tensors);
  const terms = tensors.idf.length;
  const w = Float64Array.from(
    { length: terms },
    (_, k) => tensors.projection[k * 4 + 3]! * tensors.scale[3]!,
  );
  const x = train.map((row) => {
    const dense = new Float64Array(terms);
    for (const [k, value] of encoder.sparse(texts[row]!)) dense[k] = value;
    return dense;
  });
  const mean = (values: number[]) => values.reduce((a, b) => a + b, 0) / values.length;
  const centre = Array.from({ length: terms }, (_, k) => mean(x.map((row) => row[k]!)));
  const middle = mean(train.map((row) => target[row]!));
  const errors = x.map((row, i) =>
    row.reduce((sum, value, k) => sum - (value - centre[k]!) * w[k]!, target[train[i]!]! - middle),
  );
  // Xᵀe = penalty w; w is rounded to 127 levels, which is all that is missing
  const size = Math.hypot(...w);
  const residual = Math.hypot(
    ...w.map(
      (weight, k) => x.reduce((sum, row, i) => sum + (row[k]! - centre[k]!) * errors[i]!, 0) - 2 * weight,
    ),
  );
  const levels = Math.max(...w.map(Math.abs)) / 127;
  t.true(residual < 20 * levels * Math.sqrt(terms) && residual < 0.5 * 2 * size, `${residual} of ${size}`);
});

test('leading directions are orthonormal, up to their rounding', async (t) => {
  const { texts, train } = films(120);
  const { tensors } = (await fitTerms(texts, train, [], OPTIONS))!;
  const column = (d: number) =>
    Array.from(tensors.idf, (_, k) => tensors.projection[k * 3 + d]! * tensors.scale[d]!);
  for (let a = 0; a < 3; a++) {
    for (let b = 0; b <= a; b++) {
      const product = column(a).reduce((sum, value, k) => sum + value * column(b)[k]!, 0);
      t.true(Math.abs(product - (a === b ? 1 : 0)) < 0.05, `${a}, ${b}: ${product}`);
    }
  }
});

test('the same seed gives the same member; films without text stay empty; unknown targets are left out', async (t) => {
  const { texts, target, train } = films(120);
  const some: (string | undefined)[] = texts.map((text, row) => (row % 9 === 0 ? undefined : text));
  target[4] = Number.NaN;
  const first = (await fitTerms(some, train, [target], OPTIONS))!;
  t.deepEqual(await fitTerms(some, train, [target], OPTIONS), first);
  t.is(first.known[0], 0);
  t.is(first.known[1], 1);
  t.true(first.values.every(Number.isFinite));
});

test('without a term that is common enough there is no member; a cancelled fit ends', async (t) => {
  t.is(await fitTerms(['one two', 'three four'], [0, 1], [], OPTIONS), undefined);
  const { texts, target, train } = films(120);
  const signal = AbortSignal.abort();
  await t.throwsAsync(fitTerms(texts, train, [target], { ...OPTIONS, signal }), { code: 'ERR_CANCELLED' });
});
