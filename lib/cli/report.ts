/** A prediction as text for people. */
import type { BinaryFeedback, Feedback, RegressionFeedback } from '../feedback.js';
import type { Movie } from '../movie.js';
import {
  bar,
  clock,
  dollars,
  intervalBar,
  milliseconds,
  padEnd,
  padStart,
  printable,
  type Style,
  truncate,
  wrap,
} from './terminal.js';

export interface ReportOptions {
  style: Style;
  columns: number;
}

const LABEL = 16;

/** What to call an input, for someone who has not read the documentation. */
const INPUT_WORDS: Record<string, string> = {
  title: 'title',
  synopsis: 'synopsis',
  script: 'screenplay',
  subtitles: 'subtitles',
  reviews: 'reviews',
  metadata: 'film facts',
  poster: 'poster',
  'trailer.video': 'trailer, picture',
  'trailer.audio': 'trailer, sound',
  audio: 'music',
};
const wordFor = (input: string) => INPUT_WORDS[input] ?? input;

/** "9 in 10" for 0.9, "19 in 20" for 0.95, else a percentage. */
function odds(level: number): string {
  for (const of of [10, 20]) {
    const n = level * of;
    if (Math.abs(n - Math.round(n)) < 1e-9) return `${Math.round(n)} in ${of}`;
  }
  return `${Math.round(level * 100)} %`;
}

/** The one sentence a producer reads first. It never sounds surer than the probability is. */
export function verdict({ probability }: Pick<BinaryFeedback, 'probability'>): string {
  const words: [number, string][] = [
    [0.85, 'Very likely to be well received'],
    [0.67, 'Likely to be well received'],
    [0.55, 'Leans towards a good reception'],
    [0.45, 'Could go either way'],
    [0.33, 'Leans towards a cool reception'],
    [0.15, 'Likely to be received coolly'],
    [0, 'Very likely to be received coolly'],
  ];
  return (words.find(([from]) => probability >= from) as [number, string])[1];
}

function toned(style: Style, probability: number): (text: string) => string {
  if (probability >= 0.55) return style.good;
  return probability >= 0.45 ? style.fair : style.bad;
}

function heading(feedback: Feedback, movie: Movie, source: string, columns: number, style: Style): string[] {
  const title = printable(feedback.title ?? feedback.id ?? source);
  const facts = [
    movie.releaseDate,
    movie.genres?.join(', '),
    movie.runtime ? `${movie.runtime} min` : undefined,
    movie.budget ? `budget ${dollars(movie.budget)}` : undefined,
  ].filter((fact): fact is string => Boolean(fact));
  const lines = [style.bold(truncate(title, columns))];
  if (facts.length > 0) lines.push(style.dim(truncate(facts.map(printable).join(' · '), columns)));
  return [...lines, style.dim('─'.repeat(columns))];
}

const row = (label: string, value: string) => `  ${padEnd(label, LABEL)}${value}`;

function ratingRows(rating: RegressionFeedback, width: number, style: Style): string[] {
  const [low, high] = rating.interval;
  const scale = intervalBar(low / 10, rating.value / 10, high / 10, width);
  return [
    row('Audience rating', `${style.bold(rating.value.toFixed(1))} of 10`),
    row('', `${style.accent(scale)}`),
    row('', style.dim(`0${padStart('10', width - 1)}`)),
    row('', `between ${low.toFixed(1)} and ${high.toFixed(1)} for ${odds(rating.level)} such films`),
  ];
}

function receptionRows(
  reception: BinaryFeedback,
  width: number,
  { columns, style }: ReportOptions,
): string[] {
  const share = Math.round(reception.probability * 100);
  const filled = bar(reception.probability, width);
  const tone = toned(style, reception.probability);
  return [
    row('Well received', `${style.bold(`${share} %`)} probable`),
    row('', tone(filled) + style.dim('░'.repeat(Math.max(0, width - filled.length)))),
    ...wrap(`that is, ${printable(reception.positive)}`, columns - LABEL - 2).map((line) =>
      row('', style.dim(line)),
    ),
  ];
}

