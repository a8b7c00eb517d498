/** Measures of ranked lists: of recommendations, of films by how they will do. `null`: not defined on these lists. */
import { checkPairs, rising } from './metrics.js';

type Numbers = ArrayLike<number>;

/** Means over the lists, at a cut of k. */
export interface RankingMetrics {
  /** Σ gain/log2(rank + 1) over that of the best order, gain = relevance; 0 for a list without a relevant item. */
  ndcgLinear: number;
  /** The same with gain = 2^relevance - 1. */
  ndcgExp: number;
  /** `ndcgLinear` with items of equal score sharing their places, as scikit-learn has it; null if a list has one item. */
  ndcgLinearTiesAveraged: number | null;
  /** Share of lists with a relevant item among the first k. */
  hitRate: number;
  /** Mean average precision; each divides by min(k, relevant items). */
  map: number;
  /** Divides by k, also where the list is shorter. */
  precision: number;
  recall: number;
}

const discount = (rank: number) => 1 / Math.log2(rank + 2);

function gainOver(relevance: readonly number[], k: number, gain: (r: number) => number): number {
  let sum = 0;
  for (let i = 0; i < Math.min(k, relevance.length); i++) sum += gain(relevance[i]!) * discount(i);
  return sum;
}

/** Relevances in falling order of score; of equal scores the lower index first. */
function ranked(relevance: Numbers, score: Numbers): number[] {
  const negative = Float64Array.from(score, (s) => -s);
  return Array.from(rising(negative), (i) => relevance[i]!);
}

function tiesAveraged(relevance: Numbers, score: Numbers, k: number): number {
  const order = Array.from(rising(Float64Array.from(score, (s) => -s)));
  let sum = 0;
  for (let from = 0; from < order.length; ) {
    let [to, gains, places] = [from, 0, 0];
    for (; to < order.length && score[order[to]!] === score[order[from]!]; to++) {
      gains += relevance[order[to]!]!;
      if (to < k) places += discount(to);
    }
    sum += (gains / (to - from)) * places;
    from = to;
  }
  return sum;
}

const linear = (r: number) => r;
const exponential = (r: number) => 2 ** r - 1;
const over = (a: number, b: number) => (b === 0 ? 0 : a / b);

/**
 * @param relevance  (lists)(items), 0 = not relevant
 * @param score      (lists)(items), higher comes first
 * @param k          1 or more
 * @throws ShapeError ERR_SHAPE, DataError ERR_DATA_EMPTY, InputError ERR_INPUT_VALUE
 */
export function rankingMetrics(
  relevance: readonly Numbers[],
  score: readonly Numbers[],
  k: number,
): RankingMetrics {
  checkPairs(new Float64Array(relevance.length), new Float64Array(score.length), 'score');
  const sums = { ndcgLinear: 0, ndcgExp: 0, hitRate: 0, map: 0, precision: 0, recall: 0 };
  let ties: number | null = 0;
  for (const [list, relevances] of relevance.entries()) {
    const scores = score[list]!;
    checkPairs(relevances, scores, `score[${list}]`);
    const got = ranked(relevances, scores);
    const best = [...got].sort((a, b) => b - a);
    const relevant = got.filter((r) => r > 0).length;
    let [hits, precisions] = [0, 0];
    for (const [i, r] of got.slice(0, k).entries()) {
      if (r > 0) precisions += ++hits / (i + 1);
    }
    sums.ndcgLinear += over(gainOver(got, k, linear), gainOver(best, k, linear));
    sums.ndcgExp += over(gainOver(got, k, exponential), gainOver(best, k, exponential));
    sums.hitRate += hits > 0 ? 1 : 0;
    sums.map += over(precisions, Math.min(k, relevant));
    sums.precision += hits / k;
    sums.recall += over(hits, relevant);
    if (got.length < 2) ties = null;
    if (ties !== null) ties += over(tiesAveraged(relevances, scores, k), gainOver(best, k, linear));
  }
  const lists = relevance.length;
  const means = Object.fromEntries(
    Object.entries(sums).map(([name, sum]) => [name, sum / lists]),
  ) as typeof sums;
  return { ...means, ndcgLinearTiesAveraged: ties === null ? null : ties / lists };
}

/** Mean over the lists of 1/rank of the first relevant item; 0 for a list without one. */
export function meanReciprocalRank(relevance: readonly Numbers[], score: readonly Numbers[]): number {
  checkPairs(new Float64Array(relevance.length), new Float64Array(score.length), 'score');
  let sum = 0;
  for (const [list, relevances] of relevance.entries()) {
    checkPairs(relevances, score[list]!, `score[${list}]`);
    const first = ranked(relevances, score[list]!).findIndex((r) => r > 0);
    if (first >= 0) sum += 1 / (first + 1);
  }
  return sum / relevance.length;
}
