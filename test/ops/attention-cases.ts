/** Attentions of odd shapes with what is absent holding NaN, and their gradients by differences in float64. */
import {
  type AdditiveAttentionLayer,
  additiveAttentionBackward,
  type CrossAttentionLayer,
  crossAttentionBackward,
  crossModalBackward,
  type ExecOptions,
  type ModalityAttentionLayer,
  modalityAttentionBackward,
  spatialAttentionBackward,
  temporalAttentionBackward,
} from '../../lib/ops/index.js';
import { random, randomF32 } from '../backends.js';
import {
  additive,
  cross,
  crossModal,
  differences,
  inFloat64,
  modality,
  spatial,
  temporal,
} from './attention-oracle.js';

export type Fields = Record<string, ArrayLike<number>>;

export interface GradientCase {
  name: string;
  /** Where not NaN, what the gradients have to be; 0 by what is absent. */
  expected: Record<string, Float64Array>;
  run(exec: ExecOptions): Promise<Fields>;
}

export const scaled = (n: number, seed: number, by: number): Float32Array =>
  randomF32(n, seed).map((v) => v / Math.sqrt(by));

export function crossLayer(
  width: number,
  contextWidth: number,
  heads: number,
  ff: number,
  seed: number,
): CrossAttentionLayer {
  let at = seed;
  const matrix = (out: number, from: number) => scaled(out * from, at++, from);
  const vector = (n: number, shift = 0) => randomF32(n, at++).map((v) => 0.3 * v + shift);
  return {
    width,
    contextWidth,
    heads,
    Wq: matrix(width, width),
    bq: vector(width),
    Wk: matrix(width, contextWidth),
    bk: vector(width),
    Wv: matrix(width, contextWidth),
    bv: vector(width),
    Wo: matrix(width, width),
    bo: vector(width),
    ...(ff > 0 && {
      block: {
        norm1: { weight: vector(width, 1), bias: vector(width) },
        W1: matrix(ff, width),
        b1: vector(ff),
        W2: matrix(width, ff),
        b2: vector(width),
        norm2: { weight: vector(width, 1), bias: vector(width) },
      },
    }),
  };
}

/** Every array of a layer by the golden vectors' names. */
export function crossArrays(layer: CrossAttentionLayer): Fields {
  const { Wq, bq, Wk, bk, Wv, bv, Wo, bo, block } = layer;
  return {
    ...{ Wq, bq, Wk, bk, Wv, bv, Wo, bo },
    ...(block && {
      ln1_g: block.norm1.weight,
      ln1_b: block.norm1.bias,
      W1: block.W1,
      b1: block.b1,
      W2: block.W2,
      b2: block.b2,
      ln2_g: block.norm2.weight,
      ln2_b: block.norm2.bias,
    }),
  };
}

function modalityCase(round: number, next: () => number): GradientCase {
  const form = round % 2 ? 'feature' : 'tanh';
  const [batch, modalities] = round === 12 ? [70, 3] : [1 + Math.floor(next() * 5), 1 + (round % 6)];
  const features = [1, 3, 7, 16, 17, 33][round % 6]!;
  const k = [1, 5, 16, 19][round % 4]!;
  const size = form === 'feature' ? features : k;
  const W = scaled(size * features, round, features);
  const b = randomF32(size, 50 + round);
  const layer: ModalityAttentionLayer =
    form === 'feature' ? { form, features, W, b } : { form, features, W, b, w: randomF32(k, 80 + round) };
  const h = randomF32(batch * modalities * features, 100 + round);
  const dc = randomF32(batch * features, 200 + round);
  const all = round % 3 === 0;
  const mask = Uint8Array.from({ length: batch * modalities }, () => (all || next() < 0.6 ? 1 : 0));
  for (const [i, there] of mask.entries()) {
    if (!there) h.fill(Number.NaN, i * features, (i + 1) * features);
  }
  const exact = inFloat64(layer);
  const h64 = Float64Array.from(h);
  const compute = () => modality(exact, h64, modalities, mask);
  return {
    name: `modalities, ${form}, round ${round}`,
    expected: {
      dh: differences(h64, dc, compute),
      dW: differences(exact.W, dc, compute),
      db: differences(exact.b, dc, compute),
      ...(exact.form === 'tanh' && { dw: differences(exact.w, dc, compute) }),
    },
    run: async (exec) => ({
      ...(await modalityAttentionBackward(layer, { h, modalities, dc, ...(!all && { mask }) }, exec)),
    }),
  };
}

