import { type CinefuseError, describeValue, InputError, MediaError, throwIfCancelled } from '../errors.js';
import { MediaDecoder } from '../media/decoder.js';
import type { MediaLimits } from '../media/limits.js';
import { classify, discard, type MediaInput, stageFile } from '../media/source.js';
import type { MediaInfo, ScannedVideo } from '../media/types.js';
import type { ExecOptions } from '../ops/exec.js';
import { CellPictures } from './cells.js';
import { type Curve, curveOf, figuresOf, type Look, LookMeter, type PictureFigures } from './figures.js';
import { chooseKeyFrames, type KeyFrame, saveKeyFrames } from './key-frames.js';
import { type Loudness, loudnessOf } from './loudness.js';
import { type Motion, videoMotion } from './motion.js';
import { RHYTHM_SAMPLE_RATE, type Rhythm, rhythmOf } from './rhythm.js';
import { findScenes, type Scene } from './scenes.js';
import { type Flash, findShots, type Shot, type Transition } from './shots.js';

export interface KeyFrameOptions {
  /** 1..256. Default 12. */
  maxCount?: number;
  /** Where the pictures are saved, in the video's own size; not saved where left out. */
  directory?: string;
  /** Default 'jpeg'. */
  format?: 'jpeg' | 'png';
  /** Of JPEG, 1..100. Default 90. */
  quality?: number;
}

export interface TrailerProgress {
  stage: 'sound' | 'pictures' | 'shots' | 'motion' | 'key-frames';
  /** Share of the stage, 0 to 1. */
  done: number;
}

export interface AnalyzeTrailerOptions {
  /** false: none. */
  keyFrames?: KeyFrameOptions | false;
  /** Whether to measure motion. Default true. */
  motion?: boolean;
  /** Whether to look at the sound. Default true. */
  sound?: boolean;
  /** Decodes; stays the caller's. Default: one of its own, with `isolation` and `limits`. */
  decoder?: MediaDecoder;
  isolation?: 'thread' | 'process';
  /** Changes to the limits; `timeoutMs` is an hour here. */
  limits?: Partial<MediaLimits>;
  /** How operators run. */
  exec?: Omit<ExecOptions, 'signal'>;
  /** Name of the input in errors. Default 'trailer'. */
  field?: string;
  signal?: AbortSignal | undefined;
  onProgress?: ((progress: TrailerProgress) => void) | undefined;
}

/** A shot and how it looks. */
export type AnalyzedShot = Shot & Look & { motion?: number };

export interface PictureAnalysis {
  width: number;
  height: number;
  frameRate: number;
  frameCount: number;
  shots: AnalyzedShot[];
  transitions: Transition[];
  flashes: Flash[];
  scenes: Scene[];
  keyFrames: KeyFrame[];
  figures: PictureFigures & { motion?: number };
  /** Every 100 ms; a step without a new picture repeats the one before. */
  curves: {
    brightness: Curve;
    contrast: Curve;
    saturation: Curve;
    /** Mean length of the optical flow, in picture widths a second. */
    motion?: Curve;
    /** The part of it that is the camera's, 0 to 1. */
    camera?: Curve;
  };
}

export interface SoundAnalysis {
  sampleRate: number;
  channels: number;
  durationMs: number;
  loudness: Loudness;
  rhythm: Rhythm;
}

/** Plain data: what JSON.stringify makes of it is all of it. */
export interface TrailerAnalysis {
  format: string;
  durationMs: number;
  /** null for a file without pictures. */
  pictures: PictureAnalysis | null;
  /** null for a file without sound, or where it was not asked for. */
  sound: SoundAnalysis | null;
}

const HOUR_MS = 3_600_000;
/** Gray pictures kept for motion: some three minutes at 24 a second; of longer videos pairs, evenly spread. */
const MAX_GRAY = 4096;

/**
 * Shots, scenes, key frames, light, colour, motion, loudness and rhythm of a video; or of what it has of these.
 *
 * Every picture is decoded once, at a size of 320 pixels, in a worker; key frames once more, in full.
 *
 * @param media  a path, bytes or a stream of a video or sound file, as everywhere
 * @throws InputError  ERR_INPUT_*    the options; ERR_INPUT_FILE: the directory of key frames cannot be written
 * @throws MediaError  ERR_MEDIA_*    as MediaDecoder; ERR_MEDIA_FORMAT also for an image
 * @throws CancelledError ERR_CANCELLED
 * @throws BackendError   ERR_*       as the operators
 *
 * What counts as a cut, fade, dissolve or flash, and how it was tested: docs/trailers.md.
 */
