/** Kernels on devices: the reduced precisions, more rows than go through at a time, random calls beside the CPU's. */
import test from 'ava';
import { FusionNetwork, type FusionNetworkSpec, weightShapes } from '../../lib/fusion/network.js';
import { type Kernel, type KernelMatrixInput, kernelMatrix } from '../../lib/ops/index.js';
import { DEVICE_BACKENDS, random, randomF32 } from '../backends.js';
import { kernelMatrixOracle } from './kernel-oracle.js';

const RBF: Kernel = { kind: 'rbf', gamma: 0.01, weight: 0.5 };
const CUBE: Kernel = { kind: 'polynomial', gamma: 0.02, degree: 3, constant: 1, weight: 0.5 };
const LINE: Kernel = { kind: 'linear', weight: 0.1 };

function inputOf(
  rows: number,
  landmarks: number,
  terms: [Kernel, number][],
  seed: number,
): KernelMatrixInput {
  return {
    rows,
    landmarks,
    terms: terms.map(([kernel, dim], m) => ({
      kernel,
      dim,
      x: randomF32(rows * dim, seed + m),
      z: randomF32(landmarks * dim, seed + m + 40),
    })),
  };
}

/** Largest difference as a share of the largest value. */
function off(got: Float32Array, expected: ArrayLike<number>): number {
  let top = 0;
  let worst = 0;
  for (let i = 0; i < got.length; i++) {
    top = Math.max(top, Math.abs(expected[i]!));
    const d = Math.abs(got[i]! - expected[i]!);
    if (!(d <= worst)) worst = d;
  }
  return worst / top;
}

for (const backend of DEVICE_BACKENDS) {
  test(`reduced precisions round what they say [${backend}]`, async (t) => {
    const input = inputOf(
      40,
      90,
      [
        [RBF, 64],
        [CUBE, 33],
        [LINE, 20],
      ],
      1,
    );
    const expected = kernelMatrixOracle(input);
    for (const [precision, share] of [
      ['fp32', 1e-5],
      ['tf32', 2e-3],
      ['bf16', 2e-2],
    ] as const) {
      const worst = off(await kernelMatrix(input, { backend, precision }), expected);
      t.true(worst <= share, `${precision}: ${worst}`);
    }
  });

  test(`more rows than go through at a time [${backend}]`, async (t) => {
    const [rows, landmarks] = [257, 8200]; // 256 rows of so many landmarks, and one more
    const input = {
      ...inputOf(
        rows,
        landmarks,
        [
          [RBF, 2],
          [LINE, 1],
        ],
        5,
      ),
      presentX: Uint8Array.from({ length: 2 * rows }, (_, i) => (i % 5 === 3 ? 0 : 1)),
    };
    const cpu = await kernelMatrix(input);
    t.true(off(await kernelMatrix(input, { backend }), cpu) < 1e-5);

    const projection = { out: landmarks, activation: 'none', layerNorm: false } as const;
    const spec: FusionNetworkSpec = {
      modalities: [
        { name: 'a', dim: 2, projection },
        { name: 'b', dim: 1, projection },
      ],
      fusion: {
        kind: 'kernel',
        combine: 'product',
        constant: 0.5,
        kernels: { a: { kind: 'rbf', gamma: 0.1, weight: 1 }, b: { kind: 'linear', weight: 0.1 } },
      },
      trunk: [],
      heads: [{ name: 'y', out: 1 }],
    };
    const weights = Object.fromEntries(
      [...weightShapes(spec)].map(([name, shape], i) => {
        const data = randomF32(
          shape.reduce((x, y) => x * y, 1),
          i,
        );
        return [name, { shape, data: name === 'heads.y.weight' ? data.map((v) => v / 100) : data }];
      }),
    );
    using network = FusionNetwork.create(spec, weights);
    const [a, b] = input.terms.map(({ x }) => x);
    const batch = { batch: rows, modalities: { a, b }, present: input.presentX };
    const { heads } = await network.run(batch);
    t.true(off((await network.run(batch, { backend })).heads.y!, heads.y!) < 2e-5);
  });

  test(`random calls equal the CPU's [${backend}]`, async (t) => {
    const next = random(3);
    const below = (n: number) => 1 + Math.floor(n * next());
    for (let round = 0; round < 40; round++) {
      const [rows, landmarks] = [below(20), below(140)];
      const terms = Array.from({ length: below(4) }, (): [Kernel, number] => [
        [RBF, CUBE, LINE][Math.floor(3 * next())]!,
        below(70),
      ]);
      const presence = (n: number) =>
        next() < 0.5
          ? undefined
          : Uint8Array.from({ length: n * terms.length }, () => (next() < 0.7 ? 1 : 0));
      const input: KernelMatrixInput = {
        ...inputOf(rows, landmarks, terms, 100 * round),
        presentX: presence(rows),
        presentZ: presence(landmarks),
        combine: next() < 0.5 ? 'sum' : 'product',
        constant: 2 * next(),
      };
      const cpu = await kernelMatrix(input);
      const device = await kernelMatrix(input, { backend });
      const top = cpu.reduce((most, v) => Math.max(most, Math.abs(v)), 1);
      t.true(
        device.every((v, i) => Math.abs(v - cpu[i]!) <= 1e-5 * top),
        `round ${round}`,
      );
    }
  });
}
