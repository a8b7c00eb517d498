/** One measurement in a fresh process: node trial.js KIND OPTIONS, figures as JSON on stdout. bench/predict/trials.ts runs it. */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { Movie, Predictor, Timings } from '../../lib/index.js';
import type { Figures } from '../harness.js';
import { exampleFilm, type Films, repeated, someFilms, threadOptions } from './films.js';
import type { TrialKind, TrialOptions } from './trials.js';

const MIB = 2 ** 20;
/** Films that a trial draws from; more are these again. */
const FILMS = 2048;

function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))]!;
}

/** The most memory that this process has had so far. */
const peakMiB = () => process.resourceUsage().maxRSS / 1024;

async function loaded({ threads }: TrialOptions): Promise<Predictor> {
  const { Predictor } = await import('../../lib/index.js');
  return Predictor.load(undefined, threadOptions(threads));
}

/** A predictor that has forecast a few films, and some films. */
async function warm(options: TrialOptions): Promise<{ predictor: Predictor; films: Films }> {
  const predictor = await loaded(options);
  const films = await someFilms(FILMS);
  await predictor.predictBatch(films.movies.slice(-32));
  return { predictor, films };
}

async function load(options: TrialOptions): Promise<Figures> {
  const start = performance.now();
  const cpu = process.cpuUsage();
  await import('../../lib/index.js');
  const imported = performance.now();
  const predictor = await loaded(options);
  const ready = performance.now();
  const { user, system } = process.cpuUsage(cpu);
  const memory = process.memoryUsage.rss() / MIB;
  await predictor.predict(exampleFilm(0));
  const first = performance.now();
  await predictor.dispose();
  return {
    'import ms': imported - start,
    'load ms': ready - imported,
    'load, CPU ms': (user + system) / 1000,
    'first film ms': first - ready,
    'memory after loading MiB': memory,
  };
}

/** The stages of one film after another. Decoding and encoding overlap. */
async function stages(options: TrialOptions): Promise<Figures> {
  const { predictor } = await warm(options);
  const rows: Timings[] = [];
  for (let i = 0; i < options.count!; i++)
    rows.push((await predictor.predict(exampleFilm(i))).timings as Timings);
  await predictor.dispose();
  const median = (of: (row: Timings) => number) => quantile(rows.map(of), 0.5);
  return {
    'read ms': median((row) => row.readMs),
    'decode ms': median((row) => row.decodeMs),
    'encode ms': median((row) => row.encodeMs),
    'fuse ms': median((row) => row.fuseMs),
    'total ms': median((row) => row.totalMs),
    'total ms, 95 %': quantile(
      rows.map((row) => row.totalMs),
      0.95,
    ),
  };
}

/** When the first result of a stream is there, and for how long the event loop stood still meanwhile. */
async function stream(options: TrialOptions): Promise<Figures> {
  const { predictor, films } = await warm(options);
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  const start = performance.now();
  let first: number | undefined;
  for await (const result of predictor.predictStream(repeated(films, options.count!))) {
    if (!result.ok) throw result.error;
    first ??= performance.now() - start;
  }
  const all = performance.now() - start;
  delay.disable();
  await predictor.dispose();
  return {
    'first result ms': first!,
    'films/s': (1000 * options.count!) / all,
    'event loop delay ms, 99 %': delay.percentile(99) / 1e6,
    'event loop delay ms, most': delay.max / 1e6,
  };
}

/** So many callers, each with one film at a time. */
async function callers({ count = 1, seconds = 5, ...options }: TrialOptions): Promise<Figures> {
  const { predictor, films } = await warm(options);
  const before = peakMiB();
  const latencies: number[] = [];
  const start = performance.now();
  const end = start + 1000 * seconds;
  let next = 0;
  const caller = async () => {
    while (performance.now() < end) {
      const asked = performance.now();
      await predictor.predict(films.movies[next++ % films.movies.length] as Movie);
      latencies.push(performance.now() - asked);
    }
  };
  await Promise.all(Array.from({ length: count }, caller));
  const took = performance.now() - start;
  const peak = peakMiB();
  await predictor.dispose();
  return {
    'films/s': (1000 * latencies.length) / took,
    'latency ms': quantile(latencies, 0.5),
    'latency ms, 95 %': quantile(latencies, 0.95),
    'memory, peak MiB': peak,
    'more than before MiB': peak - before,
  };
}

/** Cost and memory by the number of films; they come from a generator and go nowhere. */
async function scale({ count = 10, ...options }: TrialOptions): Promise<Figures> {
  const { predictor, films } = await warm(options);
  globalThis.gc?.();
  const cpu = process.cpuUsage();
  const start = performance.now();
  const memory: number[] = [];
  let done = 0;
  for await (const result of predictor.predictStream(repeated(films, count))) {
    if (!result.ok) throw result.error;
    if (++done % Math.ceil(count / 10) === 0) memory.push(process.memoryUsage.rss() / MIB);
  }
  const took = performance.now() - start;
  const { user, system } = process.cpuUsage(cpu);
  await predictor.dispose();
  return {
    'films/s': (1000 * count) / took,
    'CPU ms per film': (user + system) / 1000 / count,
    'memory after a tenth MiB': memory[0]!,
    'memory at the end MiB': memory.at(-1)!,
    'memory, peak MiB': peakMiB(),
  };
}

const TRIALS: Record<TrialKind, (options: TrialOptions) => Promise<Figures>> = {
  load,
  stages,
  stream,
  callers,
  scale,
};

const [kind, options] = process.argv.slice(2);
const figures = await TRIALS[kind as TrialKind](JSON.parse(options!) as TrialOptions);
process.stdout.write(JSON.stringify(figures));
