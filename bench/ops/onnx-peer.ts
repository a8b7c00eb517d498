/** ONNX Runtime as a contender: a graph of test/onnx.ts on as many threads as the operators have. */
import type * as Ort from 'onnxruntime-node';
import { defaultThreads } from '../../lib/ops/index.js';
import { model, value } from '../../test/onnx.js';

export interface Graph {
  nodes: Buffer[];
  initializers: Buffer[];
  /** Name to shape. */
  inputs: Record<string, number[]>;
  output: [name: string, shape: number[]];
}

export interface OnnxPeer {
  run(feeds: Record<string, Float32Array>): Promise<Float32Array>;
  release(): Promise<void>;
}

export async function onnxPeer(graph: Graph): Promise<OnnxPeer> {
  const { InferenceSession, Tensor } = (
    (await import('onnxruntime-node')) as unknown as { default: typeof Ort }
  ).default;
  const bytes = model({
    nodes: graph.nodes,
    initializers: graph.initializers,
    inputs: Object.entries(graph.inputs).map(([name, shape]) => value(name, 'float', shape)),
    outputs: [value(graph.output[0], 'float', graph.output[1])],
  });
  const session = await InferenceSession.create(bytes, {
    intraOpNumThreads: defaultThreads(),
    interOpNumThreads: 1,
    executionMode: 'sequential',
    graphOptimizationLevel: 'all',
  });
  return {
    async run(feeds) {
      const tensors = Object.entries(graph.inputs).map(([name, shape]) => [
        name,
        new Tensor('float32', feeds[name] as Float32Array, shape),
      ]);
      const result = await session.run(Object.fromEntries(tensors));
      return result[graph.output[0]]?.data as Float32Array;
    },
    release: () => session.release(),
  };
}

/**
 * Holds every contender's result against the first one's: the largest difference as a share of the largest value.
 * @param rounded  larger shares, of contenders that round on purpose
 */
export function sameWithin(
  share: number,
  rounded: Record<string, number> = {},
): (results: Record<string, unknown>) => void {
  return (results) => {
    const [[name, first], ...others] = Object.entries(results) as [[string, Float32Array]];
    const top = first.reduce((most, v) => Math.max(most, Math.abs(v)), 0);
    for (const [other, y] of others as [string, Float32Array][]) {
      if (y.length !== first.length)
        throw new Error(`${other} gives ${y.length} values, ${name} ${first.length}`);
      const worst = y.reduce((most, v, i) => Math.max(most, Math.abs(v - (first[i] as number))), 0);
      if (!(worst <= (rounded[other] ?? share) * top))
        throw new Error(`${other} differs from ${name} by ${worst} of ${top}`);
    }
  };
}
