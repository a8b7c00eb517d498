/** The inputs of all films of a data set through one encoder each, as far as the cache lacks them. */
import { createHash } from 'node:crypto';
import type { EncoderModel } from '../encoders/pool.js';
import { CinefuseError, describeValue, InputError, throwIfCancelled } from '../errors.js';
import { type EncodedFilm, type EncodingJob, FilmEncoder } from '../film-encoder.js';
import { Bundle } from '../fusion/bundle.js';
import { type GivenInputs, type ParsedMovie, parseMovie } from '../movie.js';
import type { Movie } from '../movie.js';
import { Stopwatch } from '../stopwatch.js';
import type { Refusal } from './cache-segments.js';
import type { CacheShelf } from './cache-shelf.js';
import type { DataProblem, Dataset } from './data/types.js';
import type { EmbeddingCache } from './embedding-cache.js';
import type { EncodeDatasetOptions, EncodeModality } from './encode-types.js';
import type { FileHashes } from './file-hashes.js';

/** What is refused for what it is, by any run with the same recipe. Anything else may work the next time. */
const LASTING = new Set(['ERR_MEDIA_FORMAT', 'ERR_MEDIA_EMPTY', 'ERR_INPUT_LANGUAGE', 'ERR_INPUT_VALUE']);
/** Of the film, not of the machine or the encoder: the film goes on without the input. */
const OF_THE_FILM = /^ERR_(INPUT|MEDIA)_/;
const NOT_OF_THE_FILM = new Set(['ERR_MEDIA_RUNTIME', 'ERR_MEDIA_PROCESS']);
const BATCH = 32;
/** Batches under way: one is decoded while another is encoded. */
const UNDER_WAY = 2;

/** One input through one encoder, for any number of modalities. */
export interface InputJob {
  job: EncodingJob;
  modalities: EncodeModality[];
  shelf: CacheShelf;
  /** By row: the hash of what the film brings, if it brings anything. */
  keys: (string | undefined)[];
  /** Rows whose keys are to be encoded; of films that bring the same thing, one. */
  wanted: number[];
  encoded: number;
  /** By key: why there is no vector now, of what may work the next time. */
  failed: Map<string, Refusal>;
}

type FieldOfInput = Exclude<keyof GivenInputs, 'metadata'>;

const fieldOf = ({ input }: EncodingJob): FieldOfInput =>
  input.startsWith('trailer.') ? 'trailer' : (input as FieldOfInput);

/** Jobs for the modalities; those that rest on the same input and encoder share one. */
export async function inputJobs(
  modalities: readonly EncodeModality[],
  bundle: Bundle,
  cache: EmbeddingCache,
  films: number,
): Promise<InputJob[]> {
  const jobs = new Map<string, InputJob>();
  for (const modality of modalities) {
    if (modality.encoder === 'metadata') continue;
    const { input, encoder, languages, sampling, maxDurationMs } = modality;
    const { recipe, dim } = encoderRecipe(bundle, encoder, modality.name);
    const what = { input, languages, sampling, maxDurationMs };
    const key = JSON.stringify({ ...what, encoder });
    const known = jobs.get(key);
    if (known) known.modalities.push(modality);
    else {
      jobs.set(key, {
        job: { key, input, encoder, languages, sampling, maxDurationMs },
        modalities: [modality],
        shelf: await cache.shelf({ ...what, encoder: recipe }, dim),
        keys: new Array(films).fill(undefined),
        wanted: [],
        encoded: 0,
        failed: new Map(),
      });
    }
  }
  return [...jobs.values()];
}

/** All that an encoder's vectors depend on: its spec names the hashes of its files. */
function encoderRecipe(bundle: Bundle, name: string, modality: string): { recipe: object; dim: number } {
  const model = bundle.encoders.find(({ spec }) => spec.name === name);
  if (model) return { recipe: model.spec, dim: model.spec.dim };
  const tfidf = bundle.manifest.tfidf.find((spec) => spec.name === name);
  if (tfidf) {
    const hash = createHash('sha256');
    hash.update(JSON.stringify(tfidf));
    for (const part of ['idf', 'projection', 'scale']) {
      const { data } = bundle.tensors.get(`tfidf.${name}.${part}`)!;
      hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    }
    return { recipe: { tfidf: hash.digest('hex') }, dim: tfidf.dim };
  }
  const known = [
    ...bundle.encoders.map(({ spec }) => spec.name),
    ...bundle.manifest.tfidf.map((t) => t.name),
  ];
  throw new InputError('ERR_INPUT_VALUE', {
    field: `modalities.${modality}.encoder`,
    expected: `one of ${[...known, 'metadata'].join(', ')}`,
    got: describeValue(name),
  });
}

/** The hash of what a film brings for an input. @throws what reading its file throws */
async function contentKey(
  input: NonNullable<GivenInputs[FieldOfInput]>,
  files: FileHashes,
  signal: AbortSignal | undefined,
): Promise<string> {
  const hash = createHash('sha256');
  if (typeof input === 'string') hash.update('text\0').update(input);
  else if ('path' in input && typeof input.path === 'string') {
    hash.update('file\0').update(await files.of(input.path, signal));
  } else hash.update('list\0').update(JSON.stringify(input));
  return hash.digest('hex').slice(0, 40);
}

