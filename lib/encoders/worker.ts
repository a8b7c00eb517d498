/**
 * The thread that owns ONNX sessions: `InferenceSession.run` occupies the thread that calls it, so it is called here.
 * Requests are handled one after another, in the order in which they arrive.
 */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { parentPort, workerData } from 'node:worker_threads';
import type { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import { BackendError, CinefuseError, ModelError } from '../errors.js';
import { type ExpectedFile, readVerified } from './files.js';
import type { GraphInfo, GraphValue, Tensor } from './tensor.js';
import { insideNativeCode, toWireError, type WireError, type WorkerReply } from './worker-channel.js';

export type Device = 'auto' | 'cpu' | 'cuda';

export interface LoadRequest {
  kind: 'load';
  encoder: string;
  model: ExpectedFile;
  externalData: (ExpectedFile & { location: string })[];
  threads: number;
  device: Device;
}

export interface LoadResult extends GraphInfo {
  device: 'cpu' | 'cuda';
  /** Why `auto` did not take CUDA. */
  whyNotCuda?: string;
  runtime: string;
}

export interface RunRequest {
  kind: 'run';
  encoder: string;
  feeds: Record<string, Tensor>;
  outputs: string[];
}

export interface ReleaseRequest {
  kind: 'release';
}

type Request = { id: number } & (LoadRequest | RunRequest | ReleaseRequest);
type OnnxRuntime = typeof import('onnxruntime-node');

const { nativeFlag } = workerData as { nativeFlag: Int32Array };
const sessions = new Map<string, InferenceSession>();
let runtime: OnnxRuntime | undefined;

async function loadRuntime(): Promise<OnnxRuntime> {
  if (runtime !== undefined) return runtime;
  try {
    const module: OnnxRuntime & { default?: OnnxRuntime } = await import('onnxruntime-node');
    runtime = module.default ?? module;
    return runtime;
  } catch (cause) {
    const missing = (cause as NodeJS.ErrnoException).code === 'ERR_MODULE_NOT_FOUND';
    throw new ModelError('ERR_MODEL_RUNTIME', {
      message: missing
        ? 'Encoders need the optional dependency onnxruntime-node, which is not installed. Run: npm install onnxruntime-node'
        : `onnxruntime-node is installed but could not be loaded on ${process.platform}-${process.arch}: ${
            (cause as Error).message
          }. Try: npm rebuild onnxruntime-node, or npm install onnxruntime-node again`,
      expected: 'a working onnxruntime-node',
      got: missing ? 'none' : (cause as Error).message,
      cause,
    });
  }
}

/** Why CUDA cannot be had, as far as this can be told without asking ONNX Runtime (which would print to stderr). */
function cudaObstacle(): string | undefined {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    return `onnxruntime-node has no CUDA build for ${process.platform}-${process.arch}`;
  }
  const root = dirname(createRequire(import.meta.url).resolve('onnxruntime-node/package.json'));
  const library = join(root, 'bin', 'napi-v6', 'linux', 'x64', 'libonnxruntime_providers_cuda.so');
  if (existsSync(library)) return undefined;
  return 'the CUDA provider of onnxruntime-node is not installed (its install script fetches it: docs/encoders.md, "CUDA")';
}

