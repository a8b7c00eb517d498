import { readFileSync } from 'node:fs';
import test from 'ava';
import { execute } from '../../../lib/ops/exec.js';
import { type TrainVectorsProgress, WordVectors } from '../../../lib/text/index.js';
import { random, ways } from '../../backends.js';
import { type ExpectedError, throwsTyped } from '../../errors.js';
import { sharedPath, sharedTest } from '../../shared.js';

const TOPICS = [
  ['actor', 'actress', 'scene', 'camera', 'director', 'script'],
  ['violin', 'song', 'melody', 'chorus', 'drum', 'tune'],
];

/** Sentences of words of one topic each, with words of both among them. */
function sentences(count: number): string[][] {
  const next = random(5);
  return Array.from({ length: count }, (_, i) => {
    const topic = TOPICS[i % 2]!;
    return Array.from({ length: 12 }, () =>
      next() < 0.3 ? (next() < 0.5 ? 'the' : 'and') : topic[Math.floor(next() * topic.length)]!,
    );
  });
}

const small = { dim: 20, epochs: 3, minCount: 1, learningRate: 0.1 } as const;

/** One step in float64: `inner` against the rows of `out`, the first of which is the true one. */
function exactStep(inner: number[], out: number[][], targets: number[], rate: number): number[] {
  const due = inner.map(() => 0);
  const scores = targets.map((t) => out[t]!.reduce((sum, v, i) => sum + v * inner[i]!, 0));
  targets.forEach((target, k) => {
    const g = rate * ((k === 0 ? 1 : 0) - 1 / (1 + Math.exp(-scores[k]!)));
    const row = out[target]!;
    for (let i = 0; i < inner.length; i++) {
      due[i]! += g * row[i]!;
      row[i]! += g * inner[i]!;
    }
  });
  return due;
}

for (const { label, exec } of ways({ devices: false })) {
  for (const skipGram of [true, false]) {
    const kind = skipGram ? 'skip-gram' : 'cbow';
    test(`a pass of ${kind} over known draws is that of float64 ${label}`, async (t) => {
      // Every draw gives row 3, no word is left out and the window is 1: nothing is left to chance.
      const [rows, stride, rate, negatives] = [4, 32, 0.2, 5];
      const next = random(7);
      const inside = Float32Array.from({ length: rows * stride }, () => next() - 0.5);
      const outside = Float32Array.from({ length: rows * stride }, () => next() - 0.5);
      const rowsOf = (all: Float32Array) =>
        Array.from({ length: rows }, (_, r) => Array.from(all.subarray(r * stride, (r + 1) * stride)));
      const [a, b] = [rowsOf(inside), rowsOf(outside)];
      const texts = [[0, 1, 2, 0], [1], [2, 0]];
      for (const text of texts) {
        text.forEach((middle, i) => {
          const around = [i - 1, i + 1].filter((j) => j >= 0 && j < text.length).map((j) => text[j]!);
          const targets = [middle, ...Array(negatives).fill(3)];
          const add = (word: number, due: number[]) => {
            for (let d = 0; d < stride; d++) a[word]![d]! += due[d]!;
          };
          if (skipGram) for (const word of around) add(word, exactStep(a[word]!, b, targets, rate));
          else if (around.length > 0) {
            const mean = a[0]!.map((_, d) => around.reduce((s, w) => s + a[w]![d]!, 0) / around.length);
            const due = exactStep(mean, b, targets, rate);
            for (const word of around) add(word, due);
          }
        });
      }
      const tokens = Int32Array.from(texts.flatMap((text) => [...text, -1]));
      const ones = new Float32Array(rows).fill(1);
      const [none, third] = [new Float32Array(rows), new Int32Array(rows).fill(3)];
      await execute(exec, (addon, native, cancel) =>
        addon.wordVectors(
          ...([native, cancel, tokens, rows, stride, inside, outside, ones, none, third] as const),
          ...([1, negatives, skipGram, rate, rate, 1, 0] as const),
        ),
      );
      const worst = (got: Float32Array, expected: number[][]) =>
        got.reduce((most, v, i) => Math.max(most, Math.abs(v - expected.flat()[i]!)), 0);
      t.true(worst(inside, a) < 1e-5, `${worst(inside, a)}`);
      t.true(worst(outside, b) < 1e-5, `${worst(outside, b)}`);
    });
  }

  test(`words of a topic come to lie together ${label}`, async (t) => {
    const { isa, threads } = exec;
    for (const algorithm of ['cbow', 'skip-gram'] as const) {
      const vectors = await WordVectors.train(sentences(2000), { ...small, algorithm, isa, threads });
      t.is(vectors.words.length, 14);
      t.is(
        vectors.counts!.reduce((a, b) => a + b, 0),
        24_000,
      );
      for (const topic of TOPICS) {
        for (const word of topic) {
          const near = await vectors.mostSimilar(word, { count: 5, exclude: ['the', 'and'] });
          t.true(
            near.every((other) => topic.includes(other.word)),
            `${algorithm}, ${word}: ${JSON.stringify(near)}`,
          );
        }
      }
    }
  });
}

