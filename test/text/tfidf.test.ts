import test from 'ava';
import { BundleError, ShapeError } from '../../lib/errors.js';
import { fitVocabulary, TfidfEncoder, type TfidfSpec, termCounts, wordsOf } from '../../lib/text/tfidf.js';

test('words: lower case, no stop words, negations and turns kept', (t) => {
  t.deepEqual(wordsOf('The Film is NOT good, but it isn’t bad.'), [
    'film',
    'not',
    'good',
    'but',
    "isn't",
    'bad',
  ]);
  t.deepEqual(wordsOf("Nobody's fool; no one never sleeps"), [
    'nobody',
    'fool',
    'no',
    'one',
    'never',
    'sleeps',
  ]);
  for (const negation of [
    'no',
    'not',
    'nor',
    'never',
    'nothing',
    'without',
    "don't",
    'cannot',
    'hardly',
    'only',
    'too',
  ]) {
    t.deepEqual(wordsOf(negation), [negation]);
  }
  t.deepEqual(wordsOf('Ｆｕｌｌ ｗｉｄｔｈ Café naïve 2001'), ['full', 'width', 'café', 'naïve', '2001']);
  t.deepEqual(wordsOf(' \n—…'), []);
});

test('terms: words and pairs of neighbours', (t) => {
  t.deepEqual(Object.fromEntries(termCounts('good film, not good film')), {
    good: 2,
    film: 2,
    not: 1,
    'good film': 2,
    'film not': 1,
    'not good': 1,
  });
});

const TERMS = ['dark', 'not funny', 'space', 'war'];
const SPEC: TfidfSpec = {
  version: 1,
  name: 'terms',
  vocabulary: TERMS.join('\n'),
  dim: 2,
  languages: ['en'],
};
const TENSORS = {
  idf: Float32Array.of(1, 3, 2, 2.5),
  projection: Int8Array.of(10, -20, 127, 0, -127, 64, 5, 5),
  scale: Float32Array.of(0.01, 0.5),
};

test('the vector is the normalised sublinear TF-IDF through the projection', (t) => {
  const encoder = new TfidfEncoder(SPEC, TENSORS);
  const text = 'War! War in space; not funny. A war.';
  const values = [(1 + Math.log(3)) * 2.5, 2, 3];
  const norm = Math.hypot(...values);
  t.deepEqual(
    encoder.sparse(text).map(([index]) => index),
    [1, 2, 3],
  );
  const [war, space, funny] = values.map((value) => value / norm) as [number, number, number];
  const expected = [0.01 * (127 * funny - 127 * space + 5 * war), 0.5 * (64 * space + 5 * war)];
  encoder.encode(text).forEach((value, d) => {
    t.true(Math.abs(value - expected[d]!) < 1e-6, `${value} for ${expected[d]}`);
  });
});

test('a text without a known term is all zeros; the same text gives the same vector', (t) => {
  const encoder = new TfidfEncoder(SPEC, TENSORS);
  for (const text of ['', 'nothing known here', '太空战争'])
    t.deepEqual(encoder.encode(text), new Float32Array(2));
  t.deepEqual(encoder.encode('a dark space'), new TfidfEncoder(SPEC, TENSORS).encode('A DARK... space!'));
});

test('scale does not matter: a text said twice points the same way', (t) => {
  const encoder = new TfidfEncoder({ ...SPEC, vocabulary: 'dark\nmoon\nspace\nwar' }, TENSORS);
  const once = encoder.encode('dark space');
  const twice = encoder.encode('dark space. dark space.');
  once.forEach((value, d) => {
    t.true(Math.abs(value - twice[d]!) < 1e-6);
  });
});

test('vocabulary: terms in enough texts, the most frequent first to be kept', (t) => {
  const texts = ['red house', 'red house', 'red boat', 'green boat'];
  const { terms, idf } = fitVocabulary(texts, { leastTexts: 2, maxTerms: 3 });
  t.deepEqual(terms, ['boat', 'house', 'red']);
  const expected = [2, 2, 3].map((count) => Math.fround(Math.log(5 / (1 + count)) + 1));
  t.deepEqual([...idf], expected);
  t.deepEqual(fitVocabulary(texts, { leastTexts: 2, maxTerms: 9 }).terms, [
    'boat',
    'house',
    'red',
    'red house',
  ]);
});

test('tensors that do not fit and specs that are none are refused', (t) => {
  for (const part of ['idf', 'projection', 'scale'] as const) {
    const tensors = { ...TENSORS, [part]: TENSORS[part].slice(1) };
    const error = t.throws(() => new TfidfEncoder(SPEC, tensors), { instanceOf: ShapeError });
    t.is(error.field, `tfidf.${part}`);
  }
  for (const broken of [
    { ...SPEC, version: 2 },
    { ...SPEC, dim: 0 },
    { ...SPEC, vocabulary: '' },
  ]) {
    t.throws(() => new TfidfEncoder(broken as TfidfSpec, TENSORS), {
      instanceOf: BundleError,
      code: 'ERR_BUNDLE_FORMAT',
    });
  }
});
