/** The `cinefuse` command as a user runs it: output, exit codes, signals. */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { parse } from 'csv-parse/sync';
import { packageRoot } from '../../lib/native.js';

const root = packageRoot();
const main = path.join(root, 'dist', 'lib', 'cli', 'main.js');
const EXAMPLE = path.join(root, 'examples', 'the-lighthouse-keeper');
const FILMS = path.join(root, 'examples', 'films.csv');

interface Ended {
  code: number | null;
  stdout: string;
  stderr: string;
}

function start(...args: string[]): { child: ChildProcess; ended: Promise<Ended> } {
  const { FORCE_COLOR: _, ...env } = process.env;
  const child = spawn(process.execPath, [main, ...args], { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout?.setEncoding('utf8').on('data', (text) => {
    stdout += text;
  });
  child.stderr?.setEncoding('utf8').on('data', (text) => {
    stderr += text;
  });
  const ended = new Promise<Ended>((resolve) =>
    child.on('close', (code) => resolve({ code, stdout, stderr })),
  );
  return { child, ended };
}
const run = (...args: string[]) => start(...args).ended;

async function scratch(t: ExecutionContext): Promise<string> {
  const folder = await mkdtemp(path.join(tmpdir(), 'cinefuse-command-'));
  t.teardown(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

test.serial('the example film makes a report that says what it rests on', async (t) => {
  const { code, stdout, stderr } = await run('predict', EXAMPLE);
  t.is(code, 0, stderr);
  t.is(stderr, '');
  for (const part of [
    'The Lighthouse Keeper',
    'Audience rating',
    'Well received',
    'Box office',
    'What it rests on',
  ])
    t.true(stdout.includes(part), part);
  t.notRegex(stdout, /(?!\n)\p{Cc}|undefined|NaN/u);
});

test.serial('--json on one film is one document with the whole feedback', async (t) => {
  const { code, stdout, stderr } = await run('predict', EXAMPLE, '--json');
  t.is(code, 0, stderr);
  const document = JSON.parse(stdout);
  t.like(document, {
    ok: true,
    id: 'the-lighthouse-keeper',
    title: 'The Lighthouse Keeper',
    source: EXAMPLE,
  });
  t.true(document.used.includes('synopsis') && document.used.includes('poster'));
  const total = Object.values<number>(document.modalities).reduce((sum, share) => sum + share, 0);
  t.true(Math.abs(total - 1) < 1e-5);
  for (const { value, interval } of [document.rating, document.boxOffice])
    t.true(interval[0] <= value && value <= interval[1]);
});

test.serial('a table of films: one line each; JSON lines and CSV agree with it', async (t) => {
  const [text, json, csv] = await Promise.all([
    run('predict', FILMS),
    run('predict', FILMS, '--json'),
    run('predict', FILMS, '--csv'),
  ]);
  t.deepEqual([text.code, json.code, csv.code], [0, 0, 0], text.stderr + json.stderr + csv.stderr);
  const documents = json.stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  const rows: Record<string, string>[] = parse(csv.stdout, { columns: true });
  t.is(documents.length, 5);
  t.is(rows.length, 5);
  t.is(text.stdout.trimEnd().split('\n').length, 6);
  documents.forEach((document, i) => {
    t.is(rows[i]?.id, document.id);
    t.is(Number(rows[i]?.rating), Number(document.rating.value.toFixed(3)));
    t.true(text.stdout.includes(document.title.slice(0, 12)));
  });
});

test.serial('films that fail are listed with code and field, and the others come back', async (t) => {
  const folder = await scratch(t);
  const file = path.join(folder, 'films.json');
  await writeFile(
    file,
    JSON.stringify([
      { title: 'Good', synopsis: 'A keeper refuses to put out the light.' },
      { title: 'Typo', sinopsis: 'x' },
      { title: 'No poster', poster: 'none.jpg' },
    ]),
  );
  const { code, stdout, stderr } = await run('predict', file, '--json');
  t.is(code, 1);
  const documents = stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  t.deepEqual(
    documents.map(({ ok, error }) => (ok ? 'ok' : error.code)),
    ['ok', 'ERR_INPUT_UNKNOWN_FIELD', 'ERR_MEDIA_NOT_FOUND'],
  );
  t.regex(stderr, /2 of 3 films could not be used/);
  t.regex(stderr, /films\.json\[1\]\n +ERR_INPUT_UNKNOWN_FIELD · sinopsis/);
  t.regex(stderr, /ERR_MEDIA_NOT_FOUND · poster/);

  const skipping = await run('predict', file, '--json', '--skip-bad-inputs');
  t.is(
    skipping.stdout
      .trimEnd()
      .split('\n')
      .filter((line) => JSON.parse(line).ok).length,
    2,
  );
});

test.serial('when nothing worked the exit code is 3', async (t) => {
  const folder = await scratch(t);
  const { code, stdout, stderr } = await run('predict', path.join(folder, 'none.json'));
  t.is(code, 3);
  t.is(stdout, '');
  t.regex(stderr, /The film could not be used:.*none\.json.*ERR_INPUT_FILE/s);
  const noBundle = await run('predict', EXAMPLE, '--bundle', folder);
  t.is(noBundle.code, 3);
  t.regex(noBundle.stderr, /ERR_BUNDLE_NOT_FOUND/);
});

test.serial('a wrong call is answered with what was meant, and exit code 2', async (t) => {
  for (const [args, message] of [
    [['predct', 'x'], /Did you mean predict/],
    [['predict', 'x', '--jsn'], /Did you mean --json/],
    [['predict'], /missing required argument/],
    [['predict', 'x', '--json', '--csv'], /exclude each other/],
    [['predict', 'x', '--threads', 'many'], /whole number/],
    [['predict', 'x', '--device', 'gpu'], /--device wants auto, cpu, cuda or cuda:N, not "gpu"/],
    [[], /Usage: cinefuse/],
  ] as const) {
    const { code, stderr, stdout } = await run(...args);
    t.is(code, 2, args.join(' '));
    t.is(stdout, '');
    t.regex(stderr, message);
  }
});

test.serial('--version and --help go to stdout', async (t) => {
  const { version } = JSON.parse(await readFile(path.join(root, 'package.json'), 'utf8'));
  t.deepEqual(await run('--version'), { code: 0, stdout: `${version}\n`, stderr: '' });
  const help = await run('predict', '--help');
  t.is(help.code, 0);
  t.regex(help.stdout, /Exit codes:[\s\S]*130/);
});

test.serial('--output writes the file whole, and stdout nothing', async (t) => {
  const folder = await scratch(t);
  const file = path.join(folder, 'out.csv');
  const { code, stdout } = await run('predict', FILMS, '--csv', '-o', file);
  t.is(code, 0);
  t.is(stdout, '');
  t.is(parse(await readFile(file, 'utf8'), { columns: true }).length, 5);
  t.deepEqual(await readdir(folder), ['out.csv']);
});

test.serial('Ctrl-C ends with 130 and leaves no half-written file', async (t) => {
  const folder = await scratch(t);
  const table = path.join(folder, 'many.csv');
  await writeFile(table, `title,overview\n${'A,"A keeper refuses to put out the light."\n'.repeat(20_000)}`);
  const { child, ended } = start('predict', table, '--csv', '-o', path.join(folder, 'out.csv'));
  // Once the partial file grows, films are under way.
  for (let i = 0; i < 600; i++) {
    const partial = (await readdir(folder)).find((name) => name.endsWith('.partial'));
    if (partial && (await readFile(path.join(folder, partial))).length > 1000) break;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  child.kill('SIGINT');
  const { code, stderr } = await ended;
  t.is(code, 130, stderr);
  t.false(existsSync(path.join(folder, 'out.csv')));
  t.deepEqual(await readdir(folder), ['many.csv']);
});

test.serial('a reader that stops early is no failure', async (t) => {
  const folder = await scratch(t);
  const table = path.join(folder, 'many.csv');
  await writeFile(table, `title,overview\n${'A,"A keeper refuses to put out the light."\n'.repeat(5000)}`);
  const { child, ended } = start('predict', table, '--csv');
  child.stdout?.once('data', () => child.stdout?.destroy());
  const { code, stderr } = await ended;
  t.is(code, 0, stderr);
  t.is(stderr, '');
});

test.serial('embed prints each input as the vectors of its encoder', async (t) => {
  const { code, stdout, stderr } = await run('embed', EXAMPLE);
  t.is(code, 0, stderr);
  const { ok, embeddings } = JSON.parse(stdout);
  t.true(ok);
  t.true(embeddings.length >= 2);
  for (const { input, encoder, dim, length, vectors } of embeddings) {
    t.is(typeof input, 'string');
    t.is(typeof encoder, 'string');
    t.is(vectors.length, length);
    for (const vector of vectors) t.true(vector.length === dim && vector.every(Number.isFinite));
  }
});

test.serial('devices says what runs, and why not CUDA', async (t) => {
  const { code, stdout } = await run('devices');
  t.is(code, 0);
  t.regex(stdout, /instructions +(baseline|avx2|avx512)/);
  const { operators, encoders } = JSON.parse((await run('devices', '--json')).stdout);
  t.true(operators.isas.includes(operators.isa));
  t.is(operators.optimized, true);
  const { devices, whyNot } = operators.cuda;
  t.is(
    whyNot === undefined,
    devices.some(({ usable }: { usable: boolean }) => usable),
  );
  if (whyNot !== undefined) t.true(whyNot.length > 40, whyNot);
  t.regex(encoders.runtime, /onnxruntime-node \d/);
});

test.serial('models lists presets without going to the network, and verifies what ships', async (t) => {
  const folder = await scratch(t);
  const { HF_HUB_CACHE } = process.env;
  process.env.HF_HUB_CACHE = folder;
  t.teardown(() => {
    if (HF_HUB_CACHE === undefined) delete process.env.HF_HUB_CACHE;
    else process.env.HF_HUB_CACHE = HF_HUB_CACHE;
  });
  const { code, stdout } = await run('models', '--json');
  t.is(code, 0);
  const { presets, directory } = JSON.parse(stdout);
  t.is(directory, folder);
  t.true(presets.length > 0 && presets.every(({ cached }: { cached: boolean }) => !cached));
  const unknown = await run('models', 'fetch', 'no-such-preset');
  t.is(unknown.code, 3);
  t.regex(unknown.stderr, /no-such-preset/);
  const verified = await run('models', 'verify');
  t.deepEqual([verified.code, verified.stdout], [0, 'default bundle: good\n']);
});

test.serial('models export writes an ONNX file, or says why not and leaves nothing', async (t) => {
  const folder = await scratch(t);
  const file = path.join(folder, 'head.onnx');
  const written = await run('models', 'export', file);
  t.deepEqual([written.code, written.stderr], [0, '']);
  t.regex(written.stdout, /head\.onnx: [\d.]+ MB\n$/);
  t.true((await stat(file)).size > 10_000);
  const nowhere = await run('models', 'export', path.join(folder, 'no', 'head.onnx'));
  t.is(nowhere.code, 3);
  t.regex(nowhere.stderr, /ERR_BUNDLE_WRITE/);
  const none = await run('models', 'export', file, '--bundle', path.join(folder, 'none'));
  t.is(none.code, 3);
  t.deepEqual(await readdir(folder), ['head.onnx']);
});
