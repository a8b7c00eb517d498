import { execFile } from 'node:child_process';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';
import test from 'ava';
import { parse } from 'csv-parse/sync';
import sharp from 'sharp';
import { packageRoot } from '../../lib/native.js';
import { fitBaselines } from '../../lib/train/baselines.js';
import { evaluate } from '../../lib/train/evaluate.js';
import type { Evaluation } from '../../lib/train/evaluation.js';
import type { MemberHistory } from '../../lib/train/fit-types.js';
import { forecastRows } from '../../lib/train/forecast-rows.js';
import { isJudged, type JudgedHead } from '../../lib/train/head-scores.js';
import { escapeHtml } from '../../lib/html.js';
import { figure } from '../../lib/train/report/labels.js';
import { reportHtml, writeReport } from '../../lib/train/report/report.js';
import type { FilmTable } from '../../lib/train/table.js';
import { temporaryDirectory } from '../tiny-bundle.js';
import { rowsOf, WORLD_HEADS, world } from './world.js';

const EVIL = '<script>alert("1")</script>\'&';
const { table: plain, model } = world(1200, 1);
const TEST = rowsOf(600, 1200);

/** The table with pictures, and with texts that would be HTML, formulas or control characters if anyone let them. */
async function hostile(folder: string): Promise<FilmTable> {
  const poster = path.join(folder, 'poster <1>.png');
  await sharp({ create: { width: 60, height: 90, channels: 3, background: '#a03040' } })
    .png()
    .toFile(poster);
  await writeFile(path.join(folder, 'broken.png'), 'not a picture');
  return {
    ...plain,
    ids: plain.ids.map((id) => `=${id}`),
    titles: plain.ids.map((id) => `${EVIL}\u202e\u0007 ${id}`),
    posters: plain.ids.map((_, i) => ['poster <1>.png', 'broken.png', 'absent.png', undefined][i % 4]),
    groups: { [`genre ${EVIL}`]: plain.ids.map((_, i) => (i % 2 ? [EVIL] : ['Drama, "quoted"'])) },
  };
}

async function evaluated(table: FilmTable): Promise<Evaluation> {
  const heads = WORLD_HEADS.filter(isJudged) as JudgedHead[];
  const baselines = await fitBaselines(table, { train: rowsOf(0, 500), valid: rowsOf(500, 600) }, heads);
  return evaluate(model, table, TEST, WORLD_HEADS, { baselines, draws: 20 });
}

const HISTORY: MemberHistory[] = [1, 2].map((seed) => ({
  seed,
  bestEpoch: 3,
  stopped: 'early',
  epochs: [1, 2, 3, 4].map((epoch) => ({
    epoch,
    learningRate: 0.001,
    loss: 1 / epoch,
    losses: {},
    gradientNorm: 1,
    valid: { loss: 1.1 / epoch, losses: {}, metrics: {} },
  })),
}));

test('the page needs nothing else, shows everything, and what comes of data stays text', async (t) => {
  await using folder = await temporaryDirectory();
  const evaluation = await evaluated(await hostile(folder.path));
  const about = { model: { name: EVIL, version: '1' }, data: { name: EVIL, sha256: 'ab' }, history: HISTORY };
  const page = await reportHtml(evaluation, about, { postersFrom: folder.path });
  t.false(/<script/i.test(page));
  t.true(page.includes(escapeHtml(EVIL)));
  t.false(page.includes('\u202e') || page.includes('\u0007'));
  for (const [, value] of page.matchAll(/\s(?:src|href)="([^"]*)"/g)) t.regex(value!, /^(data:image\/|#)/);
  t.regex(page, /Content-Security-Policy" content="default-src 'none'/);

  const drawings = [...page.matchAll(/src="data:image\/svg\+xml;base64,([^"]*)"/g)].map(([, base64]) =>
    Buffer.from(base64!, 'base64').toString(),
  );
  // two of calibration, residuals, errors, inputs, a group; of classes calibration, probabilities, inputs, a group
  t.is(drawings.length, 6 * 2 + 4 * 2 + 1);
  for (const svg of drawings) {
    t.regex(svg, /^<svg xmlns="http:\/\/www.w3.org\/2000\/svg"/);
    t.false(/<script/i.test(svg));
    const { width, height } = await sharp(Buffer.from(svg)).metadata();
    t.true(width! > 200 && height! > 60);
  }
  const pictures = [...page.matchAll(/src="data:image\/jpeg;base64,([^"]*)"/g)];
  const wanted = evaluation.heads
    .flatMap(({ worst }) => worst)
    .filter(({ poster }) => poster === 'poster <1>.png');
  t.true(wanted.length > 0);
  t.is(pictures.length, wanted.length, 'a picture where there is one, and none where it is broken or absent');
  t.is((await sharp(Buffer.from(pictures[0]![1]!, 'base64')).metadata()).height, 90);
  for (const word of [
    'Beside the baselines',
    'By inputs',
    'By group',
    'Worst cases',
    'Learning curves',
    'ridge',
  ]) {
    t.true(page.includes(word), word);
  }
  t.true(page.includes(figure(evaluation.heads[0]!.scores.rmse)));
});

