/** One step after another of a text network's training, over the operators. */
import { TrainError } from '../../errors.js';
import { activationBackward } from '../../ops/activation_backward.js';
import {
  type ConvPoolForwardResult,
  convPoolBackward,
  convPoolForward,
} from '../../ops/conv_pool_backward.js';
import { dropout } from '../../ops/dropout.js';
import { embedding, embeddingBackward } from '../../ops/embedding.js';

import type { ExecOptions } from '../../ops/exec.js';
import { linear } from '../../ops/linear.js';
import { linearBackward } from '../../ops/linear_backward.js';
import { loss } from '../../ops/loss.js';
import { type LstmForwardResult, lstmBackward, lstmForward } from '../../ops/lstm_backward.js';
import { optimizerStep } from '../../ops/optimizer.js';
import { joinChannels, poolStates, spreadStates, splitChannels } from './arrange.js';
import type { SequenceBatch } from './sequences.js';
import { featureSize, fixedWeights, stepSize, type TextNetworkSpec } from './spec.js';
import { PADDING_ID } from './vocabulary.js';

export interface TextTrainerOptions {
  spec: TextNetworkSpec;
  /** Changed in place. */
  weights: ReadonlyMap<string, Float32Array>;
  learningRate: number;
  /** Decoupled, of everything but tables and biases. */
  weightDecay: number;
  /** Of the features. */
  dropout: number;
  /** Of the words' vectors. */
  inputDropout: number;
  seed: number;
  exec?: Omit<ExecOptions, 'signal'> | undefined;
}

/** What a body keeps from its forward pass. */
type Trace =
  | { kind: 'text-cnn'; result: ConvPoolForwardResult }
  | { kind: 'lstm'; inputs: Float32Array[]; results: LstmForwardResult[]; argmax: Int32Array | undefined }
  | { kind: 'mean' };

/** Adam over the weights of one network. */
export class TextTrainer {
  readonly #options: TextTrainerOptions;
  readonly #moments = new Map<string, { m: Float32Array; v: Float32Array }>();
  readonly #fixed: ReadonlySet<string>;
  #step = 0;

  constructor(options: TextTrainerOptions) {
    this.#options = options;
    this.#fixed = fixedWeights(options.spec);
  }

