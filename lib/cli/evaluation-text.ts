/** An evaluation as text for people, on a terminal. */
import type { Evaluation, HeadEvaluation } from '../train/evaluation.js';
import { figure, percent, presenceLabel, range, scoreLabel, subsetLabel } from '../train/report/labels.js';
import { displayWidth, padEnd, padStart, printable, type Style, truncate } from './terminal.js';

export interface EvaluationTextOptions {
  style: Style;
  columns: number;
}

/** Scores that a table has room for, the main ones first. */
const SHOWN: Record<HeadEvaluation['task'], string[]> = {
  regression: ['rmse', 'mae', 'r2', 'spearman', 'coverage'],
  binary: ['rocAuc', 'accuracy', 'macroF1', 'logLoss', 'ece'],
  multiclass: ['macroF1', 'accuracy', 'logLoss', 'ece'],
};

const LABEL = 30;

/** The tables of every head, ending in a line break. */
export function evaluationText(evaluation: Evaluation, options: EvaluationTextOptions): string {
  const { part, films, skipped } = evaluation;
  const lines = [
    `Judged on ${films} films of the part "${printable(part)}"${skipped > 0 ? `; ${skipped} more have no input` : ''}.`,
    ...evaluation.heads.flatMap((head) => ['', ...headLines(head, evaluation, options)]),
  ];
  return `${lines.join('\n')}\n`;
}

function headLines(
  head: HeadEvaluation,
  { modalities }: Evaluation,
  { style, columns }: EvaluationTextOptions,
): string[] {
  const what = printable(head.unit ?? head.positive ?? head.classes?.join(', ') ?? '');
  const scores = SHOWN[head.task];
  const lines = [
    truncate(`${style.bold(printable(head.name))}  ${head.films} films  ${what}`, columns + 10),
    tableRow(
      '',
      scores.map(scoreLabel).concat(head.baselines.length > 0 ? 'gain of the model' : []),
      (text) => style.dim(text),
    ),
    tableRow(
      'the model',
      scores.map((score) => figure(head.scores[score])),
      (text) => style.bold(text),
    ),
    tableRow(
      '  95 % interval, from',
      scores.map((score) => figure(head.intervals[score]?.[0])),
      style.dim,
    ),
    tableRow(
      '  to',
      scores.map((score) => figure(head.intervals[score]?.[1])),
      style.dim,
    ),
    ...head.baselines.map(({ name, scores: own, gain }) =>
      tableRow(name, [...scores.map((score) => figure(own[score])), gainText(gain)]),
    ),
  ];
  const subsets = head.subsets.filter(({ kind }) => kind === 'alone' || kind === 'without');
  if (subsets.length > 0) {
    lines.push(
      '',
      tableRow('inputs', [...scores.map(scoreLabel), 'gain of everything'], (text) => style.dim(text)),
    );
    for (const subset of subsets) {
      const label = `${subsetLabel(subset, modalities)} (${subset.films})`;
      lines.push(
        tableRow(label, [
          ...scores.map((score) => figure(subset.scores[score])),
          subset.gain ? gainText(subset.gain) : '',
        ]),
      );
    }
  }
  lines.push('', ...calibrationLines(head, modalities));
  for (const { group, values, left, gap } of head.groups) {
    const rest = left > 0 ? ` (${left} more have too few films)` : '';
    lines.push(
      gap
        ? `By ${printable(group)}: ${scoreLabel(gap.score)} is best for ${printable(gap.best)}, worst for ${printable(gap.worst)}; a gap of ${figure(gap.value)}${rest}.`
        : `By ${printable(group)}: ${values.length} with films enough to judge${rest}.`,
    );
  }
  const [worst] = head.worst;
  if (worst) {
    const text = (value: number | string) =>
      typeof value === 'number' ? figure(value, 2) : printable(value);
    lines.push(
      `Most wrong about ${printable(worst.title ?? worst.id)}: said ${text(worst.forecast)}, was ${text(worst.truth)}.`,
    );
  }
  return lines;
}

const gainText = ({ value, interval }: { value: number | null; interval: [number, number] | null }) =>
  value === null ? '–' : `${figure(value)} (${range(interval)})`;

function tableRow(
  label: string,
  cells: readonly string[],
  paint: (text: string) => string = (text) => text,
): string {
  const name = truncate(printable(label), LABEL);
  const padded = cells.map((cell) => padStart(cell, Math.max(9, displayWidth(cell) + 2)));
  return paint(`${padEnd(name, LABEL)}${padded.join('')}`.trimEnd());
}

function calibrationLines({ calibration }: HeadEvaluation, modalities: readonly string[]): string[] {
  if (calibration.kind === 'probability') {
    return [
      `Probabilities are off by ${percent(calibration.ece)} on average (ECE; ${calibrated(calibration.calibratedOn)}).`,
    ];
  }
  const { level, coverage, coverageInterval, byPresence } = calibration;
  const sets =
    byPresence.length > 1
      ? byPresence.map((set) => `${presenceLabel(set.modalities, modalities)} ${percent(set.coverage)}`)
      : [];
  const ends = coverageInterval
    ? ` (${percent(coverageInterval[0])} to ${percent(coverageInterval[1])})`
    : '';
  return [
    `Intervals that promise ${percent(level)} held ${percent(coverage)}${ends}; ${calibrated(calibration.calibratedOn)}.`,
    ...(sets.length > 0 ? [`  by what films have: ${sets.join('; ')}`] : []),
  ];
}

const calibrated = (on: string) => `calibrated on ${printable(on)}`;
