/** What is on record of a film: its facts, and the sentences of its texts with their places. */
import type { Feedback } from '../feedback.js';
import { throwIfCancelled } from '../errors.js';
import type { MetadataFields } from '../metadata/spec.js';
import { type Movie, parseMovie } from '../movie.js';
import { Pace } from '../pace.js';
import { splitSentences, type TextSpan, unwrapLines } from '../text/chunks.js';
import { languageName } from '../text/language.js';
import { readText } from '../text/read-text.js';
import { readScreenplay } from '../text/scripts/screenplay.js';
import type { ScriptElementKind } from '../text/scripts/types.js';
import { readReviews } from '../text/reviews.js';
import { parseSubtitles } from '../text/subtitles.js';

/** Inputs that hold sentences. */
export type TextField = 'synopsis' | 'script' | 'subtitles' | 'reviews';
/** Inputs that hold one fact, and what a forecast says. */
export type FactField =
  | 'title'
  | 'director'
  | 'cast'
  | 'genres'
  | 'releaseDate'
  | 'runtime'
  | 'budget'
  | 'language'
  | 'rating'
  | 'wellReceived'
  | 'boxOffice';

/** A sentence of a film's texts; spans are UTF-16 offsets in its input (in subtitles: in the line that is shown). */
export interface Sentence extends TextSpan {
  field: TextField;
  text: string;
  /** Of a script's dialogue: who speaks. */
  speaker?: string;
  /** Which review, from 0. */
  review?: number;
  /** When a line of dialogue is shown. */
  startMs?: number;
  endMs?: number;
}

export interface FilmRecord {
  /** Its place in the list of films. */
  index: number;
  id?: string;
  title?: string;
  facts: Partial<Record<FactField, readonly string[]>>;
  /** The numbers behind facts that can be compared. */
  numbers: Partial<Record<FactField, number>>;
  sentences: Sentence[];
  /** Inputs that could not be read, and why. */
  notRead: { input: TextField; reason: string }[];
}

/** Of a script, what tells of the film. */
const SPOKEN_OR_SEEN: ReadonlySet<ScriptElementKind> = new Set([
  'heading',
  'action',
  'dialogue',
  'lyrics',
  'parenthetical',
  'synopsis',
]);
/** Characters split at a time, so that the event loop turns in between. */
const BLOCK = 20_000;

/**
 * Reads a film's texts and lists what is on record. Media are not opened.
 *
 * @throws InputError ERR_INPUT_*  as parseMovie; a text that cannot be read, unless `skip`
 * @throws CancelledError ERR_CANCELLED
 */
export async function readRecord(
  movie: Movie,
  index: number,
  {
    forecast,
    skip = false,
    signal,
  }: { forecast?: Feedback | undefined; skip?: boolean; signal?: AbortSignal | undefined },
): Promise<FilmRecord> {
  const { id, title, given } = parseMovie(movie);
  const record: FilmRecord = {
    index,
    ...(id !== undefined && { id }),
    ...(title !== undefined && { title }),
    ...factsOf(given.metadata ?? {}, forecast),
    sentences: [],
    notRead: [],
  };
  const pace = new Pace();
  const read = async (field: TextField, work: () => Promise<void>) => {
    try {
      await work();
    } catch (error) {
      throwIfCancelled(signal);
      if (!skip) throw error;
      record.notRead.push({ input: field, reason: error instanceof Error ? error.message : String(error) });
    }
  };
  const split = async (
    text: string,
    rest: Omit<Sentence, keyof TextSpan | 'text'>,
    within: TextSpan = { start: 0, end: text.length },
  ) => {
    for (const block of blocks(text, within)) {
      throwIfCancelled(signal);
      for (const { start, end } of splitSentences(text.slice(block.start, block.end))) {
        const at = { start: block.start + start, end: block.start + end };
        record.sentences.push({ ...rest, ...at, text: text.slice(at.start, at.end).replace(/\s+/g, ' ') });
      }
      if (pace.due) await pace.rest();
    }
  };
  const { synopsis, script } = given;
  if (synopsis !== undefined) {
    await read('synopsis', async () =>
      split(unwrapLines(await readText(synopsis, 'synopsis')), { field: 'synopsis' }),
    );
  }
  if (script !== undefined) {
    await read('script', async () => {
      const text = await readText(script, 'script');
      const unwrapped = unwrapLines(text);
      const { screenplay } = await readScreenplay(text, {}, () => throwIfCancelled(signal));
      for (const { kind, speaker, start, end } of screenplay.elements) {
        if (!SPOKEN_OR_SEEN.has(kind)) continue;
        await split(
          unwrapped,
          { field: 'script', ...(speaker !== undefined && { speaker }) },
          { start, end },
        );
      }
    });
  }
  const { subtitles, reviews } = given;
  if (subtitles !== undefined) {
    await read('subtitles', async () => {
      const source = await readText(subtitles, 'subtitles');
      const cues = parseSubtitles(source);
      for (const { startMs, endMs, text } of cues) {
        record.sentences.push({ field: 'subtitles', text, start: 0, end: text.length, startMs, endMs });
      }
      if (cues.length === 0) await split(source, { field: 'subtitles' });
    });
  }
  if (reviews !== undefined) {
    await read('reviews', async () => {
      for (const [review, text] of (await readReviews(reviews)).entries())
        await split(text, { field: 'reviews', review });
    });
  }
  return record;
}

