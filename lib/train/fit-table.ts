/** Fitting a fusion network on films that are numbers already. */
import { TrainError, throwIfCancelled } from '../errors.js';
import type { FusionNetworkSpec, NetworkWeight } from '../fusion/network.js';
import { fromHalf, toHalves } from '../formats/safetensors.js';
import { type Checkpoint, fingerprintOf, readCheckpoint, writeCheckpoint } from './checkpoint.js';
import { type ParsedFuseConfig, parseFuseConfig, type TableConfig } from './config.js';
import { fitKernelTable } from './fit-kernel-table.js';
import type { EpochRecord, FitOptions, FittedTable } from './fit-types.js';
import { inFullWidth } from './inputs.js';
import { type MemberCalls, newMember, stepsPerEpoch, trainMember } from './member.js';
import { checkMergeable, mergeNetworks } from './merge.js';
import { prepareFit, type ScalerCache } from './prepare.js';
import type { FilmTable, TableSplit } from './table.js';
import { metricOf } from './validate.js';

const CHECKPOINT_EVERY_MS = 30_000;

/**
 * Trains a fusion network on the films of `split.train`, stopping and choosing by those of `split.valid`. Scales of
 * inputs and targets come of the films in training only; a film whose target is unknown counts for its other targets.
 *
 * The same configuration, table and split give the same weights, bit for bit, on any number of threads of one
 * instruction set; whether in one go or resumed any number of times.
 *
 * @throws TrainError ERR_TRAIN_CONFIG      a configuration that is wrong, or does not fit the table; before any work
 * @throws TrainError ERR_TRAIN_DIVERGED    a loss or gradient that is not finite, naming step and layer; the last
 *   checkpoint stays, and where there is none one of the last good weights is written
 * @throws TrainError ERR_TRAIN_CHECKPOINT  `resume` from a file of another configuration, table or split
 * @throws TrainError ERR_TRAIN_WRITE       a checkpoint that could not be written
 * @throws DataError ERR_DATA_COLUMN, ERR_DATA_EMPTY, InputError ERR_INPUT_VALUE  a table or split that is not fit
 * @throws CancelledError ERR_CANCELLED     after a checkpoint, where one is wanted
 */
export async function fitTable(
  table: FilmTable,
  split: TableSplit,
  config: TableConfig | ParsedFuseConfig,
  options: FitOptions = {},
): Promise<FittedTable> {
  return fitTableWith(table, split, parseFuseConfig(config), options, new Map());
}

/** `fitTable` for one of several fits on a table and split, which have `cache` in common. */
export async function fitTableWith(
  table: FilmTable,
  split: TableSplit,
  parsed: ParsedFuseConfig,
  options: FitOptions,
  cache: ScalerCache,
): Promise<FittedTable> {
  const { signal, onProgress, checkpoint: file, resume, checkpointEveryMs, ...exec } = options;
  const { training } = parsed;
  throwIfCancelled(signal);
  const { fusion } = parsed.network;
  if (fusion.kind === 'kernel') return fitKernelTable(table, split, parsed, fusion, options);
  const seeds =
    typeof training.ensemble === 'number'
      ? Array.from({ length: training.ensemble }, (_, k) => parsed.seed + k)
      : training.ensemble;
  const fingerprint = file === undefined ? '' : await fingerprintOf(parsed, table, split);
  const saved = resume && file !== undefined ? await readCheckpoint(file) : undefined;
  if (saved && saved.fingerprint !== fingerprint) {
    throw new TrainError('ERR_TRAIN_CHECKPOINT', {
      file,
      expected: 'a checkpoint of this configuration, table and split',
      got: 'one of others',
    });
  }
  const started = performance.now();
  const report = reporter(onProgress, started, seeds.length, training.epochs);
  report('prepare', { member: 1, epoch: 1, done: 0, total: 0 });
  const known = { scalers: saved?.scalers, cache };
  const prepared = await prepareFit(table, split, parsed, { ...exec, signal }, known);
  if (seeds.length > 1) checkMergeable(prepared.fullSpec);
  if (training.earlyStopping) {
    metricOf(training.earlyStopping.metric, prepared.targets.heads, 'training.earlyStopping.metric');
  }

  const kept: Checkpoint = saved ?? {
    fingerprint,
    spec: prepared.spec,
    fullSpec: prepared.fullSpec,
    heads: prepared.targets.heads,
    seeds,
    scalers: prepared.scalers,
    finished: [],
  };
  const perMember = training.epochs * stepsPerEpoch(prepared, training);
  const total = perMember * seeds.length;
  const before = kept.finished.length * perMember + (kept.member?.trainer.step ?? 0);
  let written = performance.now();
  let there = saved !== undefined;
  const write = async () => {
    if (file === undefined) return;
    await writeCheckpoint(file, kept);
    written = performance.now();
    there = true;
  };
  const first = performance.now();
  for (let k = kept.finished.length; k < seeds.length; k++) {
    const calls: MemberCalls = {
      exec,
      signal,
      onSteps: ({ epoch, stepsDone, loss, record }) => {
        const done = k * perMember + stepsDone;
        const ms = performance.now() - first;
        const remainingMs = done > before ? (ms / (done - before)) * (total - done) : undefined;
        report('train', { member: k + 1, epoch, done, total, loss, record, remainingMs });
      },
      file,
      hasCheckpoint: () => there,
      checkpointDue: (epochEnded) =>
        file !== undefined &&
        (epochEnded || checkpointEveryMs !== 0) &&
        performance.now() - written >= (checkpointEveryMs ?? CHECKPOINT_EVERY_MS),
      checkpoint: async (member) => {
        kept.member = member;
        await write();
      },
    };
    kept.member ??= newMember(prepared, seeds[k]!);
    const trained = await trainMember(prepared, training, kept.member, calls);
    kept.finished.push(trained);
    kept.member = undefined;
    await write();
  }
  return assemble(kept, training.storedAs);
}

