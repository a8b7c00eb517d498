/** Words and numbers of a report, for people. */
import type { SubsetEvaluation } from '../evaluation.js';

const SCORE_LABELS: Readonly<Record<string, string>> = {
  rmse: 'RMSE',
  mae: 'MAE',
  r2: 'R²',
  pearson: 'Pearson',
  spearman: 'Spearman',
  kendallTauB: 'Kendall τ-b',
  bias: 'bias',
  coverage: 'coverage',
  meanWidth: 'mean width',
  accuracy: 'accuracy',
  macroF1: 'macro F1',
  macroPrecision: 'macro precision',
  macroRecall: 'macro recall',
  weightedF1: 'weighted F1',
  rocAuc: 'ROC AUC',
  averagePrecision: 'average precision',
  precision: 'precision',
  recall: 'recall',
  f1: 'F1',
  logLoss: 'log loss',
  brier: 'Brier',
  ece: 'ECE',
};

export const scoreLabel = (score: string): string => SCORE_LABELS[score] ?? score;

/** Three digits after the point; minus as a minus sign; a dash for what is not defined. */
export function figure(value: number | null | undefined, digits = 3): string {
  if (value === null || value === undefined || Number.isNaN(value)) return '–';
  if (!Number.isFinite(value)) return value > 0 ? '∞' : '−∞';
  const size = Math.abs(value);
  const text =
    size >= 1e6
      ? value.toExponential(2)
      : size < 0.5 / 10 ** digits
        ? (0).toFixed(digits)
        : value.toFixed(digits);
  return text.replace('-', '−');
}

export const range = (ends: readonly [number, number] | null | undefined): string =>
  ends ? `${figure(ends[0])} to ${figure(ends[1])}` : '–';

export const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

/** What a set of modalities is called in tables and plots. */
export function subsetLabel({ kind, modalities }: SubsetEvaluation, all: readonly string[]): string {
  if (kind === 'fused') return modalities.length === 1 ? `${modalities[0]} (all there is)` : 'everything';
  if (kind === 'alone') return `${modalities[0]} alone`;
  if (kind === 'without') return `without ${all.filter((name) => !modalities.includes(name)).join(', ')}`;
  return modalities.join(' + ');
}

/** What films that have just these inputs are called. */
export function presenceLabel(modalities: readonly string[], all: readonly string[]): string {
  const missing = all.filter((name) => !modalities.includes(name));
  if (missing.length === 0) return 'everything';
  if (missing.length < modalities.length) return `all but ${missing.join(', ')}`;
  return `only ${modalities.join(', ')}`;
}
