#!/usr/bin/env node
/** The `cinefuse` command: its commands and options, signals, and how it ends. */
import { Command, CommanderError } from 'commander';
import { CancelledError, CinefuseError } from '../errors.js';
import { packageVersion } from '../native.js';
import { type Context, predictorOptions } from './context.js';
import { EXIT, UsageError } from './exit.js';
import { addExplainCommands } from './explain-commands.js';
import { describeError } from './failures.js';
import { columnsOf, styleFor, wrap } from './terminal.js';
import { addTrainingCommands } from './training-commands.js';
import { addUnderstandingCommands } from './understanding-commands.js';
import { addVectorsCommands } from './vectors-commands.js';

const EXIT_CODES = `
Exit codes:
  0  everything worked           2  the command was called wrongly
  1  some films failed           3  nothing worked: every film failed, or the environment is not fit
  130  interrupted (Ctrl-C)`;

const INPUTS = `
What a film is:
  FILE.json   an object with title, releaseDate, runtime, budget, genres, cast, director, language, synopsis, script,
              subtitles, reviews, poster, trailer, audio, as many as there are; or an array of such objects. A poster,
              trailer or audio is a path, a text or { "path": "…" }; paths are relative to the file.
  FOLDER      movie.json and what lies beside it: poster.jpg|png|webp, trailer.mp4|webm|mkv|mov, synopsis.txt,
              script.fountain|txt, film.srt|vtt, audio/theme.*, reviews.txt (a review a line)
  FILE.csv    one film a row: movie_id, title, release_date, runtime, budget, genres, cast, director, original_language,
              overview, poster, trailer, audio, script, subtitles, reviews; lists are separated by "|", 0 is unknown`;

/** @param finish  takes the exit code of the command that ran */
function program(context: Context, finish: (code: number) => void): Command {
  const cinefuse = new Command('cinefuse')
    .description('How an audience will receive a film, from its text, poster, trailer, sound and facts.')
    .version(packageVersion())
    .showHelpAfterError('(cinefuse --help lists the commands)')
    .exitOverride()
    .addHelpText('after', EXIT_CODES);

  const predict = cinefuse
    .command('predict')
    .description('predict rating, reception and box office of films')
    .argument('<films...>', 'film.json, folder or movies.csv')
    .option('--json', 'one JSON document; JSON lines for several films')
    .option('--csv', 'CSV with a header line')
    .option('-o, --output <file>', 'write the results to a file, whole or not at all')
    .option('--trace <file>', 'record what ran when, for chrome://tracing or ui.perfetto.dev')
    .addHelpText('after', INPUTS + EXIT_CODES)
    .action(async (films: string[], flags) => {
      const { predictCommand } = await import('./predict.js');
      finish(await predictCommand(films, flags, context));
    });
  const embed = cinefuse
    .command('embed')
    .description('print the vectors that the encoders make of films, as JSON lines')
    .argument('<films...>', 'film.json, folder or movies.csv')
    .option('-o, --output <file>', 'write the results to a file, whole or not at all')
    .addHelpText('after', INPUTS + EXIT_CODES)
    .action(async (films: string[], flags) => {
      const { embedCommand } = await import('./embed.js');
      finish(await embedCommand(films, flags, context));
    });
  for (const command of [predict, embed]) for (const option of predictorOptions()) command.addOption(option);

  addExplainCommands(cinefuse, context, finish);
  addUnderstandingCommands(cinefuse, context, finish);
  addVectorsCommands(cinefuse, context, finish);
  addTrainingCommands(cinefuse, context, finish);

  cinefuse
    .command('import')
    .description("make a data set of IMDb's tables, a TMDB export or a MovieLens folder: docs/data.md")
    .argument('<kind>', 'imdb, tmdb or movielens')
    .argument('<source>', 'the folder (for tmdb also one .csv, .json or .jsonl file)')
    .argument('<target>', 'the folder to write movies.csv to')
    .option('--min-votes <n>', 'leave out films with fewer votes')
    .option('--posters <folder>', "pictures named as TMDB's poster_path or by the film's id")
    .option('--title-types <list>', 'kinds of titles to take from IMDb (default: movie)')
    .option('--overwrite', 'replace a movies.csv that is there')
    .action(async (kind: string, source: string, target: string, flags) => {
      const { importCommand } = await import('./import.js');
      finish(await importCommand(kind, source, target, flags, context));
    });

  cinefuse
    .command('devices')
    .description('say what there is to compute with, and why not CUDA')
    .option('--json', 'as JSON')
    .action(async (flags) => {
      const { devicesCommand } = await import('./devices.js');
      finish(await devicesCommand(flags));
    });

  cinefuse
    .command('build-cuda')
    .description('build the CUDA kernels for your GPUs, into the cache (needs CMake and a CUDA toolkit)')
    .option(
      '--arch <list>',
      'compute capabilities, as 80,90, or native (default: the GPUs here, else all common ones)',
    )
    .action(async (flags) => {
      const { buildCudaCommand } = await import('./build-cuda.js');
      finish(await buildCudaCommand(flags, context));
    });

  const models = cinefuse
    .command('models')
    .description('encoders that can be fetched, and those that are here');
  models
    .command('list', { isDefault: true })
    .description('list the presets and what is in the cache')
    .option('--json', 'as JSON')
    .action(async (flags) => {
      const { listModels } = await import('./models.js');
      finish(await listModels(flags));
    });
  models
    .command('fetch')
    .description('fetch presets into the cache')
    .argument('<names...>', 'names of presets')
    .action(async (names: string[]) => {
      const { fetchModels } = await import('./models.js');
      finish(await fetchModels(names, context));
    });
  models
    .command('verify')
    .description('check the files of the default bundle and of fetched presets against their sums')
    .argument('[names...]', 'names of presets (default: all that are here)')
    .action(async (names: string[]) => {
      const { verifyModels } = await import('./models.js');
      finish(await verifyModels(names, context));
    });
  models
    .command('export')
    .description("write a bundle's fusion network as an ONNX model: docs/interchange.md")
    .argument('<file>', 'the .onnx file to write')
    .option('--bundle <path>', 'directory or .tar of a bundle (default: the one that ships)')
    .action(async (file: string, { bundle }: { bundle?: string }) => {
      const { exportModel } = await import('./models.js');
      finish(await exportModel(file, bundle, context));
    });
  return cinefuse;
}