test('files: JSON is the evaluation, the table has a line a figure, formulas are disarmed', async (t) => {
  await using folder = await temporaryDirectory();
  const table = await hostile(folder.path);
  const evaluation = await evaluated(table);
  const forecasts = await forecastRows(model, table, TEST, WORLD_HEADS);
  const out = path.join(folder.path, 'a', 'report');
  const files = await writeReport(out, evaluation, { command: 'x' }, { formats: ['json', 'csv'], forecasts });
  t.deepEqual(
    files.map((file) => path.basename(file)),
    ['evaluation.json', 'evaluation.csv', 'forecasts.csv'],
  );
  t.deepEqual(
    (await readdir(out)).sort(),
    ['evaluation.csv', 'evaluation.json', 'forecasts.csv'],
    'no draft is left',
  );
  const json = JSON.parse(await readFile(files[0]!, 'utf8'));
  t.deepEqual(json, { about: { command: 'x' }, evaluation });
  const rows = parse(await readFile(files[1]!, 'utf8'), { columns: true }) as Record<string, string>[];
  const rmse = rows.find(({ head, of, score }) => head === 'rating' && of === 'model' && score === 'rmse')!;
  t.is(Number(rmse.value), evaluation.heads[0]!.scores.rmse!);
  t.is(Number(rmse.low), evaluation.heads[0]!.intervals.rmse![0]);
  t.true(rows.some(({ of, which }) => of === 'group genre '.concat(EVIL) && which === 'Drama, "quoted"'));
  t.true(rows.some(({ of, which }) => of === 'alone' && which === 'b alone'));
  const said = parse(await readFile(files[2]!, 'utf8'), { columns: true }) as Record<string, string>[];
  t.is(said.length, 4 * 600);
  t.true(said.every(({ id }) => id!.startsWith("'=")));
  const money = said.filter(({ head }) => head === 'money');
  t.is(money.filter(({ truth }) => truth === '').length, 120, 'unknown truths are empty');
  t.true(
    said
      .filter(({ head }) => head === 'mood')
      .every(({ forecast }) => ['low', 'middle', 'high'].includes(forecast!)),
  );
});

test('the same evaluation gives the same page', async (t) => {
  const evaluation = await evaluate(model, plain, TEST, WORLD_HEADS.slice(0, 1), { draws: 10 });
  t.is(await reportHtml(evaluation), await reportHtml(evaluation));
});

test('a report that cannot be written says so and leaves what was there', async (t) => {
  await using folder = await temporaryDirectory();
  const evaluation = await evaluate(model, plain, TEST, WORLD_HEADS.slice(0, 1), { draws: 10 });
  const file = path.join(folder.path, 'file');
  await writeFile(file, 'x');
  await t.throwsAsync(writeReport(file, evaluation, {}, { formats: ['json'] }), { code: 'ERR_TRAIN_WRITE' });
  const taken = path.join(folder.path, 'taken');
  await mkdir(path.join(taken, 'evaluation.json', 'inner'), { recursive: true });
  await t.throwsAsync(writeReport(taken, evaluation, {}, { formats: ['json'] }), { code: 'ERR_TRAIN_WRITE' });
  t.deepEqual(await readdir(taken), ['evaluation.json']);
  await t.throwsAsync(writeReport(taken, evaluation, {}, { formats: ['pdf' as 'html'] }), {
    code: 'ERR_TRAIN_CONFIG',
  });
  const cancelled = { signal: AbortSignal.abort() };
  await t.throwsAsync(writeReport(taken, evaluation, {}, cancelled), { code: 'ERR_CANCELLED' });
});

test('without the plotting packages: a typed error for HTML; JSON and CSV need none', async (t) => {
  await using folder = await temporaryDirectory();
  const evaluation = await evaluate(model, plain, TEST, WORLD_HEADS.slice(0, 1), { draws: 10 });
  await writeFile(path.join(folder.path, 'evaluation.json'), JSON.stringify(evaluation));
  const report = pathToFileURL(path.join(packageRoot(), 'dist/lib/train/report/report.js')).href;
  const hook = `export async function resolve(name, context, next) {
    if (name === 'vega' || name === 'vega-lite') throw new Error('not there: ' + name);
    return next(name, context);
  }`;
  const script = `
    import { register } from 'node:module';
    import { readFileSync } from 'node:fs';
    register('data:text/javascript,' + encodeURIComponent(${JSON.stringify(hook)}));
    const { writeReport } = await import(${JSON.stringify(report)});
    const evaluation = JSON.parse(readFileSync(process.argv[1] + '/evaluation.json', 'utf8'));
    const files = await writeReport(process.argv[1] + '/out', evaluation, {}, { formats: ['json', 'csv'] });
    const error = await writeReport(process.argv[1] + '/out', evaluation).catch((e) => e);
    console.log(JSON.stringify([files.length, error.code, error.message]));`;
  const { stdout } = await promisify(execFile)(process.execPath, [
    '--input-type=module',
    '-e',
    script,
    folder.path,
  ]);
  const [files, code, message] = JSON.parse(stdout);
  t.is(files, 2);
  t.is(code, 'ERR_TRAIN_WRITE');
  t.regex(message, /npm install vega vega-lite/);
});

test('figures for people', (t) => {
  t.deepEqual(
    [0.12345, -2, null, 0.0001, 12345.6, 3.2e7, Number.NaN, Number.POSITIVE_INFINITY].map((value) =>
      figure(value),
    ),
    ['0.123', '−2.000', '–', '0.000', '12345.600', '3.20e+7', '–', '∞'],
  );
});
