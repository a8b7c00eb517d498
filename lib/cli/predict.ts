import type { Feedback } from '../feedback.js';
import type { Context } from './context.js';
import { UsageError } from './exit.js';
import { csvHeader, failureCsv, failureJson, feedbackCsv, feedbackJson } from './formats.js';
import type { Output } from './output.js';
import { report, summary, summaryHeading } from './report.js';
import { type RunFlags, runFilms, type Writer } from './run-films.js';
import { columnsOf, styleFor } from './terminal.js';

export interface PredictFlags extends RunFlags {
  json?: boolean;
  csv?: boolean;
}

function jsonWriter(list: boolean): Writer<Feedback> {
  const document = (value: unknown) => `${JSON.stringify(value, null, list ? undefined : 2)}\n`;
  return {
    start: () => '',
    film: (source, _movie, feedback) => document(feedbackJson(source, feedback)),
    failure: (source, error) => document(failureJson(source, error)),
  };
}

const csvWriter: Writer<Feedback> = {
  start: () => csvHeader,
  film: (source, _movie, feedback) => feedbackCsv(source, feedback),
  failure: failureCsv,
};

function textWriter(lines: boolean, output: Output): Writer<Feedback> {
  const options = { style: styleFor(output.stream), columns: columnsOf(output.stream) };
  if (lines) {
    return {
      start: () => summaryHeading(options),
      film: (source, _movie, feedback) => summary(feedback, source, options),
      failure: () => '',
    };
  }
  let gap = '';
  return {
    start: () => '',
    film: (source, movie, feedback) => {
      const text = gap + report(feedback, movie, source, options);
      gap = '\n\n';
      return text;
    },
    failure: () => '',
  };
}

/** `cinefuse predict`: a report on each film, a line on each of a list, or JSON or CSV for machines. */
export async function predictCommand(
  paths: string[],
  flags: PredictFlags,
  context: Context,
): Promise<number> {
  if (flags.json && flags.csv) throw new UsageError('--json and --csv exclude each other');
  return runFilms<Feedback>(paths, flags, context, {
    writer: (list, output) => {
      if (flags.csv) return csvWriter;
      return flags.json ? jsonWriter(list) : textWriter(list, output);
    },
    async *work(predictor, movies) {
      const options = {
        signal: context.signal,
        onInputError: flags.skipBadInputs ? ('skip' as const) : ('throw' as const),
      };
      for await (const result of predictor.predictStream(movies, options))
        yield result.ok ? { ok: true, result: result.feedback } : { ok: false, error: result.error };
    },
  });
}