export async function analyzeTrailer(
  media: MediaInput,
  options: AnalyzeTrailerOptions = {},
): Promise<TrailerAnalysis> {
  const { field = 'trailer', signal, isolation, limits } = options;
  const keyFrames = keyFrameOptions(options.keyFrames);
  const source = classify(media, field);
  let own: MediaDecoder | undefined;
  try {
    throwIfCancelled(signal);
    // One job at a time: it has all threads.
    own = options.decoder
      ? undefined
      : new MediaDecoder({
          workers: 1,
          ...(isolation !== undefined && { isolation }),
          limits: { timeoutMs: HOUR_MS, ...limits },
        });
  } catch (error) {
    discard(source);
    throw error;
  }
  const decoder = options.decoder ?? own!;
  try {
    // A stream can be read once, and is looked at several times.
    const staged = await stageFile(source, {
      subject: { field, file: source.kind === 'path' ? source.path : undefined },
      limit: 'maxBytes',
      maxBytes: decoder.limits.maxBytes,
      signal: signal ?? new AbortController().signal,
    }).catch((error: CinefuseError) => {
      throwIfCancelled(signal);
      throw error;
    });
    try {
      return await new Analysis(decoder, { path: staged.path }, field, options, keyFrames).run();
    } finally {
      await staged.release();
    }
  } finally {
    await own?.dispose();
  }
}

type ResolvedKeyFrames = Required<Omit<KeyFrameOptions, 'directory'>> & { directory: string | undefined };

function keyFrameOptions(given: AnalyzeTrailerOptions['keyFrames']): ResolvedKeyFrames | undefined {
  if (given === false) return undefined;
  const { maxCount = 12, directory, format = 'jpeg', quality = 90 } = given ?? {};
  const integer = (name: string, value: number, most: number) => {
    if (Number.isInteger(value) && value >= 1 && value <= most) return;
    throw new InputError('ERR_INPUT_VALUE', {
      field: `keyFrames.${name}`,
      expected: `an integer in 1..${most}`,
      got: describeValue(value),
    });
  };
  integer('maxCount', maxCount, 256);
  integer('quality', quality, 100);
  if (format !== 'jpeg' && format !== 'png') {
    throw new InputError('ERR_INPUT_VALUE', {
      field: 'keyFrames.format',
      expected: "'jpeg' or 'png'",
      got: describeValue(format),
    });
  }
  if (directory !== undefined && (typeof directory !== 'string' || directory === '')) {
    throw new InputError('ERR_INPUT_VALUE', {
      field: 'keyFrames.directory',
      expected: 'a path',
      got: describeValue(directory),
    });
  }
  return { maxCount, directory, format, quality };
}

class Analysis {
  readonly #signal: AbortSignal | undefined;

  constructor(
    private readonly decoder: MediaDecoder,
    private readonly input: { path: string },
    private readonly field: string,
    private readonly options: AnalyzeTrailerOptions,
    private readonly keyFrames: ResolvedKeyFrames | undefined,
  ) {
    this.#signal = options.signal;
  }

