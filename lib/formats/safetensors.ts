/**
 * The safetensors format, as PyTorch users read and write it: 8 bytes of header length (little-endian), a JSON header
 * `{name: {dtype, shape, data_offsets: [begin, end]}}`, then the data, row-major, little-endian.
 */
import { BundleError } from '../errors.js';

const DTYPES = {
  F64: Float64Array,
  F32: Float32Array,
  F16: Uint16Array,
  BF16: Uint16Array,
  I64: BigInt64Array,
  I32: Int32Array,
  I16: Int16Array,
  I8: Int8Array,
  U8: Uint8Array,
  BOOL: Uint8Array,
} as const;

export type TensorDtype = keyof typeof DTYPES;
export type TensorData =
  | Float64Array
  | Float32Array
  | Uint16Array
  | BigInt64Array
  | Int32Array
  | Int16Array
  | Int8Array
  | Uint8Array;

export interface StoredTensor {
  dtype: TensorDtype;
  shape: readonly number[];
  /** F16 and BF16 as their bit patterns. */
  data: TensorData;
}

const MAX_HEADER_BYTES = 32 * 1024 * 1024;
const MAX_TENSORS = 100_000;

function bad(file: string, expected: string, got: string, cause?: unknown): BundleError {
  return new BundleError('ERR_BUNDLE_FORMAT', { file, expected, got, cause });
}

function productOf(shape: readonly number[]): number {
  return shape.reduce((a, b) => a * b, 1);
}

/**
 * Parses a safetensors file held in memory. Tensors are copied, so that the file's bytes can be let go.
 *
 * @param file  its name, for errors
 * @throws BundleError ERR_BUNDLE_FORMAT  truncated, overlapping or misdescribed data
 */
export function parseSafetensors(bytes: Uint8Array, file: string): Map<string, StoredTensor> {
  if (bytes.length < 8) throw bad(file, 'a safetensors file', `${bytes.length} bytes`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const headerLength = view.getBigUint64(0, true);
  if (headerLength > BigInt(Math.min(MAX_HEADER_BYTES, bytes.length - 8))) {
    throw bad(file, `a header within the file's ${bytes.length} bytes`, `a header of ${headerLength} bytes`);
  }
  const dataStart = 8 + Number(headerLength);
  let header: unknown;
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(8, dataStart)));
  } catch (cause) {
    throw bad(file, 'a JSON header', 'something else', cause);
  }
  if (typeof header !== 'object' || header === null || Array.isArray(header)) {
    throw bad(file, 'a JSON object as header', 'something else');
  }
  const dataLength = bytes.length - dataStart;
  const tensors = new Map<string, StoredTensor>();
  const stretches: [number, number, string][] = [];
  for (const [name, entry] of Object.entries(header)) {
    if (name === '__metadata__') continue;
    const { dtype, shape, data_offsets: offsets } = (entry ?? {}) as Record<string, unknown>;
    if (typeof dtype !== 'string' || !Object.hasOwn(DTYPES, dtype)) {
      throw bad(file, `a dtype of ${Object.keys(DTYPES).join(', ')} for ${name}`, String(dtype));
    }
    const isCount = (n: unknown): n is number => Number.isSafeInteger(n) && (n as number) >= 0;
    if (!Array.isArray(shape) || shape.length > 8 || !shape.every(isCount)) {
      throw bad(file, `a shape of at most 8 axes for ${name}`, JSON.stringify(shape)?.slice(0, 80));
    }
    if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount)) {
      throw bad(file, `data_offsets [begin, end] for ${name}`, JSON.stringify(offsets)?.slice(0, 80));
    }
    const [begin, end] = offsets as [number, number];
    const View = DTYPES[dtype as TensorDtype];
    const size = productOf(shape);
    if (end > dataLength || end < begin || end - begin !== size * View.BYTES_PER_ELEMENT) {
      throw bad(
        file,
        `${size * View.BYTES_PER_ELEMENT} bytes for ${name} of shape [${shape}] within ${dataLength} bytes of data`,
        `offsets ${begin} to ${end}`,
      );
    }
    if (tensors.size >= MAX_TENSORS) throw bad(file, `at most ${MAX_TENSORS} tensors`, 'more');
    stretches.push([begin, end, name]);
    // Not bytes.slice: a Buffer's shares its memory.
    const copy = new Uint8Array(bytes.subarray(dataStart + begin, dataStart + end));
    tensors.set(name, {
      dtype: dtype as TensorDtype,
      shape,
      data: new View(copy.buffer, 0, size),
    });
  }
  stretches.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  for (let i = 1; i < stretches.length; i++) {
    const [previous, current] = [stretches[i - 1]!, stretches[i]!];
    if (current[0] < previous[1])
      throw bad(file, 'tensors apart', `${previous[2]} and ${current[2]} overlap`);
  }
  return tensors;
}

