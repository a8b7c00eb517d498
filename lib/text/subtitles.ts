/** Subtitles: .srt and .vtt files into timed lines. */
import { InputError } from '../errors.js';
import { MAX_TEXT_CHARACTERS } from './read-text.js';

/** A line of dialogue with its time. */
export interface SubtitleCue {
  startMs: number;
  endMs: number;
  text: string;
  /** Who speaks, where the file says so: `<v Ann>`. */
  speaker?: string;
}

/** Cues of one file; a film of three hours has about 3,000. */
const MAX_CUES = 200_000;
/** Characters of one cue that are kept. */
const MAX_CUE = 10_000;

const ENTITIES: Record<string, string> = {
  '&amp;': '&',
  '&lt;': '<',
  '&gt;': '>',
  '&nbsp;': ' ',
  '&quot;': '"',
  '&#39;': "'",
  '&lrm;': '',
  '&rlm;': '',
};
const TIME = String.raw`(?:(\d{1,3}):)?(\d{1,2}):(\d{1,2})(?:[.,](\d{1,3}))?`;
const TIMING = new RegExp(String.raw`^\s*${TIME}\s*--?>\s*${TIME}(?!\d)`);
/** Blocks of .vtt that hold no dialogue. */
const NO_CUE = /^(?:WEBVTT|NOTE|STYLE|REGION)(?:\s|$)/;

/**
 * The cues of an .srt or .vtt file, in order: times in milliseconds, markup (`<i>`, `{\an8}`) and cue numbers left
 * out. A cue begins with its line of times, whether a blank line stands above it or not, and in .srt goes on over blank
 * lines. Lines outside cues (headers, notes, styles) are skipped; so are cues whose time cannot be read, is not a time
 * (minutes or seconds over 59), or ends before it begins.
 *
 * @throws InputError ERR_INPUT_VALUE  over 4,000,000 characters, or over 200,000 cues
 */
export function parseSubtitles(source: string): SubtitleCue[] {
  if (source.length > MAX_TEXT_CHARACTERS) {
    throw tooLong(`${MAX_TEXT_CHARACTERS} characters`, `${source.length}`);
  }
  const lines = source.replace(/^\ufeff/, '').split(/\r\n|[\n\r]/);
  const vtt = /^\s*WEBVTT/.test(lines.find((line) => line.trim() !== '') ?? '');
  const cues: SubtitleCue[] = [];
  let open: { cue: Pick<SubtitleCue, 'startMs' | 'endMs'>; text: string[] } | undefined;
  const close = () => {
    if (!open) return;
    const said = spoken(open.text);
    if (said.text !== '') cues.push({ ...open.cue, ...said });
    if (cues.length > MAX_CUES) throw tooLong(`${MAX_CUES} cues`, 'more');
    open = undefined;
  };
  lines.forEach((line, i) => {
    const time = TIMING.exec(line);
    const arrow = time !== null || line.includes('-->');
    // The number of the cue that begins here was taken for the end of the last one's text.
    if (arrow && /^\s*\d+\s*$/.test(lines[i - 1] ?? '')) open?.text.pop();
    if (arrow) close();
    if (time) {
      const cue = { startMs: milliseconds(time, 1), endMs: milliseconds(time, 5) };
      if (cue.endMs >= cue.startMs) open = { cue, text: [] };
    } else if (NO_CUE.test(line) || (vtt && line.trim() === '')) close();
    else if (!arrow) open?.text.push(line);
  });
  close();
  return cues;
}

function tooLong(limit: string, got: string): InputError {
  return new InputError('ERR_INPUT_VALUE', { field: 'subtitles', expected: `at most ${limit}`, got });
}

function spoken(lines: readonly string[]): Pick<SubtitleCue, 'text' | 'speaker'> {
  const raw = lines.join(' ').slice(0, MAX_CUE);
  const speaker = /<v(?:\.[^\s<>]{0,50})?\s+([^<>]{1,100})>/.exec(raw)?.[1]?.trim();
  const text = raw
    .replace(/<[^<>]{0,200}>|\{\\[^{}]{0,200}\}/g, '')
    .replace(/&(?:amp|lt|gt|nbsp|quot|#39|lrm|rlm);/g, (entity) => ENTITIES[entity]!)
    .replace(/\s+/g, ' ')
    .trim();
  return { text, ...(speaker && { speaker }) };
}

/** The dialogue of an .srt or .vtt file, a line a cue; of anything else the text as it is. */
export function dialogueOf(source: string): string {
  const cues = parseSubtitles(source);
  return cues.length > 0 ? cues.map(({ text }) => text).join('\n') : source;
}

/** NaN, which no comparison holds for, where it is no time of day. */
function milliseconds(match: RegExpExecArray, first: number): number {
  const [hours, minutes, seconds, fraction = '0'] = match.slice(first, first + 4);
  if (Number(minutes) > 59 || Number(seconds) > 59) return Number.NaN;
  return (
    Number(hours ?? 0) * 3_600_000 +
    Number(minutes) * 60_000 +
    Number(seconds) * 1000 +
    Number(fraction.padEnd(3, '0'))
  );
}
