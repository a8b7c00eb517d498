/** What a run of benchmarks says of itself: the machine, and a table of each case. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { join } from 'node:path';
import { native, packageRoot } from '../lib/native.js';
import { defaultIsa } from '../lib/ops/index.js';
import { formatSeconds, type Measurement } from './harness.js';

const root = packageRoot();

function git(...args: string[]): string {
  try {
    return execFileSync('git', args, { cwd: root, encoding: 'utf8' }).trim();
  } catch {
    return 'unknown';
  }
}

export interface Machine {
  date: string;
  command: string;
  version: string;
  commit: string;
  cpu: string;
  cores: number;
  platform: string;
  node: string;
  isa: string;
  isas: readonly string[];
  compiler: string;
}

/** @param command  that runs the process; its arguments are added */
export function machine(command: string): Machine {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
  const changed = git('status', '--porcelain', '--untracked-files=no');
  return {
    date: new Date().toISOString(),
    command: [command, ...(process.argv.length > 2 ? ['--', ...process.argv.slice(2)] : [])].join(' '),
    version,
    commit: git('rev-parse', 'HEAD') + (changed && changed !== 'unknown' ? ' with changes' : ''),
    cpu: cpus()[0]?.model ?? 'unknown',
    cores: availableParallelism(),
    platform: `${process.platform}-${process.arch}`,
    node: process.version,
    isa: defaultIsa(),
    isas: native().info().isas,
    compiler: native().info().compiler,
  };
}

export function printTable(measurements: Measurement[]): void {
  const optional = (value: number | undefined, digits: number) =>
    value === undefined ? '' : value.toFixed(digits);
  const rows = measurements.map((m) => [
    m.contender,
    formatSeconds(m.median),
    formatSeconds(m.min),
    `±${(m.spread * 100).toFixed(0)} %`,
    String(m.samples),
    optional(m.gflops, 1),
    optional(m.gbPerSecond, 2),
    optional(m.itemsPerSecond, 1),
    m.timesOurs.toFixed(2),
    optional(m.timesFloor, 2),
  ]);
  const head = ['', 'median', 'min', 'spread', 'samples', 'GFLOP/s', 'GB/s', 'items/s', 'x ours', 'x floor'];
  const kept = head.map((_, i) => i < 5 || rows.some((row) => row[i] !== ''));
  const table = [head, ...rows].map((row) => row.filter((_, i) => kept[i]));
  const widths = (table[0] as string[]).map((_, i) =>
    Math.max(...table.map((row) => (row[i] as string).length)),
  );
  for (const row of table)
    console.log(
      `  ${row.map((cell, i) => (i === 0 ? cell.padEnd(widths[0] as number) : cell.padStart(widths[i] as number))).join('  ')}`,
    );
}
