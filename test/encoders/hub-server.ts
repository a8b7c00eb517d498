import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { digest } from './fixtures.js';

/** What to do to the next request for a file, in place of answering it. */
export type Fault =
  | { kind: 'cut'; after: number }
  | { kind: 'stall'; after: number }
  | { kind: 'status'; status: number }
  | { kind: 'corrupt' }
  | { kind: 'no-ranges' };

/** A small Hugging Face hub: one repository at one commit, with the addresses that the hub's client asks. */
export class HubServer {
  readonly files = new Map<string, Buffer>();
  readonly faults: Fault[] = [];
  readonly requests: { method: string; url: string; range?: string; authorization?: string }[] = [];
  commit = '0123456789abcdef0123456789abcdef01234567';
  readonly repository: string;
  readonly #server = createServer((request, response) => void this.#answer(request, response));

  constructor(repository: string) {
    this.repository = repository;
  }

  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    if (!this.#server.listening) return;
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = 'GET', url = '/', headers } = request;
    this.requests.push({
      method,
      url,
      ...(headers.range !== undefined && { range: headers.range }),
      ...(headers.authorization !== undefined && { authorization: headers.authorization }),
    });
    const path = decodeURIComponent(url.split('?')[0]!);
    const api = `/api/models/${this.repository}`;
    if (path === `${api}/revision/main` || path === `${api}/revision/${this.commit}`) {
      return json(response, 200, {
        _id: '1',
        id: this.repository,
        sha: this.commit,
        private: false,
        lastModified: '2024-01-01T00:00:00.000Z',
      });
    }
    if (method === 'POST' && path === `${api}/paths-info/${this.commit}`) {
      const { paths } = JSON.parse(await textOf(request)) as { paths: string[] };
      return json(
        response,
        200,
        paths.filter((name) => this.files.has(name)).map((name) => describe(name, this.files.get(name)!)),
      );
    }
    const prefix = `/${this.repository}/resolve/${this.commit}/`;
    const data = path.startsWith(prefix) ? this.files.get(path.slice(prefix.length)) : undefined;
    if (data === undefined) return json(response, 404, { error: 'Repository not found' });
    this.#sendFile(data, headers.range, response);
  }

  #sendFile(data: Buffer, range: string | undefined, response: ServerResponse): void {
    const fault = this.faults.shift();
    if (fault?.kind === 'status') {
      json(response, fault.status, { error: `made to fail with ${fault.status}` });
      return;
    }
    const start = Number(/^bytes=(\d+)-/.exec(range ?? '')?.[1] ?? 0);
    const partial = range !== undefined && fault?.kind !== 'no-ranges';
    const body = Buffer.from(partial ? data.subarray(start) : data);
    if (fault?.kind === 'corrupt') body[0]! ^= 0xff;
    response.writeHead(partial ? 206 : 200, {
      'content-length': body.length,
      ...(partial && { 'content-range': `bytes ${start}-${data.length - 1}/${data.length}` }),
    });
    if (fault?.kind !== 'cut' && fault?.kind !== 'stall') {
      response.end(body);
      return;
    }
    response.write(body.subarray(0, fault.after), () => {
      if (fault.kind === 'cut') response.destroy();
    });
  }
}

/** As the hub lists a file: large ones with their SHA-256, small ones with git's hash of the content. */
function describe(path: string, data: Buffer): object {
  const git = createHash('sha1').update(`blob ${data.length}\0`).update(data).digest('hex');
  if (data.length < 2000) return { type: 'file', path, oid: git, size: data.length };
  const lfs = { oid: digest(data), size: data.length, pointerSize: 130 };
  return { type: 'file', path, oid: git, size: data.length, lfs };
}

function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}

async function textOf(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of request) text += String(chunk);
  return text;
}