/** The first signal cancels what runs, so that files are left whole; the second ends the process. */
function cancelOnSignals(): { signal: AbortSignal; received: () => NodeJS.Signals | undefined } {
  const controller = new AbortController();
  let received: NodeJS.Signals | undefined;
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.on(name, () => {
      if (received) process.exit(EXIT.interrupted);
      received = name;
      if (process.stderr.isTTY) process.stderr.write('\ncinefuse: stopping (again to stop at once)\n');
      controller.abort(new Error(name));
    });
  }
  return { signal: controller.signal, received: () => received };
}

function explain(error: unknown): number {
  if (error instanceof UsageError) {
    process.stderr.write(`cinefuse: ${error.message}\n`);
    return EXIT.usage;
  }
  if (error instanceof CinefuseError) {
    const style = styleFor(process.stderr);
    const { code, message } = describeError(error);
    const lines = wrap(`cinefuse: ${message}`, columnsOf(process.stderr));
    process.stderr.write(`${lines.join('\n')}\n${style.dim(`(${code}: docs/errors.md)`)}\n`);
    return EXIT.nothingWorked;
  }
  process.stderr.write(`cinefuse: ${error instanceof Error ? error.stack : String(error)}\n`);
  return EXIT.nothingWorked;
}

async function main(argv: string[]): Promise<number> {
  // A reader that has seen enough (head, less) is no failure. Other errors, a full disk, come back to who writes.
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'EPIPE') process.exit(EXIT.ok);
    });
  }
  const { signal, received } = cancelOnSignals();
  let code: number = EXIT.ok;
  try {
    await program({ signal }, (finished) => {
      code = finished;
    }).parseAsync(argv);
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    if (error instanceof CancelledError && received()) return EXIT.interrupted;
    return explain(error);
  }
  return code;
}

process.exitCode = await main(process.argv);
