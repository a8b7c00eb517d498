/** From films' embeddings to the network's outputs, and how much each input had to do with them. */
import { meanVector } from './encoders/embedding.js';
import type { EncodedFilm } from './film-encoder.js';
import type { Moment } from './feedback.js';
import type { BundleManifest, InputName } from './fusion/manifest.js';
import type { FusionNetwork, NetworkInputs, NetworkSequence } from './fusion/network.js';
import type { ExecOptions } from './ops/exec.js';

/** Rows of one call of the network: films, and films with an input left out. */
const MAX_ROWS = 64;
/** Films that a FuseQueue takes through together: the event loop has other work too. */
const MOST_FILMS = 8;
/** Input values of one call: 64 MiB. Sequences are padded to the longest of the call. A film alone may take more. */
const MAX_VALUES = 2 ** 24;

/** What the network says of one film. */
export interface Fused {
  output: (head: string, i?: number) => number;
  present: string[];
  /** By input, in the order of the modalities; sums to 1. */
  weights: Map<InputName, number>;
  moments: Moment[];
}

/** What the network reads of a film. */
export type FilmEmbeddings = Pick<EncodedFilm, 'embeddings'>;

interface Row {
  film: FilmEmbeddings;
  without: InputName | undefined;
}

/** The network's inputs for these rows: absent modalities are masked, their values never read. */
function networkInputs(manifest: BundleManifest, rows: readonly Row[]): NetworkInputs {
  const batch = rows.length;
  const count = manifest.modalities.length;
  const present = new Uint8Array(batch * count);
  const modalities: Record<string, Float32Array | NetworkSequence> = {};
  manifest.modalities.forEach(({ name, input }, m) => {
    const { dim, sequence } = manifest.network.modalities[m]!;
    const embeddings = rows.map(({ film, without }) =>
      without === input ? undefined : film.embeddings.get(name),
    );
    if (embeddings.every((embedding) => embedding === undefined)) return;
    const steps = sequence ? Math.max(1, ...embeddings.map((embedding) => embedding?.length ?? 1)) : 1;
    const data = new Float32Array(batch * steps * dim);
    const lengths = new Int32Array(batch);
    embeddings.forEach((embedding, row) => {
      if (!embedding) return;
      present[row * count + m] = 1;
      lengths[row] = sequence ? embedding.length : 1;
      data.set(sequence ? embedding.data : meanVector(embedding), row * steps * dim);
    });
    modalities[name] = sequence ? { data, steps, lengths } : data;
  });
  return { batch, present, modalities };
}

/** The stretches of a film's media that the network attended to. */
function momentsOf(
  manifest: BundleManifest,
  film: EncodedFilm,
  row: number,
  batch: number,
  sequenceWeights: Record<string, Float32Array>,
): Moment[] {
  const moments: Moment[] = [];
  for (const { name, input } of manifest.modalities) {
    const embedding = film.embeddings.get(name);
    const weights = sequenceWeights[name];
    if (!embedding?.startMs || !embedding.endMs || !weights) continue;
    const steps = weights.length / batch;
    for (let i = 0; i < embedding.length; i++) {
      moments.push({
        input,
        startMs: embedding.startMs[i]!,
        endMs: embedding.endMs[i]!,
        weight: weights[row * steps + i]!,
      });
    }
  }
  return moments;
}

/** Films of many calls through the network: those that are ready while it runs go through it together next. */
export class FuseQueue {
  readonly #fuse: (films: readonly EncodedFilm[]) => Promise<Fused[]>;
  #waiting: {
    film: EncodedFilm;
    resolve: (fused: Fused) => void;
    reject: (error: unknown) => void;
  }[] = [];
  #busy = false;

  constructor(fuse: (films: readonly EncodedFilm[]) => Promise<Fused[]>) {
    this.#fuse = fuse;
  }

  /** @throws what the network throws for this film */
  fuse(film: EncodedFilm): Promise<Fused> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ film, resolve, reject });
      if (!this.#busy) void this.#work();
    });
  }

  async #work(): Promise<void> {
    this.#busy = true;
    while (this.#waiting.length > 0) {
      const films = this.#waiting.splice(0, MOST_FILMS);
      try {
        const fused = await this.#fuse(films.map(({ film }) => film));
        for (const [i, { resolve }] of films.entries()) resolve(fused[i]!);
      } catch (together) {
        // What is wrong with one film is no matter of the others.
        for (const { film, resolve, reject } of films) {
          if (films.length === 1) reject(together);
          else await this.#fuse([film]).then(([fused]) => resolve(fused!), reject);
        }
      }
    }
    this.#busy = false;
  }
}

/**
 * Runs the network over films, each as it is and with each of its inputs left out, and measures by the latter how
 * much each input mattered: the sum over heads of the (mean) change of their outputs, as a share of all inputs' changes.
 */
