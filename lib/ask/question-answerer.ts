/** Questions about films, answered from what is on record of them and from nothing else. */
import { DisposedError, describeValue, InputError, throwIfCancelled } from '../errors.js';
import type { Feedback } from '../feedback.js';
import type { Movie } from '../movie.js';
import { TextModels } from '../text-models.js';
import { checkMovies, checkQuestion } from './checks.js';
import {
  comparisonAnswer,
  factAnswer,
  factSource,
  findWords,
  listAnswer,
  type Mention,
  mentionsOf,
  nameOf,
  type Names,
  namesOf,
  type Source,
  yesNoAnswer,
} from './facts.js';
import type { LanguageModel } from './language-model.js';
import { holds } from './answer-type.js';
import { type Phrasing, phrase } from './phrasing.js';
import { parseQuestion, type Question } from './question.js';
import { type FactField, type FilmRecord, readRecord } from './records.js';
import { type FoundSentence, type SearchOptions, SentenceSearch } from './sentence-search.js';
import { termsOf, wordBehind } from './terms.js';

export interface QuestionAnswererOptions {
  /** Puts answers into words. Default: none; an answer is then a fact or a sentence of the record itself. */
  languageModel?: LanguageModel | undefined;
  /** By the films' places: what a Predictor said, so that questions about the reception have an answer. */
  forecasts?: readonly (Feedback | undefined)[] | undefined;
  /** false: sentences are found by their words alone, and no encoder is loaded. Default true. */
  embeddings?: boolean | undefined;
  /** Whose text encoder is used. Default: the bundle that comes with the package. */
  bundle?: string | undefined;
  /** Threads of the encoder. */
  threads?: number | undefined;
  /** 'skip': a text that cannot be read is left out, and `films` says why. Default 'throw'. */
  onInputError?: 'throw' | 'skip' | undefined;
  signal?: AbortSignal | undefined;
  onProgress?: ((progress: { stage: 'read' | 'embed'; done: number; total: number }) => void) | undefined;
}

export interface AskOptions {
  /** Only of this film: its place in the list, or its id or title. */
  film?: number | string | undefined;
  /** Sentences quoted at most. Default 3. */
  maxSources?: number | undefined;
  signal?: AbortSignal | undefined;
}

export interface Answer {
  question: string;
  /** Whether the record says it. If not, `text` is "not known" and why. */
  known: boolean;
  text: string;
  /** What the answer rests on, best first. Of an unknown one: what comes nearest. */
  sources: Source[];
  /** How it was found: a fact, a comparison or list of facts, or a sentence of a text. */
  by: 'fact' | 'comparison' | 'list' | 'sentence' | 'none';
  /** Where a language model was asked: whether its words are `text`, and if not, why not. */
  languageModel?: { name: string; used: boolean; reason?: string };
}

/** Sentences that are looked at for the kind of words asked for. */
const CANDIDATES = 80;
/** Sentences that a language model is shown. */
const SHOWN = 8;
/** A sentence answers if it holds this much of what the question is about, */
const LEAST_COVERAGE = 0.6;
/** or this much and means nearly the same. */
const LEAST_COVERAGE_IF_NEAR = 0.4;
const NEAR = 0.45;
/** A film is meant if its texts hold this much of the description. */
const LEAST_FILM_COVERAGE = 0.6;

/**
 * Holds the records of films and answers questions about them. Facts are read off the description; sentences of
 * synopsis, script, subtitles and reviews are found by BM25 and by the bundle's text encoder, and quoted. What the record
 * does not say is "not known": there is no other source.
 */
export class QuestionAnswerer implements AsyncDisposable {
  readonly #films: readonly FilmRecord[];
  readonly #names: Names;
  readonly #search: SentenceSearch;
  readonly #models: TextModels | undefined;
  readonly #languageModel: LanguageModel | undefined;
  #disposed = false;

  private constructor(
    films: readonly FilmRecord[],
    search: SentenceSearch,
    models: TextModels | undefined,
    languageModel: LanguageModel | undefined,
  ) {
    this.#films = films;
    this.#names = namesOf(films);
    this.#search = search;
    this.#models = models;
    this.#languageModel = languageModel;
  }

