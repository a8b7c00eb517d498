import { allOrThrow, isOfTheSamples, type Unit } from '../encoders/batches.js';
import {
  type Embedding,
  type EncodeOptions,
  type ModalityEncoder,
  poolOutput,
} from '../encoders/embedding.js';
import { resolveInside } from '../encoders/files.js';
import type { EncoderPool } from '../encoders/pool.js';
import type { TextEncoderSpec } from '../encoders/spec.js';
import type { Tensor } from '../encoders/tensor.js';
import { UnitQueue } from '../encoders/unit-queue.js';
import { CinefuseError, describeValue, InputError, throwIfCancelled } from '../errors.js';
import type { TextSpan } from './chunks.js';
import { coversLanguage, type LanguageGuess } from './language.js';
import { MAX_TEXT_CHARACTERS } from './read-text.js';
import { type PreparedText, TextThread, type TokenizerFiles } from './text-thread.js';

/** The embedding of a text: one vector a chunk of whole sentences. */
export interface TextEmbedding extends Embedding {
  language: LanguageGuess;
  /** Share of the characters that the tokenizer has no id for. */
  unknownShare: number;
  /** Where each chunk stands in the text, in UTF-16 units. */
  spans: TextSpan[];
}

export interface TextEncoderParts {
  spec: TextEncoderSpec;
  /** The directory in which the spec's paths are. */
  directory: string;
  /** Holds the encoder under the spec's name. Stays the caller's. */
  pool: EncoderPool;
  /** Shared between text encoders; without one the encoder has its own and disposes it. */
  thread?: TextThread | undefined;
}

interface Chunk extends Unit {
  ids: Int32Array;
}

/**
 * Texts of any length -> sequences of chunk embeddings. Tokenizes on a thread of its own, runs batches across texts.
 */
export class TextSequenceEncoder implements ModalityEncoder<string, TextEmbedding> {
  readonly spec: TextEncoderSpec;
  readonly #pool: EncoderPool;
  readonly #thread: TextThread;
  readonly #ownsThread: boolean;
  readonly #files: TokenizerFiles;
  readonly #idType: 'int64' | 'int32';
  readonly #queue: UnitQueue<Chunk>;

  private constructor({ spec, pool, thread }: TextEncoderParts, files: TokenizerFiles) {
    this.spec = spec;
    this.#pool = pool;
    this.#thread = thread ?? new TextThread();
    this.#ownsThread = thread === undefined;
    this.#files = files;
    const input = pool.graph(spec.name).inputs.find(({ name }) => name === spec.inputs.inputIds);
    this.#idType = input?.type === 'int32' ? 'int32' : 'int64';
    this.#queue = new UnitQueue({
      maxBatch: spec.maxBatch,
      dim: spec.dim,
      width: () => pool.runsAhead,
      mixCalls: pool.mixCalls,
      run: (batch, signal) => this.#run(batch, signal),
    });
  }

  /**
   * @throws ModelError ERR_MODEL_NOT_FOUND, ERR_MODEL_SPEC   the tokenizer's file is missing or outside the directory,
   *   or the pool does not hold the encoder
   */
  static async create(parts: TextEncoderParts): Promise<TextSequenceEncoder> {
    return new TextSequenceEncoder(parts, await tokenizerFiles(parts));
  }

  /**
   * @returns per text a (chunks, dim) sequence
   * @throws InputError ERR_INPUT_TYPE, ERR_INPUT_EMPTY, ERR_INPUT_VALUE  not a text, a blank one, one over 4,000,000 characters
   * @throws InputError ERR_INPUT_LANGUAGE  a language that the encoder does not cover, or too much of it unknown
   * @throws ModelError ERR_MODEL_*         the tokenizer's files, the run
   * @throws CancelledError ERR_CANCELLED
   * @throws DisposedError  ERR_DISPOSED
   */
  async encode(texts: readonly string[], options: EncodeOptions = {}): Promise<TextEmbedding[]> {
    return allOrThrow(await this.encodeEach(texts, options));
  }

  async encodeEach(
    texts: readonly string[],
    options: EncodeOptions = {},
  ): Promise<(TextEmbedding | CinefuseError)[]> {
    throwIfCancelled(options.signal);
    const field = (i: number) => options.fields?.[i] ?? `texts[${i}]`;
    const prepared = await Promise.all(texts.map((text, i) => this.#prepare(text, field(i), options.signal)));
    const units = prepared.flatMap((text, sample) =>
      text instanceof CinefuseError ? [] : chunksOf(text, sample),
    );
    const lengths = prepared.map((text) => (text instanceof CinefuseError ? 0 : text.spans.length));
    const data = await this.#queue.run(units, lengths, options);
    return prepared.map((text, i) => {
      const vectors = data[i]!;
      if (text instanceof CinefuseError) return text;
      if (vectors instanceof CinefuseError) return vectors;
      const { language, unknownShare, spans } = text;
      return { data: vectors, length: spans.length, dim: this.spec.dim, language, unknownShare, spans };
    });
  }

  async #prepare(
    text: string,
    field: string,
    signal: AbortSignal | undefined,
  ): Promise<PreparedText | CinefuseError> {
    try {
      checkText(text, field);
      const prepared = await this.#thread.prepare(text, this.#files, { signal });
      checkCoverage(this.spec, prepared, field);
      return prepared;
    } catch (error) {
      if (isOfTheSamples(error)) return error;
      throw error;
    }
  }

  async #run(batch: Chunk[], signal: AbortSignal): Promise<Float32Array> {
    const { inputs, output, tokenizer, name } = this.spec;
    const width = Math.max(...batch.map(({ ids }) => ids.length));
    const dims = [batch.length, width];
    const ids = new Int32Array(batch.length * width).fill(tokenizer.padId);
    const mask = new Int32Array(batch.length * width);
    batch.forEach((chunk, row) => {
      ids.set(chunk.ids, row * width);
      mask.fill(1, row * width, row * width + chunk.ids.length);
    });
    const feeds: Record<string, Tensor> = { [inputs.inputIds]: this.#idTensor(ids, dims) };
    if (inputs.attentionMask !== undefined) feeds[inputs.attentionMask] = this.#idTensor(mask, dims);
    if (inputs.tokenTypeIds !== undefined) {
      feeds[inputs.tokenTypeIds] = this.#idTensor(new Int32Array(ids.length), dims);
    }
    const results = await this.#pool.run(name, feeds, { signal });
    return poolOutput(
      results[output]!,
      batch.length,
      this.spec,
      batch.map((chunk) => chunk.ids.length),
    );
  }

  #idTensor(ids: Int32Array, dims: number[]): Tensor {
    return this.#idType === 'int32'
      ? { type: 'int32', dims, data: ids }
      : { type: 'int64', dims, data: BigInt64Array.from(ids, BigInt) };
  }

  /** Ends the encoder's own text thread; pool and shared thread stay the caller's. */
  async dispose(): Promise<void> {
    if (this.#ownsThread) await this.#thread.dispose();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose();
  }
}

