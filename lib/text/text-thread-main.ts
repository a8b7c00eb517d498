/** The thread that tokenizes and detects languages: a long script takes a second, the main thread must not. */
import { parentPort } from 'node:worker_threads';
import { Tokenizer } from '@huggingface/tokenizers';
import { type ExpectedFile, readVerified } from '../encoders/files.js';
import type { TextEncoderSpec } from '../encoders/spec.js';
import { toWireError, type WorkerReply } from '../encoders/worker-channel.js';
import { ModelError } from '../errors.js';
import { traceTime } from '../trace.js';
import { packChunks, type TextSpan } from './chunks.js';
import { detectLanguage, type LanguageGuess } from './language.js';
import { dialogueOf } from './subtitles.js';

export interface TokenizerFiles {
  /** Distinguishes tokenizers in the thread's cache. */
  key: string;
  tokenizer: ExpectedFile;
  config: ExpectedFile | undefined;
  settings: TextEncoderSpec['tokenizer'];
}

export interface DetectRequest {
  kind: 'detect';
  text: string;
}

export interface PrepareRequest {
  kind: 'prepare';
  text: string;
  files: TokenizerFiles;
}

export interface SubtitlesRequest {
  kind: 'subtitles';
  source: string;
}

/** A text ready for its encoder. */
export interface PreparedText {
  language: LanguageGuess;
  /** Ids of every chunk, one chunk after the other. */
  ids: Int32Array;
  /** Chunk i is ids[offsets[i]] to ids[offsets[i + 1]]. */
  offsets: Int32Array;
  spans: TextSpan[];
  /** Share of the characters (blanks left out) that the tokenizer has no id for. */
  unknownShare: number;
}

type Request = { id: number } & (DetectRequest | PrepareRequest | SubtitlesRequest);

/** What `encode` returns; the package's own declaration of it does not resolve under nodenext. */
interface Encoding {
  ids: number[];
  tokens: string[];
}

const tokenizers = new Map<string, Promise<Tokenizer>>();

async function openTokenizer(files: TokenizerFiles): Promise<Tokenizer> {
  const parse = async (file: ExpectedFile): Promise<object> => {
    const data = await readVerified(file);
    try {
      return JSON.parse(data.toString('utf8')) as object;
    } catch (cause) {
      throw unusable(file, cause);
    }
  };
  const model = await parse(files.tokenizer);
  const config = files.config === undefined ? {} : await parse(files.config);
  try {
    return new Tokenizer(model, config);
  } catch (cause) {
    throw unusable(files.tokenizer, cause);
  }
}

function unusable({ path, field }: ExpectedFile, cause: unknown): ModelError {
  return new ModelError('ERR_MODEL_LOAD', {
    field,
    file: path,
    expected: 'a tokenizer.json of Hugging Face tokenizers',
    got: (cause as Error).message,
    cause,
  });
}

async function prepare({ text, files }: PrepareRequest): Promise<PreparedText> {
  let opening = tokenizers.get(files.key);
  if (opening === undefined) {
    opening = openTokenizer(files);
    tokenizers.set(files.key, opening);
    opening.catch(() => tokenizers.delete(files.key));
  }
  const tokenizer = await opening;
  // Half a surrogate pair is no character; tokenizers differ in what they make of it.
  const clean = text.replace(/\p{Surrogate}/gu, '\uFFFD');
  const language = await detectLanguage(clean);
  const { maxTokens, addSpecialTokens, unknownId, dropIds, prefix = '' } = files.settings;
  const dropped = new Set(dropIds);
  const encode = (piece: string) => {
    const { ids }: Encoding = tokenizer.encode(prefix + piece, { add_special_tokens: addSpecialTokens });
    return ids.filter((id) => !dropped.has(id));
  };
  const chunks = packChunks(clean, maxTokens, encode, language.language);
  const unknownShare =
    unknownId === null
      ? 0
      : shareOfUnknown(
          tokenizer,
          unknownId,
          chunks.map(({ start, end }) => clean.slice(start, end)),
        );
  const kept = chunks.filter(({ ids }) => ids.length > 0);
  const offsets = new Int32Array(kept.length + 1);
  kept.forEach(({ ids }, i) => {
    offsets[i + 1] = offsets[i]! + ids.length;
  });
  return {
    language,
    ids: Int32Array.from(kept.flatMap(({ ids }) => ids)),
    offsets,
    spans: kept.map(({ start, end }) => ({ start, end })),
    unknownShare,
  };
}

/** Counts characters, not ids: a whole Chinese sentence may be one unknown id. */
function shareOfUnknown(tokenizer: Tokenizer, unknownId: number, pieces: string[]): number {
  let total = 0;
  let unknown = 0;
  for (const piece of pieces) {
    const { ids, tokens }: Encoding = tokenizer.encode(piece, { add_special_tokens: false });
    const characters = piece.replace(/\s/gu, '').length;
    total += characters;
    if (!ids.includes(unknownId)) continue;
    let known = 0;
    // ▁, ## and Ġ mark word starts and continuations; they stand for no character.
    tokens.forEach((token, i) => {
      if (ids[i] !== unknownId) known += token.replace(/^##|[▁Ġ\s]/gu, '').length;
    });
    unknown += Math.max(0, characters - known);
  }
  return total === 0 ? 0 : unknown / total;
}

async function work(request: Request): Promise<unknown> {
  if (request.kind === 'detect') return detectLanguage(request.text);
  return request.kind === 'subtitles' ? dialogueOf(request.source) : prepare(request);
}

async function answer(request: Request): Promise<void> {
  let reply: WorkerReply;
  const start = traceTime();
  try {
    reply = { id: request.id, value: await work(request) };
  } catch (error) {
    reply = { id: request.id, error: toWireError(error, 'ERR_INTERNAL') };
  }
  reply.ran = [start, traceTime()];
  parentPort!.postMessage(reply);
}

let queue: Promise<void> = Promise.resolve();
parentPort!.on('message', (request: Request) => {
  queue = queue.then(() => answer(request));
});
