/** The interpreter's arithmetic, against BigInt and by hand. */
import test from 'ava';
import { random } from '../backends.js';
import { bitsOf, checkWords, compute, floatsOf, launch, longs, PAIRS, TID } from './by-hand.js';

function largest(a: bigint, b: bigint): bigint {
  if (a > b) return a;
  return b;
}

test('integers of 32 bits', (t) => {
  const min = (a: bigint, b: bigint) => (a < b ? a : b);
  checkWords(t, 'add.s32 %r4, %r1, %r2;', (a, b) => a + b);
  checkWords(t, 'sub.u32 %r4, %r1, %r2;', (a, b) => a - b);
  checkWords(t, 'mul.lo.s32 %r4, %r1, %r2;', (a, b) => a * b);
  checkWords(t, 'mul.hi.s32 %r4, %r1, %r2;', (a, b) => (a * b) >> 32n);
  checkWords(t, 'mul.hi.u32 %r4, %r1, %r2;', (a, b) => (a * b) >> 32n);
  checkWords(t, 'mad.lo.u32 %r4, %r1, %r2, %r3;', (a, b, c) => a * b + c);
  checkWords(t, 'mad.hi.s32 %r4, %r1, %r2, %r3;', (a, b, c) => ((a * b) >> 32n) + c);
  checkWords(t, 'min.s32 %r4, %r1, %r2;', min);
  checkWords(t, 'min.u32 %r4, %r1, %r2;', min);
  checkWords(t, 'max.s32 %r4, %r1, %r2;', largest);
  checkWords(t, 'abs.s32 %r4, %r1;', (a) => (a < 0n ? -a : a));
  checkWords(t, 'neg.s32 %r4, %r1;', (a) => -a);
  checkWords(
    t,
    'and.b32 %r4, %r1, 61680; xor.b32 %r4, %r4, %r2; or.b32 %r4, %r4, 5; not.b32 %r4, %r4;',
    (a, b) => ~(((a & 61680n) ^ b) | 5n),
  );
  const nonzero = PAIRS.filter(([, b]) => b !== 0);
  checkWords(t, 'div.u32 %r4, %r1, %r2;', (a, b) => a / b, nonzero);
  checkWords(t, 'rem.u32 %r4, %r1, %r2;', (a, b) => a % b, nonzero);
  const proper = nonzero.filter(([a, b]) => !(a === 0x80000000 && b === 0xffffffff));
  checkWords(t, 'div.s32 %r4, %r1, %r2;', (a, b) => a / b, proper);
  checkWords(t, 'rem.s32 %r4, %r1, %r2;', (a, b) => a % b, proper);
});

