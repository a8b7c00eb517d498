/**
 * Effects of people and series on one target, found together so that credit is shared out: a ridge regression on
 * the film's plain features and on an indicator a person.
 *
 *   min_β ‖y - ȳ - Xβ‖² + Σ_j λ_j β_j²,   solved by conjugate gradients on (XᵀX + Λ) β = Xᵀ(y - ȳ)
 */
export interface JointProblem {
  /** (nFilms, nPlain) row-major, standardised. */
  readonly plain: Float64Array;
  readonly nPlain: number;
  /** Indicator columns of each film, 0-based. */
  readonly members: readonly (readonly number[])[];
  /** λ of each indicator column. */
  readonly penalty: Float64Array;
  readonly plainPenalty: number;
  /** (nFilms) */
  readonly target: Float64Array;
}

const STEPS = 80;
/** Of the gradient's length at the start; effects are kept to three digits. */
const TOLERANCE = 1e-4;

/** @returns the effect of each indicator column */
export function jointEffects(problem: JointProblem): Float64Array {
  const { plain, nPlain, members, penalty, plainPenalty, target } = problem;
  const films = members.length;
  const size = nPlain + penalty.length;
  const centre = target.reduce((total, value) => total + value, 0) / Math.max(1, films);

  const applied = (beta: Float64Array): Float64Array => {
    const out = new Float64Array(films);
    for (let i = 0; i < films; i++) {
      let total = 0;
      for (let j = 0; j < nPlain; j++) total += plain[i * nPlain + j]! * beta[j]!;
      for (const member of members[i]!) total += beta[nPlain + member]!;
      out[i] = total;
    }
    return out;
  };
  const transposed = (values: Float64Array): Float64Array => {
    const out = new Float64Array(size);
    for (let i = 0; i < films; i++) {
      const value = values[i]!;
      for (let j = 0; j < nPlain; j++) out[j]! += plain[i * nPlain + j]! * value;
      for (const member of members[i]!) out[nPlain + member]! += value;
    }
    return out;
  };
  const normal = (beta: Float64Array): Float64Array => {
    const out = transposed(applied(beta));
    for (let j = 0; j < size; j++) out[j]! += (j < nPlain ? plainPenalty : penalty[j - nPlain]!) * beta[j]!;
    return out;
  };
  const dot = (a: Float64Array, b: Float64Array) => a.reduce((total, value, j) => total + value * b[j]!, 0);

  const beta = new Float64Array(size);
  const residual = transposed(target.map((value) => value - centre));
  const direction = residual.slice();
  let norm = dot(residual, residual);
  const goal = norm * TOLERANCE * TOLERANCE;
  for (let step = 0; step < STEPS && norm > goal; step++) {
    const image = normal(direction);
    const length = norm / dot(direction, image);
    for (let j = 0; j < size; j++) {
      beta[j]! += length * direction[j]!;
      residual[j]! -= length * image[j]!;
    }
    const next = dot(residual, residual);
    const turn = next / norm;
    for (let j = 0; j < size; j++) direction[j] = residual[j]! + turn * direction[j]!;
    norm = next;
  }
  return beta.subarray(nPlain);
}
