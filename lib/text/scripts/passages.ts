/** What scenes of a screenplay and stretches of subtitles have in common: sentences with tone, tension and key words. */
import { CinefuseError, throwIfCancelled } from '../../errors.js';
import { Pace } from '../../pace.js';
import { TextModels, type TextModelsOptions } from '../../text-models.js';
import type { Keyword } from '../keywords/extract.js';
import { bundleReference, COVERED } from '../keywords/language.js';
import { keywordsOfParts } from '../keywords/parts.js';
import { coversLanguage } from '../language.js';
import { type SentenceFacts, sentenceFacts } from './tension.js';

export interface PassageOptions {
  /** Default true: the probability of being positive, by the bundle's scorer of reviews, sentence by sentence. */
  tone?: boolean | undefined;
  /** Key words of each scene at most. Default 5; 0: none. */
  keywords?: number | undefined;
  /** ISO 639-1. Default: detected. */
  language?: string | undefined;
  /** Encoders that are loaded already; without them the default bundle's are loaded for the call and given back. */
  models?: TextModels | undefined;
  signal?: AbortSignal | undefined;
  /** Told while sentences are scored. */
  onProgress?: ((progress: { done: number; total: number }) => void) | undefined;
}

/** The caller's models, or ones that go away with the scope. */
export async function openModels(
  models: TextModels | undefined,
  options: TextModelsOptions,
): Promise<{ models: TextModels } & AsyncDisposable> {
  const own = models ? undefined : await TextModels.load(options);
  return { models: models ?? own!, [Symbol.asyncDispose]: async () => own?.dispose() };
}

/** The language given, or the best guess; of the covered ones first. */
export async function languageOf(
  text: string,
  models: TextModels,
  { language, signal }: PassageOptions,
): Promise<string> {
  if (language !== undefined) return language;
  const guess = await models.thread.detectLanguage(text, { signal });
  return COVERED.find((covered) => coversLanguage([covered], guess, true)) ?? guess.language;
}

/** Facts of every sentence; tones are missing where no scorer reads the language, or it cannot read the sentence. */
export async function factsOf(
  sentences: readonly string[],
  language: string,
  models: TextModels,
  { tone = true, signal, onProgress }: PassageOptions,
): Promise<SentenceFacts[]> {
  const scored = tone && models.reviews?.languages.includes(language);
  const tones = scored
    ? (
        await models.reviews!.score(sentences, {
          language,
          signal,
          onProgress: (done, total) => onProgress?.({ done, total }),
        })
      ).probabilities
    : [];
  const pace = new Pace();
  const facts: SentenceFacts[] = [];
  for (const [i, sentence] of sentences.entries()) {
    const probability = tones[i];
    const known = probability instanceof CinefuseError ? undefined : probability;
    facts.push(sentenceFacts(sentence, language, known));
    if (pace.due) await pace.rest();
    throwIfCancelled(signal);
  }
  return facts;
}

/** Key words of each part; none where we have no stop words of the language. */
export async function partKeywords(
  parts: readonly string[],
  language: string,
  stopWords: ReadonlySet<string>,
  models: TextModels,
  { keywords: count = 5, signal }: PassageOptions,
): Promise<Keyword[][]> {
  if (count === 0 || !COVERED.includes(language)) return parts.map(() => []);
  const reference = await bundleReference(language, models.tfidf);
  return keywordsOfParts(parts, { language, reference, count, stopWords, signal });
}
