/** Screenplays: Fountain and plain text -> scenes, characters, dialogue and action with their places in the source. */
import { describeValue, InputError } from '../../errors.js';
import { Pace } from '../../pace.js';
import { MAX_TEXT_CHARACTERS } from '../read-text.js';
import {
  type Cue,
  forcedHeading,
  type Heading,
  isCue,
  isMark,
  isTransition,
  isUpper,
  parseColonCue,
  parseCue,
  parseHeading,
} from './patterns.js';
import { titlePage } from './title-page.js';
import { type SourceLine, sourceLines } from './source-lines.js';
import { charactersOf, pagesOf, scenesOf } from './structure.js';
import type { Screenplay, ScriptElement, ScriptElementKind } from './types.js';
import { countWords } from './words.js';

/** Paragraphs of one script; 120 pages have about 4,000. */
const MAX_ELEMENTS = 200_000;
/** Lines read between two looks at the clock. */
const STEP = 500;

export interface ParseScreenplayOptions {
  /** Default 'auto': 'plain' where cues stand apart by indentation or as "NAME: words", else 'fountain'. */
  format?: 'auto' | 'fountain' | 'plain' | undefined;
}

/** A parsed screenplay with its source as long as it was, comments and notes blanked. */
export interface ReadScreenplay {
  screenplay: Screenplay;
  flat: string;
}

/**
 * A screenplay's scenes, characters, dialogue and action.
 *
 * Fountain 1.1 by its rules: title page, scene headings (INT, EXT, EST, I/E, a forcing dot, scene numbers), cues with
 * extensions and dual dialogue, parentheticals, lyrics, transitions, centred lines, sections, synopses, notes, comments,
 * page breaks, emphasis. Plain text as scripts are passed round: cues told by indentation, "NAME: words" (also Chinese
 * "张三：……"), scene numbers at both margins, page numbers, (MORE) and CONTINUED; Chinese headings (第一场 日 内 咖啡馆).
 * Offsets are UTF-16 units of `text`. A text without headings is one scene.
 *
 * @throws InputError ERR_INPUT_TYPE, ERR_INPUT_EMPTY, ERR_INPUT_VALUE  no text, a blank one, over 4,000,000 characters,
 *   over 200,000 paragraphs, or a format of another name
 *
 * Source: fountain.io/syntax.
 */
export function parseScreenplay(text: string, options: ParseScreenplayOptions = {}): Screenplay {
  const steps = reading(text, options);
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value.screenplay;
  }
}

/** As parseScreenplay, with rests for the event loop. */
export async function readScreenplay(
  text: string,
  options: ParseScreenplayOptions = {},
  check: () => void = () => {},
): Promise<ReadScreenplay> {
  const pace = new Pace();
  const steps = reading(text, options);
  for (;;) {
    const step = steps.next();
    if (step.done) return step.value;
    if (pace.due) await pace.rest();
    check();
  }
}

function checkText(text: unknown, { format = 'auto' }: ParseScreenplayOptions): asserts text is string {
  if (typeof text !== 'string') {
    throw new InputError('ERR_INPUT_TYPE', { field: 'script', expected: 'a text', got: describeValue(text) });
  }
  if (text.trim() === '') {
    throw new InputError('ERR_INPUT_EMPTY', {
      field: 'script',
      expected: 'a screenplay',
      got: 'a blank text',
    });
  }
  if (text.length > MAX_TEXT_CHARACTERS) throw tooLong(`${MAX_TEXT_CHARACTERS} characters`, `${text.length}`);
  if (!['auto', 'fountain', 'plain'].includes(format)) {
    throw new InputError('ERR_INPUT_VALUE', {
      field: 'options.format',
      expected: "'auto', 'fountain' or 'plain'",
      got: describeValue(format),
    });
  }
}

function tooLong(limit: string, got: string): InputError {
  return new InputError('ERR_INPUT_VALUE', { field: 'script', expected: `at most ${limit}`, got });
}

/** How a script's cues are written, from its lines. */
interface Layout {
  format: 'fountain' | 'plain';
  /** Cues are "NAME: words" in Latin letters too. */
  colon: boolean;
  /** From this indentation on an upper-case line is a cue; undefined where indentation says nothing. */
  cueIndent: number | undefined;
  /** Lines up to this indentation are no dialogue. */
  margin: number;
}

