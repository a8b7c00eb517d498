import { describeValue, InputError } from '../errors.js';
import { type ExecOptions, execute, executeSync } from './exec.js';

/** In the order of `enum class ResizeFilter` in native/ops/frames/frames.h. */
const FILTERS = ['bilinear', 'bicubic', 'lanczos', 'box', 'bilinear-noaa'] as const;
/** 'bilinear-noaa' takes two samples however much it shrinks; the others widen with the shrinking (antialiased). */
export type FrameFilter = (typeof FILTERS)[number];
const ROUNDINGS = ['uint8', 'float'] as const;
const FORMATS = ['rgb24', 'rgba', 'gray', 'nv12', 'i420'] as const;
const MATRICES = ['bt601', 'bt709'] as const;
const RANGES = ['limited', 'full'] as const;
const CHROMAS = ['nearest', 'bilinear-left', 'bilinear-center'] as const;
/**
 * Where chroma samples lie: 'nearest' repeats each over its 2 x 2 pixels; 'bilinear-left' has them on the even columns,
 * between rows (H.264's default); 'bilinear-center' between columns and rows (JPEG's).
 */
export type ChromaSiting = (typeof CHROMAS)[number];
const OUTPUTS = { float32: 0, float16: 1, rgb24: 2 } as const;

interface Picture {
  /** Rows from top to bottom, `pitch` bytes apart; planes one after the other. */
  data: Uint8Array;
  width: number;
  height: number;
  /** Bytes from row to row of the first plane. Default: no padding. What padding holds never shows. */
  pitch?: number;
}
export interface RgbInput extends Picture {
  format?: 'rgb24';
}
export interface RgbaInput extends Picture {
  format: 'rgba';
  /** R, G, B under the transparent parts, 0..255. Default black. Mixed in 8 bits, rounded to nearest. */
  background?: readonly [number, number, number];
}
export interface GrayInput extends Picture {
  format: 'gray';
}
/** 8-bit YUV 4:2:0: the luma plane, then interleaved UV (nv12) or U and V planes (i420) of ⌈height/2⌉ rows. */
export interface YuvInput extends Picture {
  format: 'nv12' | 'i420';
  matrix: 'bt601' | 'bt709';
  range: 'limited' | 'full';
  /** Default 'nearest'. */
  chroma?: ChromaSiting;
  /** Bytes from row to row of the chroma planes. Default: `pitch` for nv12, half of it for i420. */
  chromaPitch?: number;
}
/** A frame of a decoder that gives several formats: `matrix` and `range` count for nv12 and i420 only. */
export interface DecodedInput extends Picture {
  format: 'nv12' | 'i420' | 'rgb24';
  matrix: 'bt601' | 'bt709';
  range: 'limited' | 'full';
}
export type FrameInput = RgbInput | RgbaInput | GrayInput | YuvInput | DecodedInput;

/** HWC, R G B, no padding. */
export interface RgbPicture {
  data: Uint8Array;
  width: number;
  height: number;
}

export interface ResizeTransform {
  /** n: the short side becomes n, the long one ⌊n·long/short⌋; [height, width]: exactly. Default: not resized. */
  resize?: number | readonly [number, number] | undefined;
  /** n or [height, width]: from the middle; beyond the picture's edges it is black. Default: not cropped. */
  crop?: number | readonly [number, number] | undefined;
  /** Default 'bilinear'. */
  filter?: FrameFilter;
}

export interface FrameTransform extends ResizeTransform {
  /** 'uint8': Pillow's arithmetic, bit for bit; 'float': nothing rounded or clamped. Default 'uint8'. */
  rounding?: 'uint8' | 'float';
  /** Of the values 0..255. Default 1/255. */
  scale?: number;
  /** Of R, G, B, after `scale`. */
  mean: readonly [number, number, number];
  std: readonly [number, number, number];
}

export interface FramesOptions extends ExecOptions {
  /** 'float16' gives IEEE half-precision bits. Default 'float32'. */
  dtype?: 'float32' | 'float16';
  /** Written instead of a new array: (n, 3, h, w) values. */
  out?: Float32Array | Uint16Array;
}

function choice(list: readonly string[], value: unknown, field: string): number {
  const index = list.indexOf(value as string);
  if (index < 0) {
    throw new InputError('ERR_INPUT_VALUE', {
      field,
      expected: `one of ${list.join(', ')}`,
      got: describeValue(value),
    });
  }
  return index;
}

