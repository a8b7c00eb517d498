/** Films as an index knows them, and what two of them share. */
import { genresOf, nameKey } from '../metadata/names.js';
import { parseDate } from '../metadata/metadata-encoder.js';
import { seriesKey } from '../metadata/title.js';
import type { ParsedMovie } from '../movie.js';

export interface KnownFilm {
  id?: string | undefined;
  title?: string | undefined;
  year?: number | undefined;
  budget?: number | undefined;
  language?: string | undefined;
  genres: string[];
  /** The first five. */
  cast: string[];
  directors: string[];
}

export interface Shared {
  fact: 'series' | 'director' | 'cast' | 'genres' | 'language' | 'years' | 'budget';
  values: string[];
}

const CAST_DEPTH = 5;
/** Budgets within this factor, and years within so many, are called alike. */
const BUDGET_FACTOR = 1.5;
const YEARS = 3;

export function knownFilmOf({ id, title, given: { metadata = {} } }: ParsedMovie): KnownFilm {
  const { genres = [], cast = [], director = [], budget, language, releaseDate } = metadata;
  const year = parseDate(releaseDate)?.year;
  return {
    ...(id !== undefined && { id }),
    ...(title !== undefined && { title }),
    ...(year !== undefined && { year }),
    ...(budget !== undefined && { budget }),
    ...(language !== undefined && { language }),
    genres: [...genres],
    cast: cast.slice(0, CAST_DEPTH),
    directors: typeof director === 'string' ? [director] : [...director],
  };
}

export function sameFilm(a: KnownFilm, b: KnownFilm): boolean {
  if (a.id !== undefined && a.id === b.id) return true;
  if (a.title === undefined || b.title === undefined) return false;
  return nameKey(a.title) === nameKey(b.title) && a.year === b.year;
}

/** Names of the second list that the first has as well, in their order. */
function common(
  a: readonly string[],
  b: readonly string[],
  keysOf: (name: string) => readonly string[],
): string[] {
  const keys = new Set(a.flatMap(keysOf));
  return b.filter((name) => keysOf(name).some((key) => keys.has(key)));
}

export function sharedFacts(a: KnownFilm, b: KnownFilm): Shared[] {
  const shared: Shared[] = [];
  const add = (fact: Shared['fact'], values: string[]) => {
    if (values.length > 0) shared.push({ fact, values });
  };
  const name = (text: string) => [nameKey(text)].filter((key) => key !== '');
  const [seriesA, seriesB] = [a, b].map(({ title }) => (title === undefined ? '' : seriesKey(title)));
  if (seriesA !== '' && seriesA === seriesB) add('series', [b.title!]);
  add('director', common(a.directors, b.directors, name));
  add('cast', common(a.cast, b.cast, name));
  add(
    'genres',
    common(a.genres, b.genres, (genre) => {
      const known = genresOf(genre);
      return known.length > 0 ? known : name(genre);
    }),
  );
  // English says little where most films are in English.
  if (a.language !== undefined && a.language === b.language && a.language !== 'en')
    add('language', [a.language]);
  if (a.year !== undefined && b.year !== undefined && Math.abs(a.year - b.year) <= YEARS)
    add('years', [`${b.year}`]);
  if (a.budget && b.budget && Math.max(a.budget, b.budget) <= BUDGET_FACTOR * Math.min(a.budget, b.budget)) {
    add('budget', [`$${Math.round(b.budget).toLocaleString('en')}`]);
  }
  return shared;
}
