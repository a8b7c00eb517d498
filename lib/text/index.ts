/** `cinefuse/text`: reading, measuring and understanding texts about films. */
export { analyzeReviews, type AnalyzeReviewsOptions } from '../analyze-reviews.js';
export { type Chunk, packChunks, splitSentences, type TextSpan } from './chunks.js';
export { coversLanguage, detectLanguage, type LanguageGuess, scriptShares } from './language.js';
export { MAX_REVIEWS, readReviews } from './reviews.js';
export { readText } from './read-text.js';
export { dialogueOf, parseSubtitles, type SubtitleCue } from './subtitles.js';
export type {
  ClassifyOptions,
  Contribution,
  ReviewClassifier,
  ReviewExplanation,
} from './sentiment/classifier.js';
export { fitReviewClassifier, loadReviewClassifier } from './sentiment/classifier.js';
export {
  type CrossValidateReviewsOptions,
  crossValidateReviews,
  type ReviewFold,
  type ReviewValidation,
} from './sentiment/cross-validate.js';
export type {
  LinearOptions,
  NaiveBayesOptions,
  NbSvmOptions,
  SvmOptions,
} from './sentiment/linear-kinds.js';
export { type AspectMention, AspectFinder, type AspectWords, aspectWords } from './sentiment/aspects.js';
export type { AspectSummary, ReviewPassage, ReviewSummary, Tone } from './sentiment/summary.js';
export type { Interval } from './sentiment/intervals.js';
export type {
  FitCommonOptions,
  FitReviewOptions,
  FitReviewProgress,
  ReviewKindName,
  ReviewKindOptions,
} from './sentiment/kinds.js';
export {
  type AnalyzeScriptOptions,
  analyzeScript,
  type CharacterAnalysis,
  type SceneAnalysis,
  type ScriptAnalysis,
} from './scripts/analyze.js';
export {
  type AnalyzeSubtitlesOptions,
  analyzeSubtitles,
  type SubtitleAnalysis,
  type SubtitleStretch,
} from './scripts/subtitles.js';
export type { ScriptSequence } from './scripts/sequence.js';
export { TENSION_WEIGHTS, type Tension } from './scripts/tension.js';
export { parseScreenplay, type ParseScreenplayOptions } from './scripts/screenplay.js';
export type {
  Screenplay,
  ScriptCharacter,
  ScriptElement,
  ScriptElementKind,
  ScriptScene,
  ScriptSetting,
} from './scripts/types.js';
export { stemOf } from './words/stems.js';
export { negations, stopWords } from './words/stop-words.js';
export type { SparseRows } from './words/sparse.js';
export type { TermOptions } from './words/terms.js';
export { type Word, type WordOptions, words } from './words/tokens.js';
export { type FoundTerm, Vectorizer, type VectorizerOptions } from './words/vectorizer.js';
export {
  type EmbedTerms,
  extractKeywords,
  type Keyword,
  type KeywordOptions,
  type KeywordSpan,
} from './keywords/extract.js';
export { TermReference } from './keywords/reference.js';
export { type CorpusLinesOptions, corpusLines } from './vectors/corpus.js';
export type { LoadVectorsOptions, SaveVectorsOptions, VectorFormat } from './vectors/files.js';
export type { TrainVectorsOptions, TrainVectorsProgress } from './vectors/train.js';
export type { VectorCorpus } from './vectors/vocabulary.js';
export {
  type EncodeTextsOptions,
  type SimilarOptions,
  type SimilarWord,
  WordVectors,
} from './vectors/word-vectors.js';
export type { NeuralReviewClassifier } from './neural/classifier.js';
export { EncoderTexts, type EncoderTextsOptions } from './neural/encoder-texts.js';
export type { TextTrainingOptions } from './neural/fit.js';
export type { WordVectorSource } from './neural/initialise.js';
export type {
  EncoderOptions,
  LstmOptions,
  TextCnnOptions,
  TextNetworkOptions,
  WordInputOptions,
} from './neural/kinds.js';
export { exportReviewOnnx } from './neural/onnx.js';
export { type VocabularyOptions, WordVocabulary } from './neural/vocabulary.js';
