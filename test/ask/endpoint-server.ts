/** A server on this machine that speaks OpenAI's protocol for chat completions, as far as a client can tell. */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface ChatRequest {
  model: string;
  messages: { role: string; content: string }[];
  temperature?: number;
  max_tokens?: number;
  response_format?: { type: string; json_schema?: { schema: unknown } };
}

/** The reply's text; or what else the server does. */
export type Responder = (
  request: ChatRequest,
  response: ServerResponse,
) => string | undefined | Promise<string | undefined>;

export interface EndpointServer extends AsyncDisposable {
  baseUrl: string;
  requests: ChatRequest[];
}

export async function serveChat(
  respond: Responder,
  { key, schemas = true }: { key?: string; schemas?: boolean } = {},
): Promise<EndpointServer> {
  const requests: ChatRequest[] = [];
  const error = (response: ServerResponse, status: number, message: string) => {
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ error: { message, type: 'invalid_request_error' } }));
  };
  const handle = async (request: IncomingMessage, response: ServerResponse) => {
    if (request.method !== 'POST' || request.url !== '/v1/chat/completions')
      return error(response, 404, 'no such route');
    if (key !== undefined && request.headers.authorization !== `Bearer ${key}`)
      return error(response, 401, 'no key');
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = JSON.parse(Buffer.concat(chunks).toString('utf8')) as ChatRequest;
    if (typeof body.model !== 'string' || !Array.isArray(body.messages))
      return error(response, 400, 'model and messages');
    if (!schemas && body.response_format) return error(response, 400, 'response_format is not supported');
    requests.push(body);
    const content = await respond(body, response);
    if (content === undefined) return;
    response.writeHead(200, { 'content-type': 'application/json' });
    response.end(
      JSON.stringify({
        id: 'chatcmpl-1',
        object: 'chat.completion',
        created: 1,
        model: body.model,
        choices: [{ index: 0, message: { role: 'assistant', content }, finish_reason: 'stop' }],
        usage: { prompt_tokens: 1, completion_tokens: 1, total_tokens: 2 },
      }),
    );
  };
  const server = createServer((request, response) => {
    handle(request, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    requests,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
