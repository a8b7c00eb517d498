import type { Stats } from 'node:fs';
import { stat } from 'node:fs/promises';
import path from 'node:path';
import { DataError, describeValue, throwIfCancelled } from '../../errors.js';
import type { InputName } from '../../fusion/manifest.js';
import type { Movie } from '../../movie.js';
import { Pace } from '../../pace.js';
import { type ColumnRule, ColumnWatch, ruleOf } from './columns.js';
import { type DatasetConfig, datasetSchema, parseConfig } from './config.js';
import { CsvRows } from './csv-rows.js';
import { TableDataset } from './dataset.js';
import { FilesBeside } from './files.js';
import { type FieldColumns, fieldColumns, FilmReader, unknownColumn } from './films.js';
import { JsonlRows } from './jsonl-rows.js';
import { ParquetRows } from './parquet-rows.js';
import type { Row, RowPlace, RowReader } from './rows.js';
import type { ColumnInfo, DataProblem, Dataset } from './types.js';

const TABLES = ['movies.csv', 'movies.tsv', 'movies.jsonl', 'movies.parquet'];

export interface OpenDatasetOptions {
  signal?: AbortSignal | undefined;
  /** Told now and then how many films have been read. */
  onProgress?: ((progress: { films: number }) => void) | undefined;
}

/**
 * Opens a data set: reads its table through once, finds the type of every column and which files are there. What it keeps
 * is a few dozen bytes a film and column of numbers; texts and files are read when they are asked for. A table that
 * changes afterwards is noticed.
 *
 * @param source  a folder with movies.csv (or .tsv, .jsonl, .parquet), such a table, or `{ path, … }` with how to read it
 * @throws DataError ERR_DATA_NOT_FOUND  nothing there, or no table in the folder
 * @throws DataError ERR_DATA_READ       a table that cannot be read
 * @throws DataError ERR_DATA_FORMAT     one that is no table, or has two films of one id; names the line
 * @throws DataError ERR_DATA_COLUMN     no column of ids, or one that the configuration names and the table lacks
 * @throws DataError ERR_DATA_EMPTY      a table without films
 * @throws InputError ERR_INPUT_*        a wrong configuration
 * @throws CancelledError ERR_CANCELLED
 */
export async function openDataset(
  source: string | DatasetConfig,
  options: OpenDatasetOptions = {},
): Promise<Dataset> {
  const given = typeof source === 'string' ? { path: source } : source;
  const config = parseConfig(datasetSchema, given, 'dataset');
  throwIfCancelled(options.signal);
  const reader = await openTable(config.path);
  const directory = path.resolve(config.files ?? path.dirname(reader.file));
  return new Opening(reader, directory, config).run(options);
}

async function openTable(source: string): Promise<RowReader> {
  const found = await stat(source).catch((cause: unknown) => {
    throw notThere(
      source,
      'a data set: a folder with movies.csv, or a .csv, .tsv, .jsonl or .parquet file',
      cause,
    );
  });
  if (!found.isDirectory()) return readerOf(path.resolve(source), found);
  for (const name of TABLES) {
    const file = path.resolve(source, name);
    const info = await stat(file).catch(() => undefined);
    if (info?.isFile()) return readerOf(file, info);
  }
  throw notThere(source, `a folder with ${TABLES.join(' or ')}`, 'a folder without');
}

async function readerOf(file: string, opened: Stats): Promise<RowReader> {
  if (!opened.isFile()) throw notThere(file, 'a table', 'something that is no file');
  const ending = path.extname(file).toLowerCase();
  if (ending === '.csv' || ending === '.tsv') return new CsvRows(file, opened);
  if (ending === '.jsonl' || ending === '.ndjson') return new JsonlRows(file, opened);
  if (ending === '.parquet') return ParquetRows.open(file, opened);
  throw new DataError('ERR_DATA_FORMAT', {
    file,
    expected: 'a table that ends in .csv, .tsv, .jsonl or .parquet',
    got: ending === '' ? 'no ending' : ending,
  });
}

function notThere(file: string, expected: string, cause: unknown): DataError {
  const got =
    typeof cause === 'string'
      ? cause
      : (cause as NodeJS.ErrnoException).code === 'ENOENT'
        ? 'nothing there'
        : (cause as Error).message;
  return new DataError('ERR_DATA_NOT_FOUND', { file, expected, got, cause });
}

