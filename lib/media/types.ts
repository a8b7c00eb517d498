/** What lib/media gives to the modality rooms: plain samples, upright, without any file format left in them. */

/** An 8-bit sRGB picture. */
export interface RgbImage {
  /** (height, width, 3), row-major, no padding. */
  data: Uint8Array;
  width: number;
  height: number;
}

/** One picture of a video, already turned upright. */
export interface VideoFrame {
  /**
   * `rgb24`: (height, width, 3). `i420`: the planes Y (height, width), U and V (⌈height/2⌉, ⌈width/2⌉), one after
   * the other. `nv12`: Y, then U and V interleaved. No padding in any of them.
   */
  data: Uint8Array;
  format: 'nv12' | 'i420' | 'rgb24';
  width: number;
  height: number;
  /** When the picture appears, in milliseconds from the start of the clip. */
  timestampMs: number;
  /** Of the Y'CbCr formats; of no meaning for `rgb24`. */
  matrix: 'bt601' | 'bt709';
  /** Of the Y'CbCr formats; `rgb24` is always full range. */
  range: 'limited' | 'full';
}

export interface DecodedVideo {
  /** The pictures asked for, in order of time, each at most once. At least one. */
  frames: VideoFrame[];
  durationMs: number;
  /** Size of the upright pictures, after `maxSide`. */
  width: number;
  height: number;
  /** Mean pictures per second of the whole clip; 0 where a single picture leaves it unknown. */
  frameRate: number;
}

export interface DecodedAudio {
  /** Mono, in [-1, 1]. At least one. */
  samples: Float32Array;
  sampleRate: number;
  /** Duration of `samples`. */
  durationMs: number;
  /** When the first sample sounds, in milliseconds from the start of the clip: not 0 for a sound track that starts late. */
  startMs: number;
}

/**
 * Which pictures of a clip to take.
 *
 * - `uniform`: the clip is cut into `count` equal parts; the picture on screen at the middle of each is taken.
 * - `fps`: the picture on screen at 0, 1/fps, 2/fps ... seconds. Where that gives more than `maxCount`, the step grows
 *   so that `maxCount` pictures still span the whole clip.
 * - `keyframes`: pictures coded by themselves (cheapest to decode); `maxCount` of them evenly in order if there are more.
 *
 * A clip with fewer pictures than asked for gives each of its pictures once.
 */
export type FrameSampling =
  | { kind: 'uniform'; count: number }
  | { kind: 'fps'; fps: number; maxCount: number }
  | { kind: 'keyframes'; maxCount: number };

/** The pictures on screen at given instants (ms from the start of the clip, ascending), each at most once. */
export interface TimesSampling {
  kind: 'times';
  timesMs: readonly number[];
}

/**
 * Every picture of a video, as little of each as shows where shots begin and end. All values are of full range (0 black,
 * 255 white), whatever the file's range is.
 */
export interface ScannedVideo {
  durationMs: number;
  /** Of the upright pictures in the file. */
  width: number;
  height: number;
  frameRate: number;
  /** (count): when each picture appears, in ms from the start of the clip. */
  timesMs: Float64Array;
  /** (count, SCAN_CELLS): means of Y over 18 x 32 cells, then of U and of V over 9 x 16 each; neutral is 128. */
  cells: Uint8Array;
  /** (count): mean squared Laplacian of Y at `side`: how sharp the picture is. */
  sharpness: Float32Array;
  gray: GrayFrames;
}

/** Small upright pictures of Y alone, for motion. */
export interface GrayFrames {
  /** (n, height, width) */
  data: Uint8Array;
  width: number;
  height: number;
  /** (n): which picture of the video each is, ascending. Where not all are taken, they come in pairs of neighbours. */
  indices: Int32Array;
}

export const SCAN_GRID = { width: 32, height: 18, chromaWidth: 16, chromaHeight: 9 } as const;
/** Bytes a picture takes in `ScannedVideo.cells`. */
export const SCAN_CELLS = 32 * 18 + 2 * 16 * 9;

/** How loud a sound is over time, after the frequency weighting of ITU-R BS.1770. */
export interface LoudnessBlocks {
  /** (n): sum over the channels of weight times mean square of each 100 ms; the last block only if whole. */
  energies: Float64Array;
  sampleRate: number;
  channels: number;
  /** Largest absolute sample of any channel. */
  peak: number;
  durationMs: number;
  startMs: number;
}

/** What a file holds, without decoding it. */
export interface MediaInfo {
  /** Name of the container or image format: `jpeg`, `mp4`, `matroska`, `mp3` ... */
  format: string;
  /** Absent for an image. */
  durationMs?: number;
  image?: { width: number; height: number };
  /** Width and height as shown: after rotation. */
  video?: { codec: string; width: number; height: number; frameRate: number };
  audio?: { codec: string; sampleRate: number; channels: number };
}
