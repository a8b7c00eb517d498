/**
 * Ten-fold accuracy of TextCNN on the sentence-polarity set, stage by stage, since all of it takes minutes.
 * docs/neural-text.md says what came out.
 *
 *   node dist/bench/text/neural-folds.js pretrain DIRECTORY REVIEWS.tsv VECTORS.txt
 *   node dist/bench/text/neural-folds.js encode DIRECTORY SENTENCES.tsv ENCODER.json
 *   node dist/bench/text/neural-folds.js fold DIRECTORY SENTENCES.tsv VECTORS.txt ENCODER.json K
 *   node dist/bench/text/neural-folds.js sum DIRECTORY OUTPUT.json
 *
 * REVIEWS.tsv has whole reviews of other films, whose sentences get the review's label and are never tested on.
 * VECTORS.txt: word vectors in GloVe's text format. CINEFUSE_THREADS sets the threads.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import {
  fitReviewClassifier,
  WordVectors,
  loadReviewClassifier,
  splitSentences,
} from '../../lib/text/index.js';
import { NeuralReviewClassifier } from '../../lib/text/neural/classifier.js';
import { EncoderTexts } from '../../lib/text/neural/encoder-texts.js';
import { TEXT_CNN, type TextCnnOptions } from '../../lib/text/neural/kinds.js';
import { randomOf, seedOf } from '../../lib/train/random.js';

const FOLDS = 10;
const classes = ['negative', 'positive'];
const languages = ['en'];
const words: TextCnnOptions = { vocabulary: { size: 30_000, length: 60 }, windows: [3, 4, 5], filters: 100 };
/** The values of the bundle's text-en behind its last block: a vector of 512 numbers a token. */
const tokens = { output: 'add_157', dim: 512 };

interface Labelled {
  texts: string[];
  truth: Int32Array;
}

/** Of the one classifier, and of its parts alone. */
const PARTS = ['words', 'tokens', 'networks', 'nGrams', 'whole'] as const;
type Part = (typeof PARTS)[number];

type FoldResult = { fold: number; seconds: number; logLoss: number } & Record<Part, number> & {
    /** Of the second class, by text of the fold. */
    probabilities: Record<'truth' | Part, number[]>;
  };

const since = performance.now();
const seconds = (from: number) => Math.round((performance.now() - from) / 100) / 10;
const note = (line: string) => process.stderr.write(`${seconds(since)} s ${line}\n`);

async function read(file: string): Promise<Labelled> {
  const [head, ...lines] = (await readFile(file, 'utf8')).split('\n').filter((line) => line !== '');
  const columns = head!.split('\t');
  const rows = lines.map((line) => line.split('\t'));
  return {
    texts: rows.map((row) => row[columns.indexOf('text')]!),
    truth: Int32Array.from(rows, (row) => classes.indexOf(row[columns.indexOf('label')]!)),
  };
}

/** The sentences of whole reviews, of 4 words to 400 characters, each with its review's label. */
function sentences({ texts, truth }: Labelled): Labelled {
  const all = texts.flatMap((text, i) =>
    splitSentences(text, 'en')
      .map(({ start, end }) => text.slice(start, end).replace(/<[^>]*>/g, ' '))
      .filter((sentence) => sentence.split(/\s+/).length >= 4 && sentence.length <= 400)
      .map((sentence) => ({ sentence, label: truth[i]! })),
  );
  return { texts: all.map(({ sentence }) => sentence), truth: Int32Array.from(all, ({ label }) => label) };
}

/** Training and test texts of a fold: stratified, by seed 0. */
function foldOf({ texts, truth }: Labelled, k: number): [Labelled, Labelled] {
  const fold = new Uint8Array(texts.length);
  for (const c of classes.keys()) {
    const rows = Int32Array.from(truth.keys()).filter((row) => truth[row] === c);
    const order = randomOf(seedOf(0, 'folds', c)).shuffle(rows);
    for (const [i, row] of order.entries()) fold[row] = i % FOLDS;
  }
  const take = (inside: boolean): Labelled => {
    const rows = [...texts.keys()].filter((row) => (fold[row] === k) === inside);
    return { texts: rows.map((row) => texts[row]!), truth: Int32Array.from(rows, (row) => truth[row]!) };
  };
  return [take(false), take(true)];
}

function right(p: Float32Array, truth: Int32Array): number {
  const count = truth.filter((c, i) => (p[2 * i + 1]! > p[2 * i]! ? 1 : 0) === c).length;
  return Math.round((count / truth.length) * 1e4) / 1e4;
}

const openEncoder = (file: string, cache?: Map<string, Float32Array>) =>
  EncoderTexts.open(file, { tokens, length: 64, threads: 1, cache });

async function pretrain(directory: string, reviews: string, vectorsFile: string): Promise<void> {
  const data = sentences(await read(reviews));
  const vectors = await WordVectors.load(vectorsFile);
  note(`${data.texts.length} sentences of reviews`);
  const from = performance.now();
  await using fitted = await TEXT_CNN.fit(
    { ...data, classes, languages },
    {
      ...words,
      vectors,
      members: 2,
      epochs: 2,
      batchSize: 100,
      patience: false,
      validation: 0.02,
    },
  );
  note(`pretraining took ${seconds(from)} s`);
  await mkdir(directory, { recursive: true });
  await fitted.save(path.join(directory, 'pretrained'));
}

