/**
 * A film as users describe it, and the one place where that description is parsed. After `parseMovie` every input is
 * either there and of the right kind, or explicitly not given.
 */
import { z } from 'zod';
import { isUint8Array } from 'node:util/types';
import { describeValue, InputError } from './errors.js';
import type { InputName } from './fusion/manifest.js';
import type { MediaInput } from './media/source.js';
import { parseDate } from './metadata/metadata-encoder.js';
import type { MetadataFields } from './metadata/spec.js';
import { nearestName } from './nearest.js';
import { MAX_TEXT_CHARACTERS } from './text/read-text.js';
import { MAX_REVIEWS } from './text/reviews.js';

export type { MediaInput } from './media/source.js';

/** A text, or the UTF-8 file that holds it. */
export type TextInput = string | { path: string };

/** Everything that may be known of a film. Any non-empty subset will do; null and undefined mean "not given". */
export interface Movie {
  /** Returned with the result. */
  id?: string | null;
  title?: string | null;
  /** YYYY-MM-DD, YYYY-MM or YYYY. */
  releaseDate?: string | null;
  /** Minutes. */
  runtime?: number | null;
  /** US dollars of the release year. */
  budget?: number | null;
  /** English or Chinese names: "Drama", "剧情". */
  genres?: readonly string[] | null;
  /** In billing order. */
  cast?: readonly string[] | null;
  director?: string | readonly string[] | null;
  /** ISO 639-1 code of the original language. */
  language?: string | null;
  synopsis?: TextInput | null;
  /** Screenplay: Fountain or plain text. */
  script?: TextInput | null;
  /** .srt or .vtt */
  subtitles?: TextInput | null;
  /** One string a review; or a file with one review a line. */
  reviews?: readonly string[] | { path: string } | null;
  /** JPEG, PNG, WebP, GIF, AVIF or TIFF. */
  poster?: MediaInput | null;
  /** mp4, mov, mkv or webm; its picture and its sound. */
  trailer?: MediaInput | null;
  /** Music or other sound that goes with the film. */
  audio?: MediaInput | null;
}

/** What each input is given as. An input that is not given is not in it. */
export interface GivenInputs {
  title?: string;
  synopsis?: TextInput;
  script?: TextInput;
  subtitles?: TextInput;
  reviews?: readonly string[] | { path: string };
  metadata?: MetadataFields;
  poster?: MediaInput;
  trailer?: MediaInput;
  audio?: MediaInput;
}

export interface ParsedMovie {
  id?: string;
  title?: string;
  given: GivenInputs;
}

/** Characters of all reviews of a film together. */
const MAX_REVIEWS_TEXT = 16 * 2 ** 20;
const MAX_NAMES = 1000;

const filled = z
  .string()
  .max(MAX_TEXT_CHARACTERS, `at most ${MAX_TEXT_CHARACTERS} characters`)
  .refine((text) => text.trim() !== '', 'a text that is not empty');
const shortText = filled.max(1000, 'at most 1000 characters');
const pathObject = z.strictObject({ path: filled });
const textInput = z.union([filled, pathObject]);
const isStream = (value: unknown) =>
  typeof value === 'object' &&
  value !== null &&
  (typeof (value as { getReader?: unknown }).getReader === 'function' ||
    typeof (value as { pipe?: unknown }).pipe === 'function');
/** Never asks zod about an array: it would look at each element as an unknown field. */
const isPath = (value: unknown): value is { path: string } =>
  !ArrayBuffer.isView(value) && !Array.isArray(value) && pathObject.safeParse(value).success;
const mediaInput = z.custom<MediaInput>(
  (value) => isUint8Array(value) || isStream(value) || isPath(value),
  '{ path }, a Buffer, or a readable stream of bytes',
);
const names = z
  .array(filled.max(300, 'at most 300 characters'))
  .max(MAX_NAMES, `at most ${MAX_NAMES} entries`);
const reviewList = z
  .array(filled)
  .max(MAX_REVIEWS, `at most ${MAX_REVIEWS} reviews`)
  .refine(
    (reviews) => reviews.reduce((total, { length }) => total + length, 0) <= MAX_REVIEWS_TEXT,
    `at most ${MAX_REVIEWS_TEXT} characters in all`,
  );
const number = z.number('a number').refine(Number.isFinite, 'a finite number');

const movieSchema = z.strictObject({
  id: shortText.nullish(),
  title: shortText.nullish(),
  releaseDate: shortText.nullish(),
  runtime: number
    .refine((minutes) => minutes > 0 && minutes <= 6000, 'minutes from above 0 to 6000')
    .nullish(),
  budget: number.refine((dollars) => dollars >= 0 && dollars <= 1e11, 'dollars from 0 to 1e11').nullish(),
  genres: names.nullish(),
  cast: names.nullish(),
  director: z.union([shortText, names]).nullish(),
  language: z
    .string()
    .regex(/^[A-Za-z]{2,3}(-[A-Za-z0-9-]+)?$/, 'an ISO 639-1 code such as "en"')
    .nullish(),
  synopsis: textInput.nullish(),
  script: textInput.nullish(),
  subtitles: textInput.nullish(),
  reviews: z.union([reviewList, pathObject]).nullish(),
  poster: mediaInput.nullish(),
  trailer: mediaInput.nullish(),
  audio: mediaInput.nullish(),
});

/** Fields that take an image, video or sound. */
export const MEDIA_FIELDS = ['poster', 'trailer', 'audio'] as const;

/** Names of all fields of a film. */
export const MOVIE_FIELDS: readonly string[] = Object.keys(movieSchema.shape);

