/** Splitting films into the parts of a training run. The same data, configuration and seed give the same parts. */
import { DataError, describeValue } from '../../errors.js';
import { parseDate } from '../../metadata/metadata-encoder.js';
import { randomOf, seedOf } from '../random.js';
import type { TableSplit } from '../table.js';
import { FIELD_COLUMNS, plainName } from './columns.js';
import type { Split } from './config.js';
import type { Column, Dataset } from './types.js';

const PARTS = ['train', 'valid', 'test', 'calibration'] as const;
type Part = (typeof PARTS)[number];
type Fractions = { train: number; valid: number; test: number; calibration?: number | undefined };
interface Options {
  signal?: AbortSignal | undefined;
}

/** What split columns call the parts. */
const PART_NAMES: Readonly<Record<string, Part>> = {
  train: 'train',
  training: 'train',
  valid: 'valid',
  validation: 'valid',
  val: 'valid',
  dev: 'valid',
  test: 'test',
  calibration: 'calibration',
};

export async function splitDataset(dataset: Dataset, how: Split, options: Options): Promise<TableSplit> {
  const parts = await partsOf(dataset, how, options);
  const split = Object.fromEntries(
    PARTS.map((part) => [part, Int32Array.from(parts.flatMap((own, row) => (own === part ? [row] : [])))]),
  ) as Record<Part, Int32Array>;
  const fractions = 'fractions' in how ? how.fractions : undefined;
  for (const part of PARTS) {
    const wanted = part === 'train' || (fractions?.[part] ?? 0) > 0;
    if (!wanted || split[part].length > 0) continue;
    throw new DataError('ERR_DATA_EMPTY', {
      file: dataset.path,
      field: `split.${part}`,
      expected: 'at least one film',
      got: `none of ${dataset.length}`,
    });
  }
  const { calibration, ...three } = split;
  return calibration.length > 0 ? { ...three, calibration } : three;
}

function partsOf(dataset: Dataset, how: Split, options: Options): Promise<(Part | undefined)[]> {
  switch (how.kind) {
    case 'column':
      return byColumn(dataset, how.column, options);
    case 'random':
      return atRandom(dataset, how, options);
    case 'time':
      return byTime(dataset, how, options);
    case 'group':
      return byGroup(dataset, how, options);
  }
}

async function byColumn(dataset: Dataset, name: string, options: Options): Promise<(Part | undefined)[]> {
  const texts = textsOf(await dataset.column(name, options));
  return texts.map((text, row) => {
    if (text === undefined) return undefined;
    const part = PART_NAMES[text.toLowerCase()];
    if (part) return part;
    throw new DataError('ERR_DATA_COLUMN', {
      file: dataset.path,
      field: name,
      expected: `one of ${Object.keys(PART_NAMES).join(', ')}, or nothing`,
      got: `${describeValue(text)} at film ${dataset.ids[row]}`,
    });
  });
}

async function atRandom(
  dataset: Dataset,
  how: Extract<Split, { kind: 'random' }>,
  options: Options,
): Promise<(Part | undefined)[]> {
  const strata = new Map<string, number[]>();
  const keys = how.stratify === undefined ? undefined : await dataset.groups(how.stratify, options);
  for (let row = 0; row < dataset.length; row++) {
    const key = keys?.[row]?.join('|') ?? '';
    const stratum = strata.get(key);
    if (stratum) stratum.push(row);
    else strata.set(key, [row]);
  }
  const parts: (Part | undefined)[] = new Array(dataset.length).fill(undefined);
  const random = randomOf(seedOf(how.seed, 'split'));
  // Small strata would all round the same way: each begins where the one before stopped within its last film.
  const shares = new Shares(how.fractions);
  for (const key of [...strata.keys()].sort()) {
    for (const row of random.shuffle(strata.get(key)!)) parts[row] = shares.next(1);
  }
  return parts;
}

/** Deals films out so that every part is always as near its share as can be. */
class Shares {
  readonly #wanted: readonly [part: Part | undefined, share: number][];
  readonly #given = new Map<Part | undefined, number>();
  #total = 0;

  constructor(fractions: Fractions) {
    const parts = PARTS.map((part): [Part | undefined, number] => [part, fractions[part] ?? 0]);
    const rest = 1 - parts.reduce((sum, [, share]) => sum + share, 0);
    this.#wanted = [...parts, [undefined, rest < 1e-9 ? 0 : rest] as const];
  }

  /** The part that is furthest behind once `films` more are dealt. */
  next(films: number): Part | undefined {
    this.#total += films;
    let most = Number.NEGATIVE_INFINITY;
    let chosen: Part | undefined = 'train';
    for (const [part, share] of this.#wanted) {
      const behind = share * this.#total - (this.#given.get(part) ?? 0);
      if (share === 0 || behind <= most) continue;
      most = behind;
      chosen = part;
    }
    this.#given.set(chosen, (this.#given.get(chosen) ?? 0) + films);
    return chosen;
  }
}