/** The `__metadata__` of a file that `parseSafetensors` has taken. */
export function safetensorsMetadata(bytes: Uint8Array): Readonly<Record<string, string>> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const header = bytes.subarray(8, 8 + Number(view.getBigUint64(0, true)));
  const parsed = JSON.parse(new TextDecoder().decode(header)) as { __metadata__?: Record<string, string> };
  return parsed.__metadata__ ?? {};
}

/**
 * The bytes of a safetensors file. Tensors lie widest elements first, then by name, so that each is aligned to its
 * elements and the same tensors always give the same bytes.
 *
 * @throws BundleError ERR_BUNDLE_SHAPE  a tensor whose data does not fill its shape
 */
export function serializeSafetensors(
  tensors: ReadonlyMap<string, StoredTensor>,
  metadata?: Record<string, string>,
): Uint8Array {
  const header: Record<string, unknown> = metadata ? { __metadata__: metadata } : {};
  const names = [...tensors.keys()].sort();
  let offset = 0;
  const places: { data: TensorData; begin: number }[] = [];
  for (const name of names) {
    const { dtype, shape, data } = tensors.get(name)!;
    const size = productOf(shape);
    if (data.length !== size || !(data instanceof DTYPES[dtype])) {
      throw new BundleError('ERR_BUNDLE_SHAPE', {
        field: name,
        expected: `${size} ${dtype} values for shape [${shape}]`,
        got: `a ${data.constructor.name} of ${data.length}`,
      });
    }
    places.push({ data, begin: 0 });
  }
  const order = names
    .map((name, i) => ({ name, i, width: places[i]!.data.BYTES_PER_ELEMENT }))
    .sort((a, b) => b.width - a.width || (a.name < b.name ? -1 : 1));
  for (const { name, i } of order) {
    const place = places[i]!;
    const { dtype, shape } = tensors.get(name)!;
    place.begin = offset;
    offset += place.data.byteLength;
    header[name] = { dtype, shape: [...shape], data_offsets: [place.begin, offset] };
  }
  let json = JSON.stringify(header);
  json += ' '.repeat((8 - (Buffer.byteLength(json) % 8)) % 8);
  const headerBytes = new TextEncoder().encode(json);
  const bytes = new Uint8Array(8 + headerBytes.length + offset);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(headerBytes.length), true);
  bytes.set(headerBytes, 8);
  for (const { data, begin } of places) {
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), 8 + headerBytes.length + begin);
  }
  return bytes;
}

/** The value of an IEEE half-precision bit pattern. */
export function fromHalf(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

function fromHalves(halves: Uint16Array): Float32Array {
  const values = new Float32Array(halves.length);
  const words = new Uint32Array(values.buffer);
  for (let i = 0; i < halves.length; i++) {
    const bits = halves[i]!;
    const exponent = bits & 0x7c00;
    // Normal numbers by their bits; zeros, the tiniest, infinities and NaN one by one.
    if (exponent === 0 || exponent === 0x7c00) values[i] = fromHalf(bits);
    else words[i] = ((bits & 0x8000) << 16) | (((bits & 0x7fff) << 13) + 0x38000000);
  }
  return values;
}

/** A stored tensor's values as float32: F32 as it is, F64 rounded, F16 and BF16 widened, integers converted. */
export function toFloat32(tensor: StoredTensor): Float32Array {
  const { dtype, data } = tensor;
  if (data instanceof Float32Array) return data;
  if (data instanceof BigInt64Array) return Float32Array.from(data, Number);
  if (dtype === 'F16') return fromHalves(data as Uint16Array);
  if (dtype === 'BF16') {
    const words = Uint32Array.from(data as Uint16Array, (bits) => bits << 16);
    return new Float32Array(words.buffer);
  }
  return Float32Array.from(data);
}

/** IEEE half-precision bit patterns, rounded to the nearest, ties to even; too large becomes infinite. */
export function toHalves(values: Float32Array): Uint16Array {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  return Uint16Array.from(words, (word) => {
    const sign = (word >>> 16) & 0x8000;
    const rest = word & 0x7fffffff;
    if (rest > 0x7f800000) return sign | 0x7e00;
    if (rest >= 0x477ff000) return sign | 0x7c00;
    if (rest < 0x38800000) {
      // Below the smallest normal half: an integer multiple of 2^-24.
      const multiple = new Float32Array(Uint32Array.of(rest).buffer)[0]! * 2 ** 24;
      const floor = Math.floor(multiple);
      const over = multiple - floor;
      return sign | (floor + (over > 0.5 || (over === 0.5 && floor % 2 === 1) ? 1 : 0));
    }
    return sign | ((rest - 0x38000000 + 0xfff + ((rest >>> 13) & 1)) >>> 13);
  });
}
