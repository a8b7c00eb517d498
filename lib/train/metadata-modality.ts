/** The modality of facts: tables of people fitted on the training films, none of which sees its own rating in them. */
import { createHash } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { WorkerChannel } from '../encoders/worker-channel.js';
import { DataError, InputError, throwIfCancelled } from '../errors.js';
import { DEFAULT_FIT } from '../metadata/fit.js';
import { parseSafetensors, serializeSafetensors, type StoredTensor } from '../formats/safetensors.js';
import { LEAST_BUDGET, MetadataEncoder } from '../metadata/metadata-encoder.js';
import { type MetadataFields, type MetadataSpec, metadataSpecSchema } from '../metadata/spec.js';
import { Pace } from '../pace.js';
import type { Dataset } from './data/types.js';
import type { EmbeddingCache } from './embedding-cache.js';
import type { MetadataModalityOptions } from './encode-types.js';
import type { FoldingReply, FoldingRequest, SpecReply, SpecRequest } from './metadata-thread.js';
import type { TableModality, TableSplit } from './table.js';

/**
 * In every other folding a field is hidden with this chance, so that a network meets films of which little is told and
 * "no budget given" does not simply mean "obscure film".
 */
export const HIDDEN_FIELDS: Readonly<Record<string, number>> = {
  budget: 0.3,
  runtime: 0.1,
  cast: 0.1,
  director: 0.1,
  genres: 0.05,
  title: 0.1,
  releaseDate: 0.05,
  language: 0.2,
};

const RATING_COLUMNS = ['rating', 'vote_average', 'average_rating', 'averageRating', 'imdb_rating', 'score'];
const REVENUE_COLUMNS = ['revenue', 'gross', 'worldwide_gross', 'box_office'];

export interface FactsContext {
  dataset: Dataset;
  /** By row. */
  facts: readonly (MetadataFields | undefined)[];
  cache: EmbeddingCache;
  /** Columns that are to be predicted. */
  targets: readonly string[];
  /** Foldings that are fitted at once. Default: half of the cores. */
  threads: number | undefined;
  signal: AbortSignal | undefined;
  onFolding: (done: number, total: number) => void;
}

/**
 * Fits the facts' encoder and encodes every film. Training films have a vector a folding: each is encoded with tables made
 * of the films of the other folds. All other films have the vector that serving would give them.
 *
 * @throws DataError ERR_DATA_COLUMN  no column of ratings; ERR_DATA_EMPTY: no training film has facts and a rating
 */
export async function fitFacts(
  context: FactsContext,
  split: TableSplit,
  options: MetadataModalityOptions,
): Promise<{ modality: TableModality; spec: MetadataSpec; cached: boolean }> {
  const { dataset, facts, cache, signal } = context;
  const settings = {
    seed: options.seed ?? 0,
    foldings: positive('metadata.foldings', options.foldings ?? 4),
    folds: positive('metadata.folds', options.folds ?? 10, 2),
    hidden: options.hidden ?? HIDDEN_FIELDS,
    fit: options.fit ?? DEFAULT_FIT,
  };
  const rows = await trainingRows(context, split, options);
  const key = await keyOf({ facts: METADATA_VERSION, ...settings }, facts, rows);
  const found = await fromCache(cache, key, facts.length);
  if (found) return { ...found, cached: true };

  const { foldings, folds, seed, hidden, fit } = settings;
  const training = rows.map(({ row, rating, logRevenue }) => ({ fields: facts[row]!, rating, logRevenue }));
  const lanes = Math.min(foldings, context.threads ?? Math.max(1, availableParallelism() >> 1));
  const threads = Array.from({ length: lanes }, () => factsThread());
  try {
    context.onFolding(0, foldings);
    const request: SpecRequest = { kind: 'spec', fit, training, facts: [...facts] };
    const { spec, full, dim } = (await threads[0]!.request(request, [], signal)) as SpecReply;
    const size = facts.length * dim;
    const values = new Float32Array(foldings * size);
    let next = 0;
    let done = 0;
    const work = async (thread: WorkerChannel) => {
      let given: FoldingRequest['given'] = { spec, fit, training };
      while (next < foldings) {
        throwIfCancelled(signal);
        const folding = next++;
        const told = folding % 2 === 0 ? {} : hidden;
        const asked: FoldingRequest = { kind: 'folding', seed, folding, folds, hidden: told, given };
        given = undefined;
        const { held } = (await thread.request(asked, [], signal)) as FoldingReply;
        values.set(full, folding * size);
        rows.forEach(({ row }, i) => {
          values.set(held.subarray(i * dim, (i + 1) * dim), folding * size + row * dim);
        });
        context.onFolding(++done, foldings);
      }
    };
    await Promise.all(threads.map(work));
    const modality = { dim, steps: 1, values, variants: foldings };
    await toCache(cache, key, spec, modality);
    return { modality, spec, cached: false };
  } finally {
    await Promise.all(threads.map((thread) => thread.dispose()));
  }

  function positive(field: string, value: number, least = 1): number {
    if (Number.isInteger(value) && value >= least && value <= 100) return value;
    throw new InputError('ERR_INPUT_VALUE', {
      field,
      expected: `a whole number from ${least} to 100`,
      got: `the number ${value} (${dataset.path})`,
    });
  }
}