function integer(value: unknown, field: string, least = 1): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < least || value > 0x7fffffff) {
    throw new InputError(typeof value === 'number' ? 'ERR_INPUT_VALUE' : 'ERR_INPUT_TYPE', {
      field,
      expected: `an integer from ${least}`,
      got: describeValue(value),
    });
  }
  return value;
}

/** [height, width] of `resize` and `crop`; a missing one is [0, 0], a short side n is [n, 0]. */
function sides(value: unknown, field: string, oneMeans: 'short side' | 'square'): [number, number] {
  if (value === undefined) return [0, 0];
  if (Array.isArray(value)) {
    if (value.length === 2) return [integer(value[0], field), integer(value[1], field)];
  } else if (typeof value === 'number') {
    return [integer(value, field), oneMeans === 'square' ? value : 0];
  }
  throw new InputError('ERR_INPUT_TYPE', {
    field,
    expected: 'an integer or [height, width]',
    got: describeValue(value),
  });
}

function triple(value: unknown, field: string): [number, number, number] {
  if (!Array.isArray(value) || value.length !== 3 || value.some((x) => typeof x !== 'number')) {
    throw new InputError('ERR_INPUT_TYPE', {
      field,
      expected: 'three numbers, for R, G and B',
      got: describeValue(value),
    });
  }
  return value as [number, number, number];
}

/** The integers by which the addon knows an image, in the order of native/ops/frames/frames_node.cc. */
function describe(image: FrameInput, field: string): number[] {
  if (typeof image !== 'object' || image === null) {
    throw new InputError('ERR_INPUT_TYPE', {
      field,
      expected: 'an image { data, width, height }',
      got: describeValue(image),
    });
  }
  const format = choice(FORMATS, image.format ?? 'rgb24', `${field}.format`);
  const result = [
    format,
    integer(image.width, `${field}.width`),
    integer(image.height, `${field}.height`),
    image.pitch === undefined ? 0 : integer(image.pitch, `${field}.pitch`),
  ];
  if (image.format === 'nv12' || image.format === 'i420') {
    const { chroma = 'nearest', chromaPitch } = image as YuvInput;
    result.push(
      chromaPitch === undefined ? 0 : integer(chromaPitch, `${field}.chromaPitch`),
      choice(MATRICES, image.matrix, `${field}.matrix`),
      choice(RANGES, image.range, `${field}.range`),
      choice(CHROMAS, chroma, `${field}.chroma`),
    );
  } else result.push(0, 0, 0, 0);
  if (image.format === 'rgba' && image.background !== undefined) {
    for (const level of triple(image.background, `${field}.background`)) {
      const whole = integer(level, `${field}.background`, 0);
      if (whole > 255) {
        throw new InputError('ERR_INPUT_VALUE', {
          field: `${field}.background`,
          expected: 'levels 0..255',
          got: describeValue(level),
        });
      }
      result.push(whole);
    }
  } else result.push(0, 0, 0);
  return result;
}

const NO_NORMALISATION = { scale: 1, mean: [0, 0, 0], std: [1, 1, 1] } as const;

async function run<T>(
  images: readonly FrameInput[],
  transform: FrameTransform,
  output: number,
  options: ExecOptions,
  out: Float32Array | Uint16Array | Uint8Array | undefined,
): Promise<T> {
  if (!Array.isArray(images)) {
    throw new InputError('ERR_INPUT_TYPE', {
      field: 'images',
      expected: 'an array of images',
      got: describeValue(images),
    });
  }
  if (images.length === 0) {
    throw new InputError('ERR_INPUT_EMPTY', { field: 'images', expected: 'at least 1 image', got: 'none' });
  }
  const descriptions = Int32Array.from(images.flatMap((image, i) => describe(image, `images[${i}]`)));
  const [resizeH, resizeW] = sides(transform.resize, 'resize', 'short side');
  const [cropH, cropW] = sides(transform.crop, 'crop', 'square');
  const filter = choice(FILTERS, transform.filter ?? 'bilinear', 'filter');
  const rounding = choice(ROUNDINGS, transform.rounding ?? 'uint8', 'rounding');
  const scale = transform.scale ?? 1 / 255;
  const mean = triple(transform.mean, 'mean');
  const std = triple(transform.std, 'std');
  const data = images.map((image) => image.data);
  return execute(
    options,
    (addon, exec, cancel) =>
      addon.frames(
        exec,
        cancel,
        data,
        descriptions,
        resizeH,
        resizeW,
        cropH,
        cropW,
        filter,
        rounding,
        scale,
        ...mean,
        ...std,
        output,
        out,
      ) as T | Promise<T>,
  );
}

