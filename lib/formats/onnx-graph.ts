/** Builds an ONNX graph node by node: values have names, constants are shared, shapes are the caller's business. */
import type { Activation } from '../ops/activation.js';
import {
  model,
  node,
  type OnnxAttribute,
  type OnnxMessage,
  type OnnxType,
  tensor,
  value,
} from './onnx-proto.js';

/** In place of -infinity: e to the power of it less any score is 0, and of itself less itself still a number. */
const LEAST = -1e30;

export class GraphBuilder {
  readonly #nodes: OnnxMessage[] = [];
  readonly #initializers: OnnxMessage[] = [];
  readonly #inputs: OnnxMessage[] = [];
  readonly #outputs: OnnxMessage[] = [];
  readonly #constants = new Map<string, string>();
  #count = 0;

  input(name: string, type: OnnxType, shape: readonly (number | string)[]): string {
    this.#inputs.push(value(name, type, shape));
    return name;
  }

  /** Gives a value a name of its own to be seen by. */
  output(name: string, from: string, shape: readonly (number | string)[]): void {
    this.#nodes.push(node('Identity', [from], [name]));
    this.#outputs.push(value(name, 'float', shape));
  }

  weight(name: string, shape: readonly number[], data: Float32Array): string {
    this.#initializers.push(tensor(name, 'float', shape, data));
    return name;
  }

  /** A constant of numbers: float, or int64 for shapes and axes. */
  constant(type: 'float' | 'int64', shape: readonly number[], values: readonly number[]): string {
    const key = `${type}_${shape.join('x')}_${values.join('_')}`;
    let name = this.#constants.get(key);
    if (name === undefined) {
      name = `constant_${this.#constants.size}`;
      this.#constants.set(key, name);
      const data = type === 'float' ? Float32Array.from(values) : BigInt64Array.from(values, BigInt);
      this.#initializers.push(tensor(name, type, shape, data));
    }
    return name;
  }
  float(...values: number[]): string {
    return this.constant('float', values.length === 1 ? [] : [values.length], values);
  }
  ints(...values: number[]): string {
    return this.constant('int64', [values.length], values);
  }

  /** One node with one output. */
  add(op: string, inputs: readonly string[], attributes?: Readonly<Record<string, OnnxAttribute>>): string {
    const name = `${op.toLowerCase()}_${this.#count++}`;
    this.#nodes.push(node(op, inputs, [name], attributes));
    return name;
  }

  /** One node with its first `count` outputs. */
  addMany(
    op: string,
    inputs: readonly string[],
    count: number,
    attributes?: Readonly<Record<string, OnnxAttribute>>,
  ): string[] {
    const name = `${op.toLowerCase()}_${this.#count++}`;
    const outputs = Array.from({ length: count }, (_, i) => `${name}_${i}`);
    this.#nodes.push(node(op, inputs, outputs, attributes));
    return outputs;
  }

  /** x Wᵀ + b */
  linear(x: string, weight: string, bias: string): string {
    return this.add('Gemm', [x, weight, bias], { transB: 1 });
  }
  reshape(x: string, ...shape: number[]): string {
    return this.add('Reshape', [x, this.ints(...shape)]);
  }
  sum(x: string, axis: number, keep: boolean): string {
    return this.add('ReduceSum', [x, this.ints(axis)], { keepdims: keep ? 1 : 0 });
  }
  total(parts: readonly string[]): string {
    return parts.reduce((sum, part) => this.add('Add', [sum, part]));
  }
  product(parts: readonly string[]): string {
    return parts.reduce((all, part) => this.add('Mul', [all, part]));
  }
  /** Exactly 0 where the mask is false and somewhere on the axis true. */
  maskedSoftmax(mask: string, scores: string, axis = 1): string {
    return this.add('Softmax', [this.add('Where', [mask, scores, this.float(LEAST)])], { axis });
  }
  layerNorm(x: string, gain: string, bias: string): string {
    return this.add('LayerNormalization', [x, gain, bias], { axis: -1, epsilon: { float: 1e-5 } });
  }

  activation(kind: Activation, x: string): string {
    switch (kind) {
      case 'none':
        return x;
      case 'relu':
        return this.add('Relu', [x]);
      case 'leaky-relu':
        return this.add('LeakyRelu', [x], { alpha: { float: 0.01 } });
      case 'tanh':
        return this.add('Tanh', [x]);
      case 'sigmoid':
        return this.add('Sigmoid', [x]);
      case 'softplus':
        return this.add('Softplus', [x]);
      case 'silu':
        return this.product([x, this.add('Sigmoid', [x])]);
      case 'gelu': {
        const erf = this.add('Erf', [this.product([x, this.float(Math.SQRT1_2)])]);
        return this.product([x, this.float(0.5), this.add('Add', [erf, this.float(1)])]);
      }
      case 'gelu-tanh': {
        const cube = this.product([x, x, x, this.float(0.044715)]);
        const inner = this.product([this.add('Add', [x, cube]), this.float(Math.sqrt(2 / Math.PI))]);
        const tanh = this.add('Tanh', [inner]);
        return this.product([x, this.float(0.5), this.add('Add', [tanh, this.float(1)])]);
      }
    }
  }

  build(name: string, metadata: Readonly<Record<string, string>>): OnnxMessage {
    return model({
      name,
      metadata,
      nodes: this.#nodes,
      inputs: this.#inputs,
      outputs: this.#outputs,
      initializers: this.#initializers,
    });
  }
}
