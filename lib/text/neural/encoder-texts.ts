/** Texts through an ONNX encoder, as a sequence of token vectors or as one vector, for a network of our own on top. */
import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { poolOutput } from '../../encoders/embedding.js';
import { readVerified, resolveInside } from '../../encoders/files.js';
import { EncoderPool } from '../../encoders/pool.js';
import { parseEncoderSpec, type TextEncoderSpec } from '../../encoders/spec.js';
import type { Tensor } from '../../encoders/tensor.js';
import { InputError, ModelError, throwIfCancelled } from '../../errors.js';
import { exposeOutput } from '../../formats/onnx-expose.js';
import { tokenizerFiles } from '../text-encoder.js';
import { TextThread, type TokenizerFiles } from '../text-thread.js';

export interface EncoderTextsOptions {
  /**
   * A value within the graph that has one vector a token, (batch, tokens, dim), such as the last hidden state. Then a
   * text is the sequence of its tokens' vectors; without it, it is the one vector that the encoder's spec describes.
   */
  tokens?: { output: string; dim: number } | undefined;
  /** Most tokens of a text whose vectors are kept. Default 128. */
  length?: number | undefined;
  /** Threads of ONNX Runtime. Default: EncoderPool's. */
  threads?: number | undefined;
  /** Vectors kept for texts that come again (in folds), in bytes. Default 0: none. */
  cacheBytes?: number | undefined;
  /** Where they are kept, by text: to be filled before, or looked at after. */
  cache?: Map<string, Float32Array> | undefined;
}

interface Chunk {
  text: number;
  ids: Int32Array;
}

/** Chunks of one run of the graph. */
const RUN = 16;
/** The encoder's files, as they are called beside a classifier. */
export const ENCODER_FILES = {
  spec: 'encoder.json',
  model: 'encoder.onnx',
  tokenizer: 'encoder-tokenizer.json',
};

export class EncoderTexts {
  readonly spec: TextEncoderSpec;
  readonly dim: number;
  readonly options: {
    readonly tokens: EncoderTextsOptions['tokens'];
    readonly length: number;
    readonly cacheBytes: number;
  };
  readonly #directory: string;
  readonly #temporary: string | undefined;
  readonly #pool: EncoderPool;
  readonly #thread: TextThread;
  readonly #files: TokenizerFiles;
  readonly #cache: Map<string, Float32Array>;
  #cached = 0;

  private constructor(
    spec: TextEncoderSpec,
    options: EncoderTextsOptions,
    parts: { directory: string; temporary: string | undefined; pool: EncoderPool; files: TokenizerFiles },
  ) {
    this.spec = spec;
    this.dim = options.tokens?.dim ?? spec.dim;
    this.options = {
      tokens: options.tokens,
      length: options.length ?? 128,
      cacheBytes: options.cacheBytes ?? 0,
    };
    this.#directory = parts.directory;
    this.#temporary = parts.temporary;
    this.#pool = parts.pool;
    this.#files = parts.files;
    this.#cache = options.cache ?? new Map();
    this.#thread = new TextThread();
  }

