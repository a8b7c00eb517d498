/** Where the training of a text network starts. */
import { randomOf, seedOf } from '../../train/random.js';
import { type TextNetworkSpec, textWeightShapes } from './spec.js';
import { PADDING_ID } from './vocabulary.js';

/** Half the width of the uniform distribution of words without a vector, as Kim 2014 has it. */
const WORD_BOUND = 0.25;

/** Vectors of words, made elsewhere: `WordVectors` is one. */
export interface WordVectorSource {
  readonly dim: number;
  /** (dim), or undefined for a word it does not have. */
  vector(word: string): Float32Array | undefined;
}

/**
 * Weights drawn by a seed, those of each layer from a sequence of its own:
 *
 *   tables   uniform in ±0.25, or a word's vector where `vectors` has it; the padding's row 0
 *   windows  uniform in ±1/√(size · dim);  lstm: uniform in ±1/√hidden, the forget gate's bias 1
 *   layers   uniform in ±1/√in; biases of windows and layers 0
 *
 * Source: torch.nn's defaults; Kim 2014; Jozefowicz et al. 2015 (the forget gate).
 */
export function initialTextWeights(
  spec: TextNetworkSpec,
  seed: number,
  words?: readonly string[],
  vectors: readonly (WordVectorSource | undefined)[] = [],
): Map<string, Float32Array> {
  const weights = new Map<string, Float32Array>();
  for (const [name, shape] of textWeightShapes(spec)) {
    const random = randomOf(seedOf(seed, 'text weights', name));
    const data = new Float32Array(shape.reduce((a, b) => a * b, 1));
    const bound = boundOf(name, shape, spec);
    for (let i = 0; i < data.length; i++) data[i] = (2 * random.next() - 1) * bound;
    if (name.startsWith('embedding.')) {
      const dim = shape[1]!;
      const source = vectors[Number(name.slice('embedding.'.length))];
      words?.forEach((word, row) => {
        const vector = word === '' ? undefined : source?.vector(word);
        if (vector) data.set(vector, row * dim);
      });
      data.fill(0, PADDING_ID * dim, (PADDING_ID + 1) * dim);
    }
    if (/^lstm\.\d+\.bias$/.test(name)) {
      const [directions, gates] = shape as [number, number];
      const hidden = gates / 4;
      for (let d = 0; d < directions; d++) data.fill(1, d * gates + hidden, d * gates + 2 * hidden);
    }
    weights.set(name, data);
  }
  return weights;
}

function boundOf(name: string, shape: readonly number[], { body }: TextNetworkSpec): number {
  if (name.startsWith('embedding.')) return WORD_BOUND;
  if (body.kind === 'lstm' && name.startsWith('lstm.')) return 1 / Math.sqrt(body.hidden);
  // Biases of windows and layers.
  return shape.length === 1 ? 0 : 1 / Math.sqrt(shape.slice(1).reduce((a, b) => a * b, 1));
}
