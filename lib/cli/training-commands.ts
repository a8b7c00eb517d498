/** The commands of training: their arguments and options. What they do is loaded when they run. */
import { type Command, Option } from 'commander';
import { type Context, wholeNumber } from './context.js';
import { configOption, encodingOptions } from './training.js';

const DATA = `
What a data set is: a folder with movies.csv (or .tsv, .jsonl, .parquet) and files beside it, or such a table;
docs/data.md describes both. Without one, the configuration's data.path counts.`;

/** @param finish  takes the exit code of the command that ran */
export function addTrainingCommands(
  cinefuse: Command,
  context: Context,
  finish: (code: number) => void,
): void {
  const train = cinefuse
    .command('train')
    .description('train a bundle on a data set: encode, fit, calibrate, save')
    .argument('[dataset]', 'folder or table of films')
    .addOption(configOption())
    .requiredOption('-o, --output <bundle>', 'where the bundle goes: a folder, or a .tar')
    .option('--overwrite', 'replace a bundle that is there')
    .option('--checkpoint <file>', 'where the state is kept (default: beside the output)')
    .option('--resume', 'go on from the checkpoint, as if it had never stopped')
    .option('--json', 'the result as JSON')
    .addHelpText('after', DATA)
    .action(async (dataset: string | undefined, flags) => {
      const { trainCommand } = await import('./train.js');
      finish(await trainCommand(dataset, flags, context));
    });
  const evaluate = cinefuse
    .command('evaluate')
    .description('judge a bundle on films that it has not seen')
    .argument('<bundle>', 'folder or .tar')
    .option(
      '--data <dataset>',
      "folder or table of films (default: what it was trained on, by its configuration's path)",
    )
    .option('--config <file>', 'where targets and parts are (default: what the bundle was trained with)')
    .addOption(
      new Option('--part <part>', 'which films')
        .choices(['train', 'valid', 'test', 'calibration'])
        .default('test'),
    )
    .option('-o, --output <folder>', 'write evaluation.json, .csv, .html and forecasts.csv there')
    .addOption(new Option('--format <formats...>', 'what to write').choices(['json', 'csv', 'html']))
    .option('--draws <n>', 'of the bootstrap (default: 1000)', Number)
    .option('--no-baselines', 'without the linear and majority baselines')
    .option('--json', 'as JSON')
    .action(async (bundle: string, flags) => {
      const { evaluateCommand } = await import('./evaluate.js');
      finish(await evaluateCommand(bundle, flags, context));
    });
  const search = cinefuse
    .command('search')
    .description('try many configurations, chosen by the valid films')
    .argument('[dataset]', 'folder or table of films')
    .addOption(configOption())
    .option('--parallel <n>', 'fits at a time (default: as many as there are cores)', wholeNumber)
    .option('-o, --output <file>', 'write the best configuration there')
    .option('--json', 'all trials as JSON')
    .addHelpText('after', DATA)
    .action(async (dataset: string | undefined, flags) => {
      const { searchCommand } = await import('./search.js');
      finish(await searchCommand(dataset, flags, context));
    });
  const crossValidate = cinefuse
    .command('crossvalidate')
    .description('measure a configuration on every film of train and valid once')
    .argument('[dataset]', 'folder or table of films')
    .addOption(configOption())
    .option('--folds <n>', 'parts', wholeNumber, 5)
    .option('--group <column>', 'films of one value stay in one fold')
    .option('--parallel <n>', 'folds at a time (default: as many as there are cores)', wholeNumber)
    .option('--json', 'as JSON')
    .addHelpText('after', DATA)
    .action(async (dataset: string | undefined, flags) => {
      const { crossValidateCommand } = await import('./search.js');
      finish(await crossValidateCommand(dataset, flags, context));
    });
  for (const command of [train, evaluate, search, crossValidate]) {
    for (const option of encodingOptions()) command.addOption(option);
  }
}
