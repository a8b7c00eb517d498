import test from 'ava';
import {
  fromHalf,
  parseSafetensors,
  type StoredTensor,
  serializeSafetensors,
  toFloat32,
} from '../../lib/formats/safetensors.js';
import { random } from '../backends.js';
import { throwsTyped } from '../errors.js';

const all = new Map<string, StoredTensor>([
  ['a', { dtype: 'F32', shape: [2, 2], data: Float32Array.of(1, -2.5, 3e30, 0) }],
  ['b', { dtype: 'I8', shape: [3], data: Int8Array.of(-1, 0, 127) }],
  ['c.d', { dtype: 'F64', shape: [], data: Float64Array.of(Math.PI) }],
  ['empty', { dtype: 'F16', shape: [0, 4], data: new Uint16Array(0) }],
  ['half', { dtype: 'F16', shape: [4], data: Uint16Array.of(0x3c00, 0xc000, 0x0001, 0x7c00) }],
  ['brain', { dtype: 'BF16', shape: [2], data: Uint16Array.of(0x3f80, 0xc040) }],
  ['long', { dtype: 'I64', shape: [1], data: BigInt64Array.of(-5n) }],
]);

test('tensors come back as they were, aligned, and equal input gives equal bytes', (t) => {
  const bytes = serializeSafetensors(all, { made: 'here' });
  const back = parseSafetensors(bytes, 'x');
  t.deepEqual([...back.keys()].sort(), [...all.keys()].sort());
  for (const [name, tensor] of all) t.deepEqual(back.get(name), tensor, name);
  t.deepEqual(serializeSafetensors(new Map([...all].reverse()), { made: 'here' }), bytes);
  const header = JSON.parse(
    Buffer.from(bytes.subarray(8, 8 + Number(bytes[0]! + bytes[1]! * 256))).toString(),
  );
  t.is(header['c.d'].data_offsets[0] % 8, 0);
  t.is(bytes[0]! % 8, 0);
  t.is(parseSafetensors(bytes.slice(), 'x').size, all.size);
});

test('half, bfloat16 and integers widen to the right float32', (t) => {
  t.deepEqual([...toFloat32(all.get('half')!)], [1, -2, 2 ** -24, Infinity]);
  t.deepEqual([...toFloat32(all.get('brain')!)], [1, -3]);
  t.deepEqual([...toFloat32(all.get('long')!)], [-5]);
  t.deepEqual([...toFloat32(all.get('b')!)], [-1, 0, 127]);
  t.true(Number.isNaN(fromHalf(0x7e00)));
  t.is(fromHalf(0x3555), 0.333251953125);
});

const withHeader = (header: unknown, data = 16): Uint8Array => {
  const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header));
  const bytes = new Uint8Array(8 + json.length + data);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(json.length), true);
  bytes.set(json, 8);
  return bytes;
};

test('every lie in a header is a typed error', async (t) => {
  const entry = { dtype: 'F32', shape: [2], data_offsets: [0, 8] };
  const bad: Uint8Array[] = [
    new Uint8Array(0),
    new Uint8Array(7),
    withHeader('{').slice(0, 9),
    withHeader('{"a"'),
    withHeader('[]'),
    withHeader('null'),
    withHeader({ a: null }),
    withHeader({ a: { ...entry, dtype: 'F8' } }),
    withHeader({ a: { ...entry, dtype: '__proto__' } }),
    withHeader({ a: { ...entry, shape: [-2] } }),
    withHeader({ a: { ...entry, shape: [1.5] } }),
    withHeader({ a: { ...entry, shape: [3] } }),
    withHeader({ a: { ...entry, shape: [2 ** 31, 2 ** 31] } }),
    withHeader({ a: { ...entry, shape: Array(9).fill(1) } }),
    withHeader({ a: { ...entry, data_offsets: [8, 0] } }),
    withHeader({ a: { ...entry, data_offsets: [12, 20] } }),
    withHeader({ a: { ...entry, data_offsets: [0] } }),
    withHeader({ a: entry, b: { ...entry, data_offsets: [4, 12] } }),
    Uint8Array.from([255, 255, 255, 255, 255, 255, 255, 255, 0]),
  ];
  for (const bytes of bad) {
    await throwsTyped(t, () => parseSafetensors(bytes, 'w.safetensors'), {
      code: 'ERR_BUNDLE_FORMAT',
      file: 'w.safetensors',
    });
  }
});

test('fuzz: a damaged file is parsed or refused with a typed error, never anything else', (t) => {
  const whole = serializeSafetensors(all);
  const next = random(3);
  let refused = 0;
  for (let round = 0; round < 3000; round++) {
    const bytes = whole.slice(0, next() < 0.3 ? Math.floor(next() * whole.length) : whole.length);
    for (let flips = 0; flips < 1 + next() * 4; flips++)
      bytes[Math.floor(next() * bytes.length)] = next() * 256;
    try {
      parseSafetensors(bytes, 'x');
    } catch (error) {
      refused++;
      t.is((error as { code?: string }).code, 'ERR_BUNDLE_FORMAT', String(error));
    }
  }
  t.true(refused > 500);
});

test('data that does not fill its shape is refused on writing', async (t) => {
  await throwsTyped(
    t,
    () => serializeSafetensors(new Map([['a', { dtype: 'F32', shape: [3], data: new Float32Array(2) }]])),
    { code: 'ERR_BUNDLE_SHAPE', field: 'a' },
  );
  await throwsTyped(
    t,
    () => serializeSafetensors(new Map([['a', { dtype: 'I8', shape: [2], data: new Float32Array(2) }]])),
    { code: 'ERR_BUNDLE_SHAPE' },
  );
});