async function encode(directory: string, file: string, encoderFile: string): Promise<void> {
  const { texts } = await read(file);
  await using encoder = await openEncoder(encoderFile);
  const from = performance.now();
  const vectors = await encoder.encode(texts);
  note(`encoding ${texts.length} texts took ${seconds(from)} s`);
  await mkdir(directory, { recursive: true });
  await writeFile(path.join(directory, 'lengths.json'), JSON.stringify(vectors.map(({ length }) => length)));
  await writeFile(path.join(directory, 'vectors.f32'), vectors);
}

async function fold(
  directory: string,
  file: string,
  vectorsFile: string,
  encoderFile: string,
  k: number,
): Promise<void> {
  const all = await read(file);
  const [train, test] = foldOf(all, k);
  const lengths = JSON.parse(await readFile(path.join(directory, 'lengths.json'), 'utf8')) as number[];
  const { buffer, byteOffset } = await readFile(path.join(directory, 'vectors.f32'));
  let at = byteOffset;
  const cache = new Map(
    all.texts.map((text, i) => {
      const own = new Float32Array(buffer, at, lengths[i]!);
      at += own.byteLength;
      return [text, own] as const;
    }),
  );
  await using encoder = await openEncoder(encoderFile, cache);
  await using pretrained = await loadReviewClassifier(path.join(directory, 'pretrained'));
  const vectors = await WordVectors.load(vectorsFile);
  const from = performance.now();
  await using fitted = await fitReviewClassifier(
    train.texts,
    Array.from(train.truth, (c) => classes[c]!),
    {
      kind: 'text-cnn',
      classes,
      seed: k,
      ...words,
      vocabulary: { ...words.vocabulary, size: 50_000 },
      vectors,
      start: pretrained as NeuralReviewClassifier,
      members: 2,
      epochs: 5,
      learningRate: 5e-4,
      validation: 0.02,
      patience: false,
      encoder,
      onEncoder: { windows: [1, 2, 3], filters: 100, epochs: 4, inputDropout: 0.2, members: 2 },
      nGrams: true,
    },
  );
  const taken = seconds(from);
  const { parts } = fitted as NeuralReviewClassifier;
  // Parts of it, judged by the same members: nothing is fitted again.
  const part = (kind?: 'words' | 'vectors') => {
    const members = parts.members.filter(
      ({ network }) => (kind ?? network.spec.input.kind) === network.spec.input.kind,
    );
    return new NeuralReviewClassifier({ ...parts, members, nGrams: undefined }).predict(test.texts);
  };
  const p: Record<Part, Float32Array> = {
    words: await part('words'),
    tokens: await part('vectors'),
    networks: await part(),
    nGrams: await parts.nGrams!.classifier.predict(test.texts),
    whole: await fitted.predict(test.texts),
  };
  const each = <T>(of: (own: Float32Array) => T) =>
    Object.fromEntries(PARTS.map((name) => [name, of(p[name])])) as Record<Part, T>;
  const second = (own: Float32Array) =>
    Array.from(test.truth, (_, i) => Math.round(own[2 * i + 1]! * 1e4) / 1e4);
  const loss = test.truth.reduce((total, c, i) => total - Math.log(p.whole[2 * i + c]!), 0);
  const result: FoldResult = {
    fold: k,
    seconds: taken,
    logLoss: Math.round((loss / test.truth.length) * 1e4) / 1e4,
    ...each((own) => right(own, test.truth)),
    probabilities: { truth: [...test.truth], ...each(second) },
  };
  note(JSON.stringify({ ...result, probabilities: undefined }));
  await writeFile(path.join(directory, `fold-${k}.json`), JSON.stringify(result));
}

async function sum(directory: string, output: string): Promise<void> {
  const results: Omit<FoldResult, 'probabilities'>[] = [];
  for (let k = 0; k < FOLDS; k++) {
    const text = await readFile(path.join(directory, `fold-${k}.json`), 'utf8');
    const { probabilities: _, ...result } = JSON.parse(text) as FoldResult;
    results.push(result);
  }
  const summary = (name: Part | 'logLoss') => {
    const mean = results.reduce((total, result) => total + result[name], 0) / FOLDS;
    const squares = results.reduce((total, result) => total + (result[name] - mean) ** 2, 0);
    return { mean: Number(mean.toFixed(4)), sd: Number(Math.sqrt(squares / (FOLDS - 1)).toFixed(4)) };
  };
  const summaries = Object.fromEntries(([...PARTS, 'logLoss'] as const).map((name) => [name, summary(name)]));
  const whole = {
    date: new Date().toISOString().slice(0, 10),
    what: 'accuracy on rt_polarity (9,560 sentences) of one classifier and its parts, ten stratified folds, seed 0',
    ...summaries,
    folds: results,
  };
  await writeFile(output, `${JSON.stringify(whole, null, 1)}\n`);
  note(JSON.stringify(summaries));
}

const [stage, ...given] = process.argv.slice(2) as [string, ...string[]];
const [a = '', b = '', c = '', d = '', k = ''] = given;
if (stage === 'pretrain') await pretrain(a, b, c);
else if (stage === 'encode') await encode(a, b, c);
else if (stage === 'fold') await fold(a, b, c, d, Number(k));
else if (stage === 'sum') await sum(a, b);
else note('pretrain, encode, fold or sum');
