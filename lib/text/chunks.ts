/** A part of a text: UTF-16 offsets, end exclusive. */
export interface TextSpan {
  start: number;
  end: number;
}

/** Intl.Segmenter takes time quadratic in the length, so it gets pieces of about this many characters. */
const SEGMENT_BLOCK = 2000;

/**
 * Sentences of a text as trimmed, non-empty spans in order. A line break with a blank line after it, or one that ends a
 * line of a script, always ends a sentence.
 */
export function splitSentences(text: string, locale?: string): TextSpan[] {
  const segmenter = new Intl.Segmenter(supportedLocale(locale), { granularity: 'sentence' });
  const spans: TextSpan[] = [];
  for (const block of splitBlocks(text)) {
    for (const { segment, index } of segmenter.segment(text.slice(block.start, block.end))) {
      const start = block.start + index + (segment.length - segment.trimStart().length);
      const end = block.start + index + segment.trimEnd().length;
      if (end > start) spans.push({ start, end });
    }
  }
  return spans;
}

/**
 * A text whose paragraphs were broken into lines, with blanks for these breaks: every offset stays. Breaks before a blank
 * line, an indented line or the mark of a list stay.
 */
export function unwrapLines(text: string): string {
  return text.replace(/(?<=\S)[ \t]*\r?\n(?=[^\s*•\-–—])/g, (lineBreak) => ' '.repeat(lineBreak.length));
}

function supportedLocale(locale: string | undefined): string | undefined {
  if (locale === undefined || locale === 'und') return undefined;
  return Intl.Segmenter.supportedLocalesOf([locale])[0];
}

/** Lines, and long lines cut behind a blank or a full stop near the block size. */
function* splitBlocks(text: string): Generator<TextSpan> {
  for (let start = 0; start < text.length; ) {
    let end = text.indexOf('\n', start);
    end = end < 0 ? text.length : end + 1;
    if (end - start > SEGMENT_BLOCK) end = start + niceCut(text, start, start + SEGMENT_BLOCK);
    yield { start, end };
    start = end;
  }
}

/** Length of the part of [start, limit) that ends behind its last sentence end, else its last blank, else all of it. */
function niceCut(text: string, start: number, limit: number): number {
  const part = text.slice(start, limit);
  const sentence = /[\s\S]*[.!?。！？…]["'”’)\]]*\s/u.exec(part)?.[0].length ?? 0;
  if (sentence > part.length / 4) return sentence;
  const blank = part.lastIndexOf(' ') + 1;
  if (blank > part.length / 4) return blank;
  // Not between the halves of a surrogate pair.
  return /[\uD800-\uDBFF]$/.test(part) ? part.length - 1 : part.length;
}

export interface Chunk extends TextSpan {
  ids: number[];
}

/**
 * Packs whole sentences into chunks of at most `maxTokens` ids; a sentence that is longer alone is halved at a blank
 * until it fits. A text that fits as a whole is one chunk, encoded as it stands.
 *
 * @param encode  ids of a piece of text, special tokens included
 */
export function packChunks(
  text: string,
  maxTokens: number,
  encode: (piece: string) => number[],
  locale?: string,
): Chunk[] {
  const whole = trimmed(text, { start: 0, end: text.length });
  if (whole.start === whole.end) return [];
  // No tokenizer we know spends under a twentieth of an id on a character of prose.
  if (whole.end - whole.start <= maxTokens * 20) {
    const ids = encode(text.slice(whole.start, whole.end));
    if (ids.length <= maxTokens) return [{ ...whole, ids }];
  }
  const chunks: Chunk[] = [];
  let open: TextSpan | undefined;
  let openTokens = 0;
  const close = () => {
    if (open !== undefined) chunks.push(...fitting(open));
    open = undefined;
    openTokens = 0;
  };
  /** The span as one chunk, or halves of it that fit. */
  const fitting = (span: TextSpan): Chunk[] => {
    const ids = encode(text.slice(span.start, span.end));
    if (ids.length <= maxTokens || isOneCharacter(text, span))
      return [{ ...span, ids: ids.slice(0, maxTokens) }];
    const cut = halve(text, span);
    return [trimmed(text, { start: span.start, end: cut }), trimmed(text, { start: cut, end: span.end })]
      .filter(({ start, end }) => end > start)
      .flatMap(fitting);
  };
  for (const sentence of splitSentences(text, locale)) {
    const tokens = encode(text.slice(sentence.start, sentence.end)).length;
    if (open !== undefined && openTokens + tokens > maxTokens) close();
    open = { start: open?.start ?? sentence.start, end: sentence.end };
    openTokens += tokens;
  }
  close();
  return chunks;
}

function isOneCharacter(text: string, { start, end }: TextSpan): boolean {
  return end - start === (text.codePointAt(start)! > 0xffff ? 2 : 1);
}

/** The blank nearest the middle, else the middle itself. */
function halve(text: string, { start, end }: TextSpan): number {
  const middle = Math.floor((start + end) / 2);
  const before = text.lastIndexOf(' ', middle);
  const after = text.indexOf(' ', middle);
  const candidates = [before, after].filter((at) => at > start && at < end - 1);
  const nearest = candidates.sort((a, b) => Math.abs(a - middle) - Math.abs(b - middle))[0];
  if (nearest !== undefined) return nearest;
  if (!/[\uDC00-\uDFFF]/.test(text[middle]!)) return Math.max(start + 1, middle);
  return middle - 1 > start ? middle - 1 : middle + 1;
}

function trimmed(text: string, { start, end }: TextSpan): TextSpan {
  const part = text.slice(start, end);
  const left = part.length - part.trimStart().length;
  return { start: start + left, end: start + Math.max(left, part.trimEnd().length) };
}
