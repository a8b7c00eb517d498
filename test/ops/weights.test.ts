import test from 'ava';
import {
  Linear,
  type LinearLayer,
  LowRankFusion,
  TensorFusion,
  type WeightType,
} from '../../lib/ops/index.js';
import { WEIGHT_TYPES } from '../../lib/ops/weights.js';
import { randomF32, ways } from '../backends.js';
import { throwsTyped } from '../errors.js';
import { assertClose, dense } from './oracle.js';

const value = new Float32Array(1);
const bits = new Uint32Array(value.buffer);

/** To the nearest of 8 bits of mantissa, ties to even. */
function bfloat16(x: number): number {
  value[0] = x;
  const b = bits[0] as number;
  bits[0] = ((b + 0x7fff + ((b >>> 16) & 1)) >>> 16) << 16;
  return value[0] as number;
}

const roundEven = (x: number): number => {
  const down = Math.floor(x);
  return x - down < 0.5 || (x - down === 0.5 && down % 2 === 0) ? down : down + 1;
};

/** (out, in) as stored: one scale for each output and 384 inputs. */
function int8(weight: Float32Array, inFeatures: number): Float64Array {
  const rounded = new Float64Array(weight.length);
  for (let row = 0; row < weight.length; row += inFeatures) {
    for (let k = 0; k < inFeatures; k += 384) {
      const block = weight.subarray(row + k, row + Math.min(k + 384, inFeatures));
      const scale = Math.fround(block.reduce((most, w) => Math.max(most, Math.abs(w)), 0) / 127);
      block.forEach((w, i) => {
        rounded[row + k + i] = scale && scale * roundEven(Math.fround(w / scale));
      });
    }
  }
  return rounded;
}

function randomLayer(inFeatures: number, outFeatures: number, seed: number): LinearLayer {
  return {
    inFeatures,
    outFeatures,
    weight: randomF32(outFeatures * inFeatures, seed),
    bias: randomF32(outFeatures, seed + 1),
  };
}

const FEATURES: [inFeatures: number, outFeatures: number][] = [
  [1, 1],
  [3, 15],
  [7, 16],
  [20, 17],
  [33, 31],
  [383, 32],
  [384, 33],
  [385, 48],
  [100, 49],
  [769, 129],
  [40, 160],
];
const ROWS = [1, 2, 3, 4, 5, 6, 12, 13, 31];

