/** A film's analysis as text for people. */
import type { AnalyzedInput, FilmAnalysis } from '../analyze.js';
import { bar, clock, milliseconds, padEnd, printable, type Style, truncate, wrap } from './terminal.js';

interface Look {
  style: Style;
  columns: number;
}

const WORDS: Record<AnalyzedInput, string> = {
  synopsis: 'synopsis',
  script: 'screenplay',
  subtitles: 'subtitles',
  reviews: 'reviews',
  trailer: 'trailer',
};
const LABEL = 16;

const percent = (share: number) => `${Math.round(100 * share)} %`;

/** "label   text that is wrapped beside it". */
function beside(label: string, text: string, { columns }: Look, indent = 2): string[] {
  return wrap(printable(text), columns - indent - LABEL).map(
    (line, i) => `${' '.repeat(indent)}${padEnd(i === 0 ? label : '', LABEL)}${line}`,
  );
}

function keywordLines({ keywords }: FilmAnalysis, look: Look): string[] {
  const found = Object.entries(keywords).filter(([, words]) => words.length > 0);
  if (found.length === 0) return [];
  return [
    '',
    '  Key words',
    ...found.flatMap(([input, words]) =>
      beside(WORDS[input as AnalyzedInput], words.map(({ term }) => term).join(', '), look, 4),
    ),
  ];
}

function synopsisLines({ synopsis }: FilmAnalysis, look: Look): string[] {
  if (!synopsis || synopsis.tone === null) return [];
  const { tone, warmest, grimmest } = synopsis;
  return [
    '',
    `  Synopsis: tone ${tone.toFixed(2)} ${look.style.dim('(0 grim to 1 warm)')}`,
    ...(warmest ? beside('warmest', `“${warmest.text}”`, look, 4) : []),
    ...(grimmest && grimmest !== warmest ? beside('grimmest', `“${grimmest.text}”`, look, 4) : []),
  ];
}

function scriptLines({ script }: FilmAnalysis, look: Look): string[] {
  if (!script) return [];
  const { style } = look;
  const { scenes, characters } = script;
  const speak = characters.slice(0, 4).map(({ name, share }) => `${name} ${percent(share)}`);
  const tensest = [...scenes].sort((a, b) => b.tension.value - a.tension.value).slice(0, 3);
  return [
    '',
    `  Screenplay: ${scenes.length} scenes, ${script.screenplay.words.toLocaleString('en')} words`,
    ...(speak.length > 0 ? beside('who speaks', speak.join(', '), look, 4) : []),
    ...tensest.map(({ index, heading, tension }, i) => {
      const label = padEnd(i === 0 ? 'tensest' : '', LABEL);
      const name = padEnd(
        truncate(printable(`${index + 1} ${heading ?? ''}`), look.columns - 38),
        look.columns - 36,
      );
      return `    ${label}${name}${style.accent(bar(tension.value, 10))}`;
    }),
  ];
}

function reviewLines({ reviews }: FilmAnalysis, look: Look): string[] {
  if (!reviews) return [];
  const { count, tone, aspects, telling } = reviews;
  const lines = ['', `  Reviews: ${count}`];
  if (tone) {
    const { positiveShare, positiveInterval } = tone;
    const range = positiveInterval ? ` (${positiveInterval.map(percent).join(' to ')})` : '';
    lines[1] += `, ${percent(positiveShare)} of ${tone.count} positive in tone${range}`;
  }
  const spoken = aspects.slice(0, 5).map(({ aspect, mean }) => `${aspect} ${percent(mean)}`);
  if (spoken.length > 0) lines.push(...beside('aspects', spoken.join(', '), look, 4));
  const [best] = telling.positive;
  const [worst] = telling.negative;
  if (best) lines.push(...beside('for it', `“${best.text}”`, look, 4));
  if (worst) lines.push(...beside('against it', `“${worst.text}”`, look, 4));
  return lines;
}

function subtitleLines({ subtitles }: FilmAnalysis): string[] {
  if (!subtitles) return [];
  const { cues, words, tone } = subtitles;
  const last = cues.at(-1)!.endMs;
  const toned = tone === null ? '' : `, tone ${tone.toFixed(2)}`;
  return ['', `  Subtitles: ${cues.length} lines, ${words} words, the last at ${clock(last)}${toned}`];
}

function trailerLines({ trailer }: FilmAnalysis, look: Look): string[] {
  if (!trailer) return [];
  const { pictures, sound, durationMs } = trailer;
  const lines = ['', `  Trailer: ${clock(durationMs)}`];
  if (pictures) {
    const { shots, transitions, keyFrames } = pictures;
    const kinds = (['cut', 'fade', 'dissolve'] as const).map((kind) => {
      const count = transitions.filter((one) => one.kind === kind).length;
      return count === 0 ? [] : [`${count} ${kind}${count === 1 ? '' : 's'}`];
    });
    lines.push(...beside('shots', [`${shots.length}`, ...kinds.flat()].join(', '), look, 4));
    const frames = keyFrames.map(({ timeMs, file }) => file ?? clock(timeMs));
    if (frames.length > 0) lines.push(...beside('key frames', frames.join(', '), look, 4));
  }
  const loudness = sound?.loudness.integratedLufs;
  if (typeof loudness === 'number') lines.push(...beside('loudness', `${loudness.toFixed(1)} LUFS`, look, 4));
  return lines;
}

function leftOut({ notRead, missing }: FilmAnalysis, look: Look): string[] {
  const lines = notRead.flatMap(({ input, reason }) => beside(WORDS[input], reason, look, 4));
  return [
    ...(lines.length > 0 ? ['', '  Could not be read', ...lines] : []),
    ...(missing.length > 0
      ? ['', ...beside('Not given', missing.map((input) => WORDS[input]).join(', '), look)]
      : []),
  ];
}

/** Ends in a line break. */
export function analysisText(analysis: FilmAnalysis, source: string, look: Look): string {
  const { style, columns } = look;
  const lines = [
    style.bold(truncate(printable(analysis.title ?? analysis.id ?? source), columns)),
    style.dim('─'.repeat(columns)),
    ...keywordLines(analysis, look),
    ...synopsisLines(analysis, look),
    ...scriptLines(analysis, look),
    ...subtitleLines(analysis),
    ...reviewLines(analysis, look),
    ...trailerLines(analysis, look),
    ...leftOut(analysis, look),
    '',
    style.dim(`  ${milliseconds(analysis.milliseconds)}`),
  ];
  return `${lines.map((line) => line.trimEnd()).join('\n')}\n`;
}
