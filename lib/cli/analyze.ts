/** `cinefuse analyze`: key words, sentiment, script and trailer of films. */
import type { AnalyzeFilmOptions, FilmAnalysis } from '../analyze.js';
import type { Movie } from '../movie.js';
import type { Context, PredictorFlags } from './context.js';
import { EXIT, UsageError } from './exit.js';
import { Failures } from './failures.js';
import { readFilms } from './films.js';
import { failureJson } from './formats.js';
import { openOutput } from './output.js';
import { analysisText } from './analysis-text.js';
import { columnsOf, styleFor } from './terminal.js';
import { loadTextModels } from './text-input.js';

export interface AnalyzeFlags extends PredictorFlags {
  /** false: --no-keywords, --no-sentiment, --no-trailer */
  keywords: boolean;
  sentiment: boolean;
  trailer: boolean;
  /** Where key frames are saved. */
  frames?: string;
  skipBadInputs?: boolean;
  json?: boolean;
  output?: string;
}

/** One film after the other: their parts share what there is to compute with. */
export async function analyzeCommand(
  paths: string[],
  flags: AnalyzeFlags,
  context: Context,
): Promise<number> {
  if (!flags.keywords && !flags.sentiment && !flags.trailer) {
    throw new UsageError('--no-keywords, --no-sentiment and --no-trailer leave nothing to do');
  }
  const { analyzeFilm } = await import('../analyze.js');
  const { signal } = context;
  const output = await openOutput(flags.output);
  const failures = new Failures();
  const style = styleFor(output.stream);
  const look = { style, columns: columnsOf(output.stream) };
  let films = 0;
  try {
    await using models = await loadTextModels(flags, context);
    const options: AnalyzeFilmOptions = {
      keywords: flags.keywords,
      sentiment: flags.sentiment,
      trailer: flags.trailer && (flags.frames === undefined || { keyFrames: { directory: flags.frames } }),
      onInputError: flags.skipBadInputs ? 'skip' : 'throw',
      models,
      signal,
    };
    const notes = {
      onProgress: () => {},
      onUnknownColumns: (columns: string[]) =>
        process.stderr.write(`cinefuse: columns that are not used: ${columns.join(', ')}\n`),
    };
    for await (const entry of readFilms(paths, notes)) {
      const outcome = await ('error' in entry ? entry : analyzed(entry.movie, analyzeFilm, options));
      if ('error' in outcome) {
        failures.add(entry.source, outcome.error);
        if (flags.json) await output.write(`${JSON.stringify(failureJson(entry.source, outcome.error))}\n`);
      } else if (flags.json) {
        await output.write(`${JSON.stringify({ source: entry.source, ok: true, ...outcome.analysis })}\n`);
      } else {
        await output.write(`${films > 0 ? '\n\n' : ''}${analysisText(outcome.analysis, entry.source, look)}`);
      }
      films++;
    }
    await output.finish();
  } catch (error) {
    await output.abandon();
    throw error;
  }
  if (films === 0) process.stderr.write('cinefuse: no film was found\n');
  if (failures.count > 0) {
    process.stderr.write(`\n${failures.text(films, columnsOf(process.stderr), styleFor(process.stderr))}`);
  }
  if (failures.count === films) return EXIT.nothingWorked;
  return failures.count > 0 ? EXIT.someFailed : EXIT.ok;
}

async function analyzed(
  movie: Movie,
  analyze: (movie: Movie, options: AnalyzeFilmOptions) => Promise<FilmAnalysis>,
  options: AnalyzeFilmOptions,
): Promise<{ analysis: FilmAnalysis } | { error: unknown }> {
  try {
    return { analysis: await analyze(movie, options) };
  } catch (error) {
    if (options.signal?.aborted) throw error;
    return { error };
  }
}