function factsThread(): WorkerChannel {
  const script = new URL('./metadata-thread.js', import.meta.url);
  return new WorkerChannel(script, { name: 'facts thread', crashCode: 'ERR_INTERNAL' });
}

/** Raise it when the same facts and options give other vectors. */
const METADATA_VERSION = 1;

/** The hash of all that the vectors depend on. */
async function keyOf(settings: object, ...lists: (readonly unknown[])[]): Promise<string> {
  const hash = createHash('sha256').update(JSON.stringify(settings));
  const pace = new Pace();
  for (const list of lists) {
    for (const [i, item] of list.entries()) {
      hash.update(`${i === 0 ? '[' : ','}${JSON.stringify(item) ?? 'null'}`);
      if (pace.due) await pace.rest();
    }
    hash.update(']');
  }
  return hash.digest('hex');
}

/** A training film's number in the data set and how it did. */
export interface TrainingRow {
  row: number;
  rating: number;
  logRevenue: number | undefined;
}

async function trainingRows(
  { dataset, facts, targets, signal }: FactsContext,
  split: TableSplit,
  options: MetadataModalityOptions,
): Promise<TrainingRow[]> {
  const columns = [...RATING_COLUMNS, ...targets];
  const ratings = await numbers(dataset, 'rating', options.rating, columns, signal);
  if (!ratings) {
    throw new DataError('ERR_DATA_COLUMN', {
      file: dataset.path,
      field: 'metadata.rating',
      expected: `a column of ratings (${RATING_COLUMNS.join(', ')}, or the one that metadata.rating names)`,
      got: `the columns ${dataset.columns.map(({ name }) => name).join(', ')}`,
    });
  }
  const revenues =
    options.revenue === null
      ? undefined
      : await numbers(dataset, 'revenue', options.revenue, REVENUE_COLUMNS, signal);
  const rows = Array.from(split.train, (row): TrainingRow => {
    const revenue = revenues?.[row] ?? Number.NaN;
    return {
      row,
      rating: ratings[row]!,
      logRevenue: revenue > LEAST_BUDGET ? Math.log10(revenue) : undefined,
    };
  }).filter(({ row, rating }) => facts[row] !== undefined && !Number.isNaN(rating));
  if (rows.length === 0) {
    throw new DataError('ERR_DATA_EMPTY', {
      file: dataset.path,
      field: 'split.train',
      expected: 'films with facts and a rating',
      got: `none of ${split.train.length}`,
    });
  }
  return rows;
}

async function numbers(
  dataset: Dataset,
  field: string,
  told: string | undefined,
  usual: readonly string[],
  signal: AbortSignal | undefined,
): Promise<Float64Array | undefined> {
  const name =
    told ?? usual.find((own) => dataset.columns.some((c) => c.name === own && c.type === 'number'));
  if (name === undefined) return undefined;
  try {
    return (await dataset.column(name, { type: 'number', signal })).values;
  } catch (error) {
    if (!(error instanceof DataError) || error.code !== 'ERR_DATA_COLUMN') throw error;
    const { expected, got } = error;
    throw new DataError('ERR_DATA_COLUMN', { file: dataset.path, field: `metadata.${field}`, expected, got });
  }
}

/** The vectors that a spec that is there already gives. */
export function encodeFacts(
  spec: MetadataSpec,
  facts: readonly (MetadataFields | undefined)[],
): TableModality {
  const encoder = new MetadataEncoder(spec);
  const values = new Float32Array(facts.length * encoder.dim);
  facts.forEach((fields, row) => {
    if (fields) values.set(encoder.encode(fields).data, row * encoder.dim);
  });
  return { dim: encoder.dim, steps: 1, values };
}

// In the cache: all variants of all films as one tensor, the spec beside it.

async function fromCache(cache: EmbeddingCache, key: string, films: number) {
  const bytes = await cache.load(key);
  if (!bytes) return undefined;
  const tensors = parseSafetensors(bytes, key);
  const values = tensors.get('values');
  const text = tensors.get('spec');
  if (!(values?.data instanceof Float32Array) || !(text?.data instanceof Uint8Array)) return undefined;
  const parsed = metadataSpecSchema.safeParse(JSON.parse(Buffer.from(text.data).toString('utf8')));
  const [variants = 0, rows, dim = 0] = values.shape;
  if (!parsed.success || rows !== films) return undefined;
  return { modality: { dim, steps: 1, values: values.data, variants }, spec: parsed.data };
}

async function toCache(cache: EmbeddingCache, key: string, spec: MetadataSpec, modality: TableModality) {
  const { dim, values, variants = 1 } = modality;
  const text = new Uint8Array(Buffer.from(JSON.stringify(spec)));
  const tensors = new Map<string, StoredTensor>([
    ['values', { dtype: 'F32', shape: [variants, values.length / variants / dim, dim], data: values }],
    ['spec', { dtype: 'U8', shape: [text.length], data: text }],
  ]);
  await cache.save(key, serializeSafetensors(tensors));
}
