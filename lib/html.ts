/** HTML made of templates in which everything that comes of data is escaped. */

/** Text as HTML text or attribute. Everything that comes of data goes through here. */
export function escapeHtml(text: string): string {
  return text
    .replace(/[\p{Cc}\u202a-\u202e\u2066-\u2069]+/gu, ' ')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;');
}

/** HTML that is already safe. */
export class Html {
  readonly #text: string;
  constructor(text: string) {
    this.#text = text;
  }
  toString(): string {
    return this.#text;
  }
}

export type Part = Html | string | number | false | null | undefined | readonly Part[];

/** A template whose values are escaped, unless they are Html themselves. */
export function html(strings: TemplateStringsArray, ...values: Part[]): Html {
  const safe = (value: Part): string => {
    if (value instanceof Html) return value.toString();
    if (Array.isArray(value)) return value.map((part: Part) => safe(part)).join('');
    return value === false || value === undefined || value === null ? '' : escapeHtml(String(value));
  };
  return new Html(strings.reduce((text, string, i) => text + safe(values[i - 1]) + string));
}
