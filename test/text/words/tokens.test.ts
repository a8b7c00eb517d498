/** Words, stop words, stems and vectors of texts. */
import test from 'ava';
import { negations, stemOf, stopWords, Vectorizer, type VectorizerOptions, words } from 'cinefuse/text';
import { readFileSync } from 'node:fs';
import { throwsTyped } from '../../errors.js';
import { sharedPath, sharedTest } from '../../shared.js';

const texts = (text: string, options = {}) => words(text, options).map((word) => word.text);

test('words of scripts with blanks, by the rules of annex 29', (t) => {
  t.deepEqual(texts('The film’s ending—a 3.5-star, 10,000-volt “shock”—didn’t work!'), [
    ...['the', 'film', 'ending', 'a', '3.5', 'star', '10,000', 'volt', 'shock', "didn't", 'work'],
  ]);
  t.deepEqual(texts('naïve Ｆｕｌｌｗｉｄｔｈ snake_case u.s.a. Ünïcode привет мир'), [
    ...['naïve', 'fullwidth', 'snake_case', 'u.s.a', 'ünïcode', 'привет', 'мир'],
  ]);
  t.deepEqual(texts(''), []);
  t.deepEqual(texts(' …!? '), []);
});

test('words of scripts without blanks, alone and mixed', (t) => {
  // The dictionary is the platform's: words that every one of them knows.
  const chinese = texts('这部电影的3D特效很好看');
  for (const word of ['电影', '的', '3d', '特效']) t.true(chinese.includes(word), `${word} in ${chinese}`);
  t.is(chinese.join(''), '这部电影的3d特效很好看');
  t.true(texts('映画はとても面白かった').length >= 4);
  t.true(texts('ภาพยนตร์เรื่องนี้สนุกมาก').length >= 4);
});

test('each word stands where it says', (t) => {
  const text = 'Ａ dull film, isn’t it? 不好看 😀😀 e\u0301tude';
  for (const { text: word, start, end } of words(text, { marks: true })) {
    const part = text.slice(start, end).normalize('NFKC').replace('’', "'").toLowerCase();
    t.true(part === word || part.startsWith(word), `${part} ${word}`);
  }
  const marks = words('Good!!! Really… (yes)', { marks: true }).map((word) => word.text);
  t.deepEqual(marks, ['good', '!!', 'really', '...', '(', 'yes', ')']);
});

test('a very long run of letters is cut, a long text without blanks is read quickly enough to finish', (t) => {
  t.is(texts('a'.repeat(1_000_000))[0]!.length, 100);
  t.true(texts('好看'.repeat(100_000)).length >= 100_000);
});

test('stop words: negations of both languages stay', (t) => {
  t.deepEqual(texts('This is not a very good film, but I would never say so', { stopWords: false }), [
    ...['not', 'very', 'good', 'film', 'but', 'never', 'say'],
  ]);
  const chinese = texts('这个电影的故事不好，但是没有意思', { stopWords: false, language: 'zh' });
  t.true(chinese.some((word) => word.startsWith('不')) && chinese.some((word) => word.startsWith('没')));
  t.false(chinese.includes('的'));
  for (const language of ['en', 'zh']) {
    t.true(stopWords(language).size > 100);
    for (const word of negations(language)) t.false(stopWords(language).has(word), word);
  }
  t.is(stopWords('xx').size, 0);
});

test('stems are of English words only', (t) => {
  t.deepEqual(texts('acting acted ACTS funnier don’t 3d', { stems: true }), [
    ...['act', 'act', 'act', 'funnier', "don't", '3d'],
  ]);
  t.is(stemOf('relational'), 'relat');
  t.is(stemOf('schöne'), 'schöne');
  t.is(stemOf('acting', 'de'), 'acting');
});

test('terms: runs of words, stems beside words, words under a negation', async (t) => {
  const terms = async (text: string, options: VectorizerOptions) => {
    const vectorizer = await Vectorizer.fit([text], options);
    return vectorizer
      .find(text)
      .map(({ column, start, end }) => [vectorizer.terms[column], text.slice(start, end)]);
  };
  t.deepEqual(await terms('Not funny, really', { ngrams: [1, 2], negated: true }), [
    ['not', 'Not'],
    ['funny', 'funny'],
    ['not funny', 'Not funny'],
    ['¬funny', 'funny'],
    ['really', 'really'],
    ['funny really', 'funny, really'],
  ]);
  t.deepEqual(await terms('acted well', { stems: 'beside' }), [
    ['acted', 'acted'],
    ['~act', 'acted'],
    ['well', 'well'],
    ['~well', 'well'],
  ]);
});

