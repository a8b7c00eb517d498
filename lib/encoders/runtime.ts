import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { ModelError } from '../errors.js';

export type OnnxRuntime = typeof import('onnxruntime-node');

let loading: Promise<OnnxRuntime> | undefined;

/**
 * ONNX Runtime from 1.30 keeps a device number and a data base of its use in the home directory, leaves log files in the
 * temporary one, and reports to its maker, unless the environment says no. We say no, where the user has not said
 * anything. Of use on the main thread only, before the library is loaded: a worker thread's environment is a copy.
 */
export function declineTelemetry(): void {
  process.env.ORT_DISABLE_TELEMETRY ??= '1';
}

/**
 * onnxruntime-node, on first use.
 *
 * @throws ModelError ERR_MODEL_RUNTIME  not installed, or not for this platform
 */
export async function loadRuntime(): Promise<OnnxRuntime> {
  declineTelemetry();
  loading ??= import('onnxruntime-node').then(
    (module: OnnxRuntime & { default?: OnnxRuntime }) => module.default ?? module,
  );
  try {
    return await loading;
  } catch (cause) {
    loading = undefined;
    const missing = (cause as NodeJS.ErrnoException).code === 'ERR_MODULE_NOT_FOUND';
    throw new ModelError('ERR_MODEL_RUNTIME', {
      message: missing
        ? 'Encoders need the optional dependency onnxruntime-node, which is not installed. Run: ONNXRUNTIME_NODE_INSTALL=skip npm install onnxruntime-node'
        : `onnxruntime-node is installed but could not be loaded on ${process.platform}-${process.arch}: ${
            (cause as Error).message
          }. Try: npm rebuild onnxruntime-node, or npm install onnxruntime-node again`,
      expected: 'a working onnxruntime-node',
      got: missing ? 'none' : (cause as Error).message,
      cause,
    });
  }
}

export function runtimeVersion({ env }: OnnxRuntime): string {
  return `onnxruntime-node ${env.versions.node ?? env.versions.common}`;
}

/** Why CUDA cannot be had, as far as this can be told without asking ONNX Runtime (which would print to stderr). */
export function cudaObstacle(): string | undefined {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    return `onnxruntime-node has no CUDA build for ${process.platform}-${process.arch}`;
  }
  const root = dirname(createRequire(import.meta.url).resolve('onnxruntime-node/package.json'));
  const library = join(root, 'bin', 'napi-v6', 'linux', 'x64', 'libonnxruntime_providers_cuda.so');
  if (existsSync(library)) return undefined;
  return 'the CUDA provider of onnxruntime-node is not installed (its install script fetches it: docs/encoders.md, "CUDA")';
}
