/** How telling each candidate is, and a choice of them that does not say the same thing twice. */
import type { Candidate } from './candidates.js';

export type KeywordMethod = 'combined' | 'tfidf' | 'phrases' | 'embedding';

/**
 * tf(n) · idf; candidates of several words that stand together by chance are worth less.
 *
 * @param tf  of the number of occurrences. Default 1 + ln n
 */
export function tfidfScores(
  candidates: readonly Candidate[],
  idf: (key: string, candidate: Candidate) => number,
  tf: (count: number) => number = (count) => 1 + Math.log(count),
): Float64Array {
  return Float64Array.from(candidates, (candidate) => {
    const { key, count, whole, words } = candidate;
    // A part of a longer run that never stands alone is less of a term than the run.
    const standing = words === 1 ? 1 : 0.5 + (0.5 * whole) / count;
    return tf(count) * idf(key, candidate) * standing;
  });
}

/**
 * As RAKE: a word scores degree / frequency, which is the mean length of the runs it stands in, and a phrase the sum
 * over its words. Unlike RAKE a phrase that comes again scores more, and one that is only a part of runs less.
 */
export function phraseScores(
  candidates: readonly Candidate[],
  degrees: ReadonlyMap<string, { runs: number; words: number }>,
): Float64Array {
  return Float64Array.from(candidates, ({ key, count, whole }) => {
    let sum = 0;
    for (const word of key.split(' ')) {
      const { words, runs } = degrees.get(word)!;
      sum += words / runs;
    }
    return sum * (1 + Math.log(count)) * (0.25 + (0.75 * whole) / count);
  });
}

/** Divided by the largest, so that scores of several kinds can be put together. */
export function toUnit(scores: Float64Array): Float64Array {
  const most = scores.reduce((a, b) => Math.max(a, b), 0);
  return most > 0 ? scores.map((score) => rounded(Math.max(0, score) / most)) : scores;
}

/** Keys of candidates that never occur but as the same part of a longer one, which comes again: it stands for them. */
export function dominated(found: ReadonlyMap<string, Candidate>): Set<string> {
  const keys = new Set<string>();
  for (const { key, words, count } of found.values()) {
    if (words < 2 || count < 2) continue;
    const parts = key.split(' ');
    for (let first = 0; first < words; first++) {
      for (let last = first + 1; last <= words; last++) {
        const part = parts.slice(first, last).join(' ');
        if (last - first < words && found.get(part)?.count === count) keys.add(part);
      }
    }
  }
  return keys;
}

/** Indices of the best `count`, best first; of equals the one that comes first in the texts. */
export function best(scores: Float64Array, candidates: readonly Candidate[], count: number): number[] {
  return Array.from(scores.keys())
    .sort((a, b) => scores[b]! - scores[a]! || candidates[a]!.rank - candidates[b]!.rank)
    .slice(0, count);
}

/** To four places: an encoder's last digits depend on what else is in its batch, and must not decide an order. */
export function rounded(value: number): number {
  return Math.round(value * 1e4) / 1e4;
}

export function cosine(a: Float32Array, b: Float32Array): number {
  let dot = 0;
  let aa = 0;
  let bb = 0;
  for (let i = 0; i < a.length; i++) {
    dot += a[i]! * b[i]!;
    aa += a[i]! * a[i]!;
    bb += b[i]! * b[i]!;
  }
  return aa === 0 || bb === 0 ? 0 : rounded(dot / Math.sqrt(aa * bb));
}

/** Share of the words of the shorter that the other has too. */
export function sharedWords(a: Candidate, b: Candidate): number {
  const [x, y] = a.words <= b.words ? [a, b] : [b, a];
  const words = y.key.split(' ');
  return x.key.split(' ').filter((word) => words.includes(word)).length / x.words;
}

/**
 * Maximal marginal relevance (Carbonell and Goldstein 1998): one after the other, that which maximises
 *
 *   (1 - diversity) · relevance - diversity · (likeness to the most alike one chosen)
 *
 * A candidate all of whose words are in a chosen one, or that holds all words of one, is left out.
 *
 * @param pool   indices of candidates, best first
 * @param alike  0 to 1
 */
export function diverse(
  pool: readonly number[],
  relevance: Float64Array,
  candidates: readonly Candidate[],
  alike: (a: number, b: number) => number,
  { count, diversity }: { count: number; diversity: number },
): number[] {
  const chosen: number[] = [];
  const nearest = new Map(pool.map((i) => [i, 0]));
  while (chosen.length < count && nearest.size > 0) {
    let next = -1;
    let most = Number.NEGATIVE_INFINITY;
    for (const [i, near] of nearest) {
      const value = (1 - diversity) * relevance[i]! - diversity * near;
      // In the pool's order: of equals the better one.
      if (value > most) [next, most] = [i, value];
    }
    chosen.push(next);
    nearest.delete(next);
    for (const [i, near] of nearest) {
      if (sharedWords(candidates[i]!, candidates[next]!) === 1) nearest.delete(i);
      else nearest.set(i, Math.max(near, alike(i, next)));
    }
  }
  return chosen;
}
