/** `cinefuse reviews`: what the reviews of films say together. */
import { extname } from 'node:path';
import { stat } from 'node:fs/promises';
import { InputError } from '../errors.js';
import type { ReviewClassifier } from '../text/sentiment/classifier.js';
import type { AspectSummary, ReviewPassage, ReviewSummary, Tone } from '../text/sentiment/summary.js';
import type { Context, PredictorFlags } from './context.js';
import { EXIT, UsageError } from './exit.js';
import { describeError, Failures } from './failures.js';
import { openOutput } from './output.js';
import { Progress } from './progress.js';
import {
  columnsOf,
  intervalBar,
  padEnd,
  padStart,
  printable,
  type Style,
  styleFor,
  truncate,
  wrap,
} from './terminal.js';
import { loadTextModels, readTextFile } from './text-input.js';

export interface ReviewsFlags extends PredictorFlags {
  classifier: string[];
  telling: string;
  json?: boolean;
  output?: string;
}

interface Source {
  source: string;
  title?: string | undefined;
  reviews: readonly string[];
}

/** Films with reviews, or texts with one a line. */
async function* sourcesOf(
  paths: readonly string[],
): AsyncGenerator<Source | { source: string; error: unknown }> {
  const { MAX_REVIEWS, readReviews } = await import('../text/reviews.js');
  for (const path of paths) {
    const isFolder =
      path !== '-' &&
      (await stat(path).then(
        (info) => info.isDirectory(),
        () => false,
      ));
    if (!isFolder && !['.json', '.csv'].includes(extname(path).toLowerCase())) {
      try {
        if (path !== '-') yield { source: path, reviews: await readReviews({ path }) };
        else {
          const lines = (await readTextFile(path)).split('\n').map((line) => line.trim());
          const reviews = lines.filter((line) => line !== '');
          if (reviews.length > MAX_REVIEWS) {
            const expected = `at most ${MAX_REVIEWS} reviews, one a line`;
            throw new InputError('ERR_INPUT_VALUE', { field: 'standard input', expected, got: 'more' });
          }
          yield { source: 'standard input', reviews };
        }
      } catch (error) {
        yield { source: path, error };
      }
      continue;
    }
    yield* filmSources(path);
  }
}

async function* filmSources(path: string): AsyncGenerator<Source | { source: string; error: unknown }> {
  const { readFilms } = await import('./films.js');
  const { readReviews } = await import('../text/reviews.js');
  const report = { onProgress: () => {}, onUnknownColumns: () => {} };
  for await (const entry of readFilms([path], report)) {
    if ('error' in entry) {
      yield entry;
      continue;
    }
    const { source, movie } = entry;
    try {
      const reviews = movie.reviews ? await readReviews(movie.reviews) : [];
      if (reviews.length === 0) {
        throw new InputError('ERR_INPUT_EMPTY', {
          field: 'reviews',
          file: source,
          expected: 'reviews',
          got: 'none',
        });
      }
      yield { source, title: movie.title ?? undefined, reviews };
    } catch (error) {
      yield { source, error };
    }
  }
}

interface Look {
  style: Style;
  columns: number;
}

const percent = (share: number) => `${Math.round(100 * share)} %`;
const range = (interval: readonly [number, number] | null) =>
  interval === null ? '' : `${Math.round(100 * interval[0])}–${Math.round(100 * interval[1])}`;
const SCALE = 32;
const NAME = 14;

function toneLine(
  label: string,
  { mean, interval, positiveShare }: Omit<Tone, 'count' | 'positiveInterval'>,
  count: number,
  { style }: Look,
): string {
  const [low, high] = interval ?? [mean, mean];
  const shade = mean >= 0.6 ? style.good : mean >= 0.4 ? style.fair : style.bad;
  const values = `${padStart(percent(mean), 6)}  ${padEnd(range(interval), 7)}`;
  const positive = padStart(percent(positiveShare), 6);
  const scale = shade(intervalBar(low, mean, high, SCALE));
  return `    ${padEnd(truncate(label, NAME - 2), NAME)}${scale}${values}${positive}${padStart(String(count), 7)}`;
}

function quote({ text, probability, review }: ReviewPassage, { style, columns }: Look): string[] {
  const mark = probability >= 0.5 ? style.good('+') : style.bad('−');
  const label = style.dim(padEnd(`#${review + 1}`, 6));
  return wrap(printable(text.replace(/\s+/g, ' ')), columns - 14).map(
    (line, i) => `    ${i === 0 ? `${mark} ${label}` : ' '.repeat(8)}${line}`,
  );
}

