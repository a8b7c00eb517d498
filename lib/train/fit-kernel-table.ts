/** fitTable of the fusion kind 'kernel', which is solved rather than stepped. */
import { TrainError } from '../errors.js';
import type { ParsedFuseConfig } from './config.js';
import type { FitOptions, FittedTable } from './fit-types.js';
import { selectModalities, withAny } from './inputs.js';
import type { KernelHead } from './kernel-config.js';
import { fitKernel } from './kernel-fit.js';
import type { KernelSection } from './kernel-schema.js';
import { seedOf } from './random.js';
import type { FilmTable, TableSplit } from './table.js';
import { fitTargets } from './targets.js';

/** What a solution in closed form has no place for. @throws TrainError ERR_TRAIN_CONFIG  naming the field */
function refuseStepped({ targets, network, training }: ParsedFuseConfig): void {
  const refuse = (field: string, got: string) => {
    throw new TrainError('ERR_TRAIN_CONFIG', {
      field,
      expected: "nothing with the fusion kind 'kernel'",
      got,
    });
  };
  for (const [i, target] of targets.entries()) {
    if (target.task === 'regression' && target.spread) refuse(`targets.${i}.spread`, 'a spread');
    const plain = target.loss.kind !== 'mae' && target.loss.kind !== 'huber';
    if (!plain) refuse(`targets.${i}.loss.kind`, target.loss.kind);
  }
  if (network.trunk.length > 0) refuse('network.trunk', `${network.trunk.length} layers`);
  for (const [name, { principalDirections, sequence }] of Object.entries(network.modalities)) {
    if (principalDirections) refuse(`network.modalities.${name}.principalDirections`, 'a reduction');
    if (sequence?.pooling === 'attention') refuse(`network.modalities.${name}.sequence.pooling`, 'attention');
  }
  if (training.ensemble !== 1) refuse('training.ensemble', 'an ensemble');
  if (training.storedAs !== 'float32') refuse('training.storedAs', training.storedAs);
}

/** @throws as fitKernel; TrainError ERR_TRAIN_CONFIG  settings of stepped training */
export async function fitKernelTable(
  whole: FilmTable,
  split: TableSplit,
  config: ParsedFuseConfig,
  fusion: KernelSection,
  { onProgress, isa, threads, signal }: FitOptions,
): Promise<FittedTable> {
  refuseStepped(config);
  const names = config.inputs.modalities?.map(({ name }) => name) ?? Object.keys(whole.modalities);
  const table = selectModalities(whole, names);
  const train = withAny(split.train, table);
  const targets = fitTargets(config.targets, table, train);
  const heads = targets.heads.flatMap((head): KernelHead[] => {
    if (head.task === 'auxiliary') return [];
    return head.task === 'multiclass'
      ? [{ head: head.name, task: 'multiclass', classes: head.classes.length }]
      : [{ head: head.name, task: head.task }];
  });
  const started = performance.now();
  const { kind: _, ...kernels } = fusion;
  const {
    spec,
    weights,
    heads: solved,
  } = await fitKernel(
    table,
    { ...split, train, valid: withAny(split.valid, table) },
    { ...kernels, heads, targets: targets.targets, seed: seedOf(config.seed, 'kernel') },
    {
      ...(isa !== undefined && { isa }),
      ...(threads !== undefined && { threads }),
      signal,
      onProgress: ({ done, total }) => {
        const at = { member: 1, members: 1, epoch: 1, epochs: 1, done, total };
        onProgress?.({ stage: 'train', ...at, elapsedMs: performance.now() - started });
      },
    },
  );
  return { spec, weights, heads: targets.heads, history: [], kernel: solved };
}
