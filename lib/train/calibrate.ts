/**
 * From raw outputs to promises: intervals that hold the truth as often as they say, probabilities that come true as
 * often as they say. Fitted on films that training did not see; evaluate() measures both on films that neither saw.
 */
import { DataError, throwIfCancelled, TrainError } from '../errors.js';
import type {
  BinaryHead,
  BundleHead,
  IsotonicCurve,
  MulticlassHead,
  RegressionHead,
} from '../fusion/manifest.js';
import { Pace } from '../pace.js';
import { conformalQuantile, fitIsotonic, fitTemperature } from './calibration-curves.js';
import type { FilmTable } from './table.js';
import { type TableModel, presenceKey, presentOf } from './table-model.js';

/** A head of the manifest before it is calibrated. */
export type UncalibratedHead =
  | (Omit<RegressionHead, 'interval'> & {
      interval?: { level?: number | undefined; spreadHead?: string | undefined } | undefined;
    })
  | Omit<BinaryHead, 'temperatures' | 'isotonic' | 'calibratedOn'>
  | Omit<MulticlassHead, 'temperatures' | 'calibratedOn'>
  | Extract<BundleHead, { task: 'auxiliary' }>;

export interface CalibrationOptions {
  /** What an interval promises, where its head does not say. Default 0.9. */
  level?: number;
  /**
   * 'isotonic' wants some hundreds of films; sets of modalities with fewer than 200 share one curve. Heads of several
   * classes have temperatures always. 'none': temperature 1. Default 'temperature'.
   */
  probabilities?: 'temperature' | 'isotonic' | 'none';
  /** Whether sets of modalities get figures of their own; otherwise each film counts with what it has. Default true. */
  byPresence?: boolean;
  /** Fewest films for a figure of a set's own. Sets with fewer are not listed: "*" stands for them. Default 50. */
  minFilms?: number;
  /** Most sets of modalities to list. Default 64: all sets of up to 6 modalities, of more the likeliest. */
  maxSets?: number;
  /** Goes into the manifest. Default: "N films of the calibration part, not used for fitting". */
  calibratedOn?: string;
  signal?: AbortSignal | undefined;
  onProgress?: ((done: number, total: number) => void) | undefined;
}

/**
 * Fits intervals and probabilities of every head, for each set of modalities that may be present. For one set the
 * calibration films that have all of it are forecast from it alone; where many films have just this set, they are often
 * harder ones (no poster: an obscure film), so the wider interval of the two counts.
 *
 *   interval     quantile of |truth - forecast| (over e^spread, where there is a spread head), (n+1)-corrected
 *   temperature  that of least log loss;  isotonic: the non-falling curve of least squares
 *   "*"          the widest interval of all sets; the temperature or curve of all of them together
 *
 * @param rows   films for calibration only
 * @param heads  as they will stand in the manifest; truths are `table.targets` of the same names: numbers as they are
 *   reported (dollars, also of a log10 head), 0 or 1, NaN where unknown
 * @throws DataError ERR_DATA_COLUMN      no target for a head, or a class that is none
 * @throws DataError ERR_DATA_EMPTY       too few films for the level asked for
 * @throws TrainError ERR_TRAIN_CONFIG    a level that is no share, a spread head that the model does not have
 * @throws CancelledError ERR_CANCELLED
 */
export async function calibrate(
  model: TableModel,
  table: FilmTable,
  rows: Int32Array,
  heads: readonly UncalibratedHead[],
  options: CalibrationOptions = {},
): Promise<BundleHead[]> {
  const { minFilms = 50, maxSets = 64, probabilities = 'temperature', signal, onProgress } = options;
  const own = presentOf(table, rows);
  const sets = presenceSets(model.modalities, own, rows.length, maxSets);
  const fits = heads.map((head) => new HeadFit(head, table, options.level ?? 0.9, minFilms));
  const about = options.calibratedOn ?? `${rows.length} films of the calibration part, not used for fitting`;
  if (options.byPresence === false) {
    const { heads: outputs } = await model.predict(rows, own, signal);
    for (const fit of fits) fit.add('*', rows, outputs, new Uint8Array(rows.length));
    return results(fits, about, probabilities, signal);
  }
  const pace = new Pace();
  for (const [done, set] of sets.entries()) {
    throwIfCancelled(signal);
    onProgress?.(done, sets.length);
    const has = rowsWith(own, rows.length, set);
    if (has.length === 0) continue;
    const films = Int32Array.from(has, (row) => rows[row]!);
    const mask = new Uint8Array(films.length * set.length);
    for (let row = 0; row < films.length; row++) mask.set(set, row * set.length);
    const { heads: outputs } = await model.predict(films, mask, signal);
    const natural = has.map((row) => (set.every((there, m) => own[row * set.length + m] === there) ? 1 : 0));
    const key = presenceKey(model.modalities, set);
    for (const fit of fits) fit.add(key, films, outputs, natural);
    if (pace.due) await pace.rest();
  }
  onProgress?.(sets.length, sets.length);
  return results(fits, about, probabilities, signal);
}

