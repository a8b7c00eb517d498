/** Commands that say what is in a film's texts, trailer and forecast. */
import { type Command, Option } from 'commander';
import { type Context, predictorOptions } from './context.js';
import { textOptions } from './text-input.js';

export function addUnderstandingCommands(
  cinefuse: Command,
  context: Context,
  finish: (code: number) => void,
): void {
  const ask = cinefuse
    .command('ask')
    .description('answer a question about films from their records, with the sources quoted: docs/ask.md')
    .argument('<question>', 'in English; about facts also in Chinese')
    .argument('<films...>', 'film.json, folder or movies.csv')
    .option('--film <name>', 'only about the film of this id or title')
    .option('--forecast', 'predict the films first, so that questions about their reception have an answer')
    .option('--no-embeddings', 'find sentences by their words alone')
    .option(
      '--endpoint <url>',
      "let a language model word the answer, by OpenAI's protocol (key: CINEFUSE_LLM_API_KEY)",
    )
    .option('--model <name>', 'the model to ask for at the endpoint')
    .option('--gguf <file>', 'let a GGUF model word it, in this process (needs the package node-llama-cpp)')
    .option('--json', 'as JSON')
    .option('-o, --output <file>', 'write the answer to a file, whole or not at all')
    .action(async (question: string, films: string[], flags) => {
      const { askCommand } = await import('./ask.js');
      finish(await askCommand(question, films, flags, context));
    });
  for (const option of predictorOptions()) ask.addOption(option);

  const keywords = cinefuse
    .command('keywords')
    .description('the words and phrases that say what texts are about: docs/keywords.md')
    .argument('<files...>', 'texts, .fountain, .srt, .vtt, or - for standard input')
    .addOption(
      new Option('--method <method>', 'how they are found')
        .choices(['combined', 'tfidf', 'phrases', 'embedding'])
        .default('combined'),
    )
    .option('-n, --count <n>', 'how many at most', '10')
    .option('--max-words <n>', 'most words of one', '3')
    .option('--diversity <share>', '0: the best, however alike, to 1', '0.3')
    .option('--language <code>', 'en or zh (default: detected)')
    .option('--each', 'of every file for itself')
    .option('--lines', 'every line of a file is a text of its own: reviews')
    .option('--json', 'as JSON, with places')
    .option('-o, --output <file>', 'write them to a file, whole or not at all')
    .action(async (files: string[], flags) => {
      const { keywordsCommand } = await import('./keywords.js');
      finish(await keywordsCommand(files, flags, context));
    });
  const script = cinefuse
    .command('script')
    .description('a screenplay scene by scene, subtitles over their time: docs/scripts.md')
    .argument('<file>', 'Fountain or plain text, .srt or .vtt, or - for standard input')
    .addOption(
      new Option('--format <format>', 'of a screenplay')
        .choices(['auto', 'fountain', 'plain'])
        .default('auto'),
    )
    .option('--no-tone', 'leave tone out, which takes most of the time')
    .option('--minutes <n>', 'length of a stretch of subtitles', '2')
    .option('--language <code>', 'ISO 639-1 (default: detected)')
    .option('--json', 'as JSON, with every element and its place')
    .option('-o, --output <file>', 'write it to a file, whole or not at all')
    .action(async (file: string, flags) => {
      const { scriptCommand } = await import('./script.js');
      finish(await scriptCommand(file, flags, context));
    });
  const reviews = cinefuse
    .command('reviews')
    .description('what the reviews of films say together: tone, aspects, telling sentences: docs/reviews.md')
    .argument(
      '<files...>',
      'texts with a review a line, - for standard input, film.json, folder or movies.csv',
    )
    .option(
      '--classifier <folder>',
      'a saved classifier to score with in its languages; may be given again',
      (folder: string, folders: string[]) => [...folders, folder],
      [] as string[],
    )
    .option('--telling <n>', 'sentences quoted on each side', '5')
    .option('--json', 'as JSON lines, with places')
    .option('-o, --output <file>', 'write it to a file, whole or not at all')
    .action(async (files: string[], flags) => {
      const { reviewsCommand } = await import('./reviews.js');
      finish(await reviewsCommand(files, flags, context));
    });
  const analyze = cinefuse
    .command('analyze')
    .description('key words, sentiment, script and key frames of films in one go: docs/analyze.md')
    .argument('<films...>', 'film.json, folder or movies.csv')
    .option('--no-keywords', 'leave key words out')
    .option('--no-sentiment', 'leave tone and what reviews say out')
    .option('--no-trailer', 'leave the trailer out')
    .option('--frames <folder>', 'save the key frames of the trailer there; of one film')
    .option('--skip-bad-inputs', 'go on without an input that cannot be read, and say so')
    .option('--json', 'a JSON document a film, one a line')
    .option('-o, --output <file>', 'write the results to a file, whole or not at all')
    .action(async (films: string[], flags) => {
      const { analyzeCommand } = await import('./analyze.js');
      finish(await analyzeCommand(films, flags, context));
    });
  for (const command of [keywords, script, reviews, analyze]) {
    for (const option of textOptions()) command.addOption(option);
  }
  addTrailerCommand(cinefuse, context, finish);
}

function addTrailerCommand(cinefuse: Command, context: Context, finish: (code: number) => void): void {
  const trailer = cinefuse
    .command('trailer')
    .description('shots, scenes, key frames, light, motion and sound of a video: docs/trailers.md')
    .argument('<file>', 'a video or sound file')
    .option('--frames <folder>', 'save the key frames there, in the size of the video')
    .option('--count <n>', 'key frames at most', '12')
    .addOption(new Option('--format <format>', 'of the key frames').choices(['jpeg', 'png']).default('jpeg'))
    .option('--no-motion', 'leave motion out')
    .option('--no-sound', 'leave the sound out')
    .option('--json', 'as JSON, with all curves')
    .option('-o, --output <file>', 'write it to a file, whole or not at all')
    .action(async (file: string, flags) => {
      const { trailerCommand } = await import('./trailer.js');
      finish(await trailerCommand(file, flags, context));
    });
  const ofMedia = ['threads', 'isolation'];
  for (const option of predictorOptions()) {
    if (ofMedia.includes(option.attributeName())) trailer.addOption(option);
  }
}
