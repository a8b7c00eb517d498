/** From a data set to a bundle that predicts: encode, train, calibrate, save. */
import path from 'node:path';
import { DataError, TrainError, throwIfCancelled } from '../errors.js';
import { type Bundle, loadBundle } from '../fusion/bundle.js';
import { saveBundle } from '../fusion/bundle-save.js';
import type { BundleHead, BundleManifest, BundleModality } from '../fusion/manifest.js';
import { FusionNetwork } from '../fusion/network.js';
import { defaultBundlePath } from '../native.js';
import { bundleContents, readEncoders, splitSha256 } from './bundle-parts.js';
import { calibrate, type UncalibratedHead } from './calibrate.js';
import { type FuseConfig, type ParsedFuseConfig, parseFuseConfig } from './config.js';
import type { SplitConfig } from './data/config.js';
import { openDataset } from './data/open.js';
import type { DataProblem, Dataset } from './data/types.js';
import { type DatasetTargets, datasetTargets, datasetWeights } from './dataset-targets.js';
import { encodeDataset } from './encode.js';
import type {
  EncodeDatasetOptions,
  EncodedDataset,
  EncodedModality,
  MetadataModalityOptions,
  TermsModalityOptions,
} from './encode-types.js';
import { fitTable } from './fit-table.js';
import type { FitOptions, FitProgress, FittedHead, FittedTable } from './fit-types.js';
import { selectModalities, withAny } from './inputs.js';
import type { FilmTable, TableSplit } from './table.js';
import { tableModel } from './table-model.js';
import { scoreFitted } from './validate.js';

export interface FitDatasetOptions extends FitOptions {
  /** Where the bundle is written: a folder, or a .tar. Default: nowhere. */
  out?: string | undefined;
  /** Whether `out` may be replaced. Default false. */
  overwrite?: boolean | undefined;
  /** As encodeDataset's: where embeddings are kept, how media are decoded and encoders run. */
  encoding?:
    | Omit<EncodeDatasetOptions, 'bundle' | 'encoders' | 'modalities' | 'split' | 'signal' | 'onProgress'>
    | undefined;
}

/** A data set as numbers, with what is to be learned of it. */
export interface DatasetTable {
  dataset: Dataset;
  /** With targets known also of films that are not judged. */
  table: FilmTable;
  /** The same films with the targets that are judged. */
  judged: FilmTable;
  split: TableSplit;
  /** With thresholds and classes that come of the films in training. */
  config: ParsedFuseConfig;
  modalities: BundleModality[];
  metadata: BundleManifest['metadata'];
  /** TF-IDF members that were fitted. */
  terms: EncodedDataset['terms'];
  encoded: Record<string, EncodedModality>;
  /** Cells and files of the data set that could not be used. */
  problems: DataProblem[];
}

export interface FitResult extends DatasetTable {
  fitted: FittedTable;
  /** Calibrated. */
  heads: BundleHead[];
  /** Of the bundle, where one was written. */
  manifest?: BundleManifest;
}

/** As the configuration has it, or as Dataset.split takes it. */
export const splitOf = ({ data: { split } }: Pick<ParsedFuseConfig, 'data'>): SplitConfig =>
  typeof split === 'string' ? { kind: 'column', column: split } : split;

/** Opens the data set that is named, read as the configuration says. */
export async function openConfigured(
  source: string | Dataset | undefined,
  { data }: ParsedFuseConfig,
  signal: AbortSignal | undefined,
): Promise<Dataset> {
  if (typeof source === 'object') return source;
  const from = source ?? data.path;
  if (from === undefined) {
    throw new TrainError('ERR_TRAIN_CONFIG', { field: 'data.path', expected: 'a data set', got: 'none' });
  }
  const reading = Object.entries({
    id: data.id,
    fields: data.fields,
    columns: data.columns,
    files: data.files,
  });
  const given = Object.fromEntries(reading.filter(([, value]) => value !== undefined));
  return openDataset({ ...given, path: from }, { signal });
}

/**
 * Opens the bundle that encoders come from.
 * @throws BundleError as loadBundle
 */
export async function openSource(
  { inputs }: ParsedFuseConfig,
  signal: AbortSignal | undefined,
): Promise<Bundle> {
  return loadBundle(inputs.bundle === 'default' ? defaultBundlePath() : inputs.bundle, { signal });
}

/**
 * Encodes a data set and reads its targets. What the configuration says is checked before anything is encoded.
 *
 * @param split  default: the configuration's
 */
