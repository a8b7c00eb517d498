/** `cinefuse train`: from a data set to a bundle. */
import { existsSync } from 'node:fs';
import { CancelledError } from '../errors.js';
import type { FitResult } from '../train/fit.js';
import type { Context } from './context.js';
import { EXIT, UsageError } from './exit.js';
import { printable } from './terminal.js';
import { columns, encodingOf, figureOf, loadConfig, TrainingBar, type TrainingFlags } from './training.js';

export interface TrainFlags extends TrainingFlags {
  output: string;
  overwrite?: boolean;
  checkpoint?: string;
  resume?: boolean;
  json?: boolean;
}

export async function trainCommand(
  source: string | undefined,
  flags: TrainFlags,
  { signal }: Context,
): Promise<number> {
  if (!flags.overwrite && existsSync(flags.output)) {
    throw new UsageError(`${flags.output} is there already; --overwrite replaces it`);
  }
  const config = await loadConfig(flags);
  const { fit } = await import('../train/fit.js');
  const bar = new TrainingBar();
  const checkpoint = flags.checkpoint ?? `${flags.output.replace(/[/\\]+$/, '')}.checkpoint`;
  let told = 0;
  let result: FitResult;
  try {
    result = await fit(source, config, {
      out: flags.output,
      overwrite: flags.overwrite ?? false,
      checkpoint,
      resume: flags.resume ?? false,
      encoding: encodingOf(flags),
      ...(flags.threads !== undefined && { threads: flags.threads }),
      signal,
      onProgress: (progress) => {
        bar.fit(progress);
        const { record, member, members } = progress;
        const epoch = (member - 1) * progress.epochs + (record?.epoch ?? 0);
        if (!record || epoch <= told || record.epoch !== progress.epoch) return;
        told = epoch;
        const which = members > 1 ? `network ${member}, ` : '';
        const valid = record.valid ? `, valid ${figureOf(record.valid.loss)}` : '';
        bar.line(`${which}epoch ${record.epoch}: loss ${figureOf(record.loss)}${valid}`);
      },
    });
  } catch (error) {
    bar.stop();
    if (error instanceof CancelledError && existsSync(checkpoint)) {
      process.stderr.write(`cinefuse: the state is in ${checkpoint}; --resume goes on from it\n`);
    }
    throw error;
  }
  bar.stop();
  process.stdout.write(
    flags.json ? `${JSON.stringify(summaryJson(result, flags.output))}\n` : summaryText(result, flags.output),
  );
  return EXIT.ok;
}

function summaryJson({ manifest, fitted, split, problems }: FitResult, output: string) {
  return {
    bundle: output,
    films: { train: split.train.length, valid: split.valid.length, test: split.test.length },
    metrics: manifest!.metrics,
    history: fitted.history,
    problems,
  };
}

function summaryText({ manifest, fitted, split, problems, encoded }: FitResult, output: string): string {
  const valid = (manifest!.metrics.valid ?? {}) as Record<string, number>;
  const lines = [
    `learned from ${split.train.length} films; on the ${split.valid.length} of valid:`,
    columns(Object.entries(valid).map(([name, value]) => [`  ${printable(name)}`, figureOf(value)])),
  ];
  for (const { seed, bestEpoch, stopped, epochs } of fitted.history) {
    lines.push(
      `seed ${seed}: ${epochs.length} epochs${stopped === 'early' ? `, the best was ${bestEpoch}` : ''}`,
    );
  }
  const modalities = Object.entries(encoded).map(([name, { films }]) => `${printable(name)} ${films}`);
  lines.push(`films by modality: ${modalities.join(', ')}`);
  if (problems.length > 0) {
    lines.push(`${problems.length} cells or files could not be used, the first:`);
    for (const { id, file, line, why } of problems.slice(0, 5)) {
      const where = [id, line === undefined ? undefined : `line ${line}`, file].filter(Boolean).join(', ');
      lines.push(`  ${printable(where)}: ${printable(why)}`);
    }
  }
  lines.push(`bundle: ${output}`, `judge it on the films of test with: cinefuse evaluate ${output}`);
  return `${lines.join('\n')}\n`;
}
