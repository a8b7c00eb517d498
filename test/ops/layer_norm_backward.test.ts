import test from 'ava';
import { layerNormBackward } from '../../lib/ops/index.js';
import { randomF32, ways } from '../backends.js';
import { type ExpectedError, throwsTyped } from '../errors.js';
import { assertGolden, f32, loadGolden } from '../golden.js';

const golden = loadGolden('layers').filter((c) => c.config.kind === 'layernorm' && c.tensors.grad_y);

/** The same in float64, term by term as the documentation has it. */
function exact(x: Float32Array, dy: Float32Array, cols: number, gain?: Float32Array, eps = 1e-5) {
  const rows = x.length / cols;
  const dx = new Float64Array(x.length);
  const dgain = new Float64Array(cols);
  const dbias = new Float64Array(cols);
  for (let r = 0; r < rows; r++) {
    const row = Array.from(x.subarray(r * cols, (r + 1) * cols));
    const mean = row.reduce((a, b) => a + b, 0) / cols;
    const scale = 1 / Math.sqrt(row.reduce((a, v) => a + (v - mean) ** 2, 0) / cols + eps);
    const z = row.map((v) => (v - mean) * scale);
    const g = row.map((_, i) => dy[r * cols + i]! * (gain?.[i] ?? 1));
    const along = g.reduce((a, b) => a + b, 0) / cols;
    const across = g.reduce((a, v, i) => a + v * z[i]!, 0) / cols;
    for (let i = 0; i < cols; i++) {
      dgain[i]! += dy[r * cols + i]! * z[i]!;
      dbias[i]! += dy[r * cols + i]!;
      dx[r * cols + i] = (g[i]! - along - z[i]! * across) * scale;
    }
  }
  return { dx, dgain, dbias };
}

for (const { label, exec } of ways()) {
  test(`golden gradients of layer norm ${label}`, async (t) => {
    t.true(golden.length > 0, 'no golden case was found');
    for (const c of golden) {
      for (const offset of [0, 1, 3]) {
        const input = { x: f32(c, 'x', offset), gain: f32(c, 'g', offset), dy: f32(c, 'grad_y', offset) };
        const cols = c.tensors.x!.shape.at(-1)!;
        const got = await layerNormBackward(input, { ...exec, cols, eps: c.config.eps as number });
        assertGolden(t, c, 'd_x', got.dx, label);
        assertGolden(t, c, 'd_g', got.dgain, label);
        assertGolden(t, c, 'd_b', got.dbias, label);
      }
    }
  });

  test(`rows of every length, few and many, with and without gain, against float64 ${label}`, async (t) => {
    for (const [rows, cols] of [
      [1, 2],
      [3, 3],
      [7, 8],
      [40, 15],
      [70, 17],
      [5, 33],
      [9, 100],
      [300, 64],
      [2, 1000],
      [3, 1101],
      [1, 5000],
    ] as const) {
      const [x, dy] = [randomF32(rows * cols, cols).map((v) => 3 * v + 50), randomF32(rows * cols, rows)];
      for (const gain of [undefined, randomF32(cols, 3)]) {
        const got = await layerNormBackward({ x, dy, gain }, { ...exec, cols });
        const expected = exact(x, dy, cols, gain);
        for (const field of ['dx', 'dgain', 'dbias'] as const) {
          const top = expected[field].reduce((m, v) => Math.max(m, Math.abs(v)), 0);
          const worst = got[field].reduce((m, v, i) => Math.max(m, Math.abs(v - expected[field][i]!)), 0);
          t.true(worst <= 3e-5 * top + 1e-6, `${field} of ${rows}x${cols} ${label}: ${worst} of ${top}`);
        }
      }
    }
  });

  test(`a NaN stays in its row, but for the gradients of gain and bias ${label}`, async (t) => {
    const [rows, cols] = [5, 70];
    const [x, dy] = [randomF32(rows * cols, 1), randomF32(rows * cols, 2)];
    const clean = await layerNormBackward({ x, dy }, { ...exec, cols });
    x[2 * cols + 3] = Number.NaN;
    const got = await layerNormBackward({ x, dy }, { ...exec, cols });
    got.dx.forEach((v, i) => {
      if (Math.floor(i / cols) === 2 ? !Number.isNaN(v) : v !== clean.dx[i]) t.fail(`element ${i}: ${v}`);
    });
    t.true(got.dgain.every(Number.isNaN));
    t.deepEqual(got.dbias, clean.dbias);
  });

  test(`no rows: zeros ${label}`, async (t) => {
    const got = await layerNormBackward(
      { x: new Float32Array(0), dy: new Float32Array(0) },
      { ...exec, cols: 3 },
    );
    t.deepEqual([got.dx.length, [...got.dgain], [...got.dbias]], [0, [0, 0, 0], [0, 0, 0]]);
  });
}

test('every number of threads gives the same bits', async (t) => {
  for (const [rows, cols] of [
    [1000, 33],
    [64, 4000],
    [5000, 7],
  ] as const) {
    const input = { x: randomF32(rows * cols, 1), dy: randomF32(rows * cols, 2), gain: randomF32(cols, 3) };
    const one = await layerNormBackward(input, { cols, threads: 1 });
    for (const threads of [2, 3, 8])
      t.deepEqual(await layerNormBackward(input, { cols, threads }), one, `${rows}x${cols}, ${threads}`);
  }
});

test('bad input: typed errors that name the field', async (t) => {
  const good = { x: new Float32Array(6), dy: new Float32Array(6) };
  const short = new Float32Array(5);
  const cases: [() => Promise<unknown>, ExpectedError][] = [
    [() => layerNormBackward(good, { cols: 4 }), { code: 'ERR_SHAPE', field: 'x' }],
    [() => layerNormBackward(good, { cols: 0 }), { code: 'ERR_SHAPE', field: 'cols' }],
    [() => layerNormBackward({ ...good, dy: short }, { cols: 3 }), { code: 'ERR_SHAPE', field: 'dy' }],
    [() => layerNormBackward({ ...good, gain: short }, { cols: 3 }), { code: 'ERR_SHAPE', field: 'gain' }],
    [() => layerNormBackward(good, { eps: -1 }), { code: 'ERR_INPUT_VALUE', field: 'eps' }],
    [() => layerNormBackward({ ...good, x: 'x' as never }), { code: 'ERR_INPUT_TYPE', field: 'x' }],
  ];
  for (const [call, expected] of cases) await throwsTyped(t, call, expected);
});
