/** What the suites of bench/peers share: the Python process, what could not run, and how results are held together. */
import { defaultThreads } from '../../lib/ops/index.js';
import type { Contender } from '../harness.js';
import { PythonWorker, type Shaped } from './python.js';

let worker: Promise<PythonWorker | undefined> | undefined;
/** Contender to the reason why it did not run. */
export const notRun = new Map<string, string>();

export const shaped = (data: Shaped['data'], ...shape: number[]): Shaped => ({ data, shape });

/** The Python contenders of one case, named as such; none where Python or its libraries are missing. */
export async function pythonPeers(
  work: string,
  parameters: Record<string, unknown>,
  ...inputs: Shaped[]
): Promise<Record<string, Contender>> {
  worker ??= PythonWorker.start(defaultThreads());
  const python = await worker;
  if (!python) {
    notRun.set('everything in Python', 'no python3 with numpy');
    return {};
  }
  const { contenders, missing } = await python.prepare(work, parameters, inputs);
  for (const [name, reason] of Object.entries(missing)) notRun.set(`${name} (Python)`, reason);
  return Object.fromEntries(Object.entries(contenders).map(([name, of]) => [`${name} (Python)`, of]));
}

export async function pythonVersions(): Promise<Record<string, string | null>> {
  return (await worker)?.versions ?? {};
}

export async function endPeers(): Promise<void> {
  (await worker)?.dispose();
  worker = undefined;
}

/** Contenders that exist, by name; the others are noted as not run. */
export function present(
  contenders: Record<string, Contender | undefined>,
  reason = 'not installed',
): Record<string, Contender> {
  const kept: Record<string, Contender> = {};
  for (const [name, of] of Object.entries(contenders)) {
    if (of) kept[name] = of;
    else notRun.set(name, reason);
  }
  return kept;
}

export interface Agreement {
  /** Largest difference allowed, as a share of ours' largest magnitude. */
  most?: number;
  /** Mean difference allowed, as the same share. */
  mean?: number;
}

/**
 * Holds every contender's result against the first one's.
 * @param limitOf  what a contender's result may differ by; undefined leaves it out (its `differs` says why)
 */
export function agreeing(limitOf: (contender: string) => Agreement | undefined) {
  return (results: Record<string, unknown>): void => {
    const [[name, ours], ...others] = Object.entries(results) as [string, ArrayLike<number>][] as [
      [string, ArrayLike<number>],
      ...[string, ArrayLike<number>][],
    ];
    let top = 0;
    for (let i = 0; i < ours.length; i++) top = Math.max(top, Math.abs(ours[i] as number));
    for (const [other, theirs] of others) {
      const limit = limitOf(other);
      if (!limit) continue;
      if (theirs.length !== ours.length)
        throw new Error(`${other} gives ${theirs.length} values, ${name} ${ours.length}`);
      let [most, sum] = [0, 0];
      for (let i = 0; i < ours.length; i++) {
        const by = Math.abs((ours[i] as number) - (theirs[i] as number));
        most = Math.max(most, by); // NaN stays
        sum += by;
      }
      const mean = sum / ours.length;
      if (!(most <= (limit.most ?? Number.POSITIVE_INFINITY) * top))
        throw new Error(`${other} differs from ${name} by up to ${most}, of ${top}`);
      if (!(mean <= (limit.mean ?? Number.POSITIVE_INFINITY) * top))
        throw new Error(`${other} differs from ${name} by ${mean} on average, of ${top}`);
    }
  };
}
