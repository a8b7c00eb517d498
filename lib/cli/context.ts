import { Option } from 'commander';
import { type Device, parseDevice } from '../device.js';
import { CinefuseError } from '../errors.js';
import type { Precision } from '../ops/exec.js';
import type { Predictor } from '../predict.js';
import type { Trace } from '../trace.js';
import { UsageError } from './exit.js';

/** What every command is given beside its own options. */
export interface Context {
  /** Fires at the first Ctrl-C. */
  signal: AbortSignal;
}

export interface PredictorFlags {
  bundle?: string;
  threads?: number;
  device?: Device;
  encodersDevice?: Device;
  precision?: Precision;
  isolation?: 'thread' | 'process';
}

export function wholeNumber(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < 1 || value > 1024)
    throw new UsageError(`--threads wants a whole number from 1 to 1024, not "${text}"`);
  return value;
}

const deviceFlag = (flag: string) => (text: string) => {
  try {
    parseDevice(text as Device);
    return text;
  } catch (error) {
    if (!(error instanceof CinefuseError)) throw error;
    throw new UsageError(`${flag} wants auto, cpu, cuda or cuda:N, not "${text}"`);
  }
};

/** The options of every command that loads a bundle. */
export const predictorOptions = () => [
  new Option(
    '--bundle <path>',
    'bundle to use: a folder or a .tar (default: the one that ships with cinefuse)',
  ),
  new Option('--threads <n>', 'threads to compute with (default: the cores of this process)').argParser(
    wholeNumber,
  ),
  new Option('--device <device>', 'where to compute: auto, cpu, cuda or cuda:N')
    .argParser(deviceFlag('--device'))
    .default('auto'),
  new Option('--encoders-device <device>', 'where encoders compute (default: as --device)').argParser(
    deviceFlag('--encoders-device'),
  ),
  new Option('--precision <precision>', 'of operators on a GPU (default: fp32)').choices([
    'fp32',
    'tf32',
    'bf16',
  ]),
  new Option(
    '--isolation <kind>',
    'decode media in threads, or in processes that may crash unharmed',
  ).choices(['thread', 'process']),
  new Option('--skip-bad-inputs', 'go on without a poster, trailer or text that cannot be read, and say so'),
];

/** Loaded only here, so that `cinefuse --help` starts at once. */
export async function loadPredictor(
  flags: PredictorFlags,
  { signal }: Context,
  trace?: Trace,
): Promise<Predictor> {
  const { Predictor } = await import('../predict.js');
  return Predictor.load(flags.bundle, {
    ...(flags.threads !== undefined && { threads: flags.threads }),
    device: flags.device,
    encodersDevice: flags.encodersDevice,
    precision: flags.precision,
    ...(flags.isolation !== undefined && { isolation: flags.isolation }),
    trace,
    signal,
  });
}
