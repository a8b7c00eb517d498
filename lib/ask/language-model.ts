/** A language model that puts an answer into words, behind any endpoint that speaks OpenAI's protocol. */
import { CinefuseError, InputError, ModelError, throwIfCancelled } from '../errors.js';

export interface ChatMessage {
  role: 'system' | 'user';
  content: string;
}

export interface CompletionOptions {
  /** What the reply must look like: a JSON schema. */
  schema: Record<string, unknown>;
  signal?: AbortSignal | undefined;
}

export interface LanguageModel {
  /** How answers name it. */
  readonly name: string;
  /**
   * The reply to these messages, which should be JSON of the schema; whoever asks checks it.
   *
   * @throws ModelError ERR_MODEL_RUN, ERR_MODEL_LOAD; CancelledError ERR_CANCELLED
   */
  complete(messages: readonly ChatMessage[], options: CompletionOptions): Promise<string>;
  dispose?(): Promise<void>;
}

export interface EndpointOptions {
  /** Up to but without "/chat/completions", e.g. "http://localhost:8080/v1". */
  baseUrl: string;
  model: string;
  /** Sent as a bearer token; never in a message or a result. */
  apiKey?: string | undefined;
  /** Of one reply. Default 60,000. */
  timeoutMs?: number | undefined;
  /** Of one reply. Default 500. */
  maxTokens?: number | undefined;
}

/** Bytes of a reply that are read. */
const MOST_BYTES = 2 ** 20;

/**
 * A model behind `POST {baseUrl}/chat/completions`. Nothing is sent before the first question. Redirects are refused, so
 * that the key goes to nobody else.
 *
 * @throws InputError ERR_INPUT_VALUE, ERR_INPUT_TYPE  no http(s) address, no name of a model, a wrong number
 */
export function endpointModel(options: EndpointOptions): LanguageModel {
  const { model, apiKey, timeoutMs = 60_000, maxTokens = 500 } = options;
  const url = addressOf(options.baseUrl);
  if (typeof model !== 'string' || model === '') {
    throw new InputError('ERR_INPUT_VALUE', { field: 'model', expected: 'the name of a model', got: 'none' });
  }
  for (const [field, value] of Object.entries({ timeoutMs, maxTokens })) {
    if (Number.isSafeInteger(value) && value > 0 && value < 2 ** 31) continue;
    throw new InputError('ERR_INPUT_VALUE', {
      field,
      expected: 'a whole number above 0',
      got: String(value),
    });
  }
  const fail = (expected: string, got: string, cause?: unknown) =>
    new ModelError('ERR_MODEL_RUN', { field: 'languageModel', expected, got, cause });

  async function post(body: object, signal: AbortSignal | undefined): Promise<Response> {
    const timeout = AbortSignal.timeout(timeoutMs);
    try {
      return await fetch(url, {
        method: 'POST',
        redirect: 'error',
        headers: {
          'content-type': 'application/json',
          ...(apiKey !== undefined && { authorization: `Bearer ${apiKey}` }),
        },
        body: JSON.stringify(body),
        signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
      });
    } catch (cause) {
      throwIfCancelled(signal);
      const why = timeout.aborted ? `none in ${timeoutMs} ms` : reasonOf(cause);
      throw fail(`a reply of ${url.origin}`, why, cause);
    }
  }

  return {
    name: model,
    async complete(messages, { schema, signal }) {
      throwIfCancelled(signal);
      const body = { model, messages, temperature: 0, max_tokens: maxTokens, stream: false };
      const response_format = { type: 'json_schema', json_schema: { name: 'answer', strict: true, schema } };
      let response = await post({ ...body, response_format }, signal);
      // Servers that know no schemas refuse the field; the prompt asks for the same.
      if (response.status === 400 || response.status === 422) {
        await response.body?.cancel();
        response = await post(body, signal);
      }
      if (!response.ok) {
        await response.body?.cancel();
        throw fail(`a reply of ${url.origin}`, `status ${response.status}`);
      }
      try {
        return contentOf(await readBounded(response));
      } catch (cause) {
        throwIfCancelled(signal);
        if (cause instanceof CinefuseError) throw cause;
        throw fail('a chat completion with a text', reasonOf(cause), cause);
      }
    },
  };
}

function addressOf(baseUrl: string): URL {
  const wrong = (got: string) =>
    new InputError('ERR_INPUT_VALUE', {
      field: 'baseUrl',
      expected: 'an http or https address such as "http://localhost:8080/v1"',
      got,
    });
  if (typeof baseUrl !== 'string') throw wrong(typeof baseUrl);
  let url: URL;
  try {
    url = new URL(`${baseUrl.replace(/\/+$/, '')}/chat/completions`);
  } catch {
    throw wrong('something else');
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:') throw wrong(`the protocol ${url.protocol}`);
  if (url.username !== '' || url.password !== '') throw wrong('an address with a password in it');
  return url;
}

/** What fetch says lies in the cause of its error. */
function reasonOf(error: unknown): string {
  const { cause } = error as { cause?: unknown };
  const inner = cause instanceof Error ? cause : error;
  return inner instanceof Error ? inner.message || inner.name : String(inner);
}

async function readBounded(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let total = 0;
  for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
    total += chunk.length;
    // Leaving the loop gives the connection up.
    if (total > MOST_BYTES) throw new Error(`more than ${MOST_BYTES} bytes`);
    chunks.push(chunk);
  }
  return new TextDecoder().decode(Buffer.concat(chunks));
}

function contentOf(text: string): string {
  const { choices } = JSON.parse(text) as { choices?: { message?: { content?: unknown } }[] };
  const content = choices?.[0]?.message?.content;
  if (typeof content !== 'string') throw new Error('one without choices[0].message.content');
  return content;
}
