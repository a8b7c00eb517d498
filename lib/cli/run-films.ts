import type { Movie } from '../movie.js';
import type { Predictor } from '../predict.js';
import { Trace } from '../trace.js';
import { type Context, loadPredictor, type PredictorFlags } from './context.js';
import { EXIT } from './exit.js';
import { Failures } from './failures.js';
import { type FilmEntry, kindOfInput, readFilms } from './films.js';
import { type Output, openOutput } from './output.js';
import { Progress } from './progress.js';
import { columnsOf, styleFor } from './terminal.js';

export interface RunFlags extends PredictorFlags {
  output?: string;
  skipBadInputs?: boolean;
  trace?: string;
}

/** How results are written: one of these for each format. */
export interface Writer<Result> {
  start(): string;
  film(source: string, movie: Movie, result: Result): string;
  /** What stands for a failed film among the results; failures are also listed at the end, on stderr. */
  failure(source: string, error: unknown): string;
}

export type Outcome<Result> = { ok: true; result: Result } | { ok: false; error: unknown };

export interface FilmCommand<Result> {
  /** @param list  whether the paths may hold many films */
  writer(list: boolean, output: Output): Writer<Result>;
  /** One outcome for each movie, in order. */
  work(predictor: Predictor, movies: AsyncIterable<Movie>): AsyncIterable<Outcome<Result>>;
}

/** What the paths hold, without reading them. Those that are nothing come up as failures when they are read. */
async function survey(paths: readonly string[]): Promise<{ list: boolean; bytes: number }> {
  let list = false;
  let bytes = 0;
  for (const path of paths) {
    const found = await kindOfInput(path).catch(() => undefined);
    list ||= found?.kind === 'list';
    bytes += found?.bytes ?? 0;
  }
  return { list, bytes };
}

/**
 * Takes the films of all paths through one predictor: results in order as they come, a bar meanwhile, what failed
 * listed at the end.
 *
 * @returns the exit code
 */
export async function runFilms<Result>(
  paths: readonly string[],
  flags: RunFlags,
  context: Context,
  command: FilmCommand<Result>,
): Promise<number> {
  const { list, bytes } = await survey(paths);
  const output = await openOutput(flags.output);
  const writer = command.writer(list || paths.length > 1, output);
  const progress = new Progress(list ? bytes : 0);
  const failures = new Failures();
  let films = 0;

  const write = async (text: string) => {
    if (text !== '') await progress.around(() => output.write(text));
  };
  const fail = async (source: string, error: unknown) => {
    films++;
    failures.add(source, error);
    await write(writer.failure(source, error));
    progress.filmDone();
  };

  // Films handed to the predictor, and those that could not even be read, until they are written: in order.
  const waiting: FilmEntry[] = [];
  const writeUnreadable = async () => {
    for (let next = waiting[0]; next && 'error' in next; next = waiting[0]) {
      waiting.shift();
      await fail(next.source, next.error);
    }
  };
  async function* movies(): AsyncGenerator<Movie> {
    const notes = {
      onProgress: (units: number) => progress.advance(units),
      onUnknownColumns: (columns: string[]) =>
        process.stderr.write(`cinefuse: columns that are not used: ${columns.join(', ')}\n`),
    };
    for await (const entry of readFilms(paths, notes)) {
      waiting.push(entry);
      if ('movie' in entry) yield entry.movie;
    }
  }

  const trace = flags.trace === undefined ? undefined : new Trace();
  let traceOutput: Output | undefined;
  try {
    traceOutput = flags.trace === undefined ? undefined : await openOutput(flags.trace);
    const predictor = await loadPredictor(flags, context, trace);
    await using _ = predictor;
    await write(writer.start());
    for await (const outcome of command.work(predictor, movies())) {
      await writeUnreadable();
      const entry = waiting.shift() as Extract<FilmEntry, { movie: Movie }>;
      if (outcome.ok) {
        films++;
        await write(writer.film(entry.source, entry.movie, outcome.result));
        progress.filmDone();
      } else {
        await fail(entry.source, outcome.error);
      }
    }
    await writeUnreadable();
    progress.stop();
    await output.finish();
    await traceOutput?.write(`${JSON.stringify(trace)}\n`);
    await traceOutput?.finish();
  } catch (error) {
    progress.stop();
    await output.abandon();
    await traceOutput?.abandon();
    throw error;
  }

  if (films === 0) process.stderr.write('cinefuse: no film was found\n');
  if (failures.count > 0) {
    process.stderr.write(`\n${failures.text(films, columnsOf(process.stderr), styleFor(process.stderr))}`);
  }
  if (failures.count === films) return EXIT.nothingWorked;
  return failures.count > 0 ? EXIT.someFailed : EXIT.ok;
}
