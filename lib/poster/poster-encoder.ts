import { allOrThrow, isOfTheSamples, planBatches, runBatches, type Unit } from '../encoders/batches.js';
import type { Embedding, EncodeOptions, ModalityEncoder } from '../encoders/embedding.js';
import type { EncoderPool } from '../encoders/pool.js';
import type { ImageEncoderSpec } from '../encoders/spec.js';
import { CinefuseError, throwIfCancelled } from '../errors.js';
import type { RgbImage } from '../media/types.js';
import type { ExecOptions } from '../ops/exec.js';
import { ImageRunner } from './image-runner.js';

/** Posters -> one vector each. Pictures of many films go through the operator `frames` and the graph together. */
export class PosterEncoder implements ModalityEncoder<RgbImage> {
  readonly spec: ImageEncoderSpec;
  readonly #runner: ImageRunner;

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
    this.#runner = new ImageRunner(parts.spec, parts.pool, parts.exec ?? {});
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
    const bySize = new Map<string, Unit[]>();
    const errors = new Map<number, CinefuseError>();
    images.forEach((image, sample) => {
      try {
        const key = this.#runner.sizeKey(image, options.fields?.[sample] ?? `images[${sample}]`);
        const group = bySize.get(key) ?? [];
        group.push({ sample, position: 0, length: 1 });
        bySize.set(key, group);
      } catch (error) {
        if (!isOfTheSamples(error)) throw error;
        errors.set(sample, error);
      }
    });
    const batches = [...bySize.values()].flatMap((group) => planBatches(group, this.spec.maxBatch));
    const { dim } = this.spec;
    const results = await runBatches(
      batches,
      images.map((_, i) => (errors.has(i) ? 0 : 1)),
      dim,
      (batch) =>
        this.#runner.run(
          batch.map(({ sample }) => images[sample]!),
          undefined,
          options.signal,
        ),
      { width: this.#runner.width, signal: options.signal, onProgress: options.onProgress },
    );
    return results.map((data, i) => {
      const error = errors.get(i) ?? data;
      return error instanceof CinefuseError ? error : { data: error, length: 1, dim };
    });
  }
}
