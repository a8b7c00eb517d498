import { readFile, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test from 'ava';
import { exposeOutput } from '../../../lib/formats/onnx-expose.js';
import { packageRoot } from '../../../lib/native.js';
import { EncoderTexts, fitReviewClassifier, loadReviewClassifier } from '../../../lib/text/index.js';
import { randomOf } from '../../../lib/train/random.js';
import { sharedPath, sharedTest } from '../../shared.js';
import { throwsCode } from './throws-code.js';

/** The bundle's own English encoder. */
const SPEC = path.join(packageRoot(), 'models', 'default', 'encoders', 'text-en', 'encoder.json');
const TOKENS = { output: 'add_157', dim: 512 };

const WARM = [
  'I loved it',
  'What a joy this film is',
  'A delightful, moving story',
  'She is excellent in it',
  'Great fun',
];
const COLD = [
  'I hated it',
  'What a bore this film is',
  'A tedious, empty story',
  'She is terrible in it',
  'Awful',
];
const texts = [...WARM, ...COLD];
const labels = texts.map((_, i) => (i < WARM.length ? 'positive' : 'negative'));

test('the vectors of tokens are in the graph: their mean goes the same way as the vector of the text', async (t) => {
  await using whole = await EncoderTexts.open(SPEC, { threads: 1 });
  await using parts = await EncoderTexts.open(SPEC, { threads: 1, tokens: TOKENS });
  const [one, none] = await whole.encode(['A delightful story.', ' ']);
  t.is(one!.length, 512);
  t.is(none!.length, 0);
  const [many, again] = await parts.encode(['A delightful story.', 'A delightful story.']);
  t.is(many!.length, 5 * 512);
  t.deepEqual(again, many);
  // Alone or among longer texts, on one padding or another.
  const [, among] = await parts.encode([
    'A long text, to be sure, with a good many words in it.',
    'A delightful story.',
  ]);
  t.true(among!.every((value, i) => Math.abs(value - many![i]!) < 1e-4));
  await using short = await EncoderTexts.open(SPEC, { threads: 1, tokens: TOKENS, length: 2 });
  t.is((await short.encode(['A delightful story.']))[0]!.length, 2 * 512);
  await throwsCode(t, () => parts.encode(['a'], { signal: AbortSignal.abort() }), 'ERR_CANCELLED');
});

test('a head on an encoder, and TextCNN over its tokens: fitted to ten texts, saved with the encoder, loaded alone', async (t) => {
  for (const kind of ['encoder', 'text-cnn'] as const) {
    const encoder = await EncoderTexts.open(SPEC, {
      threads: 1,
      tokens: kind === 'encoder' ? undefined : TOKENS,
    });
    const common = {
      encoder,
      epochs: 30,
      patience: false,
      learningRate: 0.01,
      batchSize: 4,
      dropout: 0,
    } as const;
    const options =
      kind === 'encoder'
        ? { kind, ...common, dense: [8] }
        : { kind, ...common, words: false, onEncoder: { windows: [1, 2], filters: 4 } };
    await using classifier = await fitReviewClassifier(texts, labels, options);
    const p = await classifier.predict(texts);
    t.true(texts.filter((_, i) => p[2 * i + 1]! > 0.5 === i < WARM.length).length >= 8);
    const directory = path.join(await mkdtemp(path.join(tmpdir(), 'cinefuse-test-')), 'saved');
    await classifier.save(directory);
    await encoder.dispose();
    await using again = await loadReviewClassifier(directory);
    const theirs = await again.predict(texts);
    t.true(theirs.every((value, i) => Math.abs(value - p[i]!) < 1e-5));
  }
});

test('what cannot be: a value that is not in the graph, no encoder, not a text encoder, no model', async (t) => {
  await throwsCode(t, () => EncoderTexts.open(SPEC, { tokens: { output: 'none', dim: 4 } }), 'ERR_MODEL_IO');
  await throwsCode(t, () => EncoderTexts.open(`${SPEC}.not`), 'ERR_MODEL_NOT_FOUND');
  const image = SPEC.replace('text-en', 'image');
  await throwsCode(t, () => EncoderTexts.open(image), 'ERR_INPUT_VALUE');
  const model = await readFile(SPEC.replace('encoder.json', 'model.onnx'));
  t.is(exposeOutput(model, 'embeddings', ['batch', 512]), model);
  t.throws(() => exposeOutput(model.subarray(0, 1000), 'add_157', [1]), { code: 'ERR_MODEL_LOAD' });
});

sharedTest(
  'one fold of the sentence-polarity set: TextCNN on words alone, without any pretraining',
  ['data/movies/reviews/rt_polarity.tsv'],
  async (t) => {
    const rows = (await readFile(sharedPath('data/movies/reviews/rt_polarity.tsv'), 'utf8'))
      .trimEnd()
      .split('\n')
      .slice(1)
      .map((line) => line.split('\t'));
    randomOf(0).shuffle(rows);
    const [held, rest] = [rows.slice(0, 956), rows.slice(956)];
    await using classifier = await fitReviewClassifier(
      rest.map((row) => row[2]!),
      rest.map((row) => row[1]!),
      {
        kind: 'text-cnn',
        dim: 50,
        filters: 40,
        epochs: 4,
        batchSize: 100,
        learningRate: 2e-3,
        patience: false,
      },
    );
    const p = await classifier.predict(held.map((row) => row[2]!));
    const right = held.filter((row, i) => classifier.classes[p[2 * i + 1]! > 0.5 ? 1 : 0] === row[1]).length;
    t.log(`accuracy ${(right / held.length).toFixed(4)}`);
    t.true(right / held.length >= 0.7);
    // Calibrated: as sure as it is right, within a few hundredths.
    const sure = held.reduce((sum, _, i) => sum + Math.max(p[2 * i]!, p[2 * i + 1]!), 0) / held.length;
    t.true(Math.abs(sure - right / held.length) < 0.06, `${sure}`);
  },
);
