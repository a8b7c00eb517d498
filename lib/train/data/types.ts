/** What a data set is to those who train with it. `openDataset` makes one; docs/data.md describes the files. */
import type { InputName } from '../../fusion/manifest.js';
import type { Movie } from '../../movie.js';
import type { TableSplit } from '../table.js';
import type { SplitConfig } from './config.js';
import type { LeakOptions } from './leaks.js';

/** 'number': numbers and yes/no as 1 and 0. 'list': several strings a film, such as genres. */
export type ColumnType = 'number' | 'string' | 'list';

export interface ColumnInfo {
  name: string;
  type: ColumnType;
  /** Films that have a value here. */
  filled: number;
  /** Known only after a film's release: revenue, ratings, reviews. Refused as input of a forecast before release. */
  afterRelease: boolean;
  /** The film's field that is read from it, if any. */
  field?: keyof Movie;
}

/** A column's values, one a film: NaN, undefined or an empty list where there is none. */
export type Column = ColumnInfo &
  (
    | { type: 'number'; values: Float64Array }
    | { type: 'string'; values: (string | undefined)[] }
    | { type: 'list'; values: string[][] }
  );

/** Something in a data set that is not as it should be and that the rest can do without. */
export interface DataProblem {
  /** The table, or the file that is missing or cannot be read. */
  file: string;
  /** Of the table, from 1, the header line included; in Parquet the row, from 1. */
  line?: number;
  column?: string;
  /** The film. */
  id?: string;
  why: string;
}

/** Films in a table with their files beside it. Holds ids, numbers and where the rows are; all else is read when asked for. */
export interface Dataset {
  /** The table. */
  readonly path: string;
  /** What paths are relative to. */
  readonly directory: string;
  /** Films. */
  readonly length: number;
  /** One a film, unique, in the table's order. */
  readonly ids: readonly string[];
  readonly columns: readonly ColumnInfo[];
  /** How many films bring each input. Inputs that none brings are not in it. */
  readonly inputs: Readonly<Partial<Record<InputName, number>>>;
  /** Every bad cell and every file that is named and not there. */
  readonly problems: readonly DataProblem[];
  /** SHA-256 of the table and of how it is read. */
  readonly sha256: string;

  /**
   * The film of row i as a Predictor takes it. Files come as `{ path }`.
   * @throws DataError ERR_DATA_READ  the table is gone, or is not what it was when it was opened
   */
  movie(i: number, options?: { signal?: AbortSignal | undefined }): Promise<Movie>;
  /** As `movie`, of several rows; rows in ascending order are the quickest. */
  movies(
    rows: readonly number[] | Int32Array,
    options?: { signal?: AbortSignal | undefined },
  ): Promise<Movie[]>;
  /** @throws DataError ERR_DATA_COLUMN  no such column, with the nearest name; or not of the `type` asked for */
  column(name: string, options?: { signal?: AbortSignal | undefined }): Promise<Column>;
  column<T extends ColumnType>(
    name: string,
    options: { type: T; signal?: AbortSignal | undefined },
  ): Promise<Extract<Column, { type: T }>>;
  /**
   * The parts of a training run; ascending rows.
   * @throws DataError ERR_DATA_COLUMN  no such column, or a value that names no part
   * @throws DataError ERR_DATA_EMPTY   train or another part that was asked for has no film
   */
  split(how: SplitConfig, options?: { signal?: AbortSignal | undefined }): Promise<TableSplit>;
  /**
   * The groups of each film: by 'genre', 'language', 'decade', or by any column (numbers as they are written).
   * @throws DataError ERR_DATA_COLUMN
   */
  groups(name: string, options?: { signal?: AbortSignal | undefined }): Promise<string[][]>;
  /**
   * Refuses inputs that are made of columns known only after release, or of those to be predicted.
   * @throws DataError ERR_DATA_LEAK  naming input and column
   */
  refuseLeaks(inputs: readonly InputName[], options?: LeakOptions): void;
}
