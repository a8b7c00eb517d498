/** Files that a fit goes on from: safetensors with a JSON description, written whole or not at all. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { TrainError } from '../errors.js';
import type { FusionNetworkSpec, NetworkWeight } from '../fusion/network.js';
import {
  parseSafetensors,
  type StoredTensor,
  safetensorsMetadata,
  serializeSafetensors,
} from '../formats/safetensors.js';
import { Pace } from '../pace.js';
import type { EpochRecord, FittedHead, MemberHistory } from './fit-types.js';
import type { InputScaler } from './inputs.js';
import type { ParsedTableConfig } from './prepare.js';
import type { FilmTable, TableSplit } from './table.js';
import type { TrainerState } from './trainer-types.js';
import { writeWhole } from '../write-whole.js';

const FORMAT = 'cinefuse-checkpoint';
const VERSION = 1;
const HASHED_BYTES = 2 ** 22;

/** What has been added up of an epoch that is not finished. */
export interface EpochSums {
  loss: number;
  losses: number[];
  gradientNorm: number;
}

/** One network of an ensemble in the middle of its training. */
export interface MemberState {
  seed: number;
  /** The epoch that goes on, from 1. */
  epoch: number;
  /** Steps of it that are done. */
  stepInEpoch: number;
  sums: EpochSums;
  records: EpochRecord[];
  /** Epochs since the best one. */
  patience: number;
  weights: ReadonlyMap<string, NetworkWeight>;
  trainer: TrainerState;
  best?: { epoch: number; value: number; weights: ReadonlyMap<string, NetworkWeight> } | undefined;
}

export interface Checkpoint {
  /** Hash of configuration, table and split. */
  fingerprint: string;
  spec: FusionNetworkSpec;
  fullSpec: FusionNetworkSpec;
  heads: FittedHead[];
  /** Of all networks, finished or not. */
  seeds: number[];
  scalers: Record<string, InputScaler>;
  /** Networks that are finished: what they ended with. */
  finished: { history: MemberHistory; weights: ReadonlyMap<string, NetworkWeight> }[];
  /** The one that is being trained; undefined when all are finished. */
  member?: MemberState | undefined;
}

/** A hash of all that a fit's result depends on, but for the instruction set. */
export async function fingerprintOf(
  config: ParsedTableConfig,
  table: FilmTable,
  split: TableSplit,
): Promise<string> {
  const hash = createHash('sha256');
  const { seed, targets, network, training, inputs } = config;
  hash.update(JSON.stringify({ seed, targets, network, training, modalities: inputs.modalities ?? null }));
  const pace = new Pace();
  const add = async (name: string, array: ArrayBufferView | undefined) => {
    hash.update(`\n${name}:${array?.byteLength ?? 'none'}:`);
    const bytes = array && new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
    for (let at = 0; bytes && at < bytes.length; at += HASHED_BYTES) {
      hash.update(bytes.subarray(at, at + HASHED_BYTES));
      if (pace.due) await pace.rest();
    }
  };
  hash.update(JSON.stringify(table.ids));
  for (const [name, { dim, steps, values, variants, lengths }] of Object.entries(table.modalities)) {
    await add(`${name},${dim},${steps},${variants ?? 1}`, values);
    await add('lengths', lengths);
  }
  await add('present', table.present);
  for (const [name, values] of Object.entries(table.targets)) await add(name, values);
  await add('weights', table.weights);
  for (const part of ['train', 'valid'] as const) await add(part, split[part]);
  return hash.digest('hex');
}

function broken(file: string, expected: string, got: string, cause?: unknown): TrainError {
  return new TrainError('ERR_TRAIN_CHECKPOINT', { file, expected, got, cause });
}

