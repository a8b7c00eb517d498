import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import { InputError, MediaError, throwIfCancelled } from '../errors.js';
import type { MediaDecoder } from '../media/decoder.js';
import type { MediaInput } from '../media/source.js';
import type { ScannedVideo, VideoFrame } from '../media/types.js';
import { yuvToRgb } from '../ops/frames.js';
import { Pace } from '../pace.js';
import type { CellPictures } from './cells.js';
import type { Flash, Shot } from './shots.js';
import { writeWhole } from '../write-whole.js';

/** A picture that stands for a shot, unlike the other key frames. */
export interface KeyFrame {
  timeMs: number;
  /** Index of its shot. */
  shot: number;
  /** Number of the picture in the video. */
  index: number;
  /** Mean squared Laplacian of its Y at 320 pixels: comparable within a video. */
  sharpness: number;
  /** Where it was saved. */
  file?: string;
}

/** Total difference below which two pictures show the same. */
const SAME = 1.3;
/** A shot that changes this much has a second candidate. */
const CHANGES = 3;

/**
 * At most `maxCount` pictures of shots, each unlike the others, in order of time. Of a shot the sharpest picture away from
 * its ends and from flashes; first the longest shot's, then always the one least like those taken, longer shots before
 * shorter ones.
 */
export async function chooseKeyFrames(
  pictures: CellPictures,
  { timesMs, sharpness }: Pick<ScannedVideo, 'timesMs' | 'sharpness'>,
  shots: readonly Shot[],
  flashes: readonly Flash[],
  maxCount: number,
  signal: AbortSignal | undefined,
): Promise<KeyFrame[]> {
  const pace = new Pace();
  const disturbed = (i: number) =>
    flashes.some(({ startMs, endMs }) => timesMs[i]! >= startMs && timesMs[i]! < endMs);
  const sharpest = (from: number, to: number) => {
    let best = from;
    let most = -1;
    for (let i = from; i <= to; i++) {
      if (sharpness[i]! > most && !disturbed(i)) [best, most] = [i, sharpness[i]!];
    }
    return best;
  };
  const candidates: { index: number; shot: number; weight: number }[] = [];
  for (const [shot, { first, last, startMs, endMs }] of shots.entries()) {
    const margin = Math.floor((last - first) / 6);
    const [from, to] = [first + margin, last - margin];
    const middle = (from + to) >> 1;
    const weight = Math.sqrt(Math.max(1, endMs - startMs));
    const index = sharpest(from, to);
    candidates.push({ index, shot, weight });
    const [a, b] = [sharpest(from, middle), sharpest(Math.min(to, middle + 1), to)];
    const other = a === index ? b : a;
    if (other !== index && pictures.difference(index, other).total > CHANGES) {
      candidates.push({ index: other, shot, weight });
    }
    if (!pace.due) continue;
    await pace.rest();
    throwIfCancelled(signal);
  }
  const chosen: typeof candidates = [];
  /** Of every candidate: how unlike it is to the nearest one chosen. */
  const apart = new Float64Array(candidates.length).fill(Number.POSITIVE_INFINITY);
  while (chosen.length < maxCount) {
    let best = -1;
    let most = 0;
    for (const [i, { weight }] of candidates.entries()) {
      const worth = (chosen.length === 0 ? 1 : apart[i]!) * weight;
      if (apart[i]! >= SAME && worth > most) [best, most] = [i, worth];
    }
    if (best < 0) break;
    chosen.push(candidates[best]!);
    for (const [i, { index }] of candidates.entries()) {
      if (apart[i]! < SAME) continue;
      apart[i] = Math.min(apart[i]!, pictures.difference(index, candidates[best]!.index).total);
      if (!pace.due) continue;
      await pace.rest();
      throwIfCancelled(signal);
    }
  }
  return chosen
    .sort((a, b) => a.index - b.index)
    .map(({ index, shot }) => ({ timeMs: timesMs[index]!, shot, index, sharpness: sharpness[index]! }));
}

