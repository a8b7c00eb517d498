/** What else is done with a data set: judging a bundle, cross-validation, search. */
import { TrainError } from '../errors.js';
import { loadBundle } from '../fusion/bundle.js';
import type { BundleManifest } from '../fusion/manifest.js';
import { FusionNetwork } from '../fusion/network.js';
import { fitBaselines } from './baselines.js';
import { splitSha256 } from './bundle-parts.js';
import { type FuseConfig, type ParsedFuseConfig, parseFuseConfig } from './config.js';
import { type CrossValidation, type CrossValidationOptions, crossValidateTable } from './cross-validate.js';
import type { Dataset } from './data/types.js';
import { datasetTargets } from './dataset-targets.js';
import { type EvaluateOptions, evaluate } from './evaluate.js';
import type { Evaluation, ForecastRow } from './evaluation.js';
import {
  type DatasetTable,
  datasetTable,
  type FitDatasetOptions,
  openConfigured,
  openSource,
  splitOf,
} from './fit.js';
import type { FitProgress, MemberHistory } from './fit-types.js';
import { forecastRows } from './forecast-rows.js';
import { type SearchConfig, type SearchOptions, type SearchResult, searchTable } from './search.js';
import { tableModel } from './table-model.js';

type Encoding = Pick<FitDatasetOptions, 'encoding'> & {
  /** Where encoding the data set stands. */
  onEncode?: ((progress: FitProgress) => void) | undefined;
};

export interface EvaluateBundleOptions
  extends Encoding,
    Pick<EvaluateOptions, 'draws' | 'subsets' | 'minGroup' | 'worst' | 'seed' | 'signal' | 'onProgress'>,
    Pick<FitDatasetOptions, 'threads'> {
  /** Default: what the bundle says it was trained with. */
  config?: FuseConfig | ParsedFuseConfig | undefined;
  /** Films of the split that are judged. Default 'test'. */
  part?: 'train' | 'valid' | 'test' | 'calibration' | undefined;
  /** Whether linear and majority baselines are fitted beside it, on the films of train. Default true. */
  baselines?: boolean | undefined;
}

export interface BundleEvaluation {
  evaluation: Evaluation;
  forecasts: ForecastRow[];
  manifest: BundleManifest;
  dataset: Dataset;
  /** Of the bundle's training, where it says so. */
  history: MemberHistory[];
}

/** The configuration that a bundle was trained with. @throws TrainError ERR_TRAIN_CONFIG  it does not say */
export function configOf(manifest: BundleManifest): ParsedFuseConfig {
  const { config } = manifest.training as { config?: unknown };
  if (config !== undefined) return parseFuseConfig(config, 'bundle.json');
  throw new TrainError('ERR_TRAIN_CONFIG', {
    field: 'config',
    expected: 'a configuration, which says where targets and parts are',
    got: `none, and the bundle ${manifest.name} was not trained by fit`,
  });
}

/**
 * Judges a bundle on one part of a data set: each reported head with its intervals and probabilities, each modality alone
 * and left out, by group, beside baselines.
 *
 * @param source  a data set, its path, or undefined for the configuration's own
 * @throws as loadBundle, openDataset, encodeDataset and evaluate
 */
export async function evaluateBundle(
  bundlePath: string,
  source: string | Dataset | undefined,
  options: EvaluateBundleOptions = {},
): Promise<BundleEvaluation> {
  const { part = 'test', encoding, threads, baselines = true, onEncode, config: own, ...judging } = options;
  const { signal } = options;
  await using bundle = await loadBundle(bundlePath, { signal });
  const { manifest } = bundle;
  const given = own ? parseFuseConfig(own) : configOf(manifest);
  const config = {
    ...given,
    inputs: { ...given.inputs, bundle: bundlePath, encoders: [], modalities: manifest.modalities },
    network: { ...given.network, modalities: sequencesOf(manifest) },
  } as ParsedFuseConfig;
  const dataset = await openConfigured(source, config, signal);
  const split = await dataset.split(splitOf(config), { signal });
  const rows = split[part];
  if (!rows) {
    throw new TrainError('ERR_TRAIN_CONFIG', { field: 'part', expected: 'a part of the split', got: part });
  }
  const parts = Object.fromEntries(Object.entries(split).filter(([, films]) => films !== undefined));
  // On the films that it was trained on, facts and terms are encoded as in training: nobody's own rating in their vectors.
  const same = manifest.metrics.splitSha256 === splitSha256(dataset.ids, parts);
  const made = await datasetTable(dataset, config, bundle, {
    encoding: { ...encoding, ...(!same && { metadata: 'bundle' as const, terms: [] }) },
    split,
    signal,
    ...(threads !== undefined && { threads }),
    onProgress: onEncode,
  });
  const exec = threads === undefined ? {} : { threads };
  using network = FusionNetwork.create(manifest.network, bundle.networkWeights(), exec);
  const model = tableModel(network, made.judged, exec);
  // A configuration of the caller's may name fewer targets than the bundle has heads.
  const heads = manifest.heads.filter(
    ({ name, task }) => task === 'auxiliary' || name in made.judged.targets,
  );
  const judgedHeads = heads.filter((head) => head.task !== 'auxiliary');
  const evaluation = await evaluate(model, made.judged, rows, heads, {
    ...judging,
    part,
    ...(baselines && {
      baselines: await fitBaselines(made.judged, split, judgedHeads, { ...exec, signal }),
    }),
  });
  const forecasts = await forecastRows(model, made.judged, rows, heads, signal);
  const { history = [] } = manifest.training as { history?: MemberHistory[] };
  return { evaluation, forecasts, manifest, dataset, history };
}

