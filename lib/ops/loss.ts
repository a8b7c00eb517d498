import { describeValue, InputError } from '../errors.js';
import { type ExecOptions, execute } from './exec.js';
import { rowsOf } from './prepared.js';

/** In the order of `enum class LossKind` in native/ops/loss/loss.h. */
const LOSSES = ['mse', 'mae', 'huber', 'bce', 'cross-entropy'] as const;
export type Loss = (typeof LOSSES)[number];
const REDUCTIONS = ['none', 'mean', 'sum'] as const;
export type LossReduction = (typeof REDUCTIONS)[number];

export interface LossInput {
  /** (rows, cols): predictions; logits for 'bce' and 'cross-entropy'. */
  x: Float32Array;
  /** (rows, cols); for 'cross-entropy' (rows) class numbers from 0. NaN: unknown. */
  target: Float32Array;
  /** (rows), >= 0: each row's loss is multiplied by its weight. Default: all 1. */
  rowWeights?: Float32Array | undefined;
  /** (cols), >= 0: of 'cross-entropy'. Default: all 1. */
  classWeights?: Float32Array | undefined;
}

export interface LossOptions extends ExecOptions {
  /** Length of a row of x: heads, or classes. Default 1; for 'cross-entropy' x.length / target.length. */
  cols?: number;
  /** Default 'mean'. */
  reduction?: LossReduction;
  /** Where 'huber' turns straight, above 0. Default 1. */
  delta?: number;
  /** Of 'cross-entropy': the share of the target that is spread over all classes, in [0, 1). Default 0. */
  smoothing?: number;
  /** Whether dx is wanted. Default true. */
  gradient?: boolean;
}

export interface LossResult {
  /** One number; with reduction 'none' one an element, for 'cross-entropy' one a row. */
  loss: Float32Array;
  /** (rows, cols): the gradient of the reduced loss (with 'none', of the sum); undefined without `gradient`. */
  dx: Float32Array | undefined;
}

function indexOf(list: readonly string[], value: string, field: string): number {
  const index = list.indexOf(value);
  if (index < 0) {
    throw new InputError('ERR_INPUT_VALUE', {
      field,
      expected: `one of ${list.join(', ')}`,
      got: describeValue(value),
    });
  }
  return index;
}

/**
 * A loss and its gradient. With e = x - target:
 *
 *   mse e² · mae |e|, slope 0 at 0 · huber |e| <= δ ? e²/2 : δ(|e| - δ/2)
 *   bce ln(1 + e^x) - target·x · cross-entropy -Σ_c t_c w_c ln softmax(x)_c, t = (1-ε)·onehot + ε/cols
 *
 * A NaN target is unknown: its loss and gradient are 0, and means leave it out, as they do rows of weight 0. Means
 * divide by the sum of the weights of what is known, times the targets' class weights for 'cross-entropy'; nothing
 * known gives 0. A NaN in x shows in loss and gradient. Sums are in float64 and a fixed order: on the CPU the same bits
 * on any number of threads.
 *
 * @throws InputError ERR_INPUT_VALUE  an unknown kind or reduction, delta or smoothing out of range, a target of 'bce'
 *   outside [0, 1], a class number that is none, a negative or infinite weight
 * @throws ShapeError ERR_SHAPE        target or weights of a length that does not fit x
 *
 * Within 1e-5 relative (gradients 2e-5) of float64 on the golden vectors. Source: the PyTorch definitions, row weights
 * and unknown targets aside.
 */
export async function loss(kind: Loss, input: LossInput, options: LossOptions = {}): Promise<LossResult> {
  const { x, target, rowWeights, classWeights } = input;
  const { reduction = 'mean', delta = 1, smoothing = 0, gradient = true } = options;
  const kindIndex = indexOf(LOSSES, kind, 'kind');
  const reductionIndex = indexOf(REDUCTIONS, reduction, 'reduction');
  const cols =
    options.cols ??
    (kind === 'cross-entropy' ? Math.floor((x?.length ?? 0) / (target?.length || 1)) || 1 : 1);
  const [value, dx] = await execute(options, (addon, exec, cancel) =>
    addon.loss(
      exec,
      cancel,
      kindIndex,
      reductionIndex,
      rowsOf(x, cols),
      cols,
      delta,
      smoothing,
      x,
      target,
      classWeights,
      rowWeights,
      gradient,
    ),
  );
  return { loss: value, dx: gradient ? dx : undefined };
}
