/** Terms of a text: words, runs of neighbouring words, and what else stands for a word. */
import { stemOf } from './stems.js';
import { isNegation } from './stop-words.js';
import { isUnspaced, type WordOptions, WordReader } from './tokens.js';

export interface TermOptions extends Omit<WordOptions, 'stems'> {
  /** Shortest and longest run of words that is a term. Default [1, 1]; at most 5 words. */
  ngrams?: readonly [shortest: number, longest: number] | undefined;
  /** true: stems instead of words; 'beside': words, and the stem of each as a term of its own ("~act"). Default false. */
  stems?: boolean | 'beside' | undefined;
  /**
   * Whether each word after a negation, up to the next mark, is also a term of its own ("¬good" in "not very good").
   * Default false.
   */
  negated?: boolean | undefined;
  /**
   * Of scripts without blanks between words: shortest and longest run of characters that is a term ("#好看"), whatever the
   * words. Default none; at most 5 characters.
   */
  characters?: readonly [shortest: number, longest: number] | undefined;
}

/** A mark that ends what a negation reaches over. */
const ENDS_SCOPE = /^[.,;:!?()…。，；：！？、]/u;

/** Reads terms by one set of options. A term of several words has blanks between them. */
export class TermReader {
  readonly #words: WordReader;
  readonly #language: string;
  readonly #marks: boolean;
  readonly #shortest: number;
  readonly #longest: number;
  readonly #besideStems: boolean;
  readonly #negated: boolean;
  readonly #characters: readonly [number, number] | undefined;

  constructor({ ngrams = [1, 1], stems = false, negated = false, characters, ...words }: TermOptions = {}) {
    this.#language = words.language ?? 'en';
    this.#marks = words.marks ?? false;
    // Marks are read in any case where they end a negation's reach.
    this.#words = new WordReader({ ...words, stems: stems === true, marks: this.#marks || negated });
    [this.#shortest, this.#longest] = ngrams;
    this.#besideStems = stems === 'beside';
    this.#negated = negated;
    this.#characters = characters;
  }

  /** Calls back with each term; those that end with a word come together, the shortest first. */
  each(text: string, found: (term: string, start: number, end: number) => void): void {
    const [shortest, longest] = [this.#shortest, this.#longest];
    const last: string[] = [];
    const starts: number[] = [];
    let afterNegation = false;
    let run: PlacedCharacter[] = [];
    this.#words.each(text, (word, start, end, isMark) => {
      if (isMark) {
        if (ENDS_SCOPE.test(word)) afterNegation = false;
        if (!this.#marks) return;
      }
      last.push(word);
      starts.push(start);
      if (last.length > longest) {
        last.shift();
        starts.shift();
      }
      let term = '';
      for (let n = 1; n <= last.length; n++) {
        const first = last[last.length - n]!;
        term = n === 1 ? first : `${first} ${term}`;
        if (n >= shortest) found(term, starts[last.length - n]!, end);
      }
      if (isMark) return;
      if (this.#characters !== undefined && isUnspaced(word)) {
        if (run.at(-1)?.end !== start) run = [];
        eachRun(text, start, end, run, this.#characters, found);
      }
      if (this.#besideStems) found(`~${stemOf(word, this.#language)}`, start, end);
      if (!this.#negated) return;
      if (isNegation(word, this.#language)) afterNegation = true;
      else if (afterNegation) found(`¬${word}`, start, end);
    });
  }
}

interface PlacedCharacter {
  text: string;
  start: number;
  end: number;
}

/** Adds the characters of a word to a run of them, and calls back with the runs that end with each. */
function eachRun(
  text: string,
  from: number,
  to: number,
  run: PlacedCharacter[],
  [shortest, longest]: readonly [number, number],
  found: (term: string, start: number, end: number) => void,
): void {
  let start = from;
  for (const character of text.slice(from, to)) {
    const end = start + character.length;
    run.push({ text: character.normalize('NFKC'), start, end });
    if (run.length > longest) run.shift();
    let term = '';
    for (let n = 1; n <= run.length; n++) {
      const first = run[run.length - n]!;
      term = first.text + term;
      if (n >= shortest) found(`#${term}`, first.start, end);
    }
    start = end;
  }
}
