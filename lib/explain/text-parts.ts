/** A text as parts that can be taken out of it: sentences and words. */
import type { TextSpan } from '../text/chunks.js';
import { splitSentences } from '../text/chunks.js';

/** Intl.Segmenter takes time quadratic in the length of what it is given. */
const MOST_CHARACTERS = 2000;

/** As long as the text; a line end within a paragraph, where lines were broken for their width, is a blank. */
export function unwrapped(text: string): string {
  return text.replace(/(?<=[^\r\n])\r?\n(?=[^\r\n])/g, (end) => ' '.repeat(end.length));
}

/** Sentences; neighbours together where there are more than `most`, about as many characters each. */
export function sentenceBlocks(text: string, most: number): TextSpan[] {
  const sentences = splitSentences(text);
  if (sentences.length <= most) return sentences;
  const size = sentences.reduce((sum, { start, end }) => sum + end - start, 0) / most;
  const blocks: TextSpan[] = [];
  let done = 0;
  for (const { start, end } of sentences) {
    const last = blocks.at(-1);
    // A block is begun when the ones before are full.
    if (last && done < blocks.length * size) last.end = end;
    else blocks.push({ start, end });
    done += end - start;
  }
  return blocks;
}

/** Every word of a part of a text, in order. */
export function wordSpans(text: string, { start, end }: TextSpan): TextSpan[] {
  const segmenter = new Intl.Segmenter(undefined, { granularity: 'word' });
  const spans: TextSpan[] = [];
  for (let from = start; from < end; ) {
    let to = Math.min(end, from + MOST_CHARACTERS);
    const blank = to < end ? text.lastIndexOf(' ', to) : -1;
    if (blank > from) to = blank;
    for (const { segment, index, isWordLike } of segmenter.segment(text.slice(from, to))) {
      if (isWordLike) spans.push({ start: from + index, end: from + index + segment.length });
    }
    from = to;
  }
  return spans;
}

/** Words wherever they occur: each once, in the order of their first occurrence, whatever their case. */
export function distinctWords(
  text: string,
  words: readonly TextSpan[],
): { text: string; spans: TextSpan[] }[] {
  const found = new Map<string, { text: string; spans: TextSpan[] }>();
  for (const span of words) {
    const word = text.slice(span.start, span.end);
    const key = word.normalize('NFKC').toLowerCase();
    const known = found.get(key);
    if (known) known.spans.push(span);
    else found.set(key, { text: word, spans: [span] });
  }
  return [...found.values()];
}

/** The text without these parts, and without the blanks that they leave doubled. */
export function withoutSpans(text: string, spans: readonly TextSpan[]): string {
  let result = '';
  let at = 0;
  for (const { start, end } of [...spans].sort((a, b) => a.start - b.start)) {
    if (start > at) result = joined(result, text.slice(at, start));
    at = Math.max(at, end);
  }
  return joined(result, text.slice(at)).trim();
}

function joined(before: string, after: string): string {
  if (/ $/.test(before) && /^[ ,.;:!?)]/.test(after)) return before.slice(0, -1) + after;
  return before === '' ? after.trimStart() : before + after;
}