export interface SaveOptions {
  /** Made where it is not there. Files of the same names are replaced. */
  directory: string;
  format: 'jpeg' | 'png';
  /** Of JPEG, 1..100. */
  quality: number;
  signal?: AbortSignal | undefined;
  onProgress?: ((done: number) => void) | undefined;
}

/** Pictures of full size in memory at a time. */
const AT_A_TIME = 4;

/**
 * Saves key frames in the video's own size as `001-00h00m12.480s.jpg`.
 *
 * @returns the same with `file`
 * @throws InputError ERR_INPUT_FILE    the directory cannot be made or written
 * @throws MediaError ERR_MEDIA_*       decoding; ERR_MEDIA_RUNTIME: sharp is missing
 * @throws CancelledError ERR_CANCELLED
 */
export async function saveKeyFrames(
  decoder: MediaDecoder,
  input: MediaInput,
  field: string,
  keyFrames: readonly KeyFrame[],
  options: SaveOptions,
): Promise<KeyFrame[]> {
  const { signal, onProgress = () => {} } = options;
  const directory = path.resolve(options.directory);
  await mkdir(directory, { recursive: true }).catch((cause: Error) => {
    throw unwritable(directory, cause);
  });
  const saved: KeyFrame[] = [];
  for (let from = 0; from < keyFrames.length; from += AT_A_TIME) {
    const part = keyFrames.slice(from, from + AT_A_TIME);
    const timesMs = part.map(({ timeMs }) => timeMs);
    const { frames } = await decoder.video(input, { field, sampling: { kind: 'times', timesMs }, signal });
    for (const keyFrame of part) {
      throwIfCancelled(signal);
      // Time stamps are compared loosely: they went through milliseconds.
      const frame = frames.find(({ timestampMs }) => Math.abs(timestampMs - keyFrame.timeMs) < 0.5);
      if (!frame) {
        throw new MediaError('ERR_MEDIA_READ', {
          field,
          expected: `a picture at ${keyFrame.timeMs} ms, as when it was first decoded`,
          got: 'none',
        });
      }
      const bytes = await encode(frame, field, options);
      const name = `${String(saved.length + 1).padStart(3, '0')}-${clock(keyFrame.timeMs)}`;
      const file = path.join(directory, `${name}.${options.format === 'png' ? 'png' : 'jpg'}`);
      await writeWhole(file, bytes).catch((cause: Error) => {
        throw unwritable(file, cause);
      });
      saved.push({ ...keyFrame, file });
      onProgress(saved.length / keyFrames.length);
    }
  }
  return saved;
}

/** 12480 -> 00h00m12.480s */
export function clock(timeMs: number): string {
  const ms = Math.round(timeMs);
  const two = (value: number) => String(Math.floor(value)).padStart(2, '0');
  const fraction = String(ms % 1000).padStart(3, '0');
  return `${two(ms / 3_600_000)}h${two((ms / 60_000) % 60)}m${two((ms / 1000) % 60)}.${fraction}s`;
}

async function encode(frame: VideoFrame, field: string, { format, quality }: SaveOptions): Promise<Buffer> {
  const { data, width, height } =
    frame.format === 'rgb24'
      ? frame
      : await yuvToRgb({ ...frame, format: frame.format, chroma: 'bilinear-left' });
  const { default: sharp } = await import('sharp').catch((cause: unknown) => {
    throw new MediaError('ERR_MEDIA_RUNTIME', {
      field,
      message: 'The image encoder "sharp" could not be loaded. Run: npm install sharp --include=optional',
      cause,
    });
  });
  const picture = sharp(data, { raw: { width, height, channels: 3 } });
  return (format === 'png' ? picture.png() : picture.jpeg({ quality, mozjpeg: false })).toBuffer();
}

function unwritable(file: string, cause: Error): InputError {
  return new InputError('ERR_INPUT_FILE', {
    field: 'keyFrames.directory',
    file,
    expected: 'a folder that can be written to',
    got: cause.message,
    cause,
  });
}
