import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { DataError } from '../../errors.js';
import type { ImportedFilm, ImportJob } from './import.js';
import { headerOf, type SourceRow, sourceRows } from './import-tables.js';

const CAST = 5;
const READABLE = /\.(csv|json|jsonl|ndjson)(\.gz)?$/i;

interface Beside {
  cast?: string[];
  director?: string[];
  keywords?: string[];
}

/**
 * TMDB's films as they are passed around: one CSV with lists as "a|b", "a, b" or JSON; such a CSV with credits and keywords
 * in files of their own; or the API's answers as JSON. What a file is, its columns tell.
 */
export async function* importTmdb(job: ImportJob): AsyncGenerator<ImportedFilm> {
  const { minVotes = 0, signal } = job.options;
  const found = await sources(job);
  const beside = new Map<string, Beside>();
  for (const file of found.beside) {
    for await (const { row } of sourceRows(file, signal)) {
      job.row(file);
      const id = text(row.movie_id ?? row.id);
      if (id === undefined) continue;
      const own = beside.get(id) ?? {};
      const { cast, director, keywords } = peopleOf(row);
      beside.set(id, {
        ...own,
        ...(cast && { cast }),
        ...(director && { director }),
        ...(keywords && { keywords }),
      });
    }
  }
  for (const file of found.films) {
    for await (const { row, line } of sourceRows(file, signal)) {
      job.row(file);
      const id = text(row.id ?? row.movie_id ?? row.tmdb_id);
      // Files of this kind have rows that were broken in two somewhere.
      if (id === undefined || !/^\d+$/.test(id)) {
        job.problem({
          file,
          line,
          why: `expected a film's number as id, received ${JSON.stringify(id ?? null)}`,
        });
        continue;
      }
      const votes = number(row.vote_count);
      if ((votes ?? 0) < minVotes) continue;
      const people = { ...beside.get(id), ...definedOf(peopleOf(row)) };
      const date = releaseDate(row);
      if (date === undefined && text(row.release_date) !== undefined) {
        const why = `expected a date, received ${JSON.stringify(row.release_date)}`;
        job.problem({ file, line, id, column: 'release_date', why });
      }
      const rating = number(row.vote_average);
      yield {
        movie_id: id,
        imdb_id: text(row.imdb_id),
        tmdb_id: id,
        title: text(row.title) ?? text(row.original_title),
        year: date?.slice(0, 4) ?? text(row.release_year),
        release_date: date,
        overview: text(row.overview),
        genres: names(row.genres),
        keywords: people.keywords,
        cast: people.cast?.slice(0, CAST),
        director: people.director,
        budget: number(row.budget),
        revenue: number(row.revenue),
        runtime: number(row.runtime),
        original_language: text(row.original_language),
        // TMDB writes 0 where nobody voted.
        rating: votes === 0 ? undefined : rating,
        rating_count: votes,
        poster: path.basename(text(row.poster_path) ?? ''),
      };
    }
  }
}

/** The files of a folder: those of films, and those of people and keywords beside them. */
async function sources({ source, problem }: ImportJob): Promise<{ films: string[]; beside: string[] }> {
  const info = await stat(source).catch((cause: unknown) => {
    throw new DataError('ERR_DATA_NOT_FOUND', {
      file: source,
      expected: 'a TMDB export: a .csv, .json or .jsonl file, or a folder of them',
      got: (cause as Error).message,
      cause,
    });
  });
  const films: string[] = [];
  const beside: string[] = [];
  const files = info.isDirectory()
    ? (await readdir(source))
        .filter((name) => READABLE.test(name))
        .sort()
        .map((name) => path.join(source, name))
    : [source];
  for (const file of files) {
    const columns = new Set(await headerOf(file));
    const has = (...names: string[]) => names.some((name) => columns.has(name));
    const id = has('id', 'movie_id', 'tmdb_id');
    if (id && has('overview', 'vote_average', 'release_date') && has('title', 'original_title'))
      films.push(file);
    else if (id && has('cast', 'crew', 'keywords')) beside.push(file);
    else problem({ file, why: 'its columns are not those of a TMDB export: it is left aside' });
  }
  if (films.length > 0) return { films, beside };
  throw new DataError('ERR_DATA_NOT_FOUND', {
    file: source,
    expected: 'a table with the columns id, title, and overview, vote_average or release_date',
    got: 'none',
  });
}

