/** A text with its sentences and words marked by what they did. */
import { type Html, html } from '../html.js';
import type { TextSpan } from '../text/chunks.js';
import type { HeadValue, TextExplanation } from './types.js';
import { signed } from './words.js';

/** Words underlined in one text. */
const MARKED_WORDS = 14;
/** A long text is shown where it matters: this many blocks of it. */
const SHOWN_BLOCKS = 30;

/** Colour of an effect; the strongest of the page is the darkest. */
export function tint(effect: number, strongest: number, most: number): string {
  const share = strongest > 0 ? Math.min(1, Math.abs(effect) / strongest) : 0;
  const [red, green, blue] = effect >= 0 ? [37, 99, 235] : [217, 87, 12];
  return `rgba(${red},${green},${blue},${(share * most).toFixed(3)})`;
}

interface Mark extends TextSpan {
  style: string;
  title: string;
}

export function markedText({ text, sentences, words }: TextExplanation, head: HeadValue): Html {
  const effectOf = ({ effects }: { effects: Record<string, number> }) => effects[head.head]!;
  const strongest = (parts: readonly { effects: Record<string, number> }[]) =>
    parts.reduce((most, part) => Math.max(most, Math.abs(effectOf(part))), 0);
  const [sentenceMost, wordMost] = [strongest(sentences), strongest(words)];
  const marks = words
    .slice(0, MARKED_WORDS)
    .flatMap((word): Mark[] => {
      const style = `border-bottom: 3px solid ${tint(effectOf(word), wordMost, 1)}`;
      return word.spans.map((span) => ({ ...span, style, title: signed(head, effectOf(word)) }));
    })
    .sort((a, b) => a.start - b.start);
  const shown = new Set(
    [...sentences].sort((a, b) => Math.abs(effectOf(b)) - Math.abs(effectOf(a))).slice(0, SHOWN_BLOCKS),
  );
  const parts: Html[] = [];
  let at = 0;
  let hidden = false;
  for (const sentence of sentences) {
    const { start, end } = sentence.spans[0]!;
    if (!shown.has(sentence)) {
      if (!hidden) parts.push(html` <span class="cut">[…]</span> `);
      hidden = true;
      at = end;
      continue;
    }
    hidden = false;
    parts.push(withMarks(text, { start: at, end: start }, marks));
    const style = `background: ${tint(effectOf(sentence), sentenceMost, 0.3)}`;
    const title = `this sentence: ${signed(head, effectOf(sentence))}`;
    parts.push(
      html`<span style="${style}" title="${title}">${withMarks(text, { start, end }, marks)}</span>`,
    );
    at = end;
  }
  if (!hidden) parts.push(withMarks(text, { start: at, end: text.length }, marks));
  return html`<p class="marked">${parts}</p>`;
}

function withMarks(text: string, { start, end }: TextSpan, marks: readonly Mark[]): Html {
  const parts: (Html | string)[] = [];
  let at = start;
  for (const mark of marks) {
    if (mark.start < at || mark.end > end) continue;
    parts.push(text.slice(at, mark.start));
    parts.push(
      html`<span style="${mark.style}" title="${mark.title}">${text.slice(mark.start, mark.end)}</span>`,
    );
    at = mark.end;
  }
  parts.push(text.slice(at, end));
  return html`${parts}`;
}