async function load(request: LoadRequest): Promise<LoadResult> {
  const { InferenceSession, env } = await loadRuntime();
  const [model, ...external] = await Promise.all(
    [request.model, ...request.externalData].map((file) => readVerified(file)),
  );
  const options: InferenceSession.SessionOptions = {
    intraOpNumThreads: request.threads,
    interOpNumThreads: 1,
    graphOptimizationLevel: 'all',
    logSeverityLevel: 4,
    externalData: request.externalData.map(({ location }, i) => ({ path: location, data: external[i]! })),
    extra: { session: { intra_op: { allow_spinning: '0' } } },
  };
  let whyNotCuda: string | undefined;
  let session: InferenceSession | undefined;
  if (request.device !== 'cpu') {
    whyNotCuda = cudaObstacle();
    if (whyNotCuda === undefined) {
      try {
        session = await InferenceSession.create(model!, { ...options, executionProviders: ['cuda', 'cpu'] });
      } catch (error) {
        whyNotCuda = (error as Error).message.split('\n')[0]!;
      }
    }
    if (session === undefined && request.device === 'cuda') {
      throw new BackendError('ERR_BACKEND', {
        message: `CUDA was asked for encoder ${request.encoder} and cannot be had: ${whyNotCuda}`,
        field: 'device',
        expected: 'a working CUDA provider of onnxruntime-node',
        got: whyNotCuda,
      });
    }
  }
  const device = session === undefined ? 'cpu' : 'cuda';
  try {
    session ??= await InferenceSession.create(model!, { ...options, executionProviders: ['cpu'] });
  } catch (cause) {
    throw new ModelError('ERR_MODEL_LOAD', {
      field: request.encoder,
      file: request.model.path,
      expected: 'an ONNX graph that ONNX Runtime can run',
      got: (cause as Error).message,
      cause,
    });
  }
  await sessions.get(request.encoder)?.release();
  sessions.set(request.encoder, session);
  return {
    inputs: session.inputMetadata.map(graphValue),
    outputs: session.outputMetadata.map(graphValue),
    device,
    ...(device === 'cpu' && whyNotCuda !== undefined && { whyNotCuda }),
    runtime: `onnxruntime-node ${env.versions.node ?? env.versions.common}`,
  };
}

function graphValue(value: InferenceSession.ValueMetadata): GraphValue {
  if (!value.isTensor) return { name: value.name, type: 'not a tensor', shape: [] };
  return {
    name: value.name,
    type: value.type,
    shape: value.shape.map((size) => (size === '' ? null : size)),
  };
}

async function run(request: RunRequest): Promise<{ value: Record<string, Tensor>; transfer: ArrayBuffer[] }> {
  const { Tensor: OrtTensor } = await loadRuntime();
  const session = sessions.get(request.encoder);
  if (session === undefined) throw new Error(`no session for ${request.encoder}`);
  const feeds: Record<string, OrtTensor> = {};
  for (const [name, { type, data, dims }] of Object.entries(request.feeds)) {
    feeds[name] = new OrtTensor(type, data, dims);
  }
  const results = await session.run(feeds, request.outputs, { logSeverityLevel: 4 });
  const value: Record<string, Tensor> = {};
  const transfer: ArrayBuffer[] = [];
  for (const name of request.outputs) {
    const { type, dims, data } = results[name]!;
    let array = data as Tensor['data'];
    if (array.byteLength !== array.buffer.byteLength) array = array.slice();
    // A half array where the engine has one; ours is the bit pattern everywhere.
    if (type === 'float16' && !(array instanceof Uint16Array)) array = new Uint16Array(array.buffer);
    value[name] = { type, dims: [...dims], data: array } as Tensor;
    transfer.push(array.buffer as ArrayBuffer);
  }
  return { value, transfer };
}

async function releaseAll(): Promise<void> {
  for (const session of sessions.values()) await session.release();
  sessions.clear();
}

async function answer(request: Request): Promise<void> {
  let reply: WorkerReply;
  let transfer: ArrayBuffer[] = [];
  try {
    if (request.kind === 'run') {
      const result = await insideNativeCode(nativeFlag, () => run(request));
      transfer = result.transfer;
      reply = { id: request.id, value: result.value };
    } else if (request.kind === 'load') {
      reply = { id: request.id, value: await insideNativeCode(nativeFlag, () => load(request)) };
    } else {
      reply = { id: request.id, value: await insideNativeCode(nativeFlag, releaseAll) };
    }
  } catch (error) {
    reply = { id: request.id, error: wireError(error, request) };
  }
  parentPort!.postMessage(reply, transfer);
}

function wireError(error: unknown, request: Request): WireError {
  if (error instanceof CinefuseError || request.kind !== 'run') return toWireError(error, 'ERR_MODEL_LOAD');
  const message = error instanceof Error ? error.message : String(error);
  const failure = new ModelError('ERR_MODEL_RUN', {
    field: request.encoder,
    expected: 'a graph that runs on this input',
    got: message,
  });
  return toWireError(failure, 'ERR_MODEL_RUN');
}

let queue: Promise<void> = Promise.resolve();
parentPort!.on('message', (request: Request) => {
  queue = queue.then(() => answer(request));
});
