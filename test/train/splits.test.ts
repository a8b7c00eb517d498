import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { openDataset } from '../../lib/train/data/open.js';
import type { Dataset } from '../../lib/train/data/types.js';
import type { TableSplit } from '../../lib/train/table.js';
import { throwsTyped } from '../errors.js';
import { temporaryDirectory } from '../tiny-bundle.js';

async function opened(t: ExecutionContext, csv: string): Promise<Dataset> {
  const directory = await temporaryDirectory();
  t.teardown(() => directory[Symbol.asyncDispose]());
  await writeFile(path.join(directory.path, 'movies.csv'), csv);
  return openDataset(directory.path);
}

/** 200 films: directors in runs of different lengths, dates from 1990 on, a few without. */
const films = Array.from({ length: 200 }, (_, i) => {
  const director = i % 50 === 49 ? '' : `D${Math.floor(Math.sqrt(i))}`;
  const date = i % 20 === 7 ? '' : `${1990 + Math.floor(i / 10)}-${String(1 + (i % 12)).padStart(2, '0')}-15`;
  const language = i % 10 === 0 ? 'fr' : 'en';
  const part = ['train', 'train', 'Validation', 'TEST', 'calibration', ''][i % 6];
  return [`f${i}`, `Film ${i}`, date, director, language, part, i % 4].join(',');
});
const CSV = `movie_id,title,release_date,director,original_language,part,class\n${films.join('\n')}\n`;

const PARTS = ['train', 'valid', 'test', 'calibration'] as const;

/** No film twice, rows rise. @returns sizes by part */
function sizes(t: ExecutionContext, split: TableSplit): number[] {
  const seen = new Set<number>();
  return PARTS.map((part) => {
    const rows = [...(split[part] ?? [])];
    t.deepEqual(
      rows,
      [...rows].sort((a, b) => a - b),
    );
    for (const row of rows) {
      t.false(seen.has(row));
      seen.add(row);
    }
    return rows.length;
  });
}

test('by a column, whatever it calls the parts', async (t) => {
  const dataset = await opened(t, CSV);
  const split = await dataset.split({ kind: 'column', column: 'part' });
  t.deepEqual(sizes(t, split), [68, 33, 33, 33]);
  t.deepEqual([...split.valid.subarray(0, 2)], [2, 8]);
  await throwsTyped(t, () => dataset.split({ kind: 'column', column: 'director' }), {
    code: 'ERR_DATA_COLUMN',
    field: 'director',
    message: /train.*"D0" at film f0/,
  });
  await throwsTyped(t, () => dataset.split({ kind: 'column', column: 'prat' }), {
    code: 'ERR_DATA_COLUMN',
    message: /did you mean part/,
  });
});

test('at random: by the seed, in the shares asked for, evenly over strata', async (t) => {
  const dataset = await opened(t, CSV);
  const one = await dataset.split({ kind: 'random', seed: 5 });
  t.deepEqual(sizes(t, one), [160, 20, 20, 0]);
  t.deepEqual(one, await dataset.split({ kind: 'random', seed: 5 }));
  t.notDeepEqual(one.test, (await dataset.split({ kind: 'random', seed: 6 })).test);
  const part = { train: 0.5, valid: 0.2, test: 0.1, calibration: 0.1 };
  t.deepEqual(sizes(t, await dataset.split({ kind: 'random', fractions: part })), [100, 40, 20, 20]);
  const even = await dataset.split({ kind: 'random', seed: 5, stratify: 'class' });
  const classes = (await dataset.column('class', { type: 'number' })).values;
  for (const own of [0, 1, 2, 3]) {
    const there = [...even.test].filter((row) => classes[row] === own).length;
    t.true(there >= 4 && there <= 6, `${there} of class ${own}`);
  }
  await throwsTyped(
    t,
    () => dataset.split({ kind: 'random', fractions: { train: 0.9, valid: 0.2, test: 0.1 } }),
    {
      code: 'ERR_INPUT_VALUE',
      field: 'split.fractions',
    },
  );
  await throwsTyped(t, () => dataset.split({ kind: 'randon' } as never), {
    code: 'ERR_INPUT_VALUE',
    field: 'split.kind',
    message: /column, random, time, group/,
  });
  const few = await opened(t, 'id,title\n1,a\n2,b\n');
  await throwsTyped(t, () => few.split({ kind: 'random' }), { code: 'ERR_DATA_EMPTY', field: 'split.valid' });
});

