/** `cinefuse/train`: data sets, fitting, evaluation and calibration. */
export type { FilmTable, RawPredictions, TableModality, TableSplit } from './table.js';
