/** `cinefuse vectors` as a user runs it. */
import { spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test from 'ava';
import { packageRoot } from '../../lib/native.js';
import { random } from '../backends.js';

const main = path.join(packageRoot(), 'dist', 'lib', 'cli', 'main.js');
const folder = mkdtempSync(path.join(tmpdir(), 'cinefuse-vectors-'));
test.after.always(() => rmSync(folder, { recursive: true, force: true }));

function run(args: string[], input = ''): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const { FORCE_COLOR: _, ...env } = process.env;
  const child = spawn(process.execPath, [main, 'vectors', ...args], { env });
  let [stdout, stderr] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text) => {
    stderr += text;
  });
  child.stdin.end(input);
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, stdout, stderr })));
}

test('train on a table, then ask for what is near a word, an analogy and a text', async (t) => {
  // Two kinds of sentences, the words of each in any order, some twice.
  const next = random(3);
  const kinds = ['violin sang slow melody', 'actor and camera moved'].map((words) => words.split(' '));
  const lines = Array.from({ length: 600 }, (_, i) => {
    const words = Array.from({ length: 12 }, () => kinds[i % 2]![Math.floor(next() * 4)]);
    return `${i}\tThe ${words.join(' ')}`;
  });
  const table = path.join(folder, 'texts.tsv');
  writeFileSync(table, `id\ttext\n${lines.join('\r\n')}\n`);
  const [file, counts] = [path.join(folder, 'vectors.txt'), path.join(folder, 'counts.txt')];
  const trained = await run([
    ...['train', table, '--column', 'text', '-o', file, '--counts', counts, '--json'],
    ...['--dim', '16', '--epochs', '10', '--learning-rate', '0.1', '--subsample', '0'],
  ]);
  t.is(trained.code, 0, trained.stderr);
  t.like(JSON.parse(trained.stdout), { file, words: 9, dim: 16 });
  t.regex(readFileSync(file, 'utf8'), /^9 16\n/);
  t.regex(readFileSync(counts, 'utf8'), /^the 600$/m);

  const near = await run(['similar', file, 'violin', '-n', '3', '--json']);
  t.is(near.code, 0, near.stderr);
  const found = JSON.parse(near.stdout) as { word: string; similarity: number }[];
  t.is(found.length, 3);
  t.true(
    found.every(({ word }) => ['sang', 'slow', 'melody'].includes(word)),
    near.stdout,
  );
  const text = await run(['similar', file, '-', '--text', '-n', '2'], 'An actor, moved.');
  t.is(text.code, 0, text.stderr);
  t.is(text.stdout.trim().split('\n').length, 2);
  t.false(/\b(actor|moved)\b/.test(text.stdout));
  const analogy = await run(['similar', file, '--analogy', 'actor', 'camera', 'violin', '--json']);
  t.is(JSON.parse(analogy.stdout).length, 6);
});

test('what is wrong is said, and ends as the README has it', async (t) => {
  const absent = path.join(folder, 'absent');
  const none = await run(['train', absent, '-o', path.join(folder, 'none')]);
  t.is(none.code, 3);
  t.regex(none.stderr, /ERR_INPUT_FILE|absent/);
  t.is((await run(['train', absent])).code, 2);
  const file = path.join(folder, 'two.txt');
  writeFileSync(file, 'good 1 2\nbad 2 1\n');
  const unknown = await run(['similar', file, 'goud']);
  t.is(unknown.code, 3);
  t.regex(unknown.stderr, /'good'/);
  t.is((await run(['similar', file, '--analogy', 'good', 'bad'])).code, 2);
  t.is((await run(['similar', file, 'good', '-n', 'many'])).code, 2);
});
