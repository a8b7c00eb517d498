/** What encoding a data set takes and gives. */
import type { Device } from '../device.js';
import type { EncoderModel } from '../encoders/pool.js';
import type { Bundle } from '../fusion/bundle.js';
import type { InputName } from '../fusion/manifest.js';
import type { MediaDecoderOptions } from '../media/decoder.js';
import type { FrameSampling } from '../media/types.js';
import type { MetadataFitOptions } from '../metadata/fit.js';
import type { MetadataSpec } from '../metadata/spec.js';
import type { ExecOptions } from '../ops/exec.js';
import type { DataProblem } from './data/types.js';
import type { EmbeddingCache, EmbeddingCacheOptions } from './embedding-cache.js';
import type { FilmTable, TableSplit } from './table.js';
import type { FittedTerms } from './terms-fit.js';

/** One input through one encoder, as a bundle's modality. */
export interface EncodeModality {
  name: string;
  input: InputName;
  /** An encoder or TF-IDF member of the bundle, one of `encoders`, or "metadata". */
  encoder: string;
  languages?: readonly string[] | undefined;
  sampling?: FrameSampling | undefined;
  maxDurationMs?: number | undefined;
  /** Whether the table keeps all vectors of a sequence. Default: their mean. */
  sequence?: boolean | undefined;
}

/** How the facts' encoder is fitted on the films of train. */
export interface MetadataModalityOptions {
  /** Column of ratings. Default: rating or another by its name, else the first target that is a number. */
  rating?: string | undefined;
  /** Column of revenues in dollars, or null for none. Default: revenue or another by its name. */
  revenue?: string | null | undefined;
  seed?: number | undefined;
  /** Forms of every training film's vector, each by tables of people that were made without the film. Default 4. */
  foldings?: number | undefined;
  /** Parts of the training films; tables for one are made of the others. Default 10. */
  folds?: number | undefined;
  /** By field: the chance of being hidden from a film in every other folding. Default: HIDDEN_FIELDS. */
  hidden?: Readonly<Record<string, number>> | undefined;
  fit?: MetadataFitOptions | undefined;
}

/** A TF-IDF member that is fitted on the films of train; modalities name it as their encoder. */
export interface TermsModalityOptions {
  name: string;
  /** Leading directions of the training texts that are kept. Default 38. */
  directions?: number | undefined;
  /** Texts of train that must have a term for it to count. Default 5. */
  leastTexts?: number | undefined;
  /** Default 12,000, the most frequent. */
  maxTerms?: number | undefined;
  /** Ridge penalty of the directions towards targets. Default 4. */
  penalty?: number | undefined;
  /** Parts of the training films; a film's value along such a direction comes of the other parts. Default 10. */
  folds?: number | undefined;
  seed?: number | undefined;
  /** (films) each, NaN where unknown: a direction is fitted towards each. Default: none. */
  targets?: readonly ArrayLike<number>[] | undefined;
}

/** Where encoding a data set stands. */
export interface EncodeProgress {
  /** 'read': films are looked through; 'encode': encoders run; 'facts', 'terms': these are fitted. */
  stage: 'read' | 'encode' | 'facts' | 'terms';
  /** Films; inputs to encode; foldings. */
  done: number;
  total: number;
  /** Inputs that were found in the cache. */
  cached: number;
  elapsedMs: number;
  /** Expected, of this stage; undefined before there is anything to go by. */
  remainingMs?: number;
}

export interface EncodeDatasetOptions extends MediaDecoderOptions {
  /** Where encoders come from: a bundle, or its path. Default: the one that comes with the package. */
  bundle?: Bundle | string | undefined;
  /** Encoders beside those of the bundle. */
  encoders?: readonly EncoderModel[] | undefined;
  /** Default: those of the bundle, with sequences where its network takes them. */
  modalities?: readonly EncodeModality[] | undefined;
  /** Parts of the data set; only the films of train are fitted on. Not needed without a modality of facts. */
  split?: TableSplit | undefined;
  /** The facts' encoder: how it is fitted, or 'bundle' for the bundle's own, to judge a bundle by films it has not seen. */
  metadata?: MetadataModalityOptions | 'bundle' | undefined;
  /** TF-IDF members to be fitted. Default: none; those of the bundle are taken as they are. */
  terms?: readonly TermsModalityOptions[] | undefined;
  /** Where embeddings are kept. Default: an EmbeddingCache with its own defaults; false: nowhere. */
  cache?: EmbeddingCache | EmbeddingCacheOptions | false | undefined;
  /** Columns that are to be predicted: as inputs they are refused. */
  targets?: readonly string[] | undefined;
  /** Refuses inputs made of what is known only after release. Default true. */
  beforeRelease?: boolean | undefined;
  /** By these the table's films are grouped. Default: genre, language and decade, as far as they are known. */
  groups?: readonly string[] | undefined;
  /** Threads of the encoders. */
  threads?: number | undefined;
  encoderWorkers?: number | undefined;
  device?: Device | undefined;
  exec?: Omit<ExecOptions, 'signal'> | undefined;
  /** Films read at a time; no batch of an encoder holds rows of two films. Default 32. */
  batchSize?: number | undefined;
  signal?: AbortSignal | undefined;
  onProgress?: ((progress: EncodeProgress) => void) | undefined;
}

/** What became of one modality. */
export interface EncodedModality {
  /** Films that have it. */
  films: number;
  /** Vectors that were found, and that were made now. */
  cached: number;
  encoded: number;
  /** Why films that bring the input do not have the modality, and how many they are. */
  leftOut: Record<string, number>;
}

export interface EncodedDataset {
  /** Without targets: who trains puts them in. */
  table: FilmTable;
  /** Of the facts' encoder that was fitted, for the bundle. */
  metadata?: MetadataSpec;
  /** TF-IDF members that were fitted, for the bundle. */
  terms: FittedTerms[];
  modalities: Record<string, EncodedModality>;
  /** Files that could not be decoded or read, beside the data set's own problems. */
  problems: DataProblem[];
}
