import { describeValue, InputError } from '../errors.js';
import type { NativeHandle } from '../native.js';
import { activationIndex } from './activation.js';
import { ownInts } from './embedding.js';
import { type ExecOptions, execute, executeSync } from './exec.js';
import { Prepared, rowsOf } from './prepared.js';

const CONV_POOL_ACTIVATIONS = ['none', 'relu', 'tanh'] as const;
/** Functions that rise, so that the largest of their values is the value of the largest sum. */
export type ConvPoolActivation = (typeof CONV_POOL_ACTIVATIONS)[number];

export interface ConvPoolWindow {
  /** Steps it covers, 1 or more. */
  size: number;
  /** (filters, size, dim), row-major: torch.nn.Conv1d's weight with its last two axes swapped. */
  weight: Float32Array;
  /** (filters). Default: none. */
  bias?: Float32Array | undefined;
}

export interface ConvPoolLayer {
  /** Length of a step's vector. */
  dim: number;
  /** 1 to 16 windows; their filters lie one after the other in the result. */
  windows: readonly ConvPoolWindow[];
  /** Default 'relu'. */
  activation?: ConvPoolActivation | undefined;
}

export interface ConvPoolInput {
  /** (batch, steps, dim), row-major */
  x: Float32Array;
  steps: number;
  /** (batch) How many first steps of each row count, 0..steps. Default: all. */
  lengths?: Int32Array | undefined;
}

export interface ConvPoolOptions extends ExecOptions {
  /** Written instead of a new array: (batch, filters of all windows), apart from x. */
  out?: Float32Array | undefined;
}

/**
 * A convolution over time with several window sizes, its largest value over time kept, weights made ready once:
 *
 *   y[b, f] = max over t in [0, max(length_b - size, 0)] of act(bias[f] + Σ_{i < size, d} w[f, i, d] x[b, t + i, d])
 *
 * A row shorter than a window is padded by zeros behind, one of length 0 too; what lies beyond a row's length cannot
 * influence the result. A NaN makes the filters that see it NaN, in its own row.
 *
 * A row's result is the same, bit for bit, alone or in any batch and on any number of threads, on one instruction set.
 * Within 5e-6 of the largest value of float64 on the golden vectors. Source: Kim 2014, Convolutional Neural Networks for
 * Sentence Classification; Collobert et al. 2011.
 */
export class ConvPool extends Prepared {
  readonly dim: number;
  /** Of all windows: length of a row of the result. */
  readonly filters: number;

  private constructor(handle: NativeHandle, { dim, windows }: ConvPoolLayer) {
    super(handle);
    this.dim = dim;
    this.filters = windows.reduce((sum, { size, weight }) => sum + weight.length / (size * dim), 0);
  }

  /**
   * Copies the weights into the order in which they are read.
   * @throws ShapeError ERR_SHAPE        no window or more than 16, a weight that is not of whole filters, a bias of
   *   another length
   * @throws InputError ERR_INPUT_VALUE  an unknown activation
   * @throws BackendError ERR_MEMORY
   */
  static async create(layer: ConvPoolLayer, options?: ExecOptions): Promise<ConvPool> {
    const { dim, sizes, weights, biases, activation } = convPoolArguments(layer);
    const handle = await execute(options, (addon, exec, cancel) =>
      addon.convPoolPrepare(exec, cancel, dim, sizes, weights, biases, activation),
    );
    return new ConvPool(handle, layer);
  }

  /**
   * @returns (batch, filters), in a new array or `out`
   * @throws ShapeError ERR_SHAPE        arrays that do not fit each other
   * @throws InputError ERR_INPUT_VALUE  a length outside 0..steps; `out` overlaps x
   * @throws DisposedError ERR_DISPOSED
   */
  async run(input: ConvPoolInput, options: ConvPoolOptions = {}): Promise<Float32Array> {
    const { handle } = this;
    const { x, steps } = input;
    const lengths = ownInts(input.lengths);
    return execute(options, (addon, exec, cancel) =>
      addon.convPoolRun(exec, cancel, handle, rowsOf(x, steps * this.dim), steps, x, lengths, options.out),
    );
  }

  /** `run` on the calling thread: for a few short rows. */
  runSync(input: ConvPoolInput, options: Omit<ConvPoolOptions, 'signal'> = {}): Float32Array {
    const { handle } = this;
    const { x, steps, lengths } = input;
    return executeSync(options, (addon, exec, cancel) =>
      addon.convPoolRun(exec, cancel, handle, rowsOf(x, steps * this.dim), steps, x, lengths, options.out),
    );
  }
}

/** @internal A layer as the addon takes it. @throws InputError ERR_INPUT_VALUE */
export function convPoolArguments({ dim, windows, activation = 'relu' }: ConvPoolLayer) {
  if (!(CONV_POOL_ACTIVATIONS as readonly string[]).includes(activation)) {
    throw new InputError('ERR_INPUT_VALUE', {
      field: 'activation',
      expected: `one of ${CONV_POOL_ACTIVATIONS.join(', ')}`,
      got: describeValue(activation),
    });
  }
  return {
    dim,
    sizes: windows.map(({ size }) => size),
    weights: windows.map(({ weight }) => weight),
    biases: windows.map(({ bias }) => bias ?? new Float32Array(0)),
    activation: activationIndex(activation, 'activation'),
  };
}
