/**
 * Writes ONNX models: the part of protobuf and of onnx.proto that it takes (ModelProto, GraphProto, NodeProto,
 * TensorProto, ValueInfoProto). Messages are lists of chunks, so that large weights are never copied.
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
/** A whole number is an integer attribute; `{ float }` one that is a float whatever its value. */
export type OnnxAttribute = number | string | readonly number[] | { float: number };
/** An encoded message, or part of one. */
export type OnnxMessage = readonly Uint8Array[];

function varint(value: number | bigint): Uint8Array {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  do {
    const low = Number(rest & 127n);
    rest >>= 7n;
    bytes.push(rest === 0n ? low : low | 128);
  } while (rest !== 0n);
  return Uint8Array.from(bytes);
}

export const integer = (field: number, value: number | bigint): OnnxMessage => [
  varint(field << 3),
  varint(value),
];

export function bytes(field: number, content: OnnxMessage | Uint8Array | string): OnnxMessage {
  const chunks =
    typeof content === 'string'
      ? [Buffer.from(content)]
      : content instanceof Uint8Array
        ? [content]
        : content;
  const length = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  return [varint((field << 3) | 2), varint(length), ...chunks];
}

function float(field: number, value: number): OnnxMessage {
  const data = Buffer.alloc(4);
  data.writeFloatLE(value);
  return [varint((field << 3) | 5), data];
}

/** A graph input or output; a string in `shape` is a symbolic size. */
export function value(name: string, type: OnnxType, shape: readonly (number | string)[]): OnnxMessage {
  const sizes = shape.flatMap((size) =>
    bytes(1, typeof size === 'string' ? bytes(2, size) : integer(1, size)),
  );
  const tensorType = [...integer(1, ONNX_TYPES[type]), ...bytes(2, sizes)];
  return [...bytes(1, name), ...bytes(2, bytes(1, tensorType))];
}

/** An initializer: shape, type and name. */
export function tensorHead(name: string, type: OnnxType, dims: readonly number[]): OnnxMessage {
  return [...dims.flatMap((size) => integer(1, size)), ...integer(2, ONNX_TYPES[type]), ...bytes(8, name)];
}

/** An initializer. `data` is not copied. */
export function tensor(
  name: string,
  type: OnnxType,
  dims: readonly number[],
  data: NodeJS.TypedArray,
): OnnxMessage {
  return [
    ...tensorHead(name, type, dims),
    ...bytes(9, new Uint8Array(data.buffer, data.byteOffset, data.byteLength)),
  ];
}

function attribute(name: string, content: OnnxAttribute): OnnxMessage {
  const typed = (type: number, ...body: OnnxMessage[]) => [...body.flat(), ...integer(20, type)];
  let body: OnnxMessage;
  if (typeof content === 'string') body = typed(3, bytes(4, content));
  else if (typeof content === 'object' && 'float' in content) body = typed(1, float(2, content.float));
  else if (typeof content === 'object') body = typed(7, ...content.map((item) => integer(8, item)));
  else if (Number.isInteger(content)) body = typed(2, integer(3, content));
  else body = typed(1, float(2, content));
  return bytes(5, [...bytes(1, name), ...body]);
}

export function node(
  op: string,
  inputs: readonly string[],
  outputs: readonly string[],
  attributes: Readonly<Record<string, OnnxAttribute>> = {},
): OnnxMessage {
  return [
    ...inputs.flatMap((name) => bytes(1, name)),
    ...outputs.flatMap((name) => bytes(2, name)),
    ...bytes(3, `${op}_${outputs[0]}`),
    ...bytes(4, op),
    ...Object.entries(attributes).flatMap(([name, content]) => attribute(name, content)),
  ];
}

export interface OnnxGraph {
  nodes: readonly OnnxMessage[];
  inputs: readonly OnnxMessage[];
  outputs: readonly OnnxMessage[];
  initializers?: readonly OnnxMessage[] | undefined;
  name?: string;
  producer?: string;
  /** Default 17, of ONNX 1.12. */
  opset?: number;
  /** Key to text. */
  metadata?: Readonly<Record<string, string>>;
}

export function model({ nodes, inputs, outputs, initializers = [], ...rest }: OnnxGraph): OnnxMessage {
  const graph = [
    ...nodes.flatMap((part) => bytes(1, part)),
    ...bytes(2, rest.name ?? 'graph'),
    ...initializers.flatMap((part) => bytes(5, part)),
    ...inputs.flatMap((part) => bytes(11, part)),
    ...outputs.flatMap((part) => bytes(12, part)),
  ];
  return [
    ...integer(1, 8),
    ...bytes(2, rest.producer ?? 'cinefuse'),
    ...bytes(7, graph),
    ...bytes(8, [...bytes(1, ''), ...integer(2, rest.opset ?? 17)]),
    ...Object.entries(rest.metadata ?? {}).flatMap(([key, text]) =>
      bytes(14, [...bytes(1, key), ...bytes(2, text)]),
    ),
  ];
}
