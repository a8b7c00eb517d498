import { WorkerChannel } from '../encoders/worker-channel.js';
import type { Trace } from '../trace.js';
import { type LanguageGuess, languageSample } from './language.js';
import type {
  DetectRequest,
  PreparedText,
  PrepareRequest,
  SubtitlesRequest,
  TokenizerFiles,
} from './text-thread-main.js';

export type { PreparedText, TokenizerFiles } from './text-thread-main.js';

/** A worker thread that tokenizes and detects languages for any number of text encoders. Starts with its first task. */
export class TextThread {
  readonly #channel: WorkerChannel;

  constructor({ trace }: { trace?: Trace | undefined } = {}) {
    this.#channel = new WorkerChannel(new URL('./text-thread-main.js', import.meta.url), {
      name: 'text thread',
      crashCode: 'ERR_INTERNAL',
      trace,
      labelOf: (message) => ({ name: (message as { kind: string }).kind }),
    });
  }

  /** Starts the thread and lets it read its language tables, so that the first task does not wait for them. */
  start(): void {
    this.detectLanguage('a').catch(() => {}); // what is wrong shows with the first task
  }

  /**
   * detectLanguage off the main thread.
   *
   * @throws CancelledError ERR_CANCELLED
   * @throws DisposedError  ERR_DISPOSED
   */
  detectLanguage(text: string, options: { signal?: AbortSignal | undefined } = {}): Promise<LanguageGuess> {
    const request: DetectRequest = { kind: 'detect', text: languageSample(text) };
    return this.#channel.request(request, [], options.signal) as Promise<LanguageGuess>;
  }

  /**
   * Splits a text into chunks of ids, and says its language and the share that the tokenizer does not know.
   *
   * @throws ModelError ERR_MODEL_NOT_FOUND, ERR_MODEL_CHECKSUM, ERR_MODEL_LOAD  the tokenizer's files
   * @throws CancelledError ERR_CANCELLED
   * @throws DisposedError  ERR_DISPOSED
   */
  prepare(
    text: string,
    files: TokenizerFiles,
    options: { signal?: AbortSignal | undefined } = {},
  ): Promise<PreparedText> {
    const request: PrepareRequest = { kind: 'prepare', text, files };
    return this.#channel.request(request, [], options.signal) as Promise<PreparedText>;
  }

  /**
   * The dialogue of an .srt or .vtt file, a line a cue; of anything else the text as it is.
   *
   * @throws CancelledError ERR_CANCELLED
   * @throws DisposedError  ERR_DISPOSED
   */
  dialogue(source: string, options: { signal?: AbortSignal | undefined } = {}): Promise<string> {
    const request: SubtitlesRequest = { kind: 'subtitles', source };
    return this.#channel.request(request, [], options.signal) as Promise<string>;
  }

  dispose(): Promise<void> {
    return this.#channel.dispose();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose();
  }
}
