/** What is fitted and drawn before a network trains. */
import test from 'ava';
import { FusionNetwork } from '../../lib/fusion/network.js';
import {
  fitTable,
  type FilmTable,
  parseFuseConfig,
  tableModel,
  type TableConfig,
} from '../../lib/train/index.js';
import { type DrawPlan, drawEpoch } from '../../lib/train/draws.js';
import { fitScaler } from '../../lib/train/inputs.js';
import { prepareFit } from '../../lib/train/prepare.js';
import { principalDirections } from '../../lib/train/principal.js';
import { randomOf } from '../../lib/train/random.js';

const rows = (from: number, to: number) => Int32Array.from({ length: to - from }, (_, i) => from + i);

/** Vectors whose covariance is known: independent normals of falling deviation along the axes of a random rotation. */
function rotated(n: number, dim: number, deviation: (i: number) => number) {
  const random = randomOf(2);
  const axes: Float64Array[] = [];
  while (axes.length < dim) {
    const axis = Float64Array.from({ length: dim }, () => random.normal());
    for (const other of axes) {
      const share = other.reduce((sum, value, i) => sum + value * axis[i]!, 0);
      for (let i = 0; i < dim; i++) axis[i]! -= share * other[i]!;
    }
    const norm = Math.hypot(...axis);
    axes.push(axis.map((value) => value / norm));
  }
  const x = new Float32Array(n * dim);
  for (let row = 0; row < n; row++) {
    const shares = axes.map((_, a) => random.normal() * deviation(a));
    for (let i = 0; i < dim; i++)
      x[row * dim + i] = 3 + axes.reduce((sum, axis, a) => sum + shares[a]! * axis[i]!, 0);
  }
  return { x, axes };
}

test('principal directions are orthonormal, fall in variance, and are eigenvectors of the covariance', async (t) => {
  for (const [n, dim, keep] of [
    [400, 60, 12],
    [50, 60, 60],
    [5, 30, 20],
    [300, 1, 1],
    [200, 24, 24],
  ] as const) {
    const { x } = rotated(n, dim, (i) => 3 * 0.8 ** i);
    const mean = Float64Array.from({ length: dim }, (_, i) => {
      let sum = 0;
      for (let row = 0; row < n; row++) sum += x[row * dim + i]!;
      return sum / n;
    });
    const half = Math.floor(n / 2) * dim;
    const { variances, vectors } = await principalDirections(
      [x.subarray(0, half), x.subarray(half)],
      dim,
      mean,
      keep,
    );
    for (let a = 0; a < keep; a++) {
      const v = vectors.subarray(a * dim, (a + 1) * dim);
      for (let b = 0; b <= a; b++) {
        const product = v.reduce((sum, value, i) => sum + value * vectors[b * dim + i]!, 0);
        t.true(Math.abs(product - Number(a === b)) < 1e-9, `${n} ${dim}: ${a}, ${b}`);
      }
      if (a > 0) t.true(variances[a]! <= variances[a - 1]! + 1e-12);
      const image = new Float64Array(dim);
      for (let row = 0; row < n; row++) {
        let along = 0;
        for (let i = 0; i < dim; i++) along += (x[row * dim + i]! - mean[i]!) * v[i]!;
        for (let i = 0; i < dim; i++) image[i]! += (along * (x[row * dim + i]! - mean[i]!)) / n;
      }
      const off = Math.hypot(...image.map((value, i) => value - variances[a]! * v[i]!));
      t.true(off < 3e-6 * variances[0]!, `${n} ${dim}: residual ${off} of direction ${a}`);
    }
  }
});

test('scales are those of the films in training that have the modality, over all their variants and steps', async (t) => {
  const films = 5;
  const values = Float32Array.from({ length: 2 * films * 3 * 2 }, (_, i) => (i * 37) % 11);
  const table: FilmTable = {
    ids: ['a', 'b', 'c', 'd', 'e'],
    modalities: { scenes: { dim: 2, steps: 3, values, variants: 2, lengths: Int32Array.of(3, 1, 2, 3, 3) } },
    present: new Uint8Array(films).fill(1),
    targets: {},
  };
  const { mean, scale } = await fitScaler('scenes', table, Int32Array.of(1, 2), undefined, {});
  const seen: number[][] = [[], []];
  for (let variant = 0; variant < 2; variant++) {
    for (const [film, length] of [
      [1, 1],
      [2, 2],
    ] as const) {
      for (let step = 0; step < length; step++) {
        for (const i of [0, 1]) seen[i]!.push(values[((variant * films + film) * 3 + step) * 2 + i]!);
      }
    }
  }
  for (const i of [0, 1]) {
    const centre = seen[i]!.reduce((a, b) => a + b, 0) / 6;
    const std = Math.sqrt(seen[i]!.reduce((sum, value) => sum + (value - centre) ** 2, 0) / 6);
    t.true(Math.abs(mean[i]! - centre) < 1e-5 && Math.abs(scale[i]! - 1 / std) < 1e-5);
  }
});

