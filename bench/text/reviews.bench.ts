/** Ten thousand review sentences: through the linear classifiers, and through the default text encoder. */
import { existsSync } from 'node:fs';
import { fitReviewClassifier, type ReviewClassifier } from '../../lib/text/index.js';
import { TextModels } from '../../lib/text-models.js';
import { sharedPath } from '../../test/shared-path.js';
import { REAL, realReviews } from '../../test/text/sentiment/reviews-data.js';
import { type BenchCase, defineSuite, type Figures } from '../harness.js';

const REVIEWS = 10_000;
const open: ReviewClassifier[] = [];

function sentences(): { texts: string[]; labels: string[]; all: string[] } {
  const { texts, labels } = realReviews('rt');
  const all = Array.from({ length: REVIEWS }, (_, i) => texts[i % texts.length]!);
  return { texts, labels, all };
}

async function cases(): Promise<BenchCase[]> {
  if (!existsSync(sharedPath(REAL.rt))) return [];
  const { texts, labels, all } = sentences();
  const list: BenchCase[] = [];
  for (const kind of ['nb-svm', 'svm', 'naive-bayes'] as const) {
    const classifier = await fitReviewClassifier(texts, labels, { kind, calibrationFolds: 0 });
    open.push(classifier);
    list.push({
      name: `${kind}, ${REVIEWS} review sentences`,
      items: REVIEWS,
      contenders: { cinefuse: () => classifier.predict(all) },
    });
  }
  return list;
}

/** The default bundle's own scorer, which is what analyzeReviews asks. */
async function defaultEncoder({ quick }: { quick: boolean }): Promise<Figures> {
  const texts = sentences().all.slice(0, quick ? 1000 : REVIEWS);
  await using models = await TextModels.load();
  const start = performance.now();
  const { probabilities } = await models.reviews!.score(texts);
  const seconds = (performance.now() - start) / 1000;
  return { reviews: probabilities.length, seconds, 'reviews per second': texts.length / seconds };
}

async function fitting(): Promise<Figures> {
  const { texts, labels } = sentences();
  const figures: Figures = {};
  for (const kind of ['nb-svm', 'svm', 'naive-bayes'] as const) {
    const start = performance.now();
    await (await fitReviewClassifier(texts, labels, { kind })).dispose();
    figures[`${kind} seconds`] = (performance.now() - start) / 1000;
  }
  return figures;
}

const there = existsSync(sharedPath(REAL.rt));
export default defineSuite('reviews', {
  cases,
  gauges: there
    ? [
        { name: 'the default text encoder', measure: defaultEncoder },
        { name: 'fitting, with calibration in five folds', measure: fitting },
      ]
    : [],
  dispose: async () => {
    for (const classifier of open) await classifier.dispose();
  },
});
