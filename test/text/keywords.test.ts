/** Key words of texts. */
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test from 'ava';
import { packageRoot } from '../../lib/native.js';
import { extractKeywords } from '../../lib/text/keywords/extract.js';
import { TermReference } from '../../lib/text/keywords/reference.js';
import { isStopWord, negations } from '../../lib/text/words/stop-words.js';
import { TextModels } from '../../lib/text-models.js';
import { throwsTyped } from '../errors.js';

const example = (file: string) =>
  readFileSync(path.join(packageRoot(), 'examples', 'the-lighthouse-keeper', file), 'utf8');
const synopsis = example('synopsis.txt');
const METHODS = ['tfidf', 'phrases', 'embedding', 'combined'] as const;

let loading: Promise<TextModels> | undefined;
const models = () => {
  loading ??= TextModels.load({ threads: 1 });
  return loading;
};
test.after.always(async () => (await loading)?.dispose());

for (const method of METHODS) {
  test(`${method}: places, no stop words, no word twice, best first, the same again`, async (t) => {
    const options = { method, models: await models() };
    const keywords = await extractKeywords(synopsis, options);
    t.is(keywords.length, 10);
    keywords.forEach(({ term, score, count, documents, spans }, i) => {
      t.true(score > 0 && score <= 1 && (i === 0 || score <= keywords[i - 1]!.score));
      t.is(spans.length, count);
      t.is(documents, 1);
      for (const { document, start, end } of spans) {
        t.is(document, 0);
        t.is(
          synopsis.slice(start, end).replace(/\s+/g, ' ').toLowerCase().slice(0, 3),
          term.toLowerCase().slice(0, 3),
        );
      }
      for (const word of term.toLowerCase().split(/[\s-]/)) {
        t.false(isStopWord(word, 'en') || negations('en').has(word), term);
      }
    });
    const words = keywords.map(({ term }) => new Set(term.toLowerCase().split(/[\s-]/)));
    for (const [i, some] of words.entries()) {
      for (const other of words.slice(i + 1)) {
        t.false([...some].every((word) => other.has(word)) || [...other].every((word) => some.has(word)));
      }
    }
    t.deepEqual(await extractKeywords(synopsis, options), keywords);
  });
}

test('what a text is about comes before what it mentions', async (t) => {
  const text =
    'The shark circles the boat. A shark hunter loads his harpoon. Somebody eats a sandwich on the beach. The shark attacks again.';
  for (const method of ['tfidf', 'combined'] as const) {
    const [first] = await extractKeywords(text, { method, models: await models(), language: 'en' });
    t.is(first?.term, 'shark', method);
    t.is(first?.count, 3);
  }
});

test('forms of a word are one; a name stays a name; a compound stays whole', async (t) => {
  const text =
    'Two detectives. A detective waits for Ada. Ada was a war-torn detective, and ADA knew it: war-torn.';
  const keywords = await extractKeywords(text, { method: 'tfidf', language: 'en' });
  const terms = new Map(keywords.map(({ term, count }) => [term, count]));
  t.is(terms.get('detective'), 3);
  t.is(terms.get('Ada'), 3);
  t.true(terms.has('war-torn'));
});

