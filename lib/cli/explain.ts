/** `cinefuse explain`, `cinefuse whatif` and `cinefuse index`. */
import { throwIfCancelled } from '../errors.js';
import type { FilmIndex } from '../explain/film-index.js';
import type { TriedChange } from '../explain/page.js';
import type { Explanation, ExplainOptions } from '../explain/types.js';
import type { WhatIf } from '../explain/what-if.js';
import type { Movie } from '../movie.js';
import type { Predictor } from '../predict.js';
import { changesOf, parseChange } from './changes.js';
import { type Context, loadPredictor, type PredictorFlags } from './context.js';
import { EXIT, UsageError } from './exit.js';
import { explanationText, whatIfText } from './explain-text.js';
import { kindOfInput } from './films.js';
import { failureJson } from './formats.js';
import { openOutput } from './output.js';
import { Progress } from './progress.js';
import { type Outcome, type RunFlags, runFilms } from './run-films.js';
import { columnsOf, styleFor } from './terminal.js';

export interface ExplainFlags extends RunFlags {
  json?: boolean;
  html?: string;
  heatMap?: string;
  head?: string;
  index?: string;
  comparables?: string;
  draws?: string;
  seed?: string;
  /** Changes to be tried for the report, each a list of FIELD=VALUE joined by ";". */
  try?: string[];
}

const count = (flag: string, text: string | undefined): number | undefined => {
  if (text === undefined) return undefined;
  if (!/^\d{1,9}$/.test(text)) throw new UsageError(`${flag} wants a whole number, not "${text}"`);
  return Number(text);
};

function explanationJson(source: string, explanation: Explanation): Record<string, unknown> {
  const { poster, ...rest } = explanation;
  if (!poster) return { source, ok: true, ...rest };
  const { picture: _, heatMap: __, heat, ...own } = poster;
  return { source, ok: true, ...rest, poster: { ...own, heat: { ...heat, effects: [...heat.effects] } } };
}

/** `cinefuse explain`: what moved each film's forecast, as text, JSON or a page to send on. */
export async function explainCommand(
  paths: string[],
  flags: ExplainFlags,
  context: Context,
): Promise<number> {
  const single = paths.length === 1 && (await kindOfInput(paths[0]!).catch(() => undefined))?.kind !== 'list';
  if (!single && (flags.html !== undefined || flags.heatMap !== undefined)) {
    throw new UsageError('--html and --heat-map are of one film');
  }
  const tried = (flags.try ?? []).map((text) => text.split(';').map((change) => change.trim()));
  for (const change of tried.flat()) parseChange(change);
  const { signal } = context;
  const index = flags.index === undefined ? undefined : await loadIndex(flags.index);
  const options: ExplainOptions = {
    signal,
    onInputError: flags.skipBadInputs ? 'skip' : 'throw',
    head: flags.head,
    index,
    comparables: count('--comparables', flags.comparables),
    draws: count('--draws', flags.draws),
    seed: count('--seed', flags.seed),
  };
  const explain = async (predictor: Predictor, movie: Movie) => {
    const explanation = await predictor.explain(movie, options);
    if (flags.html !== undefined) {
      const results: TriedChange[] = [];
      for (const change of tried) {
        const result = await predictor.whatIf(movie, changesOf(change), {
          signal,
          onInputError: options.onInputError,
        });
        results.push({ title: change.join(', '), result });
      }
      const { explanationPage } = await import('../explain/page.js');
      await write(flags.html, await explanationPage(explanation, movie, { tried: results, signal }));
    }
    if (flags.heatMap !== undefined) {
      if (!explanation.poster)
        throw new UsageError('--heat-map needs a film with a poster, and a model that uses it');
      await write(flags.heatMap, explanation.poster.heatMap);
    }
    return explanation;
  };
  return runFilms<Explanation>(paths, flags, context, {
    writer: (list, output) => ({
      start: () => '',
      film: (source, movie, explanation) =>
        flags.json
          ? `${JSON.stringify(explanationJson(source, explanation), null, list ? undefined : 2)}\n`
          : explanationText(explanation, movie, source, {
              style: styleFor(output.stream),
              columns: columnsOf(output.stream),
            }),
      failure: (source, error) => (flags.json ? `${JSON.stringify(failureJson(source, error))}\n` : ''),
    }),
    work: (predictor, movies) => oneByOne(movies, context, (movie) => explain(predictor, movie)),
  });
}

