import { createHash } from 'node:crypto';
import { mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { mkdirSync, rmSync } from 'node:fs';
import type { EncoderModel } from '../../lib/encoders/pool.js';
import { type EncoderSpec, parseEncoderSpec } from '../../lib/encoders/spec.js';
import { model, node, tensor, value } from '../onnx.js';

export const digest = (data: Uint8Array) => createHash('sha256').update(data).digest('hex');

const directories: string[] = [];
process.on('exit', () => {
  for (const directory of directories) rmSync(directory, { recursive: true, force: true });
});

/** A temporary directory that goes away with the process of the test file. */
export async function temporaryDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'cinefuse-encoders-'));
  directories.push(directory);
  return directory;
}

/** Writes a file below `directory` and returns what a spec says of it. */
export async function place(
  directory: string,
  file: string,
  data: Uint8Array,
): Promise<{ file: string; sha256: string; bytes: number }> {
  mkdirSync(dirname(join(directory, file)), { recursive: true });
  await writeFile(join(directory, file), data);
  return { file, sha256: digest(data), bytes: data.byteLength };
}

const about = { specVersion: 1, version: '1.0.0', licence: 'Apache-2.0', source: 'made by this test' };

export const identityTransform = {
  resize: [2, 2],
  filter: 'bilinear',
  rounding: 'float',
  mean: [0, 0, 0],
  std: [1, 1, 1],
};

/** (batch, 3, 2, 2) -> (batch, 12): y = 2 x, flattened. */
export function doublingGraph(): Buffer {
  return model({
    nodes: [node('Add', ['image', 'image'], ['sum']), node('Flatten', ['sum'], ['features'], { axis: 1 })],
    inputs: [value('image', 'float', ['batch', 3, 2, 2])],
    outputs: [value('features', 'float', ['batch', 12])],
  });
}

/** (batch, 3, 2, 2) -> (batch, 12) through `depth` products with a large matrix, so that one run takes a while. */
export function slowGraph(depth = 30, width = 512): Buffer {
  const grow = new Float32Array(12 * width).fill(1 / 12);
  const mix = new Float32Array(width * width).fill(1 / width);
  const shrink = new Float32Array(width * 12).fill(1 / width);
  const nodes = [node('Flatten', ['image'], ['flat'], { axis: 1 }), node('MatMul', ['flat', 'grow'], ['m0'])];
  for (let i = 0; i < depth; i++) nodes.push(node('MatMul', [`m${i}`, 'mix'], [`m${i + 1}`]));
  nodes.push(node('MatMul', [`m${depth}`, 'shrink'], ['features']));
  return model({
    nodes,
    inputs: [value('image', 'float', ['batch', 3, 2, 2])],
    outputs: [value('features', 'float', ['batch', 12])],
    initializers: [
      tensor('grow', 'float', [12, width], grow),
      tensor('mix', 'float', [width, width], mix),
      tensor('shrink', 'float', [width, 12], shrink),
    ],
  });
}

/** A model of images 2 x 2 with 12 features in `directory`. */
export async function imageModel(
  directory: string,
  options: { name?: string; graph?: Buffer; change?: (spec: Record<string, unknown>) => void } = {},
): Promise<EncoderModel> {
  const name = options.name ?? 'tiny-image';
  const spec: Record<string, unknown> = {
    ...about,
    name,
    modality: 'image',
    ...(await place(directory, `${name}.onnx`, options.graph ?? doublingGraph())),
    inputs: { image: 'image' },
    output: 'features',
    dim: 12,
    maxBatch: 4,
    transform: structuredClone(identityTransform),
    pooling: 'none',
    normalize: false,
  };
  options.change?.(spec);
  return { spec: parseEncoderSpec(spec) as EncoderSpec, directory };
}

export function imageTensor(batch: number, start = 0) {
  return {
    type: 'float32' as const,
    dims: [batch, 3, 2, 2],
    data: Float32Array.from({ length: batch * 12 }, (_, i) => start + i),
  };
}
