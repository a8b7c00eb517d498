/**
 * What nvcc makes of every kernel, run without a GPU: calls.ts launches the kernels on the emulator, which records each
 * launch; the same launches then run from nvcc's PTX on the interpreter of this folder, and must leave device memory
 * as the emulator did.
 *
 * CINEFUSE_PTX_TRACES = a folder: replays the launches that are recorded there instead, of a whole test suite, say,
 * that ran with CINEFUSE_EMULATED_TRACE set to it.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import test from 'ava';
import { compareMemory, type Wide } from './compare.js';
import { compile, findNvcc, sourcesWithKernels } from './nvcc.js';
import { type Kernel, type Module, parseModule } from './parse.js';
import { run } from './run.js';
import { readTraces, type TracedLaunch } from './trace.js';
import { translate } from './translate.js';

const ARCHS = ['80', '90'];

/** Rounding differs: nvcc fuses products and sums, and has functions of its own. Of the largest number near by. */
const TOLERANCE = 2e-5;
/** In logarithms of what is left when nearly all cancels, roundings show more. */
const LOGARITHMS = /mel_(fast|general|scale)_kernel/;
const LOGARITHMS_TOLERANCE = 1e-3;
/** Kernels whose results may be half-precision numbers. */
const HALVES = /frames_(bytes|float|rolling)_kernel/;
/** Kernels that leave sums in float64. */
const DOUBLES = /(squared_norm|sum_parts|element_loss|class_loss|reduce_loss)_kernel/;
/** Kernels that are not replayed, or whose launches change nothing, and why. */
const EXCEPTIONS = new Map([
  [
    '_ZN8cinefuse3gpu12probe_kernelEPi',
    'opening a device launches it with a null pointer: it writes nothing',
  ],
]);

const nvcc = findNvcc();
const given = process.env.CINEFUSE_PTX_TRACES;

async function record(): Promise<TracedLaunch[]> {
  if (given) return readTraces(given);
  const folder = mkdtempSync(path.join(tmpdir(), 'cinefuse-trace-'));
  try {
    const program = fileURLToPath(new URL('./calls.js', import.meta.url));
    await promisify(execFile)(process.execPath, [program], {
      env: { ...process.env, CINEFUSE_EMULATED_TRACE: folder, CINEFUSE_EMULATED_TRACE_LAUNCHES: '6' },
    });
    return readTraces(folder);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
let recorded: Promise<TracedLaunch[]> | undefined;

const wideOf = (kernel: string): Wide =>
  HALVES.test(kernel) ? 'halves' : DOUBLES.test(kernel) ? 'doubles' : undefined;

function replay(module: Module, kernel: Kernel, launches: TracedLaunch[]) {
  const program = translate(module, kernel);
  const result = {
    instructions: 0,
    changed: 0,
    worst: 0,
    problems: [] as string[],
    opcodes: program.opcodes,
  };
  for (const { launch, after, parameterSizes } of launches) {
    const shape = `<<<${launch.grid}, ${launch.block}, ${launch.dynamicShared}>>>`;
    const sizes = kernel.parameters.map((p) => p.size);
    if (String(sizes) !== String(parameterSizes)) {
      result.problems.push(`parameters of ${sizes} bytes, of ${parameterSizes} in the emulator: built anew?`);
      break;
    }
    // Launches share what they were given.
    const memory = launch.memory.map((b) => ({ ...b, bytes: b.bytes.slice() }));
    try {
      result.instructions += run(program, { ...launch, memory });
    } catch (error) {
      result.problems.push(`${shape}: ${(error as Error).message}`);
      continue;
    }
    const tolerance = LOGARITHMS.test(kernel.name) ? LOGARITHMS_TOLERANCE : TOLERANCE;
    const compared = compareMemory(launch.memory, after, memory, tolerance, wideOf(kernel.name));
    result.worst = Math.max(result.worst, compared.worst);
    result.changed += compared.changed;
    result.problems.push(...compared.problems.map((problem) => `${shape}: ${problem}`));
  }
  if (result.changed === 0 && result.problems.length === 0 && !EXCEPTIONS.has(kernel.name))
    result.problems.push('its launches change nothing');
  return result;
}

if (!nvcc) {
  const places = 'CUDACXX, PATH, CUDA_HOME, CUDA_PATH, /usr/local/cuda';
  test.skip(`KERNELS NOT REPLAYED FROM PTX: no nvcc was found (${places})`, (t) => t.pass());
}

for (const arch of nvcc ? ARCHS : []) {
  test.serial(`every kernel's PTX for sm_${arch} leaves memory as the emulator does`, async (t) => {
    t.timeout(10 * 60_000);
    const sources = sourcesWithKernels();
    t.true(sources.length > 0);
    recorded ??= record();
    const [texts, launches] = await Promise.all([compile(nvcc!, sources, arch), recorded]);
    const missing: string[] = [];
    const problems: string[] = [];
    const opcodes = new Set<string>();
    let kernels = 0;
    let instructions = 0;
    const started = performance.now();
    for (const [source, text] of texts) {
      const module = parseModule(text);
      for (const kernel of module.kernels.values()) {
        const name = `${path.basename(source)} ${kernel.name}`;
        const own = launches.filter((launch) => launch.kernel === kernel.name);
        if (own.length === 0) {
          if (!given && !EXCEPTIONS.has(kernel.name)) missing.push(name);
          continue;
        }
        const result = replay(module, kernel, own);
        kernels++;
        instructions += result.instructions;
        for (const op of result.opcodes) opcodes.add(op);
        problems.push(...result.problems.map((problem) => `${name} ${problem}`));
        t.log(
          `${name}: ${own.length} launches, ${result.instructions} instructions, ${result.changed} words changed, differs by ${result.worst.toExponential(1)}`,
        );
      }
    }
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    t.log(
      `sm_${arch}: ${kernels} kernels, ${instructions} thread-instructions of ${opcodes.size} opcodes in ${seconds} s`,
    );
    t.deepEqual(problems, []);
    t.deepEqual(missing, [], 'kernels that no call in test/ptx/calls.ts launches: add one');
  });
}