  async run(): Promise<TrailerAnalysis> {
    const call = { field: this.field, signal: this.#signal };
    const info = await this.decoder.probe(this.input, call);
    if (info.image) {
      throw new MediaError('ERR_MEDIA_FORMAT', {
        field: this.field,
        file: this.input.path,
        expected: 'a video or a sound file',
        got: `an image (${info.format})`,
      });
    }
    const sound = info.audio && this.options.sound !== false ? await this.#sound() : null;
    const pictures = info.video ? await this.#pictures() : null;
    return {
      format: info.format,
      durationMs: durationOf(info, pictures?.durationMs, sound?.durationMs),
      pictures: pictures?.analysis ?? null,
      sound,
    };
  }

  async #sound(): Promise<SoundAnalysis> {
    const call = { field: this.field, signal: this.#signal };
    const progress = this.#reporter('sound');
    const blocks = await this.decoder.loudness(this.input, {
      ...call,
      onProgress: (done) => progress(done / 2),
    });
    const audio = await this.decoder.audio(this.input, { ...call, sampleRate: RHYTHM_SAMPLE_RATE });
    const rhythm = await rhythmOf(audio, this.options.exec, this.#signal);
    progress(1);
    const { sampleRate, channels, durationMs } = blocks;
    return { sampleRate, channels, durationMs, loudness: loudnessOf(blocks), rhythm };
  }

  async #pictures(): Promise<{ analysis: PictureAnalysis; durationMs: number }> {
    const signal = this.#signal;
    const wantsMotion = this.options.motion !== false;
    const scan = await this.decoder.scan(this.input, {
      field: this.field,
      signal,
      maxGray: wantsMotion ? MAX_GRAY : 0,
      onProgress: this.#reporter('pictures'),
    });
    this.#reporter('pictures')(1);
    const { timesMs, durationMs } = scan;
    const pictures = new CellPictures(scan);
    const shots = await findShots(pictures, timesMs, durationMs, signal, this.#reporter('shots'));
    this.#reporter('shots')(1);
    const motion = wantsMotion ? await this.#motion(scan, shots.shots) : undefined;
    const meter = new LookMeter(pictures);
    const curve = (values: Float32Array, times: Float64Array = timesMs) => curveOf(values, times, durationMs);
    const analysis: PictureAnalysis = {
      width: scan.width,
      height: scan.height,
      frameRate: scan.frameRate,
      frameCount: timesMs.length,
      shots: shots.shots.map((shot) => ({
        ...shot,
        ...meter.over(shot.first, shot.last),
        ...(motion && { motion: meanMotion(motion, shot.startMs, shot.endMs) }),
      })),
      transitions: shots.transitions,
      flashes: shots.flashes,
      scenes: findScenes(pictures, shots.shots, shots.transitions),
      keyFrames: await this.#keyFrames(pictures, scan, shots.shots, shots.flashes),
      figures: {
        ...figuresOf(meter, shots.shots, scan),
        ...(motion && { motion: meanMotion(motion, 0, Number.POSITIVE_INFINITY) }),
      },
      curves: {
        brightness: curve(meter.brightness),
        contrast: curve(meter.contrast),
        saturation: curve(meter.saturation),
        ...(motion && {
          motion: curve(motion.mean, motion.timesMs),
          camera: curve(motion.camera.share, motion.timesMs),
        }),
      },
    };
    return { analysis, durationMs };
  }

  #motion(scan: ScannedVideo, shots: readonly Shot[]): Promise<Motion> {
    return videoMotion(scan.gray, scan.timesMs, {
      shots: shots.flatMap(({ first, last }) => [first, last + 1]),
      exec: this.options.exec,
      signal: this.#signal,
      onProgress: this.#reporter('motion'),
    });
  }

  async #keyFrames(
    pictures: CellPictures,
    scan: ScannedVideo,
    shots: readonly Shot[],
    flashes: readonly Flash[],
  ): Promise<KeyFrame[]> {
    if (!this.keyFrames) return [];
    const { maxCount, directory, ...how } = this.keyFrames;
    const signal = this.#signal;
    const chosen = await chooseKeyFrames(pictures, scan, shots, flashes, maxCount, signal);
    if (directory === undefined || chosen.length === 0) return chosen;
    return saveKeyFrames(this.decoder, this.input, this.field, chosen, {
      ...how,
      directory,
      signal,
      onProgress: this.#reporter('key-frames'),
    });
  }

  #reporter(stage: TrailerProgress['stage']): (done: number) => void {
    const { onProgress } = this.options;
    return (done) => onProgress?.({ stage, done });
  }
}

function durationOf(info: MediaInfo, ...measured: (number | undefined)[]): number {
  const known = measured.filter((ms) => ms !== undefined);
  return known.length > 0 ? Math.max(...known) : (info.durationMs ?? 0);
}

function meanMotion({ mean, timesMs }: Motion, startMs: number, endMs: number): number {
  let sum = 0;
  let count = 0;
  for (let i = 0; i < mean.length; i++) {
    if (timesMs[i]! < startMs || timesMs[i]! >= endMs) continue;
    sum += mean[i]!;
    count++;
  }
  return count === 0 ? 0 : sum / count;
}
