/**
 * Naive Bayes and support vector machines on the same reviews: how well each does on reviews that it has not seen, and
 * which words made the best of them say so.
 *
 *   node examples/understand/naive-bayes-svm.mjs                            reviews.tsv beside this file: 160 made-up ones
 *   node examples/understand/naive-bayes-svm.mjs reviews.tsv [--language zh]  your own: a header with "label" and "text"
 *   … --text "Not a dull moment"                                            the review to explain
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { crossValidateReviews, fitReviewClassifier } from 'cinefuse/text';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    language: { type: 'string', default: 'en' },
    folds: { type: 'string', default: '10' },
    text: { type: 'string', default: 'Not a dull moment: clever, moving and beautifully shot.' },
  },
});
const file = positionals[0] ?? fileURLToPath(new URL('reviews.tsv', import.meta.url));
const [header, ...lines] = readFileSync(file, 'utf8').trimEnd().split('\n');
const names = header.split('\t');
const rows = lines
  .map((line) => line.split('\t'))
  .map((cells) => ({ label: cells[names.indexOf('label')], text: cells[names.indexOf('text')] }))
  .filter(({ label }) => label !== 'neutral');
const texts = rows.map(({ text }) => text);
const labels = rows.map(({ label }) => label);
const languages = [values.language];

console.log(`${texts.length} reviews, ${values.folds} folds`);
for (const kind of ['naive-bayes', 'svm', 'nb-svm']) {
  const options = { kind, languages, folds: Number(values.folds), calibrationFolds: 0 };
  const { accuracy, macroF1 } = await crossValidateReviews(texts, labels, options);
  const spread = `${(100 * accuracy.std).toFixed(1)} between folds`;
  console.log(
    `${kind.padEnd(12)} accuracy ${(100 * accuracy.mean).toFixed(1)} % (± ${spread}), F1 ${macroF1.toFixed(3)}`,
  );
}

const classifier = await fitReviewClassifier(texts, labels, { kind: 'nb-svm', languages });
const { probabilities, contributions } = await classifier.explain(values.text);
const positive = classifier.classes.indexOf('positive');
console.log(`\n"${values.text}"\npositive with a probability of ${probabilities[positive].toFixed(2)}`);
const strongest = contributions
  .filter(({ scores }) => scores[positive] !== 0)
  .sort((a, b) => Math.abs(b.scores[positive]) - Math.abs(a.scores[positive]));
for (const { text, scores } of strongest.slice(0, 8)) {
  console.log(`  ${scores[positive] > 0 ? '+' : '−'} ${Math.abs(scores[positive]).toFixed(2)}  ${text}`);
}
await classifier.dispose();