/** Columns that cues stand further in than action does, at least. */
const CUE_STEP = 8;
/** So many cues of a kind make a layout. */
const FEW = 2;
/** Lines that tell the layout; 120 pages have about 7,000. */
const LOOKED_AT = 20_000;

/** Where action begins: the least indentation that a tenth of the lines share, headings and page numbers aside. */
function marginOf(lines: readonly SourceLine[]): number {
  const counts = new Map<number, number>();
  let total = 0;
  for (const { blank, text, indent } of lines) {
    if (blank || isMark(text) || parseHeading(text)) continue;
    counts.set(indent, (counts.get(indent) ?? 0) + 1);
    total++;
  }
  const shared = [...counts].filter(([, count]) => count >= total / 10).map(([indent]) => indent);
  return shared.length > 0 ? Math.min(...shared) : 0;
}

function layoutOf(lines: readonly SourceLine[], format: 'auto' | 'fountain' | 'plain'): Layout {
  const margin = marginOf(lines);
  let indented = 0;
  let cues = 0;
  let colons = 0;
  lines.forEach((line, i) => {
    const next = lines[i + 1];
    if (line.blank || isTransition(line.text)) return;
    if (isCue(line.text) && next && !next.blank && !isMark(line.text)) {
      cues++;
      if (line.indent >= margin + CUE_STEP && next.indent < line.indent && next.indent > margin) indented++;
    }
    const colon = parseColonCue(line.text, true);
    if (colon && isUpper(colon.cue.name) && !parseHeading(line.text)) colons++;
  });
  const byIndent = indented >= FEW && 2 * indented >= cues;
  const colon = colons >= FEW && colons > 2 * cues;
  const plain = format === 'plain' || (format === 'auto' && (byIndent || colon));
  return {
    format: plain ? 'plain' : 'fountain',
    colon: plain && colon,
    cueIndent: plain && byIndent ? margin + CUE_STEP : undefined,
    margin: plain && byIndent ? margin + 2 : -1,
  };
}

function* reading(text: string, options: ParseScreenplayOptions): Generator<void, ReadScreenplay, void> {
  checkText(text, options);
  const { lines, flat, notes } = yield* sourceLines(text);
  const layout = layoutOf(lines.slice(0, LOOKED_AT), options.format ?? 'auto');
  yield;
  const title = titlePage(lines);
  const reader = new Reader(lines, layout);
  for (let line = title.lines; line < lines.length; ) {
    const stop = line + STEP;
    while (line < lines.length && line < stop) line = reader.read(line);
    if (reader.elements.length > MAX_ELEMENTS) throw tooLong(`${MAX_ELEMENTS} paragraphs`, 'more');
    yield;
  }
  for (const { start, end } of notes) {
    reader.elements.push({ kind: 'note', start, end, text: tidy(text.slice(start + 2, end - 2)) });
  }
  const elements = reader.elements.sort((a, b) => a.start - b.start || a.end - b.end);
  yield;
  const words: number[] = [];
  for (const { kind, text } of elements) {
    words.push(WORDED.has(kind) ? countWords(text) : 0);
    if (words.length % STEP === 0) yield;
  }
  const scenes = scenesOf(elements, reader.headings);
  const screenplay: Screenplay = {
    format: layout.format,
    titlePage: title.fields,
    elements,
    scenes,
    characters: charactersOf(elements, words, scenes),
    words: words.reduce((sum, count) => sum + count, 0),
    pages: pagesOf(elements),
  };
  return { screenplay, flat };
}

const WORDED: ReadonlySet<ScriptElementKind> = new Set(['dialogue', 'lyrics', 'action', 'centered']);

/** Blanks as one, emphasis and escapes of Fountain taken off. */
export function tidy(text: string): string {
  return text
    .replace(/\s+/g, ' ')
    .replace(/(?<!\\)\*{1,3}|(?<![\p{L}\p{N}\\])_(?=\S)|(?<=\S)(?<!\\)_(?![\p{L}\p{N}])/gu, '')
    .replace(/\\([*_])/g, '$1')
    .trim();
}

