/** A language model of a GGUF file, in this process, through the optional package node-llama-cpp. */
import { stat } from 'node:fs/promises';
import { ModelError, throwIfCancelled } from '../errors.js';
import { checkGguf } from './gguf-file.js';
import type { LanguageModel } from './language-model.js';

export interface GgufOptions {
  /** Default 1: a second thread on a busy machine costs more than it brings. */
  threads?: number | undefined;
  /** Tokens of question, sources and answer together. Default 4096, or what the model was trained for. */
  contextSize?: number | undefined;
  /** Of one reply. Default 500. */
  maxTokens?: number | undefined;
  /** Lets llama.cpp use a GPU that it finds. Default false. */
  gpu?: boolean | undefined;
  signal?: AbortSignal | undefined;
}

/** What is used of node-llama-cpp 3. */
interface Llama {
  loadModel(options: { modelPath: string; loadSignal?: AbortSignal }): Promise<LlamaModel>;
  createGrammarForJsonSchema(schema: unknown): Promise<unknown>;
  dispose(): Promise<void>;
}
interface LlamaModel {
  readonly trainContextSize: number;
  createContext(options: { contextSize: number; threads: number; sequences: number }): Promise<LlamaContext>;
  dispose(): Promise<void>;
}
interface LlamaContext {
  getSequence(): { dispose(): void };
  dispose(): Promise<void>;
}
interface LlamaModule {
  getLlama(options: object): Promise<Llama>;
  LlamaLogLevel: { error: unknown };
  LlamaChatSession: new (options: {
    contextSequence: unknown;
    systemPrompt: string;
  }) => {
    prompt(
      text: string,
      options: {
        grammar: unknown;
        maxTokens: number;
        temperature: number;
        signal?: AbortSignal | undefined;
      },
    ): Promise<string>;
    dispose(): void;
  };
}

/**
 * Loads a GGUF model. Replies are held to the schema by a grammar. `dispose()` gives its memory back.
 *
 * @throws ModelError ERR_MODEL_RUNTIME    node-llama-cpp is not installed, or has no build for this machine
 * @throws ModelError ERR_MODEL_NOT_FOUND  no such file
 * @throws ModelError ERR_MODEL_LOAD       no GGUF model, a truncated one, no memory for it
 * @throws CancelledError ERR_CANCELLED
 */
export async function ggufModel(file: string, options: GgufOptions = {}): Promise<LanguageModel> {
  const { threads = 1, contextSize = 4096, maxTokens = 500, gpu = false, signal } = options;
  throwIfCancelled(signal);
  const info = await stat(file).catch((cause: Error) => {
    throw new ModelError('ERR_MODEL_NOT_FOUND', {
      file,
      expected: 'a GGUF file',
      got: 'nothing there',
      cause,
    });
  });
  if (!info.isFile()) {
    throw new ModelError('ERR_MODEL_NOT_FOUND', { file, expected: 'a GGUF file', got: 'no regular file' });
  }
  await checkGguf(file);
  const module = await loadModule();
  const owned: { dispose(): Promise<void> }[] = [];
  const release = async () => {
    for (const part of owned.splice(0).reverse()) await part.dispose();
  };
  let llama: Llama;
  let context: LlamaContext;
  try {
    llama = await module.getLlama({
      gpu: gpu ? 'auto' : false,
      build: 'never',
      skipDownload: true,
      maxThreads: threads,
      logLevel: module.LlamaLogLevel.error,
    });
    owned.push(llama);
    const model = await llama.loadModel({ modelPath: file, ...(signal && { loadSignal: signal }) });
    owned.push(model);
    const size = Math.min(contextSize, model.trainContextSize);
    context = await model.createContext({ contextSize: size, threads, sequences: 1 });
    owned.push(context);
  } catch (cause) {
    await release();
    throwIfCancelled(signal);
    const got = (cause as Error).message;
    throw new ModelError('ERR_MODEL_LOAD', {
      file,
      expected: 'a GGUF model that llama.cpp loads',
      got,
      cause,
    });
  }
  /** One reply at a time: there is one sequence. */
  let last: Promise<unknown> = Promise.resolve();
  const reply = async (system: string, user: string, schema: object, stop: AbortSignal | undefined) => {
    throwIfCancelled(stop);
    const sequence = context.getSequence();
    try {
      const session = new module.LlamaChatSession({ contextSequence: sequence, systemPrompt: system });
      const grammar = await llama.createGrammarForJsonSchema(schema);
      return await session.prompt(user, { grammar, maxTokens, temperature: 0, signal: stop });
    } catch (cause) {
      throwIfCancelled(stop);
      const got = (cause as Error).message;
      throw new ModelError('ERR_MODEL_RUN', { file, expected: 'a reply of the model', got, cause });
    } finally {
      sequence.dispose();
    }
  };
  return {
    name: file.split(/[\\/]/).at(-1)!,
    complete(messages, { schema, signal: stop }) {
      const by = (role: string) =>
        messages
          .filter((message) => message.role === role)
          .map(({ content }) => content)
          .join('\n');
      const work = last.then(() => reply(by('system'), by('user'), schema, stop));
      last = work.catch(() => {});
      return work;
    },
    async dispose() {
      await last;
      await release();
    },
  };
}

async function loadModule(): Promise<LlamaModule> {
  // Not a literal: the package is optional, and its types are not needed to build this one.
  const name = 'node-llama-cpp';
  try {
    return (await import(name)) as LlamaModule;
  } catch (cause) {
    throw new ModelError('ERR_MODEL_RUNTIME', {
      expected: 'the optional package node-llama-cpp (npm install node-llama-cpp)',
      got: 'none that loads',
      cause,
    });
  }
}