test('by time: later films are never learned from, undated ones are left out', async (t) => {
  const dataset = await opened(t, CSV);
  const dates = (await dataset.column('release_date', { type: 'string' })).values;
  const split = await dataset.split({ kind: 'time', trainUntil: 2002, validUntil: '2004-06' });
  const [train, valid, tested] = sizes(t, split);
  t.is(train! + valid! + tested!, 190);
  for (const row of split.train) t.true(dates[row]! < '2003');
  for (const row of split.valid) t.true(dates[row]! > '2003' && dates[row]! < '2004-07');
  for (const row of split.test) t.true(dates[row]! > '2004-06-31');
  // With a gap, and valid taken from the end of train.
  const gap = await dataset.split({ kind: 'time', trainUntil: 2002, testAfter: 2004 });
  for (const row of gap.test) t.true(dates[row]! > '2005');
  const newest = [...gap.train]
    .map((row) => dates[row]!)
    .sort()
    .at(-1)!;
  for (const row of gap.valid) t.true(dates[row]! >= newest && dates[row]! < '2003');
  t.is(gap.valid.length, Math.floor((gap.train.length + gap.valid.length) / 10));
  await throwsTyped(t, () => dataset.split({ kind: 'time', trainUntil: 2005, validUntil: 2001 }), {
    code: 'ERR_DATA_COLUMN',
    field: 'split.validUntil',
  });
  await throwsTyped(t, () => dataset.split({ kind: 'time', trainUntil: 'soon' }), {
    field: 'split.trainUntil',
    code: 'ERR_DATA_COLUMN',
  });
  await throwsTyped(t, () => dataset.split({ kind: 'time', trainUntil: 1900 }), {
    code: 'ERR_DATA_EMPTY',
    field: 'split.train',
  });
  const undated = await opened(t, 'id,title\n1,a\n2,b\n');
  await throwsTyped(t, () => undated.split({ kind: 'time', trainUntil: 2000 }), {
    code: 'ERR_DATA_COLUMN',
    field: 'split.column',
  });
});

test('by group: films that share a value stay together', async (t) => {
  const dataset = await opened(t, CSV);
  const split = await dataset.split({ kind: 'group', column: 'director', seed: 2 });
  const [train, valid, tested] = sizes(t, split);
  t.is(train! + valid! + tested!, 200);
  t.true(Math.abs(train! - 160) <= 15 && Math.abs(tested! - 20) <= 15, `${train} ${valid} ${tested}`);
  const directors = await dataset.groups('director');
  const partOf = new Map<string, string>();
  for (const part of PARTS) {
    for (const row of split[part] ?? []) {
      for (const director of directors[row]!) {
        t.is(partOf.get(director) ?? part, part);
        partOf.set(director, part);
      }
    }
  }
  t.deepEqual(split, await dataset.split({ kind: 'group', column: 'director', seed: 2 }));
});

test('groups for reports', async (t) => {
  const dataset = await opened(t, CSV);
  t.deepEqual((await dataset.groups('decade')).slice(0, 8), [
    ...Array.from({ length: 7 }, () => ['1990s']),
    [],
  ]);
  t.deepEqual((await dataset.groups('language'))[0], ['fr']);
  t.deepEqual((await dataset.groups('class'))[3], ['3']);
  await throwsTyped(t, () => dataset.groups('genre'), { code: 'ERR_DATA_COLUMN' });
});
