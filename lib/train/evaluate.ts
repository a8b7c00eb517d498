/** How good a model is, of what, for whom, and where it fails. */
import { DataError, InputError, throwIfCancelled } from '../errors.js';
import type { BundleHead } from '../fusion/manifest.js';
import { Pace } from '../pace.js';
import type { Baseline } from './baselines.js';
import { bootstrap, type BootstrapOptions } from './bootstrap.js';
import { presenceSets, truthOf } from './calibrate.js';
import { calibrationOf, groupsOf, pointsOf, worstOf } from './evaluate-parts.js';
import type { BaselineEvaluation, Evaluation, Gain, HeadEvaluation, SubsetEvaluation } from './evaluation.js';
import {
  chosen,
  type Forecasts,
  forecastsOf,
  isJudged,
  type JudgedHead,
  mainScore,
  saidOf,
  scoreOf,
  scoresOf,
} from './head-scores.js';
import { classificationMetrics, kendallTauB } from './metrics.js';
import type { FilmTable, RawPredictions } from './table.js';
import { presentOf, type TableModel } from './table-model.js';

export interface EvaluateOptions {
  /** What the rows are, for the report. Default "test". */
  part?: string;
  /** By head, of fitBaselines. */
  baselines?: Readonly<Record<string, readonly Baseline[]>> | undefined;
  /**
   * Which sets of modalities are judged for themselves: 'each' alone and left out, or 'all' sets, 64 at most. Default:
   * 'all' of up to 5 modalities, else 'each'.
   */
  subsets?: 'all' | 'each' | undefined;
  /** Fewest films of a group to be judged. Default 30. */
  minGroup?: number;
  /** Films listed as the worst. Default 12. */
  worst?: number;
  /** Of the bootstrap; gains and groups take a fifth of them. Default 1000. */
  draws?: number;
  seed?: number;
  signal?: AbortSignal | undefined;
  onProgress?: ((done: number, total: number) => void) | undefined;
}

/** The model's forecasts with one set of modalities. */
interface SetForecasts {
  kind: SubsetEvaluation['kind'];
  modalities: string[];
  present: Uint8Array;
  raw: RawPredictions;
}

/**
 * Judges a model on some films of a table: every reported head as it would be served, with everything that each film
 * has, with each modality alone and left out, by group, beside baselines; whether intervals and probabilities keep
 * their word; and the films it is most wrong about. Give it films that neither fitting nor calibration saw.
 *
 * Regression is judged in model values: of a log10 head in decimal logarithms.
 *
 * @param rows   films to judge
 * @param heads  the manifest's, calibrated
 * @throws DataError ERR_DATA_EMPTY   no film to judge, or none whose truth is known for a head
 * @throws DataError ERR_DATA_COLUMN  no target for a head
 * @throws InputError ERR_INPUT_VALUE a row that is no film of the table, or given twice
 * @throws CancelledError ERR_CANCELLED
 */
export async function evaluate(
  model: TableModel,
  table: FilmTable,
  rows: Int32Array,
  heads: readonly BundleHead[],
  options: EvaluateOptions = {},
): Promise<Evaluation> {
  const { part = 'test', draws = 1000, seed = 0, signal, onProgress } = options;
  checkRows(rows, table);
  const all = presentOf(table, rows);
  const count = model.modalities.length;
  const judged = rows.filter((_, row) => all.subarray(row * count, (row + 1) * count).some(Boolean));
  if (judged.length === 0) {
    throw new DataError('ERR_DATA_EMPTY', { field: part, expected: 'films with an input', got: 'none' });
  }
  const sets = setsOf(model, presentOf(table, judged), judged.length, options.subsets);
  const reported = heads.filter(isJudged);
  const total = sets.length + reported.length * 3;
  let done = 0;
  const pace = new Pace();
  const step = async () => {
    throwIfCancelled(signal);
    onProgress?.(done++, total);
    await pace.rest();
  };
  const forecasts: SetForecasts[] = [];
  for (const { kind, set } of sets) {
    await step();
    const found = await predictWith(model, table, judged, set, signal);
    if (found) forecasts.push({ kind, ...found });
  }
  const result: HeadEvaluation[] = [];
  for (const head of reported) {
    const context: HeadContext = { head, table, model, options: { ...options, draws, seed }, step, pace };
    result.push(await evaluateHead(context, forecasts));
  }
  onProgress?.(total, total);
  return {
    format: 'cinefuse-evaluation',
    version: 1,
    part,
    films: judged.length,
    skipped: rows.length - judged.length,
    modalities: [...model.modalities],
    draws,
    seed,
    heads: result,
  };
}

