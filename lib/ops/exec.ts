/** How an operator call runs, and the one way from an operator's wrapper into the addon. */
import { availableParallelism } from 'node:os';
import {
  BackendError,
  CancelledError,
  CinefuseError,
  describeValue,
  errorFromCode,
  InputError,
  isErrorCode,
  throwIfCancelled,
} from '../errors.js';
import {
  type NativeAddon,
  type NativeCancel,
  type NativeExec,
  type NativeResult,
  native,
} from '../native.js';
import { BACKENDS, type Backend, openLibrary } from './backends.js';

export type { Backend } from './backends.js';

export const ISAS = ['baseline', 'avx2', 'avx512'] as const;
/** Instruction set of the CPU twins' inner loops. `baseline`: SSE2 on x86-64, NEON on arm64. */
export type Isa = (typeof ISAS)[number];

export const PRECISIONS = ['fp32', 'tf32', 'bf16'] as const;
/**
 * How matrix products on a GPU round their inputs: 'fp32' keeps float32 accuracy, 'tf32' rounds to 10 bits of mantissa
 * (errors about 3e-4 of the largest result), 'bf16' to 7 bits (2e-3). Sums are float32 always.
 */
export type Precision = (typeof PRECISIONS)[number];

/**
 * `Precision`, or 'bf16x3' on a CPU with AMX or AVX512-BF16: products of matrices whose operands are split into two
 * bfloat16 parts each, three products summed in float32. Some 5e-6 of the largest result (float32: 1e-6); magnitudes
 * above 3.39e38 count as infinite, parts below 1.2e-38 as zeros. Meant for AMX, whose bfloat16 products are 16 times
 * as fast as float32 ones: its instructions compile, their twin in plain C++ is tested, they have not run on such a CPU
 * yet. AVX512-BF16 gives the same accuracy and takes 1.7 times as long as 'fp32' (Zen 4, 256 rows of tensor fusion).
 *
 * It governs the layers' products with float32 weights; layers of stored weights and everything else stay 'fp32'.
 * ERR_BACKEND where the CPU has neither, or another instruction set than 'avx512' is asked for.
 */
export type ExecPrecision = Precision | 'bf16x3';
const EXEC_PRECISIONS: readonly ExecPrecision[] = [...PRECISIONS, 'bf16x3'];

export interface ExecOptions {
  /** Where to run. Default 'cpu'. A backend that is not there is an error, never a silent fallback. */
  backend?: Backend;
  /** Which GPU, 0 or more, as CUDA_VISIBLE_DEVICES numbers them. Default 0. Unused on the CPU. */
  device?: number;
  /** Default 'fp32'. The CPU takes 'tf32' and 'bf16' for it: its results have float32 accuracy, but for 'bf16x3'. */
  precision?: ExecPrecision;
  /** Default: the best this CPU has, or the environment variable CINEFUSE_ISA. */
  isa?: Isa;
  /** Threads for the loop of this call, 1 or more. Default: CINEFUSE_THREADS, or the cores this process may use. */
  threads?: number;
  /** Cancels the call: it ends with CancelledError at its next stage, and `out` is left in an undefined state. */
  signal?: AbortSignal | undefined;
}

// Neither changes while a process runs, and both cost more than a small operator.
let bestIsa: Isa | undefined;
let cores: number | undefined;

/** The instruction set an operator call uses when none is asked for. */
export function defaultIsa(): Isa {
  const asked = process.env.CINEFUSE_ISA;
  if (!asked) {
    bestIsa ??= native().info().bestIsa;
    return bestIsa;
  }
  if (!(ISAS as readonly string[]).includes(asked)) {
    throw new InputError('ERR_INPUT_VALUE', {
      field: 'CINEFUSE_ISA',
      expected: `one of ${ISAS.join(', ')}`,
      got: describeValue(asked),
    });
  }
  return asked as Isa;
}

/** The threads an operator call uses when no number is asked for. */
export function defaultThreads(): number {
  const asked = process.env.CINEFUSE_THREADS;
  if (asked) return checkThreads(Number(asked), 'CINEFUSE_THREADS');
  cores ??= availableParallelism();
  return cores;
}

