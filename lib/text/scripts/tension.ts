/** Tension of a scene, from what can be counted in it. */
import { eachToken, normalWord } from '../words/tokens.js';
import { isDanger } from './danger-words.js';

/**
 * value = 0.40 darkness + 0.40 danger + 0.10 pace + 0.10 urgency, each from 0 to 1.
 *
 * It says how threatening and hurried the words of a scene are, not what an audience will feel: a quiet scene that keeps
 * back what the audience knows is not found.
 */
export interface Tension {
  value: number;
  /** 1 - tone: how far sentences are from being positive, as the mean by words; 0.5 where tone is not scored. */
  darkness: number;
  /** Share of the sentences that name threat, struggle or fear, as 1 - (1 - share)². */
  danger: number;
  /** How short sentences are: 1 at 4 words or fewer, 0 at 20 or more. */
  pace: number;
  /** Share of the sentences that end in an exclamation or question mark or break off, or shout in capitals. */
  urgency: number;
  /** The words that were counted as danger, most frequent first, at most 10. */
  dangerWords: string[];
}

export const TENSION_WEIGHTS = { darkness: 0.4, danger: 0.4, pace: 0.1, urgency: 0.1 };
const SHORT = 4;
const LONG = 20;
const URGENT = /(?:[!?！？]|--|—|–|-|…|\.{2,})["'”’)\]]*$/u;

export interface SentenceFacts {
  words: number;
  danger: string[];
  urgent: boolean;
  /** Probability of being positive; undefined where it was not scored. */
  tone: number | undefined;
}

export function sentenceFacts(text: string, language: string, tone: number | undefined): SentenceFacts {
  let words = 0;
  const danger: string[] = [];
  eachToken(text, false, (start, end) => {
    words++;
    const word = normalWord(text.slice(start, end));
    if (isDanger(word, language)) danger.push(word);
  });
  const shouted = /\p{Lu}{2}.*\p{Lu}{2}/u.test(text) && !/\p{Ll}/u.test(text);
  return { words, danger, urgent: shouted || URGENT.test(text), tone };
}

/** Mean tone of sentences, each by its words; null where none is scored. */
export function toneOf(sentences: readonly SentenceFacts[]): number | null {
  let sum = 0;
  let weight = 0;
  for (const { words, tone } of sentences) {
    if (tone === undefined) continue;
    sum += words * tone;
    weight += words;
  }
  return weight === 0 ? null : sum / weight;
}

export function tensionOf(sentences: readonly SentenceFacts[]): Tension {
  const spoken = sentences.filter(({ words }) => words > 0);
  const count = Math.max(1, spoken.length);
  const words = spoken.reduce((sum, one) => sum + one.words, 0);
  const share = spoken.filter((one) => one.danger.length > 0).length / count;
  const tone = toneOf(spoken);
  const mean = words / count;
  const parts = {
    darkness: spoken.length === 0 ? 0 : 1 - (tone ?? 0.5),
    danger: 1 - (1 - share) ** 2,
    pace: spoken.length === 0 ? 0 : Math.max(0, Math.min(1, (LONG - mean) / (LONG - SHORT))),
    urgency: spoken.filter(({ urgent }) => urgent).length / count,
  };
  const value = Object.entries(TENSION_WEIGHTS).reduce(
    (sum, [part, weight]) => sum + weight * parts[part as keyof typeof parts],
    0,
  );
  const counts = new Map<string, number>();
  for (const word of spoken.flatMap(({ danger }) => danger)) counts.set(word, (counts.get(word) ?? 0) + 1);
  const dangerWords = [...counts].sort((a, b) => b[1] - a[1]).map(([word]) => word);
  return { value, ...parts, dangerWords: dangerWords.slice(0, 10) };
}
