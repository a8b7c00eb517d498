/** Key words of texts. */
import { meanVector } from '../../encoders/embedding.js';
import { describeValue, InputError, throwIfCancelled } from '../../errors.js';
import { Pace } from '../../pace.js';
import type { TextModels } from '../../text-models.js';
import type { TextSpan } from '../chunks.js';
import { MAX_TEXT_CHARACTERS } from '../read-text.js';
import {
  type Candidate,
  CandidateCounter,
  CandidateRuns,
  type CandidateRules,
  partsOf,
} from './candidates.js';
import { type OpenLanguage, openLanguage } from './language.js';
import {
  best,
  cosine,
  diverse,
  dominated,
  type KeywordMethod,
  phraseScores,
  rounded,
  sharedWords,
  tfidfScores,
  toUnit,
} from './rank.js';
import type { TermReference } from './reference.js';

/** Vectors of short texts, all of one width: word vectors, an encoder. */
export type EmbedTerms = (
  terms: readonly string[],
  options: { signal?: AbortSignal | undefined },
) => Promise<readonly Float32Array[]>;

export interface KeywordOptions {
  /**
   * 'tfidf': often here, rare elsewhere. 'phrases': long runs between stop words (as RAKE). 'embedding': nearest to the
   * whole text among the best of both. 'combined' (default): 0.55 of 'tfidf' and 0.45 of 'embedding'.
   */
  method?: KeywordMethod | undefined;
  /** How many at most. Default 10. */
  count?: number | undefined;
  /** Most words of one. Default 3. */
  maxWords?: number | undefined;
  /** 0: the best, however alike; 1: as different as can be. Default 0.3. */
  diversity?: number | undefined;
  /** ISO 639-1. Default: detected; 'en' and 'zh' are covered, others with `stopWords`. */
  language?: string | undefined;
  /** Words that are no key words, beside the language's own list. */
  stopWords?: Iterable<string> | undefined;
  /** How common terms are elsewhere. Default, English: in the overviews and reviews that the bundle was trained on. */
  reference?: TermReference | undefined;
  /** Makes the vectors of 'embedding' and 'combined'. Default: the bundle's encoder of the language. */
  embed?: EmbedTerms | undefined;
  /** Encoders that are loaded already; without them the default bundle's are loaded for the call and given back. */
  models?: TextModels | undefined;
  signal?: AbortSignal | undefined;
}

export interface Keyword {
  /** As it is written most often; in lower case unless it never is. */
  term: string;
  /** Relevance, 0 to 1. */
  score: number;
  /** Occurrences in all texts. */
  count: number;
  /** Texts that it occurs in. */
  documents: number;
  /** Where: the text's place in the list, and UTF-16 offsets in it. At most 1,000. */
  spans: KeywordSpan[];
}

export interface KeywordSpan extends TextSpan {
  document: number;
}

/** Cues of subtitles are texts, too. */
const MAX_TEXTS = 200_000;
const MAX_SPANS = 1000;
/** Candidates that get vectors. */
const POOL = 120;
/** Of more texts so many stand for all when their vector is made. */
const SAMPLED = 256;
/** The parts of 'combined'. */
const SHARES = { tfidf: 0.55, embedding: 0.45 };

/**
 * The words and phrases that say what texts are about: of a review, a set of reviews, a synopsis, a script. Never a stop
 * word, and no two with the same words. The same input gives the same key words, on any number of threads.
 *
 * Candidates are runs of up to `maxWords` words between stop words and marks; English ones are counted by their stems.
 * Chinese is cut into words by Intl.Segmenter. Without a reference (Chinese has none by default) a word's weight comes from
 * the texts themselves: from how few of them, or of the sentences of a single text, have it.
 *
 * @param texts  one text, or many that are looked at together
 * @returns best first
 * @throws InputError ERR_INPUT_TYPE, ERR_INPUT_EMPTY, ERR_INPUT_VALUE  no text, no words, over 200,000 texts or 4,000,000
 *   characters in all, a wrong option
 * @throws InputError ERR_INPUT_LANGUAGE  neither English nor Chinese, and no stopWords given
 * @throws ModelError ERR_MODEL_*, BundleError ERR_BUNDLE_*  of the encoders; CancelledError ERR_CANCELLED
 */
