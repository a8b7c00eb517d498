/** `cinefuse vectors`: word vectors of a corpus of one's own, and what is near in them. */
import type { VectorFormat } from '../text/vectors/files.js';
import type { SimilarWord, WordVectors } from '../text/vectors/word-vectors.js';
import type { Context } from './context.js';
import { EXIT, UsageError } from './exit.js';
import { openOutput } from './output.js';
import { Progress } from './progress.js';
import { padEnd, printable } from './terminal.js';

function number(flag: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value))
    throw new UsageError(`${flag} wants a number, not "${text}"`);
  return value;
}

export interface TrainVectorsFlags {
  output: string;
  format?: VectorFormat;
  counts?: string;
  column?: string;
  algorithm?: 'cbow' | 'skip-gram';
  dim?: string;
  window?: string;
  negative?: string;
  minCount?: string;
  epochs?: string;
  learningRate?: string;
  subsample?: string;
  seed?: string;
  threads?: string;
  language?: string;
  json?: boolean;
}

export async function trainVectorsCommand(
  files: string[],
  flags: TrainVectorsFlags,
  { signal }: Context,
): Promise<number> {
  const [{ WordVectors }, { corpusLines }] = await Promise.all([
    import('../text/vectors/word-vectors.js'),
    import('../text/vectors/corpus.js'),
  ]);
  let bar: Progress | undefined;
  let shown = 0;
  const started = performance.now();
  const vectors = await WordVectors.train(corpusLines(files, { column: flags.column, signal }), {
    algorithm: flags.algorithm,
    dim: number('--dim', flags.dim),
    window: number('--window', flags.window),
    negative: number('--negative', flags.negative),
    minCount: number('--min-count', flags.minCount),
    epochs: number('--epochs', flags.epochs),
    learningRate: number('--learning-rate', flags.learningRate),
    subsample: number('--subsample', flags.subsample),
    seed: number('--seed', flags.seed),
    threads: number('--threads', flags.threads),
    language: flags.language,
    signal,
    onProgress: ({ stage, done, total }) => {
      if (stage !== 'training') return;
      bar ??= new Progress(
        total!,
        process.stderr,
        '{bar} {percentage} %  {duration_formatted}, {eta_formatted} to go',
      );
      bar.advance(done - shown);
      shown = done;
    },
  }).finally(() => bar?.stop());
  await vectors.save(flags.output, { format: flags.format, counts: flags.counts, signal });
  const result = {
    file: flags.output,
    words: vectors.words.length,
    dim: vectors.dim,
    seconds: Math.round((performance.now() - started) / 100) / 10,
  };
  process.stdout.write(
    flags.json
      ? `${JSON.stringify(result)}\n`
      : `${result.words} words of ${result.dim} numbers in ${printable(flags.output)} (${result.seconds} s)\n`,
  );
  return EXIT.ok;
}

export interface SimilarFlags {
  count: string;
  analogy?: boolean;
  text?: boolean;
  among?: string;
  language?: string;
  json?: boolean;
  output?: string;
}

async function nearest(vectors: WordVectors, words: string[], flags: SimilarFlags, signal: AbortSignal) {
  const options = { count: number('--count', flags.count), among: number('--among', flags.among), signal };
  if (flags.analogy) {
    if (words.length !== 3) throw new UsageError('--analogy wants three words: man king woman');
    return vectors.analogy(...(words as [string, string, string]), options);
  }
  if (!flags.text) return vectors.mostSimilar(words, options);
  const [{ readTextFile }, { words: wordsOf }] = await Promise.all([
    import('./text-input.js'),
    import('../text/words/tokens.js'),
  ]);
  if (words.length !== 1) throw new UsageError('--text wants one file');
  const text = await readTextFile(words[0]!);
  const { language } = flags;
  return vectors.mostSimilar(await vectors.encode([text], { language, signal }), {
    ...options,
    exclude: wordsOf(text, { language }).map((word) => word.text),
  });
}

export async function similarCommand(
  file: string,
  words: string[],
  flags: SimilarFlags,
  { signal }: Context,
): Promise<number> {
  const { WordVectors } = await import('../text/vectors/word-vectors.js');
  const vectors = await WordVectors.load(file, { signal });
  const found: SimilarWord[] = await nearest(vectors, words, flags, signal);
  const output = await openOutput(flags.output);
  try {
    if (flags.json) await output.write(`${JSON.stringify(found)}\n`);
    else {
      for (const { word, similarity } of found) {
        await output.write(`  ${padEnd(printable(word), 24)}${similarity.toFixed(3)}\n`);
      }
    }
    await output.finish();
  } catch (error) {
    await output.abandon();
    throw error;
  }
  return EXIT.ok;
}
