/** Small ONNX models, so that tests run real graphs without Python: what lib/formats/onnx-proto.ts writes, in buffers. */
import * as proto from '../lib/formats/onnx-proto.js';

export { ONNX_TYPES, type OnnxType } from '../lib/formats/onnx-proto.js';

/** A graph input or output; a string in `shape` is a symbolic size. */
export const value = (...args: Parameters<typeof proto.value>): Buffer => Buffer.concat(proto.value(...args));

/** An initializer. */
export const tensor = (...args: Parameters<typeof proto.tensor>): Buffer =>
  Buffer.concat(proto.tensor(...args));

/** An initializer whose bytes are in another file, from its first byte on. */
export function externalTensor(name: string, type: proto.OnnxType, dims: number[], file: string): Buffer {
  return Buffer.concat([
    ...proto.tensorHead(name, type, dims),
    ...proto.bytes(13, [...proto.bytes(1, 'location'), ...proto.bytes(2, file)]),
    ...proto.integer(14, 1),
  ]);
}

export const node = (...args: Parameters<typeof proto.node>): Buffer => Buffer.concat(proto.node(...args));

export function model(graph: {
  nodes: Buffer[];
  inputs: Buffer[];
  outputs: Buffer[];
  initializers?: Buffer[];
  opset?: number;
}): Buffer {
  const list = (parts: Buffer[] = []) => parts.map((part) => [part]);
  return Buffer.concat(
    proto.model({
      nodes: list(graph.nodes),
      inputs: list(graph.inputs),
      outputs: list(graph.outputs),
      initializers: list(graph.initializers),
      name: 'test',
      producer: 'cinefuse-test',
      opset: graph.opset ?? 17,
    }),
  );
}
