/** Programs of kernels compiled for the emulator, in its three forms. */
import { execFile, spawnSync } from 'node:child_process';
import path from 'node:path';
import { promisify } from 'node:util';
import { packageRoot } from '../../lib/native.js';

export const VARIANTS = ['plain', 'address', 'race'] as const;
export type Variant = (typeof VARIANTS)[number];

/** Builds test/cuda/NAME.cc, unless that was done before; undefined where the compiler lacks the variant's runtime. */
export async function buildProgram(name: string, variant: Variant): Promise<string | undefined> {
  const root = packageRoot();
  const script = path.join(root, 'scripts/build-emulated.mjs');
  try {
    await promisify(execFile)(process.execPath, [script, variant, `test/cuda/${name}.cc`], { cwd: root });
  } catch (error) {
    if ((error as { code?: unknown }).code === 3) return undefined;
    throw error;
  }
  return path.join(root, 'build', variant === 'plain' ? 'emulated' : `emulated-${variant}`, name);
}

export interface Outcome {
  /** null where a signal ended it. */
  status: number | null;
  stdout: Buffer;
  stderr: string;
}

export function runProgram(
  file: string,
  args: string[],
  { env = {}, input }: { env?: Record<string, string>; input?: Uint8Array } = {},
): Outcome {
  const { status, stdout, stderr, error } = spawnSync(file, args, {
    env: { ...process.env, ASAN_OPTIONS: 'detect_leaks=0', ...env },
    maxBuffer: 1 << 28,
    timeout: 60_000,
    ...(input && { input }),
  });
  if (error) throw error;
  return { status, stdout, stderr: stderr.toString() };
}
