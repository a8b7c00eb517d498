/**
 * How good the linear classifiers of reviews are:
 *
 *   node dist/bench/text/review-quality.js [rt|imdb|zh|zh3 ...] [--kind KIND] [--write FILE]
 *
 * Stratified ten-fold cross-validation with the defaults of the language, calibration in five folds of each training
 * part, and once more fitted on the splits train and valid and judged on test.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { crossValidateReviews, fitReviewClassifier } from '../../lib/text/index.js';
import { likeliest } from '../../lib/text/sentiment/cross-validate.js';
import { realReviews } from '../../test/text/sentiment/reviews-data.js';

const SETS = {
  rt: { file: 'rt', language: 'en', neutral: true, what: 'rt_polarity, sentences' },
  imdb: { file: 'imdb', language: 'en', neutral: true, what: 'imdb_reviews, whole reviews' },
  zh: { file: 'zh', language: 'zh', neutral: false, what: 'douban_reviews without neutral' },
  zh3: { file: 'zh', language: 'zh', neutral: true, what: 'douban_reviews, three classes' },
} as const;
const KINDS = ['naive-bayes', 'svm', 'nb-svm'] as const;

async function quality(set: keyof typeof SETS, kind: (typeof KINDS)[number]) {
  const { file, language, neutral, what } = SETS[set];
  const { texts, labels, splits } = realReviews(file);
  const rows = [...texts.keys()].filter((i) => neutral || labels[i] !== 'neutral');
  const of = (wanted: number[]) => [wanted.map((i) => texts[i]!), wanted.map((i) => labels[i]!)] as const;
  const options = { kind, languages: [language] };
  const found = await crossValidateReviews(...of(rows), { ...options, folds: 10, seed: 0 });
  const judged = rows.filter((i) => splits[i] === 'test');
  await using classifier = await fitReviewClassifier(
    ...of(rows.filter((i) => splits[i] !== 'test')),
    options,
  );
  const classes = classifier.classes.length;
  const probabilities = await classifier.predict(of(judged)[0]);
  const right = judged.filter((i, k) => {
    const row = probabilities.subarray(k * classes, (k + 1) * classes);
    return classifier.classes[likeliest(row)] === labels[i];
  }).length;
  const { accuracy, logLoss, macroF1, rocAuc, calibrationError, confusion } = found;
  const tenFold = { accuracy, logLoss, macroF1, rocAuc, calibrationError, confusion };
  return {
    set: what,
    kind,
    texts: rows.length,
    tenFold,
    testSplit: { texts: judged.length, accuracy: right / judged.length },
  };
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { write: { type: 'string' }, kind: { type: 'string' } },
});
const sets = (positionals.length > 0 ? positionals : Object.keys(SETS)) as (keyof typeof SETS)[];
const results: Awaited<ReturnType<typeof quality>>[] = [];
for (const set of sets) {
  for (const kind of KINDS.filter((name) => values.kind === undefined || values.kind === name)) {
    const result = await quality(set, kind);
    results.push(result);
    const { tenFold, testSplit } = result;
    console.log(
      `${result.set.padEnd(32)} ${kind.padEnd(12)} ten-fold ${tenFold.accuracy.mean.toFixed(4)} ± ${tenFold.accuracy.std.toFixed(4)}` +
        `  F1 ${tenFold.macroF1.toFixed(3)}  AUC ${tenFold.rocAuc?.toFixed(3) ?? '–'}  ECE ${tenFold.calibrationError?.toFixed(3) ?? '–'}` +
        `  test split ${testSplit.accuracy.toFixed(4)} of ${testSplit.texts}`,
    );
  }
}
if (values.write !== undefined) {
  const before = readExisting(values.write);
  const kept = before.filter((old) => !results.some((now) => now.set === old.set && now.kind === old.kind));
  writeFileSync(values.write, `${JSON.stringify([...kept, ...results], null, 1)}\n`);
}

function readExisting(file: string): { set: string; kind: string }[] {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch {
    return [];
  }
}
