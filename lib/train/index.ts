/** `cinefuse/train`: data sets, fitting, evaluation and calibration. */
export type { FilmTable, RawPredictions, TableModality, TableSplit } from './table.js';
export type {
  HeadLoss,
  OptimizerOptions,
  TrainerData,
  TrainerOptions,
  TrainerResult,
  TrainerState,
  TrainerSteps,
} from './trainer.js';
export type * from './kernel-config.js';
export type { DatasetConfig, Split, SplitConfig } from './data/config.js';
export type { Column, ColumnInfo, ColumnType, DataProblem, Dataset } from './data/types.js';
