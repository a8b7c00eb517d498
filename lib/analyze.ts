/** One film in one call. What does it is loaded with the first: importing the package stays cheap. */
import type { AnalyzeFilmOptions, FilmAnalysis } from './film-analysis.js';
import type { Movie } from './movie.js';

export type {
  AnalyzedInput,
  AnalyzeFilmOptions,
  FilmAnalysis,
  TextSentiment,
  TonedSentence,
} from './film-analysis.js';

/**
 * Everything cinefuse can say about a film's texts and trailer, side by side. What is not given is left out.
 *
 * @throws InputError ERR_INPUT_*   a field that is wrong or unknown; nothing to analyse; a text that cannot be read
 * @throws MediaError ERR_MEDIA_*   a trailer that cannot be read
 * @throws ModelError ERR_MODEL_*, BundleError ERR_BUNDLE_*  of the bundle; CancelledError ERR_CANCELLED
 */
export async function analyzeFilm(movie: Movie, options: AnalyzeFilmOptions = {}): Promise<FilmAnalysis> {
  return (await import('./film-analysis.js')).analyzeFilm(movie, options);
}
