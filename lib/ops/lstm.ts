import type { NativeHandle } from '../native.js';
import { type ExecOptions, execute, executeSync } from './exec.js';
import { Prepared, rowsOf } from './prepared.js';

/** The layer's sizes and weights. The directions' weights lie behind one another, forward first. */
export interface LstmLayer {
  /** Numbers in a step of x. */
  inputSize: number;
  /** Numbers in a state, of each direction. */
  hiddenSize: number;
  /** 2: a second LSTM runs from each row's own end to its beginning. Default 1. */
  directions?: 1 | 2;
  /** (directions, 4·hiddenSize, inputSize), row-major; gates in the order input, forget, cell, output. */
  weightInput: Float32Array;
  /** (directions, 4·hiddenSize, hiddenSize). */
  weightHidden: Float32Array;
  /** (directions, 4·hiddenSize): the sum of PyTorch's bias_ih and bias_hh. Default: none. */
  bias?: Float32Array | undefined;
}

/** What one call is told of its sequences. */
export interface LstmSequence {
  /** Steps in a row of x; rows that have fewer say so in `lengths`. */
  time: number;
  /** (batch), 0..time: the steps that each row has. x is not read behind them. Default: all of them. */
  lengths?: Int32Array | undefined;
  /** (directions, batch, hiddenSize), the state before the first step. Default: zeros. */
  h0?: Float32Array | undefined;
  /** As h0. */
  c0?: Float32Array | undefined;
}

export interface LstmRunOptions extends LstmSequence, ExecOptions {
  /** Written instead of a new array: (batch, time, directions·hiddenSize). Must not overlap x, h0 or c0. */
  out?: Float32Array | undefined;
}

export interface LstmResult {
  /** (batch, time, directions·hiddenSize): h of every step, direction by direction; 0 behind a row's length. */
  y: Float32Array;
  /** (directions, batch, hiddenSize): h after each row's last step, in the direction's own order. */
  h: Float32Array;
  /** (directions, batch, hiddenSize): c after it. */
  c: Float32Array;
}

/**
 * Long short-term memory with weights made ready once: over words, spectrogram or video frames alike.
 *
 *   i, f, o = σ(W_x x_t + W_h h_{t-1} + b),   g = tanh(…),   c_t = f c_{t-1} + i g,   h_t = o tanh(c_t)
 *
 * Rows do not touch each other: a row's result is the same, bit for bit, alone or in any batch, whatever the padding,
 * and on any number of threads, on one instruction set. NaN and infinity stay in their row and direction. Stacked
 * layers: run the next one over `y`. Keras and ONNX order the gates differently (i, f, c, o is this order; ONNX has
 * i, o, f, c).
 *
 * Within 1e-5 of max|y| of float64 on the golden vectors, any instruction set. Source: Hochreiter and Schmidhuber 1997;
 * Gers, Schmidhuber and Cummins 2000; torch.nn.LSTM.
 */
export class Lstm extends Prepared {
  readonly inputSize: number;
  readonly hiddenSize: number;
  readonly directions: 1 | 2;

  private constructor(handle: NativeHandle, { inputSize, hiddenSize, directions }: LstmLayer) {
    super(handle);
    this.inputSize = inputSize;
    this.hiddenSize = hiddenSize;
    this.directions = directions ?? 1;
  }

  /**
   * Copies the weights into the order in which they are read.
   * @throws ShapeError ERR_SHAPE  sizes below 1, inputSize above 2^20, hiddenSize above 2^14, directions other than 1
   *   and 2, or weights or bias of another length than those give
   * @throws BackendError ERR_MEMORY
   */
  static async create(layer: LstmLayer, options?: ExecOptions): Promise<Lstm> {
    const { inputSize, hiddenSize, directions, weightInput, weightHidden, bias } = layer;
    const handle = await execute(options, (addon, exec, cancel) =>
      addon.lstmPrepare(
        exec,
        cancel,
        inputSize,
        hiddenSize,
        directions ?? 1,
        weightInput,
        weightHidden,
        bias,
      ),
    );
    return new Lstm(handle, layer);
  }

  /**
   * @param x  (batch, time, inputSize), row-major; batch may be 0
   * @throws ShapeError ERR_SHAPE        x.length is no multiple of time·inputSize; lengths, h0, c0 or `out` of another
   *   length
   * @throws InputError ERR_INPUT_VALUE  a length outside 0..time; `out` overlaps an input
   * @throws DisposedError ERR_DISPOSED
   */
  async run(x: Float32Array, options: LstmRunOptions): Promise<LstmResult> {
    const { handle } = this;
    return named(
      await execute(options, (addon, exec, cancel) =>
        addon.lstmRun(exec, cancel, handle, ...sequenceOf(x, this.inputSize, options), options.out),
      ),
    );
  }

  /** `run` on the calling thread: for a few steps of a small layer. */
  runSync(x: Float32Array, options: Omit<LstmRunOptions, 'signal'>): LstmResult {
    const { handle } = this;
    return named(
      executeSync(options, (addon, exec, cancel) =>
        addon.lstmRun(exec, cancel, handle, ...sequenceOf(x, this.inputSize, options), options.out),
      ),
    );
  }
}

type SequenceArguments = [
  batch: number,
  time: number,
  x: Float32Array,
  lengths: Int32Array | undefined,
  h0: Float32Array | undefined,
  c0: Float32Array | undefined,
];

/** @internal The arguments that say what a call runs over. */
export function sequenceOf(
  x: Float32Array,
  inputSize: number,
  { time, lengths, h0, c0 }: LstmSequence,
): SequenceArguments {
  // With no steps at all, only the states can say how many rows there are.
  const batch = time === 0 ? (lengths?.length ?? 0) : rowsOf(x, time * inputSize);
  return [batch, time, x, lengths, h0, c0];
}

function named([y, h, c]: Float32Array[]): LstmResult {
  return { y: y as Float32Array, h: h as Float32Array, c: c as Float32Array };
}
