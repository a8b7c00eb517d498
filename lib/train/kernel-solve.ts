/** Heads of a kernel fit: ridge regression in closed form, logistic regression by quasi-Newton steps, on KernelFeatures. */
import { throwIfCancelled } from '../errors.js';
import { choleskyFactor, choleskySolve } from '../ops/cholesky.js';
import type { ExecOptions } from '../ops/exec.js';
import type { KernelFeatures } from './kernel-features.js';

/** What one head is to learn of its films. */
export interface HeadProblem {
  features: KernelFeatures;
  /** (films) targets, anything where the weight is 0. */
  y: Float64Array;
  /** (films) weights of the errors, 0 where the target is unknown. */
  weights: Float64Array;
  /** Numbers that the head gives: 1, or the classes. */
  out: number;
  task: 'regression' | 'binary' | 'multiclass';
  intercept: boolean;
  /** Σ weight φ φᵀ, lower triangle; not changed. */
  gram: Float64Array;
  exec: ExecOptions;
}

/** f = w · φ + bias; w: (out, width). */
export interface HeadSolution {
  w: Float64Array;
  bias: Float64Array;
  iterations: number;
}

/** Means over weighted films: what a bias that is not regularised takes out of features and targets. */
interface Centre {
  total: number;
  /** (width), zeros without a bias. */
  phi: Float64Array;
}

async function centreOf(problem: HeadProblem, weights = problem.weights): Promise<Centre> {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  if (!problem.intercept) return { total, phi: new Float64Array(problem.features.width) };
  const phi = await problem.features.gather(weights, 1);
  return { total, phi: phi.map((sum) => sum / total) };
}

/** The factor of scale · (gram - total centre centreᵀ) + lambda I. */
async function factorOf(
  gram: Float64Array,
  { total, phi }: Centre,
  scale: number,
  lambda: number,
  exec: ExecOptions,
): Promise<Float64Array> {
  const n = phi.length;
  const a = new Float64Array(n * n);
  for (let i = 0; i < n; i++) {
    const at = scale * total * phi[i]!;
    for (let j = 0; j <= i; j++) a[i * n + j] = scale * gram[i * n + j]! - at * phi[j]!;
  }
  return choleskyFactor(a, n, { ...exec, shift: lambda, name: 'normal equations' });
}

async function solve(l: Float64Array, width: number, b: Float64Array, exec: ExecOptions): Promise<void> {
  await choleskySolve(l, width, b, exec);
  await choleskySolve(l, width, b, { ...exec, transposed: true });
}

/** Mean over the films that count of -log likelihood, or of the squared error; f: (films, out). */
export function headScore(
  task: HeadProblem['task'],
  f: Float64Array,
  y: Float64Array,
  weights: Float64Array,
): number {
  const out = f.length / y.length;
  let sum = 0;
  let total = 0;
  for (const [i, weight] of weights.entries()) {
    if (weight === 0) continue;
    total += weight;
    const at = f.subarray(i * out, (i + 1) * out);
    sum += weight * (task === 'regression' ? (at[0]! - y[i]!) ** 2 : negativeLog(task, at, y[i]!));
  }
  return sum / total;
}

function negativeLog(task: HeadProblem['task'], f: Float64Array, y: number): number {
  if (task === 'binary') {
    const margin = y > 0.5 ? f[0]! : -f[0]!;
    return Math.max(0, -margin) + Math.log1p(Math.exp(-Math.abs(margin)));
  }
  const top = Math.max(...f);
  return top + Math.log(f.reduce((sum, v) => sum + Math.exp(v - top), 0)) - f[y]!;
}

/** d loss / d f of each film into `f` itself, and the sum of the losses. */
function residuals({ task, y, weights, out }: HeadProblem, f: Float64Array): number {
  let loss = 0;
  for (const [i, weight] of weights.entries()) {
    const at = f.subarray(i * out, (i + 1) * out);
    if (weight === 0) {
      at.fill(0);
      continue;
    }
    loss += weight * negativeLog(task, at, y[i]!);
    if (task === 'binary') {
      at[0] = weight * (1 / (1 + Math.exp(-at[0]!)) - y[i]!);
      continue;
    }
    const top = Math.max(...at);
    let total = 0;
    for (let c = 0; c < out; c++) total += at[c] = Math.exp(at[c]! - top);
    for (let c = 0; c < out; c++) at[c] = weight * (at[c]! / total - (c === y[i] ? 1 : 0));
  }
  return loss;
}

/** f of every film. */
export async function headOutputs(
  features: KernelFeatures,
  { w, bias }: HeadSolution,
): Promise<Float64Array> {
  const f = await features.apply(w);
  for (let at = 0; at < f.length; at++) f[at]! += bias[at % bias.length]!;
  return f;
}

/** min ½ Σ weight (y - f)² + ½ lambda |w|² */
export async function solveRidge(
  problem: HeadProblem,
  lambda: number,
): Promise<{ solution: HeadSolution; factor: Float64Array; centre: Centre }> {
  const { features, y, weights, exec } = problem;
  const centre = await centreOf(problem);
  const known = weights.map((weight, i) => (weight === 0 ? 0 : weight * y[i]!));
  const mean = problem.intercept ? known.reduce((sum, v) => sum + v, 0) / centre.total : 0;
  const w = await features.gather(known, 1);
  for (let j = 0; j < w.length; j++) w[j]! -= centre.total * mean * centre.phi[j]!;
  const factor = await factorOf(problem.gram, centre, 1, lambda, exec);
  await solve(factor, features.width, w, exec);
  const bias = Float64Array.of(mean - dot(w, centre.phi));
  return { solution: { w, bias, iterations: 1 }, factor, centre };
}

