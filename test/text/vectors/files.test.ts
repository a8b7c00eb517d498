import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test from 'ava';
import { WordVectors } from '../../../lib/text/index.js';
import { randomF32 } from '../../backends.js';
import { type ExpectedError, throwsTyped } from '../../errors.js';

const folder = mkdtempSync(path.join(tmpdir(), 'cinefuse-vectors-'));
test.after.always(() => rmSync(folder, { recursive: true, force: true }));
let files = 0;

function fileOf(content: string | Uint8Array): string {
  const file = path.join(folder, `${files++}.txt`);
  writeFileSync(file, content);
  return file;
}

/** What word2vec.c writes; gensim leaves the line ends out. */
function binary(header: string, rows: [string, number[]][], lineEnd = '\n'): Buffer {
  return Buffer.concat([
    Buffer.from(header),
    ...rows.map(([word, values]) =>
      Buffer.concat([
        Buffer.from(`${word} `),
        Buffer.from(Float32Array.from(values).buffer),
        Buffer.from(lineEnd),
      ]),
    ),
  ]);
}

test('every form keeps every bit and is told from its beginning', async (t) => {
  const words = ['the', '电影', "don't", 'naïve', '3'];
  const vectors = randomF32(5 * 37, 1).map((v, i) => v * 10 ** ((i % 60) - 30));
  vectors.set([0, -0, 1e-45, 3.4028234663852886e38, 0.1, 1 / 3, -123456789], 3);
  const set = new WordVectors(words, vectors, Float64Array.of(9, 7, 5, 3, 3));
  for (const format of ['word2vec', 'word2vec-binary', 'glove'] as const) {
    const file = path.join(folder, format);
    await set.save(file, { format, counts: `${file}.counts` });
    const got = await WordVectors.load(file, { counts: `${file}.counts` });
    t.deepEqual([got.words, got.dim, got.counts], [words, 37, set.counts], format);
    t.deepEqual(new Uint32Array(got.vectors.buffer), new Uint32Array(set.vectors.slice().buffer), format);
    t.is((await WordVectors.load(file, { words: 2 })).words.length, 2);
  }
  t.regex(readFileSync(path.join(folder, 'word2vec'), 'utf8'), /^5 37\nthe \S+ \S+ \S+ 0 -0 1.4013e-45 /);
});

test('files as other programs write them', async (t) => {
  const rows: [string, number[]][] = [
    ['</s>', [1, -2.5]],
    ['a', [0.125, 1e-7]],
  ];
  for (const lineEnd of ['', '\n']) {
    const { words, vectors } = await WordVectors.load(fileOf(binary('2 2\n', rows, lineEnd)));
    t.deepEqual(
      [words, [...vectors]],
      [
        ['</s>', 'a'],
        [1, -2.5, 0.125, Math.fround(1e-7)],
      ],
    );
  }
  // word2vec.c ends its lines by a blank; Windows by two characters; GloVe's last file has words with blanks in them
  for (const text of [
    '2 2\n</s> 1.000000 -2.500000 \na 0.125 1e-07 \n',
    '2 2\r\n</s> 1 -2.5\r\na 0.125 1e-07\r\n',
    '</s> 1 -2.5\na 0.125 1e-07',
  ]) {
    const { words, vectors } = await WordVectors.load(fileOf(text));
    t.deepEqual(
      [words, [...vectors]],
      [
        ['</s>', 'a'],
        [1, -2.5, 0.125, Math.fround(1e-7)],
      ],
    );
  }
  const { words } = await WordVectors.load(fileOf('a 1 2\n. . . 3 4\n'));
  t.deepEqual(words, ['a', '. . .']);
  const twice = fileOf('a 1 2\nb 3 4\na 5 6\n');
  t.deepEqual([...(await WordVectors.load(twice, { duplicates: 'first' })).vectors], [1, 2, 3, 4]);
  const all = fileOf(Array.from({ length: 30_000 }, (_, i) => `w${i} ${i} 0.5 -1\n`).join(''));
  const many = await WordVectors.load(all);
  t.is(many.words.length, 30_000);
  t.deepEqual([...many.vector('w29999')!], [29_999, 0.5, -1]);
});

