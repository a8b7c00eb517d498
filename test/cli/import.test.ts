import { execFile } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';
import { temporaryDirectory } from '../tiny-bundle.js';

const main = fileURLToPath(new URL('../../lib/cli/main.js', import.meta.url));

function run(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [main, ...args], (error, stdout, stderr) => {
      resolve({ code: error ? Number(error.code) : 0, stdout, stderr });
    });
  });
}

test('cinefuse import: a table, what could not be used, and how it ends', async (t) => {
  await using directory = await temporaryDirectory();
  const source = path.join(directory.path, 'ml');
  const target = path.join(directory.path, 'films');
  await mkdir(source);
  await writeFile(
    path.join(source, 'movies.csv'),
    'movieId,title,genres\n1,Toy Story (1995),Animation\n,nothing,\n',
  );
  await writeFile(path.join(source, 'ratings.csv'), 'userId,movieId,rating,timestamp\n1,1,4.0,1\n');
  const done = await run('import', 'movielens', source, target, '--min-votes', '1');
  t.is(done.code, 0);
  t.is(done.stdout, `1 film in ${path.join(target, 'movies.csv')}\n`);
  t.regex(done.stderr, /movies\.csv:3: expected movieId, title and genres/);
  const [, row] = (await readFile(path.join(target, 'movies.csv'), 'utf8')).split('\n');
  t.is(row, '1,,,Toy Story,1995,,,Animation,,,,,,,,8,1,');

  t.like(await run('import', 'movielens', source, target), { code: 3, stdout: '' });
  t.is((await run('import', 'movielens', source, target, '--overwrite')).code, 0);
  const wrong = await run('import', 'letterboxd', source, target);
  t.is(wrong.code, 2);
  t.regex(wrong.stderr, /imdb, tmdb, movielens/);
  t.is((await run('import', 'imdb', source, target, '--min-votes', 'many')).code, 2);
});
