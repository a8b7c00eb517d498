/** Weights of a fusion network from a safetensors file of any training framework: docs/interchange.md. */
import { readFile, stat } from 'node:fs/promises';
import { BundleError } from '../errors.js';
import { nearestName } from '../nearest.js';
import { checkLimit, DEFAULT_BUNDLE_LIMITS } from './limits.js';
import { type NetworkWeight, weightOf } from './network.js';
import { type FusionNetworkSpec, parseFusionNetworkSpec, weightShapes } from './network-spec.js';
import { parseSafetensors, type StoredTensor, toFloat32 } from '../formats/safetensors.js';

export interface ReadWeightsOptions {
  /** From the file's names to those of `weightShapes`; undefined passes a tensor over. Default: as they are. */
  rename?: (name: string) => string | undefined;
}

/**
 * Reads what `weightShapes(spec)` lists. F16, BF16 and F64 become float32. Scalers that the file lacks (PyTorch modules
 * often scale their data beforehand) are those that change nothing: mean 0, scale 1. Every other tensor must be there,
 * and none be left over: a name that fits nothing is more often a mistake than meant.
 *
 * @throws BundleError ERR_BUNDLE_NOT_FOUND  no such file
 * @throws BundleError ERR_BUNDLE_FORMAT     no safetensors file; a tensor that the network has no place for, with the
 *   nearest name it has; numbers that are not finite
 * @throws BundleError ERR_BUNDLE_SHAPE      a weight that is missing or of another shape
 * @throws BundleError ERR_BUNDLE_LIMIT      a file of more bytes than a bundle's weights may have
 */
export async function readNetworkWeights(
  file: string,
  spec: FusionNetworkSpec,
  { rename = (name) => name }: ReadWeightsOptions = {},
): Promise<Map<string, NetworkWeight>> {
  const shapes = weightShapes(parseFusionNetworkSpec(spec));
  const stored = new Map<string, StoredTensor>();
  for (const [theirs, tensor] of parseSafetensors(await readWhole(file), file)) {
    const name = rename(theirs);
    if (name === undefined) continue;
    if (!shapes.has(name)) {
      const nearest = nearestName(name, [...shapes.keys()]);
      throw new BundleError('ERR_BUNDLE_FORMAT', {
        file,
        field: theirs,
        expected: nearest ? `a weight of the network (did you mean ${nearest}?)` : 'a weight of the network',
        got: name === theirs ? 'an unknown name' : `${name}, an unknown name`,
      });
    }
    stored.set(name, tensor);
  }
  const weights = new Map<string, NetworkWeight>();
  for (const [name, shape] of shapes) {
    const tensor = stored.get(name);
    const scaler = /\.scaler\.(mean|scale)$/.exec(name);
    if (!tensor && scaler) {
      weights.set(name, { shape, data: new Float32Array(shape[0]!).fill(scaler[1] === 'mean' ? 0 : 1) });
    } else if (tensor) {
      weights.set(name, { shape: tensor.shape, data: toFloat32(tensor) });
    }
  }
  try {
    for (const [name, shape] of shapes) weightOf(weights, name, shape);
  } catch (error) {
    if (!(error instanceof BundleError)) throw error;
    throw new BundleError(error.code as 'ERR_BUNDLE_SHAPE' | 'ERR_BUNDLE_FORMAT', {
      file,
      field: error.field,
      message: `${file}: ${error.message}`,
      cause: error,
    });
  }
  return weights;
}

async function readWhole(file: string): Promise<Buffer> {
  try {
    checkLimit(file, 'weights', (await stat(file)).size, DEFAULT_BUNDLE_LIMITS.weightsBytes);
    return await readFile(file);
  } catch (cause) {
    if (cause instanceof BundleError) throw cause;
    throw new BundleError('ERR_BUNDLE_NOT_FOUND', {
      file,
      expected: 'a safetensors file',
      got: (cause as Error).message,
      cause,
    });
  }
}