export async function extractKeywords(
  texts: string | readonly string[],
  options: KeywordOptions = {},
): Promise<Keyword[]> {
  const list = checkTexts(texts);
  const { method, count, maxWords, diversity } = checkOptions(options);
  const { signal } = options;
  throwIfCancelled(signal);
  const needsVectors = (method === 'combined' || method === 'embedding') && options.embed === undefined;
  await using open: OpenLanguage = await openLanguage(list, options, needsVectors);
  const rules = { language: open.language, maxWords, stopWords: normalSet(options.stopWords) };
  const counter = await countCandidates(list, rules, signal);
  const parts = dominated(counter.found);
  const candidates = [...counter.found.values()].filter(({ key }) => !parts.has(key));
  if (candidates.length === 0) return [];
  const { reference } = open;
  // Without a reference a word that most of the texts have may still be what they are about: counts weigh more.
  const weights = reference
    ? tfidfScores(candidates, (key) => reference.idf(key))
    : tfidfScores(candidates, await ownIdf(list, rules, signal), Math.sqrt);
  const tfidf = toUnit(weights);
  const phrases = toUnit(phraseScores(candidates, counter.degrees));
  let relevance = method === 'phrases' ? phrases : tfidf;
  let alike = (a: number, b: number) => sharedWords(candidates[a]!, candidates[b]!);
  let pool: number[];
  if (method === 'combined' || method === 'embedding') {
    const first = tfidf.map((score, i) => score + phrases[i]!);
    pool = best(first, candidates, Math.max(POOL, 2 * count));
    const terms = pool.map((i) => candidates[i]!.text);
    const { vectors, whole } = await vectorsOf(list, terms, options.embed ?? open.embed!, open, signal);
    const near = toUnit(Float64Array.from(vectors, (vector) => Math.max(0, cosine(vector, whole))));
    const at = new Map(pool.map((i, place) => [i, place]));
    relevance = tfidf.map((score, i) => {
      const place = at.get(i);
      if (place === undefined) return 0;
      if (method === 'embedding') return near[place]!;
      return SHARES.tfidf * score + SHARES.embedding * near[place]!;
    });
    alike = (a, b) => Math.max(0, cosine(vectors[at.get(a)!]!, vectors[at.get(b)!]!));
    pool = best(relevance, candidates, pool.length).filter((i) => at.has(i));
  } else pool = best(relevance, candidates, Math.max(POOL, 4 * count));
  const chosen = diverse(pool, relevance, candidates, alike, { count, diversity });
  const picked = chosen.map((i) => ({ candidate: candidates[i]!, score: rounded(relevance[i]!) }));
  return locate(list, picked, rules, signal);
}

/** At most `count` of the texts, evenly over the list. */
function evenly(texts: readonly string[], count: number): readonly string[] {
  if (texts.length <= count) return texts;
  return Array.from({ length: count }, (_, i) => texts[Math.floor((i * texts.length) / count)]!);
}

/** Vectors of the terms, and one of all texts together. */
async function vectorsOf(
  texts: readonly string[],
  terms: readonly string[],
  embed: EmbedTerms,
  open: OpenLanguage,
  signal: AbortSignal | undefined,
): Promise<{ vectors: readonly Float32Array[]; whole: Float32Array }> {
  const [vectors, wholes] = await Promise.all([
    embed(terms, { signal }),
    (open.embedTexts ?? embed)(evenly(texts, SAMPLED), { signal }),
  ]);
  const dim = vectors[0]?.length ?? 0;
  if (
    vectors.length !== terms.length ||
    [...vectors, ...wholes].some(({ length }) => length !== dim || dim === 0)
  ) {
    throw new InputError('ERR_INPUT_VALUE', {
      field: 'options.embed',
      expected: 'a function that gives one vector a text, all of one width',
      got: 'one that does not',
    });
  }
  const data = new Float32Array(wholes.length * dim);
  for (const [i, vector] of wholes.entries()) data.set(vector, i * dim);
  return { vectors, whole: meanVector({ data, length: wholes.length, dim }) };
}

async function countCandidates(
  texts: readonly string[],
  rules: CandidateRules,
  signal: AbortSignal | undefined,
): Promise<CandidateCounter> {
  const counter = new CandidateCounter(new CandidateRuns(rules));
  const pace = new Pace();
  for (const [document, text] of texts.entries()) {
    for (const { part } of partsOf(text)) {
      counter.add(part, document);
      throwIfCancelled(signal);
      if (pace.due) await pace.rest();
    }
  }
  return counter;
}

/** So many texts tell how common a word is among them; fewer are cut into sentences. */
const ENOUGH_TEXTS = 10;

/** ln((1 + N) / (1 + n)) + 1 over the texts, or over the sentences of few texts. */
async function ownIdf(
  texts: readonly string[],
  rules: CandidateRules,
  signal: AbortSignal | undefined,
): Promise<(key: string, candidate: Candidate) => number> {
  const idf = (all: number, having: number) => Math.log((1 + all) / (1 + having)) + 1;
  if (texts.length >= ENOUGH_TEXTS) return (_, { documents }) => idf(texts.length, documents);
  const sentences = texts.flatMap((text) =>
    text.split(/[.!?。！？…]+\s*|\n{2,}/u).filter((part) => /\S/.test(part)),
  );
  const bySentence = await countCandidates(sentences, rules, signal);
  return (key, { count }) => idf(sentences.length, bySentence.found.get(key)?.documents ?? count);
}

