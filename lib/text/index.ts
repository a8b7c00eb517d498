/** `cinefuse/text`: reading, measuring and understanding texts about films. */
export { type Chunk, packChunks, splitSentences, type TextSpan } from './chunks.js';
export { coversLanguage, detectLanguage, type LanguageGuess, scriptShares } from './language.js';
export { MAX_REVIEWS, readReviews } from './reviews.js';
export { readText } from './read-text.js';
export { dialogueOf, parseSubtitles, type SubtitleCue } from './subtitles.js';
export { wordsOf } from './tfidf.js';
export type {
  ClassifyOptions,
  Contribution,
  ReviewClassifier,
  ReviewExplanation,
} from './sentiment/classifier.js';
export { fitReviewClassifier, loadReviewClassifier } from './sentiment/classifier.js';
export type {
  FitCommonOptions,
  FitReviewOptions,
  FitReviewProgress,
  ReviewKindName,
  ReviewKindOptions,
} from './sentiment/kinds.js';
export { parseScreenplay, type ParseScreenplayOptions } from './scripts/screenplay.js';
export type {
  Screenplay,
  ScriptCharacter,
  ScriptElement,
  ScriptElementKind,
  ScriptScene,
  ScriptSetting,
} from './scripts/types.js';
