/** One film in one call: key words, sentiment, script, trailer. Forecasts nothing; Predictor does that. */
import { analyzeReviews } from './analyze-reviews.js';
import { CinefuseError, InputError, throwIfCancelled } from './errors.js';
import { takeFilm } from './film-intake.js';
import { LinkedSignal } from './linked-signal.js';
import type { Movie, ParsedMovie } from './movie.js';
import { SignalListeners } from './signal-listeners.js';
import { type Keyword, extractKeywords } from './text/keywords/extract.js';
import { COVERED } from './text/keywords/language.js';
import type { KeywordMethod } from './text/keywords/rank.js';
import { splitSentences, type TextSpan, unwrapLines } from './text/chunks.js';
import { readText } from './text/read-text.js';
import { readReviews } from './text/reviews.js';
import { analyzeScript, type ScriptAnalysis } from './text/scripts/analyze.js';
import type { ReviewSummary } from './text/sentiment/summary.js';
import { factsOf, languageOf, openModels } from './text/scripts/passages.js';
import { analyzeSubtitles, type SubtitleAnalysis } from './text/scripts/subtitles.js';
import { toneOf } from './text/scripts/tension.js';
import type { TextModels } from './text-models.js';
import type { AnalyzeTrailerOptions, TrailerAnalysis } from './trailer/analyze.js';

export type AnalyzedInput = 'synopsis' | 'script' | 'subtitles' | 'reviews' | 'trailer';

export interface AnalyzeFilmOptions {
  /** Key words of every text, or none. Default true: the ten best. */
  keywords?: boolean | { count?: number | undefined; method?: KeywordMethod | undefined } | undefined;
  /** Tone of synopsis, script and subtitles, and what the reviews say. Default true. */
  sentiment?: boolean | undefined;
  /** Shots, key frames, motion and sound of the trailer, or none. Default true; key frames are saved where a directory is given. */
  trailer?: boolean | Pick<AnalyzeTrailerOptions, 'keyFrames' | 'motion' | 'sound'> | undefined;
  /** 'throw' (default): an input that cannot be read ends the call. 'skip': the others come back, `notRead` says why. */
  onInputError?: 'throw' | 'skip' | undefined;
  /** Encoders that are loaded already; without them those of `bundle` are loaded for the call. */
  models?: TextModels | undefined;
  /** A bundle's directory or .tar. Default: the one that comes with the package. */
  bundle?: string | undefined;
  threads?: number | undefined;
  signal?: AbortSignal | undefined;
  /** Told when the analysis of an input is done. */
  onProgress?: ((progress: { input: AnalyzedInput; done: number; total: number }) => void) | undefined;
}

/** A sentence with its tone. */
export interface TonedSentence extends TextSpan {
  text: string;
  tone: number;
}

/** The tone of a text, 0 grim to 1 warm: docs/scripts.md says what it is worth. */
export interface TextSentiment {
  /** Mean over the sentences, by words; null where no scorer reads the language. */
  tone: number | null;
  warmest?: TonedSentence;
  grimmest?: TonedSentence;
}

export interface FilmAnalysis {
  id?: string;
  title?: string;
  /** By text, best first. `document` of a span is the cue of subtitles, the review of reviews, else 0. */
  keywords: Partial<Record<Exclude<AnalyzedInput, 'trailer'>, Keyword[]>>;
  /** Of the synopsis. */
  synopsis?: TextSentiment;
  script?: ScriptAnalysis;
  subtitles?: SubtitleAnalysis;
  reviews?: ReviewSummary;
  trailer?: TrailerAnalysis;
  /** Inputs that could not be read, and why. */
  notRead: { input: AnalyzedInput; reason: string }[];
  /** Inputs that could have been analysed and were not given. */
  missing: AnalyzedInput[];
  /** The whole call. */
  milliseconds: number;
}

const INPUTS: readonly AnalyzedInput[] = ['synopsis', 'script', 'subtitles', 'reviews', 'trailer'];
const listeners = new SignalListeners();

/** As analyzeFilm of analyze.ts. */
export async function analyzeFilm(movie: Movie, options: AnalyzeFilmOptions = {}): Promise<FilmAnalysis> {
  const start = performance.now();
  throwIfCancelled(options.signal);
  const intake = takeFilm(movie);
  using link = new LinkedSignal(listeners, options.signal);
  try {
    const { film } = intake;
    if (film instanceof CinefuseError) throw film;
    const analysis = await analyzeParsed(film, options, link);
    return { ...analysis, milliseconds: performance.now() - start };
  } finally {
    intake.release();
  }
}

/** What one input is analysed with. */
interface Task {
  film: ParsedMovie;
  options: AnalyzeFilmOptions;
  models: TextModels;
  signal: AbortSignal;
}

/** What came of one input. */
type Part = Omit<Partial<FilmAnalysis>, 'keywords'> & { keywords?: Keyword[] };

