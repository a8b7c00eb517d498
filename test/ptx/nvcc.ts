/** What nvcc makes of the CUDA sources, kept in build/ptx until they change. */
import { execFile, execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '../../..');
const FLAGS = ['-std=c++17', '-O3', '-ptx', '-DCINEFUSE_CUDA_ARCHS=""'];

/** CUDACXX, then the PATH, then a toolkit's own folder. */
export function findNvcc(): string | undefined {
  const { CUDACXX, PATH = '', CUDA_HOME, CUDA_PATH } = process.env;
  const folders = [
    ...PATH.split(path.delimiter),
    ...[CUDA_HOME, CUDA_PATH, '/usr/local/cuda'].map((home) => home && path.join(home, 'bin')),
  ];
  const places = [CUDACXX, ...folders.map((folder) => folder && path.join(folder, 'nvcc'))];
  return places.find((place): place is string => Boolean(place) && existsSync(place!));
}

/** A source and the files of ours that it includes, each once. */
function closure(file: string, found = new Set<string>()): Set<string> {
  if (found.has(file) || !existsSync(file)) return found;
  found.add(file);
  for (const [, name] of readFileSync(file, 'utf8').matchAll(/^\s*#\s*include\s+"([^"]+)"/gm)) {
    if (!name!.startsWith('emulator/')) closure(path.resolve(path.dirname(file), name!), found);
  }
  return found;
}

/** The sources of the device library that define or instantiate kernels. */
export function sourcesWithKernels(): string[] {
  const { cuda } = JSON.parse(readFileSync(path.join(root, 'native/sources.json'), 'utf8')) as {
    cuda: string[];
  };
  return cuda.filter((source) =>
    [...closure(path.join(root, source))].some((file) => readFileSync(file, 'utf8').includes('__global__')),
  );
}

/** The PTX of sources for an architecture ('80'), by source. */
export async function compile(nvcc: string, sources: string[], arch: string): Promise<Map<string, string>> {
  const folder = path.join(root, 'build/ptx');
  mkdirSync(folder, { recursive: true });
  const version = execFileSync(nvcc, ['--version'], { encoding: 'utf8' });
  const texts = new Map<string, string>();
  const waiting = [...sources];
  const worker = async () => {
    for (let source = waiting.shift(); source; source = waiting.shift()) {
      const hash = createHash('sha256').update(JSON.stringify([version, FLAGS, arch]));
      for (const file of closure(path.join(root, source))) hash.update(readFileSync(file));
      const name = `${path.basename(source, '.cu')}.${arch}.${hash.digest('hex').slice(0, 16)}.ptx`;
      const kept = path.join(folder, name);
      if (!existsSync(kept)) {
        const fresh = `${kept}.${process.pid}`;
        await promisify(execFile)(nvcc, [...FLAGS, `-arch=compute_${arch}`, source, '-o', fresh], {
          cwd: root,
        });
        renameSync(fresh, kept);
        const stem = `${path.basename(source, '.cu')}.${arch}.`;
        for (const old of readdirSync(folder)) {
          if (old.startsWith(stem) && old.endsWith('.ptx') && old !== name)
            rmSync(path.join(folder, old), { force: true });
        }
      }
      texts.set(source, readFileSync(kept, 'utf8'));
    }
  };
  await Promise.all(Array.from({ length: Math.min(2, availableParallelism()) }, worker));
  return texts;
}