test('shifts and bits', (t) => {
  checkWords(t, 'shl.b32 %r4, %r1, %r2;', (a, b) => (b > 31n ? 0n : a << b));
  checkWords(t, 'shr.u32 %r4, %r1, %r2;', (a, b) => (b > 31n ? 0n : a >> b));
  checkWords(t, 'shr.s32 %r4, %r1, %r2;', (a, b) => a >> (BigInt.asUintN(32, b) > 31n ? 31n : b));
  checkWords(t, 'shr.s32 %r4, %r1, 40;', (a) => a >> 31n);
  checkWords(t, 'shl.b32 %r4, %r1, 32;', () => 0n);
  const field = (a: bigint, b: bigint, c: bigint) => [a, b & 255n, c & 255n] as const;
  checkWords(t, 'bfe.u32 %r4, %r1, %r2, %r3;', (...x) => {
    const [a, at, n] = field(...x);
    return at > 31n ? 0n : BigInt.asUintN(Number(n > 32n ? 32n : n), a >> at);
  });
  checkWords(t, 'bfe.s32 %r4, %r1, %r2, %r3;', (...x) => {
    const [a, at, n] = field(...x);
    return BigInt.asIntN(Number(n > 32n ? 32n : n), a >> (at > 32n ? 32n : at));
  });
  checkWords(t, 'bfi.b32 %r4, %r1, -1, %r2, %r3;', (...x) => {
    const [a, at, n] = field(...x);
    const mask = ((1n << (n > 32n ? 32n : n)) - 1n) << at;
    return ((a << at) & mask) | (0xffffffffn & ~mask);
  });
  checkWords(t, 'lop3.b32 %r4, %r1, %r2, %r3, 0xCA;', (a, b, c) => (a & b) | (~a & c));
  checkWords(t, 'lop3.b32 %r4, %r1, %r2, %r3, 0x96;', (a, b, c) => a ^ b ^ c);
  checkWords(t, 'shf.l.wrap.b32 %r4, %r1, %r2, %r3;', (a, b, c) => (((b << 32n) | a) << (c & 31n)) >> 32n);
  checkWords(t, 'shf.r.clamp.b32 %r4, %r1, %r2, %r3;', (a, b, c) => ((b << 32n) | a) >> (c > 32n ? 32n : c));
  checkWords(t, 'prmt.b32 %r4, %r1, %r2, 0x5410;', (a, b) => (a & 0xffffn) | (b << 16n));
  checkWords(t, 'prmt.b32 %r4, %r1, %r2, 0x8880;', (a) => (a & 0xffn) | ((a & 0x80n ? 0xffffffn : 0n) << 8n));
  checkWords(t, 'clz.b32 %r4, %r1;', (a) => 32n - (a === 0n ? 0n : BigInt(a.toString(2).length)));
  checkWords(t, 'popc.b32 %r4, %r1;', (a) => BigInt([...a.toString(2)].filter((c) => c === '1').length));
  checkWords(t, 'brev.b32 %r4, %r1;', (a) =>
    BigInt(`0b${[...a.toString(2).padStart(32, '0')].reverse().join('')}`),
  );
  checkWords(t, 'mov.b32 {%h1, %h2}, %r1; mov.b32 %r4, {%h2, %h1};', (a) => (a >> 16n) | (a << 16n));
});

test('comparisons and choices, predicates', (t) => {
  const bool = (b: boolean) => (b ? 7n : 9n);
  for (const [name, holds] of Object.entries<(a: bigint, b: bigint) => boolean>({
    eq: (a, b) => a === b,
    ne: (a, b) => a !== b,
    lt: (a, b) => a < b,
    le: (a, b) => a <= b,
    gt: (a, b) => a > b,
    ge: (a, b) => a >= b,
  })) {
    for (const type of ['s32', 'u32'])
      checkWords(t, `setp.${name}.${type} %p1, %r1, %r2; selp.${type} %r4, 7, 9, %p1;`, (a, b) =>
        bool(holds(a, b)),
      );
  }
  checkWords(
    t,
    'setp.lt.u32 %p1, %r1, %r2; setp.ge.and.u32 %p2, %r3, 40, !%p1; mov.u32 %r4, 9; @%p2 mov.u32 %r4, 7;',
    (a, b, c) => bool(c >= 40n && !(a < b)),
  );
  const specials = [0, -0, 1, -1, Number.NaN, Number.POSITIVE_INFINITY, 1e-45];
  for (const [name, holds] of Object.entries<(a: number, b: number) => boolean>({
    lt: (a, b) => a < b,
    ne: (a, b) => a < b || a > b,
    neu: (a, b) => a !== b,
    ltu: (a, b) => !(a >= b),
    equ: (a, b) => !(a < b || a > b),
    nan: (a, b) => Number.isNaN(a + b - a - b) && (Number.isNaN(a) || Number.isNaN(b)),
    num: (a, b) => !Number.isNaN(a) && !Number.isNaN(b),
  })) {
    const inputs = specials.flatMap((a) => specials.map((b) => [...bitsOf(a, b)]));
    const got = compute(
      `mov.b32 %f1, %r1; mov.b32 %f2, %r2; setp.${name}.f32 %p1, %f1, %f2; selp.u32 %r4, 1, 0, %p1;`,
      inputs,
    );
    const expected = specials.flatMap((a) => specials.map((b) => (holds(a, b) ? 1 : 0)));
    t.deepEqual([...got], expected, name);
  }
});

