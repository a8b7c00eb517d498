/** Small functions in every translated module, which instructions call. */
import { BLOCK, HOST, SITE } from './emit.js';
import { Code, type Func, type Value } from './wasm.js';

const host = (name: string) => HOST.findIndex((f) => f.name === name);

function define(parameters: Value[], result: Value, emit: (code: Code) => void): Func {
  const code = new Code(parameters);
  emit(code);
  return { parameters, result, code };
}

/** at(address, site): where device memory lies that the block found last holds, or else what the host finds. */
const at = define(['i64', 'i32'], 'i32', (c) => {
  const offset = c.local('i64');
  const place = c.local('i32');
  const halves = () => c.get(0).op('i32_wrap_i64').get(0).i64(32n).op('i64_shr_u', 'i32_wrap_i64').get(1);
  c.get(0).get(1).memory('i64_load', SITE.base).op('i64_sub').tee(offset);
  c.get(1).memory('i64_load', SITE.limit).op('i64_lt_u').if('i32');
  c.get(offset).op('i32_wrap_i64').get(1).memory('i32_load', SITE.delta).op('i32_add').tee(place);
  c.get(1).memory('i32_load', SITE.mask).op('i32_and').if();
  halves();
  c.call(host('misaligned')).op('unreachable', 'end').get(place);
  c.op('else');
  halves();
  // the host asks for the site's number of bytes itself
  c.i32(0).call(host('resolve')).op('end');
});

/** sharedAt(offset, bytes, site): bounds from the block's total. */
const sharedAt = (sharedAtByte: number) =>
  define(['i32', 'i32', 'i32'], 'i32', (c) => {
    c.get(0).op('i64_extend_i32_u').get(1).op('i64_extend_i32_u', 'i64_add');
    c.i32(0).memory('i32_load', BLOCK.sharedBytes).op('i64_extend_i32_u', 'i64_gt_u');
    c.get(0).get(1).i32(1).op('i32_sub', 'i32_and').i32(0).op('i32_ne', 'i32_or').if();
    c.get(0).get(2).call(host('outside')).op('unreachable', 'end');
    c.get(0).i32(sharedAtByte).op('i32_add');
  });

/** localAt(offset, frame, bytes, site): the thread's own memory, behind its registers. */
const localAt = (localAtByte: number, localBytes: number) =>
  define(['i64', 'i32', 'i32', 'i32'], 'i32', (c) => {
    c.get(0).i64(BigInt(localBytes)).get(2).op('i64_extend_i32_u', 'i64_sub', 'i64_gt_s');
    c.get(0).i64(0n).op('i64_lt_s', 'i32_or');
    c.get(0).op('i32_wrap_i64').get(2).i32(1).op('i32_sub', 'i32_and').i32(0).op('i32_ne', 'i32_or').if();
    c.get(0).op('i32_wrap_i64').get(3).call(host('outside')).op('unreachable', 'end');
    c.get(0).op('i32_wrap_i64').get(1).op('i32_add').i32(localAtByte).op('i32_add');
  });

/**
 * fma of floats, rounded once. The product of two is exact in double; the sum's rounding to double does harm only when
 * it lands between two floats, or among subnormal ones: the host does these.
 */
const fma = define(['f32', 'f32', 'f32'], 'f32', (c) => {
  const sum = c.local('f64');
  c.get(0).op('f64_promote_f32').get(1).op('f64_promote_f32', 'f64_mul');
  c.get(2).op('f64_promote_f32', 'f64_add').tee(sum);
  c.op('i64_reinterpret_f64').i64(0x1fffffffn).op('i64_and').i64(0x10000000n).op('i64_eq');
  c.get(sum)
    .op('f64_abs')
    .f64(2 ** -126)
    .op('f64_lt');
  c.get(sum).f64(0).op('f64_ne', 'i32_and', 'i32_or').if('f32');
  c.get(0).get(1).get(2).call(host('fmaExact'));
  c.op('else').get(sum).op('f32_demote_f64', 'end');
});

/** Subnormal numbers to zeros of their sign. */
const flush = define(['f32'], 'f32', (c) => {
  c.f32(0)
    .get(0)
    .op('f32_copysign')
    .get(0)
    .get(0)
    .op('f32_abs')
    .f32(2 ** -126)
    .op('f32_lt', 'select');
});
/** Into [0, 1], NaN to 0. */
const saturate = define(['f32'], 'f32', (c) => {
  c.get(0).f32(0).get(0).f32(0).op('f32_gt', 'select').f32(1).op('f32_min');
});

/** The smaller or larger, and of a number and NaN the number. */
const extreme = (op: 'f32_min' | 'f32_max') =>
  define(['f32', 'f32'], 'f32', (c) => {
    c.get(0).get(0).op('f32_ne').if('f32').get(1).op('else');
    c.get(1).get(1).op('f32_ne').if('f32').get(0).op('else').get(0).get(1).op(op, 'end', 'end');
  });

/** The upper 64 bits of an unsigned product, from four products of halves. */
function highProduct(c: Code) {
  const [middle, low, cross] = [c.local('i64'), c.local('i64'), c.local('i64')];
  const half = (n: number, upper: boolean) =>
    upper ? c.get(n).i64(32n).op('i64_shr_u') : c.get(n).i64(0xffffffffn).op('i64_and');
  half(0, false);
  half(1, false);
  c.op('i64_mul').set(low);
  half(0, true);
  half(1, false);
  c.op('i64_mul').get(low).i64(32n).op('i64_shr_u', 'i64_add').set(middle);
  half(0, false);
  half(1, true);
  c.op('i64_mul').get(middle).i64(0xffffffffn).op('i64_and', 'i64_add').set(cross);
  half(0, true);
  half(1, true);
  c.op('i64_mul')
    .get(middle)
    .i64(32n)
    .op('i64_shr_u', 'i64_add')
    .get(cross)
    .i64(32n)
    .op('i64_shr_u', 'i64_add');
}
const highUnsigned = define(['i64', 'i64'], 'i64', highProduct);
const highSigned = define(['i64', 'i64'], 'i64', (c) => {
  highProduct(c);
  for (const [n, other] of [
    [0, 1],
    [1, 0],
  ] as const) {
    c.i64(0n).get(other).get(n).i64(0n).op('i64_ge_s', 'select', 'i64_sub');
  }
});

/** Numbered in this order, behind the host's functions; a kernel's own function comes last. */
export const HELPERS = [
  'at',
  'sharedAt',
  'localAt',
  'fma',
  'flush',
  'saturate',
  'lesser',
  'greater',
  'highUnsigned',
  'highSigned',
] as const;

export function helpersOf(places: { shared: number; local: number; localBytes: number }): Func[] {
  const all: Record<(typeof HELPERS)[number], Func> = {
    at,
    sharedAt: sharedAt(places.shared),
    localAt: localAt(places.local, places.localBytes),
    fma,
    flush,
    saturate,
    lesser: extreme('f32_min'),
    greater: extreme('f32_max'),
    highUnsigned,
    highSigned,
  };
  return HELPERS.map((name) => all[name]);
}
