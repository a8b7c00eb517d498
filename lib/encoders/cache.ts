import { randomUUID } from 'node:crypto';
import { copyFile, mkdir, readFile, rename, stat, symlink } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { CinefuseError, ModelError, throwIfCancelled } from '../errors.js';
import { type LockEntry, readLock, writeLock } from './cache-lock.js';
import { hashFile, verifyFile } from './files.js';
import { downloadBlob, type HubAccess, type HubFile, listFiles } from './hub-download.js';
import type { EncoderModel } from './pool.js';
import { completeSpec, findPreset, PRESETS, type Preset } from './presets.js';
import { type EncoderSpec, prefixSpecPaths } from './spec.js';
import { writeWhole } from '../write-whole.js';

export interface ModelCacheOptions {
  /** Default: HF_HUB_CACHE, else `hub` in HF_HOME, else ~/.cache/huggingface/hub: shared with every Hugging Face tool. */
  cacheDirectory?: string | undefined;
  /** The hub or a mirror of it. Default: HF_ENDPOINT, else https://huggingface.co. */
  hubUrl?: string | undefined;
  /** For gated models. Default: HF_TOKEN. */
  accessToken?: string | undefined;
  fetch?: typeof fetch | undefined;
  /** A model of more bytes is refused before anything is fetched. Default 1 GB. */
  maxBytes?: number | undefined;
  retries?: number | undefined;
  retryDelayMs?: number | undefined;
  stallMs?: number | undefined;
  /** Refuses to go to the network. Default: HF_HUB_OFFLINE=1. */
  offline?: boolean | undefined;
  /** Presets beyond the built-in ones. */
  presets?: readonly Preset[] | undefined;
}

export interface DownloadProgress {
  /** The file being fetched. */
  path: string;
  /** Bytes of the model that are there, and in all. */
  done: number;
  total: number;
}

export interface CachedFile {
  path: string;
  sha256: string;
  bytes: number;
  /** 'pinned': the hash is the preset's own; 'first-use': it was recorded when the file first came. */
  trust: 'pinned' | 'first-use';
}

/** A model in the cache, ready for `EncoderPool.create`. */
export interface CachedModel extends EncoderModel {
  preset: string;
  repository: string;
  revision: string;
  commit: string;
  files: CachedFile[];
}

export interface VerifiedModel {
  preset: string;
  files: { path: string; ok: boolean; problem?: string }[];
}

const DEFAULT_MAX_BYTES = 1e9;

/**
 * Presets on disk, in the cache that all Hugging Face tools share. Nothing is ever fetched unless `download` is called.
 */
export class ModelCache {
  readonly directory: string;
  readonly #presets: readonly Preset[];
  readonly #access: HubAccess;
  readonly #maxBytes: number;
  readonly #offline: boolean;
  readonly #lockFile: string;

