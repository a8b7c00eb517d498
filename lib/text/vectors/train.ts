/** Training word vectors on a corpus: the plan of the passes; their arithmetic is native (native/ops/word_vectors). */
import { describeValue, InputError, throwIfCancelled, TrainError } from '../../errors.js';
import { checkThreads, execute, type Isa } from '../../ops/exec.js';
import { Pace } from '../../pace.js';
import { randomOf, seedOf } from '../../train/random.js';
import { readCorpus, type VectorCorpus } from './vocabulary.js';

export interface TrainVectorsProgress {
  stage: 'reading' | 'training';
  /** Texts read; or words passed, of `total`. */
  done: number;
  total?: number;
}

export interface TrainVectorsOptions {
  /** 'cbow' tells a word from the mean of those around, 'skip-gram' from each of them. Default 'cbow'. */
  algorithm?: 'cbow' | 'skip-gram' | undefined;
  /** Length of a vector, 1..4096. Default 100. */
  dim?: number | undefined;
  /** How far around a word is looked at most, 1..255: each time a number from 1 to it is drawn. Default 5. */
  window?: number | undefined;
  /** Words drawn against each true one, 1..63, in proportion to count^0.75. Default 5. */
  negative?: number | undefined;
  /** Rarer words are left out of the texts. Default 5. */
  minCount?: number | undefined;
  /** Only so many of the most frequent words. Default 1,000,000. */
  maxWords?: number | undefined;
  /** Passes over the corpus, 1..1000. Default 5. */
  epochs?: number | undefined;
  /** At the start; it falls in a straight line to a ten-thousandth of that. Default 0.05, of skip-gram 0.025. */
  learningRate?: number | undefined;
  /** Share of all words above which a word is thinned out: it stays with chance √(t/f) + t/f. 0: never. Default 1e-3. */
  subsample?: number | undefined;
  /** An integer of 0 or more. Default 1. */
  seed?: number | undefined;
  /**
   * Default 1: the same vectors, bit for bit, each time (on one instruction set). With more the threads write the same
   * vectors without locks, which is as good and on natural text somewhat faster, but no two runs give the same numbers.
   */
  threads?: number | undefined;
  isa?: Isa | undefined;
  /** Of the texts (ISO 639-1). Words are found in any. Default 'en'. */
  language?: string | undefined;
  signal?: AbortSignal | undefined;
  onProgress?: ((progress: TrainVectorsProgress) => void) | undefined;
}

/** Words of one native call, a few tenths of a second. */
const CHUNK = 100_000;
/** As native/ops/word_vectors/word_vectors.h has it. */
const STRIDE = 16;
const MAX_NUMBERS = 2 ** 30;

function integer(value: number, field: string, least: number, most: number): number {
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw new InputError('ERR_INPUT_VALUE', {
    field,
    expected: `an integer from ${least} to ${most}`,
    got: describeValue(value),
  });
}

function share(value: number, field: string, most: number): number {
  if (value >= 0 && value <= most) return value;
  throw new InputError('ERR_INPUT_VALUE', {
    field,
    expected: `a number from 0 to ${most}`,
    got: describeValue(value),
  });
}

/** Draws in proportion to weights, by one number each (Walker 1977; Vose 1991). */
function aliasTable(weights: Float64Array): { cut: Float32Array; other: Int32Array } {
  const n = weights.length;
  const mean = weights.reduce((a, b) => a + b, 0) / n;
  const left = weights.map((weight) => weight / mean);
  const cut = new Float32Array(n).fill(1);
  const other = Int32Array.from({ length: n }, (_, i) => i);
  const small: number[] = [];
  const large: number[] = [];
  for (let i = 0; i < n; i++) (left[i]! < 1 ? small : large).push(i);
  while (small.length > 0 && large.length > 0) {
    const [i, j] = [small.pop()!, large.at(-1)!];
    cut[i] = left[i]!;
    other[i] = j;
    left[j] = left[j]! + left[i]! - 1;
    if (left[j]! < 1) small.push(large.pop()!);
  }
  return { cut, other };
}

/** Chance that a place of each word stays, by its share of all words. */
function keepChances(counts: Float64Array, threshold: number): Float32Array {
  const total = counts.reduce((a, b) => a + b, 0);
  return Float32Array.from(counts, (count) => {
    const ratio = (threshold * total) / count;
    return threshold === 0 ? 1 : Math.min(1, Math.sqrt(ratio) + ratio);
  });
}

