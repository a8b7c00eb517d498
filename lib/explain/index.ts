/** `cinefuse/explain`: comparable films and reports, beside Predictor.explain and Predictor.whatIf. */
export { type DatasetFilmsOptions, datasetFilms } from './dataset-films.js';
export {
  type BuildIndexOptions,
  type Comparable,
  FilmIndex,
  type IndexedFilm,
  type Nearness,
  type Outcomes,
} from './film-index.js';
export type { FilmPosition } from './fused-space.js';
export type { KnownFilm, Shared } from './known-films.js';
export { explanationPage, type PageOptions, type TriedChange } from './page.js';
export type {
  Check,
  Effects,
  Explanation,
  ExplainOptions,
  ExplainProgress,
  FactEffect,
  HeadValue,
  InputEffect,
  MomentEffect,
  PosterExplanation,
  Region,
  TextExplanation,
  TextPart,
} from './types.js';
export type { Difference, FilmChanges, WhatIf, WhatIfOptions } from './what-if.js';
