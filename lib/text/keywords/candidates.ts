/** What may be a key word: runs of words that carry weight, and the words and shorter runs in them. */
import { eachToken, normalWord } from '../words/tokens.js';
import { stemOf } from '../words/stems.js';
import { isStopWord, negations } from '../words/stop-words.js';
import { isWeak } from './weak-words.js';

/** A word of a run. */
interface RunWord {
  word: string;
  stem: string;
  start: number;
  end: number;
}

export interface CandidateRules {
  language: string;
  maxWords: number;
  /** Beside the language's own. */
  stopWords: ReadonlySet<string>;
}

/** One candidate over all texts. */
export interface Candidate {
  /** Stems, with blanks between. */
  key: string;
  /** As it stands where it comes first, in lower case. */
  text: string;
  words: number;
  count: number;
  /** Texts that have it. */
  documents: number;
  /** Times that it was a run of its own. */
  whole: number;
  /** Its place among all candidates, by first occurrence. */
  rank: number;
}

const UNSPACED = /^[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}]/u;
const PARTICLE = /^[的是]|[的了着吗呢吧啊是]$/u;
const NO_PARTICLE = new Set(['目的', '是非', '标的', '沉着', '执着', '穿着', '的士', '结了', '了了']);
const NUMBER = /^[\d.,:%]+$/;
/** About so many characters are a millisecond's work. */
const PART = 8192;
/** A longer run is no phrase but a list without commas; it is cut. */
const LONGEST_RUN = 8;

/** Parts of a text that end at white space or a full stop, with their offsets. */
export function* partsOf(text: string): Generator<{ part: string; offset: number }> {
  const boundary = /[\s。！？，,;；]/gu;
  for (let start = 0; start < text.length; ) {
    boundary.lastIndex = start + PART;
    const found = text.length - start > PART ? boundary.exec(text) : null;
    const end = found ? Math.min(found.index + 1, start + 2 * PART) : Math.min(text.length, start + 2 * PART);
    yield { part: text.slice(start, end), offset: start };
    start = end;
  }
}

export class CandidateRuns {
  readonly #rules: CandidateRules;

  constructor(rules: CandidateRules) {
    this.#rules = rules;
  }

  /** Calls back with every run of words that carry weight, in order. */
  each(text: string, offset: number, found: (run: readonly RunWord[]) => void): void {
    let run: RunWord[] = [];
    let before = 0;
    const close = () => {
      if (run.length > 0) found(run);
      run = [];
    };
    eachToken(text, true, (start, end, isMark) => {
      const between = text.slice(before, start);
      before = end;
      if (isMark) {
        // A hyphen inside a compound parts nothing.
        const hyphen =
          /^[-‐‑]$/.test(text.slice(start, end)) && between === '' && /^\S/.test(text.slice(end));
        if (!hyphen) close();
        return;
      }
      if (/\n[^\S\n]*\r?\n/.test(between) || run.length === LONGEST_RUN) close();
      const word = normalWord(text.slice(start, end));
      if (this.#isBare(word)) close();
      else {
        const stem = stemOf(word, this.#rules.language);
        run.push({ word, stem, start: offset + start, end: offset + end });
      }
    });
    close();
  }

  /** Whether the word says nothing of what a text is about. */
  #isBare(word: string): boolean {
    const { language, stopWords } = this.#rules;
    const bare = (one: string) =>
      isStopWord(one, language) ||
      negations(language).has(one) ||
      isWeak(one, language) ||
      stopWords.has(one);
    // 真的是, 的是: cut together by mistake, and no word of weight begins or ends so.
    if (language === 'zh' && word.length > 1 && PARTICLE.test(word) && !NO_PARTICLE.has(word)) return true;
    const short = word.indexOf("'");
    // "they've", "we'll", "l'" …
    return bare(word) || (short > 0 && bare(word.slice(0, short))) || word.length > 50 || /^_+$/.test(word);
  }

  /** Calls back with every candidate of a run: its key, words and place. */
  candidates(
    run: readonly RunWord[],
    found: (key: string, first: number, last: number, whole: boolean) => void,
  ): void {
    const { maxWords } = this.#rules;
    for (let first = 0; first < run.length; first++) {
      let key = '';
      for (let last = first; last < Math.min(run.length, first + maxWords); last++) {
        const { stem } = run[last]!;
        key = key === '' ? stem : `${key} ${stem}`;
        const whole = first === 0 && last === run.length - 1;
        if (first < last || carriesAlone(run[first]!)) found(key, first, last, whole);
      }
    }
  }
}

/** Numbers, single letters and single characters are no key words, but may be part of one. */
function carriesAlone({ word }: RunWord): boolean {
  if (NUMBER.test(word)) return false;
  return UNSPACED.test(word) ? [...word].length >= 2 : word.length >= 3;
}

/** Counts the candidates of texts. */
export class CandidateCounter {
  readonly found = new Map<string, Candidate>();
  /** By stem: runs that it is in, and the words of these runs together. */
  readonly degrees = new Map<string, { runs: number; words: number }>();
  readonly #runs: CandidateRuns;
  /** By key: the text it was last seen in. */
  readonly #lastSeen = new Map<string, number>();

  constructor(runs: CandidateRuns) {
    this.#runs = runs;
  }

  add(part: string, document: number): void {
    this.#runs.each(part, 0, (run) => {
      for (const { stem } of run) {
        const degree = this.degrees.get(stem) ?? { runs: 0, words: 0 };
        degree.runs++;
        degree.words += run.length;
        this.degrees.set(stem, degree);
      }
      this.#runs.candidates(run, (key, first, last, whole) => {
        let candidate = this.found.get(key);
        if (!candidate) {
          const text = joined(run.slice(first, last + 1).map(({ word }) => word));
          const words = last - first + 1;
          candidate = { key, text, words, count: 0, documents: 0, whole: 0, rank: this.found.size };
          this.found.set(key, candidate);
        }
        candidate.count++;
        if (whole) candidate.whole++;
        if (this.#lastSeen.get(key) !== document) {
          candidate.documents++;
          this.#lastSeen.set(key, document);
        }
      });
    });
  }
}

/** Words as they are written together: with blanks, but not between ideographs. */
export function joined(words: readonly string[]): string {
  return words.reduce((text, word) =>
    UNSPACED.test(word) && UNSPACED.test(text.at(-1) ?? '') ? text + word : `${text} ${word}`,
  );
}