export async function datasetTable(
  dataset: Dataset,
  parsed: ParsedFuseConfig,
  source: Bundle,
  options: Pick<FitDatasetOptions, 'encoding' | 'signal' | 'onProgress' | 'threads'> & {
    split?: TableSplit | undefined;
    /** Called before anything is encoded. */
    check?:
      | ((known: Pick<DatasetTable, 'split' | 'config'> & Pick<DatasetTargets, 'judged'>) => void)
      | undefined;
  } = {},
): Promise<DatasetTable> {
  const { signal, encoding = {}, onProgress } = options;
  const split = options.split ?? (await dataset.split(splitOf(parsed), { signal }));
  const { targets, judged, configs } = await datasetTargets(dataset, parsed.targets, split, signal);
  const config = { ...parsed, targets: configs };
  options.check?.({ split, config, judged });
  const weights = await datasetWeights(dataset, parsed.data.weight, signal);
  const encoders = await readEncoders(parsed.inputs.encoders);
  const modalities = (parsed.inputs.modalities ?? source.manifest.modalities) as BundleModality[];
  const { training } = parsed;
  const {
    table,
    metadata,
    terms,
    modalities: encoded,
    problems,
  } = await encodeDataset(dataset, {
    ...(options.threads !== undefined && { threads: options.threads }),
    ...encoding,
    bundle: source,
    encoders,
    modalities: modalities.map((modality) => ({
      ...modality,
      sequence: parsed.network.modalities[modality.name]?.sequence !== undefined,
    })),
    split,
    metadata: encoding.metadata ?? factsOptions(parsed),
    terms: encoding.terms ?? termsOptions(config, targets),
    targets: configs.map(({ name, column }) => column ?? name),
    beforeRelease: parsed.data.beforeRelease,
    ...(parsed.data.groups.length > 0 && { groups: parsed.data.groups }),
    signal,
    onProgress: ({ done, total, elapsedMs, remainingMs }) =>
      onProgress?.({
        stage: 'encode',
        member: 1,
        members: 1,
        epoch: 1,
        epochs: training.epochs,
        done,
        total,
        elapsedMs,
        ...(remainingMs !== undefined && { remainingMs }),
      }),
  });
  return {
    dataset,
    table: { ...table, targets, ...(weights && { weights }) },
    judged: { ...table, targets: judged },
    split,
    config,
    modalities,
    metadata,
    terms,
    encoded,
    problems: [...dataset.problems, ...problems],
  };
}

/** TF-IDF members with the values that their directions are fitted towards. */
function termsOptions(
  { inputs, targets, seed }: ParsedFuseConfig,
  values: DatasetTargets['targets'],
): TermsModalityOptions[] {
  return inputs.tfidf.map(({ targets: named, ...member }, i) => {
    const regressions = targets.filter(({ task }) => task === 'regression');
    const chosen = named ?? regressions.map(({ name }) => name);
    const columns = chosen.map((name) => {
      const target = regressions.find((one) => one.name === name);
      if (!target) {
        throw new TrainError('ERR_TRAIN_CONFIG', {
          field: `inputs.tfidf.${i}.targets`,
          expected: 'targets of the task regression',
          got: `"${name}"`,
        });
      }
      const own = values[name]!;
      return target.task === 'regression' && target.transform === 'log10' ? own.map(Math.log10) : own;
    });
    return { ...member, seed, targets: columns };
  });
}

/** The facts' tables of people rest on the columns of the targets of these names, where there are such. */
function factsOptions({ targets, seed }: ParsedFuseConfig): MetadataModalityOptions {
  const columnOf = (name: string) => {
    const target = targets.find((one) => one.name === name && one.task === 'regression');
    return target && (target.column ?? target.name);
  };
  const [rating, revenue] = [columnOf('rating'), columnOf('boxOffice')];
  return { seed, ...(rating !== undefined && { rating }), ...(revenue !== undefined && { revenue }) };
}

/**
 * Trains a bundle on a data set: encodes what the cache lacks, fits the network, calibrates intervals and probabilities on
 * films that it was not trained on, and writes all that a Predictor needs to one place.
 *
 * @param source  a data set, its path, or undefined for the configuration's own `data.path`
 * @throws as openDataset, encodeDataset, fitTable, calibrate and saveBundle
 */
