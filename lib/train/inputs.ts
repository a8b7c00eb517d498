/** What the network's inputs are scaled by, and where asked for the directions that they are reduced to. */
import { DataError, InputError, throwIfCancelled } from '../errors.js';
import type { FusionNetworkSpec, NetworkWeight } from '../fusion/network.js';
import type { ExecOptions } from '../ops/exec.js';
import { linear } from '../ops/linear.js';
import { Pace } from '../pace.js';
import { principalDirections } from './principal.js';
import type { FilmTable, TableModality } from './table.js';

/** x ← (x - mean) ⊙ scale, then, where there are directions, x ← directions · x. */
export interface InputScaler {
  mean: Float32Array;
  scale: Float32Array;
  /** (keep, dim), each direction divided by what makes its values as large as wanted. */
  directions?: Float32Array | undefined;
}

/** A standard deviation below which an input counts as constant and is left out. */
const LEAST_STD = 1e-6;

/**
 * The table with these modalities only, in this order.
 *
 * @throws DataError ERR_DATA_COLUMN  one that the table lacks; arrays that do not fit the films
 */
export function selectModalities(table: FilmTable, names: readonly string[]): FilmTable {
  const films = table.ids.length;
  const own = Object.keys(table.modalities);
  const fail = (field: string, expected: string, got: string): never => {
    throw new DataError('ERR_DATA_COLUMN', { field, expected, got });
  };
  if (table.present.length !== films * own.length) {
    fail('present', `${films} films of ${own.length} modalities`, `${table.present.length} numbers`);
  }
  for (const name of names) {
    if (!own.includes(name)) fail(`modalities.${name}`, `one of ${own.join(', ')}`, 'none of that name');
    const { dim, steps, values, variants = 1, lengths } = table.modalities[name]!;
    const size = variants * films * steps * dim;
    if (values.length !== size) fail(`modalities.${name}.values`, `${size} numbers`, `${values.length}`);
    if (lengths && lengths.length !== films) {
      fail(`modalities.${name}.lengths`, `${films} numbers`, `${lengths.length}`);
    }
  }
  if (names.length === own.length && names.every((name, m) => name === own[m])) return table;
  const present = new Uint8Array(films * names.length);
  for (const [m, name] of names.entries()) {
    const from = own.indexOf(name);
    for (let film = 0; film < films; film++) {
      present[film * names.length + m] = table.present[film * own.length + from]!;
    }
  }
  const modalities = Object.fromEntries(names.map((name) => [name, table.modalities[name]!]));
  return { ...table, modalities, present };
}

/** Films that have any modality of the table: the others can neither be learned from nor predicted. */
export function withAny(rows: Int32Array, { modalities, present }: FilmTable): Int32Array {
  const count = Object.keys(modalities).length;
  return rows.filter((row) => present.subarray(row * count, (row + 1) * count).includes(1));
}

/** Films that have a modality, of the rows given. */
export function withModality(rows: Int32Array, table: FilmTable, m: number): Int32Array {
  const count = Object.keys(table.modalities).length;
  return rows.filter((row) => table.present[row * count + m]);
}

/** Numbers that are worked on without the event loop turning in between. */
const STRETCH = 2 ** 19;

/** Every vector of these films in all its variants, (vectors, dim) a stretch. */
function* vectorsOf(
  films: number,
  { dim, steps, values, variants = 1, lengths }: TableModality,
  rows: Int32Array,
): Generator<Float32Array> {
  const most = Math.max(1, Math.floor(STRETCH / (steps * dim)));
  for (let variant = 0; variant < variants; variant++) {
    for (let start = 0; start < rows.length; start += most) {
      const some = rows.subarray(start, start + most);
      let count = 0;
      for (const row of some) count += lengths ? lengths[row]! : steps;
      const all = new Float32Array(count * dim);
      let at = 0;
      for (const row of some) {
        const from = (variant * films + row) * steps * dim;
        const size = (lengths ? lengths[row]! : steps) * dim;
        all.set(values.subarray(from, from + size), at);
        at += size;
      }
      yield all;
    }
  }
}

/**
 * Mean and scale of one modality over the films in training, in float64.
 *
 * @param rows    films in training that have it
 * @param reduce  the principal directions to keep, and how far to whiten (1 wholly)
 * @throws DataError ERR_DATA_EMPTY      no film in training has it
 * @throws InputError ERR_INPUT_VALUE    a value that is not finite, naming the film
 */