/** @throws TrainError ERR_TRAIN_WRITE  what was there before is kept */
export async function writeCheckpoint(file: string, checkpoint: Checkpoint): Promise<void> {
  const { member, finished, scalers, ...rest } = checkpoint;
  const tensors = new Map<string, StoredTensor>();
  const put = (prefix: string, weights: ReadonlyMap<string, NetworkWeight>) => {
    for (const [name, { shape, data }] of weights) {
      tensors.set(`${prefix}.${name}`, { dtype: 'F32', shape, data });
    }
  };
  for (const [name, { mean, scale, directions }] of Object.entries(scalers)) {
    const dim = mean.length;
    tensors.set(`scalers.${name}.mean`, { dtype: 'F32', shape: [dim], data: mean });
    tensors.set(`scalers.${name}.scale`, { dtype: 'F32', shape: [dim], data: scale });
    if (!directions) continue;
    const shape = [directions.length / dim, dim];
    tensors.set(`scalers.${name}.directions`, { dtype: 'F32', shape, data: directions });
  }
  for (const [k, { weights }] of finished.entries()) put(`finished.${k}`, weights);
  if (member) {
    put('weights', member.weights);
    put('moments', member.trainer.moments);
    if (member.best) put('best', member.best.weights);
  }
  const state = member && {
    ...member,
    weights: undefined,
    trainer: { step: member.trainer.step },
    best: member.best && { epoch: member.best.epoch, value: member.best.value },
  };
  const about = {
    format: FORMAT,
    version: VERSION,
    ...rest,
    finished: finished.map(({ history }) => history),
    member: state,
  };
  const bytes = serializeSafetensors(tensors, { cinefuse: JSON.stringify(about) });
  await writeWhole(file, bytes, { createFolder: true }).catch((cause: Error) => {
    throw new TrainError('ERR_TRAIN_WRITE', {
      file,
      message: `The checkpoint ${file} could not be written: ${cause.message}`,
      cause,
    });
  });
}

/**
 * @returns undefined when there is no such file
 * @throws TrainError ERR_TRAIN_CHECKPOINT  it cannot be read, or is no checkpoint
 */
export async function readCheckpoint(file: string): Promise<Checkpoint | undefined> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(file);
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw broken(file, 'a checkpoint that can be read', (cause as Error).message, cause);
  }
  try {
    return parseCheckpoint(bytes, file);
  } catch (cause) {
    if (cause instanceof TrainError) throw cause;
    throw broken(file, 'a checkpoint of a fit', (cause as Error).message, cause);
  }
}

interface About extends Omit<Checkpoint, 'finished' | 'member' | 'scalers'> {
  format: string;
  version: number;
  finished: MemberHistory[];
  member?: Omit<MemberState, 'weights' | 'trainer' | 'best'> & {
    trainer: { step: number };
    best?: { epoch: number; value: number };
  };
}

function parseCheckpoint(bytes: Uint8Array, file: string): Checkpoint {
  const tensors = parseSafetensors(bytes, file);
  const text = safetensorsMetadata(bytes).cinefuse;
  const about = (text === undefined ? {} : JSON.parse(text)) as About;
  if (about.format !== FORMAT) throw broken(file, 'a checkpoint of a fit', 'another safetensors file');
  if (about.version !== VERSION) throw broken(file, `version ${VERSION}`, `version ${about.version}`);
  const take = (prefix: string) => {
    const weights = new Map<string, NetworkWeight>();
    for (const [name, { shape, data }] of tensors) {
      if (!name.startsWith(`${prefix}.`)) continue;
      weights.set(name.slice(prefix.length + 1), { shape, data: data as Float32Array });
    }
    return weights;
  };
  const array = (name: string) => tensors.get(name)?.data as Float32Array | undefined;
  const { member } = about;
  return {
    fingerprint: about.fingerprint,
    spec: about.spec,
    fullSpec: about.fullSpec,
    heads: about.heads,
    seeds: about.seeds,
    scalers: Object.fromEntries(
      about.fullSpec.modalities.map(({ name }) => [
        name,
        {
          mean: array(`scalers.${name}.mean`)!,
          scale: array(`scalers.${name}.scale`)!,
          directions: array(`scalers.${name}.directions`),
        },
      ]),
    ),
    finished: about.finished.map((history, k) => ({ history, weights: take(`finished.${k}`) })),
    member: member && {
      ...member,
      weights: take('weights'),
      trainer: { step: member.trainer.step, moments: take('moments') },
      best: member.best && { ...member.best, weights: take('best') },
    },
  };
}
