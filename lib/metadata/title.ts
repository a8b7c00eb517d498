import { nameKey } from './names.js';

/** What a title alone says: its length and whether it looks like a part of a series. */

const ROMAN = /\s(?:II|III|IV|V|VI|VII|VIII|IX)(?=$|[\s:])/;
const NUMBER_AT_END = /[^\d\s:]\s+(?:[2-9]|1\d)(?=$|[\s]*:)/;
const PART = /\b(?:part|chapter|episode|vol\.?|volume)\s+(?:\d+|[ivx]+|two|three|four|five)\b/i;
const CHINESE_PART = /(?:第[二三四五六七八九十\d]+[部集章]|[之续]|(?<=\p{Script=Han})[2-9])$/u;

/**
 * Features of a title, 0 where it is empty: `length` characters / 20, `words` / 4, `sequel` 1 if it is numbered as
 * a later part ("Rocky II", "Toy Story 3", "Part Two", 第二部), `colon` 1 if it has a subtitle, `sign` 1 if it ends
 * with ! or ?, `article` 1 if it starts with The or A.
 */
export function titleFeatures(
  title: string,
): Record<'length' | 'words' | 'sequel' | 'colon' | 'sign' | 'article', number> {
  const text = title.normalize('NFKC').trim();
  const sequel = ROMAN.test(text) || NUMBER_AT_END.test(text) || PART.test(text) || CHINESE_PART.test(text);
  return {
    length: Math.min(3, [...text].length / 20),
    words: text === '' ? 0 : Math.min(3, text.split(/\s+/).length / 4),
    sequel: sequel ? 1 : 0,
    colon: /[:：]|\s[-–—]\s/.test(text) ? 1 : 0,
    sign: /[!?！？]$/.test(text) ? 1 : 0,
    article: /^(?:the|an?)\s/i.test(text) ? 1 : 0,
  };
}

/**
 * What the titles of a series have in common: the title's name key without subtitle, number, part and leading
 * article ("The Godfather: Part II" and "The Godfather" give "godfather"). Empty for an empty title.
 */
export function seriesKey(title: string): string {
  const text = title.normalize('NFKC').trim();
  const main = text.replace(/(?:[:：]|\s[-–—]\s).*$/, '');
  const short = ([...main].length > 3 ? main : text)
    .replace(/\b(?:part|chapter|episode|vol\.?|volume)\s.*$/i, '')
    .replace(/(?:第[一二三四五六七八九十\d]+[部集章]|[之续])$/u, '')
    .replace(/\s+(?:\d{1,2}|II|III|IV|V|VI|VII|VIII|IX)$/, '')
    .replace(/(?<=\p{Script=Han})\d$/u, '')
    .replace(/^(?:the|an?)\s+/i, '');
  return nameKey(short) || nameKey(text);
}