export async function fitScaler(
  name: string,
  table: FilmTable,
  rows: Int32Array,
  reduce: { keep: number; power: number } | undefined,
  exec: ExecOptions,
): Promise<InputScaler> {
  const modality = table.modalities[name]!;
  const { dim } = modality;
  if (rows.length === 0) {
    throw new DataError('ERR_DATA_EMPTY', {
      field: `modalities.${name}`,
      expected: 'at least one film in training that has it',
      got: 'none',
    });
  }
  await checkFinite(name, table, rows);
  const pace = new Pace();
  const vectors = () => vectorsOf(table.ids.length, modality, rows);
  const mean = new Float64Array(dim);
  let n = 0;
  for (const x of vectors()) {
    n += x.length / dim;
    for (let at = 0; at < x.length; at += dim) for (let i = 0; i < dim; i++) mean[i]! += x[at + i]!;
    if (pace.due) await pace.rest();
    throwIfCancelled(exec.signal);
  }
  for (let i = 0; i < dim; i++) mean[i]! /= n;
  if (!reduce) {
    const squares = new Float64Array(dim);
    for (const x of vectors()) {
      for (let at = 0; at < x.length; at += dim) {
        for (let i = 0; i < dim; i++) squares[i]! += (x[at + i]! - mean[i]!) ** 2;
      }
      if (pace.due) await pace.rest();
      throwIfCancelled(exec.signal);
    }
    const scale = Float32Array.from(squares, (sum) => {
      const std = Math.sqrt(sum / n);
      return std > LEAST_STD ? 1 / std : 0;
    });
    return { mean: Float32Array.from(mean), scale };
  }
  const keep = Math.min(reduce.keep, dim);
  const { variances, vectors: found } = await principalDirections(vectors(), dim, mean, keep, exec);
  const [first] = variances;
  const directions = Float32Array.from(found, (value, at) => {
    const share = first! > 0 ? variances[Math.floor(at / dim)]! / first! : 0;
    return share > 1e-10 ? (value * share ** (-reduce.power / 2)) / Math.sqrt(first!) : 0;
  });
  return { mean: Float32Array.from(mean), scale: new Float32Array(dim).fill(1), directions };
}

/** @throws InputError ERR_INPUT_VALUE  a value that is not finite, of these films in any variant */
export async function checkFinite(name: string, table: FilmTable, rows: Int32Array): Promise<void> {
  const { dim, steps, values, variants = 1, lengths } = table.modalities[name]!;
  const films = table.ids.length;
  const pace = new Pace();
  for (const row of rows) {
    if (pace.due) await pace.rest();
    const length = lengths ? lengths[row]! : steps;
    if (!(length >= 1 && length <= steps)) {
      throw new InputError('ERR_INPUT_VALUE', {
        field: `modalities.${name}.lengths`,
        expected: `1 to ${steps} for the film ${table.ids[row]}, which has it`,
        got: String(length),
      });
    }
    for (let variant = 0; variant < variants; variant++) {
      const from = (variant * films + row) * steps * dim;
      for (let i = from; i < from + length * dim; i++) {
        if (Number.isFinite(values[i]!)) continue;
        throw new InputError('ERR_INPUT_VALUE', {
          field: `modalities.${name}`,
          expected: `finite numbers for the film ${table.ids[row]}, which has it`,
          got: String(values[i]),
        });
      }
    }
  }
}

/** Every vector of a modality along the scaler's directions; what films without it hold becomes 0. */
export async function reduceModality(
  modality: TableModality,
  has: (film: number) => boolean,
  { mean, directions }: InputScaler,
  exec: ExecOptions,
): Promise<TableModality> {
  const { dim, steps, values, variants = 1, lengths } = modality;
  const keep = directions!.length / dim;
  const films = values.length / (variants * steps * dim);
  const reduced = new Float32Array(variants * films * steps * keep);
  const layer = { inFeatures: dim, outFeatures: keep, weight: directions! };
  const stretch = Math.max(1, Math.floor(STRETCH / (steps * dim)));
  for (let from = 0; from < variants * films; from += stretch) {
    throwIfCancelled(exec.signal);
    const rows = Math.min(stretch, variants * films - from);
    const centred = new Float32Array(rows * steps * dim);
    for (let row = 0; row < rows; row++) {
      const film = (from + row) % films;
      if (!has(film)) continue;
      const size = (lengths ? lengths[film]! : steps) * dim;
      const source = (from + row) * steps * dim;
      const to = row * steps * dim;
      for (let i = 0; i < size; i++) centred[to + i] = values[source + i]! - mean[i % dim]!;
    }
    reduced.set(await linear(centred, layer, exec), from * steps * keep);
  }
  return { ...modality, dim: keep, values: reduced };
}

/**
 * The weights over the modalities' own vectors, of weights over reduced ones: the reduction is linear, so the layers
 * that read it take it in, W' = W · directions.
 */
export function inFullWidth(
  spec: FusionNetworkSpec,
  weights: ReadonlyMap<string, NetworkWeight>,
  scalers: Readonly<Record<string, InputScaler>>,
): Map<string, NetworkWeight> {
  const full = new Map(weights);
  for (const { name, dim } of spec.modalities) {
    const { mean, scale, directions } = scalers[name]!;
    const prefix = `modalities.${name}`;
    full.set(`${prefix}.scaler.mean`, { shape: [dim], data: mean });
    full.set(`${prefix}.scaler.scale`, { shape: [dim], data: scale });
    if (!directions) continue;
    for (const weight of [`${prefix}.projection.weight`, `${prefix}.pooling.W`]) {
      const reduced = weights.get(weight);
      if (!reduced) continue;
      const [out, keep] = reduced.shape as [number, number];
      const data = new Float32Array(out * dim);
      const row = new Float64Array(dim);
      for (let o = 0; o < out; o++) {
        row.fill(0);
        for (let k = 0; k < keep; k++) {
          const w = reduced.data[o * keep + k]!;
          for (let i = 0; i < dim; i++) row[i]! += w * directions[k * dim + i]!;
        }
        data.set(row, o * dim);
      }
      full.set(weight, { shape: [out, dim], data });
    }
  }
  return full;
}