  /**
   * Reads and indexes the films' records. Posters, trailers and sound are not opened.
   *
   * @throws InputError ERR_INPUT_*  a wrong film or option; more than 20,000 films
   * @throws ModelError ERR_MODEL_*, BundleError ERR_BUNDLE_*  the text encoder
   * @throws CancelledError ERR_CANCELLED
   */
  static async create(
    movies: readonly Movie[],
    options: QuestionAnswererOptions = {},
  ): Promise<QuestionAnswerer> {
    const { signal, onProgress, forecasts, embeddings = true } = options;
    throwIfCancelled(signal);
    checkMovies(movies);
    const skip = options.onInputError === 'skip';
    const films: FilmRecord[] = [];
    for (const [i, movie] of movies.entries()) {
      films.push(await readRecord(movie, i, { forecast: forecasts?.[i], skip, signal }));
      onProgress?.({ stage: 'read', done: i + 1, total: movies.length });
    }
    const texts = films.some(({ sentences }) => sentences.length > 0);
    const { bundle, threads } = options;
    const models = embeddings && texts ? await TextModels.load({ bundle, threads, signal }) : undefined;
    try {
      const search = await SentenceSearch.build(films, models?.encoderFor('en'), {
        signal,
        onProgress: onProgress && ((progress) => onProgress({ stage: 'embed', ...progress })),
      });
      return new QuestionAnswerer(films, search, models, options.languageModel);
    } catch (error) {
      await models?.dispose();
      throw error;
    }
  }