function checkRows(rows: Int32Array, table: FilmTable): void {
  const seen = new Set<number>();
  for (const [i, film] of rows.entries()) {
    if (film >= 0 && film < table.ids.length && !seen.has(film)) seen.add(film);
    else {
      throw new InputError('ERR_INPUT_VALUE', {
        field: `rows[${i}]`,
        expected: `a film of the table, 0 to ${table.ids.length - 1}, once`,
        got: `${film}${seen.has(film) ? ' again' : ''}`,
      });
    }
  }
}

/** Fused first, then each alone, each left out, and the rest. */
function setsOf(
  { modalities }: TableModel,
  own: Uint8Array,
  films: number,
  which: EvaluateOptions['subsets'],
): { kind: SubsetEvaluation['kind']; set: Uint8Array }[] {
  const count = modalities.length;
  const size = (set: Uint8Array) => set.reduce((a, b) => a + b, 0);
  const kindOf = (set: Uint8Array): SubsetEvaluation['kind'] =>
    size(set) === count
      ? 'fused'
      : size(set) === 1
        ? 'alone'
        : size(set) === count - 1
          ? 'without'
          : 'subset';
  const order = ['fused', 'alone', 'without', 'subset'];
  const each = (which ?? (count <= 5 ? 'all' : 'each')) === 'each';
  return presenceSets(modalities, each ? new Uint8Array() : own, each ? 0 : films, each ? 1 + 2 * count : 64)
    .map((set) => ({ kind: kindOf(set), set }))
    .filter(({ kind }) => !each || kind !== 'subset')
    .sort((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind) || size(b.set) - size(a.set));
}

/** Forecasts of the films that have any of the set, from what they have of it. */
async function predictWith(
  model: TableModel,
  table: FilmTable,
  films: Int32Array,
  set: Uint8Array,
  signal: AbortSignal | undefined,
): Promise<Omit<SetForecasts, 'kind'> | undefined> {
  const count = set.length;
  const has = (film: number) => set.some((there, m) => there && table.present[film * count + m]);
  const rows = films.filter(has);
  if (rows.length === 0) return undefined;
  const present = presentOf(table, rows).map((there, i) => there & set[i % count]!);
  const raw = await model.predict(rows, present, signal);
  return { modalities: model.modalities.filter((_, m) => set[m]), present, raw };
}

interface HeadContext {
  head: JudgedHead;
  table: FilmTable;
  model: TableModel;
  options: EvaluateOptions & { draws: number; seed: number };
  step: () => Promise<void>;
  pace: Pace;
}

