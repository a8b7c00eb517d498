/**
 * npm run bench:peers [-- SUITE... --case TEXT --threads 1,2 --quick --output FILE --into FILE]
 *
 * cinefuse beside the libraries that do the same work, from npm and Python. Installs those of npm into bench/peers on
 * first use. Prints a table a case and writes JSON, and Markdown beside it, to bench/results/latest-peers.json;
 * --into FILE replaces in an earlier FILE only what is measured now.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { packageRoot } from '../../lib/native.js';
import { machine, printTable } from '../report.js';
import { installPeers } from './npm.js';
import { type KeptRun, markdown, merged, type PeerResults } from './results.js';
import { chosenSuites, PeerBench, threadCounts } from './run.js';

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      case: { type: 'string' },
      threads: { type: 'string' },
      quick: { type: 'boolean', default: false },
      output: { type: 'string', default: path.join(packageRoot(), 'bench', 'results', 'latest-peers.json') },
      into: { type: 'string' },
    },
  });
  const suites = chosenSuites(positionals);
  const counts = threadCounts(values.threads ?? [...new Set([1, availableParallelism()])].join());
  installPeers(console.log);

  // Parts measured on their own go into one file, which the whole command makes again.
  const about = { ...machine('npm run bench:peers'), command: 'npm run bench:peers' };
  console.log(
    `${about.cpu}, ${about.cores} cores, ISA ${about.isa}, Node ${about.node}, commit ${about.commit}`,
  );
  const output = path.resolve(values.into ?? values.output);
  const older =
    values.into && existsSync(output) ? (JSON.parse(readFileSync(output, 'utf8')) as PeerResults) : undefined;
  mkdirSync(path.dirname(output), { recursive: true });
  const bench = new PeerBench();
  const runs: KeptRun[] = [];
  const save = () => {
    const results: PeerResults = {
      ...about,
      versions: bench.versions,
      notRun: Object.fromEntries(bench.notRun),
      runs: merged(older?.runs ?? [], runs),
    };
    writeFileSync(output, `${JSON.stringify(results, null, 2)}\n`);
    writeFileSync(output.replace(/\.json$/, '.md'), markdown(results));
  };
  for (const threads of counts) {
    const { sgemmGflops, copyGbPerSecond } = await bench.floors(threads);
    console.log(
      `\n${threads} thread${threads === 1 ? '' : 's'}; floor: sgemm ${sgemmGflops.toFixed(1)} GFLOP/s, copy ${copyGbPerSecond.toFixed(1)} GB/s (read + written)`,
    );
    for (const suite of suites) {
      const selection = { suites: [suite], caseText: values.case, quick: values.quick };
      const done = await bench.run(selection, threads, (measurements) => {
        console.log(`\n${measurements[0]?.case}`);
        printTable(measurements);
      });
      runs.push(...done.map((run) => ({ ...run, date: about.date, commit: about.commit })));
      if (done.length > 0) save();
    }
  }
  if (runs.length === 0) throw new Error(`No case of ${suites.join(', ')} has ${values.case} in its name`);
  for (const [name, reason] of bench.notRun) console.log(`not run: ${name} (${reason})`);
  console.log(`\nwritten to ${path.relative(process.cwd(), output)}, and as Markdown beside it`);
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