/** What is served, of the networks that are finished; of one in training its best so far, where none is. */
function assemble(kept: Checkpoint, storedAs: 'float32' | 'float16'): FittedTable {
  const { fullSpec, scalers, heads, finished, member } = kept;
  const networks = finished.map(({ weights }) => weights);
  const history = finished.map(({ history }) => history);
  if (networks.length === 0 && member) {
    networks.push(member.best?.weights ?? member.weights);
    const { seed, records } = member;
    const bestEpoch = member.best?.epoch ?? records.length;
    history.push({ seed, epochs: records, bestEpoch, stopped: 'epochs' });
  }
  const full = networks.map((weights) => inFullWidth(fullSpec, weights, scalers));
  const { spec, weights } = mergeNetworks(fullSpec, full);
  return { spec, weights: storedAs === 'float16' ? roundedToHalf(weights) : weights, heads, history };
}

/** Every weight as float16 holds it; scalers, which may be large, stay as they are. */
function roundedToHalf(weights: ReadonlyMap<string, NetworkWeight>): Map<string, NetworkWeight> {
  return new Map(
    [...weights].map(([name, { shape, data }]) => [
      name,
      { shape, data: isScaler(name) ? data : Float32Array.from(toHalves(data), fromHalf) },
    ]),
  );
}

export const isScaler = (weight: string): boolean => /\.scaler\.(mean|scale)$/.test(weight);

/**
 * What a checkpoint holds, ready to predict: the merged networks that are finished, else the best so far of the one in
 * training.
 *
 * @throws TrainError ERR_TRAIN_CHECKPOINT  no such file, or no checkpoint
 */
export async function loadCheckpoint(
  file: string,
): Promise<FittedTable & { finished: boolean; spec: FusionNetworkSpec }> {
  const kept = await readCheckpoint(file);
  if (!kept) throw new TrainError('ERR_TRAIN_CHECKPOINT', { file, expected: 'a checkpoint', got: 'no file' });
  return { ...assemble(kept, 'float32'), finished: kept.finished.length === kept.seeds.length };
}

interface Standing {
  member: number;
  epoch: number;
  done: number;
  total: number;
  loss?: number;
  record?: EpochRecord | undefined;
  remainingMs?: number | undefined;
}

function reporter(
  onProgress: FitOptions['onProgress'],
  started: number,
  members: number,
  epochs: number,
): (stage: 'prepare' | 'train', at: Standing) => void {
  return (stage, { record, remainingMs, ...at }) =>
    onProgress?.({
      stage,
      members,
      epochs,
      ...at,
      ...(record && { record }),
      ...(remainingMs !== undefined && { remainingMs }),
      elapsedMs: performance.now() - started,
    });
}
