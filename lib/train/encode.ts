/** From a data set to a table of numbers: every input of every film through its encoder, once in the cache's life. */
import { meanVector } from '../encoders/embedding.js';
import { BackendError, DataError, describeValue, InputError, throwIfCancelled } from '../errors.js';
import { Bundle, loadBundle } from '../fusion/bundle.js';
import type { MetadataFields } from '../metadata/spec.js';
import type { GivenInputs, ParsedMovie } from '../movie.js';
import { LinkedSignal } from '../linked-signal.js';
import { SignalListeners } from '../signal-listeners.js';
import { Pace } from '../pace.js';
import { defaultBundlePath } from '../native.js';
import type { DataProblem, Dataset } from './data/types.js';
import {
  chooseWanted,
  encodeWanted,
  findKeys,
  type InputJob,
  inputJobs,
  parsedFilm,
} from './encode-inputs.js';
import type {
  EncodeDatasetOptions,
  EncodedDataset,
  EncodedModality,
  EncodeModality,
  EncodeProgress,
  TermsModalityOptions,
} from './encode-types.js';
import { EmbeddingCache } from './embedding-cache.js';
import { encodeFacts, fitFacts } from './metadata-modality.js';
import type { TableModality } from './table.js';
import { checkTerms, fitTermsModality, type TermsModality, type TextInputName } from './terms-modality.js';

export type * from './encode-types.js';

/** Films read together while they are looked through. */
const STRETCH = 256;
/** Damaged or vanished parts of the cache are made anew so many times. */
const TRIES = 3;

/**
 * Encodes the films of a data set. What the cache holds is not made again, and when it holds all no encoder is started;
 * a run that was cancelled goes on where it stopped. Inputs that cannot be decoded are told and left out. Only the
 * films of `split.train` are fitted on (the tables of people in the facts' encoder).
 *
 * @returns the table, without targets, in the data set's order; and the facts' encoder for the bundle
 * @throws DataError ERR_DATA_LEAK     an input known only after release, unless `beforeRelease` is false
 * @throws DataError ERR_DATA_COLUMN   facts to be fitted without a column of ratings
 * @throws DataError ERR_DATA_READ, ERR_DATA_WRITE  the data set or the cache
 * @throws InputError ERR_INPUT_VALUE  an unknown encoder, two modalities of one name, facts without a split
 * @throws BundleError, ModelError, MediaError ERR_MEDIA_RUNTIME  as Predictor.load
 * @throws CancelledError ERR_CANCELLED  what was encoded is in the cache
 */
export async function encodeDataset(
  dataset: Dataset,
  options: EncodeDatasetOptions = {},
): Promise<EncodedDataset> {
  throwIfCancelled(options.signal);
  const given = options.bundle ?? defaultBundlePath();
  const bundle = typeof given === 'string' ? await loadBundle(given, { signal: options.signal }) : given;
  // Many films at a time hang on one signal.
  using link = new LinkedSignal(new SignalListeners(), options.signal);
  const linked = { ...options, signal: link.signal };
  try {
    return await new Encoding(dataset, withEncoders(bundle, linked), linked).run();
  } finally {
    if (typeof given === 'string') await bundle.dispose();
  }
}

function withEncoders(bundle: Bundle, { encoders = [] }: EncodeDatasetOptions): Bundle {
  if (encoders.length === 0) return bundle;
  const all = [...bundle.encoders, ...encoders];
  const names = [...all.map(({ spec }) => spec.name), ...bundle.manifest.tfidf.map(({ name }) => name)];
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined) {
    throw new InputError('ERR_INPUT_VALUE', {
      field: 'encoders',
      expected: 'encoders of other names than those of the bundle',
      got: `${twice} twice`,
    });
  }
  return new Bundle(bundle.directory, bundle.manifest, all, bundle.tensors, undefined);
}

/** The bundle's own modalities, as sequences where its network takes sequences. */
function ofBundle({ manifest }: Bundle): EncodeModality[] {
  return manifest.modalities.map((modality, m) => ({
    ...modality,
    sequence: manifest.network.modalities[m]!.sequence !== undefined,
  }));
}

