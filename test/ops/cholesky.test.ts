import test from 'ava';
import {
  addGram,
  addProductTransposed,
  choleskyFactor,
  choleskySolve,
  product64,
} from '../../lib/ops/index.js';
import { random, ways } from '../backends.js';
import { throwsTyped } from '../errors.js';

function numbers(n: number, seed: number): Float64Array {
  const next = random(seed);
  return Float64Array.from({ length: n }, () => next() + next() - 1);
}

/** F Fᵀ + shift I, symmetric to the last bit. */
function definite(n: number, rank: number, shift: number, seed: number): Float64Array {
  const f = numbers(n * rank, seed);
  const a = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = i === j ? shift : 0;
      for (let k = 0; k < rank; k++) sum += f[i * rank + k]! * f[j * rank + k]!;
      a[i * n + j] = sum;
      a[j * n + i] = sum;
    }
  }
  return a;
}

/** Largest |x - y| where both are given by element. */
function worst(n: number, difference: (i: number) => number): number {
  let top = 0;
  for (let i = 0; i < n; i++) {
    const d = Math.abs(difference(i));
    if (!(d <= top)) top = d;
  }
  return top;
}

const SIZES = [1, 2, 3, 4, 5, 7, 8, 17, 47, 48, 49, 63, 64, 65, 100, 129, 200];

for (const { label, exec } of ways({ devices: false })) {
  const { isa, threads } = exec;
  const how = { isa, threads };

  test(`L Lᵀ is the matrix, and the upper triangle is left alone ${label}`, async (t) => {
    for (const n of SIZES) {
      const a = definite(n, n + 3, 0.1, n);
      const l = a.slice();
      for (let i = 0; i < n; i++) for (let j = i + 1; j < n; j++) l[i * n + j] = Number.NaN;
      t.is(await choleskyFactor(l, n, { ...how, shift: 0.25 }), l);
      const off = worst(n * n, (e) => {
        const [i, j] = [Math.floor(e / n), e % n];
        if (j > i) return Number.isNaN(l[e]!) ? 0 : Number.POSITIVE_INFINITY;
        let sum = 0;
        for (let k = 0; k <= j; k++) sum += l[i * n + k]! * l[j * n + k]!;
        return sum - a[e]! - (i === j ? 0.25 : 0);
      });
      t.true(off < 1e-12 * n, `${n}: ${off}`);
    }
  });

  test(`both triangular systems, several right sides ${label}`, async (t) => {
    for (const n of [1, 5, 64, 67, 130]) {
      const l = await choleskyFactor(definite(n, n, 1, n), n, how);
      for (const rows of [0, 1, 3, 4, 5, 50]) {
        const b = numbers(rows * n, rows);
        const x = await choleskySolve(l, n, b.slice(), how);
        const z = await choleskySolve(l, n, b.slice(), { ...how, transposed: true });
        for (const [y, at] of [
          [x, (i: number, k: number) => l[i * n + k]!],
          [z, (i: number, k: number) => l[k * n + i]!],
        ] as const) {
          const off = worst(rows * n, (e) => {
            const [r, i] = [Math.floor(e / n), e % n];
            let sum = -b[e]!;
            const [first, last] = y === x ? [0, i] : [i, n - 1];
            for (let k = first; k <= last; k++) sum += at(i, k) * y[r * n + k]!;
            return sum;
          });
          t.true(off < 1e-11, `${n} ${rows}: ${off}`);
        }
      }
    }
  });

  test(`Gram matrices, products and transposed products ${label}`, async (t) => {
    for (const [rows, n] of [
      [1, 1],
      [5, 3],
      [600, 50],
      [70, 131],
    ] as const) {
      const f = numbers(rows * n, rows);
      const weights = numbers(rows, n).map(Math.abs);
      const start = definite(n, 2, 0, 1);
      for (const w of [undefined, weights]) {
        const g = await addGram(f, n, start.slice(), { ...how, weights: w });
        const off = worst(n * n, (e) => {
          const [i, j] = [Math.floor(e / n), e % n];
          if (j > i) return 0;
          let sum = start[e]!;
          for (let r = 0; r < rows; r++) sum += (w?.[r] ?? 1) * f[r * n + i]! * f[r * n + j]!;
          return sum - g[e]!;
        });
        t.true(off < 1e-11, `gram ${rows} ${n}: ${off}`);
      }
      const b = numbers(7 * n, 3);
      const c = await product64(f, b, n, how);
      t.true(
        worst(rows * 7, (e) => {
          let sum = -c[e]!;
          for (let k = 0; k < n; k++) sum += f[Math.floor(e / 7) * n + k]! * b[(e % 7) * n + k]!;
          return sum;
        }) < 1e-11,
      );
      const a = numbers(rows * 2, 4);
      const before = numbers(2 * n, 5);
      const d = await addProductTransposed(a, f, before.slice(), rows, how);
      t.true(
        worst(2 * n, (e) => {
          let sum = before[e]! - d[e]!;
          for (let r = 0; r < rows; r++) sum += a[r * 2 + Math.floor(e / n)]! * f[r * n + (e % n)]!;
          return sum;
        }) < 1e-11,
      );
    }
  });

  test(`a matrix that is not positive definite is refused by the row that shows it ${label}`, async (t) => {
    const n = 90;
    const singular = definite(n, 70, 0, 1);
    const error = await t.throwsAsync(choleskyFactor(singular, n, { ...how, name: 'kernel matrix' }));
    t.like(error, { name: 'TrainError', code: 'ERR_TRAIN_SINGULAR', field: 'kernel matrix' });
    t.regex(error!.message, /row 7\d of 90/);
    const bad = definite(n, n, 1, 1);
    bad[80 * n + 3] = Number.NaN;
    await throwsTyped(t, () => choleskyFactor(bad, n, how), { code: 'ERR_TRAIN_SINGULAR' });
  });
}

test('the same bits on any number of threads', async (t) => {
  const n = 333;
  const [one, ...others] = await Promise.all(
    [1, 2, 5, 8].map(async (threads) => {
      const l = await choleskyFactor(definite(n, n, 1, 1), n, { threads });
      const x = await choleskySolve(l, n, numbers(100 * n, 2), { threads });
      const g = await addGram(x, n, new Float64Array(n * n), { threads, weights: numbers(100, 3) });
      const p = await product64(x, g, n, { threads });
      return [l, x, g, p, await addProductTransposed(p, x, new Float64Array(n * n), 100, { threads })];
    }),
  );
  for (const other of others) t.deepEqual(other, one);
});

test('bad sizes and another backend: typed errors', async (t) => {
  const a = new Float64Array(9);
  await throwsTyped(t, () => choleskyFactor(a, 4), { code: 'ERR_SHAPE', field: 'a' });
  await throwsTyped(t, () => choleskyFactor(a, 0), { code: 'ERR_SHAPE', field: 'n' });
  await throwsTyped(t, () => choleskySolve(a, 3, new Float64Array(4)), { code: 'ERR_SHAPE', field: 'b' });
  await throwsTyped(t, () => addGram(a, 3, new Float64Array(4)), { code: 'ERR_SHAPE', field: 'g' });
  await throwsTyped(t, () => addGram(a, 3, a, { weights: a }), { code: 'ERR_SHAPE', field: 'weights' });
  const signal = AbortSignal.abort();
  await throwsTyped(t, () => choleskyFactor(a, 3, { signal }), { code: 'ERR_CANCELLED' });
});
