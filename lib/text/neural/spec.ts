/** What a text network is made of, and the shapes of its weights. */
import { z } from 'zod';

const size = z.int().min(1).max(65_536);

const inputSchema = z.discriminatedUnion('kind', [
  /** Rows of tables by word ids; several tables lie side by side in a step's vector (multichannel). */
  z.strictObject({
    kind: z.literal('words'),
    rows: z.int().min(3).max(1_000_002),
    channels: z
      .array(z.strictObject({ dim: size, tuned: z.boolean() }))
      .min(1)
      .max(4),
  }),
  /** Vectors that something else made, an ONNX encoder for one. */
  z.strictObject({ kind: z.literal('vectors'), dim: size }),
]);

const bodySchema = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('text-cnn'),
    windows: z.array(z.int().min(1).max(100)).min(1).max(16),
    /** Of each window. */
    filters: size,
    activation: z.enum(['relu', 'tanh']),
  }),
  z.strictObject({
    kind: z.literal('lstm'),
    hidden: z.int().min(1).max(4096),
    layers: z.int().min(1).max(8),
    directions: z.union([z.literal(1), z.literal(2)]),
    /** last: the state after the last word (of a second direction, after the first); max: the largest over time. */
    pooling: z.enum(['last', 'max']),
  }),
  /** The mean of the vectors over time. */
  z.strictObject({ kind: z.literal('mean') }),
]);

export const textNetworkSchema = z.strictObject({
  input: inputSchema,
  body: bodySchema,
  /** Sizes of layers with ReLU between body and output. */
  dense: z.array(size).max(8),
  /** 1: a sigmoid for the second of two classes; else a softmax. */
  outputs: z.int().min(1).max(1000),
});

export type TextNetworkSpec = z.infer<typeof textNetworkSchema>;
export type TextNetworkBody = TextNetworkSpec['body'];
export type TextWeights = ReadonlyMap<string, Float32Array>;

/** Length of a step's vector. */
export function stepSize({ input }: TextNetworkSpec): number {
  return input.kind === 'vectors' ? input.dim : input.channels.reduce((sum, { dim }) => sum + dim, 0);
}

/** Length of the vector that the body makes of a text. */
export function featureSize(spec: TextNetworkSpec): number {
  const { body } = spec;
  if (body.kind === 'text-cnn') return body.windows.length * body.filters;
  return body.kind === 'lstm' ? body.hidden * body.directions : stepSize(spec);
}

/** Name and shape of every weight, in the order of the layers. */
export function textWeightShapes(spec: TextNetworkSpec): Map<string, readonly number[]> {
  const { input, body, dense, outputs } = spec;
  const shapes = new Map<string, readonly number[]>();
  if (input.kind === 'words') {
    for (const [i, { dim }] of input.channels.entries()) shapes.set(`embedding.${i}`, [input.rows, dim]);
  }
  let width = stepSize(spec);
  if (body.kind === 'text-cnn') {
    body.windows.forEach((window, i) => {
      shapes.set(`windows.${i}.weight`, [body.filters, window, width]);
      shapes.set(`windows.${i}.bias`, [body.filters]);
    });
  }
  if (body.kind === 'lstm') {
    const { hidden, directions, layers } = body;
    for (let layer = 0; layer < layers; layer++) {
      shapes.set(`lstm.${layer}.weight_input`, [directions, 4 * hidden, width]);
      shapes.set(`lstm.${layer}.weight_hidden`, [directions, 4 * hidden, hidden]);
      shapes.set(`lstm.${layer}.bias`, [directions, 4 * hidden]);
      width = directions * hidden;
    }
  }
  width = featureSize(spec);
  [...dense, outputs].forEach((out, i) => {
    const name = i === dense.length ? 'head' : `dense.${i}`;
    shapes.set(`${name}.weight`, [out, width]);
    shapes.set(`${name}.bias`, [out]);
    width = out;
  });
  return shapes;
}

/** Weights that training leaves as they are. */
export function fixedWeights({ input }: TextNetworkSpec): Set<string> {
  if (input.kind !== 'words') return new Set();
  return new Set(input.channels.flatMap(({ tuned }, i) => (tuned ? [] : [`embedding.${i}`])));
}
