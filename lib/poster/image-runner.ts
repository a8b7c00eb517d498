import { poolOutput } from '../encoders/embedding.js';
import type { EncoderPool } from '../encoders/pool.js';
import type { ImageEncoderSpec, VideoEncoderSpec } from '../encoders/spec.js';
import type { Tensor } from '../encoders/tensor.js';
import { InputError, ShapeError } from '../errors.js';
import type { RgbImage, VideoFrame } from '../media/types.js';
import type { ExecOptions } from '../ops/exec.js';
import { frameSize, frames } from '../ops/frames.js';
import { traced } from '../trace.js';
import { type ClipShape, flowPlanes } from './flow-planes.js';

/** A picture of a file or of a video. */
export type Picture = RgbImage | VideoFrame;

/** A side that the short-side resize may not exceed: a strip of 1 x 10,000 pixels would become gigabytes. */
const LONGEST_SIDE = 4096;

/** Pictures through an encoder's transform and graph. Posters and frames share it. */
export class ImageRunner {
  readonly #spec: ImageEncoderSpec | VideoEncoderSpec;
  readonly #pool: EncoderPool;
  readonly #exec: Omit<ExecOptions, 'signal'>;

  constructor(
    spec: ImageEncoderSpec | VideoEncoderSpec,
    pool: EncoderPool,
    exec: Omit<ExecOptions, 'signal'>,
  ) {
    this.#spec = spec;
    this.#pool = pool;
    this.#exec = exec;
    pool.graph(spec.name); // an encoder that the pool lacks is an error now, not with the first picture
  }

  /** Batches under way at a time. */
  get width(): number {
    return this.#pool.runsAhead;
  }

  /**
   * The size a picture has after the transform, as a key: pictures of one key fit into one batch.
   *
   * @throws ShapeError ERR_SHAPE        data of another length than the size says
   * @throws InputError ERR_INPUT_VALUE  too long and thin
   */
  sizeKey(picture: Picture, field: string): string {
    const { data, width, height } = picture;
    const format = 'format' in picture ? picture.format : 'rgb24';
    const chroma = Math.ceil(width / 2) * Math.ceil(height / 2) * 2;
    const bytes = format === 'rgb24' ? 3 * width * height : width * height + chroma;
    if (!(data instanceof Uint8Array) || data.length !== bytes || bytes <= 0) {
      throw new ShapeError('ERR_SHAPE', {
        field,
        expected: `${bytes} bytes of ${format} for ${width} x ${height}`,
        got: `${data?.length}`,
      });
    }
    const { resize, crop } = this.#spec.transform;
    if (
      typeof resize === 'number' &&
      (resize * Math.max(width, height)) / Math.min(width, height) > LONGEST_SIDE
    ) {
      throw new InputError('ERR_INPUT_VALUE', {
        field,
        expected: `a picture whose long side is at most ${Math.floor(LONGEST_SIDE / resize)} times the short one`,
        got: `${width} x ${height}`,
      });
    }
    const size = frameSize({ width, height }, crop === undefined ? { resize } : { resize, crop });
    return `${size.height} x ${size.width}`;
  }

  /**
   * @param pictures  of one size after the transform; for a video spec whole clips, one after the other
   * @param clip      pictures in one clip; undefined: each picture is a row of its own
   * @returns (rows, dim)
   */
  async run(
    pictures: Picture[],
    clip: number | undefined,
    signal: AbortSignal | undefined,
  ): Promise<Float32Array> {
    const spec = this.#spec;
    const { resize, crop, filter, rounding, mean, std } = spec.transform;
    const options = { ...this.#exec, signal };
    const data = await traced(this.#pool.trace, 'operators', `frames of ${pictures.length}`, () =>
      frames(pictures, { resize, ...(crop !== undefined && { crop }), filter, rounding, mean, std }, options),
    );
    const { height, width } = frameSize(pictures[0]!, crop === undefined ? { resize } : { resize, crop });
    const rows = clip === undefined ? pictures.length : pictures.length / clip;
    const feeds =
      spec.modality === 'image'
        ? { [spec.inputs.image]: float32([rows, 3, height, width], data) }
        : await this.#clipFeeds(spec, data, { rows, time: clip!, height, width }, options);
    const result = await this.#pool.run(spec.name, feeds, { signal });
    return poolOutput(result[spec.output]!, rows, spec);
  }

  /** What a graph of clips takes of transformed frames: themselves, their flow, or both. */
  async #clipFeeds(
    spec: VideoEncoderSpec,
    data: Float32Array,
    shape: ClipShape,
    options: ExecOptions,
  ): Promise<Record<string, Tensor>> {
    const { rows, time, height, width } = shape;
    const feeds: Record<string, Tensor> = {};
    if (spec.inputs.flow !== undefined && spec.flow !== undefined) {
      const { flow, transform } = spec;
      const label = `flow of ${rows} x ${time}`;
      feeds[spec.inputs.flow] = await traced(this.#pool.trace, 'operators', label, () =>
        flowPlanes(data, shape, transform, flow, options),
      );
    }
    if (spec.inputs.frames !== undefined) {
      feeds[spec.inputs.frames] =
        spec.clip.layout === 'bcthw'
          ? float32([rows, 3, time, height, width], channelsFirst(data, rows, time, height * width))
          : float32([rows, time, 3, height, width], data);
    }
    return feeds;
  }
}

function float32(dims: number[], data: Float32Array): Tensor {
  return { type: 'float32', dims, data };
}

/** (rows, time, 3, plane) -> (rows, 3, time, plane). */
function channelsFirst(data: Float32Array, rows: number, time: number, plane: number): Float32Array {
  const result = new Float32Array(data.length);
  for (let row = 0; row < rows; row++) {
    for (let t = 0; t < time; t++) {
      for (let c = 0; c < 3; c++) {
        const from = ((row * time + t) * 3 + c) * plane;
        result.set(data.subarray(from, from + plane), ((row * 3 + c) * time + t) * plane);
      }
    }
  }
  return result;
}
