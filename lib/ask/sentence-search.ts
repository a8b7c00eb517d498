/** The sentences of films that a question points to, by its words and by their meaning. */
import { CinefuseError, throwIfCancelled } from '../errors.js';
import { Pace } from '../pace.js';
import type { TextSequenceEncoder } from '../text/text-encoder.js';
import { cosine } from '../text/keywords/rank.js';
import { Bm25Index } from './bm25.js';
import type { FilmRecord, Sentence } from './records.js';
import { termsOf } from './terms.js';

export interface FoundSentence {
  film: FilmRecord;
  sentence: Sentence;
  /** Share of the question's words, weighted by how rare they are, that it holds; of those beside it, half. */
  coverage: number;
  /** Cosine of its embedding and the question's; undefined without an encoder, or in a language it does not read. */
  similarity: number | undefined;
  /** 0 to 1: what it is ranked by. */
  score: number;
}

export interface FoundFilm {
  film: FilmRecord;
  /** Share of the description's words, weighted by how few films have them, that its texts and genres hold. */
  coverage: number;
  score: number;
}

interface Entry {
  film: FilmRecord;
  sentence: Sentence;
  terms: ReadonlySet<string>;
}

/** A stretch of sentences that was embedded as one. */
interface Chunk {
  first: number;
  last: number;
  vector: Float32Array;
}

export interface SearchOptions {
  signal?: AbortSignal | undefined;
  /** Films to look in. Default: all. */
  accept?: ((film: FilmRecord) => boolean) | undefined;
}

/** Sentences by their words, and stretches by their meaning, that are looked at closely. */
const BY_WORDS = 40;
const CHUNKS_BY_MEANING = 6;
/** Films by their words, and by their meaning, of which the one meant is chosen. */
const FILMS = 20;
/** Texts embedded in one call. */
const BATCH = 64;
/** Embeddings of single sentences that are kept. */
const MOST_VECTORS = 20_000;

export class SentenceSearch {
  readonly #entries: Entry[] = [];
  readonly #index = new Bm25Index();
  /** All words of a film as one document, in the order of the films. */
  readonly #films: { film: FilmRecord; terms: ReadonlySet<string> }[] = [];
  readonly #filmIndex = new Bm25Index();
  readonly #encoder: TextSequenceEncoder | undefined;
  readonly #chunks: Chunk[] = [];
  readonly #vectors = new Map<number, Float32Array | undefined>();

  private constructor(encoder: TextSequenceEncoder | undefined) {
    this.#encoder = encoder;
  }

  /**
   * Indexes all sentences; with an encoder also embeds the texts, stretch by stretch.
   *
   * @param onProgress  told of texts embedded so far, of all
   * @throws ModelError ERR_MODEL_*; CancelledError ERR_CANCELLED
   */
  static async build(
    films: readonly FilmRecord[],
    encoder: TextSequenceEncoder | undefined,
    options: {
      signal?: AbortSignal | undefined;
      onProgress?: ((progress: { done: number; total: number }) => void) | undefined;
    } = {},
  ): Promise<SentenceSearch> {
    const search = new SentenceSearch(encoder);
    const pace = new Pace();
    for (const film of films) {
      const all = termsOf(`${film.title ?? ''} ${film.facts.genres?.join(' ') ?? ''}`);
      for (const sentence of film.sentences) {
        const { text, speaker } = sentence;
        const terms = termsOf(speaker === undefined ? text : `${speaker} ${text}`);
        for (const term of terms) all.push(term);
        search.#index.add(terms);
        search.#entries.push({ film, sentence, terms: new Set(terms) });
        if (pace.due) {
          await pace.rest();
          throwIfCancelled(options.signal);
        }
      }
      search.#filmIndex.add(all);
      search.#films.push({ film, terms: new Set(all) });
    }
    if (encoder) await search.#embedTexts(encoder, options);
    return search;
  }

