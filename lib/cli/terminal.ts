/** What a terminal can show: colours, widths, bars. Everything here turns values into text; nothing writes. */

export interface Style {
  bold(text: string): string;
  dim(text: string): string;
  good(text: string): string;
  fair(text: string): string;
  bad(text: string): string;
  accent(text: string): string;
}

const paint = (open: number, close: number) => (text: string) => `\u001b[${open}m${text}\u001b[${close}m`;
const plain = (text: string) => text;

const COLOURED: Style = {
  bold: paint(1, 22),
  dim: paint(2, 22),
  good: paint(32, 39),
  fair: paint(33, 39),
  bad: paint(31, 39),
  accent: paint(36, 39),
};
const PLAIN: Style = { bold: plain, dim: plain, good: plain, fair: plain, bad: plain, accent: plain };

/**
 * Colours only where a person looks: on a terminal that is not dumb, and never with NO_COLOR set to anything.
 * FORCE_COLOR (not 0) turns them on elsewhere.
 */
export function styleFor(
  stream: { isTTY?: boolean | undefined },
  env: NodeJS.ProcessEnv = process.env,
): Style {
  if (env.NO_COLOR) return PLAIN;
  if (env.FORCE_COLOR && env.FORCE_COLOR !== '0') return COLOURED;
  return stream.isTTY && env.TERM !== 'dumb' ? COLOURED : PLAIN;
}

/** Columns that text has there: 76 to 100, 80 where nobody says. */
export function columnsOf(stream: { columns?: number | undefined }): number {
  return Math.min(100, Math.max(76, stream.columns ?? 80));
}

/** A time in a film: "1:39:08" with its hours, "99:08" without. */
export function clock(ms: number, { hours = false } = {}): string {
  const seconds = Math.floor(ms / 1000);
  const minutes = Math.floor(seconds / 60);
  const two = (value: number) => String(value).padStart(2, '0');
  const before = hours ? `${Math.floor(minutes / 60)}:${two(minutes % 60)}` : `${minutes}`;
  return `${before}:${two(seconds % 60)}`;
}

/** What must not reach a terminal from a file: control characters, of which escape sequences are made. */
export function printable(text: string): string {
  return text.replace(/\p{Cc}+/gu, ' ').trim();
}

const WIDE =
  /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]/u;

/** Columns a text takes on a terminal: East Asian characters and emoji take two, combining marks none. */
export function displayWidth(text: string): number {
  let width = 0;
  for (const character of text.replace(/\p{Cc}\[[\d;]*m/gu, '')) {
    if (/\p{M}/u.test(character)) continue;
    width += WIDE.test(character) ? 2 : 1;
  }
  return width;
}

export function padEnd(text: string, width: number): string {
  return text + ' '.repeat(Math.max(0, width - displayWidth(text)));
}

export function padStart(text: string, width: number): string {
  return ' '.repeat(Math.max(0, width - displayWidth(text))) + text;
}

/** Cut to `width` columns, the last one an ellipsis where something was cut. */
export function truncate(text: string, width: number): string {
  if (displayWidth(text) <= width) return text;
  let kept = '';
  for (const character of text) {
    if (displayWidth(kept + character) > width - 1) break;
    kept += character;
  }
  return `${kept}…`;
}

/** Words in lines of at most `width` columns; a longer word has a line to itself, a no-break space parts none. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(/[ \t\r\n]+/).filter(Boolean)) {
    if (line !== '' && displayWidth(line) + 1 + displayWidth(word) > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  if (line !== '') lines.push(line);
  return lines;
}

/** A bar of `width` columns, `share` of it filled; finer than a column where it ends. */
export function bar(share: number, width: number): string {
  const eighths = Math.round(Math.max(0, Math.min(1, share)) * width * 8);
  const full = Math.floor(eighths / 8);
  const part = ['', '▏', '▎', '▍', '▌', '▋', '▊', '▉'][eighths % 8] as string;
  return '█'.repeat(full) + part;
}

/**
 * A scale with a value and its interval on it: `──────├━━━━━●━━━┤──`.
 * All arguments are shares of the scale, 0 to 1; what lies outside is drawn at the end.
 */
export function intervalBar(low: number, value: number, high: number, width: number): string {
  const at = (share: number) => Math.round(Math.max(0, Math.min(1, share)) * (width - 1));
  const cells = new Array<string>(width).fill('─');
  for (let i = at(low); i <= at(high); i++) cells[i] = '━';
  cells[at(low)] = '├';
  cells[at(high)] = '┤';
  cells[at(value)] = '●';
  return cells.join('');
}

/** 24_300_000 -> "$24 million": two significant digits, since no forecast of money has more. */
export function dollars(value: number): string {
  if (!Number.isFinite(value)) return 'unknown';
  const rounded = value <= 0 ? 0 : Number(value.toPrecision(2));
  for (const [size, name] of [
    [1e9, ' billion'],
    [1e6, ' million'],
    [1e3, ',000'],
  ] as const) {
    if (rounded >= size) {
      const scaled = rounded / size;
      if (name === ',000') return `$${Math.round(scaled)}${name}`;
      return `$${scaled < 10 ? scaled.toFixed(1).replace(/\.0$/, '') : Math.round(scaled)}${name}`;
    }
  }
  return `$${Math.round(rounded)}`;
}

/** 1234 -> "1.23 s", 45.6 -> "46 ms", with a no-break space. */
export function milliseconds(value: number): string {
  if (value >= 10_000) return `${(value / 1000).toFixed(1)}\u00a0s`;
  if (value >= 1000) return `${(value / 1000).toFixed(2)}\u00a0s`;
  return `${value < 10 ? value.toFixed(1) : Math.round(value)}\u00a0ms`;
}
