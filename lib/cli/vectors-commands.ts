/** The options of `cinefuse vectors`. */
import { type Command, Option } from 'commander';
import type { Context } from './context.js';

export function addVectorsCommands(
  cinefuse: Command,
  context: Context,
  finish: (code: number) => void,
): void {
  const vectors = cinefuse
    .command('vectors')
    .description('word vectors of your own texts: docs/word-vectors.md');
  vectors
    .command('train')
    .description('learn the vectors of the words in texts')
    .argument('<files...>', 'text files, a text a line')
    .requiredOption('-o, --output <file>', 'where the vectors go, whole or not at all')
    .addOption(
      new Option('--format <format>', 'of the output').choices(['word2vec', 'word2vec-binary', 'glove']),
    )
    .option('--counts <file>', "also write the words' counts")
    .option('--column <name>', 'the files are tables with tabs: the column of the texts')
    .addOption(new Option('--algorithm <name>', 'default cbow').choices(['cbow', 'skip-gram']))
    .option('--dim <n>', 'length of a vector (default 100)')
    .option('--window <n>', 'how far around a word is looked (default 5)')
    .option('--negative <n>', 'words drawn against each true one (default 5)')
    .option('--min-count <n>', 'leave rarer words out (default 5)')
    .option('--epochs <n>', 'passes over the texts (default 5)')
    .option('--learning-rate <x>', 'at the start (default 0.05, of skip-gram 0.025)')
    .option('--subsample <x>', 'share above which common words are thinned out (default 0.001)')
    .option('--seed <n>', 'default 1')
    .option('--threads <n>', 'default 1: with more, no two runs give the same numbers')
    .option('--language <code>', 'of the texts (default en)')
    .option('--json', 'what was made, as JSON')
    .action(async (files: string[], flags) => {
      const { trainVectorsCommand } = await import('./vectors.js');
      finish(await trainVectorsCommand(files, flags, context));
    });
  vectors
    .command('similar')
    .description('the words nearest to words, to an analogy or to a text')
    .argument('<vectors>', "a file in word2vec's or GloVe's form")
    .argument('<words...>', 'one or more words; with --text a file, or - for standard input')
    .option('-n, --count <n>', 'how many', '10')
    .option('--analogy', 'of three words a b c: what is to c as b is to a')
    .option('--text', 'nearest to the text of a file, without its own words')
    .option('--among <n>', 'only among so many first (most frequent) words')
    .option('--language <code>', 'of the text (default en)')
    .option('--json', 'as JSON')
    .option('-o, --output <file>', 'write them to a file, whole or not at all')
    .action(async (file: string, words: string[], flags) => {
      const { similarCommand } = await import('./vectors.js');
      finish(await similarCommand(file, words, flags, context));
    });
}
