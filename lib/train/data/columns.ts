/** What the names of columns tell, and what type their cells turn out to be. */
import type { Movie } from '../../movie.js';
import type { DatasetConfig } from './config.js';
import type { ColumnInfo, ColumnType } from './types.js';

/** "releaseDate" and "Release Date" are "release_date". */
export function plainName(column: string): string {
  return column
    .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, '_')
    .replace(/^_|_$/g, '');
}

/** Columns that a film's fields are read from, the first there is; each by its plain name. */
export const FIELD_COLUMNS: Readonly<Record<keyof Movie, readonly string[]>> = {
  id: ['movie_id', 'id', 'imdb_id', 'tmdb_id'],
  title: ['title'],
  releaseDate: ['release_date', 'released', 'year', 'release_year'],
  runtime: ['runtime', 'runtime_minutes'],
  budget: ['budget'],
  genres: ['genres', 'genre'],
  cast: ['cast', 'actors'],
  director: ['director', 'directors'],
  language: ['original_language', 'language'],
  synopsis: ['overview', 'synopsis', 'plot'],
  script: ['script', 'screenplay'],
  subtitles: ['subtitles'],
  reviews: ['reviews'],
  poster: ['poster'],
  trailer: ['trailer'],
  audio: ['audio'],
};

const LISTS = new Set(['genres', 'genre', 'cast', 'actors', 'director', 'directors', 'keywords', 'writers']);
const NUMBERS = new Set([
  ...['year', 'release_year', 'runtime', 'runtime_minutes', 'budget', 'revenue', 'rating', 'rating_count'],
  ...['vote_average', 'vote_count', 'popularity', 'gross', 'box_office'],
]);
/** In these, as TMDB has it, 0 is "unknown". */
const ZERO_IS_UNKNOWN = new Set(['budget', 'revenue', 'runtime', 'runtime_minutes', 'year']);

/** Known only after release, by what they are called; an age rating is not. */
const AFTER_RELEASE =
  /(^|_)(ratings?|rated_by|votes?|vote_(average|count)|popularity|revenues?|gross|grosses|box_office|boxoffice|opening_weekend|profit|roi|admissions|scores?|metascore|tomatometer|stars|reviews?|critics?|awards?|oscars?|wins|nominations|well_received|sentiment|likes|keywords|tags)(_|$)/;
const BEFORE_RELEASE = /(^|_)(content|age|mpaa|film|parental)_ratings?$/;

export function isAfterRelease(column: string): boolean {
  const name = plainName(column);
  return AFTER_RELEASE.test(name) && !BEFORE_RELEASE.test(name);
}

/** Cells of text that stand for nothing in any column of numbers. */
const NOTHING = new Set(['', 'na', 'n/a', 'nan', 'null', 'none', '\\n', '-', '?']);

/** How one column is read. */
export interface ColumnRule {
  name: string;
  type: ColumnType | undefined;
  separator: string;
  missing: ReadonlySet<string>;
  zeroIsUnknown: boolean;
  afterRelease: boolean;
}

export function ruleOf(name: string, config: DatasetConfig): ColumnRule {
  const own = config.columns?.[name];
  const plain = plainName(name);
  return {
    name,
    type: own?.type ?? (LISTS.has(plain) ? 'list' : NUMBERS.has(plain) ? 'number' : undefined),
    separator: own?.separator ?? '|',
    missing: new Set(own?.missing ?? []),
    zeroIsUnknown: ZERO_IS_UNKNOWN.has(plain),
    afterRelease: own?.afterRelease ?? isAfterRelease(name),
  };
}

/** Whether a cell holds nothing. */
export function isMissing(cell: unknown, rule: ColumnRule): boolean {
  if (cell === undefined || cell === null) return true;
  if (typeof cell === 'string') {
    const text = cell.trim();
    return text === '' || text === '\\N' || rule.missing.has(text);
  }
  if (Array.isArray(cell)) return cell.length === 0;
  return (typeof cell === 'number' || typeof cell === 'bigint') && rule.missing.has(String(cell));
}

