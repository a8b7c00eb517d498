/** An evaluation's figures as a table for other programs: one figure a line. */
import type { Ends, Evaluation, ForecastRow, HeadEvaluation } from '../evaluation.js';
import type { Scores } from '../head-scores.js';
import { subsetLabel } from './labels.js';

type Cell = string | number | null | undefined;

/** RFC 4180. Numbers as they are; a text that a spreadsheet would run as a formula is led by an apostrophe. */
function line(cells: readonly Cell[]): string {
  const cell = (value: Cell) => {
    if (value === null || value === undefined) return '';
    if (typeof value === 'number') return String(value);
    const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value;
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return `${cells.map(cell).join(',')}\r\n`;
}

const FIGURE_COLUMNS = ['part', 'head', 'of', 'which', 'films', 'score', 'value', 'low', 'high'];

/**
 * Columns: part, head, of (model, baseline, gain, a subset's kind, group NAME), which (its name), films, score, value,
 * and low and high where there is an interval. What is not defined is empty.
 */
export function evaluationCsv(evaluation: Evaluation): string {
  return [line(FIGURE_COLUMNS), ...evaluation.heads.map((head) => headLines(evaluation, head))].join('');
}

function headLines(evaluation: Evaluation, head: HeadEvaluation): string {
  const lines: string[] = [];
  const put = (
    of: string,
    which: string,
    films: number,
    score: string,
    value: Cell,
    ends?: Ends | undefined,
  ) => lines.push(line([evaluation.part, head.name, of, which, films, score, value, ends?.[0], ends?.[1]]));
  const all = (
    of: string,
    which: string,
    films: number,
    scores: Scores,
    intervals: Readonly<Record<string, Ends>> = {},
  ) => {
    for (const [score, value] of Object.entries(scores))
      put(of, which, films, score, value, intervals[score]);
  };
  all('model', 'everything', head.films, head.scores, head.intervals);
  for (const { name, scores, intervals, gain } of head.baselines) {
    all('baseline', name, head.films, scores, intervals);
    put('gain over baseline', name, head.films, gain.score, gain.value, gain.interval);
  }
  for (const subset of head.subsets.slice(1)) {
    const label = subsetLabel(subset, evaluation.modalities);
    all(subset.kind, label, subset.films, subset.scores);
    if (subset.gain) {
      put(
        'gain of everything over',
        label,
        subset.films,
        subset.gain.score,
        subset.gain.value,
        subset.gain.interval,
      );
    }
  }
  for (const { group, values, gap } of head.groups) {
    for (const { value, films, scores, interval } of values) {
      const ends = gap ? { [gap.score]: interval } : {};
      all(`group ${group}`, value, films, scores, ends);
    }
  }
  if (head.calibration.kind === 'interval') {
    for (const { modalities, films, coverage, meanWidth } of head.calibration.byPresence) {
      const which = modalities.join(' + ');
      put('films that have just', which, films, 'coverage', coverage);
      put('films that have just', which, films, 'meanWidth', meanWidth);
    }
  }
  return lines.join('');
}

/** Every forecast beside its truth: columns id, head, truth, forecast, low, high. */
export function forecastsCsv(rows: readonly ForecastRow[]): string {
  return [
    line(['id', 'head', 'truth', 'forecast', 'low', 'high']),
    ...rows.map(({ id, head, truth, forecast, low, high }) => line([id, head, truth, forecast, low, high])),
  ].join('');
}
