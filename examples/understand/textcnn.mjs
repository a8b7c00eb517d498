/**
 * TextCNN: windows of 3, 4 and 5 words slide over a review, and of each filter the largest value over time stays. Its
 * words start from vectors trained on the same texts (or read from a file), one copy fixed and one tuned.
 *
 *   node examples/understand/textcnn.mjs                            reviews.tsv beside this file: 160 made-up ones
 *   node examples/understand/textcnn.mjs reviews.tsv [--most 2000]  your own: a header with "label" and "text"
 *   … --vectors glove.txt                                           word vectors in word2vec's or GloVe's text format
 *   … --text "Not a dull moment"                                    the review to explain
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { fitReviewClassifier, WordVectors } from 'cinefuse/text';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    most: { type: 'string', default: '2000' },
    vectors: { type: 'string' },
    text: { type: 'string', default: 'A dull plot, but the acting is wonderful.' },
  },
});
const file = positionals[0] ?? fileURLToPath(new URL('reviews.tsv', import.meta.url));
const [header, ...lines] = readFileSync(file, 'utf8').trimEnd().split('\n');
const names = header.split('\t');
const rows = lines
  .slice(0, Number(values.most))
  .map((line) => line.split('\t'))
  .map((cells) => ({ label: cells[names.indexOf('label')], text: cells[names.indexOf('text')] }))
  .filter(({ label }) => label !== 'neutral');
const train = rows.filter((_, i) => i % 5 !== 0);
const test = rows.filter((_, i) => i % 5 === 0);

const vectors = values.vectors
  ? await WordVectors.load(values.vectors)
  : await WordVectors.train(
      train.map(({ text }) => text),
      { dim: 50, minCount: 2, epochs: 20, seed: 1, threads: 1 },
    );
const classifier = await fitReviewClassifier(
  train.map(({ text }) => text),
  train.map(({ label }) => label),
  {
    kind: 'text-cnn',
    windows: train.length < 1000 ? [1, 2, 3] : [3, 4, 5],
    filters: 50,
    vectors,
    channels: 'both',
    // Of few reviews, even fewer are held out: too few to say when to stop.
    ...(train.length < 1000
      ? { epochs: 12, patience: false, batchSize: 10, learningRate: 0.01, inputDropout: 0.1 }
      : { epochs: 10 }),
    seed: 1,
  },
);
const probabilities = await classifier.predict(test.map(({ text }) => text));
const right = test.filter(
  ({ label }, i) => label === classifier.classes[probabilities[2 * i + 1] > 0.5 ? 1 : 0],
);
console.log(`trained on ${train.length} reviews; of ${test.length} others ${right.length} are told rightly`);
console.log(`accuracy: ${(right.length / test.length).toFixed(3)}`);

const { probabilities: own, contributions } = await classifier.explain(values.text);
console.log(
  `${values.text}  ${classifier.classes[1]}: ${own[1].toFixed(2)}; what leaving a word out takes away:`,
);
for (const { text, scores } of contributions) console.log(`  ${scores[1].toFixed(2).padStart(6)} ${text}`);
await classifier.dispose();
