/** What evaluate() finds: plain data, as it stands in a report's JSON. */
import type { Scores } from './head-scores.js';
import type { ReliabilityBin } from './metrics.js';

/** Ends of an interval over draws of films; null where the measure is not defined on most of them. */
export type Ends = [low: number, high: number] | null;

/** How much better the model does than something else on the same films; above 0: the model is better. */
export interface Gain {
  /** The measure, as a difference in the direction that is better. */
  score: string;
  value: number | null;
  /** Of draws of films that both were judged on. */
  interval: Ends;
}

export interface BaselineEvaluation {
  name: string;
  about: string;
  scores: Scores;
  intervals: Record<string, Ends>;
  gain: Gain;
}

/** The model with some of its modalities only, on the films that have any of these. */
export interface SubsetEvaluation {
  /** 'alone': one modality; 'without': all but one; 'subset': any other. */
  kind: 'fused' | 'alone' | 'without' | 'subset';
  modalities: string[];
  films: number;
  scores: Scores;
  /** The model with everything, on the same films. */
  fused: Scores;
  /** Of everything over these alone. */
  gain: Gain | null;
}

export interface GroupValue {
  value: string;
  films: number;
  scores: Scores;
  /** Of the measure that gaps are counted in. */
  interval: Ends;
}

/** Films by genre, language, decade. A film may belong to several. */
export interface GroupEvaluation {
  group: string;
  /** Numbers and decades in their order, others by their films; those of too few films are counted in `left`. */
  values: GroupValue[];
  /** Values with too few films to judge. */
  left: number;
  gap: { score: string; best: string; worst: string; value: number } | null;
}

/** Films of neighbouring forecasts together. */
export interface ForecastBin {
  n: number;
  meanForecast: number;
  meanTruth: number;
  /** Share of the intervals that held the truth. */
  coverage: number;
}

export type CalibrationEvaluation =
  | {
      kind: 'interval';
      /** What the intervals promise, and the share that held. */
      level: number;
      coverage: number;
      coverageInterval: Ends;
      meanWidth: number;
      bins: ForecastBin[];
      byPresence: { modalities: string[]; films: number; coverage: number; meanWidth: number }[];
      calibratedOn: string;
    }
  | {
      /** Of the positive class, or of several that of the class said. */
      kind: 'probability';
      ece: number;
      eceInterval: Ends;
      bins: ReliabilityBin[];
      calibratedOn: string;
    };

export interface WorstCase {
  id: string;
  title?: string;
  /** A picture's file. */
  poster?: string;
  /** Model values, 0/1, or a class's name. */
  truth: number | string;
  /** Model value, probability, or a class's name. */
  forecast: number | string;
  interval?: [number, number];
  /** |forecast - truth|, or -log of the probability of what is true. */
  error: number;
  /** Modalities that it had. */
  present: string[];
}

export interface HeadEvaluation {
  name: string;
  task: 'regression' | 'binary' | 'multiclass';
  /** What the numbers are counted in: of log10 heads the logarithm of it. */
  unit?: string;
  positive?: string;
  classes?: string[];
  /** Films whose truth is known. */
  films: number;
  /** The measure that comparisons are made in. */
  main: string;
  scores: Scores;
  intervals: Record<string, Ends>;
  baselines: BaselineEvaluation[];
  /** The fused model first. */
  subsets: SubsetEvaluation[];
  groups: GroupEvaluation[];
  calibration: CalibrationEvaluation;
  /** [true][said], of classes. */
  confusion?: number[][];
  /** Some films, drawn: truth and forecast. */
  points: { truth: number[]; forecast: number[] };
  worst: WorstCase[];
}

export interface Evaluation {
  format: 'cinefuse-evaluation';
  version: 1;
  /** Which part of the split: "test". */
  part: string;
  films: number;
  /** Films of the part without any modality: not judged. */
  skipped: number;
  modalities: string[];
  /** Of the intervals. */
  draws: number;
  seed: number;
  heads: HeadEvaluation[];
}

/** Every forecast, for a table beside the report. */
export interface ForecastRow {
  id: string;
  head: string;
  truth: number | string | null;
  forecast: number | string;
  low?: number;
  high?: number;
}
