/**
 * What every file of bench/ shares. A suite is data: cases, and in each case contenders that do the same work.
 *
 *   export default defineSuite('mel', { cases: [{ name, flops, bytes, contenders: { cinefuse: async () => … } }] });
 *
 * benchmark.js does the timing. The contenders of a case take turns, round after round in one process, so that a busy
 * machine slows all of them alike; the figures are the median, the fastest and the spread of all samples together.
 */
import { setTimeout } from 'node:timers/promises';
import Benchmark from 'benchmark';
import type { Floors } from './floors.js';

/** One that runs elsewhere (in a Python process) and reads the clock there, so that the way to it is not counted. */
export interface RemoteContender {
  /** One call, with its result. */
  call(): Promise<unknown>;
  /** Calls again and again for about this long. @returns the seconds of one call, sample by sample */
  turn(seconds: number): Promise<number[]>;
}

export type Contender = (() => unknown) | RemoteContender;

export interface BenchCase {
  /** Says the size: `tensor_fusion 32x32x32 -> 128, batch 32`. */
  name: string;
  /** Floating-point operations of one call (a multiply and an add are two): gives GFLOP/s and part of the floor. */
  flops?: number;
  /** Bytes that one call must read and write at the least: gives GB/s and part of the floor. */
  bytes?: number;
  /** How many films, clips or frames one call handles: gives items per second. */
  items?: number;
  /** The first is ours; the ratio column compares the others with it. */
  contenders: Record<string, Contender>;
  /** Contenders that do not do quite the same work, each with what differs: shown, never counted as the best. */
  differs?: Record<string, string>;
  /** Called once with what each contender returned, before the timing. Throws when they do not agree. */
  check?: (results: Record<string, unknown>) => void | Promise<void>;
}

/** Named figures, the unit in the name: `load ms`. */
export type Figures = Record<string, number>;

/** What no contender does in turn: memory, start-up, latency under load. */
export interface GaugeCase {
  name: string;
  /** Too long for `--quick`. */
  full?: boolean;
  measure: (options: { quick: boolean }) => Promise<Figures>;
}

export interface BenchSuite {
  name: string;
  cases: BenchCase[] | (() => BenchCase[] | Promise<BenchCase[]>);
  /** Measured after the cases, when these have been disposed of. */
  gauges?: GaugeCase[];
  /** Gives back what the cases hold. */
  dispose?: () => void | Promise<void>;
}

/** Declares a suite; a file of bench/ exports it as its default. */
export function defineSuite(name: string, suite: Omit<BenchSuite, 'name'>): BenchSuite {
  return { name, ...suite };
}

export interface RunOptions {
  /** Turns that each contender has. */
  rounds: number;
  /** Seconds that a turn lasts, at least one call. */
  secondsPerTurn: number;
  /** Calls before the clock starts. */
  warmUpCalls: number;
  quick: boolean;
}

export const FULL_RUN: RunOptions = { rounds: 5, secondsPerTurn: 0.4, warmUpCalls: 3, quick: false };
export const QUICK_RUN: RunOptions = { rounds: 3, secondsPerTurn: 0.08, warmUpCalls: 1, quick: true };

export interface Measurement {
  suite: string;
  case: string;
  contender: string;
  /** Seconds of one call. */
  median: number;
  min: number;
  /** Half the distance between the quartiles over the median: 0.03 is ±3 %. */
  spread: number;
  samples: number;
  /** What this contender does otherwise than ours. */
  differs?: string;
  gflops?: number;
  gbPerSecond?: number;
  itemsPerSecond?: number;
  /** This contender's median over ours in the same run: 1.8 means that ours is 1.8 times as fast. */
  timesOurs: number;
  /** Median over the time that this machine's measured sgemm and copy rates allow at best. */
  timesFloor?: number;
}

export interface Gauge {
  suite: string;
  gauge: string;
  figures: Figures;
}

