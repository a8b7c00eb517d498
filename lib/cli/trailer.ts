/** `cinefuse trailer`: what happens in a video, shot by shot. */
import type {
  Curve,
  PictureAnalysis,
  SoundAnalysis,
  TrailerAnalysis,
  TrailerProgress,
} from '../trailer/index.js';
import type { Context } from './context.js';
import { EXIT, UsageError } from './exit.js';
import { openOutput } from './output.js';
import { Progress } from './progress.js';
import { bar, columnsOf, padEnd, padStart, printable, type Style, styleFor } from './terminal.js';

export interface TrailerFlags {
  frames?: string;
  count: string;
  format: 'jpeg' | 'png';
  /** false: --no-motion */
  motion: boolean;
  /** false: --no-sound */
  sound: boolean;
  threads?: number;
  isolation?: 'thread' | 'process';
  json?: boolean;
  output?: string;
}

interface View {
  style: Style;
  columns: number;
}

/** 83456 -> "1:23.46" */
export function timeText(ms: number): string {
  const hundredths = Math.round(ms / 10);
  const two = (value: number) => String(value).padStart(2, '0');
  const seconds = `${two(Math.floor(hundredths / 100) % 60)}.${two(hundredths % 100)}`;
  const minutes = Math.floor(hundredths / 6000);
  return minutes >= 60
    ? `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${seconds}`
    : `${minutes}:${seconds}`;
}

const BLOCKS = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/** A curve as one line of blocks, from `low` to `high`. */
export function sparkline({ values }: Curve, width: number, low: number, high: number): string {
  const cells = Math.min(width, values.length);
  return Array.from({ length: cells }, (_, i) => {
    const from = Math.floor((i * values.length) / cells);
    const part = values.slice(from, Math.max(from + 1, Math.floor(((i + 1) * values.length) / cells)));
    const mean = part.reduce((sum, value) => sum + value, 0) / part.length;
    const share = high > low ? (mean - low) / (high - low) : 0;
    return BLOCKS[Math.max(0, Math.min(7, Math.floor(share * 8)))];
  }).join('');
}

const percent = (share: number) => `${Math.round(100 * share)} %`;
const level = (value: number | null, unit: string) =>
  value === null ? 'silent' : `${value.toFixed(1)} ${unit}`;
const LABEL = 12;

function picturesText(pictures: PictureAnalysis, { style, columns }: View): string[] {
  const { shots, transitions, scenes, flashes, figures, curves, keyFrames } = pictures;
  const into = new Map(transitions.map((transition) => [transition.to, transition]));
  const sceneOf = (shot: number) => scenes.findIndex(({ lastShot }) => shot <= lastShot) + 1;
  const many = (count: number, what: string) => `${count} ${what}${count === 1 ? '' : 's'}`;
  const facts = [
    many(shots.length, 'shot'),
    many(scenes.length, 'scene'),
    `mean ${(figures.meanShotMs / 1000).toFixed(2)} s, median ${(figures.medianShotMs / 1000).toFixed(2)} s`,
    ...(flashes.length > 0 ? [many(flashes.length, 'flash').replace('flashs', 'flashes')] : []),
  ];
  const width = columns - LABEL - 2;
  const row = (label: string, text: string) => `  ${padEnd(label, LABEL)}${text}`;
  const lines = [
    row('shots', facts.join(' · ')),
    row(
      'light',
      `brightness ${percent(figures.brightness)}, contrast ${percent(figures.contrast)}, saturation ${percent(figures.saturation)}`,
    ),
    row('', style.accent(sparkline(curves.brightness, width, 0, 1))),
  ];
  if (curves.motion) {
    const most = Math.max(0.05, ...curves.motion.values);
    lines.push(row('motion', `mean ${(figures.motion ?? 0).toFixed(2)} picture widths a second`));
    lines.push(row('', style.accent(sparkline(curves.motion, width, 0, most))));
  }
  lines.push('', style.dim('  shot   scene  begins     lasts     comes by    light     motion'));
  for (const [i, shot] of shots.entries()) {
    const transition = into.get(i);
    const by = transition ? `${transition.kind}${transition.through ? ` (${transition.through})` : ''}` : '';
    const cells = [
      padStart(String(i + 1), 6),
      padStart(String(sceneOf(i)), 8),
      padStart(timeText(shot.startMs), 10),
      padStart(`${((shot.endMs - shot.startMs) / 1000).toFixed(2)} s`, 10),
      `   ${padEnd(by, 14)}`,
      padEnd(style.fair(bar(shot.brightness, 8)), 10),
      shot.motion === undefined ? '' : style.accent(bar(Math.min(1, shot.motion), 8)),
    ];
    lines.push(cells.join('').trimEnd());
  }
  if (keyFrames.length > 0) {
    lines.push('', style.dim('  key frames'));
    for (const { timeMs, shot, file } of keyFrames) {
      const where = file === undefined ? '' : `  ${printable(file)}`;
      lines.push(
        `  ${padStart(timeText(timeMs), 10)}  shot ${padEnd(String(shot + 1), 5)}${where}`.trimEnd(),
      );
    }
  }
  return lines;
}

