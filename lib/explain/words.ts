/** Numbers of an explanation, for people. */
import type { HeadValue } from './types.js';

const HEADS: Readonly<Record<string, string>> = {
  rating: 'Audience rating',
  wellReceived: 'Well received',
  boxOffice: 'Box office',
};

export const headName = (head: string): string => HEADS[head] ?? head;

const INPUTS: Readonly<Record<string, string>> = {
  metadata: 'facts',
  synopsis: 'plot',
  title: 'title',
  poster: 'poster',
  'trailer.video': "trailer's picture",
  'trailer.audio': "trailer's sound",
  audio: 'music',
};

export const inputName = (input: string): string => INPUTS[input] ?? input;

const FACTS: Readonly<Record<string, string>> = {
  releaseDate: 'release date',
  cast: 'actor',
  genres: 'genre',
};

export const factName = (fact: string): string => FACTS[fact] ?? fact;

const isMoney = (unit: string) => unit === 'USD';
const isProbability = (unit: string) => unit.startsWith('probability');

/** $24.3 million: three digits, since differences are told. */
function money(value: number): string {
  const size = Math.abs(value);
  const sign = value < 0 ? '−' : '';
  for (const [least, name] of [
    [1e9, ' billion'],
    [1e6, ' million'],
    [1e3, ',000'],
  ] as const) {
    if (size < least) continue;
    const scaled = size / least;
    return `${sign}$${name === ',000' ? Math.round(scaled) : Number(scaled.toPrecision(3))}${name}`;
  }
  return `${sign}$${Math.round(size)}`;
}

/** A head's number in its unit. */
export function inUnit({ unit }: Pick<HeadValue, 'unit'>, value: number): string {
  if (isMoney(unit)) return money(value);
  if (isProbability(unit)) return `${(100 * value).toFixed(0)} %`;
  return Number.isFinite(value) ? String(Number(value.toPrecision(3))) : 'unknown';
}

/** A difference, with its sign. */
export function signed({ unit }: Pick<HeadValue, 'unit'>, effect: number): string {
  const sign = effect > 0 ? '+' : effect < 0 ? '−' : '±';
  const size = Math.abs(effect);
  if (isMoney(unit)) return `${sign}${money(size)}`;
  if (isProbability(unit)) return `${sign}${(100 * size).toFixed(1)} points`;
  return sign + size.toFixed(size < 0.1 ? 3 : 2);
}

export function clock(ms: number): string {
  const seconds = Math.round(ms / 1000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
}

/** A fact's value, as an explanation has it. */
export function factValue(fact: string, value: string): string {
  if (fact === 'budget') return money(Number(value));
  return fact === 'runtime' ? `${value} min` : value;
}
