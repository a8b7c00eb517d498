// Writes what was measured into the README, between its "quoted" comments: the report on the example film (from the
// command), the quality of the default bundle (from training/results) and the benchmarks (from the newest file of
// bench/results). To be run after a new bundle or a new benchmark: node scripts/quote-results.mjs
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { fileURLToPath } from 'node:url';
import { GIVEN } from '../training/quality.mjs';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const readJson = (file) => JSON.parse(readFileSync(path.join(root, file), 'utf8'));
const fixed = (value) => value?.toFixed(3) ?? '';

/** Baselines of the data's README that are shown: without the mean absolute error, for which there is no column. */
const BOOSTED = GIVEN.filter(([name]) => /^(facts|everything),/.test(name)).map(
  ([name, [rmse, , ...rest]]) => [name, [rmse, ...rest]],
);

/** @param quality  training/results/quality.json: the test films, and those of a fit until 2010 */
export function qualitySection({ test, future }) {
  const heads = ['rating', 'wellReceived', 'boxOffice'];
  const of = (result, name) => result.heads.find((head) => head.name === name);
  const [rating, , boxOffice] = heads.map((name) => of(test, name));
  const row = (name, values) =>
    `| ${[name, ...Array.from({ length: 7 }, (_, i) => fixed(values[i]))].join(' | ')} |`;
  const measured = (name, find) => {
    const [points, sides, money] = heads.map((head) => find(of(test, head)).scores);
    return row(name, [
      points.rmse,
      points.r2,
      points.spearman,
      sides.accuracy,
      sides.macroF1,
      sides.rocAuc,
      money.r2,
    ]);
  };
  const alone = (...names) =>
    rating.subsets.find(({ modalities }) => String(modalities) === String(names)).scores.r2.toFixed(2);
  const percent = (share) => `${(100 * share).toFixed(1)} %`;
  const [low, high] = rating.intervals.r2;
  const later = of(future, 'rating');
  return [
    '| model | RMSE | R² | Spearman | accuracy | macro-F1 | AUC | box office R² |',
    '| --- | --- | --- | --- | --- | --- | --- | --- |',
    measured('mean, majority of the training films', (head) => head.baselines[0]),
    measured('everything, linear (ridge, logistic)', (head) => head.baselines[1]),
    ...BOOSTED.map(([name, values]) => row(name, values)),
    measured('**cinefuse, default bundle**', (head) => head),
    '',
    `- The gain over gradient boosting is real but small: R² ${fixed(rating.scores.r2)} has a 95 % range of ${low.toFixed(2)} to ${high.toFixed(2)}.`,
    `- The facts carry the forecast: alone they reach R² ${alone('metadata')} with this bundle, the synopsis ${alone('synopsis', 'terms')}, the poster ${alone('poster')}.`,
    `- Box office is judged as log10 dollars on the ${boxOffice.films} films whose budget and revenue are recorded.`,
    `- Ranges made to hold 90 % of films held ${percent(rating.coverage[0])} (rating, ±${(rating.scores.meanWidth / 2).toFixed(1)} on average) and ` +
      `${percent(boxOffice.coverage[0])} (box office, a factor of ${(10 ** (boxOffice.scores.meanWidth / 2)).toFixed(0)} either way).`,
    `- Of films to come expect less: fitted on films up to 2010, the same configuration has R² ${fixed(later.scores.r2)} on ${future.films} films ` +
      `from 2013 on, and its 90 % ranges hold ${percent(later.coverage[0])} of them.`,
  ].join('\n');
}

function reportSection() {
  const command = path.join(root, 'dist', 'lib', 'cli', 'main.js');
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [command, 'predict', 'examples/the-lighthouse-keeper'],
    { cwd: root, encoding: 'utf8' },
  );
  if (status !== 0) throw new Error(`the example film could not be predicted\n${stderr}`);
  return `\`\`\`\n${stdout.trimEnd()}\n\`\`\``;
}

/** The cases the README shows: suite, case, the peer to compare with. */
const SHOWN = [
  ['mel', 'librosa defaults, 15 s of 22.05 kHz, 128 bands', 'fft.js, sparse bank'],
  ['frames', '1080p RGB -> 224, bilinear, normalised planes', 'sharp linear + JavaScript'],
  ['frames', '1080p RGB -> 224, bicubic, RGB bytes', 'sharp cubic'],
  ['tensor_fusion', '32x32x32 -> 128, batch 32', 'onnxruntime-node'],
  ['tensor_fusion', '32x32x32 -> 128, batch 256', 'onnxruntime-node'],
  ['low_rank_fusion', '128, 128, 128, rank 8 -> 128, batch 32', 'onnxruntime-node'],
  [
    'fusion-network',
    '4 modalities, 16 steps of trailer, attention fusion, 3 outputs, batch 16',
    'ONNX Runtime',
  ],
];

export function benchSection(result) {
  const time = (seconds) =>
    seconds >= 1e-3
      ? `${Number((seconds * 1e3).toPrecision(3))} ms`
      : `${Number((seconds * 1e6).toPrecision(3))} µs`;
  const rows = SHOWN.map(([suite, name, peer]) => {
    const of = result.measurements.filter((m) => m.suite === suite && m.case === name);
    const theirs = of.find((m) => m.contender === peer);
    if (!theirs) throw new Error(`the benchmark has no ${suite}, ${name}, ${peer}`);
    const [ours] = of;
    return `| ${suite}: ${name} | ${time(ours.median)} | ${peer} ${time(theirs.median)} | ${theirs.timesOurs.toFixed(1)} | ${ours.timesFloor?.toFixed(1) ?? ''} |`;
  });
  const films = result.measurements.filter(
    (m) => m.suite === 'predict' && m.contender === 'cinefuse' && /^example film/.test(m.case),
  );
  const perSecond = films.map(
    (m) => `${m.itemsPerSecond.toFixed(0)} (${m.case.replace(/^.* x /, 'batch ')})`,
  );
  return [
    `${result.cpu}, ${result.cores} cores, ${result.threads} threads, ${result.isa}, Node ${result.node}, ${result.date.slice(0, 10)}, \`${result.command}\`.`,
    'Medians on a machine with other work; the ratios are of one run.',
    '',
    '| | cinefuse | peer | times as fast | times the floor |',
    '| --- | --- | --- | --- | --- |',
    ...rows,
    '',
    `Whole predictions of the example film a second: ${perSecond.join(', ')}.`,
  ].join('\n');
}

function newestBench() {
  const files = readdirSync(path.join(root, 'bench', 'results')).filter((file) =>
    /^\d{4}-.*\.json$/.test(file),
  );
  return readJson(path.join('bench', 'results', files.sort().at(-1)));
}

/** The text between two comments, replaced. */
export function quote(readme, name, text) {
  const [open, close] = [`<!-- quoted: ${name} -->\n`, `\n<!-- end of ${name} -->`];
  const [from, to] = [readme.indexOf(open), readme.indexOf(close)];
  if (from < 0 || to < from) throw new Error(`README.md has no place for ${name}`);
  return `${readme.slice(0, from + open.length)}${text}${readme.slice(to)}`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const file = path.join(root, 'README.md');
  let readme = readFileSync(file, 'utf8');
  readme = quote(readme, 'report', reportSection());
  readme = quote(readme, 'quality', qualitySection(readJson('training/results/quality.json')));
  readme = quote(readme, 'benchmarks', benchSection(newestBench()));
  writeFileSync(file, readme);
}