/** The scale of money is logarithmic, from $10,000 to $10 billion. */
const MONEY = { low: 4, high: 10 };

function boxOfficeRows(boxOffice: RegressionFeedback, width: number, style: Style): string[] {
  const [low, high] = boxOffice.interval;
  const at = (value: number) => (Math.log10(Math.max(1, value)) - MONEY.low) / (MONEY.high - MONEY.low);
  const scale = intervalBar(at(low), at(boxOffice.value), at(high), width);
  return [
    row('Box office', `${style.bold(dollars(boxOffice.value))} worldwide`),
    row('', style.accent(scale)),
    row('', style.dim(`${padEnd('$10,000', width - 11)}$10 billion`)),
    row('', `between ${dollars(low)} and ${dollars(high)} for ${odds(boxOffice.level)} such films`),
  ];
}

function otherRows(other: Feedback['other'], style: Style): string[] {
  return Object.entries(other ?? {}).map(([name, value]) => {
    if ('probabilities' in value) {
      const likeliest = Object.entries(value.probabilities).sort(([, a], [, b]) => b - a);
      const [first, ...rest] = likeliest
        .slice(0, 3)
        .map(([label, share]) => `${printable(label)} ${Math.round(share * 100)} %`);
      return row(name, [style.bold(first!), ...rest].join(', '));
    }
    return 'probability' in value
      ? row(name, `${style.bold(`${Math.round(value.probability * 100)} %`)} ${printable(value.positive)}`)
      : row(
          name,
          `${style.bold(String(Number(value.value.toPrecision(4))))} ${printable(value.unit)}, ${odds(value.level)}: ` +
            value.interval.map((bound) => Number(bound.toPrecision(4))).join(' to '),
        );
  });
}

function sentimentRows({ sentiment }: Feedback): string[] {
  if (!sentiment || sentiment.positiveShare === null) return [];
  const share = Math.round(sentiment.positiveShare * 100);
  return [
    '',
    row('Reviews given', `${share} % of ${sentiment.reviews} positive in tone (no part of the forecast)`),
  ];
}

function basisRows(feedback: Feedback, width: number, style: Style): string[] {
  const shares = Object.entries(feedback.modalities).sort(([, a], [, b]) => b - a);
  const most = Math.max(...shares.map(([, share]) => share), 1e-9);
  return [
    '',
    '  What it rests on',
    ...shares.map(([input, share]) => {
      const percent = share > 0 && share < 0.01 ? '<1 %' : `${Math.round(share * 100)} %`;
      return `    ${padEnd(wordFor(input), 18)}${padStart(percent, 5)}  ${style.accent(bar((share / most) * 0.98, width - 12))}`;
    }),
  ];
}

function leftOutRows(feedback: Feedback, columns: number, style: Style): string[] {
  const lines: string[] = [];
  if (feedback.notUsed.length > 0) {
    lines.push('', '  Given, but not used');
    for (const { input, reason } of feedback.notUsed) {
      const [first = '', ...rest] = wrap(printable(reason), columns - 24);
      lines.push(`    ${padEnd(wordFor(input), 18)}  ${style.dim(first)}`);
      lines.push(...rest.map((line) => `${' '.repeat(24)}${style.dim(line)}`));
    }
  }
  if (feedback.missing.length > 0) {
    const [first = '', ...rest] = wrap(feedback.missing.map(wordFor).join(', '), columns - 20);
    lines.push('', `  Not given${' '.repeat(9)}${style.dim(first)}`);
    lines.push(...rest.map((line) => `${' '.repeat(20)}${style.dim(line)}`));
  }
  return lines;
}

function momentRows({ moments }: Feedback, style: Style): string[] {
  const strongest = [...moments].sort((a, b) => b.weight - a.weight).slice(0, 3);
  if (strongest.length < 2) return [];
  return [
    '',
    '  Moments that weighed most',
    ...strongest.map(
      ({ input, startMs, endMs, weight }) =>
        `    ${padEnd(`${clock(startMs)}–${clock(endMs)}`, 18)}${padStart(`${Math.round(weight * 100)} %`, 5)}  ${style.dim(wordFor(input))}`,
    ),
  ];
}

