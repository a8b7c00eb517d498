import test from 'ava';
import { layerNorm } from '../../lib/ops/index.js';
import { randomF32, ways } from '../backends.js';
import { type ExpectedError, throwsTyped } from '../errors.js';
import { assertGolden, f32, loadGolden } from '../golden.js';

const golden = loadGolden('layers').filter((c) => c.config.kind === 'layernorm');

function reference(x: Float32Array, cols: number, eps: number, gain?: Float32Array, bias?: Float32Array) {
  const y = new Float64Array(x.length);
  for (let r = 0; r < x.length; r += cols) {
    const row = Array.from(x.subarray(r, r + cols));
    const mean = row.reduce((a, b) => a + b, 0) / cols;
    const variance = row.reduce((a, b) => a + (b - mean) ** 2, 0) / cols;
    row.forEach((v, i) => {
      y[r + i] = ((v - mean) / Math.sqrt(variance + eps)) * (gain?.[i] ?? 1) + (bias?.[i] ?? 0);
    });
  }
  return y;
}

for (const { label, exec } of ways()) {
  test(`golden layer norms ${label}`, async (t) => {
    t.true(golden.length > 0, 'no golden case was found');
    for (const c of golden) {
      for (const offset of [0, 1, 3]) {
        const x = f32(c, 'x', offset);
        const options = {
          ...exec,
          cols: c.tensors.x!.shape.at(-1)!,
          eps: c.config.eps as number,
          gain: f32(c, 'g', offset),
          bias: f32(c, 'b', offset),
        };
        const y = await layerNorm(x, options);
        assertGolden(t, c, 'y', y, label);
        t.is(await layerNorm(x, { ...options, out: x }), x, 'in place');
        t.deepEqual(x, y);
      }
    }
  });

  test(`lengths around the vector width, offsets a million times the spread ${label}`, async (t) => {
    for (const cols of [
      1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 48, 64, 130, 256, 512, 513, 1000, 1028, 9001,
    ]) {
      for (const offset of [0, 1e3, -1e6]) {
        const rows = cols > 1000 ? 2 : 1 + (cols % 7);
        const x = randomF32(rows * cols, cols).map((v) => v * (offset ? 8 : 1) + offset);
        const gain = randomF32(cols, 1);
        const bias = randomF32(cols, 2);
        const cases = [{ gain, bias }, { gain }, { bias }, {}];
        for (const parts of cases) {
          const y = await layerNorm(x, { ...exec, cols, ...parts });
          const expected = reference(x, cols, 1e-5, parts.gain, parts.bias);
          const top = Math.max(1, ...expected.map(Math.abs));
          const worst = Math.max(...y.map((v, i) => Math.abs(v - expected[i]!)));
          t.true(worst <= 5e-6 * top, `${cols} columns at ${offset}: ${worst}`);
        }
      }
    }
  });

  test(`a row that no block of a GPU can hold ${label}`, async (t) => {
    const cols = 24600;
    const x = randomF32(2 * cols, 5).map((v) => v + 100);
    const gain = randomF32(cols, 6);
    const expected = reference(x, cols, 1e-5, gain);
    const y = await layerNorm(x, { ...exec, cols, gain });
    t.true(y.every((v, i) => Math.abs(v - expected[i]!) <= 5e-5));
    t.is(await layerNorm(x, { ...exec, cols, gain, out: x }), x, 'in place');
    t.deepEqual(x, y);
  });

  test(`a constant row gives the bias; a non-finite value spoils its own row only ${label}`, async (t) => {
    const bias = randomF32(37, 2);
    const flat = await layerNorm(new Float32Array(37).fill(1e30), { ...exec, bias });
    t.deepEqual(flat, bias.slice());
    const x = randomF32(3 * 37, 3);
    const clean = await layerNorm(x, { ...exec, cols: 37 });
    for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
      for (const at of [37, 50, 73]) {
        const spoilt = x.slice();
        spoilt[at] = bad;
        const y = await layerNorm(spoilt, { ...exec, cols: 37 });
        t.true(y.subarray(37, 74).every(Number.isNaN));
        t.deepEqual(y.subarray(0, 37), clean.subarray(0, 37));
        t.deepEqual(y.subarray(74), clean.subarray(74));
      }
    }
  });
}

test('rows sum to 0, their squares to their number; shifting and scaling changes nothing', async (t) => {
  const cols = 100;
  const x = randomF32(5000 * cols, 1);
  const y = await layerNorm(x, { cols, eps: 0 });
  for (let r = 0; r < 5000; r++) {
    const row = y.subarray(r * cols, (r + 1) * cols);
    t.true(Math.abs(row.reduce((a, b) => a + b, 0)) < 1e-3);
    t.true(Math.abs(row.reduce((a, b) => a + b * b, 0) - cols) < 1e-2);
  }
  const moved = await layerNorm(
    x.map((v) => 3 * v + 7),
    { cols, eps: 0 },
  );
  t.true(moved.every((v, i) => Math.abs(v - y[i]!) < 1e-4));
  for (const threads of [1, 2, 8]) t.deepEqual(await layerNorm(x, { cols, eps: 0, threads }), y);
});

test('bad input: typed errors that name the field', async (t) => {
  const x = new Float32Array(12);
  const cases: [() => Promise<unknown>, ExpectedError][] = [
    [() => layerNorm(x, { cols: 5 }), { name: 'ShapeError', code: 'ERR_SHAPE', field: 'x' }],
    [() => layerNorm(x, { cols: 0 }), { code: 'ERR_SHAPE', field: 'cols' }],
    [() => layerNorm(new Float32Array(0)), { code: 'ERR_SHAPE', field: 'cols' }],
    [() => layerNorm(x, { eps: -1 }), { name: 'InputError', code: 'ERR_INPUT_VALUE', field: 'eps' }],
    [() => layerNorm(x, { eps: Number.NaN }), { code: 'ERR_INPUT_VALUE', field: 'eps' }],
    [() => layerNorm(x, { cols: 6, gain: x }), { code: 'ERR_SHAPE', field: 'gain' }],
    [() => layerNorm(x, { cols: 6, bias: new Float32Array(0) }), { code: 'ERR_SHAPE', field: 'bias' }],
    [() => layerNorm(x, { out: new Float32Array(11) }), { code: 'ERR_SHAPE', field: 'out' }],
    [() => layerNorm([1, 2] as never), { code: 'ERR_INPUT_TYPE', field: 'x' }],
    [() => layerNorm(x, { backend: 'opencl' as never }), { name: 'BackendError', code: 'ERR_BACKEND' }],
  ];
  for (const [call, expected] of cases) await throwsTyped(t, call, expected);
});
