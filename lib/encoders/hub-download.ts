import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, open, readFile, rename, rm, stat, truncate } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Readable } from 'node:stream';
import { finished, pipeline } from 'node:stream/promises';
import type { ReadableStream } from 'node:stream/web';
import { setTimeout as sleep } from 'node:timers/promises';
import { CancelledError, CinefuseError, ModelError, throwIfCancelled } from '../errors.js';

/** Where and how the hub is reached. */
export interface HubAccess {
  hubUrl: string;
  accessToken: string | undefined;
  fetch: typeof fetch;
  /** Attempts after the first, for lost connections, stalls and overloaded servers. */
  retries: number;
  /** Pause before the first of them; doubles each time. */
  retryDelayMs: number;
  /** A connection that brings nothing for this long counts as lost. */
  stallMs: number;
}

/** A file as the hub lists it. */
export interface HubFile {
  path: string;
  bytes: number;
  /** Its name among the blobs of the cache: SHA-256 for large files, git's own hash for small ones. */
  etag: string;
  sha256: string | undefined;
  gitSha1: string | undefined;
}

type Hub = typeof import('@huggingface/hub');

export async function importHub(): Promise<Hub> {
  try {
    return await import('@huggingface/hub');
  } catch (cause) {
    throw new ModelError('ERR_MODEL_RUNTIME', {
      message:
        'Fetching models needs the optional dependency @huggingface/hub, which is not installed. Run: npm install @huggingface/hub',
      expected: 'a working @huggingface/hub',
      got: 'none',
      cause,
    });
  }
}

/** The commit that a revision stands for now, and the files of `paths` in it. */
export async function listFiles(
  access: HubAccess,
  repository: string,
  revision: string,
  paths: readonly string[],
  signal: AbortSignal | undefined,
): Promise<{ commit: string; files: HubFile[] }> {
  const hub = await importHub();
  return withRetries(access, signal, async (attempt) => {
    const common = { hubUrl: access.hubUrl, fetch: attempt.fetch, ...tokenOf(access) };
    const info = await hub.modelInfo({ ...common, name: repository, revision, additionalFields: ['sha'] });
    if (!/^[0-9a-f]{40}$/.test(info.sha)) throw new Error(`the hub names no commit but ${info.sha}`);
    const repo = { type: 'model' as const, name: repository };
    const listed = await hub.pathsInfo({ ...common, repo, revision: info.sha, paths: [...paths] });
    const files = paths.map((path): HubFile => {
      const entry = listed.find((candidate) => candidate.path === path && candidate.type === 'file');
      if (entry === undefined) throw new MissingFile(path);
      const { lfs, oid, size } = entry;
      const etag = lfs?.oid ?? oid;
      if (etag === undefined || !/^[0-9a-f]{40,64}$/.test(etag)) throw new Error(`no usable hash of ${path}`);
      return { path, bytes: lfs?.size ?? size, etag, sha256: lfs?.oid, gitSha1: lfs ? undefined : oid };
    });
    return { commit: info.sha, files };
  });
}

/**
 * Fetches one file to `blob`: into `blob`.incomplete first, going on where an earlier attempt stopped, then checked
 * against the hub's own hash, then renamed.
 *
 * @param onBytes  told how much of the file is there
 */
export async function downloadBlob(
  access: HubAccess,
  source: { repository: string; commit: string; file: HubFile },
  blob: string,
  options: { signal?: AbortSignal | undefined; onBytes: (bytes: number) => void },
): Promise<void> {
  const { repository, commit, file } = source;
  const partial = `${blob}.incomplete`;
  await mkdir(dirname(blob), { recursive: true });
  const release = await takeTurn(`${partial}.lock`, options.signal);
  try {
    // Whoever had the turn before may have brought it.
    if ((await sizeOf(blob)) === file.bytes) return;
    const hub = await importHub();
    await withRetries(access, options.signal, async (attempt) => {
      let have = await sizeOf(partial);
      if (have > file.bytes || (have > 0 && attempt.fromTheStart)) {
        await truncate(partial, 0);
        have = 0;
      }
      options.onBytes(have);
      if (have === file.bytes) return;
      const path = file.path.split('/').map(encodeURIComponent).join('/');
      const content = await hub.downloadFile({
        repo: { type: 'model', name: repository },
        path: file.path,
        revision: commit,
        hubUrl: access.hubUrl,
        fetch: attempt.fetch,
        ...tokenOf(access),
        xet: false,
        downloadInfo: {
          size: file.bytes,
          etag: file.etag,
          url: `${access.hubUrl}/${repository}/resolve/${commit}/${path}`,
        },
      });
      if (content === null) throw new MissingFile(file.path);
      const body = Readable.fromWeb(content.slice(have).stream() as ReadableStream);
      body.on('data', (chunk: Uint8Array) => {
        have += chunk.byteLength;
        attempt.alive();
        options.onBytes(Math.min(have, file.bytes));
      });
      await pipeline(body, createWriteStream(partial, { flags: 'a' }), { signal: attempt.signal });
      if (have < file.bytes) throw new Error(`the connection ended after ${have} of ${file.bytes} bytes`);
    });
    await checkContent(partial, file);
    await rename(partial, blob);
  } finally {
    await release();
  }
}

