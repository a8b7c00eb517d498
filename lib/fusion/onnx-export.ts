import { BundleError, CancelledError, throwIfCancelled } from '../errors.js';
import type { Bundle } from './bundle.js';
import { type NetworkWeights, weightOf } from './network.js';
import { type FusionNetworkSpec, parseFusionNetworkSpec, weightShapes } from './network-spec.js';
import { GraphBuilder } from '../formats/onnx-graph.js';
import { addFusion, type Fused, type ModalityValues } from './onnx-fusions.js';
import { writeWhole } from '../write-whole.js';

export interface OnnxExportOptions {
  signal?: AbortSignal | undefined;
}

/**
 * Writes the fusion network as one ONNX file (opset 17, float32, no custom operators): every kind of fusion, sequences and
 * absent modalities included, with the same results as `FusionNetwork` but for the order of sums.
 *
 *   inputs   NAME (batch, dim) float of every modality, or NAME (batch, NAME.steps, dim) and NAME.lengths (batch) int64
 *            of a sequence; present (batch, modalities) bool, in the order of the spec. What is absent is never read
 *            but must be there, as anything.
 *   outputs  heads.NAME (batch, out), raw: logits or standardised values; modality_weights (batch, modalities) of the
 *            kinds that have them
 *
 * Encoders are ONNX files already. Scalers are part of the model; label scales, calibration and intervals are not: they
 * are the bundle's.
 *
 * @param source  a loaded bundle, or a network's description with its weights
 * @param file    written whole or not at all
 * @returns the file's length in bytes
 * @throws BundleError ERR_BUNDLE_FORMAT, ERR_BUNDLE_SHAPE  a spec or weights that do not hold what they should
 * @throws BundleError ERR_BUNDLE_WRITE  naming the file
 *
 * Within 2e-5 of the largest value of `FusionNetwork` under onnxruntime-node.
 */
export async function exportOnnx(
  source: Bundle | { network: FusionNetworkSpec; weights: NetworkWeights },
  file: string,
  { signal }: OnnxExportOptions = {},
): Promise<number> {
  const [network, weights] =
    'manifest' in source
      ? [source.manifest.network, source.networkWeights()]
      : [source.network, source.weights];
  const chunks = onnxModel(parseFusionNetworkSpec(network), weights);
  throwIfCancelled(signal);
  return writeWhole(file, chunks, { signal }).catch((cause: Error) => {
    if (cause instanceof CancelledError) throw cause;
    throw new BundleError('ERR_BUNDLE_WRITE', {
      file,
      expected: 'a place to write the ONNX model to',
      got: cause.message,
      cause,
    });
  });
}

/** The model's bytes, in chunks. */
export function onnxModel(spec: FusionNetworkSpec, weights: NetworkWeights): readonly Uint8Array[] {
  const g = new GraphBuilder();
  const shapes = weightShapes(spec);
  const arrays = new Map([...shapes].map(([name, shape]) => [name, weightOf(weights, name, shape)]));
  const added = new Set<string>();
  const weight = (name: string, shape: readonly number[] = shapes.get(name)!): string => {
    if (!added.has(name)) g.weight(name, shape, arrays.get(name)!);
    added.add(name);
    return name;
  };
  const layer = (
    x: string,
    prefix: string,
    norm: string,
    { activation, layerNorm }: FusionNetworkSpec['trunk'][number],
  ): string => {
    const y = g.linear(x, weight(`${prefix}.weight`), weight(`${prefix}.bias`));
    const z = layerNorm ? g.layerNorm(y, weight(`${norm}.weight`), weight(`${norm}.bias`)) : y;
    return g.activation(activation, z);
  };
  const trunk = (x: string, prefix: string): string[] => {
    const inner = spec.trunk.reduce(
      (y, part, i) => layer(y, `${prefix}trunk.${i}`, `${prefix}trunk.${i}.norm`, part),
      x,
    );
    return spec.heads.map(({ name }) =>
      g.linear(inner, weight(`${prefix}heads.${name}.weight`), weight(`${prefix}heads.${name}.bias`)),
    );
  };

  const inputs = spec.modalities.map(({ name, dim, sequence }) => ({
    data: g.input(name, 'float', sequence ? ['batch', `${name}.steps`, dim] : ['batch', dim]),
    lengths: sequence && g.input(`${name}.lengths`, 'int64', ['batch']),
  }));
  const present = g.input('present', 'bool', ['batch', spec.modalities.length]);
  const modalities = spec.modalities.map((modality, m): ModalityValues => {
    const { name, projection } = modality;
    const there = g.add('Gather', [present, g.ints(m)], { axis: 1 });
    const scaler = (x: string) => {
      const centred = g.add('Sub', [x, weight(`modalities.${name}.scaler.mean`)]);
      return g.product([centred, weight(`modalities.${name}.scaler.scale`)]);
    };
    const { data, lengths } = inputs[m]!;
    const x = lengths
      ? pooled(g, modality, scaler, data, lengths, there, weight)
      : scaler(g.add('Where', [there, data, g.float(0)]));
    const projected =
      spec.fusion.kind === 'kernel'
        ? x
        : layer(x, `modalities.${name}.projection`, `modalities.${name}.norm`, projection);
    return { name, there, x, h: g.add('Where', [there, projected, g.float(0)]) };
  });
  const fused: Fused = addFusion({ g, spec, arrays, weight, trunk, present, modalities });
  for (const [i, { name, out }] of spec.heads.entries()) {
    g.output(`heads.${name}`, fused.heads[i]!, ['batch', out]);
  }
  if (fused.weights) g.output('modality_weights', fused.weights, ['batch', spec.modalities.length]);
  return g.build('cinefuse', { 'cinefuse.network': JSON.stringify(spec) });
}

/** Steps scaled and made one vector: their mean, or by additive attention. */
function pooled(
  g: GraphBuilder,
  { name, sequence, dim }: FusionNetworkSpec['modalities'][number],
  scaler: (x: string) => string,
  data: string,
  lengths: string,
  there: string,
  weight: (name: string, shape?: readonly number[]) => string,
): string {
  const steps = g.add('Gather', [g.add('Shape', [data]), g.constant('int64', [], [1])]);
  const zero = g.constant('int64', [], [0]);
  const one = g.constant('int64', [], [1]);
  const index = g.add('Unsqueeze', [g.add('Range', [zero, steps, one]), g.ints(0)]);
  const within = g.add('Less', [index, g.add('Unsqueeze', [lengths, g.ints(1)])]);
  const counts = g.add('And', [within, there]);
  const mask = g.add('Unsqueeze', [counts, g.ints(2)]);
  const x = scaler(g.add('Where', [mask, data, g.float(0)]));
  const kept = g.add('Where', [mask, x, g.float(0)]);
  if (sequence?.pooling === 'mean') {
    const length = g.add('Max', [lengths, one]);
    const divisor = g.add('Unsqueeze', [g.add('Cast', [length], { to: 1 }), g.ints(1)]);
    return g.add('Div', [g.sum(kept, 1, false), divisor]);
  }
  const prefix = `modalities.${name}.pooling`;
  const k = sequence?.attentionDim ?? dim;
  const turned = g.add('Transpose', [weight(`${prefix}.W`)], { perm: [1, 0] });
  const inner = g.add('Add', [g.add('MatMul', [kept, turned]), weight(`${prefix}.b`)]);
  const scores = g.add('MatMul', [g.add('Tanh', [inner]), g.reshape(weight(`${prefix}.w`), k, 1)]);
  const alpha = g.maskedSoftmax(mask, scores);
  return g.sum(g.product([kept, alpha]), 1, false);
}
