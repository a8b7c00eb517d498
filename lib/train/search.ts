/** Trying many configurations. */
import { TrainError } from '../errors.js';
import type { ExecOptions } from '../ops/exec.js';
import { type FuseConfig, parseFuseConfig, type ParsedFuseConfig, type TableConfig } from './config.js';
import type { FitOptions, FittedTable } from './fit-types.js';
import { fitTableWith } from './fit-table.js';
import { inLanes, lanesOf } from './parallel.js';
import type { ScalerCache } from './prepare.js';
import { randomOf, seedOf } from './random.js';
import {
  type Parameters,
  type ParsedSearch,
  type SearchConfig,
  trialsOf,
  withParameters,
} from './search-space.js';
import type { FilmTable, TableSplit } from './table.js';
import { fitTargets } from './targets.js';
import { metricOf, scoreFitted, type Validation } from './validate.js';

export type { SearchConfig } from './search-space.js';

export interface Trial {
  /** From 1, in the order of the search. */
  number: number;
  /** By path into the configuration. */
  parameters: Parameters;
  /** Epochs of its last fit. */
  epochs: number;
  /** Of successive halving, from 0: how often it was let through. */
  rung: number;
  /** On the valid films; undefined where it failed. */
  score?: number;
  validation?: Validation;
  history?: FittedTable['history'];
  /** Why it failed: a configuration that does not fit, a loss that is not finite. */
  error?: string;
}

export interface SearchResult {
  /** Best first, failures last. */
  trials: Trial[];
  best: Trial;
  /** The configuration of the best trial. */
  config: TableConfig;
}

export interface SearchProgress {
  done: number;
  total: number;
  best?: Trial;
  last: Trial;
  elapsedMs: number;
  remainingMs: number;
}

export interface SearchOptions extends Omit<ExecOptions, 'threads'> {
  /** Fits at a time. Default: as many as there are cores. */
  parallel?: number | undefined;
  /** For all fits together. Default: the cores of this process. */
  threads?: number | undefined;
  onProgress?: ((progress: SearchProgress) => void) | undefined;
}

/**
 * Fits one network a trial and scores it on the valid films. Trials depend on the seed alone: neither on how many run
 * at a time nor on how many threads there are. A trial that fails is listed with its reason, and the search goes on.
 *
 * @throws TrainError ERR_TRAIN_CONFIG  a search that is wrong, or a base configuration that is
 * @throws TrainError ERR_TRAIN_DIVERGED  every trial failed; with the first one's reason
 * @throws CancelledError ERR_CANCELLED
 */
export async function searchTable(
  table: FilmTable,
  split: TableSplit,
  config: TableConfig | FuseConfig | ParsedFuseConfig,
  search: SearchConfig,
  options: SearchOptions = {},
): Promise<SearchResult> {
  const { search: parsedSearch, ...base } = parseFuseConfig({ ...config, search });
  const { space: _, strategy, metric } = parsedSearch as ParsedSearch;
  const fixed = Object.keys(parsedSearch!.space).find((path) => !/^(network|training|targets)\./.test(path));
  if (fixed !== undefined) {
    throw new TrainError('ERR_TRAIN_CONFIG', {
      field: `search.space.${fixed}`,
      expected: 'a path into network, training or targets',
      got: 'one that changes what is encoded',
    });
  }
  const { heads } = fitTargets(base.targets, table, split.train);
  const { moreIsBetter, read } = metricOf(metric, heads, 'search.metric');
  const parameters = trialsOf(parsedSearch as ParsedSearch, randomOf(seedOf(base.seed, 'search')));
  const rungs = rungsOf(parsedSearch as ParsedSearch, parameters.length, base.training.epochs);
  const total = rungs.reduce((sum, { trials }) => sum + trials, 0);
  const started = performance.now();
  const { parallel: wanted, threads: allThreads, onProgress, signal, ...exec } = options;
  const cache: ScalerCache = new Map();
  let done = 0;
  let best: Trial | undefined;
  const better = (a: Trial, b: Trial) => {
    if (a.score === undefined || b.score === undefined) {
      return Number(a.score === undefined) - Number(b.score === undefined) || a.number - b.number;
    }
    return b.rung - a.rung || (moreIsBetter ? b.score - a.score : a.score - b.score) || a.number - b.number;
  };
  const run = async (trial: Trial, threads: number, signal: AbortSignal): Promise<Trial> => {
    const { number, parameters, epochs, rung } = trial;
    const result: Trial = { number, parameters, epochs, rung };
    try {
      const tried = parseFuseConfig(withParameters(base, parameters));
      if (strategy.kind === 'halving') tried.training.epochs = epochs;
      result.epochs = tried.training.epochs;
      const fitOptions: FitOptions = { ...exec, threads, signal };
      const fitted = await fitTableWith(table, split, tried, fitOptions, cache);
      const validation = await scoreFitted(fitted, table, split.valid, tried, split.train, fitOptions);
      const score = read(validation);
      Object.assign(result, { validation, history: fitted.history });
      if (score === undefined || Number.isNaN(score))
        result.error = `${metric} is not defined on the valid films`;
      else result.score = score;
    } catch (error) {
      // What lies in the trial's numbers ends the trial; everything else ends the search.
      if (!(error instanceof TrainError)) throw error;
      result.error = error.message;
    }
    done++;
    if (!best || better(result, best) < 0) best = result;
    const elapsedMs = performance.now() - started;
    onProgress?.({
      done,
      total,
      ...(best.score !== undefined && { best }),
      last: result,
      elapsedMs,
      remainingMs: (elapsedMs / done) * (total - done),
    });
    return result;
  };

  let standing: Trial[] = parameters.map((values, i) => ({
    number: i + 1,
    parameters: values,
    epochs: 0,
    rung: 0,
  }));
  const ended: Trial[] = [];
  for (const [rung, { trials, epochs }] of rungs.entries()) {
    const entrants = standing.slice(0, trials);
    ended.push(...standing.slice(trials));
    const { parallel, threads } = lanesOf(entrants.length, wanted, allThreads);
    const jobs = entrants.map(
      (trial) => (cancelled: AbortSignal) => run({ ...trial, epochs, rung }, threads, cancelled),
    );
    standing = (await inLanes(jobs, parallel, signal)).sort(better);
  }
  const all = [...standing, ...ended].sort(better);
  const [first] = all;
  if (first?.score === undefined) {
    throw new TrainError('ERR_TRAIN_DIVERGED', {
      field: 'search',
      message: `None of ${all.length} trials came to an end: ${first?.error ?? 'there was none'}`,
    });
  }
  return { trials: all, best: first, config: withParameters(base, first.parameters) };
}

/** How many trials with how many epochs: one rung, or those of successive halving (Jamieson and Talwalkar 2016). */
function rungsOf(
  { strategy }: ParsedSearch,
  trials: number,
  epochs: number,
): { trials: number; epochs: number }[] {
  if (strategy.kind !== 'halving') return [{ trials, epochs }];
  const { eta, minEpochs } = strategy;
  const rungs: { trials: number; epochs: number }[] = [];
  const most = Math.floor(Math.log(trials) / Math.log(eta) + 1e-9);
  const deep = Math.max(0, Math.min(most, Math.floor(Math.log(epochs / minEpochs) / Math.log(eta) + 1e-9)));
  for (let rung = 0; rung <= deep; rung++) {
    rungs.push({
      trials: Math.max(1, Math.floor(trials / eta ** rung)),
      epochs: Math.max(1, Math.round(epochs / eta ** (deep - rung))),
    });
  }
  return rungs;
}
