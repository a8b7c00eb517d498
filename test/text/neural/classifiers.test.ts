import { mkdtemp, readdir, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { loadRuntime } from '../../../lib/encoders/runtime.js';
import { exportReviewOnnx, fitReviewClassifier, loadReviewClassifier } from '../../../lib/text/index.js';
import { NeuralReviewClassifier } from '../../../lib/text/neural/classifier.js';
import type { ExecOptions } from '../../../lib/ops/index.js';
import type { FitReviewOptions } from '../../../lib/text/sentiment/kinds.js';
import { randomOf } from '../../../lib/train/random.js';
import { ways } from '../../backends.js';
import { throwsCode } from './throws-code.js';

const GOOD = ['wonderful', 'gripping', 'tender', 'funny'];
const BAD = ['dull', 'clumsy', 'lifeless', 'tedious'];
const THINGS = ['film', 'story', 'cast', 'score', 'ending', 'dialogue'];

/** Sentences whose sign a negation turns: a bag of words cannot tell them apart. */
function reviews(count: number, seed: number): { texts: string[]; labels: string[] } {
  const random = randomOf(seed);
  const one = <T>(list: readonly T[]): T => list[random.below(list.length)]!;
  const labels: string[] = [];
  const texts = Array.from({ length: count }, () => {
    const positive = random.next() < 0.5;
    const negated = random.next() < 0.4;
    labels.push(positive ? 'positive' : 'negative');
    const word = one(positive === negated ? BAD : GOOD);
    const rest = one(['', ' , and that is all .', ' from the first minute to the last one .', ' !']);
    return `the ${one(THINGS)} is ${negated ? 'not ' : ''}${word}${rest}`;
  });
  return { texts, labels };
}

const TRAIN = reviews(400, 1);
const TEST = reviews(120, 2);

const LEARNING = {
  epochs: 14,
  learningRate: 0.02,
  batchSize: 20,
  inputDropout: 0.1,
  patience: false,
} as const;
const KINDS = {
  'text-cnn': {
    ...LEARNING,
    kind: 'text-cnn',
    dim: 12,
    windows: [1, 2, 3],
    filters: 8,
    channels: 'both',
    members: 2,
    dense: [6],
  },
  lstm: { ...LEARNING, kind: 'lstm', dim: 12, hidden: 12, layers: 2, dropout: 0.2 },
  'lstm, last state': { ...LEARNING, kind: 'lstm', dim: 12, hidden: 16, pooling: 'last', dropout: 0.2 },
  'lstm, one direction': {
    ...LEARNING,
    kind: 'lstm',
    dim: 12,
    hidden: 16,
    bidirectional: false,
    dropout: 0.2,
  },
} as const satisfies Record<string, FitReviewOptions>;

async function fitted(name: keyof typeof KINDS): Promise<NeuralReviewClassifier> {
  const options: FitReviewOptions = { ...KINDS[name], seed: 3 };
  const classifier = await fitReviewClassifier(TRAIN.texts, TRAIN.labels, options);
  if (!(classifier instanceof NeuralReviewClassifier)) throw new Error('another class');
  return classifier;
}

function accuracy(p: Float32Array, labels: readonly string[], classes: readonly string[]): number {
  const right = labels.filter((label, i) => {
    const row = p.subarray(i * classes.length, (i + 1) * classes.length);
    return classes[row.indexOf(Math.max(...row))] === label;
  });
  return right.length / labels.length;
}

/** Texts as the exported graph reads them. */
async function runOnnx(t: ExecutionContext, classifier: NeuralReviewClassifier, texts: readonly string[]) {
  const file = path.join(await mkdtemp(path.join(tmpdir(), 'cinefuse-test-')), 'reviews.onnx');
  const bytes = await exportReviewOnnx(classifier, file);
  const model = await readFile(file);
  t.is(model.length, bytes);
  const { InferenceSession, Tensor } = await loadRuntime();
  const session = await InferenceSession.create(model, { logSeverityLevel: 3 });
  const ids = texts.map((text) => classifier.parts.vocabulary!.encode(text));
  const steps = Math.max(1, ...ids.map(({ length }) => length)) + 2;
  // Behind a row's end any id may stand.
  const all = new BigInt64Array(texts.length * steps).fill(3n);
  for (const [i, row] of ids.entries()) all.set(BigInt64Array.from(row, BigInt), i * steps);
  return session.run({
    input_ids: new Tensor('int64', all, [texts.length, steps]),
    lengths: new Tensor(
      'int64',
      BigInt64Array.from(ids, ({ length }) => BigInt(length)),
      [texts.length],
    ),
  });
}

for (const name of Object.keys(KINDS) as (keyof typeof KINDS)[]) {
  test(`${name} learns what negation does, survives saving, and is the same under ONNX Runtime`, async (t) => {
    await using classifier = await fitted(name);
    const texts = [...TEST.texts, '', 'wonderful', 'nowordofthis'];
    const p = await classifier.predict(texts);
    t.true(accuracy(p.subarray(0, 240), TEST.labels, classifier.classes) >= 0.95, name);
    for (let i = 0; i < p.length; i += 2) t.true(Math.abs(p[i]! + p[i + 1]! - 1) < 1e-6);

    const directory = path.join(await mkdtemp(path.join(tmpdir(), 'cinefuse-test-')), 'saved');
    await classifier.save(directory);
    await using again = await loadReviewClassifier(directory);
    t.is(again.kind, classifier.kind);
    t.deepEqual(await again.predict(texts), p);

    const { probabilities, features } = await runOnnx(t, classifier, texts);
    const theirs = probabilities!.data as Float32Array;
    t.true(p.every((value, i) => Math.abs(value - theirs[i]!) < 2e-5));
    t.is(features!.dims[0], texts.length);
  });
}

test('the same seed gives the same classifier on any number of threads, and a text the same alone or among others', async (t) => {
  const options = { kind: 'text-cnn', dim: 8, filters: 4, epochs: 2, patience: false } as const;
  const texts = TRAIN.texts.slice(0, 120);
  const labels = TRAIN.labels.slice(0, 120);
  const of = async (threads: number, seed: number) => {
    await using c = await fitReviewClassifier(texts, labels, { ...options, seed, exec: { threads } });
    return [await c.predict(TEST.texts), await c.predict(TEST.texts.slice(5, 6))] as const;
  };
  const [one, alone] = await of(1, 7);
  t.deepEqual((await of(3, 7))[0], one);
  t.deepEqual(alone, one.slice(10, 12));
  t.notDeepEqual((await of(1, 8))[0], one);
});

/** A few steps from the same start, wherever they run. */
async function fewSteps(kind: 'text-cnn' | 'lstm', exec: ExecOptions): Promise<Float32Array> {
  const own = { dim: 6, epochs: 2, learningRate: 0.02, patience: false as const, exec };
  const options: FitReviewOptions =
    kind === 'lstm' ? { kind, ...own, hidden: 4 } : { kind, ...own, filters: 4, channels: 'both' };
  await using c = await fitReviewClassifier(TRAIN.texts.slice(0, 60), TRAIN.labels.slice(0, 60), options);
  return await c.predict(TEST.texts.slice(0, 20));
}

for (const { label, exec } of ways()) {
  test(`training on ${label} is training on the plainest way`, async (t) => {
    for (const kind of ['text-cnn', 'lstm'] as const) {
      const plain = await fewSteps(kind, { isa: 'baseline', threads: 1 });
      const own = await fewSteps(kind, exec);
      t.true(
        own.every((value, i) => Math.abs(value - plain[i]!) < 1e-3),
        kind,
      );
    }
  });
}

test('explain: the effect of each word, in its place', async (t) => {
  await using classifier = await fitted('text-cnn');
  const text = 'The dialogue is not WONDERFUL, and that is all.';
  const { contributions, additive, probabilities, base } = await classifier.explain(text);
  t.false(additive);
  t.is(base.length, 2);
  t.true(probabilities[0]! > 0.5);
  for (const { text: part, start, end } of contributions) t.is(text.slice(start, end), part);
  const not = contributions.find((part) => part.text === 'not')!;
  t.true(not.scores[0]! > 1 && not.scores[1]! < -1);
});

test('three classes; further training from a classifier of other texts', async (t) => {
  const words = { fine: 'good', awful: 'bad', green: 'neither', superb: 'good', poor: 'bad', wet: 'neither' };
  const random = randomOf(5);
  const names = Object.keys(words) as (keyof typeof words)[];
  const texts = Array.from({ length: 180 }, () => `it is ${names[random.below(6)]} today`);
  const labels = texts.map((text) => words[text.split(' ')[2] as keyof typeof words]);
  const options = {
    kind: 'text-cnn',
    dim: 8,
    windows: [1, 2],
    filters: 8,
    epochs: 15,
    learningRate: 0.01,
  } as const;
  await using first = await fitReviewClassifier(texts, labels, options);
  t.deepEqual(first.classes, ['bad', 'good', 'neither']);
  t.true(accuracy(await first.predict(texts), labels, first.classes) > 0.95);
  if (!(first instanceof NeuralReviewClassifier)) return t.fail();
  await using second = await fitReviewClassifier([...texts, 'newword'], [...labels, 'good'], {
    ...options,
    start: first,
  });
  if (!(second instanceof NeuralReviewClassifier)) return t.fail();
  t.deepEqual(
    second.parts.vocabulary!.words.slice(0, first.parts.vocabulary!.rows),
    first.parts.vocabulary!.words,
  );
  t.is(second.parts.vocabulary!.rows, first.parts.vocabulary!.rows + 1);
  await throwsCode(
    t,
    () => fitReviewClassifier(texts, labels, { ...options, filters: 9, start: first }),
    'ERR_TRAIN_CONFIG',
  );
});

test('n-grams beside the networks count as much as they do, survive saving, and are in no ONNX model', async (t) => {
  const options = { ...KINDS['text-cnn'], epochs: 2, seed: 5, nGrams: { calibrationFolds: 2 } } as const;
  const classifier = await fitReviewClassifier(TRAIN.texts, TRAIN.labels, options);
  if (!(classifier instanceof NeuralReviewClassifier)) return t.fail();
  const { nGrams, ...networks } = classifier.parts;
  t.is(nGrams!.share, 1 / 2);
  const margin = (p: Float32Array) => TEST.texts.map((_, i) => Math.log(p[2 * i + 1]! / p[2 * i]!));
  const p = await classifier.predict(TEST.texts);
  const theirs = margin(await nGrams!.classifier.predict(TEST.texts));
  const { temperature } = networks;
  const deep = margin(await new NeuralReviewClassifier({ ...networks, temperature: 1 }).predict(TEST.texts));
  for (const i of TEST.texts.keys()) {
    const expected = 1 / (1 + Math.exp(-(deep[i]! + theirs[i]!) / (2 * temperature)));
    t.true(Math.abs(p[2 * i + 1]! - expected) < 1e-3);
  }
  const directory = path.join(await mkdtemp(path.join(tmpdir(), 'cinefuse-test-')), 'saved');
  await classifier.save(directory);
  await using again = await loadReviewClassifier(directory);
  t.deepEqual(await again.predict(TEST.texts), p);
  await throwsCode(t, () => exportReviewOnnx(classifier, `${directory}.onnx`), 'ERR_INPUT_TYPE');
  await classifier.dispose();
  await throwsCode(t, () => nGrams!.classifier.predict(['fine']), 'ERR_DISPOSED');
  const header = path.join(directory, 'classifier.json');
  const whole = await readFile(header, 'utf8');
  await writeFile(header, whole.replace('"share": 0.5', '"share": 1.5'));
  await throwsCode(t, () => loadReviewClassifier(directory), 'ERR_MODEL_SPEC');
});

test('members start from the members of another classifier in turn', async (t) => {
  const options = { kind: 'text-cnn', dim: 6, filters: 4, epochs: 1 } as const;
  const { texts, labels } = TRAIN;
  await using start = await fitReviewClassifier(texts, labels, { ...options, members: 2 });
  if (!(start instanceof NeuralReviewClassifier)) return t.fail();
  await using next = await fitReviewClassifier(texts, labels, {
    ...options,
    start,
    members: 3,
    learningRate: 0,
  });
  if (!(next instanceof NeuralReviewClassifier)) return t.fail();
  const table = ({ parts }: NeuralReviewClassifier, m: number) =>
    parts.members[m]!.network.weights.get('embedding.0')!;
  for (const [m, from] of [0, 1, 0].entries()) t.deepEqual(table(next, m), table(start, from));
  t.notDeepEqual(table(start, 0), table(start, 1));
});

test('what cannot be: options, cancellation, disposal, files that were changed', async (t) => {
  const { texts, labels } = TRAIN;
  for (const wrong of [
    { epochs: 0 },
    { dropout: 1 },
    { validation: 0 },
    { members: 0 },
    { windows: [] },
    { dim: -1 },
    { words: false },
    { nGrams: 3 as unknown as boolean },
    { nGrams: { cost: -1 } },
  ]) {
    await throwsCode(
      t,
      () => fitReviewClassifier(texts, labels, { kind: 'text-cnn', ...wrong }),
      'ERR_TRAIN_CONFIG',
    );
  }
  await throwsCode(
    t,
    () => fitReviewClassifier(texts, labels, { kind: 'lstm', vocabulary: { size: 1 } }),
    'ERR_INPUT_VALUE',
  );
  await throwsCode(t, () => fitReviewClassifier(['a', 'b'], ['x', 'y'], { kind: 'lstm' }), 'ERR_DATA_EMPTY');
  const controller = new AbortController();
  await throwsCode(
    t,
    () =>
      fitReviewClassifier(texts, labels, {
        kind: 'lstm',
        signal: controller.signal,
        onProgress: ({ done }) => done > 2 && controller.abort(),
      }),
    'ERR_CANCELLED',
  );
  const huge = { kind: 'text-cnn', learningRate: 10, epochs: 30, patience: false, weightDecay: 10 } as const;
  await throwsCode(t, () => fitReviewClassifier(texts, labels, huge), 'ERR_TRAIN_DIVERGED');

  const classifier = await fitReviewClassifier(texts, labels, {
    kind: 'text-cnn',
    dim: 4,
    filters: 2,
    epochs: 1,
  });
  const parent = await mkdtemp(path.join(tmpdir(), 'cinefuse-test-'));
  const directory = path.join(parent, 'saved');
  await classifier.save(directory);
  t.deepEqual((await readdir(directory)).sort(), [
    'classifier.json',
    'vocabulary.txt',
    'weights.safetensors',
  ]);
  await classifier.dispose();
  await throwsCode(t, () => classifier.predict(texts), 'ERR_DISPOSED');
  await throwsCode(t, () => exportReviewOnnx(classifier, path.join(parent, 'no', 'such')), 'ERR_MODEL_IO');
  const header = path.join(directory, 'classifier.json');
  const whole = await readFile(header, 'utf8');
  await writeFile(header, whole.replace('"filters": 2', '"filters": 3'));
  await throwsCode(t, () => loadReviewClassifier(directory), 'ERR_MODEL_LOAD');
  await writeFile(header, whole.replace('"outputs": 1', '"outputs": 2'));
  await throwsCode(t, () => loadReviewClassifier(directory), 'ERR_MODEL_SPEC');
  await writeFile(header, whole);
  await writeFile(path.join(directory, 'vocabulary.txt'), 'changed');
  await throwsCode(t, () => loadReviewClassifier(directory), 'ERR_MODEL_CHECKSUM');
});
