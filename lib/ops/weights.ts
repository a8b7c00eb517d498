/** How prepared layers keep their weights. */
import { describeValue, InputError } from '../errors.js';

/** In the order of `enum class WeightType` in native/core/gemm/packed_matrix.h. */
export const WEIGHT_TYPES = ['float32', 'bfloat16', 'int8'] as const;
/**
 * How a layer stores its weights; products and sums are float32 always, so that a result is that of the rounded
 * weights. The fewer the rows of a call, the more of its time is the reading of weights.
 *
 * - 'bfloat16': half the memory. Each weight within 2⁻⁹ of itself (0.2 %); NaN and infinity stay.
 * - 'int8': a quarter. One scale for each output and 384 inputs, the largest magnitude / 127: each weight within 1/254
 *   of the largest of those. Where one of them is not finite, the output is NaN.
 */
export type WeightType = (typeof WEIGHT_TYPES)[number];

/** The number by which the addon knows a weight type. @throws InputError ERR_INPUT_VALUE */
export function weightTypeIndex(type: string = 'float32'): number {
  const index = (WEIGHT_TYPES as readonly string[]).indexOf(type);
  if (index < 0) {
    throw new InputError('ERR_INPUT_VALUE', {
      field: 'weightType',
      expected: `one of ${WEIGHT_TYPES.join(', ')}`,
      got: describeValue(type),
    });
  }
  return index;
}