/** Fills in the keys of some films' inputs. */
export async function findKeys(
  jobs: readonly InputJob[],
  rows: readonly number[],
  films: readonly ParsedMovie[],
  context: { dataset: Dataset; files: FileHashes; problems: DataProblem[]; signal: AbortSignal | undefined },
): Promise<void> {
  for (const [i, row] of rows.entries()) {
    const { given } = films[i]!;
    const keys = new Map<FieldOfInput, string | undefined>();
    for (const { job, keys: all } of jobs) {
      const field = fieldOf(job);
      const input = given[field];
      if (input === undefined) continue;
      if (!keys.has(field)) {
        const key = await contentKey(input, context.files, context.signal).catch((error: unknown) => {
          if (error instanceof CinefuseError) throw error;
          const file = (input as { path?: string }).path ?? context.dataset.path;
          const why = `it cannot be read: ${(error as Error).message}`;
          context.problems.push({ file, id: context.dataset.ids[row]!, why });
          return undefined;
        });
        keys.set(field, key);
      }
      all[row] = keys.get(field);
    }
  }
}

/** A film with nothing to predict from is one without inputs here. */
export function parsedFilm(movie: Movie): ParsedMovie {
  if (Object.keys(movie).length <= 1) return { given: {} };
  return parseMovie(movie);
}

/** Rows to encode: what the shelf lacks, each content once. */
export function chooseWanted(job: InputJob): void {
  const seen = new Set<string>();
  job.wanted = job.keys.flatMap((key, row) => {
    if (key === undefined || job.shelf.has(key) || seen.has(key) || job.failed.has(key)) return [];
    seen.add(key);
    return [row];
  });
}

/** Encodes what is wanted and puts it into the shelves. Starts no encoder when nothing is. */
export async function encodeWanted(
  jobs: readonly InputJob[],
  bundle: Bundle,
  dataset: Dataset,
  options: EncodeDatasetOptions,
  onDone: (inputs: number) => void,
): Promise<void> {
  const waiting = jobs.filter(({ wanted }) => wanted.length > 0);
  if (waiting.length === 0) return;
  // The same films give the same bits, however quickly each of them is read.
  const encoder = await FilmEncoder.create(partOf(bundle, waiting), { ...options, mixCalls: false });
  let failed: { error: unknown } | undefined;
  try {
    for (const job of waiting) await encodeJob(job, encoder, dataset, options, onDone);
  } catch (error) {
    failed = { error };
  }
  await encoder.dispose();
  // Also when cancelled: what was made is there the next time.
  const written = await Promise.allSettled(waiting.map(({ shelf }) => shelf.flush()));
  if (failed) throw failed.error;
  for (const result of written) if (result.status === 'rejected') throw result.reason;
}

/** The bundle with only the encoders that are wanted: the others need not be loaded. */
function partOf(bundle: Bundle, jobs: readonly InputJob[]): Bundle {
  const names = new Set(jobs.map(({ job }) => job.encoder));
  const { metadata: _, sentiment: __, ...manifest } = bundle.manifest;
  const tfidf = manifest.tfidf.filter(({ name }) => names.has(name));
  const encoders: EncoderModel[] = bundle.encoders.filter(({ spec }) => names.has(spec.name));
  return new Bundle(bundle.directory, { ...manifest, tfidf }, encoders, bundle.tensors, undefined);
}

async function encodeJob(
  job: InputJob,
  encoder: FilmEncoder,
  dataset: Dataset,
  options: EncodeDatasetOptions,
  onDone: (inputs: number) => void,
): Promise<void> {
  const { batchSize = BATCH, signal } = options;
  let next = 0;
  let broken = false;
  const batches = async () => {
    while (next < job.wanted.length && !broken) {
      throwIfCancelled(signal);
      const rows = job.wanted.slice(next, next + batchSize);
      next += rows.length;
      const movies = await dataset.movies(rows, { signal });
      const films = movies.map((movie) => onlyInput(movie, fieldOf(job.job)));
      const encoded = await encoder.encode(films, [job.job], {
        signal,
        onInputError: 'throw',
        decoding: new Stopwatch(),
        encoding: new Stopwatch(),
      });
      encoded.forEach((film, i) => {
        keep(job, rows[i]!, film);
      });
      onDone(rows.length);
    }
  };
  const lane = () =>
    batches().catch((error: unknown) => {
      broken = true;
      throw error;
    });
  const lanes = await Promise.allSettled(Array.from({ length: UNDER_WAY }, lane));
  const failed = lanes.find((result) => result.status === 'rejected');
  if (failed) throw failed.reason;
}

function onlyInput(movie: Movie, field: FieldOfInput): ParsedMovie {
  const { given } = parsedFilm(movie);
  return { given: { [field]: given[field] } };
}

/** Without the film's file: others may have the same. */
function whyOf({ expected, got, message }: CinefuseError): string {
  return expected !== undefined && got !== undefined ? `expected ${expected}, received ${got}` : message;
}

function keep(job: InputJob, row: number, film: EncodedFilm): void {
  const key = job.keys[row]!;
  const embedding = film.embeddings.get(job.job.key);
  if (embedding) {
    job.shelf.put(key, { data: embedding.data, length: embedding.length });
    job.encoded++;
    return;
  }
  const { error } = film;
  if (error && (!OF_THE_FILM.test(error.code) || NOT_OF_THE_FILM.has(error.code))) throw error;
  const why = film.notUsed.get(job.job.input);
  const refused: Refusal = error
    ? { code: error.code, why: whyOf(error) }
    : { code: '', why: why ?? 'the encoder made nothing of it' };
  if (!error || LASTING.has(error.code)) job.shelf.put(key, { refused });
  else job.failed.set(key, refused);
}