/** Where the stretches of about CHUNK tokens end that one call each takes: at ends of texts. */
function chunkEnds(tokens: Int32Array): number[] {
  const ends: number[] = [];
  for (let from = 0; from < tokens.length; ) {
    const end = tokens.indexOf(-1, Math.min(tokens.length - 1, from + CHUNK)) + 1;
    from = end === 0 ? tokens.length : end;
    ends.push(from);
  }
  return ends;
}

export interface TrainedVectors {
  words: string[];
  counts: Float64Array;
  dim: number;
  /** (words, dim) */
  vectors: Float32Array;
}

export async function trainVectors(
  corpus: VectorCorpus,
  options: TrainVectorsOptions,
): Promise<TrainedVectors> {
  const { algorithm = 'cbow', signal, onProgress } = options;
  if (algorithm !== 'cbow' && algorithm !== 'skip-gram') {
    throw new InputError('ERR_INPUT_VALUE', {
      field: 'algorithm',
      expected: "'cbow' or 'skip-gram'",
      got: describeValue(algorithm),
    });
  }
  const dim = integer(options.dim ?? 100, 'dim', 1, 4096);
  const window = integer(options.window ?? 5, 'window', 1, 255);
  const negative = integer(options.negative ?? 5, 'negative', 1, 63);
  const epochs = integer(options.epochs ?? 5, 'epochs', 1, 1000);
  const seed = integer(options.seed ?? 1, 'seed', 0, Number.MAX_SAFE_INTEGER);
  const minCount = integer(options.minCount ?? 5, 'minCount', 1, 2 ** 31);
  const maxWords = integer(options.maxWords ?? 1_000_000, 'maxWords', 1, 2 ** 24);
  const subsample = share(options.subsample ?? 1e-3, 'subsample', 1);
  const rate = share(options.learningRate ?? (algorithm === 'cbow' ? 0.05 : 0.025), 'learningRate', 10);
  const { isa } = options;
  const exec = { threads: checkThreads(options.threads ?? 1), ...(isa && { isa }), signal };

  const { words, counts, tokens } = await readCorpus(corpus, {
    ...{ minCount, maxWords, signal, language: options.language ?? 'en' },
    onTexts: (done) => onProgress?.({ stage: 'reading', done }),
  });
  const rows = words.length;
  const stride = Math.ceil(dim / STRIDE) * STRIDE;
  if (rows * stride > MAX_NUMBERS) {
    throw new InputError('ERR_INPUT_VALUE', {
      field: 'maxWords',
      expected: `at most ${MAX_NUMBERS} numbers in all`,
      got: `${rows} words of ${dim}`,
    });
  }
  const inside = new Float32Array(rows * stride);
  const outside = new Float32Array(rows * stride);
  const random = randomOf(seedOf(seed, 'word vectors'));
  const pace = new Pace();
  for (let row = 0; row < rows; row++) {
    for (let i = 0; i < dim; i++) inside[row * stride + i] = (random.next() - 0.5) / dim;
    if (row % 256 === 0 && pace.due) await pace.rest();
  }
  const keep = keepChances(counts, subsample);
  const { cut, other } = aliasTable(counts.map((count) => count ** 0.75));
  const ends = chunkEnds(tokens);
  const total = epochs * tokens.length;
  const rateAt = (done: number) => rate + (rate / 1e4 - rate) * (done / total);
  let done = 0;
  let stream = 0;
  for (let epoch = 0; epoch < epochs; epoch++) {
    let from = 0;
    for (const end of ends) {
      throwIfCancelled(signal);
      const part = tokens.subarray(from, end);
      await execute(exec, (addon, native, cancel) =>
        addon.wordVectors(
          ...([native, cancel, part, rows, stride, inside, outside, keep, cut, other] as const),
          ...([window, negative, algorithm === 'skip-gram'] as const),
          ...([rateAt(done), rateAt(done + part.length), seed, stream++] as const),
        ),
      );
      done += part.length;
      from = end;
      onProgress?.({ stage: 'training', done, total });
    }
    if (!inside.subarray(0, stride).every(Number.isFinite)) {
      throw new TrainError('ERR_TRAIN_DIVERGED', {
        message: `The word vectors are no numbers any more after epoch ${epoch + 1}: take a lower learningRate than ${rate}`,
      });
    }
  }
  const vectors = new Float32Array(rows * dim);
  for (let row = 0; row < rows; row++) {
    vectors.set(inside.subarray(row * stride, row * stride + dim), row * dim);
    if (row % 1024 === 0 && pace.due) await pace.rest();
  }
  return { words, counts, dim, vectors };
}
