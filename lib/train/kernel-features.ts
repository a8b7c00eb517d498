/**
 * Films as features whose plain inner product is the kernel's: φ = R⁻¹ k(landmarks, x), K + jitter I = R Rᵀ over the
 * landmarks. So f = w · φ has the norm |w| in the kernel's space, and ridge and logistic regression on φ are the kernel's own:
 * exactly where every film in training is a landmark, by the Nyström method where not.
 */
import { throwIfCancelled } from '../errors.js';
import { addGram, addProductTransposed, choleskySolve, product64 } from '../ops/cholesky.js';
import type { ExecOptions } from '../ops/exec.js';

/** Films that are made features at a time. */
const BLOCK = 1024;
/** Features of one list of films that are kept instead of being made anew each time. */
const KEPT_BYTES = 2 ** 30;

export class KernelFeatures {
  readonly films: Int32Array;
  /** Width of φ: the number of landmarks. */
  readonly width: number;
  readonly #make: (films: Int32Array) => Promise<Float64Array>;
  readonly #exec: ExecOptions;
  readonly #kept: Float64Array[] | undefined;

  /** @param make  φ of some films: (films, width) */
  constructor(
    films: Int32Array,
    width: number,
    make: (films: Int32Array) => Promise<Float64Array>,
    exec: ExecOptions,
  ) {
    this.films = films;
    this.width = width;
    this.#make = make;
    this.#exec = exec;
    this.#kept = films.length * width * 8 <= KEPT_BYTES ? [] : undefined;
  }

  get blocks(): number {
    return Math.ceil(this.films.length / BLOCK);
  }

  /** Whether blocks are kept once made. */
  get keeps(): boolean {
    return this.#kept !== undefined;
  }

  async block(block: number): Promise<Float64Array> {
    throwIfCancelled(this.#exec.signal);
    const kept = this.#kept?.[block];
    if (kept) return kept;
    const phi = await this.#make(this.films.subarray(block * BLOCK, (block + 1) * BLOCK));
    if (this.#kept) this.#kept[block] = phi;
    return phi;
  }

  /** Part of an array of `columns` numbers a film that belongs to a block. */
  part(all: Float64Array, block: number, columns = 1): Float64Array {
    return all.subarray(block * BLOCK * columns, (block + 1) * BLOCK * columns);
  }

  /** Σ weight φ φᵀ, lower triangle. */
  async gram(weights: Float64Array): Promise<Float64Array> {
    const { width } = this;
    const g = new Float64Array(width * width);
    for (let b = 0; b < this.blocks; b++) {
      await addGram(await this.block(b), width, g, { ...this.#exec, weights: this.part(weights, b) });
    }
    return g;
  }

  /** Σ a φ for each column of a (films, columns): (columns, width). */
  async gather(a: Float64Array, columns: number): Promise<Float64Array> {
    const sums = new Float64Array(columns * this.width);
    for (let b = 0; b < this.blocks; b++) {
      const phi = await this.block(b);
      await addProductTransposed(this.part(a, b, columns), phi, sums, phi.length / this.width, this.#exec);
    }
    return sums;
  }

  /** w · φ of every film: w (columns, width) -> (films, columns). */
  async apply(w: Float64Array): Promise<Float64Array> {
    const columns = w.length / this.width;
    const f = new Float64Array(this.films.length * columns);
    for (let b = 0; b < this.blocks; b++) {
      f.set(await product64(await this.block(b), w, this.width, this.#exec), b * BLOCK * columns);
    }
    return f;
  }

  /** |L⁻¹ (φ - centre)|² of every film. */
  async leverages(l: Float64Array, centre: Float64Array): Promise<Float64Array> {
    const { width } = this;
    const a = new Float64Array(this.films.length);
    for (let b = 0; b < this.blocks; b++) {
      const phi = (await this.block(b)).slice();
      for (let at = 0; at < phi.length; at++) phi[at]! -= centre[at % width]!;
      await choleskySolve(l, width, phi, this.#exec);
      for (let at = 0; at < phi.length; at++) a[b * BLOCK + Math.floor(at / width)]! += phi[at]! ** 2;
    }
    return a;
  }
}
