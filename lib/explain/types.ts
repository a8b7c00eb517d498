/** What an explanation says. */
import type { Feedback } from '../feedback.js';
import type { InputName } from '../fusion/manifest.js';
import type { MetadataFields } from '../metadata/spec.js';
import type { PredictOptions } from '../options.js';
import type { TextSpan } from '../text/chunks.js';
import type { Comparable, FilmIndex } from './film-index.js';

/**
 * By head, what a part does to the forecast, in the head's own unit: the forecast as it is less the forecast without
 * the part. Above 0: it raises the forecast. Of a classification: probability, between 0 and 1.
 */
export type Effects = Record<string, number>;

/** A head's forecast as the one number that effects are differences of. */
export interface HeadValue {
  head: string;
  value: number;
  unit: string;
  /** Of a regression: what holds the truth for `level` of such films. */
  interval?: [low: number, high: number];
  level?: number;
}

export interface InputEffect {
  input: InputName;
  /** As in `feedback.modalities`. */
  weight: number;
  /** Undefined where nothing is left without it. */
  effects: Effects | undefined;
}

export interface FactEffect {
  fact: keyof MetadataFields;
  /** What was taken away: one genre, one person, the budget. */
  value: string;
  /** Undefined where nothing is left without it. */
  effects: Effects | undefined;
}

/** A part of a text: a sentence (or some, in a long text), or a word wherever it occurs. */
export interface TextPart {
  text: string;
  /** Where it stands, in UTF-16 units of the text. */
  spans: TextSpan[];
  effects: Effects;
}

/**
 * The test that an explanation puts itself to: all named parts are taken out together, and so are random parts of the
 * same number and kind.
 */
export interface Check {
  head: string;
  /** The parts that were named: places in the list of parts, or regions. */
  parts: number[];
  /** Effect of all of them together. */
  named: number;
  /** Mean size of the effect of random ones. */
  random: number;
  draws: number;
  /** Draws whose effect was smaller in size than that of the named parts. */
  beaten: number;
}

export interface TextExplanation {
  input: InputName;
  /** What the encoders were given: of subtitles the dialogue, of reviews one a line. */
  text: string;
  /** All of it, in order; in a text of many sentences several are taken together. */
  sentences: TextPart[];
  /** Words of the sentences that matter most, largest effect on the head first. */
  words: TextPart[];
  sentenceCheck: Check | undefined;
  wordCheck: Check | undefined;
}

/** A rectangle of the upright poster, in pixels. */
export interface Region {
  x: number;
  y: number;
  width: number;
  height: number;
}

export interface PosterExplanation {
  width: number;
  height: number;
  /** (rows, columns), row-major: effect on the head of the places around each cell, as a mean over what covered it. */
  heat: { columns: number; rows: number; effects: Float64Array };
  /** Those that matter most to the head, largest effect first; none lies over another. */
  regions: (Region & { effects: Effects })[];
  check: Check | undefined;
  /** The poster as a JPEG of at most 480 pixels a side. */
  picture: Uint8Array;
  /** The same size as a PNG: the poster in gray, blue where it raises the forecast, orange where it lowers it. */
  heatMap: Uint8Array;
}

/** A stretch of the trailer or the music. */
export interface MomentEffect {
  input: InputName;
  startMs: number;
  endMs: number;
  /** Attention weight, where the network attends to moments. */
  weight: number | undefined;
  effects: Effects;
}

export interface Explanation {
  feedback: Feedback;
  /** The head that parts are ranked by. */
  head: string;
  heads: HeadValue[];
  /** Largest effect on the head first. */
  inputs: InputEffect[];
  facts: FactEffect[];
  texts: TextExplanation[];
  poster: PosterExplanation | undefined;
  moments: MomentEffect[];
  /** Given an index: the films that lie nearest. */
  comparables: Comparable[];
  /** Films and parts of films that were run through the model. */
  forecasts: number;
  milliseconds: number;
}

export interface ExplainProgress {
  stage: 'forecast' | 'inputs' | 'text' | 'poster' | 'moments';
  done: number;
  total: number;
}

export interface ExplainOptions extends PredictOptions {
  /** The head that parts are ranked by. Default: rating, else the model's first. */
  head?: string | undefined;
  /** Parts that a text is cut into at most: of more sentences, neighbours are taken together. Default 40. */
  maxSentences?: number | undefined;
  /** Words measured in each text at most, of the sentences that matter most. Default 120; 0: no words. */
  maxWords?: number | undefined;
  /** Cells along the poster's longer side. Default 9; 0: no regions. */
  posterCells?: number | undefined;
  /** Random parts that each list of named parts is compared with. Default 8; 0: no checks. */
  draws?: number | undefined;
  /** Of the random parts. Default 0. */
  seed?: number | undefined;
  /** Films to look for comparable ones in. */
  index?: FilmIndex | undefined;
  /** Comparable films asked for. Default 5. */
  comparables?: number | undefined;
  onProgress?: ((progress: ExplainProgress) => void) | undefined;
}