  async #embedTexts(
    encoder: TextSequenceEncoder,
    { signal, onProgress }: Parameters<typeof SentenceSearch.build>[2] & object,
  ): Promise<void> {
    const texts = [...this.#texts()];
    for (let first = 0; first < texts.length; first += BATCH) {
      const batch = texts.slice(first, first + BATCH);
      const embeddings = await encoder.encodeEach(
        batch.map(({ text }) => text),
        { signal },
      );
      embeddings.forEach((embedding, i) => {
        // A text in a language that the encoder does not read is still found by its words.
        if (embedding instanceof CinefuseError) return;
        const { starts, first: firstEntry } = batch[i]!;
        embedding.spans.forEach(({ start, end }, chunk) => {
          const inside = starts.flatMap((at, k) => (at >= start && at < end ? [firstEntry + k] : []));
          if (inside.length === 0) return;
          const vector = embedding.data.subarray(chunk * embedding.dim, (chunk + 1) * embedding.dim);
          this.#chunks.push({ first: inside[0]!, last: inside.at(-1)!, vector: vector });
        });
      });
      onProgress?.({ done: first + batch.length, total: texts.length });
    }
  }

  /** The sentences of each input as one text, with where each begins. */
  *#texts(): Generator<{ text: string; starts: number[]; first: number }> {
    let first = 0;
    while (first < this.#entries.length) {
      const { film, sentence } = this.#entries[first]!;
      const starts: number[] = [];
      let text = '';
      let at = first;
      for (; at < this.#entries.length; at++) {
        const next = this.#entries[at]!;
        const same = next.sentence.field === sentence.field && next.sentence.review === sentence.review;
        if (next.film !== film || !same) break;
        starts.push(text.length);
        text += `${next.sentence.text}\n`;
      }
      yield { text, starts, first };
      first = at;
    }
  }

  /** Whether any sentence holds this word. */
  has(term: string): boolean {
    return this.#index.has(term);
  }

  /**
   * @param text  the question, whose embedding sentences are compared with
   * @param about  the words that it is about
   * @returns best first
   * @throws ModelError ERR_MODEL_*; CancelledError ERR_CANCELLED
   */
  async search(
    text: string,
    about: readonly string[],
    count: number,
    { signal, accept = () => true }: SearchOptions = {},
  ): Promise<FoundSentence[]> {
    throwIfCancelled(signal);
    const query = await this.#embed(text, signal);
    const entries = this.#entries;
    const candidates = new Set(
      this.#index.search(about, BY_WORDS, (i) => accept(entries[i]!.film)).map(({ document }) => document),
    );
    if (query) {
      const near = this.#chunks
        .filter(({ first }) => accept(entries[first]!.film))
        .map((chunk) => ({ chunk, similarity: cosine(query, chunk.vector) }))
        .sort((a, b) => b.similarity - a.similarity)
        .slice(0, CHUNKS_BY_MEANING);
      for (const { chunk } of near) for (let i = chunk.first; i <= chunk.last; i++) candidates.add(i);
    }
    const places = [...candidates];
    await this.#embedSentences(query ? places : [], signal);
    const weights = new Map([...new Set(about)].map((term) => [term, this.#index.idf(term)]));
    const total = [...weights.values()].reduce((a, b) => a + b, 0);
    return places
      .map((place): FoundSentence => {
        const { film, sentence } = entries[place]!;
        const coverage = total > 0 ? this.#covered(place, weights) / total : 0;
        const vector = query && this.#vectors.get(place);
        const similarity = vector && cosine(query, vector);
        const score = similarity === undefined ? coverage : (coverage + Math.max(0, similarity)) / 2;
        return { film, sentence, coverage, similarity, score };
      })
      .sort((a, b) => b.score - a.score || a.sentence.start - b.sentence.start)
      .slice(0, count);
  }

  /**
   * The films that a description fits, by the words of all their texts and by the stretch that means the most like it.
   *
   * @returns best first
   * @throws as search
   */
  async searchFilms(
    text: string,
    about: readonly string[],
    { signal, accept = () => true }: SearchOptions = {},
  ): Promise<FoundFilm[]> {
    throwIfCancelled(signal);
    const query = await this.#embed(text, signal);
    const near = new Map<FilmRecord, number>();
    if (query) {
      for (const { first, vector } of this.#chunks) {
        const { film } = this.#entries[first]!;
        if (accept(film)) near.set(film, Math.max(near.get(film) ?? 0, cosine(query, vector)));
      }
    }
    const byMeaning = [...near].sort(([, a], [, b]) => b - a).slice(0, FILMS);
    const films = this.#films;
    const byWords = this.#filmIndex.search(about, FILMS, (i) => accept(films[i]!.film));
    const most = byWords[0]?.score ?? 1;
    const scores = new Map(byWords.map(({ document, score }) => [films[document]!.film, score / most]));
    const candidates = new Set([...scores.keys(), ...byMeaning.map(([film]) => film)]);
    const weights = [...new Set(about)].map((term) => [term, this.#filmIndex.idf(term)] as const);
    const total = weights.reduce((sum, [, weight]) => sum + weight, 0);
    const place = new Map(films.map(({ film, terms }) => [film, terms]));
    return [...candidates]
      .map((film): FoundFilm => {
        const terms = place.get(film)!;
        const covered = weights.reduce((sum, [term, weight]) => sum + (terms.has(term) ? weight : 0), 0);
        const words = scores.get(film) ?? 0;
        const score = query ? (words + Math.max(0, near.get(film) ?? 0)) / 2 : words;
        return { film, coverage: total > 0 ? covered / total : 0, score };
      })
      .sort((a, b) => b.score - a.score || a.film.index - b.film.index);
  }

  #covered(place: number, weights: ReadonlyMap<string, number>): number {
    const { film, terms } = this.#entries[place]!;
    const beside = [place - 1, place + 1]
      .map((at) => this.#entries[at])
      .filter((entry) => entry?.film === film);
    let sum = 0;
    for (const [term, weight] of weights) {
      if (terms.has(term)) sum += weight;
      else if (beside.some((entry) => entry!.terms.has(term))) sum += weight / 2;
    }
    return sum;
  }

  async #embedSentences(places: readonly number[], signal: AbortSignal | undefined): Promise<void> {
    const missing = places.filter((place) => !this.#vectors.has(place));
    if (!this.#encoder || missing.length === 0) return;
    const embeddings = await this.#encoder.encodeEach(
      missing.map((place) => this.#entries[place]!.sentence.text),
      { signal },
    );
    if (this.#vectors.size + missing.length > MOST_VECTORS) {
      for (const place of this.#vectors.keys()) if (!places.includes(place)) this.#vectors.delete(place);
    }
    embeddings.forEach((embedding, i) => {
      const failed = embedding instanceof CinefuseError;
      const vector = failed ? undefined : embedding.data.subarray(0, embedding.dim);
      this.#vectors.set(missing[i]!, vector);
    });
  }

  async #embed(text: string, signal: AbortSignal | undefined): Promise<Float32Array | undefined> {
    if (!this.#encoder) return undefined;
    const [embedding] = await this.#encoder.encodeEach([text], { signal });
    if (!embedding || embedding instanceof CinefuseError) return undefined;
    return embedding.data.subarray(0, embedding.dim);
  }
}