test('a vectorizer weighs terms as its formula says', async (t) => {
  const corpus = ['good film', 'bad film', 'good good fun', ''];
  const vectorizer = await Vectorizer.fit(corpus, { ngrams: [1, 2] });
  t.deepEqual(vectorizer.terms, [
    'bad',
    'bad film',
    'film',
    'fun',
    'good',
    'good film',
    'good fun',
    'good good',
  ]);
  const { offsets, columnOf, values } = await vectorizer.transform(['good good film', 'nothing known']);
  t.deepEqual([...offsets], [0, 4, 4]);
  t.deepEqual([...columnOf], [2, 4, 5, 7]);
  const idf = (df: number) => Math.log(5 / (1 + df)) + 1;
  const raw = [idf(2), (1 + Math.LN2) * idf(2), idf(1), idf(1)];
  const length = Math.hypot(...raw);
  for (const [i, value] of raw.entries()) t.true(Math.abs(values[i]! - value / length) < 1e-6);
  const counts = await Vectorizer.fit(corpus, { weighting: 'count' });
  t.deepEqual([...(await counts.transform(['good good film'])).values], [1, 2]);
  const binary = await Vectorizer.fit(corpus, { weighting: 'binary' });
  t.deepEqual([...(await binary.transform(['good good film'])).values], [1, 1]);
});

test('a vectorizer keeps the terms of most texts, and comes back from its terms', async (t) => {
  const corpus = ['a b c', 'a b', 'a'];
  const vectorizer = await Vectorizer.fit(corpus, { maxTerms: 2 });
  t.deepEqual(vectorizer.terms, ['a', 'b']);
  t.deepEqual((await Vectorizer.fit(corpus, { leastTexts: 2 })).terms, ['a', 'b']);
  const again = Vectorizer.of(vectorizer.terms, vectorizer.idf, vectorizer.options);
  t.deepEqual(await again.transform(['b a b']), await vectorizer.transform(['b a b']));
  t.deepEqual(again.find('b x a'), [
    { column: 1, start: 0, end: 1 },
    { column: 0, start: 4, end: 5 },
  ]);
});

test('a vectorizer refuses what it cannot do, and stops when told', async (t) => {
  const code = 'ERR_INPUT_VALUE';
  await throwsTyped(t, () => Vectorizer.fit(['a'], { ngrams: [2, 1] }), { code, field: 'ngrams' });
  await throwsTyped(t, () => Vectorizer.fit(['a'], { maxTerms: 0 }), { code, field: 'maxTerms' });
  await throwsTyped(t, () => Vectorizer.of(['a', 'a'], new Float32Array(2), {}), { code, field: 'terms' });
  const long = Array.from({ length: 20_000 }, (_, i) => `word${i} `.repeat(50));
  const signal = AbortSignal.timeout(5);
  await throwsTyped(t, () => Vectorizer.fit(long, {}, { signal }), { code: 'ERR_CANCELLED' });
});

sharedTest(
  'the words of the real reviews are those of Intl.Segmenter',
  ['data/movies/reviews/rt_polarity.tsv', 'data/movies/reviews/douban_reviews.tsv'],
  (t) => {
    const segmenter = new Intl.Segmenter('en', { granularity: 'word' });
    let same = 0;
    let all = 0;
    for (const [file, column] of [
      ['rt_polarity.tsv', 2],
      ['douban_reviews.tsv', 5],
    ] as const) {
      const lines = readFileSync(sharedPath('data/movies/reviews', file), 'utf8').split('\n').slice(1, 1000);
      for (const text of lines.map((line) => line.split('\t')[column] ?? '')) {
        const theirs = [...segmenter.segment(text)].filter(({ isWordLike }) => isWordLike);
        const ours = new Set(words(text).map(({ start, end }) => `${start} ${end}`));
        all += theirs.length;
        same += theirs.filter(({ index, segment }) => ours.has(`${index} ${index + segment.length}`)).length;
      }
    }
    t.true(all > 50_000);
    t.true(same / all > 0.999, `${same} of ${all}`);
  },
);
