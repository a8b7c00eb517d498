import { spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { packageRoot } from '../native.js';
import { cudaCacheFile } from '../ops/backends.js';
import type { Context } from './context.js';
import { EXIT } from './exit.js';

/**
 * `cinefuse build-cuda`: the kernels' library from the sources in the package, into the cache, where the operators find
 * it. The build tool's own output goes to the terminal. Exit code 3 when it did not work.
 */
export async function buildCudaCommand({ arch }: { arch?: string }, { signal }: Context): Promise<number> {
  const script = join(packageRoot(), 'scripts', 'build-cuda.mjs');
  const args = [script, '--out', dirname(cudaCacheFile()), ...(arch === undefined ? [] : ['--arch', arch])];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'inherit', 'inherit'], signal });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  return code === 0 ? EXIT.ok : EXIT.nothingWorked;
}