export async function fuseFilms(
  network: FusionNetwork,
  manifest: BundleManifest,
  films: readonly EncodedFilm[],
  exec: ExecOptions,
): Promise<Fused[]> {
  const names = manifest.modalities.map(({ name }) => name);
  const results: Fused[] = [];
  let rows: Row[] = [];
  let steps = new Map<string, { length: number; dim: number }>();
  let pending: { film: EncodedFilm; inputs: InputName[]; first: number }[] = [];
  const flush = async () => {
    if (rows.length === 0) return;
    const run = await network.run(networkInputs(manifest, rows), { ...exec, sequenceWeights: true });
    const widths = new Map(network.spec.heads.map(({ name, out }) => [name, out]));
    for (const { film, inputs, first } of pending) {
      const at = (head: string, row: number, i = 0) => run.heads[head]![row * widths.get(head)! + i]!;
      const change = (head: string, row: number) => {
        const out = widths.get(head)!;
        let sum = 0;
        for (let i = 0; i < out; i++) sum += Math.abs(at(head, first, i) - at(head, row, i));
        return sum / out;
      };
      const changes = inputs.map((_, i) =>
        inputs.length === 1
          ? 1
          : manifest.heads
              .filter(({ task }) => task !== 'auxiliary')
              .reduce((sum, { name }) => sum + change(name, first + 1 + i), 0),
      );
      const total = changes.reduce((a, b) => a + b, 0);
      results.push({
        output: (head, i) => at(head, first, i),
        present: names.filter((name) => film.embeddings.has(name)),
        weights: new Map(
          inputs.map((input, i) => [input, total > 0 ? changes[i]! / total : 1 / inputs.length]),
        ),
        moments: momentsOf(manifest, film, first, rows.length, run.sequenceWeights ?? {}),
      });
    }
    rows = [];
    pending = [];
  };
  for (const film of films) {
    const inputs = [
      ...new Set(
        manifest.modalities.filter(({ name }) => film.embeddings.has(name)).map(({ input }) => input),
      ),
    ];
    const own: Row[] = [{ film, without: undefined }];
    if (inputs.length > 1) own.push(...inputs.map((without): Row => ({ film, without })));
    const next = longest(film, steps);
    const values = valuesOf(next) * (rows.length + own.length);
    if (rows.length + own.length > MAX_ROWS || values > MAX_VALUES) {
      await flush();
      steps = longest(film, new Map());
    } else steps = next;
    pending.push({ film, inputs, first: rows.length });
    rows.push(...own);
  }
  await flush();
  return results;
}

/** A film's outputs, and the names of its modalities that are there, in the network's order. */
export type FilmOutputs = Pick<Fused, 'output' | 'present'>;

/**
 * Runs the network over films as they are, nothing left out.
 *
 * @returns one a film, in order; undefined for a film without any embedding
 */
export async function filmOutputs(
  network: FusionNetwork,
  manifest: BundleManifest,
  films: readonly FilmEmbeddings[],
  exec: ExecOptions,
): Promise<(FilmOutputs | undefined)[]> {
  const names = manifest.modalities.map(({ name }) => name);
  const widths = new Map(network.spec.heads.map(({ name, out }) => [name, out]));
  const results: (FilmOutputs | undefined)[] = films.map(() => undefined);
  let rows: number[] = [];
  let steps = new Map<string, { length: number; dim: number }>();
  const flush = async () => {
    if (rows.length === 0) return;
    const taken = rows.map((row): Row => ({ film: films[row]!, without: undefined }));
    const { heads } = await network.run(networkInputs(manifest, taken), exec);
    rows.forEach((at, row) => {
      results[at] = {
        output: (head, i = 0) => heads[head]![row * widths.get(head)! + i]!,
        present: names.filter((name) => films[at]!.embeddings.has(name)),
      };
    });
    rows = [];
    steps = new Map();
  };
  for (const [at, film] of films.entries()) {
    if (film.embeddings.size === 0) continue;
    const next = longest(film, steps);
    if (rows.length === MAX_ROWS || valuesOf(next) * (rows.length + 1) > MAX_VALUES) await flush();
    steps = longest(film, steps);
    rows.push(at);
  }
  await flush();
  return results;
}

/** By modality the longest sequence, of the films so far and this one. */
function longest(film: FilmEmbeddings, before: ReadonlyMap<string, { length: number; dim: number }>) {
  const steps = new Map(before);
  for (const [name, { length, dim }] of film.embeddings) {
    steps.set(name, { length: Math.max(length, steps.get(name)?.length ?? 0), dim });
  }
  return steps;
}

function valuesOf(steps: ReadonlyMap<string, { length: number; dim: number }>): number {
  let values = 0;
  for (const { length, dim } of steps.values()) values += length * dim;
  return values;
}
