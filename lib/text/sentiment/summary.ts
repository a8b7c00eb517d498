/** What the reviews of a film say together: a pure function of scored reviews and sentences. */
import type { CinefuseError } from '../../errors.js';
import type { TextSpan } from '../chunks.js';
import { isStopWord } from '../words/stop-words.js';
import { words } from '../words/tokens.js';
import { type Interval, meanInterval, shareInterval } from './intervals.js';

/** A passage of a review. */
export interface ReviewPassage extends TextSpan {
  /** Place of its review in the list. */
  review: number;
  text: string;
  /** Of being positive. */
  probability: number;
}

/** How positive a set of reviews or passages is. */
export interface Tone {
  count: number;
  /** Mean probability of being positive, 0 to 1. */
  mean: number;
  /** Of the mean; null of a single one. */
  interval: Interval | null;
  /** Share with a probability of 0.5 or more. */
  positiveShare: number;
  positiveInterval: Interval | null;
}

export interface AspectSummary extends Omit<Tone, 'count'> {
  aspect: string;
  /** Reviews that speak about it. */
  reviews: number;
  /** Passages (sentences, or parts between turns of tone) that speak about it: what the figures are over. */
  passages: number;
  /** The passage that tells most for it, and against it. */
  best?: ReviewPassage;
  worst?: ReviewPassage;
}

export interface ReviewSummary {
  /** Reviews given. */
  count: number;
  /** Over the reviews that could be scored; null where none could. */
  tone: Tone | null;
  /** What the intervals promise. */
  level: number;
  /** Reviews by probability of being positive: ten bins of 0.1. */
  histogram: number[];
  /** Reviews by language, most first; 'und' for those without words. */
  languages: { language: string; count: number }[];
  /** Most spoken about first. */
  aspects: AspectSummary[];
  /** The passages that tell most, each from another review. */
  telling: { positive: ReviewPassage[]; negative: ReviewPassage[] };
  /** By place: the probability of being positive, or why there is none. */
  reviews: { language: string; probability?: number; error?: CinefuseError }[];
  /** Passages looked at, and those that the reviews have. */
  passages: { scored: number; all: number };
}

/** A scored passage with what it speaks about. */
export interface ScoredPassage extends ReviewPassage {
  language: string;
  aspects: readonly string[];
  /** Whether it may be quoted: a whole sentence. */
  whole: boolean;
  /** By tellingWeight. */
  weight: number;
}

export function toneOf(probabilities: readonly number[], level: number): Tone | null {
  const count = probabilities.length;
  if (count === 0) return null;
  const positive = probabilities.filter((p) => p >= 0.5).length;
  return {
    count,
    mean: probabilities.reduce((a, b) => a + b, 0) / count,
    interval: meanInterval(probabilities, level),
    positiveShare: positive / count,
    positiveInterval: shareInterval(positive, count, level),
  };
}

/** Content words at which a passage says as much as a longer one: 1 - exp(-4/4) = 63 % at four, 95 % at twelve. */
const FULL_CONTENT = 4;
const LONGEST_QUOTE = 300;

/** How much a passage tells: |2p - 1| · (1 - exp(-c/4)), c its different words without stop words; 0 when too long. */
export function tellingWeight({
  text,
  probability,
  language,
}: Pick<ScoredPassage, 'text' | 'probability' | 'language'>): number {
  if (text.length > LONGEST_QUOTE) return 0;
  const content = contentOf(text, language).size;
  return Math.abs(2 * probability - 1) * (1 - Math.exp(-content / FULL_CONTENT));
}

function contentOf(text: string, language: string): Set<string> {
  return new Set(
    words(text)
      .map(({ text: word }) => word)
      .filter((word) => !isStopWord(word, language)),
  );
}

/** The most telling passages on one side: from different reviews, none that says what another says. */
export function tellingPassages(
  passages: readonly ScoredPassage[],
  positive: boolean,
  most: number,
): ReviewPassage[] {
  const ranked = passages
    .filter(({ whole, probability }) => whole && probability !== 0.5 && probability > 0.5 === positive)
    .filter(({ weight }) => weight > 0)
    .sort((a, b) => b.weight - a.weight || a.review - b.review || a.start - b.start);
  const chosen: { passage: ScoredPassage; content: Set<string> }[] = [];
  for (const passage of ranked) {
    if (chosen.length >= most) break;
    const content = contentOf(passage.text, passage.language);
    const told = chosen.some(
      (other) => other.passage.review === passage.review || overlap(other.content, content) > 0.5,
    );
    if (!told) chosen.push({ passage, content });
  }
  return chosen.map(({ passage }) => quoteOf(passage));
}

/** |A ∩ B| / |A ∪ B| */
function overlap(a: ReadonlySet<string>, b: ReadonlySet<string>): number {
  let shared = 0;
  for (const word of a) if (b.has(word)) shared++;
  return shared / Math.max(1, a.size + b.size - shared);
}

function quoteOf({ review, start, end, text, probability }: ScoredPassage): ReviewPassage {
  return { review, start, end, text, probability };
}

/** Figures by aspect. A review that speaks about an aspect in several passages counts with all of them. */
export function aspectSummaries(passages: readonly ScoredPassage[], level: number): AspectSummary[] {
  const byAspect = new Map<string, ScoredPassage[]>();
  for (const passage of passages) {
    for (const aspect of new Set(passage.aspects)) {
      const own = byAspect.get(aspect);
      if (own) own.push(passage);
      else byAspect.set(aspect, [passage]);
    }
  }
  return [...byAspect]
    .map(([aspect, own]) => {
      const { count: passages, ...tone } = toneOf(
        own.map(({ probability }) => probability),
        level,
      )!;
      const [best] = mostTelling(own, true);
      const [worst] = mostTelling(own, false);
      return {
        aspect,
        reviews: new Set(own.map(({ review }) => review)).size,
        passages,
        ...tone,
        ...(best && { best }),
        ...(worst && { worst }),
      };
    })
    .sort((a, b) => b.reviews - a.reviews || b.passages - a.passages || (a.aspect < b.aspect ? -1 : 1));
}

/** Of parts of sentences too: what is said of one aspect. */
function mostTelling(passages: readonly ScoredPassage[], positive: boolean): ReviewPassage[] {
  return tellingPassages(
    passages.map((passage) => ({ ...passage, whole: true })),
    positive,
    1,
  );
}
