/**
 * The thread that owns ONNX sessions: `InferenceSession.run` occupies the thread that calls it, so it is called here.
 * Requests are handled one after another, in the order in which they arrive.
 */
import { parentPort, workerData } from 'node:worker_threads';
import type { InferenceSession, Tensor as OrtTensor } from 'onnxruntime-node';
import type { ParsedDevice } from '../device.js';
import { BackendError, CinefuseError, ModelError } from '../errors.js';
import { type ExpectedFile, readVerified } from './files.js';
import { cudaObstacle, loadRuntime, runtimeVersion } from './runtime.js';
import type { GraphInfo, GraphValue, Tensor } from './tensor.js';
import { traceTime } from '../trace.js';
import { insideNativeCode, toWireError, type WireError, type WorkerReply } from './worker-channel.js';

export interface LoadRequest {
  kind: 'load';
  encoder: string;
  model: ExpectedFile;
  externalData: (ExpectedFile & { location: string })[];
  threads: number;
  device: ParsedDevice;
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

/** Reads ONNX Runtime, so that the first model does not wait for it. */
export interface StartRequest {
  kind: 'start';
}

export type WorkerRequest = StartRequest | LoadRequest | RunRequest | ReleaseRequest;
type Request = { id: number } & WorkerRequest;

const { nativeFlag } = workerData as { nativeFlag: Int32Array };
const sessions = new Map<string, InferenceSession>();

async function load(request: LoadRequest): Promise<LoadResult> {
  const runtime = await loadRuntime();
  const { InferenceSession } = runtime;
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
  const { kind, ordinal } = request.device;
  if (kind !== 'cpu') {
    whyNotCuda = cudaObstacle();
    if (whyNotCuda === undefined) {
      try {
        const cuda = { name: 'cuda', deviceId: ordinal ?? 0 } as const;
        session = await InferenceSession.create(model!, { ...options, executionProviders: [cuda, 'cpu'] });
      } catch (error) {
        whyNotCuda = (error as Error).message.split('\n')[0]!;
      }
    }
    if (session === undefined && kind === 'cuda') {
      throw new BackendError('ERR_BACKEND', {
        message: `CUDA was asked for encoder ${request.encoder} and cannot be had: ${whyNotCuda}. Its device can be chosen apart from the operators': encodersDevice`,
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
    runtime: runtimeVersion(runtime),
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
  const start = traceTime();
  try {
    if (request.kind === 'run') {
      const result = await insideNativeCode(nativeFlag, () => run(request));
      transfer = result.transfer;
      reply = { id: request.id, value: result.value };
    } else if (request.kind === 'load') {
      reply = { id: request.id, value: await insideNativeCode(nativeFlag, () => load(request)) };
    } else if (request.kind === 'start') {
      await insideNativeCode(nativeFlag, loadRuntime);
      reply = { id: request.id, value: undefined };
    } else {
      reply = { id: request.id, value: await insideNativeCode(nativeFlag, releaseAll) };
    }
  } catch (error) {
    reply = { id: request.id, error: wireError(error, request) };
  }
  reply.ran = [start, traceTime()];
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
