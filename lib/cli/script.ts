/** `cinefuse script`: a screenplay scene by scene, or subtitles over their time. */
import type { ScriptAnalysis } from '../text/scripts/analyze.js';
import type { SubtitleAnalysis } from '../text/scripts/subtitles.js';
import type { Context, PredictorFlags } from './context.js';
import { EXIT, UsageError } from './exit.js';
import { openOutput } from './output.js';
import { Progress } from './progress.js';
import {
  bar,
  clock,
  columnsOf,
  padEnd,
  padStart,
  printable,
  type Style,
  styleFor,
  truncate,
  wrap,
} from './terminal.js';
import { isSubtitleFile, loadTextModels, readTextFile } from './text-input.js';

export interface ScriptFlags extends PredictorFlags {
  format: 'auto' | 'fountain' | 'plain';
  /** false: --no-tone */
  tone: boolean;
  language?: string;
  minutes: string;
  json?: boolean;
  output?: string;
}

interface Look {
  style: Style;
  columns: number;
}

const percent = (share: number) => `${Math.round(100 * share)} %`;
const BAR = 8;
const HEADING = 32;

/** "tension ██████      tone ████": two bars that read without colour. */
function curve(tension: number, tone: number | null, style: Style): string {
  const filled = padEnd(bar(tension, BAR), BAR);
  const shade = tension >= 0.5 ? style.bad : tension >= 0.35 ? style.fair : style.good;
  const warm = tone === null ? style.dim(padEnd('–', BAR)) : style.accent(padEnd(bar(tone, BAR), BAR));
  return `${shade(filled)}  ${warm}`;
}

function curveHeading(first: string, width: number, style: Style): string {
  return style.dim(
    `  ${padEnd(first, width)}${padEnd('tension', BAR + 2)}${padEnd('tone', BAR + 2)}key words`,
  );
}

function courseRow(
  label: string,
  width: number,
  values: string,
  words: string,
  { columns, style }: Look,
): string {
  const rest = columns - width - 2 * (BAR + 2) - 2;
  return `  ${padEnd(truncate(printable(label), width - 2), width)}${values}  ${style.dim(truncate(printable(words), rest))}`;
}

/** Most who are listed; the rest are counted. */
const MOST = 12;

export function scriptText(
  { screenplay, scenes, characters, keywords, tone, tension }: ScriptAnalysis,
  look: Look,
): string {
  const { style, columns } = look;
  const title = screenplay.titlePage.title ?? 'Untitled';
  const spoken = scenes.reduce((sum, scene) => sum + scene.spoken * scene.words, 0);
  const facts = [
    `${scenes.length} scene${scenes.length === 1 ? '' : 's'}`,
    `${screenplay.words.toLocaleString('en')} words, ${percent(screenplay.words === 0 ? 0 : spoken / screenplay.words)} of them spoken`,
    `about ${Math.max(1, Math.round(screenplay.pages))} page${screenplay.pages < 1.5 ? '' : 's'}`,
  ];
  const lines = [style.bold(printable(title)), style.dim(facts.join(' · ')), style.dim('─'.repeat(columns))];
  if (characters.length > 0) {
    lines.push('', '  Who speaks');
    for (const { name, share, speeches, scenes: seen } of characters.slice(0, MOST)) {
      const label = padEnd(truncate(printable(name), 22), 24);
      const where = `${speeches} × in ${seen.length} scene${seen.length === 1 ? '' : 's'}`;
      lines.push(
        `    ${label}${padStart(percent(share), 5)}  ${style.accent(padEnd(bar(share, 24), 26))}${style.dim(where)}`,
      );
    }
    if (characters.length > MOST) lines.push(style.dim(`    and ${characters.length - MOST} more`));
  }
  lines.push('', '  Scene by scene', curveHeading('', HEADING, style));
  for (const { index, heading, tension, tone, keywords } of scenes) {
    const label = `${padStart(String(index + 1), 3)} ${heading ?? '(before the first heading)'}`;
    const words = keywords.map(({ term }) => term).join(', ');
    lines.push(courseRow(label, HEADING, curve(tension.value, tone, style), words, look));
  }
  if (keywords.length > 0) {
    lines.push('', '  Key words');
    lines.push(
      ...wrap(printable(keywords.map(({ term }) => term).join(', ')), columns - 4).map(
        (line) => `    ${line}`,
      ),
    );
  }
  const overall = `Over the whole script: tension ${tension.toFixed(2)}, tone ${tone === null ? 'not scored' : tone.toFixed(2)} (0 grim to 1 warm). docs/scripts.md says what they are.`;
  lines.push('', ...wrap(overall, columns - 2).map((line) => style.dim(`  ${line}`)));
  return `${lines.map((line) => line.trimEnd()).join('\n')}\n`;
}

export function subtitleText({ cues, stretches, words }: SubtitleAnalysis, look: Look): string {
  const { style, columns } = look;
  const lines = [
    style.bold(`${cues.length.toLocaleString('en')} lines of dialogue, ${words.toLocaleString('en')} words`),
    style.dim('─'.repeat(columns)),
    '',
    curveHeading('from     words', 18, style),
  ];
  for (const { startMs, words, tension, tone, keywords, first, last } of stretches) {
    const label = `${clock(startMs, { hours: true })} ${padStart(String(words), 6)}`;
    const values = first === last ? ' '.repeat(2 * BAR + 2) : curve(tension.value, tone, style);
    lines.push(courseRow(label, 18, values, keywords.map(({ term }) => term).join(', '), look));
  }
  return `${lines.map((line) => line.trimEnd()).join('\n')}\n`;
}

export async function scriptCommand(file: string, flags: ScriptFlags, context: Context): Promise<number> {
  const { signal } = context;
  const minutes = Number(flags.minutes);
  if (!(minutes > 0 && minutes <= 600))
    throw new UsageError(`--minutes wants 0 to 600, not "${flags.minutes}"`);
  const text = await readTextFile(file);
  const output = await openOutput(flags.output);
  const progress = new Progress(100, process.stderr, '{bar} {percentage} %  {eta_formatted} to go');
  let told = 0;
  const onProgress = ({ done, total }: { done: number; total: number }) => {
    const share = Math.floor((100 * done) / total);
    progress.advance(share - told);
    told = share;
  };
  try {
    await using models = await loadTextModels(flags, context);
    const options = { models, tone: flags.tone, language: flags.language, signal, onProgress };
    const look = { style: styleFor(output.stream), columns: columnsOf(output.stream) };
    let result: ScriptAnalysis | SubtitleAnalysis;
    let words: string;
    if (isSubtitleFile(file)) {
      const { analyzeSubtitles } = await import('../text/scripts/subtitles.js');
      result = await analyzeSubtitles(text, { ...options, windowMs: minutes * 60_000 });
      words = subtitleText(result, look);
    } else {
      const { analyzeScript } = await import('../text/scripts/analyze.js');
      result = await analyzeScript(text, { ...options, format: flags.format });
      words = scriptText(result, look);
    }
    progress.stop();
    await output.write(flags.json ? `${JSON.stringify(result, null, 2)}\n` : words);
    await output.finish();
  } catch (error) {
    progress.stop();
    await output.abandon();
    throw error;
  }
  return EXIT.ok;
}