/** Days, months and years as numbers in their order; a year or month as its last day. */
function dayOf(text: string): number | undefined {
  let date: ReturnType<typeof parseDate>;
  try {
    date = parseDate(text.replace(/^(\d{4}-\d\d-\d\d)[T ].*$/, '$1').replace(/^(\d{4})\.0$/, '$1'));
  } catch {
    return undefined;
  }
  if (!date) return undefined;
  const day = Number(/^\d{4}-\d{1,2}-(\d{1,2})/.exec(text)?.[1] ?? 31);
  return (date.year * 12 + (date.month ?? 12) - 1) * 31 + day - 1;
}

async function byTime(
  dataset: Dataset,
  how: Extract<Split, { kind: 'time' }>,
  options: Options,
): Promise<(Part | undefined)[]> {
  const bound = (field: 'trainUntil' | 'validUntil' | 'testAfter'): number | undefined => {
    const value = how[field];
    if (value === undefined) return undefined;
    const day = dayOf(String(value));
    if (day !== undefined) return day;
    throw new DataError('ERR_DATA_COLUMN', {
      field: `split.${field}`,
      expected: 'a year or a date as YYYY, YYYY-MM or YYYY-MM-DD',
      got: describeValue(value),
    });
  };
  const trainUntil = bound('trainUntil')!;
  const validUntil = bound('validUntil');
  const testAfter = bound('testAfter') ?? validUntil ?? trainUntil;
  const order = [
    ['validUntil', trainUntil, validUntil],
    ['testAfter', validUntil ?? trainUntil, testAfter],
  ] as const;
  for (const [field, least, value] of order) {
    if (value === undefined || value >= least) continue;
    throw new DataError('ERR_DATA_COLUMN', {
      field: `split.${field}`,
      expected: 'a later time than the one before',
      got: describeValue(how[field]),
    });
  }
  const days = await releaseDays(dataset, how.column, options);
  const parts = days.map((day): Part | undefined => {
    if (day === undefined) return undefined;
    if (day <= trainUntil) return 'train';
    if (validUntil !== undefined && day <= validUntil) return 'valid';
    return day > testAfter ? 'test' : undefined;
  });
  if (validUntil === undefined) {
    const train = parts.flatMap((part, row) => (part === 'train' ? [row] : []));
    train.sort((a, b) => days[a]! - days[b]! || a - b);
    for (const row of train.slice(Math.ceil(train.length * 0.9))) parts[row] = 'valid';
  }
  return parts;
}

async function releaseDays(
  dataset: Dataset,
  column: string | undefined,
  options: Options,
): Promise<(number | undefined)[]> {
  const names =
    column !== undefined
      ? [column]
      : dataset.columns
          .filter(({ field }) => field === 'releaseDate')
          .map(({ name }) => name)
          // Dates before years, as films have it.
          .sort((a, b) => dateRank(a) - dateRank(b));
  if (names.length === 0) {
    throw new DataError('ERR_DATA_COLUMN', {
      file: dataset.path,
      field: 'split.column',
      expected: 'a column of release dates or years',
      got: 'a table without one that is known by its name',
    });
  }
  const days: (number | undefined)[] = new Array(dataset.length).fill(undefined);
  for (const name of names) {
    textsOf(await dataset.column(name, options)).forEach((text, row) => {
      if (text !== undefined) days[row] ??= dayOf(text);
    });
  }
  return days;
}

function dateRank(column: string): number {
  return FIELD_COLUMNS.releaseDate.indexOf(plainName(column));
}

async function byGroup(
  dataset: Dataset,
  how: Extract<Split, { kind: 'group' }>,
  options: Options,
): Promise<(Part | undefined)[]> {
  const keys = await dataset.groups(how.column, options);
  // Films that share any value are joined (union-find); one without a value stands alone.
  const parent = Int32Array.from({ length: dataset.length }, (_, row) => row);
  const rootOf = (row: number): number => {
    let root = row;
    while (parent[root] !== root) {
      parent[root] = parent[parent[root]!]!;
      root = parent[root]!;
    }
    return root;
  };
  const first = new Map<string, number>();
  keys.forEach((own, row) => {
    for (const key of own) {
      const other = first.get(key);
      if (other === undefined) first.set(key, row);
      else parent[rootOf(row)] = rootOf(other);
    }
  });
  const groups = new Map<number, number[]>();
  for (let row = 0; row < dataset.length; row++) {
    const root = rootOf(row);
    const group = groups.get(root);
    if (group) group.push(row);
    else groups.set(root, [row]);
  }
  const shuffled = randomOf(seedOf(how.seed, 'split')).shuffle([...groups.values()]);
  // The large ones first: what they leave uneven, the small ones even out.
  shuffled.sort((a, b) => b.length - a.length);
  const parts: (Part | undefined)[] = new Array(dataset.length).fill(undefined);
  const shares = new Shares(how.fractions);
  for (const group of shuffled) {
    const part = shares.next(group.length);
    for (const row of group) parts[row] = part;
  }
  return parts;
}

/** A column's values as text, as they stand in a table. */
export function textsOf(column: Column): (string | undefined)[] {
  if (column.type === 'string') return column.values;
  if (column.type === 'list')
    return column.values.map((list) => (list.length > 0 ? list.join('|') : undefined));
  return Array.from(column.values, (value) => (Number.isNaN(value) ? undefined : String(value)));
}