test('integers of 64 bits, and between widths', (t) => {
  const next = random(1);
  const values = [
    0n,
    1n,
    0xffffffffn,
    0x100000000n,
    0x7fffffffffffffffn,
    0x8000000000000000n,
    0xffffffffffffffffn,
  ];
  for (let n = 0; n < 9; n++)
    values.push((BigInt(Math.floor(next() * 2 ** 32)) << 32n) | BigInt(Math.floor(next() * 2 ** 32)));
  const pairs = values.flatMap((a) => values.map((b) => [a, b] as const));
  const check = (instruction: string, expected: (a: bigint, b: bigint) => bigint, signed = false) => {
    const inputs = new Uint8Array(BigUint64Array.from(pairs.flat()).buffer);
    const body = `${TID} ld.global.v2.u64 {%l11, %l12}, [%l9]; ${instruction} st.global.u64 [%l8], %l13;`;
    const [, out] = launch(body, [inputs, new Uint8Array(8 * pairs.length)], { block: [pairs.length, 1, 1] });
    const big = (x: bigint) => (signed ? BigInt.asIntN(64, x) : x);
    const want = pairs.map(([a, b]) => BigInt.asUintN(64, expected(big(a), big(b))));
    t.deepEqual([...longs(out!)], want, instruction);
  };
  check('mul.lo.s64 %l13, %l11, %l12;', (a, b) => a * b);
  check('mul.hi.u64 %l13, %l11, %l12;', (a, b) => (a * b) >> 64n);
  check('mul.hi.s64 %l13, %l11, %l12;', (a, b) => (a * b) >> 64n, true);
  check('sub.s64 %l13, %l11, %l12;', (a, b) => a - b);
  check('shr.s64 %l13, %l11, 70;', (a) => a >> 63n, true);
  check('cvt.u32.u64 %r1, %l12; shl.b64 %l13, %l11, %r1;', (a, b) =>
    (b & 0xffffffffn) > 63n ? 0n : a << (b & 63n),
  );
  check(
    'cvt.u32.u64 %r1, %l12; shr.s64 %l13, %l11, %r1;',
    (a, b) => {
      const by = BigInt.asUintN(32, b);
      return a >> (by > 63n ? 63n : by);
    },
    true,
  );
  check('cvt.u32.u64 %r1, %l11; cvt.s64.s32 %l13, %r1;', (a) => BigInt.asIntN(32, a));
  check('cvt.u32.u64 %r1, %l11; cvt.u64.u32 %l13, %r1;', (a) => BigInt.asUintN(32, a));
  check('cvt.u16.u64 %h1, %l11; cvt.s64.s16 %l13, %h1;', (a) => BigInt.asIntN(16, a));
  check(
    'cvt.u32.u64 %r1, %l11; cvt.u32.u64 %r2, %l12; mad.wide.s32 %l13, %r1, %r2, %l11;',
    (a, b) => BigInt.asIntN(32, a) * BigInt.asIntN(32, b) + a,
  );
  check('mov.b64 {%r1, %r2}, %l11; mov.b64 %l13, {%r2, %r1};', (a) => (a >> 32n) | (a << 32n));
  check('setp.lt.s64 %p1, %l11, %l12; selp.b64 %l13, %l11, 5, %p1;', (a, b) => (a < b ? a : 5n), true);
  check('max.u64 %l13, %l11, %l12;', largest);
});

/** A float as (integer, exponent of two). */
function exactly(x: number): [bigint, number] {
  const bits = new BigUint64Array(Float64Array.of(x).buffer)[0]!;
  const exponent = Number((bits >> 52n) & 0x7ffn);
  const fraction = bits & 0xfffffffffffffn;
  const size = exponent ? fraction | 0x10000000000000n : fraction;
  return [bits >> 63n ? -size : size, (exponent || 1) - 1075];
}
/** a b + c, compared with x times 2^0: its sign. */
function sideOf(a: number, b: number, c: number, x: number): number {
  const [m, e] = exactly(a);
  const [n, f] = exactly(b);
  const least = -3000;
  const scaled = (mantissa: bigint, exponent: number) => mantissa << BigInt(exponent - least);
  const [o, g] = exactly(c);
  const [p, h] = exactly(x);
  const difference = scaled(m * n, e + f) + scaled(o, g) - scaled(p, h);
  return difference > 0n ? 1 : difference < 0n ? -1 : 0;
}
const stepUp = (x: number, by: number) => {
  const bits = bitsOf(x);
  const ordered = bits[0]! & 0x80000000 ? -(bits[0]! & 0x7fffffff) : bits[0]!;
  const moved = ordered + by;
  return floatsOf(new Uint8Array(Uint32Array.of(moved < 0 ? (0x80000000 | -moved) >>> 0 : moved).buffer))[0]!;
};

