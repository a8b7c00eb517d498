/** Answers that a film's facts give, without its texts. */
import { genresOf } from '../metadata/names.js';
import type { Condition, Question } from './question.js';
import type { FactField, FilmRecord, TextField } from './records.js';

/** What an answer rests on: a fact as it is on record, or a sentence word for word. */
export interface Source {
  /** Place in the list of films. */
  film: number;
  id?: string;
  title?: string;
  field: FactField | TextField;
  quote: string;
  /** Of a sentence: where it is in its input, in UTF-16 units. */
  start?: number;
  end?: number;
  /** Of a script's dialogue: who speaks. */
  speaker?: string;
  /** Of a review: which, from 0. */
  review?: number;
  /** Of a line of dialogue: when it is shown. */
  startMs?: number;
  endMs?: number;
  /** How well it fits the question, 0 to 1; facts have 1. */
  score: number;
}

export interface FactAnswer {
  known: boolean;
  text: string;
  sources: Source[];
}

const LABELS: Record<FactField, string> = {
  title: 'title',
  director: 'director',
  cast: 'cast',
  genres: 'genres',
  releaseDate: 'release date',
  runtime: 'running time',
  budget: 'budget',
  language: 'original language',
  rating: 'rating',
  wellReceived: 'well received',
  boxOffice: 'box office',
};

export function nameOf({ title, id, index }: FilmRecord): string {
  return title ?? id ?? `film ${index + 1}`;
}

export function factSource(film: FilmRecord, field: FactField): Source {
  const { index, id, title } = film;
  return {
    film: index,
    ...(id !== undefined && { id }),
    ...(title !== undefined && { title }),
    field,
    quote: `${LABELS[field]}: ${(film.facts[field] ?? []).join(', ')}`,
    score: 1,
  };
}

const unknown = (text: string): FactAnswer => ({ known: false, text, sources: [] });

/** The fact of each of these films; not known where none has it. */
export function factAnswer(films: readonly FilmRecord[], field: FactField): FactAnswer {
  const having = films.filter(({ facts }) => facts[field]);
  if (having.length === 0) return unknown(`the record has no ${LABELS[field]}`);
  const value = ({ facts }: FilmRecord) => facts[field]!.join(', ');
  const text =
    films.length === 1
      ? value(having[0]!)
      : having.map((film) => `${nameOf(film)}: ${value(film)}`).join('; ');
  return { known: true, text, sources: having.map((film) => factSource(film, field)) };
}

/** The film, or films, with the most or the least of something. Of few facts it says how many films have none. */
export function comparisonAnswer(
  films: readonly FilmRecord[],
  { field, most }: NonNullable<Question['comparison']>,
): FactAnswer {
  const having = films.filter(({ numbers }) => numbers[field] !== undefined);
  if (having.length === 0) return unknown(`no film on record has a ${LABELS[field]}`);
  const best = having
    .map(({ numbers }) => numbers[field]!)
    .reduce((a, b) => (most ? Math.max(a, b) : Math.min(a, b)));
  const winners = having.filter(({ numbers }) => numbers[field] === best);
  const without = films.length - having.length;
  const names = winners.map((film) => `${nameOf(film)} (${film.facts[field]!.join(', ')})`).join(' and ');
  const text = without > 0 ? `${names}; ${without} of ${films.length} films have no ${LABELS[field]}` : names;
  return { known: true, text, sources: winners.map((film) => factSource(film, field)) };
}

function meets(film: FilmRecord, { field, above, below }: Condition): boolean {
  const value = film.numbers[field];
  return (
    value !== undefined && (above === undefined || value > above) && (below === undefined || value < below)
  );
}

/** A name, genre or language that a question holds, and the facts in which it may stand. */
export interface Mention {
  /** As it stands in the question. */
  text: string;
  value: string;
  fields: FactField[];
}

/** Words that make a genre's name mean the genre: "a comedy", "war films", "which dramas". */
const BEFORE_GENRE = String.raw`(?:\b(?:an?|any|which|what|many|genre)\s+|是|哪些|部)`;
const AFTER_GENRE = String.raw`(?:s|ies)?\s*(?:films?|movies?|pictures?|片|电影|\?|？|$)`;
const FIELDS_OF_NAMES = ['director', 'cast', 'language'] as const;

/** People and languages on record, with the facts in which they stand, the longer names first. */
export type Names = readonly { key: string; value: string; fields: FactField[] }[];

export function namesOf(films: readonly FilmRecord[]): Names {
  const values = new Map<string, { value: string; fields: Set<FactField> }>();
  for (const { facts } of films) {
    for (const field of FIELDS_OF_NAMES) {
      for (const value of facts[field] ?? []) {
        const key = value.toLowerCase();
        const entry = values.get(key) ?? { value, fields: new Set() };
        entry.fields.add(field);
        values.set(key, entry);
      }
    }
  }
  return [...values]
    .map(([key, { value, fields }]) => ({ key, value, fields: [...fields] }))
    .sort((x, y) => y.key.length - x.key.length);
}

