/** The one Dataset: a table that was read through once, and whose rows are fetched again where they are wanted. */
import { createHash } from 'node:crypto';
import { DataError, InputError, throwIfCancelled } from '../../errors.js';
import type { InputName } from '../../fusion/manifest.js';
import type { Movie } from '../../movie.js';
import { Pace } from '../../pace.js';
import type { TableSplit } from '../table.js';
import { type ColumnRule, listOf, stringOf } from './columns.js';
import { parseConfig, type SplitConfig, splitSchema } from './config.js';
import { type FilmReader, unknownColumn } from './films.js';
import { leakError, type LeakOptions, leaksOf } from './leaks.js';
import type { Row, RowPlace, RowReader } from './rows.js';
import { splitDataset, textsOf } from './splits.js';
import type { Column, ColumnInfo, ColumnType, DataProblem, Dataset } from './types.js';

/** Rows fetched together for one film, and how many such blocks stay. */
const BLOCK = 32;
const KEPT_BLOCKS = 8;
/** Rows of one read when a column is collected. */
const STRETCH = 1024;

interface Options {
  signal?: AbortSignal | undefined;
}

/** What reading the table through has found. */
export interface TableContents {
  directory: string;
  reader: RowReader;
  films: FilmReader;
  ids: readonly string[];
  begins: Float64Array;
  ends: Float64Array;
  columns: readonly ColumnInfo[];
  rules: ReadonlyMap<string, ColumnRule>;
  numbers: ReadonlyMap<string, Float64Array>;
  inputs: Readonly<Partial<Record<InputName, number>>>;
  problems: readonly DataProblem[];
  /** Files that are named and not there. */
  missing: ReadonlySet<string>;
  /** How it is read, for the hash. */
  config: unknown;
}

export class TableDataset implements Dataset {
  readonly path: string;
  readonly directory: string;
  readonly ids: readonly string[];
  readonly columns: readonly ColumnInfo[];
  readonly inputs: Readonly<Partial<Record<InputName, number>>>;
  readonly problems: readonly DataProblem[];
  readonly sha256: string;
  readonly #contents: TableContents;
  readonly #blocks = new Map<number, Promise<Movie[]>>();
  /** Columns of text that are still in use somewhere. */
  readonly #collected = new Map<string, WeakRef<Column>>();

  constructor(contents: TableContents) {
    this.#contents = contents;
    this.path = contents.reader.file;
    this.directory = contents.directory;
    this.ids = contents.ids;
    this.columns = contents.columns;
    this.inputs = contents.inputs;
    this.problems = contents.problems;
    const read = JSON.stringify({ table: contents.reader.sha256, config: contents.config });
    this.sha256 = createHash('sha256').update(read).digest('hex');
  }

  get length(): number {
    return this.ids.length;
  }

