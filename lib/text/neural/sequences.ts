/** Texts made ready for a network: sequences of ids or of vectors, taken out in batches. */
import { type Random, randomOf } from '../../train/random.js';
import { PADDING_ID } from './vocabulary.js';

export interface SequenceBatch {
  rows: number;
  steps: number;
  /** (rows) */
  lengths: Int32Array;
  /** (rows, steps), PADDING_ID behind a row's length. */
  ids?: Int32Array | undefined;
  /** (rows, steps, dim), zeros behind a row's length. */
  vectors?: Float32Array | undefined;
}

export interface Sequences {
  readonly count: number;
  lengthOf(index: number): number;
  /** The sequences of these indices, as long as the longest of them, of 1 step at least. */
  batch(indices: ArrayLike<number>): SequenceBatch;
}

function stepsOf(all: Pick<Sequences, 'lengthOf'>, indices: ArrayLike<number>): [Int32Array, number] {
  const lengths = Int32Array.from(indices, (index) => all.lengthOf(index));
  return [lengths, lengths.reduce((a, b) => Math.max(a, b), 1)];
}

/** Sequences of ids. */
export class IdSequences implements Sequences {
  readonly #ids: readonly Int32Array[];
  constructor(ids: readonly Int32Array[]) {
    this.#ids = ids;
  }
  get count(): number {
    return this.#ids.length;
  }
  lengthOf(index: number): number {
    return this.#ids[index]!.length;
  }
  batch(indices: ArrayLike<number>): SequenceBatch {
    const [lengths, steps] = stepsOf(this, indices);
    const ids = new Int32Array(indices.length * steps).fill(PADDING_ID);
    for (let row = 0; row < indices.length; row++) ids.set(this.#ids[indices[row]!]!, row * steps);
    return { rows: indices.length, steps, lengths, ids };
  }
}

/** Sequences of vectors, each (length, dim). */
export class VectorSequences implements Sequences {
  readonly #vectors: readonly Float32Array[];
  readonly #dim: number;
  constructor(vectors: readonly Float32Array[], dim: number) {
    this.#vectors = vectors;
    this.#dim = dim;
  }
  get count(): number {
    return this.#vectors.length;
  }
  lengthOf(index: number): number {
    return this.#vectors[index]!.length / this.#dim;
  }
  batch(indices: ArrayLike<number>): SequenceBatch {
    const [lengths, steps] = stepsOf(this, indices);
    const vectors = new Float32Array(indices.length * steps * this.#dim);
    for (let row = 0; row < indices.length; row++) {
      vectors.set(this.#vectors[indices[row]!]!, row * steps * this.#dim);
    }
    return { rows: indices.length, steps, lengths, vectors };
  }
}

/** How many steps lengths may differ within a batch by chance alone, so that batches are not the same every epoch. */
const SHAKE = 6;

/** One epoch's batches: sequences of like length together, in an order that the random numbers give. */
export function drawBatches(
  sequences: Sequences,
  rows: Int32Array,
  batchSize: number,
  random: Random,
): Int32Array[] {
  const keyed = Array.from(random.shuffle(rows.slice()), (row) => ({
    row,
    key: sequences.lengthOf(row) + random.next() * SHAKE,
  })).sort((a, b) => a.key - b.key || a.row - b.row);
  const batches: Int32Array[] = [];
  for (let at = 0; at < keyed.length; at += batchSize) {
    batches.push(Int32Array.from(keyed.slice(at, at + batchSize), ({ row }) => row));
  }
  return random.shuffle(batches);
}

/** Batches for a forward pass: by length, so that little is padding. */
export function orderedBatches(sequences: Sequences, rows: Int32Array, batchSize: number): Int32Array[] {
  const sorted = Array.from(rows).sort((a, b) => sequences.lengthOf(a) - sequences.lengthOf(b) || a - b);
  const batches: Int32Array[] = [];
  for (let at = 0; at < sorted.length; at += batchSize) {
    batches.push(Int32Array.from(sorted.slice(at, at + batchSize)));
  }
  return batches;
}

/** Rows held out of training, the same share of every class, at least one of each. */
export function holdOut(
  truth: Int32Array,
  classes: number,
  share: number,
  seed: number,
): { train: Int32Array; valid: Int32Array } {
  const random = randomOf(seed);
  const held = new Uint8Array(truth.length);
  for (let c = 0; c < classes; c++) {
    const rows = random.shuffle(Int32Array.from(truth.keys()).filter((row) => truth[row] === c));
    const count = share === 0 ? 0 : Math.max(1, Math.round(share * rows.length));
    for (const row of rows.subarray(0, count)) held[row] = 1;
  }
  const all = Int32Array.from(truth.keys());
  return { train: all.filter((row) => !held[row]), valid: all.filter((row) => held[row]) };
}
