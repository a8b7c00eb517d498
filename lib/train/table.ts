/**
 * Films as numbers: what a data set becomes once its inputs are encoded, and what fit, evaluate, crossValidate and
 * search work on.
 */

/** One modality of all films. Rows of films that lack it hold anything. */
export interface TableModality {
  /** Width of one vector. */
  dim: number;
  /** Vectors a film; 1 unless the modality is a sequence, then the longest film's. */
  steps: number;
  /** (variants, films, steps, dim). Of films in training one variant is drawn anew every epoch; elsewhere the first counts. */
  values: Float32Array;
  /** Forms of each film's vectors, default 1: facts whose tables of people leave the film itself out, augmented pictures. */
  variants?: number;
  /** (films), 1..steps where present. Default: all steps. */
  lengths?: Int32Array;
}

export interface FilmTable {
  /** One a film, unique. */
  ids: readonly string[];
  /** In the order of the network's modalities. */
  modalities: Readonly<Record<string, TableModality>>;
  /** (films, modalities), 0 = absent. */
  present: Uint8Array;
  /** By name: (films), NaN where unknown. Numbers, 0/1, or class numbers. In the target's own unit, not standardised. */
  targets: Readonly<Record<string, Float32Array>>;
  /** Error weights of films in training; default all 1. */
  weights?: Float32Array;
  /** By name ("genre", "language", "decade"): of each film the groups that it belongs to. For reports. */
  groups?: Readonly<Record<string, readonly (readonly string[])[]>>;
  /** For reports: a title and a poster's file a film. */
  titles?: readonly string[];
  posters?: readonly (string | undefined)[];
}

/** Rows of a table by their part in training. `calibration`, where it is not given, is `valid`. */
export interface TableSplit {
  train: Int32Array;
  valid: Int32Array;
  test: Int32Array;
  calibration?: Int32Array;
}

/** A model's raw outputs for some rows of a table: by head (rows, out), logits or standardised values. */
export interface RawPredictions {
  rows: Int32Array;
  heads: Readonly<Record<string, Float32Array>>;
}