/** The names and genres that a question holds; a longer name hides those within it. */
export function mentionsOf(question: string, names: Names): Mention[] {
  let text = question;
  const mentions: Mention[] = [];
  const mention = (at: { start: number; end: number }, value: string, fields: FactField[]) => {
    mentions.push({ text: text.slice(at.start, at.end), value, fields });
    text = text.slice(0, at.start) + ' '.repeat(at.end - at.start) + text.slice(at.end);
  };
  for (const { key, value, fields } of names) {
    const at = findWords(text, key);
    if (at) mention(at, value, fields);
  }
  for (const [word, at] of genreWords(text)) {
    const before = new RegExp(`${BEFORE_GENRE}$`, 'iu').test(text.slice(0, at.start));
    const after = new RegExp(`^${AFTER_GENRE}`, 'iu').test(text.slice(at.end));
    if (before || after) mention(at, genresOf(word)[0]!, ['genres']);
  }
  return mentions;
}

/** Names of genres in a text, the longer first; also in the plural, and in Chinese. */
function genreWords(text: string): [string, { start: number; end: number }][] {
  const words = [
    ...text.matchAll(/\p{Script=Han}{2,4}?(?=片|电影|吗|的|\P{Script=Han}|$)|[\p{Script=Latin}-]+/giu),
  ];
  const found: [string, { start: number; end: number }][] = [];
  words.forEach((first, i) => {
    for (const last of [words[i + 1], first]) {
      if (!last) continue;
      const at = { start: first.index, end: last.index + last[0].length };
      const name = text.slice(at.start, at.end);
      const singular = [name, name.replace(/ies$/i, 'y'), name.replace(/s$/i, '')].find(
        (form) => genresOf(form).length > 0,
      );
      if (singular === undefined || found.some(([, other]) => at.start < other.end)) continue;
      found.push([singular, at]);
    }
  });
  return found;
}

/** Whether a fact on record is what was mentioned. */
function isValue(field: FactField, onRecord: string, mentioned: string): boolean {
  if (onRecord.toLowerCase() === mentioned.toLowerCase()) return true;
  return field === 'genres' && genresOf(onRecord).includes(mentioned);
}

/** Where these words stand whole in a text. */
export function findWords(text: string, words: string): { start: number; end: number } | undefined {
  // Of thousands of names hardly one is there.
  const first = words.split(/\s/, 1)[0]!.toLowerCase();
  if (!text.toLowerCase().includes(first)) return undefined;
  const escaped = words.replace(/[.*+?^${}()|[\]\\]/g, '\\$&').replace(/\s+/g, '\\s+');
  const match = new RegExp(`(?<![\\p{L}\\p{N}])${escaped}(?![\\p{Script=Latin}\\p{N}])`, 'iu').exec(text);
  return match ? { start: match.index, end: match.index + match[0].length } : undefined;
}

/** Which of a person's trades the question means. */
function tradesIn(question: string, fields: readonly FactField[]): readonly FactField[] {
  if (/\bdirect|导演/iu.test(question)) return fields.filter((field) => field !== 'cast');
  if (/\bstar|\bact|\bplay|\bcast|\bappear|主演|出演/iu.test(question)) {
    return fields.filter((field) => field !== 'director');
  }
  return fields;
}

/** Films that fulfil all conditions and have all that is mentioned. */
export function listAnswer(
  films: readonly FilmRecord[],
  question: Question,
  mentions: readonly Mention[],
): FactAnswer {
  const fields = mentions.map((mention) => tradesIn(question.text, mention.fields));
  const has = (film: FilmRecord, mention: Mention, i: number) =>
    fields[i]!.filter((field) => film.facts[field]?.some((value) => isValue(field, value, mention.value)));
  const found = films.filter(
    (film) =>
      question.conditions.every((condition) => meets(film, condition)) &&
      mentions.every((mention, i) => has(film, mention, i).length > 0),
  );
  const asked = new Set<FactField>(question.conditions.map(({ field }) => field));
  const sources = found.flatMap((film) => {
    const shown = new Set([...asked, ...mentions.flatMap((mention, i) => has(film, mention, i))]);
    return [...(shown.size > 0 ? shown : new Set<FactField>(['title']))].map((field) =>
      factSource(film, field),
    );
  });
  // What has none of the facts asked about may or may not belong to them.
  const silent = films.filter((film) => [...asked, ...fields.flat()].every((field) => !film.facts[field]));
  const silence = silent.length > 0 ? ` (${silent.length} of ${films.length} films do not say)` : '';
  if (question.films === 'count') return { known: true, text: `${found.length}${silence}`, sources };
  if (found.length === 0) return unknown(`no film on record is said to be one${silence}`);
  return { known: true, text: `${found.map(nameOf).join(', ')}${silence}`, sources };
}

/**
 * "Is it a comedy?", "Does X star in it?". A genre or language that is not among those on record is a no; a name that is
 * missing from a cast, which is never whole, is not known.
 */
export function yesNoAnswer(film: FilmRecord, question: Question, mentions: readonly Mention[]): FactAnswer {
  const parts = mentions.map((mention) => {
    const fields = tradesIn(question.text, mention.fields);
    const hit = fields.find((field) =>
      film.facts[field]?.some((value) => isValue(field, value, mention.value)),
    );
    return { hit, field: hit ?? fields[0]! };
  });
  const sources = parts.filter(({ field }) => film.facts[field]).map(({ field }) => factSource(film, field));
  if (parts.every(({ hit }) => hit)) return { known: true, text: 'yes', sources };
  const missing = parts.find(({ hit }) => !hit)!;
  const closed = missing.field === 'genres' || missing.field === 'language';
  if (closed && film.facts[missing.field]) return { known: true, text: 'no', sources };
  return unknown(`the ${LABELS[missing.field]} on record does not name it`);
}
