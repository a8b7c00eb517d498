/**
 * The classic first network for reviews: words to numbers, Embedding(10000, 16), BiLSTM(32), Dense(1, sigmoid), binary
 * cross-entropy, Adam, ten epochs. Its tokenizer knows 10,000 words and reads 100 of each text.
 *
 *   node examples/understand/bilstm.mjs                      reviews.tsv beside this file: 160 made-up ones
 *   node examples/understand/bilstm.mjs reviews.tsv [--most 2000]   your own: a header with "label" and "text"
 *   … --onnx bilstm.onnx                                     writes the network for other programs
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { exportReviewOnnx, fitReviewClassifier } from 'cinefuse/text';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { most: { type: 'string', default: '2000' }, onnx: { type: 'string' } },
});
const file = positionals[0] ?? fileURLToPath(new URL('reviews.tsv', import.meta.url));
const [header, ...lines] = readFileSync(file, 'utf8').trimEnd().split('\n');
const names = header.split('\t');
const rows = lines
  .slice(0, Number(values.most))
  .map((line) => line.split('\t'))
  .map((cells) => ({ label: cells[names.indexOf('label')], text: cells[names.indexOf('text')] }))
  .filter(({ label }) => label !== 'neutral');
// Every fifth review is kept for the test.
const train = rows.filter((_, i) => i % 5 !== 0);
const test = rows.filter((_, i) => i % 5 === 0);

const classifier = await fitReviewClassifier(
  train.map(({ text }) => text),
  train.map(({ label }) => label),
  {
    kind: 'lstm',
    vocabulary: { size: 10_000, length: 100 },
    dim: 16,
    hidden: 32,
    bidirectional: true,
    pooling: 'last',
    epochs: 10,
    patience: false,
    batchSize: train.length < 1000 ? 8 : 32,
    learningRate: train.length < 1000 ? 0.01 : 0.001,
    dropout: 0,
    inputDropout: 0,
    seed: 1,
  },
);
const probabilities = await classifier.predict(test.map(({ text }) => text));
const chosen = test.map((_, i) => classifier.classes[probabilities[2 * i + 1] > 0.5 ? 1 : 0]);
const right = test.filter(({ label }, i) => label === chosen[i]).length;
console.log(`trained on ${train.length} reviews; of ${test.length} others ${right} are told rightly`);
console.log(`accuracy: ${(right / test.length).toFixed(3)}`);
for (const [i, { text, label }] of test.slice(0, 3).entries()) {
  console.log(`  ${label.padEnd(8)} ${probabilities[2 * i + 1].toFixed(2)} ${text.slice(0, 70)}`);
}
if (values.onnx) console.log(`${values.onnx}: ${await exportReviewOnnx(classifier, values.onnx)} bytes`);
await classifier.dispose();
