/** The words of a corpus that get vectors, and the corpus as their numbers. */
import { describeValue, InputError, throwIfCancelled } from '../../errors.js';
import { Pace } from '../../pace.js';
import { WordReader } from '../words/tokens.js';

/** Texts, or texts that are cut into words already. */
export type VectorCorpus = Iterable<string | readonly string[]> | AsyncIterable<string | readonly string[]>;

export interface Vocabulary {
  /** The most frequent first; of equals in the order of their characters. */
  words: string[];
  /** How often each occurs. */
  counts: Float64Array;
  /** Words of the corpus as places in `words`, the rare ones left out; -1 ends a text. */
  tokens: Int32Array;
}

/** Words that a corpus may have in all, and different ones. */
const MAX_TOKENS = 2 ** 30;
const MAX_DISTINCT = 2 ** 24;

/** A list of int32 that grows. */
class IntList {
  #values = new Int32Array(1 << 16);
  length = 0;

  push(value: number): void {
    if (this.length === this.#values.length) {
      const larger = new Int32Array(2 * this.length);
      larger.set(this.#values);
      this.#values = larger;
    }
    this.#values[this.length++] = value;
  }

  values(): Int32Array {
    return this.#values.subarray(0, this.length);
  }
}

function tooMany(field: string, expected: string): InputError {
  return new InputError('ERR_INPUT_VALUE', { field, expected, got: 'more' });
}

export interface ReadCorpusOptions {
  language: string;
  minCount: number;
  maxWords: number;
  signal: AbortSignal | undefined;
  onTexts: (texts: number) => void;
}

/**
 * @throws InputError ERR_INPUT_TYPE   something in the corpus is neither a text nor words
 * @throws InputError ERR_INPUT_EMPTY  no word occurs often enough
 * @throws InputError ERR_INPUT_VALUE  more than 2^30 words, more than 2^24 different ones
 */
export async function readCorpus(corpus: VectorCorpus, options: ReadCorpusOptions): Promise<Vocabulary> {
  const { minCount, maxWords, signal, onTexts } = options;
  const numbers = new Map<string, number>();
  const counts: number[] = [];
  const tokens = new IntList();
  const add = (word: string) => {
    let number = numbers.get(word);
    if (number === undefined) {
      number = counts.length;
      if (number === MAX_DISTINCT) throw tooMany('corpus', `at most ${MAX_DISTINCT} different words`);
      numbers.set(word, number);
      counts.push(0);
    }
    counts[number]!++;
    tokens.push(number);
  };
  const reader = new WordReader({ language: options.language });
  const pace = new Pace();
  let texts = 0;
  for await (const text of corpus) {
    throwIfCancelled(signal);
    if (typeof text === 'string') reader.each(text, add);
    else if (Array.isArray(text) && text.every((word) => typeof word === 'string' && word !== '')) {
      for (const word of text as readonly string[]) add(word);
    } else {
      throw new InputError('ERR_INPUT_TYPE', {
        field: `corpus[${texts}]`,
        expected: 'a text, or an array of words',
        got: describeValue(text),
      });
    }
    tokens.push(-1);
    if (tokens.length > MAX_TOKENS) throw tooMany('corpus', `at most ${MAX_TOKENS} words`);
    texts++;
    if (pace.due) {
      onTexts(texts);
      await pace.rest();
    }
  }
  onTexts(texts);
  const names = [...numbers.keys()];
  const kept = names
    .map((word, number) => ({ word, number, count: counts[number]! }))
    .filter(({ count }) => count >= minCount)
    .sort((a, b) => b.count - a.count || (a.word < b.word ? -1 : 1))
    .slice(0, maxWords);
  if (kept.length === 0) {
    throw new InputError('ERR_INPUT_EMPTY', {
      field: 'corpus',
      expected: `words that occur at least ${minCount} times`,
      got: `${names.length} words in ${texts} texts, none of them so often`,
    });
  }
  const places = new Int32Array(names.length).fill(-1);
  kept.forEach(({ number }, place) => {
    places[number] = place;
  });
  const all = tokens.values();
  let length = 0;
  for (let i = 0; i < all.length; i++) {
    const token = all[i]!;
    const place = token < 0 ? -1 : places[token]!;
    if (place >= 0 || token < 0) all[length++] = place;
  }
  return {
    words: kept.map(({ word }) => word),
    counts: Float64Array.from(kept, ({ count }) => count),
    tokens: all.slice(0, length),
  };
}
