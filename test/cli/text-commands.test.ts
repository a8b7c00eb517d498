/** `cinefuse keywords` and `cinefuse script` as a user runs them. */
import { spawn } from 'node:child_process';
import path from 'node:path';
import test from 'ava';
import { packageRoot } from '../../lib/native.js';

const root = packageRoot();
const main = path.join(root, 'dist', 'lib', 'cli', 'main.js');
const EXAMPLE = path.join(root, 'examples', 'the-lighthouse-keeper');

function run(args: string[], input = ''): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const { FORCE_COLOR: _, ...env } = process.env;
  const child = spawn(process.execPath, [main, ...args], { env });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text) => {
    stdout += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text) => {
    stderr += text;
  });
  child.stdin.end(input);
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, stdout, stderr })));
}

test.serial('keywords: a table for people, JSON with places', async (t) => {
  const file = path.join(EXAMPLE, 'synopsis.txt');
  const [text, json] = await Promise.all([
    run(['keywords', file, '-n', '4']),
    run(['keywords', file, '-n', '4', '--json']),
  ]);
  t.is(text.code, 0, text.stderr);
  t.is(text.stderr, '');
  const { keywords } = JSON.parse(json.stdout);
  t.is(keywords.length, 4);
  t.is(text.stdout.trim().split('\n').length, 4);
  for (const { term, spans } of keywords) {
    t.true(text.stdout.includes(term));
    t.true(spans.length > 0);
  }
});

test.serial('keywords: standard input, a text a line; every file for itself', async (t) => {
  const lines = 'The shark is huge.\n\nA shark, a boat, a shark.\n';
  const piped = await run(
    ['keywords', '-', '--lines', '--method', 'tfidf', '--language', 'en', '--json'],
    lines,
  );
  t.is(piped.code, 0, piped.stderr);
  const shark = JSON.parse(piped.stdout).keywords.find(({ term }: { term: string }) => term === 'shark');
  t.like(shark, { count: 3, documents: 2 });
  const files = ['synopsis.txt', 'film.srt'].map((name) => path.join(EXAMPLE, name));
  const each = await run(['keywords', '--each', '--method', 'tfidf', '--json', ...files]);
  t.deepEqual(
    JSON.parse(each.stdout).map(({ file }: { file: string }) => file),
    files,
  );
  const wrong = await run(['keywords', '--count', 'many', files[0]!]);
  t.is(wrong.code, 2);
  const missing = await run(['keywords', path.join(EXAMPLE, 'none.txt')]);
  t.is(missing.code, 3);
  t.regex(missing.stderr, /ERR_INPUT_FILE/);
});

test.serial('script: who speaks and every scene; JSON whole; subtitles by their time', async (t) => {
  const file = path.join(EXAMPLE, 'script.fountain');
  const [text, json, srt] = await Promise.all([
    run(['script', file]),
    run(['script', file, '--json', '--no-tone']),
    run(['script', path.join(EXAMPLE, 'film.srt'), '--minutes', '30']),
  ]);
  t.is(text.code, 0, text.stderr);
  t.is(text.stderr, '');
  for (const part of ['The Lighthouse Keeper', 'ASTRID', 'GENERATOR ROOM', 'tension', 'Key words']) {
    t.true(text.stdout.includes(part), part);
  }
  t.true(text.stdout.split('\n').every((line) => line.length <= 80));
  t.notRegex(text.stdout, /(?!\n)\p{Cc}|undefined|NaN/u);
  const analysis = JSON.parse(json.stdout);
  t.is(analysis.scenes.length, 8);
  t.is(analysis.tone, null);
  t.is(srt.code, 0, srt.stderr);
  t.regex(srt.stdout, /^19 lines of dialogue/);
  t.regex(srt.stdout, /1:30:00/);
});

test.serial('analyze: a report for people, a JSON line a film, bad inputs said', async (t) => {
  const [text, json] = await Promise.all([
    run(['analyze', EXAMPLE, '--no-trailer']),
    run(['analyze', EXAMPLE, '--no-sentiment', '--no-keywords', '--json']),
  ]);
  t.is(text.code, 0, text.stderr);
  t.is(text.stderr, '');
  for (const part of ['The Lighthouse Keeper', 'Key words', 'ASTRID 51 %', 'GENERATOR ROOM', 'Not given']) {
    t.true(text.stdout.includes(part), part);
  }
  t.true(text.stdout.split('\n').every((line) => line.length <= 80));
  const film = JSON.parse(json.stdout);
  t.like(film, { ok: true, source: EXAMPLE, id: 'the-lighthouse-keeper' });
  t.true(film.trailer.pictures.keyFrames.length > 0);
  t.is(film.script, undefined);
  t.is((await run(['analyze', EXAMPLE, '--no-sentiment', '--no-keywords', '--no-trailer'])).code, 2);
  const missing = await run(['analyze', path.join(EXAMPLE, 'none.json')]);
  t.is(missing.code, 3);
  t.regex(missing.stderr, /ERR_INPUT_FILE/);
});