/**
 * Pictures to the planes an image encoder takes: to RGB, resize, centre crop, normalise; one pass, in parallel over
 * pictures and rows.
 *
 *   y[n][c][i][j] = (scale · Σ_t Σ_s V[i][t]·H[j][s]·rgb[t][s][c] - mean[c]) / std[c]
 *
 * @param images  n pictures of one or of different sizes, that all come out equally large
 * @returns (n, 3, h, w), row-major; h and w as `frameSize` says
 * @throws InputError ERR_INPUT_TYPE   not an image, not a Uint8Array, not numbers
 * @throws InputError ERR_INPUT_VALUE  an unknown name, a side below 1, a mean that is not finite, a std not above 0
 * @throws InputError ERR_INPUT_EMPTY  no image
 * @throws ShapeError ERR_SHAPE        data of another length, outputs of different sizes, `out` of another length
 *
 * 'uint8' equals Pillow's resize byte for byte (its normalisation: within 1e-6); 'float' is within 1e-5 of float64, any
 * instruction set. YUV becomes RGB in 0..1, clamped, before it is resized; for 'uint8' rounded to 8 bits.
 * Source: Pillow's Resample.c and torchvision's transforms for the results; ITU-R BT.601 and BT.709.
 */
export function frames(
  images: readonly FrameInput[],
  transform: FrameTransform,
  options: FramesOptions & { dtype: 'float16'; out?: Uint16Array },
): Promise<Uint16Array>;
export function frames(
  images: readonly FrameInput[],
  transform: FrameTransform,
  options?: FramesOptions & { dtype?: 'float32'; out?: Float32Array },
): Promise<Float32Array>;
export async function frames(
  images: readonly FrameInput[],
  transform: FrameTransform,
  options: FramesOptions = {},
): Promise<Float32Array | Uint16Array> {
  const output = choice(['float32', 'float16'], options.dtype ?? 'float32', 'dtype');
  return run(images, transform, output, options, options.out);
}

/** What `frames` and `resize` make of a picture of this size. @throws as they do */
export function frameSize(
  size: { width: number; height: number },
  transform: Pick<ResizeTransform, 'resize' | 'crop'>,
): { width: number; height: number } {
  const [resizeH, resizeW] = sides(transform.resize, 'resize', 'short side');
  const [cropH, cropW] = sides(transform.crop, 'crop', 'square');
  const width = integer(size.width, 'width');
  const height = integer(size.height, 'height');
  const [h, w] = executeSync({ threads: 1 }, (addon, exec, cancel) =>
    addon.framesSize(exec, cancel, width, height, resizeH, resizeW, cropH, cropW),
  );
  return { width: w, height: h };
}

/**
 * A picture of another size, equal to Pillow's `Image.resize` byte for byte for RGB input (then centre-cropped as
 * torchvision's CenterCrop does, black beyond the edges).
 *
 * @returns (height, width, 3) uint8
 * @throws as `frames`
 */
export async function resize(
  image: FrameInput,
  transform: ResizeTransform,
  options: ExecOptions & { out?: Uint8Array } = {},
): Promise<RgbPicture> {
  const data = await run<Uint8Array>(
    [image],
    { ...NO_NORMALISATION, ...transform, rounding: 'uint8' },
    OUTPUTS.rgb24,
    options,
    options.out,
  );
  return { data, ...frameSize(image, transform) };
}

/**
 * YUV 4:2:0 to RGB: limited range y = (Y-16)/219, c = (C-128)/224; full Y/255, (C-128)/255;
 * R = y + 2(1-Kr)·Cr, B = y + 2(1-Kb)·Cb, G = y - 2Kr(1-Kr)/Kg·Cr - 2Kb(1-Kb)/Kg·Cb, clamped, times 255, rounded.
 *
 * @returns (height, width, 3) uint8: of the rounded float64 result at most 1 level off, where that is within 0.01 of a half
 * @throws as `frames`
 *
 * Source: ITU-R BT.601 (Kr 0.299, Kb 0.114) and BT.709 (Kr 0.2126, Kb 0.0722).
 */
export async function yuvToRgb(
  frame: YuvInput,
  options: ExecOptions & { out?: Uint8Array } = {},
): Promise<RgbPicture> {
  choice(['nv12', 'i420'], (frame as FrameInput | null)?.format, 'frame.format');
  return resize(frame, {}, options);
}
