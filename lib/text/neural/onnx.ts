import { InputError, ModelError } from '../../errors.js';
import { GraphBuilder } from '../../formats/onnx-graph.js';
import type { ReviewClassifier } from '../sentiment/classifier.js';
import { NeuralReviewClassifier, type TextMember } from './classifier.js';
import { stepSize, type TextNetworkSpec } from './spec.js';
import { denseLayers } from './trainer.js';
import { writeWhole } from '../../write-whole.js';

/** Below any feature: what the steps behind a row's end count as. */
const LEAST = -1e30;

/**
 * Writes a classifier of kind 'text-cnn', 'lstm' or 'encoder' as one ONNX model (opset 17, float32, no custom operators),
 * with the same results as its own `predict` but for the order of sums.
 *
 *   inputs   input_ids (batch, steps) int64 and lengths (batch) int64: ids of `WordVocabulary`, 0 behind a row's length;
 *            where networks read an encoder's vectors, vectors (batch, vector_steps, dim) float and vector_lengths
 *            (batch) int64, zeros behind a row's length. At least one step, a length may be 0.
 *   outputs  probabilities (batch, classes), calibrated; logits (batch, classes), before the last temperature;
 *            features (batch, all networks' feature sizes), what the last layers read: the text as a vector
 *
 * @returns the file's length in bytes
 * @throws InputError ERR_INPUT_TYPE  another kind of classifier, or one with nGrams
 * @throws ModelError ERR_MODEL_IO    the file cannot be written
 *
 * Within 2e-5 of `predict` under onnxruntime-node.
 */
export async function exportReviewOnnx(classifier: ReviewClassifier, file: string): Promise<number> {
  if (!(classifier instanceof NeuralReviewClassifier)) {
    throw new InputError('ERR_INPUT_TYPE', {
      field: 'classifier',
      expected: 'one of kind text-cnn, lstm or encoder',
      got: `one of kind ${(classifier as ReviewClassifier | undefined)?.kind}`,
    });
  }
  if (classifier.parts.nGrams) {
    throw new InputError('ERR_INPUT_TYPE', {
      field: 'classifier',
      expected: 'one without nGrams: counting terms is no part of the graph',
      got: 'one with nGrams',
    });
  }
  const chunks = reviewOnnxModel(classifier);
  return writeWhole(file, chunks).catch((cause: Error) => {
    throw new ModelError('ERR_MODEL_IO', {
      file,
      expected: 'a place to write the ONNX model to',
      got: cause.message,
      cause,
    });
  });
}

/** The model's bytes, in chunks. */
export function reviewOnnxModel({ parts, classes, kind }: NeuralReviewClassifier): readonly Uint8Array[] {
  const g = new GraphBuilder();
  const { members, temperature } = parts;
  const inputs = new Map<string, SequenceInput>();
  const input = (spec: TextNetworkSpec): SequenceInput => {
    const words = spec.input.kind === 'words';
    let own = inputs.get(spec.input.kind);
    if (own === undefined) {
      const [name, lengths, steps] = words
        ? (['input_ids', 'lengths', 'steps'] as const)
        : (['vectors', 'vector_lengths', 'vector_steps'] as const);
      const shape = ['batch', steps, ...(words ? [] : [stepSize(spec)])];
      own = {
        data: g.input(name, words ? 'int64' : 'float', shape),
        lengths: g.input(lengths, 'int64', ['batch']),
      };
      inputs.set(spec.input.kind, own);
    }
    return own;
  };
  const features: string[] = [];
  const logits = members.map(({ network, temperature: own }, m) => {
    const { features: found, logits: scores } = addNetwork(g, network, `members.${m}.`, input(network.spec));
    features.push(found);
    const both =
      network.spec.outputs === 1
        ? g.add('Concat', [g.product([scores, g.float(0)]), scores], { axis: 1 })
        : scores;
    return g.product([both, g.float(1 / (own * members.length))]);
  });
  const mean = g.total(logits);
  g.output('logits', mean, ['batch', classes.length]);
  const scaled = g.product([mean, g.float(1 / temperature)]);
  g.output('probabilities', g.add('Softmax', [scaled], { axis: 1 }), ['batch', classes.length]);
  const all = features.length === 1 ? features[0]! : g.add('Concat', features, { axis: 1 });
  g.output('features', all, ['batch', 'features']);
  return g.build('cinefuse-reviews', {
    'cinefuse.kind': kind,
    'cinefuse.classes': JSON.stringify(classes),
    'cinefuse.languages': JSON.stringify(parts.languages),
    ...(parts.vocabulary && { 'cinefuse.words': JSON.stringify(parts.vocabulary.words) }),
  });
}