  async movie(i: number, options: Options = {}): Promise<Movie> {
    this.#checkRow(i);
    throwIfCancelled(options.signal);
    const number = Math.floor(i / BLOCK);
    let block = this.#blocks.get(number);
    this.#blocks.delete(number);
    if (!block) {
      const start = number * BLOCK;
      const rows = Array.from({ length: Math.min(BLOCK, this.length - start) }, (_, k) => start + k);
      block = this.movies(rows);
      block.catch(() => this.#blocks.delete(number));
    }
    this.#blocks.set(number, block);
    for (const old of this.#blocks.keys()) {
      if (this.#blocks.size <= KEPT_BLOCKS) break;
      this.#blocks.delete(old);
    }
    // A copy: what the caller does to it stays with the caller.
    return structuredClone((await block)[i % BLOCK]!);
  }

  async movies(rows: readonly number[] | Int32Array, options: Options = {}): Promise<Movie[]> {
    const { reader, films, missing } = this.#contents;
    const order = Array.from(rows, (row, at) => ({ row, at })).sort((a, b) => a.row - b.row);
    for (const { row } of order) this.#checkRow(row);
    const read = await reader.read(
      order.map(({ row }) => this.#place(row)),
      options.signal,
    );
    const movies: Movie[] = new Array(order.length);
    order.forEach(({ row, at }, k) => {
      const movie = films.film(read[k]!, this.ids[row]!);
      if (missing.size > 0) withoutMissing(movie, missing);
      movies[at] = movie;
    });
    return movies;
  }

  async column(name: string, options?: Options): Promise<Column>;
  async column<T extends ColumnType>(
    name: string,
    options: Options & { type: T },
  ): Promise<Extract<Column, { type: T }>>;
  async column(name: string, options: Options & { type?: ColumnType } = {}): Promise<Column> {
    const info = this.columns.find((column) => column.name === name);
    if (!info)
      throw unknownColumn(
        name,
        this.columns.map((column) => column.name),
      );
    if (options.type !== undefined && options.type !== info.type) {
      throw new DataError('ERR_DATA_COLUMN', {
        file: this.path,
        field: name,
        expected: `a column of type ${options.type}`,
        got: `one of type ${info.type}`,
      });
    }
    if (info.type === 'number') {
      return { ...info, type: 'number', values: this.#contents.numbers.get(name)!.slice() };
    }
    const known = this.#collected.get(name)?.deref();
    if (known) return known;
    const column = await this.#collect(info, options.signal);
    this.#collected.set(name, new WeakRef(column));
    return column;
  }

  async #collect(info: ColumnInfo, signal: AbortSignal | undefined): Promise<Column> {
    const rule = this.#contents.rules.get(info.name)!;
    const cells = async (take: (cell: unknown) => void) => {
      const pace = new Pace();
      for (let start = 0; start < this.length; start += STRETCH) {
        const count = Math.min(STRETCH, this.length - start);
        const places = Array.from({ length: count }, (_, k) => this.#place(start + k));
        for (const row of await this.#contents.reader.read(places, signal)) take((row as Row)[info.name]);
        if (pace.due) await pace.rest();
      }
    };
    if (info.type === 'list') {
      const values: string[][] = [];
      await cells((cell) => values.push(listOf(cell, rule)));
      return { ...info, type: 'list', values };
    }
    const values: (string | undefined)[] = [];
    await cells((cell) => values.push(stringOf(cell, rule)));
    return { ...info, type: 'string', values };
  }

  split(how: SplitConfig, options: Options = {}): Promise<TableSplit> {
    return splitDataset(this, parseConfig(splitSchema, how, 'split'), options);
  }

  async groups(name: string, options: Options = {}): Promise<string[][]> {
    const columnsOf = (field: keyof Movie) => this.columns.filter((column) => column.field === field);
    if (!this.columns.some((column) => column.name === name)) {
      if (name === 'decade') return this.#decades(columnsOf('releaseDate'), options);
      const field = ({ genre: 'genres', language: 'language' } as const)[name];
      const column = field && columnsOf(field)[0];
      if (column) return groupsOf(await this.column(column.name, options));
    }
    return groupsOf(await this.column(name, options));
  }

  async #decades(columns: readonly ColumnInfo[], options: Options): Promise<string[][]> {
    if (columns.length === 0)
      throw unknownColumn(
        'decade',
        this.columns.map(({ name }) => name),
      );
    const groups: string[][] = this.ids.map(() => []);
    for (const { name } of columns) {
      textsOf(await this.column(name, options)).forEach((text, row) => {
        const year = /^\d{4}/.exec(text ?? '')?.[0];
        if (year !== undefined && groups[row]!.length === 0) groups[row]!.push(`${year.slice(0, 3)}0s`);
      });
    }
    return groups;
  }

  refuseLeaks(inputs: readonly InputName[], options?: LeakOptions): void {
    const leak = leaksOf(this.columns, inputs, options)[0];
    if (leak) throw leakError(leak, this.path);
  }

  #place(row: number): RowPlace {
    return { begin: this.#contents.begins[row]!, end: this.#contents.ends[row]! };
  }

  #checkRow(row: number): void {
    if (Number.isInteger(row) && row >= 0 && row < this.length) return;
    throw new InputError('ERR_INPUT_VALUE', {
      field: 'row',
      expected: `a whole number from 0 to ${this.length - 1}`,
      got: String(row),
    });
  }
}

/** Takes files that are not there out of a film. */
function withoutMissing(movie: Movie, missing: ReadonlySet<string>): void {
  for (const [field, value] of Object.entries(movie)) {
    const file = (value as { path?: unknown } | null)?.path;
    if (typeof file === 'string' && missing.has(file)) delete movie[field as keyof Movie];
  }
}

function groupsOf(column: Column): string[][] {
  if (column.type === 'list') return column.values.map((list) => [...new Set(list)]);
  return textsOf(column).map((text) => (text === undefined ? [] : [text]));
}
