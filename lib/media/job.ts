import {
  CinefuseError,
  type ErrorCode,
  type ErrorDetails,
  errorFromCode,
  isErrorCode,
  MediaError,
} from '../errors.js';
import type { MediaLimits, Subject } from './limits.js';
import type {
  DecodedAudio,
  DecodedVideo,
  FrameSampling,
  LoudnessBlocks,
  MediaInfo,
  RgbImage,
  ScannedVideo,
  TimesSampling,
} from './types.js';

/** What the kinds of call ask for, beside the file. */
export interface JobParameters {
  image: object;
  probe: object;
  video: { sampling: FrameSampling | TimesSampling; maxSide?: number | undefined };
  audio: { sampleRate: number; maxDurationMs?: number | undefined };
  scan: { side: number; graySide: number; maxGray: number };
  loudness: object;
}

export type JobKind = keyof JobParameters;

/** One call, as given to a worker. The file has been checked or written by the caller's side. */
export type JobOf<Kind extends JobKind> = {
  kind: Kind;
  path: string;
  subject: Subject;
  limits: MediaLimits;
  threads: number;
} & JobParameters[Kind];

export type Job = { [Kind in JobKind]: JobOf<Kind> }[JobKind];

export interface JobResults {
  image: RgbImage;
  probe: MediaInfo;
  video: DecodedVideo;
  audio: DecodedAudio;
  scan: ScannedVideo;
  loudness: LoudnessBlocks;
}

export type JobResult = JobResults[JobKind];

/** Between any two steps of a decode; throws once the caller has given the job up. */
export type Checkpoint = () => void;

/** Takes the share of a job that is done, 0 to 1. */
export type Report = (done: number) => void;

/** A job was given up; nobody waits for its outcome any more. */
export class Stopped extends Error {}

/** An error as plain data: classes and private state do not survive the crossing. */
export interface ErrorData {
  code: ErrorCode;
  details: ErrorDetails & { message: string };
}

export type Reply = { ok: true; result: JobResult } | { ok: false; error: ErrorData };

/** Comes any number of times before the reply. */
export interface ProgressMessage {
  done: number;
}

export function toErrorData(error: unknown, subject: Subject): ErrorData {
  const known =
    error instanceof CinefuseError
      ? error
      : new MediaError('ERR_MEDIA_READ', {
          ...subject,
          expected: 'a file that can be decoded',
          got: `the error "${error instanceof Error ? error.message : String(error)}"`,
        });
  const { code, field, file, expected, got, message } = known;
  return { code, details: { field, file, expected, got, message } };
}

export function fromErrorData({ code, details }: ErrorData): CinefuseError {
  return isErrorCode(code) ? errorFromCode(code, details) : new MediaError('ERR_MEDIA_PROCESS', details);
}

type Samples = Uint8Array | Float32Array | Float64Array | Int32Array;

/** The sample arrays of a result, in the order in which they cross. */
export function samplesOf(result: JobResult): Samples[] {
  if ('frames' in result) return result.frames.map((frame) => frame.data);
  if ('samples' in result) return [result.samples];
  if ('cells' in result) {
    return [result.timesMs, result.cells, result.sharpness, result.gray.data, result.gray.indices];
  }
  if ('energies' in result) return [result.energies];
  if ('data' in result) return [result.data];
  return [];
}

/** The result with other sample arrays of the same order in place of its own. */
export function withSamples(result: JobResult, buffers: readonly ArrayBuffer[]): JobResult {
  if ('frames' in result) {
    return {
      ...result,
      frames: result.frames.map((frame, i) => ({ ...frame, data: new Uint8Array(buffers[i]!) })),
    };
  }
  if ('samples' in result) return { ...result, samples: new Float32Array(buffers[0]!) };
  if ('cells' in result) {
    const [times, cells, sharpness, data, indices] = buffers as ArrayBuffer[];
    return {
      ...result,
      timesMs: new Float64Array(times!),
      cells: new Uint8Array(cells!),
      sharpness: new Float32Array(sharpness!),
      gray: { ...result.gray, data: new Uint8Array(data!), indices: new Int32Array(indices!) },
    };
  }
  if ('energies' in result) return { ...result, energies: new Float64Array(buffers[0]!) };
  if ('data' in result) return { ...result, data: new Uint8Array(buffers[0]!) };
  return result;
}
