/** From a table, a split and a configuration to what a trainer takes: network, scaled inputs, targets, films. */
import { DataError, TrainError, throwIfCancelled } from '../errors.js';
import {
  type FusionNetworkSpec,
  type NetworkWeight,
  parseFusionNetworkSpec,
  weightShapes,
} from '../fusion/network.js';
import type { ExecOptions } from '../ops/exec.js';
import type { ParsedFuseConfig } from './config.js';
import type { DrawPlan } from './draws.js';
import {
  checkFinite,
  fitScaler,
  type InputScaler,
  reduceModality,
  selectModalities,
  withAny,
  withModality,
} from './inputs.js';
import type { FilmTable, TableModality, TableSplit } from './table.js';
import { type FittedTargets, fitTargets } from './targets.js';
import type { TrainerData } from './trainer-types.js';

/** What fitTable needs of a configuration, parsed. */
export type ParsedTableConfig = Pick<
  ParsedFuseConfig,
  'seed' | 'targets' | 'network' | 'training' | 'inputs'
>;

export interface PreparedFit {
  /** Of what is trained: over reduced inputs where principal directions were asked for. */
  spec: FusionNetworkSpec;
  /** Of what is served: over the table's own vectors. */
  fullSpec: FusionNetworkSpec;
  scalers: Record<string, InputScaler>;
  /** Weights of `spec` that are set before training: the scalers. */
  fixed: Map<string, NetworkWeight>;
  /** The table with the network's modalities, reduced. */
  table: FilmTable;
  targets: FittedTargets;
  data: TrainerData;
  plan: DrawPlan;
  /** Films for validation; none where the split has none. */
  valid: Int32Array;
}

/** By modality and reduction: what fits on one table and split have in common. */
export type ScalerCache = Map<string, Promise<{ scaler: InputScaler; modality: TableModality }>>;

/** The network over vectors of these widths. */
export function networkOf(
  { network }: Pick<ParsedTableConfig, 'network'>,
  table: FilmTable,
  heads: FusionNetworkSpec['heads'],
): FusionNetworkSpec {
  const names = Object.keys(table.modalities);
  for (const name of Object.keys(network.modalities)) {
    if (names.includes(name)) continue;
    throw new TrainError('ERR_TRAIN_CONFIG', {
      field: `network.modalities.${name}`,
      expected: `one of ${names.join(', ')}`,
      got: 'a modality that the data do not have',
    });
  }
  const spec = {
    modalities: names.map((name) => {
      const { dim, steps } = table.modalities[name]!;
      const own = network.modalities[name];
      const sequence = own?.sequence ?? (steps > 1 ? { pooling: 'mean' as const } : undefined);
      const differing = Object.fromEntries(
        Object.entries(own?.projection ?? {}).filter(([, value]) => value !== undefined),
      );
      return {
        name,
        dim,
        projection: { ...network.projection, ...differing },
        ...(sequence && { sequence }),
      };
    }),
    fusion: network.fusion,
    trunk: network.trunk,
    heads,
  };
  try {
    return parseFusionNetworkSpec(spec);
  } catch (cause) {
    const { field, expected, got } = cause as { field?: string; expected?: string; got?: string };
    throw new TrainError('ERR_TRAIN_CONFIG', { field: field ?? 'network', expected, got, cause });
  }
}

/**
 * Everything that is fitted on the films in training before the network: scales, classes, scalers, directions.
 *
 * @param scalers  those of a checkpoint, instead of fitting them
 * @throws TrainError ERR_TRAIN_CONFIG  a configuration that does not fit the table, naming the field
 * @throws DataError, InputError        a table or split that cannot be trained on
 */
export async function prepareFit(
  whole: FilmTable,
  split: TableSplit,
  config: ParsedTableConfig,
  exec: ExecOptions,
  {
    scalers,
    cache = new Map(),
  }: { scalers?: Record<string, InputScaler> | undefined; cache?: ScalerCache | undefined } = {},
): Promise<PreparedFit> {
  const { training, inputs } = config;
  const names = inputs.modalities?.map(({ name }) => name) ?? Object.keys(whole.modalities);
  const table = selectModalities(whole, names);
  checkRows(split, table);
  const train = withAny(split.train, table);
  const valid = withAny(split.valid, table);
  if (train.length === 0) {
    throw new DataError('ERR_DATA_EMPTY', {
      field: 'split.train',
      expected: 'films with at least one modality',
      got: 'none',
    });
  }
  if (training.earlyStopping && valid.length === 0) {
    throw new DataError('ERR_DATA_EMPTY', {
      field: 'split.valid',
      expected: 'films to stop early by',
      got: 'none',
    });
  }
  const targets = fitTargets(config.targets, table, train);
  const fullSpec = networkOf(config, table, targets.outputs);
  const shared = (dim: (name: string) => number): FusionNetworkSpec => ({
    ...fullSpec,
    modalities: fullSpec.modalities.map((modality) => ({
      ...modality,
      dim: dim(modality.name),
      ...(modality.sequence?.pooling === 'attention' && {
        sequence: { ...modality.sequence, attentionDim: modality.sequence.attentionDim ?? modality.dim },
      }),
    })),
  });
  const fitted: Record<string, InputScaler> = {};
  const modalities: Record<string, TableModality> = {};
  for (const [m, name] of names.entries()) {
    throwIfCancelled(exec.signal);
    const reduce = config.network.modalities[name]?.principalDirections;
    const key = `${name} ${JSON.stringify(reduce)}`;
    let ready = cache.get(key);
    if (!ready) {
      ready = scaledModality(name, m, table, { train, valid }, reduce, scalers?.[name], exec);
      cache.set(key, ready);
      // One that was cancelled is nobody else's.
      ready.catch(() => cache.delete(key));
    }
    const { scaler, modality } = await ready;
    fitted[name] = scaler;
    modalities[name] = modality;
  }
  const reduced = { ...table, modalities };
  const spec = parseFusionNetworkSpec(shared((name) => modalities[name]!.dim));
  const fixed = new Map<string, NetworkWeight>();
  for (const { name, dim } of spec.modalities) {
    const { mean, scale, directions } = fitted[name]!;
    // What is reduced is centred and scaled already.
    const [by, times] = directions ? [new Float32Array(dim), new Float32Array(dim).fill(1)] : [mean, scale];
    fixed.set(`modalities.${name}.scaler.mean`, { shape: [dim], data: by });
    fixed.set(`modalities.${name}.scaler.scale`, { shape: [dim], data: times });
  }
  for (const name of training.frozen) {
    if (weightShapes(spec).has(name)) continue;
    throw new TrainError('ERR_TRAIN_CONFIG', {
      field: 'training.frozen',
      expected: 'names of weights, as docs/bundle-format.md lists them',
      got: name,
    });
  }
  return {
    spec,
    fullSpec: parseFusionNetworkSpec(shared((name) => table.modalities[name]!.dim)),
    scalers: fitted,
    fixed,
    table: reduced,
    targets,
    data: {
      films: table.ids.length,
      modalities,
      targets: targets.targets,
      weights: filmWeights(table, train),
    },
    plan: {
      rows: train,
      present: table.present,
      modalityDropout: modalityDropout(training.modalityDropout, names),
      inputOf: inputNumbers(names, inputs.modalities),
      fewInputs: training.fewInputs,
      variants: variantsOf(table),
    },
    valid,
  };
}

