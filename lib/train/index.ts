/** `cinefuse/train`: data sets, fitting, evaluation and calibration. */
export type { FilmTable, RawPredictions, TableModality, TableSplit } from './table.js';
export { initialWeights } from './initialise.js';
export {
  FusionTrainer,
  type HeadLoss,
  type OptimizerOptions,
  type TrainerData,
  type TrainerOptions,
  type TrainerResult,
  type TrainerRunOptions,
  type TrainerState,
  type TrainerSteps,
} from './trainer.js';
export type * from './kernel-config.js';
export { fitKernel } from './kernel-fit.js';
export type { DatasetConfig, Split, SplitConfig } from './data/config.js';
export type { LeakOptions } from './data/leaks.js';
export type { Column, ColumnInfo, ColumnType, DataProblem, Dataset } from './data/types.js';
export {
  type FuseConfig,
  type ParsedFuseConfig,
  type TableConfig,
  type TargetConfig,
  fuseConfigJsonSchema,
  fuseConfigSchema,
  parseFuseConfig,
} from './config.js';
export { parseJsonWithComments, readFuseConfig } from './config-file.js';
export type {
  EpochRecord,
  FitOptions,
  FitProgress,
  FittedHead,
  FittedTable,
  MemberHistory,
} from './fit-types.js';
export {
  type CalibrationOptions,
  calibrate,
  presenceSets,
  truthOf,
  type UncalibratedHead,
} from './calibrate.js';
export { conformalQuantile, fitIsotonic, fitTemperature } from './calibration-curves.js';
export {
  averagePrecision,
  averageRanks,
  type ClassificationMetrics,
  classificationMetrics,
  expectedCalibrationError,
  kendallTauB,
  type ProbabilityMetrics,
  pearson,
  probabilityMetrics,
  type RegressionMetrics,
  type ReliabilityBin,
  regressionErrors,
  regressionMetrics,
  reliabilityBins,
  rocAuc,
  spearman,
} from './metrics.js';
export { meanReciprocalRank, type RankingMetrics, rankingMetrics } from './ranking-metrics.js';
export { type RunsTables, type TableModel, tableModel } from './table-model.js';
export { openDataset, type OpenDatasetOptions } from './data/open.js';
export { type Baseline, type BaselineOptions, fitBaselines } from './baselines.js';
export { type BootstrapIntervals, type BootstrapOptions, bootstrap } from './bootstrap.js';
export { EmbeddingCache, type CacheReport, type EmbeddingCacheOptions } from './embedding-cache.js';
export { encodeDataset } from './encode.js';
export type * from './encode-types.js';
export { type EvaluateOptions, evaluate } from './evaluate.js';
export type {
  BaselineEvaluation,
  CalibrationEvaluation,
  Evaluation,
  Gain,
  GroupEvaluation,
  HeadEvaluation,
  SubsetEvaluation,
  WorstCase,
} from './evaluation.js';
export { forecastRows } from './forecast-rows.js';
export { isJudged, type JudgedHead } from './head-scores.js';
export {
  REPORT_FORMATS,
  type ReportAbout,
  type ReportFormat,
  type ReportOptions,
  reportHtml,
  reportJson,
  writeReport,
} from './report/report.js';
export { fitTable, loadCheckpoint } from './fit-table.js';
export { datasetTable, type DatasetTable, fit, type FitDatasetOptions, type FitResult } from './fit.js';
export {
  type CrossValidation,
  type CrossValidationOptions,
  crossValidateTable,
  type FoldResult,
  foldsOf,
} from './cross-validate.js';
export {
  type SearchConfig,
  type SearchOptions,
  type SearchProgress,
  type SearchResult,
  searchTable,
  type Trial,
} from './search.js';
export {
  type BundleEvaluation,
  crossValidate,
  type DatasetSearch,
  type EvaluateBundleOptions,
  evaluateBundle,
  search,
} from './dataset-runs.js';
export { mergeNetworks } from './merge.js';
export {
  FusionNetwork,
  type FusionNetworkSpec,
  type NetworkWeight,
  type NetworkWeights,
  parseFusionNetworkSpec,
  weightShapes,
} from '../fusion/network.js';
export { type ReadWeightsOptions, readNetworkWeights } from '../fusion/network-weights.js';
export {
  importDataset,
  type ImportKind,
  type ImportOptions,
  type ImportProgress,
  type ImportReport,
} from './data/import.js';
