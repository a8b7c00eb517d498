import test from 'ava';
import { headFeedback, type MulticlassFeedback, sentimentFeedback } from '../lib/feedback.js';
import type { BundleHead } from '../lib/fusion/manifest.js';
import { InputError } from '../lib/errors.js';

const HEADS: BundleHead[] = [
  {
    name: 'rating',
    task: 'regression',
    unit: 'points',
    mean: 6,
    std: 2,
    min: 0,
    max: 10,
    transform: 'none',
    interval: { level: 0.9, quantiles: { '*': 2, 'a+b': 1 }, spreadHead: 'spread', calibratedOn: '' },
  },
  { name: 'spread', task: 'auxiliary' },
  {
    name: 'boxOffice',
    task: 'regression',
    unit: 'USD',
    mean: 7,
    std: 1,
    transform: 'log10',
    interval: { level: 0.8, quantiles: { '*': 0.5 }, calibratedOn: '' },
  },
  {
    name: 'wellReceived',
    task: 'binary',
    positive: 'p',
    temperatures: { '*': 2, b: 4 },
    threshold: 0.6,
    calibratedOn: '',
  },
  {
    name: 'laughs',
    task: 'binary',
    positive: 'q',
    temperatures: { '*': 1 },
    threshold: 0.5,
    calibratedOn: '',
  },
];
const GENRE: BundleHead = {
  name: 'genre',
  task: 'multiclass',
  classes: ['drama', 'comedy', 'horror'],
  temperatures: { '*': 2, b: 1 },
  calibratedOn: '',
};
const outputs = (values: Record<string, number>) => (head: string) => values[head]!;
const near = (a: number, b: number) => Math.abs(a - b) < 1e-9 * Math.max(1, Math.abs(b));

test('of several classes: the softmax at the temperature of what is present, and the likeliest', (t) => {
  const logits = [Math.log(9), Math.log(4), -Infinity];
  const o = (_: string, i = 0) => logits[i]!;
  const all = headFeedback([GENRE], o, ['a', 'b']).other!.genre as MulticlassFeedback;
  t.is(all.verdict, 'drama');
  t.deepEqual(Object.keys(all.probabilities), ['drama', 'comedy', 'horror']);
  t.true(near(all.probabilities.drama!, 3 / 5) && near(all.probabilities.comedy!, 2 / 5));
  t.is(all.probabilities.horror, 0);
  const some = headFeedback([GENRE], o, ['b']).other!.genre as MulticlassFeedback;
  t.true(near(some.probabilities.drama!, 9 / 13));
});

test('value = output * std + mean; interval by the quantile of the present inputs times the spread', (t) => {
  const o = outputs({ rating: 0.5, spread: Math.log(0.5), boxOffice: 1, wellReceived: 2, laughs: -1 });
  const all = headFeedback(HEADS, o, ['a', 'b']);
  t.is(all.rating!.value, 7);
  t.deepEqual(all.rating!.interval, [6.5, 7.5]);
  const some = headFeedback(HEADS, o, ['b']);
  t.deepEqual(some.rating!.interval, [6, 8]);
  t.true(near(all.boxOffice!.value, 1e8) && near(all.boxOffice!.interval[0], 10 ** 7.5));
  t.true(near(all.wellReceived!.probability, 1 / (1 + Math.exp(-1))));
  t.true(near(some.wellReceived!.probability, 1 / (1 + Math.exp(-0.5))));
  t.true(all.wellReceived!.verdict);
  t.true(near((all.other!.laughs as { probability: number }).probability, 1 / (1 + Math.E)));
  t.false('spread' in (all.other ?? {}));
});

test('a curve stands in place of the temperatures: straight between its points, level beyond, by what is present', (t) => {
  const curve = (p: number) => ({ outputs: [-1, 1, 3], probabilities: [p, 0.5, 0.9] });
  const head = { ...HEADS[3]!, isotonic: { '*': curve(0.2), a: curve(0.4) } } as BundleHead;
  const at = (output: number, present: string[]) =>
    headFeedback([head], outputs({ wellReceived: output }), present).wellReceived!;
  t.is(at(-50, ['b']).probability, 0.2);
  t.is(at(-50, ['a']).probability, 0.4);
  t.true(near(at(0, ['b']).probability, 0.35) && near(at(2, ['b']).probability, 0.7));
  t.is(at(1e9, ['a', 'b']).probability, 0.9);
  t.true(at(2, ['b']).verdict);
  t.false(at(1, ['b']).verdict, 'the threshold is 0.6');
});

test('values and intervals stay within their bounds', (t) => {
  const o = outputs({ rating: 50, spread: 0, boxOffice: 0, wellReceived: -8000, laughs: 0 });
  const { rating, wellReceived } = headFeedback(HEADS, o, []);
  t.is(rating!.value, 10);
  t.deepEqual(rating!.interval, [10, 10]);
  t.is(wellReceived!.probability, 0);
});

test('sentiment: means over what could be scored; null when nothing could', (t) => {
  const error = new InputError('ERR_INPUT_LANGUAGE', { message: 'why' });
  t.deepEqual(sentimentFeedback({ probabilities: [0.9, error, 0.3], languages: ['en', undefined, 'zh'] }), {
    positive: 0.6,
    positiveShare: 0.5,
    reviews: 2,
    languages: { en: 1, zh: 1 },
    notScored: [{ index: 1, reason: 'why' }],
  });
  t.is(sentimentFeedback({ probabilities: [error], languages: [undefined] }).positive, null);
});