  /**
   * @param specFile  the encoder's spec, `encoder.json`, with its files beside it: a bundle's text-en for one. The graph
   *   need not give `tokens.output` away: a copy of it that does is made
   * @throws ModelError ERR_MODEL_NOT_FOUND, ERR_MODEL_SPEC, ERR_MODEL_CHECKSUM, ERR_MODEL_LOAD, ERR_MODEL_RUNTIME
   * @throws InputError ERR_INPUT_VALUE  no text encoder
   */
  static async open(specFile: string, options: EncoderTextsOptions = {}): Promise<EncoderTexts> {
    const text = await readFile(specFile, 'utf8').catch((cause: unknown) => {
      throw new ModelError('ERR_MODEL_NOT_FOUND', { file: specFile, expected: 'an encoder spec', cause });
    });
    let json: unknown;
    try {
      json = JSON.parse(text);
    } catch (cause) {
      throw new ModelError('ERR_MODEL_SPEC', {
        file: specFile,
        expected: 'JSON',
        got: 'something else',
        cause,
      });
    }
    const spec = parseEncoderSpec(json, specFile);
    if (spec.modality !== 'text') {
      throw new InputError('ERR_INPUT_VALUE', {
        field: 'encoder',
        file: specFile,
        expected: 'a text encoder',
        got: `one of modality ${spec.modality}`,
      });
    }
    const directory = path.dirname(specFile);
    if (options.tokens === undefined || spec.externalData)
      return EncoderTexts.#load(spec, directory, options);
    const file = { path: await resolveInside(directory, spec.file, spec.name), field: spec.name };
    const model = await readVerified({ ...file, sha256: spec.sha256, bytes: spec.bytes });
    const shown = exposeOutput(model, options.tokens.output, ['batch', 'tokens', options.tokens.dim]);
    if (shown === model) return EncoderTexts.#load(spec, directory, options);
    const temporary = await mkdtemp(path.join(tmpdir(), 'cinefuse-encoder-'));
    try {
      const tokenizer = await resolveInside(directory, spec.tokenizer.file, spec.name);
      await writeFile(path.join(temporary, ENCODER_FILES.model), shown);
      await writeFile(path.join(temporary, ENCODER_FILES.tokenizer), await readFile(tokenizer));
      const { config: _, ...settings } = spec.tokenizer;
      const own: TextEncoderSpec = {
        ...spec,
        file: ENCODER_FILES.model,
        bytes: shown.byteLength,
        sha256: createHash('sha256').update(shown).digest('hex'),
        tokenizer: { ...settings, file: ENCODER_FILES.tokenizer },
      };
      return await EncoderTexts.#load(own, temporary, options, temporary);
    } catch (error) {
      await rm(temporary, { recursive: true, force: true });
      throw error;
    }
  }

