/**
 * Writes a small ONNX file, so that ONNX Runtime can be a contender on exactly the work that an operator does.
 * Only what such a graph needs: float32 tensors, nodes of the default operator set, attributes of ints or a float.
 * Source: onnx.proto3 of ONNX 1.16, IR version 8.
 */

type Shape = readonly (number | string)[];

export interface OnnxNode {
  op: string;
  inputs: readonly string[];
  outputs: readonly string[];
  attributes?: Record<string, number | readonly number[] | { float: number }>;
}

export interface OnnxGraph {
  /** Name to shape; a string is a free dimension. */
  inputs: Record<string, Shape>;
  outputs: Record<string, Shape>;
  weights?: Record<string, { dims: readonly number[]; data: Float32Array | BigInt64Array }>;
  nodes: readonly OnnxNode[];
  /** Default 17. */
  opset?: number;
}

const FLOAT = 1;
const INT64 = 7;

function varint(value: number | bigint): number[] {
  let rest = BigInt.asUintN(64, BigInt(value));
  const bytes: number[] = [];
  while (rest > 0x7fn) {
    bytes.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  bytes.push(Number(rest));
  return bytes;
}

const number = (field: number, value: number | bigint) =>
  Buffer.from([...varint(field << 3), ...varint(value)]);

function bytes(field: number, value: Uint8Array | string): Buffer {
  const body = typeof value === 'string' ? Buffer.from(value) : value;
  return Buffer.concat([Buffer.from([...varint((field << 3) | 2), ...varint(body.length)]), body]);
}

const message = (field: number, ...parts: Uint8Array[]) => bytes(field, Buffer.concat(parts));

function float(field: number, value: number): Buffer {
  const body = Buffer.alloc(4);
  body.writeFloatLE(value);
  return Buffer.concat([Buffer.from(varint((field << 3) | 5)), body]);
}

function valueInfo(field: number, name: string, shape: Shape): Buffer {
  const dims = shape.map((dim) => message(1, typeof dim === 'number' ? number(1, dim) : bytes(2, dim)));
  return message(field, bytes(1, name), message(2, message(1, number(1, FLOAT), message(2, ...dims))));
}

function attribute(name: string, value: number | readonly number[] | { float: number }): Buffer {
  if (typeof value === 'number') return message(5, bytes(1, name), number(3, value), number(20, 2));
  if ('float' in value) return message(5, bytes(1, name), float(2, value.float), number(20, 1));
  return message(5, bytes(1, name), ...value.map((item) => number(8, item)), number(20, 7));
}

/** The bytes of the model, for `InferenceSession.create`. */
export function onnxModel({ inputs, outputs, weights = {}, nodes, opset = 17 }: OnnxGraph): Uint8Array {
  const graph = message(
    7,
    ...nodes.map((node) =>
      message(
        1,
        ...node.inputs.map((name) => bytes(1, name)),
        ...node.outputs.map((name) => bytes(2, name)),
        bytes(4, node.op),
        ...Object.entries(node.attributes ?? {}).map(([name, value]) => attribute(name, value)),
      ),
    ),
    bytes(2, 'bench'),
    ...Object.entries(weights).map(([name, { dims, data }]) =>
      message(
        5,
        ...dims.map((dim) => number(1, dim)),
        number(2, data instanceof Float32Array ? FLOAT : INT64),
        bytes(8, name),
        bytes(9, new Uint8Array(data.buffer, data.byteOffset, data.byteLength)),
      ),
    ),
    ...Object.entries(inputs).map(([name, shape]) => valueInfo(11, name, shape)),
    ...Object.entries(outputs).map(([name, shape]) => valueInfo(12, name, shape)),
  );
  return new Uint8Array(Buffer.concat([number(1, 8), graph, message(8, number(2, opset))]));
}