test("an epoch's draw: every film once, hidden as often as asked, inputs together, never all; the same for a seed and epoch", (t) => {
  const films = 4000;
  const present = Uint8Array.from({ length: films * 3 }, (_, i) => (i % 9 === 4 ? 0 : 1));
  const plan: DrawPlan = {
    rows: rows(0, 3000),
    present,
    modalityDropout: [0, 0.3, 0.1],
    inputOf: [0, 1, 1],
    fewInputs: 0,
    variants: 4,
  };
  const draw = drawEpoch(plan, 7, 1);
  t.deepEqual(draw, drawEpoch(plan, 7, 1));
  for (const other of [drawEpoch(plan, 7, 2), drawEpoch(plan, 8, 1)]) {
    t.notDeepEqual(other.rows, draw.rows);
    t.notDeepEqual(other.present, draw.present);
    t.notDeepEqual(other.variants, draw.variants);
  }
  t.deepEqual(
    [...draw.rows].sort((a, b) => a - b),
    [...plan.rows],
  );
  t.deepEqual(
    draw.present.subarray(9000),
    present.subarray(9000),
    'films not in training keep what they have',
  );
  const share = (shown: Uint8Array, m: number) => {
    let [had, has] = [0, 0];
    for (let film = 0; film < 3000; film++) {
      had += present[film * 3 + m]!;
      has += shown[film * 3 + m]!;
      if (shown[film * 3 + m]! > present[film * 3 + m]!) t.fail();
    }
    return has / had;
  };
  t.is(share(draw.present, 0), 1);
  t.true(Math.abs(share(draw.present, 1) - 0.7) < 0.03 && Math.abs(share(draw.present, 2) - 0.9) < 0.02);
  t.deepEqual([...new Set(draw.variants!.subarray(0, 3000))].sort(), [0, 1, 2, 3]);
  const few = drawEpoch({ ...plan, modalityDropout: [0, 0, 0], fewInputs: 1 }, 7, 1).present;
  let both = 0;
  for (let film = 0; film < 3000; film++) {
    const [a, b, c] = few.subarray(film * 3, film * 3 + 3);
    t.true(a! + b! + c! > 0);
    if (present[film * 3 + 1] && present[film * 3 + 2]) both += b === c ? 0 : 1;
  }
  t.is(both, 0, 'modalities of one input come and go together');
  t.is(drawEpoch({ ...plan, modalityDropout: [0, 0, 0], fewInputs: 0 }, 7, 1).present, present);
});

test('sequences with attention over their steps are learned from reduced vectors and served from full ones', async (t) => {
  const films = 260;
  const random = randomOf(8);
  const values = Float32Array.from({ length: films * 4 * 10 }, () => random.normal());
  const lengths = Int32Array.from({ length: films }, () => 1 + random.below(4));
  const rating = Float32Array.from({ length: films }, (_, film) => {
    let sum = 0;
    for (let step = 0; step < lengths[film]!; step++) sum += values[(film * 4 + step) * 10 + 2]!;
    return (2 * sum) / lengths[film]! + 0.1 * random.normal();
  });
  const table: FilmTable = {
    ids: Array.from({ length: films }, (_, i) => `f${i}`),
    modalities: { scenes: { dim: 10, steps: 4, values, lengths } },
    present: new Uint8Array(films).fill(1),
    targets: { rating },
  };
  const split = { train: rows(0, 180), valid: rows(180, 220), test: rows(220, 260) };
  const config: TableConfig = {
    targets: [{ name: 'rating', task: 'regression' }],
    network: {
      projection: { out: 8 },
      modalities: { scenes: { sequence: { pooling: 'attention' }, principalDirections: { keep: 8 } } },
    },
    training: { epochs: 20, optimizer: { learningRate: 0.01 } },
  };
  const fitted = await fitTable(table, split, config);
  const { dim, sequence } = fitted.spec.modalities[0]!;
  t.is(dim, 10);
  t.deepEqual(sequence, { pooling: 'attention', attentionDim: 10 });
  t.deepEqual(fitted.weights.get('modalities.scenes.pooling.W')!.shape, [10, 10]);
  // Valid losses were those of the reduced network: the served one has the same.
  const { loss } = fitted.history[0]!.epochs.at(-1)!.valid!;
  using network = FusionNetwork.create(fitted.spec, fitted.weights);
  const { heads } = await tableModel(network, table).predict(split.valid);
  const [head] = fitted.heads;
  t.true(head!.task === 'regression');
  const std = head!.task === 'regression' ? head!.std : 1;
  const mean = head!.task === 'regression' ? head!.mean : 0;
  const errors = Array.from(split.valid, (film, i) => heads.rating![i]! - (rating[film]! - mean) / std);
  t.true(
    Math.abs(errors.reduce((sum, error) => sum + error * error, 0) / 40 - loss) < 1e-5 * Math.max(1, loss),
  );
  t.true(loss < 0.8, String(loss));
  const prepared = await prepareFit(table, split, parseFuseConfig(config), {});
  t.is(prepared.table.modalities.scenes!.dim, 8);
});
