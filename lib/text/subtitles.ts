/** A line of dialogue with its time. */
export interface SubtitleCue {
  startMs: number;
  endMs: number;
  text: string;
}

const ENTITIES: Record<string, string> = { '&amp;': '&', '&lt;': '<', '&gt;': '>', '&nbsp;': ' ' };
const TIME = String.raw`(?:(\d{1,3}):)?(\d{1,2}):(\d{1,2})[.,](\d{1,3})`;
const TIMING = new RegExp(String.raw`^\s*${TIME}\s*-->\s*${TIME}`);

/**
 * The cues of an .srt or .vtt file, in order: times in milliseconds, markup (`<i>`, `{\an8}`) and cue numbers left
 * out. Lines outside cues (headers, notes, styles) are skipped; so are cues whose time cannot be read.
 */
export function parseSubtitles(source: string): SubtitleCue[] {
  const cues: SubtitleCue[] = [];
  for (const block of source.replace(/\r\n?/g, '\n').split(/\n[ \t]*\n/)) {
    const lines = block.split('\n');
    const at = lines.findIndex((line) => TIMING.test(line));
    if (at < 0) continue;
    const time = TIMING.exec(lines[at]!)!;
    const text = lines
      .slice(at + 1)
      .join(' ')
      .replace(/<[^<>]{0,200}>|\{\\[^{}]{0,200}\}/g, '')
      .replace(/&(amp|lt|gt|nbsp);/g, (entity) => ENTITIES[entity]!)
      .replace(/\s+/g, ' ')
      .trim();
    if (text !== '') cues.push({ startMs: milliseconds(time, 1), endMs: milliseconds(time, 5), text });
  }
  return cues;
}

/** The dialogue of an .srt or .vtt file, a line a cue; of anything else the text as it is. */
export function dialogueOf(source: string): string {
  const cues = parseSubtitles(source);
  return cues.length > 0 ? cues.map(({ text }) => text).join('\n') : source;
}

function milliseconds(match: RegExpExecArray, first: number): number {
  const [hours, minutes, seconds, fraction] = match.slice(first, first + 4);
  return (
    Number(hours ?? 0) * 3_600_000 +
    Number(minutes) * 60_000 +
    Number(seconds) * 1000 +
    Number(fraction!.padEnd(3, '0'))
  );
}
