import { availableParallelism, cpus, totalmem } from 'node:os';
import { cudaObstacle, loadRuntime, runtimeVersion } from '../encoders/runtime.js';
import { CinefuseError } from '../errors.js';
import { type NativeInfo, native } from '../native.js';
import { type CudaState, defaultIsa, defaultThreads, findCuda } from '../ops/index.js';
import { EXIT } from './exit.js';
import { columnsOf, padEnd, styleFor, wrap } from './terminal.js';

interface Devices {
  machine: { cpu: string; cores: number; memoryBytes: number; platform: string; node: string };
  operators:
    | (Pick<NativeInfo, 'isas' | 'backends' | 'compiler' | 'optimized'> & {
        isa: string;
        threads: number;
        cuda: CudaState;
      })
    | { problem: string };
  encoders: { runtime: string; whyNotCuda?: string } | { problem: string };
  media: { images: string; video: string };
  environment: Record<string, string>;
}

/** What cinefuse reads from the environment, where it is set. */
const VARIABLES = [
  'CINEFUSE_ISA',
  'CINEFUSE_THREADS',
  'CINEFUSE_NATIVE_PATH',
  'CINEFUSE_CUDA_LIBRARY',
  'CINEFUSE_CUDA_MEMORY_MB',
  'CUDA_VISIBLE_DEVICES',
  'UV_THREADPOOL_SIZE',
];

const problem = (error: unknown) => (error instanceof CinefuseError ? error.message : String(error));

async function operators(): Promise<Devices['operators']> {
  try {
    const cuda = await findCuda();
    const { isas, backends, compiler, optimized } = native().info();
    return {
      isa: defaultIsa(),
      threads: defaultThreads(),
      isas,
      backends: cuda.whyNot === undefined ? backends : backends.filter((name) => name !== 'cuda'),
      compiler,
      optimized,
      cuda,
    };
  } catch (error) {
    return { problem: problem(error) };
  }
}

async function encoders(): Promise<Devices['encoders']> {
  try {
    const runtime = await loadRuntime();
    const whyNotCuda = cudaObstacle();
    return { runtime: runtimeVersion(runtime), ...(whyNotCuda !== undefined && { whyNotCuda }) };
  } catch (error) {
    return { problem: problem(error) };
  }
}

async function images(): Promise<string> {
  try {
    const { versions } = (await import('sharp')).default;
    return `sharp ${versions.sharp} (libvips ${versions.vips})`;
  } catch {
    return 'sharp is not installed: no posters';
  }
}

async function video(): Promise<string> {
  try {
    const { getFFmpegInfo } = await import('node-av/lib');
    return `node-av with FFmpeg ${getFFmpegInfo().version}`;
  } catch {
    return 'node-av is not installed: no trailers, no sound';
  }
}

function text(devices: Devices): string {
  const style = styleFor(process.stdout);
  const width = columnsOf(process.stdout) - 18;
  const lines: string[] = [];
  const put = (label: string, value: string) => {
    const [first = '', ...rest] = wrap(value, width);
    lines.push(`  ${padEnd(label, 14)}  ${first}`, ...rest.map((line) => `${' '.repeat(18)}${line}`));
  };
  const { machine, operators, encoders, media, environment } = devices;
  lines.push(style.bold('Machine'));
  put('processor', `${machine.cpu}, ${machine.cores} cores for this process`);
  put('memory', `${(machine.memoryBytes / 2 ** 30).toFixed(1)} GiB`);
  put('platform', `${machine.platform}, Node ${machine.node}`);
  lines.push('', style.bold('Operators (native addon)'));
  if ('problem' in operators) put(style.bad('not available'), operators.problem);
  else {
    put('instructions', `${operators.isa} (this processor has ${operators.isas.join(', ')})`);
    put('threads', String(operators.threads));
    put('backends', operators.backends.join(', '));
    const { library, devices, whyNot } = operators.cuda;
    if (library) put('CUDA kernels', `${library.file} (${library.toolkit}, for ${library.archs})`);
    for (const gpu of devices) {
      const { ordinal, name, computeCapability, memoryBytes, driver, usable, reason } = gpu;
      const version = `${Math.floor(driver / 1000)}.${Math.floor((driver % 1000) / 10)}`;
      const what = `${name}, compute capability ${computeCapability}, ${(memoryBytes / 2 ** 30).toFixed(1)} GiB, driver for CUDA ${version}`;
      put(`cuda:${ordinal}`, usable ? what : `${what}: ${style.bad('cannot be used')}: ${reason}`);
    }
    if (whyNot !== undefined) put('why not CUDA', whyNot);
    put(
      'built with',
      `${/^\d/.test(operators.compiler) ? 'GCC ' : ''}${operators.compiler}${operators.optimized ? '' : ', NOT OPTIMISED'}`,
    );
  }
  lines.push('', style.bold('Encoders (ONNX Runtime)'));
  if ('problem' in encoders) put(style.bad('not available'), encoders.problem);
  else {
    put('runtime', encoders.runtime);
    put('CUDA', encoders.whyNotCuda ? `no: ${encoders.whyNotCuda}` : 'installed; --device cuda tries it');
  }
  lines.push('', style.bold('Media'));
  put('images', media.images);
  put('video, sound', media.video);
  const set = Object.entries(environment);
  if (set.length > 0) lines.push('', style.bold('Set in the environment'));
  for (const [name, value] of set) put(name, value);
  return `${lines.join('\n')}\n`;
}

/** `cinefuse devices`: what there is to compute with. Exit code 3 when films cannot be predicted with it. */
export async function devicesCommand({ json }: { json?: boolean }): Promise<number> {
  const devices: Devices = {
    machine: {
      cpu: cpus()[0]?.model.trim() ?? 'unknown',
      cores: availableParallelism(),
      memoryBytes: totalmem(),
      platform: `${process.platform}-${process.arch}`,
      node: process.version,
    },
    operators: await operators(),
    encoders: await encoders(),
    media: { images: await images(), video: await video() },
    environment: Object.fromEntries(
      VARIABLES.flatMap((name) => (process.env[name] ? [[name, process.env[name] as string]] : [])),
    ),
  };
  process.stdout.write(json ? `${JSON.stringify(devices, null, 2)}\n` : text(devices));
  return 'problem' in devices.operators || 'problem' in devices.encoders ? EXIT.nothingWorked : EXIT.ok;
}