function sequencesOf({ network }: BundleManifest): ParsedFuseConfig['network']['modalities'] {
  return Object.fromEntries(
    network.modalities.flatMap(({ name, sequence }) => (sequence ? [[name, { sequence }]] : [])),
  );
}

/**
 * Cross-validation of a configuration on the films of train and valid; those of test stay unseen. Encoders that learn
 * are fitted anew for every fold, all others run once.
 *
 * @throws as openDataset, encodeDataset and fitTable
 */
export async function crossValidate(
  source: string | Dataset | undefined,
  config: FuseConfig | ParsedFuseConfig,
  options: CrossValidationOptions & Encoding & { groupColumn?: string | undefined } = {},
): Promise<CrossValidation> {
  const { encoding, onEncode, groupColumn, ...rest } = options;
  const { signal, threads } = options;
  const parsed = parseFuseConfig(config);
  const dataset = await openConfigured(source, parsed, signal);
  const split = await dataset.split(splitOf(parsed), { signal });
  const rows = Int32Array.from([...split.train, ...split.valid]).sort();
  // Classes and medians are those of all films shared out, so that the folds judge the same thing.
  const { configs } = await datasetTargets(dataset, parsed.targets, { ...split, train: rows }, signal);
  const resolved = { ...parsed, targets: configs };
  await using bundle = await openSource(parsed, signal);
  // One fold after the other is encoded: what the first puts into the cache the others find there.
  let before: Promise<unknown> = Promise.resolve();
  const groups = groupColumn === undefined ? undefined : await dataset.groups(groupColumn, { signal });
  return await crossValidateTable(
    (fold, cancelled) => {
      const made = before.then(() =>
        datasetTable(dataset, resolved, bundle, {
          encoding,
          split: fold,
          signal: cancelled,
          ...(threads !== undefined && { threads }),
          onProgress: onEncode,
        }),
      );
      before = made.catch(() => {});
      return made.then(({ table }) => table);
    },
    rows,
    resolved,
    { ...rest, ...(groups && { groups: groups.map((of, row) => of[0] ?? `only ${row}`) }) },
  );
}

export interface DatasetSearch extends SearchResult {
  data: DatasetTable;
}

/**
 * Searches on a data set, encoded once. The space may change the network, training, seed and the targets' losses and
 * weights: not what is encoded.
 *
 * @param search  default: the configuration's own section
 * @throws as openDataset, encodeDataset and searchTable
 */
export async function search(
  source: string | Dataset | undefined,
  config: FuseConfig | ParsedFuseConfig,
  options: SearchOptions & Encoding & { search?: SearchConfig | undefined } = {},
): Promise<DatasetSearch> {
  const { encoding, onEncode, search: given, ...rest } = options;
  const { signal, threads } = options;
  const parsed = parseFuseConfig(config);
  const wanted = given ?? parsed.search;
  if (!wanted) {
    throw new TrainError('ERR_TRAIN_CONFIG', { field: 'search', expected: 'what to try', got: 'nothing' });
  }
  const dataset = await openConfigured(source, parsed, signal);
  await using bundle = await openSource(parsed, signal);
  const data = await datasetTable(dataset, parsed, bundle, {
    encoding,
    signal,
    ...(threads !== undefined && { threads }),
    onProgress: onEncode,
  });
  return { ...(await searchTable(data.table, data.split, data.config, wanted, rest)), data };
}