for (const { label, exec } of ways()) {
  test(`bfloat16 weights: the bits of a float32 layer of the rounded weights ${label}`, async (t) => {
    for (const [inFeatures, outFeatures] of FEATURES) {
      const layer = randomLayer(inFeatures, outFeatures, inFeatures);
      using stored = await Linear.create({ ...layer, weightType: 'bfloat16' }, exec);
      using rounded = await Linear.create({ ...layer, weight: layer.weight.map(bfloat16) }, exec);
      for (const rows of exec.backend === 'cpu' ? ROWS : [1, 13]) {
        const x = randomF32(rows * inFeatures, rows);
        t.deepEqual(
          await stored.run(x, exec),
          await rounded.run(x, exec),
          `${inFeatures} -> ${outFeatures}, ${rows} rows`,
        );
      }
    }
  });

  test(`int8 weights: within float32's errors of the rounded weights ${label}`, async (t) => {
    for (const [inFeatures, outFeatures] of FEATURES) {
      const layer = randomLayer(inFeatures, outFeatures, inFeatures);
      using stored = await Linear.create({ ...layer, weightType: 'int8' }, exec);
      const weight = int8(layer.weight, inFeatures) as unknown as Float32Array;
      for (const rows of exec.backend === 'cpu' ? ROWS : [1, 13]) {
        const x = randomF32(rows * inFeatures, rows);
        const { y, magnitude } = dense(x, { ...layer, weight });
        const got = await stored.run(x, exec);
        assertClose(
          t,
          got,
          y,
          magnitude,
          inFeatures + 2,
          `${inFeatures} -> ${outFeatures}, ${rows} rows ${label}`,
        );
      }
    }
  });

  test(`stored weights in tensor and low-rank fusion, within what their rounding explains ${label}`, async (t) => {
    const dims = [9, 12, 7];
    const outFeatures = 33;
    const weight = randomF32(10 * 13 * 8 * outFeatures, 1);
    const rank = 3;
    const factors = dims.map((d, m) => randomF32(rank * (d + 1) * outFeatures, 20 + m));
    for (const rows of [1, 4, 17]) {
      const h = dims.map((d, m) => randomF32(rows * d, 5 + m));
      const present = Uint8Array.from({ length: rows * 3 }, (_, i) => (i % 5 === 3 ? 0 : 1));
      for (const create of [
        (weightType: WeightType) => TensorFusion.create({ dims, outFeatures, weight, weightType }, exec),
        (weightType: WeightType) =>
          LowRankFusion.create({ dims, rank, outFeatures, factors, weightType }, exec),
      ]) {
        const run = async (weightType: WeightType) => {
          using layer = await create(weightType);
          return layer.run(h, { ...exec, present });
        };
        const exact = await run('float32');
        const top = exact.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
        const worst = async (weightType: WeightType) =>
          (await run(weightType)).reduce((most, v, i) => Math.max(most, Math.abs(v - exact[i]!)), 0) / top;
        const [float32, bfloat, integer] = [
          await worst('float32'),
          await worst('bfloat16'),
          await worst('int8'),
        ];
        t.is(float32, 0);
        t.true(bfloat > 0 && bfloat < 8e-3, `${bfloat} with bfloat16`);
        t.true(integer > 0 && integer < 2.5e-2, `${integer} with int8`);
      }
    }
  });

  test(`a weight that is not finite shows in its output and in no other ${label}`, async (t) => {
    const layer = randomLayer(400, 40, 3);
    const x = randomF32(6 * 400, 4);
    for (const weightType of WEIGHT_TYPES) {
      using clean = await Linear.create({ ...layer, weightType }, exec);
      const expected = await clean.run(x, exec);
      const weight = layer.weight.slice();
      weight[7 * 400 + 390] = Number.NaN;
      weight[18 * 400] = Number.POSITIVE_INFINITY;
      weight[39 * 400 + 1] = Number.NEGATIVE_INFINITY;
      using stored = await Linear.create({ ...layer, weight, weightType }, exec);
      const y = await stored.run(x, exec);
      for (let i = 0; i < y.length; i++) {
        if ([7, 18, 39].includes(i % 40)) t.false(Number.isFinite(y[i]), `${weightType}: ${i}`);
        else t.is(y[i], expected[i], `${weightType}: ${i}`);
      }
    }
  });
}

test('bfloat16 ties go to even, the largest floats to infinity, NaN of any payload stays NaN', async (t) => {
  const bits = [0x3f808000, 0x3f818000, 0x3f808001, 0x7f7fffff, 0x7f800001, 0x80000001, 0xff7f0000];
  const weight = new Float32Array(Uint32Array.from(bits).buffer);
  using layer = await Linear.create({ inFeatures: 1, outFeatures: 7, weight, weightType: 'bfloat16' });
  const y = await layer.run(Float32Array.of(1));
  t.is(y[0], 1);
  t.is(y[1], 1 + 4 / 256);
  t.is(y[2], 1 + 2 / 256);
  t.is(y[3], Number.POSITIVE_INFINITY);
  t.true(Number.isNaN(y[4]));
  t.is(y[5], 0);
  t.is(y[6], weight[6]);
});

test('zeros, and the largest magnitude of a block, are exact as int8', async (t) => {
  const weight = Float32Array.of(0, 0, 0, 127, -64, 1, 0, -3.5, 3.5);
  using layer = await Linear.create({ inFeatures: 3, outFeatures: 3, weight, weightType: 'int8' });
  t.deepEqual([...(await layer.run(Float32Array.of(1, 0, 0)))], [0, 127, 0]);
  t.deepEqual([...(await layer.run(Float32Array.of(0, 1, 0)))], [0, -64, -3.5]);
  t.deepEqual([...(await layer.run(Float32Array.of(0, 0, 1)))], [0, 1, 3.5]);
});

test('an unknown weight type is refused', async (t) => {
  const weightType = 'float16' as WeightType;
  const expected = { name: 'InputError', code: 'ERR_INPUT_VALUE', field: 'weightType' } as const;
  const weight = new Float32Array(8);
  await throwsTyped(t, () => Linear.create({ inFeatures: 4, outFeatures: 2, weight, weightType }), expected);
  await throwsTyped(
    t,
    () => TensorFusion.create({ dims: [1, 1], outFeatures: 2, weight, weightType }),
    expected,
  );
  await throwsTyped(
    t,
    () =>
      LowRankFusion.create({ dims: [1, 1], rank: 1, outFeatures: 2, factors: [weight, weight], weightType }),
    expected,
  );
});
