import { execFile } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { mkdir, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { finished } from 'node:stream/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import test from 'ava';
import { temporaryDirectory } from '../tiny-bundle.js';

const FILMS = 100_000;

test('100,000 films take the memory of their numbers, not of their texts', async (t) => {
  t.timeout(900_000);
  await using directory = await temporaryDirectory();
  await mkdir(path.join(directory.path, 'images'));
  await writeFile(path.join(directory.path, 'images', 'a.jpg'), 'x');
  const file = path.join(directory.path, 'movies.csv');
  const table = createWriteStream(file);
  table.write(
    'movie_id,title,release_date,overview,genres,cast,director,budget,revenue,runtime,rating,poster\n',
  );
  const overview = '"A long story, of which nothing needs to be kept. "'.slice(1, -1).repeat(15);
  for (let i = 0; i < FILMS; i++) {
    const row = `tt${i},Film ${i},${1950 + (i % 70)}-03-04,"${i} ${overview}",Drama|War,A${i}|B${i},D${i % 999},${i},${i * 2},${60 + (i % 90)},${(i % 100) / 10},images/a.jpg\n`;
    if (!table.write(row)) await new Promise<void>((resolve) => table.once('drain', () => resolve()));
  }
  table.end();
  await finished(table);
  const { size } = await stat(file);

  const script = fileURLToPath(new URL('./many-films.js', import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, ['--expose-gc', script, directory.path]);
  const found = JSON.parse(stdout) as Record<string, number>;
  t.like(found, {
    films: FILMS,
    problems: 0,
    train: 80_000,
    titles: ['Film 99999', 'Film 0', 'Film 50000', 'Film 12345'] as never,
    longest: 6 + overview.length - 1,
  });
  t.log(
    `${size} bytes of table; kept ${found.opened}, at most ${found.highest}, after a walk ${found.walked}`,
  );
  // Five columns of numbers, two of places, an id: 56 bytes and a string of 20 a film, and what the heap adds.
  for (const bytes of [found.opened!, found.walked!]) t.true(bytes < 30e6, `${bytes}`);
  t.true(found.highest! < 60e6, `${found.highest}`);
  t.true(size > 75e6);
});