/** A cell's number: NaN where there is none; undefined where it is something else. */
export function numberOf(cell: unknown, rule: ColumnRule): number | undefined {
  if (isMissing(cell, rule)) return Number.NaN;
  let value: number;
  if (typeof cell === 'number') value = cell;
  else if (typeof cell === 'bigint' || typeof cell === 'boolean') value = Number(cell);
  else if (typeof cell === 'string') {
    const text = cell.trim().toLowerCase();
    if (NOTHING.has(text)) return Number.NaN;
    value = text === 'true' ? 1 : text === 'false' ? 0 : Number(text);
    if (Number.isNaN(value)) return undefined;
  } else return undefined;
  if (Number.isNaN(value)) return value;
  if (!Number.isFinite(value)) return undefined;
  return value === 0 && rule.zeroIsUnknown ? Number.NaN : value;
}

/** A cell as text; undefined where there is none. A date is its day. */
export function stringOf(cell: unknown, rule: ColumnRule): string | undefined {
  if (isMissing(cell, rule)) return undefined;
  if (typeof cell === 'string') return cell.trim();
  if (cell instanceof Date) return Number.isNaN(cell.getTime()) ? undefined : cell.toISOString().slice(0, 10);
  if (typeof cell === 'object') {
    const { path } = cell as { path?: unknown };
    return typeof path === 'string' ? path : JSON.stringify(cell);
  }
  return String(cell);
}

/** A cell's strings. Text is split at the rule's separator. */
export function listOf(cell: unknown, rule: ColumnRule): string[] {
  if (isMissing(cell, rule)) return [];
  const items = Array.isArray(cell) ? cell.map(String) : String(cell).split(rule.separator);
  return items.map((item) => item.trim()).filter((item) => item !== '');
}

/** Cells that are no numbers, kept to be listed if the column is one of numbers all the same. */
const MOST_BAD = 100;

/** Watches a column's cells go by and says at the end what they are; of numbers it keeps them. */
export class ColumnWatch {
  readonly rule: ColumnRule;
  /** Rows of cells that are no numbers. */
  readonly bad: { row: number; cell: unknown }[] = [];
  #numbers = new Float64Array(1024).fill(Number.NaN);
  #filled = 0;
  #lists = 0;
  #wrong = 0;
  #listening: boolean;

  constructor(rule: ColumnRule) {
    this.rule = rule;
    this.#listening = rule.type === undefined || rule.type === 'number';
  }

  see(row: number, cell: unknown): void {
    if (isMissing(cell, this.rule)) return;
    if (Array.isArray(cell)) this.#lists++;
    if (!this.#listening) {
      this.#filled++;
      return;
    }
    const number = numberOf(cell, this.rule);
    if (number === undefined) {
      this.#filled++;
      this.#wrong++;
      if (this.bad.length < MOST_BAD) this.bad.push({ row, cell });
      // One in fifty may be rubbish; a column with more is not of numbers, and need not be kept as such.
      else if (this.rule.type === undefined && this.#wrong * 50 > row) this.#forget();
    } else if (!Number.isNaN(number)) {
      this.#filled++;
      if (row >= this.#numbers.length) this.#grow(row + 1);
      this.#numbers[row] = number;
    }
  }

  #forget(): void {
    this.#listening = false;
    this.#numbers = new Float64Array(0);
  }

  #grow(least: number): void {
    const longer = new Float64Array(Math.max(least, this.#numbers.length * 2)).fill(Number.NaN);
    longer.set(this.#numbers);
    this.#numbers = longer;
  }

  /** The column's description, and its numbers if it has any. */
  finish(rows: number, field: keyof Movie | undefined): { info: ColumnInfo; numbers?: Float64Array } {
    const { name, type: told, afterRelease } = this.rule;
    const right = this.#filled - this.#wrong;
    const numeric = this.#listening && right > 0 && this.#wrong * 50 <= right;
    const type = told ?? (this.#lists > 0 ? 'list' : numeric ? 'number' : 'string');
    const filled = type === 'number' ? right : this.#filled;
    const info: ColumnInfo = { name, type, filled, afterRelease, ...(field !== undefined && { field }) };
    if (type !== 'number') {
      this.bad.length = 0;
      return { info };
    }
    if (this.#numbers.length < rows) this.#grow(rows);
    return { info, numbers: this.#numbers.slice(0, rows) };
  }
}
