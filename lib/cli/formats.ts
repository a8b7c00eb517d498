/** Results for machines: JSON documents, and CSV. */
import type { Feedback, RegressionFeedback } from '../feedback.js';
import { describeError } from './failures.js';

export function feedbackJson(source: string, feedback: Feedback): Record<string, unknown> {
  return { source, ok: true, ...feedback };
}

export function failureJson(source: string, error: unknown): Record<string, unknown> {
  return { source, ok: false, error: describeError(error) };
}

const CSV_COLUMNS = [
  'source',
  'id',
  'title',
  'rating',
  'rating_low',
  'rating_high',
  'well_received',
  'box_office',
  'box_office_low',
  'box_office_high',
  'used',
  'not_used',
  'missing',
  'error_code',
  'error_field',
  'error_message',
] as const;

type CsvRow = Partial<Record<(typeof CSV_COLUMNS)[number], string | number>>;

function csvLine(row: CsvRow): string {
  const cell = (value: string | number | undefined) => {
    const text = value === undefined ? '' : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return `${CSV_COLUMNS.map((column) => cell(row[column])).join(',')}\n`;
}

export const csvHeader = `${CSV_COLUMNS.join(',')}\n`;

const decimals = (value: number, digits: number) => Number(value.toFixed(digits));

function triple(name: 'rating' | 'box_office', of: RegressionFeedback | undefined, digits: number): CsvRow {
  if (!of) return {};
  return {
    [name]: decimals(of.value, digits),
    [`${name}_low`]: decimals(of.interval[0], digits),
    [`${name}_high`]: decimals(of.interval[1], digits),
  };
}

export function feedbackCsv(source: string, feedback: Feedback): string {
  return csvLine({
    source,
    id: feedback.id ?? '',
    title: feedback.title ?? '',
    ...triple('rating', feedback.rating, 3),
    ...(feedback.wellReceived && { well_received: decimals(feedback.wellReceived.probability, 4) }),
    ...triple('box_office', feedback.boxOffice, 0),
    used: feedback.used.join('|'),
    not_used: feedback.notUsed.map(({ input }) => input).join('|'),
    missing: feedback.missing.join('|'),
  });
}

export function failureCsv(source: string, error: unknown): string {
  const { code, field, message } = describeError(error);
  return csvLine({ source, error_code: code, error_field: field ?? '', error_message: message });
}