/** A second look at the texts, for the places of what was chosen and how it is written. */
export async function locate(
  texts: readonly string[],
  picked: readonly { candidate: Candidate; score: number }[],
  rules: CandidateRules,
  signal: AbortSignal | undefined,
): Promise<Keyword[]> {
  const runs = new CandidateRuns(rules);
  const places = new Map(picked.map(({ candidate }) => [candidate.key, [] as KeywordSpan[]]));
  const writings = new Map(picked.map(({ candidate }) => [candidate.key, new Map<string, number>()]));
  const pace = new Pace();
  for (const [document, text] of texts.entries()) {
    for (const { part, offset } of partsOf(text)) {
      runs.each(part, offset, (run) => {
        runs.candidates(run, (key, first, last) => {
          const spans = places.get(key);
          if (!spans) return;
          const [start, end] = [run[first]!.start, run[last]!.end];
          if (spans.length < MAX_SPANS) spans.push({ document, start, end });
          const written = text
            .slice(start, end)
            .replace(/\s+/g, ' ')
            .replace(/['’]s$/i, '');
          const forms = writings.get(key)!;
          forms.set(written, (forms.get(written) ?? 0) + 1);
        });
      });
      throwIfCancelled(signal);
      if (pace.due) await pace.rest();
    }
  }
  return picked
    .map(({ candidate: { key, count, documents }, score }) => ({
      term: writtenAs(writings.get(key)!),
      score,
      count,
      documents,
      spans: places.get(key)!,
    }))
    .sort((a, b) => b.score - a.score);
}

/** The commonest form in lower case; a name, which never is, as it stands, rather not in capitals throughout. */
function writtenAs(forms: ReadonlyMap<string, number>): string {
  const lower = [...forms].filter(([form]) => form === form.toLowerCase());
  const mixed = [...forms].filter(([form]) => form !== form.toUpperCase());
  const eligible = lower.length > 0 ? lower : mixed.length > 0 ? mixed : [...forms];
  return eligible.reduce((most, one) => (one[1] > most[1] ? one : most))[0];
}

function normalSet(words: Iterable<string> | undefined): ReadonlySet<string> {
  return new Set([...(words ?? [])].map((word) => word.normalize('NFKC').toLowerCase()));
}

function checkTexts(texts: string | readonly string[]): readonly string[] {
  const list: unknown = typeof texts === 'string' ? [texts] : texts;
  if (!Array.isArray(list)) {
    throw new InputError('ERR_INPUT_TYPE', {
      field: 'texts',
      expected: 'a text or texts',
      got: describeValue(texts),
    });
  }
  if (list.length > MAX_TEXTS) {
    throw new InputError('ERR_INPUT_VALUE', {
      field: 'texts',
      expected: `at most ${MAX_TEXTS} texts`,
      got: `${list.length}`,
    });
  }
  let characters = 0;
  list.forEach((text: unknown, i) => {
    if (typeof text !== 'string') {
      throw new InputError('ERR_INPUT_TYPE', {
        field: `texts[${i}]`,
        expected: 'a text',
        got: describeValue(text),
      });
    }
    characters += text.length;
  });
  if (characters > MAX_TEXT_CHARACTERS) {
    throw new InputError('ERR_INPUT_VALUE', {
      field: 'texts',
      expected: `at most ${MAX_TEXT_CHARACTERS} characters in all`,
      got: `${characters}`,
    });
  }
  const filled = (list as string[]).some((text) => text.trim() !== '');
  if (!filled) {
    throw new InputError('ERR_INPUT_EMPTY', { field: 'texts', expected: 'a text with words', got: 'none' });
  }
  return list as string[];
}

function checkOptions({ method = 'combined', count = 10, maxWords = 3, diversity = 0.3 }: KeywordOptions) {
  const fail = (field: string, expected: string, got: unknown) => {
    throw new InputError('ERR_INPUT_VALUE', { field: `options.${field}`, expected, got: describeValue(got) });
  };
  const methods = ['combined', 'tfidf', 'phrases', 'embedding'];
  if (!methods.includes(method)) fail('method', `one of ${methods.join(', ')}`, method);
  if (!Number.isInteger(count) || count < 1 || count > 1000)
    fail('count', 'a whole number from 1 to 1000', count);
  if (!Number.isInteger(maxWords) || maxWords < 1 || maxWords > 5) {
    fail('maxWords', 'a whole number from 1 to 5', maxWords);
  }
  if (!(diversity >= 0 && diversity <= 1)) fail('diversity', 'a number from 0 to 1', diversity);
  return { method, count, maxWords, diversity };
}
