/** Reviews of a film together. */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import {
  AspectFinder,
  analyzeReviews,
  aspectWords,
  fitReviewClassifier,
  type ReviewSummary,
} from 'cinefuse/text';
import { packageRoot } from '../../../lib/native.js';
import { clausesOf } from '../../../lib/text/sentiment/aspects.js';
import { meanInterval, shareInterval, studentQuantile } from '../../../lib/text/sentiment/intervals.js';
import { TextModels } from '../../../lib/text-models.js';
import { throwsTyped } from '../../errors.js';
import { LABELS, TEXTS } from './reviews-data.js';

const root = mkdtempSync(path.join(os.tmpdir(), 'cinefuse-reviews-'));
const models = TextModels.load({ threads: 1 });
test.after.always(async () => {
  rmSync(root, { recursive: true, force: true });
  await (await models).dispose();
});

const REVIEWS = [
  'The acting is superb and moving. The plot, however, is a tired mess of clichés.',
  'Beautiful photography, but the story bored me to tears.',
  'Great performances all round! The music is wonderful.',
  'A dull, predictable story. I want my money back.',
  '演员的演技非常好，但是剧情太拖沓了。画面很美。',
  'Ce film est absolument magnifique, les acteurs sont formidables et la musique aussi.',
  '12345 !!!',
];

function checkPassages(
  t: { is(a: unknown, b: unknown): void },
  summary: ReviewSummary,
  reviews: string[],
): void {
  const quoted = [
    ...summary.telling.positive,
    ...summary.telling.negative,
    ...summary.aspects.flatMap(({ best, worst }) => [best, worst]),
  ];
  for (const passage of quoted) {
    if (passage) t.is(reviews[passage.review]!.slice(passage.start, passage.end), passage.text);
  }
}

test('tone, aspects, telling passages and languages of a few reviews', async (t) => {
  const steps = new Set<string>();
  const summary = await analyzeReviews(REVIEWS, {
    models: await models,
    onProgress: ({ step, done, total }) => {
      steps.add(step);
      t.true(done <= total);
    },
  });
  t.is(summary.count, 7);
  t.is(summary.tone!.count, 5);
  t.deepEqual(summary.languages.slice(0, 1), [{ language: 'en', count: 4 }]);
  t.is(summary.reviews[5]!.error?.code, 'ERR_INPUT_LANGUAGE');
  t.is(summary.reviews[6]!.language, 'und');
  t.is(summary.reviews[6]!.probability, undefined);
  t.is(
    summary.histogram.reduce((a, b) => a + b),
    5,
  );
  const [low, high] = summary.tone!.interval!;
  t.true(low < summary.tone!.mean && summary.tone!.mean < high);
  const tone = new Map(summary.aspects.map((aspect) => [aspect.aspect, aspect]));
  t.true(tone.get('acting')!.mean > tone.get('story')!.mean);
  t.is(tone.get('acting')!.reviews, 3);
  t.is(tone.get('music')!.reviews, 1);
  t.true(summary.telling.positive.every(({ probability }) => probability > 0.5));
  t.true(summary.telling.negative.every(({ probability }) => probability < 0.5));
  t.true(summary.telling.positive.length > 0 && summary.telling.negative.length > 0);
  checkPassages(t, summary, REVIEWS);
  t.deepEqual([...steps], ['reviews', 'passages']);
  t.deepEqual(await analyzeReviews(REVIEWS, { models: await models }), summary);
});

test('by classifiers of the caller, without a bundle', async (t) => {
  await using classifier = await fitReviewClassifier(TEXTS, LABELS, { kind: 'nb-svm', calibrationFolds: 0 });
  const summary = await analyzeReviews(TEXTS, { classifiers: [classifier], telling: 2, bundle: '/nowhere' });
  t.is(summary.tone!.count, TEXTS.length);
  t.is(summary.telling.positive.length, 2);
  const own = await classifier.predict(TEXTS);
  summary.reviews.forEach(({ probability }, i) => {
    t.is(probability, own[2 * i + 1]);
  });
  checkPassages(t, summary, TEXTS);
  // Other languages need the bundle, which is not there.
  const code = 'ERR_BUNDLE_NOT_FOUND';
  const options = { classifiers: [classifier], bundle: '/nowhere' };
  await throwsTyped(t, () => analyzeReviews(['这部电影非常好看，我很喜欢。'], options), { code });
  await using other = await fitReviewClassifier(
    TEXTS,
    LABELS.map((label) => label.slice(0, 3)),
    { kind: 'svm', calibrationFolds: 0 },
  );
  await throwsTyped(t, () => analyzeReviews(TEXTS, { classifiers: [other] }), {
    code: 'ERR_INPUT_VALUE',
    field: 'classifiers',
  });
});

