/** Kernel ridge and kernel logistic regression over a table of films: `fitKernel`. */
import { DataError, TrainError, throwIfCancelled } from '../errors.js';
import type { KernelFusion } from '../fusion/kernel-spec.js';
import {
  FusionNetwork,
  type FusionNetworkSpec,
  type NetworkWeight,
  parseFusionNetworkSpec,
} from '../fusion/network.js';
import { choleskyFactor, choleskySolve } from '../ops/cholesky.js';
import type { ExecOptions } from '../ops/exec.js';
import { checkFinite, fitScaler, type InputScaler, withModality } from './inputs.js';
import type {
  KernelFit,
  KernelFitConfig,
  KernelFitOptions,
  KernelHead,
  KernelHeadFit,
} from './kernel-config.js';
import { KernelFeatures } from './kernel-features.js';
import {
  type HeadProblem,
  type HeadSolution,
  headOutputs,
  headScore,
  leaveOneOut,
  solveLogistic,
  solveRidge,
} from './kernel-solve.js';
import { chooseKernels, isSequence, type KernelBlock, kernelBetween, kernelBlock } from './kernel-vectors.js';
import { randomOf, seedOf } from './random.js';
import type { FilmTable, TableSplit } from './table.js';
import { tableModel } from './table-model.js';

const LANDMARKS = 2000;
const LAMBDAS = [1000, 100, 10, 1, 0.1, 0.01];
const JITTER = 1e-9;
/** Films that the served network is held against. */
const CHECKED = 256;
/** Largest difference between the served network and the fit, of the largest output. */
const TOLERANCE = 1e-3;

type KernelSpec = FusionNetworkSpec & { fusion: KernelFusion };

/**
 * Fits a network of fusion kind 'kernel' in closed form (regression) or by quasi-Newton steps (classes), in float64:
 *
 *   min Σ_i weight_i loss(y_i, f(x_i)) + ½ lambda |f|²,   f(x) = Σ_j a_j F_j(x) + bias
 *
 * over the landmarks z_j: all films in training up to `landmarks`, else so many of them at random, which is the Nyström method.
 * loss is half the squared error, or the negative log-likelihood of a logistic function or of softmax. Each head has a
 * lambda of its own, chosen on the films for validation or by leaving out one film at a time; the bias is not regularised.
 * Films in training that lack a target count for the other heads. What is missing of a film is as KernelFusion says.
 *
 * Memory: two matrices of landmarks², and the features of all films up to 1 GiB, beyond which they are made anew in blocks
 * each time. The same seed gives the same bits on any number of threads of one instruction set.
 *
 * @throws TrainError ERR_TRAIN_CONFIG    a head, kernel or number that is none, naming the field
 * @throws TrainError ERR_TRAIN_SINGULAR  a kernel matrix or normal equations that are not positive definite in float64;
 *   weights so large that float32 does not serve what was fitted: more lambda or jitter, or another kernel
 * @throws DataError ERR_DATA_COLUMN, ERR_DATA_EMPTY  targets that are missing, of another kind, or unknown for all films
 * @throws InputError ERR_INPUT_VALUE     an input that is not finite, naming the film
 * @throws CancelledError ERR_CANCELLED
 *
 * Source: Schölkopf and Smola 2002; Williams and Seeger 2001 (Nyström).
 */