async function results(
  fits: readonly HeadFit[],
  about: string,
  probabilities: CalibrationOptions['probabilities'],
  signal: AbortSignal | undefined,
): Promise<BundleHead[]> {
  const heads: BundleHead[] = [];
  for (const fit of fits) heads.push(await fit.result(about, probabilities, signal));
  return heads;
}

/** Rows that have every modality of the set. */
function rowsWith(own: Uint8Array, count: number, set: Uint8Array): Int32Array {
  const rows: number[] = [];
  for (let row = 0; row < count; row++) {
    if (set.every((there, m) => !there || own[row * set.length + m])) rows.push(row);
  }
  return Int32Array.from(rows);
}

/** Every set of modalities, or the likeliest: those the films have, all, each alone, each left out, then any. */
export function presenceSets(
  modalities: readonly string[],
  own: Uint8Array,
  films: number,
  most: number,
): Uint8Array[] {
  const count = modalities.length;
  const sets = new Map<string, Uint8Array>();
  const add = (set: Uint8Array) => {
    const key = set.join('');
    if (sets.size < most && set.includes(1) && !sets.has(key)) sets.set(key, set);
  };
  const of = (test: (m: number) => boolean) =>
    Uint8Array.from({ length: count }, (_, m) => (test(m) ? 1 : 0));
  add(of(() => true));
  const seen = new Map<string, { set: Uint8Array; films: number }>();
  for (let row = 0; row < films; row++) {
    const set = own.slice(row * count, (row + 1) * count);
    const entry = seen.get(set.join('')) ?? { set, films: 0 };
    entry.films++;
    seen.set(set.join(''), entry);
  }
  for (const { set } of [...seen.values()].sort((a, b) => b.films - a.films)) add(set);
  for (let only = 0; only < count; only++) add(of((m) => m === only));
  for (let without = 0; without < count; without++) add(of((m) => m !== without));
  for (let bits = 1; bits < 2 ** Math.min(count, 20) && sets.size < most; bits++) {
    add(of((m) => Math.floor(bits / 2 ** m) % 2 === 1));
  }
  return [...sets.values()];
}

interface SetResults {
  /** Of regression |residual| over the spread; of classification outputs, (films, classes). */
  values: Float64Array;
  truth: Float64Array;
  natural: Uint8Array;
}

/** What one head's films gave, set by set. */
class HeadFit {
  readonly #head: UncalibratedHead;
  readonly #truth: Float32Array;
  readonly #level: number;
  readonly #minFilms: number;
  /** Outputs a film. */
  readonly #width: number;
  readonly #sets = new Map<string, SetResults>();

