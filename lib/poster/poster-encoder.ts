import { allOrThrow, isOfTheSamples, type Unit } from '../encoders/batches.js';
import type { Embedding, EncodeOptions, ModalityEncoder } from '../encoders/embedding.js';
import type { EncoderPool } from '../encoders/pool.js';
import type { ImageEncoderSpec } from '../encoders/spec.js';
import { UnitQueue } from '../encoders/unit-queue.js';
import { CinefuseError, throwIfCancelled } from '../errors.js';
import type { RgbImage } from '../media/types.js';
import type { ExecOptions } from '../ops/exec.js';
import { ImageRunner } from './image-runner.js';

interface Poster extends Unit {
  image: RgbImage;
}

/** Posters -> one vector each. Pictures of many films go through the operator `frames` and the graph together. */
export class PosterEncoder implements ModalityEncoder<RgbImage> {
  readonly spec: ImageEncoderSpec;
  readonly #runner: ImageRunner;
  readonly #queue: UnitQueue<Poster>;

  /**
   * @param pool  holds the encoder under the spec's name; stays the caller's
   * @param exec  how the operator `frames` runs
   * @throws ModelError ERR_MODEL_NOT_FOUND  the pool does not hold the encoder
   */
  constructor(parts: {
    spec: ImageEncoderSpec;
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
          batch.map(({ image }) => image),
          undefined,
          signal,
        ),
    });
  }

  /**
   * @param images  RGB pictures of any sizes
   * @returns per image a (1, dim) embedding
   * @throws ShapeError ERR_SHAPE        data of another length than the size says; a size the graph does not take
   * @throws InputError ERR_INPUT_VALUE  a picture too long and thin for the resize
   * @throws ModelError ERR_MODEL_*      the run
   * @throws CancelledError ERR_CANCELLED
   * @throws DisposedError  ERR_DISPOSED
   */
  async encode(images: readonly RgbImage[], options: EncodeOptions = {}): Promise<Embedding[]> {
    return allOrThrow(await this.encodeEach(images, options));
  }

  async encodeEach(
    images: readonly RgbImage[],
    options: EncodeOptions = {},
  ): Promise<(Embedding | CinefuseError)[]> {
    throwIfCancelled(options.signal);
    const units: Poster[] = [];
    const errors = new Map<number, CinefuseError>();
    images.forEach((image, sample) => {
      try {
        const key = this.#runner.sizeKey(image, options.fields?.[sample] ?? `images[${sample}]`);
        units.push({ sample, position: 0, length: 1, key, image });
      } catch (error) {
        if (!isOfTheSamples(error)) throw error;
        errors.set(sample, error);
      }
    });
    const { dim } = this.spec;
    const lengths = images.map((_, i) => (errors.has(i) ? 0 : 1));
    const results = await this.#queue.run(units, lengths, options);
    return results.map((data, i) => {
      const error = errors.get(i) ?? data;
      return error instanceof CinefuseError ? error : { data: error, length: 1, dim };
    });
  }
}
