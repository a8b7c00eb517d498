/** Changes of a film as they are written on the command line: FIELD=VALUE. */
import { resolve } from 'node:path';
import type { FilmChanges } from '../explain/what-if.js';
import { UsageError } from './exit.js';

const NUMBERS = ['budget', 'runtime', 'month'];
const LISTS = ['genres', 'cast', 'director'];
const FILES = ['poster', 'trailer', 'audio'];
const TEXTS = ['synopsis', 'script', 'subtitles', 'reviews'];

/** @throws UsageError  not FIELD=VALUE, or no number where one is wanted */
export function parseChange(text: string): [field: string, value: unknown] {
  const at = text.indexOf('=');
  if (at < 1) throw new UsageError(`--set wants FIELD=VALUE, not "${text}"`);
  const [field, value] = [text.slice(0, at).trim(), text.slice(at + 1).trim()];
  if (value === '') return [field, null];
  if (NUMBERS.includes(field)) {
    const number = Number(value.replace(/(?<=\d)[,_](?=\d{3})/g, ''));
    if (!Number.isFinite(number)) throw new UsageError(`--set ${field} wants a number, not "${value}"`);
    return [field, number];
  }
  if (LISTS.includes(field)) return [field, value.split('|').map((entry) => entry.trim())];
  if (FILES.includes(field)) return [field, { path: resolve(value) }];
  if (TEXTS.includes(field)) {
    if (value.startsWith('@')) return [field, { path: resolve(value.slice(1)) }];
    return [field, field === 'reviews' ? [value] : value];
  }
  return [field, value];
}

export function changesOf(sets: readonly string[]): FilmChanges {
  return Object.fromEntries(sets.map(parseChange)) as FilmChanges;
}