/** Removes a partial file that is not what the hub says it is, so that the next attempt starts afresh. */
async function checkContent(partial: string, file: HubFile): Promise<void> {
  const sha256 = createHash('sha256');
  const git = createHash('sha1').update(`blob ${file.bytes}\0`);
  const stream = createReadStream(partial, { highWaterMark: 1 << 18 });
  stream.on('data', (chunk) => {
    sha256.update(chunk);
    git.update(chunk);
  });
  await finished(stream);
  const [expected, got] =
    file.sha256 === undefined ? [file.gitSha1, git.digest('hex')] : [file.sha256, sha256.digest('hex')];
  const size = await sizeOf(partial);
  if (expected === got && size === file.bytes) return;
  await rm(partial, { force: true });
  throw new ModelError('ERR_MODEL_CHECKSUM', {
    field: file.path,
    expected: `${file.bytes} bytes with hash ${expected}, as the hub lists it`,
    got: `${size} bytes with hash ${got}: what was fetched is removed, fetch it again`,
  });
}

class MissingFile extends Error {
  constructor(path: string) {
    super(`the repository has no file ${path}`);
  }
}

interface Attempt {
  /** For the hub client: carries the signal, and notes the address for errors. */
  fetch: typeof fetch;
  signal: AbortSignal;
  /** Something came: the stall clock starts anew. */
  alive: () => void;
  /** The server cannot send a part of a file, as the attempt before has found. */
  fromTheStart: boolean;
}

async function withRetries<T>(
  access: HubAccess,
  signal: AbortSignal | undefined,
  work: (attempt: Attempt) => Promise<T>,
): Promise<T> {
  let fromTheStart = false;
  for (let attempt = 0; ; attempt++) {
    throwIfCancelled(signal);
    const stall = new AbortController();
    const stalled = () => stall.abort(new Error(`nothing came for ${access.stallMs} ms`));
    let clock = setTimeout(stalled, access.stallMs);
    const alive = () => {
      clearTimeout(clock);
      clock = setTimeout(stalled, access.stallMs);
    };
    const both = signal === undefined ? stall.signal : AbortSignal.any([signal, stall.signal]);
    // Noted here, since the client hands some errors on as text only.
    let address = access.hubUrl;
    let status: number | undefined;
    const watched: typeof fetch = async (input, init) => {
      address = String(input instanceof Request ? input.url : input);
      status = undefined;
      alive();
      const response = await access.fetch(input, { ...init, signal: both });
      alive();
      status = response.status;
      const range = new Headers(init?.headers).get('range');
      // The whole, appended to the beginning that is there, would be no file.
      if (status === 200 && range !== null && !range.startsWith('bytes=0-')) {
        fromTheStart = true;
        await response.body?.cancel();
        throw new Error('the server cannot send a part of a file');
      }
      return response;
    };
    try {
      return await work({ fetch: watched, signal: both, alive, fromTheStart });
    } catch (error) {
      if (signal?.aborted) throw new CancelledError({ cause: signal.reason });
      if (error instanceof CinefuseError) throw error;
      const cause = stall.signal.aborted ? (stall.signal.reason as Error) : error;
      if (!worthRetrying(cause, status) || attempt >= access.retries) {
        throw downloadError(cause, address, status);
      }
      await sleep(access.retryDelayMs * 2 ** attempt, undefined, { ...(signal && { signal }) }).catch(
        () => undefined,
      );
    } finally {
      clearTimeout(clock);
    }
  }
}

function worthRetrying(error: unknown, status: number | undefined): boolean {
  if (error instanceof MissingFile) return false;
  return status === undefined || status < 400 || status === 408 || status === 429 || status >= 500;
}

function downloadError(error: unknown, url: string, status: number | undefined): ModelError {
  const reason = error instanceof Error ? innermost(error) : String(error);
  const fix =
    status === 401 || status === 403
      ? 'accept the model’s terms on its page and set HF_TOKEN'
      : status === 404 || error instanceof MissingFile
        ? 'check repository, revision and file'
        : 'check the connection, set HF_ENDPOINT to a mirror, or put the files into the cache by hand (docs/encoders.md)';
  const what = status !== undefined && status >= 400 ? `status ${status}, ${reason}` : reason;
  return new ModelError('ERR_MODEL_DOWNLOAD', {
    message: `${url} could not be fetched: ${what}. To fix it: ${fix}`,
    field: url,
    expected: 'an answer from the hub',
    got: what,
    cause: error,
  });
}

/** fetch says "fetch failed" and hides why one or two causes down. */
function innermost(error: Error): string {
  let deepest = error;
  while (deepest.cause instanceof Error) deepest = deepest.cause;
  const code = (deepest as NodeJS.ErrnoException).code;
  return deepest.message || code || deepest.name;
}

const tokenOf = ({ accessToken }: HubAccess) => (accessToken === undefined ? {} : { accessToken });

async function sizeOf(file: string): Promise<number> {
  return stat(file).then(
    ({ size }) => size,
    () => 0,
  );
}

/** One process at a time writes a partial file. The lock names its holder; a holder that is gone is overruled. */
async function takeTurn(lock: string, signal: AbortSignal | undefined): Promise<() => Promise<void>> {
  for (;;) {
    throwIfCancelled(signal);
    try {
      const handle = await open(lock, 'wx');
      await handle.writeFile(String(process.pid));
      await handle.close();
      return () => rm(lock, { force: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const holder = Number(await readFile(lock, 'utf8').catch(() => ''));
    if (holder > 0 && !isAlive(holder)) await rm(lock, { force: true });
    else await sleep(100);
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