test('one thread: the same seed the same bits, another seed others; the corpus may come bit by bit', async (t) => {
  const corpus = sentences(300);
  const one = await WordVectors.train(corpus, small);
  t.deepEqual((await WordVectors.train(corpus, small)).vectors, one.vectors);
  t.notDeepEqual((await WordVectors.train(corpus, { ...small, seed: 2 })).vectors, one.vectors);
  async function* slowly() {
    for (const words of corpus) yield words.join(' ');
  }
  const streamed = await WordVectors.train(slowly(), small);
  t.deepEqual(streamed.words, one.words);
  t.deepEqual(streamed.vectors, one.vectors);
  t.is(one.counts![0]! >= one.counts![1]!, true);
});

test('words of any script; rare ones are left out; thinning keeps counts', async (t) => {
  const corpus = Array(20).fill("我喜欢这部电影。 The film's great; don't miss it!");
  const vectors = await WordVectors.train([...corpus, 'rare'], { ...small, minCount: 2, subsample: 1e-2 });
  for (const word of ['电影', '喜欢', 'film', "don't"]) t.true(vectors.has(word), word);
  t.false(vectors.has('rare'));
  t.is(vectors.counts![vectors.words.indexOf('film')], 20);
});

test('progress goes forward, an abort ends it', async (t) => {
  const seen: TrainVectorsProgress[] = [];
  await WordVectors.train(sentences(12_000), { ...small, onProgress: (progress) => seen.push(progress) });
  const training = seen.filter(({ stage }) => stage === 'training');
  t.true(training.length >= 6);
  t.deepEqual(
    training.map(({ done }) => done),
    [...training].map(({ done }) => done).sort((a, b) => a - b),
  );
  t.is(training.at(-1)!.done, training[0]!.total!);
  const controller = new AbortController();
  const running = WordVectors.train(sentences(12_000), {
    ...{ ...small, epochs: 1000, signal: controller.signal },
    onProgress: ({ stage }) => stage === 'training' && controller.abort(),
  });
  await throwsTyped(t, () => running, { code: 'ERR_CANCELLED' });
});

test('bad input: typed errors that name the field', async (t) => {
  const corpus = sentences(3);
  const train = (options: object) => () => WordVectors.train(corpus, { ...small, ...options });
  const cases: [() => Promise<unknown>, ExpectedError][] = [
    [train({ algorithm: 'glove' }), { code: 'ERR_INPUT_VALUE', field: 'algorithm' }],
    [train({ dim: 0 }), { code: 'ERR_INPUT_VALUE', field: 'dim' }],
    [train({ window: 256 }), { code: 'ERR_INPUT_VALUE', field: 'window' }],
    [train({ negative: 0 }), { code: 'ERR_INPUT_VALUE', field: 'negative' }],
    [train({ epochs: 1.5 }), { code: 'ERR_INPUT_VALUE', field: 'epochs' }],
    [train({ seed: -1 }), { code: 'ERR_INPUT_VALUE', field: 'seed' }],
    [train({ subsample: 2 }), { code: 'ERR_INPUT_VALUE', field: 'subsample' }],
    [train({ learningRate: Number.NaN }), { code: 'ERR_INPUT_VALUE', field: 'learningRate' }],
    [train({ threads: 0 }), { code: 'ERR_INPUT_VALUE', field: 'threads' }],
    [train({ minCount: 1000 }), { code: 'ERR_INPUT_EMPTY', field: 'corpus' }],
    [() => WordVectors.train([]), { code: 'ERR_INPUT_EMPTY', field: 'corpus' }],
    [() => WordVectors.train(['a', 7 as never]), { code: 'ERR_INPUT_TYPE', field: 'corpus[1]' }],
  ];
  for (const [call, expected] of cases) await throwsTyped(t, call, expected);
});

/** Words whose vectors say what they are: (royal, male, common). */
const known = new WordVectors(
  ['the', 'king', 'queen', 'man', 'woman', 'film'],
  Float32Array.of(1, 1, 1, 2, 2, 0, 3, -3, 0, 0, 1, 0, 0, -1, 0, 0, 0, 5),
  Float64Array.of(900, 20, 20, 20, 20, 20),
);

