import { Option } from 'commander';
import type { Predictor } from '../predict.js';
import { UsageError } from './exit.js';

/** What every command is given beside its own options. */
export interface Context {
  /** Fires at the first Ctrl-C. */
  signal: AbortSignal;
}

export interface PredictorFlags {
  bundle?: string;
  threads?: number;
  device?: 'auto' | 'cpu' | 'cuda';
  isolation?: 'thread' | 'process';
}

export function wholeNumber(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < 1 || value > 1024)
    throw new UsageError(`--threads wants a whole number from 1 to 1024, not "${text}"`);
  return value;
}

/** The options of every command that loads a bundle. */
export const predictorOptions = () => [
  new Option(
    '--bundle <path>',
    'bundle to use: a folder or a .tar (default: the one that ships with cinefuse)',
  ),
  new Option('--threads <n>', 'threads to compute with (default: the cores of this process)').argParser(
    wholeNumber,
  ),
  new Option('--device <device>', 'where to compute').choices(['auto', 'cpu', 'cuda']).default('auto'),
  new Option(
    '--isolation <kind>',
    'decode media in threads, or in processes that may crash unharmed',
  ).choices(['thread', 'process']),
  new Option('--skip-bad-inputs', 'go on without a poster, trailer or text that cannot be read, and say so'),
];

/** Loaded only here, so that `cinefuse --help` starts at once. */
export async function loadPredictor(flags: PredictorFlags, { signal }: Context): Promise<Predictor> {
  const { Predictor } = await import('../predict.js');
  return Predictor.load(flags.bundle, {
    ...(flags.threads !== undefined && { threads: flags.threads }),
    ...(flags.device !== undefined && { device: flags.device }),
    ...(flags.isolation !== undefined && { isolation: flags.isolation }),
    signal,
  });
}