test('a reference makes common words light', async (t) => {
  const corpus = Array.from(
    { length: 40 },
    (_, i) => `The robot walks. ${i % 8 === 0 ? 'A garden grows.' : ''}`,
  );
  const reference = await TermReference.fit(corpus, { language: 'en' });
  const text = 'A robot in a garden. The robot weeps; the garden burns.';
  const order = async (reference?: TermReference) =>
    (await extractKeywords(text, { method: 'tfidf', maxWords: 1, reference, language: 'en' })).map(
      ({ term }) => term,
    );
  const found = await order(reference);
  t.true(found.indexOf('garden') < found.indexOf('robot'), found.join());

  const folder = await mkdtemp(path.join(tmpdir(), 'cinefuse-keywords-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  const file = path.join(folder, 'terms.json');
  await reference.save(file);
  const loaded = await TermReference.load(file);
  for (const key of ['robot', 'garden', 'robot walk', 'unheard']) t.is(loaded.idf(key), reference.idf(key));
  await writeFile(file, '{"kind":"cinefuse-term-reference","version":1,"language":"en","documents":0}');
  await throwsTyped(t, () => TermReference.load(file), { code: 'ERR_INPUT_FILE', file });
  await throwsTyped(t, () => TermReference.load(path.join(folder, 'none')), { code: 'ERR_INPUT_FILE' });
});

test('Chinese: one text and many', async (t) => {
  const reviews = [
    '演员的表演非常出色，剧情也很感人。',
    '剧情拖沓，演员表演生硬，特效倒是不错。',
    '特效震撼，剧情感人，我哭了。',
  ];
  const keywords = await extractKeywords(reviews, { models: await models(), method: 'tfidf', count: 6 });
  const found = keywords.find(({ term }) => term === '剧情');
  t.is(found?.documents, 3);
  for (const { term, spans } of keywords) {
    for (const { document, start, end } of spans) t.is(reviews[document]!.slice(start, end), term);
    t.notRegex(term, /^[的了很也我]|[的了]$/u);
  }
  const one = await extractKeywords('流浪地球的特效震撼。太阳即将毁灭，人类带着地球流浪。', {
    method: 'tfidf',
  });
  t.true(one.some(({ term }) => term.includes('地球')));
});

test('vectors of the caller’s own; words of the caller’s own that do not count', async (t) => {
  const embed = async (terms: readonly string[]) =>
    terms.map((term) => Float32Array.of(term.includes('anchor') ? 1 : 0, 1));
  const text = 'An anchor rusts. The old bell rings. A bell tolls. Sailors hear the bell.';
  const [first] = await extractKeywords(text, { method: 'embedding', embed, language: 'en', maxWords: 1 });
  t.is(first?.term, 'anchor');
  const terms = await extractKeywords(text, { method: 'tfidf', stopWords: ['Bell'], language: 'en' });
  t.false(terms.some(({ term }) => /bell/i.test(term)));
  await throwsTyped(t, () => extractKeywords(text, { embed: async () => [], language: 'en' }), {
    code: 'ERR_INPUT_VALUE',
    field: 'options.embed',
  });
});

test('typed errors, cancelling, and texts without a word that counts', async (t) => {
  await throwsTyped(t, () => extractKeywords(5 as unknown as string), {
    code: 'ERR_INPUT_TYPE',
    field: 'texts',
  });
  await throwsTyped(t, () => extractKeywords(['a', 5 as unknown as string]), {
    field: 'texts[1]',
    code: 'ERR_INPUT_TYPE',
  });
  await throwsTyped(t, () => extractKeywords(' '), { code: 'ERR_INPUT_EMPTY' });
  await throwsTyped(t, () => extractKeywords('a'.repeat(4_000_001)), { code: 'ERR_INPUT_VALUE' });
  for (const wrong of [{ count: 0 }, { maxWords: 9 }, { diversity: 2 }, { method: 'yake' as 'tfidf' }]) {
    await throwsTyped(t, () => extractKeywords('a text', wrong), { code: 'ERR_INPUT_VALUE' });
  }
  const swedish = 'Det var en gång en flicka som bodde i skogen och hon hade aldrig sett havet eller staden.';
  await throwsTyped(t, () => extractKeywords(swedish, { method: 'tfidf' }), { code: 'ERR_INPUT_LANGUAGE' });
  const own = await extractKeywords(swedish, {
    method: 'tfidf',
    stopWords: 'det var en som i och hon hade eller'.split(' '),
  });
  t.true(own.some(({ term }) => term.includes('skogen')));
  await throwsTyped(t, () => extractKeywords(synopsis, { signal: AbortSignal.abort() }), {
    code: 'ERR_CANCELLED',
  });
  t.deepEqual(
    await extractKeywords('It is what it is, and that is all.', { method: 'tfidf', language: 'en' }),
    [],
  );
});

test('hostile texts end soon and the event loop turns', async (t) => {
  let turns = 0;
  const ticking = setInterval(() => turns++, 1);
  for (const text of [
    "a'".repeat(50_000),
    'word '.repeat(60_000),
    '-'.repeat(100_000),
    'x'.repeat(200_000),
    '电'.repeat(50_000),
  ]) {
    const keywords = await extractKeywords(text, { method: 'tfidf', language: 'en' });
    t.true(keywords.length <= 10);
  }
  clearInterval(ticking);
  t.true(turns > 3, `${turns}`);
});
