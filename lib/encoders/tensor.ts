import { describeValue, ModelError, ShapeError } from '../errors.js';

/** The typed array of each tensor type. float16 holds IEEE half bit patterns, bool holds 0 and 1. */
export interface TensorArrays {
  float32: Float32Array;
  float64: Float64Array;
  float16: Uint16Array;
  int8: Int8Array;
  uint8: Uint8Array;
  int16: Int16Array;
  uint16: Uint16Array;
  int32: Int32Array;
  uint32: Uint32Array;
  int64: BigInt64Array;
  uint64: BigUint64Array;
  bool: Uint8Array;
}

export type TensorType = keyof TensorArrays;

/** A dense row-major tensor; `data.length` is the product of `dims`. */
export type Tensor = {
  [Type in TensorType]: { type: Type; dims: readonly number[]; data: TensorArrays[Type] };
}[TensorType];

/** One input or output of a graph; a string in `shape` is a symbolic size, `null` one without a name. */
export interface GraphValue {
  name: string;
  type: string;
  shape: readonly (number | string | null)[];
}

export interface GraphInfo {
  inputs: readonly GraphValue[];
  outputs: readonly GraphValue[];
}

const ARRAYS = {
  float32: Float32Array,
  float64: Float64Array,
  float16: Uint16Array,
  int8: Int8Array,
  uint8: Uint8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int32: Int32Array,
  uint32: Uint32Array,
  int64: BigInt64Array,
  uint64: BigUint64Array,
  bool: Uint8Array,
} as const satisfies { [Type in TensorType]: new (length: number) => TensorArrays[Type] };

/**
 * Checks one tensor before it is sent anywhere.
 *
 * @throws ShapeError ERR_SHAPE    dims that are no sizes, or whose product is not the length of the data
 * @throws ModelError ERR_MODEL_IO a type the graph does not take, or data of another type than the tensor says
 */
export function checkTensor(field: string, tensor: Tensor, value: GraphValue): void {
  if (!Object.hasOwn(ARRAYS, tensor.type) || !(tensor.data instanceof ARRAYS[tensor.type])) {
    throw new ModelError('ERR_MODEL_IO', {
      field,
      expected: `a tensor of ${value.type} with its typed array`,
      got: `type ${JSON.stringify(tensor.type)} with ${describeValue(tensor.data)}`,
    });
  }
  if (tensor.type !== value.type) {
    throw new ModelError('ERR_MODEL_IO', {
      field,
      expected: `a tensor of ${value.type}`,
      got: `one of ${tensor.type}`,
    });
  }
  const { dims, data } = tensor;
  if (dims.some((dim) => !Number.isSafeInteger(dim) || dim < 0)) {
    throw new ShapeError('ERR_SHAPE', { field, expected: 'whole sizes >= 0', got: `[${dims.join(', ')}]` });
  }
  const length = dims.reduce((product, dim) => product * dim, 1);
  if (length !== data.length) {
    throw new ShapeError('ERR_SHAPE', {
      field,
      expected: `${length} values for [${dims.join(', ')}]`,
      got: `${data.length}`,
    });
  }
  if (!shapesAgree(dims, value.shape)) {
    throw new ShapeError('ERR_SHAPE', {
      field,
      expected: describeShape(value.shape),
      got: `[${dims.join(', ')}]`,
    });
  }
}

/** The same tensor on a buffer of its own (`slice` of a Node Buffer would share it). */
export function copyTensor({ type, dims, data }: Tensor): Tensor {
  const TypedArray = ARRAYS[type] as new (values: Tensor['data']) => Tensor['data'];
  return { type, dims: [...dims], data: new TypedArray(data) } as Tensor;
}

export function shapesAgree(dims: readonly number[], shape: GraphValue['shape']): boolean {
  return (
    dims.length === shape.length &&
    shape.every((size, axis) => typeof size !== 'number' || size === dims[axis])
  );
}

export function describeShape(shape: GraphValue['shape']): string {
  return `[${shape.map((size) => size ?? '?').join(', ')}]`;
}

/** `input_ids int64 [batch, sequence]`: a graph value as the errors name it. */
export function describeGraphValue({ name, type, shape }: GraphValue): string {
  return `${name} ${type} ${describeShape(shape)}`;
}
