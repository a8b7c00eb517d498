/** Every way an operator can run here: one test body, run for each (backend, instruction set, threads). */
import { native } from '../lib/native.js';
import { openLibrary } from '../lib/ops/backends.js';
import type { Backend, ExecOptions, Isa } from '../lib/ops/index.js';

export interface Way {
  label: string;
  exec: ExecOptions & { backend: Backend; isa: Isa; threads: number };
}

/** Backends of operators that have their CUDA twin: 'emulated' always, in a clone; 'cuda' where a GPU can run it. */
export const DEVICE_BACKENDS: Backend[] = deviceBackends();

function deviceBackends(): Backend[] {
  const asked = process.env.CINEFUSE_TEST_BACKENDS;
  if (asked !== undefined)
    return asked.split(',').filter((name) => name !== 'cpu' && name !== '') as Backend[];
  openLibrary('emulated'); // a clone that cannot build it must not pass as if it had been tested
  return ['emulated'];
}

/**
 * cpu per instruction set with 1 thread, and the best one with 2, 3 and 8; then the emulated kernels, and real ones
 * where CINEFUSE_TEST_BACKENDS = 'emulated,cuda' asks for them. `devices: false`: the CPU alone, for what the emulator
 * would take too long for, or what only the CPU promises.
 */
export function ways({ devices = true }: { devices?: boolean } = {}): Way[] {
  const { isas, bestIsa } = native().info();
  const list: Way[] = [];
  const add = (backend: Backend, isa: Isa, threads: number) =>
    list.push({ label: `[${backend} ${isa} x${threads}]`, exec: { backend, isa, threads } });
  for (const isa of isas) add('cpu', isa, 1);
  for (const threads of [2, 3, 8]) add('cpu', bestIsa, threads);
  if (devices) for (const backend of DEVICE_BACKENDS) add(backend, bestIsa, 1);
  return list;
}

/** Deterministic pseudo-random numbers in [0, 1): mulberry32. */
export function random(seed: number): () => number {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** n values of about normal spread, at an odd offset in their buffer so that alignment is never taken for granted. */
export function randomF32(n: number, seed: number, offset = 1): Float32Array {
  const next = random(seed);
  const array = new Float32Array(n + offset).subarray(offset);
  for (let i = 0; i < n; i++) array[i] = next() + next() + next() + next() - 2;
  return array;
}
