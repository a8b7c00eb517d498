import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import test from 'ava';
import sharp from 'sharp';
import { changesOf, parseChange } from '../../lib/cli/changes.js';
import { UsageError } from '../../lib/cli/exit.js';
import { packageRoot } from '../../lib/native.js';
import { temporaryDirectory } from '../tiny-bundle.js';

const root = packageRoot();
const EXAMPLE = path.join(root, 'examples', 'the-lighthouse-keeper');

function run(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const { FORCE_COLOR: _, ...env } = process.env;
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [path.join(root, 'dist', 'lib', 'cli', 'main.js'), ...args],
      { env, maxBuffer: 2 ** 26 },
      (error, stdout, stderr) => resolve({ code: error ? Number(error.code) : 0, stdout, stderr }),
    );
  });
}

test('changes as they are written', (t) => {
  t.deepEqual(
    changesOf([
      'budget=50,000,000',
      'month=12',
      'genres=Drama | Comedy',
      'director=A|B',
      'language=fr',
      'runtime=',
      'poster=x.jpg',
      'synopsis=@plot.txt',
      'title=A = B',
    ]),
    {
      budget: 5e7,
      month: 12,
      genres: ['Drama', 'Comedy'],
      director: ['A', 'B'],
      language: 'fr',
      runtime: null,
      poster: { path: path.resolve('x.jpg') },
      synopsis: { path: path.resolve('plot.txt') },
      title: 'A = B',
    },
  );
  for (const wrong of ['budget', '=3', 'budget=much', ''])
    t.throws(() => parseChange(wrong), { instanceOf: UsageError });
});

test.serial('index, then explain with a page, a heat map and comparable films', async (t) => {
  await using folder = await temporaryDirectory();
  const index = path.join(folder.path, 'films.index');
  const indexed = await run('index', path.join(root, 'examples', 'films.csv'), '-o', index);
  t.is(indexed.code, 0, indexed.stderr);
  t.regex(indexed.stderr, /films in .*films\.index/);
  const [html, heat] = [path.join(folder.path, 'film.html'), path.join(folder.path, 'heat.png')];
  const flags = ['--index', index, '--html', html, '--heat-map', heat, '--try', 'budget=9e7; month=7'];
  const { code, stdout, stderr } = await run(
    'explain',
    EXAMPLE,
    '--json',
    '--head',
    'boxOffice',
    '--draws',
    '0',
    ...flags,
  );
  t.is(code, 0, stderr);
  const explanation = JSON.parse(stdout);
  t.is(explanation.head, 'boxOffice');
  t.is(explanation.comparables.length, 5);
  t.is(
    explanation.poster.heat.effects.length,
    explanation.poster.heat.columns * explanation.poster.heat.rows,
  );
  t.is(explanation.poster.picture, undefined, 'pictures are for files');
  t.true((await readFile(html, 'utf8')).includes('budget=9e7, month=7'));
  t.is((await sharp(heat).metadata()).format, 'png');
});

test.serial('explain as text, whatif as text and JSON; wrong calls', async (t) => {
  const explained = await run('explain', path.join(EXAMPLE, 'movie.json'));
  t.is(explained.code, 0, explained.stderr);
  for (const part of [
    'The Lighthouse Keeper',
    'What each input did',
    'Facts',
    'The title',
    'Missing',
    'not given',
  ])
    t.true(explained.stdout.includes(part), part);
  t.notRegex(explained.stdout, /(?!\n)\p{Cc}|undefined|NaN/u);
  const movie = path.join(EXAMPLE, 'movie.json');
  const { stdout } = await run('whatif', movie, '--set', 'budget=9e7', '--set', 'month=7');
  t.regex(stdout, /Audience rating .*→.*\n[\s\S]*Each change alone\n {2}budget: /);
  const changed = await run('whatif', movie, '--set', 'budget=9e7', '--set', 'cast=', '--json');
  t.is(changed.code, 0, changed.stderr);
  t.is(JSON.parse(changed.stdout).differences.length, 3);
  for (const args of [
    ['whatif', EXAMPLE, '--set', 'budget'],
    ['explain', path.join(root, 'examples', 'films.csv'), '--html', 'x.html'],
  ]) {
    const { code, stderr } = await run(...args);
    t.is(code, 2, stderr);
  }
  t.is((await run('whatif', EXAMPLE, '--set', 'bugdet=3')).code, 3);
});
