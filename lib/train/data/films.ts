/** From a table's row to a film as a Predictor takes it. */
import path from 'node:path';
import { CinefuseError, DataError, describeValue } from '../../errors.js';
import type { Movie } from '../../movie.js';
import { parseDate } from '../../metadata/metadata-encoder.js';
import { nearestName } from '../../nearest.js';
import {
  type ColumnRule,
  FIELD_COLUMNS,
  isMissing,
  listOf,
  numberOf,
  plainName,
  stringOf,
} from './columns.js';
import type { DatasetConfig } from './config.js';
import type { FilesBeside } from './files.js';
import type { Row } from './rows.js';

/** A cell that cannot be used, and why. */
export interface BadCell {
  column: string;
  why: string;
  /** The file that it names, where that is what is wrong. */
  file?: string;
}

type Field = keyof Movie;
type Read<T> = { value: T } | { why: string } | undefined;

const FIELDS = Object.keys(FIELD_COLUMNS) as Field[];

/** Which columns each field is read from, in the order in which they are tried. */
export type FieldColumns = Readonly<Partial<Record<Field, readonly ColumnRule[]>>>;

/**
 * @throws DataError ERR_DATA_COLUMN  `config.fields` names a field or column that there is not
 */
export function fieldColumns(
  columns: readonly string[],
  config: DatasetConfig,
  ruleOf: (column: string) => ColumnRule,
  complete: boolean,
): FieldColumns {
  const byPlain = new Map<string, string>();
  for (const column of columns) if (!byPlain.has(plainName(column))) byPlain.set(plainName(column), column);
  const found: Partial<Record<Field, readonly ColumnRule[]>> = {};
  for (const field of FIELDS) {
    const told = config.fields?.[field];
    if (told === null) continue;
    const names =
      told !== undefined ? [told] : FIELD_COLUMNS[field].flatMap((plain) => byPlain.get(plain) ?? []);
    const there = names.filter((name) => columns.includes(name));
    if (told !== undefined && there.length === 0 && complete) {
      throw unknownColumn(told, columns, `fields.${field}`);
    }
    if (there.length > 0) found[field] = there.map(ruleOf);
  }
  for (const field of Object.keys(config.fields ?? {})) {
    if ((FIELDS as string[]).includes(field)) continue;
    const nearest = nearestName(field, FIELDS);
    throw new DataError('ERR_DATA_COLUMN', {
      field: `fields.${field}`,
      expected: nearest ? `a field of a film (did you mean ${nearest}?)` : `one of ${FIELDS.join(', ')}`,
      got: 'an unknown one',
    });
  }
  return found;
}

export function unknownColumn(name: string, columns: readonly string[], field = name): DataError {
  const nearest = nearestName(name, columns);
  return new DataError('ERR_DATA_COLUMN', {
    field,
    expected: nearest ? `a column of the table (did you mean ${nearest}?)` : `one of ${columns.join(', ')}`,
    got: describeValue(name),
  });
}

/** Reads films out of rows. What cannot be used is left out of the film and told. */
export class FilmReader {
  readonly #columns: FieldColumns;
  readonly #files: FilesBeside;
  readonly #filmJson: boolean;

  constructor(columns: FieldColumns, files: FilesBeside, filmJson: boolean) {
    this.#columns = columns;
    this.#files = files;
    this.#filmJson = filmJson;
  }

