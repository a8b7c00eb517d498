import { ModelError } from '../errors.js';
import type { EncoderSpec } from './spec.js';
import { describeGraphValue, type GraphInfo, type GraphValue } from './tensor.js';

/**
 * Holds the graph that was loaded against its spec: names, types, ranks and fixed sizes.
 *
 * @throws ModelError ERR_MODEL_IO  saying what the graph has
 */
export function checkGraph(spec: EncoderSpec, graph: GraphInfo): void {
  const fail = (field: string, expected: string, got: string): never => {
    throw new ModelError('ERR_MODEL_IO', {
      field: `${spec.name} ${field}`,
      file: spec.file,
      expected,
      got,
    });
  };
  const find = (field: string, name: string, values: readonly GraphValue[], kind: string): GraphValue =>
    values.find((value) => value.name === name) ??
    fail(
      field,
      `${kind} ${JSON.stringify(name)} in the graph`,
      `a graph whose ${kind}s are: ${values.map(describeGraphValue).join('; ')}`,
    );

  const named = Object.entries(spec.inputs).filter(
    (entry): entry is [string, string] => entry[1] !== undefined,
  );
  for (const [role, name] of named) {
    const value = find(`inputs.${role}`, name, graph.inputs, 'input');
    const types = spec.modality === 'text' ? ['int64', 'int32'] : ['float32'];
    if (!types.includes(value.type)) {
      fail(`inputs.${role}`, `a graph input of ${types.join(' or ')}`, describeGraphValue(value));
    }
    const expected = inputShape(spec, role);
    const agrees =
      value.shape.length === expected.length &&
      expected.every((size, axis) => {
        const actual = value.shape[axis];
        return typeof size !== 'number' || typeof actual !== 'number' || size === actual;
      });
    if (!agrees) {
      fail(`inputs.${role}`, `a graph input of [${expected.join(', ')}]`, describeGraphValue(value));
    }
  }
  const unfed = graph.inputs.filter((input) => !named.some(([, name]) => name === input.name));
  if (unfed.length > 0) {
    fail(
      'inputs',
      `only ${named.map(([, name]) => name).join(', ')}`,
      `further graph inputs: ${unfed.map(describeGraphValue).join('; ')}`,
    );
  }
  const output = find('output', spec.output, graph.outputs, 'output');
  if (output.type !== 'float32') fail('output', 'a graph output of float32', describeGraphValue(output));
  const axis = spec.pooling === 'mean-spatial' ? 1 : output.shape.length - 1;
  // With pooling 'none' trailing axes of size 1 are common, e.g. (batch, 1, 1, 96) or (batch, dim, 1, 1).
  const width = spec.pooling === 'none' ? fixedProduct(output.shape) : output.shape[axis];
  if (typeof width === 'number' && width !== spec.dim) {
    fail('dim', `the width of the output, ${width} in ${describeGraphValue(output)}`, `dim ${spec.dim}`);
  }
}

/** Product of all sizes after the batch, or undefined when one is symbolic. */
function fixedProduct(shape: GraphValue['shape']): number | undefined {
  let product = 1;
  for (const size of shape.slice(1)) {
    if (typeof size !== 'number') return undefined;
    product *= size;
  }
  return product;
}

/** The shape in which the spec feeds an input; a name where the size is free. */
function inputShape(spec: EncoderSpec, role: string): (number | string)[] {
  switch (spec.modality) {
    case 'text':
      return ['batch', 'tokens'];
    case 'image':
      return ['batch', 3, ...imageSize(spec.transform)];
    case 'video': {
      const frames = spec.clip.frames === 'all' ? 'frames' : spec.clip.frames;
      const size = imageSize(spec.transform);
      if (role === 'flow' && spec.flow !== undefined) {
        const fields = typeof frames === 'number' ? frames - 1 : 'fields';
        if (spec.flow.layout === 'btchw') return ['batch', fields, 2, ...size];
        if (spec.flow.layout === 'bcthw') return ['batch', 2, fields, ...size];
        return ['batch', typeof fields === 'number' ? 2 * fields : fields, ...size];
      }
      return spec.clip.layout === 'btchw' ? ['batch', frames, 3, ...size] : ['batch', 3, frames, ...size];
    }
    case 'audio': {
      const { frontEnd } = spec;
      if (frontEnd.kind === 'waveform') {
        return frontEnd.axes.map((axis) =>
          axis === 'samples' ? frontEnd.windowSamples : axis === 'channel' ? 1 : axis,
        );
      }
      return frontEnd.axes.map((axis) =>
        axis === 'frames'
          ? frontEnd.windowFrames
          : axis === 'mels'
            ? frontEnd.mel.nMels
            : axis === 'channel'
              ? 1
              : axis,
      );
    }
  }
}

/** Height and width that reach the graph; names where the aspect of the image decides. */
function imageSize({
  resize,
  crop,
}: {
  resize: number | number[];
  crop?: number[] | undefined;
}): (number | string)[] {
  return crop ?? (typeof resize === 'number' ? ['height', 'width'] : resize);
}
