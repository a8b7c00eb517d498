/** The commands that say why a forecast is what it is: their arguments and options. */
import type { Command } from 'commander';
import { type Context, predictorOptions } from './context.js';

const collect = (value: string, before: string[] | undefined) => [...(before ?? []), value];

const CHANGES = `
FIELD=VALUE: budget=50000000, month=12, genres="Drama|Comedy", cast="A|B", poster=other.jpg, synopsis=@plot.txt;
FIELD= takes the field away.`;

/** @param finish  takes the exit code of the command that ran */
export function addExplainCommands(
  cinefuse: Command,
  context: Context,
  finish: (code: number) => void,
): void {
  const explain = cinefuse
    .command('explain')
    .description(
      'say what moved the forecast of films: facts, sentences, words, poster, trailer: docs/explain.md',
    )
    .argument('<films...>', 'film.json, folder or movies.csv')
    .option('--html <file>', 'a report of one film as a page that needs nothing else')
    .option('--heat-map <file>', 'the poster of one film with what its places did, as a PNG')
    .option('--head <name>', 'rank parts by their effect on this forecast (default: rating)')
    .option('--index <file>', 'look for comparable films in an index that cinefuse index made')
    .option('--comparables <n>', 'comparable films (default: 5)')
    .option('--try <changes>', 'also report a what-if: changes joined by ";" (may be repeated)', collect)
    .option('--draws <n>', 'random deletions that each explanation is tested against (default: 8)')
    .option('--seed <n>', 'of the random deletions (default: 0)')
    .option('--json', 'one JSON document; JSON lines for several films')
    .option('-o, --output <file>', 'write the text or JSON to a file, whole or not at all')
    .addHelpText('after', CHANGES)
    .action(async (films: string[], flags) => {
      const { explainCommand } = await import('./explain.js');
      finish(await explainCommand(films, flags, context));
    });
  const whatIf = cinefuse
    .command('whatif')
    .description('forecast films as they are and with something changed')
    .argument('<films...>', 'film.json, folder or movies.csv')
    .requiredOption('--set <change>', 'FIELD=VALUE (may be repeated)', collect)
    .option('--json', 'one JSON document; JSON lines for several films')
    .option('-o, --output <file>', 'write the results to a file, whole or not at all')
    .addHelpText('after', CHANGES)
    .action(async (films: string[], flags) => {
      const { whatIfCommand } = await import('./explain.js');
      finish(await whatIfCommand(films, flags, context));
    });
  const index = cinefuse
    .command('index')
    .description('place the films of a data set, so that explain can find comparable ones among them')
    .argument('<dataset>', 'folder or table of films')
    .requiredOption('-o, --output <file>', 'where the index goes')
    .option('--rating <column>', 'column of the audience rating', 'rating')
    .option('--box-office <column>', 'column of the worldwide gross', 'revenue')
    .option('--limit <n>', 'only the first n films')
    .action(async (dataset: string, flags) => {
      const { indexCommand } = await import('./explain.js');
      finish(await indexCommand(dataset, flags, context));
    });
  for (const command of [explain, whatIf, index]) {
    for (const option of predictorOptions()) command.addOption(option);
  }
}
