import { type ExecOptions, execute } from './exec.js';
import { rowsOf } from './prepared.js';

export interface EmbeddingOptions extends ExecOptions {
  /** Length of a row of the table. */
  dim: number;
  /** The id that stands for nothing: read as zeros, whatever the table holds. It may lie outside the table. */
  paddingId?: number | undefined;
  /** Written instead of a new array: (ids, dim), apart from the table. */
  out?: Float32Array | undefined;
}

/**
 * Rows of a table, as word vectors are looked up: y[i] = table[ids[i]], zeros where ids[i] is `paddingId`.
 *
 * @param ids    (ids), 0 to rows - 1, or `paddingId`
 * @param table  (rows, dim), row-major
 * @returns (ids, dim)
 * @throws InputError ERR_INPUT_VALUE  an id outside the table, with its place; `out` overlaps the table
 * @throws ShapeError ERR_SHAPE        dim does not divide table.length; `out` of another length
 *
 * Exact. Source: torch.nn.Embedding, which reads the padding's row as it stands.
 */
export async function embedding(
  ids: Int32Array,
  table: Float32Array,
  options: EmbeddingOptions,
): Promise<Float32Array> {
  const { dim, paddingId, out } = options;
  const rows = rowsOf(table, dim);
  const own = ownInts(ids);
  return execute(options, (addon, exec, cancel) =>
    addon.embedding(exec, cancel, own, rows, dim, paddingId, table, out),
  );
}

export interface EmbeddingBackwardInput {
  /** (ids): what went in. */
  ids: Int32Array;
  /** (ids, dim): the loss's gradient of the result. */
  dy: Float32Array;
}

export interface EmbeddingBackwardOptions extends ExecOptions {
  /** Rows of the table. */
  rows: number;
  /** Length of a row. */
  dim: number;
  /** As in `embedding`. */
  paddingId?: number | undefined;
}

/**
 * Gradient of `embedding`: dtable[r] = Σ dy[i] over the places i that read row r, i ascending; 0 for rows that nothing
 * read and for the padding's.
 *
 * The same bits on any number of threads and any instruction set, on a GPU too: no sum is made in an order that varies.
 *
 * @returns dtable (rows, dim)
 * @throws InputError ERR_INPUT_VALUE  an id outside the table, with its place
 * @throws ShapeError ERR_SHAPE        dy of another length than ids and dim give
 *
 * Within 1e-6 of the largest sum of magnitudes of float64 on the golden vectors. Source: torch.nn.Embedding.
 */
export async function embeddingBackward(
  { ids, dy }: EmbeddingBackwardInput,
  options: EmbeddingBackwardOptions,
): Promise<Float32Array> {
  const { rows, dim, paddingId } = options;
  const own = ownInts(ids);
  return execute(options, (addon, exec, cancel) =>
    addon.embeddingBackward(exec, cancel, own, rows, dim, paddingId, dy),
  );
}

/** @internal A copy, as it is checked once and read on another thread; what is none the addon refuses. */
export function ownInts<T extends Int32Array | undefined>(values: T): T {
  return values instanceof Int32Array ? (values.slice() as T) : values;
}
