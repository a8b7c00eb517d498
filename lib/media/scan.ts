import type { Checkpoint, JobOf, Report } from './job.js';
import { checkLimit } from './limits.js';
import { type Picture, PictureConverter } from './picture.js';
import type { Av } from './runtime.js';
import { SCAN_CELLS, SCAN_GRID, type ScannedVideo } from './types.js';
import { withVideo } from './video.js';

/**
 * Decodes every picture of a video once and keeps a few hundred bytes of each. Blocks: for a worker thread or child.
 *
 * Pictures are scaled down by areas inside FFmpeg, straight from its own memory: the only full copy is never made.
 *
 * @throws as withVideo
 */
export function scanVideo(av: Av, job: JobOf<'scan'>, checkpoint: Checkpoint, report: Report): ScannedVideo {
  const { subject, limits, side } = job;
  return withVideo(av, job, checkpoint, (video) => {
    const { track, timeline, clipStartMs } = video;
    const expected = timeline.shown.length;
    checkLimit(subject, limits, 'maxDecodedBytes', expected * (SCAN_CELLS + 12));
    using converter = new PictureConverter(av, track, video.orientation, side, subject, 'area');
    const timesMs = new Float64Array(expected);
    const cells = new Uint8Array(expected * SCAN_CELLS);
    const sharpness = new Float32Array(expected);
    const gray = new GrayCollector(expected, job.graySide, job.maxGray);
    let count = 0;
    for (const { frame, time } of video.reader.at(timeline.shown)) {
      const picture = converter.convert(frame);
      const luma = new FullRangePicture(picture);
      luma.cellsInto(cells.subarray(count * SCAN_CELLS, (count + 1) * SCAN_CELLS));
      sharpness[count] = luma.sharpness();
      gray.add(count, luma);
      checkLimit(subject, limits, 'maxDecodedBytes', expected * (SCAN_CELLS + 12) + gray.bytes);
      timesMs[count++] = track.toMs(time) - clipStartMs;
      report(count / expected);
    }
    return {
      durationMs: video.durationMs,
      width: video.width,
      height: video.height,
      frameRate: video.frameRate,
      timesMs: timesMs.slice(0, count),
      cells: cells.slice(0, count * SCAN_CELLS),
      sharpness: sharpness.slice(0, count),
      gray: gray.finish(),
    };
  });
}

/** Edges of `parts` nearly equal parts of 0..length; parts of a length below `parts` share samples. */
function edges(length: number, parts: number): [from: Int32Array, to: Int32Array] {
  const from = Int32Array.from({ length: parts }, (_, i) =>
    Math.min(length - 1, Math.floor((i * length) / parts)),
  );
  const to = from.map((start, i) => Math.max(start + 1, Math.floor(((i + 1) * length) / parts)));
  return [from, to];
}

interface Plane {
  data: Uint8Array;
  width: number;
  height: number;
  /** value = (sample - offset) · scale */
  offset: number;
  scale: number;
  /** Added to the value: 128 for chroma. */
  base: number;
}

class FullRangePicture {
  readonly y: Plane;
  private readonly u: Plane;
  private readonly v: Plane;

  constructor({ data, format, width, height, range }: Picture) {
    if (format === 'rgb24') {
      const n = width * height;
      const planes = Array.from({ length: 3 }, () => new Uint8Array(n));
      for (let i = 0; i < n; i++) {
        const [r, g, b] = [data[3 * i]!, data[3 * i + 1]!, data[3 * i + 2]!];
        const y = 0.299 * r + 0.587 * g + 0.114 * b;
        planes[0]![i] = Math.round(y);
        planes[1]![i] = Math.round(128 + (b - y) * (0.5 / 0.886) * (255 / 256));
        planes[2]![i] = Math.round(128 + (r - y) * (0.5 / 0.701) * (255 / 256));
      }
      [this.y, this.u, this.v] = planes.map((plane, i) => ({
        data: plane,
        width,
        height,
        offset: i === 0 ? 0 : 128,
        scale: 1,
        base: i === 0 ? 0 : 128,
      })) as [Plane, Plane, Plane];
      return;
    }
    const limited = range === 'limited';
    const [w, h] = [(width + 1) >> 1, (height + 1) >> 1];
    const chroma = { width: w, height: h, offset: 128, scale: limited ? 255 / 224 : 1, base: 128 };
    const luma = { offset: limited ? 16 : 0, scale: limited ? 255 / 219 : 1, base: 0 };
    const start = width * height;
    this.y = { data: data.subarray(0, start), width, height, ...luma };
    this.u = { data: data.subarray(start, start + w * h), ...chroma };
    this.v = { data: data.subarray(start + w * h, start + 2 * w * h), ...chroma };
  }