/** Seconds of each sample of one turn. */
function takeTurn(contender: Contender, seconds: number): Promise<number[]> {
  if (typeof contender !== 'function') return contender.turn(seconds);
  return new Promise((resolve, reject) => {
    const benchmark = new Benchmark({
      defer: true,
      maxTime: seconds,
      minSamples: 1,
      minTime: Math.min(0.02, seconds / 4),
      fn: (deferred: { resolve(): void }) => {
        // A failure ends the turn at once: benchmark.js itself would wait for ever.
        Promise.resolve()
          .then(contender)
          .then(() => deferred.resolve(), reject);
      },
    });
    benchmark.on('complete', () => resolve(benchmark.stats.sample));
    benchmark.on('error', () => reject(benchmark.error));
    benchmark.run({ async: true });
  });
}

function quantile(sorted: readonly number[], q: number): number {
  const at = (sorted.length - 1) * q;
  const low = sorted[Math.floor(at)] as number;
  const high = sorted[Math.ceil(at)] as number;
  return low + (high - low) * (at - Math.floor(at));
}

async function runCase(
  suite: string,
  { name, flops, bytes, items, contenders, differs, check }: BenchCase,
  floors: Floors,
  options: RunOptions,
): Promise<Measurement[]> {
  const entries = Object.entries(contenders);
  if (entries.length === 0) throw new Error(`${suite}: the case ${name} has no contender`);
  const call = (of: Contender) => (typeof of === 'function' ? of() : of.call());
  const results: Record<string, unknown> = {};
  for (const [contender, of] of entries) results[contender] = await call(of);
  await check?.(results);
  for (const [, of] of entries) {
    const started = performance.now();
    // What is slow needs no more of it.
    for (let i = 1; i < options.warmUpCalls && performance.now() - started < 200; i++) await call(of);
  }

  const samples = entries.map((): number[] => []);
  for (let round = 0; round < options.rounds; round++)
    for (const [i, [, of]] of entries.entries()) {
      // Threads that wait for more work of the contender before by spinning have given up by then.
      await setTimeout(5);
      samples[i]?.push(...(await takeTurn(of, options.secondsPerTurn)));
    }

  const floor = Math.max(
    (flops ?? 0) / (floors.sgemmGflops * 1e9),
    (bytes ?? 0) / (floors.copyGbPerSecond * 1e9),
  );
  const sorted = samples.map((list) => [...list].sort((a, b) => a - b));
  const ours = quantile(sorted[0] as number[], 0.5);
  return entries.map(([contender], i) => {
    const times = sorted[i] as number[];
    const median = quantile(times, 0.5);
    return {
      suite,
      case: name,
      contender,
      median,
      min: times[0] as number,
      spread: (quantile(times, 0.75) - quantile(times, 0.25)) / 2 / median,
      samples: times.length,
      ...(differs?.[contender] && { differs: differs[contender] }),
      ...(flops !== undefined && { gflops: flops / median / 1e9 }),
      ...(bytes !== undefined && { gbPerSecond: bytes / median / 1e9 }),
      ...(items !== undefined && { itemsPerSecond: items / median }),
      timesOurs: median / ours,
      ...(floor > 0 && { timesFloor: median / floor }),
    };
  });
}

/**
 * Runs all cases of a suite, in order, then its gauges.
 * @param report  called with the measurements of each case as it ends
 */
export async function runSuite(
  suite: BenchSuite,
  floors: Floors,
  options: RunOptions,
  report: (measurements: Measurement[]) => void,
  reportGauge: (gauge: Gauge) => void = () => {},
): Promise<void> {
  try {
    const cases = typeof suite.cases === 'function' ? await suite.cases() : suite.cases;
    if (cases.length + (suite.gauges ?? []).length === 0) throw new Error(`${suite.name} has no case`);
    for (const benchCase of cases) report(await runCase(suite.name, benchCase, floors, options));
  } finally {
    await suite.dispose?.();
  }
  for (const { name, full = false, measure } of suite.gauges ?? []) {
    if (full && options.quick) continue;
    reportGauge({ suite: suite.name, gauge: name, figures: await measure({ quick: options.quick }) });
  }
}

/** 0.000123 -> "123 us": three significant digits. */
export function formatSeconds(seconds: number): string {
  const [scale, unit] = seconds >= 1 ? [1, 's'] : seconds >= 1e-3 ? [1e3, 'ms'] : [1e6, 'us'];
  return `${Number((seconds * scale).toPrecision(3))} ${unit}`;
}
