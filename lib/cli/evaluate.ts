/** `cinefuse evaluate`: how good a bundle is on films that it has not seen. */
import type { ReportFormat } from '../train/report/report.js';
import type { Context } from './context.js';
import { EXIT } from './exit.js';
import { columnsOf, styleFor } from './terminal.js';
import { encodingOf, loadConfig, TrainingBar, type TrainingFlags } from './training.js';

export interface EvaluateFlags extends TrainingFlags {
  data?: string;
  part: 'train' | 'valid' | 'test' | 'calibration';
  output?: string;
  format?: ReportFormat[];
  draws?: number;
  baselines?: boolean;
  json?: boolean;
}

export async function evaluateCommand(
  bundle: string,
  flags: EvaluateFlags,
  { signal }: Context,
): Promise<number> {
  const { evaluateBundle } = await import('../train/dataset-runs.js');
  const config = flags.config === undefined ? undefined : await loadConfig(flags);
  const bar = new TrainingBar();
  const result = await evaluateBundle(bundle, flags.data, {
    ...(config && { config }),
    part: flags.part,
    encoding: encodingOf(flags),
    baselines: flags.baselines ?? true,
    ...(flags.draws !== undefined && { draws: flags.draws }),
    ...(flags.threads !== undefined && { threads: flags.threads }),
    signal,
    onEncode: (progress) => bar.fit(progress),
    onProgress: (done, total) => bar.show('judging', done, total),
  }).finally(() => bar.stop());
  const { evaluation, forecasts, manifest, dataset, history } = result;
  const about = {
    model: { name: manifest.name, version: manifest.version },
    data: { name: dataset.path.split(/[/\\]/).pop() ?? '', sha256: dataset.sha256 },
    history,
  };
  if (flags.json) {
    const { reportJson } = await import('../train/report/report.js');
    process.stdout.write(reportJson(evaluation, about));
  } else {
    const { evaluationText } = await import('./evaluation-text.js');
    const options = { style: styleFor(process.stdout), columns: columnsOf(process.stdout) };
    process.stdout.write(evaluationText(evaluation, options));
  }
  if (flags.output !== undefined) {
    const { writeReport } = await import('../train/report/report.js');
    const files = await writeReport(flags.output, evaluation, about, {
      ...(flags.format && { formats: flags.format }),
      forecasts,
      postersFrom: dataset.directory,
      signal,
    });
    process.stderr.write(`${files.map((file) => `cinefuse: wrote ${file}\n`).join('')}`);
  }
  return EXIT.ok;
}