export async function fit(
  source: string | Dataset | undefined,
  config: FuseConfig | ParsedFuseConfig,
  options: FitDatasetOptions = {},
): Promise<FitResult> {
  const { out, overwrite = false, encoding: _, ...fitting } = options;
  const { signal, onProgress } = options;
  const parsed = parseFuseConfig(config);
  throwIfCancelled(signal);
  const dataset = await openConfigured(source, parsed, signal);
  await using bundle = await openSource(parsed, signal);
  const made = await datasetTable(dataset, parsed, bundle, { ...options, check: checkCalibration });
  const fitted = await fitTable(made.table, made.split, made.config, fitting);
  const at = { member: 1, members: 1, epoch: 1, epochs: 1 };
  const tell = (stage: FitProgress['stage'], done: number, total: number) =>
    onProgress?.({ stage, ...at, done, total, elapsedMs: 0 });
  const heads = await calibrateFitted(fitted, made, options, (done, total) => tell('calibrate', done, total));
  const result = { ...made, fitted, heads };
  if (out === undefined) return result;
  tell('save', 0, 1);
  const contents = await bundleContents({
    config: made.config,
    fitted,
    heads,
    modalities: made.modalities,
    source: bundle,
    encoders: await readEncoders(parsed.inputs.encoders),
    metadata: made.metadata,
    terms: made.terms,
    metrics: await metricsOf(result, options),
    training: {
      config: portable(made.config),
      history: fitted.history,
      ...(fitted.kernel && { kernel: fitted.kernel }),
    },
  });
  const manifest = await saveBundle(out, contents, { overwrite, signal });
  tell('save', 1, 1);
  return { ...result, manifest };
}

/** Without the folders of this machine: what the bundle tells of its training. */
function portable({ data: { path: _, ...data }, inputs, ...config }: ParsedFuseConfig) {
  const { bundle, encoders } = inputs;
  return {
    ...config,
    data,
    inputs: {
      ...inputs,
      bundle: path.basename(bundle),
      encoders: encoders.map((file) => path.basename(file)),
    },
  };
}

const calibrationRows = ({ calibration, valid }: TableSplit) => calibration ?? valid;

/** Before anything long: films to calibrate by. @throws DataError ERR_DATA_EMPTY */
function checkCalibration({
  config,
  judged,
  split,
}: Pick<DatasetTable, 'split' | 'config'> & Pick<DatasetTargets, 'judged'>): void {
  const rows = calibrationRows(split);
  const { level, minFilms } = config.calibration;
  for (const { name, task } of config.targets) {
    const wanted = task === 'regression' ? Math.max(minFilms, Math.ceil(level / (1 - level))) : 1;
    const known = rows.filter((row) => !Number.isNaN(judged[name]![row]!)).length;
    if (known >= wanted) continue;
    throw new DataError('ERR_DATA_EMPTY', {
      field: `targets.${name}`,
      expected: `at least ${wanted} films of the part ${split.calibration ? 'calibration' : 'valid'} to calibrate by`,
      got: String(known),
    });
  }
}

/** Calibrates a fitted network on the films of `calibration`, or of `valid` where there are none of that. */
export async function calibrateFitted(
  fitted: FittedTable,
  { judged, split, config }: Pick<DatasetTable, 'judged' | 'split' | 'config'>,
  options: FitOptions,
  onProgress?: (done: number, total: number) => void,
): Promise<BundleHead[]> {
  const { onProgress: _, checkpoint, resume, checkpointEveryMs, signal, ...exec } = options;
  const table = selectModalities(
    judged,
    fitted.spec.modalities.map(({ name }) => name),
  );
  const rows = withAny(calibrationRows(split), table);
  using network = FusionNetwork.create(fitted.spec, fitted.weights, exec);
  const stopped = config.training.earlyStopping && !split.calibration;
  return await calibrate(
    tableModel(network, table, exec),
    table,
    rows,
    fitted.heads.map((head) => uncalibrated(head)),
    {
      level: config.calibration.level,
      minFilms: config.calibration.minFilms,
      probabilities: config.calibration.probabilities,
      calibratedOn: `${rows.length} films of the part ${split.calibration ? 'calibration' : 'valid'}, not learned from${
        stopped ? ' but stopped by' : ''
      }`,
      signal,
      ...(onProgress && { onProgress }),
    },
  );
}

function uncalibrated(head: FittedHead): UncalibratedHead {
  if (head.task === 'binary') return { ...head, threshold: 0.5 };
  if (head.task !== 'regression') return head;
  const { spreadHead, ...rest } = head;
  return { ...rest, ...(spreadHead !== undefined && { interval: { spreadHead } }) };
}

async function metricsOf(
  { dataset, split, fitted, judged, config, encoded }: FitResult,
  options: FitOptions,
): Promise<Record<string, unknown>> {
  const { onProgress, checkpoint, resume, checkpointEveryMs, ...exec } = options;
  const parts = Object.entries(split).filter(
    (entry): entry is [string, Int32Array] => entry[1] !== undefined,
  );
  return {
    films: dataset.length,
    datasetSha256: dataset.sha256,
    splitSha256: splitSha256(dataset.ids, Object.fromEntries(parts)),
    counts: Object.fromEntries(parts.map(([part, rows]) => [part, rows.length])),
    modalities: Object.fromEntries(Object.entries(encoded).map(([name, { films }]) => [name, films])),
    valid: (await scoreFitted(fitted, judged, split.valid, config, split.train, exec)).metrics,
  };
}