export async function fitKernel(
  table: FilmTable,
  split: TableSplit,
  config: KernelFitConfig,
  options: KernelFitOptions = {},
): Promise<KernelFit> {
  const { onProgress, ...exec } = options;
  const names = Object.keys(table.modalities);
  checkConfig(table, config);
  const heads = config.heads.map((head) => ({ head, y: targetsOf(table, config, head) }));
  const knows = (film: number) => heads.some(({ y }) => !Number.isNaN(y[film]!));
  const has = (film: number) => names.some((_, m) => table.present[film * names.length + m]);
  const train = split.train.filter((film) => knows(film) && has(film));
  const valid = split.valid.filter((film) => knows(film) && has(film));
  for (const { head, y } of heads) requireFilms(head, y, train);

  const scalers: Record<string, InputScaler> = {};
  for (const [m, name] of names.entries()) {
    throwIfCancelled(exec.signal);
    const there = withModality(train, table, m);
    checkFinite(name, table, withModality(valid, table, m));
    scalers[name] = config.scalers?.[name] ?? (await fitScaler(name, table, there, undefined, exec));
  }

  const most = Math.min(train.length, config.landmarks ?? LANDMARKS);
  const landmarks = randomOf(seedOf(config.seed, 'kernel landmarks'))
    .shuffle(train.slice())
    .slice(0, most)
    .sort();
  const z = kernelBlock(table, scalers, landmarks);
  const judges = heads.flatMap(({ head, y }) => judgesOf(head, y, landmarks));
  const kernels = await chooseKernels(table, config, z, judges, exec);
  const spec = specOf(table, config, most, kernels as KernelFusion['kernels']);
  onProgress?.({ stage: 'kernels', done: 1, total: 1 });

  const factor = await kernelBetween(spec, z, z, exec);
  let diagonal = 0;
  for (let j = 0; j < most; j++) diagonal += factor[j * most + j]! / most;
  await choleskyFactor(factor, most, {
    ...exec,
    shift: (config.jitter ?? JITTER) * diagonal,
    name: 'kernel matrix',
  });
  const make = async (films: Int32Array) => {
    const k = await kernelBetween(spec, kernelBlock(table, scalers, films), z, exec);
    return choleskySolve(factor, most, k, exec);
  };
  const features = new KernelFeatures(train, most, make, exec);
  const judged = new KernelFeatures(valid, most, make, exec);
  for (let b = 0; b < features.blocks; b++) {
    if (features.keeps) await features.block(b);
    onProgress?.({ stage: 'features', done: b + 1, total: features.blocks });
  }

  const fits: Record<string, KernelHeadFit> = {};
  const weights = inputWeights(table, scalers, landmarks, z);
  const outputs: Record<string, Float64Array> = {};
  let gram: { weights: Float64Array; of: Float64Array } | undefined;
  for (const [h, { head, y }] of heads.entries()) {
    const errors = Float64Array.from(train, (film) =>
      Number.isNaN(y[film]!) ? 0 : (table.weights?.[film] ?? 1),
    );
    if (!gram?.weights.every((weight, i) => weight === errors[i])) {
      gram = { weights: errors, of: await features.gram(errors) };
    }
    const problem: HeadProblem = {
      features,
      y: Float64Array.from(train, (film) => y[film]!),
      weights: errors,
      out: head.task === 'multiclass' ? head.classes : 1,
      task: head.task,
      intercept: config.intercept ?? true,
      gram: gram.of,
      exec,
    };
    const { solution, fit } = await chooseLambda(problem, head, config, judged, y, diagonal, (done, total) =>
      onProgress?.({
        stage: 'heads',
        head: head.head,
        done: h + done / total,
        total: heads.length,
      }),
    );
    fits[head.head] = fit;
    outputs[head.head] = (await headOutputs(features, solution)).slice(0, CHECKED * problem.out);
    const dual = solution.w.slice();
    await choleskySolve(factor, most, dual, { ...exec, transposed: true });
    weights.set(`heads.${head.head}.weight`, {
      shape: [problem.out, most],
      data: Float32Array.from(dual),
    });
    weights.set(`heads.${head.head}.bias`, {
      shape: [problem.out],
      data: Float32Array.from(solution.bias),
    });
  }
  await checkServed(spec, weights, table, train.slice(0, CHECKED), outputs, exec);
  return { spec, weights, landmarks, heads: fits };
}

function checkConfig(table: FilmTable, config: KernelFitConfig): void {
  const fail = (field: string, expected: string, got: unknown): never => {
    throw new TrainError('ERR_TRAIN_CONFIG', { field, expected, got: String(got) });
  };
  const names = Object.keys(table.modalities);
  if (config.heads.length === 0) fail('heads', 'at least one head', 'none');
  for (const [i, head] of config.heads.entries()) {
    const lambdas = typeof head.lambda === 'number' ? [head.lambda] : head.lambda;
    if (config.heads.findIndex((other) => other.head === head.head) < i) {
      fail(`heads.${i}.head`, 'unique names', head.head);
    }
    if (head.task === 'multiclass' && !(Number.isInteger(head.classes) && head.classes >= 2)) {
      fail(`heads.${i}.classes`, '2 classes or more', head.classes);
    }
    checkLambdas(lambdas, `heads.${i}.lambda`);
  }
  checkLambdas(config.lambdas, 'lambdas');
  for (const name of [...Object.keys(config.kernels ?? {}), ...Object.keys(config.scalers ?? {})]) {
    if (!names.includes(name)) fail(`kernels.${name}`, `one of ${names.join(', ')}`, 'none of that name');
  }
  const { landmarks = LANDMARKS, jitter = JITTER } = config;
  if (!(Number.isInteger(landmarks) && landmarks >= 1 && landmarks <= 32_768)) {
    fail('landmarks', '1 to 32768', landmarks);
  }
  if (!(jitter >= 0 && Number.isFinite(jitter))) fail('jitter', 'a number of 0 or more', jitter);

  function checkLambdas(lambdas: readonly number[] | undefined, field: string): void {
    if (lambdas?.length === 0) fail(field, 'at least one', 'none');
    for (const lambda of lambdas ?? []) {
      if (!(lambda > 0 && Number.isFinite(lambda))) fail(field, 'numbers above 0', lambda);
    }
  }
}

