/** Makes a value inside an ONNX model one of its outputs. */
import { ModelError } from '../errors.js';
import { bytes, type OnnxMessage, value } from './onnx-proto.js';

/** Fields of onnx.proto: ModelProto.graph, GraphProto.node, .output, NodeProto.output, ValueInfoProto.name. */
const GRAPH = 7;
const NODE = 1;
const GRAPH_OUTPUT = 12;
const NODE_OUTPUT = 2;
const VALUE_NAME = 1;

function malformed(): ModelError {
  return new ModelError('ERR_MODEL_LOAD', {
    expected: 'an ONNX model',
    got: 'something else or a part of one',
  });
}

/** The length-delimited fields of a message, with their numbers; others are stepped over. */
function* fields(data: Uint8Array): Generator<[number, Uint8Array]> {
  let at = 0;
  const varint = () => {
    let result = 0;
    for (let shift = 0; shift < 10; shift++) {
      const byte = data[at++];
      if (byte === undefined) throw malformed();
      result += (byte & 127) * 2 ** (7 * shift);
      if (byte < 128) return result;
    }
    throw malformed();
  };
  while (at < data.length) {
    const tag = varint();
    const type = tag & 7;
    if (type === 0) varint();
    else if (type === 1) at += 8;
    else if (type === 5) at += 4;
    else if (type === 2) {
      const length = varint();
      if (length > data.length - at) throw malformed();
      yield [Math.floor(tag / 8), data.subarray(at, at + length)];
      at += length;
    } else throw malformed();
    if (at > data.length) throw malformed();
  }
}

const text = (data: Uint8Array) => new TextDecoder().decode(data);

/**
 * An ONNX model that also gives out a float value of its inside. Nothing else changes: protobuf merges a second `graph`
 * into the first, so what is added stands behind the model's own bytes.
 *
 * @param shape  of the value; a string is a symbolic size
 * @returns the model itself where the value is an output already
 * @throws ModelError ERR_MODEL_LOAD  no ONNX model
 * @throws ModelError ERR_MODEL_IO    no node makes such a value; the error lists some that there are
 */
export function exposeOutput(
  model: Uint8Array,
  name: string,
  shape: readonly (number | string)[],
): Uint8Array {
  const made: string[] = [];
  for (const [field, graph] of fields(model)) {
    if (field !== GRAPH) continue;
    for (const [part, data] of fields(graph)) {
      if (part === GRAPH_OUTPUT) {
        for (const [own, id] of fields(data)) if (own === VALUE_NAME && text(id) === name) return model;
      }
      if (part === NODE) for (const [own, id] of fields(data)) if (own === NODE_OUTPUT) made.push(text(id));
    }
  }
  if (!made.includes(name)) {
    throw new ModelError('ERR_MODEL_IO', {
      field: 'tokens.output',
      expected: `a value of the graph, such as ${made.slice(-8).join(', ')}`,
      got: JSON.stringify(name),
    });
  }
  const added: OnnxMessage = bytes(GRAPH, bytes(GRAPH_OUTPUT, value(name, 'float', shape)));
  return Buffer.concat([model, ...added]);
}
