/** Key words of the parts of one text: what each is about that the others are not. */
import { throwIfCancelled } from '../../errors.js';
import { Pace } from '../../pace.js';
import { CandidateCounter, CandidateRuns, partsOf } from './candidates.js';
import { type Keyword, locate } from './extract.js';
import { best, diverse, dominated, sharedWords, tfidfScores, toUnit } from './rank.js';
import type { TermReference } from './reference.js';

const POOL = 40;
const DIVERSITY = 0.3;

export interface PartKeywordOptions {
  language: string;
  reference: TermReference | undefined;
  count: number;
  stopWords: ReadonlySet<string>;
  signal?: AbortSignal | undefined;
}

/**
 * TF-IDF twice: rare in the reference, and in few of the parts.
 *
 * @returns by part; `document` of a span is the part's place
 */
export async function keywordsOfParts(
  parts: readonly string[],
  { language, reference, count, stopWords, signal }: PartKeywordOptions,
): Promise<Keyword[][]> {
  const rules = { language, maxWords: 3, stopWords };
  const runs = new CandidateRuns(rules);
  const pace = new Pace();
  const rest = async () => {
    throwIfCancelled(signal);
    if (pace.due) await pace.rest();
  };
  const counters: CandidateCounter[] = [];
  const having = new Map<string, number>();
  for (const text of parts) {
    const counter = new CandidateCounter(runs);
    for (const { part } of partsOf(text)) {
      counter.add(part, 0);
      await rest();
    }
    for (const key of counter.found.keys()) having.set(key, (having.get(key) ?? 0) + 1);
    counters.push(counter);
  }
  const among = (key: string) => Math.log((1 + parts.length) / (1 + having.get(key)!)) + 1;
  const keywords: Keyword[][] = [];
  for (const [i, { found }] of counters.entries()) {
    const inLonger = dominated(found);
    const candidates = [...found.values()].filter(({ key }) => !inLonger.has(key));
    const scores = toUnit(tfidfScores(candidates, (key) => among(key) * (reference?.idf(key) ?? 1)));
    const alike = (a: number, b: number) => sharedWords(candidates[a]!, candidates[b]!);
    const pool = best(scores, candidates, POOL);
    const chosen = diverse(pool, scores, candidates, alike, { count, diversity: DIVERSITY });
    const picked = chosen.map((at) => ({ candidate: candidates[at]!, score: scores[at]! }));
    const own = await locate([parts[i]!], picked, rules, signal);
    for (const { spans } of own) for (const span of spans) span.document = i;
    keywords.push(own);
    await rest();
  }
  return keywords;
}
