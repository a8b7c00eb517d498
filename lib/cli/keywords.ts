/** `cinefuse keywords`: what texts are about. */
import type { Keyword } from '../text/keywords/extract.js';
import type { KeywordMethod } from '../text/keywords/rank.js';
import type { Context, PredictorFlags } from './context.js';
import { EXIT, UsageError } from './exit.js';
import { openOutput } from './output.js';
import { bar, columnsOf, padEnd, padStart, printable, type Style, styleFor, truncate } from './terminal.js';
import { loadTextModels, wordsOfFile } from './text-input.js';

export interface KeywordsFlags extends PredictorFlags {
  method: KeywordMethod;
  count: string;
  maxWords: string;
  diversity: string;
  language?: string;
  each?: boolean;
  lines?: boolean;
  json?: boolean;
  output?: string;
}

function number(flag: string, text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value)) {
    throw new UsageError(`${flag} wants a number, not "${text}"`);
  }
  return value;
}

const WIDTH = { score: 7, count: 7, bar: 20 };

function table(keywords: readonly Keyword[], style: Style, columns: number): string {
  const term = columns - WIDTH.score - WIDTH.count - WIDTH.bar - 2;
  const rows = keywords.map(({ term: word, score, count }) => {
    const label = padEnd(truncate(printable(word), term - 2), term);
    const times = padStart(`${count} ×`, WIDTH.count);
    return `  ${label}${times}${padStart(score.toFixed(2), WIDTH.score)}  ${style.accent(bar(score, WIDTH.bar - 2))}`;
  });
  return rows.length > 0 ? `${rows.join('\n')}\n` : `  ${style.dim('no words of weight')}\n`;
}

/** Key words of the files together, or with `--each` of every file for itself. */
export async function keywordsCommand(
  files: string[],
  flags: KeywordsFlags,
  context: Context,
): Promise<number> {
  const { signal } = context;
  const options = {
    method: flags.method,
    count: number('--count', flags.count),
    maxWords: number('--max-words', flags.maxWords),
    diversity: number('--diversity', flags.diversity),
    language: flags.language,
    signal,
  };
  const { extractKeywords } = await import('../text/keywords/extract.js');
  const texts = await Promise.all(
    files.map(async (file) => {
      const text = await wordsOfFile(file);
      return { file, texts: flags.lines ? text.split('\n').filter((line) => line.trim() !== '') : [text] };
    }),
  );
  const groups = flags.each ? texts : [{ file: undefined, texts: texts.flatMap((one) => one.texts) }];
  const output = await openOutput(flags.output);
  try {
    await using models = await loadTextModels(flags, context);
    const style = styleFor(output.stream);
    const results: { file?: string; keywords: Keyword[] }[] = [];
    for (const { file, texts } of groups) {
      const keywords = await extractKeywords(texts, { ...options, models });
      results.push({ ...(file !== undefined && { file }), keywords });
      if (flags.json) continue;
      if (file !== undefined) await output.write(`${style.bold(printable(file))}\n`);
      await output.write(table(keywords, style, columnsOf(output.stream)));
    }
    if (flags.json) {
      await output.write(`${JSON.stringify(flags.each ? results : results[0], null, 2)}\n`);
    }
    await output.finish();
  } catch (error) {
    await output.abandon();
    throw error;
  }
  return EXIT.ok;
}