  cellsInto(target: Uint8Array): void {
    const { width, height, chromaWidth, chromaHeight } = SCAN_GRID;
    means(this.y, width, height, target.subarray(0, width * height));
    const chroma = chromaWidth * chromaHeight;
    means(this.u, chromaWidth, chromaHeight, target.subarray(width * height, width * height + chroma));
    means(this.v, chromaWidth, chromaHeight, target.subarray(width * height + chroma));
  }

  sharpness(): number {
    const { data, width, height, scale } = this.y;
    if (width < 3 || height < 3) return 0;
    let sum = 0;
    for (let row = 1; row < height - 1; row++) {
      for (let at = row * width + 1, end = row * width + width - 1; at < end; at++) {
        const d = 4 * data[at]! - data[at - 1]! - data[at + 1]! - data[at - width]! - data[at + width]!;
        sum += d * d;
      }
    }
    return (sum * scale * scale) / ((width - 2) * (height - 2));
  }
}

function level({ offset, scale, base }: Plane, sample: number): number {
  return Math.max(0, Math.min(255, Math.round(base + (sample - offset) * scale)));
}

/** Means of (rows, columns) cells of a plane. */
function means(plane: Plane, columns: number, rows: number, target: Uint8Array): void {
  const { data, width, height } = plane;
  const [left, right] = edges(width, columns);
  const [top, bottom] = edges(height, rows);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      const [from, to] = [left[column]!, right[column]!];
      let sum = 0;
      for (let y = top[row]!; y < bottom[row]!; y++) {
        for (let at = y * width + from, end = y * width + to; at < end; at++) sum += data[at]!;
      }
      const count = (to - from) * (bottom[row]! - top[row]!);
      target[row * columns + column] = level(plane, sum / count);
    }
  }
}

/** Takes all pictures where they fit, else pairs of neighbours spread evenly over the video. */
class GrayCollector {
  bytes = 0;
  private readonly pictures: Uint8Array[] = [];
  private readonly indices: number[] = [];
  private width = 0;
  private height = 0;

  constructor(
    private readonly expected: number,
    private readonly side: number,
    private readonly maximum: number,
  ) {}

  add(index: number, { y }: FullRangePicture): void {
    if (!this.wants(index)) return;
    const factor = Math.ceil(Math.max(y.width, y.height) / this.side);
    const width = Math.max(1, Math.floor(y.width / factor));
    const height = Math.max(1, Math.floor(y.height / factor));
    // A video that changes its size in mid-stream: what comes first sets it.
    if (this.pictures.length === 0) [this.width, this.height] = [width, height];
    if (width !== this.width || height !== this.height) return;
    const picture = new Uint8Array(width * height);
    means(y, width, height, picture);
    this.pictures.push(picture);
    this.indices.push(index);
    this.bytes += picture.length;
  }

  finish(): ScannedVideo['gray'] {
    const { width, height, pictures } = this;
    const data = new Uint8Array(pictures.length * width * height);
    for (const [i, picture] of pictures.entries()) data.set(picture, i * width * height);
    return { data, width, height, indices: Int32Array.from(this.indices) };
  }

  private wants(index: number): boolean {
    if (this.maximum === 0) return false;
    if (this.expected <= this.maximum) return true;
    const step = this.expected / Math.floor(this.maximum / 2);
    const start = Math.floor(Math.floor((index + 1) / step) * step);
    const before = Math.floor(Math.floor(index / step) * step);
    return index === start || index === before || index === before + 1;
  }
}