async function scaledModality(
  name: string,
  m: number,
  table: FilmTable,
  { train, valid }: { train: Int32Array; valid: Int32Array },
  reduce: { keep: number; power: number } | undefined,
  given: InputScaler | undefined,
  exec: ExecOptions,
): Promise<{ scaler: InputScaler; modality: TableModality }> {
  const has = withModality(train, table, m);
  const scaler = given ?? (await fitScaler(name, table, has, reduce, exec));
  await checkFinite(name, table, withModality(valid, table, m));
  const modality = table.modalities[name]!;
  if (!scaler.directions) return { scaler, modality };
  const count = Object.keys(table.modalities).length;
  const isThere = (film: number) => table.present[film * count + m] === 1;
  return { scaler, modality: await reduceModality(modality, isThere, scaler, exec) };
}

function checkRows(split: TableSplit, { ids }: FilmTable): void {
  for (const part of ['train', 'valid', 'test'] as const) {
    const wrong = split[part].find((row) => !(row >= 0 && row < ids.length));
    if (wrong === undefined) continue;
    throw new DataError('ERR_DATA_COLUMN', {
      field: `split.${part}`,
      expected: `rows of the table, 0 to ${ids.length - 1}`,
      got: String(wrong),
    });
  }
  const train = new Set(split.train);
  const twice = split.valid.find((row) => train.has(row));
  if (twice !== undefined) {
    throw new DataError('ERR_DATA_COLUMN', {
      field: 'split.valid',
      expected: 'films that are not in training',
      got: `${ids[twice]}, which is`,
    });
  }
}

/** Weights that are 1 on average over the films in training. */
function filmWeights({ weights, ids }: FilmTable, train: Int32Array): Float32Array | undefined {
  if (!weights) return undefined;
  const wrong = weights.length === ids.length ? train.find((row) => !(weights[row]! >= 0)) : -1;
  let sum = 0;
  for (const row of train) sum += weights[row]!;
  if (wrong !== undefined || !(sum > 0)) {
    throw new DataError('ERR_DATA_COLUMN', {
      field: 'weights',
      expected: `${ids.length} numbers of 0 or more, not all 0`,
      got:
        wrong === -1
          ? `${weights.length}`
          : wrong === undefined
            ? 'only 0'
            : `${weights[wrong]} of ${ids[wrong]}`,
    });
  }
  const mean = sum / train.length;
  // Of films outside training the weights are not read, but have to be numbers.
  return weights.map((weight) => (weight >= 0 ? weight / mean : 0));
}

function modalityDropout(
  chances: ParsedFuseConfig['training']['modalityDropout'],
  names: readonly string[],
): number[] {
  if (typeof chances === 'number') return names.map(() => chances);
  const unknown = Object.keys(chances).find((name) => !names.includes(name));
  if (unknown !== undefined) {
    throw new TrainError('ERR_TRAIN_CONFIG', {
      field: `training.modalityDropout.${unknown}`,
      expected: `one of ${names.join(', ')}`,
      got: 'a modality that the network does not have',
    });
  }
  return names.map((name) => chances[name] ?? 0);
}

function inputNumbers(
  names: readonly string[],
  modalities: ParsedFuseConfig['inputs']['modalities'],
): number[] {
  const inputs = names.map(
    (name) => modalities?.find((modality) => modality.name === name)?.input ?? `/${name}`,
  );
  const distinct = [...new Set(inputs)];
  return inputs.map((input) => distinct.indexOf(input));
}

function variantsOf({ modalities }: FilmTable): number {
  const counts = Object.entries(modalities).map(([name, { variants = 1 }]) => ({ name, variants }));
  const several = counts.filter(({ variants }) => variants > 1);
  const [first] = several;
  const other = several.find(({ variants }) => variants !== first!.variants);
  if (other || (first && first.variants > 256)) {
    throw new DataError('ERR_DATA_COLUMN', {
      field: `modalities.${(other ?? first!).name}.variants`,
      expected: other ? `${first!.variants}, as of ${first!.name}` : 'at most 256',
      got: String((other ?? first!).variants),
    });
  }
  return first?.variants ?? 1;
}
