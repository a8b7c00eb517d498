/** The thread that fits tables of people: forty fits of a few seconds each, which the main thread must not wait for. */
import { parentPort } from 'node:worker_threads';
import { toWireError, type WorkerReply } from '../encoders/worker-channel.js';
import { fitMetadata, type MetadataFitOptions, type MetadataRow, fitPeople } from '../metadata/fit.js';
import { MetadataEncoder } from '../metadata/metadata-encoder.js';
import type { MetadataFields, MetadataSpec } from '../metadata/spec.js';
import { randomOf, seedOf } from './random.js';

export interface SpecRequest {
  kind: 'spec';
  fit: MetadataFitOptions;
  training: MetadataRow[];
  /** Of all films. */
  facts: (MetadataFields | undefined)[];
}

export interface SpecReply {
  spec: MetadataSpec;
  dim: number;
  /** (films, dim): as serving encodes them. */
  full: Float32Array;
}

export interface FoldingRequest {
  kind: 'folding';
  seed: number;
  folding: number;
  folds: number;
  /** By field: the chance that it is hidden from a film. */
  hidden: Readonly<Record<string, number>>;
  /** With a thread's first request; the later ones are about the same. */
  given: Given | undefined;
}

interface Given {
  spec: MetadataSpec;
  fit: MetadataFitOptions;
  training: MetadataRow[];
}

export interface FoldingReply {
  /** (training films, dim) */
  held: Float32Array;
}

let known: Given | undefined;

function fitSpec({ fit, facts, training }: SpecRequest): SpecReply {
  const spec = fitMetadata(training, fit);
  const encoder = new MetadataEncoder(spec);
  const full = new Float32Array(facts.length * encoder.dim);
  facts.forEach((fields, row) => {
    if (fields) full.set(encoder.encode(fields).data, row * encoder.dim);
  });
  return { spec, dim: encoder.dim, full };
}

function fitFolding({ seed, folding, folds, hidden, given }: FoldingRequest): FoldingReply {
  known = given ?? known;
  const { spec, fit, training: rows } = known!;
  const random = randomOf(seedOf(seed, 'metadata', folding));
  // Folds as even as can be: with few films a random number each might leave one empty or alone.
  const fold = random.shuffle(Int32Array.from(rows, (_, i) => i % folds));
  const told = rows.map(({ fields }) => {
    const kept = Object.entries(fields).filter(([name]) => random.next() >= (hidden[name] ?? 0));
    return Object.fromEntries(kept) as MetadataFields;
  });
  const { dim } = new MetadataEncoder(spec);
  const held = new Float32Array(rows.length * dim);
  for (let k = 0; k < folds; k++) {
    const others = rows.filter((_, i) => fold[i] !== k);
    const encoder = new MetadataEncoder({ ...spec, people: fitPeople(others, spec, fit) });
    rows.forEach((_, i) => {
      if (fold[i] === k) held.set(encoder.encode(told[i]!).data, i * dim);
    });
  }
  return { held };
}

parentPort!.on('message', (request: { id: number } & (SpecRequest | FoldingRequest)) => {
  const { id } = request;
  try {
    const value = request.kind === 'spec' ? fitSpec(request) : fitFolding(request);
    const vectors = 'full' in value ? value.full : value.held;
    parentPort!.postMessage({ id, value } satisfies WorkerReply, [vectors.buffer as ArrayBuffer]);
  } catch (error) {
    parentPort!.postMessage({ id, error: toWireError(error, 'ERR_INTERNAL') } satisfies WorkerReply);
  }
});
