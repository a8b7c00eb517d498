import { allOrThrow, isOfTheSamples, type Unit } from '../encoders/batches.js';
import type { Embedding, EncodeOptions, ModalityEncoder } from '../encoders/embedding.js';
import type { EncoderPool } from '../encoders/pool.js';
import type { ImageEncoderSpec, VideoEncoderSpec } from '../encoders/spec.js';
import { UnitQueue } from '../encoders/unit-queue.js';
import { CinefuseError, InputError, throwIfCancelled } from '../errors.js';
import type { DecodedVideo, VideoFrame } from '../media/types.js';
import type { ExecOptions } from '../ops/exec.js';
import { ImageRunner } from '../poster/image-runner.js';

interface Clip extends Unit {
  frames: VideoFrame[];
}

/**
 * Trailers -> a vector for each sampled frame (an image encoder) or each clip of frames (a video encoder), with the time
 * that it covers. The last clip ends with the video, also where that makes it overlap the one before. Frames go from NV12 or I420 straight through the operator `frames`; batches go across films.
 */
export class TrailerEncoder implements ModalityEncoder<DecodedVideo> {
  readonly spec: ImageEncoderSpec | VideoEncoderSpec;
  readonly #runner: ImageRunner;
  readonly #queue: UnitQueue<Clip>;

  /**
   * @param pool  holds the encoder under the spec's name; stays the caller's
   * @param exec  how the operator `frames` runs
   * @throws ModelError ERR_MODEL_NOT_FOUND  the pool does not hold the encoder
   */
  constructor(parts: {
    spec: ImageEncoderSpec | VideoEncoderSpec;
    pool: EncoderPool;
    exec?: Omit<ExecOptions, 'signal'> | undefined;
  }) {
    this.spec = parts.spec;
    const runner = new ImageRunner(parts.spec, parts.pool, parts.exec ?? {});
    this.#runner = runner;
    this.#queue = new UnitQueue({
      maxBatch: parts.spec.maxBatch,
      dim: parts.spec.dim,
      width: () => runner.width,
      mixCalls: parts.pool.mixCalls,
      run: (batch, signal) =>
        runner.run(
          batch.flatMap(({ frames }) => frames),
          this.spec.modality === 'video' ? batch[0]!.frames.length : undefined,
          signal,
        ),
    });
  }

  /**
   * @param videos  frames in order of time, all of one size within a video
   * @returns per video a (frames, dim) or (clips, dim) sequence; vector i covers startMs[i] to endMs[i], where a frame
   *   lasts until the next one, and a video shorter than a clip
   *   repeats its last frame
   * @throws InputError ERR_INPUT_EMPTY  a video without frames
   * @throws InputError ERR_INPUT_VALUE  a frame too long and thin for the resize; frames of different sizes
   * @throws ShapeError ERR_SHAPE        data of another length than the size says; a size the graph does not take
   * @throws ModelError ERR_MODEL_*      the run
   * @throws CancelledError ERR_CANCELLED
   * @throws DisposedError  ERR_DISPOSED
   */
  async encode(videos: readonly DecodedVideo[], options: EncodeOptions = {}): Promise<Embedding[]> {
    return allOrThrow(await this.encodeEach(videos, options));
  }

  async encodeEach(
    videos: readonly DecodedVideo[],
    options: EncodeOptions = {},
  ): Promise<(Embedding | CinefuseError)[]> {
    throwIfCancelled(options.signal);
    const clips = videos.map((video, sample) => {
      try {
        const field = options.fields?.[sample] ?? `videos[${sample}]`;
        const key = this.#keyOf(video, field);
        return this.#clipsOf(video, sample, key);
      } catch (error) {
        if (isOfTheSamples(error)) return error;
        throw error;
      }
    });
    const { dim } = this.spec;
    const units = clips.flatMap((own) => (own instanceof CinefuseError ? [] : own));
    const lengths = clips.map((own) => (own instanceof CinefuseError ? 0 : own.length));
    const results = await this.#queue.run(units, lengths, options);
    return clips.map((units, i) => {
      const data = results[i]!;
      if (units instanceof CinefuseError) return units;
      if (data instanceof CinefuseError) return data;
      return { data, length: units.length, dim, ...timesOf(videos[i]!, units) };
    });
  }

  /** Everything that must agree within a batch: the size after the transform, and the frames of a whole-video clip. */
  #keyOf(video: DecodedVideo, field: string): string {
    if (!Array.isArray(video.frames) || video.frames.length === 0) {
      throw new InputError('ERR_INPUT_EMPTY', { field, expected: 'at least one frame', got: 'none' });
    }
    const keys = new Set(
      video.frames.map((frame, i) => this.#runner.sizeKey(frame, `${field}.frames[${i}]`)),
    );
    if (keys.size > 1) {
      throw new InputError('ERR_INPUT_VALUE', {
        field,
        expected: 'frames of one shape',
        got: [...keys].join(' and '),
      });
    }
    const whole = this.spec.modality === 'video' && this.spec.clip.frames === 'all';
    return `${[...keys][0]}${whole ? ` x ${video.frames.length}` : ''}`;
  }

  #clipsOf({ frames }: DecodedVideo, sample: number, key: string): Clip[] {
    if (this.spec.modality === 'image') {
      return frames.map((frame, position) => ({ sample, position, length: 1, key, frames: [frame] }));
    }
    const { frames: size, hop = 1 } = this.spec.clip;
    if (size === 'all') {
      // Flow is between two pictures: a single one stands still.
      const whole =
        frames.length === 1 && this.spec.inputs.flow !== undefined ? [frames[0]!, frames[0]!] : frames;
      return [{ sample, position: 0, length: 1, key, frames: whole }];
    }
    const starts: number[] = [];
    for (let start = 0; start + size <= frames.length; start += hop) starts.push(start);
    // The end of the video belongs to a clip too: the last one ends with it.
    const covered = starts.length === 0 ? 0 : starts.at(-1)! + size;
    if (covered < frames.length) starts.push(Math.max(0, frames.length - size));
    return starts.map((start, position) => {
      const part = frames.slice(start, start + size);
      while (part.length < size) part.push(part.at(-1)!);
      return { sample, position, length: 1, key, frames: part };
    });
  }
}

function timesOf(video: DecodedVideo, clips: Clip[]): { startMs: Float64Array; endMs: Float64Array } {
  const { frames, durationMs } = video;
  const endOf = new Map(
    frames.map((frame, i) => [frame, frames[i + 1]?.timestampMs ?? Math.max(durationMs, frame.timestampMs)]),
  );
  return {
    startMs: Float64Array.from(clips, (clip) => clip.frames[0]!.timestampMs),
    endMs: Float64Array.from(clips, (clip) => endOf.get(clip.frames.at(-1)!)!),
  };
}