interface SequenceInput {
  data: string;
  lengths: string;
}

function addNetwork(
  g: GraphBuilder,
  { spec, weights }: TextMember['network'],
  prefix: string,
  { data, lengths }: SequenceInput,
): { features: string; logits: string } {
  const weight = (name: string, shape: readonly number[], values = weights.get(name)!) =>
    g.weight(prefix + name, shape, values);
  const { input, body } = spec;
  const index = positions(g, data);
  const within = g.add('Less', [index, g.add('Unsqueeze', [lengths, g.ints(1)])]);
  let x = data;
  if (input.kind === 'words') {
    const parts = input.channels.map(({ dim }, i) =>
      g.add('Gather', [weight(`embedding.${i}`, [input.rows, dim]), data], { axis: 0 }),
    );
    x = parts.length === 1 ? parts[0]! : g.add('Concat', parts, { axis: 2 });
  }
  // Behind a row's end there is nothing, whatever the caller left there.
  x = g.add('Where', [g.add('Unsqueeze', [within, g.ints(2)]), x, g.float(0)]);
  let y: string;
  if (body.kind === 'mean') {
    const count = g.add('Max', [lengths, g.constant('int64', [], [1])]);
    const divisor = g.add('Unsqueeze', [g.add('Cast', [count], { to: 1 }), g.ints(1)]);
    y = g.add('Div', [g.sum(x, 1, false), divisor]);
  } else if (body.kind === 'text-cnn') {
    const planes = g.add('Transpose', [x], { perm: [0, 2, 1] });
    const parts = body.windows.map((size, i) => {
      const shape = [body.filters, stepSize(spec), size];
      const kernel = weight(
        `windows.${i}.weight`,
        shape,
        swapped(weights.get(`windows.${i}.weight`)!, shape),
      );
      const bias = weight(`windows.${i}.bias`, [body.filters]);
      const sums = g.add('Conv', [planes, kernel, bias], { kernel_shape: [size], pads: [0, size - 1] });
      const last = g.add('Max', [
        g.add('Sub', [lengths, g.constant('int64', [], [size])]),
        g.constant('int64', [], [0]),
      ]);
      const inside = g.add('LessOrEqual', [index, g.add('Unsqueeze', [last, g.ints(1)])]);
      const masked = g.add('Where', [g.add('Unsqueeze', [inside, g.ints(1)]), sums, g.float(LEAST)]);
      return g.activation(body.activation, g.add('ReduceMax', [masked], { axes: [2], keepdims: 0 }));
    });
    y = parts.length === 1 ? parts[0]! : g.add('Concat', parts, { axis: 1 });
  } else {
    y = addLstm(g, spec, prefix, weights, x, lengths, within);
  }
  const features = y;
  for (const { name, inFeatures, outFeatures, activation } of denseLayers(spec)) {
    const sums = g.linear(
      y,
      weight(`${name}.weight`, [outFeatures, inFeatures]),
      weight(`${name}.bias`, [outFeatures]),
    );
    y = g.activation(activation, sums);
  }
  return { features, logits: y };
}

