import { ShapeError } from '../errors.js';
import { type ExecOptions, execute } from './exec.js';
import type { ModalityAttentionInput } from './modality_attention.js';
import { rowsOf } from './prepared.js';
import { type CrossAttentionLayer, crossWeights } from './sequence_attention.js';
import { crossGradients } from './sequence_attention_backward.js';

export interface CrossModalGradients {
  /** (batch, modalities, features) */
  dh: Float32Array;
  /** One a block: the weights' gradients, named and shaped as the weights. */
  blocks: CrossAttentionLayer[];
}

/**
 * Gradients of the fusion kind 'cross-modal' (FusionNetwork): in each block every modality present attends to the others
 * present, one set of weights for all of them; c is the mean over those present behind the last block.
 *
 * @param blocks  1..16 layers with a block, all of one width (also their contextWidth), one number of heads, one ff
 * @param input   dc (batch, features) is the gradient of the loss by c
 * @returns the loss's gradients by h and by every weight. Absent modalities get exactly 0 and may hold anything; those of
 *   the bk are exactly 0.
 * @throws ShapeError ERR_SHAPE  blocks that do not fit each other, arrays that do not fit them
 *
 * Within 5e-5 of the largest value of float64; the same bits on any number of threads. Source: Tsai et al. 2019, there in
 * pairs of modalities.
 */
export async function crossModalBackward(
  blocks: readonly CrossAttentionLayer[],
  input: ModalityAttentionInput & { dc: Float32Array },
  options?: ExecOptions,
): Promise<CrossModalGradients> {
  const [first] = blocks;
  const lists = blocks.map(crossWeights);
  const hidden = lists[0]?.ff ?? 0;
  for (const [i, { width, contextWidth, heads }] of blocks.entries()) {
    const fits =
      width === first!.width && contextWidth === width && heads === first!.heads && lists[i]!.ff === hidden;
    if (fits) continue;
    throw new ShapeError('ERR_SHAPE', {
      field: `blocks.${i}`,
      expected: `a block of width ${first!.width}, ${first!.heads} heads and ff ${hidden}, to itself`,
      got: `width ${width}, contextWidth ${contextWidth}, ${heads} heads, ff ${lists[i]!.ff}`,
    });
  }
  const width = first?.width ?? 0;
  const heads = first?.heads ?? 0;
  const weights = lists.flatMap((list) => list.weights);
  const { h, modalities, mask, dc } = input;
  const batch = rowsOf(h, modalities * width);
  const [dh, ...gradients] = await execute(options, (addon, exec, cancel) =>
    addon.crossModalBackward(
      exec,
      cancel,
      width,
      heads,
      hidden,
      blocks.length,
      weights,
      batch,
      modalities,
      h,
      mask,
      dc,
    ),
  );
  return {
    dh: dh!,
    blocks: blocks.map((block, i) => crossGradients(block, gradients.slice(16 * i, 16 * i + 16))),
  };
}