  static async #load(
    spec: TextEncoderSpec,
    directory: string,
    options: EncoderTextsOptions,
    temporary?: string,
  ): Promise<EncoderTexts> {
    const files = await tokenizerFiles({ spec, directory });
    const pool = await EncoderPool.create([{ spec, directory }], {
      workers: 1,
      threads: options.threads,
    });
    return new EncoderTexts(spec, options, { directory, temporary, pool, files });
  }

  /** Names and bytes of the files that `open` needs again. */
  async stored(): Promise<Record<string, Uint8Array>> {
    const { spec } = this;
    const read = async (file: string) => readFile(await resolveInside(this.#directory, file, spec.name));
    const { config: _, ...settings } = spec.tokenizer;
    const own = {
      ...spec,
      file: ENCODER_FILES.model,
      tokenizer: { ...settings, file: ENCODER_FILES.tokenizer },
    };
    return {
      [ENCODER_FILES.spec]: Buffer.from(`${JSON.stringify(own, null, 1)}\n`),
      [ENCODER_FILES.model]: await read(spec.file),
      [ENCODER_FILES.tokenizer]: await read(spec.tokenizer.file),
    };
  }

  /**
   * @returns per text (length, dim): its tokens' vectors, or one vector; (0, dim) of a text without tokens
   * @throws ModelError ERR_MODEL_RUN, ERR_MODEL_IO
   * @throws CancelledError ERR_CANCELLED
   * @throws DisposedError ERR_DISPOSED
   */
  async encode(
    texts: readonly string[],
    {
      signal,
      onProgress,
    }: { signal?: AbortSignal | undefined; onProgress?: ((done: number) => void) | undefined } = {},
  ): Promise<Float32Array[]> {
    const results = texts.map((text) => this.#cache.get(text));
    const missing = [...texts.keys()].filter((i) => results[i] === undefined);
    let done = texts.length - missing.length;
    // By length, so that texts of one run are alike.
    missing.sort((a, b) => texts[a]!.length - texts[b]!.length || a - b);
    for (let at = 0; at < missing.length; at += 4 * RUN) {
      throwIfCancelled(signal);
      const part = missing.slice(at, at + 4 * RUN);
      const vectors = await this.#encode(
        part.map((i) => texts[i]!),
        signal,
      );
      part.forEach((i, k) => {
        results[i] = vectors[k]!;
        this.#keep(texts[i]!, vectors[k]!);
      });
      done += part.length;
      onProgress?.(done);
    }
    return results as Float32Array[];
  }

  #keep(text: string, vectors: Float32Array): void {
    if (this.#cached + vectors.byteLength > this.options.cacheBytes || this.#cache.has(text)) return;
    this.#cached += vectors.byteLength;
    this.#cache.set(text, vectors);
  }

  async #encode(texts: readonly string[], signal: AbortSignal | undefined): Promise<Float32Array[]> {
    const { length, tokens } = this.options;
    const chunks: Chunk[] = [];
    const prepared = await Promise.all(
      texts.map((text) =>
        text.trim() === '' ? undefined : this.#thread.prepare(text, this.#files, { signal }),
      ),
    );
    prepared.forEach((one, text) => {
      let left = tokens ? length : Number.POSITIVE_INFINITY;
      for (let i = 0; one !== undefined && i + 1 < one.offsets.length && left > 0; i++) {
        const ids = one.ids.subarray(one.offsets[i]!, one.offsets[i + 1]!);
        chunks.push({ text, ids });
        left -= ids.length;
      }
    });
    const parts = new Map<Chunk, Float32Array>();
    const order = [...chunks].sort((a, b) => a.ids.length - b.ids.length);
    const runs: Chunk[][] = [];
    for (let at = 0; at < order.length; at += RUN) runs.push(order.slice(at, at + RUN));
    await Promise.all(
      runs.map(async (run) => {
        const vectors = await this.#run(run, signal);
        for (const [i, chunk] of run.entries()) parts.set(chunk, vectors[i]!);
      }),
    );
    return texts.map((_, text) => {
      const own = chunks.filter((chunk) => chunk.text === text).map((chunk) => parts.get(chunk)!);
      return tokens ? joined(own, length * this.dim) : mean(own, this.dim);
    });
  }

  async #run(chunks: readonly Chunk[], signal: AbortSignal | undefined): Promise<Float32Array[]> {
    const { inputs, tokenizer, name, output } = this.spec;
    const width = Math.max(...chunks.map(({ ids }) => ids.length));
    const ids = new Int32Array(chunks.length * width).fill(tokenizer.padId);
    const mask = new Int32Array(chunks.length * width);
    chunks.forEach((chunk, row) => {
      ids.set(chunk.ids, row * width);
      mask.fill(1, row * width, row * width + chunk.ids.length);
    });
    const wide =
      this.#pool.graph(name).inputs.find((input) => input.name === inputs.inputIds)?.type !== 'int32';
    const tensor = (data: Int32Array): Tensor => {
      const dims = [chunks.length, width];
      return wide
        ? { type: 'int64', dims, data: BigInt64Array.from(data, BigInt) }
        : { type: 'int32', dims, data };
    };
    const feeds: Record<string, Tensor> = { [inputs.inputIds]: tensor(ids) };
    if (inputs.attentionMask !== undefined) feeds[inputs.attentionMask] = tensor(mask);
    if (inputs.tokenTypeIds !== undefined) feeds[inputs.tokenTypeIds] = tensor(new Int32Array(ids.length));
    const wanted = this.options.tokens?.output ?? output;
    const results = await this.#pool.run(name, feeds, { outputs: [wanted], signal });
    const result = results[wanted]!;
    const lengths = chunks.map((chunk) => chunk.ids.length);
    const { dim } = this;
    if (this.options.tokens === undefined) {
      const rows = poolOutput(result, chunks.length, this.spec, lengths);
      return chunks.map((_, row) => rows.slice(row * dim, (row + 1) * dim));
    }
    if (result.type !== 'float32' || result.dims.join() !== [chunks.length, width, dim].join()) {
      throw new ModelError('ERR_MODEL_RUN', {
        field: wanted,
        expected: `float32 of [${[chunks.length, width, dim]}]`,
        got: `${result.type} of [${result.dims}]`,
      });
    }
    return lengths.map((n, row) => result.data.slice(row * width * dim, (row * width + n) * dim));
  }

  async dispose(): Promise<void> {
    await Promise.all([this.#pool.dispose(), this.#thread.dispose()]);
    if (this.#temporary !== undefined) await rm(this.#temporary, { recursive: true, force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose();
  }
}

function joined(parts: readonly Float32Array[], most: number): Float32Array {
  const length = Math.min(
    most,
    parts.reduce((sum, part) => sum + part.length, 0),
  );
  const all = new Float32Array(length);
  let at = 0;
  for (const part of parts) {
    all.set(part.subarray(0, length - at), at);
    at = Math.min(length, at + part.length);
  }
  return all;
}

function mean(parts: readonly Float32Array[], dim: number): Float32Array {
  if (parts.length <= 1) return parts[0] ?? new Float32Array(0);
  const sum = new Float64Array(dim);
  for (const part of parts) for (let i = 0; i < dim; i++) sum[i]! += part[i]! / parts.length;
  return Float32Array.from(sum);
}
