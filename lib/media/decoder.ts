import { availableParallelism } from 'node:os';
import { CancelledError, DisposedError, describeValue, InputError, throwIfCancelled } from '../errors.js';
import { decodeImage, probeImage } from './image.js';
import type { Job, JobKind, JobParameters, JobResults, Report } from './job.js';
import type { Lane } from './lane.js';
import { limitError, type MediaLimits, resolveLimits, type Subject, timeoutError } from './limits.js';
import { ProcessLane } from './process-lane.js';
import { Slots } from '../slots.js';
import { sniffImage } from './sniff.js';
import { classify, discard, type MediaInput, readBytes, readHead, stageFile } from './source.js';
import { ThreadLane } from './thread-lane.js';
import { type Trace, traced } from '../trace.js';
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

export interface MediaDecoderOptions {
  /**
   * Where files are decoded. `thread` (the default): images on sharp's threads, video and sound in worker threads.
   * `process`: all in child processes, which are killed on cancellation, time-out or too much memory and whose crash
   * costs the one call only; for files from people you do not trust.
   */
  isolation?: 'thread' | 'process';
  /** Changes to DEFAULT_LIMITS. */
  limits?: Partial<MediaLimits>;
  /** Calls that run at a time, 1..64; the others wait. Default: 2, or 1 on a single core. */
  workers?: number;
  /** Records the decoding. */
  trace?: Trace | undefined;
}

interface CallOptions {
  /** Name of the input in errors, e.g. `trailer`. */
  field: string;
  signal?: AbortSignal | undefined;
}

interface ReportingOptions extends CallOptions {
  /** Takes the share that is done, 0 to 1. */
  onProgress?: Report | undefined;
}

type Source = ReturnType<typeof classify>;
/** A given-up call's clean-up is waited for this long before the caller hears of it. */
const CLEANUP_GRACE_MS = 2000;

/**
 * Decodes images, videos and sound off the calling thread.
 *
 * Workers start on the first call that needs them and do not keep the process alive while idle. All methods may be
 * called at the same time.
 *
 * Every method throws: InputError ERR_INPUT_TYPE, ERR_INPUT_VALUE, ERR_INPUT_EMPTY; MediaError ERR_MEDIA_NOT_FOUND,
 * ERR_MEDIA_READ (damaged, cut off, not a regular file), ERR_MEDIA_FORMAT (of another kind), ERR_MEDIA_EMPTY (nothing
 * of that kind in it), ERR_MEDIA_LIMIT, ERR_MEDIA_TIMEOUT, ERR_MEDIA_PROCESS (its worker died), ERR_MEDIA_RUNTIME
 * (optional dependency missing); CancelledError; DisposedError.
 */
export class MediaDecoder implements AsyncDisposable {
  readonly isolation: 'thread' | 'process';
  readonly limits: Readonly<MediaLimits>;
  readonly #slots: Slots;
  readonly #threads: number;
  readonly #trace: Trace | undefined;
  readonly #idle: Lane[] = [];
  readonly #running = new Set<{ stop(error: Error): void; settled: Promise<unknown> }>();
  #disposed: Promise<void> | undefined;

  /** @throws InputError ERR_INPUT_VALUE, ERR_INPUT_TYPE, ERR_INPUT_UNKNOWN_FIELD */
  constructor(options: MediaDecoderOptions = {}) {
    const cores = availableParallelism();
    const { isolation = 'thread', limits, workers = Math.min(2, cores) } = options;
    if (isolation !== 'thread' && isolation !== 'process') {
      throw new InputError('ERR_INPUT_VALUE', {
        field: 'isolation',
        expected: "'thread' or 'process'",
        got: describeValue(isolation),
      });
    }
    requireInteger('workers', workers, 64);
    this.isolation = isolation;
    this.#trace = options.trace;
    this.limits = Object.freeze(resolveLimits(limits));
    this.#slots = new Slots(workers);
    this.#threads = Math.max(1, Math.min(4, Math.floor(cores / workers)));
  }

  /** An image as upright 8-bit sRGB, alpha laid over white; of an animation the first picture. */
  image(input: MediaInput, o: CallOptions): Promise<RgbImage> {
    return this.#call('image', input, o, {});
  }

  /**
   * Pictures of a video, at exact times.
   *
   * @param o.maxSide  scales pictures down so that the longer side has at most so many pixels: less memory
   */
  async video(
    input: MediaInput,
    o: CallOptions & { sampling: FrameSampling | TimesSampling; maxSide?: number | undefined },
  ): Promise<DecodedVideo> {
    this.#checkSampling(o.field, o.sampling);
    if (o.maxSide !== undefined) requireInteger(`${o.field}.maxSide`, o.maxSide);
    return this.#call('video', input, o, { sampling: o.sampling, maxSide: o.maxSide });
  }

