import { throwIfCancelled } from '../errors.js';
import type { GrayFrames } from '../media/types.js';
import { type ExecOptions, opticalFlow } from '../ops/index.js';
import { Pace } from '../pace.js';
import { cameraMove } from './camera.js';

export interface MotionOptions {
  /**
   * Numbers of the pictures that begin a shot: between such a picture and the one before, motion means nothing and is left
   * out.
   */
  shots?: Iterable<number> | undefined;
  /** How the operator runs. */
  exec?: Omit<ExecOptions, 'signal'> | undefined;
  signal?: AbortSignal | undefined;
  /** Takes the share that is done, 0 to 1. */
  onProgress?: ((share: number) => void) | undefined;
}

/** How much moves in a video, and how much of that is the camera: a number for each pair of neighbouring pictures. */
export interface Motion {
  /** (n): when the second picture of each pair appears, in ms. */
  timesMs: Float64Array;
  /** (n): mean length of the flow, in picture widths a second. */
  mean: Float32Array;
  /** (n): the length that nine tenths of the pixels stay under, likewise. */
  high: Float32Array;
  /** (n) each: the move that most of the picture agrees with, as `cameraMove` finds it. */
  camera: {
    /** How fast the content of the picture goes right and down, in picture widths a second. */
    panX: Float32Array;
    panY: Float32Array;
    /** Enlargement a second: 0.1 is 10 %. */
    zoom: Float32Array;
    /** Radians a second, clockwise. */
    roll: Float32Array;
    /** 0..1: of the mean squared flow, what the move explains. The rest are things that move on their own, and errors. */
    share: Float32Array;
  };
}

/** Pictures in a call of the operator: some 4 MB of flow at 160 x 90. */
const FRAMES_A_CALL = 33;

/**
 * The motion curve of a video, from optical flow between neighbouring pictures.
 *
 * Pictures that are shown twice (24 a second in a file of 30) give pairs without motion, as they look.
 *
 * @param gray  small pictures; pairs of them are those whose `indices` follow each other
 * @param timesMs  of all pictures of the video, by those indices
 * @throws InputError ERR_INPUT_VALUE, ShapeError ERR_SHAPE  pictures that `opticalFlow` does not take
 * @throws CancelledError ERR_CANCELLED
 */
export async function videoMotion(
  gray: GrayFrames,
  timesMs: ArrayLike<number>,
  options: MotionOptions = {},
): Promise<Motion> {
  const { exec = {}, signal, onProgress } = options;
  const { data, width, height, indices } = gray;
  throwIfCancelled(signal);
  const shots = new Set(options.shots);
  const pairs = runsOf(indices, shots);
  const total = pairs.reduce((sum, { count }) => sum + count - 1, 0);
  const motion = emptyMotion(total);
  const pace = new Pace();
  const size = width * height;
  let at = 0;
  for (const { start, count } of pairs) {
    const frames = data.subarray(start * size, (start + count) * size);
    const flow = await opticalFlow({ frames, width, height }, { ...exec, signal });
    for (let i = 0; i < count - 1; i++) {
      if (pace.due) await pace.rest();
      throwIfCancelled(signal);
      const field = flow.subarray(2 * i * size, 2 * (i + 1) * size);
      const index = indices[start + i + 1]!;
      const [before, now] = [timesMs[index - 1]!, timesMs[index]!];
      // From pixels to widths a second; pictures of one instant have no speed.
      const perSecond = now > before ? 1000 / (now - before) : 0;
      const { mean, high } = lengthsOf(field, width, height);
      const move = cameraMove(field, width, height);
      motion.timesMs[at] = now;
      motion.mean[at] = (mean * perSecond) / width;
      motion.high[at] = (high * perSecond) / width;
      motion.camera.panX[at] = (move.dx * perSecond) / width;
      motion.camera.panY[at] = (move.dy * perSecond) / width;
      motion.camera.zoom[at] = move.zoom * perSecond;
      motion.camera.roll[at] = move.roll * perSecond;
      motion.camera.share[at] = move.share;
      at++;
    }
    onProgress?.(at / total);
  }
  return motion;
}

function emptyMotion(n: number): Motion {
  const row = () => new Float32Array(n);
  const camera = { panX: row(), panY: row(), zoom: row(), roll: row(), share: row() };
  return { timesMs: new Float64Array(n), mean: row(), high: row(), camera };
}

/** Stretches of neighbouring pictures of one shot, in parts of at most FRAMES_A_CALL that share their ends. */
function runsOf(indices: Int32Array, shots: ReadonlySet<number>): { start: number; count: number }[] {
  const runs: { start: number; count: number }[] = [];
  for (let start = 0, end = 1; start < indices.length; start = end++) {
    while (end < indices.length && indices[end] === indices[end - 1]! + 1 && !shots.has(indices[end]!)) end++;
    for (let from = start; from < end - 1; from += FRAMES_A_CALL - 1) {
      runs.push({ start: from, count: Math.min(FRAMES_A_CALL, end - from) });
    }
  }
  return runs;
}

/** Mean of the lengths of a field's vectors, and the 90th percentile of each second row and column. */
function lengthsOf(field: Float32Array, width: number, height: number): { mean: number; high: number } {
  const some = new Float32Array(((width + 1) >> 1) * ((height + 1) >> 1));
  let [sum, count] = [0, 0];
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const at = 2 * (y * width + x);
      const length = Math.sqrt(field[at]! ** 2 + field[at + 1]! ** 2);
      sum += length;
      if (((x | y) & 1) === 0) some[count++] = length;
    }
  }
  some.sort();
  return { mean: sum / (width * height), high: some[Math.floor(0.9 * (count - 1))]! };
}
