/** `cinefuse/trailer`: what happens in a video, and when. */
export {
  type AnalyzedShot,
  type AnalyzeTrailerOptions,
  analyzeTrailer,
  type KeyFrameOptions,
  type PictureAnalysis,
  type SoundAnalysis,
  type TrailerAnalysis,
  type TrailerProgress,
} from './analyze.js';
export { type CameraMove, cameraMove } from './camera.js';
export type { Curve, Look, PictureFigures } from './figures.js';
export type { KeyFrame } from './key-frames.js';
export type { Loudness } from './loudness.js';
export { type Motion, type MotionOptions, videoMotion } from './motion.js';
export type { Rhythm } from './rhythm.js';
export type { Scene } from './scenes.js';
export type { Flash, Shot, Transition } from './shots.js';
