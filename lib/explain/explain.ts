/** One film's explanation, told top to bottom. */
import { CinefuseError, describeValue, InputError } from '../errors.js';
import type { Forecaster } from '../forecast.js';
import type { RgbImage } from '../media/types.js';
import { classify, stageFile } from '../media/source.js';
import type { ParsedMovie } from '../movie.js';
import { encodeOptions } from '../predict-options.js';
import { explainFacts } from './facts.js';
import { locateFilm } from './fused-space.js';
import { explainMoments } from './moments.js';
import { explainPoster } from './poster.js';
import { explainText, TEXT_INPUTS } from './texts.js';
import type { Effects, ExplainOptions, Explanation, InputEffect, TextExplanation } from './types.js';
import { Variants } from './variants.js';

type Limits = ReturnType<typeof limitsOf>;

/** Options with their defaults, checked. @throws InputError ERR_INPUT_VALUE */
function limitsOf(options: ExplainOptions) {
  const count = (name: keyof ExplainOptions, least: number, most: number, fallback: number): number => {
    const value = options[name] ?? fallback;
    if (Number.isInteger(value) && (value as number) >= least && (value as number) <= most)
      return value as number;
    throw new InputError('ERR_INPUT_VALUE', {
      field: `options.${name}`,
      expected: `an integer from ${least} to ${most}`,
      got: describeValue(value),
    });
  };
  const posterCells = count('posterCells', 0, 32, 9);
  return {
    maxSentences: count('maxSentences', 1, 1000, 40),
    maxWords: count('maxWords', 0, 2000, 120),
    posterCells: posterCells === 1 ? 2 : posterCells,
    draws: count('draws', 0, 1000, 8),
    seed: count('seed', 0, 2 ** 32 - 1, 0),
    comparables: count('comparables', 0, 100, 5),
  };
}

/** @throws as Predictor.explain */
export async function explainFilm(
  forecaster: Forecaster,
  given: ParsedMovie,
  options: ExplainOptions,
): Promise<Explanation> {
  const start = performance.now();
  const limits = limitsOf(options);
  const { film, release } = await stagedPoster(forecaster, given, options);
  const tell =
    (stage: Parameters<NonNullable<ExplainOptions['onProgress']>>[0]['stage']) =>
    (done: number, total: number) =>
      options.onProgress?.({ stage, done: Math.min(done, total), total });
  try {
    tell('forecast')(0, 1);
    const base = await forecaster.forecast(film, options);
    tell('forecast')(1, 1);
    const variants = new Variants(forecaster, film, base, options);
    const { feedback } = base;
    const inputs = await inputEffects(variants, feedback.used, feedback.modalities);
    const facts = await explainFacts(variants);
    tell('inputs')(1, 1);
    const texts = await textsOf(forecaster, variants, limits, tell('text'));
    const image = limits.posterCells > 0 && (await pictureOf(forecaster, variants));
    const poster = image ? await explainPoster(variants, image, limits, tell('poster')) : undefined;
    const moments = await explainMoments(variants, feedback.moments);
    tell('moments')(1, 1);
    const { index } = options;
    const comparables = index
      ? await index.nearest(await locateFilm(forecaster, film, options, base), { count: limits.comparables })
      : [];
    const { head, heads, forecasts } = variants;
    const milliseconds = performance.now() - start;
    return {
      feedback,
      head,
      heads,
      inputs,
      facts,
      texts,
      poster,
      moments,
      comparables,
      forecasts,
      milliseconds,
    };
  } finally {
    await release();
  }
}

const sizeOf = (effects: Effects | undefined, head: string) => Math.abs(effects?.[head] ?? 0);

async function inputEffects(
  variants: Variants,
  used: Explanation['feedback']['used'],
  weights: Explanation['feedback']['modalities'],
): Promise<InputEffect[]> {
  const effects = await variants.without(used);
  return used
    .map((input, i) => ({ input, weight: weights[input] ?? 0, effects: effects[i] }))
    .sort((a, b) => sizeOf(b.effects, variants.head) - sizeOf(a.effects, variants.head));
}

async function textsOf(
  forecaster: Forecaster,
  variants: Variants,
  limits: Limits,
  onProgress: (done: number, total: number) => void,
): Promise<TextExplanation[]> {
  const texts: TextExplanation[] = [];
  for (const input of TEXT_INPUTS) {
    const [job] = variants.jobsOf(input).filter(({ key }) => variants.embeddings.has(key));
    if (!job) continue;
    const options = encodeOptions({ signal: variants.signal });
    const source = forecaster.encoder.sources(variants.film, options);
    const { languages: _, ...anyLanguage } = job;
    const found = await source.text(anyLanguage, 'any').finally(() => source.release());
    if ('sample' in found) {
      texts.push(await explainText(variants, input, found.sample, limits, onProgress));
    }
  }
  return texts;
}

async function pictureOf(forecaster: Forecaster, variants: Variants): Promise<RgbImage | undefined> {
  if (!variants.jobsOf('poster').some(({ key }) => variants.embeddings.has(key))) return undefined;
  const source = forecaster.encoder.sources(variants.film, encodeOptions({ signal: variants.signal }));
  const found = await source.image().finally(() => source.release());
  if ('error' in found) throw found.error;
  return 'sample' in found ? found.sample : undefined;
}

/** A poster that comes as a stream is put into a file: it is looked at twice. */
async function stagedPoster(
  { encoder, jobs }: Forecaster,
  film: ParsedMovie,
  { signal, onInputError }: ExplainOptions,
): Promise<{ film: ParsedMovie; release: () => Promise<void> }> {
  const unchanged = { film, release: async () => {} };
  const { poster } = film.given;
  if (poster === undefined || !jobs.some(({ input }) => input === 'poster')) return unchanged;
  try {
    const source = classify(poster, 'poster');
    if (source.kind !== 'stream') return unchanged;
    const { path, release } = await stageFile(source, {
      subject: { field: 'poster' },
      limit: 'maxImageBytes',
      maxBytes: encoder.maxImageBytes,
      signal: signal ?? new AbortController().signal,
    });
    return { film: { ...film, given: { ...film.given, poster: { path } } }, release };
  } catch (error) {
    if (onInputError !== 'skip' || !(error instanceof CinefuseError) || error.code === 'ERR_CANCELLED')
      throw error;
    return unchanged; // the forecast says why it cannot be used
  }
}
