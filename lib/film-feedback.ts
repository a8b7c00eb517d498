/** A film's result, from what the encoders and the network made of it. */
import { CinefuseError, InputError } from './errors.js';
import { type Feedback, headFeedback, type SentimentFeedback } from './feedback.js';
import type { EncodedFilm } from './film-encoder.js';
import type { FilmIntake } from './film-intake.js';
import type { Fused } from './fuse.js';
import type { BundleManifest } from './fusion/manifest.js';
import { givenInputNames, type ParsedMovie } from './movie.js';
import type { PredictionResult } from './options.js';

const usableInputs = ({ modalities }: BundleManifest) => [...new Set(modalities.map(({ input }) => input))];

/** Why a film of which no input could be used has no result. */
export function nothingUsable(manifest: BundleManifest, { notUsed }: EncodedFilm): InputError {
  const reasons = [...notUsed].map(([input, reason]) => `${input}: ${reason}`);
  return new InputError('ERR_INPUT_EMPTY', {
    field: 'movie',
    expected: `at least one input that this model can use (${usableInputs(manifest).join(', ')})`,
    got: reasons.length > 0 ? `none (${reasons.join('; ')})` : 'none of them',
  });
}

export function filmFeedback(
  manifest: BundleManifest,
  film: ParsedMovie,
  { notUsed, missingFacts }: EncodedFilm,
  { output, present, weights, moments }: Fused,
  sentiment: SentimentFeedback | undefined,
): Omit<Feedback, 'timings'> {
  const given = givenInputNames(film);
  const used = [...weights.keys()];
  const usable = usableInputs(manifest);
  const reasons: Feedback['notUsed'] = [];
  for (const input of given) {
    // A title is part of the facts; named apart only if a modality wants it.
    if (used.includes(input) || (input === 'title' && !usable.includes('title'))) continue;
    const reason = notUsed.get(input) ?? manifest.notUsed[input] ?? 'this model has no part that reads it';
    reasons.push({ input, reason });
  }
  return {
    ...(film.id !== undefined && { id: film.id }),
    ...(film.title !== undefined && { title: film.title }),
    ...headFeedback(manifest.heads, output, present),
    ...(sentiment && { sentiment }),
    used,
    notUsed: reasons,
    missing: [...usable.filter((input) => !given.includes(input)), ...missingFacts],
    modalities: Object.fromEntries(weights),
    moments,
    model: { name: manifest.name, version: manifest.version, beforeRelease: manifest.beforeRelease },
  };
}

/** A film's outcome in its place. */
export function resultOf(
  outcome: CinefuseError | Feedback,
  index: number,
  { id }: FilmIntake,
): PredictionResult {
  const place = { index, ...(id !== undefined && { id }) };
  return outcome instanceof CinefuseError
    ? { ...place, ok: false, error: outcome }
    : { ...place, ok: true, feedback: outcome };
}