test('no reviews, one review, whole reviews only, aspects of the caller', async (t) => {
  const empty = await analyzeReviews([], { models: await models });
  t.is(empty.tone, null);
  t.deepEqual(empty.aspects, []);
  const one = await analyzeReviews(['A wonderful film.'], { models: await models });
  t.is(one.tone!.interval, null);
  const whole = await analyzeReviews(REVIEWS, { models: await models, passages: 0 });
  t.deepEqual(whole.passages, { scored: 0, all: 0 });
  t.is(whole.tone!.count, 5);
  const few = await analyzeReviews(REVIEWS, { models: await models, passages: 3 });
  t.is(few.passages.scored, 3);
  const aspects = { en: { money: ['money'] } };
  const own = await analyzeReviews(REVIEWS, { models: await models, aspects });
  t.deepEqual(
    own.aspects.map(({ aspect }) => aspect),
    ['money'],
  );
});

test('what is refused, and cancelling', async (t) => {
  const code = 'ERR_INPUT_VALUE';
  await throwsTyped(t, () => analyzeReviews(['a'], { level: 1 }), { code, field: 'level' });
  await throwsTyped(t, () => analyzeReviews(['a'], { telling: -1 }), { code, field: 'telling' });
  await throwsTyped(t, () => analyzeReviews(Array(10_001).fill('a')), { code, field: 'reviews' });
  await throwsTyped(t, () => analyzeReviews([1] as never), { code: 'ERR_INPUT_TYPE', field: 'reviews[0]' });
  await throwsTyped(t, () => analyzeReviews({ path: path.join(root, 'none') }), { code: 'ERR_INPUT_FILE' });
  const signal = AbortSignal.abort();
  await throwsTyped(t, () => analyzeReviews(REVIEWS, { signal }), { code: 'ERR_CANCELLED' });
});

test('aspects by the words that name them; sentences cut where their tone may turn', (t) => {
  const english = new AspectFinder('en', aspectWords('en')!);
  const text = 'The actors are fine; the music is not.';
  t.deepEqual(
    english.find(text).map(({ aspect, start, end }) => [aspect, text.slice(start, end)]),
    [
      ['acting', 'actors'],
      ['music', 'music'],
    ],
  );
  t.deepEqual(english.find('moved on to the next thing'), []);
  const chinese = new AspectFinder('zh', aspectWords('zh')!);
  t.deepEqual(
    chinese
      .find('女主演技很好')
      .map(({ aspect }) => aspect)
      .includes('acting'),
    true,
  );
  const clauses = (text: string, language: string) =>
    clausesOf(text, { start: 0, end: text.length }, language).map(({ start, end }) => text.slice(start, end));
  t.deepEqual(clauses('Great acting, but a dull plot.', 'en'), ['Great acting', 'but a dull plot.']);
  t.deepEqual(clauses('All but perfect', 'en'), ['All but perfect']);
  t.deepEqual(clauses('演技很好，但是剧情太差', 'zh'), ['演技很好', '但是剧情太差']);
  t.deepEqual(clauses('One sentence.', 'xx'), ['One sentence.']);
});

test('intervals are those of the textbooks', (t) => {
  const near = (got: number, expected: number, within: number) =>
    t.true(Math.abs(got - expected) < within, `${got}`);
  // SciPy: t.ppf, statsmodels: proportion_confint(method='wilson')
  near(studentQuantile(0.975, 1), 12.7062047, 1e-6);
  near(studentQuantile(0.975, 2), 4.3026527, 1e-6);
  near(studentQuantile(0.975, 10), 2.2281389, 1e-3);
  near(studentQuantile(0.975, 1000), 1.9623391, 1e-6);
  const [low, high] = shareInterval(7, 10, 0.95)!;
  near(low, 0.3967781, 1e-6);
  near(high, 0.8922087, 1e-6);
  t.deepEqual(meanInterval([0.5], 0.95), null);
  const [from, to] = meanInterval([0.2, 0.4, 0.6], 0.9)!;
  near((from + to) / 2, 0.4, 1e-9);
  near((to - from) / 2, 2.9199856 * (0.2 / Math.sqrt(3)), 1e-4);
});

test('the command: text, JSON lines, films of a folder, failures', async (t) => {
  const file = path.join(root, 'reviews.txt');
  writeFileSync(file, `${REVIEWS.join('\n')}\n\n`);
  const film = path.join(root, 'film.json');
  writeFileSync(film, JSON.stringify({ title: 'A Film', reviews: REVIEWS.slice(0, 3) }));
  const bare = path.join(root, 'bare.json');
  writeFileSync(bare, JSON.stringify({ title: 'No Reviews' }));
  const cli = path.join(packageRoot(), 'dist', 'lib', 'cli', 'main.js');
  const run = (...args: string[]) =>
    promisify(execFile)(process.execPath, [cli, 'reviews', ...args]).catch((error) => error);
  const plain = await run(file, '--telling', '1');
  t.regex(plain.stdout, /7 reviews · en 4/);
  t.regex(plain.stdout, /acting .*├.*●.*┤/);
  const json = await run('--json', film, bare);
  t.is(json.code, 1);
  const [line] = json.stdout.trim().split('\n');
  t.like(JSON.parse(line), { title: 'A Film', count: 3, tone: { count: 3 } });
  t.regex(json.stderr, /ERR_INPUT_EMPTY/);
  t.is((await run(file, '--telling', 'x')).code, 2);
});
