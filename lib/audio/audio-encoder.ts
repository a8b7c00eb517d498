import { allOrThrow, isOfTheSamples, type Unit } from '../encoders/batches.js';
import {
  type Embedding,
  type EncodeOptions,
  type ModalityEncoder,
  poolOutput,
} from '../encoders/embedding.js';
import type { EncoderPool } from '../encoders/pool.js';
import type { AudioEncoderSpec } from '../encoders/spec.js';
import { UnitQueue } from '../encoders/unit-queue.js';
import { CinefuseError, describeValue, InputError, throwIfCancelled } from '../errors.js';
import type { DecodedAudio } from '../media/types.js';
import type { ExecOptions } from '../ops/exec.js';
import { traced } from '../trace.js';
import { type Features, FrontEnd } from './front-end.js';

interface Window extends Unit {
  features: Features;
}

/**
 * Sound -> a vector for each window, with the time that it covers. The front end (the operator `mel`, or the samples
 * as they are) runs clip by clip, the graph on batches of windows across films.
 */
export class AudioEncoder implements ModalityEncoder<DecodedAudio> {
  readonly spec: AudioEncoderSpec;
  readonly #pool: EncoderPool;
  readonly #frontEnd: FrontEnd;
  readonly #queue: UnitQueue<Window>;

  private constructor(spec: AudioEncoderSpec, pool: EncoderPool, frontEnd: FrontEnd) {
    this.spec = spec;
    this.#pool = pool;
    this.#frontEnd = frontEnd;
    this.#queue = new UnitQueue({
      maxBatch: spec.maxBatch,
      dim: spec.dim,
      width: () => pool.runsAhead,
      mixCalls: pool.mixCalls,
      run: (batch, signal) => this.#run(batch, signal),
    });
  }

  /**
   * @param pool  holds the encoder under the spec's name; stays the caller's
   * @param exec  how the operator `mel` runs
   * @throws ModelError ERR_MODEL_NOT_FOUND  the pool does not hold the encoder
   * @throws InputError ERR_INPUT_VALUE      mel settings that the operator does not take
   */
  static async create(parts: {
    spec: AudioEncoderSpec;
    pool: EncoderPool;
    exec?: Omit<ExecOptions, 'signal'> | undefined;
  }): Promise<AudioEncoder> {
    const { spec, pool, exec = {} } = parts;
    pool.graph(spec.name);
    return new AudioEncoder(spec, pool, await FrontEnd.create(spec.frontEnd, exec));
  }

  /** Hz at which `encode` wants its samples. */
  get sampleRate(): number {
    return this.spec.frontEnd.sampleRate;
  }

  /**
   * @param clips  mono, in [-1, 1], at `sampleRate`
   * @returns per clip a (windows, dim) sequence. A clip under one window is filled with silence; whether a last window
   *   that the clip does not fill is filled or left out is the spec's `tail`.
   * @throws InputError ERR_INPUT_EMPTY  a clip without samples
   * @throws InputError ERR_INPUT_VALUE  another sample rate, a sample that is not finite
   * @throws ModelError ERR_MODEL_*      the run
   * @throws CancelledError ERR_CANCELLED
   * @throws DisposedError  ERR_DISPOSED
   */
  async encode(clips: readonly DecodedAudio[], options: EncodeOptions = {}): Promise<Embedding[]> {
    return allOrThrow(await this.encodeEach(clips, options));
  }

  async encodeEach(
    clips: readonly DecodedAudio[],
    options: EncodeOptions = {},
  ): Promise<(Embedding | CinefuseError)[]> {
    throwIfCancelled(options.signal);
    const prepared: (Features | CinefuseError)[] = [];
    for (const [i, clip] of clips.entries()) {
      const field = options.fields?.[i] ?? `clips[${i}]`;
      try {
        this.#check(clip, field);
        prepared.push(
          await traced(this.#pool.trace, 'operators', 'mel', () =>
            this.#frontEnd.features(clip.samples, field, options.signal),
          ),
        );
      } catch (error) {
        if (!isOfTheSamples(error)) throw error;
        prepared.push(error);
      }
    }
    const units = prepared.flatMap((features, sample): Window[] =>
      features instanceof CinefuseError
        ? []
        : Array.from({ length: features.windows }, (_, position) => ({
            sample,
            position,
            length: 1,
            features,
          })),
    );
    const { dim } = this.spec;
    const lengths = prepared.map((features) => (features instanceof CinefuseError ? 0 : features.windows));
    const results = await this.#queue.run(units, lengths, options);
    return prepared.map((features, i) => {
      const data = results[i]!;
      if (features instanceof CinefuseError) return features;
      if (data instanceof CinefuseError) return data;
      return { data, length: features.windows, dim, ...this.#times(clips[i]!, features.windows) };
    });
  }

  #check(clip: DecodedAudio, field: string): void {
    if (!(clip.samples instanceof Float32Array) || clip.samples.length === 0) {
      const got = describeValue(clip.samples);
      throw new InputError('ERR_INPUT_EMPTY', { field, expected: 'samples as a Float32Array', got });
    }
    if (clip.sampleRate !== this.sampleRate) {
      throw new InputError('ERR_INPUT_VALUE', {
        field: `${field}.sampleRate`,
        expected: `${this.sampleRate} Hz, which encoder ${this.spec.name} takes`,
        got: `${clip.sampleRate} Hz`,
      });
    }
  }

  #times(clip: DecodedAudio, windows: number): { startMs: Float64Array; endMs: Float64Array } {
    const toMs = (sample: number) =>
      clip.startMs + (1000 * Math.min(sample, clip.samples.length)) / clip.sampleRate;
    return {
      startMs: Float64Array.from({ length: windows }, (_, i) => toMs(this.#frontEnd.span(i).start)),
      endMs: Float64Array.from({ length: windows }, (_, i) => toMs(this.#frontEnd.span(i).end)),
    };
  }

  async #run(batch: Window[], signal: AbortSignal): Promise<Float32Array> {
    const { name, inputs, output, frontEnd } = this.spec;
    const { windowRows, hopRows, rowLength } = this.#frontEnd.shape;
    const size = windowRows * rowLength;
    const data = new Float32Array(batch.length * size);
    const axes: readonly string[] = frontEnd.axes;
    const melsFirst = axes.includes('mels') && axes.indexOf('mels') < axes.indexOf('frames');
    batch.forEach(({ position, features }, row) => {
      const from = position * hopRows * rowLength;
      const window = features.data.subarray(from, from + size);
      const target = data.subarray(row * size, (row + 1) * size);
      if (melsFirst) transpose(window, rowLength, target);
      else target.set(window);
    });
    const sizes: Record<string, number> = {
      batch: batch.length,
      channel: 1,
      samples: windowRows,
      frames: windowRows,
      mels: rowLength,
    };
    const dims = axes.map((axis) => sizes[axis]!);
    const result = await this.#pool.run(
      name,
      { [inputs.audio]: { type: 'float32', dims, data } },
      { signal },
    );
    return poolOutput(result[output]!, batch.length, this.spec);
  }

  /** Frees the prepared front end; the pool stays the caller's. */
  dispose(): void {
    this.#frontEnd.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** (rows, columns) -> (columns, rows). */
function transpose(source: Float32Array, columns: number, target: Float32Array): void {
  const rows = source.length / columns;
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) target[j * rows + i] = source[i * columns + j]!;
  }
}