/** Takes a script line by line; `read` returns the number of the next one. */
class Reader {
  readonly elements: ScriptElement[] = [];
  /** By their elements. */
  readonly headings = new Map<ScriptElement, Heading>();
  readonly #lines: readonly SourceLine[];
  readonly #layout: Layout;
  /** Who speaks, while a speech lasts. */
  #speaker: string | undefined;

  constructor(lines: readonly SourceLine[], layout: Layout) {
    this.#lines = lines;
    this.#layout = layout;
  }

  read(at: number): number {
    const line = this.#lines[at]!;
    if (line.blank) {
      if (!line.held) this.#speaker = undefined;
      return at + 1;
    }
    if (isMark(line.text) && this.#layout.format === 'plain') {
      this.#add('mark', [line]);
      return at + 1;
    }
    const single = this.#single(line, at);
    if (single) return single;
    if (this.#speaker !== undefined && line.indent > this.#layout.margin) return this.#spoken(at);
    this.#speaker = undefined;
    return this.#startsSpeech(at) ?? this.#action(at);
  }

  /** Elements of one line that begin with a sign of their own, headings and transitions. */
  #single(line: SourceLine, at: number): number | undefined {
    const { text } = line;
    const add = (kind: ScriptElementKind, more: Partial<ScriptElement> = {}, skip = 0, drop = 0) => {
      const element = this.#add(kind, [line], more, skip, drop);
      if (kind !== 'lyrics') this.#speaker = undefined;
      return element;
    };
    const alone = this.#before(at);
    if (/^={3,}$/.test(text)) add('page-break');
    else if (/^#{1,6}\s*\S/.test(text)) {
      const level = /^#+/.exec(text)![0].length;
      add('section', { level }, level);
    } else if (/^=(?!=)/.test(text)) add('synopsis', {}, 1);
    else if (/^\.[\p{L}\p{N}]/u.test(text)) {
      this.headings.set(add('heading', {}, 1), forcedHeading(text.slice(1).trim()));
    } else if (/^>.*<$/.test(text)) add('centered', {}, 1, 1);
    else if (text.startsWith('>')) add('transition', {}, 1);
    else if (text.startsWith('~')) {
      add('lyrics', this.#speaker === undefined ? {} : { speaker: this.#speaker }, 1);
    } else if (this.#isHeading(line, alone)) {
      this.headings.set(add('heading'), parseHeading(text)!);
    } else if (alone && this.#after(at) && isTransition(text)) add('transition');
    else return undefined;
    return at + 1;
  }

  #isHeading(line: SourceLine, alone: boolean): boolean {
    const { text } = line;
    if (this.#speaker !== undefined && !isUpper(text)) return false;
    // What is not in capitals and has something right above it is a sentence: "Int. cannot be …".
    return (alone || isUpper(text)) && parseHeading(text) !== undefined;
  }

  /** A cue with what follows it, or "NAME: words". */
  #startsSpeech(at: number): number | undefined {
    const line = this.#lines[at]!;
    const { text } = line;
    if (text.startsWith('@')) {
      this.#cue(line, parseCue(text.slice(1)));
      return at + 1;
    }
    const colon = parseColonCue(text, this.#layout.colon);
    if (colon) return this.#colonSpeech(at, colon.cue, colon.words);
    const { cueIndent } = this.#layout;
    const set = cueIndent === undefined ? this.#before(at) : line.indent >= cueIndent;
    if (!set || this.#after(at) || !isCue(text)) return undefined;
    const cue = parseCue(text);
    if (cue.name === '') return undefined;
    this.#cue(line, cue);
    return at + 1;
  }

  #cue(line: SourceLine, { name, ...cue }: Cue): void {
    this.#speaker = name;
    this.#add('character', [line], { speaker: name, ...cue });
  }

  #colonSpeech(at: number, cue: Cue, words: number): number {
    const line = this.#lines[at]!;
    const { start } = line;
    const { name, ...rest } = cue;
    const end = start + line.text.slice(0, words).trimEnd().length;
    const head = line.text.slice(0, words).replace(/\s*[:：]\s*$/, '');
    this.elements.push({ kind: 'character', start, end, text: head, speaker: name, ...rest });
    let last = at + 1;
    while (last < this.#lines.length && this.#continues(last)) last++;
    const lines = this.#lines.slice(at, last);
    this.#add('dialogue', lines, { speaker: name }, words);
    return last;
  }

  /** Whether the line goes on with the "NAME: words" above it. */
  #continues(at: number): boolean {
    const line = this.#lines[at]!;
    return (
      !line.blank &&
      !parseColonCue(line.text, this.#layout.colon) &&
      !parseHeading(line.text) &&
      !/^[(（【[△▲]/.test(line.text)
    );
  }

  /** Dialogue up to its end, or the parenthetical that the line begins. */
  #spoken(at: number): number {
    const speaker = this.#speaker!;
    const inside = (i: number) => {
      const line = this.#lines[i];
      return line !== undefined && !line.blank && line.indent > this.#layout.margin;
    };
    if (/^[(（]/.test(this.#lines[at]!.text)) {
      let last = at;
      while (!/[)）]$/.test(this.#lines[last]!.text) && inside(last + 1) && last - at < 4) last++;
      if (/[)）]$/.test(this.#lines[last]!.text)) {
        this.#add('parenthetical', this.#lines.slice(at, last + 1), { speaker });
        return last + 1;
      }
    }
    let last = at;
    while (inside(last + 1) && !/^[(（~]/.test(this.#lines[last + 1]!.text) && !this.#cuts(last + 1)) last++;
    this.#add('dialogue', this.#lines.slice(at, last + 1), { speaker });
    return last + 1;
  }

  /** In a layout by indentation a cue, heading or mark ends a speech without a blank line. */
  #cuts(at: number): boolean {
    const { text, indent } = this.#lines[at]!;
    const { cueIndent, format } = this.#layout;
    if (format === 'plain' && isMark(text)) return true;
    if (isUpper(text) && parseHeading(text)) return true;
    return cueIndent !== undefined && indent >= cueIndent && isCue(text) && !this.#after(at);
  }

  #action(at: number): number {
    let last = at + 1;
    while (last < this.#lines.length && !this.#lines[last]!.blank && !this.#beginsAnew(last)) last++;
    const lines = this.#lines.slice(at, last);
    this.#add('action', lines, {}, lines[0]!.text.startsWith('!') ? 1 : 0);
    return last;
  }

  #beginsAnew(at: number): boolean {
    const line = this.#lines[at]!;
    const { cueIndent, format } = this.#layout;
    if (/^(?:[.>~@!#]|={3,}$)/.test(line.text) && !/^\.\.|^[#!>][^\p{L}]/u.test(line.text)) return true;
    if (this.#isHeading(line, false) || parseColonCue(line.text, this.#layout.colon)) return true;
    if (format === 'plain' && isMark(line.text)) return true;
    return cueIndent !== undefined && line.indent >= cueIndent && isCue(line.text) && !this.#after(at);
  }

  /** Nothing right above the line. */
  #before(at: number): boolean {
    const above = this.#lines[at - 1];
    return above === undefined || above.blank || this.elements.at(-1)?.kind === 'mark';
  }

  /** Nothing right below the line. */
  #after(at: number): boolean {
    const below = this.#lines[at + 1];
    return below === undefined || (below.blank && !below.held);
  }

  /** @param skip  characters of markup at the beginning; @param drop  at the end */
  #add(
    kind: ScriptElementKind,
    lines: readonly SourceLine[],
    more: Partial<ScriptElement> = {},
    skip = 0,
    drop = 0,
  ): ScriptElement {
    const first = lines[0]!;
    const whole = lines.map(({ text }) => text).join('\n');
    const text = whole.slice(skip, whole.length - drop);
    const start = first.start + skip + (text.length - text.trimStart().length);
    const end = Math.max(start, lines.at(-1)!.end - drop - (text.length - text.trimEnd().length));
    const numbered = kind === 'heading' ? text.replace(/\s*#[^#\n]+#\s*$/, '') : text;
    const element: ScriptElement = { kind, start, end, text: tidy(numbered), ...more };
    this.elements.push(element);
    return element;
  }
}