export function checkThreads(threads: number, field = 'threads'): number {
  if (!Number.isInteger(threads) || threads < 1 || threads > 1024) {
    throw new InputError('ERR_INPUT_VALUE', {
      field,
      expected: 'an integer from 1 to 1024',
      got: describeValue(threads),
    });
  }
  return threads;
}

function encodeExec(options: ExecOptions, sync: boolean): NativeExec {
  const backend = BACKENDS.indexOf(options.backend ?? 'cpu');
  const isa = ISAS.indexOf(options.isa ?? defaultIsa());
  if (backend < 0 || isa < 0) {
    throw new BackendError('ERR_BACKEND', {
      field: backend < 0 ? 'backend' : 'isa',
      expected: `one of ${(backend < 0 ? BACKENDS : ISAS).join(', ')}`,
      got: describeValue(backend < 0 ? options.backend : options.isa),
    });
  }
  const precision = EXEC_PRECISIONS.indexOf(options.precision ?? 'fp32');
  if (precision < 0) {
    throw new InputError('ERR_INPUT_VALUE', {
      field: 'precision',
      expected: `one of ${EXEC_PRECISIONS.join(', ')}`,
      got: describeValue(options.precision),
    });
  }
  const device = options.device ?? 0;
  if (!Number.isInteger(device) || device < 0 || device > 63) {
    throw new InputError('ERR_INPUT_VALUE', {
      field: 'device',
      expected: 'an integer from 0 to 63',
      got: describeValue(device),
    });
  }
  const threads = options.threads === undefined ? defaultThreads() : checkThreads(options.threads);
  if (options.backend !== undefined && options.backend !== 'cpu') openLibrary(options.backend);
  const exec = new Int32Array(6);
  exec[0] = backend;
  exec[1] = isa;
  exec[2] = threads;
  exec[3] = sync ? 1 : 0;
  exec[4] = device;
  exec[5] = precision;
  return exec;
}

/**
 * What an addon failure becomes: the class that belongs to its code, with the caller's stack; one that was thrown at once
 * has it itself.
 */
function typedError(error: unknown, caller?: Error): unknown {
  if (error instanceof CinefuseError || !(error instanceof Error)) return error;
  const { code, field } = error as Error & { code?: unknown; field?: string };
  if (!isErrorCode(code)) return error;
  const typed = errorFromCode(code, { message: error.message, field: field || undefined });
  const lines = ((caller ?? error).stack ?? '').split('\n').filter((line) => line.startsWith('    at '));
  typed.stack = `${typed.name}: ${typed.message}\n${lines.join('\n')}`;
  return typed;
}

/** @internal One call of the addon, as `execute` and `executeSync` make it. */
export type Invoke<T> = (addon: NativeAddon, exec: NativeExec, cancel: NativeCancel) => NativeResult<T>;

/** One flag and one listener a signal, however many calls it governs. */
const flags = new WeakMap<AbortSignal, Int32Array>();

function cancelFlag(signal: AbortSignal): Int32Array {
  let flag = flags.get(signal);
  if (!flag) {
    const created = new Int32Array(1);
    signal.addEventListener('abort', () => created.fill(1), { once: true });
    flags.set(signal, created);
    flag = created;
  }
  return flag;
}

/** Runs an addon call off the main thread. Everything it throws, at once or later, comes as a rejection. */
export async function execute<T>(options: ExecOptions | undefined, invoke: Invoke<T>): Promise<T> {
  const caller = new Error();
  const signal = options?.signal;
  throwIfCancelled(signal);
  const exec = encodeExec(options ?? {}, false);
  try {
    return await invoke(native(), exec, signal && cancelFlag(signal));
  } catch (error) {
    const typed = typedError(error, caller);
    throw typed instanceof CancelledError ? new CancelledError({ cause: signal?.reason }) : typed;
  }
}

/**
 * Runs an addon call on the calling thread: for work of under some 30 microseconds, where the round trip through
 * libuv's thread pool would cost more than the work.
 */
export function executeSync<T>(options: Omit<ExecOptions, 'signal'> | undefined, invoke: Invoke<T>): T {
  try {
    return invoke(native(), encodeExec(options ?? {}, true), undefined) as T;
  } catch (error) {
    throw typedError(error);
  }
}
