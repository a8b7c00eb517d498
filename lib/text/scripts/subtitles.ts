/** Subtitles as a course of dialogue: tone, tension and key words by stretches of time. */
import { InputError } from '../../errors.js';
import type { Keyword } from '../keywords/extract.js';
import { readText } from '../read-text.js';
import { parseSubtitles, type SubtitleCue } from '../subtitles.js';
import { factsOf, languageOf, openModels, type PassageOptions, partKeywords } from './passages.js';
import { type Tension, tensionOf, toneOf } from './tension.js';

export interface AnalyzeSubtitlesOptions extends PassageOptions {
  /** Length of a stretch. Default 120,000, two minutes; 1,000 to 36,000,000. */
  windowMs?: number | undefined;
}

export interface SubtitleStretch {
  startMs: number;
  endMs: number;
  /** Its lines: `cues[first]` up to `cues[last - 1]`. */
  first: number;
  last: number;
  words: number;
  /** Share of the time in which somebody speaks. */
  speech: number;
  /** Null where nothing is said, or it cannot be scored. */
  tone: number | null;
  tension: Tension;
  keywords: Keyword[];
}

export interface SubtitleAnalysis {
  language: string;
  cues: SubtitleCue[];
  stretches: SubtitleStretch[];
  words: number;
  tone: number | null;
}

/** Stretches of one film. */
const MAX_STRETCHES = 20_000;

/**
 * What is said in a film over its time: the cues of an .srt or .vtt file in stretches of `windowMs`, a cue in the one it
 * begins in. Tone and tension as analyzeScript has them, a cue for a sentence; the `document` of a key word's span is the
 * cue, its offsets are in the cue's text.
 *
 * @param subtitles  the contents of the file, or the file
 * @throws InputError as readText; ERR_INPUT_EMPTY  no cue in it; ERR_INPUT_VALUE  as parseSubtitles, and a wrong windowMs
 * @throws ModelError ERR_MODEL_*, BundleError ERR_BUNDLE_*  of the bundle; CancelledError ERR_CANCELLED
 */
export async function analyzeSubtitles(
  subtitles: string | { path: string },
  options: AnalyzeSubtitlesOptions = {},
): Promise<SubtitleAnalysis> {
  const { windowMs = 120_000, signal } = options;
  if (!(windowMs >= 1000 && windowMs <= 36_000_000)) {
    throw new InputError('ERR_INPUT_VALUE', {
      field: 'options.windowMs',
      expected: 'milliseconds from 1000 to 36,000,000',
      got: String(windowMs),
    });
  }
  const cues = parseSubtitles(await readText(subtitles, 'subtitles'));
  if (cues.length === 0) {
    throw new InputError('ERR_INPUT_EMPTY', {
      field: 'subtitles',
      expected: 'an .srt or .vtt file with lines of dialogue',
      got: 'a text without any',
    });
  }
  // A file may hold its cues in any order.
  cues.sort((a, b) => a.startMs - b.startMs || a.endMs - b.endMs);
  const groups = stretchesOf(cues, windowMs);
  await using open = await openModels(options.models, { signal });
  const { models } = open;
  const texts = cues.map(({ text }) => text);
  const language = await languageOf(texts.join('\n'), models, options);
  const parts = groups.map(({ first, last }) => texts.slice(first, last).join('\n\n'));
  const [facts, keywords] = await Promise.all([
    factsOf(texts, language, models, options),
    partKeywords(parts, language, new Set(), models, options),
  ]);
  const stretches = groups.map(({ first, last, ...time }, i): SubtitleStretch => {
    const own = facts.slice(first, last);
    return {
      ...time,
      first,
      last,
      words: own.reduce((sum, { words }) => sum + words, 0),
      speech: speechShare(cues.slice(first, last), time),
      tone: toneOf(own),
      tension: tensionOf(own),
      keywords: keywords[i]!.map((keyword) => ({
        ...keyword,
        spans: keyword.spans.map(({ start, end }) => inCue(texts, first, start, end)),
      })),
    };
  });
  const words = facts.reduce((sum, one) => sum + one.words, 0);
  return { language, cues, stretches, words, tone: toneOf(facts) };
}

type Group = Pick<SubtitleStretch, 'startMs' | 'endMs' | 'first' | 'last'>;

function stretchesOf(cues: readonly SubtitleCue[], windowMs: number): Group[] {
  const count = Math.floor(cues.at(-1)!.startMs / windowMs) + 1;
  if (count > MAX_STRETCHES) {
    throw new InputError('ERR_INPUT_VALUE', {
      field: 'options.windowMs',
      expected: `at most ${MAX_STRETCHES} stretches`,
      got: `${count}`,
    });
  }
  let at = 0;
  return Array.from({ length: count }, (_, i): Group => {
    const [startMs, endMs] = [i * windowMs, (i + 1) * windowMs];
    const first = at;
    while (at < cues.length && cues[at]!.startMs < endMs) at++;
    return { startMs, endMs, first, last: at };
  });
}

/** Share of a stretch that its own cues cover; where they overlap time counts once. */
function speechShare(
  cues: readonly SubtitleCue[],
  { startMs, endMs }: Pick<Group, 'startMs' | 'endMs'>,
): number {
  let covered = 0;
  let until = startMs;
  for (const cue of cues) {
    const end = Math.min(cue.endMs, endMs);
    covered += Math.max(0, end - Math.max(cue.startMs, until));
    until = Math.max(until, end);
  }
  return covered / (endMs - startMs);
}

/** A place in the texts of a stretch, joined by two line ends, as one in its cue. */
function inCue(texts: readonly string[], first: number, start: number, end: number) {
  let cue = first;
  let offset = 0;
  while (start >= offset + texts[cue]!.length + 2) offset += texts[cue++]!.length + 2;
  return { document: cue, start: start - offset, end: end - offset };
}