  /**
   * The sound of a sound file or video: mono, resampled.
   *
   * @param o.sampleRate     Hz, 1..768000
   * @param o.maxDurationMs  takes only the beginning; the whole where left out
   */
  async audio(
    input: MediaInput,
    o: CallOptions & { sampleRate: number; maxDurationMs?: number | undefined },
  ): Promise<DecodedAudio> {
    const { field, sampleRate, maxDurationMs } = o;
    requireInteger(`${field}.sampleRate`, sampleRate, 768_000);
    if (maxDurationMs !== undefined && !(maxDurationMs > 0)) {
      throw valueError(`${field}.maxDurationMs`, 'a number above 0', maxDurationMs);
    }
    return this.#call('audio', input, o, { sampleRate, maxDurationMs });
  }

  /**
   * Every picture of a video, scaled down and measured where it is decoded.
   *
   * @param o.side      longer side at which sharpness is measured; default 320
   * @param o.graySide  longer side of the gray pictures; default 160
   * @param o.maxGray   gray pictures to keep; default 0
   */
  async scan(
    input: MediaInput,
    o: ReportingOptions & { side?: number; graySide?: number; maxGray?: number },
  ): Promise<ScannedVideo> {
    const { field, side = 320, graySide = 160, maxGray = 0 } = o;
    requireInteger(`${field}.side`, side);
    requireInteger(`${field}.graySide`, graySide);
    if (maxGray !== 0) requireInteger(`${field}.maxGray`, maxGray);
    return this.#call('scan', input, o, { side, graySide, maxGray });
  }

  /** The sound of a sound file or video, all its channels, as energies of 100 ms after BS.1770's weighting. */
  loudness(input: MediaInput, o: ReportingOptions): Promise<LoudnessBlocks> {
    return this.#call('loudness', input, o, {});
  }

  /** What a file holds, by its header. */
  probe(input: MediaInput, o: CallOptions): Promise<MediaInfo> {
    return this.#call('probe', input, o, {});
  }

