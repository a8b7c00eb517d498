/** A model over a table of films: what calibration and evaluation ask for forecasts. */
import { DataError, throwIfCancelled } from '../errors.js';
import type { FusionNetworkSpec } from '../fusion/network-spec.js';
import type { NetworkInputs, NetworkOptions, NetworkOutputs, NetworkSequence } from '../fusion/network.js';
import type { FilmTable, RawPredictions } from './table.js';

export interface TableModel {
  /** Names, in the order of the columns of `present`. */
  readonly modalities: readonly string[];
  /**
   * @param rows     films of the table
   * @param present  (rows, modalities), 0 = leave out; default the table's own. Every row has one modality or more.
   */
  predict(rows: Int32Array, present?: Uint8Array, signal?: AbortSignal): Promise<RawPredictions>;
}

/** A FusionNetwork, or whatever else runs like one. */
export interface RunsTables {
  readonly spec: FusionNetworkSpec;
  run(inputs: NetworkInputs, options?: NetworkOptions): Promise<NetworkOutputs>;
}

/** Input values of one call: 16 MiB. */
const MAX_VALUES = 2 ** 22;
const MAX_ROWS = 1024;

/**
 * The network's forecasts for films of the table, a stretch at a time. Of modalities in several variants the first counts.
 *
 * @throws DataError ERR_DATA_COLUMN  the table lacks a modality of the network, has another order of them, or another width
 */
export function tableModel(
  network: RunsTables,
  table: FilmTable,
  exec: Omit<NetworkOptions, 'signal'> = {},
): TableModel {
  const modalities = network.spec.modalities.map(({ name }) => name);
  const own = Object.keys(table.modalities);
  if (own.length !== modalities.length || own.some((name, m) => name !== modalities[m])) {
    throw new DataError('ERR_DATA_COLUMN', {
      field: 'modalities',
      expected: `those of the network, in its order: ${modalities.join(', ')}`,
      got: own.join(', ') || 'none',
    });
  }
  for (const { name, dim } of network.spec.modalities) {
    const got = table.modalities[name]!.dim;
    if (got !== dim) {
      throw new DataError('ERR_DATA_COLUMN', {
        field: name,
        expected: `vectors of ${dim}`,
        got: `vectors of ${got}`,
      });
    }
  }
  const width = Object.values(table.modalities).reduce((sum, { dim, steps }) => sum + dim * steps, 0);
  const stretch = Math.max(1, Math.min(MAX_ROWS, Math.floor(MAX_VALUES / width)));
  return {
    modalities,
    async predict(rows, present = presentOf(table, rows), signal) {
      const heads = Object.fromEntries(
        network.spec.heads.map(({ name, out }) => [name, new Float32Array(rows.length * out)]),
      );
      for (let from = 0; from < rows.length; from += stretch) {
        throwIfCancelled(signal);
        const some = rows.subarray(from, from + stretch);
        const mask = present.subarray(from * modalities.length, (from + some.length) * modalities.length);
        const run = await network.run(gather(network.spec, table, some, mask), { ...exec, signal });
        for (const { name, out } of network.spec.heads) heads[name]!.set(run.heads[name]!, from * out);
      }
      return { rows, heads };
    },
  };
}

/** (rows, modalities): which modalities these films have. */
export function presentOf(table: FilmTable, rows: Int32Array): Uint8Array {
  const count = Object.keys(table.modalities).length;
  const present = new Uint8Array(rows.length * count);
  rows.forEach((film, row) => {
    present.set(table.present.subarray(film * count, (film + 1) * count), row * count);
  });
  return present;
}

function gather(
  spec: FusionNetworkSpec,
  table: FilmTable,
  rows: Int32Array,
  present: Uint8Array,
): NetworkInputs {
  const modalities: Record<string, Float32Array | NetworkSequence> = {};
  for (const [m, { name, sequence }] of spec.modalities.entries()) {
    if (!rows.some((_, row) => present[row * spec.modalities.length + m])) continue;
    const { dim, steps, values, lengths } = table.modalities[name]!;
    const size = dim * steps;
    const data = new Float32Array(rows.length * size);
    rows.forEach((film, row) => {
      if (!present[row * spec.modalities.length + m]) return;
      data.set(values.subarray(film * size, (film + 1) * size), row * size);
    });
    modalities[name] = sequence
      ? { data, steps, lengths: lengths && Int32Array.from(rows, (film) => lengths[film]!) }
      : data;
  }
  return { batch: rows.length, modalities, present: present.slice() };
}

/** The key of a set of modalities in tables by presence: their names in the network's order, joined by "+". */
export function presenceKey(modalities: readonly string[], present: Uint8Array, row = 0): string {
  return modalities.filter((_, m) => present[row * modalities.length + m]).join('+');
}
