import test from 'ava';
import { packChunks, splitSentences } from '../../lib/text/chunks.js';

/** One id a character that is not blank, so that lengths are plain. */
const encode = (piece: string) =>
  [...piece.replace(/\s/gu, '')].map((character) => character.codePointAt(0)!);
const pieces = (text: string, spans: { start: number; end: number }[]) =>
  spans.map(({ start, end }) => text.slice(start, end));

test('sentences of several scripts, lines and abbreviations', (t) => {
  const cases: [string, string | undefined, string[]][] = [
    ['One. Two! Three?', 'en', ['One.', 'Two!', 'Three?']],
    [
      'INT. HOUSE\nJOHN\nHello there.\n\nHe goes.',
      'en',
      ['INT.', 'HOUSE', 'JOHN', 'Hello there.', 'He goes.'],
    ],
    ['他走了。她来了！为什么？', 'zh', ['他走了。', '她来了！', '为什么？']],
    ['  padded  ', 'und', ['padded']],
    ['', 'en', []],
    ['\n\n \t\n', undefined, []],
    ['no end', 'xx', ['no end']],
  ];
  for (const [text, locale, expected] of cases)
    t.deepEqual(pieces(text, splitSentences(text, locale)), expected);
});

test('a text that fits is one chunk as it stands', (t) => {
  t.deepEqual(packChunks(' ab c. ', 5, encode), [{ start: 1, end: 6, ids: encode('ab c.') }]);
  t.deepEqual(packChunks('   ', 5, encode), []);
});

test('whole sentences are packed up to the limit', (t) => {
  const text = 'Aaa. Bbb. Cccc. Dd.';
  t.deepEqual(pieces(text, packChunks(text, 8, encode)), ['Aaa. Bbb.', 'Cccc. Dd.']);
  t.deepEqual(pieces(text, packChunks(text, 5, encode)), ['Aaa.', 'Bbb.', 'Cccc.', 'Dd.']);
});

test('chunks of any text: within the limit, in order, every letter in exactly one', (t) => {
  // A small generator, so that a failure can be repeated.
  let state = 12345;
  const random = (n: number) => {
    state = (state * 1103515245 + 12345) % 2147483648;
    return state % n;
  };
  const alphabet = ['a', 'b', ' ', ' ', '. ', '! ', '\n', '字', '。', '😀', 'ü'];
  for (let round = 0; round < 300; round++) {
    const text = Array.from({ length: random(400) }, () => alphabet[random(alphabet.length)]).join('');
    const limit = 1 + random(30);
    const chunks = packChunks(text, limit, encode, ['en', 'zh', undefined][random(3)]);
    let end = 0;
    for (const chunk of chunks) {
      t.true(chunk.ids.length >= 1 && chunk.ids.length <= limit);
      t.true(chunk.start >= end && chunk.end > chunk.start);
      t.deepEqual(chunk.ids, encode(text.slice(chunk.start, chunk.end)));
      end = chunk.end;
    }
    t.deepEqual(
      chunks.flatMap(({ ids }) => ids),
      encode(text),
      JSON.stringify({ text, limit }),
    );
  }
});

test('a sentence that is too long is cut at blanks, or anywhere when it has none, never inside a character', (t) => {
  t.deepEqual(pieces('aaaa bbbb cccc dddd', packChunks('aaaa bbbb cccc dddd', 8, encode)), [
    'aaaa bbbb',
    'cccc dddd',
  ]);
  const emoji = '😀'.repeat(9);
  for (const chunk of packChunks(emoji, 2, encode))
    t.regex(emoji.slice(chunk.start, chunk.end), /^(😀){1,2}$/u);
});

test('a very long line without any stop is split as well', (t) => {
  const text = 'word '.repeat(20_000);
  const chunks = packChunks(text, 500, encode);
  t.is(
    chunks.reduce((sum, { ids }) => sum + ids.length, 0),
    80_000,
  );
  t.true(chunks.length < 400);
});
