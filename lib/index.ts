/** `cinefuse`: predicting how an audience will receive a film. */
export {
  BackendError,
  BundleError,
  DataError,
  CancelledError,
  CinefuseError,
  DisposedError,
  ERROR_CODES,
  type ErrorCode,
  InputError,
  MediaError,
  ModelError,
  ShapeError,
  TrainError,
} from './errors.js';
export {
  type AnalyzeFilmOptions,
  analyzeFilm,
  type AnalyzedInput,
  type FilmAnalysis,
  type TextSentiment,
  type TonedSentence,
} from './analyze.js';
export type { Device } from './device.js';
export type {
  Check,
  Effects,
  Explanation,
  ExplainOptions,
  ExplainProgress,
} from './explain/types.js';
export type { Difference, FilmChanges, WhatIf, WhatIfOptions } from './explain/what-if.js';
export type {
  BinaryFeedback,
  MulticlassFeedback,
  Feedback,
  Moment,
  RegressionFeedback,
  SentimentFeedback,
  Timings,
} from './feedback.js';
export { exportOnnx, loadBundle, saveBundle, verifyBundle } from './bundles.js';
export type { Bundle, BundleContents } from './bundles.js';
export type { BundleManifest, InputName } from './fusion/manifest.js';
export type { MediaInput, Movie, TextInput } from './movie.js';
export type {
  InputEmbedding,
  PredictionResult,
  PredictManyOptions,
  PredictOptions,
  PredictorDescription,
  PredictorOptions,
} from './options.js';
export { defaultBundlePath } from './native.js';
export { Predictor } from './predict.js';
export { Trace, type TraceDocument, type TraceEvent } from './trace.js';