async function evaluateHead(context: HeadContext, sets: readonly SetForecasts[]): Promise<HeadEvaluation> {
  const { head, table, model, options, step, pace } = context;
  const truth = truthOf(head, table);
  const of = ({ raw, present }: SetForecasts) => forecastsOf(head, raw, truth, model.modalities, present);
  const fused = of(sets[0]!);
  if (fused.films.length === 0) {
    throw new DataError('ERR_DATA_EMPTY', {
      field: `targets.${head.name}`,
      expected: 'films to judge whose target is known',
      got: 'none',
    });
  }
  const draws = drawsFor(options, fused.films.length);
  await step();
  const intervals = await bootstrap(fused.films.length, (at) => scoresOf(head, chosen(fused, at)), draws);
  await step();
  const baselines: BaselineEvaluation[] = [];
  for (const baseline of options.baselines?.[head.name] ?? []) {
    const said: Forecasts = {
      films: fused.films,
      truth: fused.truth,
      value: await baseline.predict(fused.films),
    };
    baselines.push({
      name: baseline.name,
      about: baseline.about,
      scores: scoresOf(head, said),
      intervals: await bootstrap(said.films.length, (at) => scoresOf(head, chosen(said, at)), draws),
      gain: await gainOf(head, fused, said, draws),
    });
  }
  await step();
  const subsets: SubsetEvaluation[] = [];
  for (const set of sets) {
    const forecasts = set === sets[0] ? fused : of(set);
    if (forecasts.films.length === 0) continue;
    if (pace.due) await pace.rest();
    const places = new Map(Array.from(fused.films, (film, place) => [film, place]));
    const same = chosen(
      fused,
      Int32Array.from(forecasts.films, (film) => places.get(film)!),
    );
    subsets.push({
      kind: set.kind,
      modalities: set.modalities,
      films: forecasts.films.length,
      scores: scoresOf(head, forecasts),
      fused: scoresOf(head, same),
      gain:
        set === sets[0]
          ? null
          : await gainOf(head, same, forecasts, { ...draws, draws: Math.ceil(draws.draws / 5) }),
    });
  }
  const { modalities } = model;
  const presentNames = (i: number) =>
    modalities.filter((_, m) => table.present[fused.films[i]! * modalities.length + m]);
  const scores = {
    ...scoresOf(head, fused),
    ...(head.task === 'regression' && { kendallTauB: kendallTauB(fused.truth, fused.value) }),
  };
  await pace.rest();
  const worst = worstOf(head, fused, table, presentNames, options.worst ?? 12);
  await pace.rest();
  const fewer = { ...draws, draws: Math.ceil(draws.draws / 5) };
  return {
    name: head.name,
    task: head.task,
    ...(head.task === 'regression' && {
      unit: head.transform === 'log10' ? `log10 of ${head.unit}` : head.unit,
    }),
    ...(head.task === 'binary' && { positive: head.positive }),
    ...(head.task === 'multiclass' && { classes: [...head.classes] }),
    films: fused.films.length,
    main: mainScore(head).name,
    scores,
    intervals,
    baselines,
    subsets,
    groups: await groupsOf(head, fused, table, options.minGroup ?? 30, fewer),
    calibration: calibrationOf(head, fused, presentNames, intervals),
    ...(head.task !== 'regression' && { confusion: confusionOf(head, fused) }),
    points: pointsOf(head, fused, options.seed),
    worst,
  };
}

/** Draws cost as much as there are films: of very many, fewer are as good. */
function drawsFor(
  { draws, seed, signal }: HeadContext['options'],
  films: number,
): BootstrapOptions & { draws: number } {
  return { draws: Math.min(draws, Math.max(100, Math.floor((draws * 20_000) / films))), seed, signal };
}

async function gainOf(
  head: JudgedHead,
  better: Forecasts,
  other: Forecasts,
  options: BootstrapOptions,
): Promise<Gain> {
  const { name, higherIsBetter } = mainScore(head);
  const difference = (a: Forecasts, b: Forecasts) => {
    const [x, y] = [scoreOf(head, a, name), scoreOf(head, b, name)];
    if (x === null || y === null) return null;
    return higherIsBetter ? x - y : y - x;
  };
  const { gain } = await bootstrap(
    better.films.length,
    (at) => ({ gain: difference(chosen(better, at), chosen(other, at)) }),
    options,
  );
  return { score: name, value: difference(better, other), interval: gain };
}

function confusionOf(head: Exclude<JudgedHead, { task: 'regression' }>, forecasts: Forecasts): number[][] {
  const { truth } = forecasts;
  const labels = Array.from({ length: head.task === 'binary' ? 2 : head.classes.length }, (_, c) => c);
  return classificationMetrics(
    truth,
    truth.map((_, i) => saidOf(head, forecasts, i)),
    labels,
  ).confusion;
}
