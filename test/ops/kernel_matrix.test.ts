import test from 'ava';
import {
  choleskyFactor,
  type Kernel,
  type KernelMatrixInput,
  kernelMatrix,
  kernelMatrix64,
} from '../../lib/ops/index.js';
import { random, randomF32, ways } from '../backends.js';
import { type ExpectedError, throwsTyped } from '../errors.js';
import { kernelMatrixOracle } from './kernel-oracle.js';

const KERNELS = (dim: number): Kernel[] => [
  { kind: 'linear', weight: 0.5 },
  { kind: 'rbf', gamma: 0.7 / dim },
  { kind: 'polynomial', gamma: 1 / dim, degree: 3, constant: 0.5, weight: 2 },
];

/** A call with `modalities` kernels of all kinds, widths that differ, and holes whose numbers are NaN. */
function example(
  rows: number,
  landmarks: number,
  dims: number[],
  seed: number,
  holes: boolean,
): KernelMatrixInput {
  const next = random(seed);
  const presence = (n: number) =>
    holes ? Uint8Array.from({ length: n * dims.length }, () => (next() < 0.7 ? 1 : 0)) : undefined;
  const presentX = presence(rows);
  const presentZ = presence(landmarks);
  const terms = dims.map((dim, m) => {
    const fill = (n: number, present: Uint8Array | undefined, s: number) => {
      const v = randomF32(n * dim, s);
      for (let r = 0; present && r < n; r++) {
        if (!present[r * dims.length + m]) v.fill(Number.NaN, r * dim, (r + 1) * dim);
      }
      return v;
    };
    const kernel = KERNELS(dim)[(m + seed) % 3]!;
    return {
      kernel,
      dim,
      x: fill(rows, presentX, seed + m),
      z: fill(landmarks, presentZ, seed + 50 + m),
    };
  });
  return { rows, landmarks, terms, presentX, presentZ };
}

for (const { label, exec } of ways()) {
  test(`sums and products of all kernels, with and without holes ${label}`, async (t) => {
    let seed = 0;
    for (const [rows, landmarks, dims] of [
      [1, 1, [1]],
      [1, 300, [70, 3]],
      [3, 7, [5, 16, 1]],
      [65, 33, [17]],
      [130, 100, [8, 40, 3, 12]],
      [5, 70, [700]],
    ] as const) {
      for (const holes of [false, true]) {
        for (const how of [
          {},
          { combine: 'product' },
          { combine: 'product', constant: 0 },
          { combine: 'product', constant: 2.5 },
        ] as const) {
          const input = { ...example(rows, landmarks, [...dims], seed++, holes), ...how };
          const f = await kernelMatrix(input, exec);
          const expected = kernelMatrixOracle(input);
          const top = Math.max(1, ...expected.map(Math.abs));
          const worst = Math.max(...f.map((v, i) => Math.abs(v - expected[i]!)));
          t.true(worst <= 1e-5 * top, `${rows}x${landmarks} of ${dims}: ${worst} of ${top}`);
        }
      }
    }
  });

  test(`a row alone, in a batch, into a given array ${label}`, async (t) => {
    const input = example(70, 90, [33, 5], 3, true);
    const whole = await kernelMatrix(input, exec);
    for (const row of [0, 37, 69]) {
      const one = await kernelMatrix(
        {
          ...input,
          rows: 1,
          presentX: input.presentX!.slice(2 * row, 2 * row + 2),
          terms: input.terms.map((term) => ({
            ...term,
            x: term.x.slice(row * term.dim, (row + 1) * term.dim),
          })),
        },
        exec,
      );
      const part = whole.subarray(row * 90, (row + 1) * 90);
      if (exec.backend === 'cpu') t.deepEqual(one, part.slice());
      else t.true(one.every((v, i) => Math.abs(v - part[i]!) < 1e-5));
    }
    const out = new Float32Array(70 * 90);
    t.is(await kernelMatrix(input, { ...exec, out }), out);
    t.deepEqual(out, whole);
  });

  test(`NaN and infinity reach their own row or landmark alone ${label}`, async (t) => {
    for (const kernel of KERNELS(20)) {
      const x = randomF32(5 * 20, 1);
      const z = randomF32(9 * 20, 2);
      const input = { rows: 5, landmarks: 9, terms: [{ kernel, dim: 20, x, z }] };
      const clean = await kernelMatrix(input, exec);
      for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
        const spoiltX = x.slice();
        spoiltX[2 * 20 + 7] = bad;
        const f = await kernelMatrix({ ...input, terms: [{ kernel, dim: 20, x: spoiltX, z }] }, exec);
        // What is infinitely far away is not alike: 0 is right for an rbf kernel.
        const spoilt = (v: number) => !Number.isFinite(v) || (kernel.kind === 'rbf' && v === 0);
        t.true(f.subarray(18, 27).every(spoilt), `${kernel.kind} ${bad}`);
        if (Number.isNaN(bad)) t.true(f.subarray(18, 27).every(Number.isNaN));
        t.deepEqual(f.slice(0, 18), clean.slice(0, 18));
        t.deepEqual(f.slice(27), clean.slice(27));
        const spoiltZ = z.slice();
        spoiltZ[4 * 20] = bad;
        const g = await kernelMatrix({ ...input, terms: [{ kernel, dim: 20, x, z: spoiltZ }] }, exec);
        t.true(g.every((v, i) => (i % 9 === 4 ? spoilt(v) : v === clean[i])));
      }
    }
  });
}

