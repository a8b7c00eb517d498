/** Scenes, characters and length of a script from its elements. */
import type { Heading } from './patterns.js';
import type { ScriptCharacter, ScriptElement, ScriptElementKind, ScriptScene } from './types.js';

/** What makes a scene of what stands before the first heading. */
const CONTENT: ReadonlySet<ScriptElementKind> = new Set(['action', 'character', 'dialogue', 'lyrics']);

export function scenesOf(
  elements: readonly ScriptElement[],
  headings: ReadonlyMap<ScriptElement, Heading>,
): ScriptScene[] {
  const starts = elements.flatMap(({ kind }, i) => (kind === 'heading' ? [i] : []));
  const before = elements.slice(0, starts[0] ?? elements.length);
  if (before.some(({ kind }) => CONTENT.has(kind))) starts.unshift(0);
  return starts.map((first, index): ScriptScene => {
    const last = starts[index + 1] ?? elements.length;
    const heading = elements[first]!;
    const found = headings.get(heading);
    const speakers = new Set<string>();
    let end = heading.end;
    for (const element of elements.slice(first, last)) {
      if (element.kind === 'character') speakers.add(element.speaker!);
      end = Math.max(end, element.end);
    }
    return {
      index,
      ...(heading.kind === 'heading' && { heading: heading.text, ...found }),
      start: heading.start,
      end,
      first,
      last,
      speakers: [...speakers],
    };
  });
}

/** @param words  of each element */
export function charactersOf(
  elements: readonly ScriptElement[],
  words: readonly number[],
  scenes: readonly ScriptScene[],
): ScriptCharacter[] {
  const found = new Map<string, ScriptCharacter>();
  let spoken = 0;
  for (const { index, first, last } of scenes) {
    for (let i = first; i < last; i++) {
      const { speaker, kind } = elements[i]!;
      if (speaker === undefined) continue;
      let one = found.get(speaker);
      if (!one) {
        one = { name: speaker, speeches: 0, words: 0, share: 0, scenes: [] };
        found.set(speaker, one);
      }
      if (kind === 'character') one.speeches++;
      if (one.scenes.at(-1) !== index) one.scenes.push(index);
      if (kind === 'dialogue' || kind === 'lyrics') {
        one.words += words[i]!;
        spoken += words[i]!;
      }
    }
  }
  const all = [...found.values()];
  for (const one of all) one.share = spoken === 0 ? 0 : one.words / spoken;
  // Sorting is stable: of two with equal words the one who speaks first comes first.
  return all.sort((a, b) => b.words - a.words);
}

const LINES_A_PAGE = 55;
/** Columns of a line in the usual layout, and blank lines above. An ideograph takes two. */
const LAYOUT: Partial<Record<ScriptElementKind, { columns: number; above: number }>> = {
  heading: { columns: 60, above: 2 },
  action: { columns: 60, above: 1 },
  centered: { columns: 60, above: 1 },
  transition: { columns: 60, above: 1 },
  character: { columns: 35, above: 1 },
  parenthetical: { columns: 25, above: 0 },
  dialogue: { columns: 35, above: 0 },
  lyrics: { columns: 35, above: 0 },
};

export function pagesOf(elements: readonly ScriptElement[]): number {
  let lines = 0;
  for (const { kind, text } of elements) {
    const layout = LAYOUT[kind];
    if (!layout) continue;
    const wide = text.match(/[\u2e80-\u9fff\uac00-\ud7a3\uff00-\uff60]/g)?.length ?? 0;
    lines += layout.above + Math.max(1, Math.ceil((text.length + wide) / layout.columns));
  }
  return Math.round((10 * lines) / LINES_A_PAGE) / 10;
}
