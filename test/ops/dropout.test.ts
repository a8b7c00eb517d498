import test from 'ava';
import { dropout } from '../../lib/ops/index.js';
import { randomF32, ways } from '../backends.js';
import { type ExpectedError, throwsTyped } from '../errors.js';

/** Philox4x32-10 in integers of any size. */
function philox(counter: bigint[], key: bigint[]): bigint[] {
  const low = (v: bigint) => v & 0xffffffffn;
  let [c0, c1, c2, c3] = counter as [bigint, bigint, bigint, bigint];
  let [k0, k1] = key as [bigint, bigint];
  for (let round = 0; round < 10; round++) {
    const a = 0xd2511f53n * c0;
    const b = 0xcd9e8d57n * c2;
    [c0, c1, c2, c3] = [(b >> 32n) ^ c1 ^ k0, low(b), (a >> 32n) ^ c3 ^ k1, low(a)];
    k0 = low(k0 + 0x9e3779b9n);
    k1 = low(k1 + 0xbb67ae85n);
  }
  return [c0, c1, c2, c3];
}

/** Which elements stay, as native/ops/dropout/dropout_mask.h says. */
function kept(n: number, p: number, seed: number, stream: number): boolean[] {
  const half = (v: number) => {
    const word = BigInt.asUintN(64, BigInt(v));
    return [word & 0xffffffffn, word >> 32n];
  };
  const least = BigInt(Math.floor(Math.fround(p) * 2 ** 32));
  const words = new Map<number, bigint[]>();
  return Array.from({ length: n }, (_, i) => {
    const counter = 16 * Math.floor(i / 64) + (i % 16);
    if (!words.has(counter)) words.set(counter, philox([...half(counter), ...half(stream)], half(seed)));
    return words.get(counter)![Math.floor((i % 64) / 16)]! >= least;
  });
}

test('the published answers of Philox4x32-10', (t) => {
  // Of the test vectors that come with Random123.
  t.deepEqual(philox([0n, 0n, 0n, 0n], [0n, 0n]), [0x6627e8d5n, 0xe169c58dn, 0xbc57ac4cn, 0x9b00dbd8n]);
  const ones = 0xffffffffn;
  t.deepEqual(philox([ones, ones, ones, ones], [ones, ones]), [
    0x408f276dn,
    0x41c83b0en,
    0xa20bc7c6n,
    0x6d5451fdn,
  ]);
});

for (const { label, exec } of ways()) {
  test(`keeps what Philox says, scaled; the same in any length ${label}`, async (t) => {
    for (const [n, p, seed, stream] of [
      [1, 0.5, 1, 0],
      [63, 0.3, 2, 1],
      [64, 0.3, -2, 5],
      [65, 0.9, 2 ** 40 + 3, 2 ** 45 + 7],
      [1000, 0.1, 7, 9],
      [20_000, 0.25, 8, 1],
    ] as const) {
      const x = randomF32(n, n);
      const y = await dropout(x, { ...exec, p, seed, stream });
      const stays = kept(n, p, seed, stream);
      const scale = 1 / (1 - Math.fround(p));
      y.forEach((v, i) => {
        const expected = stays[i] ? x[i]! * scale : 0;
        if (!(Math.abs(v - expected) <= 2e-7 * Math.abs(expected)))
          t.fail(`${n}, ${i}: ${v}, not ${expected}`);
      });
      const part = await dropout(x.subarray(0, n >> 1), { ...exec, p, seed, stream });
      t.deepEqual(part, y.slice(0, n >> 1));
    }
  });

  test(`p 0 changes nothing; a dropped NaN is 0; out may be x ${label}`, async (t) => {
    const x = randomF32(777, 1);
    t.deepEqual(await dropout(x, { ...exec, p: 0, seed: 1 }), x.slice());
    const nan = new Float32Array(500).fill(Number.NaN);
    const y = await dropout(nan, { ...exec, p: 0.5, seed: 1 });
    const stays = kept(500, 0.5, 1, 0);
    t.true(y.every((v, i) => (stays[i] ? Number.isNaN(v) : v === 0)));
    const apart = await dropout(x, { ...exec, p: 0.5, seed: 3 });
    t.is(await dropout(x, { ...exec, p: 0.5, seed: 3, out: x }), x);
    t.deepEqual(x.slice(), apart);
    t.is((await dropout(new Float32Array(0), { ...exec, p: 0.5, seed: 3 })).length, 0);
  });
}

test('seeds and streams are independent, and about the share p falls out', async (t) => {
  const n = 100_000;
  const ones = new Float32Array(n).fill(1);
  const draws = await Promise.all(
    [
      [1, 0],
      [2, 0],
      [1, 1],
      [1, 2],
    ].map(([seed, stream]) => dropout(ones, { p: 0.3, seed: seed!, stream: stream! })),
  );
  const stays = draws.map((y) => y.map((v) => (v > 0 ? 1 : 0)));
  for (const s of stays) {
    const share = s.reduce((a, b) => a + b, 0) / n;
    t.true(Math.abs(share - 0.7) < 6 * Math.sqrt((0.3 * 0.7) / n), `${share}`);
  }
  for (let a = 0; a < stays.length; a++) {
    for (let b = 0; b < a; b++) {
      const both = stays[a]!.reduce((sum, v, i) => sum + v * stays[b]![i]!, 0) / n;
      t.true(Math.abs(both - 0.49) < 6 * Math.sqrt((0.49 * 0.51) / n), `${a}, ${b}: ${both}`);
    }
  }
  // neighbours of one draw too
  for (const lag of [1, 16, 64]) {
    let both = 0;
    for (let i = lag; i < n; i++) both += stays[0]![i]! * stays[0]![i - lag]!;
    t.true(Math.abs(both / (n - lag) - 0.49) < 6 * Math.sqrt((0.49 * 0.51) / n), `lag ${lag}`);
  }
});

test('bad input: typed errors that name the field', async (t) => {
  const x = new Float32Array(4);
  const cases: [() => Promise<unknown>, ExpectedError][] = [
    [() => dropout(x, { p: 1, seed: 1 }), { code: 'ERR_INPUT_VALUE', field: 'p' }],
    [() => dropout(x, { p: -0.1, seed: 1 }), { code: 'ERR_INPUT_VALUE', field: 'p' }],
    [() => dropout(x, { p: Number.NaN, seed: 1 }), { code: 'ERR_INPUT_VALUE', field: 'p' }],
    [() => dropout(x, { p: 0.5, seed: 0.5 }), { code: 'ERR_INPUT_VALUE', field: 'seed' }],
    [() => dropout(x, { p: 0.5, seed: 1, stream: Infinity }), { code: 'ERR_INPUT_VALUE', field: 'stream' }],
    [() => dropout([1] as never, { p: 0.5, seed: 1 }), { code: 'ERR_INPUT_TYPE', field: 'x' }],
    [() => dropout(x, { p: 0.5, seed: 1, out: new Float32Array(3) }), { code: 'ERR_SHAPE', field: 'out' }],
  ];
  for (const [call, expected] of cases) await throwsTyped(t, call, expected);
});