test('fma is rounded once, to nearest and towards either side', (t) => {
  const next = random(2);
  const cases: number[][] = [
    [1 + 2 ** -12, 1 + 2 ** -12, 2 ** -60],
    [1 + 2 ** -12, 1 + 2 ** -12, -(2 ** -60)],
    [1 + 2 ** -12, 1 - 2 ** -12, 2 ** -25],
    [2 ** -100, 2 ** -40, 2 ** -149],
    [3 * 2 ** -76, 2 ** -74, 2 ** -149],
    [2 ** 100, 1, -(2 ** 70)],
    [1, 2 ** -30, -1],
  ];
  for (let n = 0; n < 500; n++) {
    // sums that fall half way between floats, and close beside
    const a = Math.fround(1 + Math.floor(next() * 4096) * 2 ** -12);
    const b = Math.fround(1 + Math.floor(next() * 4096) * 2 ** -12);
    cases.push([a, b, Math.fround((next() - 0.5) * 2 ** (-20 - 60 * next()))]);
  }
  const inputs = cases.map((c) => [...bitsOf(...c)]);
  const LOAD = 'mov.b32 %f1, %r1; mov.b32 %f2, %r2; mov.b32 %f3, %r3;';
  const results = (how: string) =>
    new Float32Array(compute(`${LOAD} fma.${how}.f32 %f4, %f1, %f2, %f3; mov.b32 %r4, %f4;`, inputs).buffer);
  const [nearest, down, up, zero] = ['rn', 'rm', 'rp', 'rz'].map(results) as [
    Float32Array,
    Float32Array,
    Float32Array,
    Float32Array,
  ];
  cases.forEach(([a, b, c], n) => {
    const side = (x: number) => sideOf(a!, b!, c!, x);
    const where = `${[a, b, c]}`;
    t.true(side(down[n]!) >= 0 && side(stepUp(down[n]!, 1)) < 0, `down ${where}`);
    t.true(side(up[n]!) <= 0 && side(stepUp(up[n]!, -1)) > 0, `up ${where}`);
    t.is(zero[n], sideOf(a!, b!, c!, 0) >= 0 ? down[n] : up[n], `zero ${where}`);
    // The nearer of both, which is: on which side of the point half way.
    const half = side((down[n]! + up[n]!) / 2);
    const even = (bitsOf(down[n]!)[0]! & 1) === 0 ? down[n] : up[n];
    t.is(nearest[n], half > 0 ? up[n] : half < 0 ? down[n] : even, `nearest ${where}`);
  });
  const sums = compute(`${LOAD} add.rz.f32 %f4, %f1, %f3; mov.b32 %r4, %f4;`, [
    [...bitsOf(1, 0, -(2 ** -60))],
  ]);
  t.is(sums[0], bitsOf(1 - 2 ** -24)[0]);
});

