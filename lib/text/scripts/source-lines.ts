/** A screenplay's source as lines with their places; comments and notes blanked, so that offsets stay those of the source. */
import type { TextSpan } from '../chunks.js';

export interface SourceLine extends TextSpan {
  /** Trimmed, comments and notes left out. */
  text: string;
  /** Columns before the text; a tab goes to the next multiple of 8. */
  indent: number;
  /** Nothing on it, or only a comment. */
  blank: boolean;
  /** Blank, but for two spaces or more: in dialogue that is an empty line, not its end. */
  held: boolean;
}

export interface SourceLines {
  lines: SourceLine[];
  /** As long as the source: comments and notes are blanks in it. */
  flat: string;
  notes: TextSpan[];
}

/** Fills a span with blanks; line ends stay. */
function blanked(text: string): string {
  return text.replace(/[^\r\n]/g, ' ');
}

/** Spans from `open` to the next `close`; one that is not closed (or not before a blank line) is plain text. */
function enclosed(source: string, open: string, close: string, overBlankLines: boolean): TextSpan[] {
  const spans: TextSpan[] = [];
  for (let start = source.indexOf(open); start >= 0; ) {
    const end = source.indexOf(close, start + open.length);
    if (end < 0) break;
    // The innermost opening counts: of two, the first was never closed.
    if (!overBlankLines) start = Math.max(start, source.lastIndexOf(open, end - 1));
    if (overBlankLines || !/\n[ \t]*\r?\n/.test(source.slice(start, end))) {
      spans.push({ start, end: end + close.length });
    }
    start = source.indexOf(open, end + close.length);
  }
  return spans;
}

function without(source: string, spans: readonly TextSpan[]): string {
  if (spans.length === 0) return source;
  const parts: string[] = [];
  let at = 0;
  for (const { start, end } of spans) {
    parts.push(source.slice(at, start), blanked(source.slice(start, end)));
    at = end;
  }
  parts.push(source.slice(at));
  return parts.join('');
}

function indentOf(line: string): number {
  let column = 0;
  for (const character of line) {
    if (character === '\t') column += 8 - (column % 8);
    else if (character === '\u3000') column += 2;
    else if (character === ' ' || character === '\u00a0') column++;
    else break;
  }
  return column;
}

/** Lines read between two looks at the clock. */
const STEP = 2000;

/** Yields between stretches of work. */
export function* sourceLines(source: string): Generator<void, SourceLines, void> {
  const uncommented = without(source, enclosed(source, '/*', '*/', true));
  const notes = enclosed(uncommented, '[[', ']]', false);
  const flat = without(uncommented, notes).replace(/\ufeff/g, ' ');
  const lines: SourceLine[] = [];
  yield;
  const lineEnd = /\r\n|[\n\r\f\u2028\u2029]/g;
  for (let start = 0; start <= flat.length; ) {
    const ending = lineEnd.exec(flat);
    const stop = ending?.index ?? flat.length;
    const raw = flat.slice(start, stop);
    const text = raw.trim();
    // A line of nothing but a comment is no line: it does not end the paragraph it stands in.
    const comment = text === '' && source.slice(start, stop).trim() !== '';
    if (!comment) {
      const left = raw.length - raw.trimStart().length;
      const place = { start: start + (text === '' ? 0 : left), end: start + raw.trimEnd().length };
      const held = text === '' && raw.length >= 2;
      lines.push({ ...place, text, indent: indentOf(raw), blank: text === '', held });
    }
    if (!ending) break;
    if (lines.length % STEP === 0) yield;
    start = lineEnd.lastIndex;
  }
  return { lines, flat, notes };
}