function targetsOf(table: FilmTable, config: KernelFitConfig, head: KernelHead): Float64Array {
  const targets = config.targets?.[head.head] ?? table.targets[head.head];
  const fail = (expected: string, got: string): never => {
    throw new DataError('ERR_DATA_COLUMN', { field: head.head, expected, got });
  };
  if (!targets) return fail('targets of that name', 'none');
  if (targets.length !== table.ids.length) return fail(`${table.ids.length} targets`, `${targets.length}`);
  const most = head.task === 'multiclass' ? head.classes : 2;
  for (const [film, y] of targets.entries()) {
    if (Number.isNaN(y)) continue;
    const right = head.task === 'regression' ? Number.isFinite(y) : Number.isInteger(y) && y >= 0 && y < most;
    if (!right) {
      const expected = head.task === 'regression' ? 'finite numbers' : `classes 0 to ${most - 1}`;
      fail(expected, `${y} for the film ${table.ids[film]}`);
    }
  }
  return Float64Array.from(targets);
}

function requireFilms({ head, task }: KernelHead, y: Float64Array, train: Int32Array): void {
  const known = [...train].map((film) => y[film]!).filter((v) => !Number.isNaN(v));
  const least = task === 'regression' ? 1 : 2;
  if (new Set(known).size >= least) return;
  throw new DataError('ERR_DATA_EMPTY', {
    field: head,
    expected:
      task === 'regression' ? 'films in training that have the target' : 'films in training of two classes',
    got: known.length === 0 ? 'none' : `${known.length}, all of one class`,
  });
}

/** What alignment looks at: a number a landmark, or one for each class. */
function judgesOf(head: KernelHead, y: Float64Array, landmarks: Int32Array): Float64Array[] {
  const own = Float64Array.from(landmarks, (film) => y[film]!);
  if (head.task !== 'multiclass') return [own];
  return Array.from({ length: head.classes }, (_, c) =>
    own.map((v) => (Number.isNaN(v) ? v : v === c ? 1 : 0)),
  );
}

function specOf(
  table: FilmTable,
  config: KernelFitConfig,
  landmarks: number,
  kernels: KernelFusion['kernels'],
): KernelSpec {
  const projection = { out: landmarks, activation: 'none', layerNorm: false } as const;
  const spec = parseFusionNetworkSpec({
    modalities: Object.entries(table.modalities).map(([name, modality]) => ({
      name,
      dim: modality.dim,
      ...(isSequence(modality) && { sequence: { pooling: 'mean' } }),
      projection,
    })),
    fusion: {
      kind: 'kernel',
      combine: config.combine ?? 'sum',
      constant: config.constant ?? 1,
      kernels,
    },
    trunk: [],
    heads: config.heads.map((head) => ({
      name: head.head,
      out: head.task === 'multiclass' ? head.classes : 1,
    })),
  });
  return spec as KernelSpec;
}

/** What the network holds of the inputs: scalers and landmarks. */
function inputWeights(
  table: FilmTable,
  scalers: Readonly<Record<string, InputScaler>>,
  landmarks: Int32Array,
  z: KernelBlock,
): Map<string, NetworkWeight> {
  const weights = new Map<string, NetworkWeight>();
  const count = Object.keys(table.modalities).length;
  for (const [m, [name, { dim }]] of Object.entries(table.modalities).entries()) {
    const prefix = `modalities.${name}`;
    weights.set(`${prefix}.scaler.mean`, { shape: [dim], data: scalers[name]!.mean });
    weights.set(`${prefix}.scaler.scale`, { shape: [dim], data: scalers[name]!.scale });
    weights.set(`${prefix}.landmarks`, { shape: [landmarks.length, dim], data: z.vectors[m]! });
    weights.set(`${prefix}.landmark_present`, {
      shape: [landmarks.length],
      data: Float32Array.from(landmarks, (_, j) => z.present[j * count + m]!),
    });
  }
  return weights;
}

