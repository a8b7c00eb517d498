/**
 * Ridge and logistic regression with an intercept, found without a matrix larger than the films' own vectors. For the
 * baselines that stand beside every model.
 *
 *   ridge     min Σ_i c_i (y_i - x_i·w - b)² + λ Σ_i c_i ‖w‖²
 *   logistic  min Σ_i c_i log(1 + e^(-s_i (x_i·w + b))) + ½ λ Σ_i c_i ‖w‖²,   s = ±1
 *
 * by Newton steps (ridge: one) whose systems conjugate gradients solve; products with the films' vectors are native
 * and float32, everything else float64.
 */
import { throwIfCancelled } from '../errors.js';
import { type ExecOptions, type LinearOptions, linear } from '../ops/index.js';

export interface LinearModel {
  /** (features) */
  weight: Float64Array;
  intercept: number;
}

/** Films' vectors, stored both ways, so that both products read memory in order. */
export interface DesignMatrix {
  films: number;
  features: number;
  /** (films, features) */
  rows: Float32Array;
  /** (features, films) */
  columns: Float32Array;
}

export function designMatrix(rows: Float32Array, features: number): DesignMatrix {
  const films = rows.length / features;
  const columns = new Float32Array(rows.length);
  const block = 32;
  for (let i0 = 0; i0 < films; i0 += block) {
    for (let j0 = 0; j0 < features; j0 += block) {
      for (let i = i0; i < Math.min(films, i0 + block); i++) {
        for (let j = j0; j < Math.min(features, j0 + block); j++)
          columns[j * films + i] = rows[i * features + j]!;
      }
    }
  }
  return { films, features, rows, columns };
}

/** x · w + b of every film. @param rows  (films, features) */
export async function linearOutputs(
  rows: Float32Array,
  { weight, intercept }: LinearModel,
  exec: LinearOptions = {},
): Promise<Float64Array> {
  const layer = { inFeatures: weight.length, outFeatures: 1, weight: Float32Array.from(weight) };
  return Float64Array.from(await linear(rows, layer, exec), (value) => value + intercept);
}

async function transposed(x: DesignMatrix, values: Float64Array, exec: ExecOptions): Promise<Float64Array> {
  const layer = { inFeatures: x.films, outFeatures: 1, weight: Float32Array.from(values) };
  return Float64Array.from(await linear(x.columns, layer, exec));
}

const dot = (a: Float64Array, b: Float64Array) => {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
};

const NEWTON_STEPS = { ridge: 1, logistic: 20 };
const MOST_PRODUCTS = 150;

/**
 * @param x       films' vectors, of about unit size
 * @param y       (films) numbers, or 0 and 1
 * @param counts  (films) weight of each film's error; 0 leaves it out
 * @param lambda  regularisation, a share of the counts' sum
 * @param start   where to begin: the solution of a neighbouring λ
 */
export async function fitLinear(
  kind: 'ridge' | 'logistic',
  x: DesignMatrix,
  y: Float64Array,
  counts: Float64Array,
  lambda: number,
  start?: LinearModel,
  exec: ExecOptions = {},
): Promise<LinearModel> {
  const { films, features } = x;
  const total = counts.reduce((a, b) => a + b, 0);
  const penalty = lambda * total;
  // the intercept is the last parameter, unpenalised
  const parameters = new Float64Array(features + 1);
  if (start) {
    parameters.set(start.weight);
    parameters[features] = start.intercept;
  }
  const model = (): LinearModel => ({
    weight: parameters.slice(0, features),
    intercept: parameters[features]!,
  });
  const lossOf = (outputs: Float64Array) => {
    let sum = (penalty / 2) * (dot(parameters, parameters) - parameters[features]! ** 2);
    for (let i = 0; i < films; i++) {
      // log(1 + e^z) - y z, without overflow
      const z = outputs[i]!;
      if (counts[i]) sum += counts[i]! * (Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z))) - y[i]! * z);
    }
    return sum;
  };
  let outputs = await linearOutputs(x.rows, model(), exec);
  for (let step = 0; step < NEWTON_STEPS[kind]; step++) {
    throwIfCancelled(exec.signal);
    const slope = new Float64Array(films);
    const curvature = new Float64Array(films);
    for (let i = 0; i < films; i++) {
      if (counts[i] === 0) continue;
      const p = kind === 'ridge' ? outputs[i]! : 1 / (1 + Math.exp(-outputs[i]!));
      slope[i] = counts[i]! * (p - y[i]!);
      // never quite flat: a film that is far on its right side must not make the system singular
      curvature[i] = counts[i]! * (kind === 'ridge' ? 1 : Math.max(p * (1 - p), 1e-4));
    }
    const gradient = new Float64Array(features + 1);
    gradient.set(await transposed(x, slope, exec));
    for (let j = 0; j < features; j++) gradient[j]! += penalty * parameters[j]!;
    gradient[features] = slope.reduce((a, b) => a + b, 0);
    if (Math.sqrt(dot(gradient, gradient)) <= 1e-5 * total) break;
    const direction = await conjugateGradients(x, gradient, curvature, penalty, exec);
    const before = kind === 'ridge' ? 0 : lossOf(outputs);
    for (let j = 0; j <= features; j++) parameters[j]! -= direction[j]!;
    if (kind === 'ridge') break;
    // a Newton step from afar may lead further away: half of it, then, or less
    for (let length = 1; length > 1e-3; length /= 2) {
      outputs = await linearOutputs(x.rows, model(), exec);
      if (lossOf(outputs) <= before) break;
      for (let j = 0; j <= features; j++) parameters[j]! += (length / 2) * direction[j]!;
    }
  }
  return model();
}

/** (Xᵀ C X + λ) d = g, the last row and column being the intercept's. */
async function conjugateGradients(
  x: DesignMatrix,
  gradient: Float64Array,
  curvature: Float64Array,
  penalty: number,
  exec: ExecOptions,
): Promise<Float64Array> {
  const { features } = x;
  const solution = new Float64Array(features + 1);
  const residual = gradient.slice();
  const direction = residual.slice();
  let norm = dot(residual, residual);
  // float32 products give about this much
  const goal = norm * 1e-4 ** 2;
  for (let product = 0; product < MOST_PRODUCTS && norm > goal; product++) {
    throwIfCancelled(exec.signal);
    const along = await linearOutputs(
      x.rows,
      { weight: direction.subarray(0, features), intercept: direction[features]! },
      exec,
    );
    for (let i = 0; i < along.length; i++) along[i]! *= curvature[i]!;
    const image = new Float64Array(features + 1);
    image.set(await transposed(x, along, exec));
    for (let j = 0; j < features; j++) image[j]! += penalty * direction[j]!;
    image[features] = along.reduce((a, b) => a + b, 0);
    const length = norm / dot(direction, image);
    for (let j = 0; j <= features; j++) {
      solution[j]! += length * direction[j]!;
      residual[j]! -= length * image[j]!;
    }
    const next = dot(residual, residual);
    const turn = next / norm;
    for (let j = 0; j <= features; j++) direction[j] = residual[j]! + turn * direction[j]!;
    norm = next;
  }
  return solution;
}