test('nearest words, analogies and similarities, of equals the more frequent first', async (t) => {
  const near = (await known.mostSimilar('king')).map(({ word }) => word);
  t.deepEqual([near.slice(0, 2), near.at(-1)], [['the', 'man'], 'woman']);
  const equal = new WordVectors(['a', 'b', 'c', 'd'], Float32Array.of(1, 2, 3, 1));
  t.deepEqual(
    (await equal.mostSimilar('c', { count: 2 })).map(({ word }) => word),
    ['a', 'b'],
  );
  t.is((await known.analogy('man', 'king', 'woman', { count: 1 }))[0]!.word, 'queen');
  t.true(Math.abs(known.similarity('king', 'queen')) < 1e-7);
  t.true(Math.abs(known.similarity('man', 'woman') + 1) < 1e-7);
  const several = await known.mostSimilar(['man', 'king'], { count: 2, exclude: ['the'], among: 4 });
  t.deepEqual(
    several.map(({ word }) => word),
    ['queen'],
  );
  t.deepEqual(await known.mostSimilar(Float32Array.of(0, 0, 1), { count: 1 }), [
    { word: 'film', similarity: 1 },
  ]);
  const { table, known: found } = known.tableOf(['film', 'nothing', 'man']);
  t.deepEqual([[...table], found], [[0, 0, 5, 0, 0, 0, 0, 1, 0], 2]);
  await throwsTyped(t, () => known.mostSimilar('quen'), {
    code: 'ERR_INPUT_VALUE',
    field: 'word',
    message: /'queen'/,
  });
  await throwsTyped(t, () => known.mostSimilar(new Float32Array(2)), {
    code: 'ERR_INPUT_VALUE',
    field: 'query',
  });
  await throwsTyped(t, () => known.mostSimilar('film', { count: -1 }), {
    code: 'ERR_INPUT_VALUE',
    field: 'count',
  });
  await throwsTyped(t, () => new WordVectors(['a', 'a'], new Float32Array(2)), {
    code: 'ERR_INPUT_VALUE',
    field: 'words',
  });
  await throwsTyped(t, () => new WordVectors(['a'], new Float32Array(0)), {
    code: 'ERR_INPUT_VALUE',
    field: 'vectors',
  });
});

test('texts as means of their words, common words weighed down, the common direction taken out', async (t) => {
  const texts = ['The king, the man!', 'unheard of', 'Film film'];
  t.deepEqual([...(await known.encode(texts))], [1, 1.25, 0.5, 0, 0, 0, 0, 0, 5]);
  const a = (share: number) => 1e-3 / (1e-3 + share);
  const [the, king, man] = [a(0.9), a(0.02), a(0.02)];
  const sif = await known.encode([texts[0]!], { weighting: 'sif' });
  [(2 * the + 2 * king) / 4, (2 * the + 2 * king + man) / 4, (2 * the) / 4].forEach((v, i) => {
    t.true(Math.abs(sif[i]! - v) < 1e-6);
  });
  const common = await known.commonDirection(['king', 'king queen man', 'king man']);
  t.true(Math.abs(common.reduce((s, v) => s + v * v, 0) - 1) < 1e-5);
  const without = await known.encode(['king man'], { weighting: 'sif', common });
  t.true(Math.abs(without.reduce((s, v, i) => s + v * common[i]!, 0)) < 1e-6);
  t.deepEqual(
    (await known.embed(['film', 'man'])).map((v) => [...v]),
    [
      [0, 0, 5],
      [0, 1, 0],
    ],
  );
  const plain = new WordVectors(['a'], Float32Array.of(1));
  await throwsTyped(t, () => plain.encode(['a'], { weighting: 'sif' }), {
    code: 'ERR_INPUT_VALUE',
    field: 'weighting',
  });
  await throwsTyped(t, () => known.encode([], { common: new Float32Array(2) }), {
    code: 'ERR_INPUT_VALUE',
    field: 'common',
  });
});

const REVIEWS = ['imdb_reviews', 'rt_polarity'].map((name) => `data/movies/reviews/${name}.tsv`);

sharedTest('what reviews teach: words of a kind are near each other', REVIEWS, async (t) => {
  const texts = REVIEWS.flatMap((file) => {
    const [header, ...lines] = readFileSync(sharedPath(file), 'utf8').trimEnd().split('\n');
    const column = header!.split('\t').indexOf('text');
    return lines.map((line) => line.split('\t')[column]!);
  });
  const vectors = await WordVectors.train(texts, { epochs: 2 });
  const near = async (word: string) => (await vectors.mostSimilar(word)).map((other) => other.word);
  t.true((await near('terrible')).includes('horrible'));
  t.true((await near('music')).some((word) => ['soundtrack', 'score', 'cinematography'].includes(word)));
  const she = await vectors.analogy('he', 'actor', 'she', { count: 3 });
  t.true(
    she.some(({ word }) => word === 'actress'),
    JSON.stringify(she),
  );
});
