import type { NativeHandle } from '../native.js';
import { type Activation, activationIndex } from './activation.js';
import { type ExecOptions, execute, executeSync } from './exec.js';
import { Prepared, rowsOf } from './prepared.js';
import { type WeightType, weightTypeIndex } from './weights.js';

export interface LinearLayer {
  inFeatures: number;
  outFeatures: number;
  /** (outFeatures, inFeatures), row-major. */
  weight: Float32Array;
  /** (outFeatures). Default: none. */
  bias?: Float32Array | undefined;
  /** Applied to the result. Default 'none'. */
  activation?: Activation;
  /** Slope of 'leaky-relu' for values <= 0. Default 0.01. */
  slope?: number;
  /** How the weights are stored. Default 'float32': nothing is rounded unless asked for. */
  weightType?: WeightType;
}

export interface LinearOptions extends ExecOptions {
  /** Written instead of a new array: (rows, outFeatures). Must not overlap x. */
  out?: Float32Array | undefined;
}

/**
 * Fully connected layer whose weights are made ready once: y = f(x · Wᵀ + b).
 *
 * Rows do not touch each other: a row's result is the same, bit for bit, alone or in any batch and on any number of
 * threads, on one instruction set. NaN and infinity in a row, the weights or the bias show in the results they belong
 * to.
 *
 * Within 5e-6 of max|y| of float64 on the golden vectors, any instruction set. Source: torch.nn.Linear.
 */
export class Linear extends Prepared {
  readonly inFeatures: number;
  readonly outFeatures: number;

  private constructor(handle: NativeHandle, { inFeatures, outFeatures }: LinearLayer) {
    super(handle);
    this.inFeatures = inFeatures;
    this.outFeatures = outFeatures;
  }

  /**
   * Copies the weights into the order in which they are read.
   * @throws ShapeError ERR_SHAPE        weight or bias of another length than the features give
   * @throws InputError ERR_INPUT_VALUE  an unknown activation or weightType, a slope that is not finite
   * @throws BackendError ERR_MEMORY
   */
  static async create(layer: LinearLayer, options?: ExecOptions): Promise<Linear> {
    const activation = activationIndex(layer.activation ?? 'none', 'activation');
    const weightType = weightTypeIndex(layer.weightType);
    const handle = await execute(options, (addon, exec, cancel) =>
      addon.linearPrepare(
        exec,
        cancel,
        layer.inFeatures,
        layer.outFeatures,
        layer.weight,
        layer.bias,
        activation,
        layer.slope ?? 0.01,
        weightType,
      ),
    );
    return new Linear(handle, layer);
  }

  /**
   * @param x  (rows, inFeatures), row-major; rows may be 0
   * @returns (rows, outFeatures), in a new array or `out`
   * @throws ShapeError ERR_SHAPE        x.length is no multiple of inFeatures, or `out` of another length
   * @throws InputError ERR_INPUT_VALUE  `out` overlaps x
   * @throws DisposedError ERR_DISPOSED
   */
  async run(x: Float32Array, options: LinearOptions = {}): Promise<Float32Array> {
    const { handle } = this;
    return execute(options, (addon, exec, cancel) =>
      addon.linearRun(exec, cancel, handle, rowsOf(x, this.inFeatures), x, options.out),
    );
  }

  /** `run` on the calling thread: for a few rows of a small layer. */
  runSync(x: Float32Array, options: Omit<LinearOptions, 'signal'> = {}): Float32Array {
    const { handle } = this;
    return executeSync(options, (addon, exec, cancel) =>
      addon.linearRun(exec, cancel, handle, rowsOf(x, this.inFeatures), x, options.out),
    );
  }
}

/**
 * `Linear` for one call: the weights are made ready and given back. Costs about as much as four more rows; keep a
 * `Linear` for weights that serve more than once.
 *
 * @param x  (rows, inFeatures), row-major
 * @returns (rows, outFeatures)
 * @throws as Linear.create and Linear.run
 */
export async function linear(
  x: Float32Array,
  layer: Omit<LinearLayer, 'weightType'>,
  options: LinearOptions = {},
): Promise<Float32Array> {
  const activation = activationIndex(layer.activation ?? 'none', 'activation');
  return execute(options, (addon, exec, cancel) =>
    addon.linear(
      exec,
      cancel,
      layer.inFeatures,
      layer.outFeatures,
      layer.weight,
      layer.bias,
      activation,
      layer.slope ?? 0.01,
      rowsOf(x, layer.inFeatures),
      x,
      options.out,
    ),
  );
}
