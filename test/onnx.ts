/**
 * Writes small ONNX models, so that tests run real graphs without Python or a protobuf package. Field numbers are those
 * of onnx.proto (ModelProto, GraphProto, NodeProto, TensorProto, ValueInfoProto).
 */

export const ONNX_TYPES = {
  float: 1,
  uint8: 2,
  int8: 3,
  int32: 6,
  int64: 7,
  string: 8,
  bool: 9,
  float16: 10,
  double: 11,
} as const;
export type OnnxType = keyof typeof ONNX_TYPES;
type Attribute = number | string | number[];

function varint(value: number | bigint): Buffer {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  do {
    const low = Number(rest & 127n);
    rest >>= 7n;
    bytes.push(rest === 0n ? low : low | 128);
  } while (rest !== 0n);
  return Buffer.from(bytes);
}

const integer = (field: number, value: number | bigint) => Buffer.concat([varint(field << 3), varint(value)]);

function bytes(field: number, value: Uint8Array | string): Buffer {
  const data = typeof value === 'string' ? Buffer.from(value) : value;
  return Buffer.concat([varint((field << 3) | 2), varint(data.length), data]);
}

function float(field: number, value: number): Buffer {
  const data = Buffer.alloc(4);
  data.writeFloatLE(value);
  return Buffer.concat([varint((field << 3) | 5), data]);
}

const join = (...parts: (Buffer | Buffer[])[]) => Buffer.concat(parts.flat());

/** A graph input or output; a string in `shape` is a symbolic size. */
export function value(name: string, type: OnnxType, shape: (number | string)[]): Buffer {
  const sizes = shape.map((size) => bytes(1, typeof size === 'string' ? bytes(2, size) : integer(1, size)));
  const tensorType = join(integer(1, ONNX_TYPES[type]), bytes(2, join(sizes)));
  return join(bytes(1, name), bytes(2, bytes(1, tensorType)));
}

/** An initializer. */
export function tensor(name: string, type: OnnxType, dims: number[], data: NodeJS.TypedArray): Buffer {
  const raw = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return join(
    dims.map((size) => integer(1, size)),
    integer(2, ONNX_TYPES[type]),
    bytes(8, name),
    bytes(9, raw),
  );
}

/** An initializer whose bytes are in another file, from its first byte on. */
export function externalTensor(name: string, type: OnnxType, dims: number[], file: string): Buffer {
  return join(
    dims.map((size) => integer(1, size)),
    integer(2, ONNX_TYPES[type]),
    bytes(8, name),
    bytes(13, join(bytes(1, 'location'), bytes(2, file))),
    integer(14, 1),
  );
}

function attribute(name: string, content: Attribute): Buffer {
  let body: Buffer;
  if (typeof content === 'string') body = join(bytes(4, content), integer(20, 3));
  else if (Array.isArray(content)) {
    body = join(
      content.map((item) => integer(8, item)),
      integer(20, 7),
    );
  } else if (Number.isInteger(content)) body = join(integer(3, content), integer(20, 2));
  else body = join(float(2, content), integer(20, 1));
  return bytes(5, join(bytes(1, name), body));
}

export function node(
  op: string,
  inputs: string[],
  outputs: string[],
  attributes: Record<string, Attribute> = {},
): Buffer {
  return join(
    inputs.map((name) => bytes(1, name)),
    outputs.map((name) => bytes(2, name)),
    bytes(3, `${op}_${outputs[0]}`),
    bytes(4, op),
    Object.entries(attributes).map(([name, content]) => attribute(name, content)),
  );
}

export function model(graph: {
  nodes: Buffer[];
  inputs: Buffer[];
  outputs: Buffer[];
  initializers?: Buffer[];
  opset?: number;
}): Buffer {
  const { nodes, inputs, outputs, initializers = [], opset = 17 } = graph;
  const body = join(
    nodes.map((part) => bytes(1, part)),
    bytes(2, 'test'),
    initializers.map((part) => bytes(5, part)),
    inputs.map((part) => bytes(11, part)),
    outputs.map((part) => bytes(12, part)),
  );
  return join(
    integer(1, 8),
    bytes(2, 'cinefuse-test'),
    bytes(7, body),
    bytes(8, join(bytes(1, ''), integer(2, opset))),
  );
}
