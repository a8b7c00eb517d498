/** Commands that say what is in a film's texts, trailer and forecast. */
import type { Command } from 'commander';
import { type Context, predictorOptions } from './context.js';

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
}