/** One reading through. */
class Opening {
  readonly #reader: RowReader;
  readonly #config: DatasetConfig;
  readonly #files: FilesBeside;
  readonly #directory: string;
  readonly #rules = new Map<string, ColumnRule>();
  readonly #watches = new Map<string, ColumnWatch>();
  readonly #ids: string[] = [];
  readonly #rows = new Map<string, number>();
  #begins = new Float64Array(1024);
  #ends = new Float64Array(1024);
  readonly #inputs: Partial<Record<InputName, number>> = {};
  readonly #problems: (DataProblem & { place?: RowPlace })[] = [];
  readonly #missing = new Set<string>();
  #films!: FilmReader;
  #fields: FieldColumns = {};
  #idRule: ColumnRule | undefined;
  #knownColumns = -1;

  constructor(reader: RowReader, directory: string, config: DatasetConfig) {
    this.#reader = reader;
    this.#directory = directory;
    this.#config = config;
    this.#files = new FilesBeside(directory);
  }

  async run({ signal, onProgress }: OpenDatasetOptions): Promise<Dataset> {
    const pace = new Pace();
    for await (const { row, place } of this.#reader.scan(signal)) {
      if (this.#reader.columns.length !== this.#knownColumns) await this.#learnColumns();
      const id = await this.#take(row, place);
      if (id === undefined) continue;
      if (this.#ids.length % 1000 === 0) onProgress?.({ films: this.#ids.length });
      if (pace.due) {
        await pace.rest();
        throwIfCancelled(signal);
      }
    }
    if (this.#knownColumns < 0) await this.#learnColumns();
    // Now that all columns are known, one that the configuration names must be among them.
    this.#fieldColumns(true);
    this.#checkConfiguredColumns();
    if (this.#ids.length === 0) {
      throw new DataError('ERR_DATA_EMPTY', { file: this.#reader.file, expected: 'films', got: 'none' });
    }
    onProgress?.({ films: this.#ids.length });
    return this.#finish();
  }

  async #learnColumns(): Promise<void> {
    const { columns } = this.#reader;
    this.#knownColumns = columns.length;
    for (const column of columns) {
      if (this.#rules.has(column)) continue;
      const rule = ruleOf(column, this.#config);
      this.#rules.set(column, rule);
      this.#watches.set(column, new ColumnWatch(rule));
    }
    const fields = this.#fieldColumns(false);
    this.#fields = fields;
    this.#idRule =
      this.#config.id === undefined
        ? fields.id?.[0]
        : columns.includes(this.#config.id)
          ? this.#rules.get(this.#config.id)
          : undefined;
    if (!this.#idRule) {
      if (this.#config.id !== undefined) throw unknownColumn(this.#config.id, columns, 'id');
      throw new DataError('ERR_DATA_COLUMN', {
        file: this.#reader.file,
        field: 'id',
        expected: 'a column movie_id or id, or the name of another one in the configuration',
        got: `the columns ${columns.join(', ')}`,
      });
    }
    this.#films = new FilmReader(fields, this.#files, this.#reader.filmJson);
    await this.#files.findLayout(this.#films.withoutColumn);
  }

  #fieldColumns(complete: boolean) {
    const rule = (column: string) => this.#rules.get(column)!;
    return fieldColumns(this.#reader.columns, this.#config, rule, complete);
  }

  #checkConfiguredColumns(): void {
    for (const column of Object.keys(this.#config.columns ?? {})) {
      if (!this.#rules.has(column)) throw unknownColumn(column, this.#reader.columns, `columns.${column}`);
    }
  }

  /** Takes a row in; undefined when it is no film. */
  async #take(row: Row, place: RowPlace): Promise<string | undefined> {
    const cell = row[this.#idRule!.name];
    const id =
      typeof cell === 'string' ? cell.trim() : cell === null || cell === undefined ? '' : String(cell);
    if (id === '' || id.length > 1000) {
      const why =
        id === '' ? 'a film without an id is left out' : 'an id of over 1000 characters is left out';
      this.#problem({ column: this.#idRule!.name, why }, place);
      return undefined;
    }
    const twin = this.#rows.get(id);
    if (twin !== undefined) await this.#refuseTwin(id, twin, place);
    const index = this.#ids.push(id) - 1;
    this.#rows.set(id, index);
    if (index >= this.#begins.length) {
      this.#begins = doubled(this.#begins);
      this.#ends = doubled(this.#ends);
    }
    this.#begins[index] = place.begin;
    this.#ends[index] = place.end;
    for (const [column, watch] of this.#watches) watch.see(index, row[column]);
    const movie = this.#films.film(row, id, (bad) => this.#problem({ ...bad, id }, place));
    await this.#findFiles(movie, id, place);
    this.#count(movie, id, place);
    return id;
  }

  async #refuseTwin(id: string, twin: number, place: RowPlace): Promise<never> {
    const before = { begin: this.#begins[twin]!, end: this.#ends[twin]! };
    const [first, second] = await this.#reader.lines([before, place]);
    throw new DataError('ERR_DATA_FORMAT', {
      file: `${this.#reader.file}:${second}`,
      field: this.#idRule!.name,
      expected: 'a film once',
      got: `${describeValue(id)} again, which line ${first} has`,
    });
  }

  /** Files that are named and not there: told, and left out of the film. */
  async #findFiles(movie: Movie, id: string, place: RowPlace): Promise<void> {
    for (const [field, value] of Object.entries(movie)) {
      const file = (value as { path?: unknown } | null)?.path;
      if (typeof file !== 'string' || file === this.#files.ofFilm(field as keyof Movie, id)) continue;
      if (await this.#files.has(file)) continue;
      this.#missing.add(file);
      delete movie[field as keyof Movie];
      const column = this.#columnOf(field as keyof Movie);
      this.#problem(
        { file, id, ...(column !== undefined && { column }), why: 'there is no such file' },
        place,
      );
    }
  }

  #columnOf(field: keyof Movie): string | undefined {
    return this.#fields[field]?.[0]?.name;
  }

  #count(movie: Movie, id: string, place: RowPlace): void {
    const count = (input: InputName) => {
      this.#inputs[input] = (this.#inputs[input] ?? 0) + 1;
    };
    let facts = 0;
    for (const field of Object.keys(movie)) {
      if (field === 'id') continue;
      if (field === 'trailer') {
        count('trailer.video');
        count('trailer.audio');
      } else if (MEDIA_AND_TEXTS.has(field)) count(field as InputName);
      else facts++;
      if (field === 'title') facts++;
    }
    if (facts > 0) count('metadata');
    if (Object.keys(movie).length === 1) this.#problem({ id, why: 'nothing is told of the film' }, place);
  }

  #problem(problem: Omit<DataProblem, 'file'> & { file?: string }, place: RowPlace): void {
    this.#problems.push({ file: this.#reader.file, ...problem, place });
  }

  async #finish(): Promise<Dataset> {
    const rows = this.#ids.length;
    const fields = this.#fieldColumns(true);
    const fieldOf = new Map<string, keyof Movie>();
    for (const [field, rules] of Object.entries(fields)) {
      // Of several columns of ids only the first is the id.
      for (const rule of field === 'id' ? rules.slice(0, 1) : rules) {
        if (!fieldOf.has(rule.name)) fieldOf.set(rule.name, field as keyof Movie);
      }
    }
    const columns: ColumnInfo[] = [];
    const numbers = new Map<string, Float64Array>();
    for (const [name, watch] of this.#watches) {
      const found = watch.finish(rows, fieldOf.get(name));
      columns.push(found.info);
      if (found.numbers) numbers.set(name, found.numbers);
      for (const { row, cell } of watch.bad) {
        const place = { begin: this.#begins[row]!, end: this.#ends[row]! };
        const why = `expected a number, received ${describeValue(cell)}`;
        this.#problem({ column: name, id: this.#ids[row]!, why }, place);
      }
    }
    this.#files.forgetListings();
    const { id, fields: told, columns: rules } = this.#config;
    return new TableDataset({
      directory: this.#directory,
      reader: this.#reader,
      films: this.#films,
      ids: this.#ids,
      begins: this.#begins.slice(0, rows),
      ends: this.#ends.slice(0, rows),
      columns,
      rules: this.#rules,
      numbers,
      inputs: this.#inputs,
      problems: await this.#located(),
      missing: this.#missing,
      config: { id, fields: told, columns: rules },
    });
  }

  /** The problems with their lines, in the table's order. */
  async #located(): Promise<DataProblem[]> {
    const places = this.#problems.map(({ place }) => place!);
    const lines = places.length === 0 ? [] : await this.#reader.lines(places);
    return this.#problems
      .map(({ place: _, ...problem }, i): DataProblem => ({ ...problem, line: lines[i]! }))
      .sort((a, b) => a.line! - b.line!);
  }
}

const MEDIA_AND_TEXTS: ReadonlySet<string> = new Set([
  ...['title', 'synopsis', 'script', 'subtitles', 'reviews', 'poster', 'audio'],
]);

function doubled(values: Float64Array): Float64Array<ArrayBuffer> {
  const longer = new Float64Array(values.length * 2);
  longer.set(values);
  return longer;
}
