import test from 'ava';
import { embedding, embeddingBackward } from '../../lib/ops/index.js';
import { random, randomF32, ways } from '../backends.js';
import { type ExpectedError, throwsTyped } from '../errors.js';
import { assertGolden, f32, loadGolden } from '../golden.js';

const golden = loadGolden('conv_pool').filter((c) => c.config.kind === 'embedding');

for (const { label, exec } of ways()) {
  test(`golden rows and gradients of embedding ${label}`, async (t) => {
    t.true(golden.length > 0, 'no golden case was found');
    for (const c of golden) {
      for (const offset of [0, 1, 3]) {
        const ids = c.tensors.ids!.data as Int32Array;
        const [rows, dim] = c.tensors.table!.shape as [number, number];
        const options = { ...exec, dim, paddingId: (c.config.padding ?? undefined) as number | undefined };
        assertGolden(t, c, 'y', await embedding(ids, f32(c, 'table', offset), options), label);
        const got = await embeddingBackward({ ids, dy: f32(c, 'dy', offset) }, { ...options, rows });
        assertGolden(t, c, 'dtable', got, label);
      }
    }
  });

  test(`sums in the order of the places: the same bits as a plain loop in float32 ${label}`, async (t) => {
    const next = random(3);
    for (const [count, rows, dim] of [
      [1, 1, 1],
      [0, 4, 3],
      [500, 9, 17],
      [3000, 400, 33],
      [700, 5, 301],
    ] as const) {
      const ids = Int32Array.from({ length: count }, () => Math.floor(next() ** 2 * rows));
      const dy = randomF32(count * dim, count + 1);
      const expected = new Float32Array(rows * dim);
      ids.forEach((id, i) => {
        for (let d = 0; d < dim && id !== 2; d++) expected[id * dim + d]! += dy[i * dim + d]!;
      });
      const options = { ...exec, rows, dim, paddingId: 2 };
      t.deepEqual(await embeddingBackward({ ids, dy }, options), expected, `${count} ids, dim ${dim}`);
      const table = randomF32(rows * dim, 5);
      const out = new Float32Array(count * dim + 3).subarray(3);
      t.is(await embedding(ids, table, { ...options, out }), out);
      const wrong = out.findIndex(
        (v, i) =>
          v !== (ids[Math.floor(i / dim)] === 2 ? 0 : table[ids[Math.floor(i / dim)]! * dim + (i % dim)]),
      );
      t.is(wrong, -1);
    }
  });
}

test('every number of threads gives the same bits', async (t) => {
  const next = random(4);
  const [count, rows, dim] = [20_000, 3000, 64];
  const ids = Int32Array.from({ length: count }, () => Math.floor(next() * rows));
  const dy = randomF32(count * dim, 1);
  const one = await embeddingBackward({ ids, dy }, { rows, dim, threads: 1 });
  for (const threads of [2, 3, 8])
    t.deepEqual(await embeddingBackward({ ids, dy }, { rows, dim, threads }), one, `${threads}`);
});

test('ids may change once the call has begun', async (t) => {
  const ids = new Int32Array(50_000).fill(1);
  const pending = embedding(ids, Float32Array.of(1, 2), { dim: 1 });
  ids.fill(1_000_000);
  t.true((await pending).every((v) => v === 2));
});

test('bad input: typed errors that name the field and the place', async (t) => {
  const table = new Float32Array(6);
  const ids = Int32Array.of(0, 1, 2, 3);
  const options = { dim: 2 };
  const cases: [() => Promise<unknown>, ExpectedError][] = [
    [() => embedding(ids, table, options), { code: 'ERR_INPUT_VALUE', field: 'ids', message: /3 at \[3\]/ }],
    [() => embedding(Int32Array.of(-1), table, options), { code: 'ERR_INPUT_VALUE', field: 'ids' }],
    [() => embedding(ids, table, { dim: 4 }), { code: 'ERR_INPUT_VALUE', field: 'ids' }],
    [() => embedding(Int32Array.of(0), table, { dim: 4 }), { code: 'ERR_SHAPE', field: 'table' }],
    [() => embedding(ids, table, { dim: 0 }), { code: 'ERR_SHAPE', field: 'dim' }],
    [() => embedding([0] as never, table, options), { code: 'ERR_INPUT_TYPE', field: 'ids' }],
    [() => embedding(ids, [0] as never, options), { code: 'ERR_INPUT_VALUE', field: 'ids' }],
    [
      () => embedding(Int32Array.of(0), table, { dim: 2, out: table.subarray(2, 4) }),
      { code: 'ERR_INPUT_VALUE', field: 'out' },
    ],
    [
      () => embedding(Int32Array.of(0), table, { dim: 2, out: new Float32Array(3) }),
      { code: 'ERR_SHAPE', field: 'out' },
    ],
    [
      () => embedding(Int32Array.of(0), table, { dim: 2, paddingId: 0.5 }),
      { code: 'ERR_INPUT_VALUE', field: 'paddingId' },
    ],
    [
      () => embeddingBackward({ ids, dy: new Float32Array(7) }, { rows: 4, dim: 2 }),
      { code: 'ERR_SHAPE', field: 'dy' },
    ],
    [
      () => embeddingBackward({ ids, dy: new Float32Array(8) }, { rows: 3, dim: 2 }),
      { code: 'ERR_INPUT_VALUE', field: 'ids' },
    ],
  ];
  for (const [call, expected] of cases) await throwsTyped(t, call, expected);
});
