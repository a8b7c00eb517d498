/**
 * What the reviews of a film say together: tone with its interval, aspects, the most telling sentences. Scored by the
 * bundle's own scorers, or by classifiers that the caller has fitted.
 */
import { type CinefuseError, describeValue, InputError, throwIfCancelled } from './errors.js';
import { Pace } from './pace.js';
import type { TextModels, TextModelsOptions } from './text-models.js';
import { splitSentences, type TextSpan } from './text/chunks.js';
import { detectLanguage, type LanguageGuess } from './text/language.js';
import { MAX_REVIEWS, readReviews } from './text/reviews.js';
import { AspectFinder, type AspectWords, aspectWords, clausesOf } from './text/sentiment/aspects.js';
import { checkTexts } from './text/sentiment/checks.js';
import type { ReviewClassifier } from './text/sentiment/classifier.js';
import {
  aspectSummaries,
  type ReviewSummary,
  type ScoredPassage,
  tellingPassages,
  tellingWeight,
  toneOf,
} from './text/sentiment/summary.js';

/** Most characters of all reviews together. */
export const MAX_REVIEW_CHARACTERS = 32_000_000;

export interface AnalyzeReviewsOptions extends Omit<TextModelsOptions, 'signal'> {
  /**
   * Classifiers with a class "positive", each for the languages that it was fitted on (a class "neutral" counts half).
   * Other languages are scored by the bundle. Default: the bundle alone.
   */
  classifiers?: readonly ReviewClassifier[] | undefined;
  /** A bundle's text models that are loaded already; they stay the caller's. */
  models?: TextModels | undefined;
  /** Words of aspects by language (ISO 639-1), instead of the built-in ones of English and Chinese. */
  aspects?: Readonly<Record<string, AspectWords>> | undefined;
  /** Most telling passages on each side. Default 5. */
  telling?: number | undefined;
  /**
   * Most passages to score for aspects and telling ones; of more, evenly spread ones. Default 20,000; 0 for the tone of
   * whole reviews alone.
   */
  passages?: number | undefined;
  /** What intervals promise. Default 0.95. */
  level?: number | undefined;
  signal?: AbortSignal | undefined;
  onProgress?:
    | ((progress: { step: 'reviews' | 'passages'; done: number; total: number }) => void)
    | undefined;
}

interface Scorer {
  /** Of texts in one language: the probability of being positive, or why there is none. */
  score(
    texts: readonly string[],
    language: string,
    onProgress: (done: number) => void,
  ): Promise<readonly (number | CinefuseError)[]>;
  /** The language whose scorer takes a text; undefined when none does. */
  languageOf(guess: LanguageGuess): string | undefined;
  readonly languages: readonly string[];
}

/**
 * Tone, aspects and telling sentences of the reviews of a film.
 *
 * @param reviews  at most 10,000; or a file of one a line
 * @throws InputError ERR_INPUT_TYPE, ERR_INPUT_VALUE, ERR_INPUT_FILE  not reviews, too many, options out of range
 * @throws ModelError ERR_MODEL_*, BundleError ERR_BUNDLE_*  the bundle's text models
 * @throws CancelledError ERR_CANCELLED
 *
 * A review that cannot be scored (another language, no words) is counted and named in `reviews`, and in no figure.
 */
export async function analyzeReviews(
  reviews: readonly string[] | { path: string },
  options: AnalyzeReviewsOptions = {},
): Promise<ReviewSummary> {
  const { level = 0.95, telling = 5, passages: most = 20_000, signal } = options;
  checkNumber('level', level, level > 0 && level < 1, 'a number between 0 and 1');
  checkNumber('telling', telling, Number.isInteger(telling) && telling >= 0, 'a whole number, 0 or more');
  checkNumber('passages', most, Number.isInteger(most) && most >= 0, 'a whole number, 0 or more');
  const texts = await readReviews(reviews);
  checkReviews(texts);
  throwIfCancelled(signal);
  const own = ownScorer(options.classifiers ?? [], signal);
  const held = options.models;
  let loaded: TextModels | undefined;
  try {
    const guesses = await languagesOf(texts, signal);
    const covered = guesses.every(
      (guess) => guess.candidates.length === 0 || own.languageOf(guess) !== undefined,
    );
    if (!covered && held === undefined) {
      const { TextModels } = await import('./text-models.js');
      loaded = await TextModels.load({ ...options, signal });
    }
    const scorer = bothScorers(own, covered ? undefined : (held ?? loaded), signal);
    const scored = await scoreReviews(texts, guesses, scorer, options);
    const all = most > 0 ? await passagesOf(texts, scored, options.aspects) : [];
    const chosen = evenly(all, most);
    const passages = await scorePassages(chosen, texts, scored, scorer, options);
    const whole = scored.flatMap(({ probability }) => (probability === undefined ? [] : [probability]));
    const histogram = new Array<number>(10).fill(0);
    for (const p of whole) histogram[Math.min(9, Math.floor(10 * p))]!++;
    const languages = new Map<string, number>();
    for (const { language } of scored) languages.set(language, (languages.get(language) ?? 0) + 1);
    return {
      count: texts.length,
      tone: toneOf(whole, level),
      level,
      histogram,
      languages: [...languages]
        .map(([language, count]) => ({ language, count }))
        .sort((a, b) => b.count - a.count || (a.language < b.language ? -1 : 1)),
      aspects: aspectSummaries(passages, level),
      telling: {
        positive: tellingPassages(passages, true, telling),
        negative: tellingPassages(passages, false, telling),
      },
      reviews: scored,
      passages: { scored: passages.length, all: all.length },
    };
  } finally {
    await loaded?.dispose();
  }
}

