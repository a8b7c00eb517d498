/**
 * npm run bench:check [-- SUITE... --case TEXT --threads 1,2 --against FILE]
 *
 * Has anything become slower? Runs the peers' suites and compares, not times, but how many times as long as ours the best
 * peer takes, with the newest committed results (bench/results/peers-*.json). What fell by more than 20 %, by medians and
 * by the fastest calls, is measured again, longer, and named if it stays so; the exit code is then 1.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { packageRoot } from '../../lib/native.js';
import { installPeers } from './npm.js';
import { type Change, changes, fell, type PeerResults } from './results.js';
import { chosenSuites, PeerBench, threadCounts } from './run.js';

function newest(): string {
  const folder = path.join(packageRoot(), 'bench', 'results');
  const files = readdirSync(folder).filter((file) => /^peers-.*\.json$/.test(file));
  const last = files.sort().at(-1);
  if (!last) throw new Error('bench/results has no peers-*.json to compare with');
  return path.join(folder, last);
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { case: { type: 'string' }, threads: { type: 'string' }, against: { type: 'string' } },
  });
  const suites = chosenSuites(positionals);
  const file = path.resolve(values.against ?? newest());
  const committed = JSON.parse(readFileSync(file, 'utf8')) as PeerResults;
  const measured = [...new Set(committed.runs.map((run) => run.threads))];
  const counts = values.threads
    ? threadCounts(values.threads)
    : measured.filter((threads) => threads <= availableParallelism());
  installPeers(console.log);
  console.log(
    `compared with ${path.relative(process.cwd(), file)} (${committed.cpu}, ${committed.date.slice(0, 10)})`,
  );

  const bench = new PeerBench();
  const all: Change[] = [];
  for (const threads of counts) {
    const runs = await bench.run({ suites, caseText: values.case, quick: true }, threads);
    for (let change of changes(committed.runs, runs)) {
      if (fell(change)) {
        const again = await bench.run(
          { suites: [change.suite], caseText: change.case, quick: false },
          threads,
        );
        change = changes(committed.runs, again).find((c) => c.contender === change.contender) ?? change;
      }
      all.push(change);
      console.log(
        `${fell(change) ? 'FELL' : 'ok  '}  ${change.before.toFixed(2)} -> ${change.now.toFixed(2)}  ${change.case}, ${change.contender}, threads ${threads}`,
      );
    }
  }
  if (all.length === 0) throw new Error('nothing was measured that the committed results have as well');
  const worse = all.filter(fell);
  console.log(
    worse.length === 0
      ? `none of ${all.length} ratios fell by more than 20 %`
      : `${worse.length} of ${all.length} ratios fell by more than 20 %`,
  );
  if (worse.length > 0) process.exitCode = 1;
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