/** One film's summary for people. */
export function summaryText({ source, title }: Source, summary: ReviewSummary, look: Look): string {
  const { style, columns } = look;
  const { count, tone, level, languages, aspects, telling, reviews, histogram } = summary;
  const failed = reviews.filter(({ error }) => error !== undefined).length;
  const facts = [
    `${count} review${count === 1 ? '' : 's'}`,
    languages.map(({ language, count: own }) => `${language} ${own}`).join(', '),
    ...(failed > 0 ? [`${failed} not scored`] : []),
  ];
  const lines = [
    style.bold(printable(title ?? source)),
    style.dim(facts.join(' · ')),
    style.dim('─'.repeat(columns)),
  ];
  if (tone === null) {
    lines.push('  None of the reviews could be scored.');
    return `${lines.join('\n')}\n`;
  }
  const heading = `    ${padEnd('', NAME)}${padEnd('grim', SCALE - 4)}warm${padStart('mean', 6)}  ${padEnd(`${Math.round(100 * level)} %`, 7)}${padStart('> 0.5', 6)}${padStart('n', 7)}`;
  lines.push('', style.dim(heading), toneLine('all reviews', tone, tone.count, look));
  for (const aspect of aspects) lines.push(aspectLine(aspect, look));
  const most = Math.max(...histogram);
  const columnsOfTen = histogram.map((n) => '▁▂▃▄▅▆▇█'[Math.round((7 * n) / Math.max(1, most))]).join('');
  lines.push('', `    ${padEnd('spread', NAME)}${columnsOfTen}  ${style.dim('reviews from grim to warm')}`);
  for (const [name, passages] of [
    ['What speaks for it', telling.positive],
    ['What speaks against it', telling.negative],
  ] as const) {
    if (passages.length === 0) continue;
    lines.push('', `  ${name}`);
    for (const passage of passages) lines.push(...quote(passage, look));
  }
  return `${lines.map((line) => line.trimEnd()).join('\n')}\n`;
}

function aspectLine(aspect: AspectSummary, look: Look): string {
  return toneLine(aspect.aspect, aspect, aspect.passages, look);
}

function wholeNumber(flag: string, text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value <= 1000) return value;
  throw new UsageError(`${flag} wants a whole number up to 1000, not "${text}"`);
}

/** A summary of the reviews of each file or film. */
export async function reviewsCommand(
  paths: string[],
  flags: ReviewsFlags,
  context: Context,
): Promise<number> {
  const telling = wholeNumber('--telling', flags.telling);
  const [{ analyzeReviews }, { loadReviewClassifier }] = await Promise.all([
    import('../analyze-reviews.js'),
    import('../text/sentiment/classifier.js'),
  ]);
  const { signal } = context;
  const output = await openOutput(flags.output);
  const failures = new Failures();
  const classifiers: ReviewClassifier[] = [];
  let [count, done] = [0, 0];
  try {
    for (const directory of flags.classifier) classifiers.push(await loadReviewClassifier(directory));
    await using models = await loadTextModels(flags, context);
    const look = { style: styleFor(output.stream), columns: columnsOf(output.stream) };
    for await (const source of sourcesOf(paths)) {
      count++;
      try {
        if ('error' in source) throw source.error;
        const progress = new Progress(
          2 * source.reviews.length,
          process.stderr,
          '{bar} {percentage} %  {eta_formatted} to go',
        );
        let shown = 0;
        const summary = await analyzeReviews(source.reviews, {
          classifiers,
          models,
          telling,
          signal,
          onProgress: ({ step, done: at, total }) => {
            const whole = source.reviews.length * ((step === 'reviews' ? 0 : 1) + at / Math.max(1, total));
            progress.advance(whole - shown);
            shown = whole;
          },
        }).finally(() => progress.stop());
        const text = flags.json
          ? `${JSON.stringify(jsonOf(source, summary))}\n`
          : summaryText(source, summary, look);
        await output.write(done > 0 && !flags.json ? `\n${text}` : text);
        done++;
      } catch (error) {
        if (signal.aborted) throw error;
        failures.add(source.source, error);
      }
    }
    await output.finish();
  } catch (error) {
    await output.abandon();
    throw error;
  } finally {
    for (const classifier of classifiers) await classifier.dispose();
  }
  if (failures.count > 0) {
    process.stderr.write(failures.text(count, columnsOf(process.stderr), styleFor(process.stderr)));
  }
  return failures.count === 0 ? EXIT.ok : done > 0 ? EXIT.someFailed : EXIT.nothingWorked;
}

function jsonOf({ source, title }: Source, summary: ReviewSummary): object {
  const reviews = summary.reviews.map(({ error, ...review }) => ({
    ...review,
    ...(error && { error: describeError(error) }),
  }));
  return { source, ...(title !== undefined && { title }), ...summary, reviews };
}
