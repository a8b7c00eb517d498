/** TF-IDF members fitted on the films in training: vocabulary, leading directions, and directions towards the targets. */
import type { TfidfSpec, TfidfTensors } from '../text/tfidf.js';
import { fitVocabulary, TfidfEncoder } from '../text/tfidf.js';
import { throwIfCancelled } from '../errors.js';
import { leadingEigenvectors } from './principal.js';
import { randomOf, seedOf } from './random.js';

export interface TermsOptions {
  name: string;
  languages: readonly string[];
  /** Leading singular directions of the training texts. */
  directions: number;
  /** A term is known when so many training texts have it. */
  leastTexts: number;
  maxTerms: number;
  /** Ridge penalty of the directions towards the targets. */
  penalty: number;
  /** Parts of the training films; a film's value along a target's direction comes of the other parts. */
  folds: number;
  seed: number;
  signal?: AbortSignal | undefined;
}

export interface FittedTerms {
  spec: TfidfSpec;
  tensors: TfidfTensors;
  /** (films, dim) */
  values: Float32Array;
  /** (films), 1 where a text has a known term. */
  known: Uint8Array;
}

/** Rows of a sparse matrix: row r has the entries starts[r]..starts[r + 1]. */
class SparseRows {
  readonly #starts: Int32Array;
  readonly #columns: Int32Array;
  readonly #values: Float64Array;

  constructor(
    rows: readonly (readonly [number, number][])[],
    readonly columns: number,
  ) {
    this.#starts = new Int32Array(rows.length + 1);
    rows.forEach((row, r) => {
      this.#starts[r + 1] = this.#starts[r]! + row.length;
    });
    const entries = rows.flat();
    this.#columns = Int32Array.from(entries, ([column]) => column);
    this.#values = Float64Array.from(entries, ([, value]) => value);
  }

  empty(row: number): boolean {
    return this.#starts[row] === this.#starts[row + 1];
  }

  dot(row: number, vector: ArrayLike<number>): number {
    let sum = 0;
    for (let k = this.#starts[row]!; k < this.#starts[row + 1]!; k++) {
      sum += this.#values[k]! * vector[this.#columns[k]!]!;
    }
    return sum;
  }