/** Solves a head with every lambda, from the largest down, and keeps the one of the best score. */
async function chooseLambda(
  problem: HeadProblem,
  head: KernelHead,
  config: KernelFitConfig,
  judged: KernelFeatures,
  y: Float64Array,
  diagonal: number,
  progress: (done: number, total: number) => void,
): Promise<{ solution: HeadSolution; fit: KernelHeadFit }> {
  const asked = typeof head.lambda === 'number' ? [head.lambda] : (head.lambda ?? config.lambdas ?? LAMBDAS);
  const lambdas = [...asked].sort((a, b) => b - a);
  const truth = Float64Array.from(judged.films, (film) => y[film]!);
  const counts = truth.map((v) => (Number.isNaN(v) ? 0 : 1));
  const judges = counts.some((count) => count > 0);
  const choose = config.choose ?? (judges ? 'valid' : 'leave-one-out');
  if (lambdas.length > 1 && choose === 'valid' && !judges) {
    throw new DataError('ERR_DATA_EMPTY', {
      field: head.head,
      expected: 'films for validation that have the target, to choose lambda by',
      got: 'none',
    });
  }
  if (lambdas.length > 1 && choose === 'leave-one-out' && head.task === 'multiclass') {
    throw new TrainError('ERR_TRAIN_CONFIG', {
      field: 'choose',
      expected: `'valid' with films for validation, or one lambda, for the classes of ${head.head}`,
      got: "'leave-one-out'",
    });
  }
  const scores: KernelHeadFit['scores'] = [];
  let best: { lambda: number; score: number; solution: HeadSolution } | undefined;
  let last: HeadSolution | undefined;
  for (const [i, lambda] of lambdas.entries()) {
    const strength = lambda * diagonal;
    const ridge = head.task === 'regression' ? await solveRidge(problem, strength) : undefined;
    const solution = ridge?.solution ?? (await solveLogistic(problem, strength, last));
    last = solution;
    let score = 0;
    if (lambdas.length > 1 && choose === 'valid') {
      score = headScore(head.task, await headOutputs(judged, solution), truth, counts);
    } else if (lambdas.length > 1) {
      const f = await leaveOneOut(problem, strength, solution, ridge);
      score = headScore(head.task, f, problem.y, problem.weights);
    }
    if (lambdas.length > 1) scores.push({ lambda, score });
    if (!best || score < best.score) best = { lambda, score, solution };
    progress(i + 1, lambdas.length);
  }
  const { lambda, solution } = best!;
  return {
    solution,
    fit: {
      lambda,
      chosenBy: lambdas.length === 1 ? 'given' : choose,
      scores,
      films: problem.weights.filter((weight) => weight > 0).length,
      iterations: solution.iterations,
    },
  };
}

/** Runs the network that is to serve over some films in training: float32 must give what the fit gave. */
async function checkServed(
  spec: KernelSpec,
  weights: Map<string, NetworkWeight>,
  table: FilmTable,
  films: Int32Array,
  outputs: Record<string, Float64Array>,
  exec: ExecOptions,
): Promise<void> {
  for (const [name, { data }] of weights) {
    const bad = data.findIndex((v) => !Number.isFinite(v));
    if (bad < 0) continue;
    throw new TrainError('ERR_TRAIN_SINGULAR', {
      field: name,
      expected: 'finite weights (more lambda, or another kernel, makes them so)',
      got: String(data[bad]),
    });
  }
  const { signal, ...how } = exec;
  using network = FusionNetwork.create(spec, weights, how);
  const { heads } = await tableModel(network, table, how).predict(films, undefined, signal);
  for (const [name, expected] of Object.entries(outputs)) {
    const top = expected.reduce((most, v) => Math.max(most, Math.abs(v)), 1);
    const worst = heads[name]!.reduce((most, v, i) => Math.max(most, Math.abs(v - expected[i]!)), 0);
    if (worst <= TOLERANCE * top) continue;
    throw new TrainError('ERR_TRAIN_SINGULAR', {
      field: `heads.${name}`,
      expected: 'weights that float32 can serve (more lambda or jitter, or another kernel, makes them so)',
      got: `outputs that are ${worst} off`,
    });
  }
}
