import path from 'node:path';
import { throwIfCancelled, TrainError } from '../../errors.js';
import type { Evaluation, ForecastRow } from '../evaluation.js';
import type { MemberHistory } from '../fit-types.js';
import { drawCharts, headCharts, learningChart } from './charts.js';
import { evaluationCsv, forecastsCsv } from './csv.js';
import { type PageChart, reportPage } from './html.js';
import { posterUri } from './posters.js';
import { writeWhole } from '../../write-whole.js';

export interface ReportAbout {
  /** Default "Evaluation of MODEL", or "Evaluation". */
  title?: string;
  model?: { name: string; version?: string };
  data?: { name: string; sha256?: string };
  /** How to make it again. */
  command?: string;
  /** ISO 8601. Nothing is added by itself: the same evaluation gives the same files. */
  created?: string;
  /** Of fit, for the learning curves. */
  history?: readonly MemberHistory[];
}

export const REPORT_FORMATS = ['json', 'csv', 'html'] as const;
export type ReportFormat = (typeof REPORT_FORMATS)[number];

export interface ReportOptions {
  /** Default all three. */
  formats?: readonly ReportFormat[];
  /** Every forecast, for a table forecasts.csv beside evaluation.csv. */
  forecasts?: readonly ForecastRow[];
  /** Folder that relative poster files of the table are in. Default: the current one. */
  postersFrom?: string;
  signal?: AbortSignal | undefined;
}

/** @returns the document of evaluation.json */
export function reportJson(evaluation: Evaluation, about: ReportAbout = {}): string {
  return `${JSON.stringify({ about, evaluation }, null, 1)}\n`;
}

/**
 * @returns one HTML document with all plots and pictures in it
 * @throws TrainError ERR_TRAIN_WRITE  the optional packages vega and vega-lite are not there
 */
export async function reportHtml(
  evaluation: Evaluation,
  about: ReportAbout = {},
  { postersFrom = '', signal }: Pick<ReportOptions, 'postersFrom' | 'signal'> = {},
): Promise<string> {
  const charts = evaluation.heads.map((head) => headCharts(head, evaluation.modalities));
  const learning = about.history?.some(({ epochs }) => epochs.length > 1)
    ? learningChart(about.history)
    : undefined;
  const flat = [...charts.flat(), ...(learning ? [learning] : [])];
  const drawn = await drawCharts(flat, signal);
  const pages = flat.map(({ title, description }, i): PageChart => ({ title, description, svg: drawn[i]! }));
  const byHead: Record<string, PageChart[]> = {};
  let at = 0;
  for (const [h, { name }] of evaluation.heads.entries()) {
    byHead[name] = pages.slice(at, at + charts[h]!.length);
    at += charts[h]!.length;
  }
  const posters = new Map<string, string>();
  for (const { worst } of evaluation.heads) {
    for (const { poster } of worst) {
      throwIfCancelled(signal);
      if (poster === undefined || posters.has(poster)) continue;
      const uri = await posterUri(path.resolve(postersFrom, poster));
      if (uri !== undefined) posters.set(poster, uri);
    }
  }
  const { model, data } = about;
  return reportPage({
    title: about.title ?? (model ? `Evaluation of ${model.name}` : 'Evaluation'),
    facts: facts(evaluation, about).concat(
      data?.sha256 ? [['hash of the data and its split', data.sha256]] : [],
    ),
    evaluation,
    charts: byHead,
    learning: learning && pages.at(-1),
    posters,
  });
}

function facts({ part, films, modalities }: Evaluation, { model, data, command, created }: ReportAbout) {
  const all: [string, string | undefined][] = [
    ['model', model && [model.name, model.version].filter(Boolean).join(' ')],
    ['data', data?.name],
    ['judged on', `${films} films, part “${part}”`],
    ['inputs', modalities.join(', ')],
    ['command', command],
    ['made', created],
  ];
  return all.flatMap(([label, text]): [string, string][] => (text === undefined ? [] : [[label, text]]));
}

/**
 * Writes evaluation.json, evaluation.csv (and forecasts.csv) and evaluation.html into a folder. Every file is replaced
 * whole or not at all.
 *
 * @returns the files written
 * @throws TrainError ERR_TRAIN_WRITE  a file cannot be written; for HTML the optional packages are not there
 * @throws CancelledError ERR_CANCELLED
 */
export async function writeReport(
  folder: string,
  evaluation: Evaluation,
  about: ReportAbout = {},
  options: ReportOptions = {},
): Promise<string[]> {
  const { formats = REPORT_FORMATS, forecasts, signal } = options;
  const files: [name: string, text: string][] = [];
  for (const format of formats) {
    throwIfCancelled(signal);
    if (format === 'json') files.push(['evaluation.json', reportJson(evaluation, about)]);
    else if (format === 'csv') {
      files.push(['evaluation.csv', evaluationCsv(evaluation)]);
      if (forecasts) files.push(['forecasts.csv', forecastsCsv(forecasts)]);
    } else if (format === 'html')
      files.push(['evaluation.html', await reportHtml(evaluation, about, options)]);
    else {
      throw new TrainError('ERR_TRAIN_CONFIG', {
        field: 'formats',
        expected: REPORT_FORMATS.join(', '),
        got: String(format),
      });
    }
  }
  const written: string[] = [];
  for (const [name, text] of files) {
    const file = path.join(folder, name);
    await write(file, text);
    written.push(file);
  }
  return written;
}

async function write(file: string, text: string): Promise<void> {
  await writeWhole(file, text, { createFolder: true }).catch((cause: Error) => {
    throw new TrainError('ERR_TRAIN_WRITE', {
      file,
      message: `The report ${file} could not be written: ${cause.message}`,
      cause,
    });
  });
}
