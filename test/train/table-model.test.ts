import test from 'ava';
import { FusionNetwork, type FusionNetworkSpec, weightShapes } from '../../lib/fusion/network.js';
import { randomOf } from '../../lib/train/random.js';
import type { FilmTable } from '../../lib/train/table.js';
import { presenceKey, presentOf, tableModel } from '../../lib/train/table-model.js';

const layer = (out: number) => ({ out, activation: 'tanh' as const, layerNorm: false });
const SPEC: FusionNetworkSpec = {
  modalities: [
    { name: 'facts', dim: 5, projection: layer(4) },
    { name: 'frames', dim: 3, sequence: { pooling: 'attention', attentionDim: 2 }, projection: layer(4) },
  ],
  fusion: { kind: 'concat' },
  trunk: [layer(6)],
  heads: [
    { name: 'rating', out: 1 },
    { name: 'mood', out: 3 },
  ],
};
const FILMS = 2600;
const STEPS = 4;

function network(): FusionNetwork {
  const random = randomOf(1);
  const weights = new Map(
    [...weightShapes(SPEC)].map(([name, shape]) => {
      const data = Float32Array.from(
        { length: shape.reduce((a, b) => a * b, 1) },
        () => random.normal() * 0.5,
      );
      return [name, { shape, data }] as const;
    }),
  );
  return FusionNetwork.create(SPEC, weights);
}

/** Facts in two variants, sequences of several lengths; what is absent or beyond the end is NaN. */
function filmTable(): FilmTable {
  const random = randomOf(2);
  const present = new Uint8Array(FILMS * 2).fill(1);
  const lengths = Int32Array.from({ length: FILMS }, () => 1 + random.below(STEPS));
  const facts = Float32Array.from({ length: 2 * FILMS * 5 }, () => random.normal());
  const frames = Float32Array.from({ length: FILMS * STEPS * 3 }, () => random.normal());
  for (let i = 0; i < FILMS; i++) {
    frames.fill(Number.NaN, (i * STEPS + lengths[i]!) * 3, (i + 1) * STEPS * 3);
    if (i % 5 === 0) {
      present[2 * i + 1] = 0;
      frames.fill(Number.NaN, i * STEPS * 3, (i + 1) * STEPS * 3);
    } else if (i % 5 === 1) {
      present[2 * i] = 0;
      facts.fill(Number.NaN, i * 5, (i + 1) * 5);
    }
  }
  return {
    ids: Array.from({ length: FILMS }, (_, i) => `${i}`),
    modalities: {
      facts: { dim: 5, steps: 1, values: facts, variants: 2 },
      frames: { dim: 3, steps: STEPS, values: frames, lengths },
    },
    present,
    targets: {},
  };
}

test('films of a table are forecast as the network forecasts them one by one', async (t) => {
  using net = network();
  const table = filmTable();
  const model = tableModel(net, table, { threads: 1 });
  t.deepEqual(model.modalities, ['facts', 'frames']);
  // more than one stretch, in no order
  const rows = randomOf(3)
    .shuffle(Int32Array.from({ length: FILMS }, (_, i) => i))
    .slice(0, 2300);
  const { rows: given, heads } = await model.predict(rows);
  t.is(given, rows);
  t.is(heads.mood!.length, 2300 * 3);
  const { facts, frames } = table.modalities;
  for (const row of [0, 1, 2, 511, 1023, 1024, 1025, 2047, 2048, 2299]) {
    const film = rows[row]!;
    const [hasFacts, hasFrames] = [table.present[2 * film], table.present[2 * film + 1]];
    const length = frames!.lengths![film]!;
    const alone = await net.run({
      batch: 1,
      modalities: {
        ...(hasFacts && { facts: facts!.values.slice(film * 5, film * 5 + 5) }),
        ...(hasFrames && {
          frames: {
            data: frames!.values.slice(film * STEPS * 3, film * STEPS * 3 + length * 3),
            steps: length,
          },
        }),
      },
    });
    t.is(heads.rating![row], alone.heads.rating![0]);
    t.deepEqual(heads.mood!.slice(row * 3, row * 3 + 3), alone.heads.mood);
  }
});

test('a mask leaves modalities out', async (t) => {
  using net = network();
  const table = filmTable();
  const model = tableModel(net, table);
  const rows = Int32Array.of(2, 3, 4);
  const alone = await model.predict(rows, Uint8Array.of(1, 0, 1, 0, 1, 0));
  const masked = { ...table, present: table.present.map((there, i) => (i % 2 ? 0 : there)) };
  t.deepEqual(alone.heads, (await tableModel(net, masked).predict(rows)).heads);
  t.notDeepEqual(alone.heads, (await model.predict(rows)).heads);
  await t.throwsAsync(model.predict(rows, new Uint8Array(6)), { code: 'ERR_INPUT_EMPTY' });
  await t.throwsAsync(model.predict(rows, undefined, AbortSignal.abort()), { code: 'ERR_CANCELLED' });
  t.deepEqual(presentOf(table, Int32Array.of(0, 1, 2)), Uint8Array.of(1, 0, 0, 1, 1, 1));
  t.is(presenceKey(model.modalities, Uint8Array.of(1, 0, 1, 1), 1), 'facts+frames');
});

test('a table that does not fit the network is refused at once', (t) => {
  using net = network();
  const table = filmTable();
  const { facts, frames } = table.modalities;
  for (const [modalities, message] of [
    [{ facts: facts! }, /facts, frames/],
    [{ frames: frames!, facts: facts! }, /in its order/],
    [{ facts: { ...facts!, dim: 6 }, frames: frames! }, /vectors of 5/],
  ] as const) {
    t.throws(() => tableModel(net, { ...table, modalities }), { code: 'ERR_DATA_COLUMN', message });
  }
});