function footer(feedback: Feedback, columns: number, style: Style): string[] {
  const { timings, model } = feedback;
  const lines: string[] = [];
  const caveat = model.beforeRelease
    ? 'A forecast from what is known before release. Films differ more than any model can see: read the ranges, not the points.'
    : 'This model also uses what is known only after release: it describes a reception, it does not forecast one.';
  for (const line of wrap(caveat, columns - 2)) lines.push(`  ${style.dim(line)}`);
  const stages = [
    ['reading', timings.readMs],
    ['decoding', timings.decodeMs],
    ['encoding', timings.encodeMs],
    ['fusing', timings.fuseMs],
  ] as const;
  const took = `${milliseconds(timings.totalMs)} (${stages.map(([name, ms]) => `${name} ${milliseconds(ms)}`).join(', ')})`;
  for (const line of wrap(`${printable(model.name)} ${printable(model.version)} · ${took}`, columns - 2))
    lines.push(`  ${style.dim(line)}`);
  return lines;
}

/** The whole report on one film, ending in a line break. */
export function report(feedback: Feedback, movie: Movie, source: string, options: ReportOptions): string {
  const { style, columns } = options;
  const width = Math.min(48, columns - LABEL - 16);
  const lines = heading(feedback, movie, source, columns, style);
  if (feedback.wellReceived) {
    const { probability } = feedback.wellReceived;
    lines.push('', `  ${style.bold(toned(style, probability)(verdict(feedback.wellReceived)))}`);
  }
  const blocks = [
    feedback.rating && ratingRows(feedback.rating, width, style),
    feedback.wellReceived && receptionRows(feedback.wellReceived, width, options),
    feedback.boxOffice && boxOfficeRows(feedback.boxOffice, width, style),
    feedback.other && otherRows(feedback.other, style),
  ];
  for (const block of blocks) if (block) lines.push('', ...block);
  lines.push(
    ...sentimentRows(feedback),
    ...basisRows(feedback, width, style),
    ...momentRows(feedback, style),
    ...leftOutRows(feedback, columns, style),
    '',
    ...footer(feedback, columns, style),
  );
  return `${lines.map((line) => line.trimEnd()).join('\n')}\n`;
}

const TABLE = { rating: 20, reception: 9, boxOffice: 30 };

/** The line above `summary` lines. */
export function summaryHeading({ style, columns }: ReportOptions): string {
  const title = columns - TABLE.rating - TABLE.reception - TABLE.boxOffice;
  return `${style.bold(
    padEnd('film', title) +
      padEnd('rating (range)', TABLE.rating) +
      padEnd('liked', TABLE.reception) +
      'box office (range)',
  )}\n`;
}

/** One film in one line, for lists. */
export function summary(feedback: Feedback, source: string, { style, columns }: ReportOptions): string {
  const title = columns - TABLE.rating - TABLE.reception - TABLE.boxOffice;
  const short = (value: number) =>
    dollars(value).replace(' million', 'M').replace(' billion', 'B').replace(',000', 'k');
  const range = (of: RegressionFeedback, show: (value: number) => string) =>
    `${show(of.value)} (${of.interval.map(show).join('–')})`;
  const { rating, wellReceived, boxOffice } = feedback;
  const cells = [
    padEnd(truncate(printable(feedback.title ?? feedback.id ?? source), title - 2), title),
    padEnd(rating ? range(rating, (value) => value.toFixed(1)) : '', TABLE.rating),
    wellReceived
      ? toned(
          style,
          wellReceived.probability,
        )(padEnd(`${Math.round(wellReceived.probability * 100)} %`, TABLE.reception))
      : ' '.repeat(TABLE.reception),
    boxOffice ? range(boxOffice, short) : '',
  ];
  return `${cells.join('').trimEnd()}\n`;
}
