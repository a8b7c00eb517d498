/** Words of a text in any script, with their places. */
import { stemOf } from './stems.js';
import { isStopWord } from './stop-words.js';

/** A word (or mark) of a text. */
export interface Word {
  /** NFKC, lower case, with a straight apostrophe; its stem where stems are asked for. */
  text: string;
  /** UTF-16 offsets, end exclusive. */
  start: number;
  end: number;
}

export interface WordOptions {
  /** ISO 639-1 code: which stop words and stems to use; words are found without it. Default 'en'. */
  language?: string | undefined;
  /** Whether common words without weight of their own stay; negations always do. Default true. */
  stopWords?: boolean | undefined;
  /** Stems instead of words, where the language has them (English). Default false. */
  stems?: boolean | undefined;
  /** Marks (! ? , …) as words of their own, a run of the same as one. Default false. */
  marks?: boolean | undefined;
}

/** Scripts written without blanks between words. */
const UNSPACED = [
  ...['Han', 'Hiragana', 'Katakana', 'Thai', 'Lao', 'Khmer', 'Myanmar'].map((name) => `\\p{Script=${name}}`),
  'ー々〆',
].join('');
const LETTER = `[[\\p{L}\\p{M}\\p{N}\\p{Pc}]--[${UNSPACED}]]`;
/**
 * The words of Unicode's annex 29 in scripts with blanks: some marks stand inside a word between letters (don't, u.s),
 * others between digits (3.5, 10,000). Intl.Segmenter finds the same and takes six times as long.
 */
const SPACED = `${LETTER}+(?:(?:(?<=[\\p{L}\\p{M}])['’.·](?=\\p{L})|(?<=\\p{N})['’.,;](?=\\p{N}))${LETTER}+)*`;
const TOKEN = new RegExp(`(${SPACED})|([${UNSPACED}]+)|(([^\\s\\p{L}\\p{M}\\p{N}\\p{Pc}])\\4*)`, 'gv');

/** Intl.Segmenter takes time quadratic in the length, so it gets pieces of at most this many characters. */
const SEGMENT_BLOCK = 1000;
/** Of a longer run of letters only the beginning is kept: it is no word, and would be a term of its own. */
const LONGEST_WORD = 100;

const STARTS_UNSPACED = new RegExp(`^[${UNSPACED}]`, 'v');

let segmenter: Intl.Segmenter | undefined;

/** Calls back with every word, and where asked for every run of marks, in order. Places only: nothing is normalised. */
export function eachToken(
  text: string,
  marks: boolean,
  found: (start: number, end: number, isMark: boolean) => void,
): void {
  TOKEN.lastIndex = 0;
  for (let match = TOKEN.exec(text); match !== null; match = TOKEN.exec(text)) {
    const end = TOKEN.lastIndex;
    if (match[1] !== undefined) found(match.index, end, false);
    else if (match[2] !== undefined) {
      segmenter ??= new Intl.Segmenter(undefined, { granularity: 'word' });
      for (let from = match.index; from < end; from += SEGMENT_BLOCK) {
        const piece = text.slice(from, Math.min(end, from + SEGMENT_BLOCK));
        for (const { segment, index, isWordLike } of segmenter.segment(piece)) {
          if (isWordLike) found(from + index, from + index + segment.length, false);
        }
      }
      // Nothing in between may move it: the segmenter is not a regular expression.
      TOKEN.lastIndex = end;
    } else if (marks) found(match.index, end, true);
  }
}

/** How a word is compared: NFKC, lower case, straight apostrophes, without a possessive 's. */
export function normalWord(word: string): string {
  let normal = word.length > LONGEST_WORD ? word.slice(0, LONGEST_WORD) : word;
  // biome-ignore lint/suspicious/noControlCharactersInRegex: ASCII needs no normalising
  if (!/^[\x00-\x7f]*$/.test(normal)) normal = normal.normalize('NFKC').replaceAll('’', "'");
  normal = normal.toLowerCase();
  return normal.endsWith("'s") ? normal.slice(0, -2) : normal;
}

/** A run of one mark: "!!!" and "!!" are "!!", "……" is "…". */
export function normalMark(mark: string): string {
  const one = String.fromCodePoint(mark.codePointAt(0)!);
  const normal = one.normalize('NFKC');
  return mark.length > one.length ? normal + normal : normal;
}

/** Reads words by one set of options. */
export class WordReader {
  readonly #language: string;
  readonly #keepStopWords: boolean;
  readonly #stems: boolean;
  readonly #marks: boolean;

  constructor({ language = 'en', stopWords = true, stems = false, marks = false }: WordOptions = {}) {
    this.#language = language;
    this.#keepStopWords = stopWords;
    this.#stems = stems;
    this.#marks = marks;
  }

  /** Calls back with each word that stays, in order. */
  each(text: string, found: (word: string, start: number, end: number, isMark: boolean) => void): void {
    eachToken(text, this.#marks, (start, end, isMark) => {
      const part = text.slice(start, end);
      if (isMark) {
        found(normalMark(part), start, end, true);
        return;
      }
      const word = normalWord(part);
      if (!this.#keepStopWords && isStopWord(word, this.#language)) return;
      found(this.#stems ? stemOf(word, this.#language) : word, start, end, false);
    });
  }
}

/**
 * The words of a text, in order. Scripts without blanks (Chinese, Japanese, Thai, Lao, Khmer, Burmese) are cut by
 * Intl.Segmenter's dictionaries, all others by Unicode's rules (annex 29).
 */
export function words(text: string, options: WordOptions = {}): Word[] {
  const list: Word[] = [];
  new WordReader(options).each(text, (word, start, end) => list.push({ text: word, start, end }));
  return list;
}

/** Whether a word is of a script without blanks between words. */
export function isUnspaced(word: string): boolean {
  return word.charCodeAt(0) > 0x7f && STARTS_UNSPACED.test(word);
}
