// Writes what was measured into the README, between its "quoted" comments: the report on the example film (from the
// command), the quality of the default bundle (from training/results) and the benchmarks (from the newest files of
// bench/results). To be run after a new bundle or a new benchmark: node scripts/quote-results.mjs [SECTION...]
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

/** Of the peers' suites, each case's first contender: ours as most would call it. */
const FIRST = (m) => m.contender.startsWith('cinefuse');

/** @param peers  of `npm run bench:peers`; @param films  of `npm run bench -- predict` */
export function benchSection(peers, films) {
  const time = (seconds) =>
    seconds >= 1e-3
      ? `${Number((seconds * 1e3).toPrecision(3))} ms`
      : `${Number((seconds * 1e6).toPrecision(3))} µs`;
  const of = (threads, name) =>
    peers.runs
      .filter((run) => run.threads === threads)
      .flatMap((run) => run.measurements.filter((m) => m.case === name));
  const best = (list) =>
    list.filter((m) => !FIRST(m) && !m.differs).reduce((a, b) => (b.median < a.median ? b : a));
  const names = new Set(peers.runs.flatMap((run) => run.measurements.map((m) => m.case)));
  const most = Math.max(...peers.runs.map((run) => run.threads));
  const rows = [...names].map((name) => {
    const one = of(1, name);
    const [ours, peer, more] = [one.find(FIRST), best(one), of(most, name)];
    const ratio = more.length > 0 ? (best(more).median / more.find(FIRST).median).toFixed(1) : '';
    return `| ${name} | ${time(ours.median)} | ${peer.contender} ${time(peer.median)} | ${(peer.median / ours.median).toFixed(1)} | ${ratio} | ${ours.timesFloor?.toFixed(1) ?? ''} |`;
  });
  const perSecond = films.measurements
    .filter(({ suite, contender }) => suite === 'predict' && contender.startsWith('cinefuse'))
    .map((m) => `${m.itemsPerSecond.toFixed(0)} (${m.case})`);
  return [
    `${peers.cpu}, ${peers.isa}, Node ${peers.node}, ${peers.date.slice(0, 10)}, \`${peers.command}\`. Medians on one thread; the peer`,
    "is the fastest of all from npm and Python that do the same work in the same run. Ours writes into the caller's array",
    'where the operator takes one.',
    '',
    `| | cinefuse | best peer | times as fast | on ${most} threads | times the floor |`,
    '| --- | ---: | --- | ---: | ---: | ---: |',
    ...rows,
    '',
    `Whole predictions a second on ${films.threads} threads, \`npm run bench -- predict\`: ${perSecond.join(', ')}.`,
  ].join('\n');
}

/** The newest of the results whose names match. */
function newest(pattern) {
  const folder = path.join('bench', 'results');
  const files = readdirSync(path.join(root, folder)).filter((file) => pattern.test(file));
  const last = files.sort().at(-1);
  if (!last) throw new Error(`${folder} has no results that match ${pattern}`);
  return readJson(path.join(folder, last));
}

/** The text between two comments, replaced. */
export function quote(readme, name, text) {
  const [open, close] = [`<!-- quoted: ${name} -->\n`, `\n<!-- end of ${name} -->`];
  const [from, to] = [readme.indexOf(open), readme.indexOf(close)];
  if (from < 0 || to < from) throw new Error(`README.md has no place for ${name}`);
  return `${readme.slice(0, from + open.length)}${text}${readme.slice(to)}`;
}

const SECTIONS = {
  report: reportSection,
  quality: () => qualitySection(readJson('training/results/quality.json')),
  benchmarks: () => benchSection(newest(/^peers-.*\.json$/), newest(/^predict-.*-cores\.json$/)),
};

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const file = path.join(root, 'README.md');
  let readme = readFileSync(file, 'utf8');
  const chosen = process.argv.slice(2);
  for (const [name, section] of Object.entries(SECTIONS))
    if (chosen.length === 0 || chosen.includes(name)) readme = quote(readme, name, section());
  writeFileSync(file, readme);
}
