/** Texts as numbers of words, for networks. */
import { describeValue, InputError, throwIfCancelled } from '../../errors.js';
import { Pace } from '../../pace.js';
import { type Word, WordReader } from '../words/tokens.js';

/** Read as zeros: what fills short rows. */
export const PADDING_ID = 0;
/** Every word that the vocabulary does not have. */
export const UNKNOWN_ID = 1;
const FIRST_WORD = 2;
const MAX_WORDS = 1_000_000;
/** Words cut short of their ends, as word vectors' corpora have them: "don't" is "do" and "n't". */
const CLITIC = /^(.+?)(n't|'(?:re|ve|ll|d|m))$/;

export interface VocabularyOptions {
  /** Most words, padding and unknown included: the rows of the embedding table. Default 10,000. */
  size?: number | undefined;
  /** Words of a text that are read; the rest is cut off. Default 100. */
  length?: number | undefined;
  /** Words that occur less often are unknown. Default 1. */
  leastCount?: number | undefined;
}

/** The words and marks of a text as a network reads them, in order, with their places. */
export function networkWords(text: string, most = Number.POSITIVE_INFINITY): Word[] {
  const list: Word[] = [];
  READER.each(text, (word, start, end, isMark) => {
    const match = isMark ? null : CLITIC.exec(word);
    if (match === null) list.push({ text: word, start, end });
    else {
      const cut = end - match[2]!.length;
      list.push({ text: match[1]!, start, end: cut }, { text: match[2]!, start: cut, end });
    }
  });
  return list.length > most ? list.slice(0, most) : list;
}

const READER = new WordReader({ marks: true });

/** A tokenizer by words: the most frequent words of some texts, numbered by falling frequency. */
export class WordVocabulary {
  /** By id; 0 and 1, padding and unknown, are empty. */
  readonly words: readonly string[];
  /** Most ids of a text. */
  readonly length: number;
  readonly #ids: ReadonlyMap<string, number>;

  /** @param words  from id 2 on, each once */
  constructor(words: readonly string[], length = 100) {
    checkCount('length', length, 1, 100_000);
    this.words = ['', '', ...words];
    this.length = length;
    this.#ids = new Map(words.map((word, i) => [word, i + FIRST_WORD]));
    if (this.#ids.size !== words.length || words.length > MAX_WORDS || this.#ids.has('')) {
      throw new InputError('ERR_INPUT_VALUE', {
        field: 'words',
        expected: `at most ${MAX_WORDS} words, each once`,
        got: `${words.length} with ${this.#ids.size} different ones`,
      });
    }
  }

  /**
   * @param known  words that come first whatever their frequency: a vocabulary to be extended
   * @throws InputError ERR_INPUT_VALUE  an option out of its range
   * @throws CancelledError ERR_CANCELLED
   */
  static async fit(
    texts: readonly string[],
    options: VocabularyOptions & {
      known?: WordVocabulary | undefined;
      signal?: AbortSignal | undefined;
    } = {},
  ): Promise<WordVocabulary> {
    const { size = 10_000, length = 100, leastCount = 1, known, signal } = options;
    checkCount('size', size, FIRST_WORD + 1, MAX_WORDS);
    checkCount('leastCount', leastCount, 1, 1e9);
    const counts = new Map<string, number>();
    const pace = new Pace();
    for (const text of texts) {
      for (const word of networkWords(text)) counts.set(word.text, (counts.get(word.text) ?? 0) + 1);
      if (pace.due) await pace.rest();
      throwIfCancelled(signal);
    }
    const first = known?.words.slice(FIRST_WORD) ?? [];
    for (const word of first) counts.delete(word);
    const others = [...counts]
      .filter(([, count]) => count >= leastCount)
      .sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1))
      .slice(0, Math.max(0, size - FIRST_WORD - first.length))
      .map(([word]) => word);
    return new WordVocabulary([...first, ...others], length);
  }

  /** Rows that an embedding table needs. */
  get rows(): number {
    return this.words.length;
  }

  idOf(word: string): number {
    return this.#ids.get(word) ?? UNKNOWN_ID;
  }

  /** The ids of a text's first `length` words; none for a blank text. */
  encode(text: string): Int32Array {
    return Int32Array.from(networkWords(text, this.length), ({ text: word }) => this.idOf(word));
  }

  /** `encode` of many, with rests for the event loop. @throws CancelledError ERR_CANCELLED */
  async encodeAll(texts: readonly string[], signal?: AbortSignal): Promise<Int32Array[]> {
    const pace = new Pace();
    const all: Int32Array[] = [];
    for (const text of texts) {
      all.push(this.encode(text));
      if (pace.due) await pace.rest();
      throwIfCancelled(signal);
    }
    return all;
  }
}

function checkCount(field: string, value: number, least: number, most: number): void {
  if (Number.isInteger(value) && value >= least && value <= most) return;
  throw new InputError('ERR_INPUT_VALUE', {
    field,
    expected: `an integer from ${least} to ${most}`,
    got: describeValue(value),
  });
}
