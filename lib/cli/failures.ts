import { CinefuseError } from '../errors.js';
import { printable, type Style, wrap } from './terminal.js';

/** How an error reads in one line: what happened, without a stack, and its code. */
export function describeError(error: unknown): {
  code: string;
  message: string;
  field?: string;
  file?: string;
} {
  if (error instanceof CinefuseError) return error.toJSON();
  return { code: 'ERR_INTERNAL', message: error instanceof Error ? error.message : String(error) };
}

/** Films listed at the end; of what fails in its thousands the first are enough. */
const LISTED = 50;

/** Films that failed, for the list at the end. */
export class Failures {
  count = 0;
  readonly #first: { source: string; error: unknown }[] = [];

  add(source: string, error: unknown): void {
    this.count++;
    if (this.#first.length < LISTED) this.#first.push({ source, error });
  }

  /** @param films  how many there were in all */
  text(films: number, columns: number, style: Style): string {
    const lines = [
      style.bold(
        films === 1 ? 'The film could not be used:' : `${this.count} of ${films} films could not be used:`,
      ),
    ];
    for (const { source, error } of this.#first) {
      const { code, message, field } = describeError(error);
      lines.push(`  ${printable(source)}`);
      const where = [style.bad(code), field && printable(field)].filter(Boolean).join(' · ');
      lines.push(`    ${where}`);
      lines.push(...wrap(printable(message), columns - 4).map((line) => `    ${line}`));
    }
    if (this.count > this.#first.length) lines.push(`  … and ${this.count - this.#first.length} more`);
    return `${lines.join('\n')}\n`;
  }
}
