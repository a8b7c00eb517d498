/** What is measured in a process of its own, so that nothing of another measurement is in its memory. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Figures } from '../harness.js';

export type TrialKind = 'load' | 'stages' | 'stream' | 'callers' | 'scale';

export interface TrialOptions {
  threads: number;
  /** Films, or callers. */
  count?: number;
  seconds?: number;
}

const run = promisify(execFile);
const script = fileURLToPath(new URL('./trial.js', import.meta.url));

export async function runTrial(kind: TrialKind, options: TrialOptions): Promise<Figures> {
  const { stdout } = await run(process.execPath, ['--expose-gc', script, kind, JSON.stringify(options)]);
  return JSON.parse(stdout) as Figures;
}

/** Medians over fresh processes. */
export async function loadingGauge(threads: number, runs: number): Promise<Figures> {
  const all: Figures[] = [];
  for (let i = 0; i < runs; i++) all.push(await runTrial('load', { threads }));
  const middle = Math.floor(runs / 2);
  return Object.fromEntries(
    Object.keys(all[0]!).map((name) => [
      name,
      all.map((figures) => figures[name]!).sort((a, b) => a - b)[middle]!,
    ]),
  );
}