/** Parts that end with a line, or where a line is endless, at a blank. */
function* blocks(text: string, within: TextSpan): Generator<TextSpan> {
  for (let start = within.start; start < within.end; ) {
    let end = within.end;
    if (end - start > BLOCK) {
      const line = text.lastIndexOf('\n', start + BLOCK);
      const blank = text.lastIndexOf(' ', start + BLOCK);
      end = line > start ? line + 1 : blank > start ? blank + 1 : start + BLOCK;
    }
    yield { start, end };
    start = end;
  }
}

function factsOf(
  fields: MetadataFields,
  forecast: Feedback | undefined,
): Pick<FilmRecord, 'facts' | 'numbers'> {
  const facts: FilmRecord['facts'] = {};
  const numbers: FilmRecord['numbers'] = {};
  const list = (value: string | readonly string[] | undefined) =>
    value === undefined ? [] : typeof value === 'string' ? [value] : value;
  const put = (field: FactField, values: readonly string[], number?: number) => {
    if (values.length > 0) facts[field] = values;
    if (number !== undefined) numbers[field] = number;
  };
  put('title', list(fields.title));
  put('director', list(fields.director));
  put('cast', list(fields.cast));
  put('genres', list(fields.genres));
  if (fields.releaseDate !== undefined) {
    put('releaseDate', [fields.releaseDate], Date.parse(fields.releaseDate));
  }
  if (fields.runtime !== undefined) put('runtime', [`${fields.runtime} minutes`], fields.runtime);
  if (fields.budget !== undefined) put('budget', [dollars(fields.budget)], fields.budget);
  if (fields.language !== undefined) put('language', [languageName(fields.language)]);
  const { rating, wellReceived, boxOffice } = forecast ?? {};
  if (rating) {
    const [low, high] = rating.interval.map((value) => value.toFixed(1));
    const level = `${Math.round(100 * rating.level)} %`;
    put(
      'rating',
      [`${rating.value.toFixed(1)} of 10 (${level}: ${low} to ${high}), a forecast`],
      rating.value,
    );
  }
  if (wellReceived) {
    const percent = Math.round(100 * wellReceived.probability);
    put(
      'wellReceived',
      [`well received with a probability of ${percent} %, a forecast`],
      wellReceived.probability,
    );
  }
  if (boxOffice) {
    const [low, high] = boxOffice.interval.map((value) => dollars(value, true));
    const level = `${Math.round(100 * boxOffice.level)} %`;
    put(
      'boxOffice',
      [`${dollars(boxOffice.value, true)} (${level}: ${low} to ${high}), a forecast`],
      boxOffice.value,
    );
  }
  return { facts, numbers };
}

/** "$12,000,000"; a forecast's to three digits: it knows no more. */
function dollars(value: number, forecast = false): string {
  const rounded = forecast ? Number(value.toPrecision(3)) : value;
  return `$${rounded.toLocaleString('en-US', { maximumFractionDigits: 0 })}`;
}
