/**
 * What every model has to beat: the mean or the commoner class, and a linear model of the same vectors. Fitted on the
 * training films; how strongly the linear one is held back is chosen on the valid films.
 */
import { DataError, throwIfCancelled } from '../errors.js';
import type { ExecOptions } from '../ops/exec.js';
import { truthOf } from './calibrate.js';
import { type JudgedHead, widthOf } from './head-scores.js';
import {
  type DesignMatrix,
  designMatrix,
  fitLinear,
  type LinearModel,
  linearOutputs,
} from './linear-model.js';
import { regressionErrors } from './metrics.js';
import { randomOf, seedOf } from './random.js';
import type { FilmTable, TableSplit } from './table.js';

export interface Baseline {
  /** "mean", "majority", "ridge" or "logistic", with what it was fitted on. */
  name: string;
  about: string;
  /** (rows) model values or probabilities, of several classes (rows, classes). */
  predict(rows: Int32Array): Promise<Float64Array>;
}

export interface BaselineOptions extends ExecOptions {
  /** Strengths to choose from, as shares of the films. Default 1, 0.3, 0.1, 0.03, 0.01. */
  strengths?: readonly number[];
  /** Most numbers in the matrix of the linear model: of larger tables a part of the films is drawn. Default 2^25 (128 MiB). */
  maxValues?: number;
  seed?: number;
  onProgress?: ((done: number, total: number) => void) | undefined;
}

/**
 * Two baselines a head. A film's vectors stand end to end, each number standardised by the training films, then each
 * modality divided by the root of its width, so that all have the same say; sequences by their mean; what is absent
 * counts as the mean, and beside it stands whether it is there.
 *
 * @returns by head
 * @throws DataError ERR_DATA_EMPTY  no training film with a known target
 */
export async function fitBaselines(
  table: FilmTable,
  split: Pick<TableSplit, 'train' | 'valid'>,
  heads: readonly JudgedHead[],
  options: BaselineOptions = {},
): Promise<Record<string, Baseline[]>> {
  const {
    strengths = [1, 0.3, 0.1, 0.03, 0.01],
    maxValues = 2 ** 25,
    seed = 0,
    onProgress,
    ...exec
  } = options;
  const design = new Design(table, split.train);
  const most = Math.max(1, Math.floor(maxValues / design.features));
  const drawn =
    split.train.length <= most
      ? split.train
      : randomOf(seedOf(seed, 'baselines')).shuffle(split.train.slice()).slice(0, most).sort();
  const x = designMatrix(design.rows(drawn), design.features);
  const result: Record<string, Baseline[]> = {};
  const total = heads.length * strengths.length;
  for (const [h, head] of heads.entries()) {
    const truth = truthOf(head, table);
    const y = Float64Array.from(drawn, (film) => truth[film]!);
    const counts = y.map((value, i) => (Number.isNaN(value) ? 0 : (table.weights?.[drawn[i]!] ?? 1)));
    const films = counts.reduce((sum, count) => sum + (count > 0 ? 1 : 0), 0);
    if (films === 0) {
      throw new DataError('ERR_DATA_EMPTY', {
        field: `targets.${head.name}`,
        expected: 'training films whose target is known',
        got: 'none',
      });
    }
    const sum = counts.reduce((a, b) => a + b, 0);
    // one target a head, but of several classes one a class: whether it is that one
    const targets = Array.from({ length: widthOf(head) }, (_, c) =>
      y.map((value) => (Number.isNaN(value) ? 0 : head.task === 'multiclass' ? Number(value === c) : value)),
    );
    const centres = targets.map((target) => target.reduce((a, value, i) => a + value * counts[i]!, 0) / sum);
    const on = `${films}${drawn.length < split.train.length ? ' drawn' : ''} training films`;
    result[head.name] = [
      {
        name: head.task === 'regression' ? 'mean' : 'majority',
        about: `the same for every film: the mean of ${on}`,
        predict: async (rows) =>
          Float64Array.from({ length: rows.length * centres.length }, (_, i) => centres[i % centres.length]!),
      },
    ];
    if (targets.length > MOST_CLASSES) continue;
    const fits: { model: LinearModel; strength: number }[] = [];
    for (const [c, target] of targets.entries()) {
      const judged =
        head.task === 'multiclass' ? truth.map((t) => (Number.isNaN(t) ? t : Number(t === c))) : truth;
      fits.push(
        await chooseStrength(
          head,
          { x, target, counts },
          design,
          split.valid,
          judged,
          strengths,
          exec,
          (done) =>
            onProgress?.(
              h * strengths.length + Math.floor((done + c * strengths.length) / targets.length),
              total,
            ),
        ),
      );
    }
    const strongest = [...new Set(fits.map(({ strength }) => strength))].sort().join(', ');
    result[head.name]!.push({
      name: head.task === 'regression' ? 'ridge' : 'logistic',
      about: `linear in all ${design.features} numbers, fitted on ${on}, regularisation ${strongest}`,
      predict: async (rows) => {
        const all: Float64Array[] = [];
        for (const { model } of fits) all.push(await outputs(head, model, design, rows, exec));
        return all.length === 1 ? all[0]! : normalised(all, rows.length);
      },
    });
  }
  onProgress?.(total, total);
  return result;
}

const STRETCH = 512;
/**
 * Of all numbers of a modality together: each modality has the same say, whether it is a hundred facts or two thousand
 * numbers of a picture.
 */
const BLOCK_VARIANCE = 100;
/** One against the rest is fitted for each class: of more than these only the majority stands as a baseline. */
const MOST_CLASSES = 12;