  constructor(head: UncalibratedHead, table: FilmTable, level: number, minFilms: number) {
    this.#head = head;
    this.#level = (head.task === 'regression' && head.interval?.level) || level;
    this.#minFilms = minFilms;
    this.#width = head.task === 'multiclass' ? head.classes.length : 1;
    this.#truth = head.task === 'auxiliary' ? new Float32Array() : truthOf(head, table);
    if (!(this.#level > 0 && this.#level < 1)) {
      throw new TrainError('ERR_TRAIN_CONFIG', {
        field: 'calibration.level',
        expected: 'a share between 0 and 1',
        got: `${this.#level}`,
      });
    }
  }

  add(
    key: string,
    films: Int32Array,
    outputs: Readonly<Record<string, Float32Array>>,
    natural: ArrayLike<number>,
  ): void {
    const head = this.#head;
    if (head.task === 'auxiliary') return;
    const output = outputs[head.name];
    const spreadHead = head.task === 'regression' ? head.interval?.spreadHead : undefined;
    const spread = spreadHead === undefined ? undefined : outputs[spreadHead];
    if (!output || (spreadHead !== undefined && !spread)) {
      throw new TrainError('ERR_TRAIN_CONFIG', {
        field: `heads.${head.name}`,
        expected: `a model with a head ${output ? spreadHead : head.name}`,
        got: `one with ${Object.keys(outputs).join(', ')}`,
      });
    }
    const known = Array.from(films.keys()).filter((row) => !Number.isNaN(this.#truth[films[row]!]));
    const truth = Float64Array.from(known, (row) => this.#truth[films[row]!]!);
    const width = this.#width;
    const values = new Float64Array(known.length * width);
    for (const [i, row] of known.entries()) {
      if (head.task === 'regression') {
        const residual = Math.abs(truth[i]! - (output[row]! * head.std + head.mean));
        values[i] = residual / Math.exp(spread?.[row] ?? 0);
      } else values.set(output.subarray(row * width, (row + 1) * width), i * width);
    }
    this.#sets.set(key, { truth, values, natural: Uint8Array.from(known, (row) => natural[row]!) });
  }

  async result(
    calibratedOn: string,
    probabilities: CalibrationOptions['probabilities'],
    signal: AbortSignal | undefined,
  ): Promise<BundleHead> {
    const head = this.#head;
    if (head.task === 'auxiliary') return head;
    if (head.task === 'regression') {
      const { spreadHead } = head.interval ?? {};
      return {
        ...head,
        interval: {
          level: this.#level,
          quantiles: this.#quantiles(head.name),
          ...(spreadHead !== undefined && { spreadHead }),
          calibratedOn,
        },
      };
    }
    if (probabilities === 'none')
      return { ...head, temperatures: { '*': 1 }, calibratedOn: 'not calibrated' };
    const temperatures = await this.#table(
      this.#minFilms,
      (outputs, truth) => fitTemperature(outputs, truth, this.#width),
      signal,
    );
    if (head.task === 'multiclass' || probabilities !== 'isotonic') {
      return { ...head, temperatures, calibratedOn };
    }
    const isotonic = await this.#table<IsotonicCurve>(Math.max(200, this.#minFilms), fitIsotonic, signal);
    return { ...head, temperatures, isotonic, calibratedOn };
  }

  #quantiles(name: string): Record<string, number> {
    const table: Record<string, number> = {};
    const enough = Math.max(this.#minFilms, Math.ceil(this.#level / (1 - this.#level) - 1e-9));
    for (const [key, { values, natural }] of this.#sets) {
      if (values.length < enough) continue;
      const just = values.filter((_, i) => natural[i]);
      table[key] = conformalQuantile(values, this.#level);
      if (just.length >= Math.max(200, enough)) {
        table[key] = Math.max(table[key], conformalQuantile(just, this.#level));
      }
    }
    if (Object.keys(table).length === 0) {
      const most = Math.max(0, ...[...this.#sets.values()].map(({ values }) => values.length));
      throw new DataError('ERR_DATA_EMPTY', {
        field: `heads.${name}.interval`,
        expected: `at least ${enough} calibration films whose ${name} is known`,
        got: `${most}`,
      });
    }
    // A model that is right to the last digit still needs a width that a manifest can hold.
    for (const key of Object.keys(table)) table[key] = Math.max(table[key]!, 1e-9);
    table['*'] = Math.max(...Object.values(table));
    return table;
  }

  async #table<T>(
    enough: number,
    curveOf: (outputs: Float64Array, truth: Float64Array) => T,
    signal: AbortSignal | undefined,
  ): Promise<Record<string, T>> {
    const pace = new Pace();
    const table: Record<string, T> = {};
    const results = [...this.#sets.values()];
    for (const [key, { values, truth }] of this.#sets) {
      throwIfCancelled(signal);
      if (truth.length >= enough) table[key] = curveOf(values, truth);
      if (pace.due) await pace.rest();
    }
    const all = (field: 'values' | 'truth') => {
      const joined = new Float64Array(results.reduce((sum, set) => sum + set[field].length, 0));
      let at = 0;
      for (const set of results) {
        joined.set(set[field], at);
        at += set[field].length;
      }
      return joined;
    };
    const truth = all('truth');
    if (truth.length === 0) {
      throw new DataError('ERR_DATA_EMPTY', {
        field: `heads.${this.#head.name}`,
        expected: `calibration films whose ${this.#head.name} is known`,
        got: 'none',
      });
    }
    table['*'] = curveOf(all('values'), truth);
    return table;
  }
}

/**
 * What a head's forecasts are held against: (films), in model values (of a log10 head the logarithm), 0/1 or class
 * numbers, NaN where unknown.
 *
 * @throws DataError ERR_DATA_COLUMN  no such target, a class that is none, a number that has no logarithm
 */
export function truthOf(
  head: { name: string; task: string; transform?: 'none' | 'log10'; classes?: readonly string[] },
  table: FilmTable,
): Float32Array {
  const target = Object.hasOwn(table.targets, head.name) ? table.targets[head.name]! : undefined;
  if (!target || target.length !== table.ids.length) {
    throw new DataError('ERR_DATA_COLUMN', {
      field: `targets.${head.name}`,
      expected: `a number for each of the ${table.ids.length} films`,
      got: target
        ? `${target.length}`
        : `none of that name (there are ${Object.keys(table.targets).join(', ')})`,
    });
  }
  const classes = head.task === 'binary' ? 2 : head.classes?.length;
  const wrong = target.findIndex((value) =>
    classes === undefined
      ? (head.transform === 'log10' && value <= 0) || Math.abs(value) === Number.POSITIVE_INFINITY
      : !Number.isNaN(value) && !(Number.isInteger(value) && value >= 0 && value < classes),
  );
  if (wrong >= 0) {
    throw new DataError('ERR_DATA_COLUMN', {
      field: `targets.${head.name}[${wrong}]`,
      expected:
        classes === undefined
          ? `a finite number${head.transform === 'log10' ? ' above 0' : ''}, or NaN`
          : `a class number from 0 to ${classes - 1}, or NaN`,
      got: `${target[wrong]}`,
    });
  }
  return head.transform === 'log10' ? target.map((value) => Math.log10(value)) : target;
}