const MEMORY = 10;
const MOST_STEPS = 300;

/**
 * min Σ weight loss + ½ lambda |w|², logistic or softmax. L-BFGS whose first guess of the inverse Hessian is that of
 * Böhning and Lindsay's bound (1988): the Hessian of softmax is at most half the Gram matrix, of the logistic function a
 * quarter. So one factorisation serves all steps, and a step along the bound alone would already go down.
 */
export async function solveLogistic(
  problem: HeadProblem,
  lambda: number,
  start?: HeadSolution,
): Promise<HeadSolution> {
  const { features, out, exec, intercept } = problem;
  const { width } = features;
  const centre = await centreOf(problem);
  const bound = problem.task === 'binary' ? 0.25 : 0.5;
  const factor = await factorOf(problem.gram, centre, bound, lambda, exec);
  const size = out * width;
  // One vector: w, then the bias of centred features.
  const x = new Float64Array(size + out);
  if (start) {
    x.set(start.w);
    for (let c = 0; c < out; c++) {
      x[size + c] = start.bias[c]! + dot(start.w.subarray(c * width, (c + 1) * width), centre.phi);
    }
  }
  const biasOf = (v: Float64Array) =>
    Float64Array.from({ length: out }, (_, c) =>
      intercept ? v[size + c]! - dot(v.subarray(c * width, (c + 1) * width), centre.phi) : 0,
    );
  const evaluate = async (v: Float64Array) => {
    const w = v.subarray(0, size);
    const r = await headOutputs(features, { w, bias: biasOf(v), iterations: 0 });
    const value = residuals(problem, r) + 0.5 * lambda * dot(w, w);
    const gradient = new Float64Array(size + out);
    gradient.set(await features.gather(r, out));
    for (let at = 0; intercept && at < r.length; at++) gradient[size + (at % out)]! += r[at]!;
    for (let at = 0; at < size; at++) {
      gradient[at]! += lambda * w[at]! - gradient[size + Math.floor(at / width)]! * centre.phi[at % width]!;
    }
    return { value, gradient };
  };
  const precondition = async (v: Float64Array) => {
    const w = v.slice(0, size);
    await solve(factor, width, w, exec);
    for (let c = 0; c < out; c++) v[size + c]! /= bound * centre.total;
    v.set(w);
  };

  let at = await evaluate(x);
  const pairs: { s: Float64Array; g: Float64Array; rho: number }[] = [];
  let iterations = 0;
  for (; iterations < MOST_STEPS; iterations++) {
    throwIfCancelled(exec.signal);
    const direction = at.gradient.map((v) => -v);
    const alphas = pairs.map(() => 0);
    for (let p = pairs.length - 1; p >= 0; p--) {
      const { s, g, rho } = pairs[p]!;
      alphas[p] = rho * dot(s, direction);
      add(direction, -alphas[p]!, g);
    }
    await precondition(direction);
    for (const [p, { s, g, rho }] of pairs.entries()) add(direction, alphas[p]! - rho * dot(g, direction), s);
    const slope = dot(at.gradient, direction);
    // What a whole step could still gain is beyond the digits.
    if (!(-slope > 1e-13 * Math.max(1, at.value))) break;
    let step = 1;
    let next = x;
    let there = at;
    for (; step > 1e-10; step /= 2) {
      next = x.slice();
      add(next, step, direction);
      there = await evaluate(next);
      if (there.value <= at.value + 1e-4 * step * slope) break;
    }
    if (step <= 1e-10) break;
    const s = next.map((v, i) => v - x[i]!);
    const g = there.gradient.map((v, i) => v - at.gradient[i]!);
    const curvature = dot(s, g);
    if (curvature > 0) pairs.push({ s, g, rho: 1 / curvature });
    if (pairs.length > MEMORY) pairs.shift();
    x.set(next);
    at = there;
  }
  return { w: x.slice(0, size), bias: biasOf(x), iterations };
}

/**
 * f of each film by the model of all others: exact for ridge, by one Newton step for logistic regression of two classes
 * (Cook and Weisberg 1982; Rad and Maleki 2020). The landmarks stay as they are.
 */
export async function leaveOneOut(
  problem: HeadProblem,
  lambda: number,
  solution: HeadSolution,
  ridge?: { factor: Float64Array; centre: Centre },
): Promise<Float64Array> {
  const { features, y, weights, exec } = problem;
  const f = await headOutputs(features, solution);
  let curvature = weights;
  const slopes = new Float64Array(f.length);
  if (ridge) {
    for (const [i, weight] of weights.entries()) if (weight !== 0) slopes[i] = weight * (f[i]! - y[i]!);
  } else {
    curvature = weights.map((weight, i) => {
      const p = 1 / (1 + Math.exp(-f[i]!));
      if (weight !== 0) slopes[i] = weight * (p - y[i]!);
      return weight * p * (1 - p);
    });
  }
  const centre = ridge?.centre ?? (await centreOf(problem, curvature));
  const factor = ridge?.factor ?? (await factorOf(await features.gram(curvature), centre, 1, lambda, exec));
  const leverages = await features.leverages(factor, centre.phi);
  return f.map((v, i) => {
    const a = leverages[i]! + (problem.intercept ? 1 / centre.total : 0);
    return v + (a * slopes[i]!) / (1 - curvature[i]! * a);
  });
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

function add(y: Float64Array, a: number, x: Float64Array): void {
  for (let i = 0; i < y.length; i++) y[i]! += a * x[i]!;
}
