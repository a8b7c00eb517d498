/** Loads golden vectors (test/golden, or the full set where it is at hand) and holds results against them. */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { gunzipSync } from 'node:zlib';
import type { ExecutionContext } from 'ava';
import { packageRoot } from '../lib/native.js';
import { sharedPath } from './shared.js';

const VIEWS = {
  F64: Float64Array,
  F32: Float32Array,
  I32: Int32Array,
  I64: BigInt64Array,
  U8: Uint8Array,
  BOOL: Uint8Array,
} as const;
type GoldenData = Float64Array | Float32Array | Int32Array | BigInt64Array | Uint8Array;

export interface GoldenTensor {
  shape: number[];
  data: GoldenData;
}
export interface Tolerance {
  atol?: number;
  rtol?: number;
  nmax?: number;
  exact?: boolean;
}
export interface GoldenCase {
  name: string;
  // Each family has its own keys; a test reads those it knows.
  config: Record<string, unknown>;
  tol: Record<string, Tolerance>;
  tensors: Record<string, GoldenTensor>;
  /** Plain numbers, where a family has them. */
  values?: unknown;
}

/** The committed subset, or every case when the full set lies beside the checkout. */
export function loadGolden(family: string): GoldenCase[] {
  const full = sharedPath('golden');
  const dir = existsSync(path.join(full, `${family}.json`))
    ? full
    : path.join(packageRoot(), 'test', 'golden');
  const doc = JSON.parse(readFileSync(path.join(dir, `${family}.json`), 'utf8'));
  if (!doc.data) return doc.cases;
  const file = readFileSync(path.join(dir, doc.data));
  const raw = doc.data.endsWith('.gz') ? gunzipSync(file) : file;
  const bytes = raw.buffer.slice(raw.byteOffset, raw.byteOffset + raw.byteLength);
  const headerLength = Number(new DataView(bytes).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(bytes, 8, headerLength)));
  const tensor = (key: string): GoldenTensor => {
    const { dtype, shape, data_offsets } = header[key] as {
      dtype: keyof typeof VIEWS;
      shape: number[];
      data_offsets: [number, number];
    };
    const View = VIEWS[dtype];
    const [begin, end] = data_offsets;
    return { shape, data: new View(bytes, 8 + headerLength + begin, (end - begin) / View.BYTES_PER_ELEMENT) };
  };
  return doc.cases.map((c: GoldenCase & { tensors: Record<string, string> }) => ({
    ...c,
    tensors: Object.fromEntries(Object.entries(c.tensors).map(([field, key]) => [field, tensor(key)])),
  }));
}

/** A float32 copy of an input field. @param offset  elements by which the copy starts off its buffer's beginning */
export function f32(c: GoldenCase, field: string, offset = 0): Float32Array {
  const { data } = tensorOf(c, field);
  const array = new Float32Array(data.length + offset).subarray(offset);
  for (let i = 0; i < data.length; i++) array[i] = Number(data[i]);
  return array;
}

export function tensorOf(c: GoldenCase, field: string): GoldenTensor {
  const tensor = c.tensors[field];
  if (!tensor) throw new Error(`golden case ${c.name} has no field ${field}`);
  return tensor;
}

/**
 * Holds `got` against field `field` of the case: |got - ref| <= atol + rtol·|ref| + nmax·max|ref| for every element.
 * @param tolerance  replaces the case's own
 */
export function assertGolden(
  t: ExecutionContext,
  c: GoldenCase,
  field: string,
  got: ArrayLike<number>,
  label = '',
  tolerance?: Tolerance,
): void {
  const { data } = tensorOf(c, field);
  const tol = tolerance ?? c.tol[field];
  if (!tol) throw new Error(`golden case ${c.name} gives no tolerance for ${field}`);
  const where = `${c.name} ${field} ${label}`;
  t.is(got.length, data.length, `${where}: number of elements`);
  let top = 0;
  for (let i = 0; i < data.length; i++) top = Math.max(top, Math.abs(Number(data[i])));
  let worst = 0;
  let at = -1;
  for (let i = 0; i < data.length; i++) {
    const ref = Number(data[i]);
    const error = Math.abs((got[i] as number) - ref);
    const bound = tol.exact ? 0 : (tol.atol ?? 0) + (tol.rtol ?? 0) * Math.abs(ref) + (tol.nmax ?? 0) * top;
    const excess = error === 0 ? 0 : error / (bound || Number.MIN_VALUE);
    if (!(excess <= worst)) {
      worst = Number.isNaN(excess) ? Number.POSITIVE_INFINITY : excess;
      at = i;
    }
  }
  t.true(
    worst <= 1,
    `${where}: ${worst.toFixed(2)} x the tolerance at ${at}: got ${got[at]}, expected ${data[at]}`,
  );
}