/** Cast, directors and keywords of a row, wherever it has them. */
function peopleOf(row: SourceRow): Beside {
  const credits = (typeof row.credits === 'object' && row.credits !== null ? row.credits : {}) as SourceRow;
  const crew = itemsOf(row.crew ?? credits.crew);
  const directors = crew?.filter((item) => (item as { job?: unknown }).job === 'Director');
  const inner = row.keywords as { keywords?: unknown; results?: unknown } | undefined;
  const cast = names(byOrder(row.cast ?? credits.cast));
  const director = names(row.director ?? row.directors) ?? (directors && names(directors));
  const keywords = names(inner?.keywords ?? inner?.results ?? row.keywords);
  return { ...(cast && { cast }), ...(director && { director }), ...(keywords && { keywords }) };
}

function definedOf(value: Beside): Beside {
  return Object.fromEntries(Object.entries(value).filter(([, own]) => (own as string[]).length > 0));
}

function byOrder(cast: unknown): unknown {
  const items = itemsOf(cast);
  if (!items) return cast;
  const order = (item: unknown) => Number((item as { order?: unknown } | null)?.order ?? 0);
  return [...items].sort((a, b) => order(a) - order(b));
}

/** A list that came as such, as JSON, or as Python writes one. */
function itemsOf(value: unknown): unknown[] | undefined {
  if (Array.isArray(value)) return value;
  if (typeof value !== 'string' || !value.trimStart().startsWith('[')) return undefined;
  for (const read of [value, pythonToJson(value)]) {
    try {
      const parsed: unknown = JSON.parse(read);
      if (Array.isArray(parsed)) return parsed;
    } catch {
      // in the other way, or not at all
    }
  }
  return [];
}

/** Python's literals as JSON: its strings in single or double quotes, None, True, False. */
function pythonToJson(text: string): string {
  return text.replace(
    /'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"|\bNone\b|\bTrue\b|\bFalse\b/gs,
    (found, one, two) => {
      if (found === 'None') return 'null';
      if (found === 'True' || found === 'False') return found.toLowerCase();
      const inner = String(one ?? two)
        .replace(/\\x([0-9a-f]{2})/gi, (_, code: string) => String.fromCodePoint(Number.parseInt(code, 16)))
        .replace(/\\'/g, "'");
      return JSON.stringify(inner.replace(/\\(["\\])/g, '$1'));
    },
  );
}

/** Names of a list in any of the shapes that these files have. */
function names(value: unknown): string[] | undefined {
  const items = itemsOf(value);
  if (items) {
    return items.flatMap((item) => {
      const name = typeof item === 'object' ? (item as { name?: unknown } | null)?.name : item;
      return typeof name === 'string' && name.trim() !== '' ? [name.trim()] : [];
    });
  }
  const all = text(value);
  if (all === undefined) return undefined;
  const separator = all.includes('|') ? '|' : ', ';
  return all
    .split(separator)
    .map((name) => name.trim())
    .filter((name) => name !== '');
}

function text(value: unknown): string | undefined {
  if (value === null || value === undefined || typeof value === 'object') return undefined;
  const all = String(value).trim();
  return all === '' || all === 'nan' || all === 'None' ? undefined : all;
}

function number(value: unknown): number | undefined {
  const all = text(value);
  const parsed = Number(all);
  return all === undefined || !Number.isFinite(parsed) ? undefined : parsed;
}

/** YYYY-MM-DD as it is; month/day/year where the century is told. */
function releaseDate(row: SourceRow): string | undefined {
  const written = text(row.release_date);
  const iso = /^(\d{4})-(\d\d)-(\d\d)/.exec(written ?? '');
  if (iso) return iso[0];
  const slashed = /^(\d{1,2})\/(\d{1,2})\/(\d{4}|\d\d)$/.exec(written ?? '');
  if (!slashed) return undefined;
  const [, month, day, short] = slashed;
  const told = text(row.release_year)?.replace(/\.0$/, '');
  const year = short!.length === 4 ? short! : told?.endsWith(short!) ? told : undefined;
  return year && `${year}-${month!.padStart(2, '0')}-${day!.padStart(2, '0')}`;
}