  addTo(vector: Float64Array, row: number, factor: number): void {
    for (let k = this.#starts[row]!; k < this.#starts[row + 1]!; k++) {
      vector[this.#columns[k]!]! += factor * this.#values[k]!;
    }
  }
}

/**
 * Fits a TF-IDF member on the films in training. Its columns are the leading eigenvectors of XᵀX of the training texts'
 * TF-IDF vectors X, then for each target the ridge solution w of min Σ (y - ȳ - (x - x̄)·w)² + penalty |w|² over the
 * training films whose target is known. The projection is kept as int8 with a scale a column.
 *
 * Along a target's direction a training film's value is that of a solution that its own part had no share in, so
 * that no film's target is in its own vector.
 *
 * @param texts    (films), undefined where a film has none
 * @param train    films in training
 * @param targets  (films) each, NaN where unknown; in the order of the columns
 * @returns undefined when no term is in `leastTexts` training texts
 * @throws CancelledError ERR_CANCELLED
 */
export async function fitTerms(
  texts: readonly (string | undefined)[],
  train: ArrayLike<number>,
  targets: readonly ArrayLike<number>[],
  options: TermsOptions,
): Promise<FittedTerms | undefined> {
  const { name, languages, leastTexts, maxTerms, signal } = options;
  const rest = async () => {
    await new Promise(setImmediate);
    throwIfCancelled(signal);
  };
  const fitted = Array.from(train).filter((row) => texts[row] !== undefined);
  const { terms, idf } = fitVocabulary(
    fitted.map((row) => texts[row]!),
    { leastTexts, maxTerms },
  );
  if (terms.length === 0) return undefined;
  await rest();
  const vocabulary = terms.join('\n');
  const bare = new TfidfEncoder(
    { version: 1, name, vocabulary, dim: 1, languages: [...languages] },
    { idf, projection: new Int8Array(terms.length), scale: new Float32Array(1) },
  );
  const sparse: [number, number][][] = [];
  for (const [row, text] of texts.entries()) {
    sparse.push(text === undefined ? [] : bare.sparse(text));
    if (row % 256 === 255) await rest();
  }
  const matrix = new SparseRows(sparse, terms.length);
  const keep = Math.min(options.directions, terms.length, fitted.length);
  const gram = (vector: Float64Array) => {
    const result = new Float64Array(terms.length);
    for (const row of fitted) matrix.addTo(result, row, matrix.dot(row, vector) / fitted.length);
    return result;
  };
  const columns: Float64Array[] = [];
  if (keep > 0) {
    const { vectors } = await leadingEigenvectors(gram, terms.length, keep, signal);
    for (let d = 0; d < keep; d++) columns.push(vectors.subarray(d * terms.length, (d + 1) * terms.length));
  }
  const parts = randomOf(seedOf(options.seed, 'terms', name)).shuffle(
    Int32Array.from(fitted, (_, i) => i % options.folds),
  );
  const held: Map<number, number>[] = [];
  for (const target of targets) {
    const judged = fitted.map((row, i) => ({ row, part: parts[i]! }));
    const known = judged.filter(({ row }) => !Number.isNaN(target[row]!));
    columns.push(await ridge(matrix, known, target, options.penalty, rest));
    const own = new Map<number, number>();
    for (let part = 0; part < options.folds; part++) {
      const others = known.filter((film) => film.part !== part);
      const w = await ridge(matrix, others, target, options.penalty, rest);
      for (const { row } of judged.filter((film) => film.part === part)) own.set(row, matrix.dot(row, w));
    }
    held.push(own);
  }
  const dim = columns.length;
  const projection = new Int8Array(terms.length * dim);
  const scale = new Float32Array(dim);
  columns.forEach((column, d) => {
    const largest = column.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    scale[d] = largest / 127;
    for (let t = 0; largest > 0 && t < terms.length; t++) {
      projection[t * dim + d] = Math.round(column[t]! / scale[d]!);
    }
  });
  const spec: TfidfSpec = { version: 1, name, vocabulary, dim, languages: [...languages] };
  const tensors = { idf, projection, scale };
  const encoder = new TfidfEncoder(spec, tensors);
  const values = new Float32Array(texts.length * dim);
  const known = new Uint8Array(texts.length);
  for (const [row, text] of texts.entries()) {
    if (text === undefined || matrix.empty(row)) continue;
    known[row] = 1;
    values.set(encoder.encode(text), row * dim);
    if (row % 256 === 255) await rest();
  }
  held.forEach((own, k) => {
    for (const [row, value] of own) values[row * dim + keep + k] = value;
  });
  return { spec, tensors, values, known };
}

/** Most steps of conjugate gradients, and the residual, of the first one, at which they end. */
const STEPS = 200;
const RESIDUAL = 1e-6;

/** w of min Σ (y - ȳ - (x - x̄)·w)² + penalty |w|², by conjugate gradients on the normal equations. */
async function ridge(
  matrix: SparseRows,
  films: readonly { row: number }[],
  target: ArrayLike<number>,
  penalty: number,
  rest: () => Promise<void>,
): Promise<Float64Array> {
  const w = new Float64Array(matrix.columns);
  if (films.length === 0) return w;
  const mean = films.reduce((sum, { row }) => sum + target[row]!, 0) / films.length;
  const centre = new Float64Array(matrix.columns);
  for (const { row } of films) matrix.addTo(centre, row, 1 / films.length);
  const inner = (a: Float64Array, b: Float64Array) => a.reduce((sum, value, i) => sum + value * b[i]!, 0);
  // (Xᵀ - x̄ 1ᵀ) e of errors e of the films
  const back = (errors: Float64Array) => {
    const result = new Float64Array(matrix.columns);
    let total = 0;
    films.forEach(({ row }, i) => {
      matrix.addTo(result, row, errors[i]!);
      total += errors[i]!;
    });
    for (let t = 0; t < result.length; t++) result[t]! -= total * centre[t]!;
    return result;
  };
  const normal = (vector: Float64Array) => {
    const shift = inner(centre, vector);
    const result = back(Float64Array.from(films, ({ row }) => matrix.dot(row, vector) - shift));
    for (let t = 0; t < result.length; t++) result[t]! += penalty * vector[t]!;
    return result;
  };
  const residual = back(Float64Array.from(films, ({ row }) => target[row]! - mean));
  const direction = residual.slice();
  let size = inner(residual, residual);
  const enough = size * RESIDUAL ** 2;
  for (let step = 0; step < STEPS && size > enough; step++) {
    const product = normal(direction);
    const length = size / inner(direction, product);
    for (let t = 0; t < w.length; t++) {
      w[t]! += length * direction[t]!;
      residual[t]! -= length * product[t]!;
    }
    const next = inner(residual, residual);
    for (let t = 0; t < w.length; t++) direction[t] = residual[t]! + (next / size) * direction[t]!;
    size = next;
    if (step % 16 === 15) await rest();
  }
  await rest();
  return w;
}
