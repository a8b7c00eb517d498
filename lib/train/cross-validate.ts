/** How well a configuration does on films that it has not seen, measured on every film once. */
import { DataError } from '../errors.js';
import type { ExecOptions } from '../ops/exec.js';
import { type FuseConfig, parseFuseConfig, type ParsedFuseConfig, type TableConfig } from './config.js';
import { fitTableWith } from './fit-table.js';
import type { MemberHistory } from './fit-types.js';
import { inLanes, lanesOf } from './parallel.js';
import { randomOf, seedOf } from './random.js';
import type { FilmTable, TableSplit } from './table.js';
import { scoreFitted, type Validation } from './validate.js';

export interface CrossValidationOptions extends Omit<ExecOptions, 'threads'> {
  /** Default 5. */
  folds?: number | undefined;
  /** Default: the configuration's. */
  seed?: number | undefined;
  /** One a film: films of one group stay in one fold. */
  groups?: readonly string[] | undefined;
  /** Share of each fold's films in training that it stops early by; default 0.1 with early stopping, else 0. */
  validShare?: number | undefined;
  /** Folds at a time. Default: as many as there are cores. */
  parallel?: number | undefined;
  /** For all folds together. Default: the cores of this process. */
  threads?: number | undefined;
  onProgress?: ((progress: { done: number; total: number; last: FoldResult }) => void) | undefined;
}

export interface FoldResult {
  /** From 1. */
  fold: number;
  split: TableSplit;
  /** On the films of the fold, `split.test`. */
  score: Validation;
  history: MemberHistory[];
}

export interface CrossValidation {
  folds: FoldResult[];
  loss: { mean: number; std: number };
  /** `HEAD.METRIC`: mean and standard deviation over the folds where it is defined. */
  metrics: Record<string, { mean: number; std: number; folds: number }>;
}

/**
 * The splits of k-fold cross-validation: every film is in the test part of one. Groups go whole into the fold that has
 * fewest films, the largest first.
 *
 * @throws DataError ERR_DATA_EMPTY  fewer films or groups than folds
 */
export function foldsOf(
  rows: Int32Array,
  folds: number,
  seed: number,
  validShare: number,
  groups?: readonly string[],
): TableSplit[] {
  const members = new Map<string, number[]>();
  for (const row of rows) {
    const key = groups ? groups[row]! : String(row);
    const group = members.get(key);
    if (group) group.push(row);
    else members.set(key, [row]);
  }
  if (!Number.isInteger(folds) || folds < 2 || members.size < folds) {
    throw new DataError('ERR_DATA_EMPTY', {
      field: 'folds',
      expected: `2 to ${members.size} folds, the number of ${groups ? 'groups' : 'films'}`,
      got: String(folds),
    });
  }
  const shuffled = randomOf(seedOf(seed, 'folds')).shuffle([...members.values()]);
  const parts: number[][] = Array.from({ length: folds }, () => []);
  for (const group of shuffled.sort((a, b) => b.length - a.length)) {
    const smallest = parts.reduce((best, part) => (part.length < best.length ? part : best));
    smallest.push(...group);
  }
  return parts.map((test, k) => {
    const others = shuffled.filter((group) => !test.includes(group[0]!));
    const held = randomOf(seedOf(seed, 'fold', k)).shuffle([...others]);
    const films = rows.length - test.length;
    const valid: number[] = [];
    while (valid.length < Math.round(validShare * films) && held.length > 1) valid.push(...held.pop()!);
    const rising = (list: number[]) => Int32Array.from(list).sort();
    return { train: rising(held.flat()), valid: rising(valid), test: rising(test) };
  });
}

/**
 * Fits a network for each fold on the other films and scores it on the fold's.
 *
 * @param table  the films, or what makes the table of one fold: encoders that learn (facts of people, vocabularies) may
 *   learn from the films in training only, so a data set is encoded once a fold
 * @param rows   films to share out
 * @throws as fitTable
 */
export async function crossValidateTable(
  table: FilmTable | ((split: TableSplit, signal: AbortSignal) => Promise<FilmTable>),
  rows: Int32Array,
  config: TableConfig | FuseConfig | ParsedFuseConfig,
  options: CrossValidationOptions = {},
): Promise<CrossValidation> {
  const parsed = parseFuseConfig(config);
  const {
    folds: count = 5,
    groups,
    parallel: wanted,
    threads: all,
    onProgress,
    signal,
    seed,
    ...rest
  } = options;
  const { validShare = parsed.training.earlyStopping ? 0.1 : 0, ...exec } = rest;
  const splits = foldsOf(rows, count, seed ?? parsed.seed, validShare, groups);
  const { parallel, threads } = lanesOf(splits.length, wanted, all);
  let done = 0;
  const jobs = splits.map((split, k) => async (cancelled: AbortSignal): Promise<FoldResult> => {
    const films = typeof table === 'function' ? await table(split, cancelled) : table;
    const where = { ...exec, threads, signal: cancelled };
    const fitted = await fitTableWith(films, split, parsed, where, new Map());
    const score = await scoreFitted(fitted, films, split.test, parsed, split.train, where);
    const last: FoldResult = { fold: k + 1, split, score, history: fitted.history };
    done++;
    onProgress?.({ done, total: splits.length, last });
    return last;
  });
  const folds = await inLanes(jobs, parallel, signal);
  const names = [...new Set(folds.flatMap(({ score }) => Object.keys(score.metrics)))];
  return {
    folds,
    loss: spread(folds.map(({ score }) => score.loss)),
    metrics: Object.fromEntries(
      names.map((name) => {
        const values = folds.map(({ score }) => score.metrics[name]).filter((value) => value !== undefined);
        return [name, { ...spread(values), folds: values.length }];
      }),
    ),
  };
}

/** Mean and (n-1) standard deviation. */
function spread(values: readonly number[]): { mean: number; std: number } {
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, std: values.length > 1 ? Math.sqrt(squares / (values.length - 1)) : 0 };
}