  /** Gives up all calls (they throw DisposedError), ends all workers and removes temporary files. */
  dispose(): Promise<void> {
    this.#disposed ??= this.#end();
    return this.#disposed;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  async #end(): Promise<void> {
    const error = disposedError();
    this.#slots.refuseAll(error);
    const running = [...this.#running];
    for (const call of running) call.stop(error);
    await Promise.all(running.map(({ settled }) => settled));
    await Promise.all(this.#idle.splice(0).map((lane) => lane.dispose()));
  }

  async #call<Kind extends JobKind>(
    kind: Kind,
    input: MediaInput,
    { field, signal, onProgress = () => {} }: ReportingOptions,
    parameters: JobParameters[Kind],
  ): Promise<JobResults[Kind]> {
    const source = classify(input, field);
    try {
      if (this.#disposed) throw disposedError();
      throwIfCancelled(signal);
      await this.#slots.acquire(signal);
      if (this.#disposed) {
        this.#slots.release();
        throw disposedError();
      }
    } catch (error) {
      discard(source);
      throw error;
    }
    const subject: Subject = { field, file: source.kind === 'path' ? source.path : undefined };
    return traced(this.#trace, 'decode', `${kind} ${field}`, () =>
      this.#supervise(kind, subject, source, signal, parameters, onProgress),
    );
  }

  /** Runs a call that has its slot, until it is done or given up. */
  async #supervise<Kind extends JobKind>(
    kind: Kind,
    subject: Subject,
    source: Source,
    signal: AbortSignal | undefined,
    parameters: JobParameters[Kind],
    report: Report,
  ): Promise<JobResults[Kind]> {
    const stopping = new AbortController();
    const stopped = new Promise<never>((_, reject) => {
      stopping.signal.addEventListener('abort', async () => {
        discard(source);
        // Normally everything is released by the time the caller hears of it.
        let timer: NodeJS.Timeout | undefined;
        await Promise.race([settled, new Promise((done) => (timer = setTimeout(done, CLEANUP_GRACE_MS)))]);
        clearTimeout(timer);
        reject(stopping.signal.reason);
      });
    });
    const work = this.#work(kind, subject, source, stopping.signal, parameters, report);
    const settled = work.then(
      () => {},
      () => {},
    );
    const call = { stop: (error: Error) => stopping.abort(error), settled };
    this.#running.add(call);
    settled.then(() => {
      this.#running.delete(call);
      discard(source);
      this.#slots.release();
    });
    const cancel = () => stopping.abort(new CancelledError({ cause: signal?.reason }));
    const timer =
      this.limits.timeoutMs < 2 ** 31
        ? setTimeout(() => stopping.abort(timeoutError(subject, this.limits)), this.limits.timeoutMs)
        : undefined;
    if (signal?.aborted) cancel();
    signal?.addEventListener('abort', cancel, { once: true });
    try {
      return await Promise.race([work, stopped]);
    } catch (error) {
      throw stopping.signal.aborted ? stopping.signal.reason : error;
    } finally {
      clearTimeout(timer);
      signal?.removeEventListener('abort', cancel);
    }
  }

  async #work<Kind extends JobKind>(
    kind: Kind,
    subject: Subject,
    source: Source,
    signal: AbortSignal,
    parameters: JobParameters[Kind],
    report: Report,
  ): Promise<JobResults[Kind]> {
    const { limits } = this;
    const imageBounds = { subject, signal, limit: 'maxImageBytes' as const, maxBytes: limits.maxImageBytes };
    const bounds = { subject, signal, limit: 'maxBytes' as const, maxBytes: limits.maxBytes };
    const inProcess = this.isolation === 'process';
    if (kind === 'image' && !inProcess) {
      const bytes = await readBytes(source, imageBounds);
      signal.throwIfAborted();
      return (await decodeImage(bytes, subject, limits)) as JobResults[Kind];
    }
    const { path, release } = await stageFile(source, kind === 'image' ? imageBounds : bounds);
    try {
      signal.throwIfAborted();
      if (kind === 'probe' && !inProcess && sniffImage(await readHead(path, subject))) {
        const bytes = await readBytes({ kind: 'path', path }, imageBounds);
        return (await probeImage(bytes, subject, limits)) as JobResults[Kind];
      }
      const job = { ...parameters, kind, path, subject, limits, threads: this.#threads } as Job;
      return (await this.#runOnLane(job, signal, report)) as JobResults[Kind];
    } finally {
      await release();
    }
  }

  async #runOnLane(job: Job, signal: AbortSignal, report: Report) {
    const lane = this.#idle.pop() ?? (this.isolation === 'thread' ? new ThreadLane() : new ProcessLane());
    const stop = () => lane.stop();
    signal.addEventListener('abort', stop, { once: true });
    try {
      return await lane.run(job, (done) => {
        if (!signal.aborted) report(done);
      });
    } finally {
      signal.removeEventListener('abort', stop);
      this.#idle.push(lane);
    }
  }

  /** @throws InputError, MediaError ERR_MEDIA_LIMIT (maxFrames) */
  #checkSampling(field: string, sampling: FrameSampling | TimesSampling): void {
    const name = `${field}.sampling`;
    const kind: unknown = (sampling as FrameSampling | undefined)?.kind;
    if (kind !== 'uniform' && kind !== 'fps' && kind !== 'keyframes' && kind !== 'times') {
      throw valueError(`${name}.kind`, "'uniform', 'fps', 'keyframes' or 'times'", kind);
    }
    if (sampling.kind === 'times') {
      const { timesMs } = sampling;
      const ascending = timesMs.every((time, i) => Number.isFinite(time) && !(time < timesMs[i - 1]!));
      if (!ascending) throw valueError(`${name}.timesMs`, 'finite times in ascending order', timesMs);
    }
    if (sampling.kind === 'fps' && !(sampling.fps > 0 && sampling.fps < Number.POSITIVE_INFINITY)) {
      throw valueError(`${name}.fps`, 'a number above 0', sampling.fps);
    }
    const [counter, count] =
      sampling.kind === 'uniform'
        ? ['count', sampling.count]
        : sampling.kind === 'times'
          ? ['timesMs.length', sampling.timesMs.length]
          : ['maxCount', sampling.maxCount];
    requireInteger(`${name}.${counter}`, count);
    if (count > this.limits.maxFrames) {
      throw limitError({ field: `${name}.${counter}` }, 'maxFrames', this.limits.maxFrames, String(count));
    }
  }
}

function disposedError(): DisposedError {
  return new DisposedError('ERR_DISPOSED', { message: 'This MediaDecoder has been disposed' });
}

function valueError(field: string, expected: string, got: unknown): InputError {
  return new InputError('ERR_INPUT_VALUE', { field, expected, got: describeValue(got) });
}

function requireInteger(field: string, value: number, max = Number.MAX_SAFE_INTEGER): void {
  if (Number.isInteger(value) && value >= 1 && value <= max) return;
  const range = max === Number.MAX_SAFE_INTEGER ? 'of 1 or more' : `in 1..${max}`;
  throw valueError(field, `an integer ${range}`, value);
}