  #weight(name: string): Float32Array {
    return this.#options.weights.get(name)!;
  }

  /** Dropout of its own place in the network; its gradient is the same call of dy. */
  async #drop(x: Float32Array, p: number, place: number): Promise<Float32Array> {
    const { seed, exec } = this.#options;
    return p === 0 ? x : dropout(x, { ...exec, p, seed, stream: this.#step * 8 + place });
  }

  /**
   * @param target  of each row: 0 or 1 for one output, else the number of its class
   * @returns the mean loss before the step
   * @throws TrainError ERR_TRAIN_DIVERGED  a loss that is not finite; the weights are those before the step
   */
  async step(batch: SequenceBatch, target: Float32Array): Promise<number> {
    const { spec, exec } = this.#options;
    this.#step++;
    const read = await this.#read(batch);
    const x = await this.#drop(read, this.#options.inputDropout, 0);
    const { features, trace } = await this.#forward(batch, x);
    const dropped = await this.#drop(features, this.#options.dropout, 1);
    const layers = await this.#dense(dropped);
    const kind = spec.outputs === 1 ? 'bce' : 'cross-entropy';
    const { loss: value, dx } = await loss(
      kind,
      { x: layers.at(-1)!, target },
      { ...exec, cols: spec.outputs },
    );
    if (!Number.isFinite(value[0])) {
      throw new TrainError('ERR_TRAIN_DIVERGED', {
        expected: 'a finite loss',
        got: `${value[0]} in step ${this.#step}: try a smaller learning rate`,
      });
    }
    const gradients = new Map<string, Float32Array>();
    const dDropped = await this.#denseBackward(layers, dx!, gradients);
    const dFeatures = await this.#drop(dDropped, this.#options.dropout, 1);
    const inputGradient = spec.input.kind === 'words' && spec.input.channels.some(({ tuned }) => tuned);
    const dx0 = await this.#backward(batch, x, trace, dFeatures, gradients, inputGradient);
    if (inputGradient) {
      await this.#readBackward(batch, await this.#drop(dx0!, this.#options.inputDropout, 0), gradients);
    }
    await this.#update(gradients);
    return value[0]!;
  }

  /** (rows, steps, stepSize) */
  async #read({ ids, vectors }: SequenceBatch): Promise<Float32Array> {
    const { spec, exec } = this.#options;
    if (spec.input.kind === 'vectors') return vectors!;
    const parts = await Promise.all(
      spec.input.channels.map(({ dim }, i) =>
        embedding(ids!, this.#weight(`embedding.${i}`), { ...exec, dim, paddingId: PADDING_ID }),
      ),
    );
    return joinChannels(
      parts,
      spec.input.channels.map(({ dim }) => dim),
    );
  }

  async #readBackward({ ids }: SequenceBatch, dy: Float32Array, gradients: Map<string, Float32Array>) {
    const { spec, exec } = this.#options;
    if (spec.input.kind !== 'words') return;
    const { rows, channels } = spec.input;
    const parts = splitChannels(
      dy,
      channels.map(({ dim }) => dim),
    );
    for (const [i, { dim, tuned }] of channels.entries()) {
      if (!tuned) continue;
      const options = { ...exec, rows, dim, paddingId: PADDING_ID };
      gradients.set(`embedding.${i}`, await embeddingBackward({ ids: ids!, dy: parts[i]! }, options));
    }
  }

  #convolution({ steps, lengths }: SequenceBatch, x: Float32Array) {
    const { spec } = this.#options;
    if (spec.body.kind !== 'text-cnn') throw new Error('not a text-cnn');
    return {
      dim: stepSize(spec),
      windows: spec.body.windows.map((size, i) => ({
        size,
        weight: this.#weight(`windows.${i}.weight`),
        bias: this.#weight(`windows.${i}.bias`),
      })),
      activation: spec.body.activation,
      x,
      steps,
      lengths,
    };
  }

  #recurrence({ steps, lengths }: SequenceBatch, x: Float32Array, layer: number) {
    const { spec } = this.#options;
    if (spec.body.kind !== 'lstm') throw new Error('not an lstm');
    const { hidden, directions } = spec.body;
    return {
      x,
      time: steps,
      lengths,
      inputSize: layer === 0 ? stepSize(spec) : hidden * directions,
      hiddenSize: hidden,
      directions,
      weightInput: this.#weight(`lstm.${layer}.weight_input`),
      weightHidden: this.#weight(`lstm.${layer}.weight_hidden`),
      bias: this.#weight(`lstm.${layer}.bias`),
    };
  }

  async #forward(batch: SequenceBatch, x: Float32Array): Promise<{ features: Float32Array; trace: Trace }> {
    const { spec, exec } = this.#options;
    const { body } = spec;
    if (body.kind === 'text-cnn') {
      const result = await convPoolForward(this.#convolution(batch, x), exec);
      return { features: result.y, trace: { kind: 'text-cnn', result } };
    }
    if (body.kind === 'mean') {
      return { features: poolStates(x, batch, stepSize(spec), 'mean').features, trace: { kind: 'mean' } };
    }
    const inputs = [x];
    const results: LstmForwardResult[] = [];
    for (let layer = 0; layer < body.layers; layer++) {
      results.push(await lstmForward(this.#recurrence(batch, inputs[layer]!, layer), exec));
      inputs.push(results[layer]!.y);
    }
    const last = results.at(-1)!;
    const { features, argmax } =
      body.pooling === 'max'
        ? poolStates(last.y, batch, featureSize(spec), 'max')
        : {
            features: joinChannels(
              [...halves(last.h, body.directions)],
              Array(body.directions).fill(body.hidden),
            ),
            argmax: undefined,
          };
    return { features, trace: { kind: 'lstm', inputs, results, argmax } };
  }

  /** dL/dx, and the weights' gradients into `gradients`. */
  async #backward(
    batch: SequenceBatch,
    x: Float32Array,
    trace: Trace,
    dy: Float32Array,
    gradients: Map<string, Float32Array>,
    inputGradient: boolean,
  ): Promise<Float32Array | undefined> {
    const { spec, exec } = this.#options;
    const { body } = spec;
    if (trace.kind === 'mean') return spreadStates(dy, batch, stepSize(spec), undefined);
    if (trace.kind === 'text-cnn') {
      const input = { ...this.#convolution(batch, x), ...trace.result, dy };
      const { dx, windows } = await convPoolBackward(input, { ...exec, inputGradient });
      windows.forEach(({ weight, bias }, i) => {
        gradients.set(`windows.${i}.weight`, weight);
        gradients.set(`windows.${i}.bias`, bias);
      });
      return dx;
    }
    if (body.kind !== 'lstm') throw new Error('not an lstm');
    const states = body.pooling === 'max';
    let above: Float32Array | undefined = states
      ? spreadStates(dy, batch, featureSize(spec), trace.argmax)
      : undefined;
    let dh = states ? undefined : concat(splitChannels(dy, Array(body.directions).fill(body.hidden)));
    for (let layer = body.layers - 1; layer >= 0; layer--) {
      const { y, saved } = trace.results[layer]!;
      const own = await lstmBackward(
        {
          ...this.#recurrence(batch, trace.inputs[layer]!, layer),
          y,
          saved,
          dy: above,
          dh,
          inputGradient: layer > 0 || inputGradient,
        },
        exec,
      );
      gradients.set(`lstm.${layer}.weight_input`, own.weightInput);
      gradients.set(`lstm.${layer}.weight_hidden`, own.weightHidden);
      gradients.set(`lstm.${layer}.bias`, own.bias);
      above = own.x;
      dh = undefined;
    }
    return above;
  }

  /** Input, then the result of every layer, the logits last. */
  async #dense(features: Float32Array): Promise<Float32Array[]> {
    const { spec, exec } = this.#options;
    const list = [features];
    for (const { name, inFeatures, outFeatures, activation } of denseLayers(spec)) {
      const layer = {
        inFeatures,
        outFeatures,
        weight: this.#weight(`${name}.weight`),
        bias: this.#weight(`${name}.bias`),
        activation,
      };
      list.push(await linear(list.at(-1)!, layer, exec));
    }
    return list;
  }

  async #denseBackward(layers: Float32Array[], dLogits: Float32Array, gradients: Map<string, Float32Array>) {
    const { spec, exec } = this.#options;
    let dy = dLogits;
    for (const [i, { name, inFeatures, outFeatures, activation }] of [
      ...denseLayers(spec).entries(),
    ].reverse()) {
      const y = layers[i + 1]!;
      // Where ReLU gave 0, what went in was not above it: the result tells the slope as well.
      if (activation === 'relu') dy = await activationBackward('relu', { x: y, y, dy }, exec);
      const weight = this.#weight(`${name}.weight`);
      const own = await linearBackward({ inFeatures, outFeatures, x: layers[i]!, weight, dy }, exec);
      gradients.set(`${name}.weight`, own.dW);
      gradients.set(`${name}.bias`, own.db);
      dy = own.dx!;
    }
    return dy;
  }

  async #update(gradients: Map<string, Float32Array>): Promise<void> {
    const { learningRate, weightDecay, exec } = this.#options;
    for (const [name, g] of gradients) {
      if (this.#fixed.has(name)) continue;
      let moments = this.#moments.get(name);
      if (moments === undefined) {
        moments = { m: new Float32Array(g.length), v: new Float32Array(g.length) };
        this.#moments.set(name, moments);
      }
      const decays = name.endsWith('weight') || name.startsWith('lstm.');
      await optimizerStep(
        { p: this.#weight(name), g, ...moments },
        {
          ...exec,
          kind: 'adamw',
          learningRate,
          step: this.#step,
          weightDecay: decays && !name.endsWith('bias') ? weightDecay : 0,
        },
      );
    }
  }
}

/** The fully connected layers behind the features. */
export function denseLayers(spec: TextNetworkSpec) {
  let inFeatures = featureSize(spec);
  return [...spec.dense, spec.outputs].map((outFeatures, i) => {
    const own = inFeatures;
    inFeatures = outFeatures;
    const last = i === spec.dense.length;
    return {
      name: last ? 'head' : `dense.${i}`,
      inFeatures: own,
      outFeatures,
      activation: last ? ('none' as const) : ('relu' as const),
    };
  });
}

/** The directions' parts of (directions, batch, hidden). */
export function halves(states: Float32Array, directions: number): Float32Array[] {
  const size = states.length / directions;
  return Array.from({ length: directions }, (_, d) => states.subarray(d * size, (d + 1) * size));
}

function concat(parts: readonly Float32Array[]): Float32Array {
  const all = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
