import { ModelError } from '../errors.js';
import { copyTensor, type GraphValue, type Tensor } from './tensor.js';

/** A run names every input of its graph and some of its outputs. @throws ModelError ERR_MODEL_IO */
export function checkNames(
  encoder: string,
  given: string[],
  inputs: readonly GraphValue[],
  wanted: string[],
  outputs: readonly GraphValue[],
): void {
  const names = (values: readonly GraphValue[]) => values.map(({ name }) => name).join(', ');
  const missing = inputs.find(({ name }) => !given.includes(name));
  const unknown = given.find((name) => !inputs.some((input) => input.name === name));
  if (missing !== undefined || unknown !== undefined) {
    throw new ModelError('ERR_MODEL_IO', {
      field: `${encoder} feeds`,
      expected: `the inputs ${names(inputs)}`,
      got: given.join(', ') || 'none',
    });
  }
  const unknownOutput = wanted.find((name) => !outputs.some((output) => output.name === name));
  if (unknownOutput !== undefined || wanted.length === 0) {
    throw new ModelError('ERR_MODEL_IO', {
      field: `${encoder} outputs`,
      expected: `some of ${names(outputs)}`,
      got: wanted.join(', ') || 'none',
    });
  }
}

/** Feeds whose buffers may be moved: copies where the caller keeps them, shares them, or passed a part of a buffer. */
export function prepareFeeds(
  feeds: Record<string, Tensor>,
  keep: boolean,
): { moved: Record<string, Tensor>; transfer: ArrayBuffer[] } {
  const moved: Record<string, Tensor> = {};
  const transfer = new Set<ArrayBuffer>();
  for (const [name, tensor] of Object.entries(feeds)) {
    const { data } = tensor;
    const whole = data.buffer instanceof ArrayBuffer && data.byteLength === data.buffer.byteLength;
    const own = keep || !whole ? copyTensor(tensor) : { ...tensor, dims: [...tensor.dims] };
    moved[name] = own;
    transfer.add(own.data.buffer as ArrayBuffer);
  }
  return { moved, transfer: [...transfer] };
}