async function* oneByOne<Result>(
  movies: AsyncIterable<Movie>,
  { signal }: Context,
  work: (movie: Movie) => Promise<Result>,
): AsyncIterable<Outcome<Result>> {
  for await (const movie of movies) {
    try {
      yield { ok: true, result: await work(movie) };
    } catch (error) {
      throwIfCancelled(signal);
      if (error instanceof UsageError) throw error;
      yield { ok: false, error };
    }
  }
}

async function write(file: string, content: string | Uint8Array): Promise<void> {
  const output = await openOutput(file);
  try {
    await output.write(content);
    await output.finish();
  } catch (error) {
    await output.abandon();
    throw error;
  }
}

async function loadIndex(file: string): Promise<FilmIndex> {
  const { FilmIndex: Index } = await import('../explain/film-index.js');
  return Index.load(file);
}

export interface WhatIfFlags extends RunFlags {
  json?: boolean;
  set: string[];
}

/** `cinefuse whatif`: the forecast of each film as it is and changed. */
export async function whatIfCommand(paths: string[], flags: WhatIfFlags, context: Context): Promise<number> {
  const changes = changesOf(flags.set);
  const options = {
    signal: context.signal,
    onInputError: flags.skipBadInputs ? ('skip' as const) : ('throw' as const),
  };
  return runFilms<WhatIf>(paths, flags, context, {
    writer: (list, output) => ({
      start: () => '',
      film: (source, movie, result) =>
        flags.json
          ? `${JSON.stringify({ source, ok: true, ...result }, null, list ? undefined : 2)}\n`
          : whatIfText(result, movie, source, {
              style: styleFor(output.stream),
              columns: columnsOf(output.stream),
            }),
      failure: (source, error) => (flags.json ? `${JSON.stringify(failureJson(source, error))}\n` : ''),
    }),
    work: (predictor, movies) =>
      oneByOne(movies, context, (movie) => predictor.whatIf(movie, changes, options)),
  });
}

export interface IndexFlags extends PredictorFlags {
  output: string;
  rating: string;
  boxOffice: string;
  limit?: string;
}

/** `cinefuse index`: places a data set's films, for --index of `cinefuse explain`. */
export async function indexCommand(dataset: string, flags: IndexFlags, context: Context): Promise<number> {
  const { signal } = context;
  const limit = count('--limit', flags.limit);
  const [{ FilmIndex: Index }, { openDataset }, { datasetFilms }] = await Promise.all([
    import('../explain/film-index.js'),
    import('../train/index.js'),
    import('../explain/dataset-films.js'),
  ]);
  const films = await openDataset(dataset, { signal });
  const total = Math.min(films.length, limit ?? films.length);
  await using predictor = await loadPredictor(flags, context);
  const progress = new Progress(total);
  try {
    const source = datasetFilms(films, { rating: flags.rating, boxOffice: flags.boxOffice, limit, signal });
    let seen = 0;
    const index = await Index.build(predictor, source, {
      signal,
      onProgress: ({ done }) => {
        progress.advance(done - seen);
        seen = done;
        progress.filmDone();
      },
    });
    progress.stop();
    await index.save(flags.output);
    const left = index.problems.length;
    process.stderr.write(
      `cinefuse: ${index.size} films in ${flags.output}${left > 0 ? `; ${left} could not be placed` : ''}\n`,
    );
    return left > 0 ? EXIT.someFailed : EXIT.ok;
  } finally {
    progress.stop();
  }
}
