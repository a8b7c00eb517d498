/**
 * What nvcc makes of every kernel, run without a GPU: calls.ts launches the kernels on the emulator, which records each
 * launch; the same launches then run from nvcc's PTX on the interpreter of this folder, and must leave device memory
 * as the emulator did.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import test from 'ava';
import { compareMemory } from './compare.js';
import { compile, findNvcc, sourcesWithKernels } from './nvcc.js';
import { type Kernel, type Module, parseModule } from './parse.js';
import { run } from './run.js';
import { readTraces, type TracedLaunch } from './trace.js';
import { translate } from './translate.js';

const ARCHS = ['80', '90'];

/** Rounding differs (nvcc fuses products and sums, and has its own functions): of the largest number near by. */
const TOLERANCE = 1e-4;
/** Kernels whose results are half-precision numbers. */
const HALVES: RegExp[] = [];
/** Kernels that cannot be replayed, and why. */
const EXCEPTIONS = new Map<string, string>();

const nvcc = findNvcc();

async function record(): Promise<TracedLaunch[]> {
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

/** Launches share what they were given: a replay works on a copy. */
function replay(module: Module, kernel: Kernel, launches: TracedLaunch[]) {
  const program = translate(module, kernel);
  let instructions = 0;
  let worst = 0;
  const problems: string[] = [];
  for (const { launch, after, parameterSizes } of launches) {
    const shape = `<<<${launch.grid}, ${launch.block}, ${launch.dynamicShared}>>>`;
    const sizes = kernel.parameters.map((p) => p.size);
    if (String(sizes) !== String(parameterSizes)) {
      problems.push(`parameters of ${sizes} bytes, of ${parameterSizes} in the emulator`);
      break;
    }
    const memory = launch.memory.map((b) => ({ ...b, bytes: b.bytes.slice() }));
    try {
      instructions += run(program, { ...launch, memory });
    } catch (error) {
      problems.push(`${shape}: ${(error as Error).message}`);
      continue;
    }
    const half = HALVES.some((name) => name.test(kernel.name));
    const compared = compareMemory(launch.memory, after, memory, TOLERANCE, half);
    worst = Math.max(worst, compared.worst);
    problems.push(...compared.problems.map((problem) => `${shape}: ${problem}`));
  }
  return { instructions, worst, problems, opcodes: program.opcodes };
}

if (!nvcc) {
  test.skip('KERNELS NOT REPLAYED FROM PTX: no nvcc was found (CUDACXX, PATH, CUDA_HOME, /usr/local/cuda)', (t) =>
    t.pass());
}

for (const arch of nvcc ? ARCHS : []) {
  test.serial(`every kernel's PTX for sm_${arch} leaves memory as the emulator does`, async (t) => {
    t.timeout(10 * 60_000);
    const sources = sourcesWithKernels();
    t.true(sources.length > 0);
    recorded ??= record();
    const [texts, launches] = await Promise.all([compile(nvcc!, sources, arch), recorded]);
    const missing: string[] = [];
    const failures: string[] = [];
    let total = 0;
    const opcodes = new Set<string>();
    const started = performance.now();
    for (const [source, text] of texts) {
      const module = parseModule(text);
      for (const kernel of module.kernels.values()) {
        const name = `${path.basename(source)} ${kernel.name}`;
        const own = launches.filter((launch) => launch.kernel === kernel.name);
        if (own.length === 0) {
          if (!EXCEPTIONS.has(kernel.name)) missing.push(name);
          continue;
        }
        const { instructions, worst, problems, opcodes: used } = replay(module, kernel, own);
        total += instructions;
        for (const op of used) opcodes.add(op);
        t.log(
          `${name}: ${own.length} launches, ${instructions} instructions, differs by ${worst.toExponential(1)}`,
        );
        failures.push(...problems.map((problem) => `${name}${problem}`));
      }
    }
    const seconds = (performance.now() - started) / 1000;
    t.log(
      `${total} thread-instructions of ${opcodes.size} opcodes in ${seconds.toFixed(1)} s for sm_${arch}`,
    );
    t.deepEqual(failures, []);
    for (const name of missing) t.log(`NOT LAUNCHED by calls.ts: ${name}`);
  });
}
