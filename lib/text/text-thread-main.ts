/** The thread that tokenizes and detects languages: a long script takes a second, the main thread must not. */
import { parentPort } from 'node:worker_threads';
import { Tokenizer } from '@huggingface/tokenizers';
import { type ExpectedFile, readVerified } from '../encoders/files.js';
import type { TextEncoderSpec } from '../encoders/spec.js';
import { toWireError, type WorkerReply } from '../encoders/worker-channel.js';
import { ModelError } from '../errors.js';
import { traceTime } from '../trace.js';
import { packChunks, type TextSpan } from './chunks.js';
import { detectLanguage, type LanguageGuess, languageSample } from './language.js';
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

/** Languages of the samples seen last: a text is asked about before it is tokenized, and by every encoder that reads it. */
const guesses = new Map<string, Promise<LanguageGuess>>();
const MAX_GUESSES = 256;

function languageOf(text: string): Promise<LanguageGuess> {
  const sample = languageSample(text);
  let guess = guesses.get(sample);
  if (guess === undefined) {
    guess = detectLanguage(sample);
    guesses.set(sample, guess);
    guess.catch(() => guesses.delete(sample));
    if (guesses.size > MAX_GUESSES) guesses.delete(guesses.keys().next().value!);
  }
  return guess;
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
  const language = await languageOf(clean);
  const { maxTokens, addSpecialTokens, unknownId, dropIds, prefix = '' } = files.settings;
  const dropped = new Set(dropIds);
  // Pieces that came out without an unknown id need no second look for their share of it.
  const withoutUnknown = new Set<string>();
  const encode = (piece: string) => {
    const { ids }: Encoding = tokenizer.encode(prefix + piece, { add_special_tokens: addSpecialTokens });
    if (prefix === '' && unknownId !== null && !ids.includes(unknownId)) withoutUnknown.add(piece);
    return dropped.size === 0 ? ids : ids.filter((id) => !dropped.has(id));
  };
  const chunks = packChunks(clean, maxTokens, encode, language.language);
  const unknownShare =
    unknownId === null
      ? 0
      : shareOfUnknown(
          tokenizer,
          unknownId,
          chunks.map(({ start, end }) => clean.slice(start, end)),
          withoutUnknown,
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
function shareOfUnknown(
  tokenizer: Tokenizer,
  unknownId: number,
  pieces: string[],
  withoutUnknown: ReadonlySet<string>,
): number {
  let total = 0;
  let unknown = 0;
  for (const piece of pieces) {
    const characters = piece.replace(/\s/gu, '').length;
    total += characters;
    if (withoutUnknown.has(piece)) continue;
    const { ids, tokens }: Encoding = tokenizer.encode(piece, { add_special_tokens: false });
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
  if (request.kind === 'detect') return languageOf(request.text);
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