test('what is no such file: typed errors that name the line', async (t) => {
  const bad: [string | Uint8Array, RegExp, object?][] = [
    ['', /none/],
    ['\n', /line 1/],
    ['word', /line 1/],
    ['a 1 2\nb 3\n', /2 fields in line 2/],
    ['a 1 2\nb 3 x\n', /"x" in line 2/],
    ['a 1 2\nb 3 nan\n', /line 2/],
    ['a 1 2\nb 3 1e39\n', /line 2/],
    ['a 1 2\na 3 4\n', /second time, in line 2/],
    ['3 2\na 1 2\nb 3 4\n', /3 words, as line 1 says/],
    ['1000000000 300\na 1 2\n', /1000000000 and 300 in a file/],
    ['2 5000\na 1 2\n', /line 1/, { format: 'word2vec' }],
    ['a 1 2\n', /another first line/, { format: 'word2vec' }],
    [`a ${'1'.repeat(300_000)}\n`, /more in line 1/],
    [binary('2 2\n', [['a', [1, 2]]]), /end of the file at word 2|neither at word 2|file of/],
    [binary('1 2\n', [['a', [Number.NaN, 2]]]), /NaN at word 1/, { format: 'word2vec-binary' }],
    [binary('1 2\n', [['', [1, 2]]]), /none at word 1/, { format: 'word2vec-binary' }],
    [
      Buffer.concat([Buffer.from('1 2\n'), Buffer.alloc(9000, 65)]),
      /neither at word 1/,
      { format: 'word2vec-binary' },
    ],
  ];
  for (const [content, message, options] of bad) {
    const file = fileOf(content);
    await throwsTyped(t, () => WordVectors.load(file, options), { code: 'ERR_INPUT_FILE', file, message });
  }
  const good = fileOf('a 1 2\nb 3 4\n');
  const cases: [() => Promise<unknown>, ExpectedError][] = [
    [() => WordVectors.load(path.join(folder, 'absent')), { code: 'ERR_INPUT_FILE' }],
    [() => WordVectors.load(folder), { code: 'ERR_INPUT_FILE' }],
    [() => WordVectors.load(good, { format: 'text' as never }), { code: 'ERR_INPUT_VALUE', field: 'format' }],
    [() => WordVectors.load(good, { words: 0 }), { code: 'ERR_INPUT_VALUE', field: 'words' }],
    [() => WordVectors.load(good, { counts: fileOf('a 1\n') }), { code: 'ERR_INPUT_FILE', message: /"b"/ }],
    [
      () => WordVectors.load(good, { counts: fileOf('a 1\nb\n') }),
      { code: 'ERR_INPUT_FILE', message: /line 2/ },
    ],
  ];
  for (const [call, expected] of cases) await throwsTyped(t, call, expected);
});

test('what cannot be written leaves no file behind', async (t) => {
  const set = new WordVectors(['two words', 'b'], Float32Array.of(1, 2));
  const file = path.join(folder, 'unwritten');
  await throwsTyped(t, () => set.save(file), { code: 'ERR_INPUT_VALUE', field: 'words[0]' });
  await throwsTyped(t, () => set.save(file, { format: 'glove', counts: file }), {
    code: 'ERR_INPUT_VALUE',
    field: 'counts',
  });
  await throwsTyped(t, () => WordVectors.load(file), { code: 'ERR_INPUT_FILE' });
  await throwsTyped(t, () => set.save(path.join(folder, 'no', 'folder'), { format: 'glove' }), {
    code: 'ERR_INPUT_FILE',
  });
  await set.save(file, { format: 'glove' });
  t.is(readFileSync(file, 'utf8'), 'two words 1\nb 2\n');
  const signal = AbortSignal.abort();
  const long = new WordVectors(
    Array.from({ length: 40_000 }, (_, i) => `w${i}`),
    new Float32Array(400_000),
  );
  await throwsTyped(t, () => long.save(file, { signal }), { code: 'ERR_CANCELLED' });
  t.is(readFileSync(file, 'utf8'), 'two words 1\nb 2\n');
});