const WORK: Record<AnalyzedInput, (task: Task) => Promise<Part>> = {
  synopsis: async (task) => {
    const text = unwrapLines(await readText(task.film.given.synopsis!, 'synopsis'));
    const [keywords, synopsis] = await Promise.all([keywordsOf([text], task), sentimentOf(text, task)]);
    return { keywords, ...(synopsis && { synopsis }) };
  },
  script: async (task) => {
    const { options, models, signal, film } = task;
    const tone = options.sentiment ?? true;
    const each = options.keywords === false ? 0 : undefined;
    const script = await analyzeScript(film.given.script!, { models, signal, tone, keywords: each });
    return { keywords: script.keywords, script };
  },
  subtitles: async (task) => {
    const { options, models, signal, film } = task;
    const tone = options.sentiment ?? true;
    const each = options.keywords === false ? 0 : undefined;
    const subtitles = await analyzeSubtitles(film.given.subtitles!, { models, signal, tone, keywords: each });
    const lines = subtitles.cues.map(({ text }) => text);
    return { keywords: await keywordsOf(lines, task), subtitles };
  },
  reviews: async (task) => {
    const { options, models, signal, film } = task;
    const texts = await readReviews(film.given.reviews!);
    const [keywords, reviews] = await Promise.all([
      keywordsOf(texts, task),
      (options.sentiment ?? true) ? analyzeReviews(texts, { models, signal }) : undefined,
    ]);
    return { keywords, ...(reviews && { reviews }) };
  },
  trailer: async ({ film, options: { trailer = true }, signal }) => {
    // Loaded only here: most films have texts alone.
    const { analyzeTrailer } = await import('./trailer/analyze.js');
    const wanted = typeof trailer === 'object' ? trailer : {};
    return { trailer: await analyzeTrailer(film.given.trailer!, { ...wanted, signal }) };
  },
};

async function analyzeParsed(
  film: ParsedMovie,
  options: AnalyzeFilmOptions,
  link: LinkedSignal,
): Promise<Omit<FilmAnalysis, 'milliseconds'>> {
  const inputs = INPUTS.filter((input) => film.given[input] !== undefined && isWanted(input, options));
  if (inputs.length === 0) {
    throw new InputError('ERR_INPUT_EMPTY', {
      field: 'movie',
      expected: `at least one of ${INPUTS.join(', ')} to analyse`,
      got: 'none of them',
    });
  }
  const { signal } = link;
  const { bundle, threads, onProgress } = options;
  await using open = await openModels(options.models, { bundle, threads, signal });
  const result: Omit<FilmAnalysis, 'milliseconds'> = {
    ...(film.id !== undefined && { id: film.id }),
    ...(film.title !== undefined && { title: film.title }),
    keywords: {},
    notRead: [],
    missing: INPUTS.filter((input) => film.given[input] === undefined),
  };
  let done = 0;
  let failed: { error: unknown } | undefined;
  const work = inputs.map(async (input) => {
    try {
      const { keywords, ...part } = await WORK[input]({ film, options, models: open.models, signal });
      Object.assign(result, part);
      if (keywords && input !== 'trailer') result.keywords[input] = keywords;
    } catch (error) {
      if (options.onInputError !== 'skip' || !isOfTheInput(error)) {
        // The first one counts; what it stops fails as well.
        failed ??= { error };
        link.abort();
        return;
      }
      result.notRead.push({ input, reason: error.message });
    }
    onProgress?.({ input, done: ++done, total: inputs.length });
  });
  await Promise.all(work);
  throwIfCancelled(options.signal);
  if (failed) throw failed.error;
  return result;
}

function isWanted(
  input: AnalyzedInput,
  { keywords = true, sentiment = true, trailer = true }: AnalyzeFilmOptions,
): boolean {
  return input === 'trailer' ? trailer !== false : keywords !== false || sentiment;
}

function isOfTheInput(error: unknown): error is CinefuseError {
  return error instanceof CinefuseError && /^ERR_(?:INPUT|MEDIA)_/.test(error.code);
}

/** Key words, where they are wanted and we have stop words of the language. */
async function keywordsOf(
  texts: readonly string[],
  { options: { keywords = true }, models, signal }: Task,
): Promise<Keyword[]> {
  if (keywords === false) return [];
  const wanted = keywords === true ? {} : keywords;
  const language = await languageOf(texts.slice(0, 200).join('\n').slice(0, 100_000), models, { signal });
  if (!COVERED.includes(language)) return [];
  return extractKeywords(texts, { ...wanted, language, models, signal });
}

async function sentimentOf(
  text: string,
  { options: { sentiment = true }, models, signal }: Task,
): Promise<TextSentiment | undefined> {
  if (!sentiment) return undefined;
  const language = await languageOf(text, models, { signal });
  const spans = splitSentences(text, language);
  const sentences = spans.map(({ start, end }) => text.slice(start, end).replace(/\s+/g, ' '));
  const facts = await factsOf(sentences, language, models, { signal });
  const toned = spans.flatMap((span, i): TonedSentence[] => {
    const { tone } = facts[i]!;
    return tone === undefined ? [] : [{ ...span, text: sentences[i]!, tone }];
  });
  const ends = toned.sort((a, b) => b.tone - a.tone);
  const [warmest, grimmest] = [ends[0], ends.at(-1)];
  return { tone: toneOf(facts), ...(warmest && { warmest }), ...(grimmest && { grimmest }) };
}
