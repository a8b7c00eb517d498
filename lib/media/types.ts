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
