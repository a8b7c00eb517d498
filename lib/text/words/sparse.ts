/** Sparse rows of numbers, row after row (CSR). */
export interface SparseRows {
  rows: number;
  columns: number;
  /** (rows + 1): row r is places offsets[r] to offsets[r + 1]. */
  offsets: Int32Array;
  /** Rising within a row. */
  columnOf: Int32Array;
  values: Float32Array;
}

/** Some rows of a matrix, in the order given. */
export function takeRows(matrix: SparseRows, wanted: Int32Array): SparseRows {
  const offsets = new Int32Array(wanted.length + 1);
  wanted.forEach((row, i) => {
    offsets[i + 1] = offsets[i]! + matrix.offsets[row + 1]! - matrix.offsets[row]!;
  });
  const columnOf = new Int32Array(offsets[wanted.length]!);
  const values = new Float32Array(columnOf.length);
  wanted.forEach((row, i) => {
    const [from, to] = [matrix.offsets[row]!, matrix.offsets[row + 1]!];
    columnOf.set(matrix.columnOf.subarray(from, to), offsets[i]);
    values.set(matrix.values.subarray(from, to), offsets[i]);
  });
  return { rows: wanted.length, columns: matrix.columns, offsets, columnOf, values };
}

/** The same matrix with each column multiplied by a factor. */
export function scaleColumns(matrix: SparseRows, factors: Float64Array): SparseRows {
  const values = matrix.values.map((value, i) => value * factors[matrix.columnOf[i]!]!);
  return { ...matrix, values };
}

/** Each row brought to length 1; rows of zeros stay. Changes the matrix. */
export function normaliseRows({ rows, offsets, values }: SparseRows): void {
  for (let r = 0; r < rows; r++) {
    const row = values.subarray(offsets[r], offsets[r + 1]);
    let squares = 0;
    for (const value of row) squares += value * value;
    if (squares === 0) continue;
    const scale = 1 / Math.sqrt(squares);
    for (let i = 0; i < row.length; i++) row[i]! *= scale;
  }
}