  constructor(options: ModelCacheOptions = {}) {
    const { env } = process;
    this.directory = options.cacheDirectory ?? defaultCacheDirectory();
    this.#presets = [...PRESETS, ...(options.presets ?? [])];
    this.#maxBytes = options.maxBytes ?? DEFAULT_MAX_BYTES;
    this.#offline =
      options.offline ?? ['1', 'true', 'yes', 'on'].includes((env.HF_HUB_OFFLINE ?? '').toLowerCase());
    // In the folder that all tools skip when they list the cache.
    this.#lockFile = join(this.directory, '.locks', 'cinefuse-models.lock.json');
    this.#access = {
      hubUrl: (options.hubUrl ?? (env.HF_ENDPOINT || 'https://huggingface.co')).replace(/\/+$/, ''),
      accessToken: options.accessToken ?? (env.HF_TOKEN || undefined),
      fetch: options.fetch ?? fetch,
      retries: options.retries ?? 3,
      retryDelayMs: options.retryDelayMs ?? 500,
      stallMs: options.stallMs ?? 30_000,
    };
  }

  get presets(): readonly Preset[] {
    return this.#presets;
  }

  #preset(name: string): Preset {
    return this.#presets.find((preset) => preset.name === name) ?? findPreset(name);
  }

  /**
   * Brings a preset into the cache, going on where an earlier attempt stopped. Files that are there already are kept.
   * Every file is held against the hub's own hash, then against the preset's pinned hash or, without one, against
   * what was recorded when it first came; without a record it is recorded now.
   *
   * @param acceptChange  take a file that differs from the record, and record it anew
   * @throws InputError ERR_INPUT_VALUE     no such preset
   * @throws ModelError ERR_MODEL_DOWNLOAD  offline, unreachable, refused, missing; over `maxBytes`
   * @throws ModelError ERR_MODEL_CHECKSUM  damaged on the way, or not the file that was pinned or recorded
   * @throws ModelError ERR_MODEL_RUNTIME   @huggingface/hub is not installed
   * @throws CancelledError ERR_CANCELLED   what has come stays for the next attempt
   */
  async download(
    name: string,
    options: {
      signal?: AbortSignal | undefined;
      onProgress?: ((progress: DownloadProgress) => void) | undefined;
      acceptChange?: boolean | undefined;
    } = {},
  ): Promise<CachedModel> {
    const preset = this.#preset(name);
    const { repository, revision } = preset;
    throwIfCancelled(options.signal);
    if (this.#offline) {
      throw new ModelError('ERR_MODEL_DOWNLOAD', {
        message: `Fetching ${this.#access.hubUrl}/${repository} is not allowed: HF_HUB_OFFLINE is set. Unset it, or copy the model into ${this.directory}`,
        field: name,
        expected: 'to be online',
        got: 'offline',
      });
    }
    const paths = preset.files.map(({ path }) => path);
    const { commit, files } = await listFiles(this.#access, repository, revision, paths, options.signal);
    const total = files.reduce((sum, { bytes }) => sum + bytes, 0);
    if (total > this.#maxBytes) {
      throw new ModelError('ERR_MODEL_DOWNLOAD', {
        field: name,
        expected: `at most ${this.#maxBytes} bytes`,
        got: `${total} at ${this.#access.hubUrl}/${repository}`,
      });
    }
    let before = 0;
    const trusted: Record<string, LockEntry> = {};
    for (const file of files) {
      const blob = join(this.#folder(preset), 'blobs', file.etag);
      const onBytes = (bytes: number) =>
        options.onProgress?.({ path: file.path, done: before + bytes, total });
      if ((await sizeOf(blob)) !== file.bytes) {
        await downloadBlob(this.#access, { repository, commit, file }, blob, {
          signal: options.signal,
          onBytes,
        });
      }
      const { sha256 } = await hashFile(blob, { signal: options.signal, field: file.path });
      const trust = await this.#trust(preset, file, sha256, options.acceptChange ?? false);
      await linkInto(blob, join(this.#folder(preset), 'snapshots', commit, file.path));
      trusted[lockKey(preset, file.path)] = { sha256, bytes: file.bytes, commit, trust };
      onBytes(file.bytes);
      before += file.bytes;
    }
    await writeWhole(join(this.#folder(preset), 'refs', revision), commit, { createFolder: true });
    await writeLock(this.#lockFile, trusted);
    return (await this.find(name))!;
  }

  async #trust(
    preset: Preset,
    file: HubFile,
    sha256: string,
    acceptChange: boolean,
  ): Promise<'pinned' | 'first-use'> {
    const pinned = preset.files.find(({ path }) => path === file.path)?.sha256;
    const known = pinned ?? (await readLock(this.#lockFile)).files[lockKey(preset, file.path)]?.sha256;
    if (known !== undefined && known !== sha256 && (pinned !== undefined || !acceptChange)) {
      throw new ModelError('ERR_MODEL_CHECKSUM', {
        field: `${preset.name} ${file.path}`,
        expected: `SHA-256 ${known}, ${pinned ? 'which the preset pins' : 'which was recorded when it was first fetched'}`,
        got: `${sha256}${pinned ? '' : ': the repository or the mirror has changed; to take the new file, accept the change'}`,
      });
    }
    return pinned === undefined ? 'first-use' : 'pinned';
  }

  #folder({ repository }: Preset): string {
    return join(this.directory, `models--${repository.replaceAll('/', '--')}`);
  }

  /** A preset that is in the cache whole, or undefined. Looks at names and sizes; `verify` reads the files. */
  async find(name: string): Promise<CachedModel | undefined> {
    const preset = this.#preset(name);
    const lock = await readLock(this.#lockFile);
    const commit = await this.#commit(preset);
    if (commit === undefined) return undefined;
    const prefix = `snapshots/${commit}`;
    const files: CachedFile[] = [];
    for (const { path } of preset.files) {
      const file = join(this.#folder(preset), prefix, path);
      const entry = lock.files[lockKey(preset, path)];
      // Fetched by another tool: nothing is recorded yet, so its hash is what it is now.
      const known = entry?.commit === commit ? entry : await adopt(file);
      if (known === undefined || (await sizeOf(file)) !== known.bytes) return undefined;
      files.push({ path, sha256: known.sha256, bytes: known.bytes, trust: known.trust });
    }
    const spec: EncoderSpec = prefixSpecPaths(completeSpec(preset, files, commit), prefix);
    const { repository, revision } = preset;
    return {
      preset: preset.name,
      repository,
      revision,
      commit,
      files,
      spec,
      directory: this.#folder(preset),
    };
  }

  async #commit(preset: Preset): Promise<string | undefined> {
    if (/^[0-9a-f]{40}$/.test(preset.revision)) return preset.revision;
    const file = join(this.#folder(preset), 'refs', preset.revision);
    const text = await readFile(file, 'utf8').catch(() => '');
    return /^[0-9a-f]{40}$/.test(text.trim()) ? text.trim() : undefined;
  }

  /** Every preset that is in the cache whole. */
  async listCached(): Promise<CachedModel[]> {
    const found = await Promise.all(this.#presets.map(({ name }) => this.find(name)));
    return found.filter((model) => model !== undefined);
  }

  /**
   * Reads every file of the cached presets, or of one, and holds it against its hash.
   *
   * @throws CancelledError ERR_CANCELLED
   */
  async verify(
    options: { preset?: string | undefined; signal?: AbortSignal | undefined } = {},
  ): Promise<VerifiedModel[]> {
    const models =
      options.preset === undefined
        ? await this.listCached()
        : [await this.find(options.preset)].filter((model) => model !== undefined);
    const results: VerifiedModel[] = [];
    for (const { preset, directory, commit, files } of models) {
      const checked: VerifiedModel['files'] = [];
      for (const { path, sha256, bytes } of files) {
        const file = join(directory, 'snapshots', commit, path);
        try {
          await verifyFile({ path: file, sha256, bytes, field: `${preset} ${path}` }, options.signal);
          checked.push({ path, ok: true });
        } catch (error) {
          if (!(error instanceof CinefuseError) || error.code === 'ERR_CANCELLED') throw error;
          checked.push({ path, ok: false, problem: error.message });
        }
      }
      results.push({ preset, files: checked });
    }
    return results;
  }
}

/** As huggingface_hub has it. */
function defaultCacheDirectory(): string {
  const { HF_HUB_CACHE, HUGGINGFACE_HUB_CACHE, HF_HOME, XDG_CACHE_HOME } = process.env;
  const home = HF_HOME || join(XDG_CACHE_HOME || join(homedir(), '.cache'), 'huggingface');
  return HF_HUB_CACHE || HUGGINGFACE_HUB_CACHE || join(home, 'hub');
}

const lockKey = ({ repository, revision }: Preset, path: string) => `${repository}@${revision}:${path}`;

async function sizeOf(file: string): Promise<number | undefined> {
  return stat(file).then(
    ({ size }) => size,
    () => undefined,
  );
}

async function adopt(file: string): Promise<LockEntry | undefined> {
  if ((await sizeOf(file)) === undefined) return undefined;
  return { ...(await hashFile(file)), commit: '', trust: 'first-use' };
}

/** The snapshot's entry for a blob: a relative link, or a copy where links are not allowed. Replaced whole. */
async function linkInto(blob: string, entry: string): Promise<void> {
  await mkdir(dirname(entry), { recursive: true });
  const temporary = `${entry}.${randomUUID()}.tmp`;
  await symlink(relative(dirname(entry), blob), temporary).catch(() => copyFile(blob, temporary));
  await rename(temporary, entry);
}