/**
 * Checks a film's description.
 *
 * @throws InputError ERR_INPUT_TYPE           a field of the wrong type
 * @throws InputError ERR_INPUT_VALUE          a number that is not finite or out of range, an empty text, no date
 * @throws InputError ERR_INPUT_UNKNOWN_FIELD  a field that does not exist, with the nearest one that does
 * @throws InputError ERR_INPUT_EMPTY          nothing given
 */
export function parseMovie(value: unknown): ParsedMovie {
  if (typeof value !== 'object' || value === null || Array.isArray(value) || ArrayBuffer.isView(value)) {
    throw new InputError('ERR_INPUT_TYPE', {
      field: 'movie',
      expected: 'an object with fields such as title, synopsis, poster',
      got: describeValue(value),
    });
  }
  for (const field of MOVIE_FIELDS) {
    const bytes: unknown = Reflect.get(value, field);
    if (!ArrayBuffer.isView(bytes) || (MEDIA_FIELDS as readonly string[]).includes(field)) continue;
    throw new InputError('ERR_INPUT_TYPE', {
      field,
      expected: EXPECTED_UNION[field] ?? 'another type',
      got: describeValue(bytes),
    });
  }
  const parsed = movieSchema.safeParse(value);
  if (!parsed.success) throw issueError(parsed.error.issues[0]!, value);
  const movie = parsed.data;
  parseDate(movie.releaseDate ?? undefined);

  const given: GivenInputs = {};
  // A path in an object of the caller's would change with it.
  const own = (media: MediaInput | null | undefined) => (isPath(media) ? { path: media.path } : media);
  const put = <Name extends keyof GivenInputs>(name: Name, input: GivenInputs[Name] | null) => {
    if (input !== null && input !== undefined) given[name] = input;
  };
  put('title', movie.title);
  put('synopsis', movie.synopsis);
  put('script', movie.script);
  put('subtitles', movie.subtitles);
  put('reviews', isEmptyList(movie.reviews) ? null : movie.reviews);
  put('poster', own(movie.poster));
  put('trailer', own(movie.trailer));
  put('audio', own(movie.audio));
  const facts = Object.entries({
    title: movie.title,
    releaseDate: movie.releaseDate,
    runtime: movie.runtime,
    budget: movie.budget,
    genres: movie.genres,
    cast: movie.cast,
    director: movie.director,
    language: movie.language,
  }).filter(([, fact]) => fact !== null && fact !== undefined && !isEmptyList(fact));
  if (facts.length > 0) given.metadata = Object.fromEntries(facts) as MetadataFields;

  if (Object.keys(given).length === 0) {
    throw new InputError('ERR_INPUT_EMPTY', {
      field: 'movie',
      expected: `at least one of ${MOVIE_FIELDS.filter((field) => field !== 'id').join(', ')}`,
      got: 'none of them',
    });
  }
  return {
    ...(movie.id != null && { id: movie.id }),
    ...(movie.title != null && { title: movie.title }),
    given,
  };
}

function isEmptyList(value: unknown): boolean {
  return Array.isArray(value) && value.length === 0;
}

/** The inputs, in a bundle's words, that a film brings. A trailer brings two. */
export function givenInputNames({ given }: ParsedMovie): InputName[] {
  return Object.keys(given).flatMap((name): InputName[] =>
    name === 'trailer' ? ['trailer.video', 'trailer.audio'] : [name as Exclude<InputName, 'trailer.video'>],
  );
}

function issueError(issue: z.core.$ZodIssue, value: object): InputError {
  if (issue.code === 'invalid_union') {
    // Every branch fails for its own reason: the one that agreed on the type knows best what is wrong.
    const branch = issue.errors.find(
      (issues) =>
        issues.length > 0 && issues.every(({ code, path }) => code !== 'invalid_type' || path.length > 0),
    );
    if (branch) {
      const inner = branch[0]!;
      return issueError({ ...inner, path: [...issue.path, ...inner.path] } as z.core.$ZodIssue, value);
    }
  }
  const field = issue.path.map(String).join('.');
  const got = issue.path.reduce<unknown>(
    (inner, key) => (typeof inner === 'object' && inner !== null ? Reflect.get(inner, key) : undefined),
    value,
  );
  if (issue.code === 'unrecognized_keys') {
    const key = issue.keys[0]!;
    const nearest = field === '' ? nearestName(key, MOVIE_FIELDS) : undefined;
    const known = field === '' ? MOVIE_FIELDS : ['path'];
    return new InputError('ERR_INPUT_UNKNOWN_FIELD', {
      field: field === '' ? key : `${field}.${key}`,
      expected: nearest ? `a known field (did you mean ${nearest}?)` : `one of ${known.join(', ')}`,
      got: 'an unknown field',
    });
  }
  const wrongType =
    ['invalid_type', 'invalid_union'].includes(issue.code) ||
    (MEDIA_FIELDS as readonly string[]).includes(field);
  const notFinite = typeof got === 'number' && !Number.isFinite(got);
  return new InputError(wrongType && !notFinite ? 'ERR_INPUT_TYPE' : 'ERR_INPUT_VALUE', {
    field,
    expected: notFinite
      ? 'a finite number'
      : issue.code === 'invalid_union'
        ? (EXPECTED_UNION[String(issue.path[0])] ?? 'another type')
        : issue.message.replace(/^(Invalid \w+: )?expected /i, '').replace(/, received .*$/, ''),
    got: describeValue(got),
  });
}

const EXPECTED_UNION: Record<string, string> = {
  director: 'a name or a list of names',
  synopsis: 'a text or { path }',
  script: 'a text or { path }',
  subtitles: 'a text or { path }',
  reviews: 'a list of texts or { path }',
};
