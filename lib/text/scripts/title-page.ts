/** Fountain's title page: "key: value" lines before the first blank one. */
import type { SourceLine } from './source-lines.js';

/** One of these has to be there first: "FADE IN:" begins a script as well. */
const FIRST_KEYS =
  /^(?:title|credit|authors?|writers?|written by|source|notes?|draft(?: date)?|date|contact|copyright|revision|language|format|episode|series|片名|标题|作者|编剧)$/i;
const FIELD = /^([\p{L}][\p{L}\p{N} ]{0,40})[:：]\s*(.*)$/u;
const MAX_FIELDS = 50;

/** @returns the fields, and the lines they take up */
export function titlePage(lines: readonly SourceLine[]): { fields: Record<string, string>; lines: number } {
  let at = 0;
  while (lines[at]?.blank) at++;
  const key = FIELD.exec(lines[at]?.text ?? '')?.[1];
  if (key === undefined || !FIRST_KEYS.test(key.trim())) return { fields: {}, lines: 0 };
  const fields = new Map<string, string[]>();
  let open: string[] = [];
  for (; at < lines.length && !lines[at]!.blank; at++) {
    const { text, indent } = lines[at]!;
    const field = indent >= 3 ? null : FIELD.exec(text);
    if (field && fields.size < MAX_FIELDS) {
      open = [];
      fields.set(field[1]!.trim().toLowerCase(), open);
      if (field[2] !== '') open.push(field[2]!);
    } else open.push(text);
  }
  const entries = [...fields].map(([name, values]) => [name, values.join('\n').replace(/\*{1,3}|_/g, '')]);
  return { fields: Object.fromEntries(entries), lines: at };
}