/** Where a spec's tokenizer is. @throws ModelError ERR_MODEL_NOT_FOUND, ERR_MODEL_SPEC */
export async function tokenizerFiles({
  spec,
  directory,
}: Pick<TextEncoderParts, 'spec' | 'directory'>): Promise<TokenizerFiles> {
  const { tokenizer } = spec;
  const locate = async ({ file, sha256, bytes }: { file: string; sha256: string; bytes: number }) => {
    const field = `${spec.name} tokenizer`;
    return { path: await resolveInside(directory, file, field), sha256, bytes, field };
  };
  return {
    key: `${spec.name} ${spec.version} ${tokenizer.sha256}`,
    tokenizer: await locate(tokenizer),
    config: tokenizer.config && (await locate(tokenizer.config)),
    settings: tokenizer,
  };
}

function chunksOf({ ids, offsets, spans }: PreparedText, sample: number): Chunk[] {
  return spans.map((_, position) => {
    const chunk = ids.subarray(offsets[position]!, offsets[position + 1]!);
    return { sample, position, length: chunk.length, ids: chunk };
  });
}

function checkText(text: unknown, field: string): void {
  if (typeof text !== 'string') {
    throw new InputError('ERR_INPUT_TYPE', { field, expected: 'a text', got: describeValue(text) });
  }
  if (text.trim() === '') {
    const got = text === '' ? 'an empty string' : 'blanks only';
    throw new InputError('ERR_INPUT_EMPTY', { field, expected: 'a text with words in it', got });
  }
  if (text.length > MAX_TEXT_CHARACTERS) {
    throw new InputError('ERR_INPUT_VALUE', {
      field,
      expected: `at most ${MAX_TEXT_CHARACTERS} characters`,
      got: `${text.length}`,
    });
  }
}

function checkCoverage(
  { name, languages, maxUnknownShare }: TextEncoderSpec,
  { language, unknownShare, spans }: PreparedText,
  field: string,
): void {
  if (!coversLanguage(languages, language, true)) {
    throw new InputError('ERR_INPUT_LANGUAGE', {
      field,
      expected: `text in ${(languages as string[]).join(', ')}, which is what encoder ${name} reads,`,
      got: `${language.script} script, language ${language.language} (confidence ${language.confidence.toFixed(2)})`,
    });
  }
  if (unknownShare > maxUnknownShare || spans.length === 0) {
    throw new InputError('ERR_INPUT_LANGUAGE', {
      field,
      expected: `text of which encoder ${name} knows at least ${Math.round(100 * (1 - maxUnknownShare))} %`,
      got: `one of which it does not know ${Math.round(100 * (spans.length === 0 ? 1 : unknownShare))} %`,
    });
  }
}
