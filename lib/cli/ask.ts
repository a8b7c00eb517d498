import type { Answer, LanguageModel } from '../ask/index.js';
import type { Feedback } from '../feedback.js';
import type { Movie } from '../movie.js';
import { type Context, loadPredictor, type PredictorFlags } from './context.js';
import { EXIT, UsageError } from './exit.js';
import { Failures } from './failures.js';
import { readFilms } from './films.js';
import { openOutput } from './output.js';
import { clock, columnsOf, printable, type Style, styleFor, wrap } from './terminal.js';

export interface AskFlags extends PredictorFlags {
  json?: boolean;
  output?: string;
  film?: string;
  forecast?: boolean;
  /** false: --no-embeddings */
  embeddings: boolean;
  skipBadInputs?: boolean;
  endpoint?: string;
  model?: string;
  gguf?: string;
}

/** Where the key of an endpoint is looked for: not on the command line, where others can read it. */
const KEY = 'CINEFUSE_LLM_API_KEY';

/** `cinefuse ask`: a question about the films of these paths, answered from their records. */
export async function askCommand(
  question: string,
  paths: string[],
  flags: AskFlags,
  context: Context,
): Promise<number> {
  const { QuestionAnswerer } = await import('../ask/index.js');
  const failures = new Failures();
  const movies: Movie[] = [];
  for await (const entry of readFilms(paths, {
    onProgress: () => {},
    onUnknownColumns: (columns) =>
      process.stderr.write(`cinefuse: columns that are not used: ${columns.join(', ')}\n`),
  })) {
    if ('movie' in entry) movies.push(entry.movie);
    else failures.add(entry.source, entry.error);
  }
  const { signal } = context;
  const output = await openOutput(flags.output);
  try {
    if (movies.length > 0) {
      const languageModel = await modelOf(flags, signal);
      try {
        await using answerer = await QuestionAnswerer.create(movies, {
          ...(languageModel && { languageModel }),
          ...(flags.forecast && { forecasts: await forecastsOf(movies, flags, context) }),
          embeddings: flags.embeddings,
          bundle: flags.bundle,
          threads: flags.threads,
          onInputError: flags.skipBadInputs ? 'skip' : 'throw',
          signal,
        });
        const answer = await answerer.ask(question, { film: flags.film, signal });
        const style = styleFor(output.stream);
        await output.write(
          flags.json
            ? `${JSON.stringify(answer, null, 2)}\n`
            : answerText(answer, style, columnsOf(output.stream)),
        );
      } finally {
        await languageModel?.dispose?.();
      }
    }
    await output.finish();
  } catch (error) {
    await output.abandon();
    throw error;
  }
  if (failures.count === 0) return EXIT.ok;
  const films = movies.length + failures.count;
  process.stderr.write(`\n${failures.text(films, columnsOf(process.stderr), styleFor(process.stderr))}`);
  return movies.length === 0 ? EXIT.nothingWorked : EXIT.someFailed;
}

async function modelOf(flags: AskFlags, signal: AbortSignal): Promise<LanguageModel | undefined> {
  const { endpoint, model, gguf } = flags;
  if (endpoint !== undefined && gguf !== undefined)
    throw new UsageError('--endpoint and --gguf exclude each other');
  if ((endpoint === undefined) !== (model === undefined)) {
    throw new UsageError('--endpoint and --model go together: an address, and the name of a model there');
  }
  const ask = await import('../ask/index.js');
  if (gguf !== undefined) return ask.ggufModel(gguf, { threads: flags.threads, signal });
  if (endpoint === undefined) return undefined;
  return ask.endpointModel({ baseUrl: endpoint, model: model!, apiKey: process.env[KEY] });
}

async function forecastsOf(
  movies: Movie[],
  flags: AskFlags,
  context: Context,
): Promise<(Feedback | undefined)[]> {
  await using predictor = await loadPredictor(flags, context);
  const results = await predictor.predictBatch(movies, { signal: context.signal, onInputError: 'skip' });
  return results.map((result) => (result.ok ? result.feedback : undefined));
}

function answerText(answer: Answer, style: Style, columns: number): string {
  const text = printable(answer.text);
  const lines = wrap(answer.known ? style.bold(text) : text, columns);
  if (answer.sources.length > 0) lines.push('', style.dim(answer.known ? 'from' : 'what comes nearest'));
  for (const { title, id, film, field, quote, startMs, review, speaker } of answer.sources) {
    const at =
      startMs !== undefined
        ? ` at ${clock(startMs, { hours: true })}`
        : review !== undefined
          ? ` ${review + 1}`
          : '';
    const place = printable(
      `${title ?? id ?? `film ${film + 1}`}, ${field}${at}${speaker === undefined ? '' : `, ${speaker}`}`,
    );
    lines.push(...wrap(`  ${style.dim(`${place}:`)} ${printable(quote)}`, columns));
  }
  const { languageModel } = answer;
  if (languageModel) {
    const said = languageModel.used ? 'worded by' : `the words are the record's own, not those of`;
    const why = languageModel.reason === undefined ? '' : `: ${languageModel.reason}`;
    lines.push('', ...wrap(style.dim(printable(`${said} ${languageModel.name}${why}`)), columns));
  }
  return `${lines.join('\n')}\n`;
}