class Encoding {
  readonly #dataset: Dataset;
  readonly #bundle: Bundle;
  readonly #options: EncodeDatasetOptions;
  readonly #modalities: readonly EncodeModality[];
  readonly #cache: EmbeddingCache;
  readonly #problems: DataProblem[] = [];
  readonly #facts: (MetadataFields | undefined)[] = [];
  /** By modality of a TF-IDF member to be fitted. */
  readonly #texts = new Map<EncodeModality, GivenInputs[TextInputName][]>();
  readonly #titles: string[] = [];
  readonly #posters: (string | undefined)[] = [];
  #cached = 0;
  #stage: EncodeProgress['stage'] = 'read';
  #started = performance.now();
  readonly #begun = performance.now();

  constructor(dataset: Dataset, bundle: Bundle, options: EncodeDatasetOptions) {
    const { cache } = options;
    this.#dataset = dataset;
    this.#bundle = bundle;
    this.#options = options;
    this.#modalities = options.modalities ?? ofBundle(bundle);
    for (const modality of this.#modalities) if (this.#termsOf(modality)) this.#texts.set(modality, []);
    this.#cache =
      cache instanceof EmbeddingCache
        ? cache
        : new EmbeddingCache(cache === false ? { directory: null } : cache);
    this.#check();
  }

  #termsOf({ encoder }: EncodeModality): TermsModalityOptions | undefined {
    return this.#options.terms?.find(({ name }) => name === encoder);
  }