function checkNumber(field: string, value: unknown, right: boolean, expected: string): void {
  if (right) return;
  throw new InputError('ERR_INPUT_VALUE', { field, expected, got: describeValue(value) });
}

function checkReviews(texts: readonly string[]): void {
  checkTexts(texts, 'reviews');
  const characters = texts.reduce((sum, { length }) => sum + length, 0);
  for (const [what, count, limit] of [
    ['reviews', texts.length, MAX_REVIEWS],
    ['characters', characters, MAX_REVIEW_CHARACTERS],
  ] as const) {
    if (count <= limit) continue;
    throw new InputError('ERR_INPUT_VALUE', {
      field: 'reviews',
      expected: `at most ${limit} ${what}`,
      got: `${count}`,
    });
  }
}

async function languagesOf(
  texts: readonly string[],
  signal: AbortSignal | undefined,
): Promise<LanguageGuess[]> {
  const pace = new Pace();
  const guesses: LanguageGuess[] = [];
  for (const text of texts) {
    guesses.push(await detectLanguage(text));
    if (pace.due) {
      throwIfCancelled(signal);
      await pace.rest();
    }
  }
  return guesses;
}

/** Scores by the caller's classifiers. */
function ownScorer(classifiers: readonly ReviewClassifier[], signal: AbortSignal | undefined): Scorer {
  const byLanguage = new Map<string, ReviewClassifier>();
  for (const classifier of classifiers) {
    if (!classifier.classes.includes('positive')) {
      throw new InputError('ERR_INPUT_VALUE', {
        field: 'classifiers',
        expected: 'classifiers with a class "positive"',
        got: `one of ${classifier.classes.join(', ')}`,
      });
    }
    for (const language of classifier.languages) {
      if (!byLanguage.has(language)) byLanguage.set(language, classifier);
    }
  }
  return {
    languages: [...byLanguage.keys()],
    languageOf: ({ candidates }) => closest(candidates, [...byLanguage.keys()]),
    async score(texts, language, progress) {
      const classifier = byLanguage.get(language)!;
      const { classes } = classifier;
      const [positive, neutral] = [classes.indexOf('positive'), classes.indexOf('neutral')];
      const rows = await classifier.predict(texts, { signal, onProgress: ({ done }) => progress(done) });
      return texts.map((_, i) => {
        const row = rows.subarray(i * classes.length, (i + 1) * classes.length);
        return row[positive]! + (neutral < 0 ? 0 : row[neutral]! / 2);
      });
    },
  };
}

/** How far a language may be behind the best guess: the statistics of a short review are a close call. */
const CLOSE_CALL = 0.05;

function closest(
  candidates: readonly { language: string; score: number }[],
  languages: readonly string[],
): string | undefined {
  const best = candidates[0]?.score ?? 0;
  return candidates.find(({ language, score }) => languages.includes(language) && score >= best - CLOSE_CALL)
    ?.language;
}

/** The caller's classifiers first, the bundle's scorers for the other languages. */
function bothScorers(own: Scorer, models: TextModels | undefined, signal: AbortSignal | undefined): Scorer {
  const bundle = models?.reviews;
  if (bundle === undefined) return own;
  return {
    languages: [...new Set([...own.languages, ...bundle.languages])],
    languageOf: (guess) => own.languageOf(guess) ?? bundle.languageOf(guess),
    async score(texts, language, progress) {
      if (own.languages.includes(language)) return own.score(texts, language, progress);
      const { probabilities } = await bundle.score(texts, {
        language,
        signal,
        onProgress: progress,
      });
      return probabilities;
    },
  };
}

type ScoredReview = ReviewSummary['reviews'][number];

