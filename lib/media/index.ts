/** `cinefuse/media`: pictures, videos and sound as plain samples, decoded off the calling thread, with limits. */
export { MediaDecoder, type MediaDecoderOptions } from './decoder.js';
export { DEFAULT_LIMITS, type MediaLimits } from './limits.js';
export type { MediaInput } from './source.js';
export type {
  DecodedAudio,
  DecodedVideo,
  FrameSampling,
  GrayFrames,
  LoudnessBlocks,
  MediaInfo,
  RgbImage,
  ScannedVideo,
  TimesSampling,
  VideoFrame,
} from './types.js';
