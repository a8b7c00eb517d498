import test from 'ava';
import { WordVocabulary } from '../../../lib/text/index.js';
import { drawBatches, holdOut, IdSequences } from '../../../lib/text/neural/sequences.js';
import { networkWords } from '../../../lib/text/neural/vocabulary.js';
import { randomOf } from '../../../lib/train/random.js';
import { throwsCode } from './throws-code.js';

test('words and marks, contractions cut, places kept', (t) => {
  const text = "It DOESN'T work… we’ll see!! 电影。";
  const words = networkWords(text);
  t.deepEqual(
    words.map((word) => word.text),
    ['it', 'does', "n't", 'work', '...', 'we', "'ll", 'see', '!!', '电影', '。'],
  );
  for (const { text: word, start, end } of words.slice(0, 3))
    t.is(text.slice(start, end).toLowerCase(), word);
  t.is(networkWords('a b c d', 2).length, 2);
});

test('a vocabulary: by frequency, then by name; of limited size and length; extended', async (t) => {
  const texts = ['b b b a a c', 'a c d', ''];
  const vocabulary = await WordVocabulary.fit(texts, { size: 5, length: 4 });
  t.deepEqual(vocabulary.words, ['', '', 'a', 'b', 'c']);
  t.is(vocabulary.rows, 5);
  t.deepEqual(vocabulary.encode('c D a b b b'), Int32Array.of(4, 1, 2, 3));
  t.deepEqual(vocabulary.encode(' '), new Int32Array(0));
  const more = await WordVocabulary.fit(['z z d'], { known: vocabulary, size: 6 });
  t.deepEqual(more.words, ['', '', 'a', 'b', 'c', 'z']);
  t.deepEqual((await WordVocabulary.fit(texts, { leastCount: 3 })).words.slice(2), ['a', 'b']);
  await throwsCode(t, () => WordVocabulary.fit(texts, { size: 2 }), 'ERR_INPUT_VALUE');
  await throwsCode(t, () => WordVocabulary.fit(texts, { signal: AbortSignal.abort() }), 'ERR_CANCELLED');
  t.throws(() => new WordVocabulary(['a', 'a']), { code: 'ERR_INPUT_VALUE' });
  t.throws(() => new WordVocabulary(['a'], 0), { code: 'ERR_INPUT_VALUE' });
});

test('batches hold every text once, of like lengths; held out: the same share of every class', (t) => {
  const sequences = new IdSequences(Array.from({ length: 101 }, (_, i) => new Int32Array(i % 40).fill(2)));
  const rows = Int32Array.from({ length: 101 }, (_, i) => i);
  const batches = drawBatches(sequences, rows, 10, randomOf(1));
  t.deepEqual(Int32Array.from(batches.flatMap((batch) => [...batch])).sort(), rows);
  t.true(batches.every((batch) => batch.length <= 10));
  t.notDeepEqual(drawBatches(sequences, rows, 10, randomOf(2)), batches);
  const { lengths, ids, steps } = sequences.batch([0, 3]);
  t.deepEqual([lengths, ids, steps], [Int32Array.of(0, 3), Int32Array.of(0, 0, 0, 2, 2, 2), 3]);

  const truth = Int32Array.from({ length: 100 }, (_, i) => (i < 80 ? 0 : 1));
  const { train, valid } = holdOut(truth, 2, 0.1, 5);
  t.deepEqual(Int32Array.of(...train, ...valid).sort(), Int32Array.from(truth.keys()));
  t.is(valid.filter((row) => truth[row] === 1).length, 2);
  t.is(valid.length, 10);
});