for (const { label, exec } of ways({ devices: false })) {
  test(`float64: exact to rounding, whatever is missing ${label}`, async (t) => {
    let seed = 10;
    for (const [rows, landmarks, dims] of [
      [1, 1, [1]],
      [70, 130, [9, 600, 2]],
    ] as const) {
      for (const combine of ['sum', 'product'] as const) {
        const input = { ...example(rows, landmarks, [...dims], seed++, true), combine };
        const f = await kernelMatrix64(input, exec);
        const expected = kernelMatrixOracle(input);
        const top = Math.max(1, ...expected.map(Math.abs));
        t.true(Math.max(...f.map((v, i) => Math.abs(v - expected[i]!))) <= 1e-12 * top);
      }
    }
  });
}

test('a kernel matrix of films with holes is positive definite, sum or product', async (t) => {
  for (const combine of ['sum', 'product'] as const) {
    const input = example(80, 80, [30, 30, 30], 4, true);
    const z = { presentZ: input.presentX, terms: input.terms.map((term) => ({ ...term, z: term.x })) };
    const k = await kernelMatrix64({ ...input, ...z, combine });
    await t.notThrowsAsync(choleskyFactor(k, 80, { shift: 1e-8 }));
  }
});

test('bad input: typed errors that name the field', async (t) => {
  const input = example(4, 3, [5, 2], 0, false);
  const rbf = (kernel: Kernel) => ({ ...input, terms: [{ ...input.terms[0]!, kernel }] });
  const cases: [KernelMatrixInput, ExpectedError][] = [
    [
      { ...input, rows: 5 },
      { name: 'ShapeError', code: 'ERR_SHAPE', field: 'x[0]' },
    ],
    [
      { ...input, landmarks: 0 },
      { code: 'ERR_SHAPE', field: 'landmarks' },
    ],
    [
      { ...input, landmarks: 2 },
      { code: 'ERR_SHAPE', field: 'z[0]' },
    ],
    [
      { ...input, presentX: new Uint8Array(3) },
      { code: 'ERR_SHAPE', field: 'presentX' },
    ],
    [
      { ...input, terms: [] },
      { code: 'ERR_SHAPE', field: 'terms' },
    ],
    [
      { ...input, constant: -1 },
      { name: 'InputError', code: 'ERR_INPUT_VALUE', field: 'constant' },
    ],
    [rbf({ kind: 'rbf', gamma: 0 }), { code: 'ERR_INPUT_VALUE', field: 'gamma' }],
    [rbf({ kind: 'rbf', gamma: Number.NaN }), { code: 'ERR_INPUT_VALUE', field: 'gamma' }],
    [rbf({ kind: 'linear', weight: -1 }), { code: 'ERR_INPUT_VALUE', field: 'weight' }],
    [rbf({ kind: 'polynomial', gamma: 1, degree: 0 }), { code: 'ERR_INPUT_VALUE', field: 'degree' }],
    [rbf({ kind: 'other' as 'linear' }), { code: 'ERR_INPUT_VALUE', field: 'terms.0.kernel.kind' }],
    [
      { ...input, combine: 'mean' as 'sum' },
      { code: 'ERR_INPUT_VALUE', field: 'combine' },
    ],
  ];
  for (const [call, expected] of cases) {
    await throwsTyped(t, () => kernelMatrix(call), expected);
    await throwsTyped(t, () => kernelMatrix64(call), expected);
  }
  await throwsTyped(t, () => kernelMatrix64(input, { backend: 'emulated' }), { code: 'ERR_BACKEND' });
});