test('conversions', (t) => {
  const every = Array.from({ length: 1000 }, (_, n) => [n * 65 + (n >> 3)]);
  // Every half is itself again; NaN stays one.
  const back = compute(
    'cvt.u16.u32 %h1, %r1; cvt.f32.f16 %f1, %h1; cvt.rn.f16.f32 %h2, %f1; cvt.u32.u16 %r4, %h2;',
    every,
  );
  every.forEach(([half], n) => {
    const nan = (half! & 0x7c00) === 0x7c00 && (half! & 0x3ff) !== 0;
    t.is(back[n], nan ? 0x7fff : half!);
  });
  const floats = (instruction: string, ...values: number[]) => [
    ...compute(
      `mov.b32 %f1, %r1; ${instruction}`,
      values.map((v) => [...bitsOf(v)]),
    ),
  ];
  const half = 'cvt.rn.f16.f32 %h1, %f1; cvt.u32.u16 %r4, %h1;';
  t.deepEqual(
    floats(
      half,
      1,
      -2,
      65504,
      65519.9,
      65520,
      2 ** -24,
      2 ** -25,
      1.5 * 2 ** -25,
      1 + 2 ** -11,
      1 + 3 * 2 ** -11,
      1e-30,
      -0,
    ),
    [0x3c00, 0xc000, 0x7bff, 0x7bff, 0x7c00, 1, 0, 1, 0x3c00, 0x3c02, 0, 0x8000],
  );
  t.deepEqual(
    floats('cvt.rna.tf32.f32 %r4, %f1;', 1 + 2 ** -11, 1 + 2 ** -12, Number.POSITIVE_INFINITY),
    [0x3f802000, 0x3f800000, 0x7f800000],
  );
  t.deepEqual(
    floats('cvt.rn.bf16x2.f32 %r4, %f1, 0f3F800000;', 1 + 2 ** -8, 1 + 3 * 2 ** -8, Number.NaN),
    [0x3f803f80, 0x3f823f80, 0x7fff3f80],
  );
  const integers = (how: string) =>
    floats(
      `cvt.${how}.f32 %r4, %f1;`,
      2.5,
      -2.5,
      3.5,
      -0.4,
      3e9,
      -3e9,
      Number.NaN,
      Number.POSITIVE_INFINITY,
    ).map((x) => (how.includes('s32') ? x | 0 : x));
  t.deepEqual(integers('rni.s32'), [2, -2, 4, 0, 2147483647, -2147483648, 0, 2147483647]);
  t.deepEqual(integers('rmi.s32'), [2, -3, 3, -1, 2147483647, -2147483648, 0, 2147483647]);
  t.deepEqual(integers('rzi.u32'), [2, 0, 3, 0, 3000000000, 0, 0, 4294967295]);
  t.deepEqual(integers('rpi.u8').slice(0, 5), [3, 0, 4, 0, 255]);
  t.deepEqual(floats('cvt.sat.f32.f32 %f2, %f1; mov.b32 %r4, %f2;', -1, 0.5, 2, Number.NaN), [
    ...bitsOf(0, 0.5, 1, 0),
  ]);
  t.deepEqual(floats('add.ftz.f32 %f2, %f1, %f1; mov.b32 %r4, %f2;', 1e-39, 1e-38, -1e-39), [
    ...bitsOf(0, 0, 0).map((_, n) => [0, 0, 0x80000000][n]!),
  ]);
  checkWords(t, 'cvt.rn.f32.u32 %f1, %r1; mov.b32 %r4, %f1;', (a) => BigInt(bitsOf(Number(a))[0]!));
  const clamp = (x: bigint, least: bigint, most: bigint) => {
    const s = BigInt.asIntN(32, x);
    return s < least ? least : s > most ? most : s;
  };
  checkWords(
    t,
    'cvt.pack.sat.u8.s32.b32 %r4, %r1, %r2, %r3;',
    (a, b, c) => (c << 16n) | (clamp(a, 0n, 255n) << 8n) | clamp(b, 0n, 255n),
  );
  checkWords(
    t,
    'cvt.pack.sat.s16.s32 %r4, %r1, %r2;',
    (a, b) => (clamp(a, -32768n, 32767n) << 16n) | BigInt.asUintN(16, clamp(b, -32768n, 32767n)),
  );
  checkWords(t, 'cvt.s32.s8 %r4, %r1;', (a) => BigInt.asIntN(8, a));
  checkWords(t, 'cvt.sat.u8.s32 %r4, %r1;', (a) => {
    const s = BigInt.asIntN(32, a);
    return s < 0n ? 0n : s > 255n ? 255n : s;
  });
});

test('smallest and largest: a number where one is NaN, -0 below 0', (t) => {
  const inputs = [
    [1, Number.NaN],
    [Number.NaN, 2],
    [-0, 0],
    [3, 4],
  ].map((pair) => [...bitsOf(...pair)]);
  const way = (op: string) => [
    ...compute(`mov.b32 %f1, %r1; mov.b32 %f2, %r2; ${op}.f32 %f3, %f1, %f2; mov.b32 %r4, %f3;`, inputs),
  ];
  t.deepEqual(way('min'), [...bitsOf(1, 2, -0, 3)]);
  t.deepEqual(way('max'), [...bitsOf(1, 2, 0, 4)]);
  const nan = way('max.NaN').map((bits) =>
    Number.isNaN(floatsOf(new Uint8Array(Uint32Array.of(bits).buffer))[0]),
  );
  t.deepEqual(nan, [true, true, false, false]);
});