  /** Fields that no column holds: those whose files may lie in the layout's folders. */
  get withoutColumn(): Field[] {
    return FIELDS.filter((field) => !this.#columns[field]);
  }

  film(row: Row, id: string, tell?: (cell: BadCell) => void): Movie {
    const movie: Record<string, unknown> = { id };
    for (const field of FIELDS) {
      if (field === 'id') continue;
      const rules = this.#columns[field];
      if (!rules) {
        const file = this.#files.ofFilm(field, id);
        if (file !== undefined) movie[field] = { path: file };
        continue;
      }
      for (const rule of rules) {
        const cell = row[rule.name];
        if (isMissing(cell, rule)) continue;
        const read = this.#read(field, cell, rule);
        if (read === undefined) continue;
        if ('value' in read) {
          movie[field] = read.value;
          break;
        }
        tell?.({ column: rule.name, why: read.why });
      }
    }
    return movie as Movie;
  }

  #read(field: Field, cell: unknown, rule: ColumnRule): Read<unknown> {
    switch (field) {
      case 'title':
        return text(stringOf(cell, rule), 1000);
      case 'releaseDate':
        return date(cell, rule);
      case 'runtime':
        return amount(
          cell,
          rule,
          (minutes) => minutes > 0 && minutes <= 6000,
          'minutes from above 0 to 6000',
        );
      case 'budget':
        return amount(cell, rule, (dollars) => dollars >= 0 && dollars <= 1e11, 'dollars from 0 to 1e11');
      case 'genres':
      case 'cast':
      case 'director':
        return names(cell, rule);
      case 'language':
        return language(stringOf(cell, rule));
      case 'synopsis':
        return this.#path(cell) ?? text(stringOf(cell, rule), Number.POSITIVE_INFINITY);
      case 'reviews':
        if (Array.isArray(cell)) return { value: listOf(cell, rule) };
        return this.#path(cell) ?? this.#file(cell);
      case 'script':
      case 'subtitles':
        if (this.#filmJson && typeof cell === 'string') return { value: cell };
        return this.#path(cell) ?? this.#file(cell);
      default:
        return this.#path(cell) ?? this.#file(cell);
    }
  }

  /** `{ path }`, as a film's JSON has it. */
  #path(cell: unknown): Read<{ path: string }> {
    if (typeof cell !== 'object' || cell === null) return undefined;
    return this.#file((cell as { path?: unknown }).path);
  }

  #file(cell: unknown): Read<{ path: string }> {
    if (typeof cell !== 'string') return { why: `expected a path, received ${describeValue(cell)}` };
    if (/^[a-z][a-z0-9+.-]+:\/\//i.test(cell)) {
      return {
        why: `expected the path of a local file, received ${describeValue(cell)}: nothing is downloaded`,
      };
    }
    return { value: { path: path.resolve(this.#files.directory, cell.trim()) } };
  }
}

function text(value: string | undefined, most: number): Read<string> {
  if (value === undefined) return undefined;
  if (value.length <= most) return { value };
  return { why: `expected at most ${most} characters, received ${value.length}` };
}

/** As YYYY, YYYY-MM or YYYY-MM-DD; a time of day is dropped, and the ".0" that number columns put on years. */
function date(cell: unknown, rule: ColumnRule): Read<string> {
  const written = stringOf(cell, rule);
  if (written === undefined || written === '0') return undefined;
  const value = written.replace(/^(\d{4})\.0$/, '$1').replace(/^(\d{4}-\d\d-\d\d)[T ].*$/, '$1');
  try {
    return parseDate(value) ? { value } : undefined;
  } catch (error) {
    if (error instanceof CinefuseError) return { why: `expected ${error.expected}, received ${error.got}` };
    throw error;
  }
}

function amount(
  cell: unknown,
  rule: ColumnRule,
  right: (value: number) => boolean,
  expected: string,
): Read<number> {
  const value = numberOf(cell, rule);
  // What is no number at all is told by the column's watch.
  if (value === undefined || Number.isNaN(value)) return undefined;
  return right(value) ? { value } : { why: `expected ${expected}, received ${value}` };
}

function names(cell: unknown, rule: ColumnRule): Read<string[]> {
  const value = listOf(cell, rule);
  const long = value.find((name) => name.length > 300);
  if (long !== undefined) return { why: `expected names of at most 300 characters, received ${long.length}` };
  return value.length === 0 ? undefined : { value: value.slice(0, 1000) };
}

function language(value: string | undefined): Read<string> {
  if (value === undefined) return undefined;
  if (/^[A-Za-z]{2,3}(-[A-Za-z0-9-]+)?$/.test(value)) return { value };
  return { why: `expected an ISO 639-1 code such as "en", received ${describeValue(value)}` };
}