/** Chances of one class against the rest, made to sum to 1: (rows, classes). */
function normalised(all: readonly Float64Array[], rows: number): Float64Array {
  const result = new Float64Array(rows * all.length);
  for (let row = 0; row < rows; row++) {
    const sum = all.reduce((total, chances) => total + chances[row]!, 0);
    for (const [c, chances] of all.entries()) result[row * all.length + c] = chances[row]! / sum;
  }
  return result;
}

async function outputs(
  head: JudgedHead,
  model: LinearModel,
  design: Design,
  rows: Int32Array,
  exec: ExecOptions,
): Promise<Float64Array> {
  const result = new Float64Array(rows.length);
  for (let from = 0; from < rows.length; from += STRETCH) {
    result.set(await linearOutputs(design.rows(rows.subarray(from, from + STRETCH)), model, exec), from);
  }
  return head.task !== 'regression' ? result.map((z) => 1 / (1 + Math.exp(-z))) : result;
}

/** From the strongest down, each from the last one's solution, until two in a row are no better on the valid films. */
async function chooseStrength(
  head: JudgedHead,
  { x, target, counts }: { x: DesignMatrix; target: Float64Array; counts: Float64Array },
  design: Design,
  valid: Int32Array,
  truth: Float32Array,
  strengths: readonly number[],
  exec: ExecOptions,
  onProgress: (done: number) => void,
): Promise<{ model: LinearModel; strength: number }> {
  const judged = valid.filter((film) => !Number.isNaN(truth[film]!));
  let best: { model: LinearModel; strength: number; error: number } | undefined;
  let last: LinearModel | undefined;
  let worse = 0;
  for (const [i, strength] of [...strengths].sort((a, b) => b - a).entries()) {
    throwIfCancelled(exec.signal);
    onProgress(i);
    last = await fitLinear(
      head.task === 'regression' ? 'ridge' : 'logistic',
      x,
      target,
      counts,
      strength,
      last,
      exec,
    );
    // without films to choose by, the middle strength: neither free nor bound
    if (judged.length === 0) {
      if (i >= Math.floor(strengths.length / 2)) return { model: last, strength };
      continue;
    }
    const said = await outputs(head, last, design, judged, exec);
    const error = errorOf(
      head,
      Float64Array.from(judged, (film) => truth[film]!),
      said,
    );
    if (!best || error < best.error) {
      best = { model: last, strength, error };
      worse = 0;
    } else if (++worse === 2) break;
  }
  return best!;
}

function errorOf(head: JudgedHead, truth: Float64Array, said: Float64Array): number {
  if (head.task === 'regression') return regressionErrors(truth, said).mse;
  let sum = 0;
  for (let i = 0; i < truth.length; i++) {
    sum -= Math.log(Math.max(1e-7, truth[i] === 1 ? said[i]! : 1 - said[i]!));
  }
  return sum / truth.length;
}

/** Films as rows of numbers, all modalities end to end. */
class Design {
  readonly features: number;
  readonly #table: FilmTable;
  readonly #parts: {
    at: number;
    m: number;
    name: string;
    mean: Float32Array;
    scale: Float32Array;
    flag?: number;
  }[] = [];

  constructor(table: FilmTable, train: Int32Array) {
    this.#table = table;
    const names = Object.keys(table.modalities);
    let at = 0;
    for (const [m, name] of names.entries()) {
      const { dim } = table.modalities[name]!;
      const sum = new Float64Array(dim);
      const squares = new Float64Array(dim);
      const vector = new Float64Array(dim);
      let films = 0;
      for (const film of train) {
        if (!this.#has(film, m)) continue;
        films++;
        this.#vector(film, name, vector);
        for (let j = 0; j < dim; j++) {
          sum[j]! += vector[j]!;
          squares[j]! += vector[j]! ** 2;
        }
      }
      if (films === 0) continue;
      const mean = Float32Array.from(sum, (value) => value / films);
      const scale = Float32Array.from(squares, (value, j) => {
        const variance = value / films - (sum[j]! / films) ** 2;
        return variance > 1e-12 ? Math.sqrt(BLOCK_VARIANCE / dim / variance) : 0;
      });
      const part = { at, m, name, mean, scale };
      at += dim;
      this.#parts.push(films < train.length ? { ...part, flag: at++ } : part);
    }
    this.features = at;
  }

  #has(film: number, m: number): boolean {
    return this.#table.present[film * Object.keys(this.#table.modalities).length + m] !== 0;
  }

  /** The film's vector, or the mean of its sequence. */
  #vector(film: number, name: string, into: Float64Array): void {
    const { dim, steps, values, lengths } = this.#table.modalities[name]!;
    const length = lengths?.[film] ?? steps;
    into.fill(0);
    for (let step = 0; step < length; step++) {
      const from = (film * steps + step) * dim;
      for (let j = 0; j < dim; j++) into[j]! += values[from + j]! / length;
    }
  }

  /** (films, features) */
  rows(films: Int32Array): Float32Array {
    const data = new Float32Array(films.length * this.features);
    for (const { at, m, name, mean, scale, flag } of this.#parts) {
      const vector = new Float64Array(mean.length);
      for (const [row, film] of films.entries()) {
        if (!this.#has(film, m)) continue;
        const to = row * this.features;
        this.#vector(film, name, vector);
        for (let j = 0; j < vector.length; j++) data[to + at + j] = (vector[j]! - mean[j]!) * scale[j]!;
        if (flag !== undefined) data[to + flag] = 1;
      }
    }
    return data;
  }
}
