/** Counting words of dialogue and action. */

const UNSPACED =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]/u;
const WORD = /[\p{L}\p{N}][\p{L}\p{M}\p{N}]*(?:['’-][\p{L}\p{N}][\p{L}\p{M}\p{N}]*)*/gu;
/** Intl.Segmenter takes time quadratic in the length. */
const PIECE = 1000;

let segmenter: Intl.Segmenter | undefined;

/** Words of a text; where a script puts no blanks between them, as Intl.Segmenter parts them. */
export function countWords(text: string): number {
  if (!UNSPACED.test(text)) return text.match(WORD)?.length ?? 0;
  segmenter ??= new Intl.Segmenter('zh', { granularity: 'word' });
  let count = 0;
  for (let start = 0; start < text.length; start += PIECE) {
    for (const { isWordLike } of segmenter.segment(text.slice(start, start + PIECE))) if (isWordLike) count++;
  }
  return count;
}
