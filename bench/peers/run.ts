/** Runs the suites of bench/peers, each on each number of threads in a process of its own. */
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { type Floors, measureFloors, SGEMM_SIZE, sgemmInput, sgemmRate } from '../floors.js';
import { type BenchSuite, type Measurement, QUICK_RUN, type RunOptions, runSuite } from '../harness.js';
import { npmVersions } from './npm.js';
import { endPeers, notRun, pythonPeers, pythonVersions, shaped } from './peers.js';

export const SUITES = ['mel', 'frames', 'fusion', 'attention', 'head', 'flow'] as const;

/** Shorter turns than those of `npm run bench`, since there are some 160 contenders. */
const RUN: RunOptions = { rounds: 5, secondsPerTurn: 0.15, warmUpCalls: 2, quick: false };

/** Cases of one suite on one number of threads. */
export interface PeerRun {
  suite: string;
  threads: number;
  floors: Floors;
  measurements: Measurement[];
}

export interface Selection {
  suites: readonly string[];
  /** Only cases whose names have this in them. */
  caseText?: string | undefined;
  quick: boolean;
}

type Order =
  | { kind: 'floors'; threads: number }
  | ({ kind: 'suite'; suite: string; floors: Floors } & Selection);

interface Versions {
  npm: Record<string, string | null>;
  python: Record<string, string | null>;
}

type Report =
  | { floors: Floors }
  | { measurements: Measurement[] }
  | { notRun: [string, string][]; versions: Versions };

/** Of ONNX Runtime's product, ours and those of Python, the fastest. */
async function floorsOf(threads: number): Promise<Floors> {
  const floors = await measureFloors(threads);
  const matrix = shaped(sgemmInput(), SGEMM_SIZE, SGEMM_SIZE);
  for (const product of Object.values(await pythonPeers('sgemm', {}, matrix, matrix))) {
    if (typeof product === 'function') continue;
    const seconds = Math.min(...(await product.turn(0.3)));
    floors.sgemmGflops = Math.max(floors.sgemmGflops, sgemmRate(seconds));
  }
  return floors;
}

async function child(order: Order): Promise<void> {
  const send = (report: Report) => process.send?.(report);
  if (order.kind === 'floors') {
    send({ floors: await floorsOf(order.threads) });
    await endPeers();
  } else {
    const { default: suite } = (await import(`./${order.suite}.js`)) as { default: BenchSuite };
    const cases = typeof suite.cases === 'function' ? await suite.cases() : suite.cases;
    const chosen = cases.filter(({ name }) => name.includes(order.caseText ?? ''));
    send({ notRun: [...notRun], versions: { npm: npmVersions(), python: await pythonVersions() } });
    if (chosen.length > 0)
      await runSuite(
        { ...suite, cases: chosen },
        order.floors,
        order.quick ? QUICK_RUN : RUN,
        (measurements) => send({ measurements }),
      );
    else await suite.dispose?.();
  }
  process.disconnect();
  // Worker threads of the peers' WebAssembly would keep the process.
  process.exit(0);
}

function inProcess(order: Order, threads: number, onReport: (report: Report) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const process_ = fork(fileURLToPath(import.meta.url), ['--child', JSON.stringify(order)], {
      env: { ...process.env, CINEFUSE_THREADS: String(threads) },
    });
    process_.on('message', (report) => onReport(report as Report));
    process_.on('error', reject);
    process_.on('exit', (code, signal) => {
      const what = order.kind === 'floors' ? 'measuring the floors' : `the suite ${order.suite}`;
      if (code === 0) resolve();
      else reject(new Error(`${what} ended with ${signal ?? `code ${code}`}`));
    });
  });
}

export class PeerBench {
  readonly notRun = new Map<string, string>();
  versions: Versions = { npm: npmVersions(), python: {} };
  readonly #floors = new Map<number, Floors>();

  /** This machine's, measured once for each number of threads. */
  async floors(threads: number): Promise<Floors> {
    if (!this.#floors.has(threads))
      await inProcess({ kind: 'floors', threads }, threads, (report) => {
        if ('floors' in report) this.#floors.set(threads, report.floors);
      });
    const floors = this.#floors.get(threads);
    if (!floors) throw new Error('the floors could not be measured');
    return floors;
  }

  async run(
    selection: Selection,
    threads: number,
    onCase: (measurements: Measurement[]) => void = () => undefined,
  ): Promise<PeerRun[]> {
    const floors = await this.floors(threads);
    const runs: PeerRun[] = [];
    for (const suite of selection.suites) {
      const run: PeerRun = { suite, threads, floors, measurements: [] };
      await inProcess({ kind: 'suite', ...selection, suite, floors }, threads, (report) => {
        if ('measurements' in report) {
          run.measurements.push(...report.measurements);
          onCase(report.measurements);
        } else if ('notRun' in report) {
          for (const [name, reason] of report.notRun) this.notRun.set(name, reason);
          this.versions = report.versions;
        }
      });
      if (run.measurements.length > 0) runs.push(run);
    }
    return runs;
  }
}

/** What the words on the command line choose. @throws Error  naming a suite that there is not */
export function chosenSuites(words: readonly string[]): string[] {
  for (const word of words)
    if (!SUITES.some((suite) => suite === word))
      throw new Error(`There is no suite ${word}; there are ${SUITES.join(', ')}`);
  return words.length === 0 ? [...SUITES] : [...words];
}

/** "1,2" */
export function threadCounts(text: string): number[] {
  return text.split(',').map((word) => {
    const threads = Number(word);
    if (!Number.isInteger(threads) || threads < 1)
      throw new Error(`--threads wants whole numbers from 1, not ${word}`);
    return threads;
  });
}

const at = process.argv.indexOf('--child');
if (process.argv[1] === fileURLToPath(import.meta.url) && at > 0) {
  child(JSON.parse(process.argv[at + 1] as string) as Order).catch((error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    process.exit(1);
  });
}
