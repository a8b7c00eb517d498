/** What of a screenplay is read: action, dialogue and lyrics, in a text as long as the source, so that places stay. */
import { splitSentences, type TextSpan } from '../chunks.js';
import type { ReadScreenplay } from './screenplay.js';
import type { ScriptElement, ScriptElementKind } from './types.js';

export const READ: ReadonlySet<ScriptElementKind> = new Set(['action', 'dialogue', 'lyrics', 'centered']);

/** Line ends and marks of emphasis become blanks inside a paragraph, everything else line ends. */
export function proseOf({ screenplay, flat }: ReadScreenplay): string {
  const parts: string[] = [];
  let at = 0;
  for (const { kind, start, end } of screenplay.elements) {
    if (!READ.has(kind)) continue;
    parts.push('\n'.repeat(start - at), flat.slice(start, end).replace(/[\s*_]/g, ' '));
    at = end;
  }
  parts.push('\n'.repeat(flat.length - at));
  return parts.join('');
}

export interface ScriptSentence extends TextSpan {
  text: string;
  speaker?: string;
}

/** Sentences of the elements that are read, in order, with who speaks them. */
export function* sentencesOf(
  elements: readonly ScriptElement[],
  prose: string,
  language: string,
): Generator<ScriptSentence> {
  for (const { kind, start, end, speaker } of elements) {
    if (!READ.has(kind)) continue;
    for (const span of splitSentences(prose.slice(start, end), language)) {
      const place = { start: start + span.start, end: start + span.end };
      const text = prose.slice(place.start, place.end).replace(/\s+/g, ' ');
      yield { ...place, text, ...(speaker !== undefined && { speaker }) };
    }
  }
}