function sequenceCases(round: number, next: () => number): GradientCase[] {
  const batch = round === 6 ? 67 : 1 + (round % 4);
  const steps = [1, 2, 5, 17, 33][round % 5]!;
  const [d, dv, k] = [[1, 7, 16, 21][round % 4]!, [3, 16, 1, 19][round % 4]!, [4, 1, 17][round % 3]!];
  const all = round % 3 === 0;
  const lengths = Int32Array.from({ length: batch }, () => (all ? steps : Math.floor(next() * (steps + 1))));
  const given = all ? {} : { lengths };
  const beyond = (x: Float32Array, width: number) => {
    for (const [r, n] of lengths.entries()) {
      x.fill(Number.NaN, (r * steps + n) * width, (r + 1) * steps * width);
    }
    return x;
  };
  const cases: GradientCase[] = [];
  {
    const query = randomF32(batch * d, round);
    const keys = beyond(randomF32(batch * steps * d, 10 + round), d);
    const values = beyond(randomF32(batch * steps * dv, 20 + round), dv);
    const dc = randomF32(batch * dv, 30 + round);
    const input = { query, keys, values, steps, keyDim: d, valueDim: dv };
    const exact = { ...inFloat64(input), lengths, scale: 1 / Math.sqrt(d) };
    const compute = () => temporal(exact);
    cases.push({
      name: `temporal, round ${round}`,
      expected: {
        dquery: differences(exact.query, dc, compute),
        dkeys: differences(exact.keys, dc, compute),
        dvalues: differences(exact.values, dc, compute),
      },
      run: async (exec) => ({ ...(await temporalAttentionBackward({ ...input, ...given, dc }, exec)) }),
    });
  }
  {
    const x = beyond(randomF32(batch * steps * d, 40 + round), d);
    const dc = randomF32(batch * d, 50 + round);
    const W = scaled(k * d, 60 + round, d);
    const layer: AdditiveAttentionLayer = {
      dim: d,
      W,
      b: randomF32(k, 70 + round),
      w: randomF32(k, 80 + round),
    };
    const exact = inFloat64(layer);
    const x64 = Float64Array.from(x);
    const compute = () => additive(exact, x64, steps, lengths);
    cases.push({
      name: `additive, round ${round}`,
      expected: {
        dx: differences(x64, dc, compute),
        dW: differences(exact.W, dc, compute),
        db: differences(exact.b, dc, compute),
        dw: differences(exact.w, dc, compute),
      },
      run: async (exec) => ({
        ...(await additiveAttentionBackward(layer, { x, steps, ...given, dc }, exec)),
      }),
    });
  }
  const [height, width] = [1 + (round % 3), steps];
  const x = randomF32(batch * d * height * width, 90 + round);
  const dc = randomF32(batch * d, 100 + round);
  const x64 = Float64Array.from(x);
  for (const shared of [true, false]) {
    const query = randomF32(shared ? d : batch * d, 110 + round);
    const score = shared ? { w: query, b: 0.3 } : { query, scale: 0.7 };
    const q64 = Float64Array.from(query);
    const compute = () => spatial(x64, q64, d, height * width, shared ? 1 : 0.7);
    cases.push({
      name: `spatial, ${shared ? 'w' : 'query'}, round ${round}`,
      expected: {
        dx: differences(x64, dc, compute),
        dquery: differences(q64, dc, compute),
        db: Float64Array.of(0),
      },
      run: async (exec) => {
        const input = { x, channels: d, height, width, dc, ...score };
        const { dx, dquery, db } = await spatialAttentionBackward(input, exec);
        return { dx, dquery, db: [db] };
      },
    });
  }
  return cases;
}