  /** The films, with what of them could not be read. */
  get films(): { id?: string; title?: string; notRead: FilmRecord['notRead'] }[] {
    return this.#films.map(({ id, title, notRead }) => ({
      ...(id !== undefined && { id }),
      ...(title !== undefined && { title }),
      notRead,
    }));
  }

  /**
   * @throws InputError ERR_INPUT_TYPE, ERR_INPUT_EMPTY, ERR_INPUT_VALUE  no question, one over 1,000 characters, a film
   *   that is not there
   * @throws ModelError ERR_MODEL_*  the text encoder; a language model that fails is said in the answer
   * @throws CancelledError ERR_CANCELLED; DisposedError ERR_DISPOSED
   */
  async ask(question: string, options: AskOptions = {}): Promise<Answer> {
    if (this.#disposed)
      throw new DisposedError('ERR_DISPOSED', { message: 'The QuestionAnswerer is disposed of' });
    throwIfCancelled(options.signal);
    checkQuestion(question);
    const found = await this.#answer(question, options);
    if (!this.#languageModel || found.by === 'comparison' || found.by === 'list') return found;
    return this.#phrased(this.#languageModel, found, options);
  }

  async #answer(text: string, options: AskOptions): Promise<Answer> {
    const { films, without } = this.#filmsMeant(text, options.film);
    const mentions = mentionsOf(without, this.#names);
    const parsed = parseQuestion(mentions.reduce(withoutMention, without));
    const rest = termsOf(parsed.rest);
    const answer = (
      by: Answer['by'],
      found: { known: boolean; text: string; sources: Source[] },
    ): Answer => ({
      question: text,
      known: found.known,
      text: found.known ? found.text : `not known: ${found.text}`,
      sources: found.sources,
      by: found.known ? by : 'none',
    });
    if (rest.length === 0) {
      const { comparison, conditions } = parsed;
      if (comparison && films.length > 1) {
        const among = conditions.length + mentions.length > 0 ? this.#among(films, parsed, mentions) : films;
        return answer('comparison', comparisonAnswer(among, comparison));
      }
      if (parsed.films && conditions.length + mentions.length > 0) {
        return answer('list', listAnswer(films, parsed, mentions));
      }
      if (parsed.films === 'count') {
        return answer('list', { known: true, text: String(films.length), sources: [] });
      }
      if (parsed.yesNo && mentions.length > 0 && films.length === 1) {
        return answer('fact', yesNoAnswer(films[0]!, parsed, mentions));
      }
      if (parsed.field && films.length <= 5) return answer('fact', factAnswer(films, parsed.field));
    }
    const about = termsOf([parsed.rest, ...mentions.map((mention) => mention.text)].join(' '));
    if (parsed.field || parsed.films) {
      // "Who directed the film about the lighthouse?": the description says which film is meant.
      const described = await this.#described(without, rest.length > 0 ? rest : about, films, options);
      if (described && parsed.films) return answer('sentence', described);
      if (described?.known) return answer('fact', factAnswer([described.film], parsed.field!));
      if (parsed.field && rest.length > 0) return this.#bySentence(text, parsed, rest, films, options);
    }
    return this.#bySentence(text, parsed, about, films, options);
  }

  #among(films: readonly FilmRecord[], parsed: Question, mentions: readonly Mention[]): FilmRecord[] {
    const { sources } = listAnswer(films, { ...parsed, films: 'list' }, mentions);
    return [...new Set(sources.map(({ film }) => film))].map((index) => this.#films[index]!);
  }

  /** The films a question is about: the one that is named, in the options or by its title in the text, else all. */
  #filmsMeant(text: string, wanted: number | string | undefined): { films: FilmRecord[]; without: string } {
    const named = this.#films
      .filter(({ title }) => title && findWords(text, title) && isTitle(text, title))
      .sort((a, b) => b.title!.length - a.title!.length);
    let without = text;
    const meant: FilmRecord[] = [];
    for (const film of named) {
      if (!findWords(without, film.title!) && !meant.some(({ title }) => title === film.title)) continue;
      without = withoutWords(without, film.title!, 'it');
      meant.push(film);
    }
    if (wanted !== undefined) return { films: this.#wanted(wanted), without };
    return { films: meant.length > 0 ? meant : [...this.#films], without };
  }

  #wanted(film: number | string): FilmRecord[] {
    const found =
      typeof film === 'number'
        ? this.#films.filter(({ index }) => index === film)
        : this.#films.filter(({ id, title }) => id === film || title === film);
    if (found.length > 0) return found;
    throw new InputError('ERR_INPUT_VALUE', {
      field: 'film',
      expected: 'the place, id or title of a film that is here',
      got: typeof film === 'number' ? String(film) : describeValue(film),
    });
  }

  /** The film whose texts fit a description best; not known if none has enough of its words. */
  async #described(
    text: string,
    about: readonly string[],
    films: readonly FilmRecord[],
    options: AskOptions,
  ): Promise<{ known: boolean; text: string; film: FilmRecord; sources: Source[] } | undefined> {
    if (about.length === 0) return undefined;
    const { maxSources = 3 } = options;
    const found = await this.#search.searchFilms(text, about, this.#lookIn(films, options));
    const best = found[0];
    if (!best) return undefined;
    const known = best.coverage >= LEAST_FILM_COVERAGE;
    const quoted = known ? [best.film] : found.slice(0, maxSources).map(({ film }) => film);
    const sources: Source[] = [];
    for (const film of quoted) {
      const sentences = await this.#find(text, about, [film], options);
      sources.push(...sentences.slice(0, known ? maxSources : 1).map(sentenceSource));
    }
    return { known, text: known ? nameOf(best.film) : 'no film on record fits', film: best.film, sources };
  }

  #lookIn(films: readonly FilmRecord[], { signal }: AskOptions): SearchOptions {
    const meant = new Set(films);
    const all = films.length === this.#films.length;
    return { signal, accept: all ? undefined : (film) => meant.has(film) };
  }

  #find(
    text: string,
    about: readonly string[],
    films: readonly FilmRecord[],
    options: AskOptions,
  ): Promise<FoundSentence[]> {
    return this.#search.search(text, about, CANDIDATES, this.#lookIn(films, options));
  }

  async #bySentence(
    text: string,
    { answerType, yesNo }: Question,
    about: readonly string[],
    films: readonly FilmRecord[],
    options: AskOptions,
  ): Promise<Answer> {
    const found = about.length > 0 ? await this.#find(text, about, films, options) : [];
    const fitting = found.filter(
      (sentence) => answers(sentence) && holds(sentence.sentence.text, answerType, text),
    );
    const { maxSources = 3 } = options;
    const best = fitting[0];
    if (!best || yesNo) {
      const missing = about.find((term) => !this.#search.has(term));
      const why = yesNo && best ? 'a text may say it, see the sources' : 'the record does not say';
      const nearest = (best ? fitting : found).slice(0, maxSources).map(sentenceSource);
      const reason =
        missing === undefined || best
          ? why
          : `${why} ("${wordBehind(missing, text)}" is in none of its texts)`;
      return { question: text, known: false, text: `not known: ${reason}`, sources: nearest, by: 'none' };
    }
    const sources = fitting
      .filter(({ score }) => score >= 0.7 * best.score)
      .slice(0, maxSources)
      .map(sentenceSource);
    return { question: text, known: true, text: best.sentence.text, sources, by: 'sentence' };
  }

  async #phrased(model: LanguageModel, found: Answer, options: AskOptions): Promise<Answer> {
    const { films } = this.#filmsMeant(found.question, options.film);
    const near = await this.#find(found.question, termsOf(found.question), films, options);
    const facts = films
      .slice(0, 3)
      .flatMap((film) => (Object.keys(film.facts) as FactField[]).map((field) => factSource(film, field)));
    const sources = [...found.sources, ...near.slice(0, SHOWN).map(sentenceSource), ...facts];
    const unique = [
      ...new Map(
        sources.map((source) => [`${source.film} ${source.field} ${source.quote}`, source]),
      ).values(),
    ];
    const { name } = model;
    const phrasing: Phrasing = await phrase(model, found.question, unique, this.#films, options.signal);
    if (!phrasing.used) return { ...found, languageModel: { name, used: false, reason: phrasing.reason } };
    const languageModel = { name, used: true };
    if (phrasing.known) {
      const { text, sources: quoted } = phrasing;
      const by = found.known ? found.by : 'sentence';
      return { ...found, known: true, text, sources: quoted, by, languageModel };
    }
    // A fact on record stays one, whatever the model makes of it.
    if (found.by === 'fact')
      return { ...found, languageModel: { name, used: false, reason: 'it found no answer' } };
    const text = found.known ? 'not known: the record does not say' : found.text;
    return { ...found, known: false, text, by: 'none', languageModel };
  }

  async dispose(): Promise<void> {
    this.#disposed = true;
    await this.#models?.dispose();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }
}

function answers({ coverage, similarity }: FoundSentence): boolean {
  return (
    coverage >= LEAST_COVERAGE ||
    (similarity !== undefined && similarity >= NEAR && coverage >= LEAST_COVERAGE_IF_NEAR)
  );
}

/** A title of one short word ("Her", "Up") is meant only where it is written as one. */
function isTitle(text: string, title: string): boolean {
  return title.length > 5 || text.includes(title);
}

function sentenceSource({ film, sentence, score }: FoundSentence): Source {
  const { index, id, title } = film;
  const { field, text, start, end, speaker, review, startMs, endMs } = sentence;
  return {
    film: index,
    ...(id !== undefined && { id }),
    ...(title !== undefined && { title }),
    field,
    quote: text,
    start,
    end,
    ...(speaker !== undefined && { speaker }),
    ...(review !== undefined && { review }),
    ...(startMs !== undefined && { startMs }),
    ...(endMs !== undefined && { endMs }),
    score,
  };
}

/** A genre's name stands for films: "how many dramas" are "how many films". */
function withoutMention(text: string, mention: Mention): string {
  if (!mention.fields.includes('genres')) return withoutWords(text, mention.text);
  const at = findWords(text, mention.text);
  const named = at && /^\s*(?:films?|movies?|pictures?|片|电影)/iu.test(text.slice(at.end));
  return withoutWords(text, mention.text, named ? ' ' : /s$/i.test(mention.text) ? 'films' : 'film');
}

function withoutWords(text: string, words: string, instead = ' '): string {
  const at = findWords(text, words);
  return at ? `${text.slice(0, at.start)}${instead}${text.slice(at.end)}` : text;
}
