/** What would the forecast be if something about the film were different? */
import { CinefuseError, describeValue, InputError } from '../errors.js';
import type { Feedback } from '../feedback.js';
import type { EncodedFilm } from '../film-encoder.js';
import type { Forecaster } from '../forecast.js';
import type { InputName } from '../fusion/manifest.js';
import { type Movie, MOVIE_FIELDS, type ParsedMovie } from '../movie.js';
import { parseDate } from '../metadata/metadata-encoder.js';
import type { MetadataFields } from '../metadata/spec.js';
import { nearestName } from '../nearest.js';
import type { PredictOptions } from '../options.js';
import { headValues, verdictsOf } from './head-values.js';
import type { Effects } from './types.js';
import { type Replacement, Variants } from './variants.js';

/** Fields in place of the film's own; null takes one away. */
export interface FilmChanges extends Omit<Movie, 'id'> {
  /** 1 to 12: released in that month of the same year. */
  month?: number | null;
}

export type WhatIfOptions = PredictOptions;

export interface Difference {
  head: string;
  unit: string;
  before: number;
  after: number;
  /** after less before, in the head's unit. */
  change: number;
}

export interface WhatIf {
  before: Feedback;
  after: Feedback;
  differences: Difference[];
  /** What each changed field does for itself, the others left as they are: after less before, by head. */
  alone: { field: string; effects: Effects | undefined }[];
}

const FACTS = [
  'title',
  'releaseDate',
  'runtime',
  'budget',
  'genres',
  'cast',
  'director',
  'language',
] as const;

/** The inputs that a field is part of. */
function inputsOf(field: string): InputName[] {
  if (field === 'title') return ['title', 'metadata'];
  if ((FACTS as readonly string[]).includes(field)) return ['metadata'];
  return field === 'trailer' ? ['trailer.video', 'trailer.audio'] : [field as InputName];
}

/** The film as its user described it. */
function described({ id, title, given }: ParsedMovie): Movie {
  const { metadata, ...inputs } = given;
  const all = { ...metadata, ...inputs, title, id };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)) as Movie;
}

/** @throws InputError ERR_INPUT_TYPE, ERR_INPUT_EMPTY, ERR_INPUT_UNKNOWN_FIELD, ERR_INPUT_VALUE */
function changesOf(changes: FilmChanges, { given }: ParsedMovie): Movie {
  if (typeof changes !== 'object' || changes === null || Array.isArray(changes)) {
    const expected = 'an object with the fields that change';
    throw new InputError('ERR_INPUT_TYPE', { field: 'changes', expected, got: describeValue(changes) });
  }
  const entries = Object.entries(changes).filter(([, value]) => value !== undefined);
  if (entries.length === 0) {
    throw new InputError('ERR_INPUT_EMPTY', {
      field: 'changes',
      expected: 'at least one field',
      got: 'none',
    });
  }
  const known = [...MOVIE_FIELDS.filter((field) => field !== 'id'), 'month'];
  const unknown = entries.find(([field]) => !known.includes(field))?.[0];
  if (unknown !== undefined) {
    const nearest = nearestName(unknown, known);
    throw new InputError('ERR_INPUT_UNKNOWN_FIELD', {
      field: `changes.${unknown}`,
      expected: nearest ? `a field that can change (did you mean ${nearest}?)` : `one of ${known.join(', ')}`,
      got: 'an unknown field',
    });
  }
  const { month, ...fields } = Object.fromEntries(entries) as FilmChanges;
  if (month === undefined) return fields;
  const date = fields.releaseDate ?? given.metadata?.releaseDate;
  const year = parseDate(date)?.year;
  if (fields.releaseDate !== undefined || year === undefined) {
    throw new InputError('ERR_INPUT_VALUE', {
      field: 'changes.month',
      expected: 'a film with a release date, and no other change of it',
      got: fields.releaseDate !== undefined ? 'a change of releaseDate as well' : 'a film without one',
    });
  }
  if (month !== null && !(Number.isInteger(month) && month >= 1 && month <= 12)) {
    throw new InputError('ERR_INPUT_VALUE', {
      field: 'changes.month',
      expected: '1 to 12',
      got: describeValue(month),
    });
  }
  const releaseDate = month === null ? `${year}` : `${year}-${String(month).padStart(2, '0')}`;
  return { ...fields, releaseDate };
}

/** @throws as Predictor.whatIf */
export async function whatIfFilm(
  forecaster: Forecaster,
  film: ParsedMovie,
  changes: FilmChanges,
  options: WhatIfOptions,
): Promise<WhatIf> {
  const fields = changesOf(changes, film);
  const { film: changed, release } = forecaster.rooms.takeFilm({ ...described(film), ...fields });
  try {
    if (changed instanceof CinefuseError) throw changed;
    const names = Object.keys(fields);
    const touched = new Set(names.flatMap(inputsOf));
    const before = await forecaster.forecast(film, options);
    const known = { encoded: before.encoded, changed: touched };
    const after = await forecaster.forecast(changed, options, 0, known);
    const verdicts = verdictsOf(before.feedback);
    const [first, then] = [headValues(before.feedback), headValues(after.feedback, verdicts)];
    const variants = new Variants(forecaster, film, before, options);
    const alone = await Promise.all(
      names.map(async (field) => {
        const replacement = await replacementOf(field, variants, film, changed, after.encoded);
        const [effects] = await variants.effects([replacement]);
        // An effect is what the film has over the changed one; a change is the other way round.
        const turned = effects && Object.entries(effects).map(([head, effect]) => [head, 0 - effect]);
        return { field, effects: turned && (Object.fromEntries(turned) as Effects) };
      }),
    );
    return {
      before: before.feedback,
      after: after.feedback,
      differences: first.map(({ head, unit, value }, i) => {
        const { value: now } = then[i]!;
        return { head, unit, before: value, after: now, change: now - value };
      }),
      alone,
    };
  } finally {
    release();
  }
}

/** The embeddings that one field's change replaces. Facts are one vector: it is made with this fact changed only. */
async function replacementOf(
  field: string,
  variants: Variants,
  film: ParsedMovie,
  changed: ParsedMovie,
  after: EncodedFilm,
): Promise<Replacement> {
  const replacement = new Map<string, ReturnType<Replacement['get']>>();
  for (const input of inputsOf(field)) {
    for (const { key } of variants.jobsOf(input)) {
      if (input !== 'metadata') replacement.set(key, after.embeddings.get(key));
    }
  }
  if (!inputsOf(field).includes('metadata') || variants.jobsOf('metadata').length === 0) return replacement;
  const fact = field as keyof MetadataFields;
  const { [fact]: _, ...others } = film.given.metadata ?? {};
  const value = changed.given.metadata?.[fact];
  const facts = value === undefined ? others : { ...others, [fact]: value };
  const { metadata: __, ...given } = film.given;
  const own: ParsedMovie = {
    ...film,
    given: { ...given, ...(Object.keys(facts).length > 0 && { metadata: facts as MetadataFields }) },
  };
  for (const [key, embedding] of await variants.encoded(own, ['metadata'])) replacement.set(key, embedding);
  return replacement;
}
