/** Words of a text as they are looked up: stems, without stop words; negations stay. */
import { words } from '../text/words/tokens.js';

const languageOf = (text: string) => (/\p{Script=Han}/u.test(text) ? 'zh' : 'en');

export function termsOf(text: string): string[] {
  const options = { language: languageOf(text), stopWords: false, stems: true };
  return words(text, options).map((word) => word.text);
}

/** The word of this text that stands behind a term. */
export function wordBehind(term: string, text: string): string {
  const word = words(text, { language: languageOf(text), stems: true }).find((one) => one.text === term);
  return word ? text.slice(word.start, word.end) : term;
}