function soundText({ loudness, rhythm }: SoundAnalysis, { style, columns }: View): string[] {
  const width = columns - LABEL - 2;
  const row = (label: string, text: string) => `  ${padEnd(label, LABEL)}${text}`;
  return [
    row(
      'loudness',
      `${level(loudness.integratedLufs, 'LUFS')}, range ${loudness.rangeLu.toFixed(1)} LU, peak ${level(loudness.samplePeakDb, 'dB')}`,
    ),
    row('', style.accent(sparkline(loudness.momentary, width, -50, -5))),
    row(
      'rhythm',
      `${rhythm.tempoBpm === null ? 'none' : `${Math.round(rhythm.tempoBpm)} beats a minute`}, ${rhythm.onsetsMs.length} onsets`,
    ),
  ];
}

export function trailerText(name: string, analysis: TrailerAnalysis, view: View): string {
  const { pictures, sound, durationMs, format } = analysis;
  const facts = [
    timeText(durationMs),
    ...(pictures
      ? [
          `${pictures.width} x ${pictures.height}`,
          `${Number(pictures.frameRate.toFixed(3))} pictures a second`,
        ]
      : ['no pictures']),
    format,
  ];
  const lines = [
    view.style.bold(printable(name)),
    view.style.dim(facts.join(' · ')),
    view.style.dim('─'.repeat(view.columns)),
  ];
  if (sound) lines.push(...soundText(sound, view));
  else lines.push(`  ${padEnd('sound', LABEL)}${view.style.dim('none')}`);
  if (pictures) lines.push(...picturesText(pictures, view));
  return `${lines.join('\n')}\n`;
}

/** How much of the whole each stage is, by what it usually takes. */
const SHARE: Record<TrailerProgress['stage'], number> = {
  sound: 8,
  pictures: 60,
  shots: 5,
  motion: 25,
  'key-frames': 2,
};

/** Analyses one file: text for a person, or `--json`. */
export async function trailerCommand(file: string, flags: TrailerFlags, context: Context): Promise<number> {
  const maxCount = Number(flags.count);
  if (!/^\d+$/.test(flags.count) || maxCount < 1 || maxCount > 256) {
    throw new UsageError(`--count wants a whole number from 1 to 256, not "${flags.count}"`);
  }
  const { analyzeTrailer } = await import('../trailer/index.js');
  const output = await openOutput(flags.output);
  const progress = new Progress(100, process.stderr, '{bar} {percentage} %  {eta_formatted} to go');
  const told = new Map<string, number>();
  try {
    const analysis = await analyzeTrailer(
      { path: file },
      {
        keyFrames: {
          maxCount,
          format: flags.format,
          ...(flags.frames !== undefined && { directory: flags.frames }),
        },
        motion: flags.motion,
        sound: flags.sound,
        ...(flags.isolation !== undefined && { isolation: flags.isolation }),
        ...(flags.threads !== undefined && { exec: { threads: flags.threads } }),
        signal: context.signal,
        onProgress: ({ stage, done }) => {
          progress.advance(SHARE[stage] * (done - (told.get(stage) ?? 0)));
          told.set(stage, done);
        },
      },
    );
    progress.stop();
    const view = { style: styleFor(output.stream), columns: columnsOf(output.stream) };
    await output.write(
      flags.json ? `${JSON.stringify(analysis, null, 2)}\n` : trailerText(file, analysis, view),
    );
    await output.finish();
  } catch (error) {
    progress.stop();
    await output.abandon();
    throw error;
  }
  return EXIT.ok;
}
