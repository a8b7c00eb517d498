/**
 * npm run bench [-- NAME... --quick --threads N --output FILE --list]
 *
 * Runs the suites of bench/, each in a process of its own, prints a table per suite and writes all figures with the
 * machine they were taken on to bench/results/latest.json.
 */
import { fork } from 'node:child_process';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type Floors, measureFloors } from './floors.js';
import { type BenchSuite, FULL_RUN, type Gauge, type Measurement, QUICK_RUN, runSuite } from './harness.js';
import { machine, printTable } from './report.js';

const here = dirname(fileURLToPath(import.meta.url));
const root = resolve(here, '..', '..');

interface Order {
  file: string;
  floors: Floors;
  quick: boolean;
}

type Report = { measurements: Measurement[] } | { gauge: Gauge };

/** In a child process: one suite, its figures sent to the parent case by case. */
async function runChild({ file, floors, quick }: Order): Promise<void> {
  const send = (report: Report) => process.send?.(report);
  const { default: suite } = (await import(file)) as { default: BenchSuite };
  await runSuite(
    suite,
    floors,
    quick ? QUICK_RUN : FULL_RUN,
    (measurements) => send({ measurements }),
    (gauge) => send({ gauge }),
  );
  process.disconnect();
}

function runInProcess(order: Order, onReport: (report: Report) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = fork(fileURLToPath(import.meta.url), ['--child', JSON.stringify(order)]);
    child.on('message', (report) => onReport(report as Report));
    child.on('error', reject);
    child.on('exit', (code, signal) => {
      if (code === 0) resolve();
      else reject(new Error(`${relative(here, order.file)} ended with ${signal ?? `code ${code}`}`));
    });
  });
}

function printGauge({ suite, gauge, figures }: Gauge): void {
  console.log(`\n${suite}: ${gauge}`);
  for (const [name, value] of Object.entries(figures))
    console.log(`  ${name.padEnd(28)} ${Number(value.toPrecision(3))}`);
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      quick: { type: 'boolean', default: false },
      list: { type: 'boolean', default: false },
      threads: { type: 'string' },
      output: { type: 'string', default: join(root, 'bench', 'results', 'latest.json') },
      child: { type: 'string' },
    },
  });
  if (values.child !== undefined) return runChild(JSON.parse(values.child) as Order);

  const all = readdirSync(here, { recursive: true, encoding: 'utf8' }).filter((file) =>
    file.endsWith('.bench.js'),
  );
  const files = all.filter(
    (file) => positionals.length === 0 || positionals.some((name) => file.includes(name)),
  );
  if (values.list) {
    for (const file of files.sort()) console.log(file.replace(/\.js$/, '.ts'));
    return;
  }
  if (files.length === 0)
    throw new Error(`No file of bench/ matches ${positionals.join(', ') || '*.bench.js'}`);

  const threads = values.threads === undefined ? availableParallelism() : Number(values.threads);
  if (!Number.isInteger(threads) || threads < 1)
    throw new Error(`--threads wants a whole number from 1, not ${values.threads}`);
  process.env.CINEFUSE_THREADS = String(threads);
  const floors = await measureFloors(threads);
  const about = { ...machine('npm run bench'), threads, floors };
  console.log(`${about.cpu}, ${about.cores} cores, ${threads} threads, ISA ${about.isa}, Node ${about.node}`);
  console.log(`commit ${about.commit}, ${about.date}`);
  console.log(
    `floor: sgemm ${floors.sgemmGflops.toFixed(1)} GFLOP/s, copy ${floors.copyGbPerSecond.toFixed(1)} GB/s (read + written)`,
  );

  const measurements: Measurement[] = [];
  const gauges: Gauge[] = [];
  for (const file of files.sort()) {
    await runInProcess({ file: join(here, file), floors, quick: values.quick }, (report) => {
      if ('gauge' in report) {
        printGauge(report.gauge);
        gauges.push(report.gauge);
        return;
      }
      const ofCase = report.measurements;
      console.log(`\n${ofCase[0]?.suite}: ${ofCase[0]?.case}`);
      printTable(ofCase);
      measurements.push(...ofCase);
    });
  }
  mkdirSync(dirname(resolve(values.output)), { recursive: true });
  writeFileSync(values.output, `${JSON.stringify({ ...about, measurements, gauges }, null, 2)}\n`);
  console.log(`\nwritten to ${relative(process.cwd(), values.output)}`);
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