function crossCase(round: number, next: () => number): GradientCase {
  const heads = [1, 2, 3][round % 3]!;
  const width = heads * [1, 5, 16, 7][round % 4]!;
  const contextWidth = [3, 17, 8][round % 3]!;
  const [batch, queries, keys] = [1 + (round % 3), [1, 4, 7][round % 3]!, [5, 1, 9, 17][round % 4]!];
  const ff = round % 2 ? 0 : [6, 17, 9][round % 3]!;
  const layer = crossLayer(width, contextWidth, heads, ff, 500 + 40 * round);
  const x = randomF32(batch * queries * width, 300 + round);
  const context = randomF32(batch * keys * contextWidth, 310 + round);
  const dy = randomF32(batch * queries * width, 320 + round);
  const present = Uint8Array.from({ length: batch * keys }, () => (next() < 0.7 ? 1 : 0));
  if (round === 5) present.fill(0, 0, keys);
  for (const [i, there] of present.entries()) {
    if (!there) context.fill(Number.NaN, i * contextWidth, (i + 1) * contextWidth);
  }
  const exact = inFloat64(layer);
  // Zeros where nothing is: the plain products of the oracle read them, its sums do not.
  const zeros = Float64Array.from(context, (v) => (Number.isNaN(v) ? 0 : v));
  const x64 = Float64Array.from(x);
  const compute = () => cross(exact, x64, zeros, queries, keys, (r, _, n) => present[r * keys + n] === 1);
  const by = crossArrays(exact as never) as Record<string, Float64Array>;
  return {
    name: `${ff ? 'block' : 'multi-head'}, round ${round}`,
    expected: {
      dx: differences(x64, dy, compute, 30),
      dcontext: differences(zeros, dy, compute, 30),
      ...Object.fromEntries(
        Object.entries(by).map(([name, weight]) => [name, differences(weight, dy, compute, 20)]),
      ),
    },
    run: async (exec) => {
      const g = await crossAttentionBackward(layer, { x, context, queries, keys, present, dy }, exec);
      return { dx: g.dx, dcontext: g.dcontext, ...crossArrays(g.layer) };
    },
  };
}

function crossModalCase(round: number, next: () => number): GradientCase {
  const heads = [1, 3, 2, 4][round]!;
  const width = heads * [5, 1, 8, 3][round]!;
  const ff = [3, 8, 17, 4][round]!;
  const [batch, modalities] = [
    [3, 4],
    [2, 1],
    [5, 3],
    [70, 2],
  ][round] as [number, number];
  const layers = Array.from({ length: [1, 1, 3, 2][round]! }, (_, i) =>
    crossLayer(width, width, heads, ff, 900 + 100 * round + 20 * i),
  );
  const h = randomF32(batch * modalities * width, 400 + round);
  const dc = randomF32(batch * width, 410 + round);
  const mask = Uint8Array.from({ length: batch * modalities }, () => (next() < 0.7 ? 1 : 0));
  if (round === 2) mask.fill(0, 0, modalities); // nothing there
  if (round === 0) mask.set([0, 1, 0, 0]); // one alone
  for (const [i, there] of mask.entries()) {
    if (!there) h.fill(Number.NaN, i * width, (i + 1) * width);
  }
  const exact = layers.map(inFloat64);
  const h64 = Float64Array.from(h);
  const compute = () => crossModal(exact, h64, modalities, mask);
  const expected: Record<string, Float64Array> = { dh: differences(h64, dc, compute, 30) };
  for (const [i, layer] of exact.entries()) {
    for (const [name, weight] of Object.entries(crossArrays(layer as never))) {
      expected[`${i}.${name}`] = differences(weight as Float64Array, dc, compute, 12);
    }
  }
  return {
    name: `cross-modal, round ${round}`,
    expected,
    run: async (exec) => {
      const { dh, blocks } = await crossModalBackward(layers, { h, modalities, mask, dc }, exec);
      const entries = blocks.flatMap((block, i) =>
        Object.entries(crossArrays(block)).map(([name, value]) => [`${i}.${name}`, value]),
      );
      return { dh, ...Object.fromEntries(entries) };
    },
  };
}

/** All cases; made once, since the differences take their time. */
export function gradientCases(): GradientCase[] {
  cached ??= makeCases();
  return cached;
}
let cached: GradientCase[] | undefined;

function makeCases(): GradientCase[] {
  const next = random(7);
  return [
    ...Array.from({ length: 14 }, (_, round) => modalityCase(round, next)),
    ...Array.from({ length: 8 }, (_, round) => sequenceCases(round, next)).flat(),
    ...Array.from({ length: 6 }, (_, round) => crossCase(round, next)),
    ...Array.from({ length: 4 }, (_, round) => crossModalCase(round, next)),
  ];
}
