/** Stems of words. */
import { stemmer } from 'stemmer';

/** Porter's rules are for plain English words; "don't" and "3d" stay as they are. */
const PLAIN = /^[a-z]{3,}$/;
/** Words seen before: the rules are many regular expressions a word. */
const known = new Map<string, string>();
const MAX_KNOWN = 100_000;

/**
 * The stem of a word by Porter's algorithm (1980): "acting" and "acted" are both "act". English only; a word of another
 * language, or with other signs than a-z, is its own stem.
 *
 * @param word      in lower case
 * @param language  ISO 639-1 code. Default 'en'
 */
export function stemOf(word: string, language = 'en'): string {
  if (language !== 'en' || !PLAIN.test(word)) return word;
  let stem = known.get(word);
  if (stem === undefined) {
    if (known.size >= MAX_KNOWN) known.clear();
    stem = stemmer(word);
    known.set(word, stem);
  }
  return stem;
}