async function scoreReviews(
  texts: readonly string[],
  guesses: readonly LanguageGuess[],
  scorer: Scorer,
  { onProgress }: AnalyzeReviewsOptions,
): Promise<ScoredReview[]> {
  const languages = guesses.map((guess) => scorer.languageOf(guess));
  const reviews = guesses.map(
    ({ language }, i): ScoredReview => ({
      language: languages[i] ?? language,
      ...(languages[i] === undefined && {
        error: new InputError('ERR_INPUT_LANGUAGE', {
          field: `reviews.${i}`,
          expected: `a review in ${scorer.languages.join(' or ')}`,
          got: language === 'und' ? 'one without words' : `one that seems to be in ${language}`,
        }),
      }),
    }),
  );
  await byLanguage(
    languages,
    texts,
    scorer,
    (place, result) => {
      if (typeof result === 'number') reviews[place]!.probability = result;
      else reviews[place]!.error = result;
    },
    (done) => onProgress?.({ step: 'reviews', done, total: texts.length }),
  );
  return reviews;
}

/** Scores texts language by language. */
async function byLanguage(
  languages: readonly (string | undefined)[],
  texts: readonly string[],
  scorer: Scorer,
  found: (place: number, result: number | CinefuseError) => void,
  progress: (done: number) => void,
): Promise<void> {
  let before = 0;
  for (const language of new Set(languages)) {
    if (language === undefined) continue;
    const places = languages.flatMap((own, i) => (own === language ? [i] : []));
    const results = await scorer.score(
      places.map((place) => texts[place]!),
      language,
      (done) => progress(before + done),
    );
    places.forEach((place, i) => {
      found(place, results[i]!);
    });
    before += places.length;
  }
}

interface Passage extends TextSpan {
  review: number;
  language: string;
  aspects: readonly string[];
  whole: boolean;
}

/** Sentences of the reviews that were scored, and the parts of those whose tone may turn, with what they speak about. */
async function passagesOf(
  texts: readonly string[],
  reviews: readonly ScoredReview[],
  lexicons: AnalyzeReviewsOptions['aspects'],
): Promise<Passage[]> {
  const pace = new Pace();
  const finders = new Map<string, AspectFinder>();
  const finderOf = (language: string) => {
    let finder = finders.get(language);
    if (finder === undefined) {
      finder = new AspectFinder(language, (lexicons ? lexicons[language] : aspectWords(language)) ?? {});
      finders.set(language, finder);
    }
    return finder;
  };
  const passages: Passage[] = [];
  for (const [review, { language, probability }] of reviews.entries()) {
    if (probability === undefined) continue;
    const text = texts[review]!;
    const finder = finderOf(language);
    for (const sentence of splitSentences(text, language)) {
      const clauses = clausesOf(text, sentence, language);
      for (const span of clauses.length > 1 ? [sentence, ...clauses] : clauses) {
        const whole = span.start === sentence.start && span.end === sentence.end;
        const found = whole && clauses.length > 1 ? [] : finder.find(text.slice(span.start, span.end));
        const aspects = [...new Set(found.map(({ aspect }) => aspect))];
        // A part of a sentence that names nothing is of no use on its own.
        if (whole || aspects.length > 0) passages.push({ ...span, review, language, aspects, whole });
      }
      if (pace.due) await pace.rest();
    }
  }
  return passages;
}

/** At most so many of a list, evenly spread. */
function evenly<T>(list: readonly T[], most: number): readonly T[] {
  if (list.length <= most) return list;
  return Array.from({ length: most }, (_, i) => list[Math.floor((i * list.length) / most)]!);
}

async function scorePassages(
  passages: readonly Passage[],
  texts: readonly string[],
  reviews: readonly ScoredReview[],
  scorer: Scorer,
  { onProgress }: AnalyzeReviewsOptions,
): Promise<ScoredPassage[]> {
  const parts = passages.map(({ review, start, end }) => texts[review]!.slice(start, end));
  const probabilities = new Map<number, number>();
  const open: number[] = [];
  for (const [i, part] of parts.entries()) {
    // A review of one sentence is known already.
    const { probability } = reviews[passages[i]!.review]!;
    if (part === texts[passages[i]!.review]!.trim()) probabilities.set(i, probability!);
    else open.push(i);
  }
  await byLanguage(
    open.map((i) => passages[i]!.language),
    open.map((i) => parts[i]!),
    scorer,
    (place, result) => {
      if (typeof result === 'number') probabilities.set(open[place]!, result);
    },
    (done) => onProgress?.({ step: 'passages', done, total: open.length }),
  );
  const pace = new Pace();
  const scored: ScoredPassage[] = [];
  for (const [i, passage] of passages.entries()) {
    const probability = probabilities.get(i);
    if (probability === undefined) continue;
    const one = { ...passage, text: parts[i]!, probability };
    scored.push({ ...one, weight: tellingWeight(one) });
    if (pace.due) await pace.rest();
  }
  return scored;
}