  #check(): void {
    const { metadata, split, targets = [], beforeRelease = true } = this.#options;
    const names = this.#modalities.map(({ name }) => name);
    const twice = names.find((name, i) => names.indexOf(name) !== i);
    if (twice !== undefined || names.length === 0) {
      throw new InputError('ERR_INPUT_VALUE', {
        field: 'modalities',
        expected: 'modalities of different names',
        got: twice === undefined ? 'none' : `${describeValue(twice)} twice`,
      });
    }
    for (const { name, input, encoder } of this.#modalities) {
      if ((input === 'metadata') === (encoder === 'metadata')) continue;
      throw new InputError('ERR_INPUT_VALUE', {
        field: `modalities.${name}.encoder`,
        expected: 'the encoder "metadata" for the input metadata, and for no other',
        got: `${describeValue(encoder)} for ${input}`,
      });
    }
    const facts = this.#modalities.find(({ encoder }) => encoder === 'metadata');
    if (facts && metadata === 'bundle' && !this.#bundle.manifest.metadata) {
      throw new InputError('ERR_INPUT_VALUE', {
        field: 'metadata',
        expected: "options of the fit, since the bundle has no facts' encoder",
        got: '"bundle"',
      });
    }
    if (facts && metadata !== 'bundle' && !split) {
      throw new InputError('ERR_INPUT_VALUE', {
        field: 'split',
        expected: `the parts of the data set, since ${facts.name} is fitted on train`,
        got: 'undefined',
      });
    }
    checkTerms([...this.#texts.keys()], this.#bundle, split);
    const inputs = this.#modalities.map(({ input }) => input);
    this.#dataset.refuseLeaks(inputs, { targets, beforeRelease });
  }

  async run(): Promise<EncodedDataset> {
    const { signal } = this.#options;
    const films = this.#dataset.length;
    const ready = this.#modalities.filter((modality) => !this.#texts.has(modality));
    const jobs = await inputJobs(ready, this.#bundle, this.#cache, films);
    await this.#look(jobs);
    const counts = jobs.map(
      ({ keys, shelf }) => keys.filter((key) => key !== undefined && shelf.has(key)).length,
    );
    this.#cached = counts.reduce((sum, count) => sum + count, 0);
    const vectors = await this.#vectors(jobs);
    let metadata: EncodedDataset['metadata'];
    const terms: EncodedDataset['terms'] = [];
    const modalities: Record<string, TableModality> = {};
    const reports: Record<string, EncodedModality> = {};
    const present = new Uint8Array(films * this.#modalities.length);
    for (const [m, modality] of this.#modalities.entries()) {
      const at = jobs.findIndex((job) => job.modalities.includes(modality));
      const text = await this.#encodeTerms(modality);
      const rows = text?.rows ?? vectors.get(modality)?.rows;
      const has = (row: number) => (rows ? rows[row] === 1 : this.#facts[row] !== undefined);
      let there = 0;
      for (let row = 0; row < films; row++) {
        if (!has(row)) continue;
        present[row * this.#modalities.length + m] = 1;
        there++;
      }
      if (text) {
        modalities[modality.name] = text.modality;
        terms.push(text.fitted);
        reports[modality.name] = { films: there, cached: 0, encoded: there, leftOut: text.leftOut };
      } else if (at < 0) {
        const made = await this.#encodeFacts();
        metadata = made.spec;
        modalities[modality.name] = made.modality;
        const cached = made.cached ? there : 0;
        reports[modality.name] = { films: there, cached, encoded: there - cached, leftOut: {} };
      } else {
        modalities[modality.name] = vectors.get(modality)!.modality;
        const { leftOut } = vectors.get(modality)!;
        reports[modality.name] = { films: there, cached: counts[at]!, encoded: jobs[at]!.encoded, leftOut };
      }
      throwIfCancelled(signal);
    }
    await this.#cache.prune();
    const groups = await this.#groups();
    return {
      table: {
        ids: this.#dataset.ids,
        modalities,
        present,
        targets: {},
        groups,
        titles: this.#titles,
        posters: this.#posters,
      },
      ...(metadata !== undefined && { metadata }),
      terms,
      modalities: reports,
      problems: this.#problems,
    };
  }

  /** Looks through all films: what each brings, by its hash, and its facts. */
  async #look(jobs: readonly InputJob[]): Promise<void> {
    const { signal } = this.#options;
    const wantsFacts = this.#modalities.some(({ encoder }) => encoder === 'metadata');
    const pace = new Pace();
    const { length } = this.#dataset;
    const context = {
      dataset: this.#dataset,
      files: this.#cache.files,
      problems: this.#problems,
      signal,
    };
    for (let start = 0; start < length; start += STRETCH) {
      throwIfCancelled(signal);
      this.#tell(start, length);
      const rows = Array.from({ length: Math.min(STRETCH, length - start) }, (_, k) => start + k);
      const movies = await this.#dataset.movies(rows, { signal });
      const films: ParsedMovie[] = [];
      for (const movie of movies) {
        const film = parsedFilm(movie);
        films.push(film);
        this.#facts.push(wantsFacts ? film.given.metadata : undefined);
        for (const [{ input }, texts] of this.#texts) texts.push(film.given[input as TextInputName]);
        this.#titles.push(movie.title ?? movie.id ?? '');
        this.#posters.push((movie.poster as { path?: string } | null | undefined)?.path);
        if (pace.due) await pace.rest();
      }
      await findKeys(jobs, rows, films, context);
    }
    this.#tell(length, length);
    await this.#cache.files.save();
  }

  /** Encodes what is missing, then fills the tables; what the cache turns out to have lost is encoded after all. */
  async #vectors(jobs: readonly InputJob[]): Promise<Map<EncodeModality, FilledModality>> {
    this.#begin('encode');
    for (let attempt = 1; ; attempt++) {
      for (const job of jobs) chooseWanted(job);
      const total = jobs.reduce((sum, { wanted }) => sum + wanted.length, 0);
      let done = 0;
      this.#tell(0, total);
      await encodeWanted(jobs, this.#bundle, this.#dataset, this.#options, (inputs) => {
        done += inputs;
        this.#tell(done, total);
      });
      const filled = new Map<EncodeModality, FilledModality>();
      const refused: DataProblem[] = [];
      let lost = 0;
      for (const job of jobs) {
        lost += await fillModalities(job, filled, (row, why, code) => {
          if (code !== '' && code !== 'ERR_INPUT_LANGUAGE') refused.push(this.#refusal(job, row, why));
        });
        throwIfCancelled(this.#options.signal);
      }
      if (lost === 0) {
        for (const { shelf } of jobs) await shelf.tidy();
        this.#problems.push(...refused);
        return filled;
      }
      if (attempt < TRIES) continue;
      throw new DataError('ERR_DATA_READ', {
        file: this.#cache.directory,
        expected: 'a cache that keeps what is written to it',
        got: `one that lost embeddings ${TRIES} times: is maxBytes too small, or is it being cleared?`,
      });
    }
  }

  #refusal({ job }: InputJob, row: number, why: string): DataProblem {
    const file = job.input === 'poster' ? this.#posters[row] : undefined;
    const id = this.#dataset.ids[row]!;
    return { file: file ?? this.#dataset.path, id, why: `${job.input} cannot be used: ${why}` };
  }

  async #encodeTerms(modality: EncodeModality): Promise<TermsModality | undefined> {
    const texts = this.#texts.get(modality);
    if (!texts) return undefined;
    this.#begin('terms');
    return fitTermsModality(modality, this.#termsOf(modality)!, {
      dataset: this.#dataset,
      texts,
      split: this.#options.split!,
      problems: this.#problems,
      signal: this.#options.signal,
      onTexts: (done, total) => this.#tell(done, total),
    });
  }

  async #encodeFacts() {
    const { metadata = {}, split, signal } = this.#options;
    this.#begin('facts');
    if (metadata === 'bundle') {
      const spec = this.#bundle.manifest.metadata!;
      return { modality: encodeFacts(spec, this.#facts), spec, cached: false };
    }
    const context = {
      dataset: this.#dataset,
      facts: this.#facts,
      cache: this.#cache,
      targets: this.#options.targets ?? [],
      threads: this.#options.threads,
      signal,
      onFolding: (done: number, total: number) => this.#tell(done, total),
    };
    return fitFacts(context, split!, metadata);
  }

  async #groups(): Promise<Record<string, string[][]>> {
    const { groups, signal } = this.#options;
    const fields = new Set(this.#dataset.columns.map(({ field }) => field));
    const names =
      groups ??
      [
        fields.has('genres') && 'genre',
        fields.has('language') && 'language',
        fields.has('releaseDate') && 'decade',
      ].filter((name) => name !== false);
    const found: Record<string, string[][]> = {};
    for (const name of names) found[name] = await this.#dataset.groups(name, { signal });
    return found;
  }

  #begin(stage: EncodeProgress['stage']): void {
    this.#stage = stage;
    this.#started = performance.now();
  }

  #tell(done: number, total: number): void {
    const now = performance.now();
    const left = done > 0 ? ((now - this.#started) / done) * (total - done) : undefined;
    this.#options.onProgress?.({
      stage: this.#stage,
      done,
      total,
      cached: this.#cached,
      elapsedMs: now - this.#begun,
      ...(left !== undefined && { remainingMs: left }),
    });
  }
}

interface FilledModality {
  modality: TableModality;
  /** By row: whether it is there. */
  rows: Uint8Array;
  leftOut: Record<string, number>;
}

function vectorsFor({ name }: EncodeModality, values: number): Float32Array {
  try {
    return new Float32Array(values);
  } catch (cause) {
    throw new BackendError('ERR_MEMORY', {
      field: name,
      expected: `room for ${values} numbers: fewer films, or sequences that are not kept`,
      got: (cause as Error).message,
      cause,
    });
  }
}

/** The modalities' tables out of the shelf. @returns how many entries the shelf has lost */
async function fillModalities(
  job: InputJob,
  filled: Map<EncodeModality, FilledModality>,
  refused: (row: number, why: string, code: string) => void,
): Promise<number> {
  const { shelf, keys, modalities } = job;
  const { dim } = shelf;
  const rowsOf = new Map<string, number[]>();
  keys.forEach((key, row) => {
    if (key === undefined) return;
    const rows = rowsOf.get(key);
    if (rows) rows.push(row);
    else rowsOf.set(key, [row]);
  });
  const longest = Math.max(1, ...new Set([...rowsOf.keys()].map((key) => shelf.length(key) ?? 0)));
  const tables = modalities.map((modality) => {
    const steps = modality.sequence ? longest : 1;
    const table: FilledModality = {
      modality: {
        dim,
        steps,
        values: vectorsFor(modality, keys.length * steps * dim),
        ...(modality.sequence && { lengths: new Int32Array(keys.length).fill(1) }),
      },
      rows: new Uint8Array(keys.length),
      leftOut: {},
    };
    filled.set(modality, table);
    return table;
  });
  const leaveOut = (rows: readonly number[], why: string, code: string) => {
    for (const row of rows) refused(row, why, code);
    for (const { leftOut } of tables) leftOut[why] = (leftOut[why] ?? 0) + rows.length;
  };
  const there = [...rowsOf.keys()].filter((key) => shelf.has(key));
  const lost = await shelf.read(there, (key, entry) => {
    const rows = rowsOf.get(key)!;
    if ('refused' in entry) {
      leaveOut(rows, entry.refused.why, entry.refused.code);
      return;
    }
    const mean = meanVector({ ...entry, dim });
    for (const { modality, rows: present } of tables) {
      for (const row of rows) {
        present[row] = 1;
        modality.values.set(modality.lengths ? entry.data : mean, row * modality.steps * dim);
        if (modality.lengths) modality.lengths[row] = entry.length;
      }
    }
  });
  for (const [key, { why, code }] of job.failed) leaveOut(rowsOf.get(key) ?? [], why, code);
  return lost.length;
}