/** (1, steps): 0, 1, 2 ... of the second axis of `data`. */
function positions(g: GraphBuilder, data: string): string {
  const steps = g.add('Gather', [g.add('Shape', [data]), g.constant('int64', [], [1])]);
  const scalar = (value: number) => g.constant('int64', [], [value]);
  return g.add('Unsqueeze', [g.add('Range', [scalar(0), steps, scalar(1)]), g.ints(0)]);
}

function addLstm(
  g: GraphBuilder,
  spec: TextNetworkSpec,
  prefix: string,
  weights: ReadonlyMap<string, Float32Array>,
  x: string,
  lengths: string,
  within: string,
): string {
  const { body } = spec;
  if (body.kind !== 'lstm') throw new Error('not an lstm');
  const { hidden, directions, layers, pooling } = body;
  // ONNX Runtime refuses a length of 0; an empty row is one step of zeros that is masked afterwards.
  const counts = g.add('Cast', [g.add('Max', [lengths, g.constant('int64', [], [1])])], { to: 6 });
  let steps = g.add('Transpose', [x], { perm: [1, 0, 2] });
  let width = stepSize(spec);
  let final = '';
  for (let layer = 0; layer < layers; layer++) {
    const name = (part: string) => `lstm.${layer}.${part}`;
    const gates = (part: string, columns: number) =>
      g.weight(
        prefix + name(part),
        columns === 0 ? [directions, 8 * hidden] : [directions, 4 * hidden, columns],
        onnxGates(weights.get(name(part))!, directions, hidden, columns),
      );
    const [y, h] = g.addMany(
      'LSTM',
      [steps, gates('weight_input', width), gates('weight_hidden', hidden), gates('bias', 0), counts],
      2,
      { hidden_size: hidden, direction: directions === 2 ? 'bidirectional' : 'forward' },
    ) as [string, string];
    width = directions * hidden;
    // (steps, directions, batch, hidden) -> (steps, batch, directions · hidden)
    steps = g.add('Reshape', [g.add('Transpose', [y], { perm: [0, 2, 1, 3] }), g.ints(0, 0, width)]);
    final = g.add('Reshape', [g.add('Transpose', [h], { perm: [1, 0, 2] }), g.ints(0, width)]);
  }
  const some = g.add('Unsqueeze', [g.add('Greater', [lengths, g.constant('int64', [], [0])]), g.ints(1)]);
  let features = final;
  if (pooling === 'max') {
    const byRow = g.add('Transpose', [steps], { perm: [1, 2, 0] });
    const masked = g.add('Where', [g.add('Unsqueeze', [within, g.ints(1)]), byRow, g.float(LEAST)]);
    features = g.add('ReduceMax', [masked], { axes: [2], keepdims: 0 });
  }
  return g.add('Where', [some, features, g.float(0)]);
}

/** (filters, size, dim) -> (filters, dim, size) */
function swapped(data: Float32Array, [filters, dim, size]: readonly number[]): Float32Array {
  const out = new Float32Array(data.length);
  for (let f = 0; f < filters!; f++) {
    for (let i = 0; i < size!; i++) {
      for (let d = 0; d < dim!; d++) out[(f * dim! + d) * size! + i] = data[(f * size! + i) * dim! + d]!;
    }
  }
  return out;
}

/** Gates i, f, g, o as ONNX has them: i, o, f, c. A bias (columns 0) gets a second half of zeros. */
function onnxGates(data: Float32Array, directions: number, hidden: number, columns: number): Float32Array {
  const bias = columns === 0;
  const size = hidden * (bias ? 1 : columns);
  const out = new Float32Array(bias ? 2 * data.length : data.length);
  const stride = bias ? 8 * hidden : 4 * size;
  for (let d = 0; d < directions; d++) {
    [0, 3, 1, 2].forEach((from, to) => {
      out.set(data.subarray((d * 4 + from) * size, (d * 4 + from + 1) * size), d * stride + to * size);
    });
  }
  return out;
}
