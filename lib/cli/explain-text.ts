/** Explanations and what-ifs as text for people. */
import type { Explanation, HeadValue } from '../explain/types.js';
import type { WhatIf } from '../explain/what-if.js';
import { clock, factName, factValue, headName, inputName, inUnit, signed } from '../explain/words.js';
import type { Movie } from '../movie.js';
import { padEnd, padStart, printable, type Style, truncate, wrap } from './terminal.js';

interface TextOptions {
  style: Style;
  columns: number;
}

const MOST_FACTS = 8;
const MOST_WORDS = 10;

export function explanationText(
  explanation: Explanation,
  movie: Movie,
  source: string,
  { style, columns }: TextOptions,
): string {
  const { heads, head, inputs, facts, texts, poster, moments, comparables, feedback } = explanation;
  const own = heads.find((one) => one.head === head)!;
  const lines = heading(movie, source, columns, style);
  for (const one of heads) lines.push(`  ${padEnd(headName(one.head), 18)}${said(one)}`);
  const section = (title: string) => lines.push('', style.bold(title));
  const part = (effect: number, what: string) => {
    const number = padStart(signed(own, effect), 14);
    const line = `${effect >= 0 ? style.good(number) : style.bad(number)}  ${truncate(printable(what), columns - 18)}`;
    lines.push(line);
  };
  section(`What each input did to the ${headName(head).toLowerCase()} (with it, less without it)`);
  for (const { input, effects } of inputs) {
    if (effects) part(effects[head]!, inputName(input));
    else lines.push(`${padStart('all', 14)}  ${inputName(input)}`);
  }
  const strongest = facts
    .flatMap(({ fact, value, effects }) => (effects ? [{ fact, value, effect: effects[head]! }] : []))
    .sort((a, b) => Math.abs(b.effect) - Math.abs(a.effect));
  if (strongest.length > 0) section('Facts');
  for (const { fact, value, effect } of strongest.slice(0, MOST_FACTS)) {
    part(effect, `${factName(fact)}: ${factValue(fact, value)}`);
  }
  for (const { input, sentences, words } of texts) {
    if (sentences.length + words.length === 0) continue;
    section(`The ${inputName(input)}`);
    const ordered = [...sentences].sort((a, b) => Math.abs(b.effects[head]!) - Math.abs(a.effects[head]!));
    for (const { text, effects } of ordered.slice(0, 4)) part(effects[head]!, text);
    const telling = words
      .slice(0, MOST_WORDS)
      .map(({ text, effects }) => `${text} ${signed(own, effects[head]!)}`);
    if (telling.length > 0)
      lines.push(
        ...wrap(`words: ${telling.join(', ')}`, columns - 4).map((line) => `    ${printable(line)}`),
      );
  }
  if (poster) {
    section('Regions of the poster (x, y, width × height in pixels)');
    for (const { x, y, width, height, effects } of poster.regions) {
      part(effects[head]!, `${x}, ${y}, ${width} × ${height} of ${poster.width} × ${poster.height}`);
    }
  }
  if (moments.length > 0) {
    section('Stretches of time');
    const ordered = [...moments].sort((a, b) => Math.abs(b.effects[head]!) - Math.abs(a.effects[head]!));
    for (const { input, startMs, endMs, effects } of ordered.slice(0, 6)) {
      part(effects[head]!, `${inputName(input)}, ${clock(startMs)} to ${clock(endMs)}`);
    }
  }
  if (comparables.length > 0) section('Comparable films');
  for (const { film, outcomes, reason } of comparables) {
    const year = film.year === undefined ? '' : ` (${film.year})`;
    const became = [
      outcomes.rating === undefined ? '' : `rated ${Number(outcomes.rating.toFixed(1))}`,
      outcomes.boxOffice === undefined ? '' : inUnit({ unit: 'USD' }, outcomes.boxOffice),
    ].filter(Boolean);
    lines.push(
      `  ${printable(film.title ?? film.id ?? 'a film')}${year}${became.length > 0 ? `: ${became.join(', ')}` : ''}`,
    );
    lines.push(...wrap(reason, columns - 6).map((line) => style.dim(`      ${printable(line)}`)));
  }
  const { missing, notUsed } = feedback;
  if (missing.length + notUsed.length > 0) section('Missing');
  if (missing.length > 0)
    lines.push(...wrap(`not given: ${missing.join(', ')}`, columns - 2).map((line) => `  ${line}`));
  for (const { input, reason } of notUsed) {
    lines.push(
      ...wrap(`${inputName(input)} not used: ${reason}`, columns - 2).map((line) => `  ${printable(line)}`),
    );
  }
  return `${lines.join('\n')}\n`;
}

export function whatIfText(
  { differences, alone }: WhatIf,
  movie: Movie,
  source: string,
  { style, columns }: TextOptions,
): string {
  const lines = heading(movie, source, columns, style);
  for (const own of differences) {
    const change = padStart(signed(own, own.change), 16);
    const coloured = own.change >= 0 ? style.good(change) : style.bad(change);
    lines.push(
      `  ${padEnd(headName(own.head), 18)}${padStart(inUnit(own, own.before), 14)}  →${padStart(inUnit(own, own.after), 14)}${coloured}`,
    );
  }
  if (alone.length > 1) {
    lines.push('', style.bold('Each change alone'));
    for (const { field, effects } of alone) {
      const told = differences.map(
        (own) => `${headName(own.head)} ${effects ? signed(own, effects[own.head]!) : '–'}`,
      );
      lines.push(...wrap(`${factName(field)}: ${told.join(', ')}`, columns - 2).map((line) => `  ${line}`));
    }
  }
  return `${lines.join('\n')}\n`;
}

function heading({ title, id }: Movie, source: string, columns: number, style: Style): string[] {
  return [style.bold(truncate(printable(title ?? id ?? source), columns)), style.dim('─'.repeat(columns))];
}

function said(head: HeadValue): string {
  const { value, interval, level } = head;
  const range =
    interval &&
    ` (${inUnit(head, interval[0])} to ${inUnit(head, interval[1])} for ${Math.round(100 * (level ?? 0))} %)`;
  return `${inUnit(head, value)}${range ?? ''}`;
}
