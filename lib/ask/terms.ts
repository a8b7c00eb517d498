/** Words of a text as they are looked up. */
import { wordsOf } from '../text/tfidf.js';

export function termsOf(text: string): string[] {
  return wordsOf(text);
}
