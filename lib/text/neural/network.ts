/** A trained text network, its weights made ready once. */
import { DisposedError, throwIfCancelled } from '../../errors.js';
import { ConvPool } from '../../ops/conv_pool.js';
import { embedding } from '../../ops/embedding.js';
import type { ExecOptions } from '../../ops/exec.js';
import { Linear } from '../../ops/linear.js';
import { Lstm } from '../../ops/lstm.js';
import { joinChannels, poolStates } from './arrange.js';
import { orderedBatches, type SequenceBatch, type Sequences } from './sequences.js';
import { featureSize, stepSize, type TextNetworkSpec, type TextWeights } from './spec.js';
import { denseLayers, halves } from './trainer.js';
import { PADDING_ID } from './vocabulary.js';

/** Texts of one forward pass. */
const BATCH = 64;

export class TextNetwork {
  readonly spec: TextNetworkSpec;
  readonly weights: TextWeights;
  readonly #convolution: ConvPool | undefined;
  readonly #lstms: readonly Lstm[];
  readonly #dense: readonly Linear[];
  #disposed = false;

  private constructor(
    spec: TextNetworkSpec,
    weights: TextWeights,
    layers: { convolution?: ConvPool | undefined; lstms: Lstm[]; dense: Linear[] },
  ) {
    this.spec = spec;
    this.weights = weights;
    this.#convolution = layers.convolution;
    this.#lstms = layers.lstms;
    this.#dense = layers.dense;
  }

  /** @param weights  of the shapes that `textWeightShapes` gives */
  static async create(
    spec: TextNetworkSpec,
    weights: TextWeights,
    exec?: Omit<ExecOptions, 'signal'>,
  ): Promise<TextNetwork> {
    const { body } = spec;
    const weight = (name: string) => weights.get(name)!;
    const lstms: Lstm[] = [];
    const convolution =
      body.kind === 'text-cnn'
        ? await ConvPool.create(
            {
              dim: stepSize(spec),
              windows: body.windows.map((size, i) => ({
                size,
                weight: weight(`windows.${i}.weight`),
                bias: weight(`windows.${i}.bias`),
              })),
              activation: body.activation,
            },
            exec,
          )
        : undefined;
    for (let layer = 0; body.kind === 'lstm' && layer < body.layers; layer++) {
      const { hidden, directions } = body;
      lstms.push(
        await Lstm.create(
          {
            inputSize: layer === 0 ? stepSize(spec) : hidden * directions,
            hiddenSize: hidden,
            directions,
            weightInput: weight(`lstm.${layer}.weight_input`),
            weightHidden: weight(`lstm.${layer}.weight_hidden`),
            bias: weight(`lstm.${layer}.bias`),
          },
          exec,
        ),
      );
    }
    const dense: Linear[] = [];
    for (const { name, ...layer } of denseLayers(spec)) {
      dense.push(
        await Linear.create(
          { ...layer, weight: weight(`${name}.weight`), bias: weight(`${name}.bias`) },
          exec,
        ),
      );
    }
    return new TextNetwork(spec, weights, { convolution, lstms, dense });
  }

  /** @returns (rows, outputs) logits, and the (rows, featureSize) vectors that they come from */
  async run(
    batch: SequenceBatch,
    options: ExecOptions = {},
  ): Promise<{ logits: Float32Array; features: Float32Array }> {
    if (this.#disposed) {
      throw new DisposedError('ERR_DISPOSED', { message: 'This text network has been disposed of' });
    }
    const features = await this.#features(batch, await this.#read(batch, options), options);
    let logits = features;
    for (const layer of this.#dense) logits = await layer.run(logits, options);
    return { logits, features };
  }

  /**
   * The logits of many sequences, in their order.
   *
   * @returns (count, outputs)
   * @throws CancelledError ERR_CANCELLED
   */
  async runAll(
    sequences: Sequences,
    rows: Int32Array,
    { onBatch, ...options }: ExecOptions & { onBatch?: ((rows: number) => void) | undefined } = {},
  ): Promise<Float32Array> {
    const { outputs } = this.spec;
    const places = new Map(Array.from(rows, (row, i) => [row, i]));
    const all = new Float32Array(rows.length * outputs);
    for (const indices of orderedBatches(sequences, rows, BATCH)) {
      throwIfCancelled(options.signal);
      const { logits } = await this.run(sequences.batch(indices), options);
      indices.forEach((row, i) => {
        all.set(logits.subarray(i * outputs, (i + 1) * outputs), places.get(row)! * outputs);
      });
      onBatch?.(indices.length);
    }
    return all;
  }

  async #read({ ids, vectors }: SequenceBatch, options: ExecOptions): Promise<Float32Array> {
    const { input } = this.spec;
    if (input.kind === 'vectors') return vectors!;
    const parts = await Promise.all(
      input.channels.map(({ dim }, i) =>
        embedding(ids!, this.weights.get(`embedding.${i}`)!, { ...options, dim, paddingId: PADDING_ID }),
      ),
    );
    return joinChannels(
      parts,
      input.channels.map(({ dim }) => dim),
    );
  }

  async #features(batch: SequenceBatch, x: Float32Array, options: ExecOptions): Promise<Float32Array> {
    const { spec } = this;
    const { steps, lengths } = batch;
    if (this.#convolution) return this.#convolution.run({ x, steps, lengths }, options);
    if (spec.body.kind !== 'lstm') return poolStates(x, batch, stepSize(spec), 'mean').features;
    const { directions, hidden, pooling } = spec.body;
    let y = x;
    let h = x;
    for (const layer of this.#lstms) ({ y, h } = await layer.run(y, { ...options, time: steps, lengths }));
    if (pooling === 'max') return poolStates(y, batch, featureSize(spec), 'max').features;
    return joinChannels(halves(h, directions), Array<number>(directions).fill(hidden));
  }

  dispose(): void {
    this.#disposed = true;
    this.#convolution?.dispose();
    for (const layer of [...this.#lstms, ...this.#dense]) layer.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
