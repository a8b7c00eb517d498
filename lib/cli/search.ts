/** `cinefuse search` and `cinefuse crossvalidate`. */
import { writeFile } from 'node:fs/promises';
import type { FoldResult } from '../train/cross-validate.js';
import type { Trial } from '../train/search.js';
import type { Context } from './context.js';
import { EXIT } from './exit.js';
import { printable } from './terminal.js';
import { columns, encodingOf, figureOf, loadConfig, TrainingBar, type TrainingFlags } from './training.js';

export interface SearchFlags extends TrainingFlags {
  parallel?: number;
  output?: string;
  json?: boolean;
}

const valuesOf = ({ parameters }: Trial) =>
  Object.entries(parameters)
    .map(([path, value]) => `${path.split('.').slice(-2).join('.')}=${JSON.stringify(value)}`)
    .join(' ');

export async function searchCommand(
  source: string | undefined,
  flags: SearchFlags,
  { signal }: Context,
): Promise<number> {
  const config = await loadConfig(flags);
  const { search } = await import('../train/dataset-runs.js');
  const bar = new TrainingBar();
  const {
    trials,
    best,
    config: chosen,
  } = await search(source, config, {
    encoding: encodingOf(flags),
    ...(flags.threads !== undefined && { threads: flags.threads }),
    ...(flags.parallel !== undefined && { parallel: flags.parallel }),
    signal,
    onEncode: (progress) => bar.fit(progress),
    onProgress: ({ done, total, best, last }) => {
      bar.show('searching', done, total, best ? `best ${figureOf(best.score)} of trial ${best.number}` : '');
      const score =
        last.score === undefined ? `failed: ${printable(last.error ?? '')}` : figureOf(last.score);
      bar.line(`trial ${last.number} (${last.epochs} epochs): ${score}  ${printable(valuesOf(last))}`);
    },
  }).finally(() => bar.stop());
  if (flags.output !== undefined) {
    await writeFile(flags.output, `${JSON.stringify(chosen, null, 2)}\n`);
  }
  if (flags.json) process.stdout.write(`${JSON.stringify({ best, trials })}\n`);
  else {
    const rows = trials
      .slice(0, 20)
      .map((trial) => [
        `trial ${trial.number}`,
        String(trial.epochs),
        trial.score === undefined ? 'failed' : figureOf(trial.score),
        printable(valuesOf(trial)),
      ]);
    process.stdout.write(`${columns([['best first', 'epochs', 'score', 'values'], ...rows])}\n`);
  }
  return EXIT.ok;
}

export interface CrossValidateFlags extends TrainingFlags {
  folds: number;
  parallel?: number;
  group?: string;
  json?: boolean;
}

export async function crossValidateCommand(
  source: string | undefined,
  flags: CrossValidateFlags,
  { signal }: Context,
): Promise<number> {
  const config = await loadConfig(flags);
  const { crossValidate } = await import('../train/dataset-runs.js');
  const bar = new TrainingBar();
  const { folds, loss, metrics } = await crossValidate(source, config, {
    folds: flags.folds,
    encoding: encodingOf(flags),
    ...(flags.group !== undefined && { groupColumn: flags.group }),
    ...(flags.threads !== undefined && { threads: flags.threads }),
    ...(flags.parallel !== undefined && { parallel: flags.parallel }),
    signal,
    onEncode: (progress) => bar.fit(progress),
    onProgress: ({ done, total, last }) => {
      bar.show('folds', done, total);
      bar.line(`fold ${last.fold}: loss ${figureOf(last.score.loss)} on ${last.split.test.length} films`);
    },
  }).finally(() => bar.stop());
  if (flags.json) {
    const plain = folds.map(({ fold, score, history, split }: FoldResult) => ({
      fold,
      films: split.test.length,
      score,
      history,
    }));
    process.stdout.write(`${JSON.stringify({ loss, metrics, folds: plain })}\n`);
    return EXIT.ok;
  }
  const rows = Object.entries(metrics).map(([name, { mean, std }]) => [
    printable(name),
    figureOf(mean),
    `± ${figureOf(std)}`,
  ]);
  process.stdout.write(
    `${columns([[`${folds.length} folds`, 'mean', 'sd'], ['loss', figureOf(loss.mean), `± ${figureOf(loss.std)}`], ...rows])}\n`,
  );
  return EXIT.ok;
}
